"""How an event loop waits, for `PoolExecutor.run` and `run_in_executor`: it watches one descriptor for all of its tasks.

A worker that ends a task notes its number, and makes the descriptor readable if nothing was noted before; the loop then takes
all numbers that are there. So no thread lies between a worker and the loop, and one wake-up brings many completions.
"""

from __future__ import annotations

import asyncio
import os
from types import FunctionType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from covet_py import _native
from covet_py._future import Future

if TYPE_CHECKING:
    from collections.abc import Callable

    from covet_py._executor import PoolExecutor

__all__ = ["chained", "finish"]

# Seconds between two looks whether a full queue has room. A queue of the default size lasts longer, whatever its tasks.
_BETWEEN_LOOKS = 0.001


async def finish(pool: PoolExecutor, task: _native.Task) -> None:
    """Queues a task and waits until it is done or cancelled. Whoever gives up waiting stops it."""
    loop = asyncio.get_running_loop()
    arrivals = _arrivals(loop)
    if not task.try_queue():
        # One task of each pool looks for room, the one that came first.
        async with asyncio.Lock() if arrivals is None else arrivals.line(pool):
            while not task.try_queue():
                await asyncio.sleep(_BETWEEN_LOOKS)
    done = loop.create_future()
    if arrivals is None:
        _expect_by_thread(task, done)
    else:
        arrivals.expect(task, _set_done, done)
    try:
        await done
    except BaseException:
        task.interrupt()
        raise


def chained(future: Future[Any], callback: Callable[[Any], object]) -> bool:
    """Has the running loop call callback(future), if it is what `asyncio.wrap_future` adds to complete a future of that loop;
    returns whether it is. What any other callback is for is unknown: a thread that waits for its effect may be the loop's own.
    """
    loop = asyncio._get_running_loop()
    if loop is None or loop is not _destination(callback):
        return False
    arrivals = _arrivals(loop)
    if arrivals is None:
        return False
    arrivals.expect(future._task, callback, future)
    return True


def _destination(callback: Callable[[Any], object]) -> object:
    """The loop of the future that the callback completes; None if it is anything but such a callback."""
    if getattr(callback, "__qualname__", None) != "_chain_future.<locals>._call_set_state":
        return None
    assert isinstance(callback, FunctionType)
    cells = dict(zip(callback.__code__.co_freevars, callback.__closure__ or (), strict=True))
    return cells["dest_loop"].cell_contents if "dest_loop" in cells else None


class _Arrivals:
    """The tasks that one event loop waits for. Used on the loop's thread alone."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._completions = _native.Completions(*_descriptors())
        # By the number of a task: functions of one argument, and these.
        self._waiting: dict[int, list[tuple[Callable[[Any], object], Any]]] = {}
        self._lines: WeakKeyDictionary[PoolExecutor, asyncio.Lock] = WeakKeyDictionary()
        loop.add_reader(self._completions.fileno(), self._take)

    def expect(self, task: _native.Task, tell: Callable[[Any], object], whom: Any) -> None:
        """Calls tell(whom) in the event loop when the task is done or cancelled."""
        self._waiting.setdefault(task.number(), []).append((tell, whom))
        task.observe(self._completions)

    def _take(self) -> None:
        for number in self._completions.take():
            # A task that is expected twice has its number noted twice.
            for tell, whom in self._waiting.pop(number, ()):
                try:
                    tell(whom)
                except Exception as error:
                    context = {"message": "exception calling a callback of a future", "exception": error}
                    asyncio.get_running_loop().call_exception_handler(context)

    def line(self, pool: PoolExecutor) -> asyncio.Lock:
        """Where tasks stand for room in the queue of a pool."""
        return self._lines.setdefault(pool, asyncio.Lock())


def _expect_by_thread(task: _native.Task, done: asyncio.Future[None]) -> None:
    """As `_Arrivals.expect`, for a loop that cannot watch descriptors: the thread that resolves futures tells it."""
    loop = done.get_loop()

    def tell(_: object) -> None:
        try:
            loop.call_soon_threadsafe(_set_done, done)
        except RuntimeError:
            pass  # closed meanwhile

    Future[Any](task).add_done_callback(tell)


def _set_done(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


# The loop alone keeps its arrivals, by the reader that it has. What waits there refers to the loop: if anything else kept it, a
# loop that is closed before its tasks are done would never go.
_known: WeakKeyDictionary[asyncio.AbstractEventLoop, ref[_Arrivals]] = WeakKeyDictionary()


def _arrivals(loop: asyncio.AbstractEventLoop) -> _Arrivals | None:
    """The arrivals of a loop; None if it cannot watch descriptors."""
    known = _known.get(loop)
    arrivals = None if known is None else known()
    if arrivals is None:
        try:
            arrivals = _Arrivals(loop)
        except NotImplementedError:
            return None
        _known[loop] = ref(arrivals)
    return arrivals


def _descriptors() -> tuple[int, int]:
    """One to read from, and one to write to that makes it readable; neither blocks."""
    if hasattr(os, "eventfd"):
        both = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        return both, os.dup(both)
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    return read, write
