"""A grpcio server that fails as it is told to, and can be restarted gracefully."""

from concurrent import futures

import grpc

import echo_pb2
import echo_pb2_grpc


class FlakyOrigin(echo_pb2_grpc.EchoServicer):
    """`code` is what calls end with: Unary at once (Trailers-Only), ServerStream behind a message."""

    def __init__(self, port=0, code=None, services=(), reuse=False):
        self.code = code
        self.calls = 0
        self._services = services
        self._options = [("grpc.so_reuseport", int(reuse))]
        self.port = port
        self.start()

    def start(self):
        self._server = grpc.server(futures.ThreadPoolExecutor(16), options=self._options)
        echo_pb2_grpc.add_EchoServicer_to_server(self, self._server)
        for add in self._services:
            add(self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        assert self.port
        self._server.start()

    def stop(self, grace=None):
        """With a grace it says GOAWAY and lets calls end."""
        self._server.stop(grace).wait()

    def Unary(self, request, context):
        self.calls += 1
        if self.code:
            context.abort(self.code, "as told")
        return echo_pb2.EchoResponse(payload=request.payload)

    def ServerStream(self, request, context):
        self.calls += 1
        yield echo_pb2.EchoResponse(payload=request.payload)
        if self.code:
            context.abort(self.code, "as told")
