"""HTTP/2 by hand: frames as bytes, and connections that can do wrong on purpose (RFC 9113, 7541)."""

import collections
import socket
import struct
import threading
import time

import hpack

import waiting

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 5, 6, 7, 8, 9

END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS = 1, 2, 3
INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 4, 5, 6

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 2, 3
SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM = 4, 5, 6, 7
CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = 8, 9, 10, 11
INADEQUATE_SECURITY = 12

DEFAULT_WINDOW = 65_535
MAX_WINDOW = 2**31 - 1

GET = [
    (":method", "GET"), (":scheme", "http"), (":authority", "echo.test"), (":path", "/hello"),
]
POST = [(":method", "POST"), *GET[1:]]
GRPC = [
    (":method", "POST"), (":scheme", "http"), (":authority", "echo.test"),
    (":path", "/weir.echo.v1.Echo/Unary"), ("te", "trailers"),
    ("content-type", "application/grpc"),
]
GRPC_RESPONSE = [(":status", "200"), ("content-type", "application/grpc")]
EMPTY_MESSAGE = bytes(5)

Frame = collections.namedtuple("Frame", "kind flags stream payload")


def frame(kind, flags=0, stream=0, payload=b""):
    """The bytes of one frame."""
    length = struct.pack(">I", len(payload))[1:]
    return length + struct.pack(">BBI", kind, flags, stream) + payload


def integer(first, prefix_bits, value):
    """An HPACK integer (RFC 7541, 5.1) under the bits of `first`."""
    limit = (1 << prefix_bits) - 1
    if value < limit:
        return bytes([first | value])
    out, value = [first | limit], value - limit
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def raw(text):
    return text if isinstance(text, bytes) else text.encode()


def literals(fields, indexed=False):
    """A header block in which every field is spelt out, so that any bytes can stand in it."""
    block = b""
    for name, value in fields:
        name, value = raw(name), raw(value)
        block += b"\x40" if indexed else b"\0"
        block += integer(0, 7, len(name)) + name + integer(0, 7, len(value)) + value
    return block


def changed(fields, drop=(), put=(), **values):
    """A copy: without the names of `drop`, with `put` added; `path="/x"` replaces `:path`."""
    fields = [(name, value) for name, value in fields if name not in drop]
    for key, new in values.items():
        name = ":" + key
        assert any(name == n for n, _ in fields), name
        fields = [(n, new if n == name else v) for n, v in fields]
    return [*fields, *put]


class Stream:
    """What came on one stream."""

    def __init__(self, number):
        self.number = number
        self.interims = []
        self.headers = None
        self.body = bytearray()
        self.trailers = None
        self.ended = False
        self.reset = None

    @property
    def is_over(self):
        return self.ended or self.reset is not None

    def field(self, name):
        """The value of a response's or request's field; a field that came twice fails."""
        values = [v for n, v in self.headers or [] if n == name.encode()]
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0].decode() if values else None

    def trailer(self, name):
        values = [v for n, v in self.trailers or [] if n == name.encode()]
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0].decode() if values else None

    @property
    def status(self):
        return int(self.field(":status")) if self.headers else None

    @property
    def grpc_status(self):
        """Of the trailers, or of a Trailers-Only answer."""
        text = self.trailer("grpc-status") or self.field("grpc-status")
        return int(text) if text else None

    @property
    def is_trailers_only(self):
        return bool(self.headers) and self.ended and not self.body and self.trailers is None

    def __repr__(self):
        return (
            f"Stream({self.number}, interims={self.interims}, headers={self.headers}, "
            f"body={len(self.body)} bytes, trailers={self.trailers}, ended={self.ended}, "
            f"reset={self.reset})")


class Connection:
    """Either end of a connection. Not for use by two threads.

    With `acknowledges`, SETTINGS and PING are acknowledged; with `grants`, DATA is answered with
    WINDOW_UPDATE, so that the peer may go on for ever.
    """

    def __init__(self, sock, is_client, acknowledges=True, grants=True, note=None):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = sock
        self.is_client = is_client
        self.acknowledges = acknowledges
        self.grants = grants
        self.streams = {}
        self.frames = []
        self.settings = {}
        self.goaways = []
        self.acks = []
        self.closed = False
        self.data_sent = 0
        self.window = DEFAULT_WINDOW
        self.windows = {}
        self._note = note or (lambda stream: None)
        self._new = collections.deque()
        self._finished = collections.deque()
        self._pending = {}
        self._next_stream = 1
        self._buffer = bytearray()
        self._block = None
        self._encoder = hpack.Encoder()
        self._decoder = hpack.Decoder(max_header_list_size=1 << 24)

    @classmethod
    def to(cls, port, settings=None, preface=True, receive_buffer=None, tls=None, **terms):
        """A client. `settings=None` sends empty SETTINGS; `preface=False` nothing at all; `tls`
        is an SSLContext."""
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(5)
        sock.connect(("127.0.0.1", port))
        if tls:
            sock = tls.wrap_socket(sock, server_hostname="localhost")
        connection = cls(sock, is_client=True, **terms)
        if preface:
            connection.send(PREFACE)
            connection.send_settings(settings or {})
        return connection

    # Sending

    def send(self, data):
        """Sends bytes as they are; to a closed connection is no error, as the peer may close."""
        try:
            self.socket.settimeout(5)
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self.closed = True

    def send_bytewise(self, data):
        """Sends every byte in a segment of its own."""
        for index in range(len(data)):
            self.send(data[index:index + 1])

    def send_frame(self, kind, flags=0, stream=0, payload=b""):
        self.send(frame(kind, flags, stream, payload))

    def send_settings(self, settings):
        payload = b"".join(struct.pack(">HI", *item) for item in settings.items())
        self.send_frame(SETTINGS, payload=payload)

    def send_headers(self, stream, fields, end=False, **flags):
        """Literal fields, in as many frames as they need."""
        self.send_block(stream, literals(fields), end, **flags)

    def send_block(self, stream, block, end=False, end_headers=True, size=16_384):
        parts = [block[i:i + size] for i in range(0, len(block), size)] or [b""]
        for index, part in enumerate(parts):
            is_last = index == len(parts) - 1
            flags = END_HEADERS if is_last and end_headers else 0
            if index == 0:
                self.send_frame(HEADERS, flags | (END_STREAM if end else 0), stream, part)
            else:
                self.send_frame(CONTINUATION, flags, stream, part)

    def send_data(self, stream, data, end=False):
        """Whatever the window says."""
        self.send_frame(DATA, END_STREAM if end else 0, stream, data)
        self.data_sent += len(data)

    def send_reset(self, stream, code=CANCEL):
        self.send_frame(RST_STREAM, 0, stream, struct.pack(">I", code))

    def send_window(self, stream, increment):
        self.send_frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))

    def send_ping(self, payload=b"weirtest", ack=False):
        self.send_frame(PING, ACK if ack else 0, 0, payload)

    def send_goaway(self, last, code=NO_ERROR, debug=b""):
        self.send_frame(GOAWAY, 0, 0, struct.pack(">II", last, code) + debug)

    def request(self, fields, body=None, end=True, trailers=None):
        """Opens the next stream; without a body and with `end`, HEADERS ends it. The stream."""
        number, self._next_stream = self._next_stream, self._next_stream + 2
        stream = self.streams.setdefault(number, Stream(number))
        self.send_headers(number, fields, end=end and body is None and trailers is None)
        if body is not None:
            self.send_data(number, body, end=end and trailers is None)
        if trailers is not None:
            self.send_headers(number, trailers, end=True)
        return stream

    def queue(self, stream, data, end=True, trailers=None):
        """Sends data as the windows allow, now and while this side receives."""
        self._pending[stream] = [memoryview(data), end, trailers]
        self.flush()

    def flush(self):
        initial = self.settings.get(INITIAL_WINDOW_SIZE, DEFAULT_WINDOW)
        for number, (data, end, trailers) in list(self._pending.items()):
            window = initial + self.windows.get(number, 0)
            while data:
                size = min(len(data), window, self.window, 16_384)
                if size <= 0:
                    break
                last = size == len(data)
                self.send_data(number, bytes(data[:size]), end and last and trailers is None)
                data, window, self.window = data[size:], window - size, self.window - size
                self.windows[number] = self.windows.get(number, 0) - size
            self._pending[number][0] = data
            if not data:
                del self._pending[number]
                if trailers is not None:
                    self.send_headers(number, trailers, end=True)

    # Receiving

    def receive(self, timeout=5.0):
        """The next frame, after doing what it asks for; None when the peer closed."""
        header = self._read(9, timeout)
        if header is None:
            return None
        length = int.from_bytes(header[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", header[3:])
        payload = self._read(length, timeout)
        if payload is None:
            return None
        received = Frame(kind, flags, stream & MAX_WINDOW, payload)
        self.frames.append(received)
        self._handle(received)
        return received

    def until(self, predicate, what="the expected frames", timeout=5.0):
        """Receives until `predicate()` holds; its value. The peer's closing is a failure."""
        deadline = time.monotonic() + timeout
        while not (value := predicate()):
            left = deadline - time.monotonic()
            if left <= 0 or self.receive(left) is None and not (value := predicate()):
                end = "the peer closed" if self.closed else f"not within {timeout} s"
                raise waiting.Late(f"{end}: {what}; streams {list(self.streams.values())}, "
                                   f"goaways {self.goaways}")
        return value

    def until_over(self, stream, timeout=5.0):
        """Receives until the stream ended or was reset; the stream."""
        self.until(lambda: stream.is_over, f"stream {stream.number} to end", timeout)
        return stream

    def until_closed(self, timeout=5.0):
        """Receives until the peer closed; the code of its last GOAWAY, or None."""
        deadline = time.monotonic() + timeout
        while self.receive(max(0.001, deadline - time.monotonic())) is not None:
            if time.monotonic() >= deadline:
                raise waiting.Late(f"not closed within {timeout} s")
        return self.goaways[-1][1] if self.goaways else None

    def poll(self, seconds):
        """Receives whatever comes within so many seconds."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                if self.receive(left) is None:
                    return
            except waiting.Late:
                return

    def round_trip(self):
        """Returns when the peer has handled all that was sent, as its PING ACK shows."""
        count = len(self.acks)
        self.send_ping()
        self.until(lambda: len(self.acks) > count, "a PING's acknowledgement")

    def next_request(self, timeout=5.0):
        """Of a server: the next stream whose headers came."""
        self.until(lambda: self._new, "a request", timeout)
        return self._new.popleft()

    def next_finished(self, timeout=5.0):
        """Of a server: the next stream that the client ended; None when the connection closed."""
        while not self._finished:
            if self.receive(timeout) is None:
                return None
        return self._finished.popleft()

    def close(self):
        self.closed = True
        self.socket.close()

    def cut(self):
        """Ends the connection with a TCP reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def _read(self, count, timeout):
        deadline = time.monotonic() + timeout
        while len(self._buffer) < count:
            if self.closed and self.socket.fileno() < 0:
                return None
            self.socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self.socket.recv(1 << 16)
            except TimeoutError as error:
                raise waiting.Late(f"nothing came within {timeout:.3f} s") from error
            except OSError:
                data = b""
            if not data:
                self.closed = True
                return None
            self._buffer += data
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def _handle(self, received):
        kind, flags, number, payload = received
        if kind == SETTINGS and not flags & ACK:
            for offset in range(0, len(payload), 6):
                key, value = struct.unpack_from(">HI", payload, offset)
                self.settings[key] = value
            if self.acknowledges:
                self.send_frame(SETTINGS, ACK)
            self.flush()
        elif kind == PING and flags & ACK:
            self.acks.append(payload)
        elif kind == PING and self.acknowledges:
            self.send_ping(payload, ack=True)
        elif kind == GOAWAY:
            self.goaways.append((*struct.unpack_from(">II", payload), payload[8:]))
        elif kind == WINDOW_UPDATE:
            increment = struct.unpack(">I", payload)[0]
            if number:
                self.windows[number] = self.windows.get(number, 0) + increment
            else:
                self.window += increment
            self.flush()
        elif kind == RST_STREAM:
            self._stream(number).reset = struct.unpack(">I", payload)[0]
            self._pending.pop(number, None)
        elif kind in (HEADERS, CONTINUATION):
            self._handle_block(received)
        elif kind == DATA:
            self._handle_data(received)

    def _handle_block(self, received):
        kind, flags, number, payload = received
        if kind == HEADERS:
            if flags & 0x20:
                payload = payload[5:]
            self._block = [number, flags & END_STREAM, b""]
        self._block[2] += payload
        if not flags & END_HEADERS:
            return
        number, end, block = self._block
        fields = [tuple(field) for field in self._decoder.decode(block, raw=True)]
        stream = self._stream(number)
        status = dict(fields).get(b":status", b"")
        if stream.headers is not None:
            stream.trailers = fields
        elif status.startswith(b"1"):
            stream.interims.append(fields)
        else:
            stream.headers = fields
            self._new.append(stream)
            self._note(stream)
        if end:
            self._end(stream)

    def _handle_data(self, received):
        _, flags, number, payload = received
        stream = self._stream(number)
        length = len(payload)
        if flags & PADDED:
            payload = payload[1:length - payload[0]]
        stream.body += payload
        if self.grants and length:
            self.send_window(0, length)
            if not flags & END_STREAM:
                self.send_window(number, length)
        if flags & END_STREAM:
            self._end(stream)

    def _stream(self, number):
        if number not in self.streams:
            self.streams[number] = Stream(number)
        return self.streams[number]

    def _end(self, stream):
        stream.ended = True
        self._finished.append(stream)


def answer(connection, stream, body=b"hello"):
    """The plainest good answer to a gRPC call, or to any other request."""
    if (stream.field("content-type") or "").startswith("application/grpc"):
        connection.send_headers(stream.number, GRPC_RESPONSE)
        connection.send_data(stream.number, EMPTY_MESSAGE)
        connection.send_headers(stream.number, [("grpc-status", "0")], end=True)
    else:
        connection.send_headers(stream.number, [(":status", "200")])
        connection.send_data(stream.number, body, end=True)


def answer_all(connection):
    """A script: answers each request when it ended."""
    while (stream := connection.next_finished(timeout=60)) is not None:
        if stream.reset is None:
            answer(connection, stream)


class RawOrigin:
    """A server that runs `script(connection)` for each connection, in a thread.

    `requests` has every request of every connection. A script's own mistakes fail the test when
    the origin stops; the peer's closing the connection is none. With `settings=None` the script
    sends its own SETTINGS.
    """

    def __init__(self, script=answer_all, settings=(), receive_buffer=None, port=0, **terms):
        self.requests = []
        self.connections = []
        self._script, self._settings, self._terms = script, settings, terms
        self._errors = []
        self._stopped = False
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind(("127.0.0.1", port))
        self._listener.listen(128)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        if not self._stopped:
            # A thread in accept() would take one more.
            try:
                self._listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self._stopped = True
        self._listener.close()
        for connection in self.connections:
            try:
                connection.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        if self._errors:
            raise self._errors[0]

    def wait_for_requests(self, count=1, timeout=5.0):
        waiting.until(
            lambda: len(self.requests) >= count,
            lambda: f"{count} requests at the origin; it has {len(self.requests)}", timeout)
        return self.requests

    def _accept(self):
        while not self._stopped:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            connection = Connection(
                sock, is_client=False, note=self.requests.append, **self._terms)
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if connection._read(len(PREFACE), 60) is None:
                return
            if self._settings is not None:
                connection.send_settings(dict(self._settings))
            self._script(connection)
        except Exception as error:
            if not self._stopped and not connection.closed:
                self._errors.append(error)
        finally:
            if not connection.closed:
                connection.close()
