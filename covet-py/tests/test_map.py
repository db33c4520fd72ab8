"""`PoolExecutor.map`: results in order, as they come."""

import itertools
import operator
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import tasks

from covet_py import PoolExecutor


def test_results_come_in_order(pool):
    assert list(pool.map(tasks.same, range(1000))) == list(range(1000))


@pytest.mark.parametrize("chunksize", [None, 1, 2, 7, 1000, 10**6])
@pytest.mark.parametrize("count", [0, 1, 2, 31, 32, 33, 100])
def test_any_count_with_any_chunk_size(pool, count, chunksize):
    assert list(pool.map(tasks.same, range(count), chunksize=chunksize)) == list(range(count))


def test_several_iterables_end_with_the_shortest(pool):
    assert list(pool.map(operator.add, range(10), itertools.count(100))) == [100 + 2 * i for i in range(10)]
    assert list(pool.map(tasks.pair, [1, 2], "ab", [None] * 5)) == [(1, "a", None), (2, "b", None)]


def test_no_iterable_gives_nothing(pool):
    assert list(pool.map(tasks.pair)) == []


def test_an_item_that_is_a_tuple_is_one_argument(pool):
    assert list(pool.map(len, [(1, 2, 3), ()])) == [3, 0]


def test_a_hundred_thousand_tiny_tasks(pool):
    assert sum(pool.map(abs, range(-100_000, 0))) == 100_000 * 100_001 // 2


def test_long_tasks_in_order(pool):
    naps = [0.06, 0.0, 0.03, 0.0, 0.05, 0.01, 0.0]
    assert list(pool.map(tasks.nap, naps, range(7))) == list(range(7))


def test_long_and_short_ones_mixed(pool):
    rng = random.Random(5)
    naps = [rng.choice([0, 0, 0, 0, 0.002]) for _ in range(300)]
    assert list(pool.map(tasks.nap, naps, itertools.count())) == list(range(300))


def test_results_stream_while_later_items_run(pool, tmp_path):
    def task(number, path):
        import os
        import time

        while number == 3 and not os.path.exists(path):
            time.sleep(0.005)
        return number

    results = pool.map(task, range(4), itertools.repeat(str(tmp_path / "go")), chunksize=1)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    (tmp_path / "go").touch()
    assert list(results) == [3]


def test_is_an_iterator_that_stays_exhausted(pool):
    results = pool.map(tasks.same, [1])
    assert iter(results) is results
    assert next(results) == 1
    for _ in range(3):
        with pytest.raises(StopIteration):
            next(results)


def test_an_exception_comes_at_its_place_and_ends_the_iteration(pool):
    for bad in (0, 1, 40, 99):
        results = pool.map(tasks.fail_at, range(100), itertools.repeat(bad))
        got = []
        with pytest.raises(ValueError, match=f"failed at {bad}"):
            for result in results:
                got.append(result)
        assert got == list(range(bad))
        assert list(results) == []
    assert list(pool.map(tasks.same, range(5))) == list(range(5))


def test_an_item_that_cannot_be_sent_fails_at_its_place(pool):
    items = [1, 2, threading.Lock(), 4]
    results = pool.map(tasks.same, items)
    assert next(results) == 1
    assert next(results) == 2
    with pytest.raises(Exception, match="argument 0.*lock"):
        next(results)
    assert list(pool.map(tasks.same, [3])) == [3]


def test_a_result_that_cannot_be_sent_fails_at_its_place(pool):
    results = pool.map(tasks.make, ["lock"])
    with pytest.raises(Exception, match="lock"):
        next(results)
    assert list(pool.map(tasks.same, [3])) == [3]


def test_a_function_that_cannot_be_sent(pool):
    lock = threading.Lock()
    with pytest.raises(Exception, match="lock"):
        list(pool.map(lambda item: lock, [1]))
    assert list(pool.map(tasks.same, [3])) == [3]


def failing_iterable(good, error=KeyError):
    yield from range(good)
    raise error("from the iterable")


@pytest.mark.parametrize("good", [0, 1, 32, 100])
def test_an_iterable_that_raises(pool, good):
    with pytest.raises(KeyError, match="from the iterable"):
        list(pool.map(tasks.same, failing_iterable(good)))
    with pytest.raises(KeyError, match="from the iterable"):
        list(pool.map(tasks.same, failing_iterable(good), buffersize=3))
    assert list(pool.map(tasks.same, [3])) == [3]


def test_what_is_no_iterable_is_refused(pool):
    with pytest.raises(TypeError):
        pool.map(tasks.same, 5)


class Counted:
    """An endless iterable that knows how many items were taken."""

    def __init__(self, limit=None):
        self.taken = 0
        self.limit = limit

    def __iter__(self):
        return self

    def __next__(self):
        if self.taken == self.limit:
            raise StopIteration
        self.taken += 1
        return self.taken - 1


@pytest.mark.parametrize("buffersize", [1, 2, 5, 50])
def test_buffersize_bounds_how_far_the_items_are_read_ahead(pool, buffersize):
    items = Counted()
    results = pool.map(tasks.same, items, buffersize=buffersize)
    assert items.taken == buffersize
    for i in range(120):
        assert next(results) == i
        # Before a result is waited for, one more item may be taken: what the standard pools do since 3.14.
        assert items.taken <= i + 1 + buffersize
    assert items.taken > 100


def test_buffersize_with_a_finite_iterable(pool):
    for buffersize, count in itertools.product((1, 3, 100), (0, 1, 2, 3, 4, 50)):
        items = Counted(count)
        assert list(pool.map(tasks.same, items, buffersize=buffersize)) == list(range(count))


def test_an_endless_iterator_with_buffersize(pool):
    results = pool.map(tasks.same, itertools.count(), buffersize=8)
    assert list(itertools.islice(results, 300)) == list(range(300))
    del results
    assert pool.call(abs, -1) == 1


def test_without_buffersize_all_items_are_read_at_once(pool):
    items = Counted(5000)
    results = pool.map(tasks.same, items)
    assert items.taken == 5000
    assert list(results) == list(range(5000))


@pytest.mark.parametrize("name", ["chunksize", "buffersize"])
def test_sizes_must_be_positive_integers(pool, name):
    for bad in (0, -1):
        with pytest.raises(ValueError):
            pool.map(tasks.same, [1], **{name: bad})
    for bad in ("x", 1.5):
        with pytest.raises(TypeError):
            pool.map(tasks.same, [1], **{name: bad})


def test_timeout_counts_from_the_call(own_pool):
    assert list(own_pool.map(tasks.nap, [0, 0], [1, 2])) == [1, 2]
    results = own_pool.map(tasks.nap, [0, 3.0], [1, 2], timeout=1.0)
    began = time.monotonic()
    assert next(results) == 1
    with pytest.raises(TimeoutError):
        next(results)
    assert 0.9 < time.monotonic() - began < 2.9
    assert own_pool.submit(abs, -1).result() == 1


def test_timeouts_that_are_long_enough_do_nothing(pool):
    for timeout in (30, 1e9, float("inf"), None):
        assert list(pool.map(tasks.same, range(10), timeout=timeout)) == list(range(10))


def test_a_timeout_that_is_no_number_is_refused(pool):
    with pytest.raises(TypeError):
        pool.map(tasks.same, [1], timeout="x")
    with pytest.raises(ValueError):
        pool.map(tasks.same, [1], timeout=float("nan"))


def test_a_map_that_nobody_reads_runs_before_shutdown_returns(tmp_path):
    log = tmp_path / "log"
    with PoolExecutor(2) as pool:
        pool.map(tasks.append_line, itertools.repeat(str(log)), range(300))
    assert sorted(map(int, log.read_text().split())) == list(range(300))


def test_results_can_be_read_after_shutdown():
    with PoolExecutor(2) as pool:
        results = pool.map(tasks.same, range(300))
    assert list(results) == list(range(300))


def test_a_map_that_is_dropped_half_way_begins_nothing_new(tmp_path):
    log = tmp_path / "log"
    with PoolExecutor(1) as pool:
        results = pool.map(tasks.append_and_nap, itertools.repeat(str(log)), range(500))
        assert next(results) == 0
        del results
    assert 1 <= len(log.read_text().split()) < 250


def test_maps_at_the_same_time_keep_apart(pool):
    maps = [pool.map(tasks.add, range(200), itertools.repeat(1000 * n)) for n in range(5)]
    for i in range(200):
        assert [next(results) for results in maps] == [i + 1000 * n for n in range(5)]


def test_maps_from_several_threads(pool):
    def work(base):
        return [list(pool.map(tasks.add, range(50), itertools.repeat(base))) for _ in range(10)]

    with ThreadPoolExecutor(4) as threads:
        for base, rounds in enumerate(threads.map(work, range(4))):
            assert rounds == [[base + i for i in range(50)]] * 10


def test_two_threads_share_one_iterator(pool):
    # As with a generator: the second one is told so, or gets its turn; nothing is lost or doubled.
    results = pool.map(tasks.same, range(3000))
    got = []

    def take():
        while True:
            try:
                got.append(next(results))
            except StopIteration:
                return
            except ValueError:
                time.sleep(0)

    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(3000))


def test_an_iterable_that_uses_the_pool(pool):
    def items():
        for i in range(20):
            yield pool.call(tasks.add, i, 1)

    assert list(pool.map(tasks.same, items())) == list(range(1, 21))
    assert list(pool.map(tasks.same, items(), buffersize=2)) == list(range(1, 21))


def test_map_feeds_on_map(pool):
    inner = pool.map(tasks.add, range(100), itertools.repeat(1))
    outer = pool.map(tasks.add, inner, itertools.repeat(1), buffersize=4)
    assert list(outer) == [i + 2 for i in range(100)]


def test_a_result_may_be_none_or_an_exception_object(pool):
    assert list(pool.map(tasks.same, [None, None])) == [None, None]
    [error] = pool.map(tasks.same, [ValueError("a value")])
    assert type(error) is ValueError and error.args == ("a value",)


def test_a_stop_iteration_of_a_task_does_not_pass_for_the_end(pool):
    # The rest of the results would be lost without a word. A generator turns it into RuntimeError for that reason.
    got = []
    with pytest.raises(RuntimeError):
        for result in pool.map(tasks.fail_at, range(10), itertools.repeat(5), itertools.repeat(StopIteration)):
            got.append(result)
    assert got == list(range(5))


def test_after_shutdown():
    pool = PoolExecutor(1)
    pool.shutdown()
    with pytest.raises(RuntimeError, match="shutdown"):
        pool.map(abs, [1])
