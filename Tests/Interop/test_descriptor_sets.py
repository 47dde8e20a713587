"""Methods that a protobuf descriptor set declares have series of their own."""

import pytest
from google.protobuf import descriptor_pb2

import echo_pb2
import frames
import waiting
import weir as program
from echo_pb2 import EchoRequest
from frames import GRPC, changed
from telemetry import told  # noqa: F401
from test_init import weir


def descriptors(*names):
    """A set as protoc writes it, with further methods of one service."""
    files = descriptor_pb2.FileDescriptorSet()
    echo_pb2.DESCRIPTOR.CopyToProto(files.file.add())
    if names:
        file = files.file.add(name="more.proto", package="more.v1")
        service = file.service.add(name="More")
        for name in names:
            service.method.add(name=name, input_type=".a", output_type=".b")
    return files.SerializeToString()


def counted(proxy):
    """Calls that ended, by method."""
    family = proxy.families()["grpc_server_call_started"]
    return {s.labels["grpc_method"]: s.value for s in family.samples if s.value}


@pytest.mark.parametrize("route", [{}, {"matches": [{"method": "weir.*"}, {"method": "more.*"}]}],
                         ids=["any request", "packages"])
def test_declared_methods_have_series(told, tmp_path, echo_origin, echo_stub, dial, route):  # noqa: F811
    (tmp_path / "api.pb").write_bytes(descriptors("Get"))
    proxy = told(echo_origin.port, route=route, metrics={"descriptors": str(tmp_path / "api.pb")})
    stub = echo_stub(proxy)
    for _ in range(3):
        stub.Unary(EchoRequest(payload=b"a"), timeout=5)
    list(stub.ServerStream(EchoRequest(), timeout=5))
    client = dial(proxy)
    for path in ["/more.v1.More/Get", "/more.v1.More/Nope", "/weir.echo.v1.Echo/Unary2", "/more.v1.X/Y"]:
        client.until_over(client.request(changed(GRPC, path=path), frames.EMPTY_MESSAGE))
    assert counted(proxy) == {
        "weir.echo.v1.Echo/Unary": 3, "weir.echo.v1.Echo/ServerStream": 1, "more.v1.More/Get": 1,
        "other": 3}


def test_without_descriptors_methods_of_a_package_are_other(told, echo_origin, echo_stub):  # noqa: F811
    proxy = told(echo_origin.port, route={"matches": [{"method": "weir.*"}]})
    echo_stub(proxy).Unary(EchoRequest(), timeout=5)
    assert counted(proxy) == {"other": 1}


def test_a_changed_file_is_loaded(told, tmp_path, start_origin, dial):  # noqa: F811
    path = tmp_path / "api.pb"
    path.write_bytes(descriptors())
    proxy = told(start_origin().port, metrics={"descriptors": str(path)})
    before = proxy.told("/status")["revision"]
    client = dial(proxy)
    request = changed(GRPC, path="/more.v1.More/Get")
    client.until_over(client.request(request, frames.EMPTY_MESSAGE))
    path.with_name("new").write_bytes(descriptors("Get"))
    path.with_name("new").rename(path)
    waiting.until(lambda: proxy.told("/status")["revision"] != before, "another revision", 10)
    client.until_over(client.request(request, frames.EMPTY_MESSAGE))
    assert counted(proxy) == {"other": 1, "more.v1.More/Get": 1}
    # A broken one changes nothing.
    path.with_name("new").write_bytes(b"nonsense")
    path.with_name("new").rename(path)
    waiting.until(lambda: proxy.told("/status")["last_load_errors"], "the refusal", 10)
    assert "has no descriptors" in proxy.told("/status")["last_load_errors"][0]
    client.until_over(client.request(request, frames.EMPTY_MESSAGE))
    assert counted(proxy)["more.v1.More/Get"] == 2


@pytest.mark.parametrize("data, status, words", [
    (None, 1, "No such file"), (b"nonsense", 1, "has no descriptors"),
    (b"", 0, "declare no method"),
    (descriptors(*(f"M{i}" for i in range(10_000))), 1, "expected at most 10000"),
], ids=["none", "nonsense", "empty", "too many"])
def test_files_that_are_no_descriptors(tmp_path, data, status, words):
    if data is not None:
        (tmp_path / "api.pb").write_bytes(data)
    (tmp_path / "weir.yaml").write_text(
        "listeners: [{name: a, address: 127.0.0.1:1}]\naccess: {default: allow}\n"
        "metrics: {address: 127.0.0.1:2, descriptors: api.pb}\n")
    done = weir("check", "--config", tmp_path / "weir.yaml")
    assert done.returncode == status, done
    assert words in done.stderr and "weir.yaml:3:46" in done.stderr, done.stderr


def test_init_takes_the_services_of_descriptors(tmp_path, echo_origin):
    (tmp_path / "api.pb").write_bytes(descriptors("Get"))
    done = weir("init", "--upstream", f"127.0.0.1:{echo_origin.port}", "--descriptors", "api.pb",
                cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "weir.yaml").read_text()
    assert "matches: [{method: \"more.v1.More/*\"}, {method: \"weir.echo.v1.Echo/*\"}]" in text
    assert "descriptors: api.pb" in text
    checked = weir("check", "--config", tmp_path / "weir.yaml")
    assert checked.returncode == 0 and checked.stderr == ""
    # Elsewhere the file is named whole.
    (tmp_path / "etc").mkdir()
    done = weir("init", "--upstream", "127.0.0.1:1", "--descriptors", "api.pb", "--output",
                "etc/weir.yaml", cwd=tmp_path)
    assert weir("check", "--config", tmp_path / "etc/weir.yaml").returncode == 0
    assert weir("init", "--upstream", "127.0.0.1:1", "--descriptors", "none.pb", "--output", "-",
                cwd=tmp_path).returncode == 2
