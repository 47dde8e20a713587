"""What Weir itself answers, and how an upstream's bad end reaches the client."""

import pytest

import expect
import frames
import waiting
import weir
from frames import GET, GRPC, GRPC_RESPONSE, POST, changed

CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, PERMISSION_DENIED = 1, 2, 4, 7
RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 8, 12, 13, 14

# gRPC over HTTP/2, "Errors"; the HTTP/2 code that a server reset a stream with.
RESET_STATUSES = {
    frames.NO_ERROR: INTERNAL, frames.PROTOCOL_ERROR: INTERNAL, frames.INTERNAL_ERROR: INTERNAL,
    frames.FLOW_CONTROL_ERROR: INTERNAL, frames.SETTINGS_TIMEOUT: INTERNAL,
    frames.FRAME_SIZE_ERROR: INTERNAL, frames.REFUSED_STREAM: UNAVAILABLE,
    frames.CANCEL: CANCELLED, frames.COMPRESSION_ERROR: INTERNAL, frames.CONNECT_ERROR: INTERNAL,
    frames.ENHANCE_YOUR_CALM: RESOURCE_EXHAUSTED, frames.INADEQUATE_SECURITY: PERMISSION_DENIED,
}


def ending(end, head=None, data=b""):
    """A script: for each request that ended the head and data, if any, then `end(connection, n)`."""

    def script(connection):
        while (stream := connection.next_finished(60)) is not None:
            if head:
                connection.send_headers(stream.number, head)
                if data:
                    connection.send_data(stream.number, data)
                connection.round_trip()
            end(connection, stream.number)
            if connection.closed:
                return

    return script


def reset(code):
    return lambda connection, number: connection.send_reset(number, code)


def cut(connection, number):
    connection.cut()


def close(connection, number):
    connection.close()


def ask(start_weir, start_origin, dial, script, fields, body=None, **parts):
    """Client and answer of one request to an origin with this script."""
    client = dial(start_weir(start_origin(script).port, **parts))
    return client, client.until_over(client.request(fields, body))


@pytest.mark.parametrize("code", RESET_STATUSES)
def test_a_reset_before_headers_becomes_a_status(start_weir, start_origin, dial, code):
    answer = ask(start_weir, start_origin, dial, ending(reset(code)), GRPC, bytes(5))
    expect.trailers_only(RESET_STATUSES[code])(*answer)


@pytest.mark.parametrize("code", RESET_STATUSES)
def test_a_reset_after_headers_becomes_trailers(start_weir, start_origin, dial, code):
    script = ending(reset(code), GRPC_RESPONSE, bytes(5))
    _, stream = ask(start_weir, start_origin, dial, script, GRPC, bytes(5))
    assert stream.ended and stream.reset in (None, frames.NO_ERROR)
    assert stream.body == bytes(5)
    assert stream.trailers and stream.grpc_status == RESET_STATUSES[code]


@pytest.mark.parametrize("code", RESET_STATUSES)
def test_a_reset_before_headers_is_a_bad_gateway(start_weir, start_origin, dial, code):
    answer = ask(start_weir, start_origin, dial, ending(reset(code)), GET)
    expect.http(502, 503, 504)(*answer)


@pytest.mark.parametrize("code", RESET_STATUSES)
def test_a_reset_after_headers_is_passed_on(start_weir, start_origin, dial, code):
    script = ending(reset(code), [(":status", "200")], b"abc")
    _, stream = ask(start_weir, start_origin, dial, script, GET)
    assert stream.body == b"abc" and not stream.ended
    if code in (frames.NO_ERROR, frames.REFUSED_STREAM):
        # Of these, one would make half an answer look whole, the other the request unprocessed.
        assert stream.reset not in (None, frames.NO_ERROR, frames.REFUSED_STREAM)
    else:
        assert stream.reset == code


@pytest.mark.parametrize("end", [cut, close])
def test_a_lost_connection_is_unavailable(start_weir, start_origin, dial, end):
    answer = ask(start_weir, start_origin, dial, ending(end), GRPC, bytes(5))
    expect.trailers_only(UNAVAILABLE)(*answer)


@pytest.mark.parametrize("end", [cut, close])
def test_a_lost_connection_is_unavailable_after_headers_too(start_weir, start_origin, dial, end):
    script = ending(end, GRPC_RESPONSE, bytes(5))
    _, stream = ask(start_weir, start_origin, dial, script, GRPC, bytes(5))
    assert stream.ended and stream.trailers and stream.grpc_status == UNAVAILABLE


@pytest.mark.parametrize("end", [cut, close])
def test_a_lost_connection_is_a_bad_gateway(start_weir, start_origin, dial, end):
    expect.http(502, 503)(*ask(start_weir, start_origin, dial, ending(end), GET))


@pytest.mark.parametrize("end", [cut, close])
def test_a_lost_connection_never_looks_like_a_whole_body(start_weir, start_origin, dial, end):
    script = ending(end, [(":status", "200")], b"abc")
    _, stream = ask(start_weir, start_origin, dial, script, GET)
    assert not stream.ended and stream.reset == frames.INTERNAL_ERROR


@pytest.mark.parametrize(
    "fields, check", [(GET, expect.http(502, 503)), (GRPC, expect.trailers_only(UNAVAILABLE))],
    ids=["plain", "grpc"])
def test_no_server_at_all(start_weir, dial, fields, check):
    client = dial(start_weir(weir.free_port()))
    check(client, client.until_over(client.request(fields)))


HTTP_STATUSES = {
    400: INTERNAL, 401: 16, 403: PERMISSION_DENIED, 404: UNIMPLEMENTED, 429: UNAVAILABLE,
    431: INTERNAL, 500: UNKNOWN, 502: UNAVAILABLE, 503: UNAVAILABLE, 504: UNAVAILABLE,
}


@pytest.mark.parametrize("status", HTTP_STATUSES)
def test_an_http_error_to_a_grpc_call_stays_one(start_weir, start_origin, dial, status):
    def end(connection, number):
        connection.send_headers(number, [(":status", str(status))], end=True)

    _, stream = ask(start_weir, start_origin, dial, ending(end), GRPC, bytes(5))
    # Passed as it is, the client maps it; answered by Weir, it carries what the client would get.
    assert stream.ended
    assert stream.status == status or stream.grpc_status == HTTP_STATUSES[status], stream


def test_a_trailers_only_answer_stays_one_frame(start_weir, start_origin, dial):
    def end(connection, number):
        status = [("grpc-status", "5"), ("grpc-message", "no%20such"), ("x-own", "1")]
        connection.send_headers(number, [*GRPC_RESPONSE, *status], end=True)

    _, stream = ask(start_weir, start_origin, dial, ending(end), GRPC, bytes(5))
    assert stream.is_trailers_only
    assert (stream.field("grpc-status"), stream.field("x-own")) == ("5", "1")
    assert stream.field("grpc-message") == "no%20such"


def test_trailers_without_a_message_stay_trailers(start_weir, start_origin, dial):
    def end(connection, number):
        connection.send_headers(number, [("grpc-status", "5")], end=True)

    script = ending(end, GRPC_RESPONSE)
    _, stream = ask(start_weir, start_origin, dial, script, GRPC, bytes(5))
    assert stream.field("grpc-status") is None and stream.trailer("grpc-status") == "5"


ELSEWHERE = {"matches": [{"method": "other.Service/*"}]}


@pytest.mark.parametrize(
    "fields, check", [(GET, expect.http(404)), (GRPC, expect.trailers_only(UNIMPLEMENTED))],
    ids=["plain", "grpc"])
def test_no_route(start_weir, start_origin, dial, fields, check):
    origin = start_origin()
    client = dial(start_weir(origin.port, route=ELSEWHERE))
    check(client, client.until_over(client.request(fields)))
    assert origin.requests == []


def is_early_answer(client, stream, then):
    """The whole answer, then RST_STREAM(NO_ERROR): in this order, and nothing else."""
    then(client, stream)
    client.until(lambda: stream.reset is not None, "RST_STREAM after the answer")
    assert stream.reset == frames.NO_ERROR
    kinds = [f.kind for f in client.frames if f.stream == stream.number]
    assert kinds[-1] == frames.RST_STREAM and frames.HEADERS in kinds[:-1]


def test_weir_s_own_answer_to_a_client_that_still_sends(start_weir, start_origin, dial):
    client = dial(start_weir(start_origin().port, route=ELSEWHERE))
    stream = client.request(GRPC, bytes(5), end=False)
    client.until(lambda: stream.ended)
    is_early_answer(client, stream, expect.trailers_only(UNIMPLEMENTED))


def test_weir_s_own_http_answer_to_a_client_that_still_sends(start_weir, start_origin, dial):
    client = dial(start_weir(start_origin().port, route=ELSEWHERE))
    stream = client.request(POST, b"abc", end=False)
    client.until(lambda: stream.ended)
    is_early_answer(client, stream, expect.http(404))


@pytest.mark.parametrize("fields", [POST, GRPC], ids=["plain", "grpc"])
def test_an_origin_s_early_answer(start_weir, start_origin, dial, fields):
    def script(connection):
        stream = connection.next_request(60)
        frames.answer(connection, stream)
        connection.send_reset(stream.number, frames.NO_ERROR)
        while connection.receive(60) is not None:
            pass

    client = dial(start_weir(start_origin(script).port))
    stream = client.request(fields, bytes(5), end=False)
    client.until(lambda: stream.ended)
    is_early_answer(client, stream, lambda *_: None)
    assert stream.status == 200 and (stream.grpc_status == 0 or fields is POST)


@pytest.mark.parametrize("fields", [POST, GRPC], ids=["plain", "grpc"])
def test_an_origin_may_read_on_after_its_answer(start_weir, start_origin, dial, fields):
    """Half-close in either order: without RST_STREAM the server wants the rest of the request."""

    def script(connection):
        frames.answer(connection, connection.next_request(60))
        while connection.receive(60) is not None:
            pass

    origin = start_origin(script)
    client = dial(start_weir(origin.port))
    stream = client.request(fields, bytes(5), end=False)
    client.until(lambda: stream.ended)
    client.send_data(stream.number, bytes(5))
    client.round_trip()
    client.send_data(stream.number, bytes(5), end=True)
    waiting.until(lambda: origin.requests[0].ended, "the request's end at the origin")
    assert len(origin.requests[0].body) == 15
    client.round_trip()
    assert stream.reset is None


def test_an_early_answer_after_much_data_is_whole(start_weir, start_origin, dial):
    def script(connection):
        stream = connection.next_request(60)
        connection.send_headers(stream.number, [(":status", "413")])
        connection.queue(stream.number, b"e" * 300_000)
        connection.until(lambda: connection.data_sent == 300_000)
        connection.send_reset(stream.number, frames.NO_ERROR)
        while connection.receive(60) is not None:
            pass

    client = dial(start_weir(start_origin(script).port))
    stream = client.request(POST, bytes(16_000), end=False)
    client.until(lambda: stream.is_over)
    assert stream.ended, "the reset took the end of the answer away"
    is_early_answer(client, stream, expect.http(413))
    assert stream.body == b"e" * 300_000


@pytest.mark.parametrize("fields", [GET, GRPC], ids=["plain", "grpc"])
@pytest.mark.parametrize("moment", ["before headers", "after headers"])
def test_a_client_s_reset_is_carried_upstream(start_weir, start_origin, dial, fields, moment):
    def script(connection):
        stream = connection.next_request(60)
        if moment == "after headers":
            connection.send_headers(stream.number, GRPC_RESPONSE)
        while connection.receive(60) is not None:
            pass

    origin = start_origin(script)
    client = dial(start_weir(origin.port))
    stream = client.request(fields, bytes(5), end=False)
    seen = origin.wait_for_requests()[0]
    if moment == "after headers":
        client.until(lambda: stream.headers)
    client.send_reset(stream.number, frames.CANCEL)
    client.round_trip()
    waiting.until(lambda: seen.reset is not None, "the reset at the origin")
    assert seen.reset == frames.CANCEL


@pytest.mark.parametrize("fields", [GET, GRPC], ids=["plain", "grpc"])
def test_a_client_that_leaves_is_carried_upstream(start_weir, start_origin, dial, fields):
    def script(connection):
        while connection.receive(60) is not None:
            pass

    origin = start_origin(script)
    client = dial(start_weir(origin.port))
    client.request(fields, bytes(5), end=False)
    seen = origin.wait_for_requests()[0]
    client.cut()
    waiting.until(lambda: seen.reset is not None, "the reset at the origin")
    assert seen.reset == frames.CANCEL


def test_half_close_of_the_server_first(start_weir, start_origin, dial):
    """The server ends its side; what the client still sends must reach it."""

    def script(connection):
        stream = connection.next_request(60)
        connection.send_headers(stream.number, [(":status", "200")], end=False)
        connection.send_data(stream.number, b"first")
        connection.until(lambda: stream.ended, timeout=60)
        connection.send_data(stream.number, bytes(stream.body), end=True)
        connection.next_finished(60)

    client = dial(start_weir(start_origin(script).port))
    stream = client.request(POST, b"a", end=False)
    client.until(lambda: stream.body == b"first")
    for _ in range(3):
        client.send_data(stream.number, b"b")
        client.round_trip()
    client.send_data(stream.number, b"", end=True)
    assert client.until_over(stream).body == b"firstabbb"


def test_a_message_of_weir_s_is_percent_encoded(start_weir, start_origin, dial):
    client = dial(start_weir(start_origin().port, route=ELSEWHERE))
    stream = client.until_over(client.request(changed(GRPC, path="/a.B/" + "c" * 300)))
    message = stream.field("grpc-message") or ""
    assert all(" " <= c <= "~" for c in message)
