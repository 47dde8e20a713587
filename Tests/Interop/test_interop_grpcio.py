"""gRPC's C core on both sides: cancelling at every stage, compression, keepalive, health checks."""

import json
import threading

import grpc
import pytest
from grpc_health.v1 import health as grpc_health
from grpc_health.v1 import health_pb2, health_pb2_grpc

import calls
import frames
import waiting
from access_log import logged  # noqa: F401
from echo_origin import EchoOrigin
from echo_pb2 import EchoRequest, EchoTerms
from frames import EMPTY_MESSAGE, GRPC
from reloading import pause
from telemetry import told  # noqa: F401

MIB = 1 << 20


@pytest.fixture
def start_echo():
    """Starts grpcio servers with options: `start_echo(options, compression=…, servicers=…)`."""
    origins = []

    def start(options=(), **terms):
        origins.append(EchoOrigin(options, **terms))
        return origins[-1]

    yield start
    for origin in origins:
        origin.stop()


# Cancelling

def cancel_at_once(stub, seen, release):
    return stub.Unary.future(EchoRequest(terms=EchoTerms(delay_ms=60_000)))


def cancel_while_the_server_thinks(stub, seen, release):
    call = stub.Unary.future(EchoRequest(terms=EchoTerms(delay_ms=60_000)))
    waiting.until(lambda: seen() and seen()[-1].received, "the request", 20)
    return call


def cancel_amid_an_upload(stub, seen, release):
    def requests():
        while not release.is_set():
            yield EchoRequest(payload=b"a" * 10_000)

    call = stub.ClientStream.future(requests())
    waiting.until(lambda: seen() and seen()[-1].received > 100, "messages at the server", 20)
    return call


def cancel_an_upload_that_nobody_reads(stub, seen, release):
    def requests():
        yield EchoRequest(terms=EchoTerms(delay_ms=60_000))
        while not release.is_set():
            yield EchoRequest(payload=b"a" * 100_000)

    call = stub.ClientStream.future(requests())
    waiting.until(lambda: seen() and seen()[-1].received, "the request", 20)
    pause(0.3)
    return call


def cancel_between_messages(stub, seen, release):
    def requests():
        yield EchoRequest(payload=b"first")
        release.wait(60)

    call = stub.Bidi(requests())
    assert next(call).payload == b"first"
    return call


def cancel_after_half_close(stub, seen, release):
    call = stub.Bidi(iter([EchoRequest(terms=EchoTerms(delay_ms=60_000))]))
    waiting.until(lambda: seen(), "the request", 20)
    return call


def cancel_amid_a_download(stub, seen, release):
    terms = EchoTerms(response_count=1_000_000, response_bytes=10_000)
    call = stub.ServerStream(EchoRequest(terms=terms))
    for _ in range(100):
        next(call)
    return call


def cancel_a_download_that_nobody_reads(stub, seen, release):
    terms = EchoTerms(response_count=1_000_000, response_bytes=10_000)
    call = stub.ServerStream(EchoRequest(terms=terms))
    next(call)
    pause(0.3)
    return call


STAGES = [
    cancel_at_once, cancel_while_the_server_thinks, cancel_amid_an_upload,
    cancel_an_upload_that_nobody_reads, cancel_between_messages, cancel_after_half_close,
    cancel_amid_a_download, cancel_a_download_that_nobody_reads,
]


@pytest.mark.parametrize("begin", STAGES, ids=lambda stage: stage.__name__)
def test_cancelling(logged, echo_origin, echo_stub, begin):  # noqa: F811
    """The server sees it, the log has it, and nothing is left: five times, then another call."""
    proxy = logged(echo_origin.port)
    stub = echo_stub(proxy)
    calls.unary(stub, echo_origin)
    release = threading.Event()
    for count in range(1, 6):
        begin(stub, lambda: echo_origin.calls[count:], release).cancel()
        waiting.until(lambda: all(c.ended for c in echo_origin.calls), "the server to see it", 20)
    release.set()
    calls.unary(stub, echo_origin)
    proxy.stop()
    records = proxy.records
    ends = [r for r in records if r["reason"] == "client_reset"]
    # What is cancelled at once may never have left the client.
    assert begin is cancel_at_once or len(ends) == 5, records
    assert [r["reason"] for r in records if r not in ends] == ["complete"] * 2
    assert all(r["reset_by"] == "client" and r["reset_code"] == "CANCEL" for r in ends), records


# Compression

@pytest.mark.parametrize("algorithm", ["Gzip", "Deflate"])
def test_compression_in_both_directions(logged, start_echo, echo_stub, algorithm):  # noqa: F811
    """Messages pass compressed, as they came: neither their bytes nor `grpc-encoding` change."""
    compression = getattr(grpc.Compression, algorithm)
    origin = start_echo(compression=compression)
    proxy = logged(origin.port)
    stub = echo_stub(proxy)
    request = EchoRequest(payload=b"a" * MIB, terms=EchoTerms(response_count=2))
    assert stub.Unary(request, timeout=20, compression=compression).payload == request.payload
    answers = stub.ServerStream(request, timeout=20, compression=compression)
    assert [a.payload for a in answers] == [request.payload] * 2
    answer = stub.ClientStream(iter([request] * 2), timeout=20, compression=compression)
    assert answer.payload == request.payload * 2
    answers = stub.Bidi(iter([request] * 2), timeout=20, compression=compression)
    assert [a.payload for a in answers] == [request.payload] * 2
    for record in proxy.wait_for_records(4):
        assert record["grpc_status"] == "OK"
        assert 0 < record["request_bytes"] < 20_000, record
        assert 0 < record["response_bytes"] < 20_000, record


def test_an_encoding_that_the_server_lacks(start_weir, start_echo, dial):
    """What the server says of it is what the client reads: Weir has no opinion on encodings."""
    client = dial(start_weir(start_echo().port))
    fields = [*GRPC, ("grpc-encoding", "unheard-of"), ("grpc-accept-encoding", "identity")]
    stream = client.until_over(client.request(fields, b"\1\0\0\0\1a"), 20)
    assert stream.grpc_status in (12, 13), stream
    assert "grpc-encoding" in stream.field("grpc-message"), stream


# Streams in numbers

def test_a_thousand_streams_over_ten_connections(told, echo_origin, echo_stub):  # noqa: F811
    """100 on each of ten connections, which is what a listener allows unless told otherwise."""
    proxy = told(echo_origin.port, workers=2)
    stubs = [echo_stub(proxy) for _ in range(10)]
    release = threading.Event()

    def requests(number):
        yield EchoRequest(payload=b"first %d" % number)
        release.wait(60)
        yield EchoRequest(payload=b"second %d" % number)

    open_calls = [stubs[i % 10].Bidi(requests(i), timeout=120) for i in range(1_000)]
    try:
        firsts = [next(call).payload for call in open_calls]
        assert proxy.value("weir_requests_active") == 1_000
        assert proxy.value("weir_downstream_connections") == 10
    finally:
        release.set()
    assert firsts == [b"first %d" % i for i in range(1_000)]
    assert [[a.payload for a in call] for call in open_calls] == [
        [b"second %d" % i] for i in range(1_000)]
    waiting.until(lambda: proxy.value("weir_requests_active") == 0, "no request to be left", 10)


# Keepalive

PINGS = [
    ("grpc.keepalive_time_ms", 100), ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0), ("grpc.keepalive_permit_without_calls", 1),
]
LENIENT = [
    ("grpc.http2.min_ping_interval_without_data_ms", 50),
    ("grpc.keepalive_permit_without_calls", 1),
]


def quiet_stream(stub, seconds):
    """A stream that is open and still for so long, and goes on after it."""
    release = threading.Event()

    def requests():
        yield EchoRequest(payload=b"first")
        release.wait(60)
        yield EchoRequest(payload=b"second")

    call = stub.Bidi(requests(), timeout=60)
    assert next(call).payload == b"first"
    pause(seconds)
    release.set()
    assert [a.payload for a in call] == [b"second"]


def test_clients_pings_are_no_strikes(told, echo_origin, echo_stub):  # noqa: F811
    """A PING every 100 ms, with a quiet stream and without one: the connection stays."""
    proxy = told(echo_origin.port)
    stub = echo_stub(proxy, *PINGS)
    calls.unary(stub, echo_origin)
    opened = proxy.value("weir_downstream_connections_opened_total")
    quiet_stream(stub, 2)
    pause(1)
    calls.unary(stub, echo_origin)
    assert proxy.value("weir_downstream_connections_opened_total") == opened
    assert not proxy.limit_lines("pings"), proxy.log


def test_servers_pings_are_answered(told, start_echo, echo_stub):  # noqa: F811
    """The server asks every 100 ms whether Weir is there, and would hang up without an answer."""
    proxy = told(start_echo([*PINGS, ("grpc.keepalive_timeout_ms", 500)]).port)
    stub = echo_stub(proxy)
    quiet_stream(stub, 2)
    calls.unary(stub, None)
    assert proxy.value("weir_upstream_connects_total") == 1
    assert not proxy.limit_lines("pings"), proxy.log


def test_weir_s_own_pings_are_no_strikes(told, start_echo, echo_stub):  # noqa: F811
    """With `keepalive`, to a server that allows it; one that strikes would send GOAWAY."""
    proxy = told(
        start_echo(LENIENT).port, upstream={"timeouts": {"keepalive": "100ms"}})
    stub = echo_stub(proxy)
    quiet_stream(stub, 2)
    calls.unary(stub, None)
    assert proxy.value("weir_upstream_connects_total") == 1
    assert not proxy.lines("goaway"), proxy.log


# Health

def health_options(name):
    """A client that asks for the service's health, and calls only while it is served."""
    config = {
        "loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": name}}
    return [("grpc.service_config", json.dumps(config))]


@pytest.fixture
def health():
    """grpc.health.v1 for a grpcio server: `health.change(name, is_serving)`."""
    return _Health()


class _Health:
    def __init__(self):
        self._servicer = grpc_health.aio.HealthServicer()

    def add(self, server):
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    def change(self, origin, name, is_serving):
        status = health_pb2.HealthCheckResponse.ServingStatus
        value = status.SERVING if is_serving else status.NOT_SERVING
        origin.run(self._servicer.set(name, value))


def test_health_checks_pass(start_weir, start_echo, health):
    """Check and Watch of grpc.health.v1 at the server, asked through Weir."""
    origin = start_echo(add=health.add)
    health.change(origin, "echo", True)
    proxy = start_weir(origin.port)
    with grpc.insecure_channel(f"127.0.0.1:{proxy.port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service="echo")
        assert stub.Check(request, timeout=20).status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as error:
            stub.Check(health_pb2.HealthCheckRequest(service="unheard-of"), timeout=20)
        assert error.value.code() == grpc.StatusCode.NOT_FOUND
        watch = stub.Watch(request, timeout=60)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        for is_serving in (False, True, False):
            health.change(origin, "echo", is_serving)
            expected = "SERVING" if is_serving else "NOT_SERVING"
            told_status = health_pb2.HealthCheckResponse.ServingStatus.Name(next(watch).status)
            assert told_status == expected
        watch.cancel()


def test_a_client_that_checks_health_itself(start_weir, start_echo, echo_stub, health):
    """gRPC's own client-side health checking keeps a Watch open beside its calls."""
    origin = start_echo(add=health.add)
    health.change(origin, "echo", True)
    stub = echo_stub(start_weir(origin.port), *health_options("echo"))
    assert stub.Unary(EchoRequest(payload=b"a"), timeout=20, wait_for_ready=True).payload == b"a"
    health.change(origin, "echo", False)

    def is_refused():
        try:
            stub.Unary(EchoRequest(), timeout=20)
        except grpc.RpcError as error:
            return error.code() == grpc.StatusCode.UNAVAILABLE
        return False

    waiting.until(is_refused, "the client to hear that nobody serves", 20)
    health.change(origin, "echo", True)
    assert stub.Unary(EchoRequest(payload=b"b"), timeout=20, wait_for_ready=True).payload == b"b"


def test_a_frame_type_that_nobody_knows_is_passed_over(start_weir, echo_origin, dial):
    """RFC 9113, 5.5, toward a real server: extension frames change nothing."""
    client = dial(start_weir(echo_origin.port))
    client.send_frame(0xf0, 0xff, 0, b"anything")
    stream = client.request(GRPC, end=False)
    client.send_frame(0xf1, 0, stream.number, b"")
    client.send_data(stream.number, EMPTY_MESSAGE, end=True)
    assert client.until_over(stream, 20).grpc_status == 0
    assert frames.GOAWAY not in [f.kind for f in client.frames]
