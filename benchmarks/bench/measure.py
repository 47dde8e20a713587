"""The measurements: paired rounds at full speed, then at a fixed rate; and idle connections."""

import contextlib
import dataclasses
import statistics
import threading
import time

from . import load, places, processes, running
from .proxies import LOGGED
from .terms import Terms
from .workloads import WORKLOADS


@dataclasses.dataclass
class Plan:
    """What to run: proxies with their programs, how often, how long, on which cores."""

    proxies: dict
    rounds: int
    seconds: float
    terms: Terms = Terms()
    proxy_cores: str | None = None
    load_cores: str | None = None
    # How often to try for a quiet machine.
    attempts: int = 4

    def rotated(self, number):
        """The proxies in the order of that round: every one is first once in a while."""
        names = list(self.proxies)
        shift = number % len(names)
        return names[shift:] + names[:shift]

    @contextlib.contextmanager
    def proxied(self, name, workload, backend):
        proxy, binary = self.proxies[name]
        with running.proxied(proxy, binary, workload, backend.port, terms=self.terms,
                             cores=self.proxy_cores) as started:
            yield started


@contextlib.contextmanager
def costs(proxy, backend):
    """Yields a dict that on leaving holds CPU times and the wall time, in nanoseconds."""
    readings = {}
    before = (load.now(), processes.machine_time(), proxy.cpu_time(), backend.cpu_time())
    yield readings
    after = (load.now(), processes.machine_time(), proxy.cpu_time(), backend.cpu_time())
    names = ("wall", "machine", "proxy", "backend")
    readings.update({name: b - a for name, a, b in zip(names, before, after)})


def summary(readings, result):
    """One measurement's figures: times in microseconds, shares in cores."""
    others = readings["machine"] - readings["proxy"] - readings["backend"] - result.cpu_time
    return {
        "calls": result.calls,
        "rate": result.rate,
        "cpu_us": readings["proxy"] / result.calls / 1000,
        "busy": readings["proxy"] / readings["wall"],
        "backend_busy": readings["backend"] / readings["wall"],
        "load_busy": result.cpu_time / readings["wall"],
        "others_busy": max(0.0, others / readings["wall"]),
    }


# Cores that the rest of the machine may use during a measurement.
QUIET = 0.1


def quietly(measurement, plan, *arguments):
    """Measures until the rest of the machine was quiet; else returns the quietest attempt.

    Which attempt counts depends on the others' CPU time only, never on the figure itself."""
    attempts = []
    while len(attempts) < plan.attempts:
        attempts.append(measurement(plan, *arguments))
        if attempts[-1]["others_busy"] <= QUIET:
            break
    best = min(attempts, key=lambda figures: figures["others_busy"])
    return best | {"attempts": len(attempts)}


def at_full_speed(plan, name, workload, backend):
    with plan.proxied(name, workload, backend) as proxy:
        seconds, terms, cores = min(1.0, plan.seconds), plan.terms, plan.load_cores
        speed = load.warm_up(workload, proxy.port, seconds, terms, cores)
        calls = max(workload.connections * workload.streams, round(speed * plan.seconds))
        with costs(proxy, backend) as readings, reloading(workload, proxy):
            result = load.saturate(workload, proxy.port, calls, terms, cores)
        resident, proportional = proxy.memory()
    return summary(readings, result) | {"rss": resident, "pss": proportional}


# Seconds between two reloads.
RELOADS = 0.25


@contextlib.contextmanager
def reloading(workload, proxy):
    """Changes the configuration again and again, if that is the workload and the proxy can."""
    if not workload.reloads or proxy.reload is None:
        yield
        return
    stop, made = threading.Event(), []

    def change():
        while not stop.wait(RELOADS):
            made.append(proxy.reload(len(made) + 1))

    changer = threading.Thread(target=change)
    changer.start()
    try:
        yield
    finally:
        stop.set()
        changer.join()
    loaded = proxy.log.read_text(errors="replace").count("reloaded revision=")
    if not 0 < len(made) <= loaded + 1:
        raise places.BenchError(f"of {len(made)} changes {loaded} were loaded")


def at_fixed_rate(plan, name, workload, backend, rate):
    with plan.proxied(name, workload, backend) as proxy:
        with costs(proxy, backend) as readings:
            result, latencies = load.at_rate(workload, proxy.port, rate, plan.seconds + 0.5,
                                             plan.terms, plan.load_cores)
    figures = summary(readings, result)
    return figures | {"p50_us": load.percentile(latencies, 0.5),
                      "p99_us": load.percentile(latencies, 0.99)}


def workload_figures(plan, workload, say):
    """All rounds of a workload: {"rate": fixed rate, "full": {proxy: [...]}, "fixed": {...}}."""
    full = {name: [] for name in plan.proxies}
    fixed = {name: [] for name in plan.proxies}
    with running.backend(workload, plan.terms, plan.load_cores) as backend:
        for number in range(plan.rounds):
            for name in plan.rotated(number):
                figures = quietly(at_full_speed, plan, name, workload, backend)
                full[name].append(figures)
                say(f"{workload.name} round {number + 1} {name}: {figures['cpu_us']:.2f} us, "
                    f"{figures['rate']:.0f}/s")
        if workload.churns or workload.reloads:
            return {"rate": 0, "full": full, "fixed": {}}
        peers = [name for name in full if name.removesuffix(LOGGED) != "weir"] or list(full)
        rate = min(statistics.median(run["rate"] for run in full[name]) for name in peers) / 2
        for number in range(plan.rounds):
            for name in plan.rotated(number):
                figures = quietly(at_fixed_rate, plan, name, workload, backend, rate)
                fixed[name].append(figures)
                say(f"{workload.name} round {number + 1} {name} at {rate:.0f}/s: "
                    f"p50 {figures['p50_us']} us, p99 {figures['p99_us']} us")
    return {"rate": rate, "full": full, "fixed": fixed}


def settled_memory(proxy):
    """(resident, proportional) bytes once the proxy has nothing left to do."""
    before = -1
    while (spent := proxy.cpu_time()) - before > 3_000_000:
        before = spent
        time.sleep(0.25)
    return proxy.memory()


def idle_figures(plan, count, say):
    """Memory at rest, with `count` fresh connections, after a call on each, after they closed."""
    workload, figures = WORKLOADS["1x1"], {name: [] for name in plan.proxies}
    message = places.payload(100).read_bytes()
    with running.backend(workload, plan.terms, plan.load_cores) as backend:
        for number in range(plan.rounds):
            for name in plan.rotated(number):
                with plan.proxied(name, workload, backend) as proxy:
                    found = idle_round(proxy, workload, message, count)
                figures[name].append(found)
                say(f"idle round {number + 1} {name}: at rest {found['rest']['pss'] / 1e6:.1f} MB, "
                    f"per connection {found['fresh_each'] / 1000:.1f} kB fresh, "
                    f"{found['used_each'] / 1000:.1f} kB used")
    return {"connections": count, "rounds": figures}


def idle_round(proxy, workload, message, count):
    keys = ("rss", "pss")
    figures = {"rest": dict(zip(keys, settled_memory(proxy)))}
    connections = []
    for _ in range(count):
        connections.append(proxy.connect())
        connections[-1].settle()
    figures["fresh"] = dict(zip(keys, settled_memory(proxy)))
    for connection in connections:
        connection.call(workload.path, message, workload.size)
    figures["used"] = dict(zip(keys, settled_memory(proxy)))
    lost = sum(not connection.is_open() for connection in connections)
    if lost:
        raise places.BenchError(f"the proxy closed {lost} of {count} idle connections")
    for connection in connections:
        connection.close()
    figures["closed"] = dict(zip(keys, settled_memory(proxy)))
    rest = figures["rest"]["pss"]
    for state in ("fresh", "used"):
        figures[f"{state}_each"] = (figures[state]["pss"] - rest) / count
    return figures
