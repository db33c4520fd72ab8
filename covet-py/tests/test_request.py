"""NativeRequest and RequestParser: what is read, what is refused, and that requests go to other interpreters."""

import copy
import gc
import io
import json
import pickle
import sys
import threading
import wsgiref.validate

import pytest

import tasks
from covet_py import HTTPError, NativeRequest, RequestParser

GET = (
    b"GET /caf%C3%A9/a%2Fb?q=x+y&page=2&page=%33&e=%FF HTTP/1.1\r\n"
    b"Host: example.org:8000\r\n"
    b"X-Case: One\r\n"
    b"x-case: Two\r\n"
    b"Cookie: id=7; theme=\"dark\"\r\n"
    b"Cookie: id=8\r\n"
    b"Latin: caf\xe9\r\n"
    b"Accept: text/*;q=0.5, application/json\r\n"
    b"Accept-Encoding: gzip;q=0.1, br\r\n"
    b"Accept-Language: de, en;q=0.8\r\n"
    b"\r\n"
)
POST = (
    b"POST /submit HTTP/1.1\r\nHost: x\r\nContent-Type: Application/JSON; charset=\"utf-8\"\r\n"
    b"Content-Length: 13\r\n\r\n" + b'{"a": [1, 2]}'
)
CHUNKED = (
    b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 7\r\n\r\n"
)


def post(kind, body):
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
    return NativeRequest(head % (kind, len(body)) + body)


def facts(request):
    """Everything that a request says."""
    return (
        request.method,
        request.path,
        request.target,
        request.version,
        request.headers,
        request.query,
        dict(request.cookies),
        request.body,
        request.trailers,
        request.host,
        request.keep_alive,
    )


def test_the_request_line():
    request = NativeRequest(GET)
    assert (request.method, request.path, request.version) == ("GET", "/café/a/b", "1.1")
    assert request.target == "/caf%C3%A9/a%2Fb?q=x+y&page=2&page=%33&e=%FF"
    assert request.raw_path == b"/caf%C3%A9/a%2Fb"
    assert request.query_string == b"q=x+y&page=2&page=%33&e=%FF"
    assert request.host == "example.org:8000"
    assert repr(request) == f"<NativeRequest GET {request.target}, 0 bytes>"


def test_headers_keep_their_order_and_case():
    request = NativeRequest(GET)
    assert [name for name, _ in request.headers[:3]] == ["Host", "X-Case", "x-case"]
    assert request.headers is request.headers
    assert request.header("X-CASE") == "One"
    assert request.header_all("x-Case") == ["One", "Two"]
    assert request.header("latin") == "café"
    assert (request.header("none"), request.header("none", 5), request.header_all("none")) == (None, 5, [])
    for wrong in [(), ("a", "b", "c"), (5,), (b"host",)]:
        with pytest.raises(TypeError):
            request.header(*wrong)
    with pytest.raises(UnicodeEncodeError):
        request.header("\udc80")


def test_the_query_is_decoded_when_it_is_asked_for():
    request = NativeRequest(GET)
    assert request.query == (("q", "x y"), ("page", "2"), ("page", "3"), ("e", "\N{REPLACEMENT CHARACTER}"))
    assert request.query is request.query
    assert request.query_value("q") == "x y"
    assert request.query_all("page") == ["2", "3"]
    assert (request.query_value("none"), request.query_value("none", "")) == (None, "")
    assert NativeRequest(POST).query == ()


def test_cookies():
    request = NativeRequest(GET)
    assert dict(request.cookies) == {"id": "7", "theme": "dark"}
    assert request.cookies is request.cookies
    with pytest.raises(TypeError):
        request.cookies["id"] = "8"
    assert (request.cookie("theme"), request.cookie("none"), request.cookie("none", 1)) == ("dark", None, 1)


def test_negotiation():
    request = NativeRequest(GET)
    assert request.accepts("text/html", "application/json") == "application/json"
    assert request.accepts("image/png") is None
    assert request.accepts_encoding("gzip", "br", "identity") == "br"
    assert request.accepts_language("en-GB", "fr") == "en-GB"
    assert NativeRequest(POST).accepts("text/html") == "text/html"


def test_a_body_is_bytes_a_view_or_json():
    request = NativeRequest(POST)
    assert request.body == b'{"a": [1, 2]}'
    assert request.body is request.body
    assert request.json() == {"a": [1, 2]}
    assert (request.content_type, request.content_type_parameter("charset")) == ("application/json", "utf-8")
    with memoryview(request) as view:
        assert (view.readonly, view.nbytes, bytes(view)) == (True, 13, request.body)
    with pytest.raises(json.JSONDecodeError):
        post(b"application/json", b"{").json()


def test_a_view_keeps_the_body_alive():
    view = memoryview(NativeRequest(POST))
    gc.collect()
    assert bytes(view) == b'{"a": [1, 2]}'


def test_chunks_are_put_together_and_trailers_handed_out():
    request = NativeRequest(CHUNKED)
    assert request.body == b"hello world"
    assert request.trailers == (("X-Sum", "7"),)
    assert NativeRequest(GET).trailers == ()


def test_forms():
    assert post(b"application/x-www-form-urlencoded; charset=utf-8", b"a=1+2&b=%C3%A9&a=").form() == [
        ("a", "1 2"),
        ("b", "é"),
        ("a", ""),
    ]
    with pytest.raises(ValueError, match="expected a body of application/x-www-form-urlencoded, found \"text/plain\""):
        post(b"text/plain", b"").form()
    with pytest.raises(ValueError, match="no stated type"):
        NativeRequest(GET).form()


def test_parts_are_views_of_the_body():
    body = (
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="\xc3\xa9.txt"\r\n'
        b"Content-Type: text/plain\r\n\r\nfile\r\n--b\r\n\r\n\r\n--b--\r\n"
    )
    first, second, third = post(b'multipart/form-data; boundary="b"', body).parts()
    assert (first.name, first.filename, bytes(first.data)) == ("a", None, b"1")
    assert (second.name, second.filename, second.content_type) == ("f", "é.txt", "text/plain")
    assert isinstance(second.data, memoryview) and bytes(second.data) == b"file"
    assert (third.name, third.headers, bytes(third.data)) == (None, (), b"")
    with pytest.raises(HTTPError, match="last delimiter") as caught:
        post(b"multipart/form-data; boundary=b", b"--b\r\n\r\n").parts()
    assert (caught.value.rule, caught.value.status) == ("Unfinished", 400)
    with pytest.raises(ValueError, match="multipart with a boundary"):
        post(b"multipart/form-data", b"").parts()


@pytest.mark.parametrize(
    ("data", "rule", "status"),
    [
        (b"", "UnexpectedEnd", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", "UnexpectedEnd", 400),
        (POST[:-1], "UnexpectedEnd", 400),
        (CHUNKED[:-1], "UnexpectedEnd", 400),
        (b"GET / HTTP/1.1\nHost: x\n\n", "BareLf", 400),
        (b"GET / HTTP/1.1\r\n\r\n", "MissingHost", 400),
        (b"GET / HTTP/2.0\r\n", "VersionNotSupported", 505),
        (b"G@T / HTTP/1.1\r\n", "Method", 400),
        (b"GET /" + b"x" * 10000 + b" HTTP/1.1\r\n\r\n", "TargetTooLong", 414),
        (b"GET / HTTP/1.1\r\nA : b\r\n\r\n", "SpaceBeforeColon", 400),
        (b"GET / HTTP/1.1\r\nA: b\0\r\n\r\n", "FieldValue", 400),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", "TooManyFields", 431),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "LengthAndEncoding",
            400,
        ),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "TransferCoding", 501),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", "BodyTooLong", 413),
    ],
)
def test_what_breaks_a_rule_is_refused_with_rule_place_and_status(data, rule, status):
    with pytest.raises(HTTPError) as caught:
        NativeRequest(data)
    error = caught.value
    assert isinstance(error, ValueError)
    assert (error.rule, error.status) == (rule, status)
    assert 0 <= error.offset <= len(data)
    assert f"at byte {error.offset}" in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (again.rule, again.status, again.offset, str(again)) == (rule, status, error.offset, str(error))


def test_more_than_one_request_is_refused():
    with pytest.raises(ValueError, match="found 5 bytes behind it") as caught:
        NativeRequest(GET + b"GET /")
    assert not isinstance(caught.value, HTTPError)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, io.BytesIO])
def test_any_buffer_will_do(kind):
    source = kind(GET)
    assert NativeRequest(source.getbuffer() if kind is io.BytesIO else source).method == "GET"
    with pytest.raises(TypeError):
        NativeRequest("GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(BufferError):
        NativeRequest(memoryview(GET)[::2])
    with pytest.raises(TypeError):
        NativeRequest()


def test_a_buffer_that_changes_later_was_copied():
    source = bytearray(POST)
    request = NativeRequest(source)
    source[:] = b"x" * len(source)
    assert request.header("host") == "x" and request.body.startswith(b"{")
    source.clear()


def test_a_request_never_changes():
    request = NativeRequest(GET)
    for name in ["method", "path", "body", "new"]:
        with pytest.raises((AttributeError, TypeError)):
            setattr(request, name, "x")
    for make in [lambda: NativeRequest.__new__(NativeRequest), lambda: object.__new__(NativeRequest)]:
        with pytest.raises(TypeError):
            make()
    with pytest.raises(TypeError):
        copy.copy(request)
    assert sys.getsizeof(request) <= 512


def test_the_asgi_scope():
    request = NativeRequest(GET)
    scope = request.asgi_scope(client=("::1", 5), server=("h", 80), scheme="https", root_path="/r")
    headers = scope.pop("headers")
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": "/café/a/b",
        "raw_path": b"/caf%C3%A9/a%2Fb",
        "query_string": b"q=x+y&page=2&page=%33&e=%FF",
        "root_path": "/r",
        "client": ("::1", 5),
        "server": ("h", 80),
    }
    assert headers[:3] == [(b"host", b"example.org:8000"), (b"x-case", b"One"), (b"x-case", b"Two")]
    plain = NativeRequest(b"GET / HTTP/1.0\r\n\r\n").asgi_scope()
    assert (plain["client"], plain["server"], plain["scheme"], plain["http_version"]) == (None, None, "http", "1.0")
    assert request.asgi_scope()["asgi"] is not request.asgi_scope()["asgi"]
    with pytest.raises(TypeError, match="unexpected keyword argument 'clint'"):
        request.asgi_scope(clint=None)
    with pytest.raises(TypeError):
        request.asgi_scope(None)


def test_the_wsgi_environment():
    environ = NativeRequest(GET).wsgi_environ(client=("::1", 5), server=("h", 81))
    wsgiref.validate.check_environ(environ)
    assert environ["PATH_INFO"] == "/caf\xc3\xa9/a/b"
    assert environ["HTTP_COOKIE"] == 'id=7; theme="dark"; id=8'
    assert (environ["HTTP_X_CASE"], environ["SERVER_PORT"], environ["REMOTE_ADDR"]) == ("One,Two", "81", "::1")
    posted = NativeRequest(POST).wsgi_environ()
    assert posted["wsgi.input"].read() == b'{"a": [1, 2]}'
    assert (posted["CONTENT_LENGTH"], posted["SERVER_NAME"]) == ("13", "x")
    assert NativeRequest(CHUNKED).wsgi_environ()["CONTENT_LENGTH"] == "11"
    spoofed = NativeRequest(b"GET / HTTP/1.1\r\nHost: x\r\nX_User: root\r\n\r\n").wsgi_environ()
    assert "HTTP_X_USER" not in spoofed


def test_a_parser_hands_out_requests_as_they_are_complete():
    parser = RequestParser()
    assert parser.feed(GET[:20]) == []
    assert [request.method for request in parser.feed(GET[20:] + POST + CHUNKED[:-3])] == ["GET", "POST"]
    (last,) = parser.feed(CHUNKED[-3:])
    assert facts(last) == facts(NativeRequest(CHUNKED))
    parser.finish()


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_pieces_of_any_size_give_the_same_requests(size):
    data = GET + POST + CHUNKED + GET
    parser = RequestParser()
    requests = [
        request for start in range(0, len(data), size) for request in parser.feed(data[start : start + size])
    ]
    assert [facts(request) for request in requests] == [
        facts(NativeRequest(one)) for one in [GET, POST, CHUNKED, GET]
    ]


def test_what_was_complete_before_a_mistake_is_not_lost():
    parser = RequestParser()
    with pytest.raises(HTTPError) as caught:
        parser.feed(GET + POST + b"G@T / HTTP/1.1\r\n")
    assert [request.method for request in caught.value.requests] == ["GET", "POST"]
    assert (caught.value.rule, caught.value.offset) == ("Method", 1)
    with pytest.raises(HTTPError, match="method"):
        parser.feed(GET)


def test_a_parser_has_bounds():
    for options, data, status in [
        ({"max_head": 50}, GET, 431),
        ({"max_headers": 2}, GET, 431),
        ({"max_target": 5}, GET, 414),
        ({"max_body": 5}, POST, 413),
        ({"max_body": 5}, CHUNKED, 413),
    ]:
        with pytest.raises(HTTPError) as caught:
            RequestParser(**options).feed(data)
        assert caught.value.status == status
    for options, error in [
        ({"max_head": -1}, OverflowError),
        ({"max_head": 1 << 40}, ValueError),
        ({"max_head": None}, ValueError),
        ({"max_body": "1"}, TypeError),
        ({"other": 1}, TypeError),
    ]:
        with pytest.raises(error):
            RequestParser(**options)
    with pytest.raises(TypeError):
        RequestParser(50)


def test_the_end_of_the_connection_within_a_request_is_an_error():
    parser = RequestParser()
    parser.finish()
    for data in [b"GET", POST[:-1], CHUNKED[:-1]]:
        parser = RequestParser()
        parser.feed(data)
        with pytest.raises(HTTPError) as caught:
            parser.finish()
        assert caught.value.rule == "UnexpectedEnd"


def test_whoever_waits_for_100_continue_is_noticed():
    parser = RequestParser()
    head = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    assert not parser.expects_continue
    assert parser.feed(head) == [] and parser.expects_continue
    assert parser.feed(b"ok")[0].body == b"ok" and not parser.expects_continue


def test_what_follows_an_upgrade_can_be_taken():
    parser = RequestParser()
    head = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    (request,) = parser.feed(head + b"\x81")
    assert request.upgrade == "websocket"
    assert (parser.take_rest(), parser.take_rest()) == (b"\x81", b"")
    parser.feed(head + GET)
    assert [request.method for request in parser.feed(b"")] == ["GET"]  # the answer was no
    assert NativeRequest(GET).upgrade is None


@pytest.mark.parametrize(
    ("data", "keeps"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
    ],
)
def test_keep_alive(data, keeps):
    assert NativeRequest(data).keep_alive is keeps


@pytest.mark.parametrize(
    ("line", "path", "host"),
    [
        (b"GET http://other/a?b HTTP/1.1", "/a", "other"),
        (b"GET http://other HTTP/1.1", "/", "other"),
        (b"OPTIONS * HTTP/1.1", "*", "x"),
        (b"CONNECT other:443 HTTP/1.1", "", "other:443"),
    ],
)
def test_every_form_of_a_target(line, path, host):
    request = NativeRequest(line + b"\r\nHost: x\r\n\r\n")
    assert (request.path, request.host) == (path, host)


def test_a_request_goes_to_another_interpreter_and_back(pool):
    for data in [GET, POST, CHUNKED]:
        request = NativeRequest(data)
        there, back = pool.submit(tasks.read_request, request).result()
        assert there == [*map(repr, facts(request))]
        assert type(back) is NativeRequest and facts(back) == facts(request)
    requests = [NativeRequest(POST) for _ in range(50)]
    assert list(pool.map(tasks.json_of, requests)) == [{"a": [1, 2]}] * 50


def test_a_request_inside_other_values_arrives_as_one_object(pool):
    request = NativeRequest(POST)
    first, second = pool.submit(tasks.same, [request, request]).result()
    assert first is second and first.body == request.body


def test_a_view_outlives_the_pool_that_the_request_came_from():
    from covet_py import PoolExecutor

    with PoolExecutor(1) as pool:
        request = pool.submit(tasks.make_request, POST).result()
        view = memoryview(request)
    del request
    gc.collect()
    assert bytes(view) == b'{"a": [1, 2]}'


def test_threads_that_ask_at_once_get_the_same_objects():
    for _ in range(50):
        request = NativeRequest(GET)
        barrier = threading.Barrier(4)
        seen = []

        def ask():
            barrier.wait()
            seen.append((request.headers, request.query, request.cookies, request.body))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(one is first for found in seen for one, first in zip(found, seen[0]))


def test_nothing_leaks():
    def use():
        request = NativeRequest(POST)
        request.headers, request.query, request.cookies, request.body
        memoryview(request).release()
        request.asgi_scope()
        RequestParser().feed(GET)
        with pytest.raises(HTTPError):
            NativeRequest(b"x\n")

    for _ in range(10):
        use()
    gc.collect()
    before = sys.getrefcount(NativeRequest), len(gc.get_objects())
    for _ in range(200):
        use()
    gc.collect()
    after = sys.getrefcount(NativeRequest), len(gc.get_objects())
    assert after[0] == before[0] and after[1] < before[1] + 50
