"""Everything of a soak, from its beginning to its end."""

import collections
import contextlib
import pathlib
import signal
import tempfile
import threading
import time

import test_attacks
import waiting

from .chaos import Attacks, Changes, Gate, Servers, small_disk
from .mesh import Mesh
from .peers import Load, Server
from .proxy import Ledger, Soaked
from .watching import Watch

WORKERS = 2


class World:
    """A proxy with servers, clients and chaos, in a folder of its own."""

    def __init__(self, folder, has_disk, terms):
        self.terms, self.seed, self.is_long = terms, terms.seed, not terms.short
        self.is_sanitized, self.has_disk = terms.sanitize is not None, has_disk
        self.folder, self.gate = folder, Gate()
        self.is_without_descriptors = False
        self.mesh = Mesh(folder, folder / "disk", self.is_sanitized)
        self.mesh.write()
        self.servers = []
        self._others = None

    def start(self):
        ports = self.mesh.servers
        files = (self.mesh.pem("server"), self.mesh.bundle)
        self.servers = [
            Server(port, self.seed + index) for index, port in enumerate(ports["clear"])]
        self.servers += [
            Server(port, self.seed + 10 + index, *files)
            for index, port in enumerate(ports["sealed"])]
        self._others = Server(ports["others"][0], self.seed + 20)
        self.proxy = Soaked(self.mesh, WORKERS, self.folder / "weir.log", self.terms.sanitize)
        self.ledger = Ledger(self.mesh.log)
        before = self._settled()
        self.descriptors = (before, before)
        terms = self.terms
        self.load = Load(self.mesh, terms.connections, terms.streams, terms.rate, self.seed)
        self.watch = Watch(self)
        busy = threading.Lock()
        gap = 1.5 if self.is_long else 0.3
        kinds = {"servers": Servers, "changes": Changes, "attacks": Attacks}
        self.rows = [kind(self, gap, busy) for name, kind in kinds.items()
                     if terms.only is None or name in terms.only]

    def run(self, until):
        """Rounds of chaos and calm, until it is over."""
        begun = time.monotonic()
        self.load.until_more(self.terms.rate)
        for row in self.rows:
            if self.is_long:
                row.warm_up()
        for row in self.rows:
            row.start()
        while not until(self, time.monotonic() - begun):
            self.gate.open()
            threading.Event().wait(self.terms.chaos_seconds)
            self.gate.close()
            self._calm()
        self.seconds = time.monotonic() - begun

    def _calm(self):
        """What a round ends with: the plain configuration, and the same load with nothing else."""
        before = self.proxy.said["reloaded"]
        self.mesh.write()
        self.proxy.until_said("reloaded", before)
        self.ledger.rotate(self.proxy)
        threading.Event().wait(self.terms.calm_seconds / 4)
        self.load.until_more(100)
        self.watch.calm(self.terms.calm_seconds)

    def end(self):
        """Lets all calls and connections end, and looks at what is left."""
        self.gate.end()
        for row in self.rows:
            row.join()
        self.load.stop()
        waiting.until(lambda: self.proxy.value("weir_requests_active") == 0, "no request", 30)
        self.watch.stop()
        before = self.descriptors[0]
        with contextlib.suppress(waiting.Late):
            waiting.until(lambda: self.proxy.descriptors() <= before, "descriptors", 15)
        self.descriptors = (before, self._settled())
        self.active = int(self.proxy.value("weir_requests_active"))
        self.retries = collections.Counter({
            kind: int(self.proxy.value("weir_retries_total", kind=kind))
            for kind in ("policy", "transparent")})
        self.dropped = int(self.proxy.value("weir_access_log_dropped_total"))
        self.ledger.rotate(self.proxy)
        self.proxy.signal(signal.SIGTERM)
        self.status = self.proxy.wait(60)
        self.ledger.take(self.mesh.log)

    @property
    def counts(self):
        """Events, the attacks as one."""
        counts = sum((row.counts for row in self.rows), collections.Counter())
        attacks = sum(counts.pop(name, 0) for name in test_attacks.ATTACKS)
        return counts + collections.Counter({"attacks": attacks})

    def stop(self):
        """Whatever still runs."""
        self.gate.end()
        for process in [*self.servers, self._others, getattr(self, "load", None)]:
            with contextlib.suppress(Exception):
                process.signal(signal.SIGCONT)
                process.kill()
        if hasattr(self, "proxy") and self.proxy.is_running():
            self.proxy.signal(signal.SIGKILL)

    def _settled(self):
        """Descriptors, when nobody is connected."""
        return waiting.until_quiet(self.proxy.descriptors, quiet=0.5)


@contextlib.contextmanager
def world(terms):
    """A world in a temporary folder, or in that of `--keep`."""
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(
            terms.keep or stack.enter_context(tempfile.TemporaryDirectory(prefix="weir-soak-")))
        (folder / "disk").mkdir(parents=True)
        has_disk = stack.enter_context(small_disk(folder / "disk"))
        made = World(folder, has_disk, terms)
        try:
            made.start()
            yield made
        finally:
            made.stop()
