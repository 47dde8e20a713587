"""Servers that differ in speed, and callers that find out how Weir spreads their calls."""

import asyncio
import threading
import time

import grpc

METHOD = "/balancing.Servers/Answer"


class Servers:
    """gRPC servers in one thread, each on a port of its own; `delays` in seconds may be changed."""

    def __init__(self, count, delay=0.0):
        self.delays = [delay] * count
        self.counts = [0] * count
        self.in_flight = [0] * count
        self.fails = [None] * count
        self.ports = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(20)

    def reset(self):
        self.counts = [0] * len(self.counts)

    def stop(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(asyncio.gather(*(s.stop(None) for s in self._servers)))

    async def _start(self):
        self._servers = []
        for index in range(len(self.delays)):
            server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
            handler = grpc.unary_unary_rpc_method_handler(self._answerer(index))
            service = METHOD.split("/")[1]
            server.add_generic_rpc_handlers(
                [grpc.method_handlers_generic_handler(service, {"Answer": handler})])
            self.ports.append(server.add_insecure_port("127.0.0.1:0"))
            await server.start()
            self._servers.append(server)

    def _answerer(self, index):
        async def answer(_, context):
            self.counts[index] += 1
            if self.fails[index] is not None:
                await context.abort(self.fails[index], "as told")
            self.in_flight[index] += 1
            if self.delays[index]:
                await asyncio.sleep(self.delays[index])
            self.in_flight[index] -= 1
            return b"%d" % index

        return answer


def call(port, count, rate=None, at_once=32, metadata=lambda number: ()):
    """Calls through Weir: (seconds, index of the server, or None where it failed) for each.

    With `rate` so many are begun in each second, whatever became of those before; otherwise
    `at_once` of them are under way.
    """
    return asyncio.run(_call(port, count, rate, at_once, metadata))


async def _call(port, count, rate, at_once, metadata):
    limit = asyncio.Semaphore(10_000 if rate else at_once)
    results = [None] * count

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = channel.unary_unary(METHOD)

        async def one(number):
            began = time.monotonic()
            try:
                answer = await stub(b"", timeout=20, metadata=metadata(number))
                results[number] = (time.monotonic() - began, int(answer))
            except grpc.RpcError:
                results[number] = (time.monotonic() - began, None)
            finally:
                limit.release()

        began = time.monotonic()
        tasks = []
        for number in range(count):
            if rate:
                await asyncio.sleep(max(0, began + number / rate - time.monotonic()))
            await limit.acquire()
            tasks.append(asyncio.create_task(one(number)))
        await asyncio.gather(*tasks)
    return results


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
