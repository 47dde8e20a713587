"""grpc-swift-2 on either side and on both: its client and server of Tests/GRPCSwift.

`scripts/test interop` builds them; $GRPC_ECHO_BIN is another build.
"""

import os
import pathlib
import subprocess
import threading

import pytest

import calls
import waiting
import weir as program

CHECKS = [
    "unary", "client_stream", "server_stream", "bidi_in_turns", "metadata", "status", "deadline",
    "cancel", "large_messages", "compression", "many_at_once",
]


def binary():
    built = program.ROOT / ".build/grpc-swift/debug/grpc-echo"
    path = pathlib.Path(os.environ.get("GRPC_ECHO_BIN") or built)
    if not path.exists():
        pytest.skip("Tests/GRPCSwift is not built; `scripts/test interop` does it")
    # Its lines are read through a pipe, as they come.
    return ["stdbuf", "-oL", path]


class SwiftServer:
    """`grpc-echo serve`; its lines say which calls were cancelled."""

    def __init__(self):
        self._process = subprocess.Popen([*binary(), "serve"], stdout=subprocess.PIPE, text=True)
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        words = waiting.until(lambda: self.lines, "the server to listen", 30)[0].split()
        assert words[0] == "listening", words
        self.port = int(words[1])

    def stop(self):
        self._process.kill()
        self._process.wait()
        self._reader.join(5)
        self._process.stdout.close()

    def _read(self):
        for line in self._process.stdout:
            self.lines.append(line.strip())


@pytest.fixture
def swift_server():
    server = SwiftServer()
    yield server
    server.stop()


def call(port, checks):
    """Runs checks of grpc-echo against a port; what did not hold."""
    done = subprocess.run(
        [*binary(), "call", str(port), *checks], capture_output=True, text=True, timeout=120)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == len(checks), done.stdout + done.stderr
    return [line for line in lines if not line.startswith("ok ")]


@pytest.mark.parametrize("check", CHECKS)
def test_its_client_with_a_grpcio_server(start_weir, echo_origin, check):
    proxy = start_weir(echo_origin.port)
    assert call(proxy.port, [check]) == []
    waiting.until(lambda: all(c.ended for c in echo_origin.calls), "no call to be left", 20)
    assert "limit=" not in proxy.log


@pytest.mark.parametrize("check", calls.ALL, ids=lambda check: check.__name__)
def test_its_server_with_a_grpcio_client(start_weir, swift_server, echo_stub, check):
    proxy = start_weir(swift_server.port)
    check(echo_stub(proxy), None)
    assert "limit=" not in proxy.log


@pytest.mark.parametrize("check", [calls.cancel, calls.deadline], ids=["cancel", "deadline"])
def test_its_server_sees_the_end(start_weir, swift_server, echo_stub, check):
    check(echo_stub(start_weir(swift_server.port)), None)
    waiting.until(
        lambda: any(line.startswith("cancelled") for line in swift_server.lines),
        "the server to see the end", 20)


def test_both_of_its_ends(start_weir, swift_server):
    """All checks over one connection."""
    proxy = start_weir(swift_server.port)
    assert call(proxy.port, CHECKS) == []
    assert "limit=" not in proxy.log
