"""TLS and mutual TLS on both sides, with grpcio, curl and openssl as the peers."""

import socket
import ssl
import subprocess

import grpc
import pytest
import yaml
from cryptography.hazmat.primitives import hashes

import authority
import echo_pb2_grpc
import weir as program
from authority import Authority, replace
from echo_origin import EchoOrigin
from echo_pb2 import EchoRequest, EchoTerms
from waiting import until


class Mesh:
    """An authority, Weir's identity, and proxies whose clients must show certificates."""

    def __init__(self, folder, start_weir):
        self.folder, self._start = folder, start_weir
        self.ca = Authority(folder)
        self.weir = self.ca.issue("weir", dns=["weir.example", "localhost"])
        self.web = self.ca.issue("web")

    def parts(self, clients="required", revocations=False, **tls):
        trust = {"name": authority.DOMAIN, "ca": str(self.ca.file)}
        if revocations:
            trust["crl"] = str(self.ca.revocations_file)
        listener_tls = {"identities": ["self"], "clients": clients, **tls}
        if clients != "none":
            listener_tls.setdefault("trust", [authority.DOMAIN])
        return {
            "identities": [{
                "name": "self", "certificate": str(self.weir.certificate_file),
                "private_key": str(self.weir.key_file)}],
            "trust": [trust],
            "listener": {"tls": listener_tls},
        }


@pytest.fixture
def mesh(tmp_path, start_weir):
    folder = tmp_path / "pki"
    folder.mkdir()
    return Mesh(folder, start_weir)


@pytest.fixture
def dial_tls():
    """Makes grpcio clients over TLS: `dial_tls(proxy, ca_pem, leaf)`."""
    channels = []

    def dial(proxy, roots, leaf=None, name="weir.example"):
        credentials = grpc.ssl_channel_credentials(
            roots, leaf and leaf.key_pem, leaf and leaf.certificate_pem)
        options = [
            ("grpc.ssl_target_name_override", name), ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_retries", 0), ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1)]
        channels.append(
            grpc.secure_channel(f"127.0.0.1:{proxy.port}", credentials, options=options))
        return echo_pb2_grpc.EchoStub(channels[-1])

    yield dial
    for channel in channels:
        channel.close()


def call(stub, payload=b"abc", **arguments):
    return stub.Unary(EchoRequest(payload=payload), timeout=10, **arguments).payload


def refused(stub):
    """A call fails for want of a connection."""
    with pytest.raises(grpc.RpcError) as caught:
        call(stub)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    return caught.value


def handshake_failures(proxy):
    return [line for line in proxy.log.splitlines() if "tls handshake failed" in line]


def wait_for_reason(proxy, words):
    return until(
        lambda: [line for line in handshake_failures(proxy) if words in line],
        lambda: f"a failed handshake for '{words}' in\n{proxy.log}", 10)


def test_calls_with_a_certificate_pass(mesh, start_weir, echo_origin, dial_tls):
    proxy = start_weir(echo_origin.port, **mesh.parts())
    stub = dial_tls(proxy, mesh.ca.pem, mesh.web)
    assert call(stub) == b"abc"
    large = bytes(range(256)) * (4 << 12)
    assert call(stub, large) == large
    request = EchoRequest(payload=b"x" * 1000, terms=EchoTerms(response_count=1000))
    assert len(list(stub.ServerStream(request, timeout=20))) == 1000


def test_a_client_without_a_certificate_is_refused(mesh, start_weir, echo_origin, dial_tls):
    proxy = start_weir(echo_origin.port, **mesh.parts())
    refused(dial_tls(proxy, mesh.ca.pem))
    wait_for_reason(proxy, "peer did not return a certificate")
    assert not echo_origin.calls


@pytest.mark.parametrize("clients", ["optional", "none"])
def test_a_client_may_show_none(mesh, start_weir, echo_origin, dial_tls, clients):
    proxy = start_weir(echo_origin.port, **mesh.parts(clients))
    assert call(dial_tls(proxy, mesh.ca.pem)) == b"abc"


def test_expired_foreign_and_unfit_certificates_are_refused(
    mesh, tmp_path, start_weir, echo_origin, dial_tls
):
    proxy = start_weir(echo_origin.port, **mesh.parts("optional"))
    (tmp_path / "other").mkdir()
    namesake = Authority(tmp_path / "other")
    server_only = [authority.ExtendedKeyUsageOID.SERVER_AUTH]
    cases = [
        (mesh.ca.issue("old", before=7200, seconds=-3600), "expired"),
        (mesh.ca.issue("young", before=-3600, seconds=7200), "not valid before"),
        (namesake.issue("web"), "not trusted"),
        (mesh.ca.issue("server", usages=server_only), "refused"),
    ]
    for leaf, words in cases:
        before = len(handshake_failures(proxy))
        refused(dial_tls(proxy, mesh.ca.pem, leaf))
        until(
            lambda: len(handshake_failures(proxy)) > before or words in proxy.log,
            lambda: f"a refusal for '{words}' in\n{proxy.log}", 10)
    assert not echo_origin.calls
    proxy.wait_for_log("expired")


def test_a_revoked_certificate_is_refused(mesh, start_weir, echo_origin, dial_tls):
    mesh.ca.revoke(mesh.web)
    proxy = start_weir(echo_origin.port, **mesh.parts(revocations=True))
    refused(dial_tls(proxy, mesh.ca.pem, mesh.web))
    wait_for_reason(proxy, "revoked")
    assert call(dial_tls(proxy, mesh.ca.pem, mesh.ca.issue("other"))) == b"abc"


def test_a_connection_drains_when_its_client_is_revoked(mesh, start_weir, echo_origin, dial_tls):
    parts = mesh.parts(revocations=True)
    parts["listener"]["timeouts"] = {"identity_grace": "500ms"}
    proxy = start_weir(echo_origin.port, **parts)
    good, bad = mesh.ca.issue("good"), mesh.web
    stays, goes = (dial_tls(proxy, mesh.ca.pem, leaf) for leaf in (good, bad))
    request = EchoRequest(payload=b"abc", terms=EchoTerms(delay_ms=60_000))
    doomed = goes.Unary.future(request, timeout=30)
    assert call(stays) == b"abc"
    until(lambda: len(echo_origin.calls) == 2, lambda: "both calls to arrive", 10)
    mesh.ca.revoke(bad)
    # The stream that runs is given its grace, then says why it ends.
    assert doomed.code() == grpc.StatusCode.UNAUTHENTICATED
    proxy.wait_for_log("revoked")
    refused(goes)
    assert call(stays) == b"abc"


def test_a_connection_ends_with_its_clients_certificate(mesh, start_weir, echo_origin, dial_tls):
    parts = mesh.parts()
    parts["listener"]["timeouts"] = {"identity_grace": "200ms"}
    proxy = start_weir(echo_origin.port, **parts)
    brief = mesh.ca.issue("brief", seconds=4)
    stub = dial_tls(proxy, mesh.ca.pem, brief)
    request = EchoRequest(payload=b"abc", terms=EchoTerms(delay_ms=60_000))
    doomed = stub.Unary.future(request, timeout=30)
    assert doomed.code() == grpc.StatusCode.UNAUTHENTICATED
    proxy.wait_for_log("identity ended")
    refused(stub)


def test_an_authority_that_leaves_takes_its_clients_along(
    mesh, tmp_path, start_weir, echo_origin, dial_tls
):
    (tmp_path / "next").mkdir()
    following = Authority(tmp_path / "next", name="ca2")
    replace(mesh.ca.file, mesh.ca.pem + following.pem)
    parts = mesh.parts()
    parts["listener"]["timeouts"] = {"identity_grace": "200ms"}
    proxy = start_weir(echo_origin.port, **parts)
    old = dial_tls(proxy, mesh.ca.pem, mesh.web)
    new = dial_tls(proxy, mesh.ca.pem, following.issue("web"))
    assert call(old) == call(new) == b"abc"
    replace(mesh.ca.file, following.pem)
    until(lambda: "identity ended" in proxy.log, lambda: f"an end in\n{proxy.log}", 10)
    # Its call may still meet the connection that is ending.
    with pytest.raises(grpc.RpcError) as caught:
        call(old)
    assert caught.value.code() in (
        grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAUTHENTICATED)
    assert call(new) == b"abc"
    assert proxy.log.count("identity ended") == 1


def test_an_authority_that_leaves_during_a_handshake(
    mesh, tmp_path, start_weir, echo_origin, dial_tls
):
    """Who was believed when the handshake began is judged by what holds when it is over."""
    (tmp_path / "next").mkdir()
    following = Authority(tmp_path / "next", name="ca2")
    replace(mesh.ca.file, mesh.ca.pem + following.pem)
    proxy = start_weir(echo_origin.port, **mesh.parts())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=mesh.ca.pem.decode())
    context.load_cert_chain(mesh.web.certificate_file, mesh.web.key_file)
    context.set_alpn_protocols(["h2"])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="weir.example")

    def is_believed():
        try:
            return call(dial_tls(proxy, mesh.ca.pem, mesh.web)) == b"abc"
        except grpc.RpcError:
            return False

    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as connection:
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
                incoming.write(connection.recv(65536))
        assert is_believed()
        replace(mesh.ca.file, following.pem)
        until(lambda: not is_believed(), "the authority's end", 10)
        ended = proxy.log.count("identity ended")
        # The client's certificate, and the end of its handshake.
        connection.sendall(outgoing.read())
        until(
            lambda: proxy.log.count("identity ended") > ended, lambda: f"an end in\n{proxy.log}")


def test_a_renewed_certificate_is_used_at_once(mesh, start_weir, echo_origin, dial_tls):
    proxy = start_weir(echo_origin.port, **mesh.parts())
    before = dial_tls(proxy, mesh.ca.pem, mesh.web)
    assert call(before) == b"abc"
    renewed = mesh.ca.issue("weir", name="renewed", dns=["weir.example"])
    renewed.write(mesh.weir.certificate_file, mesh.weir.key_file)

    def shown():
        return f"{renewed.certificate.serial_number:X}" in openssl(
            proxy, "-cert", mesh.web.certificate_file, "-key", mesh.web.key_file, show=True)

    until(shown, lambda: f"the renewed certificate\n{proxy.log}", 10)
    assert call(before) == b"abc"
    assert "identity ended" not in proxy.log


def test_a_broken_renewal_changes_nothing(mesh, start_weir, echo_origin, dial_tls):
    proxy = start_weir(echo_origin.port, **mesh.parts())
    replace(mesh.weir.certificate_file, b"-----BEGIN CERTIFICATE-----\nAAAA\n")
    until(lambda: "kept-file" in proxy.log, lambda: f"a warning in\n{proxy.log}", 10)
    assert call(dial_tls(proxy, mesh.ca.pem, mesh.web)) == b"abc"
    other = mesh.ca.issue("weir", name="mismatch", dns=["weir.example"])
    replace(mesh.weir.certificate_file, other.certificate_pem)
    until(lambda: "not that of" in proxy.log, lambda: f"a warning in\n{proxy.log}", 10)
    assert call(dial_tls(proxy, mesh.ca.pem, mesh.web)) == b"abc"


def told(call, name="x-forwarded-client-cert"):
    """What a server was told of a client; None where nothing."""
    found = call.values(name)
    assert len(found) < 2
    return found[0] if found else None


def test_servers_are_told_who_a_client_has_proven_to_be(mesh, start_weir, echo_origin, dial_tls):
    parts = mesh.parts(clients="optional", forward_client="on")
    proxy = start_weir(echo_origin.port, **parts)
    roots = mesh.ca.file.read_bytes()
    forged = [("x-forwarded-client-cert", "URI=spiffe://mesh.example/admin"),
              ("x_forwarded_client_cert", "URI=spiffe://mesh.example/admin")]
    dns = mesh.ca.issue(None, name="named", dns=["a.example", "*.b.example"])
    for leaf, words in [
            (mesh.web, "URI=spiffe://mesh.example/web"),
            (dns, "DNS=a.example;DNS=*.b.example"), (None, None)]:
        stub = dial_tls(proxy, roots, leaf)
        for metadata in ([], forged):
            count = len(echo_origin.calls)
            stub.Unary(EchoRequest(payload=b"x"), metadata=metadata, timeout=5)
            call = echo_origin.calls[count]
            assert told(call, "x_forwarded_client_cert") is None
            if words is None:
                assert told(call) is None
            else:
                digest = leaf.certificate.fingerprint(hashes.SHA256()).hex()
                assert told(call) == f"By=spiffe://mesh.example/weir;Hash={digest};{words}"


def test_servers_are_told_nothing_unless_asked(mesh, start_weir, echo_origin, dial_tls):
    proxy = start_weir(echo_origin.port, **mesh.parts())
    stub = dial_tls(proxy, mesh.ca.file.read_bytes(), mesh.web)
    forged = [("x-forwarded-client-cert", "URI=spiffe://mesh.example/admin")]
    stub.Unary(EchoRequest(payload=b"x"), metadata=forged, timeout=5)
    assert told(echo_origin.calls[0]) is None


def test_metrics_say_when_certificates_end(mesh, start_weir, echo_origin):
    port = program.free_port()
    start_weir(
        echo_origin.port, **mesh.parts(), metrics={"address": f"127.0.0.1:{port}"})
    page = subprocess.run(
        ["curl", "-sS", f"http://127.0.0.1:{port}/metrics"], capture_output=True, text=True,
        check=True).stdout
    ends = mesh.weir.certificate.not_valid_after_utc.timestamp()
    assert f'_expiry_timestamp_seconds{{kind="identity",name="self"}} {ends:.0f}\n' in page
    assert '_expiry_timestamp_seconds{kind="trust",name="mesh.example"} ' in page


def openssl(proxy, *arguments, show=False, linger=False):
    """What `openssl s_client` says; with `show` the serial number of the certificate it got.

    With `linger` it reads until Weir ends the connection, for want of a preface.
    """
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{proxy.port}", *map(str, arguments)]
    if "-alpn" not in arguments and "-noalpn" not in arguments:
        command += ["-alpn", "h2"]
    command = [part for part in command if part != "-noalpn"]
    if linger:
        command.append("-ign_eof")
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    output = (result.stdout + result.stderr).decode(errors="replace")
    if not show:
        return output
    return subprocess.run(
        ["openssl", "x509", "-noout", "-serial"], input=output, capture_output=True, text=True,
        timeout=20).stdout


def test_a_client_without_alpn_is_told(mesh, start_weir, echo_origin):
    proxy = start_weir(echo_origin.port, **mesh.parts("none"))
    assert "no application protocol" in openssl(proxy, "-noalpn")
    wait_for_reason(proxy, "no ALPN")
    assert "no application protocol" in openssl(proxy, "-alpn", "http/1.1")


@pytest.mark.parametrize("version, accepted", [
    ("1", False), ("1_1", False), ("1_2", True), ("1_3", True)])
def test_versions(mesh, start_weir, echo_origin, version, accepted):
    proxy = start_weir(echo_origin.port, **mesh.parts("none"))
    output = openssl(proxy, f"-tls{version}", "-cipher", "ALL:@SECLEVEL=0")
    assert ("Cipher is (NONE)" not in output) == accepted


def test_weak_ciphers_are_refused(mesh, start_weir, echo_origin):
    proxy = start_weir(echo_origin.port, **mesh.parts("none"))
    output = openssl(proxy, "-tls1_2", "-cipher", "AES128-SHA:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0")
    assert "Cipher is (NONE)" in output


def test_sni_chooses_the_identity(mesh, start_weir, echo_origin, dial_tls):
    parts = mesh.parts("none", identities=["self", "other"])
    other = mesh.ca.issue("weir", name="other", dns=["other.example", "*.wild.example"])
    parts["identities"].append({
        "name": "other", "certificate": str(other.certificate_file),
        "private_key": str(other.key_file)})
    proxy = start_weir(echo_origin.port, **parts)
    for name in ("weir.example", "other.example", "a.wild.example"):
        assert call(dial_tls(proxy, mesh.ca.pem, name=name)) == b"abc"


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("clients, resumed", [
    ("none", True), ("optional", False), ("required", False)])
def test_only_clients_without_certificates_resume(
    mesh, start_weir, echo_origin, tmp_path, clients, resumed, version
):
    proxy = start_weir(echo_origin.port, **mesh.parts(clients))
    leaf = ["-cert", mesh.web.certificate_file, "-key", mesh.web.key_file]
    session = tmp_path / "session"
    # Two connections in one process: the second offers what the first was given.
    first = openssl(proxy, version, *leaf, "-sess_out", session, linger=True)
    assert "New, " in first
    if not session.exists():
        return
    assert ("Reused, " in openssl(proxy, version, *leaf, "-sess_in", session)) == resumed


def test_curl(mesh, start_weir, echo_origin):
    parts = mesh.parts()
    proxy = start_weir(echo_origin.port, **parts)
    command = [
        "curl", "-sS", "--http2", "--cacert", mesh.ca.file, "--cert", mesh.web.certificate_file,
        "--key", mesh.web.key_file, "--resolve", f"weir.example:{proxy.port}:127.0.0.1",
        "-o", "/dev/null", "-w", "%{http_version} %{http_code}",
        f"https://weir.example:{proxy.port}/nothing"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.stdout.startswith("2 "), done.stderr


# MARK: Upstreams


class SecureOrigin(EchoOrigin):
    """A grpcio server with TLS; it asks for a certificate where `roots` is given."""

    def __init__(self, leaf, roots=None):
        self._credentials = grpc.ssl_server_credentials(
            [(leaf.key_pem, leaf.certificate_pem)], roots, roots is not None)
        super().__init__()

    def add_port(self, server, address):
        return server.add_secure_port(address, self._credentials)


@pytest.fixture
def secure_origin():
    origins = []

    def start(leaf, roots=None):
        origins.append(SecureOrigin(leaf, roots))
        return origins[-1]

    yield start
    for origin in origins:
        origin.stop()


def upstream_parts(mesh, **tls):
    parts = mesh.parts()
    parts.pop("listener")
    parts["upstream"] = {"tls": {"identity": "self", "trust": authority.DOMAIN, **tls}}
    return parts


@pytest.mark.parametrize("terms", [
    {"peers": [f"spiffe://{authority.DOMAIN}/orders"]},
    {"peers": [f"spiffe://{authority.DOMAIN}/*"]},
    {"peers": ["verified"]},
    {"dns_name": "orders.example"},
])
def test_an_upstream_proves_who_it_is(mesh, start_weir, secure_origin, echo_stub, terms):
    origin = secure_origin(mesh.ca.issue("orders", dns=["orders.example"]), mesh.ca.pem)
    stub = echo_stub(start_weir(origin.port, **upstream_parts(mesh, **terms)))
    assert call(stub) == b"abc"
    large = bytes(range(256)) * (4 << 12)
    assert call(stub, large) == large


@pytest.mark.parametrize("terms, words", [
    ({"peers": [f"spiffe://{authority.DOMAIN}/payments"]}, "not expected"),
    ({"peers": [f"spiffe://{authority.DOMAIN}/orders/*"]}, "not expected"),
    ({"dns_name": "payments.example"}, "not issued for"),
])
def test_another_upstream_gets_no_call(mesh, start_weir, secure_origin, echo_stub, terms, words):
    origin = secure_origin(mesh.ca.issue("orders", dns=["orders.example"]))
    proxy = start_weir(origin.port, **upstream_parts(mesh, **terms))
    refused(echo_stub(proxy))
    proxy.wait_for_log(words)
    assert not origin.calls


def test_an_upstream_under_an_unknown_authority_gets_no_call(
    mesh, tmp_path, start_weir, secure_origin, echo_stub
):
    (tmp_path / "other").mkdir()
    origin = secure_origin(Authority(tmp_path / "other").issue("orders"))
    proxy = start_weir(origin.port, **upstream_parts(mesh, peers=["verified"]))
    refused(echo_stub(proxy))
    proxy.wait_for_log("not trusted")
    assert not origin.calls


def test_a_cleartext_upstream_gets_no_call(mesh, start_weir, echo_origin, echo_stub):
    proxy = start_weir(echo_origin.port, **upstream_parts(mesh, peers=["verified"]))
    refused(echo_stub(proxy))
    assert not echo_origin.calls


def test_both_hops(mesh, start_weir, secure_origin, dial_tls):
    origin = secure_origin(mesh.ca.issue("orders", dns=["orders.example"]), mesh.ca.pem)
    parts = {**mesh.parts(), "upstream": upstream_parts(mesh, peers=["verified"])["upstream"]}
    stub = dial_tls(start_weir(origin.port, **parts), mesh.ca.pem, mesh.web)
    for payload in (b"", b"abc", bytes(range(256)) * (4 << 12)):
        assert call(stub, payload) == payload


def test_a_peer_that_is_not_expected_any_more_is_not_used_again(
    mesh, start_weir, secure_origin, echo_stub
):
    origin = secure_origin(mesh.ca.issue("orders"))
    parts = upstream_parts(mesh, peers=[f"spiffe://{authority.DOMAIN}/orders"])
    proxy = start_weir(origin.port, **parts)
    stub = echo_stub(proxy)
    assert call(stub) == b"abc"
    config = yaml.safe_load(proxy.config_path.read_text())
    config["upstreams"][0]["tls"]["peers"] = [f"spiffe://{authority.DOMAIN}/payments"]
    replace(proxy.config_path, yaml.safe_dump(config).encode())
    until(lambda: "reloaded" in proxy.log, lambda: f"a reload in\n{proxy.log}", 10)
    until(lambda: _fails(stub), lambda: "calls to fail", 10)


def _fails(stub):
    try:
        call(stub)
    except grpc.RpcError as error:
        return error.code() == grpc.StatusCode.UNAVAILABLE
    return False


def test_a_world_readable_key_is_refused(mesh, tmp_path):
    config = program.configuration(program.free_port(), [1], **mesh.parts())
    mesh.weir.key_file.chmod(0o644)
    path = tmp_path / "weir.yaml"
    path.write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [program.binary(), "check", "--config", path], capture_output=True, text=True, timeout=20)
    assert done.returncode != 0
    assert "everybody may read the private key" in done.stdout + done.stderr
