"""x-request-id is made or kept, trace contexts pass, and loops end at their first return."""

import re

import pytest

import weir as program
from access_log import logged  # noqa: F401
from frames import GET, GRPC, changed
from reloading import serve  # noqa: F401

MADE = re.compile(r"[0-9a-f]{32}")


def one(start, origin, dial, policy, *ids, fields=GET, **parts):
    """What the origin got, what the client got, and the log's record."""
    listener = {"request_id": policy} if policy else {}
    proxy = start(origin.port, listener=listener, **parts)
    client = dial(proxy)
    stream = client.until_over(
        client.request(changed(fields, put=[("x-request-id", id) for id in ids])))
    record = proxy.wait_for_records()[0]
    return [value(r, "x-request-id") for r in origin.requests], stream, record


def value(request, name):
    """All values of a field."""
    return [v.decode() for n, v in request.headers if n == name.encode()]


def test_by_default_none_is_made(logged, start_origin, dial):  # noqa: F811
    got, _, record = one(logged, start_origin(), dial, None)
    assert got == [[]] and "request_id" not in record


def test_by_default_anything_passes(logged, start_origin, dial):  # noqa: F811
    got, _, record = one(logged, start_origin(), dial, None, "a b")
    assert got == [["a b"]] and record["request_id"] == "a b"


@pytest.mark.parametrize("fields", [GET, GRPC], ids=["HTTP", "gRPC"])
@pytest.mark.parametrize("policy", ["make", "replace"])
def test_one_is_made(logged, start_origin, dial, policy, fields):  # noqa: F811
    got, stream, record = one(logged, start_origin(), dial, policy, fields=fields)
    assert MADE.fullmatch(got[0][0]) and got == [[record["request_id"]]]
    assert stream.field("x-request-id") is None


def test_one_that_came_is_kept(logged, start_origin, dial):  # noqa: F811
    got, _, record = one(logged, start_origin(), dial, "make", "8c1e-2f")
    assert got == [["8c1e-2f"]] and record["request_id"] == "8c1e-2f"


@pytest.mark.parametrize("ids", [("a b",), ("x" * 129,), ("",), ("a", "b"), ("é",)], ids=str)
def test_one_that_cannot_be_believed_is_replaced(logged, start_origin, dial, ids):  # noqa: F811
    got, _, record = one(logged, start_origin(), dial, "make", *ids)
    assert len(got[0]) == len(ids) and len(set(got[0])) == 1
    assert MADE.fullmatch(got[0][0]) and record["request_id"] == got[0][0]


def test_replace_keeps_none(logged, start_origin, dial):  # noqa: F811
    got, _, record = one(logged, start_origin(), dial, "replace", "8c1e-2f")
    assert MADE.fullmatch(got[0][0]) and record["request_id"] == got[0][0]


@pytest.mark.parametrize("fields", [GET, GRPC], ids=["HTTP", "gRPC"])
def test_answers_of_weirs_own_have_it(logged, start_origin, dial, fields):  # noqa: F811
    respond = {"backends": None, "respond": {"status": 404, "body": "no"}}
    got, stream, record = one(
        logged, start_origin(), dial, "make", fields=fields, route=respond, upstream={})
    assert got == [] and MADE.fullmatch(record["request_id"])
    assert stream.field("x-request-id") == record["request_id"]


def test_no_two_are_the_same(start_weir, start_origin, dial):
    origin = start_origin()
    proxy = start_weir(origin.port, workers=2, listener={"request_id": "make"})
    for client in [dial(proxy) for _ in range(4)]:
        for _ in range(50):
            client.until_over(client.request(GET))
    ids = [value(request, "x-request-id")[0] for request in origin.requests]
    assert len(set(ids)) == 200 and all(MADE.fullmatch(id) for id in ids)


def test_the_trace_context_passes_untouched(start_weir, start_origin, dial):
    origin = start_origin()
    proxy = start_weir(origin.port, listener={"request_id": "replace"})
    context = [
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"), ("tracestate", "other=1"),
        ("baggage", "userId=alice,serverNode=DF%2028"),
    ]
    client = dial(proxy)
    client.until_over(client.request(changed(GRPC, put=context)))
    got = [(n.decode(), v.decode()) for n, v in origin.requests[0].headers]
    assert [field for field in got if field in context] == context
    # Odd ones are not Weir's to judge.
    client.until_over(client.request(changed(GRPC, put=[("traceparent", "nonsense")])))
    assert value(origin.requests[1], "traceparent") == ["nonsense"]


def ring(count, **listener):
    """Configurations of proxies that forward to each other in a ring."""
    ports = [program.free_port() for _ in range(count)]
    return [
        program.configuration(port, [ports[(index + 1) % count]], listener=listener)
        for index, port in enumerate(ports)]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_loop_ends_at_its_first_return(serve, dial, count):  # noqa: F811
    proxies = [serve(config) for config in ring(count)]
    client = dial(proxies[0])
    stream = client.until_over(client.request(GET))
    assert stream.status == 508 and b"passed this proxy before" in stream.body
    stream = client.until_over(client.request(GRPC))
    assert stream.is_trailers_only and stream.grpc_status == 10
    proxies[0].wait_for_line("a request came back in a forwarding loop listener=edge peer=")
    # Each proxy saw each request once, the first one twice.
    for proxy in proxies:
        proxy.stop()
    seen = [int(re.search(r" requests=(\d+)", proxy.log)[1]) for proxy in proxies]
    assert seen == [4] + [2] * (count - 1)


def test_a_loop_is_in_the_access_log(logged, start_weir, dial):  # noqa: F811
    port = program.free_port()
    proxy = logged(port)
    other = start_weir(proxy.port)
    # The first proxy's upstream is a port on which the second listens, and the other way round.
    config = dict(proxy.config, upstreams=[
        {"name": "origin", "endpoints": [f"127.0.0.1:{other.port}"]}])
    from reloading import replace
    replace(proxy.config_path, config)
    proxy.wait_for_line("reloaded")
    client = dial(proxy)
    assert client.until_over(client.request(GRPC)).grpc_status == 10
    inner, outer = proxy.wait_for_records(2)
    assert inner["reason"] == "loop" and inner["fault"] == "weir" and inner["ended_by"] == "weir"
    assert "route" not in inner and outer["reason"] == "complete"
    assert outer["grpc_status"] == "ABORTED"


def test_other_proxies_in_via_are_no_loop(start_weir, start_origin, dial):
    origin = start_origin()
    proxy = start_weir(origin.port)
    client = dial(proxy)
    others = [("via", "1.1 varnish"), ("via", "2 weir-0000000000000000, 1.1 nginx (a)")]
    assert client.until_over(client.request(changed(GET, put=others))).status == 200
    got = value(origin.requests[0], "via")
    assert got[:2] == [v for _, v in others] and re.fullmatch("2 weir-[0-9a-f]{16}", got[2])
    # The same mark however other proxies write it down: joined, or with another version.
    for again in [f"1.1 a, {got[2]}", got[2].replace("2 ", "2.0 ") + " (x), 1.0 b"]:
        assert client.until_over(client.request(changed(GET, put=[("via", again)]))).status == 508


def test_loops_that_are_allowed_are_not_marked(start_weir, start_origin, dial):
    origin = start_origin()
    proxy = start_weir(origin.port, listener={"loops": "allow"})
    marked = start_weir(proxy.port)
    client = dial(marked)
    assert client.until_over(client.request(GET)).status == 200
    assert len(value(origin.requests[0], "via")) == 1
    client = dial(proxy)
    assert client.until_over(client.request(GET)).status == 200
    assert value(origin.requests[1], "via") == []
