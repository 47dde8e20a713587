"""The kit itself, client straight to origin: what it blames on the proxy must not be its own."""

import pytest

import frames


def test_a_call_and_its_answer(start_origin, dial):
    client = dial(start_origin())
    stream = client.until_over(client.request(frames.GRPC, frames.EMPTY_MESSAGE))
    assert (stream.status, stream.grpc_status, stream.body) == (200, 0, frames.EMPTY_MESSAGE)


def test_bytewise_with_continuations(start_origin, dial):
    client = dial(start_origin())
    block = frames.literals([*frames.GET, ("x", "y" * 40)])
    stream = client.streams.setdefault(1, frames.Stream(1))
    client.send_bytewise(
        frames.frame(frames.HEADERS, frames.END_STREAM, 1, block[:9])
        + frames.frame(frames.CONTINUATION, 0, 1, block[9:30])
        + frames.frame(frames.CONTINUATION, frames.END_HEADERS, 1, block[30:]))
    assert client.until_over(stream).body == b"hello"


def test_a_queue_stops_at_the_window(start_origin, dial):
    def script(connection):
        stream = connection.next_request()
        connection.send_headers(stream.number, [(":status", "200")])
        connection.queue(stream.number, b"a" * 100_000)
        while connection.receive(60) is not None:
            pass

    client = dial(start_origin(script), grants=False)
    stream = client.request(frames.GET)
    client.until(lambda: len(stream.body) == frames.DEFAULT_WINDOW)
    client.round_trip()
    assert len(stream.body) == frames.DEFAULT_WINDOW
    client.send_window(0, 100_000)
    client.send_window(1, 100_000)
    assert len(client.until_over(stream).body) == 100_000


@pytest.mark.parametrize(
    "value, encoded", [(10, b"\x0a"), (31, b"\x1f\x00"), (1337, b"\x1f\x9a\x0a")])
def test_integers_as_rfc_7541_c_1(value, encoded):
    assert frames.integer(0, 5, value) == encoded
