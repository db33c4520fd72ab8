"""What arrays do, as functions that assert it: `test_array.py` runs each of them in the main interpreter and in a worker."""

import array
import copy
import ctypes
import io
import math
import operator
import pickle
from contextlib import contextmanager

import covet_py.numeric as cn
from covet_py import Array, ComputeEngine

NUMBERS = ["float32", "float64", "int32", "int64"]
FLOATS = NUMBERS[:2]
CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


@contextmanager
def raises(kind, *words):
    """The body raises `kind` with all these words in its text."""
    try:
        yield
    except kind as error:
        text = str(error)
        missing = [word for word in words if word not in text]
        assert not missing, f"{missing} not in {text!r}"
    else:
        raise AssertionError(f"expected {kind.__name__}, nothing was raised")


def same(found, expected, dtype=None):
    """An array that holds this, of that dtype."""
    assert type(found) is Array, type(found)
    assert found.tolist() == expected, f"{found!r} is not {expected}"
    assert dtype is None or found.dtype == dtype, f"{found.dtype} is not {dtype}"
    return True


# From


@case
def numbers_make_an_array():
    same(Array([1, 2]), [1, 2], "int64")
    same(Array([1, 2.5]), [1.0, 2.5], "float64")
    same(Array([True, False]), [True, False], "bool")
    same(Array([True, 2]), [1, 2], "int64")
    same(Array((1, 2), "float32"), [1.0, 2.0], "float32")
    same(Array(range(3), int), [0, 1, 2], "int64")
    same(Array(i * i for i in range(4)), [0, 1, 4, 9], "int64")
    same(Array([]), [], "float64")
    same(Array([[1, 2], [3, 4], [5, 6]]), [[1, 2], [3, 4], [5, 6]], "int64")
    same(Array(([1, 2.0], range(2))), [[1.0, 2.0], [0.0, 1.0]], "float64")
    same(Array([[], []]), [[], []], "float64")
    same(Array([array.array("f", [1, 2])]), [[1.0, 2.0]])


@case
def numbers_that_make_no_array():
    for source in ("abc", {"a": 1}, object(), None, len):
        with raises(TypeError, "expected"):
            Array(source)
    with raises(TypeError, "expected a number", "str"):
        Array(["a"])
    with raises(TypeError, "expected a number", "NoneType"):
        Array([1, None])
    with raises(ValueError, "1 or 2 dimensions", "0"):
        Array(5)
    with raises(ValueError, "rows of 2", "3 in row 1"):
        Array([[1, 2], [1, 2, 3]])
    with raises(TypeError, "expected a number"):
        Array([[[1]]])
    with raises(OverflowError):
        Array([2**63])
    with raises(OverflowError, "int32", "2147483648"):
        Array([2**31], "int32")
    with raises(TypeError, "int32", "1.5"):
        Array([1.5], "int32")
    with raises(TypeError, "float32", "complex128"):
        Array([1], "complex128")
    with raises(TypeError, "dtype", "7"):
        Array([1], 7)
    with raises(TypeError, "source"):
        Array()
    with raises(TypeError, "unexpected keyword argument 'colour'"):
        Array([1], colour=1)


@case
def a_buffer_is_used_where_it_lies():
    for code, dtype in zip("fdil", NUMBERS):
        memory = array.array(code, range(6))
        a = Array(memory)
        same(a, list(range(6)), dtype)
        memory[0] = 5
        a[1] = 7
        assert a[0] == 5 and memory[1] == 7 and not a.readonly
        with raises(BufferError):
            memory.append(1)
        del a
        memory.append(1)
    table = memoryview(array.array("d", range(6))).cast("B").cast("d", (2, 3))
    same(Array(table), [[0, 1, 2], [3, 4, 5]])
    same(Array(memoryview(array.array("i", range(9)))[::-2]), [8, 6, 4, 2, 0])
    fixed = Array(memoryview(bytes(16)).cast("d"))
    assert fixed.readonly
    with raises(ValueError, "read-only"):
        fixed[0] = 1
    same(Array((ctypes.c_double * 2)(1, 2)), [1.0, 2.0])
    same(Array((ctypes.c_bool * 2)(0, 1)), [False, True], "bool")


@case
def a_copy_is_made_when_asked_for_or_needed():
    memory = array.array("f", [1, 2])
    copied = Array(memory, copy=True)
    memory[0] = 9
    same(copied, [1, 2], "float32")
    memory.append(1)
    same(Array(memory, "int32"), [9, 2, 1], "int32")
    with raises(ValueError, "another"):
        Array(memory, "int32", copy=False)
    with raises(ValueError, "copied"):
        Array([1, 2], copy=False)
    # Not at a multiple of its size.
    odd = memoryview(bytearray(17))[1:].cast("d")
    a = Array(odd)
    odd[0] = 1.0
    same(a, [0, 0])
    with raises(ValueError, "not aligned"):
        Array(odd, copy=False)
    a = Array([1, 2])
    assert Array(a) is a and Array(a, copy=True) is not a and Array(a, "int64", copy=False) is a


@case
def buffers_that_hold_no_such_numbers():
    for data, words in [
        (b"abcd", ["format", "cast"]),
        (bytearray(8), ["format", "cast"]),
        (array.array("h", [1]), ["h", "float32"]),
        (array.array("Q", [1]), ["Q"]),
        ((ctypes.c_float.__ctype_be__ * 2)(), ["byte order"]),
        ((ctypes.c_int64.__ctype_be__ * 2)(), ["byte order"]),
    ]:
        for taker in (Array, cn.sum, cn.exp):
            with raises(TypeError, *words):
                taker(data)
    with raises(ValueError, "1 or 2 dimensions", "3"):
        Array(memoryview(bytes(64)).cast("d", (2, 2, 2)))
    with raises(ValueError, "1 or 2 dimensions", "0"):
        Array(memoryview(bytes(8)).cast("d", ()))
    released = memoryview(array.array("d", [1]))
    released.release()
    with raises(ValueError, "released"):
        Array(released)


@case
def arrays_of_nothing_else():
    same(cn.zeros(3), [0.0] * 3, "float64")
    same(cn.zeros((2, 1), "int32"), [[0], [0]], "int32")
    same(cn.ones([2], dtype="float32"), [1.0, 1.0], "float32")
    same(cn.full((1, 2), 7), [[7, 7]], "int64")
    same(cn.full(2, 0.5), [0.5, 0.5], "float64")
    same(cn.full(2, True), [True, True], "bool")
    assert cn.empty((3, 4), "int64").shape == (3, 4)
    same(cn.zeros(0), [])
    same(cn.zeros((0, 3)), [])
    same(cn.arange(4), [0, 1, 2, 3], "int64")
    same(cn.arange(2, 10, 3), [2, 5, 8])
    same(cn.arange(3, 0, -1), [3, 2, 1])
    same(cn.arange(0, 1, 0.25), [0, 0.25, 0.5, 0.75], "float64")
    same(cn.arange(3, dtype="float32"), [0, 1, 2], "float32")
    same(cn.arange(5, 1), [])
    for words, call in [
        (["step"], lambda: cn.arange(1, 2, 0)),
        (["memory"], lambda: cn.arange(0, math.inf)),
        (["memory"], lambda: cn.arange(0, math.nan)),
        (["negative"], lambda: cn.zeros(-1)),
        (["negative"], lambda: cn.zeros((2, -1))),
        (["dimensions", "3"], lambda: cn.zeros((1, 1, 1))),
        (["dimensions", "0"], lambda: cn.zeros(())),
        (["memory"], lambda: cn.zeros((2**40, 2**40))),
        (["memory"], lambda: cn.empty(2**62)),
    ]:
        with raises(ValueError, *words):
            call()
    with raises(MemoryError, "no memory", "(72057594037927936,)"):
        cn.ones(2**56)
    with raises(OverflowError):
        cn.zeros(2**64)
    with raises(TypeError):
        cn.zeros(1.5)
    with raises(TypeError, "float32"):
        cn.zeros(2, "float16")


@case
def dtypes_have_many_names():
    for name in ["float32", "f4", "<f4", "f", "single"]:
        assert cn.zeros(1, name).dtype == "float32"
    for name, dtype in [(float, "float64"), (int, "int64"), (bool, "bool"), ("d", "float64"), ("i4", "int32")]:
        assert cn.zeros(1, name).dtype == dtype


# What it is


@case
def it_says_what_it_is():
    a = cn.zeros((2, 3), "int32")
    assert (a.shape, a.strides, a.ndim, a.size) == ((2, 3), (12, 4), 2, 6)
    assert (a.itemsize, a.nbytes, len(a), a.contiguous, a.readonly) == (4, 24, 2, True, False)
    t = a.T
    assert (t.shape, t.strides, t.contiguous) == ((3, 2), (4, 12), False)
    with raises(AttributeError):
        a.shape = (3, 2)
    with raises(TypeError, "unhashable"):
        hash(a)
    with raises(TypeError):
        type("Mine", (Array,), {})


@case
def it_is_shown_as_what_makes_it():
    for a in [
        Array([1, -2, 3]),
        Array([1.5, 1e300, -0.0, 1e-300]),
        Array([0.1, 1e30], "float32"),
        Array([[1, 2], [3, 4]], "int32"),
        Array([True, False]),
        Array([]),
    ]:
        again = eval(repr(a))
        assert again.dtype == a.dtype and again.tolist() == a.tolist()
    assert repr(Array([math.nan, math.inf, -math.inf])) == 'Array([nan, inf, -inf], dtype="float64")'
    assert str(Array([[1, 2], [3, 4]])) == "[[1, 2],\n [3, 4]]"
    assert repr(cn.arange(1001)) == 'Array([0, 1, 2, ..., 998, 999, 1000], dtype="int64")'
    lines = str(cn.zeros((2000, 2))).splitlines()
    assert len(lines) == 7 and lines[3] == " ...,"
    assert len(str(cn.zeros((2, 10**6)))) < 200


# Elements and parts


@case
def indices_and_slices_are_those_of_lists():
    values = list(range(10))
    a = Array(values)
    steps = [None, *range(-11, 12)]
    for i in range(-10, 10):
        assert a[i] == values[i]
    for start in steps:
        for stop in steps:
            for step in (None, 1, 2, 3, 11, -1, -2, -11):
                key = slice(start, stop, step)
                same(a[key], values[key])
    same(a[2:8][::-2][1:], values[2:8][::-2][1:])
    for key in (10, -11, 2**70, -(2**70)):
        with raises(IndexError):
            a[key]
        with raises(IndexError):
            a[key] = 1
    for key in ("a", 1.0, None, [1], (1, 2)):
        with raises(IndexError, "expected"):
            a[key]


@case
def tables_have_rows_and_columns():
    rows = [[i * 10 + j for j in range(4)] for i in range(3)]
    a = Array(rows)
    assert a[1, 2] == 12 and a[-1, -1] == 23
    same(a[1], rows[1])
    same(a[:, 1], [1, 11, 21])
    same(a[1:, ::2], [[10, 12], [20, 22]])
    same(a[::-1], rows[::-1])
    same(a[...], rows)
    same(a[()], rows)
    same(a[2, ::-1], rows[2][::-1])
    same(a.T, [list(column) for column in zip(*rows)])
    same(a.T[1:3, 0], [1, 2])
    assert [row.tolist() for row in a] == rows and list(a[0]) == rows[0]
    for key in [(3, 0), (0, 4), (0, 0, 0)]:
        with raises(IndexError):
            a[key]


@case
def views_share_memory_and_copies_do_not():
    a = cn.zeros((2, 3))
    a[1][2] = 5
    a.T[0, 1] = 6
    a[:, 1] = [7, 8]
    same(a, [[0, 7, 0], [6, 8, 5]])
    for other in (a.copy(), copy.copy(a), copy.deepcopy(a), +a, a[:].astype("float64")):
        other[0, 0] = 9
    same(a.reshape(6)[:1], [0])
    a.reshape(6)[0] = 1
    assert a[0, 0] == 1
    a.T.reshape(6)[0] = 2  # has gaps, so this is a copy
    assert a[0, 0] == 1
    a.ravel()[1] = 3
    assert a[0, 1] == 3


@case
def parts_are_written():
    a = Array(range(6))
    a[0] = 10
    a[1:3] = 20
    a[3:] = [1, 2, 3]
    same(a, [10, 20, 20, 1, 2, 3])
    a[::2] = Array([7, 8, 9], "int32")
    same(a, [7, 20, 8, 1, 9, 3])
    a[:] = a[::-1]  # what overlaps is copied first
    same(a, [3, 9, 1, 8, 20, 7])
    a[1:] = a[:-1]
    same(a, [3, 3, 9, 1, 8, 20])
    f = cn.zeros((2, 2), "float32")
    f[...] = [[1, 2], [3, 4]]
    f[0] += 1
    f[:, 1] *= 2
    same(f, [[2, 6], [3, 8]])
    f[...] = [5, 6]
    same(f, [[5, 6], [5, 6]])
    f.fill(0.5)
    same(f, [[0.5, 0.5], [0.5, 0.5]])
    for kind, words, write in [
        (ValueError, ["shape (3,)", "(2,)"], lambda: operator.setitem(a, slice(3), [1, 2])),
        (TypeError, ["int64", "float64", "astype"], lambda: operator.setitem(a, slice(3), [1.5] * 3)),
        (TypeError, ["int64", "1.5"], lambda: operator.setitem(a, 0, 1.5)),
        (TypeError, ["number"], lambda: operator.setitem(a, 0, "1")),
        (TypeError, ["deleted"], lambda: operator.delitem(a, 0)),
        (OverflowError, [], lambda: operator.setitem(a, 0, 2**63)),
    ]:
        with raises(kind, *words):
            write()


@case
def masks_pick_and_fill():
    a = Array([5, -1, 7, -3])
    same(a[a < 0], [-1, -3])
    a[a < 0] = 0
    same(a, [5, 0, 7, 0])
    same(a[cn.zeros(4, "bool")], [])
    t = Array([[1, 2], [3, 4]], "float32")
    same(t[t > 1.5], [2, 3, 4], "float32")
    t.T[t.T > 2] = 9
    same(t, [[1, 2], [9, 9]])
    for key in (Array([True]), Array([1, 0, 1, 0])):
        with raises(IndexError, "of bool", "same shape"):
            a[key]


@case
def shapes_change():
    a = cn.arange(6)
    same(a.reshape(2, 3), [[0, 1, 2], [3, 4, 5]])
    same(a.reshape((3, -1)), [[0, 1], [2, 3], [4, 5]])
    same(a.reshape(-1, 6), [[0, 1, 2, 3, 4, 5]])
    same(a.reshape(2, 3).T.reshape(-1), [0, 3, 1, 4, 2, 5])
    same(cn.zeros((0, 3)).reshape(3, 0), [[], [], []])
    for shape in [(4,), (-1, 4), (-1, -1), (-2, -3), (2**62, 4), (0, -1)]:
        with raises(ValueError, "6 elements"):
            a.reshape(shape)
    with raises(ValueError, "dimensions", "3"):
        a.reshape((1, 2, 3))


# Arithmetic


@case
def operators_are_those_of_numbers():
    left, right = [7, -7, 6, -1, 5], [2, 3, -4, -1, 5]
    for dtype in NUMBERS:
        a, b = Array(left, dtype), Array(right, dtype)
        for op in (operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod):
            expected = [op(x, y) for x, y in zip(left, right)]
            found = op(a, b)
            if op is operator.truediv and dtype != "float32":
                same(found, expected, "float64")
            elif op is operator.truediv:
                assert all(abs(x - y) < 1e-6 for x, y in zip(found, expected))
            else:
                same(found, expected, dtype)
                same(op(a, 2), [op(x, 2) for x in left], dtype)
                same(op(100, b), [op(100, y) for y in right], dtype)
        for op in (operator.lt, operator.le, operator.eq, operator.ne, operator.gt, operator.ge):
            same(op(a, b), [op(x, y) for x, y in zip(left, right)], "bool")
            same(op(a, 5), [op(x, 5) for x in left], "bool")
            same(op(5, a), [op(5, x) for x in left], "bool")
        same(-a, [-x for x in left], dtype)
        same(+a, left, dtype)
        same(abs(a), [abs(x) for x in left], dtype)
        same(a**2, [x * x for x in left], dtype)
        same(a**3, [x**3 for x in left], dtype)
        same(2 ** abs(b), [2 ** abs(y) for y in right], dtype)


@case
def numbers_take_the_dtype_of_arrays():
    for dtype in FLOATS:
        same(Array([1], dtype) * 2.5, [2.5], dtype)
        same(Array([1], dtype) + 2, [3], dtype)
        same(Array([1], dtype) + True, [2], dtype)
    same(Array([1], "int32") * 2.5, [2.5], "float64")
    same(Array([1], "int32") + 2, [3], "int32")
    with raises(OverflowError, "int32"):
        Array([1], "int32") + 2**40
    same(Array([1], "int32") < 2**40, [True])
    same(Array([True, False]) + 1, [2, 1], "int64")


@case
def two_dtypes_become_one_that_holds_both():
    expected = {
        ("int32", "int64"): "int64",
        ("int32", "float32"): "float64",
        ("int64", "float32"): "float64",
        ("float32", "float64"): "float64",
        ("bool", "float32"): "float32",
        ("bool", "int32"): "int32",
    }
    for (a, b), dtype in expected.items():
        for x, y in ((a, b), (b, a)):
            same(Array([1], x) + Array([1], y), [2], dtype)


@case
def shapes_repeat_as_numpys_do():
    a = Array([[1, 2, 3], [4, 5, 6]])
    row, column = Array([10, 20, 30]), Array([[100], [200]])
    same(a + row, [[11, 22, 33], [14, 25, 36]])
    same(a + column, [[101, 102, 103], [204, 205, 206]])
    same(row + column, [[110, 120, 130], [210, 220, 230]])
    same(a.T + Array([1, 2]), [[2, 6], [3, 7], [4, 8]])
    same(a[:, ::-1] - row, [[-7, -18, -29], [-4, -15, -26]])
    same(a < row, [[True] * 3] * 2)
    with raises(ValueError, "(2, 3)", "(2,)"):
        a + Array([1, 2])
    with raises(ValueError, "(3,)", "(4,)"):
        row * cn.zeros(4)


@case
def in_place_means_in_place():
    for dtype in NUMBERS:
        a = Array([1, 2, 3], dtype)
        before, view = a, a[1:]
        a += 1
        a *= Array([2, 2, 2], dtype)
        a -= a
        assert a is before
        a += Array([4, 5, 6], dtype)
        a //= 2
        a %= 2
        a **= 2
        same(view, [0, 1])
    a = cn.arange(5)
    a[1:] += a[:-1]
    same(a, [0, 1, 3, 5, 7])
    with raises(TypeError, "int64", "float64"):
        a /= 2
    with raises(TypeError, "dtype"):
        a += 0.5
    with raises(ValueError, "shape"):
        a += cn.zeros((2, 5), "int64")
    fixed = a.toreadonly()
    with raises(BufferError, "read-only"):
        fixed += 1
    mask = a > 2
    mask &= a < 7
    same(mask, [False, False, True, True, False])


@case
def truth_values_have_logic():
    a, b = Array([True, True, False]), Array([True, False, False])
    same(a & b, [True, False, False], "bool")
    same(a | b, [True, True, False], "bool")
    same(a ^ b, [False, True, False], "bool")
    same(~a, [False, False, True], "bool")
    same(Array([6, 5]) & 3, [2, 1], "int64")
    assert (a.sum(), a.mean(), a.any(), a.all(), (~a).argmax()) == (2, 2 / 3, True, False, 2)
    for call in (lambda: a + b, lambda: -a, lambda: Array([1.0]) & Array([1.0])):
        with raises(TypeError, "bool"):
            call()
    assert bool(Array([3])) and not bool(Array([[0.0]]))
    assert int(Array([[2.5]])) == 2 and float(Array([3])) == 3.0
    for number in (int, float):
        with raises(TypeError, "expected one element", "(2,)"):
            number(Array([1, 2]))
    for a in (Array([1, 2]), Array([])):
        with raises(ValueError, "all() or any()"):
            bool(a)


@case
def others_are_asked_what_is_not_known_here():
    class Other:
        def __radd__(self, left):
            return "added"

        def __eq__(self, other):
            return "compared"

    a = Array([1, 2])
    assert a + Other() == "added" and (a == Other()) == "compared"
    for call in (lambda: a + "a", lambda: a + None, lambda: [1, 2] + a, lambda: a @ 2, lambda: pow(a, 2, 3)):
        with raises(TypeError):
            call()
    assert (a == "a") is False and (a != None) is True  # noqa: E711
    same(a + array.array("l", [1, 2]), [2, 4])
    same(array.array("d", [1, 2]) * a, [1, 4], "float64")


@case
def what_has_no_result_raises():
    for dtype in ("int32", "int64"):
        for op in (operator.floordiv, operator.mod):
            with raises(ZeroDivisionError, "0"):
                op(Array([1, 2], dtype), Array([1, 0], dtype))
        with raises(ValueError, "negative"):
            Array([2], dtype) ** -1
        least = -(2 ** (31 if dtype == "int32" else 63))
        same(Array([least], dtype) - 1, [-least - 1], dtype)
        same(-Array([least], dtype), [least], dtype)
        same(Array([least], dtype) // -1, [least], dtype)
    assert (Array([1.0]) / 0).tolist() == [math.inf]
    assert math.isnan((Array([0.0]) // 0)[0])


@case
def products_of_matrices():
    a, b = Array([[1, 2], [3, 4], [5, 6]]), Array([[1, 0, 2], [0, 1, 3]])
    for dtype in NUMBERS:
        x, y = a.astype(dtype), b.astype(dtype)
        same(x @ y, [[1, 2, 8], [3, 4, 18], [5, 6, 28]], dtype)
        same(y @ x, [[11, 14], [18, 22]], dtype)
        same(x.T @ y.T, [[11, 18], [14, 22]], dtype)
        same(x @ Array([1, 1], dtype), [3, 7, 11], dtype)
        same(Array([1, 0, 1], dtype) @ x, [6, 8], dtype)
        assert Array([1, 2], dtype) @ Array([3, 4], dtype) == 11 == cn.dot(Array([1, 2], dtype), [3, 4])
        out = cn.zeros((3, 3), dtype)
        assert cn.matmul(x, y, out=out) is out
        same(out, [[1, 2, 8], [3, 4, 18], [5, 6, 28]])
        same(x[:0] @ y, [])
        same(x[:, :0] @ y[:0], [[0, 0, 0]] * 3)
    same(a @ b.astype("float32"), [[1, 2, 8], [3, 4, 18], [5, 6, 28]], "float64")
    with raises(ValueError, "(3, 2)", "(3, 2)"):
        a @ a
    with raises(ValueError, "(3,)", "(2, 3)"):
        Array([1, 2, 3]) @ b
    square = a[:2]
    with raises(ValueError, "none of the operands"):
        cn.matmul(square, square, out=square)
    with raises(ValueError, "one dimension"):
        cn.dot(a, a)
    with raises(ValueError, "same length"):
        cn.dot([1, 2], [1, 2, 3])


# Functions


@case
def reductions_reduce():
    values = [3, -1, 4, 1, -5, 9, 2, 6]
    for dtype in NUMBERS:
        for a in (Array(values, dtype), Array([x for x in values for _ in "ab"], dtype)[::2]):
            assert cn.sum(a) == a.sum() == 19 and cn.mean(a) == 19 / 8
            assert (cn.min(a), cn.max(a), cn.argmin(a), cn.argmax(a)) == (-5, 9, 4, 5)
            assert (a.nanmin(), a.nanmax(), a.all(), a.any()) == (-5, 9, True, True)
            assert math.isclose(cn.var(a), 127.875 / 8, rel_tol=1e-6) and math.isclose(cn.std(a) ** 2, cn.var(a))
            assert math.isclose(cn.norm(a), math.sqrt(173), rel_tol=1e-6)
            kind = float if dtype in FLOATS else int
            assert type(cn.sum(a)) is type(cn.max(a)) is kind and type(cn.mean(a)) is float
    assert cn.var([1, 2, 3, 4]) == 1.25 and math.isclose(cn.var([1, 2, 3, 4], ddof=1), 5 / 3)
    assert cn.sum([2**31 - 1] * 10) == 10 * (2**31 - 1)
    assert cn.sum(Array([2**31 - 1] * 10, "int32")) == 10 * (2**31 - 1)


@case
def reductions_go_along_an_axis():
    a = Array([[1, 5, 3], [4, 2, 6]])
    for x in (a, a.astype("float32"), Array([[1, 4], [5, 2], [3, 6]], "int32").T):
        same(x.sum(0), [5, 7, 9])
        same(cn.sum(x, axis=1), [9, 12])
        same(cn.sum(x, -1, keepdims=True), [[9], [12]])
        same(x.mean(axis=0, keepdims=True), [[2.5, 3.5, 4.5]])
        same(x.max(1), [5, 6])
        same(x.argmin(0), [0, 1, 0], "int64")
        same(x.sum(keepdims=True), [[21]])
        same(x.any(0), [True] * 3, "bool")
    same(a.sum(0), [5, 7, 9], "int64")
    same(a.astype("int32").sum(0), [5, 7, 9], "int64")
    same(a.astype("float32").mean(0), [2.5, 3.5, 4.5], "float32")
    assert Array([1, 2]).sum(axis=0) == 3
    out = cn.zeros(3, "int64")
    assert cn.sum(a, axis=0, out=out) is out and out.tolist() == [5, 7, 9]
    flat = array.array("q", [0, 0, 0])
    assert cn.sum(a, 0, out=flat) is flat and flat.tolist() == [5, 7, 9]
    same(cn.zeros((0, 3)).sum(0), [0, 0, 0])
    same(cn.zeros((0, 3)).sum(1), [])
    for axis in (2, -3):
        with raises(ValueError, "axis", "2 dimensions", str(axis)):
            a.sum(axis)
    with raises(TypeError):
        a.sum("a")


@case
def nothing_has_some_reductions():
    assert cn.sum([]) == 0.0 and math.isnan(cn.mean(cn.zeros(0))) and cn.norm([]) == 0
    assert cn.all([]) is True and cn.any([]) is False
    for function in (cn.min, cn.max, cn.argmin, cn.argmax, cn.nanmin, cn.nanmax):
        with raises(ValueError, "none", "(0,)"):
            function(cn.zeros(0))
        with raises(ValueError, "none"):
            function(cn.zeros((0, 2)), axis=0)


@case
def nan_spreads():
    for dtype in FLOATS:
        for place in range(40):
            a = cn.ones(40, dtype)
            a[place] = math.nan
            assert math.isnan(a.sum()) and math.isnan(a.min()) and math.isnan(a.max()) and math.isnan(a.norm())
            assert a.argmin() == a.argmax() == place
            assert a.nanmin() == a.nanmax() == 1.0
            assert (a == a).sum() == 39 and cn.maximum(a, 0)[place] != cn.maximum(a, 0)[place]


@case
def functions_of_each_element():
    values = [0.25, 1.0, 2.0, 3.5]
    table = {
        cn.exp: math.exp,
        cn.log: math.log,
        cn.sqrt: math.sqrt,
        cn.square: lambda x: x * x,
        cn.abs: abs,
        cn.tanh: math.tanh,
        cn.sigmoid: lambda x: 1 / (1 + math.exp(-x)),
        cn.reciprocal: lambda x: 1 / x,
        cn.negative: operator.neg,
    }
    for function, expected in table.items():
        for dtype, error in (("float32", 1e-6), ("float64", 1e-15)):
            x = Array(values, dtype)
            out = cn.empty(4, dtype)
            for found in (function(x), function(x, out), function(x, out=out), function(memoryview(x))):
                assert type(found) is Array and found.dtype == dtype
                assert all(math.isclose(a, expected(b), rel_tol=error) for a, b in zip(found, values)), function
            assert function(x, out) is out
            function(x, out=x)
            assert x.tolist() == out.tolist()
    same(cn.exp(Array([0], "int32")), [1.0], "float64")
    same(cn.square(Array([-3], "int32")), [9], "int32")
    same(cn.sqrt(cn.zeros((2, 0))), [[], []])


@case
def functions_of_two():
    a, b = Array([1.0, 5.0]), Array([4.0, 2.0])
    for function, expected in [
        (cn.add, [5, 7]),
        (cn.subtract, [-3, 3]),
        (cn.multiply, [4, 10]),
        (cn.divide, [0.25, 2.5]),
        (cn.floor_divide, [0, 2]),
        (cn.remainder, [1, 1]),
        (cn.power, [1, 25]),
        (cn.minimum, [1, 2]),
        (cn.maximum, [4, 5]),
    ]:
        same(function(a, b), expected, "float64")
        x = a.copy()
        assert function(x, b, x) is x
        same(x, expected)
    same(cn.less(a, b), [True, False], "bool")
    same(cn.greater_equal(a, [1, 6]), [True, False], "bool")
    same(cn.axpy(2, a, b), [6, 12])
    assert cn.axpy(2, a, b, out=b) is b and b.tolist() == [6, 12]
    same(cn.clip([-1, 0, 5], 0, 2), [0, 0, 2], "int64")
    same(cn.clip(Array([-1, 0.5, 5], "float32"), 0, 1), [0, 0.5, 1], "float32")
    with raises(TypeError, "numbers only"):
        cn.add(1, 2)
    with raises(TypeError, "alpha"):
        cn.axpy(a, a, b)
    with raises(ValueError, "one shape"):
        cn.axpy(1, a, [1, 2, 3])


@case
def out_is_checked():
    a = Array([1.0, 2.0, 3.0])
    for kind, out, words in [
        (TypeError, cn.zeros(3, "float32"), ["float32", "float64"]),
        (TypeError, [0, 0, 0], ["writable buffer", "list"]),
        (TypeError, bytearray(24), ["format"]),
        (ValueError, cn.zeros(4), ["(4,)", "(3,)"]),
        (ValueError, cn.zeros((1, 3)), ["(1, 3)", "(3,)"]),
        (BufferError, cn.zeros(3).toreadonly(), ["read-only"]),
        (BufferError, memoryview(bytes(24)).cast("d"), ["read-only"]),
        (BufferError, memoryview(bytearray(25))[1:].cast("d"), ["aligned"]),
    ]:
        for call in (lambda: cn.exp(a, out), lambda: cn.add(a, 1, out=out), lambda: cn.axpy(1, a, a, out)):
            with raises(kind, *words):
                call()
    whole = cn.arange(6, dtype="float64")
    with raises(ValueError, "overlaps"):
        cn.exp(whole[:5], out=whole[1:])
    with raises(ValueError, "overlaps"):
        cn.add(whole[::-1], 1, out=whole)
    cn.add(whole[:3], 1, out=whole[3:])
    same(whole, [0, 1, 2, 1, 2, 3])
    with raises(ValueError, "no out"):
        cn.sum(a, out=cn.zeros(1))


@case
def arguments_are_checked():
    a = Array([1.0])
    for words, call in [
        (["exp()", "at most 2", "3"], lambda: cn.exp(a, None, None)),
        (["exp()", "argument x"], lambda: cn.exp()),
        (["unexpected keyword argument 'colour'"], lambda: cn.exp(a, colour=1)),
        (["multiple values for argument 'x'"], lambda: cn.exp(a, x=a)),
        (["sum()", "at most 2"], lambda: cn.sum(a, None, None)),
        (["add()", "argument b"], lambda: cn.add(a)),
    ]:
        with raises(TypeError, *words):
            call()


@case
def large_arrays_are_right_too():
    n = 300_001
    a = cn.arange(n)
    assert a.sum() == n * (n - 1) // 2 and a[::-1].sum() == a.sum() and a[::7].size == -(-n // 7)
    assert ((a * 2 + 1)[-1], (a > 5).sum()) == (2 * n - 1, n - 6)
    f = cn.full(n, 0.1, "float32")
    assert math.isclose(cn.mean(f), f[0], rel_tol=1e-7) and f.sum() == Array([f[0] * n], "float32")[0]
    table = cn.ones((1000, 300), "float32")
    assert table.sum() == 300_000 and table.T.sum(0).tolist() == [300.0] * 1000 and (table @ table.T)[5, 7] == 300
    assert cn.exp(cn.zeros(n)).sum() == n


# To


@case
def the_buffer_protocol_shows_it():
    for dtype, letter in [*zip(NUMBERS, "fdil"), ("bool", "?")]:
        a = cn.ones((2, 3), dtype)
        view = memoryview(a)
        assert (view.format, view.shape, view.strides, view.readonly) == (letter, (2, 3), a.strides, False)
        assert view.tolist() == a.tolist() and view.tobytes() == a.tobytes() == bytes(a)
        assert memoryview(a.T).f_contiguous and memoryview(a.toreadonly()).readonly
        assert a.T.tobytes() == memoryview(a.T).tobytes()
    a = cn.arange(6)
    view = memoryview(a)[::2]
    view[1] = 9
    assert a[2] == 9
    del a
    assert view.tolist() == [0, 9, 4]
    with raises(BufferError, "order"):
        array.array("q").frombytes(cn.arange(6)[::2])
    with raises(TypeError):
        io.BytesIO(b"data").readinto(cn.arange(6).toreadonly())
    data = bytearray()
    data += cn.ones(1, "int32")
    assert bytes(data) == b"\1\0\0\0"


@case
def the_array_interface_describes_it():
    a = cn.zeros((2, 3), "float32")
    shown = a.T.__array_interface__
    assert (shown["version"], shown["typestr"], shown["shape"], shown["strides"]) == (3, "<f4", (3, 2), (4, 12))
    address, readonly = shown["data"]
    assert readonly is False and ctypes.c_float.from_address(address).value == 0.0
    assert a.toreadonly().__array_interface__["data"] == (address, True)


@case
def dlpack_hands_it_over():
    for dtype in [*NUMBERS, "bool"]:
        a = cn.ones((2, 3), dtype)
        assert a.__dlpack_device__() == (1, 0)
        for x in (a, a.T, a[:, ::2], a[::-1], cn.zeros(0, dtype)):
            same(cn.from_dlpack(x), x.tolist(), dtype)
        b = cn.from_dlpack(a)
        b[0, 0] = 0
        assert a[0, 0] == 0
        del a
        assert b.tolist() == [[0, 1, 1], [1, 1, 1]]
    a = cn.ones(2)
    assert "dltensor_versioned" in repr(a.__dlpack__(max_version=(1, 0)))
    assert '"dltensor"' in repr(a.__dlpack__())
    assert cn.from_dlpack(a.toreadonly()).readonly
    for kind, words, keywords in [
        (ValueError, ["stream"], {"stream": 1}),
        (BufferError, ["device"], {"dl_device": (2, 0)}),
    ]:
        with raises(kind, *words):
            a.__dlpack__(**keywords)
    with raises(BufferError, "read-only"):
        a.toreadonly().__dlpack__()
    # The memory of others may only be let go of in their interpreter: a copy.
    memory = array.array("d", [1, 2])
    b = cn.from_dlpack(Array(memory))
    memory[0] = 5
    same(b, [1, 2])
    with raises(BufferError, "copied"):
        Array(memory).__dlpack__(copy=False)


@case
def dlpack_takes_what_it_gets_once():
    class Producer:
        def __init__(self, capsule, device=(1, 0)):
            self.capsule, self.device = capsule, device

        def __dlpack_device__(self):
            return self.device

        def __dlpack__(self):  # before version 1
            return self.capsule

    capsule = cn.ones(2).__dlpack__()
    same(cn.from_dlpack(Producer(capsule)), [1, 1])
    with raises(ValueError, "nobody took"):
        cn.from_dlpack(Producer(capsule))
    same(Array(Producer(cn.ones(2).__dlpack__())), [1, 1])
    with raises(ValueError, "nobody took"):
        cn.from_dlpack(Producer(5))
    with raises(BufferError, "CPU", "2"):
        cn.from_dlpack(Producer(capsule, (2, 0)))
    with raises(AttributeError):
        cn.from_dlpack([1])


@case
def pickles_make_it_again():
    for a in (cn.arange(5), cn.ones((2, 3), "float32"), cn.ones((2, 3)).T, cn.zeros(0), Array([True]), cn.arange(9)[::2]):
        for protocol in range(2, 6):
            again = pickle.loads(pickle.dumps(a, protocol))
            same(again, a.tolist(), a.dtype)
            assert again.shape == a.shape and not again.readonly
            again.fill(1)
    a = cn.arange(5)
    buffers = []
    data = pickle.dumps(a, 5, buffer_callback=buffers.append)
    again = pickle.loads(data, buffers=buffers)
    again[0] = 7
    assert len(data) < 150 and a[0] == 7
    with raises(ValueError, "expected the memory"):
        pickle.loads(data, buffers=[bytes(7)])


@case
def elements_come_out():
    assert Array([[5]]).item() == 5 and type(Array([5.0]).item()) is float
    with raises(ValueError, "one element", "(2,)"):
        Array([1, 2]).item()
    assert 2 in Array([1, 2]) and 3 not in Array([1, 2])
    same(Array([1.9, -1.9, 1e20, math.nan]).astype("int32"), [1, -1, 2**31 - 1, 0], "int32")
    same(Array([0, 2]).astype(bool), [False, True], "bool")
    same(Array([math.nan, 0.0]).astype("bool"), [True, False])
    a = Array([1])
    assert a.astype("int64", copy=False) is a and a.astype("int64") is not a


# The engine


@case
def an_engine_computes():
    for threads in (None, 1, 2, 3):
        engine = ComputeEngine(threads)
        assert engine.num_threads == threads or threads is None and engine.num_threads >= 1
        assert str(engine.num_threads) in repr(engine)
        a = cn.arange(200_000, dtype="float64")
        assert engine.sum(a) == a.sum() and engine.mean(a) == a.mean() and engine.max(a) == 199_999
        assert engine.dot(a, a) == cn.dot(a, a) and engine.norm(a) == a.norm()
        assert engine.std(a, ddof=1) == a.std(ddof=1) and engine.var(a) == a.var() and engine.min(a) == 0
        assert engine.transform("exp", a).tolist() == cn.exp(a).tolist()
        out = cn.empty(200_000)
        assert engine.transform("sqrt", a, out=out) is out and out[4] == 2
        assert engine.parallel_reduce("sum", a.reshape(2, -1), axis=1).tolist() == a.reshape(2, -1).sum(1).tolist()
        assert engine.parallel_reduce("argmax", a) == 199_999
        assert engine.axpy(2, a, a)[3] == 9.0
        same(engine.matmul([[1, 2]], [[3], [4]]), [[11]])


@case
def an_engine_refuses():
    for threads in (0, -1, 1025, 10**9):
        with raises(ValueError, "num_threads", str(threads)):
            ComputeEngine(threads)
    with raises(TypeError):
        ComputeEngine("two")
    engine = ComputeEngine(1)
    with raises(ValueError, "exp", "sqrt", "cosinus"):
        engine.transform("cosinus", [1.0])
    with raises(ValueError, "argmax", "product"):
        engine.parallel_reduce("product", [1.0])
    with raises(TypeError, "name", "int"):
        engine.transform(5, [1.0])


@case
def an_expression_is_computed_in_one_pass():
    for threads in (1, 2):
        engine = ComputeEngine(threads)
        x, y = cn.arange(100_000, dtype="float64"), cn.ones(100_000)
        assert engine.evaluate("a*x + y", a=2.0, x=x, y=y)[7] == 15
        out = cn.empty(100_000)
        assert engine.evaluate("(x - 1)**2 / 2", x=x, out=out) is out and out[4] == 4.5
        # In place, over a buffer of something else, with rows and columns that repeat, with gaps.
        assert engine.evaluate("-x", x=x, out=x) is x and x[3] == -3
        same(engine.evaluate("a + b", a=array.array("d", [1, 2]), b=[[10.0], [20.0]]), [[11, 12], [21, 22]])
        same(engine.evaluate("x + x", x=cn.arange(6)[::-2]), [10, 6, 2])
        same(engine.parallel_map("square", [1, 2, 3]), [1, 4, 9])
        same(engine.parallel_map("max(x, 2)", [1, 2, 3]), [2, 2, 3])


@case
def numbers_of_an_expression_take_the_dtype_of_its_arrays():
    engine = ComputeEngine(1)
    assert engine.evaluate("a*x", a=2.5, x=Array([1], "float32")).dtype == "float32"
    assert engine.evaluate("a*x", a=2, x=Array([1], "int32")).dtype == "int32"
    assert engine.evaluate("a*x", a=2.5, x=Array([1], "int32")).dtype == "float64"
    assert engine.evaluate("x + y", x=Array([1], "int64"), y=Array([1], "float32")).dtype == "float64"


@case
def an_expression_that_is_none_is_refused():
    engine = ComputeEngine(1)
    x = cn.ones(3)
    for text, words in {
        "x + z": ("z", "column 5", "x"),
        "x +": ("column",),
        "sin(x)": ("sin", "exp"),
        "x; y": (";",),
        "": ("column",),
    }.items():
        with raises(ValueError, *words):
            engine.evaluate(text, x=x)
    with raises(ValueError, "array", "numbers"):
        engine.evaluate("x", x=1.0)
    with raises(ValueError, "(2,)", "(3,)"):
        engine.evaluate("x + y", x=x, y=cn.ones(2))
    with raises(ValueError, "shape"):
        engine.evaluate("x + 1", x=x, out=cn.empty(4))
    with raises(TypeError, "bool"):
        engine.evaluate("x + x", x=x > 0)
    with raises(TypeError, "x", "None"):
        engine.evaluate("x + x", x=None)
    with raises(TypeError, "positional", "2"):
        engine.evaluate("x", x)
    with raises(TypeError, "expression", "int"):
        engine.evaluate(5, x=x)
