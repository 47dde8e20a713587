"""Tokens that Weir makes: attached to requests, verified by PyJWT with the set that Weir publishes."""

import json
import subprocess
import threading
import time

import grpc
import jwt
import pytest

import frames
import waiting
import weir as program
from authority import Authority
from frames import GRPC, changed
from test_token_requests import Caller, Signer, put

ISSUER = "https://mesh.example"


def rotate(folder, *options):
    command = [program.binary(), "token", "keys", "rotate", "--folder", folder, *options]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def keys(tmp_path):
    folder = tmp_path / "keys"
    rotate(folder)
    return folder


def signer(folder, **more):
    return {"name": "mesh", "issuer": ISSUER, "keys": str(folder), "subject": "weir", **more}


@pytest.fixture
def caller(start_weir, echo_origin):
    """`caller(attach, signers, …)`: a proxy whose upstream has that token."""
    callers = []

    def start(attach, signers=(), **sections):
        port = program.free_port()
        proxy = start_weir(
            echo_origin.port, upstream={"attach_token": attach}, token_signers=list(signers),
            metrics={"address": f"127.0.0.1:{port}"}, **sections)
        callers.append(Caller(proxy, echo_origin))
        callers[-1].proxy = proxy
        callers[-1].metrics = port
        return callers[-1]

    yield start
    for one in callers:
        one.close()


def bearer(call):
    """The one token that the server got."""
    (value,) = call.values("authorization")
    assert value.startswith("Bearer ")
    return value.removeprefix("Bearer ")


def verified(token, port, audience="orders"):
    """By PyJWT, with the keys that it fetches."""
    client = jwt.PyJWKClient(f"http://127.0.0.1:{port}/keys/mesh", cache_keys=False)
    key = client.get_signing_key_from_jwt(token).key
    return jwt.decode(token, key, algorithms=["ES256"], audience=audience, issuer=ISSUER)


def test_requests_carry_a_token_that_others_can_verify(caller, keys):
    ask = caller({"issuer": "mesh", "audience": "orders"}, [signer(keys, lifetime="2m")])
    claims = verified(bearer(ask.call()), ask.metrics)
    assert claims["sub"] == "weir" and claims["exp"] - claims["iat"] == 120
    assert abs(claims["iat"] - time.time()) < 10


def test_a_callers_own_token_is_replaced(caller, keys):
    ask = caller({"issuer": "mesh", "audience": "orders"}, [signer(keys)])
    for metadata in ([("authorization", "Basic YTpi")], [("authorization", "Bearer x.y.z")]):
        assert verified(bearer(ask.call(metadata=metadata)), ask.metrics)["sub"] == "weir"


def test_several_fields_and_trailers_add_none(start_weir, start_origin, dial, keys):
    origin = start_origin()
    proxy = start_weir(
        origin.port, upstream={"attach_token": {"issuer": "mesh", "audience": "orders"}},
        token_signers=[signer(keys)])
    head = changed(GRPC, put=[("authorization", "Bearer a"), ("authorization", "Bearer b")])
    client = dial(proxy)
    trailers = [("authorization", "Bearer c")]
    client.until_over(client.request(head, b"\0\0\0\0\0", trailers=trailers))
    request = origin.requests[0]
    values = [value for name, value in request.headers if name == b"authorization"]
    assert len(values) == 1 and values[0].count(b".") == 2
    assert b"authorization" not in [name for name, _ in request.trailers or []]


def test_its_caller_s_token_is_verified_and_then_replaced(caller, keys, tmp_path):
    login = Signer()
    path = tmp_path / "login.json"
    path.write_text(json.dumps({"keys": [login.jwk]}))
    issuer = {
        "name": "login", "issuer": "https://login.example", "audiences": ["orders"],
        "algorithms": ["ES256"], "keys": {"file": str(path)}, "forward": "keep",
        "claims_to_headers": {"sub": "x-jwt-sub"}}
    ask = caller(
        {"issuer": "mesh", "audience": "orders"}, [signer(keys)], token_issuers=[issuer])
    call = ask.call(login.token())
    assert call.values("x-jwt-sub") == ["alice"]
    assert verified(bearer(call), ask.metrics)["sub"] == "weir"


def test_keys_rotate_under_load_without_a_failed_call(caller, keys):
    ask = caller({"issuer": "mesh", "audience": "orders"}, [signer(keys)])
    stop, seen, failures = threading.Event(), {}, []

    def call():
        while not stop.is_set():
            try:
                token = bearer(ask.call())
                key_id = jwt.get_unverified_header(token)["kid"]
                if key_id not in seen:
                    seen[key_id] = verified(token, ask.metrics)
            except Exception as error:  # noqa: BLE001
                failures.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    try:
        for count in range(2, 7):
            rotate(keys)
            waiting.until(lambda: failures or len(seen) >= count, lambda: f"{seen}", 10)
    finally:
        stop.set()
        thread.join()
    assert failures == [] and len(seen) == 6


def test_another_audience_holds_from_the_reload_on(caller, keys):
    ask = caller({"issuer": "mesh", "audience": "orders"}, [signer(keys)])
    assert verified(bearer(ask.call()), ask.metrics)["aud"] == "orders"
    text = ask.proxy.config_path.read_text()
    put(ask.proxy.config_path, text.replace("audience: orders", "audience: billing"))
    ask.proxy.wait_for_log("reloaded", 10)
    waiting.until(
        lambda: jwt.decode(bearer(ask.call()), options={"verify_signature": False})["aud"] == "billing",
        lambda: "a token for billing", 10)
    assert verified(bearer(ask.call()), ask.metrics, "billing")["sub"] == "weir"


def test_a_key_set_that_is_broken_changes_nothing(caller, keys):
    ask = caller({"issuer": "mesh", "audience": "orders"}, [signer(keys)])
    before = jwt.get_unverified_header(bearer(ask.call()))["kid"]
    put(keys / "signing.pem", "-----BEGIN")
    (keys / "signing.pem").chmod(0o600)
    waiting.until(lambda: "kept-file" in ask.proxy.log, lambda: ask.proxy.log, 10)
    assert jwt.get_unverified_header(bearer(ask.call()))["kid"] == before


def test_a_token_from_a_file_is_read_again(caller, tmp_path):
    path = tmp_path / "token"
    path.touch(0o600)
    path.write_text("first.token\n")
    ask = caller({"file": str(path)})
    assert bearer(ask.call(metadata=[("authorization", "Bearer mine")])) == "first.token"
    scratch = tmp_path / "token.new"
    scratch.touch(0o600)
    scratch.write_text("second.token")
    scratch.rename(path)
    waiting.until(
        lambda: bearer(ask.call()) == "second.token", lambda: "the second token", 10)


def test_a_route_publishes_the_keys(start_weir, start_origin, dial, keys):
    proxy = start_weir(
        start_origin().port, token_signers=[signer(keys)],
        routes=[{"name": "keys", "matches": [{"path": "/keys"}],
                 "respond": {"status": 200, "keys_of": "mesh"}},
                {"name": "all", "backends": [{"upstream": "origin"}]}])
    client = dial(proxy)
    stream = client.until_over(client.request(changed(frames.GET, path="/keys")))
    assert stream.status == 200 and stream.field("content-type") == "application/jwk-set+json"
    assert bytes(stream.body) == (keys / "jwks.json").read_bytes()
    # What the private half is made of is not in it.
    assert all("d" not in key for key in json.loads(bytes(stream.body))["keys"])


def test_one_weir_verifies_what_another_signs(tmp_path, start_weir, echo_origin, keys):
    """The second fetches the keys from the first, over HTTP/2 and TLS."""
    authority = Authority(tmp_path)
    leaf = authority.issue(None, name="localhost", dns=["localhost"])
    ports = program.free_port(), program.free_port()
    login = {
        "name": "mesh", "issuer": ISSUER, "audiences": ["orders"], "algorithms": ["ES256"],
        "keys": {"url": f"https://localhost:{ports[1]}/keys", "ca": str(authority.file)},
        "claims_to_headers": {"sub": "x-jwt-sub"}}
    second = start_weir(echo_origin.port, token_issuers=[login], access={
        "default": "deny", "rules": [
            {"name": "mesh", "methods": ["weir.echo.v1.Echo/*"],
             "allow": [{"token": {"issuer": "mesh", "claims": {"sub": {"equals": "weir"}}}}]}]})
    first = start_weir(
        second.port, upstream={"attach_token": {"issuer": "mesh", "audience": "orders"}},
        token_signers=[signer(keys)],
        identities=[{"name": "self", "certificate": str(leaf.certificate_file),
                     "private_key": str(leaf.key_file)}],
        listeners=[{"name": "edge", "address": f"127.0.0.1:{ports[0]}"},
                   {"name": "keys", "address": f"127.0.0.1:{ports[1]}",
                    "tls": {"identities": ["self"]}}],
        routes=[{"name": "keys", "listeners": ["keys"], "matches": [{"path": "/keys"}],
                 "respond": {"status": 200, "keys_of": "mesh"}},
                {"name": "all", "listeners": ["edge"], "backends": [{"upstream": "origin"}]}])
    ask = Caller(first, echo_origin)
    try:
        # The second was started before there was anybody to fetch from.
        waiting.until(lambda: "keys fetched" in second.log, lambda: second.log, 10)
        assert ask.call().values("x-jwt-sub") == ["weir"]
        direct = Caller(second, echo_origin)
        with pytest.raises(grpc.RpcError) as refusal:
            direct.call()
        assert refusal.value.code() == grpc.StatusCode.UNAUTHENTICATED
        direct.close()
    finally:
        ask.close()


@pytest.mark.parametrize("mode", [0o644, 0o604])
def test_secrets_that_others_may_read_are_refused(tmp_path, keys, mode):
    (keys / "signing.pem").chmod(mode)
    config = program.configuration(
        program.free_port(), [1], upstream={"attach_token": {"issuer": "mesh", "audience": "a"}},
        token_signers=[signer(keys)])
    path = tmp_path / "weir.yaml"
    path.write_text(json.dumps(config))
    checked = subprocess.run(
        [program.binary(), "check", "--config", path], capture_output=True, text=True)
    assert checked.returncode == 1
    assert "everybody may read the private key" in checked.stdout + checked.stderr
