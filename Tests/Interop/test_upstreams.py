"""Servers that come, go and say no, while calls run: what fails, fails with a reason, and at once."""

import pathlib
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time

import grpc
import pytest

import expect
import frames
import waiting
import weir as program
from echo_pb2 import EchoRequest
from frames import EMPTY_MESSAGE, GET, GRPC
from reloading import Callers, pause, serve  # noqa: F401

UNAVAILABLE = 14


def silent(connection):
    while connection.receive(60) is not None:
        pass


class Process:
    """A grpcio server in a process of its own, that can be killed."""

    SCRIPT = textwrap.dedent("""
        import sys, threading
        sys.path[:0] = [sys.argv[2], sys.argv[2] + "/generated"]
        import grpc, echo_pb2_grpc
        from concurrent import futures
        from echo_pb2 import EchoResponse

        class Echo(echo_pb2_grpc.EchoServicer):
            def Unary(self, request, context):
                threading.Event().wait(request.terms.delay_ms / 1000)
                return EchoResponse(payload=request.payload)

        server = grpc.server(futures.ThreadPoolExecutor(32), options=[("grpc.so_reuseport", 0)])
        echo_pb2_grpc.add_EchoServicer_to_server(Echo(), server)
        server.add_insecure_port("127.0.0.1:" + sys.argv[1])
        server.start()
        print("ready", flush=True)
        server.wait_for_termination()
    """)

    def __init__(self, port):
        folder = str(pathlib.Path(__file__).parent)
        self._process = subprocess.Popen(
            [sys.executable, "-c", self.SCRIPT, str(port), folder], stdout=subprocess.PIPE)
        assert self._process.stdout.readline() == b"ready\n"

    def signal(self, number):
        self._process.send_signal(number)

    def kill(self):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture
def start_process():
    """Starts servers: `start_process(port)`; a call ends the one before."""
    running = []

    def start(port):
        running.append(Process(port))
        return running[-1]

    yield start
    for process in running:
        process.kill()


def test_a_dead_server_is_told_at_once_and_comes_back(start_weir, start_process, echo_stub):
    """kill -9 under load: calls fail with UNAVAILABLE and words, quickly, until it is there again."""
    port = program.free_port()
    server = start_process(port)
    proxy = start_weir(port, upstream={
        "timeouts": {"backoff_base": "100ms", "backoff_max": "500ms"}})
    stub = echo_stub(proxy)
    request = EchoRequest(payload=b"abc")
    assert stub.Unary(request, timeout=5).payload == b"abc"
    held = [stub.Unary.future(request_of(5_000), timeout=20) for _ in range(10)]
    pause(0.3)
    begin = time.monotonic()
    server.kill()
    for call in held:
        with pytest.raises(grpc.RpcError) as error:
            call.result(10)
        assert error.value.code() == grpc.StatusCode.UNAVAILABLE
        assert error.value.details()
    assert time.monotonic() - begin < 1, "the calls in flight"
    for _ in range(50):
        sent = time.monotonic()
        with pytest.raises(grpc.RpcError) as error:
            stub.Unary(request, timeout=20)
        assert error.value.code() == grpc.StatusCode.UNAVAILABLE
        assert "origin" in error.value.details()
        assert time.monotonic() - sent < 1
        pause(0.01)
    start_process(port)
    back = time.monotonic()

    def succeeds():
        try:
            return stub.Unary(request, timeout=5).payload == b"abc"
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAVAILABLE
            return False

    waiting.until(succeeds, "a call to succeed", 5, interval=0.02)
    # The backoff's longest, a fifth of jitter, and what a busy machine takes.
    assert time.monotonic() - back < 0.6 + 1
    for _ in range(20):
        assert stub.Unary(request, timeout=5).payload == b"abc"


def request_of(milliseconds):
    request = EchoRequest(payload=b"abc")
    request.terms.delay_ms = milliseconds
    return request


def test_a_kill_under_load_fails_only_what_was_in_flight(serve, start_process, start_origin):  # noqa: F811
    """One of two servers dies; the other goes on. One answer for each stream that was on it."""
    port, dying = program.free_port(), program.free_port()
    server = start_process(dying)
    serve(program.configuration(port, [start_origin().port, dying]))
    failed = []

    def check(stream):
        if stream.grpc_status == 0:
            return None
        if stream.grpc_status == UNAVAILABLE and stream.ended:
            failed.append(dict(stream.trailers or stream.headers))
            return None
        return repr(stream)

    with Callers(port, GRPC, check, body=EMPTY_MESSAGE) as callers:
        callers.until_more(1_000, 30)
        before = len(failed)
        server.kill()
        callers.until_more(2_000, 30)
        after = len(failed)
    assert before == 0
    assert len(failed) == after <= 100, failed
    assert all(fields.get(b"grpc-message") for fields in failed)


def test_nobody_listens(start_weir, dial):
    client = dial(start_weir(program.free_port()))
    for fields, check in (
            (GRPC, expect.trailers_only(UNAVAILABLE)), (GET, expect.http(503)),
            (GRPC, expect.trailers_only(UNAVAILABLE))):
        begin = time.monotonic()
        stream = client.until_over(
            client.request(fields, EMPTY_MESSAGE if fields is GRPC else None))
        check(client, stream)
        assert time.monotonic() - begin < 0.5


def test_one_waiting_request_is_not_forgotten(start_weir, start_origin, dial):
    """The only connection is going away and keeps a stream; there is no other server to be had."""
    def script(connection):
        stream = connection.next_request(60)
        origin._listener.shutdown(socket.SHUT_RDWR)
        connection.send_goaway(stream.number)
        silent(connection)

    origin = start_origin(script)
    client = dial(start_weir(origin.port))
    held = client.request(GRPC, EMPTY_MESSAGE)
    client.poll(0.3)
    stream = client.until_over(client.request(GRPC, EMPTY_MESSAGE), 3)
    expect.trailers_only(UNAVAILABLE)(client, stream)
    assert not held.is_over


@pytest.mark.parametrize("streams", [1, 2, 3])
def test_a_server_of_few_streams_gets_more_connections(start_weir, start_origin, dial, streams):
    """As many as are needed at once, and none of them above its limit."""
    worst = []

    def script(connection):
        worst.append(connection)
        connection.most = 0
        pending = []
        while not connection.closed:
            try:
                connection.receive(0.3)
            except waiting.Late:
                for stream in pending:
                    frames.answer(connection, stream)
                pending = []
            while connection._finished:
                pending.append(connection._finished.popleft())
            connection.most = max(connection.most, len(pending))

    origin = start_origin(script, settings={frames.MAX_CONCURRENT_STREAMS: streams})
    client = dial(start_weir(origin.port))
    calls = [client.request(GRPC, EMPTY_MESSAGE) for _ in range(12)]
    for call in calls:
        assert client.until_over(call, 20).grpc_status == 0
    assert max(c.most for c in worst) <= streams
    # Before the first SETTINGS the limit is not known; nothing is sent until then.
    assert 2 <= len(worst) <= 12 // streams + 1, len(worst)


def test_connections_are_limited(start_weir, start_origin, dial):
    """Requests that find no room wait for it, up to `pending`."""
    origin = start_origin(settings={frames.MAX_CONCURRENT_STREAMS: 1})
    proxy = start_weir(origin.port, upstream={"limits": {"connections": 2}})
    clients = [dial(proxy) for _ in range(4)]
    streams = [(c, c.request(GRPC, EMPTY_MESSAGE)) for c in clients for _ in range(20)]
    for client, stream in streams:
        assert client.until_over(stream, 20).grpc_status == 0
    assert len(origin.connections) <= 2


def test_the_limit_of_connections_counts_those_that_ended_once(start_weir, start_origin, dial):
    """Connections that end one after another leave neither debt nor credit."""
    origin = start_origin(settings={frames.MAX_CONCURRENT_STREAMS: 1})
    client = dial(start_weir(origin.port, upstream={
        "limits": {"connections": 1}, "timeouts": {"idle": "100ms"}}))
    for count in range(1, 6):
        stream = client.until_over(client.request(GRPC, EMPTY_MESSAGE))
        assert stream.grpc_status == 0, stream
        assert len(origin.connections) == count
        waiting.until(lambda: origin.connections[-1].closed, "the connection's end")
        client.poll(0.05)
    many = [client.request(GRPC, EMPTY_MESSAGE) for _ in range(10)]
    for stream in many:
        assert client.until_over(stream).grpc_status == 0
    assert len(origin.connections) == 6


@pytest.mark.parametrize("workers", [1, 2])
def test_requests_are_limited_in_the_whole_process(start_weir, start_origin, dial, workers):
    """Those above are refused at once; when one ends, the next is served."""
    released = []

    def script(connection):
        while not connection.closed:
            try:
                connection.receive(0.05)
            except waiting.Late:
                pass
            while released and connection._finished:
                frames.answer(connection, connection._finished.popleft())

    origin = start_origin(script)
    proxy = start_weir(origin.port, upstream={"limits": {"requests": 4}}, workers=workers)
    clients = [dial(proxy) for _ in range(4)]
    held = []
    for client in clients:
        held.append((client, client.request(GRPC, EMPTY_MESSAGE)))
        origin.wait_for_requests(len(held))
    for client in clients:
        stream = client.until_over(client.request(GRPC, EMPTY_MESSAGE))
        expect.trailers_only(UNAVAILABLE)(client, stream)
        assert b"upstream.requests" in dict(stream.headers)[b"grpc-message"]
        plain = client.until_over(client.request(GET))
        expect.http(503)(client, plain)
    released.append(True)
    for client, stream in held:
        assert client.until_over(stream).grpc_status == 0
        assert client.until_over(client.request(GRPC, EMPTY_MESSAGE)).grpc_status == 0


class Relay:
    """Listens elsewhere, and passes bytes to and from a port of IPv4."""

    def __init__(self, family, address, port):
        self.listener = socket.socket(family)
        self.listener.bind(address)
        self.listener.listen(16)
        self._port = port
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._port))
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=pair, daemon=True).start()

    @staticmethod
    def _pass(source, sink):
        try:
            while data := source.recv(1 << 16):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def test_round_robin_over_all_kinds_of_addresses(start_weir, start_origin, dial, tmp_path):
    """IPv4, IPv6 and a unix socket, in turns."""
    origins = [start_origin() for _ in range(3)]
    six = Relay(socket.AF_INET6, ("::1", 0), origins[1].port)
    path = str(tmp_path / "origin.sock")
    unix = Relay(socket.AF_UNIX, path, origins[2].port)
    client = dial(start_weir(
        origins[0].port, f"[::1]:{six.listener.getsockname()[1]}", f"unix:{path}"))

    def call():
        return client.until_over(client.request(GRPC, EMPTY_MESSAGE)).grpc_status == 0

    waiting.until(lambda: call() and all(o.requests for o in origins), "all to be asked")
    before = [len(o.requests) for o in origins]
    assert all(call() for _ in range(30))
    assert [len(o.requests) - n for o, n in zip(origins, before)] == [10, 10, 10]
    six.listener.close()
    unix.listener.close()


def test_a_server_that_leaves_gracefully_fails_no_call(serve, start_origin):  # noqa: F811
    """Each connection says GOAWAY in two phases after 50 requests, under load."""
    gone = []

    def script(connection):
        for _ in range(50):
            stream = connection.next_finished(60)
            if stream is None:
                return
            frames.answer(connection, stream)
        connection.send_goaway(frames.MAX_WINDOW)
        connection.round_trip()
        last = max(connection.streams)
        connection.send_goaway(last)
        gone.append(last)
        frames.answer_all(connection)

    port = program.free_port()
    serve(program.configuration(port, [start_origin(script).port]))

    def check(stream):
        return None if stream.grpc_status == 0 else repr(stream)

    with Callers(port, GRPC, check, body=EMPTY_MESSAGE, connections=4) as callers:
        callers.until_more(3_000, 40)
    assert len(gone) > 20


def test_a_server_that_leaves_at_once_is_given_time(start_weir, start_origin, dial):
    """Its GOAWAY comes together with its SETTINGS: no request can be sent to it, and whoever waits
    for one must not have it connected to as fast as the network goes."""
    def script(connection):
        connection.send(
            frames.frame(frames.SETTINGS, 0, 0) + frames.frame(frames.GOAWAY, 0, 0, bytes(8)))
        silent(connection)

    origin = start_origin(script, settings=None)
    proxy = start_weir(origin.port)
    client = dial(proxy)
    begin = time.monotonic()
    while time.monotonic() - begin < 1:
        stream = client.until_over(client.request(GRPC, EMPTY_MESSAGE))
        expect.trailers_only(UNAVAILABLE)(client, stream)
        client.poll(0.02)
    # Once more at once, then after 200 ms, 400 ms, 800 ms.
    assert 3 <= len(origin.connections) <= 5
    proxy.wait_for_log("leaves at once")


def test_a_server_of_http_1_is_unavailable_with_words(start_weir, dial):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = start_weir(listener.getsockname()[1])
        client = dial(proxy)
        stream = client.request(GRPC, EMPTY_MESSAGE)
        sock, _ = listener.accept()
        sock.recv(1024)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n")
        client.until_over(stream)
        sock.close()
    expect.trailers_only(UNAVAILABLE)(client, stream)
    assert dict(stream.headers)[b"grpc-message"], stream
    waiting.until(lambda: "HTTP/2" in proxy.log, lambda: f"a hint in {proxy.log}")


def test_an_idle_connection_is_closed_and_another_opened(start_weir, start_origin, dial):
    origin = start_origin()
    client = dial(start_weir(origin.port, upstream={"timeouts": {"idle": "300ms"}}))
    for count in (1, 2):
        begin = time.monotonic()
        assert client.until_over(client.request(GRPC, EMPTY_MESSAGE)).grpc_status == 0
        assert len(origin.connections) == count
        waiting.until(lambda: origin.connections[-1].closed, "the connection's end", 5)
        assert 0.25 < time.monotonic() - begin < 2
        assert origin.connections[-1].goaways[-1][1] == frames.NO_ERROR
    assert not client.closed


def test_a_connection_with_a_stream_is_not_idle(start_weir, start_origin, dial):
    origin = start_origin(silent)
    client = dial(start_weir(origin.port, upstream={"timeouts": {"idle": "300ms"}}))
    stream = client.request(GRPC, EMPTY_MESSAGE, end=False)
    client.poll(1)
    assert not stream.is_over and not origin.connections[0].closed


def test_endpoints_that_are_down_are_passed_by(start_weir, start_origin, dial):
    """One of three servers is there: no call fails once that is known."""
    dead = [program.free_port(), program.free_port()]
    client = dial(start_weir(dead[0], start_origin().port, dead[1]))
    for _ in range(30):
        assert client.until_over(client.request(GRPC, EMPTY_MESSAGE)).grpc_status == 0


def test_a_stopped_server_is_no_reason_to_stop(start_weir, start_process, start_origin, dial):
    """SIGSTOP: one of two servers takes connections (its kernel does) and says nothing."""
    port = program.free_port()
    server = start_process(port)
    server._process.send_signal(signal.SIGSTOP)
    client = dial(start_weir(port, start_origin().port))
    for _ in range(10):
        assert client.until_over(client.request(GRPC, EMPTY_MESSAGE)).grpc_status == 0


def test_a_retired_connection_s_keepalive_keeps_no_loop(start_weir, start_origin, dial):
    """GOAWAY came and a stream goes on: PINGs go on as well, and other clients are served."""
    def script(connection):
        if len(origin.connections) > 1:
            return frames.answer_all(connection)
        stream = connection.next_request(60)
        connection.send_goaway(stream.number)
        connection.until(
            lambda: sum(f.kind == frames.PING for f in connection.frames) > 1, "two PINGs")
        frames.answer(connection, stream)
        silent(connection)

    origin = start_origin(script)
    proxy = start_weir(origin.port, upstream={
        "timeouts": {"keepalive": "200ms", "keepalive_ack": "1s"}})
    client = dial(proxy)
    held = client.request(GRPC, EMPTY_MESSAGE)
    client.poll(0.5)
    assert client.until_over(client.request(GRPC, EMPTY_MESSAGE)).grpc_status == 0
    assert client.until_over(held).grpc_status == 0
