"""`PoolExecutor.run`: tasks that an event loop waits for."""

import asyncio
import concurrent.futures
import gc
import os
import threading
import time
import weakref

import pytest
import tasks

from covet_py import BrokenPool, PoolExecutor, RemoteTraceback, _future


class LoopWithoutDescriptors(asyncio.SelectorEventLoop):
    """As the proactor loop of Windows."""

    def add_reader(self, *_):
        raise NotImplementedError


@pytest.fixture(params=["eventfd", "pipe", "thread"])
def run_loop(request, monkeypatch):
    """`asyncio.run`, for each of the ways in which a loop is told."""
    if request.param == "pipe":
        monkeypatch.delattr(os, "eventfd", raising=False)
    make = LoopWithoutDescriptors if request.param == "thread" else asyncio.SelectorEventLoop

    def run(main):
        with asyncio.Runner(loop_factory=make) as runner:
            return runner.run(main)

    return run


def test_a_result_is_awaited(pool, run_loop):
    async def main():
        assert await pool.run(pow, 2, exp=5) == 32
        return await pool.run(tasks.echo, 1, [2], c=3)

    assert run_loop(main()) == ((1, [2]), {"c": 3})


def test_of_many_in_flight_each_gets_its_own(pool, run_loop):
    async def main():
        return await asyncio.gather(*(pool.run(tasks.add, i, i) for i in range(3000)))

    assert run_loop(main()) == [2 * i for i in range(3000)]


def test_errors_come_as_from_a_future(pool):
    async def main():
        with pytest.raises(KeyError, match="mine") as raised:
            await pool.run(tasks.raise_kind, "KeyError", "mine")
        assert isinstance(raised.value.__cause__, RemoteTraceback)
        with pytest.raises(Exception, match="cannot be sent|cannot pickle"):
            await pool.run(tasks.same, threading.Lock())
        with pytest.raises(RuntimeError, match="StopIteration"):
            await pool.run(tasks.raise_kind, "StopIteration")
        assert await pool.run(abs, -1) == 1

    asyncio.run(main())


def test_after_shutdown(caplog):
    pool = PoolExecutor(1)
    pool.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        asyncio.run(pool.run(abs, -1))
    with PoolExecutor(1, initializer=tasks.initialize_badly) as broken:
        for _ in range(2):
            with pytest.raises(BrokenPool, match="no start"):
                asyncio.run(broken.run(abs, -1))
    assert len(caplog.records) <= 1


def test_a_task_that_the_pool_cancels(gate):
    pool = PoolExecutor(1)

    async def main():
        running = asyncio.ensure_future(pool.run(tasks.wait_for_file, gate.path))
        queued = asyncio.ensure_future(pool.run(abs, -1))
        while not pool.stats().running:
            await asyncio.sleep(0.001)
        pool.shutdown(wait=False, cancel_futures=True)
        # Not asyncio's own error: nobody cancelled the awaiting task.
        with pytest.raises(concurrent.futures.CancelledError):
            await queued
        gate.open()
        assert await running is True

    asyncio.run(main())
    pool.shutdown()


def test_who_no_longer_waits_cancels_what_is_queued(busy, gate, tmp_path, run_loop):
    pool, _ = busy

    async def main():
        waiting = asyncio.ensure_future(pool.run(tasks.append_line, str(tmp_path / "log"), "ran"))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        gate.open()
        assert await pool.run(abs, -1) == 1

    run_loop(main())
    assert not (tmp_path / "log").exists()
    assert pool.stats().cancelled == 1


def test_who_no_longer_waits_interrupts_what_runs(run_loop):
    async def main(pool):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(pool.run(tasks.endless), 0.1)
        # The only worker is free again.
        return await pool.run(abs, -2)

    with PoolExecutor(1) as pool:
        assert run_loop(main(pool)) == 2
        stats = pool.stats()
    assert (stats.lost, stats.lives) == (0, 1)


def test_a_coroutine_that_is_closed_stops_its_task():
    with PoolExecutor(1) as pool:

        async def main():
            coroutine = pool.run(tasks.endless)
            coroutine.send(None)
            while not pool.stats().running:
                await asyncio.sleep(0.001)
            coroutine.close()
            assert await pool.run(abs, -1) == 1

        asyncio.run(main())


def test_the_loop_goes_on_while_tasks_run(busy, gate):
    pool, _ = busy

    async def main():
        waiting = asyncio.ensure_future(pool.run(abs, -1))
        for _ in range(20):
            await asyncio.sleep(0.005)
        assert not waiting.done()
        gate.open()
        return await waiting

    assert asyncio.run(main()) == 1


def test_the_loop_goes_on_while_the_queue_is_full(gate, run_loop):
    async def main(pool):
        held = asyncio.ensure_future(pool.run(tasks.wait_for_file, gate.path))
        waiting = [asyncio.ensure_future(pool.run(tasks.same, i)) for i in range(200)]
        for _ in range(20):
            await asyncio.sleep(0.005)
        assert pool.stats().queued <= 4
        waiting.pop().cancel()
        gate.open()
        assert await held is True
        return await asyncio.gather(*waiting)

    with PoolExecutor(1, queue_size=2) as pool:
        assert run_loop(main(pool)) == list(range(199))


def test_a_pool_that_is_shut_down_while_its_queue_is_full(gate):
    async def main():
        held = asyncio.ensure_future(pool.run(tasks.wait_for_file, gate.path))
        waiting = [asyncio.ensure_future(pool.run(tasks.same, i)) for i in range(20)]
        await asyncio.sleep(0.05)
        pool.shutdown(wait=False)
        gate.open()
        assert await held is True
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert outcomes[0] == 0
        assert isinstance(outcomes[-1], RuntimeError) and "after shutdown" in str(outcomes[-1])

    pool = PoolExecutor(1, queue_size=2)
    asyncio.run(main())
    pool.shutdown()


def test_loops_in_several_threads_share_a_pool(pool):
    found = {}

    def work(base):
        async def main():
            return await asyncio.gather(*(pool.run(tasks.add, base, i) for i in range(500)))

        found[base] = asyncio.run(main())

    threads = [threading.Thread(target=work, args=(base,)) for base in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {base: [base + i for i in range(500)] for base in range(4)}


def test_two_loops_in_turn_on_one_thread(pool):
    loops = [asyncio.new_event_loop() for _ in range(2)]
    before = len(os.listdir("/proc/self/fd"))
    for i in range(20):
        assert loops[i % 2].run_until_complete(pool.run(tasks.same, i)) == i
    # Two descriptors for each loop, however often it ran.
    assert len(os.listdir("/proc/self/fd")) <= before + 4
    for loop in loops:
        loop.close()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loop_that_is_closed_with_tasks_pending_leaves_nothing(busy, gate, caplog):
    pool, _ = busy
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))

    def leave_one():
        loop = asyncio.new_event_loop()
        waiting = loop.create_task(pool.run(abs, -1))
        loop.run_until_complete(asyncio.sleep(0.01))
        assert not waiting.done()
        loop.close()
        return weakref.ref(loop)

    gone = [leave_one() for _ in range(3)]
    for _ in range(3):
        gc.collect()
    assert [loop() for loop in gone] == [None] * 3
    gate.open()
    deadline = time.monotonic() + 10
    while len(os.listdir("/proc/self/fd")) > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(os.listdir("/proc/self/fd")) <= before
    # What nobody waits for any more was cancelled with its coroutine.
    assert pool.stats().cancelled == 3
    assert asyncio.run(pool.run(abs, -1)) == 1


def test_an_event_loop_inside_a_task(pool):
    assert pool.submit(tasks.run_in_a_loop_there, 5).result() == [0, 1, 2, 3, 4]


def test_run_in_executor_needs_no_other_thread(pool, run_loop, request, monkeypatch):
    started = []
    start_thread = _future._start_thread
    monkeypatch.setattr(_future, "_start_thread", lambda: (started.append(True), start_thread()))

    async def main():
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(pool, tasks.add, i, i) for i in range(3000)))

    assert run_loop(main()) == [2 * i for i in range(3000)]
    assert bool(started) == ("thread" in request.node.callspec.id)


def test_a_future_is_awaited_twice_and_waited_for_in_a_thread(busy, gate, run_loop):
    pool, _ = busy

    async def main():
        future = pool.submit(abs, -1)
        waits = asyncio.to_thread(concurrent.futures.wait, [future], timeout=10)
        waiting = [asyncio.wrap_future(future), asyncio.wrap_future(future), asyncio.create_task(waits)]
        await asyncio.sleep(0.01)
        gate.open()
        first, second, waited = await asyncio.gather(*waiting)
        assert (first, second, waited.done) == (1, 1, {future})
        # And once more, now that it is done.
        assert await asyncio.wrap_future(future) == 1

    run_loop(main())


def test_errors_come_through_run_in_executor(pool, run_loop):
    async def main():
        with pytest.raises(KeyError, match="mine") as raised:
            await asyncio.get_running_loop().run_in_executor(pool, tasks.raise_kind, "KeyError", "mine")
        assert isinstance(raised.value.__cause__, RemoteTraceback)

    run_loop(main())


def test_cancelling_what_run_in_executor_returned_cancels_what_is_queued(busy, run_loop):
    pool, _ = busy

    async def main():
        waiting = asyncio.get_running_loop().run_in_executor(pool, abs, -1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        future = pool.submit(abs, -1)
        waiting = asyncio.wrap_future(future)
        future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    run_loop(main())
    assert pool.stats().cancelled == 2


def test_a_future_that_was_completed_by_hand_keeps_no_other_waiting(busy, gate, run_loop):
    pool, _ = busy
    found = []

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: found.append(context["exception"]))
        waiting = [loop.run_in_executor(pool, abs, -i) for i in range(10)]
        waiting[0].set_result("by hand")
        gate.open()
        return await asyncio.gather(*waiting)

    assert run_loop(main()) == ["by hand", *range(1, 10)]
    assert [type(error) for error in found] == [AssertionError]


def test_a_future_for_the_loop_of_another_thread(pool):
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def wait_here():
        # Wrapped while this loop runs, for that one.
        wrapped = asyncio.wrap_future(pool.submit(abs, -1), loop=loop)
        return asyncio.run_coroutine_threadsafe(asyncio.wait_for(wrapped, 10), loop).result()

    try:
        assert asyncio.run(wait_here()) == 1
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_a_loop_that_is_closed_keeps_nothing_of_run_in_executor(busy, gate):
    pool, _ = busy
    loop = asyncio.new_event_loop()

    async def leave_one():
        return loop.run_in_executor(pool, abs, -1)

    waiting = loop.run_until_complete(leave_one())
    assert not waiting.done()
    loop.close()
    gone = weakref.ref(loop)
    del loop, waiting, leave_one
    gc.collect()
    assert gone() is None
    gate.open()
    assert asyncio.run(pool.run(abs, -1)) == 1
