"""Requests with tokens: what is verified, what servers get of it, and where keys come from."""

import base64
import hashlib
import http.server
import json
import os
import ssl
import threading
import time

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

import echo_pb2
import echo_pb2_grpc
import frames
import waiting
from authority import Authority
from frames import GRPC, changed

ISSUER = "https://login.example"


class Signer:
    """A key of an issuer, with PyJWT."""

    def __init__(self, key_id="one"):
        self.key_id = key_id
        self._key = ec.generate_private_key(ec.SECP256R1())
        public = jwt.get_algorithm_by_name("ES256").to_jwk(self._key.public_key(), as_dict=True)
        self.jwk = {**public, "kid": key_id, "use": "sig"}

    def token(self, header=None, **changes):
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": "alice", "aud": "orders", "iat": now, "exp": now + 60,
                  **changes}
        return jwt.encode({k: v for k, v in claims.items() if v is not None}, self._key,
                          algorithm="ES256", headers={"kid": self.key_id, **(header or {})})


def key_set(*signers):
    return json.dumps({"keys": [signer.jwk for signer in signers]})


def put(path, text):
    """Replaces a file in one step."""
    scratch = path.with_name(path.name + ".new")
    scratch.write_text(text)
    os.replace(scratch, path)


def issuer(keys, **more):
    return {"name": "login", "issuer": ISSUER, "audiences": ["orders"], "algorithms": ["ES256"],
            "keys": keys, "claims_to_headers": {"sub": "x-jwt-sub", "realm.roles": "x-jwt-roles"},
            **more}


class Caller:
    """Calls the echo service through the proxy; what the server was told."""

    def __init__(self, proxy, origin):
        self._origin = origin
        self._channel = grpc.insecure_channel(f"127.0.0.1:{proxy.port}")
        self._stub = echo_pb2_grpc.EchoStub(self._channel)

    def call(self, token=None, metadata=(), timeout=5):
        fields = list(metadata)
        if token is not None:
            fields.append(("authorization", f"Bearer {token}"))
        count = len(self._origin.calls)
        self._stub.Unary(echo_pb2.EchoRequest(payload=b"x"), metadata=fields, timeout=timeout)
        return self._origin.calls[count]

    def subject(self, token, **terms):
        """Whom the server was told of; None where the token did not count."""
        found = self.call(token, **terms).values("x-jwt-sub")
        assert len(found) < 2
        return found[0] if found else None

    def close(self):
        self._channel.close()


@pytest.fixture
def caller(request, start_weir, echo_origin):
    """`caller(issuer, …)`: a proxy with that issuer, and who calls through it."""
    callers = []

    def start(terms, **sections):
        proxy = start_weir(echo_origin.port, token_issuers=[terms], **sections)
        callers.append(Caller(proxy, echo_origin))
        callers[-1].proxy = proxy
        return callers[-1]

    yield start
    for one in callers:
        one.close()


@pytest.fixture
def signer():
    return Signer()


@pytest.fixture
def keys(tmp_path, signer):
    path = tmp_path / "login.jwks.json"
    put(path, key_set(signer))
    return path


def test_a_valid_token_ends_at_weir_and_its_claims_go_on(caller, keys, signer):
    ask = caller(issuer({"file": str(keys)}))
    for _ in range(3):
        call = ask.call(signer.token(realm={"roles": ["a", "b"]}))
        assert call.values("authorization") == []
        assert call.values("x-jwt-sub") == ["alice"]
        assert call.values("x-jwt-roles") == ["a,b"]
    # The same one again, which is known now.
    token = signer.token()
    for _ in range(3):
        assert ask.subject(token) == "alice"


def test_a_token_is_kept_where_that_is_asked_for(caller, keys, signer):
    ask = caller(issuer({"file": str(keys)}, forward="keep"))
    token = signer.token()
    assert ask.call(token).values("authorization") == [f"Bearer {token}"]
    # Only a valid one: servers may rely on that.
    assert ask.call(signer.token(aud="other")).values("authorization") == []


INVALID = {
    "not a token": (lambda s: "opaque", "three parts"),
    "of a stranger": (lambda s: s.token(iss="https://evil.example"), "iss is nobody"),
    "for another audience": (lambda s: s.token(aud="payments"), "another audience"),
    "expired": (lambda s: s.token(exp=int(time.time()) - 40, iat=int(time.time()) - 90),
                "has expired"),
    "not yet valid": (lambda s: s.token(nbf=int(time.time()) + 50), "not valid yet"),
    "without expiry": (lambda s: s.token(exp=None), "exp is missing"),
    "unsigned": (lambda s: jwt.encode({"iss": ISSUER}, None, algorithm="none"), "three parts"),
    "by another key": (lambda s: Signer().token(), "signature is wrong"),
    "by an unknown key": (lambda s: Signer("two").token(), "no key of its issuer has its kid"),
    "with crit": (lambda s: s.token(header={"crit": ["x"]}), "has crit"),
    "with a key inside": (lambda s: s.token(header={"jwk": s.jwk}), "brings a key"),
    "for a SPIFFE ID": (lambda s: s.token(sub="spiffe://mesh.example/a"), "does not speak for"),
    "bound to a certificate": (
        lambda s: s.token(cnf={"x5t#S256": base64.urlsafe_b64encode(b"c" * 32).decode()[:43]}),
        "bound to a certificate"),
    "two in one field": (lambda s: f"{s.token()} {s.token()}", "more than one token"),
    "too long": (lambda s: s.token(pad="x" * 17_000), "too long"),
}


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_token_counts_for_nothing_and_goes_nowhere(caller, keys, signer, name):
    make, words = INVALID[name]
    ask = caller(issuer({"file": str(keys)}))
    for _ in range(2):
        call = ask.call(make(signer))
        assert call.values("authorization") == []
        assert call.values("x-jwt-sub") == []
    ask.proxy.wait_for_log(words)
    assert ask.subject(signer.token()) == "alice"


def test_claims_in_headers_cannot_be_forged(caller, keys, signer):
    ask = caller(issuer({"file": str(keys)}))
    forged = [("x-jwt-sub", "root"), ("x_jwt_sub", "root"), ("x-jwt_sub", "root"),
              ("x-jwt-other", "root")]
    for token, expected in [(None, []), (signer.token(), ["alice"]), ("bad", [])]:
        call = ask.call(token, metadata=forged)
        assert call.values("x-jwt-sub") == expected
        assert [name for name, value in call.metadata if value == "root"] == []


def test_a_claim_that_no_header_can_say_is_left_out(caller, keys, signer):
    ask = caller(issuer({"file": str(keys)}))
    for subject in ["a\r\nx-evil: 1", "a\0b", "ü", " a", "x" * 1_025]:
        call = ask.call(signer.token(sub=subject))
        assert call.values("x-jwt-sub") == []
        assert call.values("x-evil") == []


def test_other_schemes_pass_untouched(caller, keys):
    ask = caller(issuer({"file": str(keys)}))
    assert ask.call(metadata=[("authorization", "Basic YTpi")]).values("authorization") == [
        "Basic YTpi"]


def test_two_authorization_fields_are_none(start_weir, start_origin, dial, keys, signer):
    """No client library sends them, so frame by frame."""
    origin = start_origin()
    proxy = start_weir(origin.port, token_issuers=[issuer({"file": str(keys)})])
    token = signer.token()
    for second in [token, "x", "Basic YTpi"]:
        value = second if " " in second else f"Bearer {second}"
        head = changed(GRPC, put=[("authorization", f"Bearer {token}"), ("authorization", value)])
        client = dial(proxy)
        client.until_over(client.request(head, b"\0\0\0\0\0"))
        names = [name for name, _ in origin.requests[-1].headers]
        assert b"authorization" not in names
        assert b"x-jwt-sub" not in names
    proxy.wait_for_log("more than one authorization field")


def test_a_changed_key_file_counts_at_once(caller, keys, signer):
    ask = caller(issuer({"file": str(keys)}))
    old = signer.token()
    assert ask.subject(old) == "alice"
    second = Signer("two")
    put(keys, key_set(signer, second))
    waiting.until(lambda: ask.subject(second.token()), lambda: "the second key", 10)
    assert ask.subject(old) == "alice"
    put(keys, key_set(second))
    waiting.until(lambda: ask.subject(old) is None, lambda: "the first key to go", 10)
    # What cannot be read changes nothing.
    put(keys, '{"keys": [')
    waiting.until(lambda: "kept-file" in ask.proxy.log, lambda: "a line about the file", 10)
    assert ask.subject(second.token()) == "alice"


def test_a_key_speaks_for_the_spiffe_id_it_names(caller, tmp_path):
    web, orders = Signer("web"), Signer("orders")
    for one in (web, orders):
        one.jwk["spiffe_id"] = f"spiffe://mesh.example/{one.key_id}"
    path = tmp_path / "mesh.json"
    put(path, key_set(web, orders))
    ask = caller(issuer({"file": str(path)}))
    for one, other in [(web, orders), (orders, web)]:
        own = one.jwk["spiffe_id"]
        assert ask.subject(one.token(sub=own)) == own
        assert ask.subject(one.token(sub=other.jwk["spiffe_id"])) is None
        assert ask.subject(one.token()) is None


class KeyServer:
    """Serves a key set over https."""

    def __init__(self, folder):
        authority = Authority(folder)
        leaf = authority.issue(None, name="keys", dns=["localhost"])
        self.authorities = str(authority.file)
        self.body, self.status, self.requests = b'{"keys":[]}', 200, 0
        self.gate = threading.Event()
        self.gate.set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests += 1
                outer.gate.wait(10)
                self.send_response(outer.status)
                self.send_header("content-length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_):
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(leaf.certificate_file, leaf.key_file)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://localhost:{self._server.server_port}/keys"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def keys(self, **more):
        return {"url": self.url, "ca": self.authorities, **more}

    def stop(self):
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def key_server(tmp_path):
    server = KeyServer(tmp_path)
    yield server
    server.stop()


def test_keys_are_fetched_and_a_new_one_is_waited_for(caller, key_server, signer):
    key_server.body = key_set(signer).encode()
    ask = caller(issuer(key_server.keys()))
    assert ask.subject(signer.token()) == "alice"
    assert key_server.requests == 1
    # A key that was added since: the request waits for one fetch, once the last is 5 s ago.
    second = Signer("two")
    key_server.body = key_set(signer, second).encode()
    token = second.token()
    waiting.until(lambda: ask.subject(token), lambda: "the second key", 10)
    assert key_server.requests == 2
    # One that nobody has is asked for once.
    for _ in range(5):
        assert ask.subject(Signer("three").token()) is None
    waiting.until(lambda: key_server.requests == 3, lambda: "a third fetch", 10)
    for _ in range(5):
        assert ask.subject(Signer("three").token()) is None
    assert key_server.requests == 3
    assert ask.subject(token) == "alice"


def test_keys_stay_while_their_source_is_down(caller, key_server, signer):
    key_server.body = key_set(signer).encode()
    ask = caller(issuer(key_server.keys(refresh="10s")))
    assert ask.subject(signer.token()) == "alice"
    key_server.status = 503
    waiting.until(lambda: "keys not fetched" in ask.proxy.log, lambda: "a failed fetch", 20)
    assert ask.subject(signer.token()) == "alice"
    ask.proxy.wait_for_log("the last ones stay in use")


@pytest.mark.parametrize("fault", ["status", "json", "authority", "size", "redirect"])
def test_a_source_that_is_no_good_gives_no_keys(caller, key_server, signer, fault):
    key_server.body = key_set(signer).encode()
    keys = key_server.keys()
    words = {"status": "HTTP status 500", "json": "not strict JSON", "authority": "certificate",
             "size": "", "redirect": "HTTP status 302"}[fault]
    if fault == "status":
        key_server.status = 500
    elif fault == "redirect":
        key_server.status = 302
    elif fault == "json":
        key_server.body = b'{"keys":[],"keys":[]}'
    elif fault == "size":
        key_server.body = key_server.body + b" " * 300_000
    else:
        del keys["ca"]
    ask = caller(issuer(keys))
    assert ask.subject(signer.token()) is None
    waiting.until(lambda: "keys not fetched" in ask.proxy.log and words in ask.proxy.log,
                  lambda: f"a failed fetch\n{ask.proxy.log}", 10)


def test_a_source_that_does_not_answer_holds_a_request_for_a_second(caller, key_server, signer):
    key_server.body = key_set(signer).encode()
    key_server.gate.clear()
    ask = caller(issuer(key_server.keys()))
    began = time.monotonic()
    assert ask.subject(signer.token()) is None
    assert 0.9 < time.monotonic() - began < 3
    # One that waits is served as soon as the keys are there.
    answers = []
    thread = threading.Thread(target=lambda: answers.append(ask.subject(signer.token())))
    thread.start()
    key_server.gate.set()
    thread.join(5)
    assert answers == ["alice"]
    assert key_server.requests == 1


def test_wrong_signatures_are_looked_at_so_often_from_one_source(caller, keys, signer):
    ask = caller(issuer({"file": str(keys)}))
    known = signer.token()
    assert ask.subject(known) == "alice"
    for index in range(200):
        ask.subject(Signer.token(Signer(), jti=str(index)))
    # Known tokens do not notice.
    assert ask.subject(known) == "alice"
    waiting.until(lambda: ask.subject(signer.token()), lambda: "new tokens to count again", 10)


def test_a_bound_token_is_its_certificates_alone(start_weir, echo_origin, keys, signer, tmp_path):
    """RFC 8705: with the certificate it names, with another, and with none."""
    folder = tmp_path / "pki"
    folder.mkdir()
    ca = Authority(folder)
    server, web, other = ca.issue("weir", dns=["localhost"]), ca.issue("web"), ca.issue("other")
    proxy = start_weir(
        echo_origin.port, token_issuers=[issuer({"file": str(keys)}, bind="certificate")],
        identities=[{"name": "self", "certificate": str(server.certificate_file),
                     "private_key": str(server.key_file)}],
        trust=[{"name": "mesh.example", "ca": str(ca.file)}],
        listener={"tls": {"identities": ["self"], "clients": "optional",
                          "trust": ["mesh.example"]}})
    digest = hashlib.sha256(web.certificate.public_bytes(serialization.Encoding.DER)).digest()
    bound = signer.token(
        cnf={"x5t#S256": base64.urlsafe_b64encode(digest).decode().rstrip("=")})

    def subject(leaf, token):
        credentials = grpc.ssl_channel_credentials(
            ca.pem, leaf and leaf.key_pem, leaf and leaf.certificate_pem)
        options = [("grpc.ssl_target_name_override", "localhost"),
                   ("grpc.use_local_subchannel_pool", 1)]
        with grpc.secure_channel(f"127.0.0.1:{proxy.port}", credentials, options) as channel:
            count = len(echo_origin.calls)
            echo_pb2_grpc.EchoStub(channel).Unary(
                echo_pb2.EchoRequest(), timeout=5,
                metadata=[("authorization", f"Bearer {token}")])
            return echo_origin.calls[count].values("x-jwt-sub")

    assert subject(web, bound) == ["alice"]
    assert subject(other, bound) == []
    assert subject(None, bound) == []
    assert subject(web, signer.token()) == []


RULES = {"default": "deny", "rules": [{
    "name": "readers", "methods": ["weir.echo.v1.Echo/*"],
    "allow": [{"token": {"issuer": "login", "claims": {"scope": {"has": "orders.read"}}}}]}]}


def status(ask, token):
    """The call's status code."""
    try:
        ask.call(token)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


@pytest.fixture
def guarded(caller):
    """The same as `caller`, with a rule that asks for a token."""
    return lambda terms: caller(terms, access=RULES)


def test_rules_ask_for_tokens(guarded, keys, signer):
    ask = guarded(issuer({"file": str(keys)}))
    code = grpc.StatusCode
    for _ in range(2):
        assert status(ask, signer.token(scope="orders.write orders.read")) == code.OK
        assert status(ask, signer.token(scope="orders.write")) == code.PERMISSION_DENIED
        assert status(ask, None) == code.UNAUTHENTICATED
        assert status(ask, Signer().token(scope="orders.read")) == code.UNAUTHENTICATED
        assert status(ask, signer.token(scope="orders.read", aud="x")) == code.UNAUTHENTICATED
        assert status(ask, "x") == code.UNAUTHENTICATED


def test_a_token_that_nobody_can_check_is_unavailable(guarded, key_server, signer):
    """A source that was never there says nothing about a token, neither good nor bad."""
    key_server.status = 503
    key_server.body = key_set(signer).encode()
    ask = guarded(issuer(key_server.keys()))
    token = signer.token(scope="orders.read")
    assert status(ask, token) == grpc.StatusCode.UNAVAILABLE
    key_server.status = 200
    waiting.until(
        lambda: status(ask, token) == grpc.StatusCode.OK, lambda: "the keys to come", 15)
