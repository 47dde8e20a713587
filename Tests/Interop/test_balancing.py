"""How calls are spread over real servers."""

import math

import grpc
import pytest
import yaml

import frames
import waiting
from balancing import Servers, call
from test_limit_service import LimitService
from test_token_requests import Signer, issuer, key_set


@pytest.fixture
def start_servers():
    started = []

    def start(count, delay=0.0):
        started.append(Servers(count, delay))
        return started[-1]

    yield start
    for servers in started:
        servers.stop()


@pytest.fixture
def balanced(start_weir, start_servers):
    """A proxy with one worker and so many servers, all of them connected to."""

    def start(count, balance, delay=0.0, endpoints=None, **sections):
        servers = start_servers(count, delay)
        addresses = [f"127.0.0.1:{port}" for port in servers.ports]
        upstream = {"balance": balance, "endpoints": (endpoints or list)(addresses)}
        proxy = start_weir(*servers.ports, upstream=upstream, **sections)
        # The first calls go to whoever is connected to first.
        waiting.until(lambda: call(proxy.port, 8 * count) and all(servers.counts),
                      "every server to be reached", 10)
        servers.reset()
        return proxy, servers

    return start


def within(count, total, share):
    """Five standard deviations of a binomial count around its mean."""
    return abs(count - total * share) <= 5 * math.sqrt(total * share * (1 - share)) + 1


def test_round_robin_by_weight_is_exact(balanced):
    def weighted(addresses):
        return [{"address": a, "weight": w} for a, w in zip(addresses, [1, 2, 5])]

    proxy, servers = balanced(3, "round_robin", endpoints=weighted)
    call(proxy.port, 800)
    assert [abs(c - e) <= 2 for c, e in zip(servers.counts, [100, 200, 500])] == [True] * 3


def test_random_is_fair_within_chance(balanced):
    proxy, servers = balanced(4, "random")
    call(proxy.port, 2_000)
    assert all(within(count, 2_000, 0.25) for count in servers.counts), servers.counts


@pytest.mark.parametrize("algorithm", ["least_request", "peak_ewma"])
def test_a_slow_server_gets_little(balanced, algorithm):
    """One of four is ten times slower. In turn it gets a quarter; by load a small part."""
    proxy, servers = balanced(4, algorithm, delay=0.01)
    servers.delays[2] = 0.1
    call(proxy.port, 1_000, at_once=16)
    assert servers.counts[2] <= 100, servers.counts
    rest = [count for index, count in enumerate(servers.counts) if index != 2]
    assert min(rest) > 150, servers.counts


def test_who_fails_fast_attracts_nothing_by_peak_ewma(balanced):
    proxy, servers = balanced(3, "peak_ewma", delay=0.01)
    servers.fails[1] = grpc.StatusCode.RESOURCE_EXHAUSTED
    results = call(proxy.port, 500, at_once=8)
    assert sum(server is None for _, server in results) <= 10
    assert servers.counts[1] <= 10


def test_requests_go_where_they_belong(balanced):
    for algorithm in ["ring_hash", "maglev"]:
        balance = {"algorithm": algorithm, "hash": [{"header": "x-user"}]}
        proxy, servers = balanced(4, balance)
        by_user = {}
        for _ in range(3):
            results = call(proxy.port, 200, metadata=lambda n: [("x-user", f"u{n}")])
            for user, (_, server) in enumerate(results):
                by_user.setdefault(user, set()).add(server)
        assert all(len(servers) == 1 for servers in by_user.values())
        assert all(count > 60 for count in servers.counts), servers.counts


def test_an_endpoint_that_leaves_moves_its_own_keys_alone(balanced):
    balance = {"algorithm": "ring_hash", "hash": [{"header": "x-user"}]}
    proxy, servers = balanced(5, balance)

    def owners():
        results = call(proxy.port, 300, metadata=lambda n: [("x-user", f"u{n}")])
        return [server for _, server in results]

    before = owners()
    config = yaml.safe_load(proxy.config_path.read_text())
    del config["upstreams"][0]["endpoints"][2]
    proxy.config_path.write_text(yaml.safe_dump(config))
    waiting.until(lambda: 2 not in owners(), "the reload", 10)
    after = owners()
    assert [a for b, a in zip(before, after) if b != 2] == [b for b in before if b != 2]


def test_what_is_over_the_bounded_load_goes_to_the_next(balanced):
    """All calls have one key; 150 % of the average load is as much as one server gets."""
    balance = {"algorithm": "ring_hash", "hash": [{"header": "x-user"}], "load_limit": "150%"}
    proxy, servers = balanced(4, balance)
    servers.delays = [0.2] * 4
    call(proxy.port, 200, at_once=40, metadata=lambda n: [("x-user", "same")])
    assert max(servers.counts) <= 200 * 0.45, servers.counts
    assert sum(count > 0 for count in servers.counts) >= 3


def test_a_cookie_keeps_a_client_at_its_server(start_weir, start_origin, dial):
    """Plain HTTP: who brings no cookie is given one, and comes back to the same server with it."""
    def origin(index):
        def serve(connection):
            while (stream := connection.next_finished(timeout=60)) is not None:
                frames.answer(connection, stream, b"%d" % index)

        return start_origin(serve).port

    hash = [{"cookie": {"name": "weir", "ttl": "1h"}}]
    balance = {"algorithm": "maglev", "hash": hash}
    proxy = start_weir(*(origin(index) for index in range(3)), upstream={"balance": balance})
    client = dial(proxy)

    def get(*fields):
        stream = client.request([*frames.GET, *fields])
        client.until_over(stream)
        return bytes(stream.body), stream.field("set-cookie")

    servers = set()
    for _ in range(20):
        server, cookie = get()
        value, *attributes = cookie.split("; ")
        assert attributes == ["Path=/", "Max-Age=3600", "HttpOnly", "SameSite=Lax"]
        assert get(("cookie", f"a=b; {value}")) == (server, None)
        assert get(("cookie", value), ("cookie", "c=d")) == (server, None)
        servers.add(server)
    assert len(servers) == 3


@pytest.mark.parametrize("waits", ["no", "fault", "service"])
def test_a_claim_decides_even_after_a_wait(start_weir, start_origin, dial, tmp_path, waits):
    """Its token is looked at before a delay, or before a limit's service is asked."""
    signer = Signer()
    (tmp_path / "keys.json").write_text(key_set(signer))
    origins = [start_origin() for _ in range(4)]
    limiter = LimitService() if waits == "service" else None
    route, sections = {}, {}
    if waits == "fault":
        route["fault"] = {"delay": {"duration": "5ms", "share": "100%"}}
    elif limiter:
        route["rate_limits"] = ["l"]
        sections["rate_limits"] = [
            {"name": "l", "service": {"upstream": "limiter", "domain": "d", "timeout": "5s"}}]
        sections["upstreams"] = [
            {"name": "origin", "endpoints": [f"127.0.0.1:{origin.port}" for origin in origins],
             "balance": {"algorithm": "maglev", "hash": [{"claim": "sub"}]}},
            {"name": "limiter", "endpoints": [f"127.0.0.1:{limiter.port}"]}]
    try:
        proxy = start_weir(
            *(origin.port for origin in origins), route=route,
            upstream={"balance": {"algorithm": "maglev", "hash": [{"claim": "sub"}]}},
            token_issuers=[issuer({"file": str(tmp_path / "keys.json")})], **sections)
        client = dial(proxy)
        for user in ("alice", "bob", "carol"):
            token = ("authorization", f"Bearer {signer.token(sub=user)}")
            before = [len(origin.requests) for origin in origins]
            for _ in range(12):
                stream = client.until_over(client.request([*frames.GRPC, token], bytes(5)))
                assert stream.grpc_status == 0
            counts = [len(origin.requests) - b for origin, b in zip(origins, before)]
            assert sorted(counts) == [0, 0, 0, 12], user
    finally:
        if limiter:
            limiter.stop()
