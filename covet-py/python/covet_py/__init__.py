"""Run Python on every core of one process.

`PoolExecutor` is a `concurrent.futures.Executor` whose workers are interpreters with a GIL of their own (Python 3.12
and later), threads of a free-threaded Python, or, where neither can be had, threads of one interpreter. Its `call()`
runs a function in an idle interpreter on the calling thread, for less than a microsecond. `Interpreter` is a single one, whose
names last.

    import covet_py

    with covet_py.PoolExecutor() as pool:
        for result in pool.map(work, items):
            ...
"""

from covet_py import _native as _native  # first: it brings the exceptions
from covet_py._native import Array, Buffer, ComputeEngine, DeviceArray, NativeRequest, NativeResponse, RequestParser, gpu_info
from covet_py._errors import BrokenPool, HTTPError, RemoteError, RemoteTraceback
from covet_py._executor import PoolExecutor
from covet_py._future import Future
from covet_py._interpreter import Interpreter
from covet_py._named import pool
from covet_py._stats import Stats, WorkerStats
from covet_py._view import PoolView

__all__ = [
    "Array",
    "BrokenPool",
    "Buffer",
    "ComputeEngine",
    "DeviceArray",
    "Future",
    "HTTPError",
    "Interpreter",
    "NativeRequest",
    "NativeResponse",
    "PoolExecutor",
    "PoolView",
    "RemoteError",
    "RemoteTraceback",
    "RequestParser",
    "Stats",
    "WorkerStats",
    "gpu_info",
    "pool",
]
__version__ = "0.1.0"
