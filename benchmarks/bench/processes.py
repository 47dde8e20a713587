"""Reading what processes cost, from /proc."""

import os
import pathlib
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")


def tree(root):
    """The process ids of `root` and its descendants."""
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def cpu_time(pids):
    """Nanoseconds on a CPU, user and kernel, of all threads of these processes.

    schedstat counts in nanoseconds what /proc/PID/stat counts in ticks of 10 ms."""
    total = 0
    for pid in pids:
        for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
            total += int(path.read_text().split()[0])
    return total


def memory(pids):
    """(resident bytes of the busiest process, proportional set size of all of them)."""
    busiest = max(pids, key=lambda pid: cpu_time([pid]))
    resident, proportional = 0, 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                proportional += int(line.split()[1]) * 1024
            if line.startswith("Rss:") and pid == busiest:
                resident = int(line.split()[1]) * 1024
    return resident, proportional


def machine_time():
    """Nanoseconds that all cores together were not idle, stolen time included."""
    fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().split()[1:9]]
    user, nice, system, _, _, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) * 1_000_000_000 // TICKS


def start(command, log, cores=None):
    """Starts a process in a group of its own, its output into the file `log`.

    `cores` is a list for taskset ("0", "0-1"), or None for any."""
    pinned = ["taskset", "-c", cores, *command] if cores else command
    with open(log, "ab") as output:
        return subprocess.Popen(pinned, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                start_new_session=True)


def stop(process, patience=5.0):
    """Ends a process and its descendants: politely, then not."""
    pids = tree(process.pid)
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    deadline = time.monotonic() + patience
    while any(os.path.exists(f"/proc/{pid}") for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.01)
    for pid in pids:
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            pass
