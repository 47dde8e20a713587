"""The short form of scripts/soak, one round of everything, and whether its client sees what is wrong
(docs/soak.md)."""

import os
import re
import signal
import subprocess
import sys

import pytest

import frames
import weir as program

sys.path.insert(0, str(program.ROOT / "Tests/Soak"))

from soak import places  # noqa: E402


def test_a_short_soak():
    """Every byte is right, failed calls are excused, nothing is left, nothing unexpected is logged."""
    done = subprocess.run(
        [program.ROOT / "scripts/soak", "--short"], capture_output=True, text=True, timeout=120,
        env={**os.environ, "WEIR_BIN": str(program.binary())})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nheld\n" in done.stdout


def flipped(body):
    return bytes([*body[:-1], body[-1] ^ 1])


OTHER = "f" * 16
# How an answer is spoilt: its body, the numbers before and behind it, its trailers; and what is said.
SPOILT = {
    "nothing": (bytes, {}, None),
    "a byte": (flipped, {}, "byte"),
    "the end is missing": (lambda body: body[:-1], {}, "short"),
    "a byte more": (lambda body: body + b"x", {}, "too long"),
    "another call's headers": (bytes, {"before": OTHER}, "another call's headers"),
    "another call's trailers": (bytes, {"behind": OTHER}, "another call's trailers"),
    "no number": (bytes, {"behind": None}, "no number"),
    "no status": (bytes, {"status": None}, "no status"),
    "another status": (bytes, {"status": "14"}, "kind=status code=14"),
    "another HTTP status": (bytes, {"http": "201"}, "http status"),
}


def spoiling(spoil, before=True, behind=True, status="0", http="200"):
    """A server that gives each call back what it has sent, but for one thing."""

    def script(connection):
        while (stream := connection.next_finished(60)) is not None:
            if stream.reset is not None:
                continue
            own = stream.field("x-request-id")
            numbers = [own if number is True else number for number in (before, behind)]
            connection.send_headers(stream.number, [
                (":status", http), ("content-type", "application/grpc"), ("x-call", numbers[0])])
            connection.queue(stream.number, spoil(bytes(stream.body)), trailers=[
                (name, value) for name, value in (("x-call-end", numbers[1]), ("grpc-status", status))
                if value is not None])

    return script


@pytest.mark.parametrize("name", SPOILT)
def test_its_client_sees_what_is_wrong(start_origin, name):
    spoil, terms, words = SPOILT[name]
    origin = start_origin(spoiling(spoil, **terms))
    port = str(origin.port)
    client = subprocess.Popen(
        [places.build("load"), port, port, "none", "none", "1", "4", "500", "1"],
        stdout=subprocess.PIPE, text=True)
    origin.wait_for_requests(30)
    client.send_signal(signal.SIGTERM)
    output = client.communicate(timeout=30)[0]
    said = {line.split(" ", 2)[2] for line in output.splitlines() if "call=" in line}
    ok = int(re.search(r"^total .*\bok=(\d+)", output, re.M)[1])
    if words is None:
        assert said == set() and ok > 0, output
    else:
        assert said and all(words in line for line in said) and ok == 0, output
