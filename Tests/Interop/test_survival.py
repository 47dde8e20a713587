"""Servers that fail and restart while calls run at a steady rate: no caller notices.

The short form runs with all tests. WEIR_SURVIVAL="120 2000" runs so many seconds at so many calls a
second; the figures are printed (`pytest -s`).
"""

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import grpc
import pytest

import weir as program
from echo_pb2 import EchoRequest
from telemetry import told  # noqa: F401

SECONDS, RATE = (int(word) for word in os.environ.get("WEIR_SURVIVAL", "8 200").split())
SHARE = 0.01
# A grpcio server that is asked to stop cancels calls that it took and never served.
RETRY = {
    "attempts": 5, "codes": ["UNAVAILABLE", "CANCELLED"],
    "backoff": {"base": "25ms", "max": "250ms"}, "budget": {"ratio": "20%", "minimum": 50},
    # On a busy machine a server's trailers may be long behind its headers.
    "peek": {"time": "1s"}}
SCRIPT = pathlib.Path(__file__).parent / "restarting_server.py"


class Server:
    """One that can be restarted on its port."""

    def __init__(self):
        self.port = program.free_port()
        self.start()

    def start(self):
        self._process = subprocess.Popen(
            [sys.executable, SCRIPT, str(self.port), str(SHARE)], stdout=subprocess.PIPE)
        assert self._process.stdout.readline() == b"ready\n"

    def stop(self, number):
        self._process.send_signal(number)
        self._process.wait(20)
        self._process.stdout.close()

    def restart(self, number):
        self.stop(number)
        self.start()


class Caller:
    """Calls at a steady rate, whatever becomes of them."""

    def __init__(self, stub):
        self._stub = stub
        self._lock = threading.Lock()
        self.begun, self.ended, self.failures, self.latencies = 0, 0, [], []

    def run(self, seconds, rate):
        start = time.monotonic()
        request = EchoRequest(payload=b"x" * 100)
        while (elapsed := time.monotonic() - start) < seconds:
            for _ in range(int(elapsed * rate) - self.begun):
                self.begun += 1
                sent = time.monotonic()
                call = self._stub.Unary.future(request, timeout=20)
                call.add_done_callback(lambda done, sent=sent: self._note(done, sent))
            threading.Event().wait(0.002)

    def _note(self, call, sent):
        with self._lock:
            self.ended += 1
            self.latencies.append(time.monotonic() - sent)
            if call.code() != grpc.StatusCode.OK:
                self.failures.append(f"{call.code()}: {call.details()}")


@pytest.fixture
def servers():
    started = [Server() for _ in range(3)]
    yield started
    for server in started:
        server.stop(signal.SIGKILL)


def test_no_call_fails_while_servers_restart(told, servers, echo_stub):  # noqa: F811
    """1 % of all attempts fail, and each server is restarted in turn, gracefully and not."""
    proxy = told(
        *[server.port for server in servers], route={"retry": RETRY},
        upstream={"timeouts": {"backoff_base": "50ms", "backoff_max": "500ms"}})
    caller = Caller(echo_stub(proxy))
    thread = threading.Thread(target=caller.run, args=(SECONDS, RATE))
    thread.start()
    restarts = 0
    while thread.is_alive():
        thread.join(max(0.5, SECONDS / 20))
        if thread.is_alive():
            number = signal.SIGTERM if restarts % 2 == 0 else signal.SIGKILL
            servers[restarts % len(servers)].restart(number)
            restarts += 1
    deadline = time.monotonic() + 25
    while caller.ended < caller.begun and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    retried = {kind: int(proxy.value("weir_retries_total", kind=kind))
               for kind in ("policy", "transparent")}
    latencies = sorted(caller.latencies)
    p99 = latencies[len(latencies) * 99 // 100] * 1_000
    print(f"\n{caller.begun} calls in {SECONDS} s, {restarts} restarts, {len(caller.failures)} failed, "
          f"retried {retried}, p99 {p99:.1f} ms, longest {latencies[-1] * 1_000:.0f} ms")
    assert caller.ended == caller.begun
    assert not caller.failures, caller.failures[:5]
    assert caller.begun >= SECONDS * RATE * 0.95
    assert restarts >= 3 and retried["policy"] > 0
