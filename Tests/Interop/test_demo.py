"""`weir demo`: what it says, its exit status, and that it leaves nothing behind."""

import os
import re
import signal
import subprocess
import threading

import grpc
import pytest

import echo_pb2
import echo_pb2_grpc
import weir

FACTS = [
    "a client without a certificate is turned away",
    "spiffe://demo.example/web by another authority is turned away",
    "stranger in the place of backend-a gets no call: UNAVAILABLE",
    "backend-a is told that web calls, whatever web itself says of that",
    "web is let in: TLS with spiffe://demo.example/weir, which calls backend-a over TLS",
    "Unary: 1 message sent, 1 answer from backend-a",
    "ClientStream: 5 messages sent, 1 answer from backend-a",
    "ServerStream: 1 message sent, 5 answers from backend-a",
    "Bidi: 5 messages sent, 5 answers from backend-a, one by one",
    "Unary by stranger: PERMISSION_DENIED, and no backend was asked",
    "ClientStream by stranger: PERMISSION_DENIED, and no backend was asked",
    "ServerStream by stranger: PERMISSION_DENIED, and no backend was asked",
    "Bidi by stranger, with web's token: PERMISSION_DENIED, and no backend was asked",
    "Bidi by web without a token: UNAUTHENTICATED, and no backend was asked",
    "Bidi by web with a forged token: UNAUTHENTICATED, and no backend was asked",
    "Bidi by web with a token for something else: PERMISSION_DENIED, and no backend was asked",
    "Bidi by web with a token for echo.talk: OK",
    "RESOURCE_EXHAUSTED",
    "DEADLINE_EXCEEDED",
    "backend-a said UNAVAILABLE to a call: the proxy tried again with backend-b, and the caller got",
    "UNIMPLEMENTED",
    "route echo moved to backend-b",
    "went on with backend-a to its end",
    "the last good one stayed",
    "POST /plain/hello by stranger: 403",
    "rule calls lost ServerStream",
    "the proxy's certificate was renewed: new connections see it",
    "the authority has a second root, and everybody believes both",
    "everybody has a certificate of the second root: 4 connections were made anew",
    "the first root is gone: a client with its certificate is turned away",
    "a connection that a certificate of the first root had opened was asked to go",
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


def commands(output):
    """What is printed to try, as lines of a shell; the first says which folder it is about."""
    text = output.split("from Weir's folder:\n\n")[1].split("\n\n")[0]
    return [line.strip() for line in text.replace("\\\n", " ").splitlines()]


def run(folder, command, status=0):
    """What one of them prints, on both outputs."""
    done = subprocess.run(
        ["bash", "-c", f"{folder}\n{command}"], cwd=weir.ROOT, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == status, done.stdout
    return done.stdout


def stub(folder, port, member):
    """A grpcio client with a member's file."""
    pem = (folder / f"{member}.pem").read_bytes()
    key = pem[pem.index(b"-----BEGIN PRIVATE KEY"):]
    roots = (folder / "mesh-ca.pem").read_bytes()
    credentials = grpc.ssl_channel_credentials(roots, key, pem)
    return echo_pb2_grpc.EchoStub(grpc.secure_channel(f"localhost:{port}", credentials))


def test_what_it_prints_to_try_works(demo, tmp_path):
    output = read_until(demo(), "Ctrl-C ends the demo")
    port = int(re.search(r"the proxy, port (\d+)", output)[1])
    folder, *lines = commands(output)
    path = next(tmp_path.iterdir())
    assert folder == f"D={path}"
    unary, bidi, curl, may, may_not, show = lines
    for line, method in [(unary, "Unary"), (bidi, "Bidi")]:
        assert line.startswith("grpcurl -cacert $D/mesh-ca.pem -cert $D/web.pem -key $D/web.pem ")
        assert line.endswith(f" localhost:{port} weir.echo.v1.Echo/{method}")
    answer = run(folder, curl)
    assert "HTTP/2 200" in answer and "x-served-by: backend-" in answer
    assert "HTTP/2 403" in run(folder, curl.replace("web.pem", "stranger.pem"))
    assert "access: allowed by rule talk" in run(folder, may)
    assert "access: denied" in run(folder, may_not, status=1)
    assert "root 2  signs" in run(folder, show)
    for file in path.iterdir():
        if file.name not in ["login.jwks.json", "mesh-ca.pem"]:
            assert file.stat().st_mode & 0o077 == 0, file


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_serves_after_the_show_until_a_signal(demo, tmp_path, number):
    process = demo()
    output = read_until(process, "Ctrl-C ends the demo")
    port = int(re.search(r"the proxy, port (\d+)", output)[1])
    folder = next(tmp_path.iterdir())
    web = stub(folder, port, "web")
    reply, call = web.Unary.with_call(echo_pb2.EchoRequest(payload=b"x"), timeout=5)
    assert reply.payload == b"x"
    assert ("x-served-by", "backend-b") in call.initial_metadata()
    token = ("authorization", f"Bearer {(folder / 'token').read_text().strip()}")
    requests = [echo_pb2.EchoRequest(payload=b"x")] * 3
    assert len(list(web.Bidi(iter(requests), metadata=[token], timeout=5))) == 3
    with pytest.raises(grpc.RpcError) as refused:
        stub(folder, port, "stranger").Unary(echo_pb2.EchoRequest(), timeout=5)
    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED

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
    port = re.search(r"port (\d+)", read_until(taken, "the proxy, port "))[1]
    process = demo("--once", "--port", port)
    output, errors = process.communicate(timeout=15)
    assert (process.returncode, output) == (2, "")
    assert f"cannot listen on 127.0.0.1:{port}" in errors


@pytest.mark.parametrize("port", ["0", "65536", "x"])
def test_no_port_at_all(demo, port):
    process = demo("--port", port)
    process.communicate(timeout=15)
    assert process.returncode == 64
