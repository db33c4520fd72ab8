"""Where a task runs whose modules a worker cannot have: `PoolExecutor(fallback=...)`.

`in_main` and `in_process` are called in the main interpreter, by the thread that was to run the task elsewhere. Each
is given the function and, the first time, why a worker cannot run it; it returns what to call instead.
"""

from __future__ import annotations

import functools
import logging
import multiprocessing
import os
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, wait
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_main", "in_process"]

_told: set[tuple[str, str]] = set()
_lock = threading.Lock()
_processes: ProcessPoolExecutor | None = None


def in_main(fn: Callable[..., Any], why: str | None) -> Callable[..., Any]:
    """The function itself."""
    _tell(fn, why, "in the main interpreter, one at a time")
    return fn


def in_process(fn: Callable[..., Any], why: str | None) -> Callable[..., Any]:
    """What calls it in another process, and waits."""
    _tell(fn, why, "in other processes")
    return functools.partial(_call_in_process, fn)


def _tell(fn: Callable[..., Any], why: str | None, where: str) -> None:
    """Logs it, once for each function."""
    name = (str(getattr(fn, "__module__", "?")), str(getattr(fn, "__qualname__", fn)))
    if why is not None and name not in _told:
        _told.add(name)
        logging.getLogger("covet_py").warning("%s.%s runs %s: %s", *name, where, why)


def _call_in_process(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    future = _the_processes().submit(_run, _support().dump((fn, args, kwargs)))
    try:
        # In steps, because a thread that waits in C notices no interruption.
        while not wait([future], 0.1).done:
            pass
    except BaseException:
        future.cancel()
        raise
    return _support().loads(future.result())


def _run(call: bytes) -> bytes:
    """Runs a call in the other process."""
    fn, args, kwargs = _support().loads(call)
    result: bytes = _support().dump(fn(*args, **kwargs))
    return result


def _the_processes() -> ProcessPoolExecutor:
    """The processes, made when they are first needed."""
    global _processes
    with _lock:
        if _processes is None:
            # Not by fork: this process has other interpreters and threads.
            method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
            _processes = ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context(method))
        return _processes


def _support() -> Any:
    """How values travel: see support.py of covet-interp."""
    return sys.modules["_covet_support"]


def _after_fork() -> None:
    global _processes, _lock
    _processes, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
