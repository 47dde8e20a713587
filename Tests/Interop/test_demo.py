"""`weir demo`: what it says, its exit status, and that it leaves nothing behind."""

import os
import re
import signal
import subprocess
import threading

import pytest

import echo_pb2
import weir

FACTS = [
    "Unary: 1 message sent, 1 answer from backend-a",
    "ClientStream: 5 messages sent, 1 answer from backend-a",
    "ServerStream: 1 message sent, 5 answers from backend-a",
    "Bidi: 5 messages sent, 5 answers from backend-a, one by one",
    "RESOURCE_EXHAUSTED",
    "DEADLINE_EXCEEDED",
    "UNIMPLEMENTED",
    "route echo moved to backend-b",
    "went on with backend-a to its end",
    "the last good one stayed",
    "none failed",
]


@pytest.fixture
def demo(tmp_path):
    """Starts demos: `demo(arguments…)`; their temporary files are in `tmp_path`."""
    processes = []

    def start(*arguments):
        processes.append(
            subprocess.Popen(
                [weir.binary(), "demo", *arguments], stdin=subprocess.DEVNULL, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env={**os.environ, "TMPDIR": str(tmp_path)}))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def read_until(process, text):
    """The lines up to the one with `text`; a demo that stalls is killed."""
    watchdog = threading.Timer(30, process.kill)
    watchdog.start()
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            break
    watchdog.cancel()
    assert lines and text in lines[-1], "".join(lines)
    return "".join(lines)


def test_two_at_once_each_do_what_they_should(demo, tmp_path):
    for process in [demo("--once"), demo("--once")]:
        output, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, ""), output
        facts = [line for line in output.splitlines() if line.startswith("ok ")]
        for fact in FACTS:
            assert any(fact in line for line in facts), f"{fact}\n{output}"
        assert "FAILED" not in output
        assert f"{len(facts)} of {len(facts)} ok" in output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_serves_after_the_show_until_a_signal(demo, echo_stub, tmp_path, number):
    process = demo()
    output = read_until(process, "Ctrl-C ends the demo")
    port = int(re.search(r"proxy +port (\d+)", output)[1])
    assert "grpcurl -plaintext -proto protos/echo.proto" in output
    assert f"curl -i --http2-prior-knowledge --data hello http://127.0.0.1:{port}/" in output
    reply, call = echo_stub(port).Unary.with_call(echo_pb2.EchoRequest(payload=b"x"), timeout=5)
    assert reply.payload == b"x"
    assert ("x-served-by", "backend-b") in call.initial_metadata()

    path = re.search(r"explain --config (\S+)", output)[1]
    explained = subprocess.run(
        [weir.binary(), "explain", "--config", path, "--method", "weir.echo.v1.Echo/Unary"],
        capture_output=True, text=True, check=False)
    assert (explained.returncode, explained.stderr) == (0, "")

    process.send_signal(number)
    process.communicate(timeout=15)
    assert process.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_signal_during_the_show_ends_it(demo, tmp_path):
    process = demo()
    read_until(process, "ok ")
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=15)
    assert process.returncode == 1
    assert "interrupted" in errors
    assert "FAILED" not in output
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_taken(demo):
    taken = demo()
    port = re.search(r"port (\d+)", read_until(taken, "  proxy "))[1]
    process = demo("--once", "--port", port)
    output, errors = process.communicate(timeout=15)
    assert (process.returncode, output) == (2, "")
    assert f"cannot listen on 127.0.0.1:{port}" in errors


@pytest.mark.parametrize("port", ["0", "65536", "x"])
def test_no_port_at_all(demo, port):
    process = demo("--port", port)
    process.communicate(timeout=15)
    assert process.returncode == 64
