"""`pool`: pools that are found by name, so that the parts of a program can share one."""

from __future__ import annotations

import os
import threading
from typing import Any

from covet_py._executor import PoolExecutor

__all__ = ["pool"]

# By name, each with the options that it was made with.
_pools: dict[str, tuple[PoolExecutor, dict[str, Any]]] = {}
# Reentrant: a destructor that runs while a pool is made may ask for one.
_lock = threading.RLock()


def pool(name: str, **options: Any) -> PoolExecutor:
    """Returns the pool of this name, which is made by PoolExecutor(**options) when it is first asked for.

        covet_py.pool("images", max_workers=4).submit(shrink, path)

    Without options any pool of the name is returned, as `logging.getLogger` does. Options must equal those that it was made
    with: else raises ValueError. Once it is shut down it is made anew, with the options given then. Its threads bear its name,
    unless `thread_name_prefix` gives them another. It ends with the process, as others do. Each interpreter, and the child of a
    fork, has pools of its own. Any thread may call this. What raises TypeError or ValueError in PoolExecutor does so here.
    """
    if not isinstance(name, str):
        raise TypeError(f"expected the name of a pool as a str, found {type(name).__name__}")
    with _lock:
        known = _pools.get(name)
        if known is not None and not known[0]._closed:
            made, made_with = known
            if options and options != made_with:
                raise ValueError(f"the pool {name!r} was made with other options: expected {made_with}, found {options}")
            return made
        made = PoolExecutor(**{"thread_name_prefix": name, **options})
        _pools[name] = made, options
        return made


def _after_fork() -> None:
    """Forgets the parent's pools, and its lock, which a thread that is gone may hold."""
    global _lock
    _lock = threading.RLock()
    _pools.clear()


os.register_at_fork(after_in_child=_after_fork)
