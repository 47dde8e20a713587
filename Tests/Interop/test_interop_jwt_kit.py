"""Tokens of JWTKit verified by Weir, and Weir's by JWTKit."""

import json
import subprocess

import pytest

import weir as program
from test_tokens import ALGORITHMS, ISSUER, keys, mint, token, verify  # noqa: F401

CHECK = program.ROOT / ".build/grpc-swift/debug/jwt-check"
pytestmark = pytest.mark.skipif(not CHECK.exists(), reason="jwt-check is not built")


def jwt_check(*arguments, **options):
    return subprocess.run(
        [CHECK, *map(str, arguments)], capture_output=True, text=True, timeout=30, **options)


@pytest.fixture(params=ALGORITHMS, ids=lambda pair: pair[1])
def pair(request, keys, tmp_path):  # noqa: F811
    """(algorithm, private key, key set, the key's name)."""
    kind, algorithm = request.param
    key, key_set = keys / f"{kind}.pem", tmp_path / "keys.json"
    key_set.write_text(token("keys", "show", key, "--algorithm", algorithm))
    return algorithm, key, key_set, json.loads(key_set.read_text())["keys"][0]["kid"]


def test_weir_verifies_jwt_kit_s(pair):
    algorithm, key, key_set, name = pair
    made = jwt_check("sign", algorithm, name, key, "alice", "orders", ISSUER)
    assert made.returncode == 0, made.stderr
    assert json.loads(verify(made.stdout.strip(), key_set))["sub"] == "alice"
    verify(made.stdout.strip()[:-8] + "AAAAAAAA", key_set, status=1)


def test_jwt_kit_verifies_weir_s(pair):
    algorithm, key, path, _ = pair
    text = mint(key, "--algorithm", algorithm)
    read = jwt_check("verify", path, "orders", ISSUER, input=text)
    assert (read.returncode, read.stdout) == (0, "alice\n"), read.stderr
    assert jwt_check("verify", path, "billing", ISSUER, input=text).returncode != 0
    assert jwt_check("verify", path, "orders", ISSUER, input=text[:-8] + "AAAAAAAA").returncode != 0
