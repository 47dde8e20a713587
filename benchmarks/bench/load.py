"""h2load: the load, and what it says of rate and latency."""

import dataclasses
import math
import os
import re
import resource
import subprocess
import time

from . import certificates, places, tokens

# One cipher suite and one group for everybody: what a proxy prefers is not what is compared.
TLS = ["--tls13-ciphers=TLS_AES_128_GCM_SHA256", "--groups=X25519"]


@dataclasses.dataclass(frozen=True)
class LoadResult:
    """Calls answered, seconds from first to last, calls per second, h2load's own CPU time in ns."""

    calls: int
    seconds: float
    rate: float
    cpu_time: int


def command(workload, port, terms, extra):
    tls = TLS if terms.is_encrypted else []
    return [places.program("h2load"), "-c", str(workload.connections),
            "-m", str(workload.streams),
            "--data", str(places.payload(workload.size)),
            "-H", "content-type: application/grpc", "-H", "te: trailers",
            *(f"-H{name}: {value}" for name, value in (tokens.fields() if terms.guarded else [])),
            *tls, *extra, f"{terms.scheme}://127.0.0.1:{port}{workload.path}"]


def run(workload, port, terms, extra, cores=None):
    """Runs h2load to its end. Raises BenchError if any call failed."""
    arguments = command(workload, port, terms, extra)
    pinned = ["taskset", "-c", cores, *arguments] if cores else arguments
    environment = {**os.environ, **(certificates.preloaded() if "mutual" in terms.flags else {})}
    before = children_time()
    done = subprocess.run(
        pinned, capture_output=True, text=True, check=False, env=environment)
    cpu_time = children_time() - before
    finished = re.search(r"finished in ([\d.]+)(ms|us|s), ([\d.]+) req/s", done.stdout)
    counts = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", done.stdout)
    codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", done.stdout)
    if done.returncode != 0 or not (finished and counts and codes):
        raise places.BenchError(f"{' '.join(arguments)}\n{done.stdout}{done.stderr}")
    succeeded, *failures = [int(count) for count in counts.groups()]
    # A timed run ends with calls still open, which h2load sees answered but does not count.
    if any(failures) or any(int(count) for count in codes.groups()[1:]):
        raise places.BenchError(f"calls failed: {' '.join(arguments)}\n{done.stdout}")
    seconds = float(finished[1]) / {"s": 1, "ms": 1e3, "us": 1e6}[finished[2]]
    return LoadResult(succeeded, seconds, float(finished[3]), cpu_time)


def children_time():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round((usage.ru_utime + usage.ru_stime) * 1e9)


def warm_up(workload, port, seconds, terms, cores=None):
    """Runs the load for a time; returns calls per second."""
    if workload.churns:
        return churn(workload, port, workload.connections * 2, terms, cores).rate
    duration = ["--duration", f"{round(seconds * 1000)}ms"]
    return run(workload, port, terms, duration, cores).rate


def saturate(workload, port, calls, terms, cores=None):
    """Runs that many calls as fast as they are answered."""
    if workload.churns:
        return churn(workload, port, calls, terms, cores)
    return run(workload, port, terms, ["-n", str(calls)], cores)


def churn(workload, port, calls, terms, cores):
    """Connections that make one call each: h2load again and again, one call on each of its own.

    The rate is that of the whole, with h2load's starting in it."""
    begin, results = now(), []
    for _ in range(math.ceil(calls / workload.connections)):
        results.append(
            run(workload, port, terms, ["-n", str(workload.connections)], cores))
    made, seconds = sum(result.calls for result in results), (now() - begin) / 1e9
    return LoadResult(made, seconds, made / seconds, sum(result.cpu_time for result in results))


def at_rate(workload, port, rate, seconds, terms, cores=None):
    """Runs calls at a rate for a time; returns (LoadResult, latencies in microseconds).

    h2load's --rps is per connection. The first half second's calls are not counted."""
    log = places.BUILD / "latencies"
    log.unlink(missing_ok=True)
    per_connection = rate / workload.connections
    paced = ["--rps", f"{per_connection:.3f}", "--log-file", str(log),
             "-n", str(max(workload.connections, math.ceil(rate * seconds)))]
    result = run(workload, port, terms, paced, cores)
    rows = [line.split("\t") for line in log.read_text().splitlines()]
    begin = min(int(row[0]) for row in rows) + 500_000
    # Of a few slow calls all may have begun by then.
    counted = [row for row in rows if int(row[0]) >= begin] or rows
    return result, sorted(int(row[2]) for row in counted)


def percentile(ordered, share):
    """The smallest value that at least `share` (0 to 1) of the values do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def now():
    return time.monotonic_ns()
