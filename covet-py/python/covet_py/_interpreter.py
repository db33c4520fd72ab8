"""`Interpreter`: one interpreter held by hand."""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from covet_py._executor import PoolExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

P = ParamSpec("P")
T = TypeVar("T")

__all__ = ["Interpreter"]

# Every interpreter has it.
_support = sys.modules["_covet_support"]
_numbers = itertools.count(1)


class Interpreter:
    """An interpreter of its own, whose names last from one `run` to the next.

        with covet_py.Interpreter() as interpreter:
            interpreter.run("def area(width, height): return width * height")
            interpreter.call("area", 6, 7)
            interpreter.run("area(side, side)", side=3)

    It has a GIL, modules and names of its own from Python 3.12 on; where `strategy` is another than "subinterpreters" it has
    names of its own only. It is a `PoolExecutor` of one worker, so values are copied as there, the calling thread enters it by
    itself where that is possible, and calls from several threads take their turns. One that had to be given up
    (`PoolExecutor.interrupt`) is replaced, and has forgotten its names.

    strategy, preload, extensions, forward_records: as for `PoolExecutor`.
    """

    def __init__(
        self,
        *,
        strategy: str = "auto",
        preload: Iterable[str] = (),
        extensions: str | None = None,
        forward_records: bool = True,
    ) -> None:
        self._number = next(_numbers)
        self._pool = PoolExecutor(
            1,
            f"covet-interpreter-{self._number}",
            strategy=strategy,
            preload=preload,
            extensions=extensions,
            forward_records=forward_records,
        )

    def run(self, source: str, /, **variables: Any) -> Any:
        """Runs source text, after giving these names to values, and returns the value of its last statement if that is an
        expression, else None.

        Raises what the text raises, SyntaxError included, with its remote traceback as the cause; PicklingError for what cannot
        be sent; RuntimeError after `close`.
        """
        return self._pool.call(_support.run_in, self._number, source, variables)

    @overload
    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    def call(self, fn: str, /, *args: Any, **kwargs: Any) -> Any: ...
    def call(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Calls a function there, as `PoolExecutor.call` does; or, given a str, what has this name there ("area",
        "math.hypot").

        Raises NameError if there is none, and as `run`.
        """
        if isinstance(fn, str):
            return self._pool.call(_support.call_in, self._number, fn, args, kwargs)
        return self._pool.call(fn, *args, **kwargs)

    @property
    def strategy(self) -> str:
        """Where it runs: "subinterpreters", "free-threading" or "main-only"."""
        return self._pool.strategy

    def close(self) -> None:
        """Ends it, and waits for that. Does nothing the second time."""
        self._pool.shutdown()
        # Where tasks run in this interpreter, so do its names.
        _support.forget(self._number)

    def __enter__(self) -> Interpreter:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._number} {self.strategy} {'closed' if self._pool._closed else 'open'}>"
