"""Conditions and ranges of a NativeRequest (RFC 9110 13 and 14)."""

import pytest

from covet_py import NativeRequest

DAY = 784111777  # Sun, 06 Nov 1994 08:49:37 GMT
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
LATER = "Mon, 07 Nov 1994 08:49:37 GMT"


def ask(*fields, method="GET"):
    lines = "".join(f"{field}\r\n" for field in fields)
    return NativeRequest(f"{method} / HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())


@pytest.mark.parametrize(
    ("fields", "known", "status"),
    [
        ([], {"etag": '"a"', "last_modified": DAY}, None),
        (['If-None-Match: "a"'], {"etag": '"a"'}, 304),
        (['If-None-Match: "b", W/"a"'], {"etag": '"a"'}, 304),
        (['If-None-Match: "b"', 'If-None-Match: "a"'], {"etag": '"a"'}, 304),
        (['If-None-Match: "b"'], {"etag": '"a"'}, None),
        (['If-None-Match: "a"'], {}, None),
        (["If-None-Match: *"], {}, 304),
        (["If-None-Match: *"], {"exists": False}, None),
        (['If-Match: "a"'], {"etag": '"a"'}, None),
        (['If-Match: "a"'], {"etag": 'W/"a"'}, 412),
        (['If-Match: "b"', 'If-Match: "a"'], {"etag": '"a"'}, None),
        (["If-Match: *"], {"exists": False}, 412),
        ([f"If-Modified-Since: {DATE}"], {"last_modified": DAY}, 304),
        ([f"If-Modified-Since: {DATE}"], {"last_modified": DAY + 1}, None),
        ([f"If-Modified-Since: {DATE}"], {"last_modified": DAY + 0.5}, 304),
        (["If-Modified-Since: yesterday"], {"last_modified": DAY}, None),
        ([f"If-Modified-Since: {DATE}", 'If-None-Match: "b"'], {"etag": '"a"', "last_modified": DAY}, None),
        ([f"If-Unmodified-Since: {DATE}"], {"last_modified": DAY + 1}, 412),
        ([f"If-Unmodified-Since: {LATER}"], {"last_modified": DAY + 1}, None),
    ],
)
def test_conditions_of_a_get(fields, known, status):
    assert ask(*fields).failed_precondition(**known) == status


def test_what_changes_something_is_refused_instead():
    assert ask('If-None-Match: "a"', method="PUT").failed_precondition(etag='"a"') == 412
    assert ask("If-None-Match: *", method="PUT").failed_precondition(exists=False) is None
    assert ask(f"If-Modified-Since: {DATE}", method="DELETE").failed_precondition(last_modified=DAY) is None
    assert ask('If-None-Match: "a"', method="HEAD").failed_precondition(etag='"a"') == 304


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ([], None),
        (["Range: bytes=0-9"], [(0, 10)]),
        (["Range: bytes=90-"], [(90, 100)]),
        (["Range: bytes=-10"], [(90, 100)]),
        (["Range: bytes=0-9, 5-19, -10"], [(0, 20), (90, 100)]),
        (["Range: bytes=50-60, 0-9"], [(50, 61), (0, 10)]),
        (["Range: bytes=90-1000000000000000000"], [(90, 100)]),
        (["Range: bytes=100-"], []),
        (["Range: bytes=9-0"], None),
        (["Range: lines=0-9"], None),
        (["Range: bytes=0-9", "Range: bytes=20-29"], None),
        (["Range: bytes=" + ",".join(["0-1"] * 65)], None),
        (["Range: bytes=0-9", 'If-Range: "a"'], [(0, 10)]),
        (["Range: bytes=0-9", 'If-Range: "b"'], None),
        (["Range: bytes=0-9", 'If-Range: W/"a"'], None),
        (["Range: bytes=0-9", f"If-Range: {DATE}"], [(0, 10)]),
        (["Range: bytes=0-9", f"If-Range: {LATER}"], None),
    ],
)
def test_ranges(fields, parts):
    assert ask(*fields).ranges(100, etag='"a"', last_modified=DAY) == parts


def test_only_get_has_ranges():
    for method in ["HEAD", "POST"]:
        assert ask("Range: bytes=0-9", method=method).ranges(100) is None
    assert ask("Range: bytes=0-9").ranges(length=0) == []
    assert ask("Range: bytes=0-9", 'If-Range: "a"').ranges(100) is None


def test_wrong_arguments_are_told_apart():
    request = ask("Range: bytes=0-9")
    for etag in ["a", '"a', '"a" "b"', '"\N{SNOWMAN}"', ""]:
        with pytest.raises(ValueError, match="expected an entity tag in its quotes"):
            request.ranges(100, etag=etag)
        with pytest.raises(ValueError, match="expected an entity tag in its quotes"):
            request.failed_precondition(etag=etag)
    for wrong in [{"etag": b'"a"'}, {"last_modified": "now"}, {"modified": 0}]:
        with pytest.raises(TypeError):
            request.failed_precondition(**wrong)
        with pytest.raises(TypeError):
            request.ranges(100, **wrong)
    for arguments in [(), (None,), ("100",), (100, '"a"')]:
        with pytest.raises(TypeError):
            request.ranges(*arguments)
    with pytest.raises(TypeError):
        request.failed_precondition('"a"')
    with pytest.raises(OverflowError):
        request.ranges(-1)
