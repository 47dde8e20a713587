"""Weir's servers and its clients: processes, that may be killed."""

import collections
import signal
import subprocess
import threading

import waiting

from . import places


class Process:
    """A program that runs."""

    def signal(self, number):
        self._process.send_signal(number)

    def kill(self):
        self._process.kill()
        self._process.wait(10)
        self._process.stdout.close()

    def has_died(self):
        return self._process.poll() is not None


class Server(Process):
    """`serve` on a port of its own; it can be killed, stopped and started again."""

    def __init__(self, port, seed, *files):
        self.port = port
        self._command = [places.build("serve"), str(port), str(seed), *map(str, files)]
        self.start()

    def start(self):
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE)
        assert self._process.stdout.readline() == b"ready\n"


class Load(Process):
    """`load`, and what it says of its calls."""

    def __init__(self, mesh, connections, streams, rate, seed):
        self.totals = collections.Counter()
        self.failed, self.wrong, self.refusals, self.turns = {}, [], 0, 0
        self._process = subprocess.Popen(
            [places.build("load"), str(mesh.clear), str(mesh.sealed), mesh.pem("client"),
             mesh.bundle, str(connections), str(streams), str(rate), str(seed)],
            stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            kind, *words = line.split()
            if kind in ("second", "total"):
                pairs = (word.split("=") for word in words)
                self.totals = collections.Counter({key: int(value) for key, value in pairs})
            elif kind == "failed":
                call, *how = (word.split("=")[1] for word in words)
                self.failed[call] = tuple(how)
            elif kind in ("wrong", "hung"):
                self.wrong.append(line.strip())
            elif kind == "turned":
                self.turns += 1
            elif kind == "refused":
                self.refusals += 1

    def until_more(self, count, timeout=20):
        goal = self.totals["ok"] + count
        waiting.until(lambda: self.totals["ok"] >= goal,
                      lambda: f"{count} more answers: {self.totals}", timeout, 0.05)

    def turn_over(self):
        """Returns when its connections in TLS are all new ones."""
        goal = self.turns + 1
        self.signal(signal.SIGUSR1)
        waiting.until(lambda: self.turns >= goal, "new connections of the client", 20, 0.05)

    def stop(self):
        """Lets the calls that are open end; fails where the client has crashed."""
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(60)
        self._reader.join(10)
        if status != 0:
            self.wrong.append(f"the client ended with {status}")
