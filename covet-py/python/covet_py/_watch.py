"""Which functions of `__main__` and the like need not be pickled again.

Pickling a function by value takes many times longer than calling it elsewhere, and it must be done for each call, since what the function refers to
may have changed. Unless that can be seen at a glance: a function is *watchable* if everything that its pickle holds is
code, or an immutable value found in a place that can be looked at again. What an interpreter made of such a function can
also be used for the next task, if the code itself changes nothing that outlives a call. Called by the compiled module, once
for each function (see functions.rs).
"""

from __future__ import annotations

import sys
from opcode import opmap
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

_ATOMS = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis))


_STORES = {opmap[name] for name in ("STORE_GLOBAL", "DELETE_GLOBAL") if name in opmap}
_STORES_IN_CELLS = {opmap[name] for name in ("STORE_DEREF", "DELETE_DEREF") if name in opmap}


def places(function: object) -> tuple[list[Any], list[Any], list[Any]] | None:
    """Returns where to look: functions, cells and (globals, name) pairs, each followed by what is there; or None."""
    if type(function) is not FunctionType:
        return None
    functions: list[Any] = []
    cells: list[Any] = []
    names: list[Any] = []
    seen: set[int] = set()
    left: list[FunctionType] = [function]
    while left:
        current = left.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        parts = (current.__code__, current.__defaults__, current.__kwdefaults__, current.__closure__)
        attributes = current.__dict__
        if attributes or current.__kwdefaults__ or _keeps_state(current.__code__) or not _is_fixed(current.__defaults__, left):
            return None
        functions.append((current, *parts, attributes))
        for cell in current.__closure__ or ():
            try:
                contents: tuple[Any, ...] = (cell.cell_contents,)
            except ValueError:
                contents = ()
            if not all(_is_fixed(value, left) for value in contents):
                return None
            cells.append((cell, contents))
        for name in looked_up(current.__code__):
            found = (current.__globals__[name],) if name in current.__globals__ else ()
            if not all(_is_fixed(value, left) for value in found):
                return None
            names.append((current.__globals__, name, found))
    return functions, cells, names


def _keeps_state(code: CodeType) -> bool:
    """Whether the code may change a global, or a variable of a function around it."""
    operations = set(code.co_code[::2])
    if operations & _STORES or (code.co_freevars and operations & _STORES_IN_CELLS):
        return True
    return any(isinstance(constant, CodeType) and _keeps_state(constant) for constant in code.co_consts)


def looked_up(code: CodeType) -> set[str]:
    """Every name that the code may look up in its globals (attribute names among them: too many do no harm)."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= looked_up(constant)
    return names


def _is_fixed(value: Any, functions: list[FunctionType]) -> bool:
    """Whether a pickle of the value stays right for as long as the value is in its place."""
    kind = type(value)
    if kind in _ATOMS:
        return True
    if kind is tuple or kind is frozenset:
        return all(_is_fixed(item, functions) for item in value)
    if kind is ModuleType:
        return sys.modules.get(value.__name__) is value
    if kind is FunctionType and value.__module__ == "__main__":
        functions.append(value)
        return True
    # What others can import is sent by its name.
    if kind in (FunctionType, BuiltinFunctionType, type):
        home = sys.modules.get(value.__module__ or "")
        return value.__module__ != "__main__" and getattr(home, value.__qualname__, None) is value
    return False
