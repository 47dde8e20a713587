"""gRPC for Python on both sides: what services do every day must pass unchanged."""

import threading
import time

import grpc
import pytest

import waiting
import weir
from echo_origin import EchoOrigin
from echo_pb2 import EchoRequest, EchoTerms

MESSAGES = [EchoRequest(payload=bytes([i]) * (i * 100)) for i in range(1, 6)]


@pytest.fixture
def stub(start_weir, echo_origin, echo_stub):
    return echo_stub(start_weir(echo_origin.port))


def test_unary(stub, echo_origin):
    assert stub.Unary(EchoRequest(payload=b"abc"), timeout=5).payload == b"abc"
    assert echo_origin.call().method == "Unary"


def test_client_stream(stub):
    answer = stub.ClientStream(iter(MESSAGES), timeout=5)
    assert answer.payload == b"".join(m.payload for m in MESSAGES)
    assert answer.index == 5


def test_server_stream(stub):
    request = EchoRequest(payload=b"abc", terms=EchoTerms(response_count=100))
    answers = list(stub.ServerStream(request, timeout=5))
    assert [a.index for a in answers] == list(range(100))
    assert all(a.payload == b"abc" for a in answers)


def test_bidi_in_turns(stub):
    turn = threading.Semaphore(1)

    def requests():
        for message in MESSAGES:
            assert turn.acquire(timeout=5)
            yield message

    answers = []
    for answer in stub.Bidi(requests(), timeout=5):
        answers.append(answer.payload)
        turn.release()
    assert answers == [m.payload for m in MESSAGES]


def test_a_bidi_stream_may_be_quiet_after_half_close(stub):
    request = EchoRequest(payload=b"abc", terms=EchoTerms(delay_ms=1500))
    assert [a.payload for a in stub.Bidi(iter([request]), timeout=10)] == [b"abc"]


def test_empty_streams(stub):
    assert list(stub.ServerStream(EchoRequest(), timeout=5)) == []
    assert list(stub.Bidi(iter([]), timeout=5)) == []
    assert stub.ClientStream(iter([]), timeout=5).payload == b""


def test_metadata_passes_both_ways(stub, echo_origin):
    sent = [
        ("x-text", "a b,c"), ("x-text", "second"), ("x-empty", ""),
        ("x-bytes-bin", bytes(range(256))), ("x-empty-bin", b""),
        ("x-many-bin", b"\0"), ("x-many-bin", b"\xff\xfe"),
    ]
    request = EchoRequest(terms=EchoTerms(echoes_metadata=True))
    answer, call = stub.Unary.with_call(request, metadata=sent, timeout=5)
    received = [(k, v) for k, v in echo_origin.call().metadata if k.startswith("x-")]
    assert sorted(received) == sorted(sent)
    assert echo_origin.call().values("x-text") == ["a b,c", "second"]
    assert echo_origin.call().values("x-many-bin") == [b"\0", b"\xff\xfe"]
    initial = [(k, v) for k, v in call.initial_metadata() if k.startswith("x-")]
    assert sorted(initial) == sorted(sent)
    trailing = [(k, v) for k, v in call.trailing_metadata() if k.startswith("trailing-x-")]
    assert sorted(trailing) == sorted(("trailing-" + k, v) for k, v in sent)


def test_the_caller_stays_who_it_is(stub, echo_origin):
    stub.Unary(EchoRequest(), timeout=5)
    assert "grpc-python" in echo_origin.call().values("user-agent")[0]


@pytest.mark.parametrize("code", [c for c in grpc.StatusCode if c.value[0]], ids=lambda c: c.name)
@pytest.mark.parametrize("at_once", [True, False], ids=["trailers-only", "after-message"])
def test_a_status_passes(stub, code, at_once):
    message = "was it 100 % \u00fc\u4e16\n?"
    terms = EchoTerms(
        status_code=code.value[0], status_message=message, fails_at_once=at_once,
        response_count=1)
    answers = []
    with pytest.raises(grpc.RpcError) as error:
        for answer in stub.ServerStream(EchoRequest(terms=terms), timeout=5):
            answers.append(answer)
    assert error.value.code() == code
    assert error.value.details() == message
    assert len(answers) == (0 if at_once else 1)


def test_an_early_end_reaches_a_client_that_still_sends(stub, echo_origin):
    stop = threading.Event()

    def requests():
        yield EchoRequest(payload=b"abc", terms=EchoTerms(ends_after=3))
        while not stop.is_set():
            yield EchoRequest(payload=b"abc" * 1000)

    try:
        answer = stub.ClientStream(requests(), timeout=10)
    finally:
        stop.set()
    assert answer.index == 3
    assert echo_origin.call().received == 3


def test_an_early_failure_reaches_a_client_that_still_sends(stub):
    stop = threading.Event()

    def requests():
        yield EchoRequest(terms=EchoTerms(ends_after=1, status_code=9, status_message="enough"))
        while not stop.is_set():
            yield EchoRequest(payload=b"abc" * 1000)

    with pytest.raises(grpc.RpcError) as error:
        stub.ClientStream(requests(), timeout=10)
    stop.set()
    assert error.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert error.value.details() == "enough"


def test_the_deadline_travels(stub, echo_origin):
    stub.Unary(EchoRequest(), timeout=10)
    left = echo_origin.call().seconds_left
    # gRPC's C core rounds what it sends up to a tenth of a second: 10 s may leave as 10100m.
    assert 8 < left <= 10.1


def test_a_deadline_ends_the_call_at_both_ends(stub, echo_origin):
    begin = time.monotonic()
    with pytest.raises(grpc.RpcError) as error:
        stub.Unary(EchoRequest(terms=EchoTerms(delay_ms=60_000)), timeout=0.4)
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - begin < 3
    waiting.until(lambda: echo_origin.call().cancelled, "the server to see the call's end")


@pytest.mark.parametrize("shape", ["Unary", "ClientStream", "ServerStream", "Bidi"])
def test_a_client_s_cancel_reaches_the_server(stub, echo_origin, shape):
    request = EchoRequest(terms=EchoTerms(delay_ms=60_000, response_count=1))
    call = {
        "Unary": lambda: stub.Unary.future(request),
        "ClientStream": lambda: stub.ClientStream.future(iter([request])),
        "ServerStream": lambda: stub.ServerStream(request),
        "Bidi": lambda: stub.Bidi(iter([request])),
    }[shape]()
    seen = echo_origin.call()
    waiting.until(lambda: seen.received or shape in ("ClientStream", "Bidi"), "the request")
    call.cancel()
    waiting.until(lambda: seen.cancelled, "the server to see the cancel")


@pytest.mark.parametrize("size", [0, 1, 16_379, 16_380, 65_535, 1 << 20, 4 << 20])
def test_messages_of_all_sizes(stub, size):
    payload = bytes(i % 251 for i in range(1000)) * (size // 1000 + 1)
    payload = payload[:size]
    assert stub.Unary(EchoRequest(payload=payload), timeout=20).payload == payload


def test_large_messages_on_a_stream(stub):
    messages = [EchoRequest(payload=bytes([i]) * (4 << 20)) for i in range(4)]
    answers = [a.payload for a in stub.Bidi(iter(messages), timeout=30)]
    assert answers == [m.payload for m in messages]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_thousand_streams_at_once(start_weir, echo_origin, echo_stub, workers):
    proxy = start_weir(
        echo_origin.port, workers=workers, listener={"limits": {"concurrent_streams": 1000}})
    stub = echo_stub(proxy)
    release = threading.Event()

    def requests(index):
        yield EchoRequest(payload=b"first %d" % index)
        release.wait(30)
        yield EchoRequest(payload=b"second %d" % index)

    calls = [stub.Bidi(requests(i), timeout=60) for i in range(1000)]
    try:
        firsts = [next(call).payload for call in calls]
    finally:
        release.set()
    assert firsts == [b"first %d" % i for i in range(1000)]
    assert [[a.payload for a in call] for call in calls] == [
        [b"second %d" % i] for i in range(1000)]
    assert len(echo_origin.calls) == 1000


def test_streams_beyond_the_announced_limit_wait(start_weir, echo_origin, echo_stub):
    stub = echo_stub(start_weir(
        echo_origin.port, listener={"limits": {"concurrent_streams": 5}}))
    futures = [
        stub.Unary.future(EchoRequest(payload=b"%d" % i, terms=EchoTerms(delay_ms=20)), timeout=20)
        for i in range(50)]
    assert [f.result().payload for f in futures] == [b"%d" % i for i in range(50)]


def test_a_server_s_own_stream_limit_is_obeyed(start_weir, echo_stub):
    origin = EchoOrigin([("grpc.max_concurrent_streams", 3)])
    try:
        stub = echo_stub(start_weir(origin.port))
        # What a server's SETTINGS say is known only after they came.
        stub.Unary(EchoRequest(), timeout=5)
        terms = EchoTerms(delay_ms=20)
        futures = [
            stub.Unary.future(EchoRequest(payload=b"%d" % i, terms=terms), timeout=20)
            for i in range(50)]
        assert [f.result().payload for f in futures] == [b"%d" % i for i in range(50)]
    finally:
        origin.stop()


def test_without_a_server_a_call_is_unavailable(start_weir, echo_stub):
    stub = echo_stub(start_weir(weir.free_port()))
    with pytest.raises(grpc.RpcError) as error:
        stub.Unary(EchoRequest(), timeout=10)
    assert error.value.code() == grpc.StatusCode.UNAVAILABLE


def test_a_server_that_comes_back_is_found_again(start_weir, echo_stub):
    first = EchoOrigin()
    stub = echo_stub(start_weir(first.port))
    assert stub.Unary(EchoRequest(payload=b"1"), timeout=5).payload == b"1"
    first.stop()
    with pytest.raises(grpc.RpcError) as error:
        stub.Unary(EchoRequest(), timeout=5)
    assert error.value.code() == grpc.StatusCode.UNAVAILABLE
