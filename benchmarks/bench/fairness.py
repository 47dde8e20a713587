"""Fairness: the latency of one client's calls, one at a time, alone and beside a connection that
keeps a thousand streams busy."""

import contextlib
import dataclasses
import statistics
import subprocess
import time

from . import load, places, running
from .workloads import WORKLOADS

BUSY_STREAMS = 1000
IN_WORDS = (f"a connection with one call at a time, alone and beside one with {BUSY_STREAMS} "
            f"streams, 100 byte request and response")


@contextlib.contextmanager
def busy_connection(port, seconds, plan):
    """A connection whose streams are all open all the time, for at least so long."""
    workload = dataclasses.replace(WORKLOADS["1x1"], streams=BUSY_STREAMS)
    arguments = load.command(workload, port, plan.terms, ["--duration", f"{seconds:.0f}"])
    pinned = ["taskset", "-c", plan.load_cores] if plan.load_cores else []
    process = subprocess.Popen(
        [*pinned, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        time.sleep(0.5)
        yield process
        if process.poll() is not None:
            raise places.BenchError(f"the busy connection ended early\n{process.stdout.read()}")
    finally:
        process.kill()
        process.communicate()


def latencies(port, plan):
    """Of calls made one after the other for a time, in microseconds, in order."""
    log = places.BUILD / "latencies"
    log.unlink(missing_ok=True)
    timed = ["--duration", f"{plan.seconds:.0f}", "--log-file", str(log)]
    load.run(WORKLOADS["1x1"], port, plan.terms, timed, plan.load_cores)
    return sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines())


def figures_of(found):
    return {"calls": len(found), "p50_us": load.percentile(found, 0.5),
            "p99_us": load.percentile(found, 0.99), "max_us": found[-1]}


def one_round(plan, name, backend):
    with plan.proxied(name, WORKLOADS["1x1"], backend) as proxy:
        alone = figures_of(latencies(proxy.port, plan))
        with busy_connection(proxy.port, plan.seconds + 5, plan):
            beside = figures_of(latencies(proxy.port, plan))
    return {"alone": alone, "beside": beside}


def fairness_figures(plan, say):
    """{"rounds": {proxy: [{"alone": ..., "beside": ...}]}}."""
    found = {name: [] for name in plan.proxies}
    with running.backend(WORKLOADS["1x1"], plan.terms, plan.load_cores) as backend:
        for number in range(plan.rounds):
            for name in plan.rotated(number):
                found[name].append(one_round(plan, name, backend))
                beside = found[name][-1]["beside"]
                say(f"fairness round {number + 1} {name}: beside {BUSY_STREAMS} streams "
                    f"p50 {beside['p50_us']} us, p99 {beside['p99_us']} us")
    return {"rounds": found}


def rows(section):
    """A row of the report for each proxy: medians over rounds, in milliseconds."""
    for name, runs in section["figures"]["rounds"].items():
        cells = [f"{statistics.median(run[state][key] for run in runs) / 1000:.2f}"
                 for state in ("alone", "beside") for key in ("p50_us", "p99_us", "max_us")]
        yield [name, *cells]


HEADER = ["proxy", "alone: p50 ms", "p99 ms", "max ms",
          f"beside {BUSY_STREAMS} streams: p50 ms", "p99 ms", "max ms"]
