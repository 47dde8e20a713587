"""Endpoints from DNS and from files: they change under running streams, and no call notices."""

import http.client
import os
import struct
import subprocess
import threading
import time

import grpc
import pytest

import dns_server as dns
import waiting
import weir as program
from echo_origin import EchoOrigin
from echo_pb2 import EchoRequest
from reloading import Swap, pause, replace, serve  # noqa: F401
from telemetry import told  # noqa: F401


class OriginAt(EchoOrigin):
    """On a loopback address and a port of choice."""

    def __init__(self, host, port=0):
        self._place = f"{host}:{port}"
        super().__init__(options=[("grpc.so_reuseport", 0)])

    def add_port(self, server, address):
        return server.add_insecure_port(self._place)


@pytest.fixture
def name_server(request):
    server = dns.DNSServer()
    yield server
    server.stop()


@pytest.fixture
def origins():
    """Three servers on one port and addresses of their own."""
    first = OriginAt("127.0.0.1")
    started = [first] + [OriginAt(f"127.0.0.{last}", first.port) for last in (2, 3)]
    yield started
    for origin in started:
        origin.stop()


def by_name(server, port=None, **terms):
    port = {} if port is None else {"port": port}
    return {"endpoints": {"dns": {
        "name": "orders.internal", "servers": [server.address], "min_ttl": "1s", "timeout": "200ms",
        **port, **terms}}}


def endpoints(proxy):
    return sorted(proxy.told("/upstreams")[0]["endpoints"])


def facts(proxy):
    return proxy.told("/upstreams")[0]["discovery"]


def wait_for_endpoints(proxy, *expected, timeout=10):
    waiting.until(
        lambda: endpoints(proxy) == sorted(expected),
        lambda: f"{expected}; there are {endpoints(proxy)}\n{proxy.log}", timeout, interval=0.02)


def unary(stub, count=1):
    for _ in range(count):
        assert stub.Unary(EchoRequest(payload=b"a"), timeout=5).payload == b"a"


class Conversation:
    """A bidirectional stream that is open while other things happen."""

    def __init__(self, stub):
        self._more = threading.Semaphore(0)
        self._over = False
        self._answers = stub.Bidi(self._requests(), timeout=60)

    def _requests(self):
        while True:
            self._more.acquire()
            if self._over:
                return
            yield EchoRequest(payload=b"turn")

    def turn(self):
        self._more.release()
        assert next(self._answers).payload == b"turn"

    def end(self):
        self._over = True
        self._more.release()
        assert list(self._answers) == []


class Callers:
    """Calls one after the other until told to stop; every one must succeed."""

    def __init__(self, stub, threads=4):
        self.count, self.faults = 0, []
        self._stub, self._stop = stub, threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(20)
        assert self.faults == [] and self.count > 0

    def _run(self):
        while not self._stop.is_set():
            try:
                unary(self._stub)
                self.count += 1
            except grpc.RpcError as error:
                self.faults.append(f"{error.code()} {error.details()}")


def test_addresses_change_under_streams_and_calls(told, name_server, origins, echo_stub):  # noqa: F811
    port = origins[0].port
    name_server.records["orders.internal"] = [dns.address("127.0.0.1"), dns.address("127.0.0.2")]
    proxy = told(upstream=by_name(name_server, port), workers=2)
    wait_for_endpoints(proxy, f"127.0.0.1:{port}", f"127.0.0.2:{port}")
    stub = echo_stub(proxy)
    conversations = [Conversation(stub) for _ in range(4)]
    for conversation in conversations:
        conversation.turn()
    with Callers(stub) as callers:
        name_server.records["orders.internal"] = [
            dns.address("127.0.0.2"), dns.address("127.0.0.3")]
        wait_for_endpoints(proxy, f"127.0.0.2:{port}", f"127.0.0.3:{port}")
        for conversation in conversations:
            conversation.turn()
        goal = callers.count + 50
        waiting.until(lambda: callers.count > goal or callers.faults, "more calls")
    seen = [len(origin.calls) for origin in origins]
    for conversation in conversations:
        conversation.turn()
        conversation.end()
    unary(stub, 20)
    after = [len(origin.calls) for origin in origins]
    assert after[0] == seen[0] and after[1] > seen[1] and after[2] > seen[2], (seen, after)
    words = [line for line in proxy.log.splitlines() if "endpoints changed" in line][-1]
    assert f"added=[127.0.0.3:{port}] removed=[127.0.0.1:{port}] endpoints=2" in words
    assert proxy.value("weir_discovery_changes_total", upstream="origin") == 2
    assert proxy.value("weir_discovery_endpoints", upstream="origin") == 2
    # A reload goes on with what is known.
    replace(proxy.config_path, {**proxy.config, "routes": [
        {"name": "other", "backends": [{"upstream": "origin"}]}]})
    with Callers(stub):
        proxy.wait_for_line("reloaded revision")
        wait_for_endpoints(proxy, f"127.0.0.2:{port}", f"127.0.0.3:{port}")
        pause(0.3)
    assert proxy.told("/upstreams")[0]["discovery"]["source"].startswith("dns orders.internal")


def test_time_to_live_is_honoured(told, name_server, echo_origin, echo_stub):  # noqa: F811
    name_server.records["orders.internal"] = [dns.address("127.0.0.1", ttl=2)]
    proxy = told(upstream=by_name(name_server, echo_origin.port, type="a"))
    unary(echo_stub(proxy))
    asked = waiting.until(
        lambda: len(times := name_server.times("orders.internal")) >= 3 and times,
        "three lookups", 10)
    gaps = [later - earlier for earlier, later in zip(asked, asked[1:])]
    assert all(1.9 <= gap <= 3 for gap in gaps), gaps
    assert 0 <= facts(proxy)["ttl_left_seconds"] <= 2


def test_time_to_live_is_raised_and_cut(told, name_server, echo_origin):  # noqa: F811
    name_server.records["short.internal"] = [dns.address("127.0.0.1", ttl=0)]
    name_server.records["long.internal"] = [dns.address("127.0.0.1", ttl=86_400)]
    config = program.configuration(program.free_port(), [echo_origin.port])
    dns_terms = {"port": echo_origin.port, "servers": [name_server.address], "type": "a"}
    config["upstreams"] = [
        {"name": "short", "endpoints": {"dns": {
            "name": "short.internal", "min_ttl": "2s", **dns_terms}}},
        {"name": "long", "endpoints": {"dns": {
            "name": "long.internal", "min_ttl": "1s", "max_ttl": "1s", **dns_terms}}}]
    config["routes"] = [
        {"name": name, "hostnames": [name], "backends": [{"upstream": name}]}
        for name in ("short", "long")]
    told(config=config)
    waiting.until(lambda: len(name_server.times("short.internal")) >= 2, "a second lookup", 10)
    first, second = name_server.times("short.internal")[:2]
    assert second - first >= 1.9
    assert len(name_server.times("long.internal")) >= 2


@pytest.mark.parametrize("trouble", [dns.SERVFAIL, dns.NXDOMAIN, None, [], b"\x81\x80" + b"\xff" * 20,
                                     "loop"],
                         ids=["failure", "no name", "silence", "no data", "nonsense", "pointer loop"])
def test_the_last_answer_stays(told, name_server, echo_origin, echo_stub, trouble):  # noqa: F811
    name_server.records["orders.internal"] = [dns.address("127.0.0.1")]
    proxy = told(upstream=by_name(name_server, echo_origin.port, type="a", tries=1))
    stub = echo_stub(proxy)
    unary(stub)
    if trouble == "loop":
        name = dns.encoded("orders.internal")
        owner = bytes([0xC0, 12 + len(name) + 4])
        trouble = (struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0) + name + struct.pack(">HH", 1, 1)
                   + owner + struct.pack(">HHIH", 1, 1, 1, 4) + b"\x7f\0\0\1")
    name_server.records["orders.internal"] = trouble
    with Callers(stub):
        line = proxy.wait_for_line("endpoints not found", timeout=15)
        assert "the last ones stay in use" in line
        waiting.until(
            lambda: proxy.value("weir_discovery_lookups_total", outcome="failed") >= 2,
            "two lookups that failed", 15)
    assert len(proxy.lines("endpoints not found")) == 1
    assert facts(proxy)["last_error"] and endpoints(proxy) == [f"127.0.0.1:{echo_origin.port}"]
    assert proxy.value("weir_discovery_failing", upstream="origin") == 1
    assert proxy.value("weir_discovery_answer_age_seconds", upstream="origin") > 0.5
    name_server.records["orders.internal"] = [dns.address("127.0.0.1")]
    proxy.wait_for_line("endpoints found again", timeout=15)
    assert "last_error" not in facts(proxy)


def test_no_addresses_may_be_taken_at_its_word(told, name_server, echo_origin, echo_stub):  # noqa: F811
    name_server.records["orders.internal"] = [dns.address("127.0.0.1")]
    proxy = told(upstream=by_name(name_server, echo_origin.port, empty="take"))
    stub = echo_stub(proxy)
    conversation = Conversation(stub)
    conversation.turn()
    name_server.records["orders.internal"] = []
    wait_for_endpoints(proxy)
    with pytest.raises(grpc.RpcError) as refusal:
        stub.Unary(EchoRequest(), timeout=5)
    assert refusal.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "has no endpoints now" in refusal.value.details()
    conversation.turn()
    conversation.end()


def test_calls_wait_for_the_first_answer(told, name_server, echo_origin, echo_stub):  # noqa: F811
    name_server.records["orders.internal"] = None
    upstream = by_name(name_server, echo_origin.port, type="a", tries=1)
    upstream["timeouts"] = {"connect": "2s"}
    # Nobody's readiness waits for longer than the first lookup.
    proxy = told(upstream=upstream)
    assert "endpoints not found" in proxy.log and "none known yet" in proxy.log
    stub = echo_stub(proxy)
    began = time.monotonic()
    with pytest.raises(grpc.RpcError) as refusal:
        stub.Unary(EchoRequest(), timeout=10)
    assert refusal.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "DNS gave no answer" in refusal.value.details()
    assert 1.5 < time.monotonic() - began < 4
    with pytest.raises(grpc.RpcError) as refusal:
        stub.Unary(EchoRequest(), timeout=0.3)
    assert refusal.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    waiting_call = stub.Unary.future(EchoRequest(payload=b"b"), timeout=10)
    name_server.records["orders.internal"] = [dns.address("127.0.0.1")]
    try:
        assert waiting_call.result().payload == b"b"
    except grpc.RpcError:
        # Lookups that fail are made ever more rarely: the first call may have given up.
        proxy.wait_for_line("endpoints changed", timeout=40)
        unary(stub)


def test_readiness_waits_for_the_first_lookup(name_server, echo_origin, serve):  # noqa: F811
    name_server.records["orders.internal"] = None
    port, metrics_port = program.free_port(), program.free_port()
    config = program.configuration(
        port, [], upstream=by_name(name_server, echo_origin.port, type="a", tries=1, timeout="4s"),
        metrics={"address": f"127.0.0.1:{metrics_port}"})
    proxy = serve(config)

    def ready():
        connection = http.client.HTTPConnection("127.0.0.1", metrics_port, timeout=5)
        try:
            connection.request("GET", "/ready")
        except ConnectionRefusedError:
            return 0, ""
        response = connection.getresponse()
        return response.status, response.read().decode()

    status, words = waiting.until(lambda: (answer := ready())[0] and answer, "the port")
    assert status == 503 and "first answers about endpoints" in words, proxy.log
    waiting.until(lambda: ready()[0] == 200, "readiness", 15)


def test_what_cannot_be_reached_is_looked_up_again(told, name_server, origins, echo_stub):  # noqa: F811
    port = origins[0].port
    name_server.records["orders.internal"] = [dns.address("127.0.0.1", ttl=3_600)]
    proxy = told(upstream=by_name(name_server, port, type="a"))
    stub = echo_stub(proxy)
    unary(stub)
    name_server.records["orders.internal"] = [dns.address("127.0.0.2", ttl=3_600)]
    origins[0].stop()

    def answered():
        try:
            unary(stub)
            return True
        except grpc.RpcError:
            return False

    waiting.until(answered, "a call to the other server", 15, interval=0.05)
    asked = name_server.times("orders.internal")
    assert len(asked) == 2 and asked[1] - asked[0] >= 4.9, asked
    origins[0].stop = lambda: None


def test_services_have_ports_weights_and_priorities(told, name_server, echo_stub):  # noqa: F811
    first, second, spare = (OriginAt("127.0.0.1") for _ in range(3))
    name_server.records.update({
        "_grpc._tcp.orders.internal": [
            dns.service("a.orders.internal", first.port, 1, 30),
            dns.service("b.orders.internal", second.port, 1, 10),
            dns.service("c.orders.internal", spare.port, 2, 10)],
        "a.orders.internal": [dns.address("127.0.0.1", ttl=60)],
        "b.orders.internal": [dns.alias("d.orders.internal"), ],
        "c.orders.internal": [dns.address("127.0.0.1")],
    })
    upstream = by_name(name_server, name="_grpc._tcp.orders.internal.", type="srv")
    proxy = told(upstream=upstream)
    wait_for_endpoints(proxy, f"127.0.0.1:{first.port}")
    name_server.records["b.orders.internal"] = [dns.address("127.0.0.1", ttl=60)]
    wait_for_endpoints(proxy, f"127.0.0.1:{first.port}", f"127.0.0.1:{second.port}")
    stub = echo_stub(proxy)
    unary(stub, 4)
    before = len(first.calls), len(second.calls)
    unary(stub, 80)
    counts = len(first.calls) - before[0], len(second.calls) - before[1]
    assert abs(counts[0] - 60) <= 4 and abs(counts[1] - 20) <= 4, counts
    assert spare.calls == []
    # Where none of the first choice is known by any address, the next one is taken.
    name_server.records["a.orders.internal"] = name_server.records["b.orders.internal"] = []
    wait_for_endpoints(proxy, f"127.0.0.1:{spare.port}")
    unary(stub, 5)
    assert len(spare.calls) == 5
    asked = name_server.times("_grpc._tcp.orders.internal", dns.SRV)
    gaps = [later - earlier for earlier, later in zip(asked, asked[1:])]
    assert gaps and all(0.9 <= gap <= 2.5 for gap in gaps), gaps
    for origin in (first, second, spare):
        origin.stop()


def test_a_thousand_addresses_come_over_tcp(told, name_server, echo_stub):  # noqa: F811
    addresses = [f"127.1.{n // 250}.{n % 250 + 1}" for n in range(1_200)]
    name_server.records["orders.internal"] = [dns.address(text, ttl=60) for text in addresses]
    proxy = told(upstream=by_name(name_server, 50_051, type="a"))
    waiting.until(lambda: len(endpoints(proxy)) == 1_000, lambda: proxy.log, 10)
    assert "left_out=200" in proxy.log
    assert {transport for *_, transport in name_server.queries} == {"udp", "tcp"}
    line = proxy.lines("endpoints changed")[0]
    assert "and 990 more" in line and len(line) < 1_000


def test_one_family_may_fail(told, name_server, echo_origin, echo_stub):  # noqa: F811
    name_server.records["orders.internal"] = {
        dns.A: [dns.address("127.0.0.1")], dns.AAAA: [dns.address("::1")]}
    proxy = told(upstream=by_name(name_server, echo_origin.port))
    port = echo_origin.port
    wait_for_endpoints(proxy, f"127.0.0.1:{port}", f"[::1]:{port}")
    name_server.records["orders.internal"] = {
        dns.A: [dns.address("127.0.0.2")], dns.AAAA: dns.SERVFAIL}
    wait_for_endpoints(proxy, f"127.0.0.2:{port}", f"[::1]:{port}")
    assert facts(proxy)["last_error"]


# Files


@pytest.fixture
def endpoint_file(tmp_path):
    path = tmp_path / "endpoints.yaml"
    path.write_text("[]\n")
    return path


def listed(*ports):
    return "".join(f"- 127.0.0.1:{port}\n" for port in ports)


def test_files_change_under_load(told, echo_stub, endpoint_file):  # noqa: F811
    first, second = EchoOrigin(), EchoOrigin()
    endpoint_file.write_text(listed(first.port))
    proxy = told(upstream={"endpoints": {"file": str(endpoint_file)}}, workers=2)
    stub = echo_stub(proxy)
    conversation = Conversation(stub)
    conversation.turn()
    one, two = f"127.0.0.1:{first.port}", f"127.0.0.1:{second.port}"
    with Callers(stub):
        endpoint_file.write_text(listed(first.port, second.port))
        wait_for_endpoints(proxy, one, two)
        replace(endpoint_file, listed(second.port))
        wait_for_endpoints(proxy, two)
        for broken in ("- 127.0.0.1:70000\n", "{a: 1}\n", "- [\n", "", "- {address: 127.0.0.1:1, x: 1}\n"):
            count = len(proxy.lines("endpoints not found"))
            replace(endpoint_file, broken)
            proxy.wait_for_line("endpoints not found", count + 1)
        endpoint_file.unlink()
        proxy.wait_for_line("No such file")
        assert endpoints(proxy) == [two]
        # Of a restart, or a reload meanwhile, nothing is lost either.
        replace(proxy.config_path, {**proxy.config, "routes": [
            {"name": "other", "backends": [{"upstream": "origin"}]}]})
        proxy.wait_for_line("reloaded revision")
        endpoint_file.write_text('[{"address": "%s", "weight": 3}]' % one)
        proxy.wait_for_line("endpoints found again")
        wait_for_endpoints(proxy, one)
    conversation.turn()
    conversation.end()
    endpoint_file.write_text("[]")
    wait_for_endpoints(proxy)
    with pytest.raises(grpc.RpcError) as refusal:
        stub.Unary(EchoRequest(), timeout=5)
    assert "has no endpoints now" in refusal.value.details()
    first.stop()
    second.stop()


def test_links_are_followed(told, echo_stub, tmp_path):  # noqa: F811
    first, second = EchoOrigin(), EchoOrigin()
    folder = tmp_path / "mounted"
    folder.mkdir()
    swap = Swap(folder, {"endpoints.yaml": listed(first.port)})
    proxy = told(upstream={"endpoints": {"file": str(folder / "endpoints.yaml")}})
    stub = echo_stub(proxy)
    with Callers(stub):
        for ports in ((first.port, second.port), (second.port,), (first.port,)):
            swap.change({"endpoints.yaml": listed(*ports)})
            wait_for_endpoints(proxy, *(f"127.0.0.1:{port}" for port in ports))
    first.stop()
    second.stop()


def test_a_broken_file_is_an_error_at_first(tmp_path, endpoint_file):
    endpoint_file.write_text("- nonsense\n")
    config = program.configuration(1, [], upstream={"endpoints": {"file": "endpoints.yaml"}})
    path = tmp_path / "weir.yaml"
    replace(path, config)
    result = subprocess.run(
        [program.binary(), "check", "--config", path], capture_output=True, text=True)
    assert result.returncode == 1 and "the endpoints in" in result.stdout + result.stderr
    os.unlink(endpoint_file)
