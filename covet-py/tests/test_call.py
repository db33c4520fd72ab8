"""`PoolExecutor.call`: a function in an idle interpreter, on the calling thread."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import tasks
from children import check

from covet_py import PoolExecutor


def test_returns_what_the_function_returns(pool):
    assert pool.call(pow, 2, 10) == 1024
    assert pool.call(tasks.add, 1, b=2) == 3
    assert pool.call(tasks.same, None) is None


def test_raises_what_the_function_raises(pool):
    with pytest.raises(ZeroDivisionError, match="division"):
        pool.call(divmod, 1, 0)
    assert pool.call(abs, -1) == 1


@pytest.mark.parametrize("arguments", [(), (1,), (None, 2)])
def test_refuses_what_is_no_function(pool, arguments):
    with pytest.raises(TypeError):
        pool.call(*arguments)
    assert pool.call(abs, -1) == 1


def test_refuses_a_function_given_by_keyword(pool):
    with pytest.raises(TypeError, match="positional"):
        pool.call(fn=abs)


def test_wrong_arguments_are_the_functions_error(pool):
    with pytest.raises(TypeError, match="add"):
        pool.call(tasks.add)


def test_other_threads_run_meanwhile(pool):
    beats = []
    stop = threading.Event()

    def beat():
        while not stop.is_set():
            beats.append(time.monotonic())
            time.sleep(0.01)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        before = len(beats)
        pool.call(tasks.nap, 0.3)
        assert len(beats) - before >= 5
    finally:
        stop.set()
        thread.join()


def test_two_threads_call_at_the_same_time(pool):
    # Both naps lie in the same 0.4 s only if they ran side by side; the cores may be busy, so not tighter.
    began = time.monotonic()
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(lambda i: pool.call(tasks.nap, 0.4, i), range(2))) == [0, 1]
    assert time.monotonic() - began < 0.75


def test_results_go_to_the_thread_that_called(pool):
    wrong = []

    def work(number):
        for i in range(200):
            if pool.call(tasks.add, number * 1000, i) != number * 1000 + i:
                wrong.append((number, i))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_more_threads_than_interpreters_wait_their_turn():
    with PoolExecutor(1) as pool, ThreadPoolExecutor(6) as threads:
        assert sorted(threads.map(lambda i: pool.call(tasks.nap, 0.02, i), range(12))) == list(range(12))


def test_call_while_every_worker_is_busy_waits(tmp_path):
    with PoolExecutor(1) as pool:
        busy = pool.submit(tasks.wait_for_file, str(tmp_path / "go"))
        opener = threading.Timer(0.2, (tmp_path / "go").touch)
        opener.start()
        assert pool.call(abs, -5) == 5
        assert busy.result() is True


def test_call_from_a_thread_with_a_small_stack(pool):
    before = threading.stack_size(256 * 1024)
    try:
        with ThreadPoolExecutor(1) as threads:
            assert threads.submit(pool.call, tasks.add, 1, 2).result() == 3
            assert threads.submit(pool.call, tasks.deep, 50).result() == tasks.deep(50)
    finally:
        threading.stack_size(before)


@pytest.mark.parametrize("from_thread", [False, True])
def test_runaway_recursion_is_an_error(pool, from_thread):
    for task in (tasks.recurse, tasks.recurse_in_c):
        for _ in range(3):
            with pytest.raises(RecursionError):
                if from_thread:
                    with ThreadPoolExecutor(1) as threads:
                        threads.submit(pool.call, task).result()
                else:
                    pool.call(task)
    assert pool.call(abs, -1) == 1


def test_a_call_deep_in_the_callers_stack(pool):
    # The thread has used most of its recursion limit; the interpreter counts its own.
    def descend(levels):
        return descend(levels - 1) if levels else pool.call(tasks.add, 1, 2)

    assert descend(sys.getrecursionlimit() // 2) == 3


def test_a_function_that_gets_slower_is_still_right(pool):
    # Brief calls run on the calling thread; long ones on a worker.
    for _ in range(20):
        assert pool.call(tasks.nap, 0.0, 1) == 1
    assert pool.call(tasks.nap, 0.1, 2) == 2
    assert pool.call(tasks.nap, 0.0, 3) == 3


def test_after_shutdown():
    pool = PoolExecutor(2)
    assert pool.call(abs, -1) == 1
    pool.shutdown()
    with pytest.raises(RuntimeError, match="shutdown"):
        pool.call(abs, -1)
    with ThreadPoolExecutor(1) as threads, pytest.raises(RuntimeError, match="shutdown"):
        threads.submit(pool.call, abs, -1).result()


def test_a_pool_whose_constructor_did_not_run():
    pool = PoolExecutor.__new__(PoolExecutor)
    with pytest.raises(RuntimeError, match="never started"):
        pool.call(abs, -1)


def test_standard_library_of_a_task_can_print(tmp_path):
    # The task's standard output is another object over the same file; what it wrote must not get lost.
    check(
        """
        import covet_py
        with covet_py.PoolExecutor(1) as pool:
            pool.call(print, "from a task")
            pool.submit(print, "from another").result()
        """,
        "from a task\nfrom another\n",
    )
