"""The example server, as real clients find it: http.client, curl, and sockets that send whatever they like."""

import http.client
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent / "examples" / "server.py"


@pytest.fixture(scope="module")
def port():
    server = subprocess.Popen([sys.executable, str(EXAMPLE), "0"], stdout=subprocess.PIPE, text=True)
    try:
        yield int(server.stdout.readline().split()[-1])
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0
        server.stdout.close()


@pytest.fixture
def client(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    yield connection
    connection.close()


def ask(client, method, target, body=None, headers={}):
    client.request(method, target, body, headers)
    response = client.getresponse()
    return response.status, response.read()


def raw(port, data):
    """What the server sends until it closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(1 << 16):
            received += piece
    return received


def test_the_standard_library_keeps_its_connection(client):
    for below, count in [(10, 4), (1000, 168), (0, 0), (100_000, 9592)]:
        assert ask(client, "GET", f"/primes?below={below}") == (200, b"%d\n" % count)
    assert ask(client, "GET", "/primes?below=-5")[0] == 400
    assert ask(client, "GET", "/nothing") == (404, b"not found\n")
    assert ask(client, "HEAD", "/primes") == (200, b"")
    assert ask(client, "POST", "/echo", b"x" * 100_000) == (200, b"x" * 100_000)


def test_a_body_in_chunks(client):
    assert ask(client, "POST", "/echo", iter([b"hello", b" world"])) == (200, b"hello world")


def test_many_clients_at_once(port):
    def one(number):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            return [ask(connection, "POST", "/echo", b"%d" % (number * i)) for i in range(10)]
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        for number, answers in enumerate(threads.map(one, range(16))):
            assert answers == [(200, b"%d" % (number * i)) for i in range(10)]


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_curl(port):
    def curl(*arguments):
        command = ["curl", "--silent", "--show-error", "--max-time", "30", *arguments]
        return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout

    url = f"http://127.0.0.1:{port}"
    assert curl(f"{url}/primes?below=100") == b"25\n"
    assert curl("--data-binary", "x" * 2000, f"{url}/echo") == b"x" * 2000
    # It waits for 100 Continue before it sends so much, and reads two answers from one connection.
    assert curl("-H", "Expect: 100-continue", "--data-binary", "y" * 5000, f"{url}/echo") == b"y" * 5000
    assert curl(f"{url}/primes?below=10", f"{url}/primes?below=100") == b"4\n25\n"
    assert curl("--http1.0", f"{url}/primes?below=100") == b"25\n"
    assert curl("-H", "Transfer-Encoding: chunked", "--data-binary", "z", f"{url}/echo") == b"z"


def test_a_browsers_request(port):
    answer = raw(
        port,
        b"GET /primes?below=10 HTTP/1.1\r\n"
        b"Host: 127.0.0.1:8000\r\n"
        b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
        b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
        b"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
        b"DNT: 1\r\nConnection: keep-alive\r\nUpgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\n"
        b"Sec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\nSec-Fetch-User: ?1\r\nPriority: u=0, i\r\n\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"\r\n\r\n4\n")


def test_pipelined_requests_are_answered_in_order(port):
    requests = [b"GET /primes?below=%d HTTP/1.1\r\nHost: x\r\n\r\n" % (10**n) for n in range(1, 6)]
    answers = raw(port, b"".join(requests)).split(b"HTTP/1.1 ")[1:]
    assert [answer.split(b"\r\n\r\n")[1] for answer in answers] == [b"4\n", b"25\n", b"168\n", b"1229\n", b"9592\n"]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/3.0\r\n", 505),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n", 414),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ],
)
def test_a_mistake_is_answered_behind_what_was_right(port, data, status):
    good = b"GET /primes?below=10 HTTP/1.1\r\nHost: x\r\n\r\n"
    assert raw(port, data).startswith(b"HTTP/1.1 %d " % status)
    both = raw(port, good + data)
    assert both.startswith(b"HTTP/1.1 200 OK\r\n") and b"HTTP/1.1 %d " % status in both
