"""Requests that must not reach an origin, byte for byte as an attacker sends them."""

import pytest

import expect
import frames
from frames import GET, GRPC, POST, changed

OK, INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL = 0, 3, 8, 12, 13


def with_field(base, name, value):
    return changed(base, put=[(name, value)])


# Field names and values that RFC 9113, 8.2 forbids.
BAD_FIELDS = {
    "connection": ("connection", "close"),
    "keep-alive": ("keep-alive", "timeout=5"),
    "proxy-connection": ("proxy-connection", "close"),
    "transfer-encoding": ("transfer-encoding", "chunked"),
    "upgrade": ("upgrade", "h2c"),
    "te other than trailers": ("te", "gzip"),
    "te with more than trailers": ("te", "trailers, gzip"),
    "upper case name": ("X-Upper", "1"),
    "empty name": ("", "1"),
    "space in name": ("x y", "1"),
    "colon in name": ("x:y", "1"),
    "NUL in name": (b"x\0y", "1"),
    "high byte in name": (b"x\xe9", "1"),
    "delete in name": (b"x\x7f", "1"),
    "no token in name": ("x(y)", "1"),
    "NUL in value": ("x", b"a\0b"),
    "CR in value": ("x", "a\rb"),
    "LF in value": ("x", "a\nb"),
    "CRLF in value": ("x", "a\r\nevil: 1"),
    "control in value": ("x", b"a\x01b"),
    "delete in value": ("x", b"a\x7fb"),
    "leading space in value": ("x", " a"),
    "trailing space in value": ("x", "a "),
    "leading tab in value": ("x", "\ta"),
    "trailing tab in value": ("x", "a\t"),
    "unknown pseudo field": (":unknown", "1"),
    "late pseudo field": (":path", "/late"),
    "status in a request": (":status", "200"),
    "protocol without extended CONNECT": (":protocol", "websocket"),
    "repeated method": (":method", "GET"),
    "repeated authority": (":authority", "other.test"),
    "content-length empty": ("content-length", ""),
    "content-length negative": ("content-length", "-1"),
    "content-length with plus": ("content-length", "+0"),
    "content-length hexadecimal": ("content-length", "0x0"),
    "content-length list": ("content-length", "0, 0"),
    "content-length overflow": ("content-length", "18446744073709551616"),
    "content-length without its body": ("content-length", "5"),
}

# Whole requests that are malformed.
BAD_HEADS = {
    "no method": changed(GET, drop=[":method"]),
    "no path": changed(GET, drop=[":path"]),
    "no scheme": changed(GET, drop=[":scheme"]),
    "no authority": changed(GET, drop=[":authority"]),
    "empty method": changed(GET, method=""),
    "empty path": changed(GET, path=""),
    "empty scheme": changed(GET, scheme=""),
    "empty authority": changed(GET, authority=""),
    "method with space": changed(GET, method="GET /"),
    "method with control": changed(GET, method=b"GE\x01T"),
    "CONNECT": [(":method", "CONNECT"), (":authority", "echo.test:80")],
    "CONNECT with path": changed(GET, method="CONNECT"),
    "scheme ftp": changed(GET, scheme="ftp"),
    "scheme ftp, odd path": changed(GET, scheme="ftp", path="x"),
    "scheme of another transport": changed(GET, scheme="https"),
    "repeated content-length": [*GET, ("content-length", "0"), ("content-length", "0")],
    "two hosts": [*changed(GET, drop=[":authority"]), ("host", "a.test"), ("host", "a.test")],
    "another host than the authority": with_field(GET, "host", "other.test"),
    "pseudo field after a field": [("x", "1"), *GET],
    "userinfo in authority": changed(GET, authority="user@echo.test"),
    "path in authority": changed(GET, authority="echo.test/x"),
    "space in authority": changed(GET, authority="echo .test"),
    "comma in authority": changed(GET, authority="echo.test,other.test"),
    "fragment in authority": changed(GET, authority="echo.test#x"),
    "query in authority": changed(GET, authority="echo.test?x"),
    "backslash in authority": changed(GET, authority="echo.test\\x"),
    "letters in port": changed(GET, authority="echo.test:80x"),
    "port too large": changed(GET, authority="echo.test:65536"),
    "two ports": changed(GET, authority="echo.test:80:80"),
    "high byte in authority": changed(GET, authority=b"echo\xe9.test"),
}

# Paths that no request may have: encoded or doubled spellings of others.
BAD_PATHS = {
    "no slash": "hello", "asterisk": "*", "absolute URI": "http://echo.test/hello",
    "space": "/a b", "control": b"/a\x01", "NUL": b"/a\0b", "tab": "/a\tb", "delete": b"/a\x7f",
    "high byte": b"/a\xe9", "UTF-8": "/\u00fc", "fragment": "/a#b", "fragment after query": "/a?b#c",
    "backslash": "/a\\b", "double slash": "/a//b", "leading double slash": "//a",
    "dot segment": "/a/./b", "dot-dot segment": "/a/../b", "trailing dot-dot": "/a/..",
    "trailing dot": "/a/.", "semicolon": "/a;b", "dot-dot with semicolon": "/a/..;/b",
    "encoded slash": "/a%2fb", "encoded slash, capital": "/a%2Fb", "encoded backslash": "/a%5cb",
    "encoded NUL": "/a%00b", "encoded dot": "/a/%2e%2e/b", "encoded letter": "/%61dmin",
    "bare percent": "/a%", "short percent": "/a%4",
    "percent without digits": "/a%zz",
}

# Paths that gRPC servers were seen to take for others, and what gRPC's grammar does not have.
BAD_METHODS = {
    "one part": "/Echo", "three parts": "/weir.echo.v1.Echo/Unary/x",
    "trailing slash": "/weir.echo.v1.Echo/Unary/", "query": "/weir.echo.v1.Echo/Unary?x=1",
    "empty service": "//Unary", "empty method": "/weir.echo.v1.Echo/",
    "digit first": "/1weir.Echo/Unary", "digit first in method": "/weir.Echo/1Unary",
    "dash": "/weir.echo-v1.Echo/Unary", "dot in method": "/weir.echo.v1.Echo/Un.ary",
    "root": "/",
}

# Of these, Weir's own answer in plain HTTP or the stream's reset.
REFUSED_PATH = expect.any_of(expect.http(400), expect.malformed)
REFUSED_GRPC = expect.any_of(
    expect.trailers_only(UNIMPLEMENTED, INTERNAL, INVALID_ARGUMENT), expect.malformed)


@pytest.fixture
def origin(start_origin):
    return start_origin()


@pytest.fixture
def proxy(start_weir, origin):
    return start_weir(origin.port)


def refused(proxy, origin, dial, fields, check, **body):
    """Sends a request, checks its answer, and that a good one on the connection still passes."""
    client = dial(proxy)
    stream = client.until_over(client.request(fields, **body))
    check(client, stream)
    follower = client.until_over(client.request(GET))
    assert follower.status == 200, f"the connection is of no use any more: {client.goaways}"
    assert len(origin.requests) == 1, origin.requests


@pytest.mark.parametrize("field", BAD_FIELDS.values(), ids=BAD_FIELDS)
@pytest.mark.parametrize("base", [GET, GRPC], ids=["plain", "grpc"])
def test_a_bad_field_is_refused(proxy, origin, dial, base, field):
    check = expect.any_of(expect.malformed, expect.trailers_only(INTERNAL))
    base = changed(base, drop=["te"]) if field[0] == "te" else base
    refused(proxy, origin, dial, with_field(base, *field), check)


@pytest.mark.parametrize("fields", BAD_HEADS.values(), ids=BAD_HEADS)
def test_a_bad_head_is_refused(proxy, origin, dial, fields):
    statuses = (501, 405) if fields[0] == (":method", "CONNECT") else ()
    check = expect.any_of(expect.malformed, expect.http(400, *statuses))
    refused(proxy, origin, dial, fields, check)


@pytest.mark.parametrize("path", BAD_PATHS.values(), ids=BAD_PATHS)
def test_a_bad_path_is_refused(proxy, origin, dial, path):
    refused(proxy, origin, dial, changed(GET, path=path), REFUSED_PATH)


@pytest.mark.parametrize(
    "path", [*BAD_PATHS.values(), *BAD_METHODS.values()], ids=[*BAD_PATHS, *BAD_METHODS])
def test_a_bad_method_path_is_refused_to_grpc(proxy, origin, dial, path):
    refused(proxy, origin, dial, changed(GRPC, path=path), REFUSED_GRPC, body=b"\0" * 5)


@pytest.mark.parametrize("path", BAD_METHODS.values(), ids=BAD_METHODS)
def test_grpc_s_own_grammar_is_answered_with_unimplemented(proxy, origin, dial, path):
    if "//" in path:
        pytest.skip("refused as a path already")
    check = expect.trailers_only(UNIMPLEMENTED)
    refused(proxy, origin, dial, changed(GRPC, path=path), check, body=b"\0" * 5)


@pytest.mark.parametrize("path", ["/weir.echo-v1.Echo/Unary", "/a/b/c", "/1/2", "/Echo"])
def test_relaxed_listeners_take_other_grpc_paths(start_weir, origin, dial, path):
    client = dial(start_weir(origin.port, listener={"paths": "relaxed"}))
    stream = client.until_over(client.request(changed(GRPC, path=path), b"\0" * 5))
    assert stream.grpc_status == OK
    assert origin.requests[0].field(":path") == path


@pytest.mark.parametrize("path", ["/a%2fb", "//a", "/a/../b", "/a?b=c#d", "/a;b"])
def test_relaxed_listeners_refuse_what_could_be_two_paths(start_weir, origin, dial, path):
    proxy = start_weir(origin.port, listener={"paths": "relaxed"})
    refused(proxy, origin, dial, changed(GRPC, path=path), REFUSED_GRPC, body=b"\0" * 5)


@pytest.mark.parametrize(
    "path", ["/", "/a/b.c-d_e~f", "/a%20b", "/a?b=c&d=%2f%00//..;", "/a/...", "/.well-known/x",
             "/a:b@c!$&'()*+,=", "/%E4%B8%96"])
def test_a_good_path_passes_unchanged(proxy, origin, dial, path):
    client = dial(proxy)
    assert client.until_over(client.request(changed(GET, path=path))).status == 200
    assert origin.requests[0].field(":path") == path


@pytest.mark.parametrize("value", [b"\xe4\xb8\x96", b"a\tb", b"a b", b"", b"\x80\xff"])
def test_a_good_value_passes_unchanged(proxy, origin, dial, value):
    client = dial(proxy)
    assert client.until_over(client.request(with_field(GET, "x-value", value))).status == 200
    assert dict(origin.requests[0].headers)[b"x-value"] == value


@pytest.mark.parametrize("authority", ["echo.test:80", "127.0.0.1", "[::1]:8080", "ECHO.test."])
def test_a_good_authority_passes_unchanged(proxy, origin, dial, authority):
    client = dial(proxy)
    assert client.until_over(client.request(changed(GET, authority=authority))).status == 200
    assert origin.requests[0].field(":authority") == authority


@pytest.mark.parametrize(
    "body, length", [(b"abc", "2"), (b"abc", "4"), (b"", "1")], ids=["more", "less", "none"])
def test_a_body_of_another_length_is_refused(proxy, origin, dial, body, length):
    client = dial(proxy)
    stream = client.until_over(client.request(with_field(POST, "content-length", length), body))
    expect.malformed(client, stream)
    client.round_trip()
    finished = [s for s in origin.requests if s.ended]
    assert not finished, "the origin took the request for a whole one"


@pytest.mark.parametrize(
    "trailers",
    [[(":path", "/late")], [("content-length", "3")], [("connection", "close")], [("X", "1")],
     [("x", "a\nb")], [(":status", "200")], [("transfer-encoding", "chunked")]],
    ids=str)
def test_bad_trailers_are_refused(proxy, origin, dial, trailers):
    client = dial(proxy)
    stream = client.until_over(client.request(POST, b"abc", trailers=trailers))
    expect.malformed(client, stream)
    client.round_trip()
    assert not [s for s in origin.requests if s.ended], "the origin took the request for whole"


def test_trailers_must_end_the_stream(proxy, origin, dial):
    client = dial(proxy)
    stream = client.request(POST, b"abc", end=False)
    client.send_headers(stream.number, [("x", "1")])
    expect.malformed(client, client.until_over(stream))
    assert not [s for s in origin.requests if s.ended]


GRPC_ROUTE = {"matches": [{"method": "weir.echo.v1.Echo/*"}]}


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/json", "Application/GRPC", "application/grpc-web",
             "application/grpcx", "application/grp", ""])
def test_a_method_route_takes_grpc_alone(start_weir, origin, dial, kind):
    client = dial(start_weir(origin.port, route=GRPC_ROUTE))
    put = [] if kind is None else [("content-type", kind)]
    stream = client.request(changed(GRPC, drop=["content-type"], put=put), b"\0" * 5)
    expect.http(415)(client, client.until_over(stream))
    assert origin.requests == []


@pytest.mark.parametrize(
    "kind", ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"])
def test_a_method_route_takes_every_grpc(start_weir, origin, dial, kind):
    client = dial(start_weir(origin.port, route=GRPC_ROUTE))
    fields = changed(GRPC, drop=["content-type"], put=[("content-type", kind)])
    assert client.until_over(client.request(fields, b"\0" * 5)).grpc_status == OK
    assert origin.requests[0].field("content-type") == kind


def test_two_content_types_are_refused(proxy, origin, dial):
    fields = with_field(GRPC, "content-type", "text/plain")
    check = expect.any_of(expect.malformed, expect.trailers_only(INTERNAL), expect.http(415))
    refused(proxy, origin, dial, fields, check)


# Frames that are errors of the whole connection (RFC 9113, 5.1 and 6).
BAD_FRAMES = {
    "DATA on stream 0": (frames.frame(frames.DATA, 0, 0, b"a"), frames.PROTOCOL_ERROR),
    "DATA on an idle stream": (frames.frame(frames.DATA, 0, 1, b"a"), frames.PROTOCOL_ERROR),
    "HEADERS on stream 0": (frames.frame(frames.HEADERS, 5, 0, b""), frames.PROTOCOL_ERROR),
    "HEADERS on an even stream": (
        frames.frame(frames.HEADERS, 5, 2, frames.literals(GET)), frames.PROTOCOL_ERROR),
    "HEADERS padded beyond its end": (
        frames.frame(frames.HEADERS, 5 | 8, 1, b"\xff" + frames.literals(GET)),
        frames.PROTOCOL_ERROR),
    "CONTINUATION alone": (
        frames.frame(frames.CONTINUATION, 4, 1, frames.literals(GET)), frames.PROTOCOL_ERROR),
    "a frame within a header block": (
        frames.frame(frames.HEADERS, 1, 1, frames.literals(GET)) + frames.frame(
            frames.PING, 0, 0, bytes(8)), frames.PROTOCOL_ERROR),
    "SETTINGS on a stream": (frames.frame(frames.SETTINGS, 0, 1), frames.PROTOCOL_ERROR),
    "SETTINGS of odd size": (frames.frame(frames.SETTINGS, 0, 0, b"abc"), frames.FRAME_SIZE_ERROR),
    "SETTINGS ACK with payload": (
        frames.frame(frames.SETTINGS, 1, 0, bytes(6)), frames.FRAME_SIZE_ERROR),
    "window beyond its maximum": (
        frames.frame(frames.SETTINGS, 0, 0, b"\0\4\xff\xff\xff\xff"), frames.FLOW_CONTROL_ERROR),
    "frame size below its minimum": (
        frames.frame(frames.SETTINGS, 0, 0, b"\0\5\0\0\0\1"), frames.PROTOCOL_ERROR),
    "PING of seven bytes": (frames.frame(frames.PING, 0, 0, bytes(7)), frames.FRAME_SIZE_ERROR),
    "PING on a stream": (frames.frame(frames.PING, 0, 1, bytes(8)), frames.PROTOCOL_ERROR),
    "GOAWAY on a stream": (frames.frame(frames.GOAWAY, 0, 1, bytes(8)), frames.PROTOCOL_ERROR),
    "WINDOW_UPDATE of zero": (
        frames.frame(frames.WINDOW_UPDATE, 0, 0, bytes(4)), frames.PROTOCOL_ERROR),
    "connection window overflow": (
        frames.frame(frames.WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"), frames.FLOW_CONTROL_ERROR),
    "RST_STREAM of an idle stream": (
        frames.frame(frames.RST_STREAM, 0, 1, bytes(4)), frames.PROTOCOL_ERROR),
    "PUSH_PROMISE": (
        frames.frame(frames.PUSH_PROMISE, 4, 1, bytes(4)), frames.PROTOCOL_ERROR),
    "frame beyond the size announced": (
        b"\0\x40\x01" + frames.frame(frames.DATA, 0, 1)[3:] + bytes(16_385),
        frames.FRAME_SIZE_ERROR),
    "an index outside HPACK's tables": (
        frames.frame(frames.HEADERS, 5, 1, b"\xff\xff\x03"), frames.COMPRESSION_ERROR),
    "an HPACK integer without end": (
        frames.frame(frames.HEADERS, 5, 1, b"\x7f" + b"\xff" * 12), frames.COMPRESSION_ERROR),
    "an HPACK table beyond its size": (
        frames.frame(frames.HEADERS, 5, 1, b"\x3f\xe1\xff\x03"), frames.COMPRESSION_ERROR),
    "Huffman padding of a whole byte": (
        frames.frame(frames.HEADERS, 5, 1, b"\0\x82\xff\xff\0"), frames.COMPRESSION_ERROR),
}


@pytest.mark.parametrize("data, code", BAD_FRAMES.values(), ids=BAD_FRAMES)
def test_a_bad_frame_ends_the_connection(proxy, origin, dial, data, code):
    client = dial(proxy)
    client.round_trip()
    client.send(data)
    assert client.until_closed() in (code, frames.PROTOCOL_ERROR)
    assert origin.requests == []
    other = dial(proxy)
    assert other.until_over(other.request(GET)).status == 200


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b"\x16\x03\x01\x02\0\1\0\1\xfc\3\3",
             frames.PREFACE[:-1] + b"X" + frames.frame(frames.SETTINGS), bytes(64)],
    ids=["HTTP/1", "TLS", "a wrong last byte", "zeros"])
def test_what_is_not_http2_is_closed(proxy, dial, data):
    client = dial(proxy, preface=False)
    client.send(data)
    try:
        client.until_closed()
    except (ValueError, KeyError, AssertionError) as failure:
        pytest.fail(f"not closed: {failure}")


def test_a_request_byte_by_byte_passes(proxy, origin, dial):
    client = dial(proxy, preface=False)
    block = frames.literals([*GRPC, *((f"x-{i}", "v" * 50) for i in range(10))])
    parts = [block[i:i + 100] for i in range(0, len(block), 100)]
    data = frames.PREFACE + frames.frame(frames.SETTINGS)
    data += frames.frame(frames.HEADERS, 0, 1, parts[0])
    for index, part in enumerate(parts[1:], 2):
        last = frames.END_HEADERS if index == len(parts) else 0
        data += frames.frame(frames.CONTINUATION, last, 1, part)
    data += frames.frame(frames.DATA, 0, 1, bytes(5))
    data += frames.frame(frames.DATA, frames.END_STREAM, 1, b"")
    stream = client.streams.setdefault(1, frames.Stream(1))
    client.send_bytewise(data)
    assert client.until_over(stream).grpc_status == OK
    assert len(origin.requests) == 1
    assert dict(origin.requests[0].headers)[b"x-9"] == b"v" * 50
