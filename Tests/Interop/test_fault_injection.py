"""Faults that a route puts into its own traffic."""

import time

import grpc
import pytest

import frames
import waiting
from access_log import logged  # noqa: F401
from echo_pb2 import EchoRequest
from frames import GET, GRPC, changed
from telemetry import told  # noqa: F401

UNAVAILABLE, DEADLINE_EXCEEDED, DATA_LOSS = 14, 4, 15


def fault(**terms):
    return {"fault": terms}


def always(**terms):
    return {"share": "100%", **terms}


@pytest.mark.parametrize(("terms", "grpc_status", "status"), [
    ({"grpc_status": "DATA_LOSS"}, DATA_LOSS, 500), ({"status": 404}, 12, 404),
    ({"grpc_status": 8, "status": 418}, 8, 418), ({"status": 503}, UNAVAILABLE, 503)])
def test_an_abort_is_answered_before_a_server_hears_of_it(
        logged, start_origin, dial, terms, grpc_status, status):  # noqa: F811
    origin = start_origin()
    proxy = logged(origin.port, route=fault(abort=always(**terms)))
    client = dial(proxy)
    stream = client.until_over(client.request(GRPC, b""))
    assert stream.is_trailers_only and stream.grpc_status == grpc_status
    assert stream.field("grpc-message") == "a fault that the route injects"
    assert client.until_over(client.request(GET)).status == status
    record = proxy.wait_for_records(2)[0]
    assert record["reason"] == "fault" and record["ended_by"] == "weir"
    assert "upstream_stream" not in record
    assert origin.requests == [] and origin.connections == []


def test_a_delay_holds_the_request_back(start_weir, start_origin, dial):
    origin = start_origin()
    client = dial(start_weir(origin.port, route=fault(delay=always(duration="300ms"))))
    begin = time.monotonic()
    body = bytes(16_000)
    stream = client.request(GRPC, body)
    assert client.until_over(stream).status == 200
    assert time.monotonic() - begin >= 0.3
    assert origin.requests[0].body == body


def test_the_deadline_passes_during_a_delay(start_weir, start_origin, dial):
    origin = start_origin()
    client = dial(start_weir(origin.port, route=fault(delay=always(duration="1h"))))
    begin = time.monotonic()
    stream = client.until_over(client.request(changed(GRPC, put=[("grpc-timeout", "200m")]), b""))
    assert stream.grpc_status == DEADLINE_EXCEEDED and stream.is_trailers_only
    assert 0.2 <= time.monotonic() - begin < 3
    assert origin.connections == []


def test_a_client_that_cancels_ends_its_delay(logged, start_origin, dial):  # noqa: F811
    origin = start_origin()
    proxy = logged(origin.port, route=fault(delay=always(duration="1h")))
    client = dial(proxy)
    stream = client.request(GRPC, b"")
    client.round_trip()
    client.send_reset(stream.number)
    assert proxy.wait_for_records(1)[0]["reason"] == "client_reset"
    assert origin.connections == []


def test_a_delay_comes_before_the_abort(start_weir, start_origin, dial):
    terms = fault(delay=always(duration="200ms"), abort=always(grpc_status="UNAVAILABLE"))
    client = dial(start_weir(start_origin().port, route=terms))
    begin = time.monotonic()
    assert client.until_over(client.request(GRPC, b"")).grpc_status == UNAVAILABLE
    assert time.monotonic() - begin >= 0.2


def test_shares_and_draws_are_as_configured(told, start_origin, dial):  # noqa: F811
    proxy = told(
        start_origin().port, listener={"limits": {"concurrent_streams": 1_000}},
        route=fault(
            delay={"duration": "1ms", "share": "50%"}, abort={"status": 503, "share": "25%"}))
    client = dial(proxy)
    count = 800
    streams = [client.request(GET) for _ in range(count)]
    client.until(lambda: all(s.is_over for s in streams), "all answers", 30)
    aborted = sum(s.status == 503 for s in streams)
    # Six standard deviations either way.
    assert 126 < aborted < 274
    name = "weir_faults_injected_total"
    assert proxy.value(name, fault="abort") == aborted
    assert 315 < proxy.value(name, fault="delay") < 485


@pytest.mark.parametrize(("share", "said", "statuses"), [
    ("100%", [], {503}), ("100%", ["0"], {200}), ("100%", ["0%", "100"], {200}),
    ("100%", ["x"], {503}), ("100%", ["100"], {503}), ("0.01%", ["100%"], {200})])
def test_a_header_lowers_the_share_and_never_raises_it(
        start_weir, start_origin, dial, share, said, statuses):
    terms = fault(abort={"status": 503, "share": share}, lowered_by="x-share")
    client = dial(start_weir(start_origin().port, route=terms))
    request = changed(GET, put=[("x-share", value) for value in said])
    seen = {client.until_over(client.request(request)).status for _ in range(20)}
    assert seen == statuses


def test_grpcio_sees_the_status(start_weir, echo_origin, echo_stub):
    proxy = start_weir(echo_origin.port, route=fault(abort=always(grpc_status="DATA_LOSS")))
    with pytest.raises(grpc.RpcError) as error:
        echo_stub(proxy).Unary(EchoRequest(), timeout=20)
    assert error.value.code() == grpc.StatusCode.DATA_LOSS


def test_a_drain_waits_for_a_delay(start_weir, start_origin, dial):
    proxy = start_weir(start_origin().port, route=fault(delay=always(duration="500ms")))
    client = dial(proxy)
    stream = client.request(frames.GRPC, b"")
    client.round_trip()
    proxy.signal(15)
    assert client.until_over(stream).status == 200
    waiting.until(lambda: not proxy.is_running(), "weir to end", 10)
