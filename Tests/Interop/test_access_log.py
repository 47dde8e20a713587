"""The access log: every exchange has exactly one line, and the line is right."""

import datetime
import re
import socket

import pytest

import frames
import waiting
from access_log import logged, parsed, text_fields, whole_lines  # noqa: F401
from frames import GET, GRPC, GRPC_RESPONSE, POST, changed

MESSAGE = b"\0\0\0\0\x03abc"


def silence(connection):
    """A script that reads and never answers."""
    while connection.receive(60) is not None:
        pass


def cut_at_request(connection):
    connection.next_request(60)
    connection.cut()


def reset(code, head=None):
    def script(connection):
        while True:
            stream = connection.next_request(60)
            if head:
                connection.send_headers(stream.number, head)
                connection.round_trip()
            connection.send_reset(stream.number, code)

    return script


def goaway(connection):
    """Refuses all that came after stream 0."""
    connection.next_request(60)
    connection.send_goaway(0, frames.ENHANCE_YOUR_CALM)
    connection.receive(60)


def status(code, trailers_only=False, messages=2):
    def script(connection):
        while (stream := connection.next_finished(60)) is not None:
            last = [("grpc-status", str(code))]
            if trailers_only:
                connection.send_headers(stream.number, [*GRPC_RESPONSE, *last], end=True)
                continue
            connection.send_headers(stream.number, GRPC_RESPONSE)
            connection.send_data(stream.number, MESSAGE * messages)
            connection.send_headers(stream.number, last, end=True)

    return script


def whole(fields, body=MESSAGE, **terms):
    """A client that sends one request and waits for its end."""

    def act(client, origin):
        client.until_over(client.request(fields, body, **terms))

    return act


def leaves(how, fields=GRPC):
    """A client that goes while its request is at the server."""

    def act(client, origin):
        stream = client.request(fields, MESSAGE, end=False)
        origin.wait_for_requests()
        how(client, stream)

    return act


def begins(connection):
    """A server that sends one message, and nothing more."""
    stream = connection.next_finished(60)
    connection.send_headers(stream.number, GRPC_RESPONSE)
    connection.send_data(stream.number, MESSAGE)
    connection.next_finished(60)


def gone(origin):
    origin.connections[0].socket.shutdown(socket.SHUT_RDWR)


def once_answered(happen):
    """A client whose server does something when the answer's first message has come."""

    def act(client, origin):
        stream = client.request(GRPC, MESSAGE)
        client.until(lambda: stream.body, "a message")
        happen(origin)
        assert client.until_over(stream).grpc_status == 14

    return act


def bad_trailers(client, origin):
    stream = client.request(GRPC, MESSAGE, end=False)
    origin.wait_for_requests()
    client.send_headers(stream.number, [("content-length", "3")], end=True)
    client.until_over(stream)


def data_too_long(client, origin):
    stream = client.request([*POST, ("content-length", "2")], b"abc")
    client.until_over(stream)


def breaks_connection(client, origin):
    client.request(GRPC, MESSAGE, end=False)
    origin.wait_for_requests()
    client.send_frame(frames.DATA, 0, 0, b"on stream 0")
    client.until_closed()


def floods(client, origin):
    client.request(GRPC, MESSAGE, end=False)
    origin.wait_for_requests()
    for _ in range(200):
        client.send_ping()
    client.until_closed()


CLIENT_LOST = {"reason": "client_lost", "ended_by": "client", "fault": "client", "status": None}
MALFORMED = {"ended_by": "weir", "fault": "client", "attempts": None, "upstream": None}

# Name: (the origin's script, what the client does, what the record says; None is absent).
ENDINGS = {
    "complete": (status(0), whole(GRPC), {
        "reason": "complete", "ended_by": "upstream", "status": 200, "grpc_status": "OK",
        "request_bytes": 8, "response_bytes": 16, "request_messages": 1, "response_messages": 2,
        "attempts": 1, "fault": None, "detail": None, "reset_code": None, "route": "all",
        "upstream": "origin", "method": "POST", "path": "/weir.echo.v1.Echo/Unary"}),
    "server's status": (status(5), whole(GRPC), {
        "reason": "complete", "grpc_status": "NOT_FOUND", "status": 200, "fault": None}),
    "status without a name": (status(77), whole(GRPC), {"grpc_status": "77"}),
    "trailers-only": (status(7, trailers_only=True), whole(GRPC), {
        "reason": "complete", "grpc_status": "PERMISSION_DENIED", "response_messages": 0,
        "response_bytes": 0}),
    "plain": (frames.answer_all, whole(GET, None), {
        "reason": "complete", "status": 200, "grpc_status": None, "request_messages": None,
        "response_messages": None, "request_bytes": 0, "response_bytes": 5, "method": "GET"}),
    "client resets": (silence, leaves(lambda c, s: c.send_reset(s.number, frames.CANCEL)), {
        "reason": "client_reset", "ended_by": "client", "fault": "client", "reset_by": "client",
        "reset_code": "CANCEL", "reset_frame": "RST_STREAM", "grpc_status": "none",
        "status": None, "attempts": 1}),
    "client resets, odd code": (
        silence, leaves(lambda c, s: c.send_reset(s.number, 0xabcd)), {
            "reason": "client_reset", "reset_code": "43981"}),
    "client closes": (silence, leaves(lambda c, s: c.close()), CLIENT_LOST),
    "client cuts": (silence, leaves(lambda c, s: c.cut()), CLIENT_LOST),
    "client says goaway": (
        silence, leaves(lambda c, s: (c.send_goaway(0, frames.INTERNAL_ERROR), c.close())), {
            **CLIENT_LOST, "reset_by": "client", "reset_frame": "GOAWAY",
            "reset_code": "INTERNAL_ERROR"}),
    "server resets": (reset(frames.ENHANCE_YOUR_CALM), whole(GRPC), {
        "reason": "upstream_reset", "ended_by": "upstream", "fault": "upstream",
        "reset_by": "upstream", "reset_code": "ENHANCE_YOUR_CALM", "reset_frame": "RST_STREAM",
        "status": 200, "grpc_status": "RESOURCE_EXHAUSTED", "attempts": 1,
        "detail": "the server reset the stream with ENHANCE_YOUR_CALM"}),
    "server resets after headers": (
        reset(frames.INTERNAL_ERROR, [(":status", "200")]), whole(POST, b"x"), {
            "reason": "upstream_reset", "reset_by": "upstream", "status": 200,
            "reset_code": "INTERNAL_ERROR"}),
    "server refuses": (reset(frames.REFUSED_STREAM), whole(GRPC), {
        "reason": "refused", "ended_by": "upstream", "reset_code": "REFUSED_STREAM",
        "grpc_status": "UNAVAILABLE", "attempts": 2, "upstream_stream": 3,
        "not_retried": "not_retryable"}),
    "server says goaway": (goaway, whole(GRPC), {
        "reason": "refused", "reset_frame": "GOAWAY", "reset_by": "upstream",
        "reset_code": "ENHANCE_YOUR_CALM", "grpc_status": "UNAVAILABLE", "attempts": 2}),
    "server cuts": (cut_at_request, whole(GRPC), {
        "reason": "upstream_lost", "ended_by": "upstream", "fault": "upstream",
        "grpc_status": "UNAVAILABLE", "detail": "the connection to the server was lost",
        "reset_code": None}),
    "server goes after a message": (begins, once_answered(gone), {
        "reason": "upstream_lost", "status": 200, "grpc_status": "UNAVAILABLE",
        "response_messages": 1, "not_retried": "committed", "reset_code": None}),
    "deadline": (silence, whole([*GRPC, ("grpc-timeout", "80m")]), {
        "reason": "deadline_exceeded", "ended_by": "weir", "grpc_status": "DEADLINE_EXCEEDED",
        "deadline_ms": 80.0, "detail": "deadline exceeded"}),
    "deadline of nothing": (silence, whole([*GRPC, ("grpc-timeout", "0n")]), {
        "reason": "deadline_exceeded", "attempts": None, "endpoint": None}),
    "bad path": (silence, whole(changed(GRPC, path="/a//b")), {
        **MALFORMED, "reason": "bad_path", "path": "/a//b", "status": 200,
        "grpc_status": "UNIMPLEMENTED"}),
    "bad timeout": (silence, whole([*GRPC, ("grpc-timeout", "x")]), {
        **MALFORMED, "reason": "bad_timeout", "grpc_status": "INTERNAL"}),
    "connect": (silence, whole([(":method", "CONNECT"), (":authority", "a:1")], None), {
        **MALFORMED, "reason": "unsupported_method", "status": 501, "path": None}),
    "other scheme": (silence, whole(changed(GET, scheme="ftp"), None), {
        **MALFORMED, "reason": "malformed", "status": 400}),
    "headers too large": (silence, whole([*GET, *[("x", "y" * 9_000)] * 8], None), {
        **MALFORMED, "reason": "headers_too_large", "status": 431, "limit": "header_list"}),
    "path too long": (silence, whole(changed(GET, path="/" + "x" * 9_000), None), {
        **MALFORMED, "reason": "path_too_long", "status": 414, "limit": "path",
        "truncated": True, "path": "/" + "x" * 2_047}),
    "malformed field": (silence, whole([*GET, ("Upper", "case")], None), {
        **MALFORMED, "reason": "malformed", "reset_by": "weir", "status": None,
        "detail": "a field's name is no token in lower case",
        "reset_code": "PROTOCOL_ERROR", "reset_frame": "RST_STREAM"}),
    "trailers with framing": (silence, bad_trailers, {
        "reason": "malformed", "ended_by": "weir", "fault": "client"}),
    "data beyond its length": (silence, data_too_long, {
        "reason": "malformed", "ended_by": "weir", "fault": "client"}),
    "connection error": (silence, breaks_connection, {
        "reason": "protocol_error", "reset_frame": "GOAWAY", "reset_by": "weir",
        "reset_code": "PROTOCOL_ERROR", "attempts": 1}),
    "flood": (silence, floods, {
        "reason": "connection_ended", "limit": "pings", "reset_frame": "GOAWAY",
        "reset_code": "ENHANCE_YOUR_CALM", "reset_by": "weir", "fault": "client"}),
}


def check(record, expected):
    for key, value in expected.items():
        assert record.get(key) == value, (key, record)
    assert record["listener"] == "edge"
    assert re.fullmatch(r"127\.0\.0\.1:\d+", record["peer"])
    assert re.fullmatch(r"0-\d+", record["connection"])
    assert record["stream"] % 2 == 1
    assert record["duration_ms"] >= record.get("first_byte_ms", 0) >= 0
    if record.get("attempts"):
        assert re.fullmatch(r"127\.0\.0\.1:\d+", record["endpoint"])
        assert re.fullmatch(r"0-\d+", record["upstream_connection"])
        assert record["upstream_stream"] == expected.get("upstream_stream", 1)


@pytest.mark.parametrize("name", ENDINGS)
def test_every_ending_has_one_line(logged, start_origin, dial, name):
    script, act, expected = ENDINGS[name]
    origin = start_origin(script)
    proxy = logged(origin.port)
    act(dial(proxy), origin)
    check(proxy.wait_for_records(1)[0], expected)


def test_no_server(logged, dial):
    proxy = logged(1)
    whole(GRPC)(dial(proxy), None)
    record = proxy.wait_for_records(1)[0]
    check(record, {
        "reason": "unreachable", "ended_by": "weir", "fault": "upstream", "upstream": "origin",
        "endpoint": None, "attempts": None, "grpc_status": "UNAVAILABLE"})


def test_over_the_upstreams_limit(logged, start_origin, dial):
    proxy = logged(start_origin(silence).port, upstream={"limits": {"requests": 1}})
    client = dial(proxy)
    first = client.request(GRPC, MESSAGE)
    client.round_trip()
    client.until_over(client.request(GRPC, MESSAGE))
    client.send_reset(first.number)
    refused, left = proxy.wait_for_records(2)
    check(refused, {"reason": "over_limit", "limit": "upstream.requests", "fault": "weir"})
    check(left, {"reason": "client_reset"})


def test_the_routes_own_answers(logged, start_origin, dial):
    for answer, expected in [
        ({"respond": {"status": 503, "body": "later"}},
         {"reason": "respond", "status": 503, "response_bytes": 5}),
        ({"redirect": {"hostname": "other.test"}}, {"reason": "redirect", "status": 302}),
    ]:
        proxy = logged(start_origin().port, route={"backends": None, **answer})
        whole(GET, None)(dial(proxy), None)
        record = proxy.wait_for_records(1)[0]
        check(record, {"ended_by": "weir", "route": "all", "fault": None, **expected})


def test_no_route_and_denied(logged, start_origin, dial):
    proxy = logged(start_origin().port, route={"hostnames": ["other.test"]})
    whole(GET, None)(dial(proxy), None)
    record = proxy.wait_for_records(1)[0]
    check(record, {"reason": "no_route", "status": 404, "route": None, "upstream": None})


def test_timers_name_their_limit(logged, start_origin, dial):
    proxy = logged(
        start_origin(silence).port, route={"idle_timeout": "100ms"})
    whole(GRPC)(dial(proxy), None)
    check(proxy.wait_for_records(1)[0], {"reason": "route_idle", "limit": "idle_timeout"})


def test_more_streams_than_allowed(logged, start_origin, dial):
    """Before the client acknowledged SETTINGS streams are refused one by one."""
    proxy = logged(start_origin(silence).port, listener={"limits": {"concurrent_streams": 1}})
    client = dial(proxy, acknowledges=False)
    first = client.request(GRPC, MESSAGE)
    second = client.until_over(client.request(GRPC, MESSAGE))
    assert second.reset == frames.REFUSED_STREAM
    client.send_reset(first.number)
    refused, left = proxy.wait_for_records(2)
    check(refused, {
        "reason": "stream_refused", "stream": 3, "ended_by": "weir", "fault": "client",
        "method": None, "path": None, "attempts": None, "status": None})
    check(left, {"reason": "client_reset", "stream": 1})


def test_more_streams_than_acknowledged(logged, start_origin, dial):
    """After it, one stream too many ends the connection."""
    proxy = logged(start_origin(silence).port, listener={"limits": {"concurrent_streams": 1}})
    client = dial(proxy)
    client.round_trip()
    client.request(GRPC, MESSAGE)
    client.request(GRPC, MESSAGE)
    client.until_closed()
    records = proxy.wait_for_records(2)
    assert {(r["stream"], r["reason"]) for r in records} == {
        (3, "stream_refused"), (1, "protocol_error")}


def test_a_drain_that_runs_out(logged, start_origin, dial):
    proxy = logged(start_origin(silence).port, listener={"timeouts": {"drain": "200ms"}})
    client = dial(proxy)
    client.request(GRPC, MESSAGE)
    client.round_trip()
    proxy.signal(15)
    assert proxy.wait(10) == 0
    record, = proxy.records
    check(record, {"reason": "connection_ended", "limit": "drain", "fault": "weir"})


def test_an_end_at_once(logged, start_origin, dial):
    proxy = logged(start_origin(silence).port)
    client = dial(proxy)
    client.request(GRPC, MESSAGE)
    client.round_trip()
    proxy.signal(15)
    proxy.wait_for_line("draining")
    proxy.signal(15)
    assert proxy.wait(10) == 0
    record, = proxy.records
    check(record, {"reason": "connection_ended", "ended_by": "weir", "fault": "weir"})


def test_times_and_ids(logged, start_origin, dial):
    def script(connection):
        stream = connection.next_finished(60)
        connection.poll(0.15)
        connection.send_headers(stream.number, GRPC_RESPONSE)
        connection.poll(0.15)
        connection.send_headers(stream.number, [("grpc-status", "0")], end=True)
        silence(connection)

    proxy = logged(start_origin(script).port, route={"timeout": "5s"})
    before = datetime.datetime.now(datetime.timezone.utc)
    client = dial(proxy)
    whole([*GRPC, ("x-request-id", "abc-123"), ("grpc-timeout", "9S")])(client, None)
    record = proxy.wait_for_records(1)[0]
    time = datetime.datetime.fromisoformat(record["time"].replace("Z", "+00:00"))
    assert abs((time - before).total_seconds()) < 2
    assert 140 <= record["first_byte_ms"] <= record["duration_ms"] - 140
    assert record["request_id"] == "abc-123"
    assert record["deadline_ms"] == 5000.0
    spent = record["deadline_ms"] - record["deadline_left_ms"]
    assert abs(spent - record["duration_ms"]) < 0.01
    port = client.socket.getsockname()[1]
    assert record["peer"] == f"127.0.0.1:{port}"
    assert record["revision"] in proxy.log


HOSTILE = [
    b"/\xff\xfe", b'/"quoted"\\', b"/\xe2\x82\xac", b"/\xed\xa0\x80", b"/\xc0\xaf", b"/%00%zz",
    b"/=&?\x7f", "/é/ü".encode(), b"/\xf0\x9f\x98\x80\xf0\x9f",
]


@pytest.mark.parametrize("path", HOSTILE)
@pytest.mark.parametrize("kind", ["json", "text"])
def test_any_bytes_give_a_valid_line(logged, start_origin, dial, path, kind):
    proxy = logged(start_origin().port, log={"format": kind})
    client = dial(proxy)
    fields = changed(GET, path=path)
    # What no value may have ends the stream; a path with it is refused and logged.
    request_id = path.replace(b"\x7f", b"") + b" a=b"
    whole([*fields, ("x-request-id", request_id)], None)(client, None)
    waiting.until(lambda: whole_lines(proxy.log_path), "a line", 10)
    line = proxy.log_path.read_bytes()
    record = parsed(line.strip()) if kind == "json" else text_fields(line.decode().strip())
    if "path" in record:
        assert record["path"] == escaped(path)
        assert record["request_id"] == escaped(request_id)
    assert line.count(b"\n") == 1


def escaped(data):
    """Text, with %XX for each byte that is no UTF-8."""
    text = data.decode(errors="surrogateescape")
    return "".join(f"%{ord(c) - 0xDC00:02X}" if 0xDC80 <= ord(c) <= 0xDCFF else c for c in text)


def test_both_formats_say_the_same(logged, start_origin, dial):
    both = []
    for kind in ["json", "text"]:
        proxy = logged(start_origin(status(0)).port, log={"format": kind})
        whole([*GRPC, ("x-request-id", "a b"), ("grpc-timeout", "5S")])(dial(proxy), None)
        waiting.until(lambda: whole_lines(proxy.log_path), "a line", 10)
        both.append(proxy.log_path.read_text().strip())
    json, text = parsed(both[0].encode()), text_fields(both[1])
    assert list(json) == list(text)
    same = ["listener", "method", "path", "route", "status", "grpc_status", "request_id", "reason",
            "request_messages", "response_bytes", "connection", "stream", "deadline_ms"]
    for key in same:
        value = json[key]
        assert text[key] == (f"{value:.3f}" if isinstance(value, float) else str(value)), key
