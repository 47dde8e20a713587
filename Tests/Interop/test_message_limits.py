"""How large one gRPC message may be: the length prefix decides, and nothing is held for it."""

import grpc
import pytest

from access_log import logged  # noqa: F401
from echo_pb2 import EchoRequest, EchoTerms
import frames
import waiting
from frames import CANCEL, GET, GRPC, GRPC_RESPONSE

RESOURCE_EXHAUSTED = 8


def message(length, sent=None):
    return b"\0" + length.to_bytes(4, "big") + bytes(length if sent is None else sent)


def limited(**limits):
    return {"message_limits": {key: f"{size}B" for key, size in limits.items()}}


def responds(*parts):
    """A script: these pieces of body, each in a flush of its own, then OK."""

    def script(connection):
        while (stream := connection.next_finished(timeout=60)) is not None:
            connection.send_headers(stream.number, GRPC_RESPONSE)
            for part in parts:
                connection.round_trip()
                connection.send_data(stream.number, part)
            connection.send_headers(stream.number, [("grpc-status", "0")], end=True)

    return script


@pytest.mark.parametrize("length", [0, 99, 100])
def test_a_request_up_to_the_limit_passes(start_weir, start_origin, dial, length):
    origin = start_origin()
    client = dial(start_weir(origin.port, route=limited(request=100)))
    body = message(length) * 3
    assert client.until_over(client.request(GRPC, body)).grpc_status == 0
    assert origin.requests[0].body == body


def test_a_request_over_the_limit_is_refused(logged, start_origin, dial):  # noqa: F811
    origin = start_origin()
    proxy = logged(origin.port, route=limited(request=100))
    client = dial(proxy)
    stream = client.until_over(client.request(GRPC, message(101)))
    assert stream.is_trailers_only and stream.grpc_status == RESOURCE_EXHAUSTED
    assert stream.field("grpc-message") == (
        "a message of 101 bytes, which is more than the 100 of the route's limit")
    record = proxy.wait_for_records()[0]
    assert record["reason"] == "message_too_large" and record["fault"] == "client"
    assert record["limit"] == "message_limits.request" and record["ended_by"] == "weir"
    assert record["grpc_status"] == "RESOURCE_EXHAUSTED"
    proxy.wait_for_log("limit=message_limits.request listener=edge")
    assert origin.requests == []


@pytest.mark.parametrize("split", [1, 4, 5])
def test_the_prefix_decides_before_the_message_comes(start_weir, start_origin, dial, split):
    origin = start_origin(frames.answer_all)
    client = dial(start_weir(origin.port, route=limited(request=1 << 20)))
    stream = client.request(GRPC, end=False)
    client.send_data(stream.number, message(10))
    origin.wait_for_requests()
    client.round_trip()
    prefix = message(1 << 30, sent=0)
    client.send_data(stream.number, prefix[:split])
    client.round_trip()
    client.send_data(stream.number, prefix[split:])
    client.until_over(stream)
    assert stream.grpc_status == RESOURCE_EXHAUSTED
    # The server has got nothing of it beyond a part of its prefix.
    request = origin.requests[0]
    origin_saw = bytes(request.body)
    assert origin_saw.startswith(message(10)) and len(origin_saw) < 15 + 5


def test_the_servers_stream_is_cancelled(start_weir, start_origin, dial):
    origin = start_origin()
    client = dial(start_weir(origin.port, route=limited(request=100)))
    stream = client.request(GRPC, message(5), end=False)
    origin.wait_for_requests()
    client.send_data(stream.number, message(101))
    assert client.until_over(stream).grpc_status == RESOURCE_EXHAUSTED
    waiting.until(lambda: origin.requests[0].reset == CANCEL, lambda: f"{origin.requests}")
    # Its connection goes on.
    assert client.until_over(client.request(GRPC, message(1))).grpc_status == 0


@pytest.mark.parametrize("length", [0, 100])
def test_a_response_up_to_the_limit_passes(start_weir, start_origin, dial, length):
    body = message(length) * 3
    client = dial(start_weir(start_origin(responds(body)).port, route=limited(response=100)))
    stream = client.until_over(client.request(GRPC, message(1000)))
    assert stream.grpc_status == 0 and stream.body == body


def test_what_comes_before_a_larger_response_passes(logged, start_origin, dial):  # noqa: F811
    parts = [message(100), message(0) + message(7) + message(101) + message(3)]
    proxy = logged(start_origin(responds(*parts)).port, route=limited(response=100))
    client = dial(proxy)
    stream = client.until_over(client.request(GRPC, message(1)))
    assert bytes(stream.body) == message(100) + message(0) + message(7)
    assert stream.ended and stream.trailer("grpc-status") == str(RESOURCE_EXHAUSTED)
    record = proxy.wait_for_records()[0]
    assert record["reason"] == "message_too_large" and record["fault"] == "upstream"
    assert record["limit"] == "message_limits.response" and record["response_messages"] == 3


def test_what_came_with_the_end_of_a_larger_response_passes(start_weir, start_origin, dial):
    """The server's own end, in the same read, takes nothing away."""

    def script(connection):
        stream = connection.next_finished(timeout=60)
        connection.send_headers(stream.number, GRPC_RESPONSE)
        connection.round_trip()
        flags = frames.END_HEADERS | frames.END_STREAM
        connection.send(
            frames.frame(frames.DATA, 0, stream.number, message(7) + message(101))
            + frames.frame(
                frames.HEADERS, flags, stream.number, frames.literals([("grpc-status", "0")])))
        while connection.receive(60) is not None:
            pass

    client = dial(start_weir(start_origin(script).port, route=limited(response=100)))
    stream = client.until_over(client.request(GRPC, message(1)))
    assert stream.body == message(7)
    assert stream.ended and stream.trailer("grpc-status") == str(RESOURCE_EXHAUSTED)


def test_a_large_first_response_is_refused(start_weir, start_origin, dial):
    def script(connection):
        stream = connection.next_finished(timeout=60)
        connection.send_headers(stream.number, GRPC_RESPONSE)
        # Announced, and never sent.
        connection.send_data(stream.number, message(1 << 31, sent=0))
        while connection.receive(60) is not None:
            pass

    client = dial(start_weir(start_origin(script).port, route=limited(response=4 << 20)))
    stream = client.until_over(client.request(GRPC, message(1)))
    assert stream.grpc_status == RESOURCE_EXHAUSTED and stream.body == b""


def test_plain_http_has_no_messages(start_weir, start_origin, dial):
    origin = start_origin()
    client = dial(start_weir(origin.port, route=limited(request=1, response=1)))
    assert client.until_over(client.request(frames.POST, b"\0\xff\xff\xff\xff" * 9)).status == 200
    assert client.until_over(client.request(GET)).body == b"hello"


def test_a_client_sees_it_as_grpc_does(start_weir, echo_origin, echo_stub):
    stub = echo_stub(start_weir(echo_origin.port, route=limited(request=5000, response=3000)))
    with pytest.raises(grpc.RpcError) as failure:
        stub.Unary(EchoRequest(payload=bytes(1 << 20)), timeout=5)
    assert failure.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "1048" in failure.value.details()
    with pytest.raises(grpc.RpcError) as failure:
        stub.Unary(EchoRequest(terms=EchoTerms(response_bytes=1 << 20)), timeout=5)
    assert failure.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    terms = EchoTerms(response_bytes=2900, response_count=100)
    answers = list(stub.ServerStream(EchoRequest(terms=terms), timeout=5))
    assert len(answers) == 100
    # Many small ones are not one large one.
    requests = (EchoRequest(payload=bytes(4000)) for _ in range(3))
    with pytest.raises(grpc.RpcError) as failure:
        stub.ClientStream(requests, timeout=5)
    assert "12" in failure.value.details() and "from the server" in failure.value.details()
