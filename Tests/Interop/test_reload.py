"""Configurations that change under load: every answer belongs to one of them, and none is lost."""

import signal
import socket
import time

import pytest

import frames
import weir as program
from echo_pb2 import EchoRequest, EchoTerms
from frames import GET, GRPC, changed
from reloading import (  # noqa: F401
    LONG, Callers, Load, Swap, pause, replace, serve, text_of, write)

# Quiet time before a change is loaded, and what loading may take on a busy machine.
SOON = 10.0
ASK = changed(GET, path="/ask/me")


def edits(revision):
    return {"set": {"x-rev": str(revision)}}


def configuration(port, origins, revision, listeners=(), routes=()):
    """Revision n asks origin n mod 3 under a path, and marks the answer with n."""
    upstreams = [
        {"name": f"origin-{i}", "endpoints": [f"127.0.0.1:{origin}"]}
        for i, origin in enumerate(origins)]
    edge = {"name": "edge", "address": f"127.0.0.1:{port}"}
    to = [{"upstream": f"origin-{revision % len(origins)}"}]
    named = {"listeners": ["edge"]} if listeners else {}
    ask = {
        "name": "ask", **named, "matches": [{"path": {"prefix": "/ask"}}], "backends": to,
        "rewrite": {"path_prefix": f"/revision-{revision}"}, "response_headers": edits(revision),
    }
    # No upstream is unused, which would be warned of.
    all_origins = {
        "name": "all-origins", **named, "matches": [{"path": "/all"}],
        "backends": [{"upstream": u["name"]} for u in upstreams]}
    call = {
        "name": "call", **named, "matches": [{"method": "weir.echo.v1.*"}],
        "backends": [{"upstream": "echo"}], "request_headers": edits(revision),
        "response_headers": {"set": {"x-answered-by": str(revision)}},
    }
    config = {
        "listeners": [edge, *listeners], "upstreams": upstreams, "routes": [ask, all_origins, *routes],
        "access": {"default": "allow"},
    }
    return config, call


def plain(port, origins, revision, **more):
    return configuration(port, origins, revision, **more)[0]


def with_calls(port, origins, revision, echo):
    config, call = configuration(port, origins, revision)
    config["routes"].append(call)
    config["upstreams"].append({"name": "echo", "endpoints": [f"127.0.0.1:{echo}"]})
    return config


@pytest.fixture
def origins(serve):  # noqa: F811
    """Three ports; origin i answers the paths of revisions i, i + 3, i + 6, … with their number.

    Any other path is 404: a request that took its rewrite from one configuration and its upstream
    from another finds nothing.
    """
    ports = [program.free_port() for _ in range(3)]
    serve({
        "listeners": [
            {"name": f"origin-{i}", "address": f"127.0.0.1:{port}"}
            for i, port in enumerate(ports)],
        "routes": [
            {"name": f"revision-{i}", "listeners": [f"origin-{i % 3}"],
             "matches": [{"path": {"prefix": f"/revision-{i}"}}],
             "respond": {"status": 200, "body": str(i)}}
            for i in range(100)],
        "access": {"default": "allow"},
    }, log_level="notice")
    return ports


def whole(seen):
    """A check: what the origin answered is what the response's headers say. Notes the revision."""

    def check(stream):
        mark = stream.field("x-rev")
        if stream.status != 200 or bytes(stream.body).decode() != mark:
            return f"{mark}: {stream}"
        seen.add(int(mark))
        return None

    return check


def in_place(path, config, proxy):
    write(path, config)


def rename(path, config, proxy):
    replace(path, config)


def hang_up(path, config, proxy):
    """One that the watch would find as well: the signal does not wait for quiet."""
    replace(path, config)
    proxy.signal(signal.SIGHUP)


@pytest.mark.parametrize("change", [in_place, rename, hang_up])
@pytest.mark.parametrize("reloads", [60 if LONG else 12])
def test_reloads_under_load(serve, origins, echo_origin, echo_stub, reloads, change):  # noqa: F811
    """One reload a second: h2load at 10 connections x 10 streams, checked clients, real gRPC."""
    port = program.free_port()
    proxy = serve(with_calls(port, origins, 0, echo_origin.port), workers=2)
    seen, calls = set(), 0
    stub = echo_stub(proxy)
    load = Load(f"http://127.0.0.1:{port}/ask", reloads + 1)
    try:
        with Callers(port, ASK, whole(seen), connections=2) as callers:
            for revision in range(1, reloads + 1):
                begin = time.monotonic()
                change(
                    proxy.config_path, with_calls(port, origins, revision, echo_origin.port), proxy)
                while proxy.log.count(" reloaded revision=") < revision:
                    calls += check_call(stub)
                    assert time.monotonic() < begin + SOON, proxy.log
                callers.until_more(100)
                while time.monotonic() < begin + 1:
                    calls += check_call(stub)
        assert load.finish() > 100 * reloads
    finally:
        load.stop()
    assert seen == set(range(reloads + 1)), "each configuration answered"
    assert calls > reloads
    assert proxy.lines(" (warning|error) ") == []
    assert len(proxy.lines("installed revision=")) == 2 * (reloads + 1)


def check_call(stub):
    """One gRPC call: what the server saw is of the configuration that marked the answer."""
    request = EchoRequest(payload=b"abc", terms=EchoTerms(echoes_metadata=True))
    answer, call = stub.Unary.with_call(request, timeout=10)
    assert answer.payload == b"abc"
    initial = dict(call.initial_metadata())
    trailing = dict(call.trailing_metadata())
    assert initial["x-rev"] == initial["x-answered-by"] == trailing["trailing-x-rev"]
    return 1


def test_a_link_that_kubernetes_swaps(serve, origins, tmp_path):  # noqa: F811
    port = program.free_port()
    folder = tmp_path / "mounted"
    folder.mkdir()
    swap = Swap(folder, {"weir.yaml": plain(port, origins, 0)})
    proxy = serve(path=folder / "weir.yaml", port=port)
    seen = set()
    with Callers(port, ASK, whole(seen), connections=2) as callers:
        for revision in range(1, 6):
            swap.change({"weir.yaml": plain(port, origins, revision)})
            proxy.wait_for_line(" reloaded revision=", revision, timeout=3)
            callers.until_more(50)
    assert seen == set(range(6))


def pieces(port, origins, revision):
    """The same configuration in the files of a directory."""
    config = plain(port, origins, revision)
    return {
        "10-edge.yaml": {"listeners": config["listeners"], "access": config["access"]},
        "20-upstreams.yaml": {"upstreams": config["upstreams"]},
        "30-routes.yaml": {"routes": config["routes"]},
    }


def test_a_directory_of_files(serve, origins, tmp_path):  # noqa: F811
    """Files change, come and go; what is not `.yaml` is nobody's."""
    port = program.free_port()
    folder = tmp_path / "parts"
    folder.mkdir()
    for name, config in pieces(port, origins, 0).items():
        write(folder / name, config)
    proxy = serve(path=folder, port=port)
    seen = set()
    with Callers(port, ASK, whole(seen), connections=2) as callers:
        for revision in range(1, 4):
            replace(folder / "30-routes.yaml", pieces(port, origins, revision)["30-routes.yaml"])
            proxy.wait_for_line(" reloaded revision=", revision, timeout=3)
            callers.until_more(50)
        more = {"name": "more", "matches": [{"path": "/more"}], "respond": {"status": 200}}
        write(folder / "40-more.yaml", {"routes": [more]})
        proxy.wait_for_line(" reloaded revision=.* routes=3 ", timeout=3)
        (folder / "40-more.yaml").unlink()
        proxy.wait_for_line(" reloaded revision=.* routes=2 ", 4, timeout=3)
        before = proxy.log.count("reload")
        write(folder / "notes.txt", "x: [")
        callers.until_more(500)
    assert proxy.log.count("reload") == before or proxy.lines("nothing changed")
    assert seen == set(range(4))


def test_a_directory_that_kubernetes_swaps(serve, origins, tmp_path):  # noqa: F811
    port = program.free_port()
    folder = tmp_path / "mounted"
    folder.mkdir()
    swap = Swap(folder, pieces(port, origins, 0))
    proxy = serve(path=folder, port=port)
    seen = set()
    with Callers(port, ASK, whole(seen), connections=2) as callers:
        for revision in range(1, 4):
            swap.change(pieces(port, origins, revision))
            proxy.wait_for_line(" reloaded revision=", revision, timeout=3)
            callers.until_more(50)
    assert seen == set(range(4))


def test_a_directory_that_is_replaced(serve, origins, tmp_path):  # noqa: F811
    """The watched folder itself is renamed away, twice."""
    port = program.free_port()
    folder = tmp_path / "parts"
    proxy = None
    for revision in range(3):
        other = tmp_path / f"parts-{revision}"
        other.mkdir()
        for name, config in pieces(port, origins, revision).items():
            write(other / name, config)
        if proxy is not None:
            folder.rename(tmp_path / f"old-{revision}")
        other.rename(folder)
        if proxy is None:
            proxy = serve(path=folder, port=port)
        else:
            proxy.wait_for_line(" reloaded revision=", revision, timeout=8)


def test_a_neighbour_that_is_written_all_the_time(serve, origins, tmp_path):  # noqa: F811
    """Quiet is asked of the files that are read, not of all in their folder."""
    port = program.free_port()
    proxy = serve(plain(port, origins, 0))
    noise = proxy.config_path.with_name("access.log")
    replace(proxy.config_path, plain(port, origins, 1))
    end = time.monotonic() + 4
    with noise.open("a") as file:
        while time.monotonic() < end and not proxy.lines(" reloaded "):
            file.write("x\n")
            file.flush()
            pause(0.02)
    assert proxy.lines(" reloaded "), proxy.log


def test_a_file_that_is_written_slowly_is_read_whole(serve, origins):  # noqa: F811
    port = program.free_port()
    proxy = serve(plain(port, origins, 0))
    text = text_of(plain(port, origins, 1))
    step = len(text) // 10
    with proxy.config_path.open("w") as file:
        for start in range(0, len(text), step):
            file.write(text[start:start + step])
            file.flush()
            pause(0.1)
    proxy.wait_for_line(" reloaded ")
    assert proxy.lines(" error ") == []


BAD = {
    "half": lambda text: text[:len(text) // 2],
    "empty": lambda text: "",
    "no YAML": lambda text: text + "\n- ]",
    "a bad reference": lambda text: text.replace("upstream: origin-1", "upstream: origin-9"),
    "a key that is unknown": lambda text: text.replace("rewrite:", "rewirte:"),
    "binary": lambda text: "\0\x01\x02" + text,
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_changes_nothing(serve, origins, dial, name):  # noqa: F811
    port = program.free_port()
    proxy = serve(plain(port, origins, 1))
    seen = set()
    text = text_of(plain(port, origins, 1))
    with Callers(port, ASK, whole(seen), connections=2) as callers:
        replace(proxy.config_path, BAD[name](text))
        proxy.wait_for_line("reload refused, revision [0-9a-f]{16} stays")
        callers.until_more(100)
        # What is as bad as before is not told again.
        pause(0.5)
        replace(proxy.config_path, plain(port, origins, 2))
        proxy.wait_for_line(" reloaded revision=")
        callers.until_more(100)
    assert seen == {1, 2}
    assert len(proxy.lines("reload refused")) == 1
    # An empty file has no line to name.
    told = proxy.lines(r" error .*weir\.yaml:" + ("" if name == "empty" else r"\d+:\d+:"))
    assert told and len(set(told)) == len(told), proxy.log


def test_a_bad_file_is_told_once(serve, origins):  # noqa: F811
    """Longer than the poll of files: it looks again, and does not tell again."""
    proxy = serve(plain(program.free_port(), origins, 1))
    replace(proxy.config_path, "listeners: [")
    proxy.wait_for_line("reload refused")
    pause(6)
    assert len(proxy.lines("reload refused")) == 1


def test_a_deleted_file_changes_nothing(serve, origins):  # noqa: F811
    port = program.free_port()
    proxy = serve(plain(port, origins, 1))
    seen = set()
    with Callers(port, ASK, whole(seen), connections=2) as callers:
        proxy.config_path.unlink()
        proxy.wait_for_line(r" error .*weir\.yaml.*cannot be read")
        proxy.wait_for_line("reload refused")
        callers.until_more(100)
        write(proxy.config_path, plain(port, origins, 2))
        proxy.wait_for_line(" reloaded revision=")
        callers.until_more(100)
    assert seen == {1, 2}
    assert len(proxy.lines("reload refused")) == 1


def test_a_folder_that_is_deleted_and_made_again(serve, origins):  # noqa: F811
    port = program.free_port()
    proxy = serve(plain(port, origins, 1))
    folder = proxy.config_path.parent
    proxy.config_path.unlink()
    folder.rmdir()
    proxy.wait_for_line("reload refused")
    folder.mkdir()
    write(proxy.config_path, plain(port, origins, 2))
    proxy.wait_for_line(" reloaded revision=", timeout=8)
    write(proxy.config_path, plain(port, origins, 3))
    proxy.wait_for_line(" reloaded revision=", 2, timeout=8)


def test_a_change_while_the_last_one_is_loaded(serve, origins):  # noqa: F811
    """Nothing that is written while a large configuration is read gets lost."""
    port = program.free_port()
    many = [
        {"name": f"r{i}", "matches": [{"path": f"/r{i}"}], "respond": {"status": 200}}
        for i in range(20_000)]
    proxy = serve(plain(port, origins, 0, routes=many))
    large = text_of(plain(port, origins, 1, routes=many[1:]))
    for revision in range(2, 6):
        write(proxy.config_path, large)
        before = len(proxy.lines(" reloaded .* routes=3 "))
        proxy.signal(signal.SIGHUP)
        # Anywhere within the load.
        pause(0.02 * revision)
        replace(proxy.config_path, plain(port, origins, revision, routes=many[:1]))
        proxy.wait_for_line(" reloaded .* routes=3 ", before + 1)


# Listeners and upstreams that come and go


def second(port, **more):
    return [{"name": "second", "address": f"127.0.0.1:{port}", **more}]


def own(name, listener, **more):
    return {"name": name, "listeners": [listener], "matches": [{"path": {"prefix": "/own"}}], **more}


def refuses(port):
    """True where nobody listens on the port."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return True
    return False


def test_a_listener_comes_and_goes(serve, origins, start_origin, dial):  # noqa: F811
    """Its connections are asked to go and their streams end; others are not touched."""
    port, other = program.free_port(), program.free_port()
    released = []

    def slow(connection):
        stream = connection.next_finished(60)
        program.waiting.until(lambda: released, "the release", 30)
        frames.answer(connection, stream)
        frames.answer_all(connection)

    origin = start_origin(slow)
    both = plain(port, origins, 2, listeners=second(other, timeouts={"drain": "8s"}), routes=[
        own("own", "second", backends=[{"upstream": "slow"}])])
    both["upstreams"].append({"name": "slow", "endpoints": [f"127.0.0.1:{origin.port}"]})
    proxy = serve(plain(port, origins, 1))
    seen = set()
    with Callers(port, ASK, whole(seen), connections=2) as callers:
        replace(proxy.config_path, both)
        proxy.wait_for_line(" reloaded ")
        client = dial(other)
        stream = client.request(changed(GET, path="/own/1"))
        origin.wait_for_requests()
        idle = dial(other)
        idle.round_trip()
        replace(proxy.config_path, plain(port, origins, 3))
        proxy.wait_for_line(" reloaded ", 2)
        idle.until_closed()
        assert [last for last, *_ in idle.goaways] == [frames.MAX_WINDOW, 0]
        program.waiting.until(lambda: refuses(other), "the port to be refused", 2)
        client.until(lambda: len(client.goaways) == 2)
        assert [last for last, *_ in client.goaways] == [frames.MAX_WINDOW, stream.number]
        released.append(True)
        assert client.until_over(stream).status == 200
        assert client.until_closed() == frames.NO_ERROR
        callers.until_more(100)
    assert seen == {1, 2, 3}


def test_a_listener_comes_back_while_the_old_one_drains(
        serve, origins, start_origin, dial):  # noqa: F811
    port, other = program.free_port(), program.free_port()
    origin = start_origin(lambda connection: connection.until_closed(60))
    with_second = plain(port, origins, 1, listeners=second(other), routes=[
        own("slow", "second", backends=[{"upstream": "slow"}]),
        {"name": "here", "listeners": ["second"], "matches": [{"path": "/here"}],
         "respond": {"status": 200}}])
    with_second["upstreams"].append({"name": "slow", "endpoints": [f"127.0.0.1:{origin.port}"]})
    proxy = serve(with_second)
    client = dial(other)
    stream = client.request(changed(GET, path="/own/1"))
    origin.wait_for_requests()
    replace(proxy.config_path, plain(port, origins, 2))
    proxy.wait_for_line(" reloaded ")
    replace(proxy.config_path, with_second)
    proxy.wait_for_line(" reloaded ", 2)
    back = dial(other)
    assert back.until_over(back.request(changed(GET, path="/here"))).status == 200
    assert not stream.is_over


def test_a_listener_that_cannot_be_opened_changes_nothing(serve, origins, dial):  # noqa: F811
    port = program.free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        proxy = serve(plain(port, origins, 1))
        replace(proxy.config_path, plain(
            port, origins, 2, listeners=second(taken.getsockname()[1]),
            routes=[own("own", "second", respond={"status": 200})]))
        proxy.wait_for_line("reload refused.*cannot listen on")
        client = dial(port)
        assert client.until_over(client.request(ASK)).field("x-rev") == "1"


def test_terms_of_a_listener_change_for_its_connections(serve, origins, dial):  # noqa: F811
    """The same connection is served by new routes, and is never asked to go."""
    port = program.free_port()
    proxy = serve(plain(port, origins, 0))
    client = dial(port)
    for revision in range(1, 4):
        replace(proxy.config_path, plain(port, origins, revision))
        proxy.wait_for_line("installed revision=", revision + 1)
        assert client.until_over(client.request(ASK)).field("x-rev") == str(revision)
    assert client.goaways == [] and not client.closed


def test_a_stream_ends_on_the_configuration_it_began_with(
        serve, start_origin, dial):  # noqa: F811
    """Its upstream is gone meanwhile; then its own end comes, and the connection's."""
    released = []

    def slow(connection):
        stream = connection.next_finished(60)
        program.waiting.until(lambda: released, "the release", 30)
        frames.answer(connection, stream)
        connection.until_closed(30)

    origin, port = start_origin(slow), program.free_port()
    config = program.configuration(
        port, [origin.port], route={"response_headers": edits(1)})
    proxy = serve(config)
    client = dial(port)
    stream = client.request(GRPC, frames.EMPTY_MESSAGE)
    origin.wait_for_requests()
    replace(proxy.config_path, {
        "listeners": config["listeners"], "access": config["access"],
        "routes": [{"name": "all", "respond": {"status": 200, "body": "new"}}]})
    proxy.wait_for_line("installed revision=", 2)
    assert client.until_over(client.request(GET)).body == b"new"
    released.append(True)
    assert client.until_over(stream).grpc_status == 0
    assert stream.field("x-rev") == "1"
    program.waiting.until(lambda: origin.connections[0].closed, "the upstream connection's end")


def test_an_upstream_comes_back(serve, start_origin, dial):  # noqa: F811
    """Removed and added again, with a stream of it open all the time, and without."""

    def script(connection):
        while (stream := connection.next_request(60)) is not None:
            if stream.field(":path") == "/answer":
                connection.send_headers(stream.number, [(":status", "200")], end=True)

    origin, port = start_origin(script), program.free_port()
    config = program.configuration(port, [origin.port])
    without = {
        "listeners": config["listeners"], "access": config["access"],
        "routes": [{"name": "all", "respond": {"status": 404}}]}
    proxy = serve(config)
    client = dial(port)
    answer = changed(GET, path="/answer")
    reloads = 0
    for holds in (False, True):
        assert client.until_over(client.request(answer)).status == 200
        if holds:
            held = client.request(GET)
            client.round_trip()
        for next_config, status in ((without, 404), (config, 200)):
            reloads += 1
            replace(proxy.config_path, next_config)
            proxy.wait_for_line("installed revision=", reloads + 1)
            assert client.until_over(client.request(answer)).status == status
    assert not held.is_over


def test_requests_that_wait_do_not_fail_with_their_upstream(
        serve, start_origin, dial):  # noqa: F811
    """Some of its requests had no stream yet when the upstream was removed."""
    released = []

    def script(connection):
        while (stream := connection.next_finished(60)) is not None:
            program.waiting.until(lambda: released, "the release", 30)
            frames.answer(connection, stream)

    origin = start_origin(script, settings={frames.MAX_CONCURRENT_STREAMS: 1})
    port = program.free_port()
    config = program.configuration(
        port, [origin.port], upstream={"limits": {"connections": 1}})
    proxy = serve(config)
    client = dial(port)
    streams = [client.request(GET) for _ in range(5)]
    origin.wait_for_requests()
    client.round_trip()
    replace(proxy.config_path, {
        "listeners": config["listeners"], "access": config["access"],
        "routes": [{"name": "all", "respond": {"status": 404}}]})
    proxy.wait_for_line("installed revision=", 2)
    released.append(True)
    for stream in streams:
        assert client.until_over(stream).status == 200


def test_endpoints_change_under_load(serve, origins):  # noqa: F811
    """Each configuration has other endpoints, limits and timeouts of one upstream."""
    port = program.free_port()
    config = program.configuration(port, [])
    config["routes"] = [{
        "name": "all", "backends": [{"upstream": "origin"}],
        "matches": [{"path": {"prefix": "/ask"}}], "rewrite": {"path_prefix": "/revision-0"}}]
    # All three answer for revision 0 only where the first is asked; the first is in each.
    limits = [{}, {"requests": 500}, {"connections": 8}]
    config["upstreams"][0]["endpoints"] = [f"127.0.0.1:{origins[0]}"]
    proxy = serve(config)

    def check(stream):
        return None if stream.status == 200 and stream.body == b"0" else repr(stream)

    with Callers(port, ASK, check, connections=4) as callers:
        for revision in range(1, 7):
            config["upstreams"][0]["limits"] = limits[revision % 3]
            config["upstreams"][0]["timeouts"] = {"idle": f"{60 + revision}s"}
            replace(proxy.config_path, config)
            proxy.wait_for_line(" reloaded ", revision)
            callers.until_more(100)


def test_watch_off_leaves_sighup(serve, origins):  # noqa: F811
    """Past the poll of files, nothing was loaded; a signal loads it."""
    port = program.free_port()
    proxy = serve({**plain(port, origins, 1), "watch": "off"})
    replace(proxy.config_path, {**plain(port, origins, 2), "watch": "off"})
    with pytest.raises(AssertionError):
        proxy.wait_for_line(" reloaded ", timeout=6)
    proxy.signal(signal.SIGHUP)
    proxy.wait_for_line(" reloaded ")
