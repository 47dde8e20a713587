"""Rate limits that a service decides, in the protocol that Envoy's rate limit service speaks."""

import json
import threading
import time
from concurrent import futures

import grpc
import pytest

import waiting
import weir as program
from echo_pb2 import EchoRequest
from frames import GET, GRPC, changed
from ratelimit_pb2 import RateLimitResponse
from ratelimit_pb2_grpc import RateLimitServiceServicer, add_RateLimitServiceServicer_to_server
from telemetry import told  # noqa: F401

OK, OVER_LIMIT = RateLimitResponse.OK, RateLimitResponse.OVER_LIMIT
RESOURCE_EXHAUSTED, UNAVAILABLE, DEADLINE_EXCEEDED = 8, 14, 4


class LimitService(RateLimitServiceServicer):
    """A service that answers as it is told, and remembers what it was asked."""

    def __init__(self, port=0):
        self.requests = []
        self.answer = lambda request: RateLimitResponse(overall_code=OK)
        self.release = threading.Event()
        self.release.set()
        self._server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        add_RateLimitServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()

    def ShouldRateLimit(self, request, context):
        self.requests.append(request)
        self.release.wait(30)
        return self.answer(request)

    def stop(self):
        self.release.set()
        self._server.stop(None).wait(5)


@pytest.fixture
def start_service():
    services = []

    def start(port=0):
        services.append(LimitService(port))
        return services[-1]

    yield start
    for service in services:
        service.stop()


def terms(service_port, by=(), mode="enforce", **service):
    """Parts of a configuration in which a service decides."""
    limit = {
        "name": "l", "mode": mode,
        "service": {"upstream": "limiter", "domain": "weir", "timeout": "5s", **service}}
    if by:
        limit["by"] = list(by)
    return {
        "route": {"rate_limits": ["l"]}, "rate_limits": [limit],
        "more_upstreams": [{"name": "limiter", "endpoints": [f"127.0.0.1:{service_port}"]}]}


@pytest.fixture
def limited(told):  # noqa: F811
    """Starts proxies that ask a service."""

    def start(origin, more_upstreams, **parts):
        config = program.configuration(program.free_port(), [origin.port], **parts)
        config["upstreams"] += more_upstreams
        return told(config=config)

    return start


def entries(request):
    return [(e.key, e.value) for e in request.descriptors[0].entries]


def test_the_service_is_told_what_the_limit_counts_by(
        limited, start_service, start_origin, dial):
    service, origin = start_service(), start_origin()
    by = ["source", "method", {"header": "x-tenant"}, "route", "peer"]
    client = dial(limited(origin, **terms(service.port, by)))
    request = changed(GRPC, put=[("x-tenant", "a"), ("x-tenant", "b")])
    assert client.until_over(client.request(request, b"")).status == 200
    asked = service.requests[0]
    assert asked.domain == "weir" and len(asked.descriptors) == 1 and asked.hits_addend == 0
    path = dict(GRPC)[":path"]
    assert entries(asked) == [
        ("limit", "l"), ("source", "127.0.0.1"), ("method", path), ("x-tenant", "a,b"),
        ("route", "all"), ("peer", "")]


def test_over_the_limit_is_told_with_what_the_service_adds(
        limited, start_service, start_origin, dial):
    service, origin = start_service(), start_origin()

    def answer(request):
        response = RateLimitResponse(overall_code=OVER_LIMIT)
        status = response.statuses.add(code=OVER_LIMIT)
        status.duration_until_reset.seconds = 2
        status.duration_until_reset.nanos = 500_000_000
        response.response_headers_to_add.add(key="x-ratelimit-limit", value="7")
        response.response_headers_to_add.add(key="Bad Name", value="x")
        return response

    service.answer = answer
    proxy = limited(origin, **terms(service.port))
    client = dial(proxy)
    stream = client.until_over(client.request(GRPC, b""))
    assert stream.is_trailers_only and stream.grpc_status == RESOURCE_EXHAUSTED
    assert stream.field("grpc-retry-pushback-ms") == "2500"
    assert stream.field("x-ratelimit-limit") == "7"
    plain = client.until_over(client.request(GET))
    assert plain.status == 429 and plain.field("retry-after") == "3"
    assert origin.requests == []
    figures = json.loads(proxy.ask("/rate-limits")[1])
    assert figures == [{
        "name": "l", "by": [], "dry_run": False, "domain": "weir", "allowed": 0, "limited": 2,
        "failed": 0}]


def test_what_passes_carries_what_the_service_adds(limited, start_service, start_origin, dial):
    service, origin = start_service(), start_origin()

    def answer(request):
        response = RateLimitResponse(overall_code=OK)
        response.request_headers_to_add.add(key="x-tier", value="gold")
        response.request_headers_to_add.add(key=":path", value="/evil")
        response.request_headers_to_add.add(key="content-length", value="5")
        response.response_headers_to_add.add(key="x-ratelimit-remaining", raw_value=b"41")
        return response

    service.answer = answer
    client = dial(limited(origin, **terms(service.port)))
    stream = client.until_over(client.request(GRPC, b""))
    assert stream.status == 200 and stream.field("x-ratelimit-remaining") == "41"
    sent = origin.requests[0].headers
    assert (b"x-tier", b"gold") in sent
    assert [value for name, value in sent if name == b":path"] == [dict(GRPC)[":path"].encode()]
    assert not any(name == b"content-length" for name, _ in sent)


@pytest.mark.parametrize(("on_failure", "grpc_status", "status"), [
    ("allow", None, 200), ("deny", UNAVAILABLE, 503)])
def test_a_service_that_is_dead_does_what_was_chosen(
        limited, start_origin, dial, on_failure, grpc_status, status):
    origin = start_origin()
    proxy = limited(origin, **terms(program.free_port(), on_failure=on_failure))
    client = dial(proxy)
    stream = client.until_over(client.request(GRPC, b""))
    assert stream.status == 200
    if grpc_status:
        assert stream.grpc_status == grpc_status
        assert stream.field("grpc-message") == "the rate limit l cannot be asked now"
    assert client.until_over(client.request(GET)).status == status
    name = "weir_rate_limit_requests_total"
    assert proxy.value(name, limit="l", outcome="failed") == 2
    proxy.wait_for_log("a rate limit service gives no answer name=l upstream=limiter")


@pytest.mark.parametrize(("on_failure", "status"), [("allow", 200), ("deny", 503)])
def test_a_service_that_is_slow_is_waited_for_as_long_as_was_chosen(
        limited, start_service, start_origin, dial, on_failure, status):
    service, origin = start_service(), start_origin()
    service.release.clear()
    client = dial(limited(
        origin, **terms(service.port, timeout="300ms", on_failure=on_failure)))
    begin = time.monotonic()
    assert client.until_over(client.request(GET)).status == status
    assert 0.3 <= time.monotonic() - begin < 3


def test_a_service_that_restarts_is_asked_again(limited, start_service, start_origin, dial):
    service, origin = start_service(), start_origin()
    proxy = limited(origin, **terms(service.port, on_failure="deny", timeout="1s"))
    client = dial(proxy)
    assert client.until_over(client.request(GET)).status == 200
    service.stop()
    assert client.until_over(client.request(GET)).status == 503
    again = start_service(service.port)
    waiting.until(
        lambda: client.until_over(client.request(GET)).status == 200, "the service's return", 15)
    assert again.requests


def test_a_deadline_and_a_cancel_are_heard_while_the_service_is_asked(
        limited, start_service, start_origin, dial):
    service, origin = start_service(), start_origin()
    service.release.clear()
    client = dial(limited(origin, **terms(service.port)))
    late = client.request(changed(GRPC, put=[("grpc-timeout", "200m")]), b"")
    gone = client.request(GRPC, b"")
    waiting.until(lambda: len(service.requests) == 2, "two questions", 5)
    client.send_reset(gone.number)
    assert client.until_over(late).grpc_status == DEADLINE_EXCEEDED
    service.release.set()
    assert client.until_over(client.request(GRPC, b"")).status == 200
    assert len(origin.requests) == 1


@pytest.mark.parametrize("answer", [
    RateLimitResponse(), RateLimitResponse(overall_code=OK, request_headers_to_add=[
        {"key": "x", "value": "y" * 20_000}])])
def test_an_answer_that_is_none_is_a_failure(
        limited, start_service, start_origin, dial, answer):
    service, origin = start_service(), start_origin()
    service.answer = lambda request: answer
    client = dial(limited(origin, **terms(service.port, on_failure="deny")))
    assert client.until_over(client.request(GET)).status == 503


def test_a_dry_run_lets_through(limited, start_service, start_origin, dial):
    service, origin = start_service(), start_origin()
    service.answer = lambda request: RateLimitResponse(overall_code=OVER_LIMIT)
    proxy = limited(origin, **terms(service.port, mode="dry_run"))
    client = dial(proxy)
    assert client.until_over(client.request(GET)).status == 200
    assert proxy.value("weir_rate_limit_requests_total", limit="l", outcome="would_limit") == 1


def test_many_calls_at_once_are_asked_about_one_by_one(
        limited, start_service, echo_origin, echo_stub):
    service = start_service()
    counts = {"left": 30}
    lock = threading.Lock()

    def answer(request):
        with lock:
            counts["left"] -= 1
            code = OK if counts["left"] >= 0 else OVER_LIMIT
        return RateLimitResponse(overall_code=code)

    service.answer = answer
    stub = echo_stub(limited(echo_origin, **terms(service.port)))
    calls = [stub.Unary.future(EchoRequest(), timeout=20) for _ in range(80)]
    codes = [call.code() for call in calls]
    assert codes.count(grpc.StatusCode.OK) == 30
    assert codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED) == 50
    assert len(service.requests) == 80
