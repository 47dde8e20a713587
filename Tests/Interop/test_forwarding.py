"""Who the client is behind proxies, for rules and for servers."""

import pytest

from frames import GET, changed

OPEN = {"default": "allow"}
ONLY_CLIENT = {
    "default": "deny",
    "rules": [{"name": "client", "http": ["* /*"], "allow": [{"client": ["203.0.113.0/24"]}]}]}
FORWARDING = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host")
# Fields by which clients would say who they are, and spellings that some servers take for them.
FORGED = [
    "forwarded", "x-real-ip", "x-forwarded-client-cert", "x-forwarded-port", "x-original-url",
    "x-rewrite-url", "x-http-method-override", "proxy-authorization", "x-weir-peer", "x-jwt-sub",
    "x_forwarded_for", "x-forwarded_for", "x_forwarded-for", "x_forwarded_proto",
    "x_forwarded_host", "x_real_ip", "x_weir_peer", "x_jwt_sub", "x_forwarded_client_cert",
]


def ask(dial, proxy, fields=()):
    client = dial(proxy)
    return client.until_over(client.request(changed(GET, put=fields)))


def seen(origin):
    """What the server was told of the client."""
    fields = [(n.decode(), v.decode()) for n, v in origin.requests[-1].headers]
    return {name: [v for n, v in fields if n == name] for name in FORWARDING}


@pytest.mark.parametrize("values, allowed", [
    (["203.0.113.7"], True), (["203.0.113.7, 127.0.0.9"], True),
    (["198.51.100.1, 203.0.113.7"], True), (["203.0.113.7", "127.0.0.9"], True),
    (["203.0.113.7, 198.51.100.1"], False), (["203.0.113.7", "198.51.100.1"], False),
    (["203.0.113.7, unknown"], False), (["203.0.113.7,"], False), ([], False),
    (["127.0.0.9"], False),
])
def test_a_trusted_proxy_says_who_the_client_is(start_weir, start_origin, dial, values, allowed):
    proxy = start_weir(
        start_origin().port, listener={"trusted_proxies": ["127.0.0.0/8"]}, access=ONLY_CLIENT)
    stream = ask(dial, proxy, [("x-forwarded-for", value) for value in values])
    assert stream.status == (200 if allowed else 403)


def test_nobody_else_is_believed(start_weir, start_origin, dial):
    for listener in ({}, {"trusted_proxies": []}, {"trusted_proxies": ["10.0.0.0/8", "unix"]}):
        origin = start_origin()
        proxy = start_weir(origin.port, listener=listener, access=ONLY_CLIENT)
        assert ask(dial, proxy, [("x-forwarded-for", "203.0.113.7")]).status == 403
        assert origin.requests == []


def test_servers_are_told_what_a_trusted_proxy_says(start_weir, start_origin, dial):
    origin = start_origin()
    proxy = start_weir(
        origin.port, listener={"trusted_proxies": ["127.0.0.0/8"]}, access=OPEN)
    fields = [("x-forwarded-for", "203.0.113.7"), ("x-forwarded-for", "10.1.1.1"),
              ("x-forwarded-proto", "https"), ("x-forwarded-host", "orders.example")]
    assert ask(dial, proxy, fields).status == 200
    assert seen(origin) == {
        "x-forwarded-for": ["203.0.113.7, 10.1.1.1, 127.0.0.1"],
        "x-forwarded-proto": ["https"], "x-forwarded-host": ["orders.example"]}
    assert ask(dial, proxy).status == 200
    assert seen(origin) == {
        "x-forwarded-for": ["127.0.0.1"], "x-forwarded-proto": ["http"],
        "x-forwarded-host": ["echo.test"]}


def test_what_others_say_is_overwritten(start_weir, start_origin, dial):
    origin = start_origin()
    proxy = start_weir(origin.port, listener={"trusted_proxies": []}, access=OPEN)
    fields = [("x-forwarded-for", "203.0.113.7"), ("x-forwarded-proto", "https"),
              ("x-forwarded-host", "orders.example")]
    assert ask(dial, proxy, fields).status == 200
    assert seen(origin) == {
        "x-forwarded-for": ["127.0.0.1"], "x-forwarded-proto": ["http"],
        "x-forwarded-host": ["echo.test"]}


def test_without_trusted_proxies_servers_are_told_nothing(start_weir, start_origin, dial):
    origin = start_origin()
    assert ask(dial, start_weir(origin.port), [("x-forwarded-for", "203.0.113.7")]).status == 200
    assert seen(origin) == {name: [] for name in FORWARDING}


def test_a_route_s_own_fields_stay_its_own(start_weir, start_origin, dial):
    origin = start_origin()
    proxy = start_weir(
        origin.port, listener={"trusted_proxies": []}, access=OPEN,
        route={"request_headers": {"set": {"x-forwarded-host": "a"}, "remove": [FORWARDING[1]]}})
    assert ask(dial, proxy).status == 200
    assert seen(origin) == {
        "x-forwarded-for": ["127.0.0.1"], "x-forwarded-proto": [], "x-forwarded-host": ["a"]}


@pytest.mark.parametrize("trusted", [None, [], ["127.0.0.0/8"]])
def test_other_identity_fields_are_taken_away_in_every_spelling(
        start_weir, start_origin, dial, trusted):
    origin = start_origin()
    listener = {} if trusted is None else {"trusted_proxies": trusted}
    client = dial(start_weir(origin.port, listener=listener))
    forged = [(name, "forged") for name in FORGED]
    stream = client.request(
        changed(GET, method="POST", put=forged), b"x",
        trailers=[*forged, *((name, "forged") for name in FORWARDING), ("x-kept", "1")])
    assert client.until_over(stream).status == 200
    request = origin.requests[-1]
    assert b"forged" not in [value for _, value in [*request.headers, *request.trailers]]
    assert (b"x-kept", b"1") in request.trailers
