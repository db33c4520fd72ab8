"""Tasks that need a module which their worker cannot have run elsewhere, with the same result."""

import asyncio
import os

import pytest
import tasks
from children import run

from covet_py import PoolExecutor, RemoteTraceback

needs_readline = pytest.importorskip("needs_readline", reason="this Python has no readline")


def refuses():
    """Whether workers cannot have readline here."""
    with PoolExecutor(1, fallback="raise") as pool:
        return isinstance(pool.submit(tasks.use_module_readline).exception(), ImportError)


REFUSES = refuses()
only_refused = pytest.mark.skipif(not REFUSES, reason="workers of this strategy can have every module")


@pytest.fixture(params=["call", "submit", "map", "run"])
def send(request):
    return {
        "call": lambda pool, function, *arguments: pool.call(function, *arguments),
        "submit": lambda pool, function, *arguments: pool.submit(function, *arguments).result(),
        "map": lambda pool, function, *arguments: list(pool.map(function, *([argument] * 3 for argument in arguments)))[2],
        "run": lambda pool, function, *arguments: asyncio.run(pool.run(function, *arguments)),
    }[request.param]


@pytest.mark.parametrize("fallback", ["main", "process"])
def test_the_result_is_the_same(send, fallback):
    with PoolExecutor(2, fallback=fallback) as pool:
        for number in range(3):
            assert send(pool, needs_readline.version, number) == number
            assert send(pool, needs_readline.double, needs_readline.Value(number)) == needs_readline.Value(2 * number)
        assert send(pool, tasks.add, 1, 2) == 3
        # Where the first statement of a function imports it.
        assert pool.submit(tasks.use_module_readline).result() == "readline"
        with pytest.raises(KeyError, match="mine") as raised:
            pool.submit(needs_readline.fail).result()
        assert isinstance(raised.value.__cause__, RemoteTraceback)


@only_refused
def test_who_wants_the_error_gets_it(send):
    with PoolExecutor(2, fallback="raise") as pool:
        for _ in range(2):
            with pytest.raises(ImportError, match="readline cannot be loaded"):
                send(pool, needs_readline.version, 1)


@only_refused
def test_nothing_is_done_twice(tmp_path):
    log = tmp_path / "log"
    with PoolExecutor(1) as pool:
        with pytest.raises(ImportError, match="readline cannot be loaded"):
            pool.submit(tasks.write_then_use_readline, str(log)).result()
    assert log.read_text() == "ran\n"


@only_refused
def test_where_it_runs_and_what_is_logged(caplog):
    with PoolExecutor(2) as pool:
        assert pool.submit(tasks.interpreter_and_readline).result() == tasks.interpreter_and_readline()
        assert list(pool.map(tasks.interpreter_and_readline_of, range(20))) == [tasks.interpreter_and_readline()] * 20
        refused = pool.stats().refused_imports
        assert pool.submit(tasks.interpreter_and_readline).result() == tasks.interpreter_and_readline()
        # It was remembered: nothing was tried again.
        assert pool.stats().refused_imports == refused
    with PoolExecutor(2, fallback="process") as pool:
        assert pool.submit(tasks.process_and_readline).result() != os.getpid()
    lines = [record.getMessage() for record in caplog.records if record.name == "covet_py"]
    assert len(lines) == len(set(lines)) <= 4
    assert any("tasks.process_and_readline runs in other processes: module readline cannot" in line for line in lines)


@only_refused
def test_an_interruption_finds_it():
    with PoolExecutor(1) as pool:
        future = pool.submit(needs_readline.endless)
        with pytest.raises(TimeoutError):
            future.result(timeout=0.5)
        pool.interrupt(future)
        assert isinstance(future.exception(), KeyboardInterrupt)
        with pytest.raises(TimeoutError, match="time limit"):
            pool.with_options(timeout=0.1).call(needs_readline.endless)
        # The thread's own interpreter notices nothing of it.
        assert [pool.submit(tasks.same, i).result() for i in range(100)] == list(range(100))
        assert pool.stats().lost == 0


def test_a_script():
    outcome = run(
        """
        import readline
        import covet_py

        def work(n):
            return len(readline.__name__) + n

        if __name__ == "__main__":
            for fallback in ("main", "process"):
                with covet_py.PoolExecutor(2, fallback=fallback) as pool:
                    print(pool.call(work, 1), list(pool.map(work, range(3))), pool.submit(lambda: work(0)).result())
        """
    )
    assert outcome.all[:2] == (0, "9 [8, 9, 10] 8\n" * 2), outcome
    assert outcome.err.count("\n") <= 4


def test_what_it_may_be():
    with pytest.raises(ValueError, match="expected fallback to be .* found 'thread'"):
        PoolExecutor(1, fallback="thread")
