"""What `weir check`, `weir explain` and `weir version` print, and their exit status."""

import os
import pathlib
import re
import resource
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
WEIR = pathlib.Path(os.environ.get("WEIR_BIN") or ROOT / ".build/release/weir")
GATEWAY = ROOT / "config" / "gateway.yaml"
SPLIT = ROOT / "config" / "split"


def run(*arguments):
    return subprocess.run([WEIR, *arguments], capture_output=True, text=True, check=False)


STATUS = [
    (["version"], 0),
    (["check", "--config", GATEWAY], 0),
    (["check", "--config", SPLIT], 0),
    (["check", "--config", ROOT / "config" / "nothing.yaml"], 2),
    (["check"], 64),
    (["unknown"], 64),
    (["explain", "--config", GATEWAY, "--listener", "edge", "--path", "/robots.txt"], 0),
    (["explain", "--config", GATEWAY, "--listener", "edge", "--method", "no.Such/Call"], 1),
    (["explain", "--config", GATEWAY, "--path", "/"], 64),
    (["explain", "--config", GATEWAY, "--listener", "egde", "--path", "/"], 64),
    (["explain", "--config", GATEWAY, "--listener", "edge"], 64),
    (["explain", "--config", SPLIT, "--path", "/status"], 1),
    (["explain", "--config", SPLIT, "--path", "/", "--header", "broken"], 64),
]


def test_the_version_names_the_http2_library_inside():
    """It is linked statically, so that the system's package says nothing of it; libcurl brings that
    along for itself, and the two do not see each other."""
    assert re.fullmatch(r"weir \d+\.\d+\.\d+\nnghttp2 1\.\d+\.\d+\n", run("version").stdout)
    for shown in (["readelf", "--dynamic", WEIR], ["nm", "--dynamic", WEIR]):
        text = subprocess.run(shown, capture_output=True, text=True, check=True).stdout
        assert "curl" in text and "nghttp2" not in text


@pytest.mark.parametrize(
    ("arguments", "status"), STATUS, ids=lambda value: " ".join(map(str, value))
    if isinstance(value, list) else str(value))
def test_exit_status(arguments, status):
    assert run(*arguments).returncode == status


def test_errors_go_to_standard_error_with_their_place(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text("listeners: [{name: a, address: 127.0.0.1:1}]\nacess: {default: deny}\n")
    result = run("check", "--config", path)
    assert (result.returncode, result.stdout) == (1, "")
    assert f"{path}:2:1: error[unknown-key]: unknown key 'acess'" in result.stderr
    assert "did you mean 'access'?" in result.stderr


def test_warnings_do_not_make_a_configuration_invalid(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text(
        "listeners: [{name: a, address: 127.0.0.1:1}]\naccess: {default: deny}\n"
        "upstreams: [{name: b, endpoints: [127.0.0.1:2]}]\n")
    result = run("check", "--config", path)
    assert result.returncode == 0
    assert "warning[unused]" in result.stderr
    assert result.stdout.startswith("valid: revision ")


def test_explain_tells_why_a_route_was_taken_and_others_not():
    result = run(
        "explain", "--config", GATEWAY, "--listener", "edge", "--authority", "orders.example:8080",
        "--method", "orders.v1.Orders/Place", "--header", "X-Beta: on")
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert any("x-user is missing" in line for line in lines)
    assert any(line.endswith("headers: 1): chosen") for line in lines)
    assert any("another one is more specific" in line for line in lines)
    assert "to upstream orders-canary, weight 1 of 1: 10.0.1.7:50051" in lines


def test_100_000_routes_load_within_300_mb(tmp_path):
    path = tmp_path / "large.yaml"
    with path.open("w") as file:
        file.write(
            "listeners: [{name: edge, address: 127.0.0.1:8080}]\n"
            "upstreams: [{name: u, endpoints: [127.0.0.1:50051]}]\n"
            "access: {default: allow}\nroutes:\n")
        for number in range(100_000):
            file.write(
                f"  - name: r{number}\n    matches:\n"
                f"      - method: pkg.Svc{number // 10}/M{number}\n"
                "    backends:\n      - upstream: u\n")
    result = run("check", "--config", path)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "100000 routes" in result.stdout, result.stderr
    assert used.ru_maxrss < 300_000, f"{used.ru_maxrss} kB"
