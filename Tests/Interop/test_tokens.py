"""Tokens of `weir token` verified by PyJWT, and PyJWT's by `weir token verify`."""

import base64
import hashlib
import json
import os
import pathlib
import stat
import subprocess
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ROOT = pathlib.Path(__file__).resolve().parents[2]
WEIR = pathlib.Path(os.environ.get("WEIR_BIN") or ROOT / ".build/release/weir")
ISSUER = "https://login.example"
TYPES = {
    "RSA": ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
    "P-256": ["ES256"], "P-384": ["ES384"], "P-521": ["ES512"], "Ed25519": ["EdDSA"],
}
ALGORITHMS = [(kind, name) for kind, names in TYPES.items() for name in names]


def token(*arguments, status=0, **options):
    """Runs `weir token`; what it printed."""
    done = subprocess.run(
        [WEIR, "token", *map(str, arguments)], capture_output=True, text=True, check=False,
        timeout=30, **options)
    assert done.returncode == status, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout if status == 0 else done.stderr


def mint(key, *more, audience="orders", subject="alice"):
    return token("mint", "--key", key, "--issuer", ISSUER, "--subject", subject,
                 "--audience", audience, *more).strip()


def verify(text, keys, *more, status=0):
    return token("verify", "--keys", keys, "--issuer", ISSUER, "--audience", "orders", *more,
                 status=status, input=text)


def claims(**changes):
    now = int(time.time())
    usual = {"iss": ISSUER, "sub": "alice", "aud": "orders", "iat": now, "exp": now + 60}
    return {**usual, **changes}


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A key of every kind, made by `weir token keys new`; each with its key set beside it."""
    folder = tmp_path_factory.mktemp("keys")
    for kind in TYPES:
        jwks = token("keys", "new", "--type", kind, "--out", folder / f"{kind}.pem")
        (folder / f"{kind}.json").write_text(jwks)
    return folder


@pytest.mark.parametrize(("kind", "algorithm"), ALGORITHMS)
def test_pyjwt_verifies_what_weir_signs(keys, tmp_path, kind, algorithm):
    jwks = token("keys", "show", keys / f"{kind}.pem", "--algorithm", algorithm)
    text = mint(keys / f"{kind}.pem", "--algorithm", algorithm, "--claim", "scope=orders.read",
                "--claim-json", 'groups=["a","b"]')
    key_set = jwt.PyJWKSet.from_json(jwks)
    key_id = jwt.get_unverified_header(text)["kid"]
    found = jwt.decode(text, key_set[key_id], algorithms=[algorithm], audience="orders",
                       issuer=ISSUER, options={"require": ["exp", "iat", "sub"]})
    assert found["sub"] == "alice"
    assert found["scope"] == "orders.read"
    assert found["groups"] == ["a", "b"]
    assert found["exp"] - found["iat"] == 300
    (tmp_path / "jwks.json").write_text(jwks)
    assert json.loads(verify(text, tmp_path / "jwks.json")) == found


@pytest.mark.parametrize(("kind", "algorithm"), ALGORITHMS)
def test_weir_verifies_what_pyjwt_signs(tmp_path, kind, algorithm):
    curves = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
    if kind == "RSA":
        key = rsa.generate_private_key(65537, 2048)
    elif kind == "Ed25519":
        key = ed25519.Ed25519PrivateKey.generate()
    else:
        key = ec.generate_private_key(curves[kind]())
    public = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [{**public, "kid": "one", "use": "sig"}]}))
    text = jwt.encode(claims(groups=["a"]), key, algorithm=algorithm, headers={"kid": "one"})
    assert json.loads(verify(text, path))["groups"] == ["a"]
    assert verify(text, path, "--algorithm", algorithm)
    other = "ES256" if algorithm != "ES256" else "ES384"
    assert "algorithm is not among" in verify(text, path, "--algorithm", other, status=1)
    late = jwt.encode(claims(exp=int(time.time()) - 61), key, algorithm=algorithm)
    assert "refused: " in verify(late, path, status=1)
    # The private key's PEM is read by weir, and its public half is the same key.
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                            serialization.NoEncryption())
    (tmp_path / "key.pem").write_bytes(pem)
    (tmp_path / "key.pem").chmod(0o600)
    shown = json.loads(token("keys", "show", tmp_path / "key.pem"))["keys"][0]
    assert {name: shown[name] for name in public if name != "key_ops"} == {
        name: value for name, value in public.items() if name != "key_ops"}


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_secret_goes_both_ways_and_never_beside_keys(keys, tmp_path, algorithm):
    secret = tmp_path / "secret"
    secret.write_text("s" * 64 + "\n")
    secret.chmod(0o600)
    text = jwt.encode(claims(), "s" * 64, algorithm=algorithm)
    arguments = ["verify", "--secret", secret, "--issuer", ISSUER, "--audience", "orders"]
    assert json.loads(token(*arguments, input=text))["sub"] == "alice"
    assert "algorithm is not among" in verify(text, keys / "P-256.json", status=1)
    secret.chmod(0o644)
    assert "others may read it" in token(*arguments, input=text, status=2)


@pytest.mark.parametrize(("change", "words"), [
    ({"aud": "payments"}, "another audience"), ({"iss": "https://evil.example"}, "iss is nobody"),
    ({"exp": 1}, "out of order"), ({"nbf": 32503680000}, "out of order"), ({"aud": []}, "aud is"),
    ({"exp": None}, "exp is"), ({"sub": "spiffe://mesh.example/web"}, "does not speak for"),
])
def test_claims_are_checked(keys, change, words):
    key = (keys / "P-256.pem").read_bytes()
    body = json.dumps(claims(**change)).encode()
    key_id = json.loads((keys / "P-256.json").read_text())["keys"][0]["kid"]
    text = jwt.api_jws.encode(body, key, algorithm="ES256", headers={"kid": key_id})
    assert words in verify(text, keys / "P-256.json", status=1)


def test_a_key_speaks_for_the_spiffe_id_it_names(keys, tmp_path):
    web, path = "spiffe://mesh.example/web", tmp_path / "jwks.json"
    path.write_text(token("keys", "show", keys / "P-256.pem", "--spiffe-id", web))
    assert json.loads(verify(mint(keys / "P-256.pem", subject=web), path))["sub"] == web
    for subject in [web + "/x", "spiffe://mesh.example.evil/web", "alice"]:
        text = mint(keys / "P-256.pem", subject=subject)
        assert "does not speak for" in verify(text, path, status=1)
    assert "RS, PS or ES" in token(
        "mint", "--key", keys / "Ed25519.pem", "--issuer", ISSUER, "--subject", web,
        "--audience", "orders", status=2)


def test_a_bound_token_wants_its_certificate(keys):
    own, other = "ab" * 32, "cd" * 32
    text = mint(keys / "P-256.pem", "--certificate", own)
    path = keys / "P-256.json"
    assert verify(text, path, "--certificate", own)
    assert "another certificate" in verify(text, path, "--certificate", other, status=1)
    assert "has none" in verify(text, path, status=1)


def test_private_keys_are_their_owners_alone(keys, tmp_path):
    path = tmp_path / "key.pem"
    token("keys", "new", "--out", path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "already" in token("keys", "new", "--out", path, status=2)
    path.chmod(0o644)
    assert "others may read it" in token(
        "mint", "--key", path, "--issuer", ISSUER, "--subject", "a", "--audience", "b", status=2)
    path.chmod(0o600)
    path.write_text((keys / "P-256.json").read_text())
    assert "no private key" in token(
        "mint", "--key", path, "--issuer", ISSUER, "--subject", "a", "--audience", "b", status=2)
    encrypted = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"passphrase"))
    path.write_bytes(encrypted)
    assert "passphrase" in token(
        "mint", "--key", path, "--issuer", ISSUER, "--subject", "a", "--audience", "b", status=2)


def test_rotation_overlaps(tmp_path):
    """What was signed before a rotation is verified after it, and what is signed after it is
    verified with the set from before it."""
    folder = tmp_path / "keys"
    token("keys", "rotate", "--folder", folder)
    assert stat.S_IMODE((folder / "signing.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "next.pem").stat().st_mode) == 0o600
    for _ in range(5):
        before = (folder / "jwks.json").read_text()
        old = mint(folder / "signing.pem")
        token("keys", "rotate", "--folder", folder, "--overlap", "1h")
        new = mint(folder / "signing.pem")
        assert old.split(".")[0] != new.split(".")[0]
        assert verify(old, folder / "jwks.json")
        assert verify(new, folder / "jwks.json")
        earlier = tmp_path / "before.json"
        earlier.write_text(before)
        assert verify(new, earlier)
        jwt.PyJWKSet.from_json((folder / "jwks.json").read_text())
    assert len(json.loads((folder / "jwks.json").read_text())["keys"]) == 7
    # Retired keys go when their time is over.
    over = tmp_path / "over"
    token("keys", "rotate", "--folder", over, "--overlap", "0s")
    for _ in range(3):
        token("keys", "rotate", "--folder", over, "--overlap", "0s")
    assert len(json.loads((over / "jwks.json").read_text())["keys"]) == 3
    assert sorted(p.name for p in over.iterdir()) == [
        ".lock", "jwks.json", "next.pem", "signing.pem"]


def test_a_key_is_named_by_its_thumbprint(keys):
    """RFC 7638, by another implementation: hashlib over the members in order."""
    for kind in TYPES:
        entry = json.loads((keys / f"{kind}.json").read_text())["keys"][0]
        names = {"RSA": "e kty n", "EC": "crv kty x y", "OKP": "crv kty x"}[entry["kty"]].split()
        text = json.dumps({name: entry[name] for name in names}, separators=(",", ":"))
        digest = hashlib.sha256(text.encode()).digest()
        assert entry["kid"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
