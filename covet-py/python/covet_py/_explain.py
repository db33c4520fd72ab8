"""`PoolExecutor.explain`: which way a call would take, and why."""

from __future__ import annotations

import dis
import functools
import textwrap
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from covet_py import _watch
from covet_py._doctor import Finding, look
from covet_py._wrapped import Wrapped

if TYPE_CHECKING:
    from collections.abc import Callable

    from covet_py._executor import PoolExecutor

__all__ = ["Explanation"]

_FUNCTION = {
    "reference": "by reference: each interpreter imports it once",
    "value": "by value: pickled once, and again when something that it refers to is another",
    "value each time": "by value: pickled for each call, because it refers to what may change",
}


@dataclass(frozen=True)
class Explanation:
    """Which way a call of a pool takes; its `str()` is for people."""

    function: str
    """What is called."""
    sent: str
    """How it is sent, by reference or by value, or why it cannot be."""
    arguments: str
    """How they are sent, or why they cannot be."""
    strategy: str
    """Where tasks of this pool run, as the property of the pool says."""
    strategy_reason: str
    call: str
    """On which thread `call` would run it now. `submit`, `map` and `run` use workers, with the help of whoever waits."""
    fallback: str
    """Where it runs instead if a module is refused, as the argument of the pool says."""
    modules: tuple[Finding, ...]
    """The modules that the function needs, and how a worker has them."""

    def __str__(self) -> str:
        lines = [
            ("function", f"{self.function}, {self.sent}"),
            ("arguments", self.arguments),
            ("strategy", f"{self.strategy}: {self.strategy_reason}"),
            ("call", self.call),
            *([("fallback", self.fallback)] if any(finding.way == "refused" for finding in self.modules) else []),
            *((f"module {finding.module}", f"{finding.way}: {finding.detail}") for finding in self.modules),
        ]
        width = max(len(name) for name, _ in lines) + 2
        indent = " " * width
        return "\n".join(
            textwrap.fill(text, 120, initial_indent=f"{name:{width}}", subsequent_indent=indent) for name, text in lines
        )


def explain(pool: PoolExecutor, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Explanation:
    """See `PoolExecutor.explain`."""
    if isinstance(fn, Wrapped):
        fn = fn.__wrapped__
    try:
        how, here, cost = pool._sent_as(fn)
    except Exception as error:
        sent, call, names = f"which cannot be sent: {error}", "raises that", []
    else:
        sent, call, names = _FUNCTION[how], _lane(here, cost), _needs(fn, by_value=how != "reference")
    return Explanation(
        function=f"{getattr(fn, '__module__', None)}.{getattr(fn, '__qualname__', repr(fn))}",
        sent=sent,
        arguments=_transport(pool, args, kwargs),
        strategy=pool.strategy,
        strategy_reason=pool.strategy_reason,
        call=call,
        fallback=pool._fallback,
        modules=tuple(look(names, pool.strategy, pool._extensions)),
    )


def _lane(here: bool, cost: float | None) -> str:
    took = "it was not measured yet" if cost is None else f"it took {cost * 1000:.3g} ms"
    if here:
        return "borrowed: the calling thread runs it in an idle interpreter"
    return f"dispatched: a worker runs it, since this thread handles signals and the function is not known to take less than 1 ms ({took})"


def _transport(pool: PoolExecutor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    if not args and not kwargs:
        return "none"
    try:
        pickled, copied, shown = pool._weigh(*args, **kwargs)
    except Exception as error:
        return f"which cannot be sent: {error}"
    codec = "by pickle, because one is of no exact built-in type" if pickled else "by the direct codec"
    return f"{codec}: {copied} bytes" + (f", and {shown} bytes that stay where they are" if shown else "")


def _needs(fn: Any, by_value: bool) -> list[str]:
    """The modules that a worker imports for the function: its own or those that its code refers to, and what it imports itself."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    fn = getattr(fn, "__func__", fn)
    found = {} if by_value else {fn.__module__: None}
    left, seen = [fn], set()
    while left:
        value = left.pop()
        if not isinstance(value, FunctionType):
            continue
        seen.add(value)
        found.update(dict.fromkeys(_imports(value.__code__)))
        if not by_value:
            break
        for name in sorted(_watch.looked_up(value.__code__) & value.__globals__.keys()):
            used = value.__globals__[name]
            home = used.__name__ if isinstance(used, ModuleType) else getattr(used, "__module__", None)
            if home in ("__main__", "__mp_main__") or home == fn.__module__:
                if isinstance(used, FunctionType) and used not in seen:
                    left.append(used)
            elif isinstance(home, str) and home != "builtins":
                found[home] = None
    return list(found)


def _imports(code: CodeType) -> set[str]:
    """What the code imports while it runs."""
    found = {step.argval for step in dis.get_instructions(code) if step.opname == "IMPORT_NAME" and step.argval}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _imports(constant)
    return found
