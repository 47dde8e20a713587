"""What goes wrong around Weir, under load: every call gets an answer or a clean gRPC error, and Weir
recovers by itself, within the time that each test states.

The short form runs with all tests; `scripts/faults` runs the long one.
"""

import contextlib
import json
import os
import pathlib
import resource
import signal
import struct
import subprocess
import threading
import time

import pytest

import frames
import waiting
import weir as program
from access_log import parsed
from faults import (
    DEADLINE_EXCEEDED, OK, UNAVAILABLE, Load, connections, seconds, stopped, times, under_load)
from reloading import LONG, text_of, write
from telemetry import Told, told  # noqa: F401
from test_upstreams import Process

BACKOFF = {"timeouts": {"backoff_base": "100ms", "backoff_max": "1s"}}


@pytest.fixture
def start_process():
    """Starts servers in processes of their own: `start_process(port)`."""
    running = []

    def start(port):
        running.append(Process(port))
        return running[-1]

    yield start
    for process in running:
        process.kill()


# Servers

def test_a_server_is_killed_and_started_again(told, start_process):  # noqa: F811
    """UNAVAILABLE at once; calls go well within the longest backoff, and 2 s for a busy machine."""
    port = program.free_port()
    server = start_process(port)
    proxy = told(port, upstream=BACKOFF)
    with under_load(proxy) as load:
        for _ in times(2, 10):
            server.kill()
            assert load.until_answered(UNAVAILABLE) < 2
            seconds(0.3, 3)
            server = start_process(port)
            load.until_well(3)
    assert load.count(DEADLINE_EXCEEDED) <= load.count(OK) / 10, load.statuses


def test_one_of_two_servers_is_killed(told, start_process, start_origin):  # noqa: F811
    """Only what was on it fails, once each; the other takes all calls."""
    port = program.free_port()
    server = start_process(port)
    proxy = told(start_origin().port, port, upstream=BACKOFF)
    with under_load(proxy) as load:
        for _ in times(2, 10):
            before = load.count(UNAVAILABLE)
            server.kill()
            load.until_well(2)
            # 50 were open, and an attempt to connect may take a few with it.
            assert load.count(UNAVAILABLE) - before <= 100, load.statuses
            server = start_process(port)
            load.until_well(2)


def test_a_server_hangs(told, start_process):  # noqa: F811
    """SIGSTOP: calls end by their deadlines, not later; well again 3 s after it goes on."""
    port = program.free_port()
    server = start_process(port)
    proxy = told(port)
    with under_load(proxy, milliseconds=500) as load:
        for _ in times(1, 5):
            with stopped(server):
                assert load.until_answered(DEADLINE_EXCEEDED) < 5
                seconds(1, 20)
            load.until_well(3)


def test_a_server_that_hangs_is_found_out_by_keepalive(told, start_process, start_origin):  # noqa: F811
    """Two servers, one hung: its connection is cut, and calls fail until then by their deadlines."""
    port = program.free_port()
    server = start_process(port)
    proxy = told(start_origin().port, port, upstream={
        "timeouts": {**BACKOFF["timeouts"], "keepalive": "500ms", "keepalive_ack": "500ms",
                     "settings": "500ms"}})
    with under_load(proxy, milliseconds=500) as load:
        with stopped(server):
            proxy.wait_for_line("limit=upstream.keepalive_ack", timeout=20)
            load.until_answered(OK)
            seconds(0.5, 20)
        load.until_well(5)


# The disk

@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB, which needs root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a file system needs root, with the right to mount")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_the_disk_of_the_access_log_is_full(told, small_disk, start_origin):  # noqa: F811
    """No call waits for it; records are dropped and counted; lines go on 5 s after there is room."""
    log, ballast = small_disk / "access.log", small_disk / "ballast"
    config = program.configuration(program.free_port(), [start_origin().port])
    config["access_log"] = {"file": str(log)}
    proxy = told(config=config)
    with under_load(proxy) as load:
        with contextlib.suppress(OSError):
            ballast.write_bytes(bytes(1 << 20))
        proxy.wait_for_line("error .*access", timeout=20)
        waiting.until(
            lambda: proxy.value("weir_access_log_dropped_total") > 0, "records to be dropped", 60)
        load.until_answered(OK)
        full = log.read_bytes()
        # Making room for a little more than the log has; then the disk is as good as new.
        ballast.unlink()
        os.truncate(log, 0)
        waiting.until(lambda: log.stat().st_size > 0, "lines to be written again", 5)
    assert load.count(OK) == sum(load.statuses.values()), load.statuses
    whole = full[:full.rfind(b"\n") + 1]
    assert all(parsed(line)["grpc_status"] == "OK" for line in whole.splitlines())


# Descriptors

def test_descriptors_run_out(told, start_origin):  # noqa: F811
    """Clients that are connected are served on; others are taken 2 s after some are free."""
    proxy = told(start_origin().port)
    with under_load(proxy) as load:
        for _ in times(1, 5):
            limits = resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE)
            have = len(os.listdir(f"/proc/{proxy.pid}/fd"))
            resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (have + 10, limits[1]))
            lines = len(proxy.lines("out of descriptors"))
            others = connections(proxy, 30)
            waiting.until(
                lambda: len(proxy.lines("out of descriptors")) > lines, "the log to say it", 10)
            load.until_answered(OK, 200)
            spent = cpu_seconds(proxy.pid)
            seconds(0.5, 10)
            assert cpu_seconds(proxy.pid) - spent < (10 if LONG else 0.6)
            for other in others:
                other.close()
            client = frames.Connection.to(proxy.port)
            stream = client.request(frames.GRPC, frames.EMPTY_MESSAGE)
            begin = time.monotonic()
            assert client.until_over(stream, 10).grpc_status == OK
            assert time.monotonic() - begin < 2
            client.close()
            resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, limits)
    assert load.count(OK) == sum(load.statuses.values()), load.statuses


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_descriptors_run_out_before_the_first_call(told, start_origin):  # noqa: F811
    """None is left for a connection to a server: UNAVAILABLE with words; well again within 3 s."""
    proxy = told(start_origin().port, upstream=BACKOFF)
    client = frames.Connection.to(proxy.port)
    client.round_trip()
    limits = resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    stream = client.until_over(client.request(frames.GRPC, frames.EMPTY_MESSAGE), 10)
    assert stream.grpc_status == UNAVAILABLE and stream.field("grpc-message"), stream
    resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, limits)
    with Load(proxy) as load:
        load.until_well(3)
    client.close()


# The configuration

def unreadable(path):
    """Takes the file's rights away; root may read it all the same."""
    path.chmod(0)


def deleted(path):
    path.unlink()


def dangling(path):
    path.unlink()
    path.symlink_to("nowhere")


def folder(path):
    path.unlink()
    path.mkdir()


def torn(path):
    path.write_bytes(path.read_bytes()[:40] + b"\xff\0")


@pytest.mark.parametrize("break_it", [deleted, unreadable, dangling, folder, torn],
                         ids=lambda change: change.__name__)
def test_the_configuration_is_broken(told, start_origin, break_it):  # noqa: F811
    """Calls go on as they did; a good file is taken over within 10 s, with no signal."""
    if break_it is unreadable and os.geteuid() == 0:
        pytest.skip("root may read everything")
    origin = start_origin()
    proxy = told(origin.port)
    good = proxy.config
    with under_load(proxy) as load:
        for number in times(1, 10):
            break_it(proxy.config_path)
            proxy.signal(signal.SIGHUP)
            refused = proxy.wait_for_line("reload refused", count=number + 1)
            assert "stays" in refused
            waiting.until(
                lambda: proxy.value("weir_config_last_load_failed") == 1, "the metric to say it")
            load.until_answered(OK)
            mend(proxy.config_path, {**good, "routes": [
                {**good["routes"][0], "name": f"mended-{number}"}]})
            proxy.wait_for_line("notice .*reloaded", count=number + 1)
            assert proxy.value("weir_config_last_load_failed") == 0
            load.until_answered(OK)
    assert load.count(OK) == sum(load.statuses.values()), load.statuses


def mend(path, config):
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    other = path.with_suffix(".new")
    other.write_text(text_of(config))
    other.rename(path)


# Clocks

@pytest.fixture
def clock(tmp_path, monkeypatch):
    """The next process that is started has this wall clock: `clock(seconds)` steps it.

    CLOCK_REALTIME is stepped and CLOCK_MONOTONIC left alone, as when a system's clock is set.
    """
    library, offset = tmp_path / "step_clock.so", tmp_path / "offset"
    source = pathlib.Path(__file__).parent / "step_clock.c"
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
    offset.write_bytes(bytes(8))
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("STEP_CLOCK", str(offset))

    def step(seconds_from_now):
        with open(offset, "r+b") as file:
            file.write(struct.pack("q", seconds_from_now))

    return step


def test_the_wall_clock_is_stepped(told, clock, start_origin, tmp_path, monkeypatch):  # noqa: F811
    """A day ahead, a day back, and to and fro: nothing that Weir times by it touches a call."""
    log = tmp_path / "access.log"
    config = program.configuration(program.free_port(), [start_origin().port], upstream=BACKOFF)
    config["access_log"] = {"file": str(log)}
    proxy = told(config=config)
    monkeypatch.delenv("LD_PRELOAD")
    day = 86_400
    with under_load(proxy) as load:
        for step in [day, -day, 400 * day, 0] * (5 if LONG else 1):
            clock(step)
            load.until_answered(OK, 200)
            expected = time.strftime("%Y-%m-%d", time.gmtime(time.time() + step))
            waiting.until(
                lambda: dates(log)[-1:] == [expected],
                lambda: f"the log to be written on {expected}: {dates(log)[-5:]}", 10)
    assert load.count(OK) == sum(load.statuses.values()), load.statuses


def dates(log):
    """The day of each whole line of the log's end."""
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - 5_000))
        lines = file.read().splitlines()[1:-1]
    return [json.loads(line)["time"][:10] for line in lines]


class Displaced(Told):
    """A proxy on a machine that has been up for so long (CLOCK_MONOTONIC and CLOCK_BOOTTIME)."""

    UPTIME = 0

    def command(self, path, workers, log_level):
        shift = str(self.UPTIME)
        return ["unshare", "--time", "--monotonic", shift, "--boottime", shift,
                *super().command(path, workers, log_level)]


@pytest.mark.parametrize("days", [25, 50, 10_000])
def test_the_machine_has_been_up_for_long(tmp_path, start_origin, days):
    """Beyond 2^31 and 2^32 ms, and 27 years: a time namespace moves the clock that timers go by."""
    probe = ["unshare", "--time", "--monotonic", "1", "true"]
    if subprocess.run(probe, capture_output=True).returncode != 0:
        pytest.skip("a time namespace needs root, with the right to make one")
    Displaced.UPTIME = days * 86_400
    config = program.configuration(program.free_port(), [start_origin().port])
    metrics_port = program.free_port()
    config["metrics"] = {"address": f"127.0.0.1:{metrics_port}"}
    config["admin"] = {"address": "unix:admin.sock"}
    path = tmp_path / "weir.yaml"
    write(path, config)
    port = int(config["listeners"][0]["address"].rsplit(":", 1)[1])
    proxy = Displaced(path, port, metrics_port, tmp_path / "admin.sock")
    try:
        waiting.until(proxy.is_ready, "the metrics' port to answer", 10)
        with under_load(proxy) as load:
            load.until_answered(OK, 200)
        assert load.count(OK) == sum(load.statuses.values()), load.statuses
        assert 0 <= proxy.told("/status")["uptime_seconds"] < 600
    finally:
        proxy.stop()


def test_weir_itself_is_stopped_for_a_while(told, start_origin):  # noqa: F811
    """As on a machine that was suspended: no timer of a connection fires for time that stood still
    for the clients, too; calls end by their deadlines or go well, at once after it goes on."""
    proxy = told(start_origin().port)
    with under_load(proxy) as load:
        for _ in times(1, 5):
            with stopped(proxy):
                seconds(2, 8)
            load.until_well(2)


# The mailbox

def test_the_mailbox_is_flooded(told, start_origin):  # noqa: F811
    """Reloads and questions at once, faster than they are done: calls go on, the last one holds."""
    proxy = told(start_origin().port, workers=2)
    config = proxy.config
    stop = threading.Event()
    faults, asked = [], [0] * 6

    def ask(index):
        pages = ["/connections", "/upstreams", "/status", "/routes"]
        while not stop.is_set():
            try:
                status, body = proxy.ask(pages[asked[index] % 4])
                assert status == 200 and json.loads(body) is not None, status
                asked[index] += 1
            except Exception as error:
                faults.append(repr(error))
                return

    with under_load(proxy) as load:
        askers = [threading.Thread(target=ask, args=(i,), daemon=True) for i in range(6)]
        for asker in askers:
            asker.start()
        for number in times(150, 2_000):
            mend(proxy.config_path, {**config, "routes": [
                {**config["routes"][0], "name": f"route-{number}"}]})
            proxy.signal(signal.SIGHUP)
        load.until_answered(OK, 200)
        last = f"route-{number}"
        waiting.until(
            lambda: last in json.dumps(proxy.told("/routes")), "the last one to hold", 20)
        stop.set()
        for asker in askers:
            asker.join(30)
        load.until_answered(OK, 200)
    assert not faults, faults
    assert min(asked) > 10, asked
    assert load.count(OK) == sum(load.statuses.values()), load.statuses
