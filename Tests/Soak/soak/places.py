"""Where things are, and the programs in C that are built when they are needed."""

import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[3]
SOURCES = ROOT / "Tests/Soak"
BUILD = ROOT / ".build-soak"


class SoakError(Exception):
    """Something that a soak needs is missing."""


def build(name):
    """A program's path, which is compiled if one of its sources is newer."""
    sources = [SOURCES / f"{name}.c", SOURCES / "link.c"]
    return _built(name, [*sources, SOURCES / "link.h"], [
        "gcc", "-O2", *sources, "-lnghttp2", "-lssl", "-lcrypto"])


def mutex_order():
    """What a Weir with ThreadSanitizer is to load; only clang knows how Swift calls."""
    source = SOURCES / "mutex_order.c"
    clang = pathlib.Path(shutil.which("swift") or "swift").resolve().with_name("clang")
    return _built("mutex_order.so", [source], [clang, "-O1", "-shared", "-fPIC", source])


def _built(name, sources, command):
    BUILD.mkdir(exist_ok=True)
    binary = BUILD / name
    newest = max(path.stat().st_mtime for path in sources)
    if not binary.exists() or binary.stat().st_mtime < newest:
        whole = [*command, "-Wall", "-Wextra", "-Werror", "-o", binary]
        if subprocess.run(whole, check=False).returncode != 0:
            raise SoakError(f"{name} does not compile; `scripts/setup test` installs what it needs")
    return binary
