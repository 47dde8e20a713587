"""Breakers of an upstream: what is over them is answered at once, and not to be tried again."""

import json
import threading
import time
from concurrent import futures

import grpc
import pytest

import frames
import waiting
from echo_pb2 import EchoRequest, EchoResponse
from frames import GET, GRPC, GRPC_RESPONSE
from telemetry import told  # noqa: F401

UNAVAILABLE = 14


def holds(connection):
    """A script: takes requests and never answers."""
    while connection.next_request(timeout=60) is not None:
        pass


BREAKERS = [
    ({"requests": 1}, 0, "upstream.requests"), ({"requests": 3}, 2, "upstream.requests"),
    # One connection with one stream, which is taken, and one may wait for it.
    ({"connections": 1, "pending": 1}, 1, "upstream.pending"),
]


@pytest.mark.parametrize(("limits", "others", "limit"), BREAKERS)
def test_a_breaker_answers_at_once_and_says_not_to_come_back(
        told, start_origin, dial, limits, others, limit):  # noqa: F811
    server = start_origin(holds, settings={3: 1} if "pending" in limits else ())
    proxy = told(server.port, upstream={"limits": limits})
    client = dial(proxy)
    client.request(GRPC, b"")
    server.wait_for_requests()
    for _ in range(others):
        client.request(GRPC, b"")
    client.round_trip()
    stream = client.until_over(client.request(GRPC, b""))
    assert stream.is_trailers_only and stream.grpc_status == UNAVAILABLE
    assert stream.field("grpc-retry-pushback-ms") == "-1"
    assert stream.field("grpc-message") == f"over the limit {limit}"
    plain = client.until_over(client.request(GET))
    assert plain.status == 503 and plain.field("retry-after") is None
    assert len(server.requests) == (1 if "pending" in limits else 1 + others)
    assert proxy.value("weir_limits_tripped_total", limit=limit) == 2


class Workshop:
    """A grpcio server with so many hands, each of which takes a while for a call."""

    def __init__(self, hands, seconds):
        self.seconds = seconds
        self._server = grpc.server(futures.ThreadPoolExecutor(hands))
        method = grpc.unary_unary_rpc_method_handler(
            self._work, request_deserializer=EchoRequest.FromString,
            response_serializer=EchoResponse.SerializeToString)
        self._server.add_generic_rpc_handlers([_Any(method)])
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def _work(self, request, context):
        threading.Event().wait(self.seconds)
        return EchoResponse()

    def stop(self):
        self._server.stop(None)


class _Any(grpc.GenericRpcHandler):
    def __init__(self, method):
        self._method = method

    def service(self, details):
        return self._method


def test_adaptive_concurrency_finds_what_a_server_can_do(told, echo_stub):  # noqa: F811
    """Six hands of 20 ms, and forty callers who all want to be first."""
    server = Workshop(6, 0.02)
    terms = {"min": 2, "max": 100, "requests": 10, "window": "50ms", "interval": "1h"}
    proxy = told(server.port, upstream={"adaptive_concurrency": terms})
    stub = echo_stub(proxy)
    stop = threading.Event()
    times, refusals = [], []

    def call():
        while not stop.is_set():
            begin = time.monotonic()
            try:
                stub.Unary(EchoRequest(), timeout=20)
                times.append(time.monotonic() - begin)
            except grpc.RpcError as error:
                assert error.code() == grpc.StatusCode.UNAVAILABLE, error
                refusals.append(error.details())
                stop.wait(0.01)

    callers = [threading.Thread(target=call) for _ in range(40)]
    for caller in callers:
        caller.start()
    waiting.until(lambda: len(times) > 1_000, lambda: f"calls; there are {len(times)}", 60)
    limit = proxy.value("weir_upstream_adaptive_concurrency", upstream="origin")
    upstream = json.loads(proxy.ask("/upstreams")[1])[0]
    stop.set()
    for caller in callers:
        caller.join()
    server.stop()
    # Without the limit all forty would be at the server, and each would take 133 ms.
    assert 4 <= limit <= 25, limit
    assert 2 <= upstream["adaptive_concurrency"] <= 30
    assert refusals and set(refusals) == {"over the limit upstream.adaptive_concurrency"}
    late = sorted(times[500:])
    assert late[len(late) // 2] < 0.1


def test_only_so_many_calls_are_tried_again_at_once(told, start_origin, dial):  # noqa: F811
    def script(connection):
        while (stream := connection.next_finished(timeout=60)) is not None:
            connection.send_headers(
                stream.number, [*GRPC_RESPONSE, ("grpc-status", "14")], end=True)

    server = start_origin(script)
    retry = {"attempts": 2, "codes": ["UNAVAILABLE"], "backoff": {"base": "1s", "max": "1s"}}
    proxy = told(
        server.port, upstream={"limits": {"retries": 1}}, route={"retry": retry})
    client = dial(proxy)
    first = client.request(GRPC, b"")
    server.wait_for_requests(1)
    client.round_trip()
    waiting.until(lambda: proxy.value("weir_upstream_retries") == 1, "the retry", 5)
    second = client.until_over(client.request(GRPC, b""))
    assert second.grpc_status == UNAVAILABLE and not first.is_over
    assert proxy.value("weir_limits_tripped_total", limit="upstream.retries") == 1
    assert client.until_over(first).grpc_status == UNAVAILABLE
    assert len(server.requests) == 3
    assert proxy.value("weir_upstream_retries") == 0
    # Its place is free again.
    client.until_over(client.request(GRPC, b""))
    assert len(server.requests) == 5
