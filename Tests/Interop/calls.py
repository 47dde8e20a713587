"""What every path from a gRPC client to a gRPC server has to pass, as checks with names.

Each takes `stub`, a grpcio client of the path, and `origin`, the grpcio server at its end, or None
where the server cannot be asked what it saw.
"""

import threading
import time

import grpc
import pytest

import waiting
from echo_pb2 import EchoRequest, EchoTerms

MIB = 1 << 20


def unary(stub, origin):
    assert stub.Unary(EchoRequest(payload=b"abc"), timeout=20).payload == b"abc"


def client_stream(stub, origin):
    messages = [EchoRequest(payload=bytes([i]) * (i * 1_000)) for i in range(1, 20)]
    answer = stub.ClientStream(iter(messages), timeout=20)
    assert answer.payload == b"".join(m.payload for m in messages)


def server_stream(stub, origin):
    request = EchoRequest(payload=b"a" * 1_000, terms=EchoTerms(response_count=100))
    answers = list(stub.ServerStream(request, timeout=20))
    assert [a.index for a in answers] == list(range(100))
    assert all(a.payload == b"a" * 1_000 for a in answers)


def bidi_in_turns(stub, origin):
    """An answer comes before the next request goes: nothing between may hold messages back."""
    turn = threading.Semaphore(1)

    def requests():
        for number in range(20):
            assert turn.acquire(timeout=20)
            yield EchoRequest(payload=b"%d" % number)

    answers = []
    for answer in stub.Bidi(requests(), timeout=30):
        answers.append(answer.payload)
        turn.release()
    assert answers == [b"%d" % number for number in range(20)]


def empty_streams(stub, origin):
    assert list(stub.ServerStream(EchoRequest(), timeout=20)) == []
    assert list(stub.Bidi(iter([]), timeout=20)) == []
    assert stub.ClientStream(iter([]), timeout=20).payload == b""


SENT = [
    ("x-text", "a b,c"), ("x-text", "second"), ("x-bytes-bin", bytes(range(256))),
    ("x-many-bin", b"\0"), ("x-many-bin", b"\xff\xfe"),
]


def metadata(stub, origin):
    request = EchoRequest(terms=EchoTerms(echoes_metadata=True))
    _, call = stub.Unary.with_call(request, metadata=SENT, timeout=20)
    initial = [(k, v) for k, v in call.initial_metadata() if (k, v) in SENT]
    assert sorted(initial) == sorted(SENT)
    # Envoy adds an x-request-id of its own, which comes back as well.
    trailing = [(k.removeprefix("trailing-"), v) for k, v in call.trailing_metadata()]
    assert sorted(pair for pair in trailing if pair in SENT) == sorted(SENT)
    if origin:
        received = [(k, v) for k, v in origin.calls[-1].metadata if (k, v) in SENT]
        assert sorted(received) == sorted(SENT)


def status(stub, origin):
    """A status without a message before it, and one in the trailers behind a message."""
    words = "was it 100 % \u00fc\u4e16 ?"
    for at_once in (True, False):
        terms = EchoTerms(
            status_code=9, status_message=words, fails_at_once=at_once, response_count=1)
        answers = []
        with pytest.raises(grpc.RpcError) as error:
            for answer in stub.ServerStream(EchoRequest(terms=terms), timeout=20):
                answers.append(answer)
        assert error.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert error.value.details() == words
        assert len(answers) == (0 if at_once else 1)


def early_status(stub, origin):
    """The server ends the call while the client still sends."""
    stop = threading.Event()

    def requests():
        yield EchoRequest(terms=EchoTerms(ends_after=1, status_code=9, status_message="enough"))
        while not stop.is_set():
            yield EchoRequest(payload=b"abc" * 1_000)

    try:
        with pytest.raises(grpc.RpcError) as error:
            stub.ClientStream(requests(), timeout=30)
    finally:
        stop.set()
    assert error.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert error.value.details() == "enough"


def deadline(stub, origin):
    begin = time.monotonic()
    with pytest.raises(grpc.RpcError) as error:
        stub.Unary(EchoRequest(terms=EchoTerms(delay_ms=60_000)), timeout=0.5)
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - begin < 20
    if origin:
        waiting.until(
            lambda: all(c.ended for c in origin.calls), "the server to see the end", 20)


def cancel(stub, origin):
    """After the first answer, with the request open and the response, too."""
    release = threading.Event()

    def requests():
        yield EchoRequest(payload=b"first")
        release.wait(60)

    call = stub.Bidi(requests(), timeout=60)
    assert next(call).payload == b"first"
    call.cancel()
    if origin:
        waiting.until(lambda: origin.calls[-1].ended, "the server to see the cancel", 20)
    release.set()
    unary(stub, origin)


def large_messages(stub, origin):
    payload = bytes(i % 251 for i in range(4 * MIB))
    assert stub.Unary(EchoRequest(payload=payload), timeout=60).payload == payload
    messages = [EchoRequest(payload=bytes([i]) * (4 * MIB)) for i in range(2)]
    answers = [a.payload for a in stub.Bidi(iter(messages), timeout=60)]
    assert answers == [m.payload for m in messages]


def many_at_once(stub, origin):
    futures = [
        stub.Unary.future(EchoRequest(payload=b"%d" % i, terms=EchoTerms(delay_ms=20)), timeout=60)
        for i in range(90)]
    assert [f.result().payload for f in futures] == [b"%d" % i for i in range(90)]


ALL = [
    unary, client_stream, server_stream, bidi_in_turns, empty_streams, metadata, status,
    early_status, deadline, cancel, large_messages, many_at_once,
]
