"""SIGTERM while calls run: every call that was begun ends, and no new client waits in vain."""

import signal
import threading
import time

import grpc
import pytest

import frames
import waiting
import weir as program
from echo_pb2 import EchoRequest, EchoTerms
from frames import EMPTY_MESSAGE, GET, GRPC
from reloading import pause, replace, serve  # noqa: F401
from test_reload import refuses

NOTICE = (frames.MAX_WINDOW, frames.NO_ERROR)


class Drained(threading.Thread):
    """A connection that keeps so many streams open until it is told not to, and notes its end.

    `fault` is what a client would complain about.
    """

    def __init__(self, port, streams=10):
        super().__init__(daemon=True)
        self.client = frames.Connection.to(port)
        self.streams = streams
        self.answered = self.after_notice = 0
        self.goaways_at = []
        self.fault = None
        self.start()

    def run(self):
        client = self.client
        try:
            while not client.closed:
                while len(client.streams) < self.streams and len(client.goaways) < 2:
                    client.request(GRPC, EMPTY_MESSAGE)
                    self.after_notice += len(client.goaways)
                if client.receive(20) is None:
                    break
                if len(client.goaways) > len(self.goaways_at):
                    self.goaways_at.append(time.monotonic())
                self._take()
            self._judge()
        except AssertionError as error:
            self.fault = str(error)
        finally:
            client.close()

    def _take(self):
        for stream in [s for s in self.client.streams.values() if s.is_over]:
            if stream.reset is not None or stream.grpc_status != 0:
                self.fault = self.fault or repr(stream)
            self.answered += 1
            del self.client.streams[stream.number]
        self.client.frames.clear()

    def _judge(self):
        """What is left was sent above the last ID: the client knows that nobody saw it."""
        goaways = self.client.goaways
        if len(goaways) != 2 or goaways[0][:2] != NOTICE or goaways[1][1] != frames.NO_ERROR:
            self.fault = self.fault or f"GOAWAY {goaways}"
        elif lost := [n for n in self.client.streams if n <= goaways[1][0]]:
            self.fault = self.fault or f"streams {lost} of {goaways} never ended"


def slow_answers(seconds):
    """A script: answers each call so long after it came."""

    def script(connection):
        due = []
        while not connection.closed:
            try:
                connection.receive(0.01)
            except waiting.Late:
                pass
            while connection._finished:
                due.append((time.monotonic() + seconds, connection._finished.popleft()))
            while due and due[0][0] <= time.monotonic():
                frames.answer(connection, due.pop(0)[1])

    return script


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("seconds", [0, 1], ids=["quick calls", "calls of 1 s"])
def test_sigterm_under_load(serve, start_origin, echo_origin, echo_stub, seconds, workers):  # noqa: F811
    """10 connections x 10 streams, a call that streams all the time, and one of 1 s."""
    script = slow_answers(seconds) if seconds else frames.answer_all
    origin, port = start_origin(script), program.free_port()
    config = program.configuration(port, [origin.port])
    config["routes"].append({
        "name": "echo", "backends": [{"upstream": "echo"}],
        "matches": [{"method": "weir.echo.v1.Echo/Bidi"},
                    {"method": "weir.echo.v1.Echo/ClientStream"}]})
    config["upstreams"].append({"name": "echo", "endpoints": [f"127.0.0.1:{echo_origin.port}"]})
    proxy = serve(config, workers=workers)
    stub, turn, over = echo_stub(proxy), threading.Semaphore(1), threading.Event()

    def requests():
        while not over.is_set():
            turn.acquire(timeout=5)
            yield EchoRequest(payload=b"abc")

    stream = stub.Bidi(requests(), timeout=30)
    next(stream)
    second = stub.ClientStream.future(
        iter([EchoRequest(payload=b"x", terms=EchoTerms(delay_ms=1000))]), timeout=30)
    clients = [Drained(port) for _ in range(10)]
    waiting.until(
        lambda: all(c.answered or len(c.client.streams) == 10 for c in clients), "load", 10)
    waiting.until(lambda: len(echo_origin.calls) == 2, "the long calls")
    begin = time.monotonic()
    proxy.signal(signal.SIGTERM)
    for _ in range(20):
        turn.release()
        assert next(stream).payload == b"abc"
        pause(0.1)
    assert proxy.is_running(), "a stream is open"
    over.set()
    turn.release()
    list(stream)
    assert second.result(10).payload == b"x"
    for client in clients:
        client.join(15)
    assert [c.fault for c in clients] == [None] * 10
    assert proxy.wait(10) == 0
    assert time.monotonic() - begin < 15
    asked = sorted(c.goaways_at[0] - begin for c in clients)
    # The default limit is 30 s: told at random moments of a tenth of that, 1 s at most.
    assert asked[-1] < 2 and asked[-1] - asked[0] > 0.1, asked


def test_streams_between_the_two_goaways_are_served(serve, start_origin, dial):  # noqa: F811
    """The second GOAWAY follows the acknowledgement of a PING, and its last ID has them all."""
    port = program.free_port()
    proxy = serve(program.configuration(port, [start_origin().port]))
    client = dial(port, acknowledges=False)
    client.send_frame(frames.SETTINGS, frames.ACK)
    client.round_trip()
    proxy.signal(signal.SIGTERM)
    client.until(lambda: client.goaways)
    assert client.goaways[0][:2] == NOTICE
    ping = client.until(lambda: [
        f for f in client.frames if f.kind == frames.PING and not f.flags & frames.ACK])[0]
    streams = [client.request(GRPC, EMPTY_MESSAGE) for _ in range(5)]
    assert client.until_over(streams[0]).grpc_status == 0
    assert len(client.goaways) == 1
    client.send_ping(ping.payload, ack=True)
    client.until(lambda: len(client.goaways) == 2)
    assert client.goaways[1][:2] == (streams[-1].number, frames.NO_ERROR)
    late = client.request(GRPC, EMPTY_MESSAGE)
    for stream in streams[1:]:
        assert client.until_over(stream).grpc_status == 0
    assert client.until_closed() == frames.NO_ERROR
    assert late.headers is None and late.reset is None
    assert proxy.wait(10) == 0


def test_a_client_that_acknowledges_nothing_is_announced_to(serve, start_origin, dial):  # noqa: F811
    port = program.free_port()
    proxy = serve(program.configuration(port, [start_origin().port]))
    client = dial(port, acknowledges=False)
    client.send_frame(frames.SETTINGS, frames.ACK)
    client.round_trip()
    proxy.signal(signal.SIGTERM)
    client.until(lambda: client.goaways)
    begin = time.monotonic()
    client.until(lambda: len(client.goaways) == 2)
    assert 0.8 < time.monotonic() - begin < 2
    client.until_closed()
    assert proxy.wait(10) == 0


def holding(serve, start_origin, drain):  # noqa: F811
    """A proxy whose origin never answers; its port."""
    def silent(connection):
        while connection.receive(60) is not None:
            pass

    port = program.free_port()
    proxy = serve(program.configuration(
        port, [start_origin(silent).port], listener={"timeouts": {"drain": drain}}))
    return proxy, port


def test_the_drain_limit_cuts_what_is_left(serve, start_origin, dial):  # noqa: F811
    """A second of it; plain requests and calls alike learn that they were not finished."""
    proxy, port = holding(serve, start_origin, "1s")
    client = dial(port)
    call, plain = client.request(GRPC, EMPTY_MESSAGE), client.request(GET)
    client.round_trip()
    begin = time.monotonic()
    proxy.signal(signal.SIGTERM)
    client.until_closed()
    assert 0.9 < time.monotonic() - begin < 2.5
    assert proxy.wait(5) == 0
    for stream in (call, plain):
        assert not stream.ended or stream.grpc_status not in (None, 0), stream
    assert proxy.limit_lines("drain")


def test_the_limit_holds_for_grpc(serve, start_origin, echo_stub):  # noqa: F811
    proxy, _ = holding(serve, start_origin, "500ms")
    call = echo_stub(proxy).Unary.future(EchoRequest(), timeout=20)
    waiting.until(lambda: proxy.resident_bytes(), "")
    pause(0.3)
    proxy.signal(signal.SIGTERM)
    with pytest.raises(grpc.RpcError) as error:
        call.result(10)
    assert error.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED,
                                  grpc.StatusCode.INTERNAL)
    assert proxy.wait(5) == 0


def test_no_new_client_waits_while_old_ones_drain(serve, start_origin, dial):  # noqa: F811
    """The address refuses connections at once: a balancer sees it, and a successor may bind it."""
    proxy, port = holding(serve, start_origin, "10s")
    client = dial(port)
    stream = client.request(GRPC, EMPTY_MESSAGE)
    client.round_trip()
    proxy.signal(signal.SIGTERM)
    waiting.until(lambda: refuses(port), "the port to be refused", 2)
    successor = serve(program.configuration(port, [start_origin().port]))
    after = dial(port)
    assert after.until_over(after.request(GRPC, EMPTY_MESSAGE)).grpc_status == 0
    assert not stream.is_over and successor.is_running()


def test_a_drain_without_streams_is_over_soon(serve, start_origin, dial):  # noqa: F811
    proxy = serve(program.configuration(program.free_port(), [start_origin().port]))
    clients = [dial(proxy) for _ in range(20)]
    for client in clients:
        assert client.until_over(client.request(GRPC, EMPTY_MESSAGE)).grpc_status == 0
    begin = time.monotonic()
    proxy.signal(signal.SIGINT)
    for client in clients:
        client.until_closed()
        client.close()
    assert proxy.wait(5) == 0
    assert time.monotonic() - begin < 3


def test_a_reload_in_a_drain_is_left_alone(serve, start_origin, dial):  # noqa: F811
    proxy, port = holding(serve, start_origin, "2s")
    client = dial(port)
    client.request(GRPC, EMPTY_MESSAGE)
    client.round_trip()
    proxy.signal(signal.SIGTERM)
    waiting.until(lambda: refuses(port), "the port to be refused", 2)
    replace(proxy.config_path, program.configuration(program.free_port(), [1]))
    proxy.signal(signal.SIGHUP)
    client.until_closed()
    assert proxy.wait(5) == 0


def test_a_slow_reader_gets_all_of_an_answer_that_was_sent(serve, start_origin):  # noqa: F811
    """All of it is in the kernel's hands when Weir has nothing more to say. What the client still
    sends, as readers do, must not have the rest thrown away (RST)."""
    size = 1_500_000

    def script(connection):
        stream = connection.next_finished(60)
        connection.send_headers(stream.number, [(":status", "200")])
        connection.queue(stream.number, b"s" * size, end=True)
        while connection.receive(60) is not None:
            pass

    port = program.free_port()
    proxy = serve(program.configuration(port, [start_origin(script).port]))
    client = frames.Connection.to(
        port, {frames.INITIAL_WINDOW_SIZE: frames.MAX_WINDOW}, receive_buffer=4096, grants=False)
    client.send_window(0, frames.MAX_WINDOW - 65_535)
    stream = client.request(GET)
    client.until(lambda: stream.headers)
    pause(0.5)
    proxy.signal(signal.SIGTERM)
    # Longer than it takes Weir to say its last GOAWAY, and to wait for one that reads.
    pause(2.5)
    while not stream.ended:
        assert client.receive(5) is not None, f"closed after {len(stream.body)} bytes"
        client.send_window(0, 1)
        pause(0.01)
    assert len(stream.body) == size
    client.close()
    proxy.wait_for_line(" ended ")
