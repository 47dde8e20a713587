"""Runs the proxy as its users do: `weir run --config FILE --workers N`."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import threading

import yaml

import waiting

ROOT = pathlib.Path(__file__).resolve().parents[2]


def binary():
    """The program under test: $WEIR_BIN, or the release build."""
    path = pathlib.Path(os.environ.get("WEIR_BIN") or ROOT / ".build/release/weir")
    if not path.exists():
        raise FileNotFoundError(f"{path}: build it with `swift build -c release`, or set WEIR_BIN")
    return path


def free_port():
    """A TCP port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def accepts(port):
    """Whether something listens on this port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def configuration(port, origins, listener=None, upstream=None, route=None, **sections):
    """One listener, one route, one upstream; each takes more keys, and there may be more sections.

    `origins` are ports on loopback or addresses.
    """
    addresses = [o if isinstance(o, str) else f"127.0.0.1:{o}" for o in origins]
    return {
        "listeners": [{"name": "edge", "address": f"127.0.0.1:{port}", **(listener or {})}],
        "upstreams": [{"name": "origin", "endpoints": addresses, **(upstream or {})}],
        "routes": [{"name": "all", "backends": [{"upstream": "origin"}], **(route or {})}],
        "access": {"default": "allow"},
        **sections,
    }


class Weir:
    """A running proxy."""

    def __init__(self, folder, config, workers=1):
        self.port = int(config["listeners"][0]["address"].rsplit(":", 1)[1])
        self.config_path = folder / "weir.yaml"
        self.config_path.write_text(yaml.safe_dump(config, sort_keys=False))
        self._lines = []
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            [binary(), "run", "--config", self.config_path, "--workers", str(workers)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        waiting.until(self._accepts, lambda: f"port {self.port} to accept\n{self.log}", 10)

    @property
    def pid(self):
        return self._process.pid

    @property
    def log(self):
        with self._changed:
            return "".join(self._lines)

    def limit_lines(self, name):
        """The log's lines about a limit that tripped."""
        pattern = re.compile(rf"\blimit={re.escape(name)}(?![\w.])")
        return [line for line in self.log.splitlines() if pattern.search(line)]

    def wait_for_limit(self, name, timeout=5.0):
        """Waits until the log says that this limit tripped; the line."""
        return waiting.until(
            lambda: self.limit_lines(name),
            lambda: f"limit={name} in the log; it has\n{self.log}", timeout,
        )[0]

    def wait_for_log(self, words, timeout=5.0):
        """Waits until the log has these words: it is written after what they are about."""
        waiting.until(lambda: words in self.log, lambda: f"{words!r} in the log; it has\n{self.log}",
                      timeout)

    def resident_bytes(self):
        """Resident memory of the process."""
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) << 10
        raise ProcessLookupError(f"weir ended with {self._process.poll()}\n{self.log}")

    def is_running(self):
        return self._process.poll() is None

    def signal(self, number):
        self._process.send_signal(number)

    def wait(self, timeout):
        """The exit status; negative is the signal that ended it."""
        return self._process.wait(timeout)

    def stop(self):
        """Ends it, now; fails if it had crashed before."""
        status = self._process.poll()
        if status is None:
            for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
                self._process.send_signal(number)
                try:
                    self._process.wait(1)
                    break
                except subprocess.TimeoutExpired:
                    continue
        self._reader.join(2)
        crashed = status is not None and status < 0
        assert not crashed, f"weir was ended by signal {-status}\n{self.log}"

    def _read_log(self):
        for line in self._process.stdout:
            with self._changed:
                self._lines.append(line.decode(errors="replace"))
                self._changed.notify_all()

    def _accepts(self):
        if self._process.poll() is not None:
            self._reader.join(2)
            raise RuntimeError(f"weir ended with {self._process.returncode}\n{self.log}")
        return accepts(self.port)
