"""A trial of modules as private images: two interpreters import and use them at once, and end.

Run in a process of its own (`python -m covet_py trial MODULE...`) by the loader of extension modules, when it meets one
that refuses subinterpreters and of which nothing is known.
"""

from __future__ import annotations

from concurrent.futures import wait

from covet_py import _native
from covet_py._executor import PoolExecutor

_ROUNDS = 10


def use(modules: list[str], rounds: int) -> None:
    """Imports modules and uses what is in them: looks at every name, and collects garbage in between."""
    import gc
    import importlib
    from contextlib import suppress

    for _ in range(rounds):
        for name in modules:
            module = importlib.import_module(name)
            for attribute in dir(module):
                # What is made when it is first asked for may want what is not installed, or not be for any interpreter but main.
                with suppress(Exception):
                    repr(getattr(module, attribute))
        gc.collect()


def main(modules: list[str]) -> int:
    """Tries modules, and writes what came of it."""
    print("begins", flush=True)
    reason = None
    with PoolExecutor(2, strategy="subinterpreters", extensions="private", fallback="raise") as pool:
        futures = pool.broadcast(use, modules, _ROUNDS)
        wait(futures)
        for future in futures:
            error = future.exception()
            if error is not None:
                reason = " ".join(f"{type(error).__name__}: {error}".split())
    for path in _native.images():
        print("image", path)
    print("works" if reason is None else f"fails: {reason}", flush=True)
    return 0
