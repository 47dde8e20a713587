"""Proxies with an access log, and what is in it."""

import json
import pathlib
import re

import pytest

import waiting
import weir as program
from reloading import Served, write


class Logged(Served):
    """A proxy whose access log is a file of its own."""

    def __init__(self, config_path, port, log_path, **terms):
        self.log_path = pathlib.Path(log_path)
        super().__init__(config_path, port, **terms)

    @property
    def records(self):
        """Every line of the log as a dictionary; a line that is no JSON fails."""
        if not self.log_path.exists():
            return []
        text = self.log_path.read_bytes()
        assert text == b"" or text.endswith(b"\n"), text[-200:]
        return [parsed(line) for line in text.splitlines()]

    def wait_for_records(self, count=1, timeout=10.0):
        """Waits for so many lines, and then ends the proxy: there must not be more."""
        waiting.until(
            lambda: whole_lines(self.log_path) >= count,
            lambda: f"{count} lines; there are {self.records}\n{self.log}", timeout)
        self.stop()
        records = self.records
        assert len(records) == count, records
        return records


def whole_lines(path):
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def parsed(line):
    """A line as a dictionary; no key may come twice."""

    def unique(pairs):
        assert len({key for key, _ in pairs}) == len(pairs), line
        return dict(pairs)

    return json.loads(line.decode(), object_pairs_hook=unique)


def text_fields(line):
    """A line of the text format as a dictionary."""
    fields = {}
    for match in re.finditer(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^ "]*)( |$)', line):
        key, value = match[1], match[2]
        assert key not in fields, line
        fields[key] = json.loads(value) if value.startswith('"') else value
    return fields


@pytest.fixture
def logged(request, tmp_path):
    """Starts proxies with a log: `logged(origin_port, …, log={…}, listener={…}, …)`."""
    request.node.proxies = getattr(request.node, "proxies", [])
    started = []

    def start(*origins, log=None, workers=1, log_path=None, log_level="debug", **parts):
        folder = tmp_path / f"logged-{len(started)}"
        folder.mkdir()
        config = program.configuration(program.free_port(), origins, **parts)
        log_path = log_path or folder / "access.log"
        # `None` takes a key away that the plain configuration has.
        for part in ("listeners", "upstreams", "routes"):
            config[part] = [
                {key: value for key, value in entry.items() if value is not None}
                for entry in config[part]]
        config["access_log"] = {"file": str(log_path), **(log or {})}
        port = int(config["listeners"][0]["address"].rsplit(":", 1)[1])
        write(folder / "weir.yaml", config)
        proxy = Logged(
            folder / "weir.yaml", port, log_path, workers=workers, log_level=log_level)
        proxy.config = config
        started.append(proxy)
        request.node.proxies.append(proxy)
        return proxy

    yield start
    for proxy in started:
        proxy.stop()

