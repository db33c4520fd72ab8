"""`PoolExecutor.wrap`: a function that always runs in a pool."""

from __future__ import annotations

import functools
import inspect
from types import MethodType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Wrapped"]


class Wrapped:
    """A function, called in the interpreters of a pool.

    It keeps the name, the documentation and the signature. Sent to another interpreter it is the function itself again, so one
    that calls itself, or another that is wrapped, goes on where it runs.
    """

    __wrapped__: Callable[..., Any]

    def __init__(self, call: Callable[..., Any], fn: Callable[..., Any]) -> None:
        if not callable(fn):
            raise TypeError(f"expected a function to wrap, found {fn!r}")
        for what, is_it in _NOT_SENT.items():
            if is_it(fn):
                name = getattr(fn, "__qualname__", repr(fn))
                raise TypeError(
                    f"expected a function whose result can be sent, found the {what} function {name}: what it returns cannot "
                    "leave the interpreter that made it; wrap a function that runs it to its end"
                )
        self._call = call
        functools.update_wrapper(cast(Any, self), fn)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._call(self.__wrapped__, *args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """A method, if it was found in a class: the instance is sent as the first argument."""
        return self if instance is None else MethodType(self, instance)

    def __reduce__(self) -> tuple[Any, ...]:
        return _same, (self.__wrapped__,)

    def __repr__(self) -> str:
        return f"<{self.__wrapped__!r} in a pool>"


def _same(fn: Callable[..., Any]) -> Callable[..., Any]:
    return fn


_NOT_SENT = {
    "coroutine": inspect.iscoroutinefunction,
    "asynchronous generator": inspect.isasyncgenfunction,
    "generator": inspect.isgeneratorfunction,
}
