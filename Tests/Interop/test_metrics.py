"""Metrics: what happened is counted, whatever clients send the page stays small, and nobody who
asks for it can disturb a call."""

import gzip
import re
import signal
import socket

import grpc
import pytest

import waiting
import weir as program
from echo_pb2 import EchoRequest, EchoTerms
from frames import GET, GRPC, changed
from reloading import replace
from telemetry import told  # noqa: F401

ROUTES = [
    {"name": "unary", "matches": [{"method": "weir.echo.v1.Echo/Unary"}],
     "backends": [{"upstream": "origin"}]},
    {"name": "rest", "matches": [{"method": "weir.echo.v1.*"}],
     "backends": [{"upstream": "origin"}]},
    {"name": "web", "matches": [{"path": "/web"}], "respond": {"status": 200, "body": "hi"}},
]


def configuration(origin, routes=ROUTES):
    config = program.configuration(program.free_port(), [origin])
    return {**config, "routes": routes}


def test_calls_are_counted_by_method_route_and_status(told, echo_origin, echo_stub):  # noqa: F811
    proxy = told(config=configuration(echo_origin.port), workers=2)
    stub = echo_stub(proxy)
    for _ in range(5):
        stub.Unary(EchoRequest(payload=b"x" * 100), timeout=5)
    with pytest.raises(grpc.RpcError):
        stub.Unary(EchoRequest(terms=EchoTerms(status_code=5)), timeout=5)
    list(stub.ServerStream(EchoRequest(terms=EchoTerms(response_count=7)), timeout=5))
    unary = {"grpc_method": "weir.echo.v1.Echo/Unary", "route": "unary", "listener": "edge"}
    name = "grpc_server_call_duration_seconds_count"
    waiting.until(lambda: proxy.value(name) == 7, lambda: str(proxy.families().keys()))
    assert proxy.value(name, **unary, grpc_status="OK") == 5
    assert proxy.value(name, **unary, grpc_status="NOT_FOUND") == 1
    assert proxy.value(name, grpc_method="other", route="rest", grpc_status="OK") == 1
    assert proxy.value("grpc_server_call_started_total", **unary) == 6
    assert proxy.value("weir_request_messages_total", **unary) == 6
    assert proxy.value("weir_response_messages_total", route="rest") == 7
    assert proxy.value("weir_request_body_bytes_total", **unary) > 5 * 100
    assert proxy.value("weir_requests_active") == 0
    endpoint = f"127.0.0.1:{echo_origin.port}"
    attempts = {"grpc_target": "origin", "endpoint": endpoint}
    assert proxy.value("grpc_client_attempt_started_total", **attempts) == 7
    assert proxy.value(
        "grpc_client_attempt_duration_seconds_count", **attempts, grpc_status="NOT_FOUND") == 1
    assert proxy.value("weir_exchanges_ended_total", reason="complete") == 7


def test_histograms_are_whole(told, echo_origin, echo_stub):  # noqa: F811
    proxy = told(config=configuration(echo_origin.port))
    stub = echo_stub(proxy)
    stub.Unary(EchoRequest(terms=EchoTerms(delay_ms=120)), timeout=5)
    name = "grpc_server_call_duration_seconds"
    waiting.until(lambda: proxy.value(name + "_count") == 1, lambda: "one call in the histogram")
    samples = proxy.families()[name].samples
    buckets = [s for s in samples if s.name.endswith("_bucket")]
    bounds = [float(s.labels["le"]) for s in buckets]
    assert bounds == sorted(bounds) and bounds[-1] == float("inf") and len(bounds) == 41
    assert all(s.value == (1 if float(s.labels["le"]) >= 0.13 else 0) for s in buckets
               if not 0.1 < float(s.labels["le"]) < 0.3)
    assert 0.115 < proxy.value(name + "_sum") < 2


def sizes(proxy, name, **labels):
    """How many calls a histogram of messages' bytes has, their sum, and its buckets by bound."""
    name += "_total_compressed_message_size_bytes"
    samples = proxy.families()[name].samples
    buckets = {
        s.labels["le"]: s.value for s in samples if s.name == name + "_bucket"
        and all(s.labels.get(key) == value for key, value in labels.items())}
    return proxy.value(name + "_count", **labels), proxy.value(name + "_sum", **labels), buckets


def test_bytes_of_messages_are_counted_without_prefixes(told, echo_origin, echo_stub):  # noqa: F811
    proxy = told(config=configuration(echo_origin.port))
    stub = echo_stub(proxy)
    request = EchoRequest(payload=b"x" * 3000)
    answer = stub.Unary(request, timeout=5)
    many = EchoRequest(payload=b"y" * 100, terms=EchoTerms(response_count=50))
    answers = list(stub.ServerStream(many, timeout=5))
    waiting.until(
        lambda: proxy.value("grpc_client_call_duration_seconds_count", grpc_target="origin") == 2,
        lambda: "two calls")
    for rcvd, sent in [("grpc_server_call_rcvd", "grpc_server_call_sent"),
                       ("grpc_client_attempt_sent", "grpc_client_attempt_rcvd")]:
        both = request.ByteSize() + many.ByteSize()
        assert sizes(proxy, rcvd, grpc_status="OK")[:2] == (2, both)
        both = answer.ByteSize() + sum(each.ByteSize() for each in answers)
        assert sizes(proxy, sent, grpc_status="OK")[:2] == (2, both)
    count, total, buckets = sizes(proxy, "grpc_server_call_rcvd", route="unary")
    assert (count, total) == (1, request.ByteSize())
    assert buckets["0"] == buckets["2048"] == 0 and buckets["4096"] == buckets["+Inf"] == 1
    assert len(buckets) == 15


def test_calls_that_got_no_connection_are_counted(told, dial):  # noqa: F811
    proxy = told(program.free_port())
    client = dial(proxy)
    assert client.until_over(client.request(GRPC)).grpc_status == 14
    waiting.until(
        lambda: proxy.value("grpc_client_call_duration_seconds_count", grpc_target="origin",
                            grpc_status="UNAVAILABLE") == 1, lambda: "the call")
    assert proxy.value("grpc_client_attempt_started_total") == 0
    assert proxy.value("grpc_client_attempt_sent_total_compressed_message_size_bytes_count") == 0


def test_what_is_not_grpc_is_counted_by_class(told, echo_origin, dial):  # noqa: F811
    proxy = told(config=configuration(echo_origin.port))
    client = dial(proxy)
    for path, status in [("/web", "200"), ("/web", "200"), ("/nowhere", "404")]:
        stream = client.request(changed(GET, path=path))
        client.until(lambda: stream.ended)
        assert stream.status == int(status)
    name = "weir_http_request_duration_seconds_count"
    waiting.until(lambda: proxy.value(name) == 3, lambda: "three requests")
    assert proxy.value(name, route="web", status="2xx") == 2
    assert proxy.value(name, route="", status="4xx") == 1
    assert proxy.value("weir_exchanges_ended_total", reason="no_route") == 1
    assert proxy.value("weir_answers_total") >= 1


def test_clients_cannot_make_the_page_grow(told, echo_origin, dial):  # noqa: F811
    proxy = told(config=configuration(echo_origin.port))
    client = dial(proxy)

    def call(number):
        path = f"/weir.echo.v1.Echo{number}/Method{number}"
        stream = client.request(changed(GRPC, path=path, authority=f"host{number}.example"))
        client.until(lambda: stream.ended)
        plain = client.request(changed(GET, path=f"/{number}"))
        client.until(lambda: plain.ended)

    call(0)
    waiting.until(
        lambda: proxy.value("weir_exchanges_ended_total") == 2, lambda: "two exchanges")
    lines = len(proxy.fetch("/metrics")[2].splitlines())
    for number in range(1, 300):
        call(number)
    waiting.until(
        lambda: proxy.value("weir_exchanges_ended_total") == 600, lambda: "all exchanges")
    assert len(proxy.fetch("/metrics")[2].splitlines()) == lines
    methods = {s.labels["grpc_method"] for f in proxy.families().values() for s in f.samples
               if "grpc_method" in s.labels}
    assert methods == {"other"}


def test_counters_survive_reloads_and_go_with_their_route(told, echo_origin, echo_stub):  # noqa: F811
    config = configuration(echo_origin.port)
    proxy = told(config=config)
    stub = echo_stub(proxy)
    name = "grpc_server_call_started_total"
    stub.Unary(EchoRequest(payload=b"a"), timeout=5)
    list(stub.ServerStream(EchoRequest(payload=b"a"), timeout=5))
    for revision in range(3):
        routes = [{**ROUTES[0], "timeout": f"{revision + 5}s"}, ROUTES[1]]
        replace(proxy.config_path, {**proxy.config, "routes": routes})
        proxy.signal(signal.SIGHUP)
        proxy.wait_for_line(" reloaded ", count=revision + 1)
        stub.Unary(EchoRequest(payload=b"a"), timeout=5)
    assert proxy.value(name, route="unary") == 4
    assert proxy.value("weir_config_reloads_total", outcome="installed") == 3
    replace(proxy.config_path, {**proxy.config, "routes": ROUTES[:1]})
    proxy.signal(signal.SIGHUP)
    proxy.wait_for_line(" reloaded ", count=4)

    def only_one_is_left():
        stub.Unary(EchoRequest(payload=b"a"), timeout=5)
        return proxy.value(name, route="rest") == 0

    waiting.until(only_one_is_left, lambda: "the series of the removed route to go")
    assert proxy.value(name, route="unary") >= 5


def test_a_refused_reload_is_told(told, echo_origin):  # noqa: F811
    proxy = told(echo_origin.port)
    assert proxy.value("weir_config_last_load_failed") == 0
    proxy.config_path.write_text("listeners: 5\n")
    proxy.signal(signal.SIGHUP)
    proxy.wait_for_line("reload refused")
    waiting.until(
        lambda: proxy.value("weir_config_last_load_failed") == 1, lambda: "the failure")
    assert proxy.value("weir_config_reloads_total", outcome="refused") >= 1


def test_scraping_under_load_fails_no_call(told, echo_origin, echo_stub):  # noqa: F811
    proxy = told(config=configuration(echo_origin.port), workers=2)
    stub = echo_stub(proxy)
    calls = [stub.Unary.future(EchoRequest(payload=b"a"), timeout=20) for _ in range(400)]
    active = [proxy.value("weir_requests_active") for _ in range(5)]
    assert all(0 <= count <= 400 for count in active)
    assert all(call.result().payload == b"a" for call in calls)


def test_the_page_is_compressed_for_those_who_take_it(told, echo_origin):  # noqa: F811
    proxy = told(echo_origin.port)
    _, plain_headers, plain = proxy.fetch("/metrics")
    _, headers, body = proxy.fetch("/metrics", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain_headers and headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body).startswith(b"# HELP weir_build_info")
    assert len(body) * 4 < len(plain)


@pytest.mark.parametrize("method, page, status", [
    ("GET", "/live", 200), ("GET", "/ready", 200), ("HEAD", "/metrics", 200),
    ("POST", "/metrics", 405), ("DELETE", "/live", 405), ("GET", "/", 404), ("GET", "/drain", 404),
    ("GET", "/metrics/", 404), ("POST", "/drain", 404)])
def test_there_is_only_reading(told, echo_origin, method, page, status):  # noqa: F811
    assert told(echo_origin.port).fetch(page, method)[0] == status


def test_one_who_drains_is_live_and_not_ready(told, echo_origin, echo_stub):  # noqa: F811
    proxy = told(echo_origin.port)
    call = echo_stub(proxy).Unary.future(EchoRequest(terms=EchoTerms(delay_ms=2500)), timeout=9)
    waiting.until(lambda: proxy.value("weir_requests_active") == 1, lambda: "the call to begin")
    proxy.signal(signal.SIGTERM)
    waiting.until(lambda: proxy.fetch("/ready")[0] == 503, lambda: "it to say that it drains")
    assert proxy.fetch("/live")[0] == 200
    assert proxy.value("weir_draining") == 1
    call.result()
    assert proxy.wait(10) == 0


def test_who_hangs_at_the_port_is_in_nobody_s_way(told, echo_origin, echo_stub):  # noqa: F811
    proxy = told(echo_origin.port)
    hanging = [socket.create_connection(("127.0.0.1", proxy.metrics_port)) for _ in range(200)]
    for connection in hanging[::2]:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nX-")
    assert echo_stub(proxy).Unary(EchoRequest(payload=b"a"), timeout=5).payload == b"a"
    for connection in hanging:
        connection.close()
    waiting.until(lambda: _answers(proxy), lambda: "the port to answer again", 15)


def _answers(proxy):
    try:
        return proxy.fetch("/live")[0] == 200
    except OSError:
        return False


def test_garbage_at_the_port_harms_nothing(told, echo_origin):  # noqa: F811
    proxy = told(echo_origin.port)
    for data in [b"\0" * 10_000, b"GET " + b"/" * 50_000 + b" HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n",
                 b"GET /metrics HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 100_000]:
        with socket.create_connection(("127.0.0.1", proxy.metrics_port), 5) as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65_536):
                    pass
            except OSError:
                pass
    waiting.until(lambda: _answers(proxy), lambda: "the port to answer", 15)


def test_the_port_comes_and_goes_with_the_configuration(told, echo_origin):  # noqa: F811
    proxy = told(echo_origin.port)
    without = {key: value for key, value in proxy.config.items() if key != "metrics"}
    replace(proxy.config_path, without)
    proxy.signal(signal.SIGHUP)
    waiting.until(lambda: not _answers(proxy), lambda: "the port to close")
    replace(proxy.config_path, proxy.config)
    proxy.signal(signal.SIGHUP)
    waiting.until(lambda: _answers(proxy), lambda: "the port to open")


def test_every_metric_is_documented(told, echo_origin, echo_stub, dial):  # noqa: F811
    proxy = told(config=configuration(echo_origin.port))
    echo_stub(proxy).Unary(EchoRequest(payload=b"a"), timeout=5)
    client = dial(proxy)
    stream = client.request(changed(GET, path="/web"))
    client.until(lambda: stream.ended)
    waiting.until(
        lambda: proxy.value("weir_exchanges_ended_total") == 2, lambda: "two exchanges")
    page = proxy.fetch("/metrics")[2].decode()
    names = set(re.findall(r"^# TYPE (\S+)", page, re.MULTILINE))
    text = (program.ROOT / "docs/metrics.md").read_text()
    documented = set(re.findall(r"^\| `([a-z_]+)`", text, re.MULTILINE))
    assert names == documented


def test_the_board_and_the_alerts_ask_for_metrics_that_exist():
    text = (program.ROOT / "docs/metrics.md").read_text()
    documented = set(re.findall(r"^\| `([a-z_]+)`", text, re.MULTILINE))
    for name in ["grafana/weir.json", "prometheus/alerts.yaml"]:
        content = (program.ROOT / "config" / name).read_text()
        asked = set(re.findall(r"\b((?:weir|grpc|process)_[a-z_]+)\b(?=[{\[)]|\s)", content))
        plain = {re.sub(r"_(bucket|sum|count)$", "", n) if n not in documented else n for n in asked}
        labels = {"grpc_method", "grpc_status", "grpc_target"}
        assert plain - labels <= documented, name
        assert len(plain) > 3, name
