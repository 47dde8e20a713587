"""RESULTS.md, made from results.json: every workload as measured in one run, ratios to nghttpx."""

import statistics

from . import fairness
from .proxies import LOGGED

BASE = "nghttpx"

LEGEND = """# Weir and its peers on the same work

Written by `scripts/bench` from results.json; docs/measuring.md says how figures are made and read.
A ratio is to nghttpx within the same round, then the median over rounds; below 1 is less than
nghttpx's. Absolute values are medians over rounds, good only for the machine named. The range is
the smallest and the largest ratio of a round.

- CPU: time on a CPU of all the proxy's processes per call, user and kernel, at full speed.
- busy: cores in use on average, of the proxy, backend and load; "others" is everything else on the
  machine. A measurement in which others used more than 0.1 core is made again, at most three times;
  then the quietest counts. A proxy well below 1 was not what limited
  the rate; compare CPU then, not the rate.
- NAME+log: the same proxy with its access log on, into a file, and Weir with its metrics, too. "log
  adds" is its CPU to that of the same proxy without, within the same round, less 1.
- calls per CPU second: what one core does, of a workload whose rate the load's own starting limits.
- p50, p99: latency at the fixed rate, half of the slowest peer's full speed, from sending the
  request to the end of its answer, in microseconds. h2load sends what is due in bursts, up to
  10 ms apart: the figures are of those bursts, and compare proxies, not networks.
- Rss: resident memory of the process that carries traffic, after load; Pss: of all its processes,
  shared pages counted in proportion.
"""


def median(runs, key):
    return statistics.median(run[key] for run in runs)


def ratios(runs, base, key):
    """The ratios of each round, in the order of rounds."""
    return [run[key] / other[key] for run, other in zip(runs, base)]


def ratio(runs, base, key):
    return f"{statistics.median(ratios(runs, base, key)):.2f}" if base else "-"


def spread(runs, base, key):
    if not base:
        return "-"
    found = ratios(runs, base, key)
    return f"{min(found):.2f}-{max(found):.2f}"


def table(header, rows):
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def added(name, full):
    """What the log of a NAME+log adds to NAME's CPU, as the median over rounds."""
    plain = full.get(name.removesuffix(LOGGED))
    if plain is None or not name.endswith(LOGGED):
        return "-"
    return f"{(statistics.median(ratios(full[name], plain, 'cpu_us')) - 1) * 100:+.0f} %"


def busy(runs):
    keys = ("busy", "backend_busy", "load_busy", "others_busy")
    return " / ".join(f"{median(runs, key):.2f}" for key in keys)


def noise(section):
    """How quiet the machine was, over all measurements of a workload."""
    figures = section["figures"]
    runs = [run for phase in ("full", "fixed") for each in figures[phase].values() for run in each]
    loud = sum(run["others_busy"] > 0.1 for run in runs)
    again = sum(run["attempts"] - 1 for run in runs)
    warning = "**Provisional: the machine was not quiet, measure again.** " if loud else ""
    return (f"{warning}Of {len(runs)} measurements {loud} had others on the machine using more than 0.1 "
            f"core (at most {max(run['others_busy'] for run in runs):.2f}); {again} were thrown "
            f"away for that and made again.\n")


def load_section(section):
    full, fixed = section["figures"]["full"], section["figures"]["fixed"]
    base, fixed_base = full.get(BASE), fixed.get(BASE)
    costs, delays = [], []
    for name, runs in full.items():
        costs.append([name, ratio(runs, base, "cpu_us"), spread(runs, base, "cpu_us"),
                      f"{median(runs, 'cpu_us'):.2f}", added(name, full),
                      f"{1e6 / median(runs, 'cpu_us'):.0f}", ratio(runs, base, "rate"),
                      f"{median(runs, 'rate'):.0f}", busy(runs),
                      f"{median(runs, 'rss') / 1e6:.1f}", f"{median(runs, 'pss') / 1e6:.1f}"])
    for name, runs in fixed.items():
        delays.append([name, ratio(runs, fixed_base, "p50_us"), f"{median(runs, 'p50_us'):.0f}",
                       ratio(runs, fixed_base, "p99_us"), f"{median(runs, 'p99_us'):.0f}",
                       ratio(runs, fixed_base, "cpu_us"), f"{median(runs, 'cpu_us'):.2f}",
                       f"{median(runs, 'rate'):.0f}"])
    cost_header = ["proxy", "CPU ratio", "range", "CPU us", "log adds",
                   "calls per CPU second", "rate ratio", "calls/s",
                   "busy: proxy / backend / load / others", "Rss MB", "Pss MB"]
    delay_header = ["proxy", "p50 ratio", "p50 us", "p99 ratio", "p99 us", "CPU ratio", "CPU us",
                    "calls/s"]
    at_full_speed = f"{noise(section)}\nAt full speed:\n\n{table(cost_header, costs)}\n"
    if not fixed:
        return at_full_speed
    return (f"{at_full_speed}\nAt {section['figures']['rate']:.0f} calls/s:\n\n"
            f"{table(delay_header, delays)}\n")


def idle_section(section):
    rows = []
    for name, runs in section["figures"]["rounds"].items():
        states = [f"{statistics.median(run[state]['pss'] for run in runs) / 1e6:.1f}"
                  for state in ("rest", "fresh", "used", "closed")]
        rows.append([name, f"{median(runs, 'fresh_each') / 1000:.1f}",
                     f"{median(runs, 'used_each') / 1000:.1f}", *states])
    header = ["proxy", "kB per fresh connection", "kB after a call on each", "at rest, Pss MB",
              "all fresh", "all used", "all closed"]
    return table(header, rows) + "\n"


def fairness_section(section):
    return table(fairness.HEADER, fairness.rows(section)) + "\n"


def conditions(section):
    """The lines that say how and where a section was measured."""
    versions = "".join(f"\n  - {name}: {text}" for name, text in section["versions"].items())
    return (f"- command: `{section['command']}`; {section['rounds']} rounds, {section['seconds']:g} s "
            f"each\n- cores: {section['cores']}\n- when: {section['date']}, source {section['commit']}\n"
            f"- machine: {section['machine']}\n- versions:{versions}\n")


def render(results):
    """The text of RESULTS.md; `results` maps workload names to sections."""
    parts = [LEGEND]
    for name, section in results.items():
        special = {"idle": idle_section, "fairness": fairness_section}
        body = special.get(name.split(" ")[0], load_section)(section)
        parts.append(f"## {name}: {section['title']}\n\n{body}")
    parts.append("## Conditions\n")
    groups = {}
    for name, section in results.items():
        groups.setdefault(conditions(section), []).append(name)
    parts += [f"{', '.join(names)}\n\n{text}" for text, names in groups.items()]
    return "\n".join(parts)
