"""The PROXY protocol: who the client is, as the load balancer in front says before its bytes."""

import shutil
import socket
import ssl
import struct
import subprocess
import time

import pytest

import frames
import waiting
import weir as program
from access_log import logged  # noqa: F401
from authority import Authority
from echo_pb2 import EchoRequest
from frames import GET
from telemetry import told  # noqa: F401

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
REFUSED = "weir_proxy_protocol_refused_total"
BOTH = ["v1", "v2"]
FROM_HERE = {"proxy_protocol_from": ["127.0.0.1"]}
ONLY_CLIENT = {
    "default": "deny",
    "rules": [{"name": "client", "http": ["* /*"], "allow": [{"source": ["203.0.113.0/24"]}]}]}


def v1(source="203.0.113.7", port=56_324, family="TCP4"):
    target = "198.51.100.1" if family == "TCP4" else "2001:db8::1"
    return f"PROXY {family} {source} {target} {port} 443\r\n".encode()


def v2(source="203.0.113.7", port=56_324, command=1, fields=b""):
    kind = socket.AF_INET6 if ":" in source else socket.AF_INET
    address = socket.inet_pton(kind, source)
    block = address + bytes(len(address)) + struct.pack(">HH", port, 443) + fields
    family = 0x21 if kind == socket.AF_INET6 else 0x11
    return SIGNATURE + struct.pack(">BBH", 0x20 | command, family, len(block)) + block


HEADERS = {"v1": v1, "v2": v2}


def listener(version, **more):
    return {"proxy_protocol": version, **FROM_HERE, "trusted_proxies": [], **more}


def begun(dial, proxy, header):
    """A client behind a balancer that says `header`."""
    client = dial(proxy, preface=False)
    client.send(header + frames.PREFACE)
    client.send_settings({})
    return client


def told_from(origin):
    """What the server was told of the client."""
    return [v.decode() for n, v in origin.requests[-1].headers if n == b"x-forwarded-for"]


@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize("source", ["203.0.113.7", "2001:db8::7"])
def test_the_client_is_whom_the_header_names(
        start_weir, start_origin, dial, version, source):
    rule = {"name": "client", "http": ["* /*"], "allow": [{"source": [source]}]}
    origin = start_origin()
    proxy = start_weir(
        origin.port, listener=listener(version), access={"default": "deny", "rules": [rule]})
    terms = {"family": "TCP6"} if version == "v1" and ":" in source else {}
    client = begun(dial, proxy, HEADERS[version](source, **terms))
    assert client.until_over(client.request(GET)).status == 200
    assert told_from(origin) == [source]
    other = begun(dial, proxy, HEADERS[version]("198.51.100.9"))
    assert other.until_over(other.request(GET)).status == 403


@pytest.mark.parametrize("header", [
    b"PROXY UNKNOWN\r\n", v2(command=0), SIGNATURE + b"\x20\x00\x00\x00",
    SIGNATURE + b"\x21\x31\x00\xd8" + b"A" * 216, SIGNATURE + b"\x21\x00\x00\x00",
])
def test_who_speaks_for_nobody_comes_from_its_own_address(
        start_weir, start_origin, dial, header):
    origin = start_origin()
    version = "v1" if header.startswith(b"PROXY") else "v2"
    proxy = start_weir(origin.port, listener=listener(version))
    client = begun(dial, proxy, header)
    assert client.until_over(client.request(GET)).status == 200
    assert told_from(origin) == ["127.0.0.1"]


@pytest.mark.parametrize("version", BOTH)
def test_the_header_may_be_cut_anywhere(start_weir, start_origin, dial, version):
    proxy = start_weir(start_origin().port, listener=listener(version), access=ONLY_CLIENT)
    opening = HEADERS[version]() + frames.PREFACE
    clients = []
    for cut in range(1, len(opening)):
        client = dial(proxy, preface=False)
        client.send(opening[:cut])
        clients.append((client, opening[cut:]))
    for client, rest in clients:
        client.send(rest)
        client.send_settings({})
        stream = client.request(GET)
        assert client.until_over(stream).status == 200
    client = dial(proxy, preface=False)
    client.send_bytewise(opening)
    client.send_settings({})
    assert client.until_over(client.request(GET)).status == 200


BAD = {
    "v1": [
        frames.PREFACE, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", v2(),
        b"PROXY TCP4 203.0.113.07 198.51.100.1 1 2\r\n", b"PROXY UNKNOWN" + b"x" * 200,
        b"PROXY TCP4 203.0.113.7 198.51.100.1 1 2\n" + b"\r\n",
    ],
    "v2": [
        frames.PREFACE, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", v1(),
        SIGNATURE + b"\x11", SIGNATURE + b"\x22\x11\x00\x0c", SIGNATURE + b"\x21\x41\x00\x0c",
        SIGNATURE + b"\x21\x11\x00\x0b", SIGNATURE + b"\x21\x11\xff\xff",
        v2(fields=b"\x04\x00\x05ab"), v2(fields=b"\x03\x00\x04\x00\x00\x00\x00"),
    ],
}


@pytest.mark.parametrize("version", BOTH)
def test_anything_else_is_closed_without_a_word(told, start_origin, dial, version):  # noqa: F811
    proxy = told(start_origin().port, listener=listener(version))
    for bad in BAD[version]:
        with socket.create_connection(("127.0.0.1", proxy.port), 5) as client:
            client.sendall(bad)
            try:
                assert client.recv(100) == b"", bad
            except ConnectionResetError:
                pass
    proxy.wait_for_log("PROXY header refused listener=edge peer=127.0.0.1:")
    assert proxy.value(REFUSED, reason="header") == len(BAD[version])
    client = begun(dial, proxy, HEADERS[version]())
    assert client.until_over(client.request(GET)).status == 200


@pytest.mark.parametrize("version", BOTH)
def test_only_those_that_are_named_may_connect(told, start_origin, version):  # noqa: F811
    parts = {**listener(version), "proxy_protocol_from": ["192.0.2.0/24", "unix"]}
    proxy = told(start_origin().port, listener=parts)
    for opening in (HEADERS[version]() + frames.PREFACE, frames.PREFACE, b""):
        with socket.create_connection(("127.0.0.1", proxy.port), 5) as client:
            try:
                client.sendall(opening)
                assert client.recv(100) == b""
            except (ConnectionResetError, BrokenPipeError):
                pass
    proxy.wait_for_log("PROXY sender refused listener=edge peer=127.0.0.1:")
    assert proxy.value(REFUSED, reason="sender") >= 3
    assert proxy.value("weir_downstream_connections_opened_total") == 0


def test_the_time_for_a_header_is_bounded(start_weir, start_origin, tmp_path):
    quick = {"timeouts": {"preface": "300ms", "handshake": "300ms"}}
    leaf = Authority(tmp_path).issue("edge", dns=["weir.example"])
    tls = {"tls": {"identities": ["self"]}}
    identity = {"name": "self", "certificate": str(leaf.certificate_file),
                "private_key": str(leaf.key_file)}
    for parts, sections, limit in [
            ({}, {}, "preface"), (tls, {"identities": [identity]}, "handshake")]:
        proxy = start_weir(
            start_origin().port, listener=listener("v1", **quick, **parts), **sections)
        for opening in (b"", b"PROXY TCP4 203.0.113.7"):
            with socket.create_connection(("127.0.0.1", proxy.port), 5) as client:
                client.sendall(opening)
                began = time.monotonic()
                assert client.recv(100) == b""
                assert 0.2 < time.monotonic() - began < 3
        proxy.wait_for_limit(limit)


def test_who_only_looks_whether_it_is_there_is_not_logged(told, start_origin, dial):  # noqa: F811
    proxy = told(start_origin().port, listener=listener("v2"))
    for _ in range(3):
        socket.create_connection(("127.0.0.1", proxy.port), 5).close()
    client = begun(dial, proxy, v2())
    assert client.until_over(client.request(GET)).status == 200
    assert "PROXY" not in proxy.log
    assert proxy.value(REFUSED) == 0


def test_the_balancer_is_named_beside_the_client(told, start_origin, dial):  # noqa: F811
    proxy = told(start_origin().port, listener=listener("v2", limits={"pings": 1}))
    client = begun(dial, proxy, v2())
    stream = client.request(GET, end=False)
    client.round_trip()
    connections = [c for c in proxy.told("/connections") if c.get("listener") == "edge"]
    assert [c["peer"] for c in connections] == ["203.0.113.7:56324"]
    assert connections[0]["proxy"].startswith("127.0.0.1:")
    for _ in range(200):
        client.send_ping()
    client.until_closed()
    assert stream is not None
    proxy.wait_for_log("limit=pings listener=edge peer=203.0.113.7:56324 proxy=127.0.0.1:")


def test_the_access_log_has_the_client(logged, start_origin, dial):  # noqa: F811
    proxy = logged(start_origin().port, listener=listener("v1"))
    client = begun(dial, proxy, v1())
    assert client.until_over(client.request(GET)).status == 200
    client.close()
    assert [r["peer"] for r in proxy.wait_for_records()] == ["203.0.113.7:56324"]


# HAProxy as the balancer.

HAPROXY = """
global
    maxconn 100
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen edge
    bind 127.0.0.1:{port}
    server weir 127.0.0.1:{next} {terms}
"""


@pytest.fixture
def balance(tmp_path):
    """Starts HAProxy in front of a port: `balance(port, terms)`; its own port."""
    command = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if not command:
        pytest.skip("no haproxy here")
    started = []

    def start(next_port, terms):
        port = program.free_port()
        path = tmp_path / f"haproxy-{len(started)}.cfg"
        path.write_text(HAPROXY.format(port=port, next=next_port, terms=terms))
        started.append(subprocess.Popen(
            [command, "-db", "-q", "-f", path], stdin=subprocess.DEVNULL))
        waiting.until(lambda: program.accepts(port), lambda: "haproxy to accept", 10)
        return port

    yield start
    for process in started:
        process.terminate()
        process.wait(5)


SENDERS = [
    ("v1", "send-proxy"), ("v2", "send-proxy-v2"), ("v2", "send-proxy-v2 proxy-v2-options crc32c"),
    ("v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id,ssl,authority"),
]


def connect(port):
    """From an address of its own, so that the balancer's is another."""
    return socket.create_connection(("127.0.0.1", port), 5, source_address=("127.0.0.9", 0))


@pytest.mark.parametrize(("version", "terms"), SENDERS)
def test_haproxy_says_who_the_client_is(
        start_weir, start_origin, balance, version, terms):
    origin = start_origin()
    proxy = start_weir(origin.port, listener=listener(version))
    client = frames.Connection(connect(balance(proxy.port, terms)), is_client=True)
    client.send(frames.PREFACE)
    client.send_settings({})
    assert client.until_over(client.request(GET)).status == 200
    assert told_from(origin) == ["127.0.0.9"]
    client.socket.close()


@pytest.mark.parametrize(("version", "terms"), SENDERS[:3])
def test_haproxy_in_front_of_tls(start_weir, start_origin, balance, tmp_path, version, terms):
    authority = Authority(tmp_path)
    leaf, web = authority.issue("edge", dns=["weir.example"]), authority.issue("web")
    origin = start_origin()
    rule = {"name": "web", "http": ["* /*"], "allow": [
        {"source": ["127.0.0.9"], "peers": ["spiffe://mesh.example/web"]}]}
    proxy = start_weir(
        origin.port,
        listener=listener(version, tls={
            "identities": ["self"], "clients": "required", "trust": ["mesh.example"]}),
        identities=[{"name": "self", "certificate": str(leaf.certificate_file),
                     "private_key": str(leaf.key_file)}],
        trust=[{"name": "mesh.example", "ca": str(authority.file)}],
        access={"default": "deny", "rules": [rule]})
    context = ssl.create_default_context(cafile=str(authority.file))
    context.load_cert_chain(web.certificate_file, web.key_file)
    context.set_alpn_protocols(["h2"])
    plain = connect(balance(proxy.port, terms))
    client = frames.Connection(
        context.wrap_socket(plain, server_hostname="weir.example"), is_client=True)
    client.send(frames.PREFACE)
    client.send_settings({})
    fields = frames.changed(GET, scheme="https")
    assert client.until_over(client.request(fields)).status == 200
    assert told_from(origin) == ["127.0.0.9"]
    client.socket.close()


def test_haproxys_checks_pass(start_weir, start_origin, balance, dial):
    """Once with a header of its own, which speaks for nobody, and once by looking only."""
    proxy = start_weir(start_origin().port, listener=listener("v2"))
    for terms in ("send-proxy-v2 check inter 50ms", "send-proxy-v2 check check-send-proxy inter 50ms"):
        client = dial(balance(proxy.port, terms))
        assert client.until_over(client.request(GET)).status == 200
    assert "PROXY" not in proxy.log


def test_a_grpc_client_behind_haproxy(start_weir, echo_origin, echo_stub, balance):
    proxy = start_weir(echo_origin.port, listener=listener("v2"))
    stub = echo_stub(balance(proxy.port, "send-proxy-v2"))
    assert stub.Unary(EchoRequest(payload=b"abc"), timeout=5).payload == b"abc"
