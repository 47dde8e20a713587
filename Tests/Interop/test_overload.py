"""Overload: less is done in stages, what runs goes on, and it is over by itself."""

import os
import signal
import socket
import subprocess
import threading

import grpc
import pytest

import echo_pb2_grpc
import frames
import waiting
import weir as program
from echo_pb2 import EchoRequest
from frames import GET
from grpc_health.v1 import health_pb2, health_pb2_grpc
from reloading import pause, replace
from telemetry import told  # noqa: F401

MIB = 1 << 20


def anonymous_bytes(proxy):
    """What counts for the budget."""
    resident, shared = open(f"/proc/{proxy.pid}/statm").read().split()[1:3]
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGESIZE")


def large_answers(connection):
    """A script: answers every request with 1 MiB, as the windows allow."""
    body = bytes(MIB)
    while (stream := connection.next_finished(120)) is not None:
        connection.send_headers(stream.number, [(":status", "200")])
        connection.queue(stream.number, body)


def configuration(echo, large):
    config = program.configuration(program.free_port(), [echo.port])
    config["upstreams"].append({
        "name": "large", "endpoints": [f"127.0.0.1:{large.port}"],
        "limits": {"stream_window": "1MiB", "stream_window_max": "1MiB", "connection_window": "1GiB"}})
    config["routes"] = [
        {"name": "large", "matches": [{"path": "/large"}], "backends": [{"upstream": "large"}]},
        {"name": "health", "matches": [{"method": "grpc.health.v1.Health/*"}], "health": {}},
        {"name": "all", "backends": [{"upstream": "origin"}]}]
    return config


def stage(proxy):
    return proxy.told("/status")["overload"]["memory"]["stage"]


def wait_for_stage(proxy, *wanted, timeout=20):
    waiting.until(
        lambda: stage(proxy) in wanted,
        lambda: f"one of {wanted}: {proxy.told('/status')['overload']}\n{proxy.log}", timeout)


LARGE = [(name, "/large" if name == ":path" else value) for name, value in GET]


class SlowReaders:
    """Clients that ask for much and read none of it."""

    def __init__(self, dial, proxy):
        self._dial, self._proxy, self.clients = dial, proxy, []

    def add(self, streams=90):
        client = self._dial(
            self._proxy, settings={frames.INITIAL_WINDOW_SIZE: 0}, grants=False)
        for _ in range(streams):
            client.request(LARGE)
        self.clients.append(client)

    def fill(self, wanted):
        """Until there is a stage."""
        while stage(self._proxy) not in wanted:
            assert len(self.clients) < 60, f"{anonymous_bytes(self._proxy)}\n{self._proxy.log}"
            self.add(20 if len(self.clients) < 5 else 4)
            waiting.until_quiet(lambda: anonymous_bytes(self._proxy) // MIB, 0.25)

    def leave(self):
        for client in self.clients:
            client.close()


def test_memory_stages(told, echo_origin, start_origin, echo_stub, dial):  # noqa: F811
    config = configuration(echo_origin, start_origin(large_answers))
    config["overload"] = {"memory": "off"}
    proxy = told(config=config, workers=1)
    stub = echo_stub(proxy)
    stub.Unary(EchoRequest(payload=b"a"), timeout=5)
    assert proxy.told("/status")["overload"]["memory"]["budget"] == 0
    base = anonymous_bytes(proxy)
    budget = base + 160 * MIB
    replace(proxy.config_path, {**proxy.config, "overload": {"memory": f"{budget}B"}})
    waiting.until(
        lambda: proxy.told("/status")["overload"]["memory"]["budget"] == budget, "the budget")
    assert stage(proxy) == "none"
    requests = Until()
    open_call = stub.Bidi(requests, timeout=60)
    requests.send(b"one")
    assert next(open_call).payload == b"one"
    idle = dial(proxy)
    idle.round_trip()
    idle.until_over(idle.request(GET))
    pause(1.1)
    readers = SlowReaders(dial, proxy)
    # First stage: clients that have nothing to do are told to go.
    readers.fill(["idle", "requests", "connections"])
    assert idle.until_closed(10) == frames.NO_ERROR
    # Second stage: new requests are refused, running ones go on.
    readers.fill(["requests", "connections"])
    waiting.until(lambda: refused(stub), lambda: f"a refusal\n{proxy.log}", 10)
    requests.send(b"two")
    assert next(open_call).payload == b"two"
    check_what_answers(proxy)
    readers.leave()
    wait_for_stage(proxy, "none", timeout=30)
    waiting.until(lambda: not refused(stub), "a call that is served", 10)
    requests.send(b"three")
    assert next(open_call).payload == b"three"
    requests.end()
    assert list(open_call) == []
    fresh = dial(proxy)
    fresh.until_over(fresh.request(GET))
    lines = proxy.lines(r"overload memory stage=")
    assert "stage=none" in lines[-1] and any("stage=requests" in line for line in lines), lines
    assert proxy.value("weir_overload_refused_total") >= 1
    assert proxy.value("weir_overload_departures_total") >= 1
    assert proxy.value("weir_overload_stage", cause="memory") == 0


class Until:
    """The requests of a stream, as they are sent."""

    def __init__(self):
        self._ready, self._payloads = threading.Semaphore(0), []

    def __iter__(self):
        return self

    def __next__(self):
        self._ready.acquire()
        payload = self._payloads.pop(0)
        if payload is None:
            raise StopIteration
        return EchoRequest(payload=payload)

    def send(self, payload):
        self._payloads.append(payload)
        self._ready.release()

    def end(self):
        self.send(None)


def refused(stub):
    """Whether a call is refused for overload, as it should be then."""
    try:
        stub.Unary(EchoRequest(payload=b"a"), timeout=5)
        return False
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAVAILABLE, error
        if "in use" not in error.details() and "to be done" not in error.details():
            return False
        assert ("grpc-retry-pushback-ms", "1000") in error.trailing_metadata(), error
        return True


def check_what_answers(proxy):
    """Health and administration do in every stage; plain HTTP is refused in its own words."""
    assert proxy.fetch("/ready")[0] == 200 and proxy.fetch("/live")[0] == 200
    assert proxy.value("weir_overload_stage", cause="memory") >= 2
    assert "overload: stage" in proxy.ask("/")[1]


@pytest.mark.parametrize("kind", ["grpc", "http", "health"])
def test_a_small_budget_refuses_all_but_health(told, echo_origin, start_origin, dial, kind):  # noqa: F811
    """A budget that is used up from the start: everything is at its last stage."""
    config = configuration(echo_origin, start_origin())
    config["overload"] = {"memory": "off"}
    proxy = told(config=config)
    client = dial(proxy)
    client.round_trip()
    channel = grpc.insecure_channel(f"127.0.0.1:{proxy.port}")
    grpc.channel_ready_future(channel).result(10)
    replace(proxy.config_path, {**proxy.config, "overload": {"memory": "1MiB"}})
    proxy.wait_for_line("overload memory stage=connections")
    waiting.until(lambda: proxy.value("weir_overload_stage", cause="memory") == 3, "the stage")
    if kind == "health":
        answer = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(), timeout=5)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    elif kind == "http":
        stream = client.until_over(client.request(GET))
        assert stream.status == 503 and stream.field("retry-after") == "1"
    else:
        assert refused(echo_pb2_grpc.EchoStub(channel))
    # Nobody is accepted: a client that comes now is not greeted until it is over.
    late = socket.create_connection(("127.0.0.1", proxy.port), 5)
    late.sendall(frames.PREFACE + frames.frame(4))
    late.settimeout(0.5)
    with pytest.raises(TimeoutError):
        late.recv(1)
    check_what_answers(proxy)
    replace(proxy.config_path, {**proxy.config, "overload": {"memory": "off"}})
    late.settimeout(10)
    assert late.recv(1)
    late.close()
    channel.close()
    assert "stage=none" in proxy.lines("overload memory")[-1]


def test_a_late_worker_refuses_requests(told, echo_origin, start_origin):  # noqa: F811
    """A limit that a busy loop cannot keep."""
    config = configuration(echo_origin, start_origin())
    config["overload"] = {"memory": "off", "lag": "10ms"}
    config["routes"][2] = {"name": "all", "respond": {"status": 200, "body": "x"}}
    proxy = told(config=config)
    load = subprocess.Popen(
        ["h2load", "-t1", "-c400", "-m100", "-D8", f"http://127.0.0.1:{proxy.port}/"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        line = proxy.wait_for_line("overload lag stage=", timeout=8)
        assert "worker=0" in line
        waiting.until(
            lambda: proxy.value("weir_overload_refused_total") > 0, lambda: proxy.log, 8)
        assert proxy.told("/status")["overload"]["workers"] != ["none"]
    finally:
        load.kill()
        load.wait()
    proxy.wait_for_line("overload lag stage=none", timeout=10)
    waiting.until(
        lambda: proxy.value("weir_overload_stage", cause="lag", worker="0") == 0, "relief")


def test_being_stopped_is_no_overload(told, echo_origin, start_origin, echo_stub):  # noqa: F811
    config = configuration(echo_origin, start_origin())
    config["overload"] = {"lag": "10ms"}
    proxy = told(config=config)
    stub = echo_stub(proxy)
    stub.Unary(EchoRequest(payload=b"a"), timeout=5)
    proxy.signal(signal.SIGSTOP)
    pause(1.5)
    proxy.signal(signal.SIGCONT)
    for _ in range(20):
        stub.Unary(EchoRequest(payload=b"a"), timeout=5)
    assert proxy.lines("overload lag") == []
