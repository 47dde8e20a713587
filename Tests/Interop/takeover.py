"""Proxies that take over from each other, and clients that call all the while."""

import threading

import grpc
import pytest

import echo_pb2_grpc
import frames
import waiting
import weir as program
from echo_pb2 import EchoRequest
from frames import EMPTY_MESSAGE, GRPC
from reloading import replace, write
from telemetry import Told


class Successor(Told):
    """`weir run --takeover`; it is there when it says that it serves, or has ended."""

    def __init__(self, *arguments, socket=None, awaits=r" serving revision=", **terms):
        self._socket = socket
        self._awaits = awaits
        super().__init__(*arguments, **terms)

    def command(self, path, workers, log_level):
        socket = [str(self._socket)] if self._socket else []
        return [*super().command(path, workers, log_level), "--takeover", *socket]

    def _accepts(self):
        if not self.is_running():
            self._reader.join(2)
            return True
        return self.lines(self._awaits)


class Upgrades:
    """A proxy, `now`, that is succeeded by others; `all` of them in their order."""

    def __init__(self, folder, config, workers=2):
        self.port = int(config["listeners"][0]["address"].rsplit(":", 1)[1])
        self.metrics_port = program.free_port()
        self.path, self.admin_path = folder / "weir.yaml", folder / "admin.sock"
        config["metrics"] = {"address": f"127.0.0.1:{self.metrics_port}"}
        config["admin"] = {"address": f"unix:{self.admin_path}"}
        self.config = config
        write(self.path, config)
        self.now = Told(*self._arguments(self.path), workers=workers)
        self.all = [self.now]
        waiting.until(self.now.is_ready, "the first process", 10)

    def begin(self, config=None, workers=2, **terms):
        """Starts a successor, with a configuration of its own or with that of the others."""
        path = self.path
        if config is not None:
            path = self.path.with_name(f"weir-{len(self.all)}.yaml")
            replace(path, config)
        self.all.append(Successor(*self._arguments(path), workers=workers, **terms))
        return self.all[-1]

    def succeed(self, **terms):
        """An upgrade; the process that was succeeded."""
        before = self.now
        successor = self.begin(**terms)
        assert successor.is_running(), f"{successor.log}\n\n{before.log}"
        self.now = successor
        return before

    def stop(self):
        for proxy in self.all:
            proxy.stop()

    def _arguments(self, path):
        return path, self.port, self.metrics_port, self.admin_path


@pytest.fixture
def upgrades(request, tmp_path):
    """Starts a proxy that can be upgraded: `upgrades(config, workers=…)`."""
    request.node.proxies = getattr(request.node, "proxies", [])
    started = []

    def start(config, **terms):
        folder = tmp_path / f"upgrades-{len(started)}"
        folder.mkdir()
        started.append(Upgrades(folder, config, **terms))
        request.node.proxies.extend(started[-1].all)
        return started[-1]

    yield start
    for chain in started:
        chain.stop()


class Caller(threading.Thread):
    """Calls until it is told to stop; `faults` are calls and connections that failed."""

    def __init__(self):
        super().__init__(daemon=True)
        self.answered = self.connections = 0
        self.faults = []
        self._over = threading.Event()
        self.start()

    def end(self):
        self._over.set()
        self.join(40)
        assert not self.is_alive()


class RawCaller(Caller):
    """Each connection has so many streams at a time, and lasts for so many calls, or until Weir asks
    it to go: then it begins no more, and every stream that it began must be answered."""

    def __init__(self, port, streams=1, calls=None):
        self._port, self._streams, self._calls = port, streams, calls
        super().__init__()

    def run(self):
        while not self._over.is_set():
            try:
                client = frames.Connection.to(self._port)
            except OSError as error:
                self.faults.append(f"connecting: {error!r}")
                continue
            self.connections += 1
            try:
                self._call(client)
            except (AssertionError, OSError) as error:
                self.faults.append(repr(error)[:500])
            finally:
                client.close()

    def _call(self, client):
        begun = 0
        while True:
            while (len(client.streams) < self._streams and not client.goaways
                   and not self._over.is_set() and begun != self._calls):
                client.request(GRPC, EMPTY_MESSAGE)
                begun += 1
            if not client.streams:
                return
            if client.receive(30) is None:
                self.faults.append(f"closed: {list(client.streams.values())} {client.goaways}")
                return
            for stream in [s for s in client.streams.values() if s.is_over]:
                if stream.reset is not None or stream.grpc_status != 0:
                    self.faults.append(repr(stream))
                self.answered += 1
                del client.streams[stream.number]
            client.frames.clear()
            client._new.clear()
            client._finished.clear()


class StubCaller(Caller):
    """One grpcio client of a target, that calls again and again."""

    def __init__(self, target):
        self._address = target
        super().__init__()

    def run(self):
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.default_authority", "localhost")]
        with grpc.insecure_channel(self._address, options=options) as channel:
            stub = echo_pb2_grpc.EchoStub(channel)
            while not self._over.is_set():
                try:
                    answer = stub.Unary(EchoRequest(payload=b"abc"), timeout=20)
                    assert answer.payload == b"abc"
                    self.answered += 1
                except grpc.RpcError as error:
                    self.faults.append(f"{error.code()} {error.details()}")


class Stream:
    """A call in both directions, that lasts until it is told to end."""

    def __init__(self, stub):
        self._turn, self._over = threading.Semaphore(1), threading.Event()
        self._answers = stub.Bidi(self._requests(), timeout=60)
        next(self._answers)

    def _requests(self):
        while not self._over.is_set():
            self._turn.acquire(timeout=10)
            yield EchoRequest(payload=b"abc")

    def turn(self):
        self._turn.release()
        assert next(self._answers).payload == b"abc"

    def end(self):
        self._over.set()
        self._turn.release()
        list(self._answers)
