"""One string is routed, decided on, logged and forwarded, whatever a client makes of it: thousands
of spellings of one path, and of the fields that say who somebody is."""

import itertools
import re
import urllib.parse

import pytest

import frames
from access_log import logged  # noqa: F401
from frames import GET, POST, changed

SECRET = "/admin/keys"
ROUTES = [
    {"name": "admin", "matches": [{"path": {"prefix": "/admin"}}],
     "backends": [{"upstream": "origin"}]},
    {"name": "rest", "backends": [{"upstream": "origin"}]},
]
ACCESS = {
    "default": "allow",
    "rules": [{"name": "keys", "http": ["* /admin/*"], "deny": ["anyone"]}]}


def spellings():
    """Of the secret path: a byte more in every place, bytes encoded, and known tricks."""
    base = SECRET.encode()
    for place in range(len(base) + 1):
        for byte in range(256):
            yield base[:place] + bytes([byte]) + base[place:]
    for place, byte in enumerate(base):
        for form in (b"%%%02x", b"%%%02X", b"%%25%02x", b"%%u00%02x"):
            yield base[:place] + form % byte + base[place + 1:]
    for step in (b"/.", b"/..", b"/./", b"//", b"/%2e", b"/%2e%2e", b"/.%2e", b"/..;", b"/..;a=b",
                 b"/%2f", b"\\", b"\\..", b"/%5c", b"/%c0%ae%c0%ae", b"/%c0%af", b";a", b"%09",
                 b"%20", b"%00", b"%0d%0a", b"#", b"?", b"%3f", b"%23", b"/...", b"/~",
                 b"/%ef%bc%8f",
                 "/\uff0e".encode(), "\u2215".encode(), b"/.;/", b"/%252e%252e", b"/*", b":"):
        yield step + base
        yield b"/public" + step + base
        yield b"/admin" + step + b"/keys"
        yield base + step
    yield from (b"http://echo.test" + base, b"//echo.test" + base, b"admin/keys", b"*", b"")


def seen_by_servers(path):
    """The file that some server would serve for it, reading it as widely as any does."""
    path = path.decode("latin-1").partition("#")[0].partition("?")[0]
    path = urllib.parse.unquote(path, "latin-1").replace("\\", "/")
    parts = []
    for part in re.sub(";[^/]*", "", path).split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def is_below(path):
    """As the rule has it, by bytes alone."""
    path = path.partition(b"?")[0]
    return path == b"/admin" or path.startswith(b"/admin/")


def ask_all(client, requests, together=40):
    """The streams of all requests, some at a time."""
    streams = []
    for index in range(0, len(requests), together):
        streams += [client.request(fields) for fields in requests[index:index + together]]
        for stream in streams[index:]:
            client.until_over(stream)
    return streams


def test_every_spelling_of_a_path(logged, start_origin, dial):  # noqa: F811
    """Refused, or the same to router, rules, log and server, and no way around the rule."""
    paths = sorted(set(spellings()))
    origin = start_origin()
    proxy = logged(origin.port, routes=ROUTES, access=ACCESS,
                   listener={"limits": {"early_resets": 1_000_000}})
    streams = ask_all(dial(proxy), [changed(GET, path=path) for path in paths])
    reached = {dict(r.headers)[b":path"] for r in origin.requests}
    passed = {path for path, stream in zip(paths, streams) if stream.status == 200}
    assert reached == passed and len(passed) > 500
    assert not [path for path in passed if seen_by_servers(path) == SECRET]
    for path, stream in zip(paths, streams):
        refused = stream.status == 400 or stream.reset == frames.PROTOCOL_ERROR
        assert refused or stream.status == (403 if is_below(path) else 200), path
    records = {r["stream"]: r for r in proxy.wait_for_records(len(paths))}
    for path, stream in zip(paths, streams):
        record = records[stream.number]
        if path in passed:
            assert record["path"].encode() == path
            assert record["route"] == "rest"
        elif stream.status == 403:
            assert (record["path"].encode(), record["rule"]) == (path, "keys")


FORGEABLE = [
    "forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port",
    "x-forwarded-client-cert", "x-real-ip", "x-original-url", "x-rewrite-url",
    "x-http-method-override", "proxy-authorization", "x-weir-peer", "x-weir-anything", "x-jwt-sub",
    "x-jwt-anything-else",
]


def names():
    """Each with every choice of `_` and `-`."""
    for name in FORGEABLE:
        parts = name.split("-")
        for marks in itertools.product("-_", repeat=len(parts) - 1):
            yield parts[0] + "".join(mark + part for mark, part in zip(marks, parts[1:]))


def test_no_spelling_of_an_identity_reaches_a_server(start_weir, start_origin, dial):
    origin = start_origin()
    client = dial(start_weir(origin.port))
    for name in names():
        put = [(name, "forged"), ("x-kept", "1"), (name, "forged")]
        stream = client.request(changed(POST, put=put), b"x", trailers=put)
        assert client.until_over(stream).status == 200
        request = origin.requests[-1]
        for fields in (request.headers, request.trailers):
            assert b"forged" not in [value for _, value in fields], name
            assert (b"x-kept", b"1") in fields, name


@pytest.mark.parametrize("name", FORGEABLE)
def test_upper_case_is_no_way_around(start_weir, start_origin, dial, name):
    """A malformed name, which servers that do not mind would take for the other."""
    origin = start_origin()
    client = dial(start_weir(origin.port))
    for spelling in (name.upper(), name.title(), name[:-1] + name[-1].upper()):
        stream = client.until_over(client.request(changed(GET, put=[(spelling, "forged")])))
        assert stream.reset == frames.PROTOCOL_ERROR
    assert origin.requests == []
