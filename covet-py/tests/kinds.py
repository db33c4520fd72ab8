"""Every kind of callable, argument and result that a script without a guard may send. Prints what went wrong."""

import abc
import contextlib
import dataclasses
import enum
import functools
import math
import operator
import typing
from collections import namedtuple

import covet_py

OFFSET = 10


def plain(x):
    return x + 1


def annotated(x: int, *, y: "int" = 2) -> int:
    return x + y


def recursive(n):
    return 1 if n < 2 else n * recursive(n - 1)


def uses_global(x):
    return x + OFFSET


def add(k):
    def inner(x):
        return x + k

    return inner


def counter():
    n = 0

    def count():
        nonlocal n
        n += 1
        return n

    return count


def star(*args, k=1, **kwargs):
    return args, k, kwargs


def double(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args) * 2

    return wrapper


@double
def decorated(x):
    return x + 1


@functools.lru_cache(None)
def cached(x):
    return x + 1


@functools.cache
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


@functools.singledispatch
def generic(x):
    return "object"


@generic.register
def _(x: int):
    return "int"


@contextlib.contextmanager
def context():
    yield 3


def use_context():
    with context() as value:
        return value


def apply(function, x):
    return function(x)


class Plain:
    n = 5

    def __init__(self, value=3):
        self.value = value

    def __eq__(self, other):
        return type(other) is Plain and self.value == other.value

    def __call__(self, x):
        return self.value * x

    def method(self, x):
        return self.value + x

    @classmethod
    def class_method(cls, x):
        return cls.n + x

    @staticmethod
    def static_method(x):
        return x * 3

    class Inner:
        value = 2


class Methods:
    @functools.cached_property
    def worked_out(self):
        return 5

    @property
    def plain(self):
        return 6

    part = functools.partialmethod(lambda self, a, b: a + b, 1)

    @functools.singledispatchmethod
    def generic(self, x):
        return "object"

    @generic.register
    def _(self, x: int):
        return "int"


class Base(abc.ABC):
    @abc.abstractmethod
    def f(self): ...


class Concrete(Base):
    def f(self):
        return 4


class Slots:
    __slots__ = ("x",)

    def __init__(self, x):
        self.x = x


class Meta(type):
    def hello(cls):
        return cls.__name__


class Made(metaclass=Meta):
    pass


class Box(typing.Generic[typing.TypeVar("T")]):
    def __init__(self, value):
        self.value = value


class Cycle:
    def __init__(self):
        self.me = self


class OwnDict(dict):
    pass


class OwnInt(int):
    pass


class Failure(Exception):
    def __init__(self, a, b):
        super().__init__(a, b)
        self.a = a


@dataclasses.dataclass
class Data:
    a: int


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    a: int = 2


class Typed(typing.NamedTuple):
    a: int = 1


class Dictionary(typing.TypedDict):
    a: int


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Number(enum.IntEnum):
    SEVEN = 7


Pair = namedtuple("Pair", "p q")


def own_class():
    return Plain


# What is called, with what, and what comes of it.
KINDS = {
    "function": (plain, (1,), 2),
    "annotations": (annotated, (1,), 3),
    "recursion": (recursive, (5,), 120),
    "global": (uses_global, (1,), 11),
    "star": (star, (1, 2), ((1, 2), 1, {})),
    "lambda": (lambda x: x * 7, (2,), 14),
    "closure": (add(5), (1,), 6),
    "closure with nonlocal": (counter(), (), 1),
    "partial": (functools.partial(plain, 4), (), 5),
    "partial of a lambda": (functools.partial(lambda a, b: a - b, 9), (4,), 5),
    "bound method": (Plain(4).method, (1,), 5),
    "class method": (Plain.class_method, (1,), 6),
    "static method": (Plain.static_method, (2,), 6),
    "partial method": (Methods().part, (4,), 5),
    "callable object": (Plain(6), (2,), 12),
    "decorated": (decorated, (1,), 4),
    "cached": (cached, (1,), 2),
    "cached recursion": (fibonacci, (30,), 832040),
    "cached elsewhere": (lambda n: fibonacci(n), (20,), 6765),
    "cached lambda": (functools.lru_cache(maxsize=2, typed=True)(lambda x: x), (1,), 1),
    "generic": (generic, (1,), "int"),
    "context manager": (use_context, (), 3),
    "builtin": (len, ("abc",), 3),
    "bound builtin": ("abc".upper, (), "ABC"),
    "bound builtin of a list": ([3, 1].index, (1,), 1),
    "method descriptor": (str.upper, ("a",), "A"),
    "method wrapper": ((5).__add__, (1,), 6),
    "operator": (operator.itemgetter(1), ([5, 6],), 6),
    "module's function": (math.hypot, (3, 4), 5.0),
    "class": (Plain, (9,), Plain(9)),
    "dataclass": (Data, (1,), Data(1)),
    "named tuple": (Pair, (1, 2), Pair(1, 2)),
    "typed named tuple": (Typed, (5,), Typed(5)),
    "enum": (Colour, (2,), Colour.BLUE),
    "function as argument": (apply, (lambda x: x + 1, 1), 2),
    "partial as argument": (apply, (functools.partial(plain), 1), 2),
    "function in a dict": (lambda d: d["f"](2), ({"f": lambda x: x + 1},), 3),
    "class as argument": (lambda kind: kind is Plain, (Plain,), True),
    "class as result": (own_class, (), Plain),
    "module as argument": (lambda module: module.sqrt(4.0), (math,), 2.0),
    "dataclass argument": (lambda data: data.a, (Data(4),), 4),
    "frozen dataclass": (lambda data: data, (Frozen(3),), Frozen(3)),
    "enum argument": (lambda colour: colour.name, (Colour.RED,), "RED"),
    "flag": (lambda access: access | Access.WRITE, (Access.READ,), Access.READ | Access.WRITE),
    "int enum": (lambda number: number, (Number.SEVEN,), Number.SEVEN),
    "typed dict": (lambda d: d, (Dictionary(a=1),), {"a": 1}),
    "abstract class": (lambda made: made.f(), (Concrete(),), 4),
    "slots": (lambda made: made.x, (Slots(3),), 3),
    "metaclass": (lambda kind: kind.hello(), (Made,), "Made"),
    "generic class": (lambda box: box.value, (Box(1),), 1),
    "nested class": (lambda inner: inner.value, (Plain.Inner(),), 2),
    "subclass of dict": (lambda d: d, (OwnDict(a=1),), OwnDict(a=1)),
    "subclass of int": (lambda n: n, (OwnInt(3),), OwnInt(3)),
    "properties": (lambda m: (m.worked_out, m.plain, m.part(2)), (Methods(),), (5, 6, 3)),
    "generic method": (lambda m: (m.generic(1), m.generic("")), (Methods(),), ("int", "object")),
    "cycle": (lambda cycle: cycle.me is cycle, (Cycle(),), True),
    "exception as argument": (lambda error: error.a, (Failure(1, 2),), 1),
}


def fail():
    raise Failure(1, 2)


pool = covet_py.PoolExecutor(2)
ways = {
    "call": pool.call,
    "submit": lambda function, *args: pool.submit(function, *args).result(),
    "map": lambda function, *args: next(pool.map(function, *([a] for a in args))) if args else pool.call(function),
}
for name, (function, args, expected) in KINDS.items():
    for way, send in ways.items():
        try:
            found = send(function, *args)
            if found != expected or type(found) is not type(expected):
                print(f"{name} by {way}: expected {expected!r}, found {found!r}")
        except Exception as error:
            print(f"{name} by {way}: {error!r}")
for way, send in ways.items():
    try:
        send(fail)
        print(f"{way} of a function that raises: no error")
    except Failure as error:
        if error.args != (1, 2):
            print(f"{way} of a function that raises: {error!r}")
