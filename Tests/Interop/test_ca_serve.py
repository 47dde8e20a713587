"""`weir ca serve` asked by grpcio, with proofs made by the `cryptography` package."""

import datetime
import hashlib
import os
import stat
import subprocess
import threading

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtensionOID

import ca_pb2
import ca_pb2_grpc
import weir as program
from test_ca import WEB, Authority, verify

DER = serialization.Encoding.DER


@pytest.fixture
def served(tmp_path):
    """An authority that serves, and a stub."""
    authority = Authority(tmp_path)
    with serving(authority) as stub:
        authority.stub = stub
        yield authority


class serving:
    """The process, from its first line of log to its end."""

    def __init__(self, authority, *options):
        self.socket = authority.folder / "ca.sock"
        self.command = [program.binary(), "ca", "serve", "--authority", authority.directory,
                        "--socket", self.socket, *options]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        assert "serving on" in line, line
        # So that it never waits for who reads its log.
        self.reader = threading.Thread(target=self.process.stderr.read, daemon=True)
        self.reader.start()
        self.channel = grpc.insecure_channel(f"unix:{self.socket}")
        return ca_pb2_grpc.AuthorityStub(self.channel)

    def __exit__(self, *_):
        self.channel.close()
        self.process.terminate()
        self.process.wait()
        self.reader.join()


def request_for(key, *names):
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(DER)


def prove(key, certificate, request):
    statement = (b"weir.ca.v1 renewal\0" + hashlib.sha256(certificate).digest()
                 + hashlib.sha256(request).digest())
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(statement)
    return key.sign(statement, ec.ECDSA(hashes.SHA256()))


def renewal(certificate, key, new_key, *names):
    der = certificate.public_bytes(DER)
    request = request_for(new_key, *(names or [x509.UniformResourceIdentifier(WEB)]))
    return ca_pb2.RenewRequest(
        certificate=der, request=request, proof=prove(key, der, request))


def refusal(stub, request):
    with pytest.raises(grpc.RpcError) as caught:
        stub.Renew(request, timeout=10)
    return caught.value.code(), caught.value.details()


@pytest.mark.parametrize("kind", ["ec-p256", "ed25519"])
def test_who_has_a_certificate_gets_the_next(served, kind):
    (old,) = served.issue("web", "--dns", "web.example", "--key", kind)
    new_key = ed25519.Ed25519PrivateKey.generate()
    answer = served.stub.Renew(renewal(old, served.key(), new_key), timeout=10)
    (new,) = [x509.load_der_x509_certificate(der) for der in answer.chain]
    assert new.public_key() == new_key.public_key()
    oid = ExtensionOID.SUBJECT_ALTERNATIVE_NAME
    assert new.extensions.get_extension_for_oid(oid) == old.extensions.get_extension_for_oid(oid)
    assert answer.bundle == (served.directory / "bundle.pem").read_bytes()
    assert answer.revocation_lists == (served.directory / "crl.pem").read_bytes()
    path = served.folder / "next.crt"
    path.write_bytes(new.public_bytes(serialization.Encoding.PEM))
    assert verify(served.directory / "bundle.pem", path, served.directory / "crl.pem")[0]
    assert f"{new.serial_number:032x}" in served.run("show")


def test_nobody_gets_another_s(served):
    (certificate,) = served.issue()
    served.issue("other", identity=WEB + "2")
    key, new_key = served.key(), ec.generate_private_key(ec.SECP256R1())
    admin = x509.UniformResourceIdentifier("spiffe://mesh.example/admin")
    web = x509.UniformResourceIdentifier(WEB)
    good = renewal(certificate, key, new_key)
    stolen = renewal(certificate, served.key("other"), new_key)
    swapped = ca_pb2.RenewRequest(
        certificate=good.certificate,
        request=request_for(ec.generate_private_key(ec.SECP256R1()), web), proof=good.proof)
    for request in (
            renewal(certificate, key, new_key, admin),
            renewal(certificate, key, new_key, web, x509.DNSName("admin.example")),
            renewal(certificate, key, new_key, web, admin),
            renewal(certificate, key, new_key, x509.DNSName("web.example")),
            stolen, swapped,
            ca_pb2.RenewRequest(certificate=good.certificate, request=good.request),
            ca_pb2.RenewRequest(request=good.request, proof=good.proof),
            ca_pb2.RenewRequest()):
        code, _ = refusal(served.stub, request)
        assert code == grpc.StatusCode.PERMISSION_DENIED, request
    assert len(served.run("show").splitlines()) == 4, "nothing was issued"
    assert served.stub.Renew(good, timeout=10).chain


def test_what_was_revoked_is_not_renewed_though_the_process_runs_on(served):
    (certificate,) = served.issue()
    served.run("revoke", "--certificate", served.folder / "web.crt")
    request = renewal(certificate, served.key(), ec.generate_private_key(ec.SECP256R1()))
    code, words = refusal(served.stub, request)
    assert code == grpc.StatusCode.PERMISSION_DENIED and "revoked" in words


def test_certificates_of_others_are_not_renewed(served, tmp_path):
    folder = tmp_path / "namesake"
    folder.mkdir()
    other = Authority(folder)
    (certificate,) = other.issue()
    request = renewal(certificate, other.key(), ec.generate_private_key(ec.SECP256R1()))
    code, words = refusal(served.stub, request)
    assert code == grpc.StatusCode.PERMISSION_DENIED
    assert "not issued by this authority" in words


def test_a_life_is_no_longer_than_before_and_than_allowed(tmp_path):
    authority = Authority(tmp_path)
    with serving(authority, "--lifetime-max", "2h") as stub:
        for lifetime, hours in (("1h", 1), ("24h", 2)):
            (certificate,) = authority.issue("web", "--lifetime", lifetime)
            new_key = ec.generate_private_key(ec.SECP256R1())
            answer = stub.Renew(renewal(certificate, authority.key(), new_key), timeout=10)
            new = x509.load_der_x509_certificate(answer.chain[0])
            life = new.not_valid_after_utc - new.not_valid_before_utc
            assert life == datetime.timedelta(hours=hours, minutes=5)


def test_the_socket_is_for_its_owner(served):
    assert stat.S_IMODE(os.stat(served.folder / "ca.sock").st_mode) == 0o600


def test_a_second_one_does_not_take_the_socket(served):
    result = served.attempt("serve", "--socket", served.folder / "ca.sock")
    assert result.returncode == 2 and "Address already in use" in result.stderr


def test_renewing_by_command(served):
    files = ["--certificate", served.folder / "web.crt", "--private-key",
             served.folder / "web.key"]
    (old,) = served.issue()
    command = [program.binary(), "ca", "renew", "--socket", served.folder / "ca.sock", *files]
    subprocess.run(command, check=True, capture_output=True)
    (new,) = served.chain()
    assert new.serial_number != old.serial_number
    assert served.key().public_key() == new.public_key()
    served.run("rotate-root")
    subprocess.run(command, check=True, capture_output=True)
    assert len(served.chain()) == 2, "signed by the next root, the process runs on"
    assert verify(served.directory / "bundle.pem", served.folder / "web.crt")[0]
    served.run("revoke", "--certificate", served.folder / "web.crt")
    refused = subprocess.run(command, check=False, capture_output=True, text=True)
    assert refused.returncode == 1 and "it was revoked" in refused.stderr


def test_lists_are_made_anew_before_they_expire(tmp_path):
    authority = Authority(tmp_path, "--list-lifetime", "1h")
    with serving(authority, "--list-lifetime", "24h") as stub:
        refusal(stub, ca_pb2.RenewRequest())  # It looks at them before it answers anybody.
        (crl,) = authority.lists()
    assert crl.next_update_utc - crl.last_update_utc > datetime.timedelta(hours=24)


def test_other_methods_and_messages(served):
    with grpc.insecure_channel(f"unix:{served.folder / 'ca.sock'}") as channel:
        for method, message, code in (
                ("/weir.ca.v1.Authority/Issue", b"\x0a\x01a", grpc.StatusCode.UNIMPLEMENTED),
                ("/weir.ca.v1.Authority/Renew", b"\xff", grpc.StatusCode.INVALID_ARGUMENT),
                ("/weir.ca.v1.Authority/Renew", b"\x0a" * 70_000,
                 grpc.StatusCode.RESOURCE_EXHAUSTED)):
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary(method)(message, timeout=10)
            assert caught.value.code() == code
