"""Copies of requests for another upstream: what it gets, and that callers notice nothing of it."""

import json
import subprocess
import threading
import time

import pytest

import frames
import waiting
import weir as program
from frames import CANCEL, EMPTY_MESSAGE, GRPC, POST, changed
from reloading import write
from telemetry import told  # noqa: F401

MIB = 1 << 20


def silent(connection):
    while connection.receive(60) is not None:
        pass


@pytest.fixture
def mirrored(told):  # noqa: F811
    """Starts a proxy whose route sends copies: `mirrored(origin.port, mirror.port, …)`."""

    def start(port, mirror, share="100%", route=None, listener=None, main=None, **upstream):
        config = program.configuration(
            program.free_port(), [port], listener=listener, upstream=main,
            route={"mirror": {"upstream": "next", "share": share}, **(route or {})})
        config["upstreams"].append(
            {"name": "next", "endpoints": [f"127.0.0.1:{mirror}"], **upstream})
        proxy = told(config=config)
        proxy.copies = lambda outcome: proxy.value("weir_mirrored_total", outcome=outcome)
        proxy.all_copies = lambda: proxy.value("weir_mirrored_total")
        return proxy

    return start


def until_counted(proxy, outcome, count):
    waiting.until(lambda: proxy.copies(outcome) >= count,
                  lambda: f"{count} {outcome}: {proxy.fetch('/metrics')[2].decode()}", 10)
    assert proxy.copies(outcome) == count


# What a mirror gets

def test_a_copy_is_what_the_server_gets(mirrored, start_origin, dial):
    origin, mirror = start_origin(), start_origin()
    edits = {"set": {"x-added": "by the route"}, "remove": ["x-gone"]}
    proxy = mirrored(
        origin.port, mirror.port, route={"request_headers": edits},
        listener={"request_id": "make", "trusted_proxies": []})
    client = dial(proxy)
    fields = [
        *GRPC, ("grpc-timeout", "5S"), ("x-user", "a"), ("x-gone", "x"),
        ("x-weir-mirrored", "forged"), ("authorization", "Bearer mine")]
    stream = client.until_over(client.request(fields, b"\0\0\0\0\x03abc"))
    assert stream.grpc_status == 0
    copy, real = mirror.wait_for_requests()[0], origin.requests[0]
    waiting.until(lambda: copy.ended, "the copy's end", 5)
    assert bytes(copy.body) == bytes(real.body) == b"\0\0\0\0\x03abc"
    assert copy.field("x-weir-mirrored") == "1" and real.field("x-weir-mirrored") is None
    timeout = b"grpc-timeout"
    own = [(n, v) for n, v in copy.headers if n not in (timeout, b"x-weir-mirrored")]
    assert sorted(own) == sorted((n, v) for n, v in real.headers if n != timeout)
    assert copy.field("x-added") == "by the route" and copy.field("x-gone") is None
    # What is left of the request's own time.
    left = {name: int(got.field("grpc-timeout")[:-1]) for name, got in (("copy", copy), ("real", real))}
    assert 0 < left["copy"] <= 5_000_000 and copy.field("grpc-timeout")[-1] in "mun", left
    until_counted(proxy, "answered", 1)


def test_plain_http_is_copied_with_its_trailers(mirrored, start_origin, dial):
    origin, mirror = start_origin(), start_origin()
    proxy = mirrored(origin.port, mirror.port)
    client = dial(proxy)
    stream = client.request(POST, b"ab", end=False)
    client.round_trip()
    client.send_data(stream.number, b"c")
    client.send_headers(stream.number, [("x-sum", "3")], end=True)
    assert client.until_over(stream).status == 200
    copy = mirror.wait_for_requests()[0]
    waiting.until(lambda: copy.ended, "the copy's end", 5)
    assert bytes(copy.body) == b"abc" and copy.trailer("x-sum") == "3"
    assert copy.field("grpc-timeout") is None and copy.field("via") is not None


@pytest.mark.parametrize(("share", "least", "most"), [
    ("100%", 400, 400), ("off", 0, 0),
    # Five standard deviations either way.
    ("50%", 150, 250), ("25%", 57, 143),
])
def test_a_share_of_the_requests_is_copied(mirrored, start_origin, dial, share, least, most):
    origin, mirror = start_origin(), start_origin()
    proxy = mirrored(origin.port, mirror.port, share)
    client = dial(proxy)
    for _ in range(400):
        assert client.until_over(client.request(GRPC, EMPTY_MESSAGE)).grpc_status == 0
    waiting.until_quiet(lambda: len(mirror.requests))
    assert least <= len(mirror.requests) <= most
    assert proxy.copies("answered") == proxy.all_copies() == len(mirror.requests)


@pytest.mark.parametrize(("main", "next_", "expected"), [
    (False, False, "Bearer mine"), (True, False, None), (True, True, "theirs.token"),
    (False, True, "theirs.token"),
])
def test_no_token_that_is_another_upstreams_goes_along(
        mirrored, start_origin, dial, tmp_path, main, next_, expected):
    files = {}
    for name in ("ours", "theirs"):
        files[name] = tmp_path / name
        files[name].touch(0o600)
        files[name].write_text(name + ".token")
    origin, mirror = start_origin(), start_origin()
    proxy = mirrored(
        origin.port, mirror.port,
        main={"attach_token": {"file": str(files["ours"])}} if main else None,
        **({"attach_token": {"file": str(files["theirs"])}} if next_ else {}))
    client = dial(proxy)
    fields = [*GRPC, ("authorization", "Bearer mine")]
    assert client.until_over(client.request(fields, EMPTY_MESSAGE)).grpc_status == 0
    copy, real = mirror.wait_for_requests()[0], origin.requests[0]
    assert real.field("authorization") == ("Bearer ours.token" if main else "Bearer mine")
    assert copy.field("authorization") == (f"Bearer {expected}" if next_ else expected)


# What has no copy

def test_what_is_not_kept_has_no_copy(mirrored, start_origin, dial):
    """One that is too large, one that is answered before it ended, and one that never ends."""

    def eager(connection):
        while (stream := connection.next_request(timeout=60)) is not None:
            frames.answer(connection, stream)

    origin, hasty, mirror = start_origin(), start_origin(eager), start_origin()
    proxy = mirrored(origin.port, mirror.port)
    client = dial(proxy)
    stream = client.request(GRPC, end=False)
    client.queue(stream.number, b"\0" + (200_000).to_bytes(4, "big") + bytes(200_000))
    assert client.until_over(stream, 10).grpc_status == 0
    until_counted(proxy, "not_kept", 1)
    stream = client.request(GRPC, end=False)
    client.send_data(stream.number, EMPTY_MESSAGE)
    origin.wait_for_requests(2)
    client.send_reset(stream.number)
    until_counted(proxy, "not_kept", 2)
    other = mirrored(hasty.port, mirror.port)
    client = dial(other)
    stream = client.request(GRPC, EMPTY_MESSAGE, end=False)
    client.until(lambda: stream.trailers, "the answer")
    client.send_data(stream.number, b"", end=True)
    until_counted(other, "not_kept", 1)
    assert not mirror.requests


def test_what_weir_answers_itself_has_no_copy(mirrored, start_origin, dial):
    mirror = start_origin()
    proxy = mirrored(program.free_port(), mirror.port, main={"limits": {"requests": 1}})
    client = dial(proxy)
    assert client.until_over(client.request(GRPC, EMPTY_MESSAGE)).grpc_status == 14
    refused = client.until_over(client.request(changed(GRPC, path="/a//b"), EMPTY_MESSAGE))
    assert refused.grpc_status == 12
    assert len(mirror.requests) <= 1


@pytest.mark.parametrize("loops", ["refuse", "allow"])
def test_copies_of_copies_end(mirrored, start_origin, dial, loops):
    """The mirror is the proxy itself, which would go on for ever."""
    origin = start_origin()
    port = program.free_port()
    proxy = mirrored(
        origin.port, port, listener={"loops": loops, "address": f"127.0.0.1:{port}"})
    client = dial(proxy)
    assert client.until_over(client.request(GRPC, EMPTY_MESSAGE)).grpc_status == 0
    until_counted(proxy, "answered", 1)
    assert waiting.until_quiet(lambda: len(origin.requests)) == (1 if loops == "refuse" else 2)
    assert proxy.all_copies() == 1


@pytest.mark.parametrize(("proxies", "copies"), [(["127.0.0.0/8"], 0), ([], 1)])
def test_only_a_trusted_proxy_says_what_is_a_copy(
        mirrored, start_origin, dial, proxies, copies):
    origin, mirror = start_origin(), start_origin()
    proxy = mirrored(origin.port, mirror.port, listener={"trusted_proxies": proxies})
    client = dial(proxy)
    fields = [*GRPC, ("x-weir-mirrored", "1"), ("x_weir_mirrored", "1"), ("x-weir-other", "1")]
    assert client.until_over(client.request(fields, EMPTY_MESSAGE)).grpc_status == 0
    assert origin.requests[0].field("x-weir-mirrored") == (None if copies else "1")
    assert origin.requests[0].field("x_weir_mirrored") is None
    assert origin.requests[0].field("x-weir-other") is None
    assert waiting.until_quiet(lambda: len(mirror.requests)) == copies


# Callers

def garbage(connection):
    connection.send(b"SSH-2.0-OpenSSH_9.2\r\n" * 100)
    silent(connection)


def resets(connection):
    while (stream := connection.next_request(timeout=60)) is not None:
        connection.send_reset(stream.number, frames.INTERNAL_ERROR)


def leaves(connection):
    connection.next_request(timeout=60)
    connection.send_goaway(0)
    connection.cut()


def floods(connection):
    while (stream := connection.next_request(timeout=60)) is not None:
        connection.send_headers(stream.number, frames.GRPC_RESPONSE)
        connection.queue(stream.number, bytes(4 * MIB), end=False)


def errors(connection):
    while (stream := connection.next_finished(timeout=60)) is not None:
        connection.send_headers(
            stream.number, [(":status", "200"), ("grpc-status", "14"), ("x-odd", "x" * 500)],
            end=True)


def calls(client, count):
    """How long each took, in seconds."""
    took = []
    for _ in range(count):
        begin = time.monotonic()
        stream = client.until_over(client.request(GRPC, EMPTY_MESSAGE))
        took.append(time.monotonic() - begin)
        assert stream.grpc_status == 0 and bytes(stream.body) == EMPTY_MESSAGE
        assert stream.reset is None
    return sorted(took)


CONDUCTS = [
    ("dead", None, "failed"), ("silent", silent, "no_room"), ("garbage", garbage, "failed"),
    ("resets", resets, "failed"), ("leaves", leaves, "failed"), ("floods", floods, "no_room"),
    ("errors", errors, "answered"),
]


@pytest.mark.parametrize(
    ("script", "outcome"), [entry[1:] for entry in CONDUCTS], ids=[entry[0] for entry in CONDUCTS])
def test_callers_do_not_notice(mirrored, start_origin, dial, script, outcome):
    """Same answers, same time, nothing tried again, nothing counted twice; and no copy is left."""
    origin = start_origin()
    port = start_origin(script).port if script else program.free_port()
    route = {"retry": {"codes": ["UNAVAILABLE", "INTERNAL"]}}
    proxy = mirrored(
        origin.port, port, route=route, main={"ejection": {"consecutive_failures": 1}},
        limits={"mirrored": 20}, ejection={"consecutive_failures": 1})
    plain = mirrored(origin.port, port, share="off", route=route)
    usual = calls(dial(plain), 200)
    took = calls(dial(proxy), 200)
    assert took[100] < 3 * usual[100] + 0.002 and took[180] < 3 * usual[180] + 0.02
    assert len(origin.requests) == 400
    assert proxy.value("grpc_server_call_started_total") == 200
    assert proxy.value("grpc_client_attempt_started_total") == 200
    assert proxy.value("weir_exchanges_ended_total", reason="complete") == 200
    assert proxy.value("weir_retries_total") == 0
    assert proxy.value("weir_endpoint_ejections_total") == 0
    assert proxy.value("weir_stream_resets_total") == 0
    waiting.until(lambda: proxy.all_copies() + proxy.value("weir_upstream_mirrored") == 200,
                  lambda: proxy.fetch("/metrics")[2].decode(), 10)
    assert proxy.copies(outcome) >= 100
    if outcome == "no_room":
        assert proxy.value("weir_limits_tripped_total", limit="upstream.mirrored") == \
            proxy.copies("no_room")
        proxy.wait_for_log("limit=upstream.mirrored upstream=next")


def test_a_client_that_leaves_takes_no_copy_along(mirrored, start_origin, dial):
    """The copy is its own call: it goes on when the caller has gone."""
    held = threading.Event()

    def slowly(connection):
        stream = connection.next_finished(60)
        held.wait(10)
        frames.answer(connection, stream)
        silent(connection)

    origin, mirror = start_origin(silent), start_origin(slowly)
    proxy = mirrored(origin.port, mirror.port)
    client = dial(proxy)
    stream = client.request(GRPC, EMPTY_MESSAGE)
    mirror.wait_for_requests()
    client.send_reset(stream.number)
    client.close()
    origin.wait_for_requests()
    waiting.until(lambda: origin.requests[0].reset == CANCEL, "the request's end", 5)
    held.set()
    until_counted(proxy, "answered", 1)
    assert mirror.requests[0].reset is None
    assert proxy.value("weir_upstream_mirrored", upstream="next") == 0


def test_a_copy_ends_with_its_requests_deadline(mirrored, start_origin, dial):
    mirror = start_origin(silent)
    proxy = mirrored(start_origin().port, mirror.port)
    client = dial(proxy)
    fields = [*GRPC, ("grpc-timeout", "400m")]
    assert client.until_over(client.request(fields, EMPTY_MESSAGE)).grpc_status == 0
    copy = mirror.wait_for_requests()[0]
    waiting.until(lambda: copy.reset == CANCEL, "the copy's end", 5)
    until_counted(proxy, "failed", 1)
    assert proxy.value("weir_upstream_mirrored", upstream="next") == 0


def test_a_mirror_that_dies_and_comes_back(mirrored, start_origin, dial):
    origin, mirror = start_origin(), start_origin()
    proxy = mirrored(
        origin.port, mirror.port, timeouts={"backoff_base": "20ms", "backoff_max": "50ms"})
    client = dial(proxy)
    calls(client, 50)
    until_counted(proxy, "answered", 50)
    mirror.stop()
    calls(client, 50)
    waiting.until(lambda: proxy.all_copies() == 100, "all copies", 10)
    again = start_origin(port=mirror.port)

    def answered():
        calls(client, 1)
        return again.requests

    waiting.until(answered, "a copy", 10)


def test_a_mirror_that_takes_nothing_costs_little(mirrored, start_origin, dial):
    """120 MB of copies for a server that reads nothing: 20 of them are held, and no more."""

    def deaf(connection):
        threading.Event().wait(60)

    origin = start_origin()
    mirror = start_origin(deaf, receive_buffer=4_096)
    proxy = mirrored(origin.port, mirror.port, limits={"mirrored": 20})
    client = dial(proxy)
    message = b"\0" + (60_000).to_bytes(4, "big") + bytes(60_000)

    def send(count):
        for _ in range(count):
            stream = client.request(GRPC, end=False)
            client.queue(stream.number, message)
            assert client.until_over(stream).grpc_status == 0

    send(50)
    begin = proxy.resident_bytes()
    send(2_000)
    assert proxy.resident_bytes() - begin < 8 * MIB
    assert proxy.value("weir_upstream_mirrored", upstream="next") == 20
    assert proxy.copies("no_room") >= 2_000


# Reloads and what is told

def test_reloads_leave_copies_alone(mirrored, start_origin, dial):
    """Copies that are under way end, whether the mirror stays or goes; then new ones are made."""
    held = threading.Event()

    def slowly(connection):
        waiting_streams = []
        while not held.is_set() or connection._finished:
            if connection._finished:
                waiting_streams.append(connection._finished.popleft())
            try:
                if connection.receive(0.05) is None:
                    return
            except waiting.Late:
                pass
        for stream in waiting_streams:
            frames.answer(connection, stream)
        frames.answer_all(connection)

    origin, mirror, other = start_origin(), start_origin(slowly), start_origin()
    proxy = mirrored(origin.port, mirror.port)
    client = dial(proxy)
    calls(client, 3)
    mirror.wait_for_requests(3)
    without = json.loads(json.dumps(proxy.config))
    del without["routes"][0]["mirror"], without["upstreams"][1]
    write(proxy.config_path, without)
    proxy.wait_for_line("reloaded revision=", 1)
    calls(client, 3)
    assert len(mirror.requests) == 3
    held.set()
    waiting.until(lambda: all(copy.ended for copy in mirror.requests), "the copies", 5)
    assert all(copy.reset is None for copy in mirror.requests)
    proxy.config["upstreams"][1]["endpoints"] = [f"127.0.0.1:{other.port}"]
    write(proxy.config_path, proxy.config)
    proxy.wait_for_line("reloaded revision=", 2)
    calls(client, 3)
    other.wait_for_requests(3)
    until_counted(proxy, "answered", 3)


def test_a_worker_that_ends_drops_its_copies(mirrored, start_origin, dial):
    mirror = start_origin(silent)
    proxy = mirrored(start_origin().port, mirror.port)
    client = dial(proxy)
    calls(client, 3)
    mirror.wait_for_requests(3)
    begin = time.monotonic()
    proxy.signal(15)
    client.until_closed()
    assert proxy.wait(10) == 0 and time.monotonic() - begin < 5


def test_it_is_explained_and_shown(mirrored, start_origin, dial):
    origin, mirror = start_origin(), start_origin()
    proxy = mirrored(origin.port, mirror.port, share="12.5%")
    command = [program.binary(), "explain", "--config", proxy.config_path, "--method", "a.B/C"]
    done = subprocess.run(command, capture_output=True, text=True)
    line = f"  mirror: 12.50% are copied to upstream next: 127.0.0.1:{mirror.port}"
    assert line in done.stdout.splitlines(), done.stdout
    shown = proxy.told("/upstreams")
    assert shown[1]["mirrored"] == {
        "active": 0, "answered": 0, "failed": 0, "not_kept": 0, "no_room": 0}
    assert "mirrored" not in shown[0]
    assert proxy.told("/routes")[0]["mirror"] == "next"
    proxy.config["routes"][0]["mirror"]["share"] = "50%"
    path = proxy.config_path.with_name("next.yaml")
    write(path, proxy.config)
    admin = ["--admin", proxy.admin_path]
    done = subprocess.run(
        [program.binary(), "check", "--config", path, "--diff", *admin],
        capture_output=True, text=True)
    line = '~ routes all: mirror.share "12.5%" -> "50%": holds from the next request on'
    assert line in done.stdout.splitlines(), done.stdout
