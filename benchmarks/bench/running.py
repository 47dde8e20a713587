"""A backend and a proxy in front of it, started, checked by a call, and stopped."""

import contextlib
import dataclasses
import pathlib
import shutil
import signal
import tempfile
import time
from collections.abc import Callable

from . import certificates, client, places, processes, tokens


@dataclasses.dataclass
class Running:
    """A process that serves on a loopback port; costs are those of all its processes."""

    process: object
    port: int
    log: pathlib.Path
    is_encrypted: bool = False
    is_guarded: bool = False
    # Changes the configuration and has it loaded, where the proxy can while it serves.
    reload: Callable[[int], None] | None = None

    def connect(self):
        """A client of our own."""
        tls = certificates.client_context() if self.is_encrypted else None
        fields = tokens.fields() if self.is_guarded else ()
        return client.Connection(self.port, tls=tls, fields=fields)

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
    path, size = workload.path, workload.answer_size
    message = places.payload(100).read_bytes()
    deadline = time.monotonic() + patience
    while True:
        try:
            connection = running.connect()
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
def backend(workload, terms, cores=None):
    """Runs the backend; yields it as `Running`."""
    binary, port = places.build_backend(), places.free_port()
    log = places.BUILD / "backend.log"
    command = [str(binary), str(port)]
    if "to-tls" in terms.flags:
        command += [certificates.path("payload.crt"), certificates.path("payload.key")]
    if "to-mutual" in terms.flags:
        command += [certificates.path("ca.crt")]
    running = Running(processes.start(command, log, cores), port, log, "to-tls" in terms.flags)
    try:
        await_call(running, workload)
        yield running
    finally:
        processes.stop(running.process)


@contextlib.contextmanager
def proxied(proxy, binary, workload, backend_port, *, terms, cores=None, prefix=()):
    """Runs a proxy before the backend; yields it as `Running`. `prefix` wraps the command."""
    terms = dataclasses.replace(terms, routes=max(terms.routes, workload.routes))
    directory = pathlib.Path(tempfile.mkdtemp(prefix=f"{proxy.name}-", dir=places.BUILD))
    port = places.free_port()
    ports = {"listen": port, "backend": backend_port, "metrics": places.free_port()}
    configuration = proxy.configure(directory, ports, terms)
    command = [*prefix, *proxy.command(binary, configuration)]
    log = directory / "output.log"
    running = Running(
        processes.start(command, log, cores), port, log, terms.is_encrypted, terms.guarded)
    if proxy.reloads:
        def reload(number):
            proxy.configure(directory, ports, terms, number)
            running.process.send_signal(signal.SIGHUP)

        running.reload = reload
    try:
        await_call(running, workload)
        yield running
    finally:
        processes.stop(running.process, patience=60.0 if prefix else 5.0)
        shutil.rmtree(directory, ignore_errors=True)
