"""`weir ca` judged from outside: by the openssl command and by the `cryptography` package."""

import datetime
import os
import pathlib
import stat
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

import weir as program

WEB = "spiffe://mesh.example/web"


class Authority:
    """An authority in a folder of its own."""

    def __init__(self, folder, *options):
        self.folder = folder
        self.directory = folder / "ca"
        self.run("init", "--domain", "mesh.example", *options)

    def attempt(self, command, *options):
        return subprocess.run(
            [program.binary(), "ca", command, "--authority", self.directory, *options],
            capture_output=True, text=True, check=False)

    def run(self, command, *options):
        result = self.attempt(command, *options)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def issue(self, name="web", *options, identity=WEB):
        self.run(
            "issue", "--id", identity, "--certificate", self.folder / f"{name}.crt",
            "--private-key", self.folder / f"{name}.key", *options)
        return self.chain(name)

    def chain(self, name="web"):
        return x509.load_pem_x509_certificates((self.folder / f"{name}.crt").read_bytes())

    def key(self, name="web"):
        return serialization.load_pem_private_key((self.folder / f"{name}.key").read_bytes(), None)

    def lists(self):
        text = (self.directory / "crl.pem").read_bytes()
        blocks = text.split(b"-----BEGIN X509 CRL-----")[1:]
        return [x509.load_pem_x509_crl(b"-----BEGIN X509 CRL-----" + block) for block in blocks]


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def verify(bundle, certificate, lists=None, purpose="sslclient"):
    """What `openssl verify` says, strictly; the file's other certificates help."""
    command = ["openssl", "verify", "-x509_strict", "-auth_level", "2", "-purpose", purpose,
               "-CAfile", bundle, "-untrusted", certificate]
    if lists:
        command += ["-crl_check_all", "-CRLfile", lists]
    result = subprocess.run([*command, certificate], capture_output=True, text=True, check=False)
    return result.returncode == 0, result.stdout + result.stderr


def extension(certificate, oid):
    return certificate.extensions.get_extension_for_oid(oid)


@pytest.mark.parametrize("root", ["ec-p256", "ed25519"])
@pytest.mark.parametrize("leaf", ["ec-p256", "ed25519"])
def test_certificates_are_what_x509_svid_asks_for(tmp_path, root, leaf):
    authority = Authority(tmp_path, "--key", root)
    (certificate,) = authority.issue(
        "web", "--dns", "web.example", "--dns", "*.web.example", "--key", leaf)
    names = extension(certificate, ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [WEB]
    assert names.get_values_for_type(x509.DNSName) == ["web.example", "*.web.example"]
    constraints = extension(certificate, ExtensionOID.BASIC_CONSTRAINTS)
    assert constraints.critical and not constraints.value.ca
    usage = extension(certificate, ExtensionOID.KEY_USAGE)
    assert usage.critical and usage.value.digital_signature
    assert not usage.value.key_cert_sign and not usage.value.crl_sign
    purposes = extension(certificate, ExtensionOID.EXTENDED_KEY_USAGE).value
    assert set(purposes) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert certificate.version == x509.Version.v3
    assert certificate.serial_number.bit_length() > 100
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert life == datetime.timedelta(hours=24, minutes=5)
    kind = ec.EllipticCurvePrivateKey if leaf == "ec-p256" else ed25519.Ed25519PrivateKey
    assert isinstance(authority.key(), kind)
    assert authority.key().public_key() == certificate.public_key()
    for purpose in ("sslclient", "sslserver"):
        bundle, lists = authority.directory / "bundle.pem", authority.directory / "crl.pem"
        is_good, words = verify(bundle, tmp_path / "web.crt", lists, purpose)
        assert is_good, words


def test_the_root_is_an_authority_and_no_more(authority):
    (root,) = x509.load_pem_x509_certificates((authority.directory / "bundle.pem").read_bytes())
    constraints = extension(root, ExtensionOID.BASIC_CONSTRAINTS)
    assert constraints.critical and constraints.value.ca and constraints.value.path_length == 1
    usage = extension(root, ExtensionOID.KEY_USAGE)
    assert usage.critical and usage.value.key_cert_sign and usage.value.crl_sign
    assert not usage.value.digital_signature
    names = extension(root, ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://mesh.example"]


def test_files_are_for_whom_they_are_for(authority):
    """Whatever the umask; and nothing temporary is left."""
    umask = os.umask(0)
    try:
        authority.issue()
    finally:
        os.umask(umask)

    def mode(path):
        return stat.S_IMODE(path.stat().st_mode)

    assert mode(authority.directory) == 0o700
    for name in ("index", "root-1.key", "lock"):
        assert mode(authority.directory / name) == 0o600
    for name in ("root-1.crt", "bundle.pem", "crl.pem"):
        assert mode(authority.directory / name) == 0o644
    assert mode(authority.folder / "web.key") == 0o600
    assert mode(authority.folder / "web.crt") == 0o644
    assert not list(authority.folder.rglob("*.tmp"))


def test_one_file_may_hold_both(authority):
    path = authority.folder / "both.pem"
    authority.run("issue", "--id", WEB, "--certificate", path, "--private-key", path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    assert key.public_key() == certificate.public_key()


@pytest.mark.parametrize("algorithm", ["ec", "rsa"])
def test_requests_of_others_are_signed(authority, algorithm):
    kind = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    if algorithm == "rsa":
        kind = ["rsa:2048"]
    subprocess.run(
        ["openssl", "req", "-new", "-newkey", *kind, "-nodes", "-subj", "/CN=web", "-keyout",
         authority.folder / "web.key", "-out", authority.folder / "web.csr", "-addext",
         f"subjectAltName=URI:{WEB},DNS:web.example"],
        check=True, capture_output=True)
    options = ["--request", authority.folder / "web.csr", "--certificate",
               authority.folder / "web.crt"]
    authority.run("sign-request", "--id", WEB, "--dns", "web.example", *options)
    (certificate,) = authority.chain()
    assert certificate.public_key() == authority.key().public_key()
    assert verify(authority.directory / "bundle.pem", authority.folder / "web.crt")[0]
    other = authority.attempt("sign-request", "--id", WEB + "2", *options)
    assert other.returncode == 1 and f"it asks for {WEB}, not for {WEB}2" in other.stderr
    fewer = authority.attempt("sign-request", "--id", WEB, *options)
    assert fewer.returncode == 1 and "it asks for web.example" in fewer.stderr


def test_a_request_that_its_key_did_not_sign_is_refused(authority):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "web")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    der = bytearray(request.public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    path = authority.folder / "web.csr"
    forged = x509.load_der_x509_csr(bytes(der))
    path.write_bytes(forged.public_bytes(serialization.Encoding.PEM))
    result = authority.attempt(
        "sign-request", "--id", WEB, "--request", path, "--certificate", path)
    assert result.returncode == 1 and "not signed with the key" in result.stderr


def test_renewing_keeps_names_and_changes_the_key(authority):
    files = ["--certificate", authority.folder / "web.crt", "--private-key",
             authority.folder / "web.key"]
    (old,) = authority.issue("web", "--dns", "web.example")
    authority.run("renew", *files)
    (new,) = authority.chain()
    oid = ExtensionOID.SUBJECT_ALTERNATIVE_NAME
    assert extension(new, oid) == extension(old, oid)
    assert new.serial_number != old.serial_number
    assert new.public_key() != old.public_key()
    assert authority.key().public_key() == new.public_key()
    authority.run("renew", "--keep-key", *files)
    (kept,) = authority.chain()
    assert kept.public_key() == new.public_key() and kept.serial_number != new.serial_number


def test_what_is_revoked_is_on_the_list_and_is_not_renewed(authority):
    (certificate,) = authority.issue()
    (other,) = authority.issue("other")
    bundle, lists = authority.directory / "bundle.pem", authority.directory / "crl.pem"
    (before,) = authority.lists()
    authority.run("revoke", "--certificate", authority.folder / "web.crt")
    (after,) = authority.lists()
    root = x509.load_pem_x509_certificate(bundle.read_bytes())
    assert after.is_signature_valid(root.public_key())
    assert [entry.serial_number for entry in after] == [certificate.serial_number]
    number = ExtensionOID.CRL_NUMBER
    assert extension(after, number).value.crl_number > extension(before, number).value.crl_number
    is_good, words = verify(bundle, authority.folder / "web.crt", lists)
    assert not is_good and "certificate revoked" in words
    assert verify(bundle, authority.folder / "other.crt", lists)[0]
    renewal = authority.attempt(
        "renew", "--certificate", authority.folder / "web.crt", "--private-key",
        authority.folder / "web.key")
    assert renewal.returncode == 1 and "it was revoked at" in renewal.stderr
    assert "was revoked before" in authority.run("revoke", "--serial",
                                                 f"{certificate.serial_number:032x}")
    authority.run("revoke", "--serial", f"{other.serial_number:032X}")
    assert len(list(authority.lists()[0])) == 2


def test_a_root_is_rotated_with_both_believed_meanwhile(authority):
    """Old and new leaves verify under the old bundle, the new one, and with their lists."""
    folder, directory = authority.folder, authority.directory
    authority.issue("old")
    before = folder / "before.pem"
    authority.run("bundle", "--output", before)
    authority.run("rotate-root")
    chain = authority.issue("new")
    assert len(chain) == 2, "the new root's certificate by the old root comes with it"
    bundle, lists = directory / "bundle.pem", directory / "crl.pem"
    assert len(x509.load_pem_x509_certificates(bundle.read_bytes())) == 2
    for name in ("old", "new"):
        for trusted in (before, bundle):
            for revoked in (None, lists):
                is_good, words = verify(trusted, folder / f"{name}.crt", revoked)
                assert is_good, (name, trusted, words)
    early = authority.attempt("rotate-root", "--retire")
    assert early.returncode == 1 and "1 certificates of older roots are in force" in early.stderr
    authority.run("renew", "--certificate", folder / "old.crt", "--private-key", folder / "old.key")
    authority.run("rotate-root", "--retire", "--force")
    assert not (directory / "root-1.key").exists()
    last = authority.issue("last")
    assert len(last) == 1
    for name in ("old", "new", "last"):
        assert verify(bundle, folder / f"{name}.crt", lists)[0]
    assert not verify(before, folder / "last.crt")[0]


def test_two_rotations_before_one_retires(authority):
    authority.run("rotate-root", "--key", "ed25519")
    authority.issue("second")
    authority.run("rotate-root")
    authority.issue("third")
    bundle, lists = authority.directory / "bundle.pem", authority.directory / "crl.pem"
    for name in ("second", "third"):
        assert verify(bundle, authority.folder / f"{name}.crt", lists)[0]
    assert "root 3  signs" in authority.run("show")


def test_what_there_is_can_be_seen(authority):
    (certificate,) = authority.issue("web", "--dns", "web.example")
    shown = authority.run("show")
    assert "trust domain mesh.example" in shown and "root 1  signs" in shown
    assert f"{certificate.serial_number:032x}  root 1  until" in shown
    assert f"{WEB} web.example" in authority.run("show", authority.folder / "web.crt")
    authority.run("revoke", "--certificate", authority.folder / "web.crt")
    assert f"{certificate.serial_number:032x}  root 1  revoked" in authority.run("show")


REFUSED = [
    (["issue", "--id", "spiffe://other.example/web"], 1, "not of the trust domain mesh.example"),
    (["issue", "--id", "spiffe://mesh.example"], 1, "has no path"),
    (["issue", "--id", WEB, "--dns", "a b"], 1, "'a b' is no DNS name"),
    (["issue", "--id", WEB, "--dns", "a,URI:spiffe://mesh.example/admin"], 1, "is no DNS name"),
    (["issue", "--id", WEB, "--lifetime", "91d"], 1, "a lifetime of"),
    (["issue", "--id", WEB, "--lifetime", "1"], 64, "invalid for"),
    (["issue", "--id", "https://mesh.example/web"], 64, "invalid for"),
    (["revoke", "--serial", "01"], 1, "no certificate with the serial number 01"),
    (["revoke"], 64, "one of --certificate FILE and --serial NUMBER"),
    (["init", "--domain", "mesh.example"], 1, "is an authority's directory already"),
    (["show", "--authority", "nothing"], 2, "is not an authority's directory"),
    (["show", "nothing.pem"], 2, "No such file"),
]


@pytest.mark.parametrize("options, status, words", REFUSED)
def test_what_is_refused_and_why(authority, options, status, words):
    if options[0] == "issue":
        options = [*options, "--certificate", authority.folder / "a.crt", "--private-key",
                   authority.folder / "a.key"]
    index = (authority.directory / "index").read_bytes()
    result = authority.attempt(*options)
    assert result.returncode == status, result.stderr
    assert words in result.stderr
    assert (authority.directory / "index").read_bytes() == index
    assert not (authority.folder / "a.crt").exists()


def test_certificates_of_a_namesake_are_not_renewed(authority, tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    Authority(folder).issue()
    result = authority.attempt(
        "renew", "--certificate", folder / "web.crt", "--private-key", folder / "web.key")
    assert result.returncode == 1 and "was not issued by this authority" in result.stderr


def test_many_at_once_lose_nothing(authority):
    """Commands wait for each other: every certificate is in the index."""
    commands = [
        subprocess.Popen(
            [program.binary(), "ca", "issue", "--authority", authority.directory, "--id",
             f"{WEB}/{number}", "--certificate", authority.folder / f"{number}.crt",
             "--private-key", authority.folder / f"{number}.key"],
            stdout=subprocess.DEVNULL)
        for number in range(12)
    ]
    assert [command.wait() for command in commands] == [0] * 12
    shown = authority.run("show")
    for number in range(12):
        (certificate,) = authority.chain(str(number))
        assert f"{certificate.serial_number:032x}" in shown


def test_a_broken_index_is_left_alone(authority):
    path = pathlib.Path(authority.directory / "index")
    path.write_text(path.read_text()[:-1])
    result = authority.attempt("show")
    assert result.returncode == 1 and "the index does not end with its last line" in result.stderr
