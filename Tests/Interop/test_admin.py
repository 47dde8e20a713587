"""The administration interface: what runs is shown as it is, to those who may ask only."""

import json
import os
import shutil
import signal
import subprocess

import pytest

import waiting
import weir as program
from echo_pb2 import EchoRequest, EchoTerms
from reloading import replace
from telemetry import told  # noqa: F401


def status(*arguments):
    return subprocess.run(
        [program.binary(), "status", *map(str, arguments)], capture_output=True, text=True,
        timeout=20)


def test_status(told, echo_origin, echo_stub):  # noqa: F811
    proxy = told(echo_origin.port, workers=2)
    echo_stub(proxy).Unary(EchoRequest(payload=b"a"), timeout=5)
    facts = proxy.told("/status")
    assert facts["workers"] == 2 and facts["draining"] is False and facts["revision"]
    assert facts["listeners"] == [
        {"name": "edge", "address": f"127.0.0.1:{proxy.port}", "connections": 1}]
    assert facts["loaded_at"].endswith("Z") and facts["last_load_errors"] == []
    before = facts["revision"]
    proxy.config_path.write_text("listeners: 5\n")
    proxy.signal(signal.SIGHUP)
    waiting.until(
        lambda: proxy.told("/status")["last_load_errors"], lambda: "the errors of the last load")
    facts = proxy.told("/status")
    assert "weir.yaml:1:" in facts["last_load_errors"][0] and facts["revision"] == before
    replace(proxy.config_path, {**proxy.config, "watch": "off"})
    proxy.signal(signal.SIGHUP)
    waiting.until(lambda: proxy.told("/status")["revision"] != before, lambda: "a new revision")
    assert proxy.told("/status")["last_load_errors"] == []


def test_routes_are_in_their_compiled_order(told, echo_origin):  # noqa: F811
    to = {"backends": [{"upstream": "origin"}]}
    config = program.configuration(program.free_port(), [echo_origin.port])
    config["routes"] = [
        {"name": "any", **to}, {"name": "package", "matches": [{"method": "a.*"}], **to},
        {"name": "beta", "matches": [{"method": "a.B/C", "headers": {"x-beta": {"exact": "on"}}}], **to},
        {"name": "wild", "hostnames": ["*.example"], **to},
        {"name": "exact", "hostnames": ["a.example"], **to},
        {"name": "method", "matches": [{"method": "a.B/C"}], **to},
        {"name": "moved", "matches": [{"path": "/old"}], "redirect": {"status": 301, "hostname": "new.example"}},
    ]
    routes = told(config=config).told("/routes")
    assert [route["route"] for route in routes] == [
        "exact", "wild", "beta", "method", "moved", "package", "any"]
    assert routes[2] == {
        "listener": "edge", "host": "*", "path": "/a.B/C", "headers": 1, "route": "beta",
        "upstreams": ["origin"]}
    assert routes[4]["action"] == "redirect" and routes[5]["path"] == "/a.*"


def test_upstreams_and_connections(told, echo_origin, echo_stub):  # noqa: F811
    proxy = told(echo_origin.port)
    call = echo_stub(proxy).Unary.future(EchoRequest(terms=EchoTerms(delay_ms=3000)), timeout=9)
    waiting.until(lambda: proxy.told("/upstreams")[0]["requests"] == 1, lambda: "a request")
    upstream = proxy.told("/upstreams")[0]
    assert upstream == {
        "name": "origin", "endpoints": [f"127.0.0.1:{echo_origin.port}"], "connections": 1,
        "requests": 1, "pending": 0, "retries": 0, "balance": "in turn (round_robin)",
        "shares": [{"endpoint": f"127.0.0.1:{echo_origin.port}", "weight": 1, "connections": 1,
                    "requests": 1}]}
    connections = proxy.told("/connections")
    assert {c.get("listener") for c in connections} == {"edge", None}
    assert all(c["streams"] == 1 and not c["unread_output"] for c in connections)
    call.cancel()


def test_drain(told, echo_origin):  # noqa: F811
    proxy = told(echo_origin.port)
    assert proxy.ask("/drain")[0] == 405
    assert proxy.ask("/drain", "POST") == (202, "draining\n")
    assert proxy.wait(5) == 0


def test_the_log_s_level_changes_live(told, echo_origin, dial):  # noqa: F811
    proxy = told(echo_origin.port)
    assert proxy.ask("/log-level") == (200, "debug\n")
    assert proxy.ask("/log-level?level=loud", "POST")[0] == 400
    assert proxy.ask("/log-level?level=critical", "POST") == (200, "critical\n")
    proxy.config_path.write_text("listeners: 5\n")
    proxy.signal(signal.SIGHUP)
    waiting.until(lambda: proxy.told("/status")["last_load_errors"], lambda: "the refused load")
    assert "reload refused" not in proxy.log
    assert proxy.ask("/log-level?level=info", "POST") == (200, "info\n")
    proxy.signal(signal.SIGHUP)
    proxy.wait_for_line("reload refused")


@pytest.mark.parametrize("page, method, code", [
    ("/nothing", "GET", 404), ("/status", "POST", 405), ("/log-level", "DELETE", 405)])
def test_what_is_not_there(told, echo_origin, page, method, code):  # noqa: F811
    assert told(echo_origin.port).ask(page, method)[0] == code


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="takes root")
def test_other_users_are_refused(told, echo_origin, tmp_path):  # noqa: F811
    proxy = told(echo_origin.port)
    assert proxy.admin_path.stat().st_mode & 0o777 == 0o600
    # Even where the file would let them.
    proxy.admin_path.chmod(0o777)
    for folder in [proxy.admin_path.parent, *proxy.admin_path.parents]:
        if folder.stat().st_uid == os.geteuid() and str(folder).startswith(("/tmp/", "/var/")):
            folder.chmod(0o755)
    answer = subprocess.run(
        ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "curl", "-s", "-m", "5",
         "--unix-socket", str(proxy.admin_path), "-X", "POST", "http://weir/drain", "-w", "%{http_code}"],
        capture_output=True, text=True, timeout=20, cwd="/")
    assert answer.stdout.endswith("403"), answer
    assert proxy.is_running() and proxy.told("/status")["draining"] is False


def test_a_socket_that_was_left_behind_is_replaced(told, echo_origin):  # noqa: F811
    proxy = told(echo_origin.port)
    proxy.signal(signal.SIGKILL)
    proxy._process.wait(5)
    assert proxy.admin_path.exists()
    again = subprocess.Popen(
        [program.binary(), "run", "--config", proxy.config_path, "--workers", "1"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        waiting.until(lambda: status("--admin", proxy.admin_path).returncode == 0, lambda: "an answer")
    finally:
        again.kill()
        again.wait(5)
    proxy._process.returncode = 0


def test_weir_status_is_for_people(told, echo_origin):  # noqa: F811
    proxy = told(echo_origin.port)
    answer = status("--config", proxy.config_path)
    assert answer.returncode == 0 and answer.stderr == ""
    assert f"edge on 127.0.0.1:{proxy.port}" in answer.stdout
    assert "origin, 1 endpoints" in answer.stdout
    facts = json.loads(status("--admin", proxy.admin_path, "--json").stdout)
    assert facts["revision"] == proxy.told("/status")["revision"]
    proxy.stop()
    answer = status("--admin", proxy.admin_path)
    assert answer.returncode == 2 and "admin.sock" in answer.stderr
    assert status().returncode == 64
    assert status("--config", "/nonexistent").returncode == 2
