"""NumPy in every worker: the best known of the modules that refuse interpreters with a GIL of their own."""

import sys

import pytest
import tasks

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
        np.array(["2020-01-02"], dtype="M8[D]"),
        np.arange(3, dtype=">i4"),
        np.arange(3, dtype=np.dtype("f4", metadata={"unit": "m"})),
        *(np.ones(3, code) for code in "?bBhHiIlLqQefdgFDG"),
    ],
    ids=[
        *("large", "3d", "fortran", "strided", "empty", "scalar", "structured", "masked", "text", "objects"),
        *("dates", "swapped", "metadata", *"?bBhHiIlLqQefdgFDG"),
    ],
)
def test_arrays_come_and_go_as_they_are(pool, array):
    for back in (pool.call(tasks.same, array), pool.submit(tasks.same, array).result()):
        assert type(back) is type(array)
        assert back.dtype == array.dtype and back.shape == array.shape
        assert (back.dtype.char, back.dtype.metadata) == (array.dtype.char, array.dtype.metadata)
        assert back.tolist() == array.tolist()
        if array.ndim == 2:
            assert back.flags.f_contiguous == array.flags.f_contiguous


def test_an_array_is_the_same_memory_in_all_interpreters(pool):
    array = np.zeros(5)
    back = pool.call(tasks.same, array)
    array[3] = 7
    assert back[3] == 7 and not back.flags.writeable


def test_an_array_that_is_met_twice_is_one(pool):
    array = np.zeros(5)
    first, second, held, other = pool.call(tasks.same, [array, array, {"held": array}, np.zeros(5)])
    assert first is second is held["held"] and other is not first


def test_what_stands_beside_a_pickled_one_is_one_with_it(pool):
    array = np.arange(6).reshape(2, 3)
    found = pool.call(tasks.same, [array, array.T, array, {1.5: array}])
    assert found[0] is found[2] is found[3][1.5]
    assert found[1].tolist() == array.T.tolist()


def test_its_errors_are_its_errors(pool):
    with pytest.raises(ValueError, match="operands could not be broadcast"):
        pool.call(tasks.add, np.zeros(2), np.zeros(3))
    with pytest.raises(np.linalg.LinAlgError):
        pool.call(tasks.invert, np.zeros((2, 2)))
