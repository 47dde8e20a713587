"""Access rules from outside: who gets through, who does not, and what they are told."""

import itertools
import subprocess

import grpc
import pytest
import yaml
from google.protobuf import descriptor_pb2

import echo_pb2
import waiting
import weir as program
from access_log import logged  # noqa: F401
from frames import GET, GRPC, POST, changed
from reloading import replace
from telemetry import told  # noqa: F401
from test_validation import BAD_METHODS, BAD_PATHS

OK, PERMISSION_DENIED, UNIMPLEMENTED = 0, 7, 12
UNARY = "weir.echo.v1.Echo/Unary"
SERVICE = "weir.echo.v1.Echo/*"


def access(*rules, default="allow"):
    named = [{"name": f"rule-{index}", **rule} for index, rule in enumerate(rules)]
    return {"default": default, "rules": named}


DENY_UNARY = access({"methods": [UNARY], "deny": ["anyone"]})


def code(stub, metadata=(), name="Unary"):
    """How a call ends."""
    try:
        getattr(stub, name)(echo_pb2.EchoRequest(payload=b"x"), metadata=metadata, timeout=10)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_a_grpc_client_is_let_in_or_told_permission_denied(start_weir, echo_origin, echo_stub):
    rules = access(
        {"methods": [UNARY], "deny": [{"headers": {"x-tenant": "b"}}]},
        {"methods": [SERVICE], "allow": [{"headers": {"x-tenant": {"present": True}}}]},
        default="deny")
    stub = echo_stub(start_weir(echo_origin.port, access=rules))
    assert code(stub, [("x-tenant", "a")]) == grpc.StatusCode.OK
    assert code(stub, [("x-tenant", "b")]) == grpc.StatusCode.PERMISSION_DENIED
    assert code(stub) == grpc.StatusCode.PERMISSION_DENIED
    assert [call.values("x-tenant") for call in echo_origin.calls] == [["a"]]


def test_the_source_s_address_decides(start_weir, echo_origin, echo_stub):
    for source, expected in {
        "127.0.0.0/8": grpc.StatusCode.OK, "127.0.0.1": grpc.StatusCode.OK,
        "10.0.0.0/8": grpc.StatusCode.PERMISSION_DENIED,
        "::/0": grpc.StatusCode.PERMISSION_DENIED,
    }.items():
        rules = access({"methods": [SERVICE], "allow": [{"source": [source]}]})
        stub = echo_stub(start_weir(echo_origin.port, access=rules))
        assert code(stub) == expected, source


@pytest.mark.parametrize("values, allowed, denied", [
    ([], False, False), (["a"], True, True), (["b"], False, False), (["a", "b"], False, True),
    (["b", "a"], False, True), (["a", "a"], False, True), (["a,b"], False, False),
])
def test_values_of_a_repeated_header_are_compared_one_by_one(
        start_weir, start_origin, dial, values, allowed, denied):
    origin = start_origin()
    fields = changed(GRPC, put=[("x-tenant", value) for value in values])
    item = {"headers": {"X-Tenant": "a"}}
    for list_, passes in (("allow", allowed), ("deny", not denied)):
        proxy = start_weir(origin.port, access=access({"methods": [UNARY], list_: [item]}))
        client = dial(proxy)
        stream = client.until_over(client.request(fields, b"\0" * 5))
        assert stream.grpc_status == (OK if passes else PERMISSION_DENIED), (list_, stream)


@pytest.mark.parametrize("content_type", ["application/grpc", "text/plain", None])
def test_no_other_spelling_of_a_path_gets_past_a_deny(
        start_weir, start_origin, dial, content_type):
    """Whatever is not refused as a path is another path, and what goes on is what was decided."""
    origin = start_origin()
    rules = access(
        {"methods": [SERVICE], "http": ["* /a", "* /a/*", "* /admin", "* /hello"],
         "deny": ["anyone"]})
    proxy = start_weir(origin.port, access=rules)
    for path in [*BAD_PATHS.values(), *BAD_METHODS.values()]:
        fields = changed(GRPC, drop=["content-type"], path=path)
        if content_type:
            fields.append(("content-type", content_type))
        seen = len(origin.requests)
        client = dial(proxy)
        client.until_over(client.request(fields, b"\0" * 5))
        for request in origin.requests[seen:]:
            assert request.field(":path") == path
            assert not path.startswith(("/weir.echo.v1.Echo/", "/a", "/hello")), path


def test_a_method_is_named_by_its_path_alone(start_weir, start_origin, dial):
    origin = start_origin()
    client = dial(start_weir(origin.port, access=DENY_UNARY))
    types = ["application/grpc", "application/grpc+proto", "application/grpc-web",
             "Application/GRPC", "text/plain", "application/json", None]
    for content_type, method, query in itertools.product(
            types, ["POST", "GET", "PUT"], ["", "?x=1"]):
        fields = changed(
            GRPC, drop=["content-type"], method=method, path="/weir.echo.v1.Echo/Unary" + query)
        if content_type:
            fields.append(("content-type", content_type))
        stream = client.until_over(client.request(fields, b"\0" * 5))
        refused = stream.status == 403 or stream.grpc_status in (PERMISSION_DENIED, UNIMPLEMENTED)
        assert refused, (content_type, method, query, stream)
    assert origin.requests == []


def test_a_denial_tells_nothing_of_rules_and_routes(start_weir, start_origin, dial):
    origin = start_origin()
    rules = access(
        {"methods": ["weir.*", "none.*"], "deny": ["anyone"]},
        {"http": ["* /secret/*"], "deny": ["anyone"]})
    client = dial(start_weir(
        origin.port, access=rules, route={"matches": [{"path": {"prefix": "/weir.echo.v1.Echo"}}]}))
    answers = [
        client.until_over(client.request(changed(GRPC, path=path), b"\0" * 5))
        for path in ("/weir.echo.v1.Echo/Unary", "/none.Such/Method")]
    assert [stream.headers for stream in answers[1:]] == [answers[0].headers]
    assert answers[0].grpc_status == PERMISSION_DENIED
    text = repr(answers[0].headers)
    assert "rule" not in text and "allow" not in text
    plain = client.until_over(client.request(changed(GET, path="/secret/x")))
    assert plain.status == 403 and b"rule" not in bytes(plain.body)
    other = client.until_over(client.request(changed(POST, path="/secrets")))
    assert other.status == 404


def test_plain_http_goes_by_method_and_path(start_weir, start_origin, dial):
    origin = start_origin()
    rules = access({"http": ["GET /v1/*", "POST /v1/orders"], "allow": ["anyone"]}, default="deny")
    client = dial(start_weir(origin.port, access=rules))
    for method, path, status in [
        ("GET", "/v1", 200), ("GET", "/v1/", 200), ("GET", "/v1/a/b?c=d", 200),
        ("GET", "/v1beta", 403), ("GET", "/v2?/v1/", 403), ("HEAD", "/v1/a", 403),
        ("POST", "/v1/orders", 200), ("POST", "/v1/orders/1", 403), ("POST", "/v1", 403),
    ]:
        stream = client.until_over(
            client.request(changed(GET, method=method, path=path)))
        assert stream.status == status, (method, path, stream)


def test_a_dry_run_keeps_nobody_out(start_weir, echo_origin, echo_stub):
    rules = access({"methods": [SERVICE], "mode": "dry_run", "deny": ["anyone"]})
    assert code(echo_stub(start_weir(echo_origin.port, access=rules))) == grpc.StatusCode.OK


def test_a_changed_rule_holds_for_the_next_request_on_an_open_connection(
        start_weir, start_origin, dial):
    origin = start_origin()
    proxy = start_weir(origin.port)
    client = dial(proxy)

    def status():
        return client.until_over(client.request(GRPC, b"\0" * 5)).grpc_status

    def put(rules):
        config = yaml.safe_load(proxy.config_path.read_text())
        replace(proxy.config_path, {**config, "access": rules})

    assert status() == OK
    put(DENY_UNARY)
    waiting.until(lambda: status() == PERMISSION_DENIED, lambda: proxy.log, 10)
    put({"default": "allow"})
    waiting.until(lambda: status() == OK, lambda: proxy.log, 10)


RULES = access(
    {"methods": [SERVICE], "deny": [{"headers": {"x-bad": {"present": True}}}]},
    {"methods": [UNARY], "allow": [{"headers": {"x-tenant": "a"}}, {"source": ["10.0.0.0/8"]}]},
    {"methods": [SERVICE], "mode": "dry_run", "deny": [{"headers": {"x-old": "1"}}]})
# By the header of a call: rule, how, the answer, and what a dry run would change.
DECISIONS = [
    ({"x-tenant": "a"}, "rule-1", "allow", OK, None),
    ({"x-tenant": "a", "x-bad": ""}, "rule-0", "deny", PERMISSION_DENIED, None),
    ({"x-tenant": "b"}, "rule-1", "not_allowed", PERMISSION_DENIED, None),
    ({"x-tenant": "a", "x-old": "1"}, "rule-1", "allow", OK, "rule-2"),
]


def decided(proxy, dial):
    """Makes the calls of DECISIONS, and one that no rule names."""
    client = dial(proxy)
    for fields, _, _, status, _ in DECISIONS:
        stream = client.until_over(client.request(changed(GRPC, put=fields.items()), b"\0" * 5))
        assert stream.grpc_status == status, fields
    assert client.until_over(client.request(GET)).status == 200


def test_the_access_log_names_the_rule_and_how_it_decided(logged, start_origin, dial):
    proxy = logged(start_origin().port, access=RULES)
    decided(proxy, dial)
    records = proxy.wait_for_records(len(DECISIONS) + 1)
    for record, (fields, rule, how, status, dry_run) in zip(records, DECISIONS):
        assert (record["rule"], record["access"]) == (rule, how), fields
        assert record.get("dry_run_rule") == dry_run
        assert record.get("dry_run") == ("deny" if dry_run else None)
        assert record["reason"] == ("complete" if status == OK else "denied")
    assert not {"rule", "access", "dry_run", "dry_run_rule"} & set(records[-1])


def test_metrics_count_decisions_by_rule(told, start_origin, dial):
    proxy = told(start_origin().port, access=RULES)
    decided(proxy, dial)

    def count(rule, verdict):
        return proxy.value("weir_access_decisions_total", rule=rule, verdict=verdict)

    assert count("rule-0", "denied") == 1
    assert (count("rule-1", "allowed"), count("rule-1", "denied")) == (2, 1)
    assert count("", "allowed") == 1
    assert proxy.value("weir_access_dry_run_total", rule="rule-2", would="refuse") == 1
    assert proxy.value("weir_access_dry_run_total") == 1


def test_counts_of_a_rule_leave_with_it_and_others_go_on(told, start_origin, dial):
    proxy = told(start_origin().port, access=RULES)
    decided(proxy, dial)
    config = proxy.config
    config["access"] = {"default": "allow", "rules": RULES["rules"][1:2]}
    replace(proxy.config_path, config)
    waiting.until(
        lambda: proxy.value("weir_access_decisions_total", rule="rule-0") == 0,
        lambda: f"the rule to go\n{proxy.log}", 10)
    assert proxy.value("weir_access_decisions_total", rule="rule-1", verdict="allowed") == 2
    client = dial(proxy)
    stream = client.request(changed(GRPC, put=[("x-tenant", "a"), ("x-bad", "")]), b"\0" * 5)
    assert client.until_over(stream).grpc_status == OK
    assert proxy.value("weir_access_decisions_total", rule="rule-1", verdict="allowed") == 3


def test_explain_says_which_rule_decides_and_why(tmp_path):
    config = program.configuration(1, [2], access=RULES)
    path = tmp_path / "weir.yaml"
    path.write_text(yaml.safe_dump(config))

    def explain(*arguments):
        result = subprocess.run(
            [program.binary(), "explain", "--config", path, "--method", UNARY, *arguments],
            capture_output=True, text=True)
        return result.returncode, result.stdout

    status, text = explain("--header", "x-tenant: a")
    assert status == 0 and "access: allowed by rule rule-1, allow 1\n" in text
    status, text = explain("--header", "x-tenant: a", "--header", "x-bad: 1")
    assert status == 1 and "access: denied by rule rule-0, deny 1: PERMISSION_DENIED\n" in text
    status, text = explain("--source", "10.1.2.3", "--header", "x-old: 1")
    assert status == 0 and "access: allowed by rule rule-1, allow 2\n" in text
    assert "  were dry runs enforced: denied by rule rule-2, deny 1" in text
    status, text = explain("--peer", "spiffe://mesh.example/web")
    assert status == 1
    assert "allow 1 does not hold: the header x-tenant is not as it asks" in text


def descriptors(**services):
    """A set of descriptors as protoc writes it: of a package a.v1 with these services."""
    file = descriptor_pb2.FileDescriptorProto(name="a.proto", package="a.v1", syntax="proto3")
    file.message_type.add(name="M")
    for name, methods in services.items():
        service = file.service.add(name=name)
        for method in methods:
            service.method.add(name=method, input_type=".a.v1.M", output_type=".a.v1.M")
    return descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString()


def test_the_matrix_has_every_method_and_lists_what_nothing_guards(tmp_path):
    rules = access(
        {"methods": ["a.v1.One/Get"], "allow": [{"source": ["10.0.0.0/8"]}]},
        {"methods": ["a.v1.One/*"], "deny": [{"headers": {"x-old": "1"}}]},
        {"methods": ["b.Other/*"], "allow": ["anyone"]})
    path = tmp_path / "weir.yaml"
    path.write_text(yaml.safe_dump(program.configuration(1, [2], access=rules)))
    set_path = tmp_path / "set.pb"
    set_path.write_bytes(descriptors(One=["Get", "Put"], Two=["Call"]))

    def matrix(*arguments):
        result = subprocess.run(
            [program.binary(), "access", "matrix", "--config", path, *arguments],
            capture_output=True, text=True)
        return result.returncode, result.stdout

    status, text = matrix("--descriptors", set_path)
    assert status == 1
    assert text == """\
a.v1.One/*
  deny: with header x-old '1', by rule rule-1
  everybody else, by access.default
a.v1.One/Get
  deny: with header x-old '1', by rule rule-1
  allow: from 10.0.0.0/8, by rule rule-0
  nobody else
a.v1.One/Put
  deny: with header x-old '1', by rule rule-1
  everybody else, by access.default
a.v1.Two/Call
  everybody, by access.default
b.Other/*
  allow: everybody, by rule rule-2
  nobody else
nothing guards:
  a.v1.Two/Call at edge
"""
    assert matrix() == (0, text.split("nothing")[0].replace(
        "a.v1.One/Put\n  deny: with header x-old '1', by rule rule-1\n"
        "  everybody else, by access.default\n", "").replace(
        "a.v1.Two/Call\n  everybody, by access.default\n", ""))
    set_path.write_bytes(b"\x0a\x05x")
    assert matrix("--descriptors", set_path)[0] == 2
