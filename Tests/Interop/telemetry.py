"""Proxies with metrics and an administration interface, and what these say."""

import http.client
import json
import socket

import pytest
from prometheus_client.parser import text_string_to_metric_families

import waiting
import weir as program
from reloading import Served, write


class Told(Served):
    """A proxy that tells of itself."""

    def __init__(self, path, port, metrics_port, admin_path, **terms):
        self.metrics_port = metrics_port
        self.admin_path = admin_path
        super().__init__(path, port, **terms)

    def fetch(self, page, method="GET", headers=None):
        """Status, headers and body of a page of the metrics' port."""
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=10)
        connection.request(method, page, headers=headers or {})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()

    def is_ready(self):
        try:
            return self.fetch("/ready")[0] == 200
        except OSError:
            return False

    def families(self):
        """What /metrics has, by family; the page must be in Prometheus' format."""
        status, headers, body = self.fetch("/metrics")
        assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
        found = {}
        for family in text_string_to_metric_families(body.decode()):
            assert family.name not in found, family.name
            assert family.documentation, family.name
            found[family.name] = family
        return found

    def value(self, name, **labels):
        """The sum of all samples of this name with these labels."""
        return sum(
            sample.value for family in self.families().values() for sample in family.samples
            if sample.name == name
            and all(sample.labels.get(key) == value for key, value in labels.items()))

    def ask(self, page, method="GET"):
        """Status and body of a page of the administration interface."""
        connection = _UnixConnection(self.admin_path)
        connection.request(method, page)
        response = connection.getresponse()
        return response.status, response.read().decode()

    def told(self, page):
        status, body = self.ask(page)
        assert status == 200, body
        return json.loads(body)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("weir", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


@pytest.fixture
def told(request, tmp_path):
    """Starts proxies: `told(origin_port, …)` as `start_weir`, or with a whole `config`."""
    request.node.proxies = getattr(request.node, "proxies", [])
    started = []

    def start(*origins, config=None, workers=1, metrics=None, **parts):
        folder = tmp_path / f"told-{len(started)}"
        folder.mkdir()
        config = config or program.configuration(program.free_port(), origins, **parts)
        metrics_port = program.free_port()
        config["metrics"] = {"address": f"127.0.0.1:{metrics_port}", **(metrics or {})}
        config["admin"] = {"address": "unix:admin.sock"}
        write(folder / "weir.yaml", config)
        port = int(config["listeners"][0]["address"].rsplit(":", 1)[1])
        proxy = Told(
            folder / "weir.yaml", port, metrics_port, folder / "admin.sock", workers=workers)
        proxy.config = config
        started.append(proxy)
        request.node.proxies.append(proxy)
        waiting.until(proxy.is_ready, "the metrics' port to answer", 10)
        return proxy

    yield start
    for proxy in started:
        proxy.stop()
