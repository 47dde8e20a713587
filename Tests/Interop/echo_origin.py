"""A real gRPC server: grpcio's, with protos/echo.proto, that remembers every call."""

import asyncio
import threading

import grpc

import echo_pb2
import echo_pb2_grpc
import waiting


class Call:
    """What the server saw of one call."""

    def __init__(self, method, context):
        self.method = method
        self.metadata = list(context.invocation_metadata())
        self.seconds_left = context.time_remaining()
        self.received = 0
        self.cancelled = False
        self.ended = False

    def values(self, name):
        return [value for key, value in self.metadata if key == name]


class EchoService(echo_pb2_grpc.EchoServicer):
    def __init__(self, calls):
        self._calls = calls

    async def Unary(self, request, context):
        async with _Recorded(self._calls, "Unary", context) as call:
            call.received = 1
            await _begin(request.terms, context)
            await _fail(request.terms, context)
            return _answer(request, request.terms, 0)

    async def ClientStream(self, request_iterator, context):
        async with _Recorded(self._calls, "ClientStream", context) as call:
            payload, terms = b"", None
            async for request in request_iterator:
                call.received += 1
                if terms is None:
                    terms = request.terms
                    await _begin(terms, context)
                payload += request.payload
                if call.received == terms.ends_after:
                    break
            terms = terms or echo_pb2.EchoTerms()
            await _fail(terms, context)
            return _answer(echo_pb2.EchoRequest(payload=payload), terms, call.received)

    async def ServerStream(self, request, context):
        async with _Recorded(self._calls, "ServerStream", context) as call:
            call.received = 1
            await _begin(request.terms, context)
            for index in range(request.terms.response_count):
                yield _answer(request, request.terms, index)
            await _fail(request.terms, context)

    async def Bidi(self, request_iterator, context):
        async with _Recorded(self._calls, "Bidi", context) as call:
            terms = None
            async for request in request_iterator:
                if terms is None:
                    terms = request.terms
                    await _begin(terms, context)
                yield _answer(request, terms, call.received)
                call.received += 1
                if call.received == terms.ends_after:
                    break
            await _fail(terms or echo_pb2.EchoTerms(), context)


class _Recorded:
    """Adds a call to the list, and notes how it ended."""

    def __init__(self, calls, method, context):
        self._call = Call(method, context)
        calls.append(self._call)

    async def __aenter__(self):
        return self._call

    async def __aexit__(self, kind, error, trace):
        self._call.cancelled = kind is asyncio.CancelledError or kind is GeneratorExit
        self._call.ended = True


async def _begin(terms, context):
    if terms.delay_ms:
        await asyncio.sleep(terms.delay_ms / 1000)
    if terms.fails_at_once:
        await _fail(terms, context)
    if terms.echoes_metadata:
        sent = [(k, v) for k, v in context.invocation_metadata() if k.startswith("x-")]
        context.set_trailing_metadata([("trailing-" + key, value) for key, value in sent])
        await context.send_initial_metadata(sent)


async def _fail(terms, context):
    if terms.status_code:
        code = next(c for c in grpc.StatusCode if c.value[0] == terms.status_code)
        await context.abort(code, terms.status_message)


def _answer(request, terms, index):
    payload = b"\xa5" * terms.response_bytes if terms.response_bytes else request.payload
    return echo_pb2.EchoResponse(payload=payload, index=index)


class EchoOrigin:
    """Serves on a free port of loopback from a thread of its own.

    `add(server)` adds services to that of the echo; `compression` is for all answers.
    """

    def __init__(self, options=(), compression=None, add=None):
        self.calls = []
        self._compression, self._add = compression, add
        self.port = None
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(options,), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def call(self, timeout=5.0):
        """The only call there was, once there is one."""
        waiting.until(lambda: self.calls, "a call to reach the server", timeout)
        assert len(self.calls) == 1
        return self.calls[0]

    def run(self, coroutine):
        """Runs it in the server's thread; its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def stop(self):
        asyncio.run_coroutine_threadsafe(self._server.stop(0), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def add_port(self, server, address):
        """Listens; subclasses with credentials."""
        return server.add_insecure_port(address)

    def _run(self, options):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start(options))
        self._ready.set()
        self._loop.run_forever()

    async def _start(self, options):
        sizes = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._server = grpc.aio.server(
            options=[*sizes, *options], compression=self._compression)
        if self._add:
            self._add(self._server)
        echo_pb2_grpc.add_EchoServicer_to_server(EchoService(self.calls), self._server)
        self.port = self.add_port(self._server, "127.0.0.1:0")
        await self._server.start()
