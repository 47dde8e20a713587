"""Proxies whose configuration changes while they serve, and clients that check every answer."""

import os
import pathlib
import re
import subprocess
import threading

import pytest
import yaml

import frames
import waiting
import weir as program

LONG = os.environ.get("WEIR_LONG") == "1"


class Served(program.Weir):
    """`weir run` on a path of the test's own making; `port` is one it will accept on."""

    def __init__(self, path, port, workers=1, log_level="debug"):
        self.port = port
        self.config_path = pathlib.Path(path)
        self._lines = []
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            self.command(path, workers, log_level),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        waiting.until(self._accepts, lambda: f"port {port} to accept\n{self.log}", 20)

    def command(self, path, workers, log_level):
        return [program.binary(), "run", "--config", path, "--workers", str(workers),
                "--log-level", log_level]

    def lines(self, pattern):
        """The log's lines in which the pattern is found."""
        return [line for line in self.log.splitlines() if re.search(pattern, line)]

    def wait_for_line(self, pattern, count=1, timeout=10.0):
        """Waits until so many lines match; the last of them."""
        return waiting.until(
            lambda: len(found := self.lines(pattern)) >= count and found,
            lambda: f"{count} lines like {pattern}; the log is\n{self.log}", timeout)[-1]

    def peak_bytes(self):
        """The most memory that was ever resident."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) << 10


@pytest.fixture
def serve(request, tmp_path):
    """Starts proxies: `serve(config)` in a file of its own, or `serve(path=…, port=…)`.

    A configuration that is text comes with its port.
    """
    request.node.proxies = getattr(request.node, "proxies", [])
    started = []

    def start(config=None, path=None, port=None, **terms):
        if config is not None:
            folder = tmp_path / f"served-{len(started)}"
            folder.mkdir()
            path = folder / "weir.yaml"
            write(path, config)
            if port is None:
                port = int(config["listeners"][0]["address"].rsplit(":", 1)[1])
        started.append(Served(path, port, **terms))
        request.node.proxies.append(started[-1])
        return started[-1]

    yield start
    for proxy in started:
        proxy.stop()


class _Plain(yaml.SafeDumper):
    """Without anchors, which a configuration may not have."""

    def ignore_aliases(self, data):
        return True


def pause(seconds):
    """Lets time pass where it is the time that is tested, or where nothing is to happen in it."""
    threading.Event().wait(seconds)


def text_of(config):
    if isinstance(config, str):
        return config
    return yaml.dump(config, Dumper=_Plain, sort_keys=False)


def write(path, config):
    """Truncates and writes, as an editor does."""
    pathlib.Path(path).write_text(text_of(config))


def replace(path, config):
    """Writes another file and renames it over the old one."""
    path = pathlib.Path(path)
    other = path.with_name("." + path.name + ".new")
    other.write_text(text_of(config))
    other.rename(path)


class Swap:
    """A folder as Kubernetes mounts one: files are links through `..data` to a folder of a revision.

    One rename of `..data` changes all of them.
    """

    def __init__(self, folder, files):
        self.folder = folder
        self._revision = 0
        self.change(files)
        for name in files:
            (folder / name).symlink_to(f"..data/{name}")

    def change(self, files):
        self._revision += 1
        old = self.folder / f"..{self._revision - 1}"
        new = self.folder / f"..{self._revision}"
        new.mkdir()
        for name, config in files.items():
            (new / name).write_text(text_of(config))
        link = self.folder / "..data_tmp"
        link.symlink_to(new.name)
        link.rename(self.folder / "..data")
        if old.exists():
            for file in old.iterdir():
                file.unlink()
            old.rmdir()


class Callers:
    """Raw connections, each in a thread, that keep so many streams open until told to stop.

    `check(stream)` says what is wrong with an answer, or None. A reset stream, a GOAWAY and a closed
    connection are wrong.
    """

    def __init__(self, port, fields, check, connections=10, streams=10, body=None):
        self.port, self.fields, self.check, self.body = port, fields, check, body
        self.streams = streams
        self.answered = 0
        self.faults = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True)
                         for _ in range(connections)]
        for thread in self._threads:
            thread.start()

    def __enter__(self):
        waiting.until(lambda: self.answered or self.faults, "the first answer")
        return self

    def __exit__(self, kind, *_):
        self.stop()
        if kind is None:
            assert not self.faults, self.faults

    def stop(self):
        """Lets the streams that are open end."""
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()

    def until_more(self, count, timeout=10.0):
        """Waits for so many further answers."""
        goal = self.answered + count
        waiting.until(
            lambda: self.answered >= goal or self.faults,
            lambda: f"{count} more answers", timeout)

    def _run(self):
        client = frames.Connection.to(self.port)
        try:
            open_streams = []
            while open_streams or not self._stop.is_set():
                while len(open_streams) < self.streams and not self._stop.is_set():
                    open_streams.append(client.request(self.fields, self.body))
                client.until(
                    lambda: client.goaways or any(s.is_over for s in open_streams),
                    timeout=15)
                client.frames.clear()
                open_streams = self._take(client, open_streams)
                if client.goaways:
                    raise waiting.Late(f"GOAWAY {client.goaways}")
        except AssertionError as error:
            self.faults.append(str(error)[:500])
        finally:
            client.close()

    def _take(self, client, open_streams):
        over = [s for s in open_streams if s.is_over]
        for stream in over:
            del client.streams[stream.number]
            fault = f"reset {stream}" if stream.reset is not None else self.check(stream)
            with self._lock:
                self.answered += 1
                if fault:
                    self.faults.append(fault)
        client._new.clear()
        client._finished.clear()
        return [s for s in open_streams if not s.is_over]


class Load:
    """h2load, for so many seconds, at 10 connections x 10 streams."""

    def __init__(self, url, seconds, *options, connections=10, streams=10):
        self._process = subprocess.Popen(
            ["h2load", "-t1", f"-c{connections}", f"-m{streams}", f"-D{seconds}",
             *options, url],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def finish(self, timeout=120):
        """Fails unless every request was answered 2xx; how many there were."""
        output = self._process.communicate(timeout=timeout)[0]
        counts = re.search(
            r"(\d+) total, (\d+) started, (\d+) done, (\d+) succeeded, (\d+) failed, "
            r"(\d+) errored, (\d+) timeout", output)
        assert counts, output
        _, started, done, succeeded, failed, errored, late = map(int, counts.groups())
        assert failed == errored == late == 0, output
        codes = list(map(int, re.search(
            r"(\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", output).groups()))
        assert codes[1:] == [0, 0, 0] and codes[0] >= done, output
        return succeeded

    def stop(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()
