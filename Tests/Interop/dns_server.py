"""A DNS server on loopback, over UDP and TCP, that says what a test wants it to."""

import ipaddress
import socket
import struct
import threading
import time

A, CNAME, AAAA, SRV = 1, 5, 28, 33
SERVFAIL, NXDOMAIN, REFUSED = 2, 3, 5


def encoded(name):
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def address(text, ttl=1):
    """A record of the type that the address has."""
    packed = ipaddress.ip_address(text).packed
    return (A if len(packed) == 4 else AAAA, ttl, packed)


def service(target, port, priority=0, weight=0, ttl=1):
    return (SRV, ttl, struct.pack(">HHH", priority, weight, port) + encoded(target))


def alias(target, ttl=1):
    return (CNAME, ttl, encoded(target))


class DNSServer:
    """Answers from `records`: a name has a list of records, or a code, or bytes that are sent as
    they are behind the query's ID, or None for silence. What has no entry does not exist.

    `queries` has what was asked, and when.
    """

    def __init__(self, records=None, datagram_bytes=1232):
        self.records = dict(records or {})
        self.datagram_bytes = datagram_bytes
        self.queries = []
        self._udp, self._tcp = self._listen()
        self.port = self._udp.getsockname()[1]
        for serve in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    @staticmethod
    def _listen():
        """On one port, which is not free for both at the first try as a matter of course."""
        while True:
            datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            datagrams.bind(("127.0.0.1", 0))
            try:
                return datagrams, socket.create_server(datagrams.getsockname())
            except OSError:
                datagrams.close()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def times(self, name, kind=A):
        """When a name was asked for."""
        return [at for at, asked, asked_kind, _ in self.queries
                if (asked, asked_kind) == (name, kind)]

    def stop(self):
        for listening in (self._udp, self._tcp):
            # A thread that waits in it is woken.
            try:
                listening.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            listening.close()

    def _serve_udp(self):
        while True:
            try:
                query, client = self._udp.recvfrom(4096)
            except OSError:
                return
            if not query:
                return
            answer = self._answer(query, "udp")
            if answer is None:
                continue
            if len(answer) > self.datagram_bytes:
                end = 12 + self._question(query)[2]
                answer = answer[:2] + struct.pack(">HHHHH", 0x8380, 1, 0, 0, 0) + answer[12:end]
            self._udp.sendto(answer, client)

    def _serve_tcp(self):
        while True:
            try:
                client, _ = self._tcp.accept()
            except OSError:
                return
            with client:
                stream = client.makefile("rwb")
                length = stream.read(2)
                if len(length) < 2:
                    continue
                answer = self._answer(stream.read(*struct.unpack(">H", length)), "tcp")
                if answer is not None:
                    stream.write(struct.pack(">H", len(answer)) + answer)
                    stream.flush()

    @staticmethod
    def _question(query):
        labels, index = [], 12
        while query[index]:
            labels.append(query[index + 1:index + 1 + query[index]].decode())
            index += 1 + query[index]
        return ".".join(labels).lower(), *struct.unpack_from(">H", query, index + 1), index + 5 - 12

    def _answer(self, query, transport):
        name, kind, length = self._question(query)
        self.queries.append((time.monotonic(), name, kind, transport))
        entry = self.records.get(name, NXDOMAIN)
        if isinstance(entry, dict):
            entry = entry.get(kind, [])
        if entry is None:
            return None
        if isinstance(entry, bytes):
            return query[:2] + entry
        code, records = (entry, []) if isinstance(entry, int) else (0, entry)
        chosen = [r for r in records if r[0] in (kind, CNAME)]
        owners = [b"\xc0\x0c"] * len(chosen)
        body = b"".join(
            owner + struct.pack(">HHIH", r[0], 1, r[1], len(r[2])) + r[2]
            for owner, r in zip(owners, chosen))
        head = struct.pack(">HHHHH", 0x8180 | code, 1, len(chosen), 0, 0)
        return query[:2] + head + query[12:12 + length] + body
