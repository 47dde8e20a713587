"""`grpc-timeout` and routes' timeouts: armed at HEADERS, passed on reduced, ended at both ends."""

import socket
import time

import pytest

import expect
import frames
import waiting
from frames import GET, GRPC, GRPC_RESPONSE, changed

CANCELLED, DEADLINE_EXCEEDED, INTERNAL = 1, 4, 13
SECONDS = {"H": 3600, "M": 60, "S": 1, "m": 1e-3, "u": 1e-6, "n": 1e-9}


def with_timeout(text):
    return changed(GRPC, put=[("grpc-timeout", text)])


def silent(connection):
    """A script: reads and never answers."""
    while connection.receive(60) is not None:
        pass


def seconds(stream):
    """The timeout that the origin got, or None."""
    text = stream.field("grpc-timeout")
    if text is None:
        return None
    assert 1 <= len(text[:-1]) <= 8 and text[:-1].isdigit(), text
    return int(text[:-1]) * SECONDS[text[-1]]


@pytest.mark.parametrize(
    "text", ["", "1", "S", "1x", "1s", "123456789S", "-1S", "+1S", "1.5S", "1 S", "1SS", "0x1S",
             "1S,2S", "\u0661S"])
def test_a_malformed_timeout_is_refused(start_weir, start_origin, dial, text):
    origin = start_origin()
    client = dial(start_weir(origin.port))
    stream = client.until_over(client.request(with_timeout(text), bytes(5)))
    expect.trailers_only(INTERNAL)(client, stream)
    assert origin.requests == []


def test_two_timeouts_are_refused(start_weir, start_origin, dial):
    origin = start_origin()
    client = dial(start_weir(origin.port))
    fields = [*with_timeout("1S"), ("grpc-timeout", "2S")]
    stream = client.until_over(client.request(fields, bytes(5)))
    expect.any_of(expect.trailers_only(INTERNAL), expect.malformed)(client, stream)
    assert origin.requests == []


@pytest.mark.parametrize("text", ["0S", "0n", "00000000H", "1n"])
def test_no_time_at_all_is_over_at_once(start_weir, start_origin, dial, text):
    origin = start_origin()
    client = dial(start_weir(origin.port))
    stream = client.until_over(client.request(with_timeout(text), bytes(5)))
    expect.trailers_only(DEADLINE_EXCEEDED)(client, stream)
    assert origin.requests == [] or text == "1n"


@pytest.mark.parametrize(
    "text", ["1H", "2M", "30S", "30000m", "30000000u", "99999999H", "99999999u", "00000030S"])
def test_what_is_left_is_passed_on(start_weir, start_origin, dial, text):
    origin = start_origin()
    client = dial(start_weir(origin.port))
    assert client.until_over(client.request(with_timeout(text), bytes(5))).grpc_status == 0
    # 64 bits of nanoseconds, 292 years, are as good as for ever.
    asked = min(int(text[:-1]) * SECONDS[text[-1]], 2**63 / 1e9)
    # Rounded down to what eight digits can say: by less than a thousandth.
    assert asked * 0.999 - 2 < seconds(origin.requests[0]) <= asked


def test_no_timeout_stays_none(start_weir, start_origin, dial):
    origin = start_origin()
    client = dial(start_weir(origin.port))
    assert client.until_over(client.request(GRPC, bytes(5))).grpc_status == 0
    assert seconds(origin.requests[0]) is None


@pytest.mark.parametrize(
    "text, route, low, high",
    [("30S", "10s", 8, 10), ("10S", "30s", 8, 10), (None, "10s", 8, 10)],
    ids=["route shorter", "caller shorter", "route alone"])
def test_the_shorter_timeout_is_passed_on(start_weir, start_origin, dial, text, route, low, high):
    origin = start_origin()
    client = dial(start_weir(origin.port, route={"timeout": route}))
    fields = with_timeout(text) if text else GRPC
    assert client.until_over(client.request(fields, bytes(5))).grpc_status == 0
    assert low < seconds(origin.requests[0]) <= high


@pytest.mark.parametrize("still_sends", [False, True], ids=["half-closed", "still sending"])
@pytest.mark.parametrize("by", ["caller", "route"])
def test_a_deadline_before_headers(start_weir, start_origin, dial, by, still_sends):
    origin = start_origin(silent)
    client = dial(start_weir(origin.port, route={"timeout": "300ms"} if by == "route" else {}))
    begin = time.monotonic()
    fields = with_timeout("300m") if by == "caller" else GRPC
    stream = client.request(fields, bytes(5), end=not still_sends)
    client.until(lambda: stream.ended)
    assert 0.25 < time.monotonic() - begin < 1.5
    expect.trailers_only(DEADLINE_EXCEEDED)(client, stream)
    if still_sends:
        client.until(lambda: stream.reset == frames.NO_ERROR, "RST_STREAM after the answer")
    seen = origin.wait_for_requests()[0]
    waiting.until(lambda: seen.reset is not None, "the reset at the origin")
    assert seen.reset == frames.CANCEL


def test_a_deadline_after_headers(start_weir, start_origin, dial):
    def script(connection):
        stream = connection.next_request(60)
        connection.send_headers(stream.number, GRPC_RESPONSE)
        connection.send_data(stream.number, bytes(5))
        silent(connection)

    origin = start_origin(script)
    client = dial(start_weir(origin.port))
    stream = client.until_over(client.request(with_timeout("300m"), bytes(5)))
    assert stream.body == bytes(5)
    by_trailers = stream.ended and stream.trailer("grpc-status") == str(DEADLINE_EXCEEDED)
    assert by_trailers or stream.reset == frames.CANCEL, stream
    waiting.until(lambda: origin.requests[0].reset == frames.CANCEL, "the reset at the origin")


@pytest.mark.parametrize("body", [b"", bytes(5)], ids=["nothing", "a body"])
def test_a_server_s_reset_waits_for_no_window_after_the_deadline(
        start_weir, start_origin, dial, body):
    """The client takes no DATA: trailers need no window where nothing is before them, and at the
    deadline they go without what is."""
    def script(connection):
        stream = connection.next_request(60)
        connection.send_headers(stream.number, GRPC_RESPONSE)
        if body:
            connection.send_data(stream.number, body)
        connection.round_trip()
        connection.send_reset(stream.number)
        silent(connection)

    settings = {frames.INITIAL_WINDOW_SIZE: 0}
    client = dial(start_weir(start_origin(script).port), settings=settings, grants=False)
    begin = time.monotonic()
    stream = client.until_over(client.request(with_timeout("500m"), bytes(5)))
    assert (time.monotonic() - begin < 0.4) == (body == b"")
    assert stream.ended and stream.reset is None, stream
    assert stream.trailer("grpc-status") in (str(CANCELLED), str(DEADLINE_EXCEEDED)), stream


def test_a_deadline_holds_while_bytes_flow(start_weir, start_origin, dial):
    origin = start_origin(silent)
    client = dial(start_weir(origin.port))
    begin = time.monotonic()
    stream = client.request(with_timeout("400m"), bytes(5), end=False)
    while not stream.is_over and time.monotonic() - begin < 5:
        client.send_data(stream.number, bytes(100))
        client.round_trip()
        client.poll(0.02)
    expect.trailers_only(DEADLINE_EXCEEDED)(client, stream)
    assert time.monotonic() - begin < 2


def test_a_deadline_holds_while_no_server_can_be_reached(start_weir, dial):
    """A pending request has its deadline too: the connection is accepted and says nothing."""

    with socket.create_server(("127.0.0.1", 0)) as mute:
        client = dial(start_weir(mute.getsockname()[1]))
        stream = client.until_over(client.request(with_timeout("300m"), bytes(5)), timeout=3)
        expect.trailers_only(DEADLINE_EXCEEDED)(client, stream)


def test_a_plain_request_times_out_as_504(start_weir, start_origin, dial):
    origin = start_origin(silent)
    client = dial(start_weir(origin.port, route={"timeout": "300ms"}))
    expect.http(504)(client, client.until_over(client.request(GET)))
    waiting.until(lambda: origin.requests[0].reset == frames.CANCEL, "the reset at the origin")


def test_a_plain_request_times_out_after_headers_as_a_reset(start_weir, start_origin, dial):
    def script(connection):
        stream = connection.next_request(60)
        connection.send_headers(stream.number, [(":status", "200")])
        silent(connection)

    client = dial(start_weir(start_origin(script).port, route={"timeout": "300ms"}))
    stream = client.until_over(client.request(GET))
    assert not stream.ended and stream.reset not in (None, frames.NO_ERROR)


def test_a_route_s_idle_timeout_ends_what_is_quiet(start_weir, start_origin, dial):
    origin = start_origin(silent)
    proxy = start_weir(origin.port, route={"idle_timeout": "300ms"})
    client = dial(proxy)
    stream = client.until_over(client.request(GRPC, bytes(5), end=False))
    assert stream.grpc_status not in (None, 0) or stream.reset == frames.CANCEL, stream
    proxy.wait_for_limit("idle_timeout")


def test_a_route_s_idle_timeout_spares_what_moves(start_weir, start_origin, dial):
    origin = start_origin(silent)
    client = dial(start_weir(origin.port, route={"idle_timeout": "500ms"}))
    stream = client.request(GRPC, bytes(5), end=False)
    for _ in range(10):
        client.poll(0.1)
        client.send_data(stream.number, bytes(5))
    assert not stream.is_over
