"""A token that every call of the guarded runs carries, made by `weir token`."""

import functools
import pathlib
import subprocess

from . import places
from .workloads import SERVICE

FOLDER = places.BUILD / "tokens"
ISSUER = "https://bench.example"
RULES = 10_000


def program():
    return places.ROOT / ".build/release/weir"


@functools.cache
def fields():
    """[(name, value)]: the call's authorization."""
    make()
    return [("authorization", "Bearer " + (FOLDER / "token").read_text().strip())]


def make():
    """An ES256 key, its set, and a token for a day."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not program().exists():
        raise places.BenchError("the guarded runs need Weir built: it makes their token")
    key = FOLDER / "key.pem"
    key.unlink(missing_ok=True)
    run = functools.partial(subprocess.run, check=True, capture_output=True, text=True)
    made = run([program(), "token", "keys", "new", "--type", "P-256", "--out", key])
    (FOLDER / "keys.json").write_text(made.stdout)
    made = run([program(), "token", "mint", "--key", key, "--issuer", ISSUER, "--subject",
                "load", "--audience", "payload", "--claim", "scope=bench.read bench.write",
                "--lifetime", "24h"])
    (FOLDER / "token").write_text(made.stdout)


def keys():
    fields()
    return pathlib.Path(FOLDER / "keys.json")


def weir_rules(count=RULES):
    """Rules by method, with the one that the load calls among them; each asks for the token."""
    methods = [f"weir.guard.Other{number}/Call" for number in range(1, count)]
    methods.insert(count // 2, f"{SERVICE}/*")
    lines = ["    - {name: rule%d, methods: [%s], allow: [{token: {issuer: bench, "
             "claims: {scope: {has: bench.write}}}}]}" % (number, method)
             for number, method in enumerate(methods, 1)]
    return "\n".join(lines)


def envoy_policies(count=100):
    """Policies of Envoy's RBAC filter. It looks at them one after the other, so that they are as
    many as it would be used with."""
    paths = [f"/weir.guard.Other{number}/Call" for number in range(1, count)]
    paths.insert(count // 2, f"/{SERVICE}/")
    text = []
    for number, path in enumerate(paths, 1):
        text.append("%srule%d: {permissions: [{url_path: {path: {prefix: \"%s\"}}}], principals: "
                    "[{metadata: {filter: envoy.filters.http.jwt_authn, path: [{key: claims}, "
                    "{key: sub}], value: {string_match: {exact: load}}}}]}"
                    % (" " * 26, number, path))
    return "\n".join(text)
