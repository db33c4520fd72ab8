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
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time

SUITES = {
    "h5py": ["h5py/tests"],
    "numpy": [f"numpy/{part}/tests" for part in ("lib", "ma", "fft", "linalg", "polynomial")],
    "pandas": [f"pandas/tests/{part}" for part in ("groupby/aggregate", "reshape/concat", "series/methods")],
    "pyarrow": [f"pyarrow/tests/{part}" for part in ("test_array.py", "test_compute.py", "test_table.py", "parquet")],
    "scikit-learn": ["sklearn/preprocessing", "sklearn/tree"],
    "scipy": [f"scipy/{part}/tests" for part in ("linalg", "fft")],
    "shapely": ["shapely/tests"],
}
"""Folders and files where packages are installed: parts that end within minutes, and start no processes that tests then wait for."""

NOT_ALLOWED = (
    "fork not supported for isolated subinterpreters",
    "signal only works in main thread of the main interpreter",
    "faulthandler is for the whole process",
    "_tracemalloc does not support loading in subinterpreters",
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
    site = sysconfig.get_path("platlib")
    words = (
        "-q --capture=sys -p no:cacheprovider -p no:faulthandler -o addopts= --import-mode=importlib "
        f"--continue-on-collection-errors --rootdir={site}"
    )
    places = [os.path.join(site, place) for place in SUITES[package]]
    with open(os.path.join(temporary, "log"), "w") as log:
        before, sys.stdout = sys.stdout, log
        try:
            code = pytest.main([*words.split(), f"--basetemp={temporary}/base", *places], [outcomes])
        finally:
            sys.stdout = before
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) or not outcomes.passed:
        said = pathlib.Path(log.name).read_text()[-2000:]
        raise RuntimeError(f"expected pytest to run the tests of {package}; it ended with {code!r} and said: {said}")
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
    for passed_here, failed_here in two:
        for test in passed.difference(passed_here):
            # A file that could not be read fails under its own name; a name that holds an address is another in each run.
            why = failed_here.get(test) or failed_here.get(test.partition("::")[0])
            if why is None:
                continue
            if any(reason in why for reason in NOT_ALLOWED):
                not_allowed.add(test)
            else:
                lost[test] = why
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
    # What tests leave behind: gigabytes, some of them. What a run left that was stopped goes with the next.
    folder = out.with_suffix(".files")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    os.chdir(folder)
    if given.command == "main":
        found = run_suite(given.package, folder)
    else:
        found = compare(given.package, given.extensions, folder)
    out.write_text(json.dumps(found))
    os.chdir(out.parent)
    shutil.rmtree(folder)
    if given.command == "main" or not found["lost"]:
        return 0
    endings = collections.Counter(text.strip().rpartition("\n")[2] for text in found["examples"].values())
    print(f"{found['lost']} tests pass in main and fail in an interpreter: {endings.most_common(3)}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
