"""Functions that workers import by name."""

import array
import collections
import dataclasses
import enum
import os
import pickle
import sys
import threading
import time
import typing
import weakref


def same(value):
    return value


def check_arrays(name):
    import array_cases

    array_cases.CASES[name]()


def echo(*args, **kwargs):
    return args, kwargs


def apply(pair):
    """Calls a function of any number of arguments, for maps over one iterable."""
    function, arguments = pair
    return function(*arguments)


def add(a, b=0):
    return a + b


def pair(*values):
    return values


def nap(seconds, result=None):
    time.sleep(seconds)
    return result


def is_one_object(a, b):
    return a is b


def holds_itself(container):
    inner = container[0] if isinstance(container, list) else container["self"]
    return inner is container


def type_name(value):
    return type(value).__name__


def fail_at(value, bad, error=ValueError):
    if value == bad:
        raise error(f"failed at {value}")
    return value


def fail_if_odd(number):
    """Even numbers come back; odd ones raise one of several exceptions that say which."""
    if number % 2 == 0:
        return number
    kinds = (
        ValueError,
        KeyError,
        MemoryError,
        SystemExit,
        KeyboardInterrupt,
        RecursionError,
        GeneratorExit,
        StopIteration,
        Unsendable,
        Custom,
        ZeroDivisionError,
        AssertionError,
    )
    raise kinds[number // 2 % len(kinds)](number)


def odd_kind(number):
    """The exception type that `fail_if_odd(number)` ends with, as seen by the caller."""
    try:
        fail_if_odd(number)
    except BaseException as error:
        return type(error).__name__


def raise_it(error):
    raise error


class Custom(Exception):
    def __init__(self, *args):
        super().__init__(*args)
        self.extra = {"args": args}


class Unsendable(Exception):
    """Cannot be pickled."""

    def __init__(self, *args):
        super().__init__(*args)
        self.lock = threading.Lock()


class OneWay(Exception):
    """Pickles, but does not unpickle: its constructor needs two arguments and pickle gives it one."""

    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")


class HostileStr(Exception):
    def __str__(self):
        raise ValueError("no str for you")

    __repr__ = __str__


class HostileReduce(Exception):
    def __reduce__(self):
        raise ValueError("no pickle for you")


class LyingReduce(Exception):
    """Unpickles to something that is no exception."""

    def __reduce__(self):
        return (int, (3,))


class ExitingReduce(Exception):
    """Ends whoever unpickles it, unless that is prevented."""

    def __reduce__(self):
        return (sys.exit, (7,))


def raise_kind(name, *args):
    import builtins

    kind = getattr(builtins, name, None) or globals()[name]
    raise kind(*args)


def raise_chained():
    try:
        {}["first"]
    except KeyError as error:
        raise ValueError("second") from error


def recurse(depth=0):
    return recurse(depth + 1)


def recurse_in_c():
    class Deep:
        def __repr__(self):
            return repr(self)

    return repr(Deep())


def make(kind):
    """Values that cannot leave an interpreter."""
    return {
        "lock": threading.Lock,
        "file": lambda: open(__file__),
        "generator": lambda: (i for i in ()),
        "frame": sys._getframe,
    }[kind]()


def unload_on_arrival():
    return BadArrival()


class BadArrival:
    """A value that pickles, but whose unpickling fails."""

    def __reduce__(self):
        return (raise_kind, ("LookupError", "cannot arrive"))


def deep(levels):
    value = None
    for _ in range(levels):
        value = [value]
    return value


def deep_tuple(levels):
    value = ()
    for _ in range(levels - 1):
        value = (value,)
    return value


def chain(length):
    """Objects that refer to each other: not for the direct codec."""
    value = None
    for i in range(length):
        value = Record(i, value)
    return value


def zeros(size):
    """So many bytes, which cost no memory until somebody reads them."""
    return bytes(size)


def text_of(size):
    return "\u20ac" * size


def record_of(size):
    """An object whose pickle is large."""
    return Record(bytes(size), [])


def peak_memory():
    """What this process had at most, in bytes."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def resident_memory():
    """What this process has now, in bytes; memory that it shares with others in part."""
    with open("/proc/self/smaps_rollup") as rollup:
        return next(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Pss:"))


class Exporter(array.array):
    """Memory whose owner is told when nobody uses it."""

    def __new__(cls, size):
        return super().__new__(cls, "B", b"\7" * size)

    def is_free(self):
        try:
            self.append(0)
        except BufferError:
            return False
        self.pop()
        return True


def make_view(size, when_gone=None):
    """A view of new memory; its end is written to the file descriptor `when_gone`."""
    exporter = Exporter(size)
    if when_gone is not None:
        weakref.finalize(exporter, os.write, when_gone, b"gone").atexit = False
    return memoryview(exporter)


def make_buffer(data):
    return _covet_support().Buffer(data)


def _covet_support():
    return sys.modules["_covet_support"]


def released_view(_):
    view = memoryview(b"abc")
    view.release()
    return view


def write_to(view):
    view[0] = 1


def fail_with(view):
    """Raises an error that refers to the view, as its traceback does."""
    raise ValueError("carries", view)


KEPT = []


def keep(value):
    """Holds on to the value until the next one comes."""
    KEPT[:] = [value]


def sum_of_pages(table):
    """Reads one byte of each page."""
    return sum(memoryview(table)[::4096])


def depth(value):
    levels = 0
    while isinstance(value, list):
        levels += 1
        value = value[0] if value else None
    return levels


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def interpreter_id():
    """The number of the interpreter that this runs in."""
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            module = __import__(name)
        except ImportError:
            continue
        current = module.get_current()
        # 3.13 and later: a tuple that begins with it.
        return int(current[0] if isinstance(current, tuple) else current)
    raise AssertionError("this Python has no module about interpreters")


def place(seconds=0.0):
    """(interpreter, thread) that this runs in."""
    time.sleep(seconds)
    return interpreter_id(), threading.get_native_id()


def cores():
    """The cores that this thread may use."""
    import os

    return os.sched_getaffinity(0)


def endless():
    while True:
        pass


def thread_name():
    with open(f"/proc/self/task/{threading.get_native_id()}/comm") as file:
        return file.read().strip()


def loaded(name):
    return name in sys.modules


INITIALIZED = []


def initialize(*values):
    INITIALIZED.extend(values)


def initialized():
    return list(INITIALIZED)


def initialize_badly(message="no start"):
    raise RuntimeError(message)


def import_it(name):
    __import__(name)
    return sys.modules[name].__name__


def append_line(path, line):
    with open(path, "a") as file:
        file.write(f"{line}\n")


def append_and_nap(path, line):
    append_line(path, line)
    time.sleep(0.002)
    return line


def wait_for_file(path):
    """Keeps a worker busy until the file exists."""
    import os

    while not os.path.exists(path):
        time.sleep(0.005)
    return True


def start_then_wait(started, path):
    append_line(started, "x")
    return wait_for_file(path)


def nested(number):
    from covet_py import PoolExecutor

    with PoolExecutor(1) as inner:
        return inner.submit(add, number, 1).result(), inner.call(add, number, 2), list(inner.map(same, [number]))


def use_asyncio():
    import asyncio

    async def main():
        inside = await asyncio.to_thread(add, 1, 2)
        return inside + sum(await asyncio.gather(*(asyncio.sleep(0.001, i) for i in range(5))))

    return asyncio.run(main())


def use_thread_and_leave():
    """Starts a thread that outlives the task."""
    threading.Thread(target=time.sleep, args=(0.1,)).start()
    return True


Point = collections.namedtuple("Point", "x y")


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Bits(enum.IntFlag):
    A = 1
    B = 2


class Number(int):
    pass


class Text(str):
    __slots__ = ()


@dataclasses.dataclass
class Record:
    name: str
    items: list
    nested: object = None


@dataclasses.dataclass(frozen=True)
class Frozen:
    number: int


class Words:
    """Keeps its memory out of its pickle (PEP 574), as arrays do."""

    def __init__(self, memory):
        self.memory = memory

    def __eq__(self, other):
        return type(self.memory) is type(other.memory) and self.memory == other.memory

    def __reduce_ex__(self, protocol):
        return Words, (pickle.PickleBuffer(self.memory),)


class Pair(typing.NamedTuple):
    a: object
    b: object


class Level(enum.IntEnum):
    LOW = 1


class Table(dict):
    pass


class Row(list):
    pass


class Slotted:
    __slots__ = ("a",)

    def __init__(self, a):
        self.a = a

    def __eq__(self, other):
        return type(other) is Slotted and other.a == self.a

    __hash__ = None


class Adder:
    def __init__(self, n):
        self.n = n

    def __call__(self, x):
        return x + self.n

    def method(self, x):
        return self.n - x

    @classmethod
    def made(cls, n):
        return cls(n).n

    @staticmethod
    def double(x):
        return 2 * x


NOSY_POOL = None


def arrive_nosily():
    """Uses another future while a result is unpickled."""
    future = NOSY_POOL.submit(abs, -7)
    future.result()
    seen = []
    future.add_done_callback(lambda future: seen.append(future.result()))
    return seen[0]


class Nosy:
    def __reduce__(self):
        return (arrive_nosily, ())


def nosy():
    return Nosy()


def use_module(name, expression):
    """Imports a module by its dotted name and evaluates an expression about it."""
    return eval(expression, {name.partition(".")[0]: __import__(name)})


def say(text):
    """Writes a line at once, past every buffer."""
    import os

    os.write(1, f"{text}\n".encode())


def spin(seconds):
    """Computes for so long; an interrupt gets through between two bytecodes."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def slow_thread_name():
    """Too long to be run by the thread that waits for it."""
    time.sleep(0.01)
    return thread_name()


def action_of(number):
    """What `signal.getsignal` says here; with the identity of the answer."""
    import signal

    action = signal.getsignal(number)
    return action if action is None or isinstance(action, int) else repr(action), id(action)


def mortal_objects(modules):
    """The identities of all objects that modules lead to and that references are counted of. All of them stay alive."""
    import gc
    import types

    immortal = sys.getrefcount(None)
    for name in modules:
        __import__(name)
    seen = {}
    found = list(sys.modules.values())
    while found:
        one = found.pop()
        if id(one) not in seen:
            seen[id(one)] = sys.getrefcount(one) < immortal // 2
            # What the C code of a module keeps can be out of use already: `_asyncio` of 3.12 shows its free list.
            found.extend([vars(one)] if isinstance(one, types.ModuleType) else gc.get_referents(one))
    return [identity for identity, mortal in seen.items() if mortal]


def frames_seen():
    """The functions in which threads are, as `sys._current_frames` says, and how many exceptions are handled."""
    names = sorted(frame.f_code.co_name for frame in sys._current_frames().values())
    return names, sum(error is not None for error in sys._current_exceptions().values())


def frames_seen_beside_a_thread():
    """`frames_seen` while another thread of this interpreter handles an exception."""
    there, go_on = threading.Event(), threading.Event()

    def beside():
        try:
            raise KeyError("beside")
        except KeyError:
            there.set()
            go_on.wait()

    # Of others, in the main interpreter.
    waiting = frames_seen()[0].count("wait")
    thread = threading.Thread(target=beside)
    thread.start()
    there.wait()
    try:
        while (seen := frames_seen())[0].count("wait") <= waiting:
            pass
        return seen
    finally:
        go_on.set()
        thread.join()


def hold_the_gil(path):
    """Says so in the second byte of a file in memory, and computes in compiled code alone until the first is set."""
    import functools
    import mmap
    import operator

    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[1] = 1
        collections.deque(iter(functools.partial(operator.getitem, memory, 0), 1), 0)
    return "released"


def slow_owner():
    """Too long to be run by the thread that waits for it."""
    time.sleep(0.01)
    return threading.get_ident()


def note_owner(path):
    """Writes down the thread that is running, now and at the end of the interpreter."""
    import atexit

    def note(when):
        with open(path, "a") as file:
            file.write(f"{when} {threading.get_ident()} ")

    note("first")
    atexit.register(note, "last")


COUNTED = []


def count_up():
    COUNTED.append(None)
    return len(COUNTED)


def count_up_again(_):
    return count_up()


def identities(container):
    return [id(container), *map(id, container)]


def use_library(number):
    """An answer that a good part of the standard library has had a hand in."""
    import asyncio
    import datetime
    import decimal
    import hashlib
    import json
    import re
    import sqlite3
    import ssl

    async def wait():
        await asyncio.sleep(0)
        return number

    database = sqlite3.connect(":memory:")
    [row] = database.execute("select ? + 1", (number,))
    database.close()
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    day = datetime.date(2000, 1, 1) + datetime.timedelta(days=number % 10_000)
    ratio = decimal.Decimal(number) / 7
    text = json.dumps([asyncio.run(wait()), *row, str(day), str(ratio)])
    return hashlib.sha256(re.sub(r"\d", "x", text).encode() + text.encode()).hexdigest()


def daemon_that_loops():
    import threading
    import time

    def loop():
        while True:
            time.sleep(0.001)

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    return thread.daemon, thread.is_alive()


def use_thread_pool(numbers):
    from multiprocessing.pool import ThreadPool

    with ThreadPool(2) as pool:
        return pool.map(abs, numbers)


def use_timer():
    import threading

    called = threading.Event()
    timer = threading.Timer(0.001, called.set)
    timer.daemon = True
    timer.start()
    return called.wait(10)


def use_numpy(n):
    import numpy as np

    a = np.arange(n, dtype=np.float64)
    matrix = np.outer(a[:20], a[:20]) + np.eye(len(a[:20]))
    return (
        float(a.sum()),
        float(np.linalg.det(matrix)),
        np.sort(-a)[:3].tolist(),
        float(np.random.default_rng(1).normal(size=10).sum()),
        np.fft.fft(a[:8]).real.tolist(),
    )


def use_pandas(n):
    import pandas as pd

    frame = pd.DataFrame({"kind": ["a", "b", "c"] * n, "size": range(3 * n)})
    sums = frame.groupby("kind")["size"].agg(["sum", "mean"])
    return sums.to_dict(), frame.merge(sums, on="kind")["mean"].sum(), frame.to_json()[:50]


def use_pydantic(n):
    import pydantic

    class Point(pydantic.BaseModel):
        x: float
        names: list[str] = []

    points = pydantic.TypeAdapter(list[Point])
    found = points.validate_json(b"[" + b",".join([b'{"x": "1.5", "names": ["a"]}'] * n) + b"]")
    try:
        Point(x="no number")
    except pydantic.ValidationError as error:
        return points.dump_json(found)[:50], error.error_count()


USES = {"numpy": use_numpy, "pandas": use_pandas, "pydantic": use_pydantic}
"""By the package that they use."""


def use_for_long(package):
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        USES[package](50)


def use_forever(package):
    while True:
        USES[package](50)


def invert(matrix):
    import numpy as np

    return np.linalg.inv(matrix).tolist()


def images_of_covet_py():
    import covet_py

    return [path for path in covet_py._native.images() if path == covet_py._native.__file__]


def run_in_a_loop_there(count):
    import asyncio

    from covet_py import PoolExecutor

    async def main():
        return await asyncio.gather(*(inner.run(same, i) for i in range(count)))

    with PoolExecutor(1) as inner:
        return asyncio.run(main())


def stop_politely():
    try:
        while True:
            pass
    except KeyboardInterrupt:
        return "stopped"


def use_module_readline():
    import readline

    return readline.__name__


def use_module_missing():
    import no_such_module

    return no_such_module


def write_then_use_readline(path):
    append_line(path, "ran")
    import readline

    return readline.__name__


def interpreter_and_readline():
    import readline

    return interpreter_id(), readline.__name__


def interpreter_and_readline_of(_):
    import readline

    return interpreter_id(), readline.__name__


def process_and_readline():
    import readline

    return os.getpid() if readline else None


# A pool that tasks in the interpreter of the tests can reach.
REACHABLE = []


def submit_inside(number):
    return REACHABLE[0].submit(same, number).result()


def call_inside(number):
    return REACHABLE[0].call(same, number)


def call_inside_deeply(levels):
    return REACHABLE[0].call(call_inside_deeply, levels - 1) if levels else "deep"


class Unbounded:
    """Each part of it has such a part."""

    def __reduce__(self):
        return same, (Unbounded(),)


class EndlessOnArrival:
    """Never arrives."""

    def __reduce__(self):
        return endless, ()


def make_unbounded():
    return Unbounded()


def submit_inside_and_wait(seconds):
    return REACHABLE[0].submit(same, 1).result(timeout=seconds)


def build_response(number):
    from covet_py import NativeResponse

    return NativeResponse(200, {"A": "b"}, str(number)).to_bytes()


def make_request(data):
    from covet_py import NativeRequest

    return NativeRequest(data)


def read_request(request):
    from test_request import facts

    return [repr(fact) for fact in facts(request)], request


def json_of(request):
    return request.json()
