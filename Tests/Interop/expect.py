"""What Weir may answer, as checks with names."""

import frames


def malformed(client, stream):
    """A malformed request (RFC 9113, 8.1.1): RST_STREAM(PROTOCOL_ERROR), or 400 before it."""
    if stream.headers is not None and stream.status == 400:
        return
    assert stream.reset == frames.PROTOCOL_ERROR, stream


def http(*statuses):
    """One of these HTTP statuses, the stream ended."""

    def check(client, stream):
        assert stream.status in statuses, stream
        assert stream.field("grpc-status") is None, stream
        assert stream.ended, stream

    return check


def trailers_only(*codes, timeout=5.0):
    """Trailers-Only (semantics: one HEADERS frame with END_STREAM) with one of these statuses."""

    def check(client, stream):
        assert stream.is_trailers_only, stream
        assert stream.status == 200, stream
        assert stream.field("content-type") == "application/grpc", stream
        text = stream.field("grpc-status")
        assert text is not None and text == str(int(text)), stream
        assert int(text) in codes, stream
        message = dict(stream.headers).get(b"grpc-message", b"")
        assert all(0x20 <= byte <= 0x7E for byte in message), message

    return check


def any_of(*checks):
    """The first of the checks that holds."""

    def check(client, stream):
        failures = []
        for one in checks:
            try:
                return one(client, stream)
            except AssertionError as failure:
                failures.append(str(failure))
        raise AssertionError(" / ".join(failures))

    return check


def connection_error(*codes):
    """GOAWAY with one of these codes, and the end of the connection."""

    def check(client, stream):
        assert client.until_closed() in codes, client.goaways

    return check
