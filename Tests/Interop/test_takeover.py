"""`weir run --takeover`: a new process has the sockets of an old one, and no call notices."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading

import pytest

import dns_server
import supervisor
import waiting
import weir as program
from echo_pb2 import EchoRequest
from reloading import replace, write
from takeover import RawCaller, Stream, StubCaller, upgrades  # noqa: F401
from telemetry import _UnixConnection
from test_reload import refuses

# A few take a few seconds; docs/operations.md has what 20 of them came to.
COUNT = int(os.environ.get("WEIR_UPGRADES", "3"))
PAGE = "/takeover/1"


def configuration(origin, unix=None):
    config = program.configuration(program.free_port(), [origin.port])
    return listening(config, local=f"unix:{unix}") if unix else config


def listening(config, **addresses):
    """The configuration with more listeners, which have the same route."""
    listeners = [*config["listeners"], *(
        {"name": name, "address": address} for name, address in addresses.items())]
    names = [listener["name"] for listener in listeners]
    return {**config, "listeners": listeners,
            "routes": [{**config["routes"][0], "listeners": names}]}


def take_over(folder, config, *arguments, **terms):
    """Runs `weir run --takeover` that is expected to end by itself; status and what it said."""
    path = folder / "other.yaml"
    write(path, config)
    ended = subprocess.run(
        [program.binary(), "run", "--config", path, "--workers", "1", "--takeover", *arguments],
        capture_output=True, text=True, timeout=30, check=False, **terms)
    return ended.returncode, ended.stderr


def is_well(chain, echo_stub):  # noqa: F811
    """The process serves, as if nothing had been."""
    assert echo_stub(chain.port).Unary(EchoRequest(payload=b"a"), timeout=5).payload == b"a"
    facts = chain.now.told("/status")
    assert facts["draining"] is False and "predecessor" not in facts


def test_no_call_fails(upgrades, echo_origin, echo_stub, tmp_path):  # noqa: F811
    """Connections with many streams, connections of one call each, grpcio over TCP and over a unix
    socket, and a stream that begins before each upgrade and ends after it. Numbers of workers
    differ."""
    unix = tmp_path / "local.sock"
    chain = upgrades(configuration(echo_origin, unix))
    inode = unix.stat().st_ino
    callers = [RawCaller(chain.port, streams=5), RawCaller(chain.port, streams=5),
               RawCaller(chain.port, calls=1), RawCaller(chain.port, calls=3),
               StubCaller(f"127.0.0.1:{chain.port}"), StubCaller(f"unix:{unix}")]
    for number in range(COUNT):
        stream = Stream(echo_stub(chain.port))
        before = [caller.answered for caller in callers]
        old = chain.succeed(workers=number % 3 + 1)
        stream.turn()
        waiting.until(
            lambda: all(c.answered > b + 20 for c, b in zip(callers, before)) or any(
                c.faults for c in callers),
            lambda: f"calls from {before} to {[c.answered for c in callers]}", 20)
        assert old.is_running(), "it has a stream"
        stream.turn()
        stream.end()
        assert old.wait(20) == 0, old.log
        chain.now.wait_for_line("predecessor has ended")
    for caller in callers:
        caller.end()
    assert [caller.faults[:3] for caller in callers] == [[]] * len(callers)
    print(f"{COUNT} upgrades, calls {[caller.answered for caller in callers]}, connections "
          f"{sum(caller.connections for caller in callers)}")
    assert unix.stat().st_ino == inode
    assert all("limit=drain" not in proxy.log for proxy in chain.all)


def test_the_successor_answers_from_then_on(upgrades, echo_origin, echo_stub):  # noqa: F811
    """Metrics and administration, on the same sockets; the old one says so where it is still asked."""
    chain = upgrades(configuration(echo_origin))
    inode = chain.admin_path.stat().st_ino
    kept = _UnixConnection(chain.admin_path)
    kept.request("GET", "/status")
    assert "predecessor" not in json.loads(kept.getresponse().read())
    held = Stream(echo_stub(chain.port))
    old = chain.succeed(workers=3)
    kept.request("GET", "/status")
    answer = kept.getresponse()
    facts = json.loads(answer.read())
    assert facts["draining"] is True and answer.getheader("Connection") == "close"
    for _ in range(5):
        facts = chain.now.told("/status")
        assert facts["workers"] == 3 and facts["draining"] is False
        assert facts["predecessor"] == {"process": old.pid, "version": facts["version"],
                                        "running": True}
        assert chain.now.value("weir_workers") == 3 and chain.now.fetch("/ready")[0] == 200
    assert f"took over from process {old.pid}" in chain.now.ask("/")[1]
    assert chain.admin_path.stat().st_ino == inode
    held.end()
    assert old.wait(10) == 0
    waiting.until(lambda: chain.now.told("/status")["predecessor"]["running"] is False, "its end")
    assert "which has ended" in chain.now.ask("/")[1]
    old.wait_for_line(rf"succeeded by pid={chain.now.pid}, draining")
    chain.now.wait_for_line(rf"took over from pid={old.pid}, which drains")


def test_what_differs_between_the_two(upgrades, echo_origin):  # noqa: F811
    """A listener that is new, and one that nobody has any more."""
    chain = upgrades(configuration(echo_origin))
    extra, new = program.free_port(), program.free_port()
    replace(chain.path, listening(chain.config, extra=f"127.0.0.1:{extra}"))
    waiting.until(lambda: not refuses(extra), "the listener", 10)
    old = chain.succeed(config=listening(chain.config, new=f"127.0.0.1:{new}"))
    assert old.wait(10) == 0
    assert refuses(extra) and not refuses(new)
    chain.now.wait_for_line(rf"socket 127.0.0.1:{extra} was taken over for nothing")


@pytest.mark.parametrize("fault", ["invalid", "in use"])
def test_a_successor_that_cannot_start_changes_nothing(
        upgrades, echo_origin, echo_stub, fault, tmp_path):  # noqa: F811
    chain = upgrades(configuration(echo_origin))
    config, expected = {"listeners": 5}, 1
    if fault == "in use":
        taken = socket.create_server(("127.0.0.1", 0))
        config = listening(chain.config, new=f"127.0.0.1:{taken.getsockname()[1]}")
        expected = 2
    status, said = take_over(tmp_path, config, chain.admin_path)
    assert status == expected, said
    is_well(chain, echo_stub)


@contextlib.contextmanager
def unready(chain, **terms):
    """A successor that waits for a name, of which its DNS server says nothing."""
    server = dns_server.DNSServer({"silent.internal": None})
    upstreams = [*chain.config["upstreams"], {"name": "later", "endpoints": {"dns": {
        "name": "silent.internal", "port": 1, "servers": [server.address], **terms}}}]
    config = {**chain.config, "upstreams": upstreams}
    yield chain.begin(config=config, awaits=r"taking over from pid=")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_successor_that_ends_before_it_is_ready_changes_nothing(
        upgrades, echo_origin, echo_stub, number):  # noqa: F811
    chain = upgrades(configuration(echo_origin))
    callers = [RawCaller(chain.port, calls=1), StubCaller(f"127.0.0.1:{chain.port}")]
    with unready(chain) as successor:
        before = [caller.answered for caller in callers]
        waiting.until(
            lambda: all(c.answered > b + 20 for c, b in zip(callers, before)), "calls", 9)
        assert not successor.lines(" serving ")
        successor.signal(number)
        assert successor.wait(5) == (0 if number == signal.SIGTERM else -number)
        successor._process.returncode = 0
    chain.now.wait_for_line(rf"handed to pid={successor.pid}, which gets ready")
    before = [caller.answered for caller in callers]
    waiting.until(
        lambda: all(c.answered > b + 20 for c, b in zip(callers, before)), "calls", 20)
    for caller in callers:
        caller.end()
        assert caller.faults == []
    is_well(chain, echo_stub)
    old = chain.succeed()
    assert old.wait(10) == 0


def test_the_old_one_may_die_while_the_new_one_gets_ready(upgrades, echo_origin, echo_stub):  # noqa: F811
    chain = upgrades(configuration(echo_origin))
    with unready(chain, timeout="500ms", tries=1) as successor:
        chain.now.signal(signal.SIGKILL)
        chain.now.wait(5)
        chain.now._process.returncode = 0
        successor.wait_for_line(" serving ")
    successor.wait_for_line("which was going")
    assert echo_stub(chain.port).Unary(EchoRequest(payload=b"a"), timeout=5).payload == b"a"
    assert successor.told("/status")["predecessor"]["process"] == chain.now.pid


def test_of_two_successors_the_faster_one_stays(upgrades, echo_origin, echo_stub):  # noqa: F811
    chain = upgrades(configuration(echo_origin))
    with unready(chain, timeout="1s", tries=1) as late:
        first = chain.succeed()
        assert first.wait(10) == 0
        assert late.wait(10) == 4, late.log
    assert "another process was faster" in late.log
    assert chain.now.told("/status")["draining"] is False
    assert echo_stub(chain.port).Unary(EchoRequest(payload=b"a"), timeout=5).payload == b"a"


# Whom it may meet instead of a Weir that serves

def test_nobody_is_there(echo_origin, tmp_path):
    config = configuration(echo_origin)
    status, said = take_over(tmp_path, config)
    assert status == 4 and "the configuration has no 'admin:" in said
    config["admin"] = {"address": f"unix:{tmp_path}/admin.sock"}
    assert take_over(tmp_path, config) == (3, f"{tmp_path}/admin.sock: nobody listens there\n")
    socket.socket(socket.AF_UNIX).bind(str(tmp_path / "admin.sock"))
    status, said = take_over(tmp_path, config, f"unix:{tmp_path}/admin.sock")
    assert status == 3 and "nobody listens there" in said


def message(*addresses, **changes):
    return json.dumps({"protocol": 1, "instance": "a", "process": 1, "version": "9",
                       "sockets": [{"address": text} for text in addresses], **changes})


def ok(body):
    return b"HTTP/1.1 200 OK\r\n\r\n" + body.encode()


ANSWERS = {
    "none": (b"", 0, "no answer that could be used"),
    "garbage": (b"\0\xff" * 40_000, 0, "no answer that could be used"),
    "no such page": (b"HTTP/1.1 404 X\r\n\r\n", 0, "does not know version 1 of the takeover"),
    "draining": (b"HTTP/1.1 410 X\r\n\r\nit is draining\n", 0, "it is draining"),
    "no message": (ok("{}"), 0, "not of version 1 of the protocol"),
    "another protocol": (ok(message(protocol=2)), 0, "not of version 1 of the protocol"),
    "too few": (ok(message("127.0.0.1:1", "127.0.0.1:2")), 1, "2 sockets are announced, and 1 came"),
    "too many": (ok(message()), 1, "0 sockets are announced, and 1 came"),
    "another address": (ok(message("127.0.0.1:1")), 1, "what came for 127.0.0.1:1 is 127.0.0.1:"),
    "without end": (ok(" " * 1_200_000), 0, "no answer that could be used"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_an_answer_that_cannot_be_used(echo_origin, tmp_path, case):
    """Whoever listens there: descriptors and words are checked, and nothing is believed."""
    data, count, words = ANSWERS[case]
    path = tmp_path / "odd.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    handed = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]

    def serve():
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(4096)
            if handed:
                socket.send_fds(connection, [b"HTTP/1.1 103 X\r\n\r\n"],
                                [each.fileno() for each in handed])
            connection.sendall(data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    status, said = take_over(tmp_path, configuration(echo_origin), path)
    assert status == 4 and words in said, (status, said)
    thread.join(5)


def ask(path, method="GET", body=""):
    """A question to the page, with what came along; the descriptors are closed."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(f"{method} {PAGE} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                       f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
        data, descriptors = b"", []
        while True:
            more, found, _, _ = socket.recv_fds(client, 65_536, 253)
            descriptors += found
            if not more:
                break
            data += more
    found = [socket.socket(fileno=each) for each in descriptors]
    names = [each.getsockname() for each in found]
    for each in found:
        each.close()
    return data, names


def test_the_page_by_itself(upgrades, echo_origin, echo_stub, tmp_path):  # noqa: F811
    """Asking changes nothing, leaves nothing open, and nobody ends the process by a wrong name."""
    unix = tmp_path / "local.sock"
    chain = upgrades(configuration(echo_origin, unix))
    descriptors = len(os.listdir(f"/proc/{chain.now.pid}/fd"))
    for _ in range(30):
        data, names = ask(chain.admin_path)
        said = json.loads(data.split(b"\r\n\r\n")[-1])
        assert said["protocol"] == 1 and said["process"] == chain.now.pid
        assert len(said["sockets"]) == len(names) == 4
        assert {str(unix), str(chain.admin_path), ("127.0.0.1", chain.port),
                ("127.0.0.1", chain.metrics_port)} == set(names)
    for body in ("", "wrong", said["instance"] + "0", "\0" * 1000, "a" * 100_000):
        data, names = ask(chain.admin_path, "POST", body)
        assert data.startswith(b"HTTP/1.1 409") and names == []
    waiting.until(
        lambda: len(os.listdir(f"/proc/{chain.now.pid}/fd")) <= descriptors + 1, "them to be closed")
    is_well(chain, echo_stub)
    assert ask(chain.admin_path, "POST", said["instance"])[0].startswith(b"HTTP/1.1 202")
    assert chain.now.wait(10) == 0


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="takes root")
def test_other_users_get_nothing(upgrades, echo_origin, echo_stub, tmp_path):  # noqa: F811
    """By the socket's mode, and by who asks where that was opened."""
    chain = upgrades(configuration(echo_origin))
    for folder in [chain.admin_path.parent, *chain.admin_path.parents]:
        if str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    path = tmp_path / "nobody.yaml"
    write(path, configuration(echo_origin))
    for mode, words in ((0o600, "Permission denied"), (0o777, "another user listens there")):
        chain.admin_path.chmod(mode)
        # Root's socket is fine for everybody: the server refuses then.
        ended = subprocess.run(
            ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
             program.binary(), "run", "--config", path, "--takeover", chain.admin_path],
            capture_output=True, text=True, timeout=20, cwd="/", check=False)
        assert ended.returncode == 4, ended
        assert words in ended.stderr or "only root and the user" in ended.stderr, ended
    is_well(chain, echo_stub)


# Under a supervisor

def test_the_supervisor_is_told_who_goes_on(upgrades, echo_origin, tmp_path, monkeypatch):  # noqa: F811
    """Before the successor speaks, and by the old process, as only that one may be heard."""
    notify = supervisor.NotifySocket(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", notify.address)
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    chain = upgrades(configuration(echo_origin))
    notify.wait_for("WATCHDOG", 2)
    old = chain.succeed()
    assert notify.wait_for("MAINPID")["MAINPID"] == str(chain.now.pid)
    notify.wait_for("READY", 2)
    names = [name for each in notify.messages for name in each if name in ("MAINPID", "READY")]
    assert names[:3] == ["READY", "MAINPID", "READY"]
    assert old.wait(10) == 0
    assert notify.count("STOPPING") == 0
    notify.close()


def test_a_signal_starts_the_program_that_is_there(
        upgrades, echo_origin, tmp_path, monkeypatch):  # noqa: F811
    """Within the service, so that the supervisor follows. One that cannot start changes nothing."""
    notify = supervisor.NotifySocket(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", notify.address)
    chain = upgrades({**configuration(echo_origin), "watch": "off"})
    notify.wait_for("READY")
    good = chain.path.read_text()
    chain.path.write_text("listeners: 5\n")
    chain.now.signal(signal.SIGUSR2)
    chain.now.wait_for_line(r"successor pid=\d+ ended with status 1")
    chain.path.write_text(good)
    caller = RawCaller(chain.port, calls=1)
    chain.now.signal(signal.SIGUSR2)
    process = int(notify.wait_for("MAINPID", timeout=15)["MAINPID"])
    try:
        assert chain.now.wait(10) == 0
        assert f"upgrading pid={process} program={program.binary().resolve()}" in chain.now.log
        notify.wait_for("READY", 2)
        before = caller.answered
        waiting.until(lambda: caller.answered > before + 20 or caller.faults, "calls", 20)
        assert chain.now.told("/status")["predecessor"]["process"] == chain.now.pid
        caller.end()
        assert caller.faults == []
    finally:
        os.kill(process, signal.SIGTERM)
    notify.wait_for("STOPPING")
    notify.close()


@pytest.mark.skipif(
    shutil.which("systemd-socket-activate") is None, reason="no systemd-socket-activate here")
def test_sockets_of_a_supervisor_stay_its_own(upgrades, echo_origin, echo_stub, tmp_path):  # noqa: F811
    """A listener that goes and comes back, two processes later, has the same socket."""
    chain = upgrades(configuration(echo_origin))
    port, admin = program.free_port(), tmp_path / "activated.sock"
    config = program.configuration(port, [echo_origin.port]) | {"admin": {"address": f"unix:{admin}"}}
    path = tmp_path / "activated.yaml"
    write(path, config)
    first = subprocess.Popen(supervisor.activated(
        [program.binary(), "run", "--config", path, "--workers", "1"],
        f"127.0.0.1:{port}", names=["edge"]), stderr=subprocess.DEVNULL)
    try:
        waiting.until(lambda: program.accepts(port), "systemd-socket-activate", 10)
        assert echo_stub(port).Unary(EchoRequest(payload=b"x"), timeout=10).payload == b"x"
        waiting.until(admin.exists, "the admin socket")
        chain.path, chain.port, chain.admin_path = path, port, admin
        chain.begin()
        assert first.wait(10) == 0
        chain.now = chain.all[-1]
        assert chain.succeed().wait(10) == 0
        said = json.loads(ask(admin)[0].split(b"\r\n\r\n")[-1])
        assert {"address": f"127.0.0.1:{port}", "name": "edge"} in said["sockets"]
    finally:
        first.kill()
        first.wait()
