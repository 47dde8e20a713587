"""Weir under a service supervisor: readiness, watchdog and inherited sockets, as systemd has them."""

import os
import shutil
import signal
import socket
import subprocess
import time

import pytest
import yaml

import echo_pb2
import frames
import supervisor
import waiting
import weir


@pytest.fixture(params=["path", "abstract"])
def notify(request, tmp_path):
    address = tmp_path / "notify" if request.param == "path" else f"@weir-{os.getpid()}-notify"
    reader = supervisor.NotifySocket(address)
    yield reader
    reader.close()


@pytest.fixture
def start(tmp_path):
    """Starts `weir run` with more environment: `start(config, command=…, NAME=value…)`."""
    processes = []

    def run(config, *, workers=2, wrap=lambda command: command, **variables):
        path = tmp_path / "weir.yaml"
        path.write_text(yaml.safe_dump(config))
        command = [weir.binary(), "run", "--config", path, "--workers", str(workers)]
        log = (tmp_path / "log").open("w")
        processes.append(subprocess.Popen(
            wrap(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={**os.environ, **variables}))
        log.close()
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.wait()


def test_says_when_it_is_ready_reloads_and_ends(notify, start, tmp_path):
    config = weir.configuration(weir.free_port(), [1])
    process = start(config, NOTIFY_SOCKET=notify.address)
    assert notify.wait_for("READY")["STATUS"].startswith("serving revision ")
    socket.create_connection(("127.0.0.1", int(config["listeners"][0]["address"][10:])), 1).close()

    before = time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6
    process.send_signal(signal.SIGHUP)
    reloading = notify.wait_for("RELOADING")
    assert before - 1 <= int(reloading["MONOTONIC_USEC"]) < before + 5e6
    notify.wait_for("READY", 2)

    config["routes"].append({"name": "more", "matches": [{"method": "a.B/C"}],
                             "backends": [{"upstream": "origin"}]})
    (tmp_path / "weir.yaml").write_text(yaml.safe_dump(config))
    assert "2 routes" in notify.wait_for("READY", 3)["STATUS"]

    (tmp_path / "weir.yaml").write_text("listeners: {}\n")
    assert "refused" in notify.wait_for("READY", 4)["STATUS"]

    assert supervisor.ended(process) == 0
    stopping = notify.wait_for("STOPPING")
    assert int(stopping["EXTEND_TIMEOUT_USEC"]) == 35_000_000
    assert notify.messages[-1] == stopping
    assert notify.count("RELOADING") == notify.count("READY") - 1 == 3
    assert notify.count("WATCHDOG") == 0


def test_a_configuration_that_is_invalid_is_never_ready(notify, start):
    process = start({"listeners": []}, NOTIFY_SOCKET=notify.address)
    assert process.wait(10) == 1
    assert notify.messages == []


@pytest.mark.parametrize("notify", ["path"], indirect=True)
@pytest.mark.parametrize("position", [1, 2])
def test_the_watchdog_is_fed_only_while_all_workers_turn(notify, start, position, tmp_path):
    process = start(
        weir.configuration(weir.free_port(), [1]), NOTIFY_SOCKET=notify.address,
        WATCHDOG_USEC="200000")
    notify.wait_for("WATCHDOG", 3)

    worker = supervisor.StoppedThread(process.pid, position)
    line = f"watchdog: worker {position - 1} does not turn"
    # A ping may have been under way; the second complaint is after it.
    waiting.until(lambda: (tmp_path / "log").read_text().count(line) >= 2, line)
    pings = notify.count("WATCHDOG")
    waiting.until(lambda: (tmp_path / "log").read_text().count(line) >= 6, line)
    assert notify.count("WATCHDOG") == pings

    worker.go_on()
    notify.wait_for("WATCHDOG", pings + 2)
    assert supervisor.ended(process) == 0


@pytest.mark.parametrize("notify", ["path"], indirect=True)
def test_the_watchdog_is_fed_while_it_drains(notify, start, start_origin, dial):
    port = weir.free_port()
    origin = start_origin()
    process = start(weir.configuration(port, [origin.port]), NOTIFY_SOCKET=notify.address,
                    WATCHDOG_USEC="200000")
    notify.wait_for("READY")
    dial(port).request(frames.GRPC, end=False)
    origin.wait_for_requests()
    process.send_signal(signal.SIGTERM)
    notify.wait_for("STOPPING")
    notify.wait_for("WATCHDOG", notify.count("WATCHDOG") + 3)
    assert process.poll() is None


@pytest.mark.parametrize("notify", ["path"], indirect=True)
def test_a_notify_socket_that_nobody_reads_costs_nothing(notify, start, tmp_path):
    config = weir.configuration(weir.free_port(), [1])
    process = start(config, NOTIFY_SOCKET=str(tmp_path / "nobody"))
    waiting.until(lambda: "serving" in (tmp_path / "log").read_text(), "it to serve")
    assert supervisor.ended(process) == 0


needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-socket-activate") is None, reason="no systemd-socket-activate here")


@needs_systemd
def test_serves_sockets_that_were_opened_for_it(start, echo_origin, echo_stub, tmp_path):
    """The first call waits in the socket's queue until Weir has started."""
    port, admin = weir.free_port(), tmp_path / "admin.sock"
    config = weir.configuration(port, [echo_origin.port]) | {"admin": {"address": f"unix:{admin}"}}
    process = start(config, wrap=lambda command: supervisor.activated(
        command, f"127.0.0.1:{port}", admin, names=["edge", "admin"]))
    waiting.until(lambda: "Listening on" in (tmp_path / "log").read_text(), "it to listen")
    stub = echo_stub(port)
    assert stub.Unary(echo_pb2.EchoRequest(payload=b"x"), timeout=10).payload == b"x"
    inode = admin.stat().st_ino

    # A listener that goes and comes back gets the same socket: nobody could bind another.
    for listeners in ([{"name": "other", "address": f"127.0.0.1:{weir.free_port()}"}],
                      config["listeners"]):
        (tmp_path / "weir.yaml").write_text(yaml.safe_dump(config | {"listeners": listeners}))
        name = listeners[0]["name"]
        waiting.until(
            lambda: f"listeners={name}=" in (tmp_path / "log").read_text().split("reloaded")[-1],
            lambda: (tmp_path / "log").read_text())
    assert stub.Unary(echo_pb2.EchoRequest(payload=b"y"), timeout=10).payload == b"y"
    assert admin.stat().st_ino == inode
    status = subprocess.run(
        [weir.binary(), "status", "--admin", admin], capture_output=True, text=True, check=False)
    assert status.returncode == 0, status.stderr
    assert "inherited" not in (tmp_path / "log").read_text()
    assert supervisor.ended(process) == 0


@needs_systemd
def test_says_which_sockets_it_has_no_listener_for(start, tmp_path):
    port, other = weir.free_port(), weir.free_port()
    process = start(weir.configuration(port, [1]), wrap=lambda command: supervisor.activated(
        command, f"127.0.0.1:{port}", f"127.0.0.1:{other}", names=["edge", "lost"]))
    waiting.until(lambda: "Listening on" in (tmp_path / "log").read_text(), "it to listen")
    socket.create_connection(("127.0.0.1", port), 1).close()
    line = f"inherited socket 127.0.0.1:{other} name=lost has no listener: nobody answers there"
    waiting.until(lambda: line in (tmp_path / "log").read_text(), line)
    assert supervisor.ended(process) == 0


def test_its_environment_is_its_own(notify, start):
    """A parent's variables name another process."""
    config = weir.configuration(weir.free_port(), [1])
    process = start(config, NOTIFY_SOCKET=notify.address, WATCHDOG_USEC="50000", WATCHDOG_PID="1",
                    LISTEN_FDS="1", LISTEN_PID="1")
    notify.wait_for("READY")
    assert supervisor.ended(process) == 0
    assert notify.count("WATCHDOG") == 0
