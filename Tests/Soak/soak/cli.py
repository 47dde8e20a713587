"""`scripts/soak`; see docs/soak.md."""

import argparse
import sys

from .judgement import judge
from .places import SoakError
from .world import world


def arguments(words):
    parser = argparse.ArgumentParser(
        prog="scripts/soak", description="Checked load on a Weir around which everything goes wrong.")
    parser.add_argument("--minutes", type=float, default=30, help="how long at least (30)")
    parser.add_argument("--calls", type=int, default=10_000_000, help="how many at least (10 million)")
    parser.add_argument("--rate", type=int, help="calls a second (8000; 500 under a sanitizer)")
    parser.add_argument("--seed", type=int, default=1, help="what all events are drawn from")
    parser.add_argument("--sanitize", choices=["thread", "address"], help="how Weir was built")
    parser.add_argument("--keep", metavar="FOLDER", help="a new folder for logs and configuration")
    parser.add_argument("--only", nargs="*", choices=["servers", "changes", "attacks"],
                        help="these rows of events; none: the load alone")
    parser.add_argument("--short", action="store_true", help="one round of a few seconds")
    terms = parser.parse_args(words)
    terms.connections, terms.streams = 16, 10
    terms.chaos_seconds, terms.calm_seconds = (48, 9)
    terms.rate = terms.rate or (500 if terms.sanitize else 8000)
    if terms.short:
        terms.rate, terms.chaos_seconds, terms.calm_seconds = 1000, 4, 1
    return terms


def is_over(world, seconds):
    """After at least so many minutes and calls, or where it cannot go on."""
    terms = world.terms
    if world.load.has_died() or not world.proxy.is_running():
        return True
    if terms.short:
        return seconds > 1 and bool(world.watch.spans)
    tell_round(world, seconds)
    return seconds >= terms.minutes * 60 and world.load.totals["calls"] >= terms.calls


def tell_round(world, seconds):
    totals = world.load.totals
    memory, descriptors = world.watch.spans[-1] if world.watch.spans else (0, 0)
    broken = sum(len(row.broken) for row in world.rows)
    print(f"{seconds / 60:5.1f} min  {totals['calls']:>11,} calls  {totals['failed']} failed  "
          f"{len(world.load.wrong)} wrong  {broken} events broken  "
          f"{len(world.proxy.unexpected)} lines unexpected  {memory / (1 << 20):.1f} MiB  "
          f"{descriptors:.0f} descriptors", flush=True)


def main(words):
    terms = arguments(words)
    try:
        with world(terms) as made:
            made.run(is_over)
            made.end()
            faults = judge(made)
    except (SoakError, FileNotFoundError) as error:
        print(f"scripts/soak: {error}", file=sys.stderr)
        return 2
    for fault in faults:
        print(f"BROKEN: {fault}")
    print("broken" if faults else "held")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
