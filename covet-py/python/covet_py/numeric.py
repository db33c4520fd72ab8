"""Functions of arrays, under the names that NumPy has for them.

    import covet_py.numeric as cn

    cn.exp(x)            # x is anything with the buffer protocol: Array, array.array, a cast memoryview, a NumPy array
    cn.sum(x, axis=0)
    cn.add(a, b, out=c)

They are no attributes of `covet_py` itself, where `sum`, `min` or `abs` would hide Python's own. They work in every interpreter, and
cost a fraction of a microsecond beside the computation. A function gives the GIL up if it takes more than some five
microseconds, and uses other threads if it takes more than a hundred; the result does not depend on their number, but for the
last bits of large products of matrices.

Without `axis`, what makes one number of many returns a Python number. Everything else returns a new `Array`, or writes into `out`, an
Array or a writable buffer of the dtype and shape of the result, which may be an input but must not overlap one otherwise. Numbers have
no dtype of their own: float32 times 2.5 is float32. Two dtypes become the one that holds both, as in NumPy.

Raises TypeError for a dtype, ValueError for a shape, BufferError for memory that cannot be used, and says what was expected.
"""

from covet_py._native import (
    Array,
    abs,
    add,
    all,
    any,
    arange,
    argmax,
    argmin,
    axpy,
    clip,
    divide,
    dot,
    empty,
    equal,
    exp,
    floor_divide,
    from_dlpack,
    full,
    greater,
    greater_equal,
    less,
    less_equal,
    log,
    matmul,
    max,
    maximum,
    mean,
    min,
    minimum,
    multiply,
    nanmax,
    nanmin,
    negative,
    norm,
    not_equal,
    ones,
    power,
    reciprocal,
    release_memory,
    remainder,
    sigmoid,
    sqrt,
    square,
    std,
    subtract,
    sum,
    tanh,
    var,
    zeros,
)

__all__ = [
    "Array",
    "abs",
    "add",
    "all",
    "any",
    "arange",
    "argmax",
    "argmin",
    "axpy",
    "clip",
    "divide",
    "dot",
    "empty",
    "equal",
    "exp",
    "floor_divide",
    "from_dlpack",
    "full",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
    "log",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "multiply",
    "nanmax",
    "nanmin",
    "negative",
    "norm",
    "not_equal",
    "ones",
    "power",
    "reciprocal",
    "release_memory",
    "remainder",
    "sigmoid",
    "sqrt",
    "square",
    "std",
    "subtract",
    "sum",
    "tanh",
    "var",
    "zeros",
]
