"""A running Weir whose identity `weir ca serve` renews."""

import queue
import socket
import ssl

import grpc
import pytest
from cryptography import x509

import echo_pb2_grpc
from echo_pb2 import EchoRequest
from test_ca import Authority
from test_ca_serve import serving
from waiting import until

IDENTITY = "spiffe://mesh.example/weir"


class Renewed:
    """An authority that serves, and a proxy with an identity of a short life."""

    def __init__(self, folder, start_weir, origin, lifetime, one_file=False, **more):
        self.authority = Authority(folder)
        self.server = serving(self.authority)
        certificate = folder / "weir.crt"
        key = certificate if one_file else folder / "weir.key"
        self.authority.run(
            "issue", "--id", IDENTITY, "--dns", "weir.example", "--certificate", certificate,
            "--private-key", key, "--lifetime", lifetime)
        self.bundle = (self.authority.directory / "bundle.pem").read_bytes()
        self.start = lambda: start_weir(
            origin, identities=[{
                "name": "self", "certificate": str(certificate), "private_key": str(key),
                "authority": f"unix:{self.server.socket}"}],
            listener={"tls": {"identities": ["self"]}}, **more)

    def served(self, proxy):
        """The certificate that a new connection is shown, verified."""
        context = ssl.create_default_context(cadata=self.bundle.decode())
        context.set_alpn_protocols(["h2"])
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as raw:
            with context.wrap_socket(raw, server_hostname="weir.example") as secure:
                return x509.load_der_x509_certificate(secure.getpeercert(True))

    def until_next(self, proxy, first):
        until(lambda: self.served(proxy).serial_number != first.serial_number,
              lambda: f"a renewal in\n{proxy.log}", 20, interval=0.1)

    def channel(self, proxy):
        credentials = grpc.ssl_channel_credentials(self.bundle)
        options = [("grpc.ssl_target_name_override", "weir.example"),
                   ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        return grpc.secure_channel(f"127.0.0.1:{proxy.port}", credentials, options=options)


@pytest.mark.parametrize("one_file", [False, True])
def test_a_certificate_is_renewed_and_no_stream_notices(
        tmp_path, start_weir, echo_origin, one_file):
    scene = Renewed(tmp_path, start_weir, echo_origin.port, "6s", one_file)
    with scene.server:
        proxy = scene.start()
        first = scene.served(proxy)
        with scene.channel(proxy) as channel:
            requests = queue.Queue()
            answers = echo_pb2_grpc.EchoStub(channel).Bidi(iter(requests.get, None), timeout=60)
            seen = {first.serial_number}

            def renewed_twice():
                requests.put(EchoRequest(payload=b"still here"))
                assert next(answers).payload == b"still here"
                seen.add(scene.served(proxy).serial_number)
                return len(seen) >= 3

            until(renewed_twice, lambda: f"two renewals in\n{proxy.log}", 20, interval=0.1)
            requests.put(None)
            assert list(answers) == []
        last = scene.served(proxy)
        assert last.not_valid_after_utc > first.not_valid_after_utc


def test_an_authority_that_is_away_is_asked_again(tmp_path, start_weir, echo_origin):
    scene = Renewed(tmp_path, start_weir, echo_origin.port, "14s")
    proxy = scene.start()
    first = scene.served(proxy)
    until(lambda: "not renewed identity=self" in proxy.log, "a failure in the log", 20)
    proxy.wait_for_log("nobody listens on")
    with scene.server:
        scene.until_next(proxy, first)


def test_with_watching_off_too(tmp_path, start_weir, echo_origin):
    scene = Renewed(tmp_path, start_weir, echo_origin.port, "4s", watch="off")
    with scene.server:
        proxy = scene.start()
        first = scene.served(proxy)
        scene.until_next(proxy, first)
