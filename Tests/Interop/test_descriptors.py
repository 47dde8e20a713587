"""Sockets, descriptors and cores: both families on one port, all descriptors that are allowed, and
a recovery when there are none left."""

import os
import re
import resource
import socket
import subprocess

import pytest

import frames
import waiting
import weir as program
from reloading import pause, serve, write  # noqa: F401
from telemetry import told  # noqa: F401


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("family", ["127.0.0.1", "::1"])
def test_both_families_are_served_on_one_port(serve, start_origin, family):  # noqa: F811
    port = program.free_port()
    config = program.configuration(port, [start_origin().port])
    config["listeners"][0].update(address=f"[::]:{port}", tls="off")
    serve(config)
    client = frames.Connection(socket.create_connection((family, port), 5), is_client=True)
    client.send(frames.PREFACE)
    client.send_settings({})
    assert client.until_over(client.request(frames.GET)).status == 200
    client.close()


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_an_ipv4_client_is_named_as_such(serve, start_origin, dial, tmp_path):  # noqa: F811
    port, log = program.free_port(), tmp_path / "access.log"
    config = program.configuration(port, [start_origin().port])
    config["listeners"][0].update(address=f"[::]:{port}", tls="off")
    config["access_log"] = {"file": str(log)}
    serve(config)
    client = dial(port)
    assert client.until_over(client.request(frames.GET)).status == 200
    waiting.until(lambda: b"\n" in log.read_bytes(), "a line")
    assert b'"peer":"127.0.0.1:' in log.read_bytes()


def started(folder, *prefix, limits=None, workers=()):
    """`weir run` on an unused port; the number of workers, and the process."""
    config = program.configuration(program.free_port(), [1])
    write(folder / "weir.yaml", config)
    process = subprocess.Popen(
        [*prefix, program.binary(), "run", "--config", folder / "weir.yaml", *workers],
        stderr=subprocess.PIPE, text=True,
        preexec_fn=limits and (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limits)))
    line = process.stderr.readline()
    return int(re.search(r"workers=(\d+)", line)[1]), process


def test_the_limit_of_descriptors_is_raised(tmp_path):
    _, process = started(tmp_path, limits=(100, 1_000))
    with process:
        assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == (1_000, 1_000)
        process.terminate()


def test_there_is_a_worker_for_each_core_of_the_affinity(tmp_path):
    core = str(min(os.sched_getaffinity(0)))
    workers, process = started(tmp_path, "taskset", "--cpu-list", core)
    with process:
        process.terminate()
    assert workers == 1
    workers, process = started(tmp_path)
    with process:
        process.terminate()
    assert 1 <= workers <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize("workers", [1, 2])
def test_without_descriptors_it_rests_and_recovers(told, start_origin, dial, workers):  # noqa: F811
    proxy = told(start_origin().port, workers=workers)
    client = dial(proxy)
    assert client.until_over(client.request(frames.GET)).status == 200
    used = len(os.listdir(f"/proc/{proxy.pid}/fd"))
    resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (used + 20, used + 20))
    crowd = [socket.create_connection(("127.0.0.1", proxy.port), 5) for _ in range(60)]
    # The metrics' port cannot accept either.
    crowd.append(socket.create_connection(("127.0.0.1", proxy.metrics_port), 5))
    proxy.wait_for_line("out of descriptors: accepting rests")
    before = cpu_seconds(proxy.pid)
    pause(1.5)
    assert cpu_seconds(proxy.pid) - before < 0.3
    # Who is there is served meanwhile.
    assert client.until_over(client.request(frames.GET)).status == 200
    for sock in crowd:
        sock.close()
    late = dial(proxy)
    assert late.until_over(late.request(frames.GET)).status == 200
    waiting.until(lambda: proxy.fetch("/ready")[0] == 200, "the metrics' port", 5)
    assert proxy.value("weir_accept_exhausted_total") >= 1
    assert len(proxy.lines("out of descriptors")) <= 4 * workers
