"""`weir explain` about calls with tokens: by a configuration, and by the Weir that runs."""

import json
import subprocess

import pytest
import yaml

import waiting
import weir as program
from test_token_requests import KeyServer, Signer, issuer, key_set, put

METHOD = "orders.v1.Orders/Place"
ACCESS = {"default": "deny", "rules": [
    {"name": "writers", "methods": ["orders.v1.Orders/*"],
     "allow": [{"token": {"issuer": "login", "claims": {"scope": {"has": "orders.write"}}}}]}]}


def explain(*arguments):
    done = subprocess.run(
        [program.binary(), "explain", "--method", METHOD, *map(str, arguments)],
        capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def signer():
    return Signer()


@pytest.fixture
def files(tmp_path, signer):
    """Paths of a configuration, and of a token that it lets in."""
    (tmp_path / "login.json").write_text(key_set(signer))
    config = program.configuration(
        8080, [50051], access=ACCESS, token_issuers=[issuer({"file": "login.json"})])
    (tmp_path / "weir.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "token").write_text(signer.token(scope="orders.read orders.write") + "\n")
    return tmp_path / "weir.yaml", tmp_path / "token"


def test_a_valid_token_is_seen_as_rules_see_it(files):
    config, token = files
    status, text = explain("--config", config, "--token-file", token)
    assert status == 0 and "token: valid, of issuer login" in text
    assert "allowed by rule writers, allow 1" in text


def test_without_a_token_it_says_that_one_could_help(files):
    status, text = explain("--config", files[0])
    assert status == 1 and "UNAUTHENTICATED" in text and "token:" not in text


@pytest.mark.parametrize(("changes", "words"), [
    ({"aud": "billing"}, "audience"), ({"iat": 1, "exp": 2}, "exp"), ({"iss": "x"}, "iss is nobody"),
    ({"scope": "orders.read"}, "PERMISSION_DENIED")])
def test_a_token_that_does_not_help_is_told_why(files, signer, changes, words):
    config, token = files
    token.write_text(signer.token(**{"scope": "orders.write", **changes}))
    status, text = explain("--config", config, "--token-file", token)
    assert status == 1 and words in text, text


def test_a_bound_token_goes_with_a_certificate(files, signer):
    config, token = files
    # SHA-256 of nothing, base64url and hexadecimal.
    token.write_text(signer.token(
        scope="orders.write",
        cnf={"x5t#S256": "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"}))
    arguments = ["--config", config, "--token-file", token]
    status, text = explain(*arguments)
    assert status == 1 and "certificate" in text
    digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    who = ["--peer", "spiffe://mesh.example/web", "--certificate"]
    assert explain(*arguments, *who, digest)[0] == 0
    assert explain(*arguments, *who, "00" * 32)[0] == 1
    assert explain(*arguments, *who, "zz")[0] == 64


def test_keys_that_are_fetched_are_known_to_the_running_one_alone(
        tmp_path, start_weir, signer, files):
    server = KeyServer(tmp_path)
    try:
        server.body = key_set(signer).encode()
        admin = tmp_path / "admin.sock"
        proxy = start_weir(
            1, access=ACCESS, token_issuers=[issuer(server.keys())],
            admin={"address": f"unix:{admin}"})
        waiting.until(lambda: "keys fetched" in proxy.log, lambda: proxy.log)
        arguments = ["--token-file", files[1]]
        status, text = explain("--config", proxy.config_path, *arguments)
        assert status == 1 and "not at hand" in text and "UNAVAILABLE" in text
        status, text = explain("--admin", f"unix:{admin}", *arguments)
        assert status == 0 and "allowed by rule writers" in text, text
        # Its rules are those that it serves now.
        config = yaml.safe_load(proxy.config_path.read_text())
        config["access"]["rules"][0]["deny"] = [{"source": ["127.0.0.0/8"]}]
        put(proxy.config_path, yaml.safe_dump(config))
        waiting.until(lambda: "reloaded" in proxy.log, lambda: proxy.log, 10)
        status, text = explain("--admin", admin, *arguments)
        assert status == 1 and "denied by rule writers, deny 1" in text
    finally:
        server.stop()


@pytest.mark.parametrize(("body", "status", "words"), [
    (b"", 400, "no JSON object"), (b"[1]", 400, "no JSON object"),
    (b'{"methd": "a.B/C"}', 400, "'methd'"), (b'{"method": 1}', 400, "'method' is no text"),
    (b'{"method": "a.B/C", "source": "here"}', 400, "IP address"),
    (b'{"method": "a.B/C", "path": "/"}', 400, "either"),
    (b'{"method": "a.B/C", "headers": [1]}', 400, "header"),
    (b'{"method": "a.B/C", "listener": "x"}', 400, "no listener"),
    (b'{"method": "a.B/C", "token": "' + b"x" * (70 << 10) + b'"}', 413, "64 KiB"),
    (b'{"method": "a.B/C"}', 200, '"verdict": "forwarded"')])
def test_odd_questions_are_answered(tmp_path, start_weir, body, status, words):
    admin = tmp_path / "admin.sock"
    start_weir(1, admin={"address": f"unix:{admin}"})
    command = ["curl", "-sS", "--unix-socket", admin, "--data-binary", "@-", "-w", "\n%{http_code}",
               "http://weir/explain"]
    answer, code = subprocess.run(
        command, input=body, capture_output=True, check=True).stdout.decode().rsplit("\n", 1)
    assert int(code) == status and words in answer
    if status == 200:
        assert json.loads(answer)["lines"]


def test_nobody_to_ask_is_said(tmp_path):
    status, text = explain("--admin", tmp_path / "none.sock")
    assert status == 2 and "No such file" in text
    assert explain()[0] == 64
