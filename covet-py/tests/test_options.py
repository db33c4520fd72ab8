"""`PoolExecutor.with_options`: tasks with a time limit."""

import asyncio
import pickle
import time

import pytest
import tasks
from children import run

from covet_py import Future, PoolExecutor, PoolView, RemoteTraceback


@pytest.fixture(params=["call", "submit", "map", "run", "wrap"])
def send(request):
    """Has a view call a function, in each of its ways."""
    return {
        "call": lambda view, function, *arguments: view.call(function, *arguments),
        "submit": lambda view, function, *arguments: view.submit(function, *arguments).result(),
        "map": lambda view, function, *arguments: next(view.map(tasks.apply, [(function, arguments)])),
        "run": lambda view, function, *arguments: asyncio.run(view.run(function, *arguments)),
        "wrap": lambda view, function, *arguments: view.wrap(function)(*arguments),
    }[request.param]


def test_what_runs_too_long_is_stopped_and_its_worker_goes_on(send):
    with PoolExecutor(1) as pool:
        view = pool.with_options(timeout=0.05)
        for _ in range(3):
            with pytest.raises(TimeoutError, match="after 50ms, its time limit") as raised:
                send(view, tasks.endless)
            # Where it was.
            assert isinstance(raised.value.__cause__, RemoteTraceback)
            assert "endless" in str(raised.value.__cause__)
            assert send(view, tasks.add, 1, 2) == 3
        stats = pool.stats()
    assert (stats.lost, stats.lives) == (0, 1)


def test_errors_are_their_own(pool, send):
    with pytest.raises(KeyError, match="mine"):
        send(pool.with_options(timeout=60), tasks.raise_kind, "KeyError", "mine")
    with pytest.raises(TimeoutError, match="mine"):
        send(pool.with_options(timeout=60), tasks.raise_kind, "TimeoutError", "mine")


def test_waiting_in_the_queue_does_not_count():
    with PoolExecutor(1) as pool:
        pool.submit(tasks.nap, 0.6)
        assert pool.with_options(timeout=0.5).submit(abs, -1).result() == 1


def test_each_item_of_a_map_has_its_own_limit():
    with PoolExecutor(1) as pool:
        view = pool.with_options(timeout=1)
        assert list(view.map(tasks.nap, [0.2] * 6, range(6))) == list(range(6))
        results = view.map(tasks.apply, [(tasks.same, (7,)), (tasks.endless, ())])
        assert next(results) == 7
        with pytest.raises(TimeoutError, match="its time limit"):
            next(results)


def test_one_that_goes_on_has_its_result():
    with PoolExecutor(1) as pool:
        assert pool.with_options(timeout=0.05).submit(tasks.stop_politely).result() == "stopped"


def test_limits_of_several_views_at_once():
    with PoolExecutor(2) as pool:
        long, short = pool.with_options(timeout=3600), pool.with_options(timeout=0.05)
        futures = [long.submit(tasks.endless), short.submit(tasks.endless)]
        assert isinstance(futures[1].exception(), TimeoutError)
        assert futures[0].running()
        pool.interrupt(futures[0])
        assert isinstance(futures[0].exception(), KeyboardInterrupt)
        assert pool.with_options().submit(abs, -1).result() == 1


def test_many_tasks_with_a_limit_none_reaches(pool):
    view = pool.with_options(timeout=60)
    futures = [view.submit(tasks.same, i) for i in range(2000)]
    assert [future.result() for future in futures] == list(range(2000))


def test_what_a_view_is(pool):
    view = pool.with_options(timeout=3)
    assert isinstance(view, PoolView) and isinstance(view.submit(abs, -1), Future)
    assert "timeout=3" in repr(view) and "open" in repr(view)
    for wrong in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="above 0 seconds"):
            pool.with_options(timeout=wrong)
    with pytest.raises(pickle.PicklingError, match="PoolView"):
        pool.call(tasks.same, view)


def test_its_end_is_that_of_the_pool():
    with PoolExecutor(1).with_options(timeout=3) as view:
        future = view.submit(abs, -1)
    assert future.result() == 1
    with pytest.raises(RuntimeError, match="after shutdown"):
        view.submit(abs, -1)


def test_ctrl_c_in_a_call_is_for_its_task():
    outcome = run(
        """
        import sys, time, covet_py

        def forever():
            print("waiting", flush=True)
            while True:
                time.sleep(0.01)

        pool = covet_py.PoolExecutor(1)
        try:
            pool.with_options(timeout=60).call(forever)
        except KeyboardInterrupt:
            began = time.monotonic()
            print(pool.submit(abs, -1).result(), time.monotonic() - began < 30)
        """,
        interrupt_after="waiting",
    )
    assert outcome.all == (0, "waiting\n1 True\n", ""), outcome


def test_a_limit_is_kept_while_the_loop_of_the_caller_is_busy():
    async def main(pool):
        waiting = asyncio.ensure_future(pool.with_options(timeout=0.05).run(tasks.endless))
        await asyncio.sleep(0)
        time.sleep(0.3)
        # The worker is free, though nobody has looked yet.
        assert pool.submit(abs, -1).result() == 1
        with pytest.raises(TimeoutError):
            await waiting

    with PoolExecutor(1) as pool:
        asyncio.run(main(pool))
