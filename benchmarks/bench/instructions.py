"""Instructions per call of a proxy, by library, counted by valgrind's callgrind.

Two runs that differ only in the number of calls are subtracted, so that starting, configuring and
connecting do not count."""

import collections
import pathlib
import re
import tempfile

from . import load, places, running


COST_LINE = tuple("0123456789+-*")


def by_object(path):
    """{object file: instructions} from one callgrind output file.

    Cost lines count toward the latest `ob=`; the line after `calls=` is the callee's cost, which
    its own lines hold already. Names are written once, `(1) name`, then referred to as `(1)`."""
    names, costs = {}, collections.Counter()
    current, skip = "", False
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith("ob="):
            number, name = re.fullmatch(r"ob=\((\d+)\)(?: (.*))?", line).groups()
            current = names.setdefault(number, name or "unknown")
        elif line.startswith("cob="):
            number, name = re.fullmatch(r"cob=\((\d+)\)(?: (.*))?", line).groups()
            names.setdefault(number, name or "unknown")
        elif line.startswith("calls="):
            skip = True
        elif line.startswith(COST_LINE):
            if not skip:
                # A cost that is left out is zero.
                costs[pathlib.Path(current).name] += int((line.split() + ["0"])[1])
            skip = False
    return costs


def counted(proxy, binary, workload, calls, terms):
    """{object file: instructions} of a whole run that answers this many calls."""
    total = collections.Counter()
    places.BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="callgrind-", dir=places.BUILD) as directory:
        prefix = [places.program("valgrind"), "--tool=callgrind", "--trace-children=yes",
                  f"--callgrind-out-file={directory}/out.%p"]
        with running.backend(workload, terms) as backend:
            with running.proxied(proxy, binary, workload, backend.port, terms=terms,
                                 prefix=prefix) as started:
                load.saturate(workload, started.port, calls, terms)
        for path in pathlib.Path(directory).glob("out.*"):
            total.update(by_object(path))
    if not total:
        raise places.BenchError(f"callgrind wrote nothing for {proxy.name}")
    return total


def per_call(proxy, binary, workload, calls, terms):
    """[(object file, instructions per call)], most first; negligible ones left out."""
    few = max(workload.connections * workload.streams, calls // 4)
    small = counted(proxy, binary, workload, few, terms)
    large = counted(proxy, binary, workload, few + calls, terms)
    found = [(name, (large[name] - small[name]) / calls) for name in large]
    return sorted((entry for entry in found if entry[1] >= 1), key=lambda entry: -entry[1])
