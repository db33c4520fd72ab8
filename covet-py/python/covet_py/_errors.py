"""The exceptions of this package. Imported by the compiled module while it starts."""

import sys
from concurrent.futures import BrokenExecutor, CancelledError

# Made by the compiled module's support code, so that a program without this package has them as well.
_support = sys.modules["_covet_support"]
RemoteError = _support.RemoteError
RemoteTraceback = _support.RemoteTraceback

__all__ = ["BrokenPool", "CancelledError", "RemoteError", "RemoteTraceback"]


class BrokenPool(BrokenExecutor):
    """No worker of the pool could start: an interpreter, a preload or the initializer failed."""
