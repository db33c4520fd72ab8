"""What each peer does to read a request or to write a response. Every function of a group returns the same facts."""

import asyncio
import json
import types
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote

import gunicorn_h1c
import h11
import httptools
import werkzeug.wrappers
import zttp
from aiohttp.http_writer import StreamWriter
from aiohttp.http_parser import HttpRequestParser
from multidict import CIMultiDict
from starlette.requests import Request
from starlette.responses import Response

from covet_py import NativeRequest, NativeResponse


class Collector:
    """What uvicorn does with httptools: the scope of ASGI, from callbacks."""

    def __init__(self):
        self.headers = []
        self.url = b""
        self.body = b""

    def on_url(self, url):
        self.url += url

    def on_header(self, name, value):
        self.headers.append((name.lower(), value))

    def on_body(self, body):
        self.body += body


def httptools_parse(data):
    collector = Collector()
    parser = httptools.HttpRequestParser(collector)
    parser.feed_data(data)
    return parser, collector


def httptools_scope(data):
    parser, collector = httptools_parse(data)
    url = httptools.parse_url(collector.url)
    raw_path = url.path
    path = raw_path.decode("ascii")
    if "%" in path:
        path = unquote(path)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": parser.get_http_version(),
        "server": None,
        "client": None,
        "scheme": "http",
        "method": parser.get_method().decode("ascii"),
        "root_path": "",
        "path": path,
        "raw_path": raw_path,
        "query_string": url.query or b"",
        "headers": collector.headers,
    }
    return scope, collector.body


def h11_request(data):
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    request = connection.next_event()
    body = b""
    while type(event := connection.next_event()) is h11.Data:
        body += event.data
    return request, body


def h11_scope(data):
    request, body = h11_request(data)
    raw_path, _, query = request.target.partition(b"?")
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": request.method.decode(),
        "path": unquote(raw_path.decode()),
        "raw_path": raw_path,
        "root_path": "",
        "scheme": "http",
        "query_string": query,
        "headers": list(request.headers),
    }
    return scope, body


def zttp_request(data):
    connection = zttp.H1Connection(zttp.SERVER)
    return connection.receive_event(data)


LOOP = asyncio.new_event_loop()


class Protocol:
    _reading_paused = False

    def __init__(self):
        self.transport = None


def aiohttp_request(data):
    parser = HttpRequestParser(Protocol(), LOOP, 2**16, max_line_size=8190, max_field_size=8190)
    messages, _, _ = parser.feed_data(data)
    return messages[0][0]


def first(query, name):
    """The first value of a name, by the standard library."""
    return next((value for key, value in parse_qsl(query) if key == name), None)


# Four facts: method, path, the user agent, and q of the query.


def four_native(data):
    request = NativeRequest(data)
    return request.method, request.path, request.header("user-agent"), request.query_value("q")


def four_gunicorn(data):
    request = gunicorn_h1c.parse_request_fast(data)
    path, _, query = request.path.partition(b"?")
    agent = request.get_header("User-Agent")
    return request.method.decode(), unquote(path.decode()), agent.decode("latin-1"), first(query.decode(), "q")


def four_zttp(data):
    request = zttp_request(data)
    agent = dict_get(request.headers, b"user-agent")
    return request.method.decode(), unquote(request.path.decode()), agent.decode("latin-1"), first(request.query.decode(), "q")


def dict_get(headers, name):
    if hasattr(headers, "get"):
        return headers.get(name)
    return next(value for key, value in headers if key.lower() == name)


def four_aiohttp(data):
    message = aiohttp_request(data)
    return message.method, message.url.path, message.headers["User-Agent"], message.url.query.get("q")


def four_starlette(data):
    request = Request(httptools_scope(data)[0])
    return request.method, request.scope["path"], request.headers["user-agent"], request.query_params.get("q")


def four_h11(data):
    request = Request(h11_scope(data)[0])
    return request.method, request.scope["path"], request.headers["user-agent"], request.query_params.get("q")


FOUR = {
    "gunicorn_h1c and urllib": four_gunicorn,
    "zttp and urllib, a connection each": four_zttp,
    "aiohttp's parser and yarl": four_aiohttp,
    "httptools and Starlette": four_starlette,
    "h11 and Starlette": four_h11,
}

# Parse only.

PARSE = {
    "gunicorn_h1c": gunicorn_h1c.parse_request_fast,
    "zttp, a connection each": zttp_request,
    "httptools": httptools_parse,
    "aiohttp's parser": aiohttp_request,
    "h11": h11_request,
}

# Everything: all headers, the whole query, all cookies.


def all_native(data):
    request = NativeRequest(data)
    return len(request.headers), len(request.query), len(request.cookies)


def all_starlette(data):
    request = Request(httptools_scope(data)[0])
    return len(request.headers.items()), len(request.query_params.multi_items()), len(request.cookies)


EVERYTHING = {"httptools and Starlette": all_starlette}

# Four facts and one member of the body's JSON.


def json_native(data):
    request = NativeRequest(data)
    return request.method, request.path, request.header("user-agent"), request.query_value("q"), request.json()["id"]


def json_starlette(data):
    scope, body = httptools_scope(data)
    request = Request(scope)
    return (
        request.method,
        scope["path"],
        request.headers["user-agent"],
        request.query_params.get("q"),
        json.loads(body)["id"],
    )


def json_gunicorn(data):
    request = gunicorn_h1c.parse_request_fast(data)
    path, _, query = request.path.partition(b"?")
    return (
        request.method.decode(),
        unquote(path.decode()),
        request.get_header("User-Agent").decode("latin-1"),
        first(query.decode(), "q"),
        json.loads(data[request.consumed :])["id"],
    )


JSON = {"httptools and Starlette": json_starlette, "gunicorn_h1c, urllib, json": json_gunicorn}

# The scope of ASGI.


def scope_native(data):
    scope = NativeRequest(data).asgi_scope()
    return scope["path"], scope["query_string"], len(scope["headers"])


def scope_httptools(data):
    scope, _ = httptools_scope(data)
    return scope["path"], scope["query_string"], len(scope["headers"])


def scope_gunicorn(data):
    scope = gunicorn_h1c.parse_to_asgi_scope(data)
    return scope["path"], scope["query_string"], len(scope["headers"])


SCOPE = {"uvicorn's way with httptools": scope_httptools, "gunicorn_h1c": scope_gunicorn}

# The bytes of a response with three headers and 700 bytes of JSON.

BODY = b"x" * 700
FIELDS = {"content-type": "application/json", "server": "probe", "cache-control": "no-cache"}
PAIRS = list(FIELDS.items())
BYTE_PAIRS = [(name.encode(), value.encode()) for name, value in PAIRS]
DATE = formatdate(usegmt=True).encode()


def write_native(_):
    return NativeResponse(200, PAIRS, BODY).to_bytes()


def write_join(_):
    head = [b"HTTP/1.1 200 OK\r\ndate: ", DATE, b"\r\n"]
    for name, value in BYTE_PAIRS:
        head += [name, b": ", value, b"\r\n"]
    head += [b"content-length: ", b"%d" % len(BODY), b"\r\n\r\n", BODY]
    return b"".join(head)


STATUS = {status: b"HTTP/1.1 %d %s\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}


def write_starlette(_):
    """What uvicorn makes of it, which keeps its date for a second."""
    response = Response(BODY, headers=FIELDS)
    lines = [STATUS[response.status_code], b"date: ", DATE, b"\r\n"]
    for name, value in response.raw_headers:
        lines.extend([name, b": ", value, b"\r\n"])
    lines.append(b"\r\n")
    lines.append(response.body)
    return b"".join(lines)


class Sink:
    _paused = False

    def __init__(self):
        self.written = []
        self.transport = self
        self.connected = True

    def is_closing(self):
        return False

    def write(self, data):
        self.written.append(data)

    def writelines(self, pieces):
        self.written.extend(pieces)

    async def _drain_helper(self):
        pass


def finish(coroutine):
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("expected a coroutine that does not wait")


def write_aiohttp(_):
    sink = Sink()
    writer = StreamWriter(sink, LOOP)
    headers = CIMultiDict(PAIRS)
    headers["Content-Length"] = str(len(BODY))
    headers["Date"] = "Sun, 06 Nov 1994 08:49:37 GMT"
    writer.length = len(BODY)
    finish(writer.write_headers("HTTP/1.1 200 OK", headers))
    finish(writer.write_eof(BODY))
    return b"".join(sink.written)


def write_werkzeug(_):
    response = werkzeug.wrappers.Response(BODY, 200, FIELDS)
    body, status, headers = response.get_wsgi_response({"REQUEST_METHOD": "GET", "wsgi.url_scheme": "http"})
    lines = [b"HTTP/1.1 ", status.encode(), b"\r\n"]
    for name, value in headers:
        lines += [name.encode("latin-1"), b": ", value.encode("latin-1"), b"\r\n"]
    return b"".join([*lines, b"\r\n", *body])


def write_h11(_):
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    connection.next_event()
    head = [*BYTE_PAIRS, (b"content-length", b"%d" % len(BODY))]
    return b"".join(
        connection.send(event)
        for event in [h11.Response(status_code=200, headers=head), h11.Data(data=BODY), h11.EndOfMessage()]
    )


WRITE = {
    "Starlette, joined as uvicorn does": write_starlette,
    "aiohttp's writer": write_aiohttp,
    "Werkzeug": write_werkzeug,
    "h11": write_h11,
    "join() by hand": write_join,
}
