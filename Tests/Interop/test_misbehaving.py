"""Every fault of a server, one after the other on one proxy: the answer is right and comes at once,
and the next call is served within 100 ms.

The faults of test_origins.py are among them; there each is looked at with limits set low.
"""

import struct
import time

import pytest

import frames
import weir as program
from frames import GET, GRPC, GRPC_RESPONSE, changed
from test_origins import (
    BAD_BODIES, BAD_RESPONSES, END, LATE_FAULTS, OK_HEAD, data, goaway, heads, plain, writes)

OK, UNAVAILABLE, INTERNAL = 0, 14, 13
SOON = 1.0
NEXT = 0.1


def repeated(part, count, before=()):
    return writes(*before, lambda number: b"".join(part(number) for _ in range(count)))


def then(misbehave, end):
    """What it sends, and how the connection ends."""

    def run(connection, number):
        misbehave(connection, number)
        if end == "FIN":
            connection.close()
        else:
            connection.cut()

    return run


def nothing(connection, number):
    pass


def reset(code):
    return writes(lambda n: frames.frame(frames.RST_STREAM, 0, n, struct.pack(">I", code)))


HALF_HEAD = writes(lambda n: heads(OK_HEAD)(n)[:12])
HEAD = writes(heads(OK_HEAD))
HALF_DATA = writes(heads(OK_HEAD), lambda n: data(b"abc" * 100)(n)[:50])
HALF_BODY = writes(heads([*OK_HEAD, ("content-length", "10")]), data(b"abc"))
HUGE = ("x", "v" * 4000)
BOMB = frames.literals(OK_HEAD) + frames.literals([HUGE], indexed=True) + b"\xbe" * 12_000

# Nothing of a response was passed on: 502 or 503, or a gRPC status.
PLAIN_FAULTS = {
    **{name: fault for name, fault in BAD_RESPONSES.items() if name not in LATE_FAULTS},
    **{f"RST_STREAM {code}": reset(code) for code in (1, 2, 3, 5, 8, 9, 11, 13, 99)},
    **{f"{end} {when}": then(fault, end)
       for end in ("FIN", "RST")
       for when, fault in (("before a response", nothing), ("in the head", HALF_HEAD))},
    "GOAWAY of an error, and the end": then(
        lambda c, n: c.send_goaway(n, frames.INTERNAL_ERROR), "FIN"),
    "100 without end": repeated(heads([(":status", "100")]), 2000),
    "too many fields": writes(heads([*OK_HEAD, *[("x", "1")] * 200], END)),
    "too large fields": writes(heads([*OK_HEAD, *[HUGE] * 17], END)),
    "a field of 100 KB": lambda c, n: c.send_headers(n, [*OK_HEAD, ("x", "v" * 100_000)], end=True),
    "an HPACK bomb": writes(lambda n: frames.frame(frames.HEADERS, END, n, BOMB)),
    "CONTINUATION without end": repeated(
        plain(frames.CONTINUATION), 1000, [lambda n: frames.frame(frames.HEADERS, 0, n)]),
    "PING without end": repeated(plain(frames.PING, payload=bytes(8)), 20_000),
    "SETTINGS without end": repeated(plain(frames.SETTINGS), 20_000),
    "many settings in one frame": writes(
        plain(frames.SETTINGS, payload=struct.pack(">HI", 4, 65_535) * 2700)),
    "unknown frames without end": repeated(plain(0xBE), 20_000),
    "WINDOW_UPDATE without end": repeated(
        plain(frames.WINDOW_UPDATE, payload=struct.pack(">I", 1)), 20_000),
    "PRIORITY without end": repeated(
        lambda n: frames.frame(frames.PRIORITY, 0, n, bytes(4) + b"\1"), 20_000),
    "trailers alone, without a status": writes(heads([("grpc-status", "0")], END)),
}

# The head may have been passed on: never a clean end.
LATE = {
    **{name: fault for name, fault in BAD_RESPONSES.items() if name in LATE_FAULTS}, **BAD_BODIES,
    **{f"{end} {when}": then(fault, end)
       for end in ("FIN", "RST")
       for when, fault in (("behind the head", HEAD), ("in DATA", HALF_DATA),
                           ("before the body's end", HALF_BODY))},
    **{f"RST_STREAM {code} in the body": lambda c, n, code=code: (
        HALF_BODY(c, n), reset(code)(c, n)) for code in (0, 2, 7, 8)},
    "empty DATA without end": repeated(data(b""), 20_000, [heads(OK_HEAD)]),
    "DATA of padding without end": repeated(
        lambda n: frames.frame(frames.DATA, frames.PADDED, n, b"\3\0\0\0"), 20_000,
        [heads(OK_HEAD)]),
    "more than the window": repeated(data(bytes(16_384)), 400, [heads(OK_HEAD)]),
    "an HPACK bomb in trailers": writes(
        heads(GRPC_RESPONSE), data(bytes(5)), lambda n: frames.frame(frames.HEADERS, END, n, BOMB)),
}

# Not processed: done again at once, unseen by the client.
UNPROCESSED = {
    "RST_STREAM 7": reset(frames.REFUSED_STREAM),
    "GOAWAY below the stream": goaway(0),
    "GOAWAY below the stream, and FIN": then(lambda c, n: c.send_goaway(0), "FIN"),
    "GOAWAY of an error below the stream": lambda c, n: c.send_goaway(0, frames.INTERNAL_ERROR),
}
FAULTS = {**PLAIN_FAULTS, **LATE, **UNPROCESSED}


def script(connection):
    """Answers; the first time that it sees a fault's name it commits the fault."""
    while (stream := connection.next_finished(60)) is not None:
        name = stream.field("x-fault")
        if name and name not in script.committed:
            script.committed.add(name)
            FAULTS[name.partition("/")[2]](connection, stream.number)
            if connection.closed:
                return
        elif stream.reset is None:
            frames.answer(connection, stream)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    script.committed = set()
    origin = frames.RawOrigin(script)
    config = program.configuration(program.free_port(), [origin.port])
    proxy = program.Weir(tmp_path_factory.mktemp("weir"), config)
    proxy.before = proxy.resident_bytes()
    yield proxy
    proxy.stop()
    origin.stop()


@pytest.fixture
def client(proxy, dial):
    client = dial(proxy)
    # A connection to the server is there.
    assert client.until_over(client.request(GET)).status == 200
    return client


def call(client, fields, limit, body=None):
    begin = time.monotonic()
    stream = client.until_over(client.request(fields, body))
    took = time.monotonic() - begin
    assert took <= limit, f"{took:.3f} s: {stream}"
    return stream


@pytest.mark.parametrize("kind", ["http", "grpc"])
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault(proxy, client, kind, name):
    base, body = (GET, None) if kind == "http" else (GRPC, bytes(5))
    stream = call(client, changed(base, put=[("x-fault", f"{kind}/{name}")]), SOON, body)
    following = call(client, base, NEXT, body)
    good = following.status == 200 if kind == "http" else following.grpc_status == OK
    assert good, following
    if name in UNPROCESSED:
        assert stream.status == 200, stream
    elif kind == "grpc":
        assert stream.ended and stream.grpc_status not in (None, OK), stream
    elif name in PLAIN_FAULTS:
        assert stream.ended and stream.status in (502, 503), stream
    else:
        cut = stream.reset not in (None, frames.NO_ERROR, frames.REFUSED_STREAM)
        assert cut or stream.status == 502, stream


def test_all_of_them_cost_little_memory(proxy):
    assert proxy.resident_bytes() - proxy.before <= 32_000_000


def test_there_are_enough_of_them():
    assert len(FAULTS) >= 70


def half_a_block(connection, stream):
    connection.send_frame(frames.HEADERS, 0, stream.number, frames.literals(OK_HEAD))


def half_a_body(connection, stream):
    connection.send_headers(stream.number, OK_HEAD)
    connection.send_data(stream.number, b"abc")


def half_a_frame(connection, stream):
    connection.send_headers(stream.number, OK_HEAD)
    connection.send(data(b"abc")(stream.number)[:10])


def mute(connection, stream):
    connection.acknowledges = False


SHORT = "300ms"

# Name: what the server does with a request, its SETTINGS, and the timer that ends it: of the
# upstream, or of the route.
SLOW = {
    "never answers": (nothing, {}, None, "timeout"),
    "stops in its answer": (half_a_body, {}, None, "timeout"),
    "stops in its answer, on a route for that": (half_a_body, {}, None, "idle_timeout"),
    "stops in a header block": (half_a_block, {}, "header_block", None),
    "stops in a frame": (half_a_frame, {}, "keepalive", None),
    "answers no PING": (mute, {}, "keepalive", None),
    "grants no window": (nothing, {frames.INITIAL_WINDOW_SIZE: 0}, "stalled_writer", None),
}


@pytest.mark.parametrize("kind", ["http", "grpc"])
@pytest.mark.parametrize("name", SLOW)
def test_slow_servers(start_weir, start_origin, dial, kind, name):
    """Ended by the timer for that, and the next call is served within 100 ms."""
    stop, settings, timer, route = SLOW[name]

    def slow(connection):
        while (stream := connection.next_request(60)) is not None:
            if stream.field("x-slow"):
                stop(connection, stream)
            else:
                connection.until(lambda stream=stream: stream.is_over, timeout=60)
                frames.answer(connection, stream)

    timeouts = {timer: SHORT, "keepalive_ack": SHORT} if timer == "keepalive" else {timer: SHORT}
    proxy = start_weir(
        start_origin(slow, settings=settings).port,
        upstream={"timeouts": timeouts} if timer else {}, route={route: SHORT} if route else {})
    client = dial(proxy)
    base, body = (GET, None) if kind == "http" else (GRPC, bytes(5))
    if name == "grants no window":
        base = changed(base, method="POST")
        body = bytes(5)
    stream = call(client, changed(base, put=[("x-slow", "1")]), SOON, body)
    if kind == "grpc":
        assert stream.grpc_status not in (None, OK), stream
    else:
        cut = stream.reset not in (None, frames.NO_ERROR)
        assert cut or stream.status in (502, 503, 504), stream
    following = call(client, GET, NEXT)
    assert following.status == 200, following
