"""Arrays and their functions, in the main interpreter and in a worker; on their way between the two; and what they leave behind."""

import array
import gc
import operator
import os
import subprocess
import sys
import threading
import time
import weakref

import array_cases
import pytest
import tasks

import covet_py.numeric as cn
from covet_py import Array, ComputeEngine, PoolExecutor, _native

WITH_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()


def run_case(name):
    array_cases.CASES[name]()


@pytest.mark.parametrize("name", array_cases.CASES)
def test_in_main(name):
    run_case(name)


@pytest.mark.parametrize("name", array_cases.CASES)
def test_in_a_worker(pool, name):
    pool.call(tasks.check_arrays, name)


# Between interpreters


@pytest.fixture(params=["call", "submit", "map"])
def run(pool, request):
    """Runs a function in another interpreter, in each of the ways."""
    ways = {
        "call": lambda fn, *args: pool.call(fn, *args),
        "submit": lambda fn, *args: pool.submit(fn, *args).result(),
        "map": lambda fn, *args: next(pool.map(fn, *([arg] for arg in args))),
    }
    return ways[request.param]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "bool"])
def test_it_arrives_as_the_same_memory(run, dtype):
    a = cn.ones((3, 4), dtype)
    for part in (a, a.T, a[:, ::2], a[1], a[:0]):
        back = run(tasks.same, part)
        assert type(back) is Array and (back.dtype, back.shape) == (part.dtype, part.shape)
        assert back.strides == part.strides and back.readonly is False
        assert back.__array_interface__ == part.__array_interface__
    run(operator.setitem, a, (0, 1), 0)
    assert a[0, 1] == 0


def test_what_a_task_makes_outlives_its_pool():
    with PoolExecutor(1) as pool:
        made = pool.call(cn.arange, 100_000)
        last = pool.submit(cn.ones, (200, 300), "float32").result()
    made += 1
    assert made[-1] == 100_000 and last.sum() == 60_000


def test_workers_write_into_parts_of_one_array(own_pool):
    out = cn.zeros((4, 1000))
    futures = [own_pool.submit(cn.add, out[i], i, out[i]) for i in range(4)]
    for future in futures:
        future.result()
    assert out.sum(1).tolist() == [0, 1000, 2000, 3000]


def test_one_over_the_memory_of_an_object_arrives_read_only(run):
    memory = array.array("d", range(5))
    back = run(tasks.same, Array(memory))
    assert back.readonly and back.tolist() == [0, 1, 2, 3, 4]
    memory[0] = 9
    assert back[0] == 9
    with pytest.raises(ValueError, match="read-only"):
        back[0] = 1
    gaps = run(tasks.same, Array(memory)[::2])
    assert gaps.tolist() == [9, 2, 4] and gaps.contiguous


def test_a_read_only_one_stays_so(run):
    assert run(tasks.same, cn.ones(3).toreadonly()).readonly


def test_one_array_met_twice_is_one(run):
    a = cn.ones(3)
    first, second = run(tasks.same, [a, a])
    assert first is second


def test_it_crosses_inside_of_other_objects(run):
    a = cn.arange(10)
    back = run(tasks.same, {"a": [a, (a[2:],)], "b": tasks.Point(1, 2)})
    assert back["a"][0].tolist() == a.tolist() and back["a"][1][0].tolist() == a[2:].tolist()


def test_the_memory_of_an_object_is_given_back():
    memory = array.array("d", range(8))
    with PoolExecutor(1) as pool:
        pool.call(len, Array(memory))
    deadline = time.monotonic() + 20
    while True:
        try:
            memory.append(1.0)
            break
        except BufferError:
            assert time.monotonic() < deadline
            gc.collect()
            time.sleep(0.001)


# Memory and time


def used():
    gc.collect()
    return _native._array_memory()[0]


def test_nothing_is_left_of_arrays():
    before = used()
    for name in array_cases.CASES:
        run_case(name)
    assert used() == before


def test_nothing_is_left_of_arrays_that_crossed(own_pool):
    before = used()
    for _ in range(200):
        own_pool.call(tasks.same, cn.ones(1000)).sum()
    own_pool.shutdown()
    assert used() == before


def test_objects_are_given_back():
    class Owner(bytearray):
        pass

    def make():
        owner = Owner(80)
        a = Array(memoryview(owner).cast("d"))
        views = [a[1:], a.reshape(2, 5), memoryview(a), cn.from_dlpack(a)]
        assert cn.sum(a) == 0 and len(views) == 4
        with pytest.raises(ValueError):
            cn.exp(a, out=cn.zeros(3))
        return weakref.ref(owner)

    gone = make()
    gc.collect()
    assert gone() is None


def test_large_memory_is_recycled():
    cn.release_memory()
    a = cn.ones(1 << 20)
    address = a.__array_interface__["data"][0]
    del a
    kept = _native._array_memory()[1]
    assert kept >= 8 << 20
    b = cn.zeros(1 << 20)
    assert b.__array_interface__["data"][0] == address and b.sum() == 0
    assert cn.release_memory() + (8 << 20) >= kept
    assert _native._array_memory()[1] == 0


def test_no_more_memory_is_kept_than_256_mib():
    arrays = [cn.empty(64 << 20, "bool") for _ in range(6)]
    arrays.clear()
    assert 0 < _native._array_memory()[1] <= 256 << 20
    cn.release_memory()


@pytest.mark.skipif(not WITH_GIL, reason="there is no GIL to give up")
def test_long_operations_give_the_gil_up():
    a = cn.ones(2_000_000)
    seen = []
    stop = threading.Event()

    def count():
        n = 0
        while not stop.is_set():
            n += 1
            # Switches only where somebody gives the GIL up, or after the switch interval, which is set beyond the test.
            time.sleep(0)
        seen.append(n)

    before = sys.getswitchinterval()
    sys.setswitchinterval(100)
    try:
        thread = threading.Thread(target=count)
        thread.start()
        for _ in range(50):
            cn.exp(a, out=a)
            cn.log(a, out=a)
        stop.set()
        thread.join()
    finally:
        sys.setswitchinterval(before)
    assert seen[0] > 50


def test_threads_may_share_an_array():
    a = cn.zeros(10_000)
    errors = []

    def work():
        try:
            for i in range(200):
                a[:] = i
                assert 0 <= cn.sum(a) <= 200 * 10_000 and a[5] in range(200)
                a[::2] += 1
                (a * 2)[3:].tolist()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors or all(isinstance(error, AssertionError) for error in errors)


def test_results_do_not_depend_on_threads():
    a = cn.sqrt(cn.arange(1_000_003, dtype="float32"))
    found = {(engine.sum(a), engine.norm(a), engine.var(a)) for engine in map(ComputeEngine, (1, 2, 3, 8))}
    assert len(found) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_of_a_fork_computes_too():
    program = """
import os, covet_py.numeric as cn
from covet_py import ComputeEngine
engine = ComputeEngine(2)
a = cn.ones(3_000_000)
b = cn.exp(a); engine.transform("exp", a); del b  # threads, and memory that is kept
pid = os.fork()
assert cn.exp(a)[-1] == engine.transform("exp", a)[0] > 2.7 and engine.sum(a) == 3_000_000
if pid == 0:
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
