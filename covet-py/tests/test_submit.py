"""`PoolExecutor.submit`: tasks through the queue."""

import random
import threading
import time
from concurrent.futures import Executor, Future as StandardFuture, ThreadPoolExecutor

import pytest
import tasks

from covet_py import Future, PoolExecutor


def test_it_is_an_executor_with_futures_of_the_standard_kind(pool):
    assert isinstance(pool, Executor)
    future = pool.submit(pow, 2, 3)
    assert isinstance(future, Future) and isinstance(future, StandardFuture)
    assert future.result() == 8


def test_arguments_reach_the_function(pool):
    assert pool.submit(tasks.echo, 1, [2], c=3).result() == ((1, [2]), {"c": 3})


def test_every_task_gets_its_own_result(pool):
    futures = [pool.submit(tasks.add, i, i) for i in range(5000)]
    assert [future.result() for future in futures] == [2 * i for i in range(5000)]


def test_results_taken_in_another_order(pool):
    futures = [pool.submit(tasks.same, i) for i in range(500)]
    order = list(range(500))
    random.Random(3).shuffle(order)
    assert all(futures[i].result() == i for i in order)


def test_one_worker_begins_tasks_in_order(tmp_path):
    log = tmp_path / "log"
    with PoolExecutor(1) as pool:
        for i in range(50):
            pool.submit(tasks.append_line, str(log), i)
    assert log.read_text().split() == [str(i) for i in range(50)]


def test_two_workers_work_at_the_same_time(pool):
    began = time.monotonic()
    futures = [pool.submit(tasks.nap, 0.4, i) for i in range(2)]
    assert [future.result() for future in futures] == [0, 1]
    assert time.monotonic() - began < 0.75


def test_a_short_task_does_not_wait_for_a_long_one(pool, tmp_path):
    long = pool.submit(tasks.wait_for_file, str(tmp_path / "go"))
    assert [pool.submit(tasks.same, i).result(timeout=10) for i in range(20)] == list(range(20))
    assert not long.done()
    (tmp_path / "go").touch()
    assert long.result() is True


def test_many_threads_submit_to_one_pool(pool):
    def work(base):
        return [pool.submit(tasks.add, base, i) for i in range(300)]

    with ThreadPoolExecutor(4) as threads:
        for base, futures in enumerate(threads.map(work, range(4))):
            assert [future.result() for future in futures] == [base + i for i in range(300)]


def test_a_full_queue_makes_submit_wait(tmp_path):
    go = tmp_path / "go"
    with PoolExecutor(1, queue_size=2) as pool:
        futures = [pool.submit(tasks.wait_for_file, str(go))]
        threading.Timer(0.3, go.touch).start()
        began = time.monotonic()
        # One runs, few wait; the others can only be queued when the first is over.
        futures += [pool.submit(tasks.same, i) for i in range(10)]
        assert time.monotonic() - began > 0.2
        assert [future.result() for future in futures[1:]] == list(range(10))


def test_shutdown_runs_what_is_queued(tmp_path):
    log = tmp_path / "log"
    pool = PoolExecutor(2)
    futures = [pool.submit(tasks.append_line, str(log), i) for i in range(200)]
    pool.shutdown()
    assert all(future.done() for future in futures)
    assert sorted(map(int, log.read_text().split())) == list(range(200))


def test_shutdown_without_waiting_returns_at_once(tmp_path):
    pool = PoolExecutor(1)
    future = pool.submit(tasks.wait_for_file, str(tmp_path / "go"))
    began = time.monotonic()
    pool.shutdown(wait=False)
    assert time.monotonic() - began < 1
    with pytest.raises(RuntimeError, match="shutdown"):
        pool.submit(abs, -1)
    (tmp_path / "go").touch()
    assert future.result() is True
    pool.shutdown()


def test_shutdown_can_cancel_what_is_queued(tmp_path):
    pool = PoolExecutor(1)
    running = pool.submit(tasks.start_then_wait, str(tmp_path / "started"), str(tmp_path / "go"))
    while not (tmp_path / "started").exists():
        time.sleep(0.005)
    queued = [pool.submit(tasks.same, i) for i in range(20)]
    pool.shutdown(wait=False, cancel_futures=True)
    assert all(future.cancelled() for future in queued)
    (tmp_path / "go").touch()
    pool.shutdown()
    assert running.result() is True


def test_shutdown_twice_is_fine_and_leaving_the_block_waits():
    with PoolExecutor(2) as pool:
        future = pool.submit(tasks.nap, 0.1, 1)
    assert future.done() and future.result() == 1
    pool.shutdown()
    pool.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(RuntimeError, match="shutdown"):
        pool.submit(abs, -1)


def test_leaving_the_block_by_an_exception_runs_what_is_queued(tmp_path):
    log = tmp_path / "log"
    with pytest.raises(KeyError):
        with PoolExecutor(1) as pool:
            for i in range(20):
                pool.submit(tasks.append_line, str(log), i)
            raise KeyError
    assert len(log.read_text().split()) == 20


def test_the_representation_tells_the_state():
    pool = PoolExecutor(2)
    assert "open" in repr(pool) and pool.strategy in repr(pool)
    pool.shutdown()
    assert "shut down" in repr(pool)
