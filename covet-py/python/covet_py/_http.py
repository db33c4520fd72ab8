"""What of the HTTP messages is written in Python."""

import io
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from covet_py._native import NativeRequest, NativeResponse, _Readable


def stream(response: "NativeResponse", pieces: "Iterable[str | _Readable]") -> Iterator[bytes]:
    """See `NativeResponse.stream`."""
    head, end = response._stream_head()
    yield head
    for piece in pieces:
        if chunk := response._chunk(piece):
            yield chunk
    if end:
        yield end


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart body. `data` is a view of the request's body, not a copy."""

    name: str | None
    filename: str | None
    content_type: str | None
    headers: tuple[tuple[str, str], ...]
    data: memoryview


def wsgi_environ(
    request: "NativeRequest",
    /,
    *,
    client: tuple[str, int] | None = None,
    server: tuple[str, int | None] | None = None,
    scheme: str = "http",
    script_name: str = "",
    multithread: bool = True,
    multiprocess: bool = False,
) -> dict[str, Any]:
    """See `NativeRequest.wsgi_environ`."""
    name, port = server or (request.host or "localhost", None)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": script_name,
        "PATH_INFO": unquote_to_bytes(request.raw_path).decode("latin-1"),
        "QUERY_STRING": request.query_string.decode("latin-1"),
        "SERVER_NAME": name,
        "SERVER_PORT": str(port or (443 if scheme == "https" else 80)),
        "SERVER_PROTOCOL": f"HTTP/{request.version}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": multithread,
        "wsgi.multiprocess": multiprocess,
        "wsgi.run_once": False,
    }
    if client:
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = client[0], str(client[1])
    for name, value in request.headers:
        if "_" in name:
            continue
        key = name.upper().replace("-", "_")
        if key == "TRANSFER_ENCODING":
            environ["CONTENT_LENGTH"] = str(len(request.body))
            continue
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = "HTTP_" + key
        if key in environ:
            value = environ[key] + ("; " if key == "HTTP_COOKIE" else ",") + value
        environ[key] = value
    return environ
