"""What is thrown at proxies that speak HTTP/2: each attack with the limits that Weir starts with,
only its timers are shorter.

Each ends by a limit of its own, which the log names once and a counter counts. Meanwhile the memory
stays, and the calls of an honest client take no longer than while a sink, which reads and drops,
gets the same bytes. docs/threat-model.md has them by these names.
"""

import contextlib
import os
import re
import socket
import struct
import threading
import time
import urllib.request

import pytest

import frames
import waiting
import weir as program
from authority import Authority
from frames import (
    CONTINUATION, DATA, GET, GOAWAY, HEADERS, PADDED, PING, POST, PRIORITY, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, changed, frame, literals)

CALM, TIMEOUT, PROTOCOL = (
    frames.ENHANCE_YOUR_CALM, frames.SETTINGS_TIMEOUT, frames.PROTOCOL_ERROR)
MEMORY = 32_000_000
DELAY = 0.25
SHORT = "400ms"
WAIT = "/wait"
BODY = 1 << 20


def script(connection):
    """Answers requests, /large with 1 MiB; leaves those to /wait alone."""
    while (stream := connection.next_finished(60)) is not None:
        if stream.field(":path") == "/large":
            connection.send_headers(stream.number, [(":status", "200")])
            connection.queue(stream.number, bytes(BODY))
        elif stream.field(":path") != WAIT and stream.reset is None:
            frames.answer(connection, stream)


# The ports of those.
SINKS = set()


@contextlib.contextmanager
def sink():
    """The port of somebody who takes whatever comes, and says nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    taken = []

    def drop(sock):
        with contextlib.suppress(OSError):
            while sock.recv(1 << 16):
                pass

    def accept():
        with contextlib.suppress(OSError):
            while True:
                taken.append(listener.accept()[0])
                threading.Thread(target=drop, args=(taken[-1],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    port = listener.getsockname()[1]
    SINKS.add(port)
    yield port
    SINKS.discard(port)
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    for sock in [listener, *taken]:
        sock.close()


class Honest:
    """Somebody who makes one call after another for as long as the block lasts."""

    def __init__(self, proxy):
        self.proxy, self.slowest, self.peak = proxy, 0.0, 0
        self._client = frames.Connection.to(proxy.port)
        self._call()
        self.slowest, self._over = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _call(self):
        begin = time.monotonic()
        assert self._client.until_over(self._client.request(GET), 10).status == 200
        self.slowest = max(self.slowest, time.monotonic() - begin)

    def _run(self):
        while not self._over.wait(0.003):
            self._call()
            self.peak = max(self.peak, self.proxy.resident_bytes())

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join(20)
        assert not self._thread.is_alive(), "a call has no answer"
        self._client.close()


def counted(proxy, name, **labels):
    """A counter's value, of the metrics' page."""
    page = urllib.request.urlopen(f"http://127.0.0.1:{proxy.metrics}/metrics", timeout=5)
    wanted = ",".join(f'{key}="{value}"' for key, value in labels.items())
    found = re.findall(rf"(?m)^{name}{{{re.escape(wanted)}}} (\d+)", page.read().decode())
    return sum(map(int, found))


@pytest.fixture
def victim(start_weir, start_origin):
    """A proxy with metrics: `victim(listener={...})`."""

    def start(**parts):
        port = program.free_port()
        proxy = start_weir(
            start_origin(script).port, metrics={"address": f"127.0.0.1:{port}"}, **parts)
        proxy.metrics = port
        return proxy

    return start


# The attacks: each is given a port and leaves its connections open


def blob(make, count=5000):
    """The frames of as many streams."""
    return b"".join(make(number) for number in range(1, 2 * count, 2))


def opened(number, fields=GET, flags=5):
    return frame(HEADERS, flags, number, literals(fields))


def dial(port, **terms):
    """A client that acknowledges SETTINGS before they came: what follows is not interrupted."""
    client = frames.Connection.to(port, acknowledges=False, **terms)
    client.send_frame(SETTINGS, 1)
    return client


def flood(data, times=1, **terms):
    """Sends and does not read."""

    def run(port):
        client = dial(port, **terms)
        for _ in range(times):
            client.send(data)
            if client.closed:
                client.closed = False
                break
        return [client]

    return run


def number(value):
    return struct.pack(">I", value)


def reset(stream):
    return frame(RST_STREAM, 0, stream, number(8))


def paced(parts):
    """Sends part by part, the next when the one before was handled: no more streams are open than
    are allowed."""

    def run(port):
        client = dial(port)
        for part in parts:
            client.send(part)
            if client.closed:
                client.closed = False
                break
            if port in SINKS:
                continue
            count = len(client.acks)
            client.send_ping()
            with contextlib.suppress(waiting.Late):
                client.until(lambda count=count: len(client.acks) > count or client.goaways)
        return [client]

    return run


UPLOAD = changed(POST, put=[("content-length", "50")], path=WAIT)


def fifty(make):
    """Streams by the fifty."""
    return paced([
        b"".join(make(n) for n in range(first, first + 100, 2)) for first in range(1, 1500, 100)])


def made(fault):
    """Streams that Weir has to reset."""
    return fifty(lambda n: opened(n, UPLOAD, 4) + fault(n))


def bomb(first, references=16_000):
    """A block that puts a field into the table and names it by single bytes."""
    return literals(GET) + literals([first], indexed=True) + b"\xbe" * references


def bombs(first, connections=64):
    """1 MB of references, 16,000 on a connection, as the first block ends it."""
    data = blob(lambda n: frame(HEADERS, 5, n, bomb(first)[:16_384]), 1)

    def run(port):
        return [flood(data)(port)[0] for _ in range(connections)]

    return run


def held(port):
    """Large answers to many streams, for which there is no window."""
    client = dial(port, settings={frames.INITIAL_WINDOW_SIZE: 0})
    client.send(blob(lambda n: opened(n, changed(GET, path="/large")), 90))
    return [client]


def held_together(port):
    """The same by the connection's window, which nothing was added to."""
    client = dial(port, settings={frames.INITIAL_WINDOW_SIZE: frames.MAX_WINDOW}, grants=False)
    client.send(blob(lambda n: opened(n, changed(GET, path="/large")), 90))
    return [client]


def http2_bomb(port):
    """The same with as many header fields as are taken, tiny ones."""
    client = dial(port, settings={frames.INITIAL_WINDOW_SIZE: 0})
    crumbs = literals([("cookie", "a")], indexed=True) + b"\xbe" * 90
    client.send(blob(lambda n: frame(HEADERS, 5, n, literals(GET) + crumbs), 90))
    return [client]


def drop_by_drop(port):
    """A window of a byte at a time, 5,000 times."""
    client = dial(port, settings={frames.INITIAL_WINDOW_SIZE: 0}, grants=False)
    client.send(opened(1, changed(GET, path="/large")))
    for _ in range(50):
        client.send(frame(WINDOW_UPDATE, 0, 1, number(1)) * 100)
    return [client]


def unread(port):
    """All windows are open, but the socket is not read."""
    client = dial(
        port, settings={frames.INITIAL_WINDOW_SIZE: frames.MAX_WINDOW}, receive_buffer=4096)
    client.send_window(0, frames.MAX_WINDOW - frames.DEFAULT_WINDOW)
    client.send(blob(lambda n: opened(n, changed(GET, path="/large")), 50))
    return [client]


def refused_streams(port):
    """Streams beyond the limit, which is never acknowledged."""
    client = frames.Connection.to(port, acknowledges=False)
    client.send(blob(lambda n: opened(n, changed(GET, path=WAIT)), 10_000))
    return [client]


def slow(data, interval=0.008, preface=True):
    """A byte at a time."""

    def run(port):
        client = (dial(port) if preface
                  else frames.Connection.to(port, preface=False, acknowledges=False))
        for byte in data:
            client.send(bytes([byte]))
            client.poll(interval)
            if client.closed:
                break
        return [client]

    return run


def silent(count, preface=False):
    """Connections that say nothing, or nothing after the preface."""

    def run(port):
        return [
            frames.Connection.to(port, preface=preface, acknowledges=False) for _ in range(count)]

    return run


def pinging(port):
    """Kept open by PING alone."""
    client = frames.Connection.to(port)
    begin = time.monotonic()
    while not client.closed and time.monotonic() - begin < 0.7:
        client.send_ping()
        client.poll(0.02)
    return [client]


HEAD = opened(1)
ONE_SETTING = frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65_535))
THRASH = b"".join(
    frame(SETTINGS, 0, 0, struct.pack(">HIHI", 1, table, 4, window))
    for table, window in ((0, 1), (65_536, 2**31 - 1)))
PART = frame(CONTINUATION, 0, 1, literals([("x", "v" * 10_000)]))
OPEN_UPLOAD = opened(1, changed(POST, path=WAIT), 4)

# Name: the attack, the limit that ends it (None: RFC 9113), and the code of GOAWAY.
ATTACKS = {
    "rapid reset": (flood(blob(lambda n: opened(n) + reset(n))), "early_resets", CALM),
    "rapid reset, unread": (
        flood(blob(lambda n: opened(n) + reset(n)), receive_buffer=4096), "early_resets", CALM),
    "made resets, window overflow": (
        made(lambda n: frame(WINDOW_UPDATE, 0, n, number(frames.MAX_WINDOW))),
        "early_resets", CALM),
    "made resets, trailers without end": (
        made(lambda n: opened(n, [("x", "1")], 4)), "early_resets", CALM),
    "made resets, late pseudo-header": (
        made(lambda n: opened(n, [(":path", "/")])), "early_resets", CALM),
    "made resets, more than content-length": (
        made(lambda n: frame(DATA, 0, n, bytes(51))), "early_resets", CALM),
    "malformed requests": (
        fifty(lambda n: opened(n, [*GET, ("connection", "close")])), "early_resets", CALM),
    "malformed requests, unread": (
        flood(blob(lambda n: opened(n, [*GET, ("connection", "close")])), receive_buffer=4096),
        None, PROTOCOL),
    "fields without a name": (
        fifty(lambda n: opened(n, [*GET, ("", "1")])), "early_resets", CALM),
    "refused streams": (refused_streams, "settings_ack", TIMEOUT),
    "CONTINUATION, empty": (
        flood(HEAD[:4] + b"\1" + HEAD[5:] + frame(CONTINUATION, 0, 1) * 20_000),
        "continuations", CALM),
    "CONTINUATION with bytes": (
        flood(HEAD[:4] + b"\1" + HEAD[5:] + PART * 200), "header_list", CALM),
    "SETTINGS": (flood(ONE_SETTING * 1000, 20), "settings", CALM),
    "SETTINGS, unread": (flood(ONE_SETTING * 1000, 20, receive_buffer=4096), "settings", CALM),
    "SETTINGS up and down under 90 streams": (
        flood(blob(lambda n: opened(n, changed(GET, path=WAIT)), 90) + THRASH * 2000), "settings",
        CALM),
    "PING": (flood(frame(PING, 0, 0, bytes(8)) * 1000, 50), "pings", CALM),
    "PING, unread": (
        flood(frame(PING, 0, 0, bytes(8)) * 1000, 50, receive_buffer=4096), "pings", CALM),
    "PRIORITY": (
        flood(blob(lambda n: frame(PRIORITY, 0, n, bytes(4) + b"\1"), 20_000)),
        "frames_without_request", CALM),
    "WINDOW_UPDATE": (
        flood(frame(WINDOW_UPDATE, 0, 0, number(1)) * 20_000), "frames_without_request", CALM),
    "WINDOW_UPDATE of a stream": (
        flood(OPEN_UPLOAD + frame(WINDOW_UPDATE, 0, 1, number(1)) * 20_000),
        "frames_without_request", CALM),
    "unknown frames": (flood(frame(0xBE) * 20_000), "frames_without_request", CALM),
    "HEADERS of a stream that Weir has reset": (
        flood(OPEN_UPLOAD + frame(WINDOW_UPDATE, 0, 1, number(frames.MAX_WINDOW))
              + opened(1, [("x", "1")], 4) * 60_000), "frames_without_request", CALM),
    "DATA of a stream that Weir has reset": (
        flood(OPEN_UPLOAD + frame(WINDOW_UPDATE, 0, 1, number(frames.MAX_WINDOW))
              + frame(DATA, 0, 1, b"a") * 100_000), "frames_without_request", CALM),
    "RST_STREAM of a stream that is closed": (
        flood(opened(1) + reset(1) * 20_000), "frames_without_request", CALM),
    "GOAWAY": (
        flood(OPEN_UPLOAD + frame(GOAWAY, 0, 0, bytes(8)) * 20_000), "frames_without_request",
        CALM),
    "empty DATA": (flood(OPEN_UPLOAD + frame(DATA, 0, 1) * 20_000), "empty_data", CALM),
    "DATA of padding alone": (
        flood(OPEN_UPLOAD + frame(DATA, PADDED, 1, b"\x03\0\0\0") * 20_000), "empty_data", CALM),
    "HPACK bomb": (bombs(("x", "v" * 300)), "header_list", CALM),
    "HPACK bomb of cookies": (bombs(("cookie", "a=" + "v" * 300)), "header_list", CALM),
    "HPACK bomb of tiny fields": (bombs(("a", "")), "header_list", CALM),
    "HTTP/2 bomb": (http2_bomb, "stalled_writer", None),
    "large answers without a window": (held, "stalled_writer", None),
    "large answers without the connection's window": (
        held_together, "stalled_writer", None),
    "windows of a byte": (drop_by_drop, "stalled_writer", None),
    "an unread socket": (unread, "unread_output", None),
    "silent connections": (silent(100), "preface", None),
    "silence after the preface": (silent(100, preface=True), "settings_ack", TIMEOUT),
    "a slow preface": (
        slow(frames.PREFACE + frame(SETTINGS), 0.015, preface=False), "preface", None),
    "a slow header block": (slow(HEAD), "header_block", CALM),
    "a header block without its end": (slow(HEAD[:4] + b"\1" + HEAD[5:]), "header_block", CALM),
    "a body that stops": (flood(OPEN_UPLOAD + frame(DATA, 0, 1, b"a")), "body_idle", None),
    "PING and nothing else": (pinging, "idle", frames.NO_ERROR),
}
TIMERS = {"preface", "settings_ack", "header_block", "body_idle", "stalled_writer",
          "unread_output", "idle"}


def ended(client, code):
    """By GOAWAY of this code, if one is due."""
    if code is not None:
        assert client.until_closed() == code, client.goaways


def tripped(proxy, limit):
    """Waits until the log names the limit; what asks then whether log and counter agree."""
    if limit is None:
        proxy.wait_for_log("connection broken")
        return lambda most: counted(proxy, "weir_protocol_errors_total", by="client") == 1
    proxy.wait_for_limit(limit)

    def said(most):
        lines = len(proxy.limit_lines(limit))
        count = counted(proxy, "weir_limits_tripped_total", limit=limit)
        return 1 <= lines <= most and count >= lines

    return said


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack(victim, name):
    attack, limit, code = ATTACKS[name]
    proxy = victim(listener={"timeouts": {limit: SHORT} if limit in TIMERS else {}})
    with sink() as port, Honest(proxy) as honest:
        clients = attack(port)
    usual = honest.slowest
    for client in clients:
        client.close()
    before = proxy.resident_bytes()
    with Honest(proxy) as honest:
        clients = attack(proxy.port)
        said = tripped(proxy, limit)
        for client in clients:
            ended(client, code)
    assert honest.peak - before <= MEMORY, f"{(honest.peak - before) >> 10} KiB"
    assert honest.slowest <= usual + DELAY, f"{usual:.3f} s with a sink"
    assert said(len(clients))
    for client in clients:
        client.close()


def processor_seconds(proxy):
    """What all its threads have used."""
    fields = open(f"/proc/{proxy.pid}/stat").read().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def slowness():
    """Of a build for debugging."""
    return 1 if "/release/" in str(program.binary().resolve()) else 10


@pytest.mark.parametrize(
    "count, together, seconds", [(16_000, 1, 0.2), (240, 50, 0.4)], ids=["cut off", "refused"])
@pytest.mark.parametrize(
    "first", [("x", "v" * 200), ("cookie", "a"), ("a", "")], ids=["a value", "cookies", "tiny"])
def test_a_megabyte_of_hpack_references(victim, first, count, together, seconds):
    """In requests that end their connection, and in 4,000 that are refused, which end it after 200
    at a time. Processor time, memory."""
    proxy = victim()
    prime = frames.Connection.to(proxy.port)
    prime.until_over(prime.request(GET))
    memory, used, peak, sent, client = proxy.resident_bytes(), processor_seconds(proxy), 0, 0, None
    block = bomb(first, count)[:16_384]
    while sent < 1_000_000:
        if client is None or client.closed:
            client, stream = dial(proxy.port), 1
        client.send(b"".join(
            frame(HEADERS, 5, n, block) for n in range(stream, stream + 2 * together, 2)))
        stream, sent = stream + 2 * together, sent + count * together
        client.poll(0.003)
        peak = max(peak, proxy.resident_bytes())
    cost = processor_seconds(proxy) - used
    assert peak - memory <= 8_000_000
    assert cost <= seconds * slowness()
    assert proxy.limit_lines("header_list") or proxy.limit_lines("header_fields")


HUGE = [("x", "v" * 4000)]

# One request, or one frame: the status of the answer, or the code of GOAWAY or, negative, of
# RST_STREAM; and the limit.
TOO_LARGE = {
    "2,700 settings in a frame": (
        frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65_535) * 2700), CALM, None),
    "a megabyte of fields": (opened(1, [*GET, *HUGE * 250], 1), CALM, "header_list"),
    "a field of 100 KB": (
        opened(1, [*GET, ("x", "v" * 100_000)], 1), frames.COMPRESSION_ERROR, None),
    "2,000 fields": (opened(1, [*GET, *[("x", "1")] * 2000]), CALM, "header_list"),
    "200 fields": (opened(1, [*GET, *[("x", "1")] * 200]), 431, "header_fields"),
    "68 KB of fields": (opened(1, [*GET, *HUGE * 17], 1), 431, "header_list"),
    "a path of 60 KB": (opened(1, changed(GET, path="/" + "a" * 60_000), 1), 414, "path"),
    "a megabyte of trailers": (
        OPEN_UPLOAD + opened(1, HUGE * 250, 1), -frames.INTERNAL_ERROR, "trailers"),
}


def split(data):
    """The frames of `data`, the long HEADERS among them in several."""
    out = b""
    while data:
        length, head, data = int.from_bytes(data[:3], "big"), data[3:9], data[9:]
        payload, data = data[:length], data[length:]
        parts = [payload[i:i + 16_384] for i in range(0, length, 16_384)] or [b""]
        for index, part in enumerate(parts):
            last = index == len(parts) - 1 and head[0] == HEADERS
            kind = head[0] if index == 0 else CONTINUATION
            flags = head[1] | (4 if last else 0) if index == 0 else (4 if last else 0)
            out += frame(kind, flags, int.from_bytes(head[2:], "big"), part)
    return out


@pytest.mark.parametrize("name", TOO_LARGE)
def test_what_is_too_large(victim, name):
    data, code, limit = TOO_LARGE[name]
    proxy = victim()
    before = proxy.resident_bytes()
    client = dial(proxy.port)
    client.send(split(data))
    stream = client.streams.setdefault(1, frames.Stream(1))
    if code < 0:
        assert client.until_over(stream).reset == -code
    elif code < 100:
        assert client.until_closed() == code, client.goaways
    else:
        assert client.until_over(stream).status == code
    assert tripped(proxy, limit)(1)
    assert proxy.resident_bytes() - before <= 8_000_000


def test_an_encoder_s_table_does_not_grow_with_what_a_client_allows(victim):
    proxy = victim()
    client = frames.Connection.to(proxy.port, settings={frames.HEADER_TABLE_SIZE: 2**32 - 1})
    client.until_over(client.request(GET))
    before = proxy.resident_bytes()
    for _ in range(300):
        client.until_over(client.request(GET))
    assert proxy.resident_bytes() - before <= 1_000_000


@pytest.mark.parametrize("data", [b"", b"\x16\3\1\2\0\1"], ids=["silent", "slow"])
def test_a_handshake_that_stops(victim, tmp_path, data):
    """On a listener with TLS, nothing or the beginning of a ClientHello."""
    leaf = Authority(tmp_path).issue("weir", dns=["localhost"])
    proxy = victim(
        listener={"tls": {"identities": ["self"]}, "timeouts": {"handshake": SHORT}},
        identities=[{"name": "self", "certificate": str(leaf.certificate_file),
                     "private_key": str(leaf.key_file)}])
    socks = [socket.create_connection(("127.0.0.1", proxy.port), 5) for _ in range(50)]
    for sock in socks:
        sock.sendall(data)
    for sock in socks:
        assert sock.recv(100) == b""
        sock.close()
    assert tripped(proxy, "handshake")(50)
