"""What `scripts/package` makes, on a bare Debian 12 without Swift: install to purge."""

import ctypes
import gzip
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest
import yaml

import chroot
import echo_pb2
import supervisor
import weir

TOOLS = ["mmdebstrap", "dpkg-deb", "dpkg-shlibdeps", "objcopy", "systemd-analyze", "mandoc"]
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, TOOLS)),
    reason="needs root and the packages of `scripts/setup test`")

UNIT = weir.ROOT / "packaging/systemd/weir.service"
CONFIG = "/etc/weir/weir.yaml"


def pack(folder):
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1750000000"}
    done = subprocess.run(
        [weir.ROOT / "scripts/package", "--fast", "--binary", weir.binary(), "--output", folder],
        capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return {path.name.split("_")[0].split("-linux")[0]: path for path in folder.iterdir()}


def field(package, name):
    return subprocess.run(
        ["dpkg-deb", "--field", package, name], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """The packages by name: `weir`, `weir-dbgsym`, and the tarball `weir-VERSION`."""
    return pack(tmp_path_factory.mktemp("packages") / "made")


@pytest.fixture(scope="module")
def tarball(packages):
    depends = field(packages["weir"], "Depends").split(",")
    return chroot.base([word.split()[0] for word in depends])


@pytest.fixture
def machine(tmp_path, tarball):
    return chroot.Chroot(tmp_path / "machine", tarball)


def newer(package, folder):
    """The same package with a higher version, and a new line in its configuration."""
    tree = folder / "tree"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*$", "Version: 99.0.0", control.read_text()))
    config = tree / CONFIG.lstrip("/")
    config.write_text(config.read_text() + "# A new version's.\n")
    made = folder / "newer.deb"
    subprocess.run(["dpkg-deb", "--build", "-z0", tree, made], check=True, capture_output=True)
    return made


def install(machine, package, *options):
    shutil.copy(package, machine / "tmp/package.deb")
    return machine.run("dpkg", *options, "--install", "/tmp/package.deb")


def as_the_unit_does(machine, notify):
    """Starts the service with the user, the capabilities and the folders that its unit gives."""
    for folder in ("run/weir", "var/log/weir"):
        machine.run("install", "-d", "-o", "weir", "-g", "weir", f"/{folder}")
    capability = "-all,+net_bind_service"
    command = machine.command(
        "setpriv", "--reuid=weir", "--regid=weir", "--init-groups", "--no-new-privs",
        f"--bounding-set={capability}", f"--inh-caps={capability}", "--ambient-caps=+net_bind_service",
        "/usr/bin/weir", "run", "--config", CONFIG)
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "NOTIFY_SOCKET": notify.address})


@pytest.fixture
def notify():
    reader = supervisor.NotifySocket(f"@weir-{os.getpid()}-package")
    yield reader
    reader.close()


def test_the_same_program_gives_the_same_bytes(packages, tmp_path):
    again = pack(tmp_path / "again")
    assert sorted(again) == sorted(packages)
    for name, path in packages.items():
        assert path.read_bytes() == again[name].read_bytes(), name


def test_it_is_named_for_its_version(packages):
    version = subprocess.run(
        [weir.binary(), "version"], capture_output=True, text=True, check=True).stdout.split()[1]
    assert field(packages["weir"], "Version") == version
    assert field(packages["weir-dbgsym"], "Depends") == f"weir (= {version})"
    assert f"weir-{version}" in packages
    assert "libc6" in field(packages["weir"], "Depends")


def test_runs_where_there_is_no_swift(machine, packages):
    """First from the tarball, then from the package."""
    assert not list(machine.root.rglob("*swift*"))
    folder = machine / "opt"
    tarball = next(path for path in packages.values() if path.suffix == ".gz")
    subprocess.run(["tar", "-xf", tarball, "-C", folder, "--strip-components=1"], check=True)
    expected = f"weir {field(packages['weir'], 'Version')}\n"
    assert machine.run("/opt/usr/bin/weir", "version").stdout.startswith(expected)

    install(machine, packages["weir"])
    assert machine.run("weir", "version").stdout.startswith(expected)
    assert "not found" not in machine.run("ldd", "/usr/bin/weir").stdout
    checked = machine.run("weir", "check", "--config", CONFIG)
    assert (checked.stdout[:6], checked.stderr) == ("valid:", "")
    denied = machine.run("weir", "explain", "--config", CONFIG, "--method", "a.B/C", check=False)
    assert denied.returncode == 1
    install(machine, packages["weir-dbgsym"])
    assert (machine / "usr/lib/debug/usr/bin/weir.debug").stat().st_size > 1 << 20


def test_the_default_configuration_is_safe(machine, packages):
    install(machine, packages["weir"])
    config = yaml.safe_load((machine / CONFIG).read_text())
    assert config["access"] == {"default": "deny"}
    for address in [each["address"] for each in config["listeners"]] + [
            config["metrics"]["address"], config["admin"]["address"]]:
        assert address.startswith(("127.0.0.1:", "unix:/run/weir/")), address


def test_installs_runs_reloads_upgrades_and_goes(
        machine, packages, notify, echo_origin, echo_stub, tmp_path):
    before = machine.files()
    install(machine, packages["weir"])
    account = machine.run("getent", "passwd", "weir").stdout.strip().split(":")
    assert account[5:] == ["/nonexistent", "/usr/sbin/nologin"]
    assert machine.run("getent", "group", "weir").returncode == 0

    # An administrator's own configuration; a port below 1024 shows the capability.
    port = next(port for port in range(700, 1000) if is_free(port))
    own = weir.configuration(port, [echo_origin.port]) | {
        "admin": {"address": "unix:/run/weir/admin.sock"},
        "access_log": {"file": "/var/log/weir/access.log"}}
    (machine / CONFIG).write_text(yaml.safe_dump(own))

    process = as_the_unit_does(machine, notify)
    try:
        notify.wait_for("READY", timeout=15)
        assert os.stat(f"/proc/{process.pid}").st_uid == int(account[2])
        stub = echo_stub(port)
        assert stub.Unary(echo_pb2.EchoRequest(payload=b"a"), timeout=10).payload == b"a"
        status = machine.run("weir", "status", "--config", CONFIG)
        assert status.returncode == 0

        own["routes"][0]["timeout"] = "10s"
        (machine / CONFIG).write_text(yaml.safe_dump(own | {"watch": "off"}))
        process.send_signal(signal.SIGHUP)
        notify.wait_for("RELOADING")
        notify.wait_for("READY", 2)

        # It runs on while its files are replaced; what the administrator wrote stays.
        install(machine, newer(packages["weir"], tmp_path), "--force-confold")
        assert "99.0.0" in machine.run("dpkg-query", "-W", "weir").stdout
        assert yaml.safe_load((machine / CONFIG).read_text())["routes"][0]["timeout"] == "10s"
        assert "A new version's" in (machine / f"{CONFIG}.dpkg-dist").read_text()
        assert stub.Unary(echo_pb2.EchoRequest(payload=b"b"), timeout=10).payload == b"b"
        assert supervisor.ended(process) == 0
        assert notify.count("STOPPING") == 1

        process = as_the_unit_does(machine, notify)
        notify.wait_for("READY", 3, timeout=15)
        assert stub.Unary(echo_pb2.EchoRequest(payload=b"c"), timeout=10, wait_for_ready=True)
        assert supervisor.ended(process) == 0
    finally:
        process.kill()
    assert "Echo/Unary" in (machine / "var/log/weir/access.log").read_text()

    machine.run("dpkg", "--remove", "weir")
    assert not (machine / "usr/bin/weir").exists()
    assert (machine / CONFIG).exists()
    machine.run("dpkg", "--purge", "weir")
    assert machine.run("getent", "passwd", "weir", check=False).returncode == 2
    assert machine.run("getent", "group", "weir", check=False).returncode == 2
    assert not (machine / "var/log/weir").exists()
    assert machine.files() - before - {"tmp/package.deb"} == set()


def is_free(port):
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def test_the_units_start_what_the_smallest_system_has(machine, packages):
    """A unit whose reload wants /bin/kill fails where procps is not installed."""
    install(machine, packages["weir"])
    programs = re.findall(r"^Exec\w+=[-+!:@]*(\S+)", UNIT.read_text(), re.M)
    assert "/usr/bin/weir" in programs
    for program in programs:
        machine.run("test", "-x", program)


def test_the_units_are_what_systemd_expects(machine, packages):
    install(machine, packages["weir"])
    units = machine / "lib/systemd/system"
    shutil.copy(machine / "usr/share/doc/weir/examples/weir.socket", units)
    # What they refer to is this machine's; nothing else of systemd is needed to check them.
    subprocess.run(["cp", "-a", "-n", "/lib/systemd/system/.", units], check=True)
    done = subprocess.run(
        ["systemd-analyze", "verify", f"--root={machine.root}", "--man=no", "weir.service",
         "weir.socket"], capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "weir" in line]
    assert (done.returncode, ours) == (0, []), done.stderr
    # 10 is a service without any protection; docs/installing.md names the figure.
    subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=15", UNIT],
        check=True, capture_output=True)


def test_the_manual_pages_are_well_formed(machine, packages):
    install(machine, packages["weir"])
    for page in ("man1/weir.1", "man5/weir.yaml.5"):
        text = gzip.decompress((machine / f"usr/share/man/{page}.gz").read_bytes())
        linted = subprocess.run(
            ["mandoc", "-Tlint", "-W", "warning"], input=text, capture_output=True, check=False)
        assert linted.stdout == b"", linted.stdout.decode()
        shown = subprocess.run(
            ["mandoc", "-Tascii"], input=text, capture_output=True, check=True).stdout
        shown = re.sub(r".\x08", "", shown.decode())
        for word in ("SIGHUP", "WATCHDOG_USEC", "weir explain", "--config") if "1" in page else (
                "upstream limits", "concurrent_streams", "default 100"):
            assert word in shown, word


def allowed_calls():
    """The system calls that the unit's filter lets through."""
    def members(group):
        lines = subprocess.run(
            ["systemd-analyze", "syscall-filter", group], capture_output=True, text=True,
            check=True).stdout.splitlines()
        for line in lines[1:]:
            word = line.strip()
            if word.startswith("@"):
                yield from members(word)
            elif word and not word.startswith("#"):
                yield word

    allowed = set()
    for line in UNIT.read_text().splitlines():
        if line.startswith("SystemCallFilter="):
            groups = line.split("=")[1]
            for group in groups.lstrip("~").split():
                names = set(members(group))
                allowed = allowed - names if groups.startswith("~") else allowed | names
    return allowed


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_needs_no_system_call_that_the_unit_forbids(
        tmp_path, notify, echo_origin, echo_stub):
    """Start, calls, reload, metrics, drain; memory that is writable and executable is refused."""
    port, metrics = weir.free_port(), weir.free_port()
    config = weir.configuration(port, [echo_origin.port]) | {
        "metrics": {"address": f"127.0.0.1:{metrics}"},
        "admin": {"address": f"unix:{tmp_path}/admin.sock"},
        "access_log": {"file": str(tmp_path / "access.log")}}
    config["routes"].append({
        "name": "pattern", "backends": [{"upstream": "origin"}],
        "matches": [{"method": "a.B/C", "headers": {"x-a": {"regex": "(a|b)+c"}}}]})
    # The trace in another folder than the configuration, which Weir watches.
    path, trace = tmp_path / "weir.yaml", tmp_path / "traces" / "trace"
    trace.parent.mkdir()
    path.write_text(yaml.safe_dump(config))

    def deny_write_execute():
        assert ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) == 0

    process = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", trace, weir.binary(), "run", "--config", path],
        stderr=subprocess.DEVNULL, preexec_fn=deny_write_execute, start_new_session=True,
        env={**os.environ, "NOTIFY_SOCKET": notify.address, "WATCHDOG_USEC": "1000000"})
    try:
        notify.wait_for("READY", timeout=20)
        stub = echo_stub(port)
        assert stub.Unary(echo_pb2.EchoRequest(payload=b"a"), timeout=10).payload == b"a"
        subprocess.run(["curl", "-sf", f"http://127.0.0.1:{metrics}/metrics"], check=True,
                       capture_output=True)
        child = int(re.match(r"\d+", trace.read_text())[0])
        os.kill(child, signal.SIGHUP)
        notify.wait_for("READY", 2)
        os.kill(child, signal.SIGUSR1)
        notify.wait_for("WATCHDOG", 2)
        os.kill(child, signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    used = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.M))
    # What systemd does itself before the filter is in force.
    assert used - allowed_calls() - {"execve"} == set()
    assert "Echo/Unary" in (tmp_path / "access.log").read_text()
