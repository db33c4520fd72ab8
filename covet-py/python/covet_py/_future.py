"""The future of a task: a `concurrent.futures.Future` that is cheap until somebody needs all of it.

The standard future makes a lock, a condition and two lists at once, which costs more than a task. This one holds
the compiled task and asks that. Only when something wants the rest (`add_done_callback`, `concurrent.futures.wait`,
`as_completed`) does it get its *standard side*: the attributes of a standard future, in their usual meaning. A thread of
this interpreter, started then, brings that side to its final state when the task is done, unless somebody noticed before,
and runs the callbacks: so these run in the interpreter that asked, never on a worker. An event loop for which asyncio wraps
the future needs neither: it watches the task itself (`_event_loop`).
"""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, _base
from concurrent.futures import Future as StandardFuture
from typing import TYPE_CHECKING, Any, TypeVar, cast

from covet_py import _native

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

__all__ = ["Future"]


class Future(StandardFuture[T]):
    """The result of `PoolExecutor.submit`, once it is there."""

    # What StandardFuture.__init__ would set is absent until `__getattr__` is asked for it.
    def __init__(self, task: _native.Task) -> None:
        self._task = task

    def __getattr__(self, name: str) -> Any:
        if name not in _STANDARD_ATTRIBUTES or "_task" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        _complete(self)
        return self.__dict__[name]

    def cancel(self) -> bool:
        """Cancels the task unless it has begun. Returns whether it is cancelled."""
        cancelled = self._task.cancel()
        self._settle()
        return cancelled

    def cancelled(self) -> bool:
        """Whether the task was cancelled."""
        return self._final_state() == "cancelled"

    def running(self) -> bool:
        """Whether the task is in an interpreter now."""
        return self._task.state() == "running"

    def done(self) -> bool:
        """Whether the task has a result or an exception, or was cancelled."""
        return self._final_state() is not None

    def __repr__(self) -> str:
        state = self._task.state()
        what = f"state={_STATE_NAMES[state]}"
        if state == "done":
            ok, value = self._outcome()
            what += f" {'returned' if ok else 'raised'} {type(value).__name__}"
        return f"<{type(self).__name__} at {id(self):#x} {what}>"

    def result(self, timeout: float | None = None) -> T:
        """Returns what the task returned, or raises what it raised; waits at most `timeout` seconds.

        Other threads run meanwhile. A task that is still queued is run by the waiting thread, in an idle interpreter.
        Raises TimeoutError, or CancelledError if the task was cancelled.
        """
        ok, value = self._outcome(timeout)
        if ok:
            return cast(T, value)
        try:
            raise value
        finally:
            # The exception's traceback refers to this frame, and this frame to the exception.
            del self, value

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Returns what the task raised, or None; waits and raises as `result` does."""
        ok, value = self._outcome(timeout)
        if not ok and isinstance(value, CancelledError) and self.cancelled():
            raise value
        return None if ok else value

    def add_done_callback(self, fn: Callable[[StandardFuture[T]], object]) -> None:
        """Calls fn(self) when the task is done or cancelled, on a thread of this interpreter; at once if it is already."""
        if getattr(fn, "__module__", None) == "asyncio.futures":
            from covet_py._event_loop import chained  # imports asyncio, which whoever passed this has

            if chained(self, fn):
                return
        super().add_done_callback(fn)

    def _get_snapshot(self) -> tuple[bool, bool, T | None, BaseException | None]:
        """(done, cancelled, result, exception): what asyncio asks from Python 3.15 on."""
        state = self._final_state()
        if state != "done":
            return state is not None, state is not None, None, None
        ok, value = self._outcome()
        return (True, False, value, None) if ok else (True, False, None, value)

    def _outcome(self, timeout: float | None = None) -> tuple[bool, Any]:
        """(True, result) or (False, exception): the same objects every time."""
        known: tuple[bool, Any] | None = self.__dict__.get("_known")
        if known is None:
            if not self._task.wait(timeout):
                raise TimeoutError(f"the task is not done after {timeout} seconds")
            known = self.__dict__.setdefault("_known", self._task.outcome())
            self._settle()
        return known

    def _final_state(self) -> str | None:
        """"done" or "cancelled", once the task is."""
        state = self._task.state()
        if state not in ("done", "cancelled"):
            return None
        self._settle()
        return state

    def _settle(self) -> None:
        """Brings the standard side, if there is one, to its final state, if the task has one, and tells who waits for it.

        Whoever finds the task done does this, so that all sides agree from then on. Callbacks are left to the completion
        thread: the caller may hold locks that they want.
        """
        if "_condition" not in self.__dict__ or self._state in _FINAL:
            return
        state = self._task.state()
        if state == "cancelled":
            with self._condition:
                if self._state not in _FINAL:
                    self._state = _base.CANCELLED_AND_NOTIFIED
                    for waiter in self._waiters:
                        waiter.add_cancelled(self)
                    self._condition.notify_all()
        elif state == "done":
            ok, value = self._outcome()
            with self._condition:
                if self._state not in _FINAL:
                    self._result, self._exception = (value, None) if ok else (None, value)
                    self._state = _base.FINISHED
                    for waiter in self._waiters:
                        waiter.add_result(self) if ok else waiter.add_exception(self)
                    self._condition.notify_all()


_FINAL = (_base.CANCELLED_AND_NOTIFIED, _base.FINISHED)
_STATE_NAMES = {"queued": "pending", "running": "running", "cancelled": "cancelled", "done": "finished"}
_STANDARD_ATTRIBUTES = frozenset(vars(StandardFuture()))

# Futures that the completion thread will resolve, by the number of their task.
_observed: dict[int, Future[Any]] = {}
_completions = _native.Completions()
# Reentrant: a destructor that runs anywhere in here may complete a future of its own.
_lock = threading.RLock()
_thread: threading.Thread | None = None


def _complete(future: Future[Any]) -> None:
    """Gives the future its standard side, and has it resolved when the task is done."""
    with _lock:
        if "_condition" in future.__dict__:
            return
        standard = vars(StandardFuture())
        # `_condition` last: it is what says that the rest is there.
        condition = standard.pop("_condition")
        future.__dict__.update(standard)
        future.__dict__["_condition"] = condition
    if future.done():
        return
    with _lock:
        _start_thread()
        _observed[future._task.number()] = future
    future._task.observe(_completions)


def _start_thread() -> None:
    global _thread
    if _thread is None:
        # Not a daemon: subinterpreters refuse those. It ends before the interpreter waits for its threads.
        _thread = threading.Thread(target=_resolve_all, name="covet-completions")
        _thread.start()


def _resolve_all() -> None:
    while (numbers := _completions.wait()) is not None:
        for number in numbers:
            future = _observed.pop(number)
            future._settle()
            future._invoke_callbacks()
            del future


def after_fork() -> None:
    """Forgets the parent's thread, and what it was to resolve."""
    global _thread, _lock, _completions
    _thread = None
    # A thread that is gone may hold the lock of the old ones.
    _completions = _native.Completions()
    _lock = threading.RLock()
    _observed.clear()


def stop() -> None:
    """Resolves what is done and ends the thread. Called when the interpreter ends, after the pools."""
    if _thread is not None:
        _completions.stop()
        _thread.join()
