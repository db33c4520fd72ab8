"""Random values, and how to tell whether two of them are the same."""

import array
import math

import tasks

from covet_py import Buffer

FLOATS = [0.0, -0.0, 1.5, math.pi, math.inf, -math.inf, math.nan, 5e-324, 1.7976931348623157e308]
STRINGS = [
    "",
    "a",
    "ascii text",
    "\0",
    "a\0b\0",
    "\xe9\xff",
    "\x80",
    "\u0100",
    "\u20ac uro",
    "\uffff",
    "\U0001f600",
    "mixed a \xe9 \u20ac \U0001f600",
    "\ud800",
    "\udfff\ud800",
    "\ud83d\ude00",
    "x" * 1000,
    "\xe9" * 1000,
    "\u20ac" * 1000,
    "\U0001f600" * 1000,
]


def make(rng, depth, pieces):
    """A value of the types that the codec knows and, seldom, of some that it does not, sharing parts with itself."""
    if pieces and rng.random() < 0.1:
        return rng.choice(pieces)
    if not depth or rng.random() < 0.5:
        return rng.choice(LEAVES)(rng)
    items = [make(rng, depth - 1, pieces) for _ in range(rng.randrange(5))]
    value = rng.choice(CONTAINERS)(rng, items)
    if isinstance(value, list) and rng.random() < 0.05:
        value.append(value)
    pieces.append(value)
    return value


LEAVES = [
    lambda rng: None,
    lambda rng: rng.random() < 0.5,
    lambda rng: rng.randrange(-(1 << rng.randrange(1, 70)), 1 << rng.randrange(1, 70)),
    lambda rng: rng.getrandbits(rng.randrange(1, 300)),
    lambda rng: rng.choice(FLOATS),
    lambda rng: rng.choice(STRINGS),
    lambda rng: rng.randbytes(rng.choice([0, 1, 8, 300])),
    lambda rng: "".join(chr(rng.randrange(1, rng.choice([128, 256, 0xD800]))) for _ in range(rng.randrange(9))),
    lambda rng: complex(rng.random(), rng.choice(FLOATS)),
    lambda rng: tasks.Color.RED if rng.random() < 0.1 else -1,
]


def make_memory(rng):
    """Memory that is not copied, alone and beside an object, and bytes that are copied once."""
    memory = array.array("d", range(rng.randrange(1, 20)))
    view = memoryview(memory)[:: rng.choice([1, 1, 2, -1])]
    large = rng.randbytes(rng.choice([10, 70_000]))
    parts = [view, [view], Buffer(large), memoryview(large)[5:], large, large.hex()]
    return rng.choice([parts, tuple(parts), {"parts": parts}, tasks.Record("r", parts), tasks.Words(memory)])


def _keys(rng, items):
    """As many values that can be hashed, no two of them equal."""
    kinds = [lambda i: i, lambda i: f"k{i}", lambda i: (i, f"k{i}"), lambda i: frozenset({i}), lambda i: i + 0.5]
    return [rng.choice(kinds)(i) for i in range(len(items))]


CONTAINERS = [
    lambda rng, items: items,
    lambda rng, items: tuple(items),
    lambda rng, items: dict(zip(_keys(rng, items), items)),
    lambda rng, items: set(_keys(rng, items)),
    lambda rng, items: frozenset(_keys(rng, items)),
    lambda rng, items: bytearray(rng.randbytes(len(items))),
    lambda rng, items: tasks.Record("r", items) if rng.random() < 0.1 else items,
]


def shape(value):
    """A description with types and identities: equal for two values that cannot be told apart."""
    known = {}

    def of(value):
        kind = type(value)
        if kind in (list, tuple, dict, set, frozenset, bytearray, memoryview, Buffer, tasks.Record) and value != ():
            if id(value) in known:
                return ("seen", known[id(value)])
            known[id(value)] = len(known)
        if kind is dict:
            return ("dict", tuple((of(key), of(item)) for key, item in value.items()))
        if kind in (list, tuple):
            return (kind.__name__, tuple(of(item) for item in value))
        if kind in (set, frozenset):
            # In an order that does not depend on their addresses; nothing in them is met again.
            return (kind.__name__, tuple(sorted(map(repr, value))))
        if kind is tasks.Record:
            return ("Record", value.name, of(value.items))
        if kind is memoryview:
            return (kind.__name__, value.format, value.shape, bytes(value))
        if kind is Buffer:
            return (kind.__name__, bytes(value))
        if kind is tasks.Words:
            return (kind.__name__, bytes(value.memory))
        return (kind.__name__, repr(value))

    return of(value)
