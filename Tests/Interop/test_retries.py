"""What is tried again and what is not, frame by frame: docs/retries.md, row by row.

Each server below behaves in one way for its first requests, and answers well after that. What it
saw, what the caller got, and what the log and the metrics say of it have to agree.
"""

import threading
import time

import pytest

import frames
import waiting
import weir as program
from access_log import parsed
from frames import EMPTY_MESSAGE, GET, GRPC, GRPC_RESPONSE, POST
from telemetry import told  # noqa: F401

OK, INVALID, DEADLINE, UNAVAILABLE = 0, 3, 4, 14
RETRY = {"attempts": 3, "codes": ["UNAVAILABLE"], "backoff": {"base": "1ms", "max": "10ms"}}
HEDGED = {"attempts": 2, "hedge": "50ms"}
PLAIN = {"attempts": 3, "statuses": [503], "backoff": {"base": "1ms", "max": "10ms"}}


# How a server treats a request.

def trailers_only(code, *fields):
    def act(connection, stream):
        connection.send_headers(
            stream.number, [*GRPC_RESPONSE, ("grpc-status", str(code)), *fields], end=True)
    return act


def trailers(code, body=None, *fields):
    """Headers, maybe a message, and a status behind them."""
    def act(connection, stream):
        connection.send_headers(stream.number, GRPC_RESPONSE)
        if body is not None:
            connection.send_data(stream.number, body)
        connection.send_headers(
            stream.number, [("grpc-status", str(code)), *fields], end=True)
    return act


def later_trailers(code, body):
    """The status comes a while after the message."""
    def act(connection, stream):
        connection.send_headers(stream.number, GRPC_RESPONSE)
        connection.send_data(stream.number, body)
        connection.poll(0.2)
        connection.send_headers(stream.number, [("grpc-status", str(code))], end=True)
    return act


def reset(code):
    def act(connection, stream):
        connection.send_reset(stream.number, code)
    return act


def plain(status):
    def act(connection, stream):
        connection.send_headers(stream.number, [(":status", str(status))], end=True)
    return act


def lose(connection, stream):
    connection.cut()


def disown(connection, stream):
    """GOAWAY whose last ID is below the stream."""
    connection.send_goaway(max(0, stream.number - 2))
    connection.poll(0.5)
    connection.close()


def ignore(connection, stream):
    pass


def answer_late(connection, stream):
    connection.poll(0.3)
    frames.answer(connection, stream)


def message(size):
    return b"\0" + size.to_bytes(4, "big") + bytes(size)


class Server:
    """The first requests meet `acts`, all further ones a good answer."""

    def __init__(self, start_origin, *acts):
        self._acts, self._lock = list(acts), threading.Lock()
        self.origin = start_origin(self._serve)
        self.port = self.origin.port

    def _serve(self, connection):
        try:
            while (stream := connection.next_request(timeout=60)) is not None:
                self._treat(connection, stream)
        except waiting.Late:
            pass

    def _treat(self, connection, stream):
        with self._lock:
            act = self._acts.pop(0) if self._acts else None
        if act not in (lose, disown) and not stream.ended:
            connection.until(lambda: stream.is_over, "the request's end")
        (act or frames.answer)(connection, stream)

    @property
    def requests(self):
        return self.origin.requests


@pytest.fixture
def behind(told, tmp_path):  # noqa: F811
    """Starts a proxy with a log: `behind(servers, retry, ...)`."""

    def start(servers, retry=None, **parts):
        route = {**({"retry": retry} if retry else {}), **parts.pop("route", {})}
        log = tmp_path / "access.log"
        proxy = told(
            *[s.port for s in servers], route=route, access_log={"file": str(log)}, **parts)
        proxy.access_path = log
        return proxy

    return start


def call(proxy, dial, fields=GRPC, body=EMPTY_MESSAGE):
    """Makes a call; its stream once it is over."""
    client = dial(proxy)
    return client.until_over(client.request(fields, body), 10)


def record(proxy, count=1):
    """The log's last line, once there are so many."""
    def lines():
        text = proxy.access_path.read_bytes() if proxy.access_path.exists() else b""
        return text.splitlines() if text.count(b"\n") >= count else None

    return parsed(waiting.until(lines, "a line of the log", 5)[-1])


def retries(proxy):
    return {
        kind: proxy.value("weir_retries_total", kind=kind)
        for kind in ("policy", "transparent", "hedge")
        if proxy.value("weir_retries_total", kind=kind)}


def histogram(proxy, kind):
    """How many calls have attempts of this kind, how many attempts, and the fewest of a call."""
    name = {"policy": "retries", "transparent": "transparent_retries", "hedge": "hedges"}[kind]
    name = "grpc_client_call_" + name
    samples = [s for s in proxy.families()[name].samples if s.name == name + "_bucket"]
    bounds = [s.labels["le"] for s in samples]
    fewest = next((s.labels["le"] for s in samples if s.value), 0)
    assert bounds in ([], ["1", "2", "3", "4", "5", "+Inf"]), bounds
    return proxy.value(name + "_count"), proxy.value(name + "_sum"), float(fewest)


# name, retry, acts, status, attempts, kinds of retries
TRIED = [
    ("Trailers-Only", RETRY, [trailers_only(14)], OK, 2, {"policy": 1}),
    ("in trailers, without a message", RETRY, [trailers(14)], OK, 2, {"policy": 1}),
    ("in trailers, behind a message", RETRY, [trailers(14, message(100))], OK, 2, {"policy": 1}),
    ("twice", RETRY, [trailers_only(14)] * 2, OK, 3, {"policy": 2}),
    ("a reset that means it", {**RETRY, "codes": ["INTERNAL"]}, [reset(frames.INTERNAL_ERROR)],
     OK, 2, {"policy": 1}),
    ("a reset with CANCEL", {**RETRY, "codes": ["CANCELLED"]}, [reset(frames.CANCEL)],
     OK, 2, {"policy": 1}),
    ("an HTTP status without a gRPC one", RETRY, [plain(503)], OK, 2, {"policy": 1}),
    ("a connection that is lost", RETRY, [lose], OK, 2, {"policy": 1}),
    ("its own time", {**RETRY, "per_try_timeout": "100ms"}, [ignore], OK, 2, {"policy": 1}),
    ("refused, with a policy", RETRY, [reset(frames.REFUSED_STREAM)], OK, 2, {"transparent": 1}),
    ("refused, without one", None, [reset(frames.REFUSED_STREAM)], OK, 2, {"transparent": 1}),
    ("above GOAWAY's last ID", None, [disown], OK, 2, {"transparent": 1}),
    ("refused twice, with a policy", RETRY, [reset(frames.REFUSED_STREAM)] * 2, OK, 3,
     {"transparent": 1, "policy": 1}),
    ("refused is free", RETRY, [reset(frames.REFUSED_STREAM), *[trailers_only(14)] * 2], OK, 4,
     {"transparent": 1, "policy": 2}),
    ("hedged: the first says nothing", {"attempts": 2, "hedge": "50ms"}, [ignore], OK, 2,
     {"hedge": 1}),
    ("hedged: the first fails", {"attempts": 3, "hedge": "5s", "codes": ["UNAVAILABLE"]},
     [trailers_only(14)], OK, 2, {"policy": 1}),
    ("hedged: one that is put off, and the next beside it",
     {"attempts": 3, "hedge": "20ms", "codes": ["UNAVAILABLE"]},
     [trailers_only(14, ("grpc-retry-pushback-ms", "100")), ignore], OK, 3,
     {"policy": 1, "hedge": 1}),
]


@pytest.mark.parametrize("row", TRIED, ids=[row[0] for row in TRIED])
def test_tried_again(behind, start_origin, dial, row):
    _, retry, acts, status, attempts, kinds = row
    server = Server(start_origin, *acts)
    proxy = behind([server], retry)
    stream = call(proxy, dial)
    assert stream.grpc_status == status, stream
    line = record(proxy)
    assert line["attempts"] == attempts and "not_retried" not in line, line
    assert len(server.requests) == attempts
    assert retries(proxy) == kinds
    for kind in ("policy", "transparent", "hedge"):
        number = kinds.get(kind, 0)
        assert histogram(proxy, kind) == (1 if number else 0, number, number)
    counted = sum(n for kind, n in kinds.items() if kind != "transparent")
    seen = [request.field("grpc-previous-rpc-attempts") for request in server.requests]
    assert seen[0] is None and seen[-1] == (str(counted) if counted else None), seen
    assert all(bytes(request.body) == EMPTY_MESSAGE for request in server.requests[1:])


# name, retry, acts, what the caller gets, attempts, the reason
LEFT = [
    ("no policy", None, [trailers_only(14)], 14, 1, "not_retryable"),
    ("another code", RETRY, [trailers_only(3)], 3, 1, "not_retryable"),
    ("another code in trailers", RETRY, [trailers(3, message(9))], 3, 1, "not_retryable"),
    ("all attempts", RETRY, [trailers_only(14)] * 3, 14, 3, "attempts"),
    ("refused twice, without a policy", None, [reset(frames.REFUSED_STREAM)] * 2, 14, 2,
     "not_retryable"),
    ("pushback says stop", RETRY, [trailers_only(14, ("grpc-retry-pushback-ms", "-1"))], 14, 1,
     "pushback_stop"),
    ("pushback in trailers says stop", RETRY,
     [trailers(14, None, ("grpc-retry-pushback-ms", "never"))], 14, 1, "pushback_stop"),
    ("a response that is larger than the peek", {**RETRY, "peek": {"bytes": "1KiB"}},
     [later_trailers(14, message(2_000))], 14, 1, "committed"),
    ("a status that comes later than the peek's time", RETRY, [later_trailers(14, message(9))], 14,
     1, "committed"),
    ("no peek", {**RETRY, "peek": "off"}, [later_trailers(14, message(0))], 14, 1, "committed"),
    ("a lost connection, no policy", None, [lose], 14, 1, "not_retryable"),
    ("no budget", {**RETRY, "budget": {"ratio": "0.1%", "minimum": 0}}, [trailers_only(14)], 14, 1,
     "budget"),
]


@pytest.mark.parametrize("row", LEFT, ids=[row[0] for row in LEFT])
def test_not_tried_again(behind, start_origin, dial, row):
    _, retry, acts, status, attempts, reason = row
    server = Server(start_origin, *acts)
    proxy = behind([server], retry)
    stream = call(proxy, dial)
    assert stream.grpc_status == status, stream
    line = record(proxy)
    assert (line["attempts"], line["not_retried"]) == (attempts, reason), line
    assert len(server.requests) == attempts
    assert proxy.value("weir_not_retried_total", reason=reason) == 1


# name, retry, fields, acts, status, attempts, reason
HTTP = [
    ("a status and method of the policy", PLAIN, GET, [plain(503)], 200, 2, None),
    ("another status", PLAIN, GET, [plain(500)], 500, 1, "not_retryable"),
    ("another method", PLAIN, POST, [plain(503)], 503, 1, "not_retryable"),
    ("a method that is named", {**PLAIN, "methods": ["POST"]}, POST, [plain(503)], 200, 2, None),
    ("a lost connection is 502", {**PLAIN, "statuses": [502]}, GET, [lose], 200, 2, None),
    ("all attempts", PLAIN, GET, [plain(503)] * 3, 503, 3, "attempts"),
    ("hedged, another method", HEDGED, POST, [answer_late], 200, 1, None),
    ("hedged, a method that is named", {**HEDGED, "methods": ["POST"]}, POST, [answer_late], 200, 2,
     None),
    ("refused, whatever the method", None, POST, [reset(frames.REFUSED_STREAM)], 200, 2, None),
]


@pytest.mark.parametrize("row", HTTP, ids=[row[0] for row in HTTP])
def test_plain_http(behind, start_origin, dial, row):
    _, retry, fields, acts, status, attempts, reason = row
    server = Server(start_origin, *acts)
    proxy = behind([server], retry)
    stream = call(proxy, dial, fields, b"abc" if fields is POST else None)
    assert stream.status == status, stream
    line = record(proxy)
    assert (line["attempts"], line.get("not_retried")) == (attempts, reason), line
    if fields is POST:
        assert all(bytes(request.body) == b"abc" for request in server.requests)


def test_a_request_over_the_buffer_is_sent_once(behind, start_origin, dial):
    """It fails after more of it was sent than is kept; one that is kept is sent again whole."""
    server = Server(start_origin, trailers_only(14), trailers_only(14))
    proxy = behind([server], {**RETRY, "buffer": "64KiB"})
    client = dial(proxy)
    large = client.request(GRPC, end=False)
    client.queue(large.number, message(200_000))
    client.until_over(large, 10)
    assert large.grpc_status == UNAVAILABLE
    assert record(proxy)["not_retried"] == "body_over_buffer"
    small = client.request(GRPC, end=False)
    client.queue(small.number, message(60_000))
    client.until_over(small, 10)
    assert small.grpc_status == OK
    assert record(proxy, 2)["attempts"] == 2
    assert [len(r.body) for r in server.requests] == [200_005, 60_005, 60_005]


def test_request_trailers_are_sent_again(behind, start_origin, dial):
    server = Server(start_origin, plain(503))
    proxy = behind([server], {**PLAIN, "methods": ["POST"]})
    client = dial(proxy)
    stream = client.request(POST, b"abc", trailers=[("x-sum", "1")])
    client.until_over(stream)
    assert stream.status == 200
    assert [r.trailer("x-sum") for r in server.requests] == ["1", "1"]


def test_another_server_is_asked(behind, start_origin, dial):
    """Where there is one, each attempt has its own."""
    bad = [Server(start_origin, *[trailers_only(14)] * 1_000) for _ in range(2)]
    good = Server(start_origin)
    proxy = behind([*bad, good], RETRY)
    # Until all are connected to, there may be no other.
    while proxy.value("weir_upstream_connections") < 3:
        call(proxy, dial)
    before = len(good.requests)
    for count in range(30):
        assert call(proxy, dial).grpc_status == OK, count
    assert len(good.requests) == before + 30


def test_pushback_is_kept(behind, start_origin, dial):
    """To the millisecond, but for how long the machine takes."""
    server = Server(start_origin, trailers_only(14, ("grpc-retry-pushback-ms", "400")))
    proxy = behind([server], RETRY)
    begin = time.monotonic()
    assert call(proxy, dial).grpc_status == OK
    took = time.monotonic() - begin
    assert 0.4 <= took < 1.4
    record(proxy)
    name = "grpc_client_call_retry_delay_seconds"
    assert proxy.value(name + "_count") == 1 and 0.39 < proxy.value(name + "_sum") < took


def test_no_attempt_begins_after_the_deadline(behind, start_origin, dial):
    """What could only begin later is not waited for: the last failure is told at once."""
    server = Server(start_origin, trailers_only(14, ("grpc-retry-pushback-ms", "5000")))
    proxy = behind([server], RETRY)
    begin = time.monotonic()
    stream = call(proxy, dial, [*GRPC, ("grpc-timeout", "2S")])
    assert stream.grpc_status == UNAVAILABLE and time.monotonic() - begin < 1
    assert record(proxy)["not_retried"] == "deadline"
    assert len(server.requests) == 1


def test_each_attempt_has_what_is_left(behind, start_origin, dial):
    """The shorter of the deadline and per_try_timeout, less with each attempt."""
    server = Server(start_origin, *[ignore] * 2)
    proxy = behind([server], {**RETRY, "per_try_timeout": "300ms"})
    stream = call(proxy, dial, [*GRPC, ("grpc-timeout", "800m")])
    assert stream.grpc_status == OK

    def milliseconds(text):
        return int(text[:-1]) * {"n": 1e-6, "u": 1e-3, "m": 1, "S": 1e3}[text[-1]]

    left = [milliseconds(r.field("grpc-timeout")) for r in server.requests]
    assert 290 <= left[0] <= 300 and 290 <= left[1] <= 300 and 50 <= left[2] <= 210, left


def test_the_deadline_passes_between_attempts(behind, start_origin, dial):
    server = Server(start_origin, ignore, ignore, ignore)
    proxy = behind([server], {**RETRY, "per_try_timeout": "200ms"})
    begin = time.monotonic()
    stream = call(proxy, dial, [*GRPC, ("grpc-timeout", "500m")])
    assert stream.grpc_status == DEADLINE
    assert 0.49 < time.monotonic() - begin < 1.5


def test_per_try_timeout_that_is_never_met(behind, start_origin, dial):
    server = Server(start_origin, *[ignore] * 3)
    proxy = behind([server], {**RETRY, "per_try_timeout": "100ms"})
    stream = call(proxy, dial)
    assert stream.grpc_status == DEADLINE
    line = record(proxy)
    assert line["reason"] == "per_try_timeout" and line["not_retried"] == "attempts", line
    waiting.until(lambda: all(r.reset == frames.CANCEL for r in server.requests),
                  "the attempts to be cancelled", 5)


def test_a_slow_stream_is_not_held_back(behind, start_origin, dial):
    """Its headers come at once and its first message later: both go on when they come."""
    held = threading.Event()

    def slowly(connection, stream):
        connection.send_headers(stream.number, GRPC_RESPONSE)
        connection.send_data(stream.number, EMPTY_MESSAGE)
        held.wait(10)
        connection.send_headers(stream.number, [("grpc-status", "14")], end=True)

    server = Server(start_origin, slowly)
    proxy = behind([server], RETRY)
    client = dial(proxy)
    stream = client.request(GRPC, EMPTY_MESSAGE)
    begin = time.monotonic()
    client.until(lambda: stream.body, "the first message")
    assert time.monotonic() - begin < 1
    held.set()
    client.until_over(stream)
    assert stream.grpc_status == UNAVAILABLE
    assert record(proxy)["not_retried"] == "committed"


def test_hedges_end_with_the_first_answer(behind, start_origin, dial):
    """Three are asked; the last answers, the others are cancelled."""
    servers = [Server(start_origin, ignore) for _ in range(2)] + [Server(start_origin)]
    proxy = behind(servers, {"attempts": 3, "hedge": "50ms", "codes": ["UNAVAILABLE"]})
    stream = call(proxy, dial)
    assert stream.grpc_status == OK
    asked = [r for s in servers for r in s.requests]
    assert record(proxy)["attempts"] == len(asked) <= 3
    assert len(servers[2].requests) == 1
    waiting.until(
        lambda: all(r.reset == frames.CANCEL for s in servers[:2] for r in s.requests),
        "the others to be cancelled", 5)


def test_a_request_that_is_not_kept_is_not_hedged(told, start_origin, dial):  # noqa: F811
    """More of it than is kept came before its only attempt began: what one attempt has read is gone
    for any other."""
    body = message(20_000)
    came = threading.Event()

    def serve(connection):
        came.wait(10)
        connection.send_settings({frames.INITIAL_WINDOW_SIZE: 0})
        first = connection.next_request()
        # No window yet: nothing is read, and it is time to hedge more than once.
        connection.poll(0.4)
        for stream in list(connection.streams.values()):
            connection.send_window(stream.number, 100_000)
        connection.until(lambda: first.is_over, "the request's end")
        frames.answer(connection, first)
        connection.poll(5)

    origin = start_origin(serve, settings=None)
    proxy = told(origin.port, route={"retry": {
        "attempts": 3, "hedge": "50ms", "codes": ["UNAVAILABLE"], "buffer": "1KiB"}})
    client = dial(proxy)
    stream = client.request(GRPC, end=False)
    client.round_trip()
    client.send_data(stream.number, body[:10_000])
    client.round_trip()
    came.set()
    client.poll(0.2)
    client.send_data(stream.number, body[10_000:], end=True)
    client.until_over(stream, 10)
    assert stream.grpc_status == OK, stream
    assert [bytes(r.body) for r in origin.requests] == [body]


def test_hedges_that_all_fail(behind, start_origin, dial):
    """The last failure is the caller's."""
    server = Server(start_origin, *[trailers_only(14, ("x-last", "1"))] * 3)
    proxy = behind([server], {"attempts": 3, "hedge": "5s", "codes": ["UNAVAILABLE"]})
    stream = call(proxy, dial)
    assert stream.grpc_status == UNAVAILABLE and stream.field("x-last") == "1"
    assert record(proxy)["attempts"] == 3


def test_a_status_that_no_policy_names_ends_all_hedges(behind, start_origin, dial):
    server = Server(start_origin, ignore, trailers_only(3))
    proxy = behind([server], {"attempts": 3, "hedge": "50ms", "codes": ["UNAVAILABLE"]})
    assert call(proxy, dial).grpc_status == INVALID
    assert len(server.requests) == 2
    waiting.until(lambda: server.requests[0].reset == frames.CANCEL, "the first's cancel", 5)


def test_the_throttle_stops_retries_and_comes_back(behind, start_origin, dial):
    """Half of ten tokens are gone after five failures; each good call gives half a one back."""
    server = Server(start_origin, *[trailers_only(14)] * 6)
    proxy = behind([server], RETRY, upstream={"retry_throttle": {"tokens": 10, "ratio": "50%"}})
    first = call(proxy, dial)
    assert first.grpc_status == UNAVAILABLE and record(proxy)["attempts"] == 3
    second = call(proxy, dial)
    assert second.grpc_status == UNAVAILABLE
    line = record(proxy, 2)
    assert (line["attempts"], line["not_retried"]) == (2, "budget"), line
    assert call(proxy, dial).grpc_status == UNAVAILABLE and record(proxy, 3)["attempts"] == 1
    for _ in range(6):
        assert call(proxy, dial).grpc_status == OK
    server._acts.append(trailers_only(14))
    assert call(proxy, dial).grpc_status == OK, "tokens came back"


def test_a_budget_is_a_share_of_the_calls(behind, start_origin, dial):
    """A tenth of them: of 100 calls that all fail at first, ten are tried again."""
    server = Server(start_origin)
    proxy = behind([server], {**RETRY, "attempts": 2, "budget": {"ratio": "10%", "minimum": 0}})
    client = dial(proxy)
    for _ in range(90):
        assert client.until_over(client.request(GRPC, EMPTY_MESSAGE)).grpc_status == OK
    server._acts.extend([trailers_only(14)] * 100)
    for _ in range(10):
        client.until_over(client.request(GRPC, EMPTY_MESSAGE))
    assert proxy.value("weir_retries_total", kind="policy") == 10
    last = client.until_over(client.request(GRPC, EMPTY_MESSAGE))
    assert last.grpc_status == UNAVAILABLE
    assert proxy.value("weir_not_retried_total", reason="budget") >= 1


def test_the_clients_own_attempts_are_counted_in(behind, start_origin, dial):
    server = Server(start_origin, trailers_only(14))
    proxy = behind([server], RETRY)
    call(proxy, dial, [*GRPC, ("grpc-previous-rpc-attempts", "2")])
    assert [r.field("grpc-previous-rpc-attempts") for r in server.requests] == ["2", "3"]


def test_a_client_that_leaves_between_attempts(behind, start_origin, dial):
    """Nothing is sent for a caller that has gone, and nothing is left behind."""
    server = Server(start_origin, trailers_only(14, ("grpc-retry-pushback-ms", "300")))
    proxy = behind([server], RETRY)
    client = dial(proxy)
    stream = client.request(GRPC, EMPTY_MESSAGE)
    waiting.until(lambda: server.requests, "the first attempt", 5)
    client.poll(0.1)
    client.send_reset(stream.number)
    assert record(proxy)["reason"] == "client_reset"
    client.poll(0.4)
    assert len(server.requests) == 1


def test_no_server_to_be_had_is_tried_again(behind, start_origin, dial):
    """A port that nothing listens on yet: there is a server by the second attempt."""
    port = program.free_port()
    proxy = behind([type("Nobody", (), {"port": port})], {
        **RETRY, "attempts": 5, "backoff": {"base": "300ms", "max": "300ms"}},
        upstream={"timeouts": {"backoff_base": "50ms", "backoff_max": "100ms"}})
    client = dial(proxy)
    stream = client.request(GRPC, EMPTY_MESSAGE)
    client.poll(0.2)
    server = start_origin(port=port)
    client.until_over(stream, 10)
    assert stream.grpc_status == OK and len(server.requests) == 1
