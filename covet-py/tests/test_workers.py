"""What can be asked of the workers of a pool, and what they tell."""

import os
import sys
import threading
import time

import pytest
import tasks

from covet_py import PoolExecutor, Stats, WorkerStats

RECYCLES = sys.version_info >= (3, 14)


def test_every_worker_is_reached():
    with PoolExecutor(3) as pool:
        futures = pool.broadcast(threading.get_ident)
        assert len({future.result() for future in futures}) == 3
        assert [future.result() for future in pool.broadcast(tasks.add, 1, b=2)] == [3] * 3
        with pytest.raises(KeyError):
            pool.broadcast(tasks.raise_kind, "KeyError", 1)[2].result()


def test_statistics_add_up():
    with PoolExecutor(2) as pool:
        assert [pool.submit(tasks.same, n).result() for n in range(10)] == list(range(10))
        assert list(pool.map(tasks.same, range(100))) == list(range(100))
        assert isinstance(pool.submit(tasks.raise_kind, "KeyError", 1).exception(), KeyError)
        stats = pool.stats()
        # A waiter is told before the worker counts.
        while stats.done + stats.failed < 111:
            stats = pool.stats()
    assert isinstance(stats, Stats) and all(isinstance(worker, WorkerStats) for worker in stats.workers)
    assert (stats.done, stats.failed, stats.cancelled, stats.lost) == (110, 1, 0, 0)
    assert len(stats.workers) == 2
    assert sum(worker.done for worker in stats.workers) == 110
    assert sum(worker.lives for worker in stats.workers) == stats.lives <= 2
    assert sum(worker.lent for worker in stats.workers) > 1
    assert all(worker.busy >= 0 and worker.waited >= 0 for worker in stats.workers)
    assert pool.stats().queued == 0


def test_a_task_is_stopped_wherever_it_is():
    with PoolExecutor(1) as pool:
        running, queued = pool.submit(tasks.endless), pool.submit(tasks.same, 1)
        while not running.running():
            time.sleep(0.001)
        pool.interrupt(queued)
        assert queued.cancelled()
        assert pool.stats().cancelled == 1
        pool.interrupt(running)
        assert isinstance(running.exception(), KeyboardInterrupt)
        pool.interrupt(running)
        assert pool.submit(tasks.same, 2).result() == 2


@pytest.mark.parametrize("name", ["terminate_workers", "kill_workers"])
def test_all_tasks_are_stopped(name):
    pool = PoolExecutor(1)
    running, queued = pool.submit(tasks.endless), pool.submit(tasks.same, 1)
    while not running.running():
        time.sleep(0.001)
    getattr(pool, name)()
    assert queued.cancelled()
    assert isinstance(running.exception(), KeyboardInterrupt)
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(tasks.same, 2)
    pool.shutdown()


def test_interpreters_that_are_worn_out_are_replaced():
    if not RECYCLES:
        with PoolExecutor(1, strategy="main-only", max_tasks_per_child=5) as pool:
            assert list(pool.map(tasks.same, range(10))) == list(range(10))
        if sys.version_info >= (3, 12):
            with pytest.raises(ValueError, match="leave"):
                PoolExecutor(1, strategy="subinterpreters", max_tasks_per_child=5)
        return
    with PoolExecutor(1, max_tasks_per_child=5) as pool:
        places = [pool.submit(tasks.place, 0.0).result()[0] for _ in range(12)]
        stats = pool.stats()
    assert len(set(places)) >= 2
    assert stats.lives >= 2


def test_a_leak_can_be_accepted():
    with PoolExecutor(1, max_tasks_per_child=1, accept_leak=True) as pool:
        assert [pool.submit(tasks.same, n).result() for n in range(3)] == [0, 1, 2]


@pytest.mark.parametrize("count", [0, -1])
def test_a_life_has_at_least_one_task(count):
    with pytest.raises(ValueError, match="at least 1"):
        PoolExecutor(1, max_tasks_per_child=count)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system keeps no thread on a core")
def test_workers_stay_on_their_cores():
    usable = sorted(os.sched_getaffinity(0))
    with PoolExecutor(len(usable), pin=True) as pool:
        cores = [future.result() for future in pool.broadcast(tasks.cores)]
    assert cores == [{core} for core in usable]
    with PoolExecutor(1) as pool:
        assert pool.broadcast(tasks.cores)[0].result() == set(usable)


def test_how_extension_modules_are_had_is_one_of_three_words(monkeypatch):
    for word in ("auto", "private", "strict"):
        monkeypatch.setenv("COVET_EXTENSIONS", word)
        for extensions in (None, word):
            with PoolExecutor(1, extensions=extensions) as pool:
                assert pool.call(abs, -1) == 1
    with pytest.raises(ValueError, match="expected extensions to be .* found 'nonsense'|found \"nonsense\""):
        PoolExecutor(1, extensions="nonsense")
    monkeypatch.setenv("COVET_EXTENSIONS", "nonsense")
    with pytest.raises(ValueError, match="COVET_EXTENSIONS: expected extensions to be"):
        PoolExecutor(1)
