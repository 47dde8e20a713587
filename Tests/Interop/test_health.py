"""grpc.health.v1.Health, served by Weir itself, as grpcio's own stubs see it."""

import queue
import signal
import threading

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import frames
import weir as program
from frames import GRPC, changed
from reloading import serve, write  # noqa: F401

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
CHECK = changed(GRPC, path="/grpc.health.v1.Health/Check")


def configuration(origin, **upstream):
    config = program.configuration(program.free_port(), [origin], upstream=upstream)
    config["routes"].append({
        "name": "health", "matches": [{"method": "grpc.health.v1.Health/*"}],
        "health": {"services": {"weir.echo.v1.Echo": "origin"}}})
    return config


@pytest.fixture
def stub():
    """Makes health stubs: `stub(proxy)`."""
    channels = []

    def make(proxy):
        own = [("grpc.use_local_subchannel_pool", 1)]
        channels.append(grpc.insecure_channel(f"127.0.0.1:{proxy.port}", options=own))
        return health_pb2_grpc.HealthStub(channels[-1])

    yield make
    for channel in channels:
        channel.close()


def check(stub, service=""):
    return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5).status


class Watch:
    """What a watch is told, read in a thread of its own."""

    def __init__(self, stub, service, timeout=30):
        self.call = stub.Watch(health_pb2.HealthCheckRequest(service=service), timeout=timeout)
        self._told = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            for answer in self.call:
                self._told.put(answer.status)
            self._told.put(grpc.StatusCode.OK)
        except grpc.RpcError as error:
            self._told.put(error.code())

    def next(self, timeout=10):
        return self._told.get(timeout=timeout)


def test_check(serve, start_origin, stub):  # noqa: F811
    health = stub(serve(configuration(start_origin().port)))
    assert check(health) == SERVING and check(health, "weir.echo.v1.Echo") == SERVING
    with pytest.raises(grpc.RpcError) as failure:
        check(health, "origin")
    assert failure.value.code() == grpc.StatusCode.NOT_FOUND


def test_an_upstream_that_cannot_be_reached_is_not_serving(serve, stub, start_origin, dial):  # noqa: F811
    port = program.free_port()
    proxy = serve(configuration(port, timeouts={"backoff_base": "50ms", "backoff_max": "100ms"}))
    health = stub(proxy)
    # Nobody has tried to connect.
    assert check(health, "weir.echo.v1.Echo") == SERVING
    watch = Watch(health, "weir.echo.v1.Echo")
    assert watch.next() == SERVING
    client = dial(proxy)
    assert client.until_over(client.request(frames.GET)).status == 503
    assert check(health, "weir.echo.v1.Echo") == NOT_SERVING and check(health) == SERVING
    assert watch.next() == NOT_SERVING
    # It comes back without any other request.
    start = origin_at(port)
    try:
        assert watch.next() == SERVING
        assert check(health, "weir.echo.v1.Echo") == SERVING
    finally:
        start.stop()


def origin_at(port):
    """A grpcio server on a port of the caller's choice."""
    from concurrent import futures

    server = grpc.server(futures.ThreadPoolExecutor(1))
    assert server.add_insecure_port(f"127.0.0.1:{port}") == port
    server.start()

    class Running:
        def stop(self):
            server.stop(0).wait()

    return Running()


def test_a_drain_tells_watches_and_ends_them(serve, start_origin, stub):  # noqa: F811
    proxy = serve(configuration(start_origin().port))
    watches = [Watch(stub(proxy), service) for service in ("", "weir.echo.v1.Echo")]
    assert [watch.next() for watch in watches] == [SERVING, SERVING]
    proxy.signal(signal.SIGTERM)
    for watch in watches:
        assert watch.next() == NOT_SERVING
        assert watch.next() == grpc.StatusCode.UNAVAILABLE
    assert proxy.wait(10) == 0


def test_watches_of_unknown_services_and_deadlines(serve, start_origin, stub):  # noqa: F811
    health = stub(serve(configuration(start_origin().port)))
    watch = Watch(health, "nobody", timeout=0.5)
    assert watch.next() == SERVICE_UNKNOWN
    assert watch.next() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_reload_tells_watches_of_services_that_come_and_go(serve, start_origin, stub):  # noqa: F811
    config = configuration(start_origin().port)
    proxy = serve(config)
    health = stub(proxy)
    watches = {name: Watch(health, name) for name in ("", "weir.echo.v1.Echo", "late")}
    assert watches["late"].next() == SERVICE_UNKNOWN
    assert watches[""].next() == SERVING and watches["weir.echo.v1.Echo"].next() == SERVING
    config["routes"][1]["health"] = {"services": {"late": "origin"}}
    write(proxy.config_path, config)
    assert watches["late"].next() == SERVING
    assert watches["weir.echo.v1.Echo"].next() == SERVICE_UNKNOWN
    del config["routes"][1]
    write(proxy.config_path, config)
    assert watches["late"].next() == SERVICE_UNKNOWN and watches[""].next() == SERVICE_UNKNOWN


def test_a_watch_may_be_cancelled(serve, start_origin, stub):  # noqa: F811
    proxy = serve(configuration(start_origin().port))
    health = stub(proxy)
    for _ in range(20):
        watch = Watch(health, "")
        assert watch.next() == SERVING
        watch.call.cancel()
        assert watch.next() == grpc.StatusCode.CANCELLED
    assert check(health) == SERVING
    proxy.signal(signal.SIGTERM)
    assert proxy.wait(10) == 0


def test_watches_are_bounded(serve, start_origin, dial):  # noqa: F811
    config = configuration(start_origin().port)
    config["listeners"][0]["limits"] = {"concurrent_streams": 2000}
    client = dial(serve(config))
    request = changed(GRPC, path="/grpc.health.v1.Health/Watch")
    streams = [client.request(request, frames.EMPTY_MESSAGE) for _ in range(1_001)]
    client.until_over(streams[-1], timeout=20)
    assert streams[-1].grpc_status == 8
    client.round_trip()
    assert all(bytes(stream.body) == b"\0\0\0\0\x02\x08\x01" for stream in streams[:-1])
    # One that leaves makes room.
    client.send_reset(streams[0].number)
    client.round_trip()
    last = client.request(request, frames.EMPTY_MESSAGE)
    client.until(lambda: last.body, timeout=5)


@pytest.mark.parametrize("body, status", [
    (b"", 3), (b"\0\0\0\0\0", 0), (b"\0\0\0\0\1", 3), (b"\1\0\0\0\0", 12), (b"\2\0\0\0\0", 3),
    (b"\0\0\0\0\x02\x0a\x05", 3), (b"\0\0\0\0\0" * 2, 3), (b"\0\0\0\x10\0" + bytes(4096), 8),
    (b"\0\0\0\0\x04\x0a\x02ab", 5), (b"\0\0\0\0\x02\x10\x07", 0),
], ids=repr)
def test_odd_requests(serve, start_origin, dial, body, status):  # noqa: F811
    client = dial(serve(configuration(start_origin().port)))
    assert client.until_over(client.request(CHECK, body)).grpc_status == status
    # In pieces it is the same.
    stream = client.request(CHECK, end=False)
    for index in range(0, min(len(body), 50)):
        client.send_data(stream.number, body[index:index + 1])
    if not stream.is_over:
        client.send_data(stream.number, body[50:], end=True)
    assert client.until_over(stream).grpc_status == status


def test_other_methods_and_other_callers(serve, start_origin, dial):  # noqa: F811
    client = dial(serve(configuration(start_origin().port)))
    listing = changed(GRPC, path="/grpc.health.v1.Health/List")
    assert client.until_over(client.request(listing, frames.EMPTY_MESSAGE)).grpc_status == 12
    plain = changed(frames.POST, path="/grpc.health.v1.Health/Check")
    assert client.until_over(client.request(plain, b"x")).status == 415


@pytest.mark.parametrize("change, words", [
    ({"matches": [{"path": "/health"}]}, "this route matches no methods"),
    ({"health": {"services": {"a": "nobody"}}}, "no upstream is called 'nobody'"),
    ({"health": {"services": ["a"]}}, "where services belong"),
    ({"timeout": "1s"}, "'timeout' means nothing where Weir answers itself"),
], ids=str)
def test_mistakes_are_told(tmp_path, change, words):
    from test_init import weir
    config = configuration(1)
    config["routes"][1].update(change)
    write(tmp_path / "weir.yaml", config)
    done = weir("check", "--config", tmp_path / "weir.yaml")
    assert done.returncode == 1 and words in done.stderr, done.stderr
