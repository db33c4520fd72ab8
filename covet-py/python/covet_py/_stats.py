"""What a pool has done so far, in numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Stats", "WorkerStats"]


class WorkerStats(NamedTuple):
    """What one worker of a pool has run."""

    running: bool
    """Whether something runs in its interpreter now, a calling thread included."""
    done: int
    """Tasks, and items of `map`, that returned a value."""
    failed: int
    """Tasks, and items of `map`, that raised."""
    lent: int
    """How often its interpreter was lent: to a worker for some tasks, or to a calling thread. `call` shows up here alone."""
    lives: int
    """Interpreters that were made here: one, and one more each time that the worker was lost or worn out."""
    busy: float
    """Seconds that tasks and maps ran here."""
    waited: float
    """Seconds that the tasks which ran here had waited in the queue before."""


class Stats(NamedTuple):
    """What a pool has done so far. Each number was right at some moment of the call, not all at the same one."""

    queued: int
    """Tasks and maps that wait in the queue, those included that were cancelled meanwhile."""
    running: int
    """Interpreters in which something runs now, calling threads included."""
    done: int
    """Tasks, and items of `map`, that returned a value, on workers that have gone as well."""
    failed: int
    """Tasks, and items of `map`, that raised."""
    cancelled: int
    """Tasks that were cancelled before they began."""
    lost: int
    """Tasks and maps that were given up because they did not stop when they were interrupted."""
    lives: int
    """Interpreters that were made, over the life of the pool."""
    refused_imports: int
    """Loads of extension modules that were refused, in all pools of this process."""
    workers: tuple[WorkerStats, ...]
    """Each of the workers that the pool has now."""

    @classmethod
    def _of(cls, numbers: tuple[Any, ...]) -> Stats:
        return cls._make((*numbers[:-1], tuple(WorkerStats._make(worker) for worker in numbers[-1])))
