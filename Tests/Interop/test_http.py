"""Plain HTTP/2 requests of any method, with curl and nghttp, to an origin that tells what it got."""

import json
import shutil
import subprocess

import pytest

import frames

CURL = ["curl", "--silent", "--show-error", "--http2-prior-knowledge", "--max-time", "10"]


def tell(connection):
    """A script: answers with what was asked, as JSON; the path chooses special answers."""
    while (stream := connection.next_finished(timeout=60)) is not None:
        fields = {name.decode(): value.decode() for name, value in stream.headers}
        told = json.dumps({
            "fields": fields, "body": bytes(stream.body).decode("latin-1"),
            "trailers": [[n.decode(), v.decode()] for n, v in stream.trailers or []],
        }).encode()
        respond(connection, stream, fields, told)


def respond(connection, stream, fields, told):
    number, path = stream.number, fields[":path"]
    if fields[":method"] == "HEAD":
        length = ("content-length", str(len(told)))
        connection.send_headers(number, [(":status", "200"), length], end=True)
    elif path in ("/204", "/304"):
        connection.send_headers(number, [(":status", path[1:]), ("etag", '"e"')], end=True)
    elif path == "/hints":
        for index in range(2):
            link = ("link", f"</style{index}.css>; rel=preload")
            connection.send_headers(number, [(":status", "103"), link])
        connection.send_headers(number, [(":status", "200")])
        connection.send_data(number, told, end=True)
    elif path == "/trailers":
        connection.send_headers(number, [(":status", "200"), ("trailer", "x-sum")])
        connection.send_data(number, told)
        connection.send_headers(number, [("x-sum", "1234"), ("x-sum", "5678")], end=True)
    elif path.startswith("/large"):
        connection.send_headers(number, [(":status", "200")])
        connection.queue(number, b"z" * int(path.split("/")[2]))
    else:
        length = ("content-length", str(len(told)))
        many = [("x-many", "1"), ("x-many", "2")]
        connection.send_headers(number, [(":status", "200"), length, *many])
        connection.queue(number, told)


@pytest.fixture
def proxy(start_weir, start_origin):
    return start_weir(start_origin(tell).port)


def curl(proxy, path, *arguments):
    command = [*CURL, *arguments, f"http://127.0.0.1:{proxy.port}{path}"]
    return subprocess.run(command, capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    "method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "x-own"])
def test_a_method_passes(proxy, method):
    told = json.loads(curl(proxy, "/a/b?c=d&e=%20", "--request", method))
    assert told["fields"][":method"] == method
    assert told["fields"][":path"] == "/a/b?c=d&e=%20"
    assert told["fields"][":scheme"] == "http"
    assert told["fields"][":authority"] == f"127.0.0.1:{proxy.port}"
    assert told["fields"]["user-agent"].startswith("curl/")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_body_passes(proxy, method):
    told = json.loads(curl(proxy, "/", "--request", method, "--data-binary", "a=b"))
    assert told["body"] == "a=b"
    assert told["fields"]["content-length"] == "3"


def test_a_large_upload_passes(proxy, tmp_path):
    path = tmp_path / "upload"
    path.write_bytes(b"0123456789abcdef" * (3 << 16))
    told = json.loads(curl(proxy, "/", "--request", "PUT", "--upload-file", str(path)))
    assert told["body"] == path.read_text()


def test_a_large_download_passes(proxy):
    assert curl(proxy, "/large/5000000") == b"z" * 5_000_000


def test_head_has_no_body(proxy):
    head = curl(proxy, "/", "--head").decode().lower()
    assert head.startswith("http/2 200")
    assert "content-length: " in head


@pytest.mark.parametrize("status", ["204", "304"])
def test_an_answer_without_body_passes(proxy, status):
    answer = curl(proxy, "/" + status, "--include").decode().lower()
    assert answer.startswith(f"http/2 {status}")
    assert 'etag: "e"' in answer
    assert answer.endswith("\r\n\r\n")


def test_every_value_of_a_field_passes(proxy):
    answer = curl(proxy, "/", "--include", "--header", "x-a: 1", "--header", "x-b: 2").decode()
    assert "x-many: 1\r\nx-many: 2\r\n" in answer
    told = json.loads(answer.split("\r\n\r\n", 1)[1])
    assert (told["fields"]["x-a"], told["fields"]["x-b"]) == ("1", "2")


def test_early_hints_pass(proxy):
    answer = curl(proxy, "/hints", "--include").decode().lower()
    assert answer.count("http/2 103") == 2
    assert answer.index("style0.css") < answer.index("style1.css") < answer.index("http/2 200")


def test_response_trailers_pass(proxy, dial):
    client = dial(proxy)
    stream = client.until_over(client.request(frames.changed(frames.GET, path="/trailers")))
    assert stream.trailers == [(b"x-sum", b"1234"), (b"x-sum", b"5678")]
    assert stream.field("trailer") == "x-sum"


def test_request_trailers_pass(proxy, dial):
    client = dial(proxy)
    stream = client.request(frames.POST, b"abc", trailers=[("x-sum", "1234")])
    told = json.loads(bytes(client.until_over(stream).body))
    assert (told["body"], told["trailers"]) == ("abc", [["x-sum", "1234"]])


def test_cookie_crumbs_all_arrive(proxy, dial):
    client = dial(proxy)
    fields = [*frames.GET, ("cookie", "a=1"), ("cookie", "b=2")]
    stream = client.until_over(client.request(fields))
    assert stream.status == 200


@pytest.mark.skipif(not shutil.which("nghttp"), reason="no nghttp here")
def test_nghttp_with_a_hundred_streams(proxy):
    url = f"http://127.0.0.1:{proxy.port}/large/20000"
    command = ["nghttp", "--timeout=20", "--multiply=100", url]
    answer = subprocess.run(command, capture_output=True, check=True)
    assert answer.stdout == b"z" * 2_000_000
    assert b"error" not in answer.stderr.lower()


@pytest.mark.skipif(not shutil.which("nghttp"), reason="no nghttp here")
def test_nghttp_with_padding_continuations_and_trailers(proxy, tmp_path):
    path = tmp_path / "upload"
    path.write_bytes(b"0123456789abcdef" * 10_000)
    url = f"http://127.0.0.1:{proxy.port}/"
    command = [
        "nghttp", "--timeout=20", "--padding=100", "--continuation", "--trailer=x-sum: 1",
        f"--data={path}", url]
    told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert told["body"] == path.read_text()
    assert told["trailers"] == [["x-sum", "1"]]


def test_hop_by_hop_fields_of_the_origin_stay_there(start_weir, start_origin, dial):
    def script(connection):
        stream = connection.next_finished(60)
        fields = [(":status", "200"), ("proxy-authenticate", "Basic"), ("x-kept", "1")]
        connection.send_headers(stream.number, fields, end=True)
        connection.next_finished(60)

    client = dial(start_weir(start_origin(script).port))
    stream = client.until_over(client.request(
        [*frames.GET, ("proxy-authorization", "Basic abc"), ("http2-settings", "abc")]))
    assert stream.field("x-kept") == "1"
    assert stream.field("proxy-authenticate") is None


def test_hop_by_hop_fields_of_the_client_stay_there(proxy, dial):
    client = dial(proxy)
    stream = client.until_over(client.request(
        [*frames.GET, ("proxy-authorization", "Basic abc"), ("http2-settings", "abc"),
         ("x-kept", "1")]))
    fields = json.loads(bytes(stream.body))["fields"]
    assert fields["x-kept"] == "1"
    assert "proxy-authorization" not in fields
    assert "http2-settings" not in fields


def test_te_trailers_is_made_anew_for_grpc(start_weir, start_origin, dial):
    origin = start_origin()
    client = dial(start_weir(origin.port))
    client.until_over(client.request(frames.changed(frames.GRPC, drop=["te"]), b"\0" * 5))
    assert origin.requests[0].field("te") == "trailers"


@pytest.mark.parametrize("host", ["echo.test", "ECHO.test"])
def test_host_alone_becomes_the_authority(proxy, dial, host):
    client = dial(proxy)
    fields = [*frames.changed(frames.GET, drop=[":authority"]), ("host", host)]
    told = json.loads(bytes(client.until_over(client.request(fields)).body))["fields"]
    assert told[":authority"] == host
    assert "host" not in told


def test_a_matching_host_beside_the_authority_is_dropped(proxy, dial):
    client = dial(proxy)
    stream = client.until_over(client.request([*frames.GET, ("host", "echo.test")]))
    assert "host" not in json.loads(bytes(stream.body))["fields"]
