"""A grpcio server for tests of what survives its failures: `restarting_server.py PORT SHARE`.

A SHARE of its calls ends with UNAVAILABLE, half of them before headers and half behind them. SIGTERM
lets it go gracefully (GOAWAY, what runs may end), SIGKILL does not.
"""

import asyncio
import pathlib
import random
import signal
import sys

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parent / "generated")]

import grpc  # noqa: E402

import echo_pb2_grpc  # noqa: E402
from echo_pb2 import EchoResponse  # noqa: E402


class Echo(echo_pb2_grpc.EchoServicer):
    def __init__(self, share):
        self._share = share

    async def Unary(self, request, context):
        draw = random.random()
        if draw < self._share:
            if draw < self._share / 2:
                await context.send_initial_metadata([("x-begun", "1")])
            await context.abort(grpc.StatusCode.UNAVAILABLE, "injected")
        return EchoResponse(payload=request.payload)


async def serve(port, share):
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    echo_pb2_grpc.add_EchoServicer_to_server(Echo(share), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    leaving = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leaving.set)
    print("ready", flush=True)
    await leaving.wait()
    await server.stop(2)


asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
