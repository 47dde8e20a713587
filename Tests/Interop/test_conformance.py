"""What RFC 9113 demands of a server in its sections 4 to 8, and RFC 7541 of a decoder: each rule as
the bytes that break it, or that must not break anything, over cleartext and over TLS."""

import os
import shutil
import ssl
import struct
import subprocess

import pytest

import frames
import weir as program
from authority import Authority
from frames import (
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PRIORITY,
    PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame)

PROTOCOL, FLOW, SIZE = frames.PROTOCOL_ERROR, frames.FLOW_CONTROL_ERROR, frames.FRAME_SIZE_ERROR
CLOSED, COMPRESSION = frames.STREAM_CLOSED, frames.COMPRESSION_ERROR
WHOLE = END_HEADERS | END_STREAM
WAIT = "/wait"


def script(connection):
    """Answers all but what is to wait, and takes of no body more than its first window."""
    connection.send_window(0, 1 << 30)
    while (stream := connection.next_finished(60)) is not None:
        if stream.field(":path") != WAIT and stream.reset is None:
            frames.answer(connection, stream)


class Edge:
    """A proxy with a listener of each kind."""

    def __init__(self, folder):
        self.ca = Authority(folder)
        leaf = self.ca.issue("weir", dns=["localhost"])
        self.origin = frames.RawOrigin(
            script, grants=False, settings={frames.INITIAL_WINDOW_SIZE: 16_384})
        self.secure = program.free_port()
        listener = {"name": "secure", "address": f"127.0.0.1:{self.secure}",
                    "tls": {"identities": ["self"]}}
        config = program.configuration(
            program.free_port(), [self.origin.port], route={"listeners": ["edge", "secure"]},
            identities=[{"name": "self", "certificate": str(leaf.certificate_file),
                         "private_key": str(leaf.key_file)}])
        config["listeners"].append(listener)
        self.proxy = program.Weir(folder, config)

    def dial(self, is_secure, **terms):
        """A client, and the head of its requests."""
        context = None
        if is_secure:
            context = ssl.create_default_context(cadata=self.ca.pem.decode())
            context.set_alpn_protocols(["h2"])
        port = self.secure if is_secure else self.proxy.port
        client = frames.Connection.to(port, tls=context, **terms)
        client.round_trip()
        client.head = frames.changed(frames.GET, scheme="https" if is_secure else "http")
        return client

    def stop(self):
        self.proxy.stop()
        self.origin.stop()


@pytest.fixture(scope="module")
def edge(tmp_path_factory):
    edge = Edge(tmp_path_factory.mktemp("edge"))
    yield edge
    edge.stop()


@pytest.fixture(params=[False, True], ids=["h2c", "tls"])
def client(request, edge):
    client = edge.dial(request.param)
    yield client
    client.close()


# What stream 1 is when the bytes come (RFC 9113, 5.1).


def idle(client):
    pass


def opened(client):
    client.request(client.head, end=False)


def half_open(client):
    """Its body is not taken beyond the server's first window."""
    client.request(frames.changed(client.head, path=WAIT), end=False)


def half_closed(client):
    client.request(frames.changed(client.head, path=WAIT))
    client.round_trip()


def answered(client):
    client.until_over(client.request(client.head))


def reset_by_client(client):
    client.send_reset(client.request(client.head, end=False).number)
    client.round_trip()


def reset_by_weir(client):
    stream = client.request(client.head, end=False)
    client.send_window(stream.number, frames.MAX_WINDOW)
    client.until_over(stream)


def passed_over(client):
    """Stream 5 was opened, and so 1 and 3 never can be."""
    client._next_stream = 5
    client.until_over(client.request(client.head))


def headers(fields=None, flags=WHOLE, stream=1, before=b"", after=b"", size=None):
    """A frame of HEADERS: of the client's own head where no other is given."""
    def build(client):
        block = before + frames.literals(client.head if fields is None else fields) + after
        return frame(HEADERS, flags, stream, block[:size])
    return build


def raw(*parts):
    """Frames that do not depend on the client."""
    return lambda client: b"".join(p(client) if callable(p) else p for p in parts)


def block(data):
    """A header block in raw HPACK."""
    return raw(frame(HEADERS, WHOLE, 1, data))


def setting(key, value):
    return frame(SETTINGS, 0, 0, struct.pack(">HI", key, value))


def continuation(flags=END_HEADERS, stream=1, data=frames.literals([("x", "1")])):
    return frame(CONTINUATION, flags, stream, data)


def number(value):
    return struct.pack(">I", value)


DATA_1 = frame(DATA, 0, 1, b"a")
UPDATE_1 = frame(WINDOW_UPDATE, 0, 1, number(1))
PRIORITY_1 = frame(PRIORITY, 0, 1, b"\0\0\0\0\x10")
BIG = bytes(16_385)

# The connection ends with GOAWAY of this code.
BREACHES = {
    "4.2 HEADERS beyond the frame size": (idle, raw(frame(HEADERS, WHOLE, 1, BIG)), SIZE),
    "4.2 SETTINGS beyond the frame size": (idle, raw(frame(SETTINGS, 0, 0, bytes(16_386))), SIZE),
    "4.2 DATA beyond the frame size": (opened, raw(frame(DATA, 0, 1, BIG)), SIZE),
    "4.3 HEADERS in a header block": (idle, raw(headers(flags=1), headers(stream=3)), PROTOCOL),
    "4.3 PRIORITY in a header block": (idle, raw(headers(flags=1), PRIORITY_1), PROTOCOL),
    "4.3 an unknown frame in a header block": (idle, raw(headers(flags=1), frame(0xBE)), PROTOCOL),
    "5.1 DATA on an idle stream": (idle, raw(DATA_1), PROTOCOL),
    "5.1 RST_STREAM of an idle stream": (idle, raw(frame(RST_STREAM, 0, 1, number(8))), PROTOCOL),
    "5.1 WINDOW_UPDATE of an idle stream": (idle, raw(UPDATE_1), PROTOCOL),
    "5.1 CONTINUATION on an idle stream": (idle, raw(continuation()), PROTOCOL),
    "5.1 DATA, half-closed": (half_closed, raw(DATA_1), CLOSED),
    "5.1 HEADERS, half-closed": (half_closed, headers(), CLOSED),
    "5.1 CONTINUATION, half-closed": (half_closed, raw(continuation()), PROTOCOL),
    "5.1 DATA after the answer": (answered, raw(DATA_1), CLOSED),
    "5.1 HEADERS after the answer": (answered, headers(), CLOSED),
    "5.1 CONTINUATION after the answer": (answered, raw(continuation()), PROTOCOL),
    "5.1 DATA after RST_STREAM": (reset_by_client, raw(DATA_1), CLOSED),
    "5.1 HEADERS after RST_STREAM": (reset_by_client, headers(), CLOSED),
    "5.1 CONTINUATION after RST_STREAM": (reset_by_client, raw(continuation()), PROTOCOL),
    "5.1.1 an even stream": (idle, headers(stream=2), PROTOCOL),
    "5.1.1 a lower stream": (passed_over, headers(stream=3), PROTOCOL),
    "5.1.1 DATA on a stream that was passed over": (passed_over, raw(DATA_1), CLOSED),
    "6.1 DATA on stream 0": (idle, raw(frame(DATA, 0, 0, b"a")), PROTOCOL),
    "6.1 DATA, all padding and more": (opened, raw(frame(DATA, PADDED, 1, b"\x05abc")), PROTOCOL),
    "6.1 DATA without its pad length": (opened, raw(frame(DATA, PADDED, 1)), SIZE),
    "6.2 HEADERS on stream 0": (idle, headers(stream=0), PROTOCOL),
    "6.2 HEADERS, all padding and more": (
        idle, raw(frame(HEADERS, WHOLE | PADDED, 1, b"\xff" + frames.literals(frames.GET))),
        PROTOCOL),
    "6.3 PRIORITY of stream 0": (idle, raw(frame(PRIORITY, 0, 0, bytes(5))), PROTOCOL),
    "6.3 PRIORITY of four bytes": (opened, raw(frame(PRIORITY, 0, 1, bytes(4))), SIZE),
    "6.4 RST_STREAM of stream 0": (idle, raw(frame(RST_STREAM, 0, 0, number(8))), PROTOCOL),
    "6.4 RST_STREAM of three bytes": (opened, raw(frame(RST_STREAM, 0, 1, bytes(3))), SIZE),
    "6.5 SETTINGS of a stream": (idle, raw(frame(SETTINGS, 0, 1)), PROTOCOL),
    "6.5 SETTINGS of odd size": (idle, raw(frame(SETTINGS, 0, 0, b"abc")), SIZE),
    "6.5 an acknowledgement with settings": (idle, raw(frame(SETTINGS, 1, 0, bytes(6))), SIZE),
    "6.5 an acknowledgement of nothing": (idle, raw(frame(SETTINGS, 1)), PROTOCOL),
    "6.5.2 ENABLE_PUSH of 2": (idle, raw(setting(2, 2)), PROTOCOL),
    "6.5.2 a window of 2^31": (idle, raw(setting(4, 2**31)), FLOW),
    "6.5.2 frames of 16383": (idle, raw(setting(5, 16_383)), PROTOCOL),
    "6.5.2 frames of 2^24": (idle, raw(setting(5, 2**24)), PROTOCOL),
    "6.6 PUSH_PROMISE": (
        opened, raw(frame(PUSH_PROMISE, END_HEADERS, 1, number(2) + b"\x82")), PROTOCOL),
    "6.7 PING of a stream": (idle, raw(frame(PING, 0, 1, bytes(8))), PROTOCOL),
    "6.7 PING of seven bytes": (idle, raw(frame(PING, 0, 0, bytes(7))), SIZE),
    "6.8 GOAWAY of a stream": (idle, raw(frame(GOAWAY, 0, 1, bytes(8))), PROTOCOL),
    "6.8 GOAWAY of seven bytes": (idle, raw(frame(GOAWAY, 0, 0, bytes(7))), SIZE),
    "6.9 WINDOW_UPDATE of 0": (idle, raw(frame(WINDOW_UPDATE, 0, 0, number(0))), PROTOCOL),
    "6.9 WINDOW_UPDATE of a stream, of 0": (
        opened, raw(frame(WINDOW_UPDATE, 0, 1, number(0))), PROTOCOL),
    "6.9 WINDOW_UPDATE of three bytes": (idle, raw(frame(WINDOW_UPDATE, 0, 0, bytes(3))), SIZE),
    "6.9.1 a connection's window of 2^31": (
        idle, raw(frame(WINDOW_UPDATE, 0, 0, number(frames.MAX_WINDOW))), FLOW),
    "6.9.2 streams' windows of 2^31": (
        opened, raw(frame(WINDOW_UPDATE, 0, 1, number(2**31 - 70_000)), setting(4, 100_000)), FLOW),
    "6.10 CONTINUATION on stream 0": (
        idle, raw(headers(flags=1), continuation(stream=0)), PROTOCOL),
    "6.10 CONTINUATION of another stream": (
        idle, raw(headers(flags=1), continuation(stream=3)), PROTOCOL),
    "6.10 CONTINUATION after END_HEADERS": (
        idle, raw(headers(flags=END_HEADERS), continuation()), PROTOCOL),
    "6.10 CONTINUATION after the last": (
        idle, raw(headers(flags=1), continuation(), continuation()), PROTOCOL),
    "6.10 DATA in a header block": (
        idle, raw(headers(flags=0), continuation(flags=0), DATA_1), PROTOCOL),
    "7541 2.3.3 an index outside the tables": (idle, block(b"\xff\xff\x03"), COMPRESSION),
    "7541 6.1 an index of 0": (idle, block(b"\x80"), COMPRESSION),
    "7541 4.2 a table beyond its size": (idle, block(b"\x3f\xe1\xff\x03"), COMPRESSION),
    "7541 4.2 a new table size within a block": (
        idle, headers(after=b"\x20"), COMPRESSION),
    "7541 5.1 an integer without end": (idle, block(b"\x7f" + b"\xff" * 12), COMPRESSION),
    "7541 5.2 a string beyond its block": (idle, block(b"\0\x05abc"), COMPRESSION),
    "7541 5.2 padding of a byte": (idle, headers(after=b"\0\x82\x1f\xff\0"), COMPRESSION),
    "7541 5.2 padding of zeros": (idle, headers(after=b"\0\x81\x18\0"), COMPRESSION),
    "7541 5.2 the end of string, spelt out": (
        idle, headers(after=b"\0\x84\xff\xff\xff\xff\0"), COMPRESSION),
    "7541 a block that ends in a field": (idle, headers(size=-1), COMPRESSION),
}


@pytest.mark.parametrize("state, data, code", BREACHES.values(), ids=BREACHES)
def test_a_breach_ends_the_connection(edge, client, state, data, code):
    before = len(edge.proxy.log)
    state(client)
    client.send(data(client))
    assert client.until_closed() == code, client.goaways
    words = f"connection broken listener={'secure' if client.head[1][1] == 'https' else 'edge'} "
    peer = client.socket.getsockname()[1]
    edge.proxy.wait_for_log(f"{words}peer=127.0.0.1:{peer} code=")
    assert edge.proxy.log[before:].count(f"peer=127.0.0.1:{peer} ") == 1


def post(*put, drop=()):
    """HEADERS of a request whose body follows."""
    def build(client):
        fields = frames.changed(client.head, drop=drop, put=put, method="POST")
        return frame(HEADERS, END_HEADERS, 1, frames.literals(fields))
    return build


def head(*put, drop=(), **values):
    """HEADERS of a whole request that differs from a good one."""
    def build(client):
        fields = frames.changed(client.head, drop=drop, put=put, **values)
        return frame(HEADERS, WHOLE, 1, frames.literals(fields))
    return build


def trailers(*fields, flags=WHOLE):
    return frame(HEADERS, flags, 1, frames.literals(fields))


# The stream is reset with this code; the connection goes on.
RESETS = {
    "6.9.1 a stream's window of 2^31": (
        opened, raw(frame(WINDOW_UPDATE, 0, 1, number(frames.MAX_WINDOW))), FLOW),
    "6.9.1 more than a stream's window": (
        half_open, raw(*[frame(DATA, 0, 1, bytes(16_384))] * 30), FLOW),
    "8.1 trailers that do not end": (opened, raw(trailers(("x", "1"), flags=4)), PROTOCOL),
    "8.1.1 less than content-length": (
        idle, raw(post(("content-length", "2")), frame(DATA, END_STREAM, 1, b"a")), PROTOCOL),
    "8.1.1 more than content-length": (
        idle, raw(post(("content-length", "2")), frame(DATA, 0, 1, b"abc")), PROTOCOL),
    "8.1.1 content-length without a body": (idle, head(("content-length", "1")), PROTOCOL),
    "8.2 upper case": (idle, head(("X", "1")), PROTOCOL),
    "8.2 upper case in trailers": (opened, raw(trailers(("X", "1"))), PROTOCOL),
    "8.2.1 a colon in a name": (idle, head(("a:b", "1")), PROTOCOL),
    "8.2.1 NUL in a value": (idle, head(("x", b"a\0b")), PROTOCOL),
    "8.2.1 a line's end in a value": (idle, head(("x", "a\r\nb")), PROTOCOL),
    "8.2.1 space around a value": (idle, head(("x", " a")), PROTOCOL),
    "8.2.2 connection": (idle, head(("connection", "keep-alive")), PROTOCOL),
    "8.2.2 proxy-connection": (idle, head(("proxy-connection", "keep-alive")), PROTOCOL),
    "8.2.2 transfer-encoding": (idle, head(("transfer-encoding", "chunked")), PROTOCOL),
    "8.2.2 upgrade": (idle, head(("upgrade", "h2c")), PROTOCOL),
    "8.2.2 te": (idle, head(("te", "trailers, deflate")), PROTOCOL),
    "8.3 an unknown pseudo-header": (idle, head((":x", "1")), PROTOCOL),
    "8.3 a response's pseudo-header": (idle, head((":status", "200")), PROTOCOL),
    "8.3 a late pseudo-header": (idle, head(("x", "1"), (":path", "/")), PROTOCOL),
    "8.3 a pseudo-header in trailers": (opened, raw(trailers((":path", "/"))), PROTOCOL),
    "8.3.1 no :method": (idle, head(drop=[":method"]), PROTOCOL),
    "8.3.1 no :scheme": (idle, head(drop=[":scheme"]), PROTOCOL),
    "8.3.1 no :path": (idle, head(drop=[":path"]), PROTOCOL),
    "8.3.1 an empty :path": (idle, head(path=""), PROTOCOL),
    "8.3.1 two of :method": (idle, head((":method", "GET")), PROTOCOL),
    "8.3.1 two of :scheme": (idle, head((":scheme", "http")), PROTOCOL),
    "8.3.1 two of :path": (idle, head((":path", "/")), PROTOCOL),
}


def goes_on(client):
    """Another call passes on the same connection."""
    assert not client.goaways, client.goaways
    client._next_stream = 99
    assert client.until_over(client.request(client.head)).status == 200
    assert not client.goaways, client.goaways


@pytest.mark.parametrize("state, data, code", RESETS.values(), ids=RESETS)
def test_a_malformed_request_is_reset(client, state, data, code):
    state(client)
    stream = client.streams.setdefault(1, frames.Stream(1))
    client.send(data(client))
    assert client.until_over(stream).reset == code, stream
    goes_on(client)


CONNECT = [(":method", "CONNECT"), (":authority", "echo.test:443")]

# Nothing is wrong with these, or nothing may come of it.
TOLERATED = {
    "4.1 an unknown frame": (idle, raw(frame(0xBE, 0xFF, 0, b"abc"))),
    "4.1 an unknown frame of a stream": (opened, raw(frame(0xBE, 0xFF, 1, b"abc"))),
    "4.1 unknown flags": (opened, raw(frame(DATA, 0xF0 & ~PADDED, 1, b"a"))),
    "4.1 the reserved bit": (
        idle, raw(struct.pack(">HBBBI", 0, 8, PING, 0, 2**31) + bytes(8))),
    "5.1 PRIORITY of an idle stream": (idle, raw(frame(PRIORITY, 0, 7, b"\0\0\0\0\x10"))),
    "5.1 WINDOW_UPDATE, half-closed": (half_closed, raw(UPDATE_1)),
    "5.1 PRIORITY, half-closed": (half_closed, raw(PRIORITY_1)),
    "5.1 RST_STREAM, half-closed": (half_closed, raw(frame(RST_STREAM, 0, 1, number(8)))),
    "5.1 WINDOW_UPDATE after the answer": (answered, raw(UPDATE_1)),
    "5.1 RST_STREAM after the answer": (answered, raw(frame(RST_STREAM, 0, 1, number(8)))),
    "5.1 PRIORITY after the answer": (answered, raw(PRIORITY_1)),
    "5.1 DATA after Weir's reset": (reset_by_weir, raw(DATA_1, DATA_1)),
    "5.1 HEADERS after Weir's reset": (reset_by_weir, raw(trailers(("x", "1")))),
    "5.1 WINDOW_UPDATE after RST_STREAM": (reset_by_client, raw(UPDATE_1)),
    "5.1 PRIORITY after RST_STREAM": (reset_by_client, raw(PRIORITY_1)),
    "6.1 DATA with padding": (opened, raw(frame(DATA, PADDED, 1, b"\x02a\0\0"))),
    "6.1 DATA of padding alone": (opened, raw(frame(DATA, PADDED, 1, b"\x02\0\0"))),
    "6.5 SETTINGS without any": (idle, raw(frame(SETTINGS))),
    "6.5.2 an unknown setting": (idle, raw(setting(0xBEEF, 2**32 - 1))),
    "6.5.2 a table of 2^32-1": (idle, raw(setting(1, 2**32 - 1))),
    "6.7 an answer to no PING": (idle, raw(frame(PING, 1, 0, b"nobody's"))),
    "6.8 GOAWAY of an unknown code": (
        half_closed, raw(frame(GOAWAY, 0, 0, number(0) + number(0xFF)))),
    "7 RST_STREAM of an unknown code": (half_closed, raw(frame(RST_STREAM, 0, 1, number(0xFF)))),
}


@pytest.mark.parametrize("state, data", TOLERATED.values(), ids=TOLERATED)
def test_what_is_no_breach_is_tolerated(client, state, data):
    state(client)
    client.send(data(client))
    client.round_trip()
    goes_on(client)


PASSED = {
    "8.1 trailers": raw(post(), DATA_1, trailers(("x", "1"))),
    "6.2 HEADERS with padding and a priority": lambda client: frame(
        HEADERS, WHOLE | PADDED | 0x20, 1,
        b"\x03" + b"\0\0\0\0\x10" + frames.literals(client.head) + bytes(3)),
    "6.10 CONTINUATION": lambda client: (
        headers(flags=END_STREAM, size=9)(client)
        + continuation(data=frames.literals(client.head)[9:])),
    "6.10 empty CONTINUATION": raw(headers(flags=END_STREAM), continuation(0, 1, b""),
                                   continuation(END_HEADERS, 1, b"")),
    "8.2.2 te: trailers": head(("te", "trailers")),
    "8.2.3 cookie crumbs": head(("cookie", "a=b"), ("cookie", "c=d")),
    "8.1.1 content-length": raw(post(("content-length", "1")), frame(DATA, END_STREAM, 1, b"a")),
    "7541 4.2 a smaller table": headers(before=b"\x20"),
    "7541 4.2 a smaller table and a larger": headers(before=b"\x20\x3f\xe1\x1f"),
    "7541 5.2 a Huffman code": headers(after=b"\x40\x01x\x81\x1f"),
}


@pytest.mark.parametrize("data", PASSED.values(), ids=PASSED)
def test_a_good_request_passes(client, data):
    stream = client.streams.setdefault(1, frames.Stream(1))
    client.send(data(client))
    assert client.until_over(stream).status == 200
    goes_on(client)


def test_connect_is_refused(client):
    stream = client.until_over(client.request(CONNECT))
    assert stream.status == 501 or stream.reset == PROTOCOL, stream
    goes_on(client)


@pytest.fixture(params=[False, True], ids=["h2c", "tls"])
def mean_client(request, edge):
    """Neither acknowledges SETTINGS nor grants windows by itself."""
    client = edge.dial(request.param, acknowledges=False, grants=False)
    yield client
    client.close()


def test_a_stream_beyond_the_limit_is_refused_and_may_be_late(mean_client):
    client = mean_client
    count = client.settings[frames.MAX_CONCURRENT_STREAMS]
    fields = frames.changed(client.head, path=WAIT)
    streams = [client.request(fields, end=False) for _ in range(count + 1)]
    assert client.until_over(streams[-1]).reset == frames.REFUSED_STREAM
    client.send_data(streams[-1].number, b"late")
    client.round_trip()
    assert not client.goaways and not any(s.is_over for s in streams[:-1])


def test_a_stream_beyond_the_limit_that_is_known(client):
    """Once it was acknowledged, to pass it is a breach."""
    count = client.settings[frames.MAX_CONCURRENT_STREAMS]
    fields = frames.changed(client.head, path=WAIT)
    for _ in range(count + 1):
        client.request(fields, end=False)
    assert client.until_closed() == PROTOCOL


def test_data_waits_for_the_stream_s_window(mean_client):
    """6.9.1 and 6.9.2: not a byte more than was granted, whatever grants it."""
    client = mean_client
    client.send(setting(4, 1))
    client.round_trip()
    stream = client.request(client.head)
    client.until(lambda: stream.body)
    client.round_trip()
    assert stream.body == b"h"
    client.send(setting(4, 3))
    client.round_trip()
    client.until(lambda: len(stream.body) >= 3)
    assert stream.body == b"hel"
    client.send_window(stream.number, 100)
    assert client.until_over(stream).body == b"hello"


def test_the_last_of_several_settings_holds(mean_client):
    """6.5.3: in their order."""
    client = mean_client
    client.send(frame(SETTINGS, 0, 0, struct.pack(">HIHI", 4, 100, 4, 1)))
    client.round_trip()
    stream = client.request(client.head)
    client.until(lambda: stream.body)
    client.round_trip()
    assert stream.body == b"h"


def test_answers_to_settings_and_ping(client):
    """6.5.3 and 6.7: each is acknowledged, PING with what it held."""
    acknowledged = sum(f.kind == SETTINGS and f.flags & 1 for f in client.frames)
    client.send(frame(SETTINGS) * 3)
    client.send_ping(b"whatever")
    client.until(lambda: client.acks[-1] == b"whatever")
    count = sum(f.kind == SETTINGS and f.flags & 1 for f in client.frames)
    assert count == acknowledged + 3


def test_goaway_names_the_last_stream(client):
    """6.8: what was or may be processed."""
    answered(client)
    half_closed(client)
    client.send(frame(DATA, 0, 0, b"a"))
    client.until_closed()
    assert client.goaways[-1][0] == 3


def test_frames_of_more_than_the_least_are_not_sent(client):
    """4.2: a client that does not allow larger frames gets none."""
    answered(client)
    assert max(len(f.payload) for f in client.frames) <= 16_384


@pytest.mark.parametrize("is_secure", [False, True], ids=["h2c", "tls"])
def test_h2spec(edge, is_secure):
    """The public suite, where somebody has it: `scripts/conformance`."""
    suite = os.environ.get("H2SPEC") or shutil.which("h2spec")
    if not suite:
        pytest.skip("no h2spec")
    port = edge.secure if is_secure else edge.proxy.port
    ran = subprocess.run([suite, "--strict", *(["--tls", "--insecure"] if is_secure else []),
                          "--port", str(port)], capture_output=True, text=True, timeout=300)
    print(ran.stdout.strip().splitlines()[-1])
    assert ", 0 failed" in ran.stdout, ran.stdout.partition("Failures:")[2]
