"""The proxy that is soaked, what its log may say, and what its access log says of calls that failed."""

import collections
import contextlib
import json
import os
import re
import signal

import waiting
from telemetry import Told

from . import places

# Of warnings and errors: what the chaos makes Weir say. Anything else breaks the soak.
EXPECTED = {
    "limits": r"limit=", "servers not connected": r"connect failed upstream=",
    "servers that left": r"goaway code=", "clients of HTTP/1": r"a client speaks HTTP/1",
    "without descriptors": r"out of descriptors", "access log": r"access log \S*access\.log",
    "records dropped": r"access log records dropped", "lines dropped": r"log lines dropped",
    "reloads refused": r"reload refused", "refused for": r"weir\.yaml:\d+:\d+: (error|warning)\[",
    "refused for a file": r"weir\.yaml: (error|warning)\[",
}
LEVEL = re.compile(r"\S+ (debug|info|notice|warning|error) weir: ")


@contextlib.contextmanager
def environment(sanitizer):
    """What a process that is started in the block is told beside."""
    terms = {}
    if sanitizer == "thread":
        terms["LD_PRELOAD"] = str(places.mutex_order())
    if sanitizer == "address":
        leaks = places.SOURCES / "leaks.txt"
        terms["LSAN_OPTIONS"] = f"suppressions={leaks}:print_suppressions=0"
    os.environ.update(terms)
    try:
        yield
    finally:
        for name in terms:
            del os.environ[name]


class Soaked(Told):
    """Its log is judged as it comes: only the end of it is kept in memory, all of it in a file."""

    def __init__(self, mesh, workers, log_path, sanitizer):
        self.said = collections.Counter()
        self.unexpected = []
        self._log_path = log_path
        with environment(sanitizer):
            super().__init__(mesh.config_path, mesh.clear, mesh.metrics_port, mesh.admin,
                             workers=workers, log_level="notice")
        waiting.until(self.is_ready, "the metrics' port to answer", 20)

    def _read_log(self):
        self._lines = collections.deque(maxlen=500)
        with open(self._log_path, "w") as file:
            for line in self._process.stdout:
                text = line.decode(errors="replace")
                file.write(text)
                file.flush()
                with self._changed:
                    self._lines.append(text)
                self._take(text)

    def _take(self, line):
        self.said["lines"] += 1
        level = LEVEL.match(line)
        if level and level[1] in ("debug", "info", "notice"):
            self.said["reloaded"] += " reloaded revision=" in line
            return
        name = level and next(
            (name for name, words in EXPECTED.items() if re.search(words, line)), None)
        if name is None:
            self.unexpected.append(line.rstrip())
        else:
            self.said[name] += 1

    def until_said(self, name, before, timeout=20):
        waiting.until(lambda: self.said[name] > before,
                      lambda: f"the log to say more of {name!r}; its end is\n{self.log[-3000:]}", timeout)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


class Ledger:
    """What the access log says of calls that did not go well, by their numbers."""

    def __init__(self, path, keep=None):
        self._path, self._keep = path, keep
        self.lines, self.torn, self.calls = 0, [], {}

    def rotate(self, proxy):
        """As logrotate does it; what the file had is read, and the file is gone."""
        old = self._path.with_suffix(".old")
        self._path.rename(old)
        proxy.signal(signal.SIGUSR1)
        waiting.until(self._path.exists, "the access log to be opened again", 10)
        waiting.until_quiet(lambda: old.stat().st_size)
        self.take(old)

    def take(self, path):
        """Reads a whole file, and removes it."""
        with open(path, "rb") as file:
            for line in file:
                self._note(line)
        path.unlink()

    def _note(self, line):
        self.lines += 1
        try:
            record = json.loads(line)
        except ValueError:
            self.torn.append(line[:200])
            return
        if self._keep:
            self._keep.write(line)
        number = record.get("request_id", "")
        if len(number) == 16 and record["ended_by"] != "client":
            self.calls[number] = record
