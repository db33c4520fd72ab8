"""Arrays beside NumPy: the same memory, and the same results."""

import operator
import warnings

import pytest

import covet_py.numeric as cn
from covet_py import Array

np = pytest.importorskip("numpy")

DTYPES = ["float32", "float64", "int32", "int64"]
LAYOUTS = {
    "vector": lambda a: a,
    "steps": lambda a: a[::3],
    "backwards": lambda a: a[::-1],
    "table": lambda a: a.reshape(8, 15),
    "columns": lambda a: a.reshape(8, 15).T,
    "part": lambda a: a.reshape(8, 15)[1:7:2, ::-2],
}


def numbers(dtype, seed=5):
    found = np.random.default_rng(seed).normal(0, 9, 120)
    return found.astype(dtype)


@pytest.fixture(params=DTYPES)
def dtype(request):
    return request.param


@pytest.fixture(params=LAYOUTS.values(), ids=LAYOUTS)
def layout(request):
    return request.param


def equal(ours, theirs, **tolerance):
    ours = np.asarray(ours)
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, **(tolerance or {"rtol": 0}))


def test_memory_is_shared_both_ways(dtype, layout):
    theirs = layout(numbers(dtype))
    ours = Array(theirs)
    assert (ours.shape, ours.strides, ours.dtype) == (theirs.shape, theirs.strides, dtype)
    for back in (np.asarray(ours), np.asarray(memoryview(ours)), np.array(ours, copy=False)):
        assert back.dtype == theirs.dtype and np.shares_memory(back, theirs)
    equal(ours, theirs)
    copied = Array(theirs, copy=True)
    for back in (np.asarray(copied), np.from_dlpack(copied)):
        back[...] = 7
        assert back.dtype == theirs.dtype and (np.asarray(copied) == 7).all()
    equal(cn.from_dlpack(theirs), theirs)


def test_what_is_no_array_here():
    for found, kind, words in [
        (np.zeros(3, ">f4"), TypeError, "byte order"),
        (np.zeros(3, "float16"), TypeError, "format"),
        (np.zeros(3, "complex64"), TypeError, "format"),
        (np.zeros(3, "uint8"), TypeError, "format"),
        (np.array([object()]), TypeError, "format"),
        (np.zeros((2, 2, 2)), ValueError, "dimensions, found 3"),
        (np.array(5.0), ValueError, "dimensions, found 0"),
    ]:
        with pytest.raises(kind, match=words):
            Array(found)
    fixed = np.zeros(3)
    fixed.flags.writeable = False
    assert Array(fixed).readonly
    with pytest.raises(BufferError, match="read-only"):
        cn.exp([1.0, 2, 3], out=fixed)
    # The second field of a structure does not lie at a multiple of its size.
    fields = np.zeros(4, [("a", "i1"), ("b", "f8")])["b"]
    assert Array(fields).tolist() == [0.0] * 4 and cn.sum(fields) == 0.0
    with pytest.raises(ValueError, match="not aligned"):
        Array(fields, copy=False)


def test_dtypes_and_scalars_are_known():
    for name in DTYPES:
        for dtype in (np.dtype(name), getattr(np, name), name):
            assert cn.zeros(2, dtype).dtype == name
        scalar = getattr(np, name)(3)
        assert Array([scalar, scalar]).tolist() == [3, 3]
        assert (Array([1, 2]) * scalar).tolist() == [3, 6]
        assert (Array([1.5]) + np.array(2.0)).tolist() == [3.5]
    assert (np.zeros(3) + Array([1, 2, 3])).tolist() == [1, 2, 3]
    assert (Array([1, 2, 3]) + np.ones(3)).tolist() == [2, 3, 4]


def test_functions_of_each_element(dtype, layout):
    x = layout(numbers(dtype))
    positive = abs(x) + 1
    pairs = [
        (cn.square(x), np.square(x)),
        (cn.abs(x), abs(x)),
        (cn.negative(x), -x),
        (cn.clip(x, -3, 4), np.clip(x, -3, 4)),
    ]
    if dtype != "int32":  # those of NumPy's are float64, as ours
        pairs.append((cn.sqrt(positive), np.sqrt(positive)))
    for ours, theirs in pairs:
        equal(ours, theirs)
    tolerance = {"rtol": 5e-7 if dtype == "float32" else 1e-15}
    for ours, theirs in [
        (cn.exp(x), np.exp(x)),
        (cn.log(positive), np.log(positive)),
        (cn.tanh(x), np.tanh(x)),
    ]:
        equal(ours, theirs, **tolerance)
    # Out may be theirs.
    out = np.empty(x.shape, np.exp(x).dtype)
    assert cn.exp(x, out=out) is out
    equal(out, np.exp(x), **tolerance)


@pytest.mark.parametrize("right", DTYPES)
def test_operators(dtype, right, layout):
    a, b = layout(numbers(dtype)), layout(numbers(right, 6))
    b[abs(b) < 1] = 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for op in (operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod, operator.lt, operator.eq):
            equal(op(Array(a), Array(b)), op(a, b))
            equal(op(Array(a), 3), op(a, 3))
        equal(Array(a) / Array(b), np.true_divide(a, b), rtol=1e-6)
        equal(cn.minimum(a, b), np.minimum(a, b))
        equal(cn.maximum(a, b), np.maximum(a, b))


def test_shapes_that_repeat(dtype):
    table = numbers(dtype).reshape(8, 15)
    for other in (table[0], table[:, :1], table[:1], table[:1, :1], table[0, :1]):
        equal(Array(table) + Array(other), table + other)
        equal(Array(other) * Array(table.copy()), other * table)
    equal(Array(table[:, 0].copy()) - Array(table.T.copy()), table[:, 0] - table.T)


def test_reductions(dtype, layout):
    x = layout(numbers(dtype))
    for axis in [None, *range(x.ndim)]:
        for keepdims in (False, True):
            keywords = {"axis": axis, "keepdims": keepdims}
            for name in ("min", "max", "argmin", "argmax", "all", "any"):
                ours, theirs = getattr(cn, name)(x, **keywords), getattr(np, name)(x, **keywords)
                if axis is None and not keepdims or x.ndim == 1 and not keepdims:
                    assert ours == theirs
                else:
                    equal(ours, theirs)
            wide = x.astype("float64")
            for name in ("sum", "mean", "var", "std"):
                ours, theirs = getattr(cn, name)(x, **keywords), getattr(np, name)(wide, **keywords)
                np.testing.assert_allclose(np.asarray(ours), theirs, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(cn.norm(x), np.linalg.norm(x.astype("float64")), rtol=1e-6)


def test_products(dtype, layout):
    a = layout(numbers(dtype))
    if a.ndim == 1:
        np.testing.assert_allclose(cn.dot(a, a), np.dot(a.astype("float64"), a), rtol=1e-5)
        return
    expected = a.astype("float64") @ a.T.astype("float64")
    np.testing.assert_allclose(np.asarray(cn.matmul(a, a.T)), expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(np.asarray(Array(a) @ Array(a[0].copy())), a.astype("float64") @ a[0], rtol=1e-4, atol=1e-3)


def test_what_is_special():
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 3.4e38, -3.4e38, 1.0, -1.0, 88.8, -104.0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for dtype in ("float32", "float64"):
            x = np.array(special, dtype)
            for name in ("exp", "log", "sqrt", "square", "tanh", "abs", "negative", "reciprocal"):
                ours, theirs = np.asarray(getattr(cn, name)(x)), getattr(np, name)(x)
                np.testing.assert_allclose(ours, theirs, rtol=1e-6)
                kept = ~np.isnan(theirs)
                assert (np.signbit(ours) == np.signbit(theirs))[kept].all(), name
            for op in (operator.floordiv, operator.mod, operator.add, operator.lt, operator.eq, operator.pow):
                pairs = np.repeat(x, len(x)), np.tile(x, len(x))
                np.testing.assert_allclose(np.asarray(op(Array(pairs[0]), Array(pairs[1]))), op(*pairs), rtol=1e-6)
