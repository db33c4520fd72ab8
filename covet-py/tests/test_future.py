"""`covet_py.Future` is a `concurrent.futures.Future`, whoever looks at it."""

import asyncio
import concurrent.futures
import gc
import logging
import threading
import time
from concurrent.futures import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    CancelledError,
    ThreadPoolExecutor,
    as_completed,
    wait,
)

import pytest
import tasks
from children import check

from covet_py import PoolExecutor


def eventually(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


def test_states_of_a_life(busy, gate):
    pool, (running, _) = busy
    queued = pool.submit(abs, -1)
    assert (queued.running(), queued.done(), queued.cancelled()) == (False, False, False)
    assert (running.running(), running.done(), running.cancelled()) == (True, False, False)
    gate.open()
    assert queued.result() == 1 and running.result() is True
    for future in (queued, running):
        assert (future.running(), future.done(), future.cancelled()) == (False, True, False)


@pytest.mark.parametrize("observed", [False, True])
def test_the_representation_tells_the_state(busy, gate, observed):
    pool, (running, _) = busy
    queued, cancelled = pool.submit(abs, -1), pool.submit(abs, -1)
    failed = pool.submit(divmod, 1, 0)
    if observed:
        for future in (running, queued, cancelled, failed):
            future.add_done_callback(lambda _: None)
    cancelled.cancel()
    assert "state=running" in repr(running)
    assert "state=pending" in repr(queued)
    assert eventually(lambda: "state=cancelled" in repr(cancelled))
    gate.open()
    wait([running, queued, failed])
    assert "state=finished returned bool" in repr(running)
    assert "state=finished returned int" in repr(queued)
    assert "state=finished raised ZeroDivisionError" in repr(failed)


def test_result_and_exception_wait_no_longer_than_told(busy, gate):
    _, (running, _) = busy
    for ask in (running.result, running.exception):
        for timeout in (0, 0.05, -1):
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                ask(timeout=timeout)
            assert time.monotonic() - began < 1
    with pytest.raises(concurrent.futures.TimeoutError):
        running.result(0)
    gate.open()
    assert running.result(timeout=10) is True


def test_result_is_the_same_object_every_time(pool):
    future = pool.submit(tasks.same, [1])
    assert future.result() is future.result()
    failed = pool.submit(divmod, 1, 0)
    error = failed.exception()
    with pytest.raises(ZeroDivisionError) as caught:
        failed.result()
    assert caught.value is error is failed.exception()
    # The standard side of it, too.
    future.add_done_callback(lambda _: None)
    assert future._result is future.result()


def test_exception_of_a_success_is_none(pool):
    future = pool.submit(abs, -1)
    assert future.exception() is None
    assert future.exception(timeout=1) is None


def test_cancel(busy, gate):
    pool, (running, _) = busy
    queued = [pool.submit(tasks.same, i) for i in range(4)]
    assert not running.cancel()
    assert queued[1].cancel() and queued[1].cancel()
    assert queued[1].cancelled() and queued[1].done() and not queued[1].running()
    with pytest.raises(CancelledError):
        queued[1].result()
    with pytest.raises(CancelledError):
        queued[1].exception()
    gate.open()
    assert [queued[i].result() for i in (0, 2, 3)] == [0, 2, 3]
    assert not queued[0].cancel() and not queued[0].cancelled()
    assert running.result() is True and not running.cancel()


def test_a_cancelled_error_raised_by_a_task_is_just_its_error(pool):
    future = pool.submit(tasks.raise_it, CancelledError("mine"))
    assert type(future.exception()) is CancelledError
    assert not future.cancelled()


def test_a_thread_that_waits_for_a_task_learns_of_its_cancellation(busy):
    pool, _ = busy
    queued = pool.submit(abs, -1)
    seen = []

    def look():
        try:
            seen.append(queued.result())
        except CancelledError:
            seen.append("cancelled")

    thread = threading.Thread(target=look)
    thread.start()
    time.sleep(0.05)
    assert queued.cancel()
    thread.join(5)
    assert seen == ["cancelled"]


def test_callbacks_before_and_after_the_end(busy, gate):
    pool, (running, _) = busy
    seen = []
    running.add_done_callback(lambda future: seen.append((1, future)))
    running.add_done_callback(lambda future: seen.append((2, future)))
    assert seen == []
    gate.open()
    running.result()
    assert eventually(lambda: len(seen) == 2)
    running.add_done_callback(lambda future: seen.append((3, future)))
    # After the end: at once, on this thread.
    assert seen == [(1, running), (2, running), (3, running)]


def test_a_callback_of_a_future_that_nobody_observed_before(pool):
    future = pool.submit(abs, -1)
    future.result()
    seen = []
    future.add_done_callback(lambda future: seen.append((future.result(), threading.get_ident())))
    assert seen == [(1, threading.get_ident())]


def test_callbacks_are_called_once_even_when_added_at_the_last_moment(pool):
    counts = [0] * 2000

    def count(i):
        def callback(_):
            counts[i] += 1

        return callback

    futures = []
    for i in range(2000):
        future = pool.submit(abs, -1)
        future.add_done_callback(count(i))
        futures.append(future)
    wait(futures, timeout=20)
    assert eventually(lambda: counts == [1] * 2000)


def test_callbacks_run_in_the_interpreter_that_asked(pool):
    # What the callback sees is this interpreter's: a marker that no worker has.
    import tasks as here

    here.MARKER = object()
    marker = here.MARKER
    seen = []
    future = pool.submit(tasks.nap, 0.05)
    future.add_done_callback(lambda _: seen.append(here.MARKER))
    future.result()
    assert eventually(lambda: seen)
    assert seen[0] is marker


def test_callbacks_may_use_the_pool(pool):
    seen = []

    def callback(future):
        seen.append(pool.submit(tasks.add, future.result(), 1).result())
        seen.append(pool.call(tasks.add, future.result(), 2))

    pool.submit(tasks.nap, 0.05, 10).add_done_callback(callback)
    assert eventually(lambda: len(seen) == 2)
    assert seen == [11, 12]


def test_a_callback_that_raises_is_logged_and_the_others_run(pool, caplog):
    seen = []
    with caplog.at_level(logging.ERROR, "concurrent.futures"):
        future = pool.submit(tasks.nap, 0.05)
        future.add_done_callback(lambda _: 1 / 0)
        future.add_done_callback(seen.append)
        future.result()
        assert eventually(lambda: seen == [future])
        other = pool.submit(tasks.nap, 0.02)
        other.add_done_callback(seen.append)
        assert eventually(lambda: seen == [future, other])
    assert "exception calling callback" in caplog.text and "ZeroDivisionError" in caplog.text


def test_callbacks_of_cancelled_futures(busy):
    pool, _ = busy
    before, after, seen = pool.submit(abs, -1), pool.submit(abs, -1), []
    before.add_done_callback(seen.append)
    assert before.cancel()
    assert eventually(lambda: seen == [before])
    assert after.cancel()
    after.add_done_callback(seen.append)
    assert seen == [before, after]


def test_wait_for_all(pool):
    futures = [pool.submit(tasks.nap, 0.01 * (i % 3), i) for i in range(10)]
    done, pending = wait(futures, return_when=ALL_COMPLETED)
    assert done == set(futures) and pending == set()


def test_wait_for_the_first(busy, gate):
    pool, held = busy
    assert wait(held, timeout=0.05) == (set(), set(held))
    cancelled = pool.submit(abs, -1)
    cancelled.cancel()
    done, pending = wait([*held, cancelled], return_when=FIRST_COMPLETED, timeout=10)
    assert done == {cancelled} and pending == set(held)


def test_wait_for_the_first_exception(own_pool, gate):
    good = own_pool.submit(tasks.wait_for_file, gate.path)
    bad = own_pool.submit(divmod, 1, 0)
    done, pending = wait([good, bad], return_when=FIRST_EXCEPTION, timeout=10)
    assert done == {bad} and pending == {good}


def test_a_future_that_is_done_is_done_for_wait_at_once(pool):
    # Also while the thread that completes observed futures has not come to it yet.
    for _ in range(300):
        future = pool.submit(abs, -1)
        future.add_done_callback(lambda _: None)
        assert future.result() == 1
        assert wait([future], timeout=0) == ({future}, set())


def test_a_future_that_is_cancelled_is_done_for_wait_at_once(busy):
    pool, _ = busy
    for _ in range(50):
        future = pool.submit(abs, -1)
        future.add_done_callback(lambda _: None)
        assert future.cancel()
        assert wait([future], timeout=0) == ({future}, set())


def test_as_completed_gives_each_once(pool):
    futures = [pool.submit(tasks.nap, 0.005 * (i % 4), i) for i in range(40)]
    done = list(as_completed(futures, timeout=20))
    assert len(done) == 40 and set(done) == set(futures)


def test_as_completed_gives_the_quick_one_first(busy, gate):
    pool, held = busy
    cancelled = pool.submit(abs, -1)
    cancelled.cancel()
    order = as_completed([*held, cancelled], timeout=10)
    assert next(order) is cancelled
    gate.open()
    assert set(order) == set(held)


def test_as_completed_times_out(busy):
    _, held = busy
    with pytest.raises(TimeoutError):
        list(as_completed(held, timeout=0.05))


def test_futures_of_several_kinds_in_one_wait(pool, own_pool):
    with ThreadPoolExecutor(2) as threads:
        futures = [
            executor.submit(tasks.nap, 0.01 * i, i) for i in range(6) for executor in (pool, own_pool, threads)
        ]
        done, pending = wait(futures, timeout=20)
        assert done == set(futures) and not pending
        assert {future.result() for future in as_completed(futures)} == set(range(6))


def test_many_threads_wait_for_one_future(own_pool, gate):
    future = own_pool.submit(tasks.wait_for_file, gate.path)
    results = []
    threads = [threading.Thread(target=lambda: results.append(future.result())) for _ in range(16)]
    threads += [threading.Thread(target=lambda: results.append(not wait([future]).not_done)) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    gate.open()
    for thread in threads:
        thread.join(10)
    assert results == [True] * 24


def test_many_threads_ask_first_and_get_the_same_object(pool):
    for _ in range(50):
        future = pool.submit(tasks.same, [1])
        start = threading.Barrier(4)
        results = []

        def look():
            start.wait()
            results.append(future.result())

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({id(result) for result in results}) == 1


def test_asyncio_wraps_it(pool):
    async def main():
        good = asyncio.wrap_future(pool.submit(tasks.nap, 0.02, 5))
        bad = asyncio.wrap_future(pool.submit(divmod, 1, 0))
        done = pool.submit(abs, -3)
        done.result()
        assert await good == 5
        assert await asyncio.wrap_future(done) == 3
        with pytest.raises(ZeroDivisionError):
            await bad

    asyncio.run(main())


def test_asyncio_runs_in_it(pool):
    async def main():
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(pool, tasks.add, i, 1) for i in range(300)))

    assert asyncio.run(main()) == list(range(1, 301))


def test_asyncio_cancels_it(busy):
    pool, _ = busy

    async def main():
        future = pool.submit(abs, -1)
        wrapped = asyncio.wrap_future(future)
        wrapped.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wrapped
        await asyncio.sleep(0.01)
        return future

    assert asyncio.run(main()).cancelled()


def test_asyncio_stays_responsive_while_tasks_run(busy, gate):
    pool, held = busy

    async def main():
        waiting = asyncio.gather(*map(asyncio.wrap_future, held))
        ticks = 0
        while ticks < 20:
            await asyncio.sleep(0.005)
            ticks += 1
        assert not waiting.done()
        gate.open()
        return await waiting

    assert asyncio.run(main()) == [True, True]


def test_futures_outlive_their_pool(gate):
    pool = PoolExecutor(1)
    first = pool.submit(tasks.wait_for_file, gate.path)
    rest = [pool.submit(tasks.same, i) for i in range(20)]
    observed = pool.submit(tasks.same, "observed")
    seen = []
    observed.add_done_callback(lambda future: seen.append(future.result()))
    del pool
    gc.collect()
    gate.open()
    assert first.result(timeout=10) is True
    assert [future.result(timeout=10) for future in rest] == list(range(20))
    assert eventually(lambda: seen == ["observed"])


def test_a_result_may_use_futures_while_it_arrives():
    # Unpickling runs code of the program; completing one future meanwhile must not wait for another. In a process of its own:
    # a deadlock there would stop every later test.
    check(
        """
        import time, covet_py, tasks
        with covet_py.PoolExecutor(1) as pool:
            tasks.NOSY_POOL = pool
            future = pool.submit(tasks.nosy)
            while not future.done():
                time.sleep(0.005)
            future.add_done_callback(lambda future: print(future.result()))
        """,
        "7\n",
        timeout=10,
    )


def test_unknown_attributes_are_attribute_errors(pool):
    future = pool.submit(abs, -1)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        future.nonsense
    assert not hasattr(future, "nonsense")


def test_futures_die_with_their_last_reference(pool):
    import weakref

    gc.collect()
    future = pool.submit(abs, -1)
    future.add_done_callback(lambda _: None)
    future.result()
    watched = weakref.ref(future)
    del future
    assert eventually(lambda: watched() is None)
