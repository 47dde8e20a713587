"""`weir schema` against a foreign validator: every example fits, broken ones do not.

Editors read YAML 1.2, in which `on` and `off` are text; PyYAML is told so.
"""

import copy
import json
import os
import pathlib
import subprocess

import jsonschema
import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
WEIR = pathlib.Path(os.environ.get("WEIR_BIN") or ROOT / ".build/release/weir")
EXAMPLES = sorted((ROOT / "config").glob("*.yaml"))
DIRECTORIES = [ROOT / "config/split"]


class Loader(yaml.SafeLoader):
    """YAML 1.2's booleans."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", yaml.resolver.re.compile("^(true|false)$"), list("tf"))


def load(text):
    return yaml.load(text, Loader)


@pytest.fixture(scope="module")
def validator():
    output = subprocess.run([WEIR, "schema"], check=True, capture_output=True).stdout
    schema = json.loads(output)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def check(path):
    """The exit status of `weir check`."""
    command = [WEIR, "check", "--config", path]
    return subprocess.run(command, capture_output=True, check=False).returncode


def joined(folder):
    """What a directory says as one document."""
    whole = {}
    for path in sorted(folder.glob("*.yaml")):
        for key, value in load(path.read_text()).items():
            whole[key] = whole[key] + value if isinstance(value, list) and key in whole else value
    return whole


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_fit_the_schema(validator, path):
    validator.validate(load(path.read_text()))
    assert check(path) == 0


@pytest.mark.parametrize("folder", DIRECTORIES, ids=lambda path: path.name)
def test_directories_fit_the_schema(validator, folder):
    validator.validate(joined(folder))
    assert check(folder) == 0


BROKEN = {
    "no access": lambda c: c.pop("access"),
    "no listeners": lambda c: c.pop("listeners"),
    "an empty list of listeners": lambda c: c.update(listeners=[]),
    "an unknown key": lambda c: c.update(listener=[]),
    "more attempts than there may be": lambda c: c["routes"][0].update(
        retry={"attempts": 6, "codes": ["UNAVAILABLE"]}),
    "an unknown default": lambda c: c["access"].update(default="maybe"),
    "a rule without a name": lambda c: c["access"].update(rules=[{"methods": ["a.B/*"]}]),
    "TLS without an identity": lambda c: c["listeners"][0].update(tls={"identities": []}),
    "an address without a port": lambda c: c["listeners"][0].update(address="127.0.0.1"),
    "a host instead of an address": lambda c: c["upstreams"][0].update(endpoints=["a.example:1"]),
    "a name without a port": lambda c: c["upstreams"][0].update(endpoints={"dns": "a.example"}),
    "another balance": lambda c: c["upstreams"][0].update(balance="least_requests"),
    "a bare duration": lambda c: c["routes"][0].update(timeout=2),
    "a duration without a unit": lambda c: c["routes"][0].update(timeout="2"),
    "a fraction of a duration": lambda c: c["routes"][0].update(timeout="1.5s"),
    "a bare size": lambda c: c["listeners"][0].update(limits={"header_list": 65536}),
    "a quoted count": lambda c: c["listeners"][0].update(limits={"pings": "100"}),
    "a count below its range": lambda c: c["listeners"][0].update(limits={"pings": 0}),
    "an unknown limit": lambda c: c["listeners"][0].update(limits={"ping": 1}),
    "off where it is not allowed": lambda c: c["upstreams"][0].update(timeouts={"connect": "off"}),
    "a boolean in words": lambda c: c["upstreams"][0].update(grpc="yes"),
    "two actions": lambda c: c["routes"][0].update(respond={"status": 200}),
    "no action": lambda c: c["routes"][0].pop("backends"),
    "a retry for ever": lambda c: c["routes"][0].update(retry={"codes": [], "attempts": 3}),
    "a method with a slash first": lambda c: c["routes"][0].update(matches=[{"method": "/a.B/C"}]),
    "a path without a slash": lambda c: c["routes"][0].update(matches=[{"path": "a"}]),
    "two kinds of path": lambda c: c["routes"][0].update(
        matches=[{"path": {"exact": "/a", "prefix": "/b"}}]),
    "an unknown condition": lambda c: c["routes"][0].update(
        matches=[{"headers": {"x-a": {"equals": "b"}}}]),
    "a fraction as a weight": lambda c: c["routes"][0]["backends"][0].update(weight=0.5),
    "a status outside HTTP": lambda c: c["routes"].append(
        {"name": "answer", "respond": {"status": 99}}),
    "text where a list belongs": lambda c: c["routes"][0].update(listeners="local"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_configurations_fit_neither_schema_nor_check(validator, what, tmp_path):
    whole = load((ROOT / "config" / "minimal.yaml").read_text())
    broken = copy.deepcopy(whole)
    BROKEN[what](broken)
    assert not validator.is_valid(broken)
    path = tmp_path / "broken.yaml"
    path.write_text(yaml.safe_dump(broken, sort_keys=False))
    assert check(path) == 1


FINE = {
    "a variable for a count": lambda c: c["listeners"][0].update(limits={"pings": "${N:-7}"}),
    "a variable for a duration": lambda c: c["routes"][0].update(timeout="${N:-7}s"),
    "off": lambda c: c["routes"][0].update(timeout="off"),
    "a number where text belongs": lambda c: c["routes"][0].update(
        matches=[{"headers": {"x-a": 5}}]),
    "a method as a mapping": lambda c: c["routes"][0].update(
        matches=[{"method": {"service": "a.B"}}]),
    "no routes": lambda c: c.update(routes=[]),
    "a status by number": lambda c: c["routes"].append(
        {"name": "answer", "matches": [{"path": "/a"}],
         "respond": {"status": 200, "grpc_status": 14}}),
}


@pytest.mark.parametrize("what", FINE)
def test_what_is_fine_fits_both(validator, what, tmp_path):
    config = load((ROOT / "config" / "minimal.yaml").read_text())
    FINE[what](config)
    validator.validate(config)
    path = tmp_path / "fine.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    assert check(path) == 0
