"""Origins that do wrong, frame by frame: the client gets an honest answer, and Weir goes on."""

import socket
import struct

import pytest

import expect
import frames
import waiting
from frames import GET, GRPC, GRPC_RESPONSE, POST, changed

UNKNOWN, RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE = 2, 8, 13, 14
BAD_GATEWAY = expect.http(502, 503)
BAD_CALL = expect.trailers_only(UNAVAILABLE, INTERNAL, UNKNOWN, RESOURCE_EXHAUSTED)
OK_HEAD = [(":status", "200")]


def silent(connection):
    while connection.receive(60) is not None:
        pass


def first(misbehave, whole=True):
    """A script: the first request meets `misbehave(connection, number)`, later ones are answered.

    `whole` waits for the request's end. What follows holds for all connections of the origin.
    """
    seen = []

    def script(connection):
        if not seen:
            seen.append(True)
            stream = connection.next_finished(60) if whole else connection.next_request(60)
            misbehave(connection, stream.number)
        if not connection.closed:
            frames.answer_all(connection)

    return script


def writes(*parts):
    """Misbehaves by these bytes; `stream` stands for the request's number in them."""

    def misbehave(connection, number):
        for part in parts:
            connection.send(part(number))

    return misbehave


def heads(fields, flags=frames.END_HEADERS):
    return lambda number: frames.frame(frames.HEADERS, flags, number, frames.literals(fields))


def data(payload, flags=0):
    return lambda number: frames.frame(frames.DATA, flags, number, payload)


def plain(kind, flags=0, payload=b"", stream=0):
    return lambda number: frames.frame(kind, flags, stream, payload)


END = frames.END_HEADERS | frames.END_STREAM

# Responses that are malformed before anything of them can be passed on.
BAD_RESPONSES = {
    "no status": writes(heads([("x", "1")], END)),
    "two statuses": writes(heads([*OK_HEAD, *OK_HEAD], END)),
    "status of letters": writes(heads([(":status", "abc")], END)),
    "status of two digits": writes(heads([(":status", "99")], END)),
    "status of four digits": writes(heads([(":status", "1000")], END)),
    "empty status": writes(heads([(":status", "")], END)),
    "a request's pseudo field": writes(heads([*OK_HEAD, (":path", "/")], END)),
    "an unknown pseudo field": writes(heads([*OK_HEAD, (":x", "/")], END)),
    "a late status": writes(heads([("x", "1"), *OK_HEAD], END)),
    "connection": writes(heads([*OK_HEAD, ("connection", "close")], END)),
    "transfer-encoding": writes(heads([*OK_HEAD, ("transfer-encoding", "chunked")], END)),
    "upgrade": writes(heads([*OK_HEAD, ("upgrade", "h2c")], END)),
    "upper case": writes(heads([*OK_HEAD, ("X", "1")], END)),
    "NUL in a value": writes(heads([*OK_HEAD, ("x", b"a\0b")], END)),
    "CRLF in a value": writes(heads([*OK_HEAD, ("x", "a\r\nset-cookie: b")], END)),
    "DATA first": writes(data(b"abc", 1)),
    "content-length of letters": writes(heads([*OK_HEAD, ("content-length", "x")], END)),
    "two content-lengths": writes(
        heads([*OK_HEAD, ("content-length", "0"), ("content-length", "0")], END)),
    "content-length without a body": writes(heads([*OK_HEAD, ("content-length", "5")], END)),
    "101": writes(heads([(":status", "101")])),
    "103 that ends the stream": writes(heads([(":status", "103")], END)),
    "100 that ends the stream": writes(heads([(":status", "100")], END)),
    "HTTP/1": writes(lambda n: b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" + bytes(20)),
    "garbage": writes(lambda n: bytes(range(255, 0, -1)) * 10),
    "PUSH_PROMISE": writes(
        lambda n: frames.frame(frames.PUSH_PROMISE, 4, n, b"\0\0\0\2" + frames.literals(GET))),
    "window overflow": writes(plain(frames.WINDOW_UPDATE, payload=b"\x7f\xff\xff\xff")),
    "stream window overflow": writes(
        lambda n: frames.frame(frames.WINDOW_UPDATE, 0, n, b"\x7f\xff\xff\xff")),
    "WINDOW_UPDATE of zero": writes(plain(frames.WINDOW_UPDATE, payload=bytes(4))),
    "an even stream": writes(lambda n: heads(OK_HEAD, END)(2)),
    "an idle stream": writes(lambda n: heads(OK_HEAD, END)(n + 2)),
    "an index outside HPACK's tables": writes(
        lambda n: frames.frame(frames.HEADERS, END, n, b"\xff\xff\x03")),
    "frame beyond the size announced": writes(
        heads(OK_HEAD), lambda n: b"\xff\xff\xff" + frames.frame(frames.DATA, 1, n)[3:]),
    "CONTINUATION alone": writes(
        lambda n: frames.frame(frames.CONTINUATION, 4, n, frames.literals(OK_HEAD))),
    "SETTINGS of odd size": writes(plain(frames.SETTINGS, payload=b"abc")),
    "SETTINGS with push": writes(plain(frames.SETTINGS, payload=struct.pack(">HI", 2, 1))),
    "PING of seven bytes": writes(plain(frames.PING, payload=bytes(7))),
}
# Of these the head is good, and may have been passed on.
LATE_FAULTS = {"frame beyond the size announced"}


@pytest.mark.parametrize("name", BAD_RESPONSES)
def test_a_bad_response_is_a_bad_gateway(start_weir, start_origin, dial, name):
    client = dial(start_weir(start_origin(first(BAD_RESPONSES[name])).port))
    stream = client.until_over(client.request(GET))
    if name in LATE_FAULTS:
        assert stream.status == 502 or stream.reset not in (None, frames.NO_ERROR), stream
    else:
        BAD_GATEWAY(client, stream)
    assert client.until_over(client.request(GET)).status == 200


@pytest.mark.parametrize("name", BAD_RESPONSES)
def test_a_bad_response_fails_a_call(start_weir, start_origin, dial, name):
    client = dial(start_weir(start_origin(first(BAD_RESPONSES[name])).port))
    stream = client.until_over(client.request(GRPC, bytes(5)))
    if name in LATE_FAULTS:
        assert stream.grpc_status in (INTERNAL, UNAVAILABLE, UNKNOWN), stream
    else:
        BAD_CALL(client, stream)
    assert client.until_over(client.request(GRPC, bytes(5))).grpc_status == 0


# Responses that turn out wrong after their head was passed on.
BAD_BODIES = {
    "less than content-length": writes(
        heads([*OK_HEAD, ("content-length", "10")]), data(b"12345", 1)),
    "more than content-length": writes(
        heads([*OK_HEAD, ("content-length", "3")]), data(b"12345", 1)),
    "trailers that do not end": writes(heads(OK_HEAD), data(b"abc"), heads([("x", "1")])),
    "pseudo field in trailers": writes(heads(OK_HEAD), data(b"abc"), heads([(":status", "200")], END)),
    "NUL in trailers": writes(heads(OK_HEAD), data(b"abc"), heads([("x", b"\0")], END)),
    "DATA of a stream 0": writes(heads(OK_HEAD), data(b"abc"), plain(frames.DATA, payload=b"a")),
}


@pytest.mark.parametrize("misbehave", BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_bad_body_never_ends_well(start_weir, start_origin, dial, misbehave):
    client = dial(start_weir(start_origin(first(misbehave)).port))
    stream = client.until_over(client.request(GET))
    assert stream.status == 502 or stream.reset not in (None, frames.NO_ERROR), stream
    assert client.until_over(client.request(GET)).status == 200


@pytest.mark.parametrize("status", ["204", "304"])
def test_a_body_where_none_may_be(start_weir, start_origin, dial, status):
    misbehave = writes(heads([(":status", status)]), data(b"abc", 1))
    client = dial(start_weir(start_origin(first(misbehave)).port))
    stream = client.until_over(client.request(GET))
    assert stream.body == b"", stream
    assert client.until_over(client.request(GET)).status == 200


def test_a_body_after_head(start_weir, start_origin, dial):
    misbehave = writes(heads(OK_HEAD), data(b"abc", 1))
    client = dial(start_weir(start_origin(first(misbehave)).port))
    stream = client.until_over(client.request(changed(GET, method="HEAD")))
    assert stream.body == b"", stream
    assert client.until_over(client.request(GET)).status == 200


def trips(proxy, *names):
    waiting.until(
        lambda: any(proxy.limit_lines(name) for name in names),
        lambda: f"limit={' or '.join(names)} in the log; it has\n{proxy.log}")


@pytest.mark.parametrize("fields, check", [(GET, BAD_GATEWAY), (GRPC, BAD_CALL)],
                         ids=["plain", "grpc"])
@pytest.mark.parametrize(
    "limits, misbehave, name",
    [({"interim_responses": 5}, writes(*[heads([(":status", "103")])] * 50),
      "upstream.interim_responses"),
     ({"header_list": "4KiB"}, writes(heads([*OK_HEAD, ("x", "v" * 5000)], END)),
      "upstream.header_list"),
     ({"header_fields": 20}, writes(heads([*OK_HEAD, *[("x", "1")] * 30], END)),
      "upstream.header_fields"),
     ({}, writes(lambda n: frames.frame(
         frames.HEADERS, END, n, frames.literals(OK_HEAD)
         + frames.literals([("x", "v" * 4000)], indexed=True) + b"\xbe" * 12_000)),
      "upstream.header_list")],
    ids=["1xx flood", "header list", "header fields", "HPACK bomb"])
def test_an_upstream_limit(start_weir, start_origin, dial, fields, check, limits, misbehave, name):
    proxy = start_weir(start_origin(first(misbehave)).port, upstream={"limits": limits})
    client = dial(proxy)
    stream = client.until_over(client.request(fields, None if fields is GET else bytes(5)))
    check(client, stream)
    # One name serves bytes and fields.
    trips(proxy, name, "upstream.header_list")
    assert client.until_over(client.request(GET)).status == 200


def test_too_much_trailer(start_weir, start_origin, dial):
    misbehave = writes(
        heads(GRPC_RESPONSE), data(bytes(5)),
        heads([("grpc-status", "0"), ("x", "v" * 2000)], END))
    proxy = start_weir(start_origin(first(misbehave)).port, upstream={"limits": {"trailer": "1KiB"}})
    client = dial(proxy)
    stream = client.until_over(client.request(GRPC, bytes(5)))
    assert stream.grpc_status not in (0, None) or stream.reset is not None, stream
    trips(proxy, "upstream.trailers", "upstream.trailer")


def flood(part, before=()):
    def misbehave(connection, number):
        for one in before:
            connection.send(one(number))
        for _ in range(200):
            connection.send(part(number) * 10)
            if connection.closed:
                return

    return misbehave


FLOODS = {
    "pings": flood(plain(frames.PING, payload=bytes(8))),
    "settings": flood(plain(frames.SETTINGS)),
    "empty_data": flood(data(b""), [heads(OK_HEAD)]),
    "frames_without_response": flood(plain(0xBE)),
}


@pytest.mark.parametrize("name", FLOODS)
def test_an_upstream_that_floods(start_weir, start_origin, dial, name):
    origin = start_origin(first(FLOODS[name]))
    proxy = start_weir(origin.port, upstream={"limits": {name: 10}})
    client = dial(proxy)
    stream = client.until_over(client.request(GET))
    assert stream.status != 200 or stream.reset is not None, stream
    # The names of a listener's limits serve for both sides.
    trips(proxy, "upstream." + name, name, "frames_without_request")
    assert client.until_over(client.request(GET)).status == 200


def test_an_upstream_that_resets_without_end(start_weir, start_origin, dial):
    def script(connection):
        while (stream := connection.next_finished(60)) is not None:
            connection.send_reset(stream.number, frames.INTERNAL_ERROR)

    origin = start_origin(script)
    proxy = start_weir(origin.port, upstream={"limits": {"resets": 10}})
    client = dial(proxy)
    for _ in range(30):
        BAD_GATEWAY(client, client.until_over(client.request(GET)))
    trips(proxy, "upstream.resets", "resets")
    assert len(origin.connections) > 1


@pytest.mark.parametrize("code", [frames.REFUSED_STREAM])
def test_a_refused_stream_is_tried_again_or_unavailable(start_weir, start_origin, dial, code):
    misbehave = writes(lambda n: frames.frame(frames.RST_STREAM, 0, n, struct.pack(">I", code)))
    client = dial(start_weir(start_origin(first(misbehave)).port))
    stream = client.until_over(client.request(GRPC, bytes(5)))
    assert stream.grpc_status in (0, UNAVAILABLE), stream


def goaway(last, then=None):
    def misbehave(connection, number):
        connection.send_goaway(number if last == "this" else last)
        if then:
            then(connection, number)
        silent(connection)

    return misbehave


def test_goaway_below_the_stream_means_not_processed(start_weir, start_origin, dial):
    origin = start_origin(first(goaway(0)))
    client = dial(start_weir(origin.port))
    stream = client.until_over(client.request(GRPC, bytes(5)))
    assert stream.grpc_status in (0, UNAVAILABLE), stream
    assert client.until_over(client.request(GRPC, bytes(5))).grpc_status == 0
    assert len(origin.connections) == 2


@pytest.mark.parametrize("last", ["this", frames.MAX_WINDOW])
def test_goaway_lets_the_stream_end(start_weir, start_origin, dial, last):
    def finish(connection, number):
        connection.round_trip()
        frames.answer(connection, connection.streams[number])

    origin = start_origin(first(goaway(last, finish)))
    client = dial(start_weir(origin.port))
    assert client.until_over(client.request(GRPC, bytes(5))).grpc_status == 0
    assert client.until_over(client.request(GRPC, bytes(5))).grpc_status == 0
    assert len(origin.connections) == 2


def test_goaway_on_connect_is_never_seen_by_clients(start_weir, start_origin, dial):
    """Every other connection goes away at once, before any request of it was processed."""
    count = []

    def script(connection):
        count.append(1)
        if len(count) % 2:
            connection.send_goaway(0)
            silent(connection)
        else:
            frames.answer_all(connection)

    client = dial(start_weir(start_origin(script).port))
    for _ in range(5):
        stream = client.until_over(client.request(GRPC, bytes(5)))
        assert stream.grpc_status in (0, UNAVAILABLE), stream
    assert stream.grpc_status == 0


def test_an_origin_without_settings(start_weir, start_origin, dial):
    origin = start_origin(silent, settings=None, acknowledges=False)
    proxy = start_weir(origin.port, upstream={"timeouts": {"settings": "400ms"}})
    client = dial(proxy)
    stream = client.until_over(client.request(GRPC, bytes(5)))
    expect.trailers_only(UNAVAILABLE)(client, stream)
    trips(proxy, "upstream.settings")


def test_an_origin_that_does_not_accept(start_weir, dial):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        held = []
        for _ in range(2):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
            held.append(sock)
        proxy = start_weir(port, upstream={"timeouts": {"connect": "400ms"}})
        client = dial(proxy)
        stream = client.until_over(client.request(GRPC, bytes(5)))
        expect.trailers_only(UNAVAILABLE)(client, stream)
        trips(proxy, "upstream.connect")
        for sock in held:
            sock.close()


def test_an_origin_that_answers_no_ping(start_weir, start_origin, dial):
    origin = start_origin(silent, acknowledges=False)
    proxy = start_weir(origin.port, upstream={
        "timeouts": {"keepalive": "300ms", "keepalive_ack": "300ms"}})
    client = dial(proxy)
    stream = client.until_over(client.request(GRPC, bytes(5)))
    expect.trailers_only(UNAVAILABLE)(client, stream)
    trips(proxy, "upstream.keepalive_ack")


def test_an_origin_that_grants_no_window(start_weir, start_origin, dial):
    origin = start_origin(silent, settings={frames.INITIAL_WINDOW_SIZE: 0})
    proxy = start_weir(origin.port, upstream={"timeouts": {"stalled_writer": "400ms"}})
    client = dial(proxy)
    stream = client.request(GRPC, bytes(5))
    client.until(lambda: stream.is_over)
    BAD_CALL(client, stream)
    trips(proxy, "upstream.stalled_writer", "stalled_writer")
    waiting.until(lambda: origin.requests[0].reset is not None, "the reset at the origin")


def test_an_origin_of_one_stream_at_a_time(start_weir, start_origin, dial):
    origin = start_origin(settings={frames.MAX_CONCURRENT_STREAMS: 1})
    client = dial(start_weir(origin.port))
    streams = [client.request(GRPC, bytes(5)) for _ in range(20)]
    for stream in streams:
        assert client.until_over(stream).grpc_status == 0


def test_an_origin_that_allows_no_stream(start_weir, start_origin, dial):
    origin = start_origin(settings={frames.MAX_CONCURRENT_STREAMS: 0})
    client = dial(start_weir(origin.port))
    stream = client.until_over(
        client.request(changed(GRPC, put=[("grpc-timeout", "500m")]), bytes(5)))
    expect.trailers_only(4, UNAVAILABLE)(client, stream)
    assert len(origin.connections) < 20


def test_requests_beyond_the_limit_of_an_upstream(start_weir, start_origin, dial):
    origin = start_origin(silent)
    proxy = start_weir(origin.port, upstream={"limits": {"requests": 2}})
    client = dial(proxy)
    held = [client.request(GRPC, bytes(5), end=False) for _ in range(2)]
    origin.wait_for_requests(2)
    stream = client.until_over(client.request(GRPC, bytes(5)))
    expect.trailers_only(UNAVAILABLE, RESOURCE_EXHAUSTED)(client, stream)
    trips(proxy, "upstream.requests")
    assert not any(s.is_over for s in held)


def test_requests_that_wait_count_too(start_weir, start_origin, dial):
    """All at once, before the first connection is there."""
    origin = start_origin(silent)
    client = dial(start_weir(origin.port, upstream={"limits": {"requests": 2}}))
    streams = [client.request(GRPC, bytes(5), end=False) for _ in range(10)]
    client.until(lambda: sum(s.is_over for s in streams) == 8)
    client.round_trip()
    assert len(origin.requests) <= 2


def test_requests_beyond_the_pending_of_an_upstream(start_weir, start_origin, dial):
    origin = start_origin(silent, settings={frames.MAX_CONCURRENT_STREAMS: 1})
    proxy = start_weir(
        origin.port, upstream={"limits": {"connections": 1, "pending": 1}})
    client = dial(proxy)
    held = client.request(GRPC, bytes(5), end=False)
    origin.wait_for_requests()
    streams = [client.request(GRPC, bytes(5)) for _ in range(5)]
    client.until(lambda: sum(s.is_over for s in streams) == 4)
    for stream in streams:
        if stream.is_over:
            expect.trailers_only(UNAVAILABLE, RESOURCE_EXHAUSTED)(client, stream)
    trips(proxy, "upstream.pending", "upstream.connections")
    assert not held.is_over and len(origin.connections) == 1


def test_an_answer_byte_by_byte(start_weir, start_origin, dial):
    def misbehave(connection, number):
        connection.send_bytewise(
            frames.frame(frames.HEADERS, 0, number, frames.literals(GRPC_RESPONSE[:1]))
            + frames.frame(frames.CONTINUATION, 4, number, frames.literals(GRPC_RESPONSE[1:]))
            + data(bytes(5))(number) + heads([("grpc-status", "0"), ("x", "y" * 100)], END)(number))

    client = dial(start_weir(start_origin(first(misbehave)).port))
    stream = client.until_over(client.request(GRPC, bytes(5)))
    assert (stream.grpc_status, stream.body) == (0, bytes(5))
    assert stream.trailer("x") == "y" * 100


def test_answers_that_come_in_one_piece_stay_apart(start_weir, start_origin, dial):
    """Heads, bodies and trailers of many streams in one write, before any was passed on."""
    count = 90

    def script(connection):
        streams = [connection.next_finished(60) for _ in range(count)]
        out = b""
        for stream in streams:
            mark = stream.field("x-mark")
            out += heads([*GRPC_RESPONSE, ("x-mark", mark)])(stream.number)
            out += data(mark.encode())(stream.number)
            out += heads([("grpc-status", "0"), ("x-end", mark)], END)(stream.number)
        connection.send(out)
        silent(connection)

    client = dial(start_weir(start_origin(script).port))
    marks = [f"mark-{i}-" + "m" * (i * 7 % 300) for i in range(count)]
    streams = [
        client.request(changed(GRPC, put=[("x-mark", mark)]), bytes(5)) for mark in marks]
    for stream, mark in zip(streams, marks):
        client.until_over(stream)
        assert stream.field("x-mark") == mark
        assert stream.body == mark.encode()
        assert stream.trailer("x-end") == mark


def test_a_slow_reader_slows_its_origin_down(start_weir, start_origin, dial):
    """Of a body that the client does not take, Weir pulls no more than the windows it grants."""

    def script(connection):
        stream = connection.next_request(60)
        connection.send_headers(stream.number, OK_HEAD)
        connection.queue(stream.number, bytes(64 << 20))
        silent(connection)

    origin = start_origin(script)
    client = dial(start_weir(origin.port), grants=False)
    stream = client.request(GET)
    client.until(lambda: len(stream.body) == frames.DEFAULT_WINDOW)
    pulled = waiting.until_quiet(lambda: origin.connections[0].data_sent)
    assert pulled <= frames.DEFAULT_WINDOW + (256 << 10) + (64 << 10)


def test_an_unused_post_keeps_nothing(start_weir, start_origin, dial):
    """A client that leaves in the middle of an upload leaves nothing behind at the origin."""
    origin = start_origin(silent)
    client = dial(start_weir(origin.port))
    for _ in range(20):
        stream = client.request(POST, bytes(100), end=False)
        client.send_reset(stream.number)
    client.round_trip()
    waiting.until(
        lambda: all(s.reset == frames.CANCEL for s in origin.requests), "resets at the origin")
