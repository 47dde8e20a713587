"""Where things are: the repository, what is built for the benchmarks, and free ports."""

import pathlib
import shutil
import socket
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
BUILD = ROOT / ".build-bench"
RESULTS = BENCHMARKS / "RESULTS.md"
RAW_RESULTS = BENCHMARKS / "results.json"


class BenchError(Exception):
    """Something is missing or went wrong; the text says what, and what to do."""


def program(name):
    """The path of an installed program; Debian keeps some of them in /usr/sbin."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")
    if found is None:
        raise BenchError(f"{name} is not installed; `scripts/setup bench` installs it")
    return found


def first_line(command):
    """The first non-empty line that a command prints, on either stream."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
    return next((line for line in lines if line), "unknown")


def free_port():
    """A loopback port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def build_backend():
    """Compiles backend.c if its source is newer, and returns the program's path."""
    source, binary = BENCHMARKS / "backend.c", BUILD / "backend"
    BUILD.mkdir(exist_ok=True)
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        command = [program("gcc"), "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(binary),
                   str(source), "-lnghttp2", "-lssl", "-lcrypto"]
        if subprocess.run(command, check=False).returncode != 0:
            raise BenchError("backend.c does not compile; `scripts/setup bench` installs nghttp2 and OpenSSL")
    return binary


def payload(size):
    """A file of one gRPC message, `size` bytes long with its five byte prefix."""
    path = BUILD / f"payload-{size}"
    if not path.exists():
        BUILD.mkdir(exist_ok=True)
        message = b"\0" + (size - 5).to_bytes(4, "big") + b"x" * (size - 5)
        path.write_bytes(message)
    return path
