"""A certificate authority for tests, made with the `cryptography` package: Weir's own is not asked
about itself."""

import datetime
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DOMAIN = "mesh.example"


def _now():
    return datetime.datetime.now(datetime.timezone.utc)


def _pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


class Leaf:
    """A certificate with its key, in memory and in files."""

    def __init__(self, folder, name, certificate, key, chain=()):
        self.certificate = certificate
        self.certificate_pem = _pem(certificate) + b"".join(_pem(c) for c in chain)
        self.key_pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption())
        self.certificate_file = folder / f"{name}.crt"
        self.key_file = folder / f"{name}.key"
        self.write()

    def write(self, certificate_file=None, key_file=None):
        """Writes both files, each in one step."""
        replace(key_file or self.key_file, self.key_pem, 0o600)
        replace(certificate_file or self.certificate_file, self.certificate_pem, 0o644)


def replace(path, content, mode=0o644):
    """Replaces a file in one step, as rename does."""
    scratch = path.with_name(path.name + ".new")
    scratch.write_bytes(content)
    scratch.chmod(mode)
    os.replace(scratch, path)


class Authority:
    """Signs certificates; `domain` is its trust domain."""

    def __init__(self, folder, domain=DOMAIN, name="ca"):
        self.folder, self.domain = folder, domain
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._revoked = []
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{domain} {name}")])
        key_id = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        self.certificate = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
            .public_key(self._key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(_now() - datetime.timedelta(hours=1))
            .not_valid_after(_now() + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
            .add_extension(_usage(key_cert_sign=True, crl_sign=True), True)
            .add_extension(key_id, False)
            .add_extension(
                x509.SubjectAlternativeName(
                    [x509.UniformResourceIdentifier(f"spiffe://{domain}")]), False)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = _pem(self.certificate)
        self.file = folder / f"{name}.pem"
        replace(self.file, self.pem)
        self.revocations_file = folder / f"{name}.crl"
        self.write_revocations()

    def issue(self, path, name=None, dns=(), seconds=3600, before=60, key=None, usages=None):
        """A certificate for spiffe://domain/path; without a path only for its DNS names."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(n) for n in dns]
        if path is not None:
            names.insert(0, x509.UniformResourceIdentifier(f"spiffe://{self.domain}/{path}"))
        usages = usages or [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name or "leaf")]))
            .issuer_name(self.certificate.subject).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_now() - datetime.timedelta(seconds=before))
            .not_valid_after(_now() + datetime.timedelta(seconds=seconds))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
            .add_extension(_usage(digital_signature=True), True)
            .add_extension(x509.ExtendedKeyUsage(usages), False)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(key_id, False)
            .add_extension(x509.SubjectAlternativeName(names), False)
            .sign(self._key, hashes.SHA256())
        )
        name = name or (path or dns[0]).replace("/", "-")
        return Leaf(self.folder, name, certificate, key)

    def revoke(self, leaf):
        self._revoked.append(leaf.certificate.serial_number)
        self.write_revocations()

    def write_revocations(self):
        builder = (
            x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
            .last_update(_now() - datetime.timedelta(minutes=1))
            .next_update(_now() + datetime.timedelta(days=1))
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False)
            .add_extension(x509.CRLNumber(len(self._revoked) + 1), False)
        )
        for serial in self._revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(serial)
                .revocation_date(_now() - datetime.timedelta(minutes=1)).build())
        crl = builder.sign(self._key, hashes.SHA256())
        replace(self.revocations_file, crl.public_bytes(serialization.Encoding.PEM))


def ed25519_key():
    return ed25519.Ed25519PrivateKey.generate()


def _usage(**given):
    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
        "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )
    return x509.KeyUsage(**{name: given.get(name, False) for name in names})
