"""The rules that keep the process alive, each with a test of its name. The other files test them in breadth."""

import sys
import threading

import pytest
import tasks
from children import check, run
from covet_py import PoolExecutor
from exit_matrix import CASES
from test_fork import GIL_IS_OFF, program

own_gil = pytest.mark.skipif(sys.version_info < (3, 12), reason="interpreters have no GIL of their own before 3.12")


@pytest.fixture(scope="module")
def interpreters():
    """One interpreter with a GIL of its own."""
    with PoolExecutor(1, strategy="subinterpreters") as pool:
        yield pool


@own_gil
def test_rule_01_every_interpreter_has_a_gil_of_its_own(interpreters, tmp_path):
    # The task holds its GIL in compiled code until this thread, which needs one too, has written a byte.
    import mmap

    path = tmp_path / "shared"
    path.write_bytes(bytes(mmap.PAGESIZE))
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        future = interpreters.submit(tasks.hold_the_gil, str(path))
        while memory[1] == 0:
            pass
        memory[0] = 1
        assert future.result(timeout=30) == "released"


@own_gil
def test_rule_02_one_thread_makes_owns_and_ends_an_interpreter(tmp_path):
    path = str(tmp_path / "who")
    with PoolExecutor(1, strategy="subinterpreters", initializer=tasks.note_owner, initargs=(path,)) as pool:
        pool.call(abs, -1)
        [owner] = {pool.submit(tasks.slow_owner).result(timeout=30) for _ in range(5)}
        # It is no thread of this interpreter. Once it has ended, another may have its number.
        assert owner not in {thread.ident for thread in threading.enumerate()}
    # It ran what comes first and what comes last.
    with open(path) as file:
        assert file.read().split() == ["first", str(owner), "last", str(owner)]


def test_rule_03_a_parked_worker_keeps_no_gil(pool):
    # The thread that calls needs the GIL of an interpreter whose worker waits for tasks.
    for _ in range(50):
        assert pool.submit(abs, -1).result() == 1
        assert pool.call(abs, -2) == 2
    assert CASES["idle"].problem() is None


@own_gil
def test_rule_04_the_main_interpreter_loads_extensions_first():
    check(
        """
        import covet_py
        def use(name):
            try:
                __import__(name)
                return "loaded"
            except ImportError as error:
                return str(error)
        with covet_py.PoolExecutor(2, strategy="subinterpreters") as pool:
            print({pool.submit(use, "_json").result() for _ in range(8)})
            refusal = pool.submit(use, "_curses").result()
            print(refusal.startswith("module _curses cannot be loaded in an interpreter with a GIL of its own"))
        """,
        "{'loaded'}\nTrue\n",
    )


def test_rule_05_an_interpreter_lives_as_long_as_its_pool():
    with PoolExecutor(1) as pool:
        first = pool.submit(tasks.count_up).result()
        counts = list(pool.map(tasks.count_up_again, range(1000)))
    assert counts == list(range(first + 1, first + 1001))


@pytest.mark.parametrize("name", ["work is completed", "nested pool left open", "Ctrl-C during result, without a block"])
def test_rule_06_pools_end_before_their_interpreter(name):
    assert CASES[name].problem() is None


@pytest.mark.skipif(GIL_IS_OFF, reason="on free-threaded builds the child can crash or hang; forks are warned about there")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_rule_07_a_fork_is_harmless_and_its_child_is_told():
    outcome = run(program("running", "fork, full end"), options=("-W", "ignore::DeprecationWarning"))
    assert outcome.all == (0, "child\n0\nparent\n", ""), outcome


def test_rule_08_a_thread_is_attached_where_it_runs_and_comes_back(pool):
    here = []

    def work():
        for n in range(100):
            assert pool.call(tasks.same, n) == n
            here.append(sys.modules["tasks"] is tasks)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert here == [True] * 400


def test_rule_09_the_strategy_is_chosen_while_the_program_runs_and_explained():
    program = """
    import covet_py, sys
    with covet_py.PoolExecutor(1) as pool:
        gil = getattr(sys, "_is_gil_enabled", lambda: True)()
        print(pool.strategy != "free-threading" or not gil, len(pool.strategy_reason) > 10)
    """
    check(program, "True True\n")
    check(program, "True True\n", env={"PYTHON_GIL": "1"})


@own_gil
def test_rule_10_no_object_crosses(interpreters):
    modules = ["json", "re", "logging"]
    assert not set(interpreters.call(tasks.mortal_objects, modules)) & set(tasks.mortal_objects(modules))
    sent = [["inner"], {"key": "value"}]
    identities = {id(sent), *map(id, sent)}
    assert not identities & set(interpreters.call(tasks.identities, sent))


def test_rule_11_a_runaway_task_is_stopped_and_its_worker_goes_on():
    with PoolExecutor(1) as pool:
        for _ in range(3):
            future = pool.submit(tasks.spin, 600)
            while not future.running():
                pass
            pool._interrupt(None)
            assert type(future.exception(timeout=30)) is KeyboardInterrupt
            assert pool.submit(abs, -3).result(timeout=30) == 3


def test_rule_12_an_error_belongs_to_its_own_task(pool):
    futures = [pool.submit(tasks.fail_if_odd, n) for n in range(2000)]
    for n, future in enumerate(futures):
        if n % 2 == 0:
            assert future.result(timeout=30) == n
        else:
            error = future.exception(timeout=30)
            assert type(error).__name__ in (tasks.odd_kind(n), "RemoteError") and str(n) in str(error)
