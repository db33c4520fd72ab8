"""`PoolExecutor`: the executor of `concurrent.futures`, on every core of one process."""

from __future__ import annotations

import logging
import os
import sys
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from covet_py import _lifecycle as _lifecycle
from covet_py import _native
from covet_py._errors import BrokenPool
from covet_py._future import Future
from covet_py._stats import Stats
from covet_py._view import PoolView
from covet_py._wrapped import Wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from covet_py._explain import Explanation

P = ParamSpec("P")
T = TypeVar("T")

__all__ = ["PoolExecutor"]


if sys.executable:
    _native.set_trial_command((sys.executable, "-P", "-m", "covet_py", "trial"))


# What is called in the main interpreter, by name: most pools never need it.
_FALLBACKS = {"main": "covet_py._fallback:in_main", "process": "covet_py._fallback:in_process", "raise": None}


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
    forward_records: whether this interpreter handles what workers log or warn of: a record of `logging` for which there is no
        handler in the worker, and a warning that is to be shown, at the moment that they are made. Levels of loggers and filters
        of warnings are what they were here when the worker imported `logging` and `warnings`.
    fallback: where a task runs that needs an extension module which its worker cannot have, natively or as a private image:
        "main", in the main interpreter, where such tasks share one GIL; "process", in another process, which
        imports `__main__` as those of `multiprocessing` do, so that a script needs its guard; "raise", nowhere: it raises that
        ImportError. The result is the same, the function is remembered, and one line is logged for it (logger `covet_py`).
        A module that ended the process in its trial, or hung there, does not come into this one unless it is here already.
        Nothing is run twice: a task falls back if nothing but imports had run, those that bring its function and its
        arguments and those at the very beginning of the function; if more had, the ImportError is raised.
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
        fallback: str = "main",
        pin: bool = False,
        forward_records: bool = True,
    ) -> None:
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if isinstance(preload, str):
            raise TypeError(f"preload must be an iterable of module names, not the str {preload!r}")
        if fallback not in _FALLBACKS:
            raise ValueError(f'expected fallback to be "main", "process" or "raise", found {fallback!r}')
        if strategy == "auto":
            strategy = os.environ.get("COVET_STRATEGY", "auto")
        self._max_workers = max_workers or _usable_cores()
        self._extensions = extensions
        self._fallback = fallback
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
            forward_records,
            _FALLBACKS[fallback],
        )

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queues fn(*args, **kwargs) and returns its future. Waits while the queue is full.

        What cannot be sent to another interpreter fails the future with PicklingError. Raises RuntimeError after
        `shutdown`, BrokenPool if no worker could start.
        """
        try:
            return Future(self._submit(fn, *args, **kwargs))
        except BrokenPool as error:
            self._tell(error)
            raise

    async def run(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Has a worker call fn(*args, **kwargs), and returns what it returns; for asyncio.

        The event loop goes on meanwhile, and while the queue is full. No concurrent future and no other thread is needed: the
        loop watches one descriptor for all the tasks that it waits for. Several loops may use a pool. Raises what `fn` raises,
        with its remote traceback as the cause; PicklingError for what cannot be sent; CancelledError of
        `concurrent.futures` if the pool cancelled the task; RuntimeError after `shutdown`, BrokenPool if no worker could start.

        If the awaiting asyncio task is cancelled, or times out, the call is stopped as `interrupt` does, and not waited for: what
        has not begun never begins, what runs gets KeyboardInterrupt.
        """
        from covet_py._event_loop import finish  # asyncio takes longer to import than all of this package

        task = self._make_task(None, None, fn, args, kwargs)
        await finish(self, task)
        return cast(T, task.value())

    def _make_task(
        self, worker: int | None, limit: float | None, fn: Callable[..., Any], args: Any, kwargs: Any
    ) -> _native.Task:
        """A task that is not queued yet."""
        try:
            return self._prepare(worker, limit, fn, *args, **kwargs)
        except BrokenPool as error:
            self._tell(error)
            raise

    def _tell(self, error: BrokenPool) -> None:
        """Logs it once, as the executors of the standard library do, for programs that look at no future."""
        if not self._told:
            self._told = True
            logging.getLogger("concurrent.futures").critical("%s", error)

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

    def wrap(self, fn: Callable[P, T]) -> Callable[P, T]:
        """Returns `fn` as a function that always runs in this pool, by `call`; a decorator.

            @pool.wrap
            def parse(text): ...

        It keeps its name, documentation and signature, and costs and raises what `call` does. Inside a worker it is the plain
        function: what it calls of its kind runs there. Raises TypeError for coroutine and generator functions.
        """
        return Wrapped(self.call, fn)

    def with_options(self, *, timeout: float | None = None) -> PoolView:
        """Returns a view of this pool whose `submit`, `call`, `map`, `run` and `wrap` give each task a time limit.

            pool.with_options(timeout=2.5).submit(solve, puzzle)

        The limit counts from when a worker calls the function: waiting in the queue does not count, and neither does importing
        the function's module. A task that is not done by then is interrupted as by `interrupt`, its future raises TimeoutError,
        whose cause tells where it was, and its worker goes on with the next. One that returns a result all the same, because
        it was late by less than the interruption took or because it caught KeyboardInterrupt, has that result; one that
        does not stop within 5 seconds is given up. A limit costs less than a microsecond a task.
        """
        return PoolView(self, timeout)

    def explain(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Explanation:
        """Says which way a call would take, and why: how the function and the arguments are sent, whether `call` runs it on the
        calling thread, and how the modules that it needs are loaded in a worker.

            print(pool.explain(work, table))

        Nothing is called. The arguments are encoded and thrown away; the modules are imported in new interpreters, one for each,
        which takes as long as it does in a worker. Never fails for what cannot be sent: it says so.
        """
        from covet_py._explain import explain

        return explain(self, fn, args, kwargs)

    def broadcast(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> list[Future[T]]:
        """Has every worker call fn(*args, **kwargs) in its own interpreter; returns a future for each.

        For what each interpreter needs once: to load or drop a model, to set an option, to collect what it has. A worker takes
        such a task before those that any may run. Raises as `submit` does.
        """
        made = [self._make_task(i, None, fn, args, kwargs) for i in range(len(self.stats().workers))]
        for task in made:
            task.queue()
        return [Future(task) for task in made]

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


