"""A small HTTP/2 client of our own: just enough to hold connections open and to make a call.

It writes header fields as literals without indexing (RFC 7541, 6.2.2) and reads no header back:
frames tell what it must know, that DATA had the expected length and trailers ended the stream."""

import select
import socket
import struct

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
WINDOW = (1 << 30) - 1


class CallError(Exception):
    """The answer was not a complete gRPC answer; the text says what came instead."""


def frame(kind, flags, stream, body=b""):
    return struct.pack(">I", len(body))[1:] + struct.pack(">BBI", kind, flags, stream) + body


def literal(name, value):
    name, value = name.encode(), value.encode()
    return b"\0" + length(name) + name + length(value) + value


def length(text):
    """RFC 7541, 5.1, with a prefix of seven bits."""
    count = len(text)
    if count < 127:
        return bytes([count])
    count, encoded = count - 127, bytearray([127])
    while count > 127:
        encoded.append(count & 127 | 128)
        count >>= 7
    return bytes([*encoded, count])


class Connection:
    """One connection, with TLS if there is a context for it.

    Opening returns at once; `settle` waits until SETTINGS went both ways."""

    def __init__(self, port, timeout=10.0, tls=None, fields=()):
        self.port = port
        self.fields = list(fields)
        self.scheme = "https" if tls else "http"
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.pending = b""
        self.next_stream = 1
        window = struct.pack(">HI", 4, WINDOW)
        grow = struct.pack(">I", WINDOW - 65535)
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0, window)
                            + frame(WINDOW_UPDATE, 0, 0, grow))

    def close(self):
        self.socket.close()

    def settle(self):
        ours, theirs = False, False
        while not (ours and theirs):
            kind, flags, _, _ = self.next_frame()
            if kind == SETTINGS and flags & ACK:
                ours = True
            elif kind == SETTINGS:
                theirs = True

    def call(self, path, message, expected):
        """A unary gRPC call; `message` must fit the server's initial window."""
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        fields = [(":method", "POST"), (":scheme", self.scheme), (":path", path),
                  (":authority", f"127.0.0.1:{self.port}"), ("te", "trailers"),
                  ("content-type", "application/grpc"), ("user-agent", "weir-bench"), *self.fields]
        block = b"".join(literal(*field) for field in fields)
        self.socket.sendall(frame(HEADERS, END_HEADERS, stream, block)
                            + frame(DATA, END_STREAM, stream, message))
        received = 0
        while True:
            kind, flags, of_stream, body = self.next_frame()
            if kind == GOAWAY or (kind == RST_STREAM and of_stream == stream):
                raise CallError(f"frame type {kind} in place of an answer: {body.hex()}")
            if of_stream != stream:
                continue
            received += len(body) if kind == DATA else 0
            if flags & END_STREAM and kind in (DATA, HEADERS):
                break
        if kind != HEADERS or received != expected:
            raise CallError(f"{received} bytes of DATA and "
                            f"{'' if kind == HEADERS else 'no '}trailers; {expected} bytes and "
                            f"trailers were expected")

    def next_frame(self):
        """(type, flags, stream, payload); answers SETTINGS and PING as a peer must."""
        header = self.exactly(9)
        length = int.from_bytes(header[:3], "big")
        kind, flags, stream = header[3], header[4], int.from_bytes(header[5:], "big")
        body = self.exactly(length)
        if kind in (SETTINGS, PING) and not flags & ACK:
            self.socket.sendall(frame(kind, ACK, 0, body if kind == PING else b""))
        return kind, flags, stream, body

    def exactly(self, count):
        while len(self.pending) < count:
            piece = self.socket.recv(65536)
            if not piece:
                raise CallError("the connection was closed")
            self.pending += piece
        taken, self.pending = self.pending[:count], self.pending[count:]
        return taken

    def is_readable(self):
        held = self.scheme == "https" and self.socket.pending()
        poller = select.poll()
        poller.register(self.socket, select.POLLIN)
        return held or bool(poller.poll(0))

    def is_open(self):
        """Whether the other side has neither closed the connection nor announced to."""
        while self.pending or self.is_readable():
            try:
                kind, _, _, _ = self.next_frame()
            except (CallError, OSError):
                return False
            if kind == GOAWAY:
                return False
        return True
