"""`weir init` writes what works at once, and `weir check --diff` says what a change would mean."""

import os
import subprocess

import pytest
import yaml

import waiting
import weir as program
from echo_pb2 import EchoRequest
from reloading import Served, write
from telemetry import told  # noqa: F401


def weir(*arguments, cwd=None):
    return subprocess.run(
        [program.binary(), *map(str, arguments)], capture_output=True, text=True, cwd=cwd,
        timeout=20)


@pytest.mark.parametrize(
    "methods", [[], ["weir.echo.v1.Echo/*"], ["weir.echo.v1.Echo/Unary", "weir.echo.v1.Echo/Bidi"],
                ["weir.*"]], ids=str)
def test_what_is_written_works_at_once(tmp_path, echo_origin, echo_stub, methods):
    port, path = program.free_port(), tmp_path / "weir.yaml"
    options = [option for method in methods for option in ("--method", method)]
    done = weir("init", "--listen", f"127.0.0.1:{port}", "--upstream",
                f"127.0.0.1:{echo_origin.port}", *options, cwd=tmp_path)
    assert done.returncode == 0 and "weir run --config weir.yaml" in done.stdout, done.stderr
    checked = weir("check", "--config", path)
    assert checked.returncode == 0 and checked.stderr == "", checked.stderr
    assert sum(line.lstrip().startswith("#") for line in path.read_text().splitlines()) >= 8
    proxy = Served(path, port)
    try:
        answer = echo_stub(proxy).Unary(EchoRequest(payload=b"abc"), timeout=5)
        assert answer.payload == b"abc"
        assert weir("status", "--config", path).returncode == 0
        same = weir("check", "--config", path, "--diff")
        assert same.stdout.endswith("the running configuration says the same\n"), same
    finally:
        proxy.stop()


def test_nothing_is_overwritten(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("mine\n")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    for name in ("own.yaml", "link.yaml"):
        done = weir("init", "--upstream", "127.0.0.1:1", "--output", tmp_path / name)
        assert done.returncode == 2 and "exists, and is left as it is" in done.stderr
    assert path.read_text() == "mine\n" and not (tmp_path / "elsewhere.yaml").exists()
    assert weir("init", "--upstream", "127.0.0.1:1", "--output", tmp_path / "no/x").returncode == 2


@pytest.mark.parametrize("arguments, status", [
    ([], 64), (["--upstream", "localhost:1"], 64), (["--upstream", "127.0.0.1:1", "--listen", "x"], 64),
    (["--upstream", "127.0.0.1:1", "--method", "no method"], 1),
    (["--upstream", "127.0.0.1:1", "--method", "a.B/*", "--method", "a.B/*"], 1),
    (["--upstream", "127.0.0.1:0"], 1),
], ids=str)
def test_wrong_arguments(tmp_path, arguments, status):
    done = weir("init", *arguments, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert "rror" in done.stderr and os.listdir(tmp_path) == []


@pytest.mark.parametrize("listen, upstream", [
    ("0.0.0.0:8080", "10.0.0.1:1"), ("[::]:8080", "[::1]:1"), ("unix:/run/x.sock", "unix:@name"),
    ("unix:a b'\"$x.sock", "127.0.0.1:1")], ids=str)
def test_any_address(listen, upstream):
    done = weir("init", "--listen", listen, "--upstream", upstream, "--output", "-")
    assert done.returncode == 0, done.stderr
    config = yaml.safe_load(done.stdout)
    assert config["listeners"][0]["address"].replace("$$", "$") == listen
    assert config["upstreams"][0]["endpoints"] == [upstream]
    assert ("tls" in config["listeners"][0]) == (listen[0] in "0[")


# weir check --diff


def changed(proxy, change, *options):
    """What `weir check --diff` prints of a changed copy of the proxy's configuration."""
    config = yaml.safe_load(proxy.config_path.read_text())
    change(config)
    path = proxy.config_path.with_name("next.yaml")
    write(path, config)
    done = weir("check", "--config", path, "--diff", *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("valid: revision ")
    return done.stdout.splitlines()[1:]


def test_a_difference_is_told_in_words(told):  # noqa: F811
    config = program.configuration(program.free_port(), [1, 2], route={"timeout": "2s"})
    config["listeners"].append({"name": "old", "address": f"127.0.0.1:{program.free_port()}"})
    config["upstreams"].append({"name": "gone", "endpoints": ["127.0.0.1:3"]})
    config["routes"][0]["listeners"] = ["edge", "old"]
    config["routes"].append({
        "name": "second", "listeners": ["edge"], "backends": [{"upstream": "gone"}],
        "matches": [{"method": "a.B/C", "headers": {"x-beta": {"exact": "on"}}}]})
    proxy = told(config=config)
    port = program.free_port()

    def change(config):
        edge, _ = config["listeners"]
        edge["limits"] = {"pings": 7}
        config["listeners"] = [edge, {"name": "new", "address": f"127.0.0.1:{port}"}]
        config["upstreams"] = [{"name": "origin", "endpoints": ["127.0.0.1:1"]}]
        first, second = config["routes"]
        first.update(listeners=["edge", "new"], timeout="5s")
        second["backends"] = [{"upstream": "origin"}]
        second["matches"][0]["headers"]["x-beta"]["exact"] = "off"
        config["access"]["default"] = "deny"

    assert changed(proxy, change) == [
        "~ listeners edge: limits.pings (default) -> 7: connections that are open keep what they have",
        "+ listeners new",
        "~ upstreams origin: endpoints [127.0.0.1:1, 127.0.0.1:2] -> [127.0.0.1:1]: "
        "connections to endpoints that left end with their last request",
        "~ routes all: timeout 2s -> 5s, listeners [edge, old] -> [edge, new]: "
        "holds from the next request on",
        "~ routes second: backends [{upstream: gone}] -> [{upstream: origin}], "
        "matches [{method: a.B/C, headers: {x-beta: {exact: on}}}] -> "
        "[{method: a.B/C, headers: {x-beta: {exact: off}}}]: holds from the next request on",
        "~ access: default allow -> deny: holds from the next request on",
        "- listeners old: its clients are asked to go, and cut after its 'drain'",
        "- upstreams gone: its connections end with their last request",
    ]


def test_another_address_is_another_listener(told):  # noqa: F811
    proxy = told(1)
    port = program.free_port()
    lines = changed(
        proxy, lambda config: config["listeners"][0].update(address=f"127.0.0.1:{port}"))
    assert lines == [
        f"~ listeners edge: address 127.0.0.1:{proxy.port} -> 127.0.0.1:{port}: a new listener; "
        "clients of the old one are asked to go, and cut after 'drain'"]


def test_comments_variables_and_order_are_no_difference(told, monkeypatch):  # noqa: F811
    proxy = told(1)
    text = proxy.config_path.read_text()
    path = proxy.config_path.with_name("next.yaml")
    monkeypatch.setenv("WEIR_TEST_NAME", "origin")
    path.write_text("# A comment.\n" + text.replace("name: origin", "name: ${WEIR_TEST_NAME}"))
    done = weir("check", "--config", path, "--diff")
    assert done.stdout.endswith("the running configuration says the same\n"), done


def test_the_running_one_is_compared_and_not_its_file(told):  # noqa: F811
    proxy = told(1)
    before = proxy.told("/configuration")
    assert before["upstreams"] == [{"name": "origin", "endpoints": ["127.0.0.1:1"]}]
    assert before["access"] == {"default": "allow"}
    # A text that is refused does not count.
    broken = proxy.config_path.read_text() + "\nnonsense: 1\n"
    proxy.config_path.write_text(broken)
    waiting.until(lambda: proxy.told("/status")["last_load_errors"], "the refusal")
    assert proxy.told("/configuration") == before


def test_odd_values_survive_the_way(told):  # noqa: F811
    value = "a: [b] {c} \"d\" 'e' #f \\ $$g é \u2028 -"
    config = program.configuration(program.free_port(), [1])
    config["routes"][0]["request_headers"] = {"set": {"x-odd": value, "x-on": "on", "x-7": "7"}}
    proxy = told(config=config)
    assert changed(proxy, lambda config: None) == ["the running configuration says the same"]
    assert proxy.told("/configuration")["routes"][0]["request_headers"]["set"]["x-odd"] == (
        value.replace("$$", "$"))


def test_who_runs_nothing_is_told_so(tmp_path):
    path = tmp_path / "weir.yaml"
    config = program.configuration(program.free_port(), [1])
    write(path, config)
    done = weir("check", "--config", path, "--diff")
    assert done.returncode == 2 and "has no 'admin" in done.stderr
    done = weir("check", "--config", path, "--diff", "--admin", tmp_path / "none.sock")
    assert done.returncode == 2 and "none.sock: No such file" in done.stderr
    assert weir("check", "--config", path, "--admin", "x").returncode == 64


def test_status_shows_routes_and_connections(told, echo_origin, echo_stub):  # noqa: F811
    proxy = told(echo_origin.port)
    echo_stub(proxy).Unary(EchoRequest(payload=b"a"), timeout=5)
    routes = weir("status", "routes", "--config", proxy.config_path).stdout.splitlines()
    assert routes[0].split() == ["LISTENER", "HOST", "PATH", "METHOD", "CONDITIONS", "ROUTE", "TO"]
    assert routes[1].split() == ["edge", "*", "*", "*", "0", "all", "origin"]
    connections = weir("status", "connections", "--admin", proxy.admin_path).stdout.splitlines()
    assert {line.split()[2] for line in connections[1:]} == {"client", "server"}
    assert weir("status", "nonsense", "--config", proxy.config_path).returncode == 64
