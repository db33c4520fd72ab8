"""`PoolExecutor`: the executor of `concurrent.futures`, on every core of one process."""

from __future__ import annotations

import logging
import os
import sys
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from covet_py import _lifecycle as _lifecycle
from covet_py import _native
from covet_py._errors import BrokenPool
from covet_py._future import Future
from covet_py._stats import Stats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

P = ParamSpec("P")
T = TypeVar("T")

__all__ = ["PoolExecutor"]


if sys.executable:
    _native.set_trial_command((sys.executable, "-P", "-m", "covet_py", "trial"))


class PoolExecutor(_native.Pool, Executor):
    """Runs functions on every core of this process.

    max_workers: how many interpreters; by default the cores that this process may use.
    thread_name_prefix: the name of the workers' threads, before their number.
    initializer, initargs: called in every worker before its first task. If it raises, the pool is broken: its futures and
        `submit` raise BrokenPool.
    strategy: "subinterpreters", "free-threading", "main-only", or "auto": what this Python can do, unless the environment
        variable COVET_STRATEGY names one. The properties `strategy` and `strategy_reason` say what it came to.
    preload: names of modules that every worker imports before its first task.
    queue_size: how many tasks may wait before `submit` waits too (16384 if None).
    max_tasks_per_child: how many tasks and items of `map` an interpreter runs before the worker makes a new one. From 3.14 on;
        before, an interpreter that ends leaves megabytes behind, so ValueError is raised unless `accept_leak` is true.
    extensions: what becomes of extension modules that refuse interpreters with a GIL of their own (numpy, pydantic and many
        others): "auto" gives each interpreter a private image of those for which a trial has shown that this works, "private" of
        all, and "strict" refuses them with ImportError. The environment variable COVET_EXTENSIONS sets the default.
    pin: keeps each worker on one core of those that the process may use, the first worker on the first (Linux).

    Functions that can be imported are sent by name; any other (of `__main__`, lambda, closure) by value, with
    cloudpickle. Arguments and results are copied: values of exact built-in types by a direct codec, everything else by
    pickle. At most 1000 levels of nesting and 2 GiB at once are copied. Not copied, and read-only where they arrive, are a
    `Buffer`, a `memoryview`, and the memory that objects such as arrays keep out of their pickles (PEP 574): these show the
    sender's memory, and keep it alive. An exception of a task keeps its type and message and has its remote traceback as
    its cause.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        strategy: str = "auto",
        preload: Iterable[str] = (),
        queue_size: int | None = None,
        max_tasks_per_child: int | None = None,
        accept_leak: bool = False,
        extensions: str | None = None,
        pin: bool = False,
    ) -> None:
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if isinstance(preload, str):
            raise TypeError(f"preload must be an iterable of module names, not the str {preload!r}")
        if strategy == "auto":
            strategy = os.environ.get("COVET_STRATEGY", "auto")
        self._max_workers = max_workers or _usable_cores()
        self._told = False
        name = thread_name_prefix or "covet"
        self._start(
            self._max_workers,
            name,
            strategy,
            queue_size,
            tuple(preload),
            initializer,
            tuple(initargs),
            max_tasks_per_child,
            accept_leak,
            pin,
            extensions,
        )

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queues fn(*args, **kwargs) and returns its future. Waits while the queue is full.

        What cannot be sent to another interpreter fails the future with PicklingError. Raises RuntimeError after
        `shutdown`, BrokenPool if no worker could start.
        """
        try:
            return Future(self._submit(fn, *args, **kwargs))
        except BrokenPool as error:
            if not self._told:
                # As the executors of the standard library do, for programs that look at no future.
                self._told = True
                logging.getLogger("concurrent.futures").critical("%s", error)
            raise

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """Returns an iterator over fn(*args) for args in zip(*iterables), in order, as they come.

        Items are handed out in chunks that take about half a millisecond, whatever `fn` costs; `chunksize` sets their
        size instead. The iterables are read at once, unless `buffersize` says how many items may be ahead of the
        results taken. The iterator raises what an item raised, and TimeoutError if its result is not there `timeout`
        seconds after this call.
        """
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        return self._map(fn, zip(*iterables), timeout, chunksize, buffersize)

    def broadcast(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> list[Future[T]]:
        """Has every worker call fn(*args, **kwargs) in its own interpreter; returns a future for each.

        For what each interpreter needs once: to load or drop a model, to set an option, to collect what it has. A worker takes
        such a task before those that any may run. Raises as `submit` does.
        """
        return [Future(self._submit_to(i, fn, *args, **kwargs)) for i in range(len(self.stats().workers))]

    def interrupt(self, future: Future[Any]) -> None:
        """Stops a task of this pool wherever it is, and does not wait for it: cancels it if it has not begun, else has
        KeyboardInterrupt raised in it.

        That reaches Python code within some milliseconds, and compiled code when it returns. A task that does not stop within
        5 seconds is given up: its future fails, and another worker takes the place of the one that is stuck.
        """
        if not future.cancel():
            self._interrupt(future._task.number())

    def stats(self) -> Stats:
        """What the pool has done so far, in numbers: as a whole, and each worker. Costs about a microsecond a worker."""
        return Stats._of(self._stats())

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more tasks; those queued still run, unless `cancel_futures`. With `wait`, returns when the workers have
        ended.

        With both, a pool that is still starting up begins as many tasks as it has workers before it cancels the others, as
        one that was ready would have.
        """
        if wait and cancel_futures:
            self._wait_ready(None)
        self._close(cancel_futures)
        if wait:
            self._wait_ended(None)

    def terminate_workers(self) -> None:
        """Takes no more tasks, cancels those that are queued, and interrupts those that run, as `interrupt` does. Does not wait.
        """
        self._close(True)
        self._interrupt(None)

    kill_workers = terminate_workers
    """The same: a worker is a thread, and has nothing that could be killed."""

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """Shuts down and waits. A Ctrl-C is for the tasks too: what is queued is cancelled, what runs is interrupted."""
        interrupted = exc_type is not None and issubclass(exc_type, KeyboardInterrupt)
        self._close(interrupted)
        if interrupted:
            # Again and again: a task may be about to begin, or catch the exception and go on.
            while not self._wait_ended(0.1):
                self._interrupt(None)
        self._wait_ended(None)

    def __repr__(self) -> str:
        state = "broken" if self._broken else "shut down" if self._closed else "open"
        return f"<{type(self).__name__} {self.strategy} max_workers={self._max_workers} {state}>"


def _usable_cores() -> int:
    """The cores that this process may use."""
    count = getattr(os, "process_cpu_count", None)
    if count is not None:
        return count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


