"""Clients that do not speak HTTP/2: they are told so, in words they can read."""

import http.client
import os
import socket
import ssl
import subprocess

import pytest

import frames
import waiting


@pytest.fixture
def proxy(start_weir, start_origin):
    return start_weir(start_origin().port)


def everything(sock):
    """What comes until the peer's end; a reset fails."""
    data = b""
    while part := sock.recv(65_536):
        data += part
    return data


def is_refused(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 505 HTTP Version Not Supported", answer
    assert f"content-length: {len(body)}".encode() in lines, answer
    assert b"HTTP/2" in body and b"connection: close" in lines, answer


def descriptors(proxy):
    return len(os.listdir(f"/proc/{proxy.pid}/fd"))


def still_serves(proxy, dial):
    client = dial(proxy)
    assert client.until_over(client.request(frames.GET)).status == 200


def test_curl_reads_the_answer(proxy, dial):
    told = subprocess.run(
        ["curl", "--silent", "--show-error", "--include", "--http1.1", "--max-time", "10",
         f"http://127.0.0.1:{proxy.port}/"], capture_output=True, check=True).stdout
    is_refused(told)
    waiting.until(lambda: "a client speaks HTTP/1" in proxy.log, lambda: proxy.log)
    proxy.wait_for_log("listener=edge peer=127.0.0.1:")
    still_serves(proxy, dial)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PRI", "OPTIONS", "DELETE"])
def test_any_method_byte_by_byte(proxy, method):
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in f"{method} / HTTP/1.1\r\n\r\n".encode():
            client.send(bytes([byte]))
        is_refused(everything(client))


def test_the_answer_to_head_has_no_body(proxy):
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=5)
    connection.request("HEAD", "/")
    response = connection.getresponse()
    assert response.status == 505 and response.read() == b""
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as client:
        client.sendall(b"HEAD / HTTP/1.1\r\n\r\n")
        assert everything(client).endswith(b"\r\n\r\n")


def test_a_client_that_is_still_sending_can_read_it(proxy):
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as client:
        client.sendall(b"POST / HTTP/1.1\r\ncontent-length: 1000000\r\n\r\n" + bytes(1_000_000))
        is_refused(everything(client))


def test_an_upgrade_is_refused(proxy):
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\n"
                       b"upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n")
        is_refused(everything(client))


def test_one_that_never_reads_is_closed(proxy):
    before = descriptors(proxy)
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as client:
        waiting.until(lambda: descriptors(proxy) > before, "a connection")
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        # Weir waits a second for the other side to end.
        waiting.until(lambda: descriptors(proxy) == before, "the connection's end", 5)


def test_tls_on_a_cleartext_listener_is_closed_and_named(proxy, dial):
    context = ssl.create_default_context()
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as client:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(client, server_hostname="localhost")
    waiting.until(lambda: "a TLS handshake on a cleartext listener" in proxy.log, lambda: proxy.log)
    still_serves(proxy, dial)


def test_nothing_is_said_before_the_client_has_spoken(proxy):
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as client:
        client.sendall(frames.PREFACE[:-1])
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(5)
        client.sendall(frames.PREFACE[-1:] + frames.frame(frames.SETTINGS))
        assert client.recv(9)[3] == frames.SETTINGS


def test_a_flood_of_them_is_logged_once_a_second(proxy, dial):
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", proxy.port), 5) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            is_refused(everything(client))
    assert 1 <= proxy.log.count("a client speaks HTTP/1") <= 10
    still_serves(proxy, dial)
