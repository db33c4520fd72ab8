"""The exceptions of this package. Imported by the compiled module while it starts."""

import sys
from concurrent.futures import BrokenExecutor, CancelledError
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from covet_py._native import NativeRequest

# Made by the compiled module's support code, so that a program without this package has them as well.
_support = sys.modules["_covet_support"]
RemoteError = _support.RemoteError
RemoteTraceback = _support.RemoteTraceback

__all__ = ["BrokenPool", "CancelledError", "HTTPError", "RemoteError", "RemoteTraceback"]


class BrokenPool(BrokenExecutor):
    """No worker of the pool could start: an interpreter, a preload or the initializer failed."""


class HTTPError(ValueError):
    """What was received breaks a rule of HTTP.

    `offset` is the byte at which it does, counted from the beginning of the head, or of the body for what is wrong with chunks
    or parts; `rule` the rule's name, the same for the same mistake; `status` what a server answers: 400, 413, 414, 431, 501 or
    505. `requests` are the requests that were complete before the mistake, of `RequestParser.feed`.
    """

    requests: "list[NativeRequest]"

    def __init__(self, message: str, offset: int = 0, rule: str = "", status: int = 400) -> None:
        super().__init__(message, offset, rule, status)
        self.offset = offset
        self.rule = rule
        self.status = status
        self.requests = []

    def __str__(self) -> str:
        return str(self.args[0])
