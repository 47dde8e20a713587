"""Rate limits: for the whole process, by source, header and route, told to callers and operators."""

import json
import signal
import threading

import grpc

import frames
import waiting
import weir as program
from access_log import logged  # noqa: F401
from echo_pb2 import EchoRequest
from frames import GET, GRPC, changed
from reloading import serve, write  # noqa: F401
from telemetry import told  # noqa: F401
from test_tls import dial_tls, mesh  # noqa: F401
from test_token_requests import Signer, issuer, key_set, put

RESOURCE_EXHAUSTED = 8


def limits(*entries):
    return {"rate_limits": [{"name": "l", **entry} for entry in entries]}


def held(**terms):
    """All requests of the listener are held to one limit."""
    return {"listener": {"rate_limits": ["l"]}, **limits(terms)}


def test_a_burst_passes_and_the_rest_is_told_when_to_come_back(
        logged, start_origin, dial):  # noqa: F811
    origin = start_origin()
    proxy = logged(origin.port, **held(rate="2/m", burst=3))
    client = dial(proxy)
    for _ in range(3):
        assert client.until_over(client.request(GRPC, b"")).status == 200
    stream = client.until_over(client.request(GRPC, b""))
    assert stream.is_trailers_only and stream.grpc_status == RESOURCE_EXHAUSTED
    assert stream.field("grpc-message") == "over the rate limit l"
    assert 25_000 < int(stream.field("grpc-retry-pushback-ms")) <= 30_000
    plain = client.until_over(client.request(GET))
    assert plain.status == 429 and 25 <= int(plain.field("retry-after")) <= 30
    assert plain.field("grpc-retry-pushback-ms") is None
    assert len(origin.requests) == 3
    records = [r for r in proxy.wait_for_records(5) if r["reason"] == "rate_limited"]
    assert len(records) == 2
    assert records[0]["limit"] == "rate_limits" and records[0]["fault"] == "client"
    proxy.wait_for_log("limit=rate_limits name=l")


def test_all_workers_share_one_limit(start_weir, echo_origin, echo_stub):
    proxy = start_weir(echo_origin.port, workers=4, **held(rate="1/h", burst=40))
    results = []

    def call():
        stub = echo_stub(proxy)
        for _ in range(10):
            try:
                stub.Unary(EchoRequest(), timeout=20)
                results.append(grpc.StatusCode.OK)
            except grpc.RpcError as error:
                results.append(error.code())

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count(grpc.StatusCode.OK) == 40
    assert results.count(grpc.StatusCode.RESOURCE_EXHAUSTED) == 40


def test_each_value_of_a_header_has_a_bucket(start_weir, start_origin, dial):
    proxy = start_weir(
        start_origin().port, route={"rate_limits": ["l"]},
        **limits({"rate": "1/h", "by": [{"header": "x-tenant"}]}))
    client = dial(proxy)

    def ask(*fields):
        return client.until_over(client.request(changed(GET, put=fields))).status

    assert [ask(("x-tenant", "a")), ask(("x-tenant", "b")), ask()] == [200, 200, 200]
    assert [ask(("x-tenant", "a")), ask(("x-tenant", "b")), ask()] == [429, 429, 429]


def test_a_route_is_limited_and_its_neighbour_is_not(start_weir, start_origin, dial):
    origin = start_origin()
    proxy = start_weir(
        origin.port, route={"matches": [{"path": "/dear"}], "rate_limits": ["l"]},
        **limits({"rate": "1/h"}))
    client = dial(proxy)
    dear = changed(GET, path="/dear")
    assert client.until_over(client.request(dear)).status == 200
    assert client.until_over(client.request(dear)).status == 429
    # No other route: that is said without asking a limit.
    assert client.until_over(client.request(GET)).status == 404


def test_who_is_denied_takes_nothing_of_the_routes_limit(start_weir, start_origin, dial):
    proxy = start_weir(
        start_origin().port, route={"rate_limits": ["l"]}, **limits({"rate": "1/h"}),
        access={"default": "allow", "rules": [
            {"name": "r", "http": ["* /*"], "deny": [{"headers": {"x-bad": {"present": True}}}]}]})
    client = dial(proxy)
    bad = changed(GET, put=[("x-bad", "1")])
    assert [client.until_over(client.request(bad)).status for _ in range(3)] == [403] * 3
    assert client.until_over(client.request(GET)).status == 200
    assert client.until_over(client.request(GET)).status == 429


def test_the_limit_by_source_comes_before_access(start_weir, start_origin, dial):
    proxy = start_weir(
        start_origin().port, **held(rate="1/h", by=["source"]), access={"default": "deny"})
    client = dial(proxy)
    assert [client.until_over(client.request(GET)).status for _ in range(2)] == [403, 429]


def test_a_dry_run_only_counts(told, start_origin, dial):  # noqa: F811
    proxy = told(start_origin().port, **held(rate="1/h", by=["source"], mode="dry_run"))
    client = dial(proxy)
    assert [client.until_over(client.request(GET)).status for _ in range(3)] == [200] * 3
    proxy.wait_for_log("rate limit would refuse name=l")
    name = "weir_rate_limit_requests_total"
    assert proxy.value(name, limit="l", outcome="allowed") == 1
    assert proxy.value(name, limit="l", outcome="would_limit") == 2
    status, body = proxy.ask("/rate-limits")
    assert status == 200
    assert json.loads(body) == [{
        "name": "l", "rate": "1/h", "burst": 1, "by": ["source"], "dry_run": True,
        "keys": 16384, "keys_in_use": 1, "evictions": 0, "allowed": 1, "would_limit": 2}]


def test_buckets_survive_a_reload_by_their_name(serve, start_origin, dial):  # noqa: F811
    def config(**terms):
        return program.configuration(port, [origin.port], **held(**terms))

    def load(**terms):
        write(proxy.config_path, config(**terms))
        proxy.signal(signal.SIGHUP)
        loads.append(proxy.wait_for_line("reloaded revision=", len(loads) + 1))

    origin, port, loads = start_origin(), program.free_port(), []
    proxy = serve(config(rate="1/h", burst=2))
    client = dial(proxy)
    assert [client.until_over(client.request(GET)).status for _ in range(3)] == [200, 200, 429]
    # The burst is larger, but not what was left of it.
    load(rate="2/h", burst=3)
    assert client.until_over(client.request(GET)).status == 429
    # What the old terms would have made it wait for is not waited for.
    load(rate="1000/s", burst=1_000)
    waiting.until(lambda: client.until_over(client.request(GET)).status == 200, "a token", 5)


def test_a_crowd_of_keys_does_not_grow_memory(start_weir, start_origin, dial):
    proxy = start_weir(
        start_origin().port, route={"rate_limits": ["l"]},
        **limits({"rate": "1/h", "by": [{"header": "x-id"}], "keys": 1_024}))
    client = dial(proxy)

    def send(first, count):
        for number in range(first, first + count):
            field = [("x-id", "%032d" % number)]
            assert client.until_over(client.request(changed(GET, put=field))).status == 200

    send(0, 500)
    before = proxy.resident_bytes()
    send(1_000, 5_000)
    assert proxy.resident_bytes() - before < 1 << 20


def test_a_limited_request_is_answered_with_its_body_on_the_way(start_weir, start_origin, dial):
    proxy = start_weir(start_origin().port, **held(rate="1/h"))
    client = dial(proxy)
    assert client.until_over(client.request(GRPC, b"")).status == 200
    stream = client.request(GRPC, end=False)
    client.send_data(stream.number, bytes(10_000))
    client.until(lambda: stream.grpc_status == RESOURCE_EXHAUSTED)
    assert client.until_over(client.request(frames.GET)).status == 429


def test_each_peer_has_a_bucket_and_strangers_share_one(
        mesh, start_weir, echo_origin, dial_tls):  # noqa: F811
    parts = mesh.parts("optional")
    parts["listener"]["rate_limits"] = ["l"]
    access = {"default": "allow", "rules": [
        {"name": "r", "methods": ["weir.echo.v1.Echo/*"],
         "deny": [{"headers": {"x-bad": {"present": True}}}]}]}
    proxy = start_weir(
        echo_origin.port, **parts, **limits({"rate": "1/h", "by": ["peer"]}), access=access)

    def code(stub, *fields):
        try:
            stub.Unary(EchoRequest(), metadata=fields, timeout=10)
        except grpc.RpcError as error:
            return error.code().name
        return "OK"

    web = dial_tls(proxy, mesh.ca.pem, mesh.ca.issue("web"))
    # Who is denied takes nothing from the limits by identity.
    assert code(web, ("x-bad", "1")) == "PERMISSION_DENIED"
    other = dial_tls(proxy, mesh.ca.pem, mesh.ca.issue("batch"))
    assert [code(web), code(other)] == ["OK", "OK"]
    assert [code(web), code(other)] == ["RESOURCE_EXHAUSTED"] * 2
    strangers = [dial_tls(proxy, mesh.ca.pem) for _ in range(2)]
    assert [code(stub) for stub in strangers] == ["OK", "RESOURCE_EXHAUSTED"]


def test_each_value_of_a_claim_has_a_bucket(start_weir, echo_origin, echo_stub, tmp_path):
    signer = Signer()
    put(tmp_path / "keys.json", key_set(signer))
    proxy = start_weir(
        echo_origin.port, route={"rate_limits": ["l"]},
        **limits({"rate": "1/h", "by": [{"claim": "sub"}]}),
        token_issuers=[issuer({"file": str(tmp_path / "keys.json")})])
    stub = echo_stub(proxy)

    def code(token):
        fields = [("authorization", f"Bearer {token}")] if token else []
        try:
            stub.Unary(EchoRequest(), metadata=fields, timeout=10)
        except grpc.RpcError as error:
            return error.code().name
        return "OK"

    tokens = [signer.token(), signer.token(sub="bob"), None]
    assert [code(token) for token in tokens] == ["OK"] * 3
    # Another token of the same subject is no other subject.
    again = [signer.token(jti="2"), signer.token(sub="bob", jti="3"), None]
    assert [code(token) for token in again] == ["RESOURCE_EXHAUSTED"] * 3
