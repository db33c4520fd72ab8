"""Where tasks run, and what pools leave behind."""

import gc
import itertools
import os
import signal
import sys
import sysconfig
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import tasks
from children import check, run

from covet_py import PoolExecutor

OWN_GIL = sys.version_info >= (3, 12)
FREE_THREADED_BUILD = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
GIL_IS_OFF = not getattr(sys, "_is_gil_enabled", lambda: True)()
STRATEGIES = ["main-only"] + ["subinterpreters"] * OWN_GIL + ["free-threading"] * GIL_IS_OFF


def places(pool, count=12):
    """The (interpreter, thread) of tasks that were queued together."""
    return {future.result() for future in [pool.submit(tasks.place, 0.02) for _ in range(count)]}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_strategy_that_is_possible_here_works(strategy):
    with PoolExecutor(2, strategy=strategy) as pool:
        assert pool.strategy == strategy
        assert pool.strategy_reason == "asked for"
        assert pool.call(tasks.add, 1, 2) == 3
        assert pool.submit(tasks.add, 1, 2).result() == 3
        assert list(pool.map(tasks.same, range(100))) == list(range(100))
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(lambda i: pool.call(tasks.add, i, 1), range(100))) == list(range(1, 101))
        with pytest.raises(KeyError):
            pool.call(tasks.raise_kind, "KeyError", 1)
        found = places(pool)
        main = tasks.interpreter_id() if OWN_GIL else 0
        if strategy == "subinterpreters":
            assert len({interpreter for interpreter, _ in found}) == 2
            assert main not in {interpreter for interpreter, _ in found}
        elif OWN_GIL:
            assert {interpreter for interpreter, _ in found} == {main}
        # A waiting thread may help, so there are at least the two workers'.
        assert len({thread for _, thread in found}) >= 2


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_arguments_are_copies_whatever_the_strategy(strategy):
    with PoolExecutor(1, strategy=strategy) as pool:
        value = [1]
        assert pool.call(tasks.same, value) == value
        assert pool.call(tasks.same, value) is not value
        # Not seen by the caller, even in the same interpreter.
        pool.call(list.append, value, 2)
        pool.submit(list.append, value, 2).result()
        list(pool.map(list.append, [value], [2]))
        assert value == [1]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_environment_can_choose_the_strategy(strategy):
    source = "import covet_py; pool = covet_py.PoolExecutor(1); print(pool.strategy, pool.call(abs, -1))"
    check(source, f"{strategy} 1\n", env={"COVET_STRATEGY": strategy})
    # What the program says goes first.
    check(source.replace("(1)", "(1, strategy='main-only')"), "main-only 1\n", env={"COVET_STRATEGY": strategy})


def test_a_strategy_from_the_environment_that_makes_no_sense():
    outcome = run("import covet_py; covet_py.PoolExecutor(1)", env={"COVET_STRATEGY": "fast"})
    assert outcome.code == 1 and "ValueError" in outcome.err and "'fast'" in outcome.err.replace('"', "'")


def test_the_default_strategy_and_its_reason(pool):
    assert pool.strategy in STRATEGIES
    assert pool.strategy != "main-only" or not OWN_GIL
    assert "Python 3." in pool.strategy_reason


def test_the_default_number_of_workers_is_what_this_process_may_use():
    with PoolExecutor() as pool:
        assert f"max_workers={len(os.sched_getaffinity(0))} " in repr(pool)


@pytest.mark.skipif(not OWN_GIL, reason="3.11 has one interpreter here")
def test_globals_of_modules_are_each_interpreters_own(pool):
    counts = [pool.submit(tasks.count_up).result() for _ in range(20)]
    assert tasks.COUNTED == []
    # Two counters, each going up by one.
    assert max(counts) < 20 or len(set(counts)) == 20
    assert pool.strategy != "subinterpreters" or sorted(counts)[:1] == [1]


@pytest.mark.skipif(not OWN_GIL, reason="3.11 cannot import covet_py in another interpreter with a GIL of its own")
def test_a_task_may_use_a_pool_of_its_own(own_pool):
    for send in (own_pool.call, lambda *arguments: own_pool.submit(*arguments).result()):
        for number in (1, 10):
            assert send(tasks.nested, number) == (number + 1, number + 2, [number])
    # Its end did not touch the pool that it ran in.
    assert own_pool.submit(abs, -1).result() == 1


@pytest.fixture
def two_interpreters():
    if not OWN_GIL:
        pytest.skip("3.11 has one interpreter here")
    with PoolExecutor(2, strategy="subinterpreters") as pool:
        yield pool


def test_no_object_whose_references_are_counted_is_shared(two_interpreters):
    # Two threads would count at once, each with a lock of its own.
    modules = ["json", "ssl", "hashlib", "asyncio", "sqlite3", "re", "logging", "concurrent.futures"]
    of_worker = set(two_interpreters.call(tasks.mortal_objects, modules))
    of_main = set(tasks.mortal_objects(modules))
    assert len(of_worker) > 1000 and len(of_main) > 1000
    assert not of_worker & of_main


def test_a_task_sees_the_frames_of_its_own_interpreter(two_interpreters):
    assert two_interpreters.call(tasks.frames_seen) == (["frames_seen"], 0)
    if not FREE_THREADED_BUILD:  # where only the calling thread can be shown
        assert two_interpreters.call(tasks.frames_seen_beside_a_thread) == (["frames_seen", "wait"], 1)
        names, _ = tasks.frames_seen_beside_a_thread()
        assert {"frames_seen", "wait"} <= set(names)


@pytest.mark.skipif(not OWN_GIL, reason="3.11 has one interpreter here")
def test_frames_can_be_listed_while_other_interpreters_run():
    # From the making of the interpreters to their end, which is when most was seen to break.
    listing, ended = sys._current_frames, threading.Event()

    def work():
        for _ in range(3):
            with PoolExecutor(2, strategy="subinterpreters") as pool:
                futures = [pool.submit(tasks.fib, 18) for _ in range(20)]
                assert {future.result() for future in futures} == {2584}
        ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not ended.is_set():
        threads = {thread.ident for thread in threading.enumerate()}
        assert {threading.get_ident()} <= set(listing()) <= threads
        assert threading.get_ident() in sys._current_exceptions()
    thread.join()


def test_signal_handlers_of_the_program_stay_in_the_main_interpreter(two_interpreters):
    before = signal.getsignal(signal.SIGUSR1)
    try:
        for action in (signal.SIG_DFL, signal.SIG_IGN, print):
            signal.signal(signal.SIGUSR1, action)
            seen, identity = two_interpreters.call(tasks.action_of, signal.SIGUSR1)
            assert seen == (None if action is print else action)
            assert identity != id(action) or action is not print
        for number in (0, -1, signal.NSIG, 2**40, 2**80, "1"):
            with pytest.raises((ValueError, OverflowError, TypeError)):
                signal.getsignal(number)
            with pytest.raises((ValueError, OverflowError, TypeError)):
                two_interpreters.call(tasks.action_of, number)
        with pytest.raises(ValueError, match="main"):
            two_interpreters.call(signal.signal, signal.SIGUSR1, signal.SIG_DFL)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_the_initializer_runs_once_in_every_worker(tmp_path):
    log = tmp_path / "log"
    with PoolExecutor(3, initializer=tasks.append_line, initargs=(str(log), "started")) as pool:
        assert pool.call(abs, -1) == 1
        pool.map(tasks.nap, [0.01] * 20)
    assert log.read_text().split() == ["started"] * 3


def test_what_the_initializer_left_is_visible_to_tasks():
    tasks.INITIALIZED.clear()
    try:
        with PoolExecutor(1, initializer=tasks.initialize, initargs=("a", [2])) as pool:
            assert pool.call(tasks.initialized) == ["a", [2]]
            assert pool.submit(tasks.initialized).result() == ["a", [2]]
    finally:
        tasks.INITIALIZED.clear()


def test_an_initializer_by_value():
    import builtins

    def mark(value):
        import builtins

        builtins.covet_mark = value

    try:
        with PoolExecutor(1, initializer=mark, initargs=(5,)) as pool:
            assert pool.call(eval, "covet_mark") == 5
    finally:
        vars(builtins).pop("covet_mark", None)


def test_workers_have_names():
    with PoolExecutor(2, thread_name_prefix="named") as pool:
        # From a thread that handles signals and is never lent: workers run these.
        names = {pool.submit(tasks.slow_thread_name).result(timeout=10) for _ in range(8)}
    assert names <= {"named-0", "named-1"}, names


def test_asyncio_works_in_tasks(pool):
    for send in (pool.call, lambda function: pool.submit(function).result()):
        assert send(tasks.use_asyncio) == 13


def test_threads_that_come_and_go_leave_nothing_behind():
    with PoolExecutor(2) as pool:
        wrong = []

        def work(number):
            for i in range(3):
                if pool.call(tasks.add, number, i) != number + i:
                    wrong.append(number)

        for round in range(50):
            threads = [threading.Thread(target=work, args=(round * 8 + i,)) for i in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert wrong == []
        assert pool.call(abs, -1) == 1
    assert threading.active_count() < 10


@pytest.mark.parametrize("send", ["call", "submit", "map", "failing"])
def test_arguments_are_not_leaked(pool, send):
    text, items = "".join(["not ", "interned"]), ["x"]
    run = {
        "call": lambda: pool.call(tasks.echo, text, items, key=items),
        "submit": lambda: pool.submit(tasks.echo, text, items, key=items).result(),
        "map": lambda: list(pool.map(tasks.pair, [text], [items])),
        # The second cannot be sent.
        "failing": lambda: pool.submit(tasks.pair, text, items, threading.Lock()).exception(),
    }[send]
    run()
    gc.collect()
    before = sys.getrefcount(text), sys.getrefcount(items)
    for _ in range(1000 if send != "failing" else 200):
        run()
    gc.collect()
    assert (sys.getrefcount(text), sys.getrefcount(items)) == before


def test_nothing_is_left_in_the_garbage(pool):
    def round():
        pool.call(tasks.echo, [1], {"a": {1}})
        list(pool.map(tasks.same, range(10)))
        future = pool.submit(tasks.raise_kind, "Custom", 1)
        future.add_done_callback(lambda _: None)
        assert future.exception() is not None
        del future

    def settled():
        gc.collect()
        return len(gc.get_objects())

    for _ in range(20):
        round()
    time.sleep(0.1)
    before = settled()
    for _ in range(100):
        round()
    time.sleep(0.1)
    # One object a round would be 100.
    assert settled() - before < 50


def test_functions_by_value_do_not_pile_up():
    # Each has its own text, so none is the same as one before; what is kept of them must be bounded.
    check(
        """
        import covet_py
        def resident():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * 4
        ballast = "x" * 200_000
        with covet_py.PoolExecutor(1) as pool:
            def send(i):
                blob = f"{i}{ballast}"
                assert pool.call(lambda: len(blob)) > 200_000
            for i in range(20):
                send(i)
            before = resident()
            for i in range(20, 520):
                send(i)
            grown = resident() - before
        # 500 functions of 200 kB: 100 MB and more if all were kept.
        print("bounded" if grown < 60_000 else f"grew by {grown} kB")
        """,
        "bounded\n",
    )


def test_many_pools_come_and_go():
    # Before 3.14 CPython itself loses 2 to 4 MB with each interpreter, so there only the crashes count.
    check(
        """
        import covet_py, sys
        def resident():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * 4
        sizes = []
        for life in range(30):
            with covet_py.PoolExecutor(1) as pool:
                assert pool.call(abs, -1) == 1
                assert pool.submit(abs, -1).result() == 1
            sizes.append(resident())
        slope = (sizes[-1] - sizes[9]) / 20
        limit = 1024 if sys.version_info >= (3, 14) or sys.version_info < (3, 12) else 8192
        print("fine" if slope < limit else f"{slope} kB a life")
        """,
        "fine\n",
    )


def test_many_pools_at_once():
    pools = [PoolExecutor(1) for _ in range(8)]
    try:
        assert [pool.submit(tasks.add, i, 1).result() for i, pool in enumerate(pools)] == list(range(1, 9))
        assert [pool.call(tasks.add, i, 1) for i, pool in enumerate(pools)] == list(range(1, 9))
    finally:
        for pool in pools:
            pool.shutdown(wait=False)
        for pool in pools:
            pool.shutdown()


def test_more_workers_than_cores():
    with PoolExecutor(12) as pool:
        assert list(pool.map(tasks.same, range(500))) == list(range(500))


def test_a_subclass_of_the_executor():
    class Mine(PoolExecutor):
        def __init__(self):
            super().__init__(1)
            self.note = "kept"

        def submit(self, fn, /, *args, **kwargs):
            return super().submit(fn, *args, **kwargs)

    with Mine() as pool:
        assert pool.note == "kept" and pool.submit(abs, -1).result() == 1 and pool.call(abs, -2) == 2
    assert repr(pool).startswith("<Mine ")


def test_a_pool_cannot_be_sent_or_started_twice(pool):
    with pytest.raises(Exception):
        pool.call(tasks.same, pool)
    with pytest.raises(RuntimeError, match="started before"):
        pool.__init__(1)
    assert pool.call(abs, -1) == 1


def test_endless_use_from_many_sides(own_pool):
    # Everything at once for a moment: calls, tasks, maps, callbacks, failures, threads that come and go.
    stop = time.monotonic() + 1.0
    wrong = []

    def side(kind, number):
        for i in itertools.count():
            if time.monotonic() > stop:
                return
            value = number * 10**6 + i
            if kind == 0:
                got = own_pool.call(tasks.same, value)
            elif kind == 1:
                got = own_pool.submit(tasks.same, value).result()
            elif kind == 2:
                [got] = own_pool.map(tasks.same, [value])
            else:
                got = own_pool.submit(tasks.raise_it, Custom(value)).exception().args[0]
            if got != value:
                wrong.append((kind, value, got))

    Custom = tasks.Custom
    threads = [threading.Thread(target=side, args=(n % 4, n)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_package_itself_is_one_for_all_interpreters(pool):
    # Its images would not know each other's pools.
    assert pool.submit(tasks.images_of_covet_py).result() == []
