"""Envoy as a neighbour in a mesh: mutual TLS between it and Weir, each checking who the other is."""

import grpc
import pytest

import authority
import calls
import neighbours
from authority import Authority
from echo_pb2 import EchoRequest
from test_interop_chains import start_neighbour  # noqa: F401

DOMAIN = authority.DOMAIN
WEIR, ENVOY = f"spiffe://{DOMAIN}/weir", f"spiffe://{DOMAIN}/envoy"


@pytest.fixture
def mesh(tmp_path):
    return Authority(tmp_path)


def identity(mesh, **more):
    """Weir's, with whom it believes."""
    leaf = mesh.issue("weir", dns=["weir.example"])
    return {
        "identities": [{"name": "self", "certificate": str(leaf.certificate_file),
                        "private_key": str(leaf.key_file)}],
        "trust": [{"name": DOMAIN, "ca": str(mesh.file)}], **more}


def behind(mesh, start_weir, start_neighbour, origin, leaf=None, peer=WEIR):  # noqa: F811
    """Envoy in front, Weir behind; what Envoy shows, and whom it wants to see.

    It leaves the client's `:scheme` as it was, as trusted proxies may.
    """
    access = {"default": "deny", "rules": [
        {"name": "envoy", "methods": ["weir.echo.v1.Echo/*"], "allow": [{"peers": [ENVOY]}]}]}
    tls = {"identities": ["self"], "clients": "required", "trust": [DOMAIN], "forward_client": "on"}
    proxy = start_weir(
        origin.port, listener={"tls": tls, "trusted_proxies": ["127.0.0.0/8"]},
        **identity(mesh, access=access))
    shown = neighbours.envoy_tls("cluster", leaf or mesh.issue("envoy"), mesh, peer)
    return start_neighbour("envoy", proxy.port, **shown), proxy


def before(mesh, start_weir, start_neighbour, origin, peers=(ENVOY,), wanted=WEIR):  # noqa: F811
    """Weir in front, Envoy behind; whom Weir wants to see, and whom Envoy does."""
    wants = neighbours.envoy_tls("listener", mesh.issue("envoy"), mesh, wanted)
    envoy = start_neighbour("envoy", origin.port, **wants)
    tls = {"identity": "self", "trust": DOMAIN, "peers": list(peers)}
    return start_weir(envoy.port, upstream={"tls": tls}, **identity(mesh))


@pytest.mark.parametrize("check", calls.ALL, ids=lambda check: check.__name__)
def test_calls_come_from_envoy(
        mesh, start_weir, start_neighbour, echo_origin, echo_stub, check):  # noqa: F811
    first, _ = behind(mesh, start_weir, start_neighbour, echo_origin)
    check(echo_stub(first), echo_origin)


@pytest.mark.parametrize("check", calls.ALL, ids=lambda check: check.__name__)
def test_calls_go_to_envoy(
        mesh, start_weir, start_neighbour, echo_origin, echo_stub, check):  # noqa: F811
    check(echo_stub(before(mesh, start_weir, start_neighbour, echo_origin)), echo_origin)


def test_servers_are_told_that_it_is_envoy(
        mesh, start_weir, start_neighbour, echo_origin, echo_stub):  # noqa: F811
    first, _ = behind(mesh, start_weir, start_neighbour, echo_origin)
    echo_stub(first).Unary(EchoRequest(payload=b"x"), timeout=5)
    (told,) = echo_origin.calls[0].values("x-forwarded-client-cert")
    assert told.endswith(f";URI={ENVOY}") and told.startswith(f"By={WEIR};Hash=")


def refused(stub, status):
    with pytest.raises(grpc.RpcError) as failure:
        stub.Unary(EchoRequest(payload=b"x"), timeout=5)
    assert failure.value.code() == status


def test_an_envoy_of_another_name_is_not_let_in(
        mesh, start_weir, start_neighbour, echo_origin, echo_stub):  # noqa: F811
    first, _ = behind(mesh, start_weir, start_neighbour, echo_origin, mesh.issue("other"))
    refused(echo_stub(first), grpc.StatusCode.PERMISSION_DENIED)
    assert echo_origin.calls == []


def test_a_foreign_envoy_is_refused(
        mesh, tmp_path, start_weir, start_neighbour, echo_origin, echo_stub):  # noqa: F811
    (tmp_path / "foreign").mkdir()
    stranger = Authority(tmp_path / "foreign").issue("envoy")
    first, proxy = behind(mesh, start_weir, start_neighbour, echo_origin, stranger)
    refused(echo_stub(first), grpc.StatusCode.UNAVAILABLE)
    proxy.wait_for_log("tls handshake failed")
    assert echo_origin.calls == []


def test_envoy_refuses_a_weir_that_it_does_not_expect(
        mesh, start_weir, start_neighbour, echo_origin, echo_stub):  # noqa: F811
    first, _ = behind(
        mesh, start_weir, start_neighbour, echo_origin, peer=f"spiffe://{DOMAIN}/another")
    refused(echo_stub(first), grpc.StatusCode.UNAVAILABLE)
    proxy = before(
        mesh, start_weir, start_neighbour, echo_origin, wanted=f"spiffe://{DOMAIN}/another")
    refused(echo_stub(proxy), grpc.StatusCode.UNAVAILABLE)
    assert echo_origin.calls == []


def test_weir_refuses_an_envoy_that_it_does_not_expect(
        mesh, start_weir, start_neighbour, echo_origin, echo_stub):  # noqa: F811
    proxy = before(
        mesh, start_weir, start_neighbour, echo_origin, peers=[f"spiffe://{DOMAIN}/orders"])
    refused(echo_stub(proxy), grpc.StatusCode.UNAVAILABLE)
    proxy.wait_for_log(f"{ENVOY} is not expected here")
    assert echo_origin.calls == []
