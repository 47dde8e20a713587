"""A backend and a proxy in front of it, started, checked by a call, and stopped."""

import contextlib
import dataclasses
import pathlib
import shutil
import tempfile
import time

from . import client, places, processes


@dataclasses.dataclass
class Running:
    """A process that serves on a loopback port; costs are those of all its processes."""

    process: object
    port: int
    log: pathlib.Path

    @property
    def pids(self):
        return processes.tree(self.process.pid)

    def cpu_time(self):
        return processes.cpu_time(self.pids)

    def memory(self):
        return processes.memory(self.pids)


def await_call(running, workload, patience=30.0):
    """Waits until the server answers one call of the workload's shape completely.

    The call's request has 100 bytes, so that it fits any window. Raises BenchError with the
    server's last words."""
    path, size = workload.path, workload.size
    message = places.payload(100).read_bytes()
    deadline = time.monotonic() + patience
    while True:
        try:
            connection = client.Connection(running.port)
            with contextlib.closing(connection):
                connection.settle()
                connection.call(path, message, size)
            return
        except (OSError, client.CallError) as error:
            if running.process.poll() is not None or time.monotonic() > deadline:
                words = running.log.read_text(errors="replace")[-2000:]
                raise places.BenchError(f"{running.process.args}: {error}\n{words}") from error
        time.sleep(0.02)


@contextlib.contextmanager
def backend(workload, cores=None):
    """Runs the backend; yields it as `Running`."""
    binary, port = places.build_backend(), places.free_port()
    log = places.BUILD / "backend.log"
    running = Running(processes.start([str(binary), str(port)], log, cores), port, log)
    try:
        await_call(running, workload)
        yield running
    finally:
        processes.stop(running.process)


@contextlib.contextmanager
def proxied(proxy, binary, workload, backend_port, *, routes=1, cores=None, prefix=()):
    """Runs a proxy before the backend; yields it as `Running`. `prefix` wraps the command."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix=f"{proxy.name}-", dir=places.BUILD))
    port = places.free_port()
    configuration = proxy.configure(directory, port, backend_port, routes)
    command = [*prefix, *proxy.command(binary, configuration)]
    log = directory / "output.log"
    running = Running(processes.start(command, log, cores), port, log)
    try:
        await_call(running, workload)
        yield running
    finally:
        processes.stop(running.process, patience=60.0 if prefix else 5.0)
        shutil.rmtree(directory, ignore_errors=True)
