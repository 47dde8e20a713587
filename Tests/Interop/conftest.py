"""What the tests stand on: origins, the proxy, and clients, each on free ports of loopback."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).parent / "generated"))

import grpc  # noqa: E402
import pytest  # noqa: E402

pytest.register_assert_rewrite("calls")

import echo_pb2_grpc  # noqa: E402
import frames  # noqa: E402
import weir as program  # noqa: E402
from echo_origin import EchoOrigin  # noqa: E402


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows the logs of a failed test's proxies."""
    report = (yield).get_result()
    if report.failed:
        for proxy in getattr(item, "proxies", []):
            report.sections.append((f"weir {proxy.port}", proxy.log))


@pytest.fixture
def start_weir(request, tmp_path):
    """Starts proxies: `start_weir(origin_port, …)`; `program.configuration` has the arguments."""
    request.node.proxies = []

    def start(*origins, workers=1, **parts):
        config = program.configuration(program.free_port(), origins, **parts)
        folder = tmp_path / f"weir-{len(request.node.proxies)}"
        folder.mkdir()
        proxy = program.Weir(folder, config, workers)
        request.node.proxies.append(proxy)
        return proxy

    yield start
    for proxy in request.node.proxies:
        proxy.stop()


@pytest.fixture
def echo_origin():
    """A grpcio server."""
    origin = EchoOrigin()
    yield origin
    origin.stop()


@pytest.fixture
def start_origin():
    """Starts origins that are scripted frame by frame: `start_origin(script)`."""
    origins = []

    def start(script=frames.answer_all, **terms):
        origins.append(frames.RawOrigin(script, **terms))
        return origins[-1]

    yield start
    for origin in origins:
        origin.stop()


@pytest.fixture
def dial():
    """Opens raw client connections: `dial(port)`."""
    clients = []

    def connect(target, **terms):
        port = target if isinstance(target, int) else target.port
        clients.append(frames.Connection.to(port, **terms))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def echo_stub(request):
    """Makes grpcio clients: `echo_stub(proxy)`."""
    channels = []

    def make(target, *options):
        port = target if isinstance(target, int) else target.port
        sizes = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        # A subchannel of its own for each stub: no connection is shared between tests.
        own = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        channels.append(
            grpc.insecure_channel(f"127.0.0.1:{port}", options=[*sizes, *own, *options]))
        return echo_pb2_grpc.EchoStub(channels[-1])

    yield make
    for channel in channels:
        channel.close()
