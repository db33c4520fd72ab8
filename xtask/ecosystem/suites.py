"""Runs a part of a package's own tests in two interpreters at the same time, and in a process without Covet.

    suites.py two PACKAGE --extensions E --out FILE     both, and what they have different
    suites.py main PACKAGE --out FILE                   the process without Covet

`cargo xtask ecosystem --tests` calls it. The exit code is 1 if a test that passes in main fails in an interpreter, unless because
of what no interpreter but main may do.
"""

import argparse
import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

SUITES = {
    "greenlet": ["greenlet.tests"],
    "h5py": ["h5py.tests"],
    "numpy": [f"numpy.{part}.tests" for part in ("_core", "lib", "ma", "fft", "linalg", "polynomial")],
    "pandas": [f"pandas.tests.{part}" for part in ("groupby", "series", "reshape")],
    "pyarrow": [f"pyarrow.tests.{part}" for part in ("test_array", "test_compute", "test_table", "test_types", "parquet")],
    "scikit-learn": ["sklearn.linear_model", "sklearn.tree"],
    "scipy": [f"scipy.{part}.tests" for part in ("linalg", "fft", "interpolate")],
    "shapely": ["shapely.tests"],
}

NOT_ALLOWED = (
    "fork not supported for isolated subinterpreters",
    "daemon threads are disabled",
    "signal only works in main thread of the main interpreter",
    "faulthandler is for the whole process",
)


class Outcomes:
    """A plugin of pytest: which tests passed, and why others failed."""

    def __init__(self):
        self.passed, self.failed = [], {}

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed[report.nodeid] = str(report.longrepr)[-2000:]
        elif report.when == "call" and report.passed:
            self.passed.append(report.nodeid)

    def pytest_collectreport(self, report):
        if report.failed:
            self.failed[report.nodeid] = str(report.longrepr)[-2000:]


def run_suite(package, folder):
    """Runs the tests in the calling interpreter; returns the names of those that passed, and what others said."""
    import pytest

    outcomes = Outcomes()
    temporary = tempfile.mkdtemp(dir=folder)
    words = f"-q --capture=sys -p no:cacheprovider -p no:faulthandler -o addopts= --rootdir={folder} --basetemp={temporary}/base"
    with open(os.path.join(temporary, "log"), "w") as log:
        before, sys.stdout = sys.stdout, log
        try:
            pytest.main([*words.split(), "--pyargs", *SUITES[package]], [outcomes])
        finally:
            sys.stdout = before
    return outcomes.passed, outcomes.failed


def run_in_two(package, extensions, folder):
    import covet_py

    started = time.perf_counter()
    with covet_py.PoolExecutor(2, extensions=extensions) as pool:
        found = [future.result() for future in pool.broadcast(run_suite, package, folder)]
    return found, time.perf_counter() - started


def run_in_main(package, folder):
    """In a process of its own, which has never seen another interpreter."""
    out = os.path.join(folder, "main.json")
    started = time.perf_counter()
    subprocess.run([sys.executable, __file__, "main", package, "--out", out], check=True)
    return json.loads(pathlib.Path(out).read_text()), time.perf_counter() - started


def compare(package, extensions, folder):
    """What the two interpreters did, beside main."""
    two, two_seconds = run_in_two(package, extensions, folder)
    (passed, failed), main_seconds = run_in_main(package, folder)
    passed = set(passed)
    not_allowed, lost = set(), {}
    for _, failed_here in two:
        for test in failed_here.keys() & passed:
            if any(reason in failed_here[test] for reason in NOT_ALLOWED):
                not_allowed.add(test)
            else:
                lost[test] = failed_here[test]
    return {
        "what": ", ".join(SUITES[package]),
        "main": f"{len(passed)} passed, {len(failed)} failed",
        "two": [len(passed_here) for passed_here, _ in two],
        "not_allowed": len(not_allowed),
        "lost": len(lost),
        "examples": dict(list(lost.items())[:20]),
        "seconds": f"{two_seconds:.0f} (main {main_seconds:.0f})",
    }


def main():
    parser = argparse.ArgumentParser(description="Runs a package's own tests in two interpreters at once.")
    parser.add_argument("command", choices=("two", "main"))
    parser.add_argument("package", choices=SUITES)
    parser.add_argument("--extensions", default="auto")
    parser.add_argument("--out", required=True)
    given = parser.parse_args()
    out = pathlib.Path(given.out).absolute()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # what tests leave behind
        if given.command == "main":
            found = run_suite(given.package, folder)
        else:
            found = compare(given.package, given.extensions, folder)
        out.write_text(json.dumps(found))
        os.chdir("/")
    if given.command == "main" or not found["lost"]:
        return 0
    endings = collections.Counter(text.strip().rpartition("\n")[2] for text in found["examples"].values())
    print(f"{found['lost']} tests pass in main and fail in an interpreter: {endings.most_common(3)}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
