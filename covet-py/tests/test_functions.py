"""Which functions can be sent, and what they are on the other side."""

import functools
import math
import operator
import os
import pickle
from pathlib import Path

import pytest
import tasks
from children import check, run

from covet_py import PoolExecutor


@pytest.mark.parametrize(
    "function, arguments, expected",
    [
        (math.sqrt, (4,), 2.0),
        (len, ([1, 2],), 2),
        (str.upper, ("a",), "A"),
        ("a b".split, (), ["a", "b"]),
        ([3, 1].index, (1,), 1),
        (dict.fromkeys, ("ab",), {"a": None, "b": None}),
        (operator.itemgetter(1), ([5, 6],), 6),
        (operator.attrgetter("real"), (5,), 5),
        (int, ("7",), 7),
        (complex, (1, 2), 1 + 2j),
        (tasks.Point, (1, 2), tasks.Point(1, 2)),
        (tasks.Record, ("n", []), tasks.Record("n", [])),
        (tasks.Color, (1,), tasks.Color.RED),
        (functools.partial(tasks.add, b=5), (1,), 6),
        (functools.partial(functools.partial(pow, 2), 3), (), 8),
        (tasks.Adder(3), (4,), 7),
        (tasks.Adder(3).method, (1,), 2),
        (tasks.Adder.made, (5,), 5),
        (tasks.Adder.double, (5,), 10),
        (tasks.Adder.method, (tasks.Adder(9), 1), 8),
        (os.path.join, ("a", "b"), "a/b"),
    ],
    ids=lambda value: getattr(value, "__qualname__", type(value).__name__),
)
def test_importable_callables(pool, function, arguments, expected):
    assert pool.call(function, *arguments) == expected
    assert pool.submit(function, *arguments).result() == expected
    assert list(pool.map(function, *([argument] for argument in arguments))) == ([expected] if arguments else [])


def test_a_lambda(pool):
    assert pool.call(lambda a: a + 1, 1) == 2
    assert list(pool.map(lambda a: a * a, range(10))) == [a * a for a in range(10)]


def test_a_closure_sees_the_values_of_now(pool):
    factor = 2

    def times(a):
        return a * factor

    assert pool.call(times, 5) == 10
    factor = 3
    assert pool.call(times, 5) == 15
    assert pool.submit(times, 5).result() == 15
    assert list(pool.map(times, [5])) == [15]


def test_a_function_made_here_with_defaults_and_annotations(pool):
    def function(a: int, *more, b=[1], **kw) -> list:
        """A docstring."""
        return [a, more, b, kw]

    assert pool.call(function, 1, 2, c=3) == [1, (2,), [1], {"c": 3}]
    assert pool.call(lambda: function.__doc__) == "A docstring."


def test_a_recursive_local_function(pool):
    def factorial(n):
        return 1 if n == 0 else n * factorial(n - 1)

    assert pool.call(factorial, 20) == math.factorial(20)


def test_a_local_class_and_its_instances(pool):
    class Local:
        def __init__(self, n):
            self.n = n

        def __call__(self, a):
            return self.n + a

        def method(self, a):
            return self.n * a

    assert pool.call(Local(2), 3) == 5
    assert pool.call(Local(2).method, 3) == 6
    back = pool.call(tasks.same, Local(7))
    assert type(back) is Local and back.n == 7
    made = pool.call(Local, 4)
    assert type(made) is Local and made.n == 4


def test_a_generator_function_inside_a_function(pool):
    assert pool.call(lambda n: list((lambda: (yield from range(n)))()), 3) == [0, 1, 2]


def test_a_callable_object_arrives_as_it_was_sent_each_time(pool):
    # By value: what one task does to its copy of the callable must not be seen by the next.
    class Counter:
        count = 0

        def __call__(self):
            self.count += 1
            return self.count

    counter = Counter()
    assert [pool.call(counter) for _ in range(5)] == [1] * 5
    assert [pool.submit(counter).result() for _ in range(5)] == [1] * 5
    assert counter.count == 0


def test_a_wrapped_function(pool):
    @functools.wraps(tasks.add)
    def wrapper(*args):
        return tasks.add(*args) + 100

    # It looks like tasks.add by name, and is not.
    assert pool.call(wrapper, 1, 2) == 103


def test_a_module_function_that_was_replaced_is_sent_as_it_is(pool, monkeypatch):
    original = tasks.add
    monkeypatch.setattr(tasks, "add", lambda a, b: "patched")
    assert pool.call(original, 1, 2) == 3


def test_functions_as_arguments_and_results(pool):
    assert pool.call(tasks.same, math.sqrt) is math.sqrt
    assert pool.call(lambda function: function(3), lambda a: a + 1) == 4
    assert pool.call(lambda: lambda a: a + 2)(1) == 3


def test_many_different_functions(pool):
    for i in range(1500):
        assert pool.call(eval(f"lambda: {i}")) == i


@pytest.mark.parametrize("stdin", [False, True], ids=["file", "standard input"])
def test_every_kind_in_a_script_without_a_guard(stdin):
    check((Path(__file__).parent / "kinds.py").read_text(), "", stdin=stdin)


def test_a_script_without_a_guard():
    check(
        """
        import covet_py

        FACTOR = 2

        def times(a):
            return a * FACTOR

        pool = covet_py.PoolExecutor(2)
        print(pool.call(times, 4), pool.submit(times, 5).result(), list(pool.map(times, range(4))))
        FACTOR = 10
        print(pool.call(times, 4), pool.submit(times, 5).result(), list(pool.map(times, range(4))))
        pool.shutdown()
        """,
        "8 10 [0, 2, 4, 6]\n40 50 [0, 10, 20, 30]\n",
    )


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        ("generator", "'generator' cannot be sent .* have the task return a list of what it yields"),
        ("coroutine", "'coroutine' cannot be sent .* have the task run it to its end"),
        ("asynchronous generator", "'async_generator' cannot be sent .* and return a list"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_a_function_returns_that_only_begins(pool, kind, advice):
    async def coroutine(): ...

    async def asynchronous_generator():
        yield

    def generator():
        yield

    function = {"coroutine": coroutine, "generator": generator}.get(kind, asynchronous_generator)
    for future in (pool.submit(function), pool.submit(function)):
        with pytest.raises(pickle.PicklingError, match=advice):
            future.result()
    with pytest.raises(pickle.PicklingError, match=advice):
        pool.call(function)


def test_a_script_from_standard_input():
    check(
        """
        import covet_py

        def outer(a):
            return inner(a) + 1

        def inner(a):
            return 2 * a

        with covet_py.PoolExecutor(2) as pool:
            print(pool.call(outer, 4), pool.submit(outer, 5).result(), list(pool.map(outer, range(3))))
        """,
        "9 11 [1, 3, 5]\n",
        stdin=True,
    )


def test_a_program_given_on_the_command_line():
    outcome = run("", options=("-c", "import covet_py; p = covet_py.PoolExecutor(1); print(p.call(lambda: 3))"))
    assert outcome.all == (0, "3\n", "")


def test_classes_of_main_keep_their_identity():
    check(
        """
        import covet_py, dataclasses, enum, collections

        @dataclasses.dataclass
        class Record:
            a: int
            color: object

        class Color(enum.Enum):
            RED = 1

        Pair = collections.namedtuple("Pair", "x y")

        class Failure(Exception):
            pass

        def work(record):
            assert record.color is Color.RED, record.color
            assert type(record) is Record
            if record.a < 0:
                raise Failure(record.a)
            return Pair(Record(record.a + 1, Color.RED), [record])

        with covet_py.PoolExecutor(2) as pool:
            for send in (pool.call, lambda *a: pool.submit(*a).result(), lambda f, a: next(pool.map(f, [a]))):
                for _ in range(3):
                    back = send(work, Record(1, Color.RED))
                    assert type(back) is Pair, type(back)
                    assert type(back.x) is Record and back.x == Record(2, Color.RED), back
                    assert back.x.color is Color.RED
                try:
                    send(work, Record(-1, Color.RED))
                except Failure as error:
                    assert error.args == (-1,)
            print("right")
        """,
        "right\n",
    )


WITHOUT_CLOUDPICKLE = """
import sys
sys.modules["cloudpickle"] = None
import covet_py
"""


def test_without_cloudpickle_the_error_says_what_to_install():
    check(
        WITHOUT_CLOUDPICKLE
        + """
import math, pickle
def local(): return 1
with covet_py.PoolExecutor(1) as pool:
    assert pool.call(math.sqrt, 4) == 2
    for attempt in (
        lambda: pool.call(local),
        lambda: pool.submit(local).result(),
        lambda: list(pool.map(local, [1])),
        lambda: pool.call(lambda: 1),
        lambda: pool.call(len, [local]),
    ):
        try:
            attempt()
        except pickle.PicklingError as error:
            assert "install" in str(error) and "cloudpickle" in str(error), error
        else:
            raise AssertionError("sent")
    assert pool.call(math.sqrt, 4) == 2
""",
    )


def test_without_cloudpickle_a_mere_mention_of_main_is_no_obstacle():
    # The text "__main__" inside a value that goes by pickle says nothing about where its class lives.
    check(
        WITHOUT_CLOUDPICKLE
        + """
with covet_py.PoolExecutor(1) as pool:
    print(pool.call(len, {"__main__"}), pool.call(len, b"__main__"), pool.call(len, bytearray(b"__main__")))
""",
        "1 8 8\n",
    )


def test_workers_take_over_the_import_path(tmp_path):
    (tmp_path / "only_here.py").write_text("def f():\n    return 'found'\n")
    outcome = run(
        f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        import covet_py, only_here
        with covet_py.PoolExecutor(1) as pool:
            print(pool.call(only_here.f), pool.call(lambda: __import__("sys").argv[1:]))
        """,
        "an argument",
    )
    assert outcome.all == (0, "found ['an argument']\n", "")


def test_a_function_of_a_module_that_exists_here_only(pool):
    import sys
    import types

    module = types.ModuleType("made_here")
    exec("def f(a):\n    return a + 1", module.__dict__)
    sys.modules["made_here"] = module
    try:
        if pool.strategy == "subinterpreters":
            for _ in range(2):
                with pytest.raises(ModuleNotFoundError, match="made_here"):
                    pool.submit(module.f, 1).result()
        else:
            assert pool.call(module.f, 1) == 2
    finally:
        del sys.modules["made_here"]


def test_a_reference_that_does_not_resolve_is_the_tasks_error(tmp_path):
    import sys

    (tmp_path / "fleeting.py").write_text("def f():\n    return 1\n")
    with PoolExecutor(1) as pool:
        # The worker has taken over the path before this.
        assert pool.call(abs, -1) == 1
        sys.path.insert(0, str(tmp_path))
        try:
            import fleeting
        finally:
            sys.path.remove(str(tmp_path))
        if pool.strategy != "subinterpreters":
            pytest.skip("tasks run in the interpreter that has the module")
        for _ in range(2):
            with pytest.raises(ModuleNotFoundError, match="fleeting"):
                pool.submit(fleeting.f).result()
        assert pool.call(abs, -1) == 1
