"""How far results are from the exact ones, in units of the last place of the result's dtype."""

import covet_py.numeric as cn
import numpy as np

# Where a function of random numbers is tried: all that it does not overflow for.
RANGES = {("exp", "float32"): (-87, 88), ("exp", "float64"): (-708, 709), ("log", "float32"): (0, 3e38), ("log", "float64"): (0, 1e300)}


def ulps(found, exact, dtype):
    """The greatest distance. `exact` is of a wider type, and its neighbours in `dtype` say what a unit is."""
    unit = np.spacing(np.abs(exact).astype(dtype)).astype(exact.dtype)
    return float(np.max(np.abs(np.asarray(found).astype(exact.dtype) - exact) / unit))


def functions(count):
    """(case, Covet's greatest error, NumPy's) over random numbers: all magnitudes, and once more those near 1."""
    random = np.random.default_rng(11)
    for (what, dtype), (low, high) in RANGES.items():
        if what == "exp":
            x = np.concatenate([random.uniform(low, high, count), random.uniform(-1, 1, count)])
        else:
            x = np.concatenate([np.exp(random.uniform(-80, np.log(high), count)), random.uniform(0.5, 2, count)])
        x = x.astype(dtype)
        exact = getattr(np, what)(x.astype(np.longdouble))
        ours, theirs = (ulps(getattr(library, what)(x), exact, dtype) for library in (cn, np))
        yield f"error of {what} {dtype.replace('loat', '')}", ours, theirs


def reductions(n):
    """The same of sums of so many numbers between 0 and 1."""
    random = np.random.default_rng(11)
    x, y = (random.random(n, np.float32) for _ in range(2))
    wide, other = (array.astype(np.longdouble) for array in (x, y))
    for what, exact, ours, theirs in (
        ("sum", wide.sum(), cn.sum(x), x.sum()),
        ("dot", (wide * other).sum(), cn.dot(x, y), x.dot(y)),
        ("l2", np.sqrt((wide * wide).sum()), cn.norm(x), np.linalg.norm(x)),
    ):
        yield f"error of {what} f32 {n:.0e}".replace("e+0", "e"), ulps(ours, exact, "float32"), ulps(theirs, exact, "float32")
