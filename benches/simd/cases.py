"""What is timed. A case is a line of Covet's beside lines of its peers, each over operands of its own with the same values.

In the statements `x`, `y`, `out` are Covet's arrays, `nx`, `ny`, `nout` NumPy's, `px` is polars' and `lx` a list. What they
should answer is told by a statement over `dx` and `dy`, the same values as float64.
"""

import math
from typing import NamedTuple

import covet_py.numeric as cn
import numexpr as ne
import numpy as np
import polars as pl
from covet_py import ComputeEngine
from scipy.linalg import blas

SHORT = {"float32": "f32", "float64": "f64", "int32": "i32", "int64": "i64"}
# The prefix of a routine's name in BLAS.
PREFIX = {"float32": "s", "float64": "d"}


class Case(NamedTuple):
    name: str
    names: dict
    expected: str
    covet: str
    peers: dict


def title(what, dtype, n):
    mantissa, exponent = f"{n:e}".split("e")
    size = f"1e{int(exponent)}" if float(mantissa) == 1 else str(n)
    return f"{what} {SHORT[dtype]} {size}"


def operands(dtype, n, short=False):
    """The names of a case. A list is only made of a short one."""
    random = np.random.default_rng(7)
    dx, dy = (random.uniform(1, 10, n) for _ in range(2))
    nx, ny = dx.astype(dtype), dy.astype(dtype)
    names = {"nx": nx, "ny": ny, "nout": np.empty_like(nx), "dx": nx.astype(float), "dy": ny.astype(float)}
    names |= {name: covets(array) for name, array in (("x", nx), ("y", ny), ("out", nx))}
    names |= {"px": pl.Series(nx), "py": pl.Series(ny)}
    if short:
        names |= {"lx": nx.tolist(), "ly": ny.tolist()}
    return names | libraries()


def covets(array):
    """The same values in memory of Covet's."""
    own = cn.empty(array.shape, str(array.dtype))
    np.copyto(np.asarray(own), array)
    return own


def libraries():
    return {"cn": cn, "np": np, "ne": ne, "blas": blas, "math": math, "one": ComputeEngine(1), "two": ComputeEngine(2)}


def calls():
    """What a call costs: so few elements that NumPy does little else."""
    names = operands("float32", 1000, short=True)
    for what, expected, covet, peers in (
        ("sum", "dx.sum()", "cn.sum(x)", {"numpy": "nx.sum()", "polars": "px.sum()", "a Python list": "sum(lx)"}),
        ("mean", "dx.mean()", "cn.mean(x)", {"numpy": "nx.mean()", "polars": "px.mean()", "a Python list": "sum(lx) / len(lx)"}),
        ("exp", "np.exp(dx)", "cn.exp(x, out)", functions("exp") | {"a Python list": "[math.exp(value) for value in lx]"}),
        (
            "l2",
            "np.linalg.norm(dx)",
            "cn.norm(x)",
            {"numpy": "np.linalg.norm(nx)", "scipy": "blas.snrm2(nx)", "a Python list": "math.sqrt(sum([value * value for value in lx]))"},
        ),
    ):
        yield Case(title(what, "float32", 1000), names, expected, covet, peers)
    peers = {"covet, its own Array": "cn.sum(x)", "numpy": "nx.sum()"}
    yield Case("sum f32 1e3 of NumPy's array", names, "dx.sum()", "cn.sum(nx)", peers)
    peers = {"covet, numeric": "cn.sum(x)", "numpy": "nx.sum()"}
    yield Case("sum f32 1e3 by ComputeEngine", names, "dx.sum()", "one.sum(x)", peers)


def reductions():
    for what, dtypes in (("sum", ("float32", "int32", "float64", "int64")), ("mean", ("float32", "float64")), ("max", ("float32", "float64"))):
        for dtype in dtypes:
            peers = {"numpy": f"nx.{what}()", "polars": f"px.{what}()"}
            own = {"sum": "sum(lx)", "mean": "sum(lx) / len(lx)", "max": "max(lx)"}[what]
            names = operands(dtype, 100_000, short=True)
            yield Case(title(what, dtype, 100_000), names, f"dx.{what}()", f"cn.{what}(x)", peers | {"a Python list": own})
    for dtype in PREFIX:
        names, prefix = operands(dtype, 100_000, short=True), PREFIX[dtype]
        peers = {"numpy": "np.dot(nx, ny)", "scipy": f"blas.{prefix}dot(nx, ny)", "polars": "px.dot(py)"}
        peers["a Python list"] = "sum([a * b for a, b in zip(lx, ly)])"
        yield Case(title("dot", dtype, 100_000), names, "np.dot(dx, dy)", "cn.dot(x, y)", peers)
        peers = {"numpy": "np.linalg.norm(nx)", "scipy": f"blas.{prefix}nrm2(nx)"}
        yield Case(title("l2", dtype, 100_000), names, "np.linalg.norm(dx)", "cn.norm(x)", peers)


def functions(what):
    peers = {"numpy, out=": f"np.{what}(nx, nout)", "numpy": f"np.{what}(nx)"}
    if what != "square":
        peers |= {"numexpr": f"ne.evaluate('{what}(nx)', out=nout)", "polars": f"px.{what}()"}
    return peers


def maps():
    for what in ("exp", "log", "sqrt", "square"):
        for dtype in PREFIX:
            names = operands(dtype, 100_000)
            yield Case(title(what, dtype, 100_000), names, f"np.{what}(dx)", f"cn.{what}(x, out)", functions(what))
    for dtype in PREFIX:
        peers = {"numpy, out=": "np.add(nx, ny, nout)", "numpy": "nx + ny", "polars": "px + py"}
        yield Case(title("add", dtype, 100_000), operands(dtype, 100_000), "dx + dy", "cn.add(x, y, out)", peers)


def exponentials():
    """Those of the maps that NumPy has other code for on each processor."""
    for what in ("exp", "log"):
        for dtype in PREFIX:
            peers = {"numpy, out=": f"np.{what}(nx, nout)"}
            yield Case(title(what, dtype, 100_000), operands(dtype, 100_000), f"np.{what}(dx)", f"cn.{what}(x, out)", peers)


def fused():
    """Two operations in one pass over memory."""
    for n in (100_000, 10_000_000):
        peers = {
            "numpy, out=": "np.add(np.multiply(2.5, nx, nout), ny, nout)",
            "numpy": "2.5 * nx + ny",
            "numexpr": "ne.evaluate('a * nx + ny', {'a': np.float32(2.5)}, out=nout)",
            "polars": "2.5 * px + py",
        }
        names = operands("float32", n)
        yield Case(title("axpy", "float32", n), names, "2.5 * dx + dy", "cn.axpy(2.5, x, y, out)", peers)
        call = "one.evaluate('a*x + y', a=2.5, x=x, y=y, out=out)"
        yield Case(title("a*x + y by evaluate", "float32", n), names, "2.5 * dx + dy", call, peers)
        peers = {
            "numpy": "(nx - ny) ** 2 / (1 + nx * ny)",
            "numexpr": "ne.evaluate('(nx - ny) ** 2 / (1 + nx * ny)', out=nout)",
            "polars": "(px - py) ** 2 / (1 + px * py)",
        }
        expected = "(dx - dy) ** 2 / (1 + dx * dy)"
        call = "one.evaluate('(x - y)**2 / (1 + x*y)', x=x, y=y, out=out)"
        yield Case(title("five operations by evaluate", "float32", n), names, expected, call, peers)
        # Each adds to operands of its own, which grow from call to call; only the first is checked.
        names |= {"nz": names["ny"].copy(), "nw": names["ny"].copy()}
        peers = {"numpy": "np.add(np.multiply(2.5, nx, nout), nz, nz)", "scipy": "blas.saxpy(nx, nw, a=2.5)"}
        yield Case(title("axpy in place", "float32", n), names, "2.5 * dx + dy", "cn.axpy(2.5, x, y, y)", peers)


def allocating():
    """A new array for each result, and arrays so large that the system gives fresh pages for each."""
    n = 10_000_000
    names = operands("float32", n)
    for what, expected, covet, peers in (
        ("exp", "np.exp(dx)", "cn.exp(x)", {"numpy": "np.exp(nx)", "numpy, out=": "np.exp(nx, nout)"}),
        ("square", "np.square(dx)", "cn.square(x)", {"numpy": "np.square(nx)", "numpy, out=": "np.square(nx, nout)"}),
        ("add", "dx + dy", "x + y", {"numpy": "nx + ny", "numpy, out=": "np.add(nx, ny, nout)", "polars": "px + py"}),
    ):
        yield Case(title(f"new array: {what}", "float32", n), names, expected, covet, peers)
    # Nothing is gained by arrays that are not made anew.
    for what in ("sum", "mean"):
        yield Case(title(what, "float32", n), names, f"dx.{what}()", f"cn.{what}(x)", {"numpy": f"nx.{what}()"})


def products():
    sizes = {"float32": (32, 64, 128, 256, 512, 1024, 2048), "float64": (32, 64, 128, 256, 1024, 2048)}
    for dtype, all_sizes in sizes.items():
        for n in all_sizes:
            random = np.random.default_rng(7)
            nx, ny = (random.uniform(-1, 1, (n, n)).astype(dtype) for _ in range(2))
            names = libraries() | {"nx": nx, "ny": ny, "nout": np.empty_like(nx), "dx": nx.astype(float), "dy": ny.astype(float)}
            names |= {"x": covets(nx), "y": covets(ny), "out": covets(nx)}
            yield Case(
                f"matmul {SHORT[dtype]} {n}", names, "dx @ dy", "cn.matmul(x, y, out)", {"numpy, out=": "np.matmul(nx, ny, nout)"}
            )


def threads():
    """What a second thread brings: never a loss, and twice the speed where there is enough to do."""
    for n in (1_000, 100_000, 1_000_000, 10_000_000):
        names = operands("float32", n)
        calls = {what: f"parallel_reduce('{what}', x)" for what in ("sum", "max", "argmax", "norm", "var")}
        calls |= {what: f"transform('{what}', x, out)" for what in ("square", "sqrt", "exp", "log", "tanh", "sigmoid")}
        calls |= {"dot": "dot(x, y)", "axpy": "axpy(2.5, x, y, out)"}
        for what, call in calls.items():
            yield against_one_thread(title(what, "float32", n), names, call)
    for n in (32, 128, 512, 1024):
        x = covets(np.random.default_rng(7).uniform(-1, 1, (n, n)).astype("float32"))
        names = libraries() | {"x": x, "out": covets(np.asarray(x))}
        yield against_one_thread(f"matmul f32 {n}", names, "matmul(x, x, out)")


def against_one_thread(name, names, call):
    return Case(f"two threads: {name}", names, f"np.array(one.{call})", f"two.{call}", {"covet, one thread": f"one.{call}"})
