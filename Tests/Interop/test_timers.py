"""Every timer of a listener, set short: what ends, how, and that the log names it once."""

import signal
import struct
import time

import pytest

import frames
import waiting
from frames import GET, GRPC, POST

SHORT = "400ms"


@pytest.fixture
def timed(start_weir, start_origin):
    """A proxy whose listener has these timeouts: `timed(idle="300ms")`."""

    def start(script=frames.answer_all, **timeouts):
        return start_weir(start_origin(script).port, listener={"timeouts": timeouts})

    return start


def silent(connection):
    while connection.receive(60) is not None:
        pass


def ends_in_time(client, begin, low=0.3, high=2.0):
    """Closed about when the timer says; the code of GOAWAY, or None."""
    code = client.until_closed()
    assert low < time.monotonic() - begin < high
    return code


def trips_once(proxy, name):
    proxy.wait_for_limit(name)
    assert len(proxy.limit_lines(name)) == 1, proxy.log


def drip(client, data, seconds=0.05):
    """A byte at a time until the peer closed; true if it did."""
    for index in range(len(data)):
        client.send(data[index:index + 1])
        client.poll(seconds)
        if client.closed:
            return True
    return False


def test_a_silent_client(timed, dial):
    proxy = timed(preface=SHORT)
    begin = time.monotonic()
    ends_in_time(dial(proxy, preface=False, acknowledges=False), begin)
    trips_once(proxy, "preface")


def test_a_preface_byte_by_byte(timed, dial):
    proxy = timed(preface=SHORT)
    client = dial(proxy, preface=False, acknowledges=False)
    assert drip(client, frames.PREFACE + frames.frame(frames.SETTINGS))
    trips_once(proxy, "preface")


def test_a_preface_without_settings(timed, dial):
    proxy = timed(preface=SHORT)
    client = dial(proxy, preface=False, acknowledges=False)
    begin = time.monotonic()
    client.send(frames.PREFACE)
    ends_in_time(client, begin)


def test_settings_that_are_not_acknowledged(timed, dial):
    proxy = timed(settings_ack=SHORT)
    begin = time.monotonic()
    client = dial(proxy, acknowledges=False)
    assert ends_in_time(client, begin) == frames.SETTINGS_TIMEOUT
    trips_once(proxy, "settings_ack")


SLOW_HEADERS = {
    "announced only": frames.frame(frames.HEADERS, 5, 1, frames.literals(GET))[:9],
    "byte by byte": frames.frame(frames.HEADERS, 5, 1, frames.literals(GET)),
    "without END_HEADERS": frames.frame(frames.HEADERS, 1, 1, frames.literals(GET)),
    "CONTINUATION by CONTINUATION": frames.frame(frames.HEADERS, 1, 1, frames.literals(GET))
    + frames.frame(frames.CONTINUATION, 0, 1, b"\0\1x\1y") * 20,
}


@pytest.mark.parametrize("data", SLOW_HEADERS.values(), ids=SLOW_HEADERS)
def test_slow_headers(timed, dial, data):
    proxy = timed(header_block=SHORT)
    client = dial(proxy)
    client.round_trip()
    begin = time.monotonic()
    if not drip(client, data, 0.04):
        client.until_closed()
    assert time.monotonic() - begin < 2.5
    trips_once(proxy, "header_block")


def test_a_header_block_that_was_refused_has_ended(timed, dial):
    """Its stream is reset, and nothing is awaited of it any more."""
    proxy = timed(header_block="300ms")
    client = dial(proxy)
    client.round_trip()
    client.until_over(client.request(frames.changed(GET, put=[("connection", "close")])))
    client.poll(0.6)
    assert client.until_over(client.request(GET)).status == 200
    assert not client.goaways and not proxy.limit_lines("header_block")


def test_slow_trailers(timed, dial):
    proxy = timed(silent, header_block=SHORT)
    client = dial(proxy)
    stream = client.request(GRPC, bytes(5), end=False)
    client.round_trip()
    client.send_frame(frames.HEADERS, frames.END_STREAM, stream.number, b"")
    client.until_closed()
    trips_once(proxy, "header_block")


def test_a_body_that_stops(timed, dial):
    proxy = timed(silent, body_idle=SHORT)
    client = dial(proxy)
    begin = time.monotonic()
    stream = client.request(POST, b"abc", end=False)
    client.until(lambda: stream.is_over)
    assert 0.3 < time.monotonic() - begin < 2
    assert stream.status == 408 or stream.reset not in (None, frames.NO_ERROR), stream
    trips_once(proxy, "body_idle")
    client.round_trip()


def test_a_body_that_goes_on(timed, dial):
    proxy = timed(body_idle=SHORT)
    client = dial(proxy)
    stream = client.request(POST, b"abc", end=False)
    for _ in range(10):
        client.poll(0.1)
        client.send_data(stream.number, b"abc")
    client.send_data(stream.number, b"", end=True)
    assert client.until_over(stream).status == 200


def test_a_slow_answer_is_not_an_idle_body(timed, dial):
    def script(connection):
        stream = connection.next_finished(60)
        connection.poll(1)
        frames.answer(connection, stream)
        silent(connection)

    client = dial(timed(script, body_idle=SHORT))
    assert client.until_over(client.request(POST, b"abc")).status == 200


def test_a_quiet_grpc_stream_is_honest(timed, dial):
    proxy = timed(body_idle="300ms", idle="300ms", header_block="300ms", settings_ack="300ms",
                  stalled_writer="300ms", unread_output="300ms")
    client = dial(proxy)
    stream = client.request(GRPC, bytes(5), end=False)
    client.poll(1.5)
    assert not stream.is_over and not client.goaways and not client.closed
    client.send_data(stream.number, b"", end=True)
    assert client.until_over(stream).grpc_status == 0


@pytest.mark.parametrize("fields", [GET, GRPC], ids=["plain", "grpc"])
def test_a_client_that_grants_no_window(timed, dial, fields):
    proxy = timed(stalled_writer=SHORT)
    client = dial(proxy, settings={frames.INITIAL_WINDOW_SIZE: 0})
    begin = time.monotonic()
    stream = client.request(fields, None if fields is GET else bytes(5))
    client.until(lambda: stream.reset is not None)
    assert 0.3 < time.monotonic() - begin < 2.5
    assert stream.reset == frames.CANCEL
    trips_once(proxy, "stalled_writer")
    client.round_trip()


def test_a_client_that_grants_a_byte_at_a_time_is_slow_but_alive(timed, dial):
    client = dial(timed(stalled_writer=SHORT), settings={frames.INITIAL_WINDOW_SIZE: 0})
    stream = client.request(GET)
    for _ in range(5):
        client.poll(0.2)
        client.send_window(stream.number, 1)
    assert client.until_over(stream).body == b"hello" and stream.reset is None


@pytest.mark.parametrize("pings", [False, True], ids=["quiet", "with PING"])
def test_a_connection_without_streams(timed, dial, pings):
    proxy = timed(idle="500ms")
    client = dial(proxy)
    client.until_over(client.request(GET))
    begin = time.monotonic()
    while pings and not client.closed and time.monotonic() - begin < 3:
        client.send_ping()
        client.poll(0.1)
    assert ends_in_time(client, begin) in (frames.NO_ERROR, None)
    trips_once(proxy, "idle")


def test_a_connection_s_age(timed, dial):
    proxy = timed(silent, connection_age="600ms")
    client = dial(proxy)
    begin = time.monotonic()
    stream = client.request(GRPC, bytes(5), end=False)
    client.until(lambda: client.goaways)
    assert 0.45 < time.monotonic() - begin < 1.5
    assert client.goaways[0][1] == frames.NO_ERROR
    client.poll(1.5)
    assert not stream.is_over and not client.closed, "its streams may go on for ever"


def test_a_connection_s_age_with_grace(timed, dial):
    proxy = timed(silent, connection_age="400ms", connection_age_grace="400ms")
    client = dial(proxy)
    begin = time.monotonic()
    client.request(GRPC, bytes(5), end=False)
    assert ends_in_time(client, begin, low=0.6, high=4) == frames.NO_ERROR
    waiting.until(
        lambda: proxy.limit_lines("connection_age") or proxy.limit_lines("connection_age_grace"),
        lambda: f"connection_age or connection_age_grace in the log; it has\n{proxy.log}")


def test_a_drain_lets_streams_end(timed, dial):
    """GOAWAY in two phases: the stream that is open ends as if nothing had happened."""
    released = []

    def script(connection):
        stream = connection.next_finished(60)
        waiting.until(lambda: released, "the release", 10)
        frames.answer(connection, stream)
        silent(connection)

    proxy = timed(script)
    client = dial(proxy)
    stream = client.request(GRPC, bytes(5))
    client.round_trip()
    proxy.signal(signal.SIGTERM)
    client.until(lambda: client.goaways)
    assert client.goaways[0][:2] == (frames.MAX_WINDOW, frames.NO_ERROR)
    released.append(True)
    assert client.until_over(stream).grpc_status == 0
    assert client.until_closed() == frames.NO_ERROR
    assert client.goaways[-1][0] == stream.number
    assert proxy.wait(10) == 0


def test_a_drain_has_an_end(timed, dial):
    proxy = timed(silent, drain="500ms")
    client = dial(proxy)
    client.request(GRPC, bytes(5), end=False)
    client.round_trip()
    begin = time.monotonic()
    proxy.signal(signal.SIGTERM)
    client.until_closed()
    assert proxy.wait(10) == 0
    assert 0.4 < time.monotonic() - begin < 4


def test_a_second_signal_ends_at_once(timed, dial):
    proxy = timed(silent)
    client = dial(proxy)
    client.request(GRPC, bytes(5), end=False)
    client.round_trip()
    proxy.signal(signal.SIGTERM)
    client.until(lambda: client.goaways)
    begin = time.monotonic()
    proxy.signal(signal.SIGTERM)
    proxy.wait(5)
    assert time.monotonic() - begin < 1


@pytest.mark.parametrize("name", ["stalled_writer", "body_idle", "header_block"])
def test_off_is_never(timed, dial, name):
    client = dial(timed(**{name: "off"}))
    assert client.until_over(client.request(GET)).status == 200


def test_a_window_reduced_below_zero_recovers(timed, dial):
    """RFC 9113, 6.9.2: SETTINGS may make a stream's window negative."""

    def script(connection):
        stream = connection.next_request(60)
        connection.send_headers(stream.number, [(":status", "200")])
        connection.queue(stream.number, bytes(100_000))
        silent(connection)

    client = dial(timed(script), grants=False)
    stream = client.request(GET)
    client.until(lambda: len(stream.body) == frames.DEFAULT_WINDOW)
    client.send_frame(frames.SETTINGS, payload=struct.pack(">HI", 4, 10))
    client.round_trip()
    client.send_window(0, 1 << 20)
    client.send_window(stream.number, 60_000)
    client.poll(0.2)
    assert len(stream.body) == frames.DEFAULT_WINDOW
    client.send_window(stream.number, 100_000)
    assert len(client.until_over(stream).body) == 100_000
