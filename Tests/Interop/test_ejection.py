"""Endpoints whose calls fail get none for a while, and return when one call has shown that they work."""

import grpc
import pytest

import frames
import waiting
from echo_pb2 import EchoRequest, EchoTerms
from flaky_origin import FlakyOrigin
from frames import GET
from reloading import pause, replace
from telemetry import told  # noqa: F401

REQUEST = EchoRequest(payload=b"abc")
# Long enough for nothing to return by itself.
EJECTION = {"consecutive_failures": 3, "base_time": "1h", "jitter": "off", "max_ejected": "50%"}
SOON = {**EJECTION, "base_time": "300ms"}
CODES = grpc.StatusCode


@pytest.fixture
def flaky():
    """Starts servers: `flaky(code)`."""
    servers = []

    def start(code=None, **terms):
        servers.append(FlakyOrigin(code=code, **terms))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def unary(stub):
    try:
        stub.Unary(REQUEST, timeout=5)
    except grpc.RpcError as error:
        return error.code()
    return CODES.OK


def stream(stub):
    try:
        assert len(list(stub.ServerStream(REQUEST, timeout=5))) == 1
    except grpc.RpcError as error:
        return error.code()
    return CODES.OK


def record(proxy, port):
    """What /upstreams has of an endpoint."""
    [upstream] = proxy.told("/upstreams")
    [found] = [each for each in upstream["health"] if each["endpoint"] == f"127.0.0.1:{port}"]
    return found


def served(call, stub, *servers, count=30):
    """How many of so many calls each server got."""
    before = [server.calls for server in servers]
    for _ in range(count):
        call(stub)
    return [server.calls - calls for server, calls in zip(servers, before)]


def eject(proxy, call, stub, server, limit=100):
    for _ in range(limit):
        call(stub)
        if not record(proxy, server.port)["available"]:
            return
    raise AssertionError(f"{server.port} was not ejected\n{proxy.log}")


@pytest.mark.parametrize("call", [unary, stream], ids=["trailers-only", "trailers"])
@pytest.mark.parametrize("code", [CODES.UNAVAILABLE, CODES.INTERNAL, CODES.DATA_LOSS])
def test_a_server_that_fails_is_ejected(told, flaky, echo_stub, call, code):  # noqa: F811
    bad, good = flaky(code), flaky()
    proxy = told(bad.port, good.port, upstream={"ejection": EJECTION})
    stub = echo_stub(proxy)
    results = [call(stub) for _ in range(40)]
    assert results.count(code) == 3
    assert results[-20:] == [CODES.OK] * 20
    assert bad.calls == 3
    proxy.wait_for_log(f"endpoint ejected upstream=origin endpoint=127.0.0.1:{bad.port} "
                       "reason=consecutive_failures seconds=3600 ejected=1")
    found = record(proxy, bad.port)
    assert found["ejected_for"] == "consecutive_failures" and not found["probing"]
    assert 3500 < found["seconds_left"] <= 3600
    assert record(proxy, good.port)["available"]
    labels = {"upstream": "origin", "reason": "consecutive_failures"}
    assert proxy.value("weir_endpoint_ejections_total", **labels) == 1
    endpoint = {"endpoint": f"127.0.0.1:{bad.port}"}
    assert proxy.value("weir_endpoint_available", **endpoint) == 0


@pytest.mark.parametrize(
    "code", [CODES.PERMISSION_DENIED, CODES.INVALID_ARGUMENT, CODES.NOT_FOUND, CODES.UNAUTHENTICATED,
             CODES.RESOURCE_EXHAUSTED, CODES.UNKNOWN])
def test_what_says_that_the_caller_is_wrong_ejects_nobody(told, flaky, echo_stub, code):  # noqa: F811
    bad, good = flaky(code), flaky()
    proxy = told(bad.port, good.port, upstream={"ejection": EJECTION})
    assert served(unary, echo_stub(proxy), bad, good) == [15, 15]
    assert record(proxy, bad.port)["failures_in_row"] == 0


def test_a_route_says_what_counts(told, flaky, echo_stub):  # noqa: F811
    bad, good = flaky(CODES.UNAVAILABLE), flaky()
    proxy = told(bad.port, good.port, upstream={"ejection": EJECTION},
                 route={"failures": {"codes": ["RESOURCE_EXHAUSTED"]}})
    stub = echo_stub(proxy)
    assert served(unary, stub, bad, good) == [15, 15]
    bad.code = CODES.RESOURCE_EXHAUSTED
    eject(proxy, unary, stub, bad)


def test_a_success_ends_the_row(told, flaky, echo_stub):  # noqa: F811
    bad, good = flaky(), flaky()
    proxy = told(bad.port, good.port, upstream={"ejection": EJECTION})
    stub = echo_stub(proxy)
    for turn in range(20):
        # Two failures of each server, a success of each.
        bad.code = good.code = CODES.UNAVAILABLE if turn % 3 else None
        unary(stub), unary(stub)
    assert record(proxy, bad.port)["available"] and record(proxy, good.port)["available"]


def test_one_call_decides_whether_it_returns(told, flaky, echo_stub):  # noqa: F811
    bad, good = flaky(CODES.INTERNAL), flaky()
    proxy = told(bad.port, good.port, upstream={"ejection": {**SOON, "max_time": "400ms"}})
    stub = echo_stub(proxy)
    eject(proxy, unary, stub, bad)
    # Each time that is over one call goes there, no more.
    before = bad.calls

    def has_failed_again():
        results = [unary(stub) for _ in range(10)]
        assert results.count(CODES.INTERNAL) <= 1
        return record(proxy, bad.port).get("ejected_for") == "probe"

    waiting.until(has_failed_again, "a call to decide", 5, interval=0.05)
    assert bad.calls == before + 1
    bad.code = None

    def is_back():
        assert unary(stub) == CODES.OK
        return record(proxy, bad.port)["available"]

    waiting.until(is_back, lambda: f"a return\n{proxy.log}", 5, interval=0.05)
    proxy.wait_for_log(
        f"endpoint returned upstream=origin endpoint=127.0.0.1:{bad.port} reason=probe")
    waiting.until(lambda: served(unary, stub, bad, good) == [15, 15], "an even share")
    assert proxy.value("weir_endpoint_ejections_total", reason="probe") >= 1


def test_a_caller_that_leaves_decides_nothing(told, flaky, echo_stub, echo_origin):  # noqa: F811
    """The probe's caller cancels: the next call decides."""
    bad = flaky(CODES.UNAVAILABLE)
    proxy = told(bad.port, echo_origin.port, upstream={"ejection": SOON})
    stub = echo_stub(proxy)
    eject(proxy, unary, stub, bad)
    pause(0.4)
    bad.code = None
    slow = EchoRequest(terms=EchoTerms(delay_ms=60_000))
    calls = [stub.Unary.future(slow, timeout=60) for _ in range(2)]
    waiting.until(lambda: len(echo_origin.calls) > 0, "the server to have one")
    for call in calls:
        call.cancel()
    waiting.until(lambda: unary(stub) == CODES.OK and record(proxy, bad.port)["available"],
                  lambda: proxy.log, 5, interval=0.05)


def test_no_more_than_the_share_is_ejected(told, flaky, echo_stub):  # noqa: F811
    servers = [flaky(CODES.UNAVAILABLE) for _ in range(5)]
    proxy = told(*(server.port for server in servers),
                 upstream={"ejection": {**EJECTION, "max_ejected": "40%"}})
    stub = echo_stub(proxy)
    for _ in range(60):
        unary(stub)
    available = [record(proxy, server.port)["available"] for server in servers]
    assert available.count(False) == 2
    assert proxy.value("weir_endpoint_ejections_withheld_total") > 0


def test_the_only_endpoint_is_never_ejected(told, flaky, echo_stub):  # noqa: F811
    only = flaky(CODES.UNAVAILABLE)
    proxy = told(only.port, upstream={"ejection": EJECTION})
    stub = echo_stub(proxy)
    assert served(unary, stub, only, count=20) == [20]
    assert record(proxy, only.port)["available"]


def test_all_workers_know(told, flaky, echo_stub):  # noqa: F811
    bad, good = flaky(CODES.UNAVAILABLE), flaky()
    proxy = told(bad.port, good.port, workers=4, upstream={"ejection": EJECTION})
    stubs = [echo_stub(proxy) for _ in range(8)]
    eject(proxy, unary, stubs[0], bad)
    assert [served(unary, stub, bad, count=5) for stub in stubs] == [[0]] * 8


def test_a_graceful_restart_is_no_failure(told, flaky, echo_stub):  # noqa: F811
    restarting, other = flaky(), flaky()
    proxy = told(restarting.port, other.port, upstream={
        "ejection": {**EJECTION, "consecutive_failures": 1},
        "timeouts": {"backoff_base": "10ms", "backoff_max": "20ms"}})
    stub = echo_stub(proxy)
    for _ in range(3):
        assert served(unary, stub, restarting, other, count=10) == [5, 5]
        # New calls come only once it is there again: being refused a connection is a failure.
        restarting.stop(grace=2)
        restarting.start()
        waiting.until(lambda: unary(stub) == CODES.OK and served(unary, stub, restarting) != [0],
                      lambda: proxy.log, 5)
    assert "endpoint ejected" not in proxy.log


def test_connections_that_cannot_be_made_count(told, flaky, echo_stub):  # noqa: F811
    gone, good = flaky(), flaky()
    gone.stop()
    proxy = told(gone.port, good.port, upstream={
        "ejection": SOON, "timeouts": {"backoff_base": "10ms", "backoff_max": "20ms"}})
    stub = echo_stub(proxy)
    waiting.until(lambda: unary(stub) == CODES.OK and not record(proxy, gone.port)["available"],
                  lambda: proxy.log, 5, interval=0.02)
    gone.start()
    waiting.until(lambda: unary(stub) == CODES.OK and record(proxy, gone.port)["available"],
                  lambda: proxy.log, 10, interval=0.02)


def test_deadlines_that_pass_count(told, flaky, echo_stub, start_origin):  # noqa: F811
    def silent(connection):
        while connection.receive(60) is not None:
            pass

    bad, good = start_origin(silent), flaky()
    proxy = told(bad.port, good.port, upstream={"ejection": EJECTION})
    stub = echo_stub(proxy)
    results = []
    for _ in range(20):
        try:
            stub.Unary(REQUEST, timeout=0.1)
            results.append(CODES.OK)
        except grpc.RpcError as error:
            results.append(error.code())
    assert results.count(CODES.DEADLINE_EXCEEDED) == 3
    assert not record(proxy, bad.port)["available"]


def test_resets_count_and_so_does_a_lost_connection(told, flaky, echo_stub, start_origin):  # noqa: F811
    def resetting(connection):
        """Resets the first two, then goes without a word."""
        for _ in range(2):
            connection.send_reset(connection.next_finished(60).number, frames.INTERNAL_ERROR)
        connection.next_finished(60)
        connection.cut()

    bad, good = start_origin(resetting), flaky()
    proxy = told(bad.port, good.port, upstream={"ejection": EJECTION})
    stub = echo_stub(proxy)
    results = [unary(stub) for _ in range(30)]
    assert results.count(CODES.OK) == 27, results
    assert not record(proxy, bad.port)["available"]


@pytest.mark.parametrize(("status", "is_ejected"), [("503", True), ("500", True), ("404", False),
                                                    ("429", False)])
def test_plain_http(told, start_origin, dial, status, is_ejected):  # noqa: F811
    def answering(code):
        def script(connection):
            while (stream := connection.next_finished(60)) is not None:
                connection.send_headers(stream.number, [(":status", code)], end=True)
        return script

    bad, good = start_origin(answering(status)), start_origin(answering("200"))
    proxy = told(bad.port, good.port, upstream={"ejection": EJECTION})
    client = dial(proxy)
    for _ in range(20):
        client.until_over(client.request(GET))
    assert record(proxy, bad.port)["available"] is not is_ejected


def test_a_reload_keeps_what_is_known(told, flaky, echo_stub):  # noqa: F811
    bad, good = flaky(CODES.UNAVAILABLE), flaky()
    proxy = told(bad.port, good.port, upstream={"ejection": EJECTION})
    stub = echo_stub(proxy)
    eject(proxy, unary, stub, bad)
    revision = proxy.told("/status")["revision"]
    config = proxy.config
    config["upstreams"][0]["timeouts"] = {"connect": "2s"}
    replace(proxy.config_path, config)
    waiting.until(lambda: proxy.told("/status")["revision"] != revision, "the reload")
    assert not record(proxy, bad.port)["available"]
    assert served(unary, stub, bad, good) == [0, 30]
    # What ejects no more has ejected nothing.
    revision = proxy.told("/status")["revision"]
    del config["upstreams"][0]["ejection"]
    replace(proxy.config_path, config)
    waiting.until(lambda: proxy.told("/status")["revision"] != revision, "the reload")
    bad.code = None
    waiting.until(lambda: served(unary, stub, bad, good) == [15, 15], "an even share", 5)


def test_rates(told, flaky, echo_stub):  # noqa: F811
    """One of four fails every second time, and never twice in a row."""
    servers = [flaky() for _ in range(4)]
    proxy = told(*(server.port for server in servers), upstream={"ejection": {
        **EJECTION, "consecutive_failures": "off", "interval": "200ms",
        "failure_share": {"threshold": "40%", "min_endpoints": 3, "min_calls": 5}}})
    stub = echo_stub(proxy)
    bad = servers[0]

    def is_ejected():
        for turn in range(40):
            bad.code = CODES.UNAVAILABLE if bad.calls % 2 else None
            unary(stub)
        return not record(proxy, bad.port)["available"]

    waiting.until(is_ejected, lambda: f"{proxy.told('/upstreams')}\n{proxy.log}", 10)
    assert record(proxy, bad.port)["ejected_for"] == "failure_share"
    assert all(record(proxy, server.port)["available"] for server in servers[1:])
