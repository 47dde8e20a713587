"""Certificates for the runs with TLS: a CA of our own, and what it signed, made by openssl."""

import ssl
import subprocess

from . import places

FOLDER = places.BUILD / "tls"
DOMAIN = "bench.example"
HOLDERS = ("proxy", "payload", "load")

LEAF = """basicConstraints=critical,CA:false
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth,clientAuth
subjectAltName=DNS:localhost,IP:127.0.0.1,URI:spiffe://{domain}/{name}
"""
AUTHORITY = ["-addext", "basicConstraints=critical,CA:true",
             "-addext", "keyUsage=critical,keyCertSign,cRLSign",
             "-addext", f"subjectAltName=URI:spiffe://{DOMAIN}"]
NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]


def path(name):
    """`ca.crt`, or `proxy.crt`, `proxy.key` and `proxy.pem` (both), `payload.crt`, `load.crt`, …"""
    make()
    return str(FOLDER / name)


def openssl(*arguments):
    command = [places.program("openssl"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise places.BenchError(f"{' '.join(command)}\n{done.stderr}")


def make():
    """ECDSA on P-256, as short-lived certificates of services have today; valid for 30 days."""
    if (FOLDER / "complete").exists():
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    authority, key = FOLDER / "ca.crt", FOLDER / "ca.key"
    openssl("req", "-x509", *NEW_KEY, "-keyout", key, "-out", authority, "-days", 30,
            "-subj", "/O=Weir benchmarks", "-config", "/dev/null", *AUTHORITY)
    for name in HOLDERS:
        request, extensions = FOLDER / f"{name}.csr", FOLDER / f"{name}.ext"
        openssl("req", "-new", *NEW_KEY, "-keyout", FOLDER / f"{name}.key", "-out", request,
                "-subj", f"/CN={name}", "-config", "/dev/null")
        extensions.write_text(LEAF.format(domain=DOMAIN, name=name))
        openssl("x509", "-req", "-in", request, "-CA", authority, "-CAkey", key,
                "-CAcreateserial", "-days", 30, "-extfile", extensions,
                "-out", FOLDER / f"{name}.crt")
        (FOLDER / f"{name}.key").chmod(0o600)
        both = (FOLDER / f"{name}.crt").read_text() + (FOLDER / f"{name}.key").read_text()
        (FOLDER / f"{name}.pem").write_text(both)
        (FOLDER / f"{name}.pem").chmod(0o600)
    (FOLDER / "complete").touch()


def client_context():
    """For clients of our own: checks the server's certificate, and has one to show."""
    context = ssl.create_default_context(cafile=path("ca.crt"))
    context.load_cert_chain(path("load.crt"), path("load.key"))
    context.set_alpn_protocols(["h2"])
    return context


def preloaded():
    """The environment in which h2load shows a client certificate."""
    source, library = places.BENCHMARKS / "client_certificate.c", places.BUILD / "preloaded.so"
    if not library.exists() or library.stat().st_mtime < source.stat().st_mtime:
        command = [places.program("gcc"), "-O2", "-shared", "-fPIC", "-o", str(library),
                   str(source)]
        if subprocess.run(command, check=False).returncode != 0:
            raise places.BenchError("client_certificate.c does not compile")
    return {"LD_PRELOAD": str(library), "LOAD_CERTIFICATE": path("load.crt"),
            "LOAD_KEY": path("load.key")}
