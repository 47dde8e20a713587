"""Every limit of a listener, set low: how it ends, and that the log names it once."""

import struct

import pytest

import expect
import frames
import waiting
from frames import GET, GRPC, POST, changed

RESOURCE_EXHAUSTED = 8


@pytest.fixture
def limited(start_weir, start_origin):
    """A proxy whose listener has these limits: `limited(pings=3)`."""

    def start(script=frames.answer_all, timeouts=None, **limits):
        listener = {"limits": limits, "timeouts": timeouts or {}}
        proxy = start_weir(start_origin(script).port, listener=listener)
        return proxy

    return start


def silent(connection):
    while connection.receive(60) is not None:
        pass


def trips_once(proxy, name):
    """The log names the limit once, though it was passed many times on the connection."""
    proxy.wait_for_limit(name)
    assert len(proxy.limit_lines(name)) == 1, proxy.log


def is_usable(dial, proxy):
    """Another client is served."""
    client = dial(proxy)
    assert client.until_over(client.request(GET)).status == 200


def flood(client, data, times):
    """Sends until the peer closes or `times` are sent; what is left to read is for the caller."""
    for _ in range(times):
        client.send(data)
        if client.closed:
            client.closed = False
            return


def test_announced_settings(limited, dial):
    proxy = limited(concurrent_streams=7, stream_window="48KiB", header_list="5KiB")
    client = dial(proxy)
    client.round_trip()
    assert client.settings[frames.MAX_CONCURRENT_STREAMS] == 7
    assert client.settings[frames.INITIAL_WINDOW_SIZE] == 48 << 10
    assert client.settings[frames.MAX_HEADER_LIST_SIZE] == 5 << 10


def test_the_default_settings(limited, dial):
    client = dial(limited())
    client.round_trip()
    assert client.settings[frames.MAX_CONCURRENT_STREAMS] == 100
    assert client.settings[frames.INITIAL_WINDOW_SIZE] == 32 << 10
    assert client.settings[frames.MAX_HEADER_LIST_SIZE] == 64 << 10


def test_a_stream_beyond_the_limit_is_refused(limited, dial):
    client = dial(limited(silent, concurrent_streams=4))
    client.round_trip()
    streams = [client.request(GET) for _ in range(5)]
    while client.receive() is not None and not streams[4].is_over and not client.goaways:
        pass
    assert streams[4].reset == frames.REFUSED_STREAM or client.goaways
    assert not any(s.is_over for s in streams[:4])


BIG_FIELD = ("x-big", "v" * 200)
OVER_4_KIB = [BIG_FIELD] * 20
TOO_MANY = [("x", "1")] * 21


@pytest.mark.parametrize(
    "limits, put, name",
    [({"header_list": "4KiB"}, OVER_4_KIB, "header_list"),
     ({"header_list": "4KiB"}, [("cookie", "a=b")] * 110, "header_list"),
     ({"header_list": "4KiB", "header_fields": 1000}, [("a", "")] * 150, "header_list"),
     ({"header_fields": 20}, TOO_MANY, "header_fields"),
     ({"header_fields": 20}, [("cookie", "a=b")] * 21, "header_fields"),
     ({"header_fields": 20}, [(f"x{i}", "") for i in range(21)], "header_fields")],
    ids=["bytes", "cookie bytes", "bytes per field", "fields", "cookie crumbs", "distinct fields"])
@pytest.mark.parametrize("base", [GET, GRPC], ids=["plain", "grpc"])
def test_too_much_header(limited, dial, base, limits, put, name):
    if name == "header_list":
        limits = {"header_fields": 1000, **limits}
    proxy = limited(**limits)
    client = dial(proxy)
    answer = expect.http(431) if base is GET else expect.trailers_only(RESOURCE_EXHAUSTED)
    for _ in range(2):
        stream = client.request(changed(base, put=put))
        answer(client, client.until_over(stream))
    trips_once(proxy, name)
    assert client.until_over(client.request(base)).status == 200


def test_header_just_below_the_limits_passes(limited, dial):
    client = dial(limited(header_list="4KiB", header_fields=20))
    put = [("x", "1")] * (20 - len(GET))
    assert client.until_over(client.request(changed(GET, put=put))).status == 200
    used = sum(len(n) + len(v) + 32 for n, v in GET)
    put = [("x-big", "v" * ((4 << 10) - used - 32 - 5))]
    assert client.until_over(client.request(changed(GET, put=put))).status == 200


@pytest.mark.parametrize("base", [GET, GRPC], ids=["plain", "grpc"])
def test_a_path_that_is_too_much_header(limited, dial, base):
    """It is there all the same: the request lacks nothing."""
    proxy = limited(header_list="1KiB")
    client = dial(proxy)
    stream = client.until_over(client.request(changed(base, path="/" + "a" * 2000)))
    answer = expect.http(431) if base is GET else expect.trailers_only(RESOURCE_EXHAUSTED)
    answer(client, stream)
    trips_once(proxy, "header_list")
    assert client.until_over(client.request(GET)).status == 200


@pytest.mark.parametrize("base", [GET, GRPC], ids=["plain", "grpc"])
def test_a_long_path(limited, dial, base):
    proxy = limited(path="64B")
    client = dial(proxy)
    path = "/" + "a" * 40 + "." + "b" * 40 + "/" + "c" * 20
    stream = client.until_over(client.request(changed(base, path=path)))
    grpc = expect.trailers_only(RESOURCE_EXHAUSTED, 12, 13)
    (expect.http(414, 400) if base is GET else grpc)(client, stream)
    trips_once(proxy, "path")
    assert client.until_over(client.request(GET)).status == 200


@pytest.mark.parametrize(
    "limits, trailers, name",
    [({"trailer": "1KiB"}, [BIG_FIELD] * 6, "trailer"),
     ({"trailer_fields": 4}, [("x", "1")] * 5, "trailer_fields")],
    ids=["bytes", "fields"])
@pytest.mark.parametrize("base", [POST, GRPC], ids=["plain", "grpc"])
def test_too_much_trailer(limited, start_origin, dial, base, limits, trailers, name):
    proxy = limited(**limits)
    client = dial(proxy)
    stream = client.until_over(client.request(base, bytes(5), trailers=trailers))
    failed = stream.reset not in (None, frames.NO_ERROR) or stream.status == 431
    assert failed or stream.grpc_status == RESOURCE_EXHAUSTED, stream
    # The log may say it in the plural of the RFC.
    waiting.until(
        lambda: any(proxy.limit_lines(n) for n in (name, "trailers", "trailer_fields")),
        lambda: f"limit={name} in the log; it has\n{proxy.log}")


def hpack_bomb(first, references):
    """A block that puts a field in the table and then names it by single bytes."""
    return frames.literals(GET) + frames.literals([first], indexed=True) + b"\xbe" * references


@pytest.mark.parametrize(
    "first", [("x", "v" * 4000), ("cookie", "a=" + "v" * 4000), ("a", "")],
    ids=["large value", "cookie", "tiny"])
def test_an_hpack_bomb_ends_the_connection(limited, dial, first):
    proxy = limited()
    before = proxy.resident_bytes()
    for _ in range(5):
        client = dial(proxy)
        client.send_block(1, hpack_bomb(first, 16_000), end=True)
        client.streams.setdefault(1, frames.Stream(1))
        code = client.until_closed()
        assert code in (frames.ENHANCE_YOUR_CALM, frames.PROTOCOL_ERROR, frames.INTERNAL_ERROR,
                        frames.COMPRESSION_ERROR), client.goaways
    proxy.wait_for_limit("header_list")
    assert proxy.resident_bytes() - before < 4 << 20
    is_usable(dial, proxy)


def test_an_http2_bomb_holds_no_memory(limited, dial):
    """Many requests just below the limits, their answers held by a zero window."""
    proxy = limited()
    is_usable(dial, proxy)
    before = proxy.resident_bytes()
    client = dial(proxy, settings={frames.INITIAL_WINDOW_SIZE: 0})
    block = frames.literals(GET) + frames.literals([("cookie", "a")], indexed=True) + b"\xbe" * 90
    for number in range(1, 201, 2):
        client.send_block(number, block, end=True)
    client.round_trip()
    assert proxy.resident_bytes() - before < 8 << 20


def test_a_continuation_flood(limited, dial):
    proxy = limited(continuations=4)
    client = dial(proxy)
    client.send_frame(frames.HEADERS, frames.END_STREAM, 1, frames.literals(GET))
    flood(client, frames.frame(frames.CONTINUATION, 0, 1, b""), 1000)
    client.until_closed()
    trips_once(proxy, "continuations")
    is_usable(dial, proxy)


def test_a_continuation_flood_with_bytes(limited, dial):
    proxy = limited()
    client = dial(proxy)
    client.send_frame(frames.HEADERS, frames.END_STREAM, 1, frames.literals(GET))
    chunk = frames.frame(frames.CONTINUATION, 0, 1, frames.literals([("x", "v" * 10_000)]))
    flood(client, chunk, 1000)
    client.until_closed()
    waiting.until(
        lambda: proxy.limit_lines("continuations") or proxy.limit_lines("header_list"),
        "continuations or header_list in the log")


def test_a_rapid_reset(limited, dial):
    proxy = limited(silent, early_resets=20)
    client = dial(proxy)
    for number in range(1, 2001, 2):
        client.send(frames.frame(frames.HEADERS, 5, number, frames.literals(GET))
                    + frames.frame(frames.RST_STREAM, 0, number, struct.pack(">I", 8)))
        if client.closed:
            break
    client.closed = False
    assert client.until_closed() in (frames.ENHANCE_YOUR_CALM, None)
    trips_once(proxy, "early_resets")


def test_honest_resets_do_not_trip(limited, dial):
    """Half of the streams or fewer were reset early: no rule against that."""
    proxy = limited(early_resets=20)
    client = dial(proxy)
    for index in range(60):
        stream = client.request(GET, end=index % 3 != 0)
        if index % 3 == 0:
            client.send_reset(stream.number)
        else:
            client.until_over(stream)
    client.round_trip()
    assert not client.goaways and not proxy.limit_lines("early_resets")


def test_the_reset_rate(limited, dial):
    proxy = limited(reset_burst=10, resets_per_second=1, early_resets=1_000_000)
    client = dial(proxy)
    for _ in range(100):
        stream = client.request(GET, end=False)
        client.send_reset(stream.number)
    code = client.until_closed()
    assert code in (frames.INTERNAL_ERROR, frames.ENHANCE_YOUR_CALM, None), client.goaways
    trips_once(proxy, "resets")


MADE_RESETS = {
    "window overflow": lambda c, n: c.send_window(n, frames.MAX_WINDOW),
    "trailers without end": lambda c, n: c.send_headers(n, [("x", "1")]),
    "late pseudo field": lambda c, n: c.send_headers(n, [(":path", "/")], end=True),
    "more than content-length": lambda c, n: c.send_data(n, bytes(100)),
}


@pytest.mark.parametrize("fault", MADE_RESETS.values(), ids=MADE_RESETS)
def test_resets_that_weir_is_made_to_send_count_too(limited, dial, fault):
    proxy = limited(silent, early_resets=20)
    client = dial(proxy)
    fields = changed(POST, put=[("content-length", "50")])
    for _ in range(1000):
        stream = client.request(fields, end=False)
        fault(client, stream.number)
        if client.closed:
            break
    client.closed = False
    assert client.until_closed() in (frames.ENHANCE_YOUR_CALM, frames.PROTOCOL_ERROR, None)
    trips_once(proxy, "early_resets")


def test_malformed_requests_count_as_resets(limited, dial):
    proxy = limited(early_resets=20)
    client = dial(proxy)
    for _ in range(1000):
        client.request(changed(GET, put=[("connection", "close")]))
        if client.closed:
            break
    client.closed = False
    assert client.until_closed() in (frames.ENHANCE_YOUR_CALM, None)
    trips_once(proxy, "early_resets")


FLOODS = {
    "pings": frames.frame(frames.PING, 0, 0, b"weirtest"),
    "settings": frames.frame(frames.SETTINGS, 0, 0, struct.pack(">HI", 4, 65_535)),
    "frames_without_request": frames.frame(0xBE, 0, 0, b"unknown"),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_the_connection(limited, dial, name):
    proxy = limited(**{name: 20})
    client = dial(proxy)
    flood(client, FLOODS[name], 500)
    assert client.until_closed() in (frames.ENHANCE_YOUR_CALM, None)
    trips_once(proxy, name)
    is_usable(dial, proxy)


@pytest.mark.parametrize("name", FLOODS)
def test_the_goaway_of_a_flood_can_be_read(limited, dial, name):
    """Sent with nothing more behind it, so that no TCP reset takes the GOAWAY away."""
    proxy = limited(**{name: 20})
    client = dial(proxy)
    client.round_trip()
    client.send(FLOODS[name] * 22)
    assert client.until_closed() == frames.ENHANCE_YOUR_CALM


@pytest.mark.parametrize(
    "data",
    [frames.frame(frames.WINDOW_UPDATE, 0, 0, struct.pack(">I", 1)),
     frames.frame(frames.PRIORITY, 0, 1, struct.pack(">IB", 0, 1))],
    ids=["WINDOW_UPDATE", "PRIORITY"])
def test_cheap_frames_end_the_connection(limited, dial, data):
    proxy = limited(frames_without_request=50)
    client = dial(proxy)
    flood(client, data, 1000)
    assert client.until_closed() in (frames.ENHANCE_YOUR_CALM, None)
    trips_once(proxy, "frames_without_request")


def test_pings_between_requests_do_not_trip(limited, dial):
    """One is allowed for each HEADERS or DATA frame that Weir sent."""
    proxy = limited(pings=5)
    client = dial(proxy)
    for _ in range(50):
        client.until_over(client.request(GET))
        client.round_trip()
    assert not client.goaways and not proxy.limit_lines("pings")


@pytest.mark.parametrize("fields", [POST, GRPC], ids=["plain", "grpc"])
def test_empty_data(limited, dial, fields):
    proxy = limited(silent, empty_data=10)
    client = dial(proxy)
    stream = client.request(fields, end=False)
    flood(client, frames.frame(frames.DATA, 0, stream.number), 500)
    assert client.until_closed() in (frames.ENHANCE_YOUR_CALM, None)
    trips_once(proxy, "empty_data")


def test_padding_alone_is_empty_data(limited, dial):
    proxy = limited(silent, empty_data=10)
    client = dial(proxy)
    stream = client.request(POST, end=False)
    flood(client, frames.frame(frames.DATA, frames.PADDED, stream.number, b"\x03\0\0\0"), 500)
    client.until_closed()
    trips_once(proxy, "empty_data")


def test_control_frames_that_nobody_reads(limited, dial):
    proxy = limited(pings=1_000_000_000, control_frames_queued=50,
                    frames_without_request=1_000_000_000)
    client = dial(proxy, receive_buffer=4096)
    flood(client, FLOODS["pings"] * 1000, 1000)
    waiting.until(
        lambda: proxy.limit_lines("control_frames_queued") or proxy.limit_lines("unread_output"),
        lambda: f"control_frames_queued in the log; it has\n{proxy.log}")
    is_usable(dial, proxy)


def test_output_that_nobody_reads(limited, dial):
    def script(connection):
        stream = connection.next_request(60)
        connection.send_headers(stream.number, [(":status", "200")])
        connection.queue(stream.number, bytes(32 << 20))
        silent(connection)

    proxy = limited(script, timeouts={"unread_output": "400ms"}, unread_output="64KiB")
    client = dial(proxy, settings={frames.INITIAL_WINDOW_SIZE: frames.MAX_WINDOW},
                  receive_buffer=4096)
    client.send_window(0, frames.MAX_WINDOW - frames.DEFAULT_WINDOW)
    client.request(GET)
    trips_once(proxy, "unread_output")


def test_connections_beyond_the_limit_are_closed(limited, dial):
    proxy = limited(connections=2)

    def served():
        client = dial(proxy)
        try:
            client.until_over(client.request(GET))
        except waiting.Late:
            return None
        return client

    # The first try may come before Weir saw that the connection which found it ready was closed.
    clients = [waiting.until(served, "a connection to be taken") for _ in range(2)]
    dial(proxy).until_closed()
    proxy.wait_for_limit("connections")
    clients[0].close()
    waiting.until(served, "a connection to be taken again")


def test_uploads_share_a_connection_fairly(start_weir, start_origin, dial):
    """A stream whose origin takes nothing must not stop its neighbour's bytes."""

    def script(connection):
        assert connection.next_request(60).field(":path") == "/blocked"
        connection.send_window(connection.next_request(60).number, frames.DEFAULT_WINDOW)
        frames.answer_all(connection)

    origin = start_origin(script, settings={frames.INITIAL_WINDOW_SIZE: 0})
    client = dial(start_weir(origin.port))
    client.round_trip()
    blocked = client.request(changed(POST, path="/blocked"), end=False)
    for _ in range(client.settings[frames.INITIAL_WINDOW_SIZE] // 8192):
        client.send_data(blocked.number, bytes(8192))
    client.round_trip()
    stream = client.request(POST, bytes(10_000))
    assert client.until_over(stream).status == 200
    assert not blocked.is_over
