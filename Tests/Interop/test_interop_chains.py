"""NGINX and Envoy in front of Weir and behind it: a call passes two proxies and must not notice."""

import subprocess

import pytest

import calls
import expect
import frames
import neighbours
from frames import GET, GRPC

KINDS = {"nginx": neighbours.nginx_command, "envoy": neighbours.envoy_command}


@pytest.fixture
def start_neighbour(tmp_path):
    """Starts a proxy of others: `start_neighbour("nginx", next_port)`."""
    started = []

    def start(kind, next_port, **tls):
        if not KINDS[kind]():
            pytest.skip(f"no {kind} here")
        folder = tmp_path / f"{kind}-{len(started)}"
        started.append(neighbours.Neighbour(kind, folder, next_port, **tls))
        return started[-1]

    yield start
    for neighbour in started:
        neighbour.stop()


CHAINS = ["nginx in front", "nginx behind", "envoy in front", "envoy behind"]


@pytest.fixture(params=CHAINS)
def chain(request, start_weir, start_neighbour):
    """Makes a chain to a port: `chain(port)`; its first and Weir."""
    kind, place = request.param.split(" ", 1)

    def make(port, **parts):
        if place == "in front":
            proxy = start_weir(port, **parts)
            return start_neighbour(kind, proxy.port), proxy
        proxy = start_weir(start_neighbour(kind, port).port, **parts)
        return proxy, proxy

    return make


@pytest.mark.parametrize("check", calls.ALL, ids=lambda check: check.__name__)
def test_a_call_passes_both(chain, echo_origin, echo_stub, check):
    first, _ = chain(echo_origin.port)
    check(echo_stub(first), echo_origin)


def test_nothing_is_left_after_calls(chain, echo_origin, echo_stub):
    """Cancelled and late calls in numbers leave no stream behind: others pass at once."""
    first, proxy = chain(echo_origin.port)
    stub = echo_stub(first)
    for _ in range(20):
        calls.cancel(stub, echo_origin)
    calls.deadline(stub, echo_origin)
    calls.many_at_once(stub, echo_origin)
    assert proxy.log.count("limit=") == 0, proxy.log


def test_plain_requests_pass_both(chain, start_origin, dial):
    """HTTP without gRPC, of which NGINX's grpc_pass makes no difference."""
    first, _ = chain(start_origin().port)
    client = dial(first)
    stream = client.until_over(client.request(GET), 20)
    assert (stream.status, stream.body) == (200, b"hello")
    stream = client.until_over(client.request(frames.POST, b"a" * 1_000), 20)
    assert (stream.status, stream.body) == (200, b"hello")


def test_curl_and_h2load_pass_both(chain, start_origin):
    first, _ = chain(start_origin().port)
    url = f"http://127.0.0.1:{first.port}/hello"
    told = subprocess.run(
        ["curl", "--silent", "--show-error", "--http2-prior-knowledge", "--max-time", "20", url],
        capture_output=True, check=True)
    assert told.stdout == b"hello"
    load = subprocess.run(
        ["h2load", "-n500", "-c5", "-m10", url], capture_output=True, text=True, check=True)
    assert "500 succeeded, 0 failed, 0 errored, 0 timeout" in load.stdout, load.stdout


def test_a_dead_origin_is_told_in_grpc(chain, start_origin, dial):
    """Whoever of the two says it, the client reads a gRPC status or one that it maps to one."""
    origin = start_origin()
    first, _ = chain(origin.port)
    client = dial(first)
    assert client.until_over(client.request(GRPC, frames.EMPTY_MESSAGE), 20).grpc_status == 0
    origin.stop()
    for connection in origin.connections:
        connection.close()
    stream = client.until_over(client.request(GRPC, frames.EMPTY_MESSAGE), 20)
    expect.any_of(expect.trailers_only(14), expect.http(502, 503, 504))(client, stream)
