"""Whether the soak held, and what there is to say of it."""

import collections

from . import watching

# Reasons for making no other attempt (docs/retries.md).
EXCUSES = {"committed", "body_over_buffer", "budget", "attempts", "deadline"}
STATUSES = {"CANCELLED": 1, "DEADLINE_EXCEEDED": 4, "RESOURCE_EXHAUSTED": 8, "UNAVAILABLE": 14,
            "INTERNAL": 13, "UNKNOWN": 2, "UNAUTHENTICATED": 16}
ENDS = ("ok", "failed", "cancelled", "left", "again", "wrong", "hung")
GROWTH = 0.05
MIB = 1 << 20


class Judgement:
    def __init__(self):
        self.faults = []

    def must(self, holds, words):
        if not holds:
            self.faults.append(words)

    def nothing(self, found, what):
        """There must be none; the first few are told."""
        found = list(found)
        self.must(not found, f"{len(found)} {what}:\n    " + "\n    ".join(map(str, found[:5])))


def failures(load, ledger):
    """Failed calls by why nothing was tried again, and those that are not excused."""
    excused, unexcused, unknown = collections.Counter(), [], []
    for number, (kind, code) in load.failed.items():
        record = ledger.calls.get(number)
        if record is None:
            unknown.append(f"{number}: {kind} {code}")
            continue
        reason = record.get("not_retried")
        agrees = kind != "status" or STATUSES.get(record.get("grpc_status")) == int(code)
        if reason in EXCUSES and kind != "lost" and agrees:
            excused[reason] += 1
        else:
            unexcused.append(f"{number}: {kind} {code}: {record}")
    return excused, unexcused, unknown


def judge(world):
    """Prints what was seen; the faults."""
    judgement, load, watch, ledger = Judgement(), world.load, world.watch, world.ledger
    totals = load.totals
    excused, unexcused, unknown = failures(load, ledger)
    judgement.nothing(load.wrong, "answers were wrong or never came")
    judgement.nothing(unexcused, "failed calls are not excused by the access log")
    judgement.must(len(unknown) <= world.dropped, f"{len(unknown)} failed calls are not in the "
                   f"access log, which dropped {world.dropped} lines: {unknown[:5]}")
    judgement.nothing(ledger.torn, "lines of the access log are not whole")
    judgement.nothing(world.proxy.unexpected, "lines of the log are not expected")
    judgement.nothing(watch.unready, "times /ready did not answer")
    for row in world.rows:
        judgement.nothing(row.broken, f"events of {type(row).__name__} ended otherwise than they should")
    judgement.must(world.status == 0, f"weir ended with {world.status}")
    judgement.must(world.active == 0, f"{world.active} requests are still active")
    ends = sum(totals[name] for name in ENDS)
    judgement.must(ends == totals["calls"] > 0, f"of {totals['calls']} calls {ends} have an end")
    judgement.must(load.refusals == 0 or world.counts["descriptors gone"] > 0,
                   f"{load.refusals} connections were refused")
    before, after = world.descriptors
    judgement.must(after <= before, f"{before} descriptors at the start, {after} at the end")
    grown = watching.growth(watch.spans)
    if grown and not world.is_sanitized:
        judgement.must(grown[1] <= grown[0] * (1 + GROWTH),
                       f"memory grew from {grown[0] / MIB:.1f} to {grown[1] / MIB:.1f} MiB")
    tell(world, excused, len(unknown), grown)
    return judgement.faults


def tell(world, excused, unknown, grown):
    totals, counts, said = world.load.totals, world.counts, world.proxy.said
    seconds = world.seconds
    print(f"{seconds / 60:.1f} minutes, {totals['calls']:,} calls ({totals['calls'] / seconds:,.0f} a "
          f"second), seed {world.seed}")
    print(f"  checked      {totals['bytes'] / 1e9:.2f} GB of answers, "
          f"{len(world.load.wrong)} wrong or missing; p50 {totals['p50_us']} us, "
          f"p99 {totals['p99_us']} us, slowest {totals['slowest_us'] / 1e6:.2f} s")
    print(f"  ended        {totals['ok']:,} well, {totals['cancelled']:,} cancelled, "
          f"{totals['left']:,} left, {totals['again']:,} never begun (GOAWAY, REFUSED_STREAM), "
          f"{totals['failed']:,} failed")
    print("  failed       " + listed(excused) + (f", {unknown} not in the log" if unknown else ""))
    print(f"  retried      {listed(world.retries)}")
    print(f"  connections  {totals['connects']:,}, {world.load.refusals} refused")
    print("  chaos        " + listed(counts))
    spans = world.watch.spans
    print(f"  memory       peak {world.watch.peak / MIB:.1f} MiB, in calm "
          + " ".join(f"{memory / MIB:.1f}" for memory, _ in spans))
    if grown:
        print(f"               first {grown[0] / MIB:.1f} MiB, last {grown[1] / MIB:.1f} MiB "
              f"({(grown[1] / grown[0] - 1) * 100:+.1f} %)"
              + (", not judged under a sanitizer" if world.is_sanitized else ""))
    print("  descriptors  {} at the start, {} at the end; in calm ".format(*world.descriptors)
          + " ".join(f"{count:.0f}" for _, count in spans))
    print("  log          " + listed(said))
    print(f"  access log   {world.ledger.lines:,} lines read, {world.dropped} dropped")


def listed(counter):
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counter.items())) or "none"
