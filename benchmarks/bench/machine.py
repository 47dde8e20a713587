"""What the machine and the source are, for the record."""

import os
import pathlib
import platform
import subprocess
import sys

from . import places


def description():
    """CPU model, cores, memory, kernel and distribution in one line."""
    model = field("/proc/cpuinfo", "model name") or platform.machine()
    memory = int((field("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) // (1 << 20)
    system = field("/etc/os-release", "PRETTY_NAME", "=").strip('"')
    virtual = ", virtual" if "hypervisor" in (field("/proc/cpuinfo", "flags") or "") else ""
    return (f"{model}{virtual}, {os.cpu_count()} cores, {memory} GiB, Linux {platform.release()}, "
            f"{system}")


def field(path, name, separator=":"):
    for line in pathlib.Path(path).read_text().splitlines():
        key, _, value = line.partition(separator)
        if key.strip() == name:
            return value.strip()
    return ""


def commit():
    """The commit measured, with a plus sign if files differ from it."""
    git = ["git", "-C", str(places.ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True,
                          check=False).stdout.strip()
    changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True,
                             check=False).stdout.strip()
    return (head or "unknown") + ("+" if changed else "")


def versions(plan):
    found = {name: proxy.version(binary) for name, (proxy, binary) in plan.proxies.items()
             if not proxy.logs}
    found["h2load"] = places.first_line([places.program("h2load"), "--version"])
    found["backend"] = places.first_line([places.program("gcc"), "--version"]) + ", libnghttp2 " + (
        places.first_line(["pkg-config", "--modversion", "libnghttp2"]))
    if plan.terms.is_encrypted:
        found["OpenSSL of all but Envoy"] = places.first_line(["openssl", "version"])
    found["python"] = sys.version.split()[0]
    return found
