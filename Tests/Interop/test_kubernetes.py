"""config/kubernetes: what can be known without a cluster."""

import os
import subprocess

import pytest
import yaml

import weir

FILES = sorted((weir.ROOT / "config/kubernetes").glob("*.yaml"))
SERVICES = {"ORDERS_SERVICE_HOST": "10.96.0.7", "BILLING_SERVICE_HOST": "10.96.0.8"}


def seconds(duration):
    """What Weir takes for a duration, in whole seconds or minutes."""
    return int(duration[:-1]) * {"s": 1, "m": 60}[duration[-1]]


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def parts(request):
    """The file's objects by kind."""
    objects = list(yaml.safe_load_all(request.param.read_text()))
    for each in objects:
        assert set(each) >= {"apiVersion", "kind", "metadata"}, each
    return {each["kind"]: each for each in objects}


@pytest.fixture
def config(parts):
    return yaml.safe_load(parts["ConfigMap"]["data"]["weir.yaml"])


@pytest.fixture
def container(parts):
    """Weir's."""
    pod = parts["Deployment"]["spec"]["template"]["spec"]
    return next(
        each for each in pod.get("initContainers", []) + pod["containers"] if each["name"] == "weir")


def test_the_configuration_is_valid(parts, tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text(parts["ConfigMap"]["data"]["weir.yaml"])
    checked = subprocess.run(
        [weir.binary(), "check", "--config", path], capture_output=True, text=True, check=False,
        env={**os.environ, **SERVICES})
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stderr


def test_ports_agree(parts, config, container):
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert config["metrics"]["address"] == f"[::]:{ports['metrics']}"
    assert f"[::]:{ports['grpc']}" in [each["address"] for each in config["listeners"]]
    for port in parts["Service"]["spec"]["ports"]:
        assert port["targetPort"] in ports
    notes = parts["Deployment"]["spec"]["template"]["metadata"].get("annotations", {})
    assert notes.get("prometheus.io/port", str(ports["metrics"])) == str(ports["metrics"])


def test_probes_ask_for_pages_that_there_are(container):
    pages = {name: container[name]["httpGet"] for name in container if name.endswith("Probe")}
    assert pages["readinessProbe"] == {"path": "/ready", "port": "metrics"}
    assert pages["livenessProbe"] == {"path": "/live", "port": "metrics"}
    assert pages.get("startupProbe", pages["readinessProbe"]) == pages["readinessProbe"]


def test_labels_and_volumes_agree(parts, container):
    spec = parts["Deployment"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"] == labels == parts["Service"]["spec"]["selector"]
    if "PodDisruptionBudget" in parts:
        assert parts["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
        assert parts["PodDisruptionBudget"]["spec"]["minAvailable"] < spec["replicas"]
    (mount,) = container["volumeMounts"]
    volume = next(each for each in spec["template"]["spec"]["volumes"] if each["name"] == mount["name"])
    assert volume["configMap"]["name"] == parts["ConfigMap"]["metadata"]["name"]
    assert f"{mount['mountPath']}/weir.yaml" == container["args"][-1]


def test_the_grace_is_longer_than_waiting_and_draining(parts, config):
    pod = parts["Deployment"]["spec"]["template"]["spec"]
    wait = 0
    for each in pod["containers"]:
        hook = each.get("lifecycle", {}).get("preStop", {})
        wait = max(wait, hook.get("sleep", {}).get("seconds", 0),
                   int(hook.get("exec", {}).get("command", [0, "0"])[1]))
    drain = max(seconds(each["timeouts"]["drain"]) for each in config["listeners"])
    assert wait > 0
    assert pod["terminationGracePeriodSeconds"] > wait + drain


def test_names_the_version_there_is(container):
    version = subprocess.run(
        [weir.binary(), "version"], capture_output=True, text=True, check=True).stdout.split()[1]
    assert container["image"] == f"weir:{version}"
