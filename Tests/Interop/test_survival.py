"""Servers that fail and restart while calls run at a steady rate: no caller notices.

The short form runs with all tests. WEIR_SURVIVAL="120 2000" runs so many seconds at so many calls a
second; the figures are printed (`pytest -s`).
"""

import itertools
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import grpc
import pytest

import frames
import waiting
import weir as program
from echo_pb2 import EchoRequest
from flaky_origin import FlakyOrigin
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


class Pacing(FlakyOrigin):
    """A grpcio server that thinks for `pause` seconds about each call."""

    def __init__(self, pause=0.0, **settings):
        self._pause = pause
        self._settings = [(f"grpc.{name}", value) for name, value in settings.items()]
        super().__init__()

    def start(self):
        self._options += self._settings
        super().start()

    def Unary(self, request, context):
        threading.Event().wait(self._pause)
        return super().Unary(request, context)


@pytest.fixture
def pacing():
    started = []

    def start(*arguments, **settings):
        started.append(Pacing(*arguments, **settings))
        return started[-1]

    yield start
    for server in started:
        server.stop()


def calls_through(proxy, echo_stub, seconds, rate):
    """A caller whose calls have all ended."""
    caller = Caller(echo_stub(proxy))
    caller.run(seconds, rate)
    waiting.until(lambda: caller.ended == caller.begun, "every call's end", 25)
    return caller


def test_a_server_that_thinks_too_long_is_left(told, pacing, echo_stub):  # noqa: F811
    """One of two takes a second for each call: no caller waits for it."""
    slow, quick = pacing(1.0), pacing()
    retry = {"attempts": 3, "codes": ["UNAVAILABLE"], "per_try_timeout": "150ms",
             "backoff": {"base": "1ms", "max": "10ms"}, "budget": {"ratio": "100%", "minimum": 50}}
    proxy = told(slow.port, quick.port, route={"retry": retry})
    caller = calls_through(proxy, echo_stub, 3, 20)
    assert not caller.failures, caller.failures[:5]
    assert slow.calls > 5 and max(caller.latencies) < 0.8
    assert proxy.value("weir_retries_total", kind="policy") > 5


def test_servers_that_leave_again_and_again(told, pacing, echo_stub):  # noqa: F811
    """Both say GOAWAY to each connection after a quarter of a second, as grpcio does."""
    ages = {"max_connection_age_ms": 250, "max_connection_age_grace_ms": 2_000}
    proxy = told(pacing(**ages).port, pacing(0.02, **ages).port)
    caller = calls_through(proxy, echo_stub, 4, 200)
    assert not caller.failures, caller.failures[:5]
    assert proxy.value("weir_upstream_connects_total") > 10


def test_a_server_that_refuses_streams(told, start_origin, echo_stub):  # noqa: F811
    """It refuses every second stream: each call is made again, without any policy."""
    count = itertools.count()

    def serve(connection):
        while (stream := connection.next_request(timeout=60)) is not None:
            connection.until(lambda: stream.is_over, "the request's end")
            if next(count) % 2 == 0:
                connection.send_reset(stream.number, frames.REFUSED_STREAM)
            else:
                frames.answer(connection, stream)

    proxy = told(start_origin(serve).port)
    stub = echo_stub(proxy)
    for _ in range(50):
        stub.Unary(EchoRequest(), timeout=5)
    assert proxy.value("weir_retries_total", kind="transparent") == 50
