"""What a pool answers to tasks that wait for themselves, values that never end, and floods."""

import asyncio
import pickle
import subprocess
import sys
import threading

import pytest
import tasks
from children import check

from covet_py import PoolExecutor


@pytest.fixture
def reachable():
    """Makes a pool of tasks that can reach it: they run in this interpreter."""

    def make(workers):
        pool = PoolExecutor(workers, strategy="main-only")
        tasks.REACHABLE.append(pool)
        return pool

    yield make
    tasks.REACHABLE.pop().shutdown()


@pytest.mark.parametrize("task", [tasks.submit_inside, tasks.call_inside])
def test_a_task_that_waits_for_its_own_pool(reachable, task):
    pool = reachable(2)
    assert [pool.submit(task, number).result() for number in range(20)] == list(range(20))


@pytest.mark.parametrize("task", [tasks.submit_inside, tasks.call_inside])
@pytest.mark.parametrize("workers", [1, 3])
def test_tasks_that_wait_for_each_other_are_told(reachable, task, workers):
    pool = reachable(workers)
    meet = threading.Barrier(workers)

    def together(number):
        # By reference: it runs in this very interpreter.
        meet.wait()
        return task(number)

    tasks.together = together
    together.__module__, together.__qualname__ = "tasks", "together"
    outcomes = [future.exception(timeout=30) for future in [pool.submit(together, n) for n in range(workers)]]
    assert any(isinstance(error, RuntimeError) and "deadlock" in str(error) for error in outcomes)
    assert all(error is None or "deadlock" in str(error) for error in outcomes)
    # The workers go on.
    assert [pool.submit(tasks.same, i).result() for i in range(50)] == list(range(50))


def test_calls_inside_calls_end_in_an_error_and_not_in_silence(reachable):
    pool = reachable(3)
    assert pool.submit(tasks.call_inside_deeply, 2).result() == "deep"
    # Run by this thread, which handles signals, and by a worker.
    for wait in (lambda future: future.result(), lambda future: future.result(timeout=30)):
        with pytest.raises(RuntimeError, match="deadlock"):
            wait(pool.submit(tasks.call_inside_deeply, 3))


def test_a_wait_inside_with_a_limit_is_no_deadlock(reachable):
    pool = reachable(1)
    with pytest.raises(TimeoutError, match="not done"):
        pool.submit(tasks.submit_inside_and_wait, 0.1).result()


def test_a_value_without_an_end_is_refused(pool):
    for send in (pool.call, lambda *arguments: pool.submit(*arguments).result()):
        with pytest.raises((pickle.PicklingError, RecursionError), match="deep"):
            send(tasks.same, tasks.Unbounded())
        with pytest.raises((pickle.PicklingError, RecursionError), match="deep"):
            send(tasks.make_unbounded)
        assert send(abs, -1) == 1


def test_an_argument_that_never_arrives_can_be_stopped():
    with PoolExecutor(1) as pool:
        future = pool.submit(tasks.same, tasks.EndlessOnArrival())
        with pytest.raises(TimeoutError):
            future.result(timeout=0.3)
        pool.interrupt(future)
        assert isinstance(future.exception(), KeyboardInterrupt)
        with pytest.raises(TimeoutError, match="its time limit"):
            pool.with_options(timeout=0.1).call(tasks.same, tasks.EndlessOnArrival())
        assert pool.submit(abs, -1).result() == 1
        assert pool.stats().lost == 0


def test_what_runs_in_an_event_loop_inside_a_task_of_its_pool(reachable):
    pool = reachable(2)

    async def main():
        return await pool.run(tasks.submit_inside, 5)

    assert asyncio.run(main()) == 5


@pytest.mark.hangs_after(170)
def test_a_million_pending_tasks_take_bounded_memory():
    done = subprocess.run(
        [sys.executable, "-c", FLOOD], capture_output=True, text=True, timeout=150, cwd=tasks.__file__.rpartition("/")[0]
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done


FLOOD = """
import resource, tasks, covet_py
from concurrent.futures import wait

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

with covet_py.PoolExecutor(1) as pool:
    pool.submit(tasks.same, 1).result()
    before = resident()
    # Nobody keeps the futures: at most so many tasks wait as the queue has places.
    for n in range(1_000_000):
        pool.submit(tasks.same, n)
        if n % 50_000 == 0:
            assert pool.stats().queued <= 16384
            assert resident() - before < 64 << 20, resident() - before
print("done")
"""


def test_interpreters_end_with_futures_pending():
    check(
        """
        import time, covet_py

        pool = covet_py.PoolExecutor(1)
        futures = [pool.submit(time.sleep, 0.01) for _ in range(20)]
        for future in futures:
            future.add_done_callback(lambda future: None)
        """
    )
