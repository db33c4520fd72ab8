"""Numeric kernels beside NumPy, SciPy, numexpr, polars and plain Python, as a Python program sees them.

    main.py [--quick] [--json FILE] [WORD]      a word leaves only the cases whose name contains it

`cargo xtask bench simd` runs this where the packages are. Every answer is checked before it is timed; the sides take turns, and
what is told is the median. Each side has one thread, but for the cases that say otherwise. Lower is better; above 1 the ratio says
by how much Covet is ahead.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

import cases
import errors
import numpy as np
import timing
from covet_py import PoolExecutor
from table import Table
from timing import FULL, QUICK, medians

GROUPS = (cases.calls, cases.reductions, cases.maps, cases.fused, cases.allocating, cases.products, cases.threads)
# What a result may be off by, beside one in float64; sums of many numbers are off by more than one.
TOLERANCE = {"float32": 1e-4, "float64": 1e-11, "int32": 0, "int64": 0}


def measure(group, effort, word, suffix=""):
    """Yields (case, unit, Covet's value, the peer, its value, samples)."""
    for case in group():
        name = case.name + suffix
        if word not in name:
            continue
        sides = {"covet": case.covet, **case.peers}
        expected = eval(case.expected, case.names)
        for side, statement in sides.items():
            check(f"{side}: {statement}", eval(statement, case.names), expected, case.names["x"].dtype)
        (ours, *theirs), rounds = medians([timing.sampler(statement, case.names) for statement in sides.values()], effort)
        for peer, value in zip(case.peers, theirs):
            yield name, "us", ours, peer, value, rounds


def check(what, found, expected, dtype):
    # A sum near 0 is what is left of larger numbers.
    scale = max(1.0, float(np.max(np.abs(expected))))
    if not np.allclose(np.asarray(found, float), expected, TOLERANCE[str(dtype)], TOLERANCE[str(dtype)] * scale):
        raise AssertionError(f"expected {expected!r:.300}, found {found!r:.300} by {what}")


def further_interpreter(effort, word):
    """The same call in an interpreter with a GIL of its own, where NumPy does not load by itself."""
    with PoolExecutor(1) as pool:
        for n in (1_000, 100_000):
            name = f"in a further interpreter: {cases.title('sum', 'float32', n)}"
            if word not in name:
                continue
            setup = f"import array, covet_py.numeric as cn; x = cn.Array(array.array('f', range({n})))"
            names = {"nx": np.arange(n, dtype=np.float32)}
            exec(setup, names)
            check("a further interpreter", pool.call(timing.answer, setup, "cn.sum(x)"), names["nx"].sum(dtype=float), "float32")
            samplers = [lambda number: pool.call(timing.sample, setup, "cn.sum(x)", number)]
            peers = {"covet, in main": "cn.sum(x)", "numpy, in main": "nx.sum()"}
            samplers += [timing.sampler(statement, names) for statement in peers.values()]
            (ours, *theirs), rounds = medians(samplers, effort)
            for peer, value in zip(peers, theirs):
                yield name, "us", ours, peer, value, rounds


def on_avx2(effort, word):
    """exp and log where neither side may use AVX-512."""
    environment = os.environ | {"COVET_SIMD": "avx2", "NPY_DISABLE_CPU_FEATURES": " ".join(above_avx2())}
    command = [sys.executable, __file__, "--inside", json.dumps([effort is QUICK, word])]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    yield from json.loads(output)


def above_avx2():
    """The names that NumPy has for what it may use above AVX2, on this processor."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    return [name for name in __cpu_dispatch__ if ("AVX512" in name or name == "X86_V4") and __cpu_features__[name]]


def inside(quick, word):
    """What the process of `on_avx2` does."""
    if left := above_avx2():
        raise AssertionError(f"expected a NumPy without AVX-512; found {left}")
    print(json.dumps(list(measure(cases.exponentials, QUICK if quick else FULL, word, ", AVX2"))))


def accuracy(effort, word):
    quick = effort is QUICK
    for case, ours, theirs in (*errors.functions(100_000 if quick else 2_000_000), *errors.reductions(10**6 if quick else 10**7)):
        if word in case:
            # A ratio of what is exact would be infinite.
            yield case, "ULP", max(ours, 1e-3), "numpy", max(theirs, 1e-3), 1


def main():
    parser = argparse.ArgumentParser(description="Numeric kernels beside those that people use.")
    parser.add_argument("word", nargs="?", default="")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        return inside(*json.loads(given.inside))
    raise_priority()
    effort = QUICK if given.quick else FULL
    table = Table("simd")
    for group in GROUPS:
        for row in measure(group, effort, given.word):
            table.add(*row)
    for group in (on_avx2, further_interpreter, accuracy):
        for row in group(effort, given.word):
            table.add(*row)
    if given.json:
        table.write(given.json)


def raise_priority():
    """Only in a session of its own, where this lifts nothing but this program: the scheduler shares cores between sessions first."""
    try:
        os.setsid()
        pathlib.Path("/proc/self/autogroup").write_text("-20")
    except OSError:
        print("note: this session's priority cannot be raised here; other work may show in the figures")


if __name__ == "__main__":
    main()
