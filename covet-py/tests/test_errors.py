"""Errors belong to the task that made them, whole; the next task never notices."""

import pickle
import random
import sys
import threading
from concurrent.futures import BrokenExecutor
from pathlib import Path

import pytest
import tasks
from children import check, run

from covet_py import BrokenPool, PoolExecutor, RemoteError, RemoteTraceback


@pytest.fixture(params=["call", "submit", "map"])
def send(pool, request):
    return {
        "call": pool.call,
        "submit": lambda function, *arguments: pool.submit(function, *arguments).result(),
        "map": lambda function, *arguments: next(pool.map(tasks.apply, [(function, arguments)])),
    }[request.param]


def raised(function, *arguments, **keywords):
    """What a call raises, BaseExceptions included."""
    try:
        value = function(*arguments, **keywords)
    except BaseException as error:
        return error
    raise AssertionError(f"nothing raised, but returned {value!r}")


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("ValueError", ("text",)),
        ("ValueError", ()),
        ("KeyError", ("key",)),
        ("OSError", (2, "No such file", "name")),
        ("UnicodeDecodeError", ("utf-8", b"\xff", 0, 1, "why")),
        ("ImportError", ("no module",)),
        ("AssertionError", ([1, {"a": 2}],)),
        ("Custom", (1, "two")),
        ("MemoryError", ()),
        ("MemoryError", ("of my own",)),
        ("SystemExit", (3,)),
        ("SystemExit", ()),
        ("KeyboardInterrupt", ()),
        ("RecursionError", ("deep",)),
        ("GeneratorExit", ()),
        ("BaseException", ("base",)),
        ("TimeoutError", ("mine",)),
        ("RuntimeError", ("\ud800 \u20ac \0",)),
        ("Warning", ("w",)),
    ],
)
def test_type_arguments_and_attributes_survive(send, name, arguments):
    error = raised(send, tasks.raise_kind, name, *arguments)
    kind = getattr(tasks, name, None) or getattr(__import__("builtins"), name)
    model = kind(*arguments)
    assert type(error) is type(model)
    assert error.args == model.args
    assert str(error) == str(model)
    assert {k: v for k, v in vars(error).items()} == vars(model)
    assert send(abs, -1) == 1


def test_a_stop_iteration_survives(pool):
    # Not by map, where it would mean its end: see test_map.
    for send in (pool.call, lambda *arguments: pool.submit(*arguments).result()):
        error = raised(send, tasks.raise_kind, "StopIteration", 5)
        assert type(error) is StopIteration and error.value == 5


def test_a_real_lack_of_memory_is_a_memory_error(send):
    error = raised(send, bytearray, sys.maxsize // 2)
    assert type(error) is MemoryError
    assert send(abs, -1) == 1


def test_the_remote_traceback_is_the_cause(send):
    error = raised(send, tasks.raise_kind, "ValueError", "here")
    assert type(error.__cause__) is RemoteTraceback
    text = str(error.__cause__)
    assert "raise kind(*args)" in text and "tasks.py" in text and "in raise_kind" in text
    assert text.rstrip().rstrip('"').rstrip().endswith("ValueError: here")


def test_chained_exceptions_are_in_the_remote_traceback(send):
    error = raised(send, tasks.raise_chained)
    text = str(error.__cause__)
    assert text.index("KeyError: 'first'") < text.index("direct cause") < text.index("ValueError: second")


def test_notes_survive(send):
    error = ValueError("noted")
    error.add_note("a note")
    assert raised(send, tasks.raise_it, error).__notes__ == ["a note"]


def test_exception_groups_survive(send):
    group = ExceptionGroup("group", [ValueError(1), ExceptionGroup("inner", [KeyError("k")])])
    error = raised(send, tasks.raise_it, group)
    assert type(error) is ExceptionGroup and error.message == "group"
    assert [type(part) for part in error.exceptions] == [ValueError, ExceptionGroup]
    assert error.exceptions[1].exceptions[0].args == ("k",)


def test_an_exception_that_cannot_be_pickled(send):
    error = raised(send, tasks.raise_kind, "Unsendable", "text", 5)
    assert type(error) is RemoteError
    assert "tasks.Unsendable" in str(error) and "('text', 5)" in str(error)
    assert "raise kind(*args)" in str(error.__cause__)


def test_an_exception_that_cannot_be_unpickled(send):
    error = raised(send, tasks.raise_kind, "OneWay", 1, 2)
    assert type(error) is RemoteError
    assert "tasks.OneWay" in str(error) and "1 and 2" in str(error)


def test_an_exception_whose_text_cannot_be_made(send):
    error = raised(send, tasks.raise_kind, "HostileStr")
    assert type(error) in (tasks.HostileStr, RemoteError)
    assert isinstance(error.__cause__, RemoteTraceback)


@pytest.mark.parametrize("name", ["HostileReduce", "LyingReduce", "ExitingReduce"])
def test_an_exception_that_pickles_badly(send, name):
    error = raised(send, tasks.raise_kind, name)
    assert type(error) is RemoteError
    assert f"tasks.{name}" in str(error)
    assert send(abs, -1) == 1


def test_an_exception_of_a_type_made_in_the_task(send):
    def task():
        class Mine(Exception):
            pass

        raise Mine("local")

    error = raised(send, lambda _: task(), 0)
    assert type(error).__name__ == "Mine" or (type(error) is RemoteError and "Mine" in str(error))
    assert "local" in str(error)


def test_each_of_a_thousand_failures_is_its_own(own_pool):
    rng = random.Random(11)
    numbers = [rng.randrange(100_000) for _ in range(1000)]
    futures = [own_pool.submit(tasks.fail_if_odd, number) for number in numbers]
    for number, future in zip(numbers, futures):
        if number % 2 == 0:
            assert future.result() == number
            continue
        error = future.exception()
        expected = tasks.odd_kind(number)
        if expected == "Unsendable":
            assert type(error) is RemoteError and f"Unsendable: {number}" in str(error)
        else:
            assert type(error).__name__ == expected
            assert error.args == (number,)


def test_every_error_of_many_kinds_goes_to_its_own_task():
    # As a program, whose functions and types are of `__main__`; by hand: `python attribution.py 100000`.
    program = Path(__file__).with_name("attribution.py").read_text()
    outcome = run(program, 2000)
    assert (outcome.code, outcome.err) == (0, ""), outcome


def test_failures_by_call_leave_the_next_call_alone(pool):
    for number in range(200):
        if number % 2:
            expected = tasks.odd_kind(number)
            error = raised(pool.call, tasks.fail_if_odd, number)
            assert type(error).__name__ in (expected, "RemoteError")
            assert str(number) in str(error)
        else:
            assert pool.call(tasks.fail_if_odd, number) == number


@pytest.mark.parametrize("kind", ["lock", "file", "generator", "frame"])
def test_an_argument_that_cannot_be_sent(send, kind):
    value = tasks.make(kind)
    error = raised(send, tasks.same, value)
    assert isinstance(error, pickle.PicklingError)
    text = str(error)
    assert text.startswith("argument 0: ") and type(value).__qualname__ in text and "\n" not in text
    assert send(abs, -1) == 1


def test_the_argument_that_cannot_be_sent_is_named(pool):
    assert str(raised(pool.call, tasks.echo, 1, threading.Lock())).startswith("argument 1: ")
    assert str(raised(pool.call, tasks.echo, 1, key=threading.Lock())).startswith("argument 'key': ")
    assert str(pool.submit(tasks.echo, [threading.Lock()]).exception()).startswith("argument 0: ")


def test_what_cannot_be_sent_fails_the_future_and_not_submit(pool):
    future = pool.submit(tasks.same, threading.Lock())
    assert future.done() and not future.cancelled()
    assert isinstance(future.exception(), pickle.PicklingError)


@pytest.mark.parametrize("kind", ["lock", "file", "generator", "frame"])
def test_a_result_that_cannot_be_sent(send, kind):
    error = raised(send, tasks.make, kind)
    assert isinstance(error, pickle.PicklingError)
    assert type(tasks.make(kind)).__qualname__ in str(error) and "\n" not in str(error)
    assert send(abs, -1) == 1


def test_a_value_that_fails_on_arrival(send):
    # As an argument: fails in the worker; as a result: in the caller.
    for attempt in ((tasks.same, tasks.BadArrival()), (tasks.unload_on_arrival,)):
        error = raised(send, *attempt)
        assert type(error) is LookupError and "cannot arrive" in str(error)
    assert send(abs, -1) == 1


def test_a_module_is_sent_by_its_name_or_refused(pool):
    import math

    try:
        assert pool.call(tasks.same, math) is math
    except pickle.PicklingError as error:
        assert "module" in str(error)


REFUSING = ["readline", "_testcapi", "_testsinglephase"]


@pytest.mark.parametrize("name", REFUSING)
def test_a_module_that_cannot_be_loaded_there_is_an_import_error_that_says_what_to_do(pool, send, name):
    if pool.strategy != "subinterpreters":
        pytest.skip("tasks run in the main interpreter, which can load it")
    pytest.importorskip(name)
    for _ in range(2):
        try:
            assert send(tasks.import_it, name) == name
            # Newer versions of it fit: only that it works can be asked for.
            continue
        except ImportError as caught:
            error = caught
        assert name in str(error)
        assert "main-only" in str(error) and "ProcessPoolExecutor" in str(error)
    assert send(abs, -1) == 1


def broken_pools():
    yield PoolExecutor(2, initializer=tasks.initialize_badly, initargs=("no start today",)), "no start today"
    yield PoolExecutor(2, preload=["no_such_module"]), "no_such_module"


@pytest.mark.parametrize("case", [0, 1], ids=["initializer", "preload"])
def test_a_pool_whose_workers_cannot_start_is_broken(case):
    pool, why = list(broken_pools())[case]
    # Sooner or later: the workers start while this runs.
    for attempt in (
        lambda: pool.submit(abs, -1).result(),
        lambda: pool.submit(abs, -1).result(),
        lambda: pool.call(abs, -1),
        lambda: list(pool.map(abs, range(100))),
        lambda: pool.submit(abs, -1).exception(),
    ):
        error = raised(attempt)
        assert type(error) is BrokenPool and isinstance(error, BrokenExecutor)
        assert why in str(error)
    assert "broken" in repr(pool)
    pool.shutdown()
    assert type(raised(pool.submit, abs, -1)) is BrokenPool


def test_futures_of_a_pool_that_breaks_are_told():
    for _ in range(5):
        pool = PoolExecutor(1, initializer=tasks.initialize_badly)
        futures = []
        try:
            for _ in range(100):
                futures.append(pool.submit(abs, -1))
        except BrokenPool:
            pass
        assert all(type(future.exception(timeout=10)) is BrokenPool for future in futures)
        pool.shutdown()


def test_a_process_with_a_broken_pool_ends_well():
    check(
        """
        import covet_py, tasks
        pool = covet_py.PoolExecutor(2, initializer=tasks.initialize_badly)
        try:
            pool.submit(abs, -1).result()
        except covet_py.BrokenPool:
            print("broken")
        """,
        "broken\n",
    )


@pytest.mark.parametrize(
    "arguments, error, text",
    [
        ({"max_workers": 0}, ValueError, "max_workers"),
        ({"max_workers": -1}, ValueError, "max_workers"),
        ({"max_workers": 1000}, ValueError, "at most 256 workers, found 1000"),
        ({"max_workers": "x"}, TypeError, None),
        ({"max_workers": 1.5}, TypeError, None),
        ({"strategy": "threads"}, ValueError, "threads"),
        ({"strategy": ""}, ValueError, "strategy"),
        ({"queue_size": 0}, ValueError, "queue_size"),
        ({"queue_size": "x"}, TypeError, None),
        ({"initializer": 5}, TypeError, "initializer"),
        ({"initializer": abs, "initargs": 5}, TypeError, None),
        ({"preload": 5}, TypeError, None),
        ({"preload": "json"}, TypeError, "preload"),
    ],
    ids=str,
)
def test_options_that_make_no_sense(arguments, error, text):
    with pytest.raises(error, match=text):
        # Should one be accepted, the pool must not outlive the test.
        PoolExecutor(**{"max_workers": 1, **arguments}).shutdown()


def test_a_strategy_that_this_python_cannot_follow():
    free_threaded = not getattr(sys, "_is_gil_enabled", lambda: True)()
    if sys.version_info < (3, 12):
        with pytest.raises(ValueError, match="subinterpreters.*3.12"):
            PoolExecutor(1, strategy="subinterpreters")
    if not free_threaded:
        with pytest.raises(ValueError, match="free-threading.*free-threaded build"):
            PoolExecutor(1, strategy="free-threading")


def test_failed_tasks_leave_no_garbage_behind(pool):
    # The exception, its frames and the future die with the last reference.
    import gc
    import weakref

    gc.collect()
    gc.disable()
    try:
        for send in (pool.call, lambda *arguments: pool.submit(*arguments).result()):
            watched = weakref.ref(raised(send, tasks.raise_kind, "Custom", 1))
            assert watched() is None
    finally:
        gc.enable()
