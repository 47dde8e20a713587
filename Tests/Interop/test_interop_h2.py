"""The h2 package at both ends: a strict judge of what Weir sends, and frames that are rare.

h2 raises an error for whatever breaks RFC 9113, so that a test fails by what Weir sends wrong.
"""

import socket
import threading

import h2.config
import h2.connection
import h2.events
import h2.settings
import hpack
import pytest

import waiting

CODES = h2.settings.SettingCodes
REQUEST = [
    (":method", "POST"), (":scheme", "http"), (":authority", "echo.test"), (":path", "/echo"),
]


class Peer:
    """One end of a connection; `events` are those that came, in their order."""

    def __init__(self, sock, is_client):
        self.socket = sock
        self.socket.settimeout(10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = h2.config.H2Configuration(
            client_side=is_client, header_encoding="utf-8", validate_inbound_headers=True)
        self.h2 = h2.connection.H2Connection(config)
        self.events = []
        self.grants = True
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def receive(self):
        """Takes what comes next; False at the end."""
        data = self.socket.recv(1 << 16)
        if not data:
            return False
        for event in self.h2.receive_data(data):
            self.events.append(event)
            if isinstance(event, h2.events.DataReceived) and self.grants:
                length = event.flow_controlled_length
                self.h2.acknowledge_received_data(length, event.stream_id)
        self.flush()
        return True

    def of(self, kind, stream=None):
        return [e for e in self.events
                if isinstance(e, kind) and (stream is None or e.stream_id == stream)]

    def until(self, predicate):
        while not (value := predicate()):
            assert self.receive(), f"the connection ended; {self.events}"
        return value

    def answer(self, stream):
        """Waits for a stream's end: fields, body, trailers."""
        self.until(lambda: self.of(h2.events.StreamEnded, stream)
                   or self.of(h2.events.StreamReset, stream))
        assert not self.of(h2.events.StreamReset, stream), self.events
        body = b"".join(e.data for e in self.of(h2.events.DataReceived, stream))
        trailers = [e.headers for e in self.of(h2.events.TrailersReceived, stream)]
        return dict(self.of(h2.events.ResponseReceived, stream)[0].headers), body, trailers

    def ask(self, stream, body, **terms):
        self.h2.send_headers(stream, REQUEST)
        self.send(stream, body, **terms)

    def send(self, stream, body, end=True, pad=None):
        """Sends as windows allow."""
        while body:
            room = self.until(lambda: self.h2.local_flow_control_window(stream))
            size = min(len(body), room - (pad or 0) - 1, self.h2.max_outbound_frame_size - 300)
            if size <= 0:
                self.receive()
                continue
            self.h2.send_data(stream, body[:size], pad_length=pad)
            body = body[size:]
            self.flush()
        if end:
            self.h2.end_stream(stream)
            self.flush()


class Server:
    """Serves each connection with `script(peer, stream)` for each request that has ended."""

    def __init__(self, script, before=None):
        self._script, self._before = script, before
        self.faults = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        assert not self.faults, self.faults

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            peer = Peer(sock, is_client=False)
            sock.settimeout(60)
            if self._before:
                self._before(peer)
                peer.flush()
            served = 0
            while peer.receive():
                ended = peer.of(h2.events.StreamEnded)
                while served < len(ended):
                    self._script(peer, ended[served].stream_id)
                    served += 1
                    ended = peer.of(h2.events.StreamEnded)
        except OSError:
            return
        except Exception as error:
            self.faults.append(repr(error))
        finally:
            sock.close()


def echo(peer, stream):
    body = b"".join(e.data for e in peer.of(h2.events.DataReceived, stream))
    peer.h2.send_headers(stream, [(":status", "200"), ("x-length", str(len(body)))])
    peer.send(stream, body, end=False)
    peer.h2.send_headers(stream, [("x-sum", str(sum(body)))], end_stream=True)
    peer.flush()


@pytest.fixture
def start_server():
    servers = []

    def start(script=echo, **terms):
        servers.append(Server(script, **terms))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def connect():
    """Opens connections of h2: `connect(proxy)`."""
    sockets = []

    def open_one(proxy):
        sockets.append(socket.create_connection(("127.0.0.1", proxy.port), 10))
        return Peer(sockets[-1], is_client=True)

    yield open_one
    for one in sockets:
        one.close()


@pytest.fixture
def client(start_weir, start_server, connect):
    return connect(start_weir(start_server().port))


def check(answer, body):
    fields, received, trailers = answer
    assert fields[":status"] == "200" and received == body
    assert trailers == [[("x-sum", str(sum(body)))]]


def test_an_echo_with_trailers(client):
    client.ask(1, b"abc" * 100_000)
    check(client.answer(1), b"abc" * 100_000)


@pytest.mark.parametrize("pad", [0, 1, 255])
def test_padded_data(client, pad):
    """Padding counts for flow control and is nobody's body."""
    client.ask(1, b"abc" * 50_000, pad=pad)
    check(client.answer(1), b"abc" * 50_000)


def test_padded_answers(start_weir, start_server, connect):
    def padded(peer, stream):
        peer.h2.send_headers(stream, [(":status", "200")])
        peer.send(stream, b"z" * 100_000, pad=200)

    client = connect(start_weir(start_server(padded).port))
    client.ask(1, b"a")
    assert client.answer(1)[1] == b"z" * 100_000


def test_priorities_are_taken_and_change_nothing(client):
    """RFC 9113, 5.3.2: PRIORITY frames and the flag are deprecated; both still come."""
    client.h2.prioritize(3, weight=20, depends_on=1, exclusive=True)
    client.h2.send_headers(1, REQUEST, priority_weight=1, priority_depends_on=3)
    client.h2.prioritize(1, weight=256)
    client.send(1, b"abc")
    check(client.answer(1), b"abc")


def test_a_window_that_opens_late(client):
    """The answer waits at an initial window of 0, and goes on when SETTINGS raise it."""
    client.h2.update_settings({CODES.INITIAL_WINDOW_SIZE: 0})
    client.flush()
    client.until(lambda: client.of(h2.events.SettingsAcknowledged))
    client.ask(1, b"abc" * 10_000)
    client.until(lambda: client.of(h2.events.ResponseReceived, 1))
    assert not client.of(h2.events.DataReceived, 1)
    client.h2.update_settings({CODES.INITIAL_WINDOW_SIZE: 1_000_000})
    client.flush()
    check(client.answer(1), b"abc" * 10_000)


@pytest.mark.parametrize("size", [0, 1, 64, 65_536])
def test_hpack_tables_of_all_sizes(client, size):
    """The encoder toward us must follow (RFC 7541, 4.2); h2's decoder refuses one that does not."""
    for number in range(6):
        value = size if number % 2 else 4_096
        client.h2.update_settings({CODES.HEADER_TABLE_SIZE: value})
        client.ask(1 + 2 * number, b"abc")
        check(client.answer(1 + 2 * number), b"abc")


def test_frames_of_16_mb_are_allowed(client):
    client.h2.update_settings({
        CODES.MAX_FRAME_SIZE: (1 << 24) - 1, CODES.INITIAL_WINDOW_SIZE: (1 << 31) - 1})
    client.h2.increment_flow_control_window((1 << 31) - 1 - 65_535)
    client.flush()
    client.ask(1, b"abc" * 500_000)
    check(client.answer(1), b"abc" * 500_000)


def test_a_server_that_changes_its_mind(start_weir, start_server, connect):
    """SETTINGS amid the exchange, fewer than `settings` allows; windows shrink and grow."""

    def change(peer, stream):
        for window in (0, 70_000, 20_000):
            peer.h2.update_settings({
                CODES.INITIAL_WINDOW_SIZE: window, CODES.MAX_FRAME_SIZE: 16_384 + window,
                CODES.HEADER_TABLE_SIZE: window % 5_000})
        echo(peer, stream)

    client = connect(start_weir(start_server(change).port))
    for stream in (1, 3, 5):
        client.ask(stream, b"abc" * 30_000)
        check(client.answer(stream), b"abc" * 30_000)


def test_frames_that_concern_one_hop_stay_there(start_weir, start_server, connect):
    """ALTSVC and PING are between Weir and the server; what else comes must be whole."""

    def noisy(peer, stream):
        peer.h2.advertise_alternative_service(b'h2=":443"', origin=b"http://echo.test")
        peer.h2.ping(b"12345678")
        peer.h2.send_headers(stream, [(":status", "103"), ("link", "</a>; rel=preload")])
        peer.h2.advertise_alternative_service(b'h2=":443"', stream_id=stream)
        echo(peer, stream)

    client = connect(start_weir(start_server(noisy).port))
    client.ask(1, b"abc")
    check(client.answer(1), b"abc")
    assert len(client.of(h2.events.InformationalResponseReceived, 1)) == 1
    assert not client.of(h2.events.AlternativeServiceAvailable)
    assert not client.of(h2.events.PingReceived)


def test_never_indexed_fields_pass(client):
    """RFC 7541, 6.2.3: what must never be indexed passes and breaks no table."""
    fields = [*REQUEST, hpack.NeverIndexedHeaderTuple("authorization", "secret")]
    for stream in (1, 3):
        client.h2.send_headers(stream, fields)
        client.send(stream, b"abc")
        check(client.answer(stream), b"abc")


def test_connections_one_after_another_leave_nothing(start_weir, start_server, connect):
    proxy = start_weir(start_server().port)
    before = None
    for number in range(300):
        client = connect(proxy)
        client.ask(1, b"abc")
        check(client.answer(1), b"abc")
        client.h2.close_connection()
        client.flush()
        client.socket.close()
        if number == 100:
            before = proxy.resident_bytes()
    waiting.until(
        lambda: proxy.resident_bytes() - before < 4_000_000,
        lambda: f"{proxy.resident_bytes() - before} bytes more", 10)
