"""Access rules by what a client's certificate proves."""

import json

import grpc
import pytest
import yaml

import waiting
from authority import Authority
from echo_pb2 import EchoRequest
from reloading import replace
from test_tls import dial_tls, mesh  # noqa: F401

SERVICE = "weir.echo.v1.Echo/*"


def allow(*peers, **more):
    item = {"peers": list(peers), **more}
    return {"default": "allow",
            "rules": [{"name": "callers", "methods": [SERVICE], "allow": [item]}]}


def code(stub):
    try:
        stub.Unary(EchoRequest(payload=b"x"), timeout=10)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize("pattern, peer, allowed", [
    ("spiffe://mesh.example/web", "web", True), ("spiffe://mesh.example/web", "web/a", False),
    ("spiffe://mesh.example/web/*", "web/a", True), ("spiffe://mesh.example/web/*", "web", False),
    ("spiffe://mesh.example/web/*", "website/a", False), ("spiffe://mesh.example/*", "web", True),
    ("verified", "web", True), ("dns:web.example", "web", False),
])
def test_a_proven_spiffe_id_decides(
        mesh, start_weir, echo_origin, dial_tls, pattern, peer, allowed):
    proxy = start_weir(echo_origin.port, **mesh.parts(), access=allow(pattern))
    stub = dial_tls(proxy, mesh.ca.pem, mesh.ca.issue(peer))
    assert code(stub) == (
        grpc.StatusCode.OK if allowed else grpc.StatusCode.PERMISSION_DENIED)
    assert len(echo_origin.calls) == (1 if allowed else 0)


def test_a_caller_without_a_certificate_is_no_peer(mesh, start_weir, echo_origin, dial_tls):
    proxy = start_weir(echo_origin.port, **mesh.parts("optional"), access=allow("verified"))
    assert code(dial_tls(proxy, mesh.ca.pem)) == grpc.StatusCode.PERMISSION_DENIED
    assert code(dial_tls(proxy, mesh.ca.pem, mesh.web)) == grpc.StatusCode.OK
    forged = [("x-forwarded-client-cert", "URI=spiffe://mesh.example/web"), ("x-weir-peer", "web")]
    with pytest.raises(grpc.RpcError) as caught:
        dial_tls(proxy, mesh.ca.pem).Unary(EchoRequest(), metadata=forged, timeout=10)
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED


def test_one_trust_domain_cannot_speak_for_another(
        mesh, start_weir, echo_origin, dial_tls, tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    other = Authority(folder, domain="other.example")
    parts = mesh.parts()
    parts["trust"].append({"name": "other.example", "ca": str(other.file)})
    parts["listener"]["tls"]["trust"].append("other.example")
    proxy = start_weir(
        echo_origin.port, **parts, access=allow("spiffe://mesh.example/*"))
    assert code(dial_tls(proxy, mesh.ca.pem, mesh.web)) == grpc.StatusCode.OK
    assert code(dial_tls(proxy, mesh.ca.pem, other.issue("web"))) == (
        grpc.StatusCode.PERMISSION_DENIED)


def test_a_changed_rule_holds_on_an_open_connection(mesh, start_weir, echo_origin, dial_tls):
    proxy = start_weir(echo_origin.port, **mesh.parts(), access=allow("spiffe://mesh.example/web"))
    stub = dial_tls(proxy, mesh.ca.pem, mesh.web)
    assert code(stub) == grpc.StatusCode.OK
    config = yaml.safe_load(proxy.config_path.read_text())
    replace(proxy.config_path, {**config, "access": allow("spiffe://mesh.example/other")})
    waiting.until(
        lambda: code(stub) == grpc.StatusCode.PERMISSION_DENIED, lambda: proxy.log, 10)


def test_the_access_log_says_who_called(mesh, start_weir, echo_origin, dial_tls, tmp_path):
    path = tmp_path / "access.log"
    access = {"default": "deny", "rules": [
        {"name": "web", "methods": [SERVICE], "allow": [{"peers": ["spiffe://mesh.example/web"]}]}]}
    proxy = start_weir(
        echo_origin.port, **mesh.parts("optional"), access=access, access_log={"file": str(path)})
    named = mesh.ca.issue(None, name="named", dns=["a.example", "b.example"])
    for leaf in (mesh.web, named, None):
        code(dial_tls(proxy, mesh.ca.pem, leaf))

    def records():
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    waiting.until(lambda: len(records()) == 3, lambda: f"{records()}")
    found = [(record.get("identity"), record.get("rule"), record["grpc_status"])
             for record in records()]
    assert found == [
        ("spiffe://mesh.example/web", "web", "OK"), ("dns:a.example", "web", "PERMISSION_DENIED"),
        (None, "web", "PERMISSION_DENIED")]
