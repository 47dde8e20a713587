"""What RFC 9113 demands of a client in its sections 3 to 8, which Weir is to its servers: what a
server that breaks a rule is told, and what Weir itself may and may not send."""

import struct

import pytest

import frames
import waiting
import weir as program
from frames import (
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GET, GOAWAY, GRPC, HEADERS, PADDED, PING, POST,
    PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, changed, frame, literals)

PROTOCOL, FLOW, SIZE = frames.PROTOCOL_ERROR, frames.FLOW_CONTROL_ERROR, frames.FRAME_SIZE_ERROR
COMPRESSION = frames.COMPRESSION_ERROR
WHOLE = END_HEADERS | END_STREAM
OK_HEAD = [(":status", "200")]
RESPONSE = literals(OK_HEAD)


def number(value):
    return struct.pack(">I", value)


def setting(key, value):
    return frame(SETTINGS, 0, 0, struct.pack(">HI", key, value))


def head(n, flags=END_HEADERS, fields=OK_HEAD):
    return frame(HEADERS, flags, n, literals(fields))


# What the server sends when a request came, by its stream's number, and the code of GOAWAY.
BREACHES = {
    "4.2 DATA beyond the frame size": (lambda n: head(n) + frame(DATA, 0, n, bytes(16_385)), SIZE),
    "4.2 SETTINGS beyond the frame size": (lambda n: frame(SETTINGS, 0, 0, bytes(16_386)), SIZE),
    "4.3 a block that cannot be decoded": (
        lambda n: frame(HEADERS, WHOLE, n, b"\xff\xff\x03"), COMPRESSION),
    "4.3 another frame in a header block": (lambda n: head(n, 0) + frame(PING, 0, 0, bytes(8)),
                                            PROTOCOL),
    "5.1 DATA on an idle stream": (lambda n: frame(DATA, 0, n + 2, b"a"), PROTOCOL),
    "5.1 HEADERS on an idle stream": (lambda n: head(n + 2), PROTOCOL),
    "5.1 RST_STREAM of an idle stream": (
        lambda n: frame(RST_STREAM, 0, n + 2, number(8)), PROTOCOL),
    "5.1 WINDOW_UPDATE of an idle stream": (
        lambda n: frame(WINDOW_UPDATE, 0, n + 2, number(1)), PROTOCOL),
    "5.1.1 HEADERS on a stream of its own": (lambda n: head(2), PROTOCOL),
    "6.1 DATA on stream 0": (lambda n: frame(DATA, 0, 0, b"a"), PROTOCOL),
    "6.1 DATA, all padding and more": (
        lambda n: head(n) + frame(DATA, PADDED, n, b"\x05abc"), PROTOCOL),
    "6.2 HEADERS on stream 0": (lambda n: head(0), PROTOCOL),
    "6.3 PRIORITY of stream 0": (lambda n: frame(PRIORITY, 0, 0, bytes(5)), PROTOCOL),
    "6.4 RST_STREAM of stream 0": (lambda n: frame(RST_STREAM, 0, 0, number(8)), PROTOCOL),
    "6.4 RST_STREAM of three bytes": (lambda n: frame(RST_STREAM, 0, n, bytes(3)), SIZE),
    "6.5 SETTINGS of a stream": (lambda n: frame(SETTINGS, 0, n), PROTOCOL),
    "6.5 SETTINGS of odd size": (lambda n: frame(SETTINGS, 0, 0, b"abc"), SIZE),
    "6.5 an acknowledgement with settings": (lambda n: frame(SETTINGS, 1, 0, bytes(6)), SIZE),
    "6.5.2 ENABLE_PUSH of 1": (lambda n: setting(2, 1), PROTOCOL),
    "6.5.2 a window of 2^31": (lambda n: setting(4, 2**31), FLOW),
    "6.5.2 frames of 16383": (lambda n: setting(5, 16_383), PROTOCOL),
    "6.6 PUSH_PROMISE, which was turned off": (
        lambda n: frame(PUSH_PROMISE, END_HEADERS, n, number(2) + literals(GET)), PROTOCOL),
    "6.7 PING of a stream": (lambda n: frame(PING, 0, n, bytes(8)), PROTOCOL),
    "6.7 PING of seven bytes": (lambda n: frame(PING, 0, 0, bytes(7)), SIZE),
    "6.8 GOAWAY of a stream": (lambda n: frame(GOAWAY, 0, n, bytes(8)), PROTOCOL),
    "6.8 GOAWAY of seven bytes": (lambda n: frame(GOAWAY, 0, 0, bytes(7)), SIZE),
    "6.9 WINDOW_UPDATE of 0": (lambda n: frame(WINDOW_UPDATE, 0, 0, number(0)), PROTOCOL),
    "6.9 WINDOW_UPDATE of three bytes": (lambda n: frame(WINDOW_UPDATE, 0, 0, bytes(3)), SIZE),
    "6.9.1 a connection's window of 2^31": (
        lambda n: frame(WINDOW_UPDATE, 0, 0, number(frames.MAX_WINDOW)), FLOW),
    "6.10 CONTINUATION of another stream": (
        lambda n: head(n, 0) + frame(CONTINUATION, 4, n + 2, RESPONSE), PROTOCOL),
    "6.10 CONTINUATION after END_HEADERS": (
        lambda n: head(n) + frame(CONTINUATION, 4, n, RESPONSE), PROTOCOL),
    "8.1 DATA before HEADERS": (lambda n: frame(DATA, 0, n, b"a"), PROTOCOL),
}

# The code of RST_STREAM; the connection goes on.
RESETS = {
    "6.9.1 a stream's window of 2^31": (
        lambda n: frame(WINDOW_UPDATE, 0, n, number(frames.MAX_WINDOW)), FLOW),
    "6.9.1 more than the stream's window": (
        lambda n: head(n) + frame(DATA, 0, n, bytes(16_384)) * 200, FLOW),
    "8.1 trailers that do not end": (
        lambda n: head(n) + frame(DATA, 0, n, b"a") + head(n, 4, [("x", "1")]), PROTOCOL),
    "8.1 1xx that ends": (lambda n: head(n, WHOLE, [(":status", "103")]), PROTOCOL),
    "8.1.1 more than content-length": (
        lambda n: head(n, 4, [*OK_HEAD, ("content-length", "1")]) + frame(DATA, 1, n, b"ab"),
        PROTOCOL),
    "8.1.1 less than content-length": (
        lambda n: head(n, 4, [*OK_HEAD, ("content-length", "3")]) + frame(DATA, 1, n, b"ab"),
        PROTOCOL),
    "8.2 upper case": (lambda n: head(n, WHOLE, [*OK_HEAD, ("X", "1")]), PROTOCOL),
    "8.2.1 NUL in a value": (lambda n: head(n, WHOLE, [*OK_HEAD, ("x", b"\0")]), PROTOCOL),
    "8.2.2 connection": (lambda n: head(n, WHOLE, [*OK_HEAD, ("connection", "close")]), PROTOCOL),
    "8.3 a request's pseudo-header": (
        lambda n: head(n, WHOLE, [*OK_HEAD, (":path", "/")]), PROTOCOL),
    "8.3.2 no :status": (lambda n: head(n, WHOLE, [("x", "1")]), PROTOCOL),
    "8.6 101": (lambda n: head(n, 4, [(":status", "101")]), PROTOCOL),
}

TOLERATED = {
    "4.1 an unknown frame": lambda n: frame(0xBE, 0xFF, n, b"abc"),
    "4.1 an unknown frame of the connection": lambda n: frame(0xBE, 0xFF, 0, b"abc"),
    "5.1 PRIORITY": lambda n: frame(PRIORITY, 0, n, b"\0\0\0\0\x10"),
    "6.1 DATA with padding": lambda n: head(n) + frame(DATA, PADDED, n, b"\x03hel\0\0\0"),
    "6.5.2 an unknown setting": lambda n: setting(0xBEEF, 1),
    "6.5.2 a table of 2^32-1": lambda n: setting(1, 2**32 - 1),
    "6.5.2 ENABLE_PUSH of 0": lambda n: setting(2, 0),
    "6.7 an answer to no PING": lambda n: frame(PING, 1, 0, b"nobody's"),
    "7 GOAWAY of an unknown code": lambda n: frame(GOAWAY, 0, 0, number(n) + number(0xFF)),
    "8.1 1xx": lambda n: head(n, 4, [(":status", "103"), ("link", "</a>")]),
}
ALL = {**{k: v[0] for k, v in {**BREACHES, **RESETS}.items()}, **TOLERATED}


def script(connection):
    """Sends what a request's x-case asks for, once, and goes on as a good server."""
    while (stream := connection.next_finished(60)) is not None:
        name = stream.field("x-case")
        if name:
            connection.send(ALL[name](stream.number))
        if (not name or name in TOLERATED) and stream.reset is None:
            if name != "6.1 DATA with padding":
                connection.send_headers(stream.number, OK_HEAD)
            connection.send_data(stream.number, b"lo", end=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    origin = frames.RawOrigin(script)
    proxy = program.Weir(
        tmp_path_factory.mktemp("weir"),
        program.configuration(program.free_port(), [origin.port], route={"timeout": "500ms"}))
    origin.proxy = proxy
    yield origin
    proxy.stop()
    origin.stop()


def ask(server, dial, name):
    """A request for the case; the stream at the client, and the server's connection."""
    client = dial(server.proxy)
    stream = client.until_over(client.request(changed(GET, put=[("x-case", name)])))
    request = next(r for r in reversed(server.requests) if r.field("x-case") == name)
    connection = next(c for c in server.connections if request in c.streams.values())
    follower = client.until_over(client.request(GET))
    assert follower.status == 200, follower
    return stream, request, connection


@pytest.mark.parametrize("name", BREACHES)
def test_a_breach_ends_the_connection(server, dial, name):
    stream, _, connection = ask(server, dial, name)
    assert stream.status in (502, 503) or stream.reset not in (None, frames.NO_ERROR), stream
    waiting.until(lambda: connection.goaways, "GOAWAY at the server")
    assert connection.goaways[-1][1] == BREACHES[name][1], connection.goaways
    waiting.until(lambda: connection.closed, "the connection's end")


@pytest.mark.parametrize("name", RESETS)
def test_a_malformed_response_is_reset(server, dial, name):
    stream, request, connection = ask(server, dial, name)
    assert stream.status in (502, 503) or stream.reset not in (None, frames.NO_ERROR), stream
    waiting.until(lambda: request.reset is not None, "RST_STREAM at the server")
    assert request.reset == RESETS[name][1]
    assert not connection.goaways


@pytest.mark.parametrize("name", TOLERATED)
def test_what_is_no_breach_is_tolerated(server, dial, name):
    stream, request, connection = ask(server, dial, name)
    assert stream.status == 200 and stream.ended, stream
    assert not connection.goaways or name.startswith("7 ")


# What Weir sends


def test_the_preface_and_settings(server, dial):
    """3.4, 6.5.2: SETTINGS first, without push; the server's own are acknowledged."""
    ask(server, dial, "4.1 an unknown frame")
    connection = server.connections[-1]
    first = connection.frames[0]
    assert (first.kind, first.flags, first.stream) == (SETTINGS, 0, 0)
    assert connection.settings[frames.ENABLE_PUSH] == 0
    assert all(f.kind != PUSH_PROMISE and f.kind != PRIORITY for f in connection.frames)
    assert sum(f.kind == SETTINGS and f.flags & 1 for f in connection.frames) >= 1


def test_streams_are_odd_and_rise(start_weir, start_origin, dial):
    """5.1.1."""
    origin = start_origin()
    client = dial(start_weir(origin.port))
    for stream in [client.request(GRPC, bytes(5)) for _ in range(50)]:
        client.until_over(stream)
    for connection in origin.connections:
        opened = [f.stream for f in connection.frames if f.kind == HEADERS]
        assert opened == sorted(opened) and all(n % 2 for n in opened)


def test_the_server_s_limits_are_kept(start_weir, start_origin, dial):
    """5.1.2, 4.2, 6.9: streams at once, the size of frames, and windows."""

    def script(connection):
        while (stream := connection.next_request(60)) is not None:
            assert len(set(connection.streams) - answered) <= 3
            connection.until(lambda stream=stream: stream.is_over, timeout=60)
            answered.add(stream.number)
            frames.answer(connection, stream)

    answered = set()
    origin = start_origin(script, settings={
        frames.MAX_CONCURRENT_STREAMS: 3, frames.INITIAL_WINDOW_SIZE: 1000})
    client = dial(start_weir(origin.port, upstream={"limits": {"connections": 1}}))
    client.round_trip()
    streams = [client.request(POST, bytes(5000)) for _ in range(6)]
    for stream in streams:
        assert client.until_over(stream).status == 200
    sizes = [len(f.payload) for c in origin.connections for f in c.frames if f.kind == DATA]
    assert max(sizes) <= 1000 and sum(sizes) == 30_000


def test_nothing_of_the_client_s_connection_reaches_the_server(start_weir, start_origin, dial):
    """8.2.2: `te` says trailers or is not there."""
    origin = start_origin()
    client = dial(start_weir(origin.port))
    client.until_over(client.request(changed(GET, put=[("te", "trailers")])))
    client.until_over(client.request(GRPC, bytes(5)))
    for request in origin.requests:
        names = {name for name, _ in request.headers}
        assert not names & {b"connection", b"keep-alive", b"upgrade", b"transfer-encoding"}
        assert dict(request.headers).get(b"te") in (None, b"trailers")
        assert all(name == name.lower() for name in names)
        pseudo = [name for name, _ in request.headers if name.startswith(b":")]
        assert pseudo == [name for name, _ in request.headers][:len(pseudo)]
        assert sorted(pseudo) == [b":authority", b":method", b":path", b":scheme"]
