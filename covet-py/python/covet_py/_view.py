"""`PoolExecutor.with_options`: a pool whose tasks have a time limit."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from covet_py._future import Future
from covet_py._wrapped import Wrapped

if TYPE_CHECKING:
    from collections.abc import Callable

    from covet_py._executor import PoolExecutor

P = ParamSpec("P")
T = TypeVar("T")

__all__ = ["PoolView"]


class PoolView(Executor):
    """A pool, as `PoolExecutor.with_options` shows it: what is sent through it has a time limit.

    It has no workers of its own, costs next to nothing to make, and may be used beside the pool and other views. `map` sends each
    item as a task, so that each has the limit; `shutdown`, and the end of a `with` block, shut the pool down.
    """

    def __init__(self, pool: PoolExecutor, timeout: float | None) -> None:
        if timeout is not None and not timeout > 0:
            raise ValueError(f"expected a timeout above 0 seconds, found {timeout!r}")
        self._pool = pool
        self._timeout = timeout

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As `PoolExecutor.submit`; the future raises TimeoutError if the task runs for too long."""
        task = self._pool._make_task(None, self._timeout, fn, args, kwargs)
        task.queue()
        return Future(task)

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Has fn(*args, **kwargs) called, and returns what it returns; raises TimeoutError if it runs for too long.

        It goes through the queue, which costs more than `PoolExecutor.call`. A Ctrl-C in the caller is for the task too.
        """
        future = self.submit(fn, *args, **kwargs)
        try:
            return future.result()
        except BaseException:
            future._task.interrupt()
            raise

    async def run(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """As `PoolExecutor.run`; raises TimeoutError if the task runs for too long."""
        from covet_py._event_loop import finish

        task = self._pool._make_task(None, self._timeout, fn, args, kwargs)
        await finish(self._pool, task)
        return cast(T, task.value())

    def wrap(self, fn: Callable[P, T]) -> Callable[P, T]:
        """As `PoolExecutor.wrap`, by `call` of this view."""
        return Wrapped(self.call, fn)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shuts the pool down."""
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} timeout={self._timeout} of {self._pool!r}>"
