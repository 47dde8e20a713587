"""Endpoints that are asked how they are: by gRPC, HTTP and TCP, and what follows from what they say."""

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

import frames
import waiting
import weir as program
from flaky_origin import FlakyOrigin
from reloading import pause, replace
from telemetry import told  # noqa: F401
from test_ejection import EJECTION, record, served, unary

CODES = grpc.StatusCode
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
FAST = {"interval": "50ms", "unhealthy_interval": "50ms", "timeout": "300ms", "jitter": "off"}


class Checked(FlakyOrigin):
    """With grpc.health.v1, of the service `echo`."""

    def __init__(self, status=SERVING, **terms):
        self.health = health.HealthServicer()
        self.set(status)
        super().__init__(services=[self._add], **terms)

    def _add(self, server):
        health_pb2_grpc.add_HealthServicer_to_server(self.health, server)

    def set(self, status):
        self.health.set("echo", status)


@pytest.fixture
def start():
    """Starts servers: `start(Checked, …)`."""
    servers = []

    def make(kind=Checked, **terms):
        servers.append(kind(**terms))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


def is_(proxy, server, **expected):
    found = record(proxy, server.port)
    return all(found.get(name) == value for name, value in expected.items())


def wait_for(proxy, server, timeout=5, **expected):
    waiting.until(lambda: is_(proxy, server, **expected),
                  lambda: f"{expected}: {record(proxy, server.port)}\n{proxy.log}", timeout)


@pytest.mark.parametrize("watch", [False, True], ids=["check", "watch"])
def test_a_server_says_that_it_does_not_serve(told, start, echo_stub, watch):  # noqa: F811
    one, other = start(), start()
    terms = {**FAST, "grpc": {"service": "echo", "watch": watch}}
    if watch:
        # Nothing but what it tells by itself.
        terms["interval"] = "1h"
    proxy = told(one.port, other.port, upstream={"health_check": terms})
    stub = echo_stub(proxy)
    wait_for(proxy, one, checked="healthy")
    wait_for(proxy, other, checked="healthy")
    assert served(unary, stub, one, other) == [15, 15]
    if watch:
        wait_for(proxy, one, last_check="SERVING, told by Watch")
    for _ in range(2):
        one.set(NOT_SERVING)
        wait_for(proxy, one, checked="unhealthy", available=False)
        assert served(unary, stub, one, other) == [0, 30]
        one.set(SERVING)
        wait_for(proxy, one, checked="healthy", available=True)
        waiting.until(lambda: served(unary, stub, one, other) == [15, 15], "an even share")
    place = f"upstream=origin endpoint=127.0.0.1:{one.port}"
    told_by = ", told by Watch" if watch else ""
    proxy.wait_for_log(f'endpoint unhealthy {place} check="NOT_SERVING{told_by}"')
    proxy.wait_for_log(f'endpoint healthy {place} check="SERVING{told_by}"')
    assert proxy.value("weir_health_checks_total", outcome="passed") > 0
    # One line for each change.
    assert proxy.log.count("endpoint unhealthy") == 2


def test_a_server_that_dies_and_comes_back(told, start, echo_stub):  # noqa: F811
    one, other = start(), start()
    proxy = told(one.port, other.port, workers=2, upstream={
        "health_check": {**FAST, "grpc": {"service": "echo"}, "unhealthy": 2}})
    stub = echo_stub(proxy)
    wait_for(proxy, one, checked="healthy")
    one.stop()
    wait_for(proxy, one, checked="unhealthy")
    assert "connection" in record(proxy, one.port)["last_check"]
    assert served(unary, stub, other) == [30]
    one.start()
    wait_for(proxy, one, checked="healthy", last_check="SERVING")
    waiting.until(lambda: served(unary, stub, one, other) == [15, 15], "an even share")


def test_a_graceful_restart_is_no_failure(told, start, echo_stub):  # noqa: F811
    """GOAWAY on every connection, while a successor has the port already."""
    one, other = start(reuse=True), start()
    proxy = told(one.port, other.port, upstream={
        "health_check": {**FAST, "grpc": {"service": "echo"}, "unhealthy": 1}})
    wait_for(proxy, one, checked="healthy")
    for _ in range(3):
        successor = start(port=one.port, reuse=True)
        one.stop(grace=2)
        passed = proxy.value("weir_health_checks_total", outcome="passed")
        waiting.until(
            lambda: proxy.value("weir_health_checks_total", outcome="passed") > passed + 10, "checks")
        one = successor
    assert is_(proxy, one, checked="healthy")
    assert proxy.value("weir_health_checks_total", outcome="failed") == 0, proxy.log


def test_thresholds(told, start):  # noqa: F811
    """Two that fail are not enough, three are; one success is not, two are."""
    answers = []

    class Scripted(health_pb2_grpc.HealthServicer):
        def __init__(self):
            self.codes = []

        def Check(self, request, context):
            code = self.codes.pop(0) if self.codes else None
            answers.append(code)
            if code:
                context.abort(code, "as told")
            return health_pb2.HealthCheckResponse(status=SERVING)

    scripted = Scripted()
    server = start(FlakyOrigin, services=[
        lambda server: health_pb2_grpc.add_HealthServicer_to_server(scripted, server)])
    spare = start()
    proxy = told(server.port, spare.port, upstream={
        "health_check": {**FAST, "grpc": {}, "healthy": 2, "unhealthy": 3}})
    wait_for(proxy, server, checked="healthy")
    bad = CODES.INTERNAL
    scripted.codes = [bad, bad, None, bad, bad, None]
    waiting.until(lambda: not scripted.codes, "these")
    waiting.until(lambda: answers[-3:] == [None] * 3, "three successes")
    assert "endpoint unhealthy" not in proxy.log
    scripted.codes = [bad, bad, bad, None, bad, None, bad]
    wait_for(proxy, server, checked="unhealthy")
    waiting.until(lambda: not scripted.codes, "these")
    assert proxy.log.count("endpoint healthy") == 2
    wait_for(proxy, server, checked="healthy")
    assert 'check="INTERNAL"' in proxy.log


def test_a_server_without_health_service_is_taken_for_healthy(told, start, echo_stub):  # noqa: F811
    server = start(FlakyOrigin)
    proxy = told(server.port, upstream={"health_check": {**FAST, "grpc": {"watch": True}}})
    wait_for(proxy, server, checked="healthy", last_check="UNIMPLEMENTED, taken for healthy")
    pause(0.3)
    line = f"health checks are not served upstream=origin endpoint=127.0.0.1:{server.port}"
    assert proxy.log.count(line) == 1
    assert unary(echo_stub(proxy)) == CODES.OK


def test_a_service_that_is_not_known_there(told, start):  # noqa: F811
    server = start()
    proxy = told(server.port, upstream={"health_check": {**FAST, "grpc": {"service": "ecko"}}})
    wait_for(proxy, server, checked="unhealthy", last_check="NOT_FOUND")


def test_a_server_that_hangs(told, start_origin, start):  # noqa: F811
    def silent(connection):
        while connection.receive(60) is not None:
            pass

    hanging, good = start_origin(silent), start()
    proxy = told(hanging.port, good.port, upstream={
        "health_check": {**FAST, "grpc": {"service": "echo"}, "timeout": "100ms"}})
    wait_for(proxy, hanging, checked="unhealthy", last_check="no answer in time")


def test_http(told, start_origin, dial):  # noqa: F811
    state = {"status": "206"}

    def script(connection):
        while (stream := connection.next_finished(60)) is not None:
            assert stream.field(":method") == "GET"
            if stream.field(":path") == "/healthz?deep=1":
                assert stream.field(":authority") == "health.test"
                connection.send_headers(stream.number, [(":status", state["status"])])
                connection.send_data(stream.number, b"x" * 10_000, end=True)
            else:
                frames.answer(connection, stream)

    server, other = start_origin(script), start_origin(script)
    proxy = told(server.port, other.port, upstream={"health_check": {
        **FAST, "http": {"path": "/healthz?deep=1", "host": "health.test", "statuses": ["2xx", 418]}}})
    wait_for(proxy, server, checked="healthy", last_check="status 206")
    state["status"] = "418"
    wait_for(proxy, server, checked="healthy", last_check="status 418")
    state["status"] = "500"
    wait_for(proxy, server, checked="unhealthy", last_check="status 500")
    state["status"] = "200"
    wait_for(proxy, server, checked="healthy")
    client = dial(proxy)
    assert client.until_over(client.request(frames.GET)).status == 200


def test_tcp(told, start, echo_stub):  # noqa: F811
    one, other = start(FlakyOrigin), start(FlakyOrigin)
    proxy = told(one.port, other.port, upstream={"health_check": {**FAST, "tcp": {}}})
    wait_for(proxy, one, checked="healthy", last_check="connected")
    one.stop()
    wait_for(proxy, one, checked="unhealthy", available=False)
    assert served(unary, echo_stub(proxy), other) == [30]
    one.start()
    wait_for(proxy, one, checked="healthy", available=True)


def test_a_check_ends_an_ejection(told, start, echo_stub):  # noqa: F811
    bad, good = start(), start()
    proxy = told(bad.port, good.port, upstream={
        "ejection": EJECTION, "health_check": {**FAST, "grpc": {"service": "echo"}}})
    bad.code = CODES.UNAVAILABLE
    stub = echo_stub(proxy)
    waiting.until(lambda: unary(stub) and "endpoint ejected" in proxy.log, "an ejection")
    bad.code = None
    proxy.wait_for_log(
        f"endpoint returned upstream=origin endpoint=127.0.0.1:{bad.port} reason=check")
    wait_for(proxy, bad, available=True)


def test_a_check_does_not_end_an_ejection_where_it_may_not(told, start, echo_stub):  # noqa: F811
    bad, good = start(), start()
    proxy = told(bad.port, good.port, upstream={
        "ejection": {**EJECTION, "return_on_check": False},
        "health_check": {**FAST, "grpc": {"service": "echo"}}})
    bad.code = CODES.UNAVAILABLE
    stub = echo_stub(proxy)
    waiting.until(lambda: unary(stub) and not is_(proxy, bad, available=True), "an ejection")
    pause(0.5)
    assert is_(proxy, bad, checked="healthy", available=False)


def test_weirs_own_health_service_knows(told, start):  # noqa: F811
    server = start()
    config = program.configuration(program.free_port(), [server.port], upstream={
        "health_check": {**FAST, "grpc": {"service": "echo"}}})
    config["routes"].append({
        "name": "health", "matches": [{"method": "grpc.health.v1.Health/*"}],
        "health": {"services": {"echo": "origin"}}})
    proxy = told(config=config)
    with grpc.insecure_channel(f"127.0.0.1:{proxy.port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        def says(status):
            return stub.Check(health_pb2.HealthCheckRequest(service="echo"), timeout=5).status == status

        waiting.until(lambda: says(SERVING), "SERVING")
        server.set(NOT_SERVING)
        waiting.until(lambda: says(NOT_SERVING), "NOT_SERVING")
        server.set(SERVING)
        waiting.until(lambda: says(SERVING), "SERVING again")


def test_each_endpoint_is_checked_once_whatever_the_workers(told, start):  # noqa: F811
    servers = [start(FlakyOrigin, services=[]) for _ in range(4)]
    proxy = told(*(server.port for server in servers), workers=4, upstream={
        "health_check": {"tcp": {}, "interval": "1h", "unhealthy_interval": "1h"}})
    for server in servers:
        wait_for(proxy, server, checked="healthy")
    pause(0.2)
    assert proxy.value("weir_health_checks_total", outcome="passed") == 4


def test_reloads_begin_and_end_checks(told, start):  # noqa: F811
    one, other = start(), start()
    proxy = told(one.port, other.port, workers=2)
    assert "health" not in proxy.told("/upstreams")[0]
    config = proxy.config

    def reload(**upstream):
        revision = proxy.told("/status")["revision"]
        config["upstreams"][0].update(upstream)
        replace(proxy.config_path, config)
        waiting.until(lambda: proxy.told("/status")["revision"] != revision, "the reload")

    reload(health_check={**FAST, "grpc": {"service": "echo"}})
    wait_for(proxy, one, checked="healthy")
    one.set(NOT_SERVING)
    wait_for(proxy, one, checked="unhealthy")
    # Another way to ask, and what is known stays until it has told something else.
    reload(health_check={**FAST, "tcp": {}})
    wait_for(proxy, one, checked="healthy", last_check="connected")
    reload(health_check={**FAST, "grpc": {"service": "echo"}})
    wait_for(proxy, one, checked="unhealthy")
    reload(ejection={})
    del config["upstreams"][0]["health_check"]
    reload()
    assert record(proxy, one.port)["available"] and "checked" not in record(proxy, one.port)
    passed = proxy.value("weir_health_checks_total")
    pause(0.3)
    assert proxy.value("weir_health_checks_total") == passed


def test_many_checks_cost_no_memory(told, start):  # noqa: F811
    """Ten thousand checks of four servers leave nothing behind."""
    servers = [start() for _ in range(4)]
    proxy = told(*(server.port for server in servers), upstream={"health_check": {
        "grpc": {"service": "echo"}, "interval": "1ms", "unhealthy_interval": "1ms",
        "timeout": "1s", "jitter": "off"}})

    def checks():
        return proxy.value("weir_health_checks_total")

    waiting.until(lambda: checks() > 500, "the first checks", 20)
    before = proxy.resident_bytes()
    goal = checks() + 3_000
    waiting.until(lambda: checks() > goal, "more checks", 60, interval=0.05)
    assert proxy.resident_bytes() - before < 1 << 20
    census = proxy.told("/connections")
    assert len([each for each in census if "upstream" in each]) == 4
