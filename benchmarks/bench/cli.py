"""The command line of scripts/bench."""

import argparse
import datetime
import json
import os
import resource
import shlex
import signal
import sys

from . import fairness, instructions, machine, measure, places, report
from .proxies import LOGGED, PROXIES
from .terms import SUFFIXES, Terms
from .workloads import WORKLOADS

IDLE_CONNECTIONS = 4000
# Measurements of another kind than a workload's rate and latency.
OTHERS = ["fairness", "idle"]


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures Weir (if built) and its peers on the same work. A run of all proxies "
                    "writes its workloads' tables into benchmarks/RESULTS.md; others only print.")
    names = ",".join(PROXIES)
    parser.add_argument("--only", metavar="NAMES", help=f"these proxies, of {names}")
    parser.add_argument("--skip", metavar="NAMES", help="all but these proxies")
    parser.add_argument("--workloads", metavar="NAMES", default=",".join([*WORKLOADS, *OTHERS]),
                        help="these workloads (default: %(default)s)")
    parser.add_argument("--rounds", type=int, help="paired rounds (default 5; idle 3)")
    parser.add_argument("--seconds", type=float, help="seconds per measurement (default 3)")
    parser.add_argument("--quick", action="store_true", help="1 round of 1 s, however loud the machine; never written")
    parser.add_argument("--routes", type=int, default=1, help="routes in Weir's configuration")
    parser.add_argument("--log", action="store_true",
                        help="each proxy again with its access log on, Weir with its metrics, too")
    parser.add_argument("--tls", choices=("off", "downstream", "both"), default="off",
                        help="TLS from clients to the proxy, or to the backend as well")
    parser.add_argument("--mtls", action="store_true",
                        help="with --tls: whoever connects shows a certificate")
    parser.add_argument("--guarded", action="store_true",
                        help="each call carries a token; Weir has 10,000 access rules that ask for "
                             "it, Envoy jwt_authn and 100 rbac policies; others have neither")
    parser.add_argument("--resilient", action="store_true",
                        help="Weir and Envoy have retries, ejection and circuit breakers "
                             "configured; the load meets none of them")
    parser.add_argument("--binary", action="append", default=[], metavar="NAME=PATH",
                        help="the program to run for a proxy")
    parser.add_argument("--pin", action=argparse.BooleanOptionalAction, default=True,
                        help="the proxy on the first core, load and backend on the others")
    parser.add_argument("--write", action="store_true", help="write even if proxies are left out")
    parser.add_argument("--render", action="store_true", help="rewrite RESULTS.md, measure nothing")
    parser.add_argument("--instructions", action="store_true",
                        help="count instructions per call under callgrind instead")
    parser.add_argument("--calls", type=int, default=2000, help="calls to count instructions over")
    return parser.parse_args(arguments)


def chosen(text, known, what):
    names = [name for name in (text or "").split(",") if name]
    for name in names:
        if name not in known:
            raise places.BenchError(f"unknown {what} '{name}'; expected one of {', '.join(known)}")
    return names


def located(options):
    """{name: (proxy, program)}. Weir is left out unless it is built or asked for by name."""
    only = chosen(options.only, PROXIES, "proxy")
    skip = chosen(options.skip, PROXIES, "proxy")
    given = dict(entry.partition("=")[::2] for entry in options.binary)
    chosen(",".join(given), PROXIES, "proxy")
    found = {}
    for name, proxy in PROXIES.items():
        if name in skip or (only and name not in only):
            continue
        try:
            found[name] = (proxy, given.get(name) or proxy.locate())
        except places.BenchError:
            if name != "weir" or name in only:
                raise
            print("weir is not built: its peers only", file=sys.stderr)
    if options.log:
        found = {name: pair for key, (proxy, binary) in found.items()
                 for name, pair in ((key, (proxy, binary)),
                                    (key + LOGGED, (proxy.with_log(), binary)))}
    if not found:
        raise places.BenchError("no proxy is left to measure")
    return found


def core_plan(pin):
    """(proxy's cores, the load's cores): a taskset list each, or None for any."""
    cores = sorted(os.sched_getaffinity(0))
    if not pin or len(cores) < 2:
        return None, None
    return str(cores[0]), ",".join(str(core) for core in cores[1:])


def section(plan, name, arguments, figures):
    others = {"idle": f"memory of {IDLE_CONNECTIONS} idle connections",
              "fairness": fairness.IN_WORDS}
    title = (others.get(name) or WORKLOADS[name].in_words) + plan.terms.in_words
    pinned = f"proxy on {plan.proxy_cores}, backend and load on {plan.load_cores}"
    return {
        "title": title, "figures": figures, "rounds": plan.rounds, "seconds": plan.seconds,
        "command": shlex.join(["scripts/bench", *arguments]),
        "cores": pinned if plan.proxy_cores else "not pinned",
        "date": datetime.date.today().isoformat(), "commit": machine.commit(),
        "machine": machine.description(), "versions": machine.versions(plan),
    }


def measured(options, arguments, plan, name):
    say = lambda line: print(line, file=sys.stderr, flush=True)
    if name == "idle":
        plan.rounds = options.rounds or (1 if options.quick else 3)
        figures = measure.idle_figures(plan, IDLE_CONNECTIONS, say)
        return section(plan, name, arguments, figures)
    plan.rounds = options.rounds or (1 if options.quick else 5)
    if name == "fairness":
        figures = fairness.fairness_figures(plan, say)
    else:
        figures = measure.workload_figures(plan, WORKLOADS[name], say)
    return section(plan, name, arguments, figures)


def stored():
    if not places.RAW_RESULTS.exists():
        return {}
    return json.loads(places.RAW_RESULTS.read_text())


def write(results):
    names = [name + suffix for suffix in SUFFIXES for name in [*WORKLOADS, *OTHERS]]
    ordered = {name: results[name] for name in names if name in results}
    places.RAW_RESULTS.write_text(json.dumps(ordered, indent=1) + "\n")
    places.RESULTS.write_text(report.render(ordered))


def terms_of(options):
    if options.mtls and options.tls == "off":
        raise places.BenchError("--mtls needs --tls downstream or --tls both")
    return Terms(options.tls, options.mtls, options.routes, options.guarded, options.resilient)


def bench(options, arguments, proxies, names):
    proxy_cores, load_cores = core_plan(options.pin)
    seconds = options.seconds or (1.0 if options.quick else 3.0)
    plan = measure.Plan(
        proxies, 0, seconds, terms_of(options), proxy_cores, load_cores,
        attempts=1 if options.quick else 4)
    whole = not (options.only or options.skip or options.binary or options.quick)
    results = {}
    for name in names:
        key = name + plan.terms.suffix
        results[key] = measured(options, arguments, plan, name)
        if whole or options.write:
            write(stored() | {key: results[key]})
    print(report.render(results))


def count_instructions(options, proxies, names):
    for workload in (WORKLOADS[name] for name in names if name not in OTHERS):
        for name, (proxy, binary) in proxies.items():
            found = instructions.per_call(proxy, binary, workload, options.calls,
                                          terms_of(options))
            rows = [[place, f"{count:.0f}"] for place, count in found]
            total = sum(count for _, count in found)
            print(f"{name}, {workload.name}: {total:.0f} instructions per call\n\n"
                  f"{report.table(['object', 'instructions'], rows)}\n", flush=True)


def ended(signal_number, _):
    # `timeout` signals twice, and the second must not cut the cleaning up short.
    signal.signal(signal_number, signal.SIG_IGN)
    raise SystemExit(128 + signal_number)


def main(arguments):
    """Runs the program; returns its exit status."""
    # Ended by a signal, the processes started must end too, so it unwinds as an exception.
    signal.signal(signal.SIGTERM, ended)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    options = parse(arguments)
    try:
        if options.render:
            write(stored())
            return 0
        proxies = located(options)
        names = chosen(options.workloads, [*WORKLOADS, *OTHERS], "workload")
        if options.instructions:
            count_instructions(options, proxies, names)
        else:
            bench(options, arguments, proxies, names)
    except places.BenchError as error:
        print(f"scripts/bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
