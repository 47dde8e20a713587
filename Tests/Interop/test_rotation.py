"""Certificates, the root and the keys of tokens change again and again under load: no call fails.

Two proxies, the client's and the server's, with mutual TLS before and between them and a token from
the first for the second. $WEIR_ROTATIONS is how many rounds there are.
"""

import os
import threading

import grpc
import pytest

import echo_pb2
import echo_pb2_grpc
import waiting
import weir as program
from test_ca import Authority
from test_own_tokens import ISSUER, rotate

DOMAIN = "mesh.example"
ROUNDS = int(os.environ.get("WEIR_ROTATIONS", "2"))
THREADS = 4


class Mesh:
    """The authority's files, and those that it and the signer renew."""

    def __init__(self, folder):
        self.ca = Authority(folder)
        self.folder = folder
        self.keys = folder / "keys"
        rotate(self.keys)
        self.renew()

    def renew(self):
        for name in ("edge", "inner", "web"):
            # Both in one file, so that they change in one step.
            self.ca.run(
                "issue", "--id", f"spiffe://{DOMAIN}/{name}", "--dns", f"{name}.example",
                "--certificate", self.pem(name), "--private-key", self.pem(name))

    def pem(self, name):
        return self.folder / f"{name}.pem"

    def parts(self, name):
        """Who a proxy is, and whom it believes."""
        pem = str(self.pem(name))
        return {
            "identities": [{"name": "self", "certificate": pem, "private_key": pem}],
            "trust": [{"name": DOMAIN, "ca": str(self.ca.directory / "bundle.pem"),
                       "crl": str(self.ca.directory / "crl.pem")}],
            "listener": {
                "tls": {"identities": ["self"], "clients": "required", "trust": [DOMAIN]},
                "timeouts": {"identity_grace": "5s"}}}

    def channel(self, port):
        """A client's, with the files as they are now."""
        pem = self.pem("web").read_bytes()
        roots = (self.ca.directory / "bundle.pem").read_bytes()
        credentials = grpc.ssl_channel_credentials(roots, pem, pem)
        return grpc.secure_channel(f"127.0.0.1:{port}", credentials, options=[
            ("grpc.ssl_target_name_override", "edge.example"), ("grpc.enable_retries", 0),
            ("grpc.use_local_subchannel_pool", 1)])


class Load:
    """Calls without a pause, each thread on a connection that is made anew every 50 calls."""

    def __init__(self, mesh, port):
        self._mesh, self._port = mesh, port
        self._stop = threading.Event()
        self.failures, self.counts = [], [0] * THREADS
        self._threads = [
            threading.Thread(target=self._run, args=(index,)) for index in range(THREADS)]
        for thread in self._threads:
            thread.start()

    def _run(self, index):
        while not self._stop.is_set():
            with self._mesh.channel(self._port) as channel:
                stub = echo_pb2_grpc.EchoStub(channel)
                for _ in range(50):
                    try:
                        reply = stub.Unary(echo_pb2.EchoRequest(payload=b"x"), timeout=10)
                        assert reply.payload == b"x"
                    except (grpc.RpcError, AssertionError) as failure:
                        self.failures.append(failure)
                        return
                    self.counts[index] += 1

    def turn_over(self):
        """Waits until every thread has a connection that was made from now on."""
        before = list(self.counts)
        waiting.until(
            lambda: self.failures or all(n >= b + 100 for n, b in zip(self.counts, before)),
            lambda: f"calls: {before} -> {self.counts}", 60)
        assert self.failures == [], self.failures[0]

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def chain(tmp_path, start_weir, echo_origin):
    mesh = Mesh(tmp_path)
    issuer = {
        "name": "edge", "issuer": ISSUER, "audiences": ["inner"], "algorithms": ["ES256"],
        "keys": {"file": str(mesh.keys / "jwks.json")}, "trust_domain": DOMAIN}
    access = {"default": "deny", "rules": [{
        "name": "edge", "methods": ["weir.echo.v1.Echo/*"], "allow": [{
            "peers": [f"spiffe://{DOMAIN}/edge"],
            "token": {"issuer": "edge",
                      "claims": {"sub": {"equals": f"spiffe://{DOMAIN}/edge"}}}}]}]}
    inner = start_weir(
        echo_origin.port, token_issuers=[issuer], access=access, **mesh.parts("inner"))
    edge = start_weir(
        inner.port, upstream={
            "tls": {"identity": "self", "trust": DOMAIN, "peers": [f"spiffe://{DOMAIN}/inner"]},
            "attach_token": {"issuer": "edge", "audience": "inner"}},
        token_signers=[{"name": "edge", "issuer": ISSUER, "keys": str(mesh.keys)}],
        **mesh.parts("edge"))
    return mesh, edge, inner


def wait_for_reload(proxies, before):
    """Waits until each proxy has taken over what is there now."""
    for proxy, count in zip(proxies, before):
        waiting.until(
            lambda: proxy.log.count("reloaded revision=") > count,
            lambda: f"a reload\n{proxy.log[-2_000:]}", 20)


def change(proxies, load, what):
    before = [proxy.log.count("reloaded revision=") for proxy in proxies]
    what()
    wait_for_reload(proxies, before)
    load.turn_over()


def test_everything_rotates_under_load(chain):
    mesh, *proxies = chain
    load = Load(mesh, proxies[0].port)
    try:
        load.turn_over()
        for _ in range(ROUNDS):
            change(proxies, load, mesh.renew)
            # The next root signs at once, and the one before vouches for it until it is retired.
            change(proxies, load, lambda: mesh.ca.run("rotate-root"))
            change(proxies, load, mesh.renew)
            change(proxies, load, lambda: mesh.ca.run("rotate-root", "--retire", "--force"))
            change(proxies, load, lambda: rotate(mesh.keys))
    finally:
        load.stop()
    assert load.failures == []
    for proxy in proxies:
        assert "refused" not in proxy.log and "kept-file" not in proxy.log, proxy.log
    print(f"{ROUNDS} rounds, {sum(load.counts)} calls")
