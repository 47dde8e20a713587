"""What goes wrong: three rows of events, each drawn from the seed, that run beside each other."""

import collections
import concurrent.futures
import contextlib
import os
import random
import resource
import signal
import subprocess
import threading

import frames
import test_attacks
import waiting
from reloading import pause

# One server's trouble must be over, its backoff too, before the next one's begins: as long as one of
# two serves, every call can be made.
RECOVERY = 1.5


def clients_of(port, count):
    """Clients that say hello and nothing more."""
    return [frames.Connection.to(port) for _ in range(count)]


class Gate:
    """Lets events in, or waits until none is left."""

    def __init__(self):
        self._changed = threading.Condition()
        self._is_open, self._is_over, self._inside = False, False, 0

    @contextlib.contextmanager
    def passed(self):
        """Waits until the gate is open; False if it will not be any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_open or self._is_over)
            self._inside += not self._is_over
            is_in = not self._is_over
        try:
            yield is_in
        finally:
            with self._changed:
                self._inside -= is_in
                self._changed.notify_all()

    def open(self):
        with self._changed:
            self._is_open = True
            self._changed.notify_all()

    def close(self):
        with self._changed:
            self._is_open = False
            self._changed.wait_for(lambda: self._inside == 0)

    def end(self):
        with self._changed:
            self._is_over = True
            self._changed.notify_all()


class Row:
    """Events in a thread, one after another, as long as the gate is open."""

    EVENTS = {}

    def __init__(self, world, gap, busy):
        self.counts, self.broken = collections.Counter(), []
        self.world, self._gap, self._busy = world, gap, busy
        self.chance = random.Random(f"{world.seed} {type(self).__name__}")
        self._deck, self._is_begun = [], False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def warm_up(self):
        """What is to be behind the process before anything is compared."""

    def start(self):
        self._thread.start()

    def join(self):
        self._thread.join(60)

    def draw(self):
        """Each event once at first, then each as often as its number says, in an order by chance."""
        if not self._deck:
            self._deck = [name for name, count in self.EVENTS.items()
                          for _ in range(count if self._is_begun else 1)]
            self.chance.shuffle(self._deck)
            self._is_begun = True
        return self._deck.pop()

    def _run(self):
        while True:
            with self.world.gate.passed() as is_in:
                if not is_in:
                    return
                self._try(self.draw())
            pause(self.chance.uniform(0.2, 1) * self._gap)

    def _try(self, name):
        try:
            self.happen(name)
            self.counts[name] += 1
        except Exception as error:
            self.broken.append(f"{name}: {type(error).__name__}: {str(error)[:2000]}")

    def happen(self, name):
        getattr(self, "_" + name.replace(" ", "_"))()


class Servers(Row):
    """One server at a time is killed or hangs."""

    EVENTS = {"servers killed": 3, "servers stopped": 1}

    def happen(self, name):
        with self._busy:
            super().happen(name)

    def _server(self):
        return self.chance.choice(self.world.servers)

    def _servers_killed(self):
        server = self._server()
        server.kill()
        pause(self.chance.uniform(0.05, 1.5))
        server.start()
        pause(RECOVERY)

    def _servers_stopped(self):
        server = self._server()
        server.signal(signal.SIGSTOP)
        pause(self.chance.uniform(0.2, 3))
        server.signal(signal.SIGCONT)
        pause(RECOVERY)


class Changes(Row):
    """Configuration, certificates, the access log and its disk, descriptors."""

    EVENTS = {
        "reloads": 8, "broken configurations": 2, "leaves renewed": 3, "roots replaced": 1,
        "logs rotated": 3, "disks full": 1, "descriptors gone": 1}

    def draw(self):
        name = super().draw()
        return "reloads" if name == "disks full" and not self.world.has_disk else name

    def _after(self, change, said="reloaded"):
        before = self.world.proxy.said[said]
        change()
        self.world.proxy.until_said(said, before)

    def _reloads(self):
        self._after(lambda: self.world.mesh.write(self.chance))

    def _broken_configurations(self):
        self._after(lambda: self.world.mesh.write_broken(self.chance), "reloads refused")
        self._reloads()

    def _leaves_renewed(self):
        self._after(self.world.mesh.renew)

    def _roots_replaced(self):
        ca = self.world.mesh.ca
        self._after(lambda: ca.run("rotate-root"))
        self._after(self.world.mesh.renew)
        self.world.load.turn_over()
        self._after(lambda: ca.run("rotate-root", "--retire", "--force"))

    def _logs_rotated(self):
        self.world.ledger.rotate(self.world.proxy)

    def _disks_full(self):
        log = self.world.mesh.log
        ballast = log.with_name("ballast")
        before = self.world.proxy.said["access log"]
        with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))
        try:
            # The error is in the log at most once a minute.
            pause(self.chance.uniform(1, 4))
        finally:
            ballast.unlink()
        size = log.stat().st_size
        waiting.until(lambda: log.stat().st_size > size, "lines to be written again", 8)
        self.counts["disks full that the log tells"] += (
            self.world.proxy.said["access log"] > before)

    def _descriptors_gone(self):
        with self._busy:
            self._take_descriptors()

    def _take_descriptors(self):
        proxy = self.world.proxy
        limits = resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE)
        before = proxy.said["without descriptors"]
        self.world.is_without_descriptors = True
        others = []
        try:
            resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (proxy.descriptors() + 5, limits[1]))
            others = clients_of(self.world.mesh.public, 40)
            proxy.until_said("without descriptors", before)
            pause(self.chance.uniform(0.2, 1))
        finally:
            resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, limits)
            for other in others:
                other.close()
        pause(RECOVERY)
        self.world.is_without_descriptors = False


class Attacks(Row):
    """Those of test_attacks.py, and clients that connect and leave."""

    EVENTS = {"idle clients": 8, **dict.fromkeys(test_attacks.ATTACKS, 1)}

    def warm_up(self):
        """All of them four times, four at a time: what Weir keeps for reuse has its size then."""
        names = [name for name in self.EVENTS for _ in range(4)]
        self.chance.shuffle(names)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(self._try, names))

    def happen(self, name):
        if name == "idle clients":
            return self._idle_clients()
        attack, limit, _ = test_attacks.ATTACKS[name]
        # Where timers are to end it, on the listener whose timers are short.
        ports = [self.world.mesh.public]
        if limit not in test_attacks.TIMERS:
            ports.append(self.world.mesh.clear)
        clients = []
        # Weir may end the connection while bytes are still being sent.
        with contextlib.suppress(OSError):
            clients = attack(self.chance.choice(ports))
        for client in clients:
            with contextlib.suppress(OSError, waiting.Late):
                client.until_closed(2)
            client.close()

    def _idle_clients(self):
        clients = clients_of(self.world.mesh.clear, self.chance.randrange(10, 100))
        pause(self.chance.uniform(0, 2))
        for client in clients:
            if self.chance.random() < 0.5:
                client.cut()
            else:
                client.close()


@contextlib.contextmanager
def small_disk(folder):
    """A file system of 64 MiB, if one may be mounted: whether it was."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder]
    has_disk = os.geteuid() == 0 and subprocess.run(mount, capture_output=True).returncode == 0
    try:
        yield has_disk
    finally:
        if has_disk:
            subprocess.run(["umount", "--lazy", folder], check=True)
