"""What slow peers may cost: windows' worth, never bodies' worth."""

import pytest

import frames
import waiting
from frames import GET, POST

MIB = 1 << 20


def large_answers(connection):
    """A script: answers every request with 1 MiB, as the windows allow."""
    body = bytes(MIB)
    while (stream := connection.next_finished(60)) is not None:
        connection.send_headers(stream.number, [(":status", "200")])
        connection.queue(stream.number, body)


@pytest.mark.parametrize("window", [0, frames.DEFAULT_WINDOW], ids=["no window", "default window"])
def test_450_stalled_responses_cost_at_most_32_mb(start_weir, start_origin, dial, window):
    origin = start_origin(large_answers)
    proxy = start_weir(origin.port)
    warm = dial(proxy)
    assert len(warm.until_over(warm.request(GET), 10).body) == MIB
    before = proxy.resident_bytes()
    clients, streams = [], []
    for _ in range(5):
        client = dial(
            proxy, settings={frames.INITIAL_WINDOW_SIZE: window}, grants=False)
        if window:
            client.send_window(0, frames.MAX_WINDOW - frames.DEFAULT_WINDOW)
        clients.append(client)
        streams += [client.request(GET) for _ in range(90)]
    for client in clients:
        client.until(lambda: all(s.headers for s in client.streams.values()), "headers", 20)
        client.until(
            lambda: all(len(s.body) >= window for s in client.streams.values()), "bodies", 20)
    waiting.until_quiet(lambda: sum(c.data_sent for c in origin.connections))
    assert len(streams) == 450 and not any(s.is_over for s in streams)
    assert proxy.resident_bytes() - before <= 32_000_000


def upload(client, stream, limit):
    """Sends DATA as flow control allows, until it stops or `limit` is reached; the bytes."""
    initial = client.settings[frames.INITIAL_WINDOW_SIZE]
    sent = 0
    while sent < limit:
        window = initial + client.windows.get(stream.number, 0) - sent
        size = min(window, client.window - sent, 16_384, limit - sent)
        if size <= 0:
            before = (client.window, client.windows.get(stream.number, 0))
            client.poll(0.5)
            if (client.window, client.windows.get(stream.number, 0)) == before:
                return sent
            continue
        client.send_data(stream.number, bytes(size))
        sent += size
    return sent


@pytest.mark.parametrize("granted", [0, 1, 65_535])
def test_an_upload_that_nobody_takes_is_accepted_up_to_256_kb(
        start_weir, start_origin, dial, granted):
    def script(connection):
        while connection.receive(60) is not None:
            pass

    origin = start_origin(
        script, grants=False, settings={frames.INITIAL_WINDOW_SIZE: granted})
    client = dial(start_weir(origin.port))
    client.round_trip()
    stream = client.request(POST, end=False)
    # What the origin's own windows took has left Weir.
    assert upload(client, stream, 64 * MIB) <= (256 << 10) + granted


def test_an_upload_that_is_taken_is_not_stopped(start_weir, start_origin, dial):
    origin = start_origin()
    client = dial(start_weir(origin.port))
    client.round_trip()
    stream = client.request(POST, end=False)
    assert upload(client, stream, 8 * MIB) == 8 * MIB
    client.send_data(stream.number, b"", end=True)
    assert client.until_over(stream).status == 200
    assert len(origin.requests[0].body) == 8 * MIB


@pytest.mark.parametrize("connections", [200])
def test_idle_connections_cost_little(start_weir, start_origin, dial, connections):
    proxy = start_weir(start_origin().port)
    warm = [dial(proxy) for _ in range(50)]
    for client in warm:
        client.round_trip()
    before = proxy.resident_bytes()
    clients = [dial(proxy) for _ in range(connections)]
    for client in clients:
        client.round_trip()
    fresh = (proxy.resident_bytes() - before) / connections
    assert fresh <= 12_000, f"{fresh:.0f} bytes for a fresh connection"
    for client in clients:
        client.until_over(client.request(GET))
    used = (proxy.resident_bytes() - before) / connections
    assert used <= 24_000, f"{used:.0f} bytes for one that carried traffic"


def test_the_process_at_rest(start_weir, start_origin):
    assert start_weir(start_origin().port).resident_bytes() <= 32_000_000
