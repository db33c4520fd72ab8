"""NumPy in every worker: the best known of the modules that refuse interpreters with a GIL of their own."""

import sys

import pytest
import tasks
from children import check, run

from covet_py import PoolExecutor

np = pytest.importorskip("numpy")


@pytest.fixture(scope="module", autouse=True)
def workers_can_have_it():
    with PoolExecutor(1) as pool:
        if pool.strategy == "subinterpreters" and "t" in sys.abiflags:
            pytest.skip("free-threaded builds have no private images, and their subinterpreters no NumPy")


def test_it_works_in_both_workers_at_once():
    with PoolExecutor(2) as pool:
        expected = tasks.use_numpy(500)
        for _ in range(3):
            assert [future.result() for future in pool.broadcast(tasks.use_numpy, 500)] == [expected] * 2
        assert pool.call(tasks.use_numpy, 500) == expected
        assert list(pool.map(tasks.use_numpy, [10, 20, 30])) == [tasks.use_numpy(n) for n in (10, 20, 30)]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(100_000.0),
        np.arange(24, dtype=np.int16).reshape(2, 3, 4),
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(20)[::3],
        np.zeros(0),
        np.array(5.0),
        np.array([(1, 2.5), (3, 4.5)], dtype=[("a", "i4"), ("b", "f8")]),
        np.ma.masked_array([1, 2, 3], mask=[0, 1, 0]),
        np.array(["a", "bc"]),
        np.array([None, [1]], dtype=object),
    ],
    ids=["large", "3d", "fortran", "strided", "empty", "scalar", "structured", "masked", "text", "objects"],
)
def test_arrays_come_and_go_as_they_are(pool, array):
    for back in (pool.call(tasks.same, array), pool.submit(tasks.same, array).result()):
        assert type(back) is type(array)
        assert back.dtype == array.dtype and back.shape == array.shape
        assert back.tolist() == array.tolist()
        if array.ndim == 2:
            assert back.flags.f_contiguous == array.flags.f_contiguous


def test_its_errors_are_its_errors(pool):
    with pytest.raises(ValueError, match="operands could not be broadcast"):
        pool.call(tasks.add, np.zeros(2), np.zeros(3))
    with pytest.raises(np.linalg.LinAlgError):
        pool.call(tasks.invert, np.zeros((2, 2)))


STATES = {
    "idle": "tasks.use_numpy",
    "busy": "tasks.use_numpy_for_long",
}
ENDS = {
    "normally": ("", 0),
    "by sys.exit": ("sys.exit(3)", 3),
    "by an exception": ("raise ValueError('mine')", 1),
    "by os._exit": ("os._exit(4)", 4),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("state", STATES)
def test_a_process_with_it_ends_well(state, end):
    last, code = ENDS[end]
    outcome = run(
        f"""
        import covet_py, os, sys, tasks
        pool = covet_py.PoolExecutor(2)
        for future in pool.broadcast(tasks.use_numpy, 100):
            future.result()
        pool.broadcast({STATES[state]}, 100)
        {last}
        """
    )
    assert outcome.code == code, outcome
    assert (outcome.err.strip().splitlines() or [""])[-1] == ("ValueError: mine" if code == 1 else "")


def test_a_loop_in_it_is_interrupted_and_the_worker_goes_on():
    with PoolExecutor(1) as pool:
        pool.call(tasks.use_numpy, 10)
        future = pool.submit(tasks.use_numpy_forever)
        while not future.running():
            pass
        pool.interrupt(future)
        with pytest.raises(KeyboardInterrupt):
            future.result(timeout=60)
        assert pool.call(tasks.use_numpy, 10) == tasks.use_numpy(10)


def test_subprocesses_and_forks_while_workers_have_it():
    check(
        """
        import covet_py, os, subprocess, sys, tasks
        pool = covet_py.PoolExecutor(2)
        for future in pool.broadcast(tasks.use_numpy, 100):
            future.result()
        print(subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True, text=True).stdout.strip())
        if "t" not in sys.abiflags:
            child = os.fork()
            if child == 0:
                import numpy
                os._exit(int(numpy.arange(3).sum()))
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        else:
            print(3)
        print(pool.call(tasks.use_numpy, 100) == tasks.use_numpy(100))
        """,
        "1\n3\nTrue\n",
        options=["-W", "ignore::DeprecationWarning"],  # fork beside threads
    )
