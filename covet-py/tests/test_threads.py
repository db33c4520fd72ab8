"""Daemon threads that tasks start in a worker's interpreter, which CPython alone would forbid there."""

import pytest
import tasks
from children import check, run

from covet_py import PoolExecutor


@pytest.mark.parametrize(
    ("task", "arguments", "expected"),
    [
        (tasks.daemon_that_loops, (), (True, True)),
        (tasks.use_thread_pool, ([-1, -2],), [1, 2]),
        (tasks.use_timer, (), True),
    ],
    ids=["loop", "ThreadPool", "Timer"],
)
def test_daemon_threads_work_in_both_workers_and_end_with_them(task, arguments, expected):
    with PoolExecutor(2) as pool:
        for _ in range(2):
            assert [future.result() for future in pool.broadcast(task, *arguments)] == [expected] * 2


def test_a_pool_that_is_kept_open():
    # Never shut down: the daemon threads run when the process ends.
    check(
        """
        import covet_py
        import tasks
        pool = covet_py.PoolExecutor(2)
        print([future.result() for future in pool.broadcast(tasks.daemon_that_loops)])
        print(pool.submit(tasks.use_thread_pool, [-3]).result())
        """,
        "[(True, True), (True, True)]\n[3]\n",
    )


def test_one_that_is_blocked_for_ever_does_not_keep_the_process():
    outcome = run(
        """
        import covet_py, sys
        def block():
            import threading
            lock = threading.Lock()
            lock.acquire()
            threading.Thread(target=lock.acquire, daemon=True).start()
        with covet_py.PoolExecutor(1) as pool:
            pool.submit(block).result()
        print("closed")
        sys.exit(3)
        """
    )
    assert outcome.all == (3, "closed\n", "")
