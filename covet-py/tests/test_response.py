"""NativeResponse: the bytes that are sent, and what is refused."""

import http.client
import io
import pickle
import threading

import pytest

import tasks
from covet_py import NativeResponse


class Sock:
    """What http.client reads a response from."""

    def __init__(self, data):
        self.data = data

    def makefile(self, mode):
        return io.BytesIO(self.data)


def read(data, method="GET"):
    response = http.client.HTTPResponse(Sock(data), method=method)
    response.begin()
    return response


def without_date(data):
    return b"\r\n".join(line for line in data.split(b"\r\n") if not line.startswith(b"Date: "))


def test_the_whole_response_is_one_bytes_object():
    response = NativeResponse(201, [("Content-Type", "text/plain"), (b"X-A", b"b")], b"hello")
    assert without_date(response.to_bytes()) == (
        b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\nContent-Type: text/plain\r\nX-A: b\r\n\r\nhello"
    )
    assert bytes(response) == response.to_bytes()
    assert (response.status, response.body) == (201, b"hello")
    assert response.headers == [("Content-Type", "text/plain"), ("X-A", "b")]
    assert repr(response) == "<NativeResponse 201, 5 bytes>"


def test_the_standard_library_reads_it():
    got = read(NativeResponse(200, {"A": "b"}, "é").to_bytes())
    assert (got.status, got.reason, got.read()) == (200, "OK", "é".encode())
    assert got.getheader("A") == "b"
    assert got.getheader("Date").endswith(" GMT")


def echo(value):
    return value


def answer(body):
    response = NativeResponse(404, {"X-A": "b"}, body)
    response.set_cookie("a", "1")
    return response


@pytest.mark.parametrize("body", [b"", b"bytes", "text \u20ac", b"x" * 1_000_000])
def test_it_crosses(pool, body):
    expected = without_date(answer(body).to_bytes())
    arrived = pool.submit(answer, body).result()
    assert type(arrived) is NativeResponse
    assert arrived.body == body and type(arrived.body) is type(body)
    assert without_date(arrived.to_bytes()) == expected
    first, second = pool.submit(echo, [arrived, arrived]).result()
    assert first is second is not arrived
    assert without_date(first.to_bytes()) == expected


def test_it_crosses_as_it_was_then(pool):
    response = NativeResponse(200, (), b"as it was")
    copy = pool.submit(echo, response).result()
    response.add_header("X-Later", "1")
    assert copy.headers == []
    copy.add_header("X-Copy", "1")
    assert response.headers == [("X-Later", "1")]


@pytest.mark.parametrize("headers", ["text", b"bytes", bytearray(2), [b"pair"], 5])
def test_what_are_no_headers(headers):
    with pytest.raises(TypeError) as caught:
        NativeResponse(200, headers)
    if headers != 5:
        assert "expected" in str(caught.value) and "tuple" not in str(caught.value)


def test_everything_has_a_default():
    assert without_date(NativeResponse().to_bytes()) == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        {"A": "1", "B": "2"},
        [("A", "1"), ("B", "2")],
        (("A", "1"), ["B", "2"]),
        iter([(b"A", b"1"), (b"B", "2")]),
        type("Sub", (dict,), {})({"A": "1", "B": "2"}),
    ],
)
def test_headers_are_a_mapping_or_pairs(headers):
    assert NativeResponse(headers=headers).headers == [("A", "1"), ("B", "2")]


@pytest.mark.parametrize("body", [b"\xc3\xa9", "é", bytearray(b"\xc3\xa9"), memoryview(b"\xc3\xa9")])
def test_a_body_is_text_or_a_buffer(body):
    assert NativeResponse(body=body).to_bytes().endswith(b"\r\n\r\n\xc3\xa9")


def test_a_body_that_changes_later_was_copied():
    body = bytearray(b"before")
    response = NativeResponse(body=body)
    body[:] = b"behind"
    assert response.to_bytes().endswith(b"\r\n\r\nbefore")


def test_latin_1_is_what_a_header_can_say():
    response = NativeResponse(headers=[("A", "é"), ("B", b"\xff")])
    assert b"\r\nA: \xe9\r\nB: \xff\r\n" in response.to_bytes()
    assert response.headers == [("A", "é"), ("B", "ÿ")]
    with pytest.raises(UnicodeEncodeError):
        NativeResponse(headers=[("A", "€")])
    with pytest.raises(UnicodeEncodeError):
        NativeResponse(headers=[("A", "\udc80")])


@pytest.mark.parametrize("byte", [b"\r", b"\n", b"\0", b"\x7f", b"\r\nSet-Cookie: a=b"])
def test_what_would_split_a_header_is_refused(byte):
    response = NativeResponse()
    before = without_date(response.to_bytes())
    for name, value in [(b"A", b"x" + byte), (b"A" + byte, b"x"), ("A", "x" + byte.decode())]:
        with pytest.raises(ValueError, match="header .* found byte 0x.. at 1"):
            NativeResponse(headers=[(name, value)])
        with pytest.raises(ValueError, match="at 1"):
            response.add_header(name, value)
    assert without_date(response.to_bytes()) == before


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((99,), ValueError, "expected a status from 100 to 599, found 99"),
        ((-1,), ValueError, "expected a status"),
        ((10**30,), OverflowError, ""),
        (("200",), TypeError, ""),
        ((200, 5), TypeError, ""),
        ((200, ["ab", "c"]), TypeError, r"\(name, value\)"),
        ((200, [("a", 5)]), TypeError, "expected header value as str or bytes, found int"),
        ((200, [(None, "x")]), TypeError, "expected header name as str or bytes, found NoneType"),
        ((200, (), 5), TypeError, "expected body as str or a bytes-like object, found int"),
        ((200, (), "\udc80"), UnicodeEncodeError, ""),
        ((200, (), b"", 1), TypeError, "at most 3 positional arguments, found 4"),
        ((200, [("Content-Length", "5")]), ValueError, "written from the body"),
        ((200, [("", "5")]), ValueError, "found an empty one"),
    ],
)
def test_errors_say_what_was_expected(arguments, error, text):
    with pytest.raises(error, match=text or None):
        NativeResponse(*arguments)


def test_keywords_are_bound_as_in_python():
    assert NativeResponse(body=b"x", status=404).status == 404
    with pytest.raises(TypeError, match="multiple values for argument .status."):
        NativeResponse(200, status=404)
    with pytest.raises(TypeError, match="unexpected keyword argument .code."):
        NativeResponse(code=404)


def test_instances_are_made_by_calling_the_type_only():
    for make in [lambda: NativeResponse.__new__(NativeResponse), lambda: object.__new__(NativeResponse)]:
        with pytest.raises(TypeError):
            make()
    with pytest.raises(TypeError):
        type("Sub", (NativeResponse,), {})
    with pytest.raises(TypeError):
        NativeResponse.status = 5
    with pytest.raises(TypeError):
        pickle.dumps(NativeResponse())


def test_cookies():
    response = NativeResponse()
    response.set_cookie("a", "b")
    response.set_cookie(
        "__Host-id",
        "7",
        max_age=3.9,
        expires=0,
        path="/",
        secure=True,
        httponly=True,
        samesite="Strict",
        partitioned=True,
    )
    assert [value for _, value in response.headers] == [
        "a=b",
        "__Host-id=7; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=3; Path=/; Secure; HttpOnly; SameSite=Strict;"
        " Partitioned",
    ]
    for arguments, options in [
        (("a b",), {}),
        (("a", "b;c"), {}),
        (("a", "é"), {}),
        (("a",), {"samesite": "none"}),
        (("a",), {"samesite": "never"}),
        (("a",), {"path": "x"}),
        (("a",), {"path": "/\r\n"}),
    ]:
        with pytest.raises(ValueError):
            response.set_cookie(*arguments, **options)
    with pytest.raises(TypeError):
        response.set_cookie()
    assert len(response.headers) == 2


@pytest.mark.parametrize("status", [100, 204, 304])
def test_no_length_and_no_body_where_none_belongs(status):
    assert b"Content-Length" not in NativeResponse(status).to_bytes()
    response = NativeResponse(status, body=b"x")
    for serialize in [response.to_bytes, response.parts, lambda: len(response)]:
        with pytest.raises(ValueError, match=f"expected no body with status {status}, found 1 bytes"):
            serialize()


def test_the_answer_to_head_has_a_length_only():
    response = NativeResponse(body=b"hello")
    response.answering("HEAD")
    data = response.to_bytes()
    assert data.endswith(b"\r\n\r\n")
    assert read(data, "HEAD").getheader("Content-Length") == "5"
    assert response.parts()[1] == b""


def test_it_is_written_into_a_buffer():
    response = NativeResponse(body=b"hello")
    buffer = bytearray(b"#" * 200)
    length = response.serialize_into(buffer)
    assert length == len(response)
    assert read(bytes(buffer[:length])).read() == b"hello"
    assert buffer[length:] == b"#" * (200 - length)
    small = bytearray(b"#" * (length - 1))
    with pytest.raises(ValueError, match=f"at least {length} bytes, found {length - 1}"):
        response.serialize_into(small)
    assert small == b"#" * (length - 1)
    with pytest.raises(BufferError):
        response.serialize_into(b"read-only")


def test_parts_do_not_copy_the_body():
    body = b"x" * 1000
    head, same = NativeResponse(body=body).parts()
    assert same is body
    assert head.endswith(b"Content-Length: 1000\r\n\r\n")
    assert NativeResponse(body="é").parts()[1] == "é".encode()


def test_a_stream_is_sent_in_chunks():
    pieces = ["é", b"", bytearray(b"0123456789abcdef")]
    sent = list(NativeResponse(headers={"A": "b"}).stream(pieces))
    assert sent[1:] == [b"2\r\n\xc3\xa9\r\n", b"10\r\n0123456789abcdef\r\n", b"0\r\n\r\n"]
    got = read(b"".join(sent))
    assert (got.getheader("A"), got.read()) == ("b", b"\xc3\xa90123456789abcdef")
    old = NativeResponse()
    old.answering("GET", "1.0")
    assert b"".join(old.stream(["a", "b"])).endswith(b"\r\n\r\nab")
    head = NativeResponse()
    head.answering("HEAD")
    assert b"".join(head.stream(["a", "b"])).endswith(b"\r\n\r\n")
    with pytest.raises(ValueError, match="expected no body with status 204"):
        list(NativeResponse(204).stream(["a"]))
    with pytest.raises(ValueError, match="found 1 bytes"):
        NativeResponse(body=b"x").stream([])
    with pytest.raises(TypeError):
        list(NativeResponse().stream([5]))


def test_threads_may_share_a_response():
    response = NativeResponse()

    def work(number):
        for i in range(200):
            response.add_header("A", f"{number}-{i}")
            assert response.to_bytes().count(b"\r\nA: ") > i

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(response.headers) == 800


def test_a_worker_builds_responses_too(pool):
    results = list(pool.map(tasks.build_response, range(20)))
    assert [read(data).read() for data in results] == [b"%d" % number for number in range(20)]
