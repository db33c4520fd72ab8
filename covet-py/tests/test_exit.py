"""Processes with pools end as they would without: exit code, output, nothing on standard error. See exit_matrix.py."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from children import check, run
from exit_matrix import CASES

GIL_IS_OFF = not getattr(sys, "_is_gil_enabled", lambda: True)()

# Ends with a SystemExit, or one that is caught: before 3.12 nothing tells what its code was.
LOST_ENDS = {
    "sys.exit()": 0,
    "sys.exit(3)": 3,
    "raise SystemExit(259)": 3,
    "sys.exit('why')": 1,
    "try: sys.exit(3)\n        except SystemExit: pass": 0,
}

# How often each case runs; by hand: `python exit_matrix.py 50`.
COUNT = 3


@pytest.mark.parametrize("name", CASES)
def test_ends_well(name):
    if GIL_IS_OFF and name == "running, ends by SIGINT":
        pytest.skip("on free-threaded builds a worker that was interrupted was seen to hang while it flushes a stream")
    # Side by side: more pressure, and half the time.
    with ThreadPoolExecutor(COUNT) as threads:
        problems = list(threads.map(lambda _: CASES[name].problem(), range(COUNT)))
    assert problems == [None] * COUNT, "\n".join(filter(None, problems))


def test_an_interruption_that_comes_before_the_function_is_imported():
    # Not in the middle of the import, and not lost either.
    check(
        """
        import covet_py, slow_to_import, time
        with covet_py.PoolExecutor(1) as pool:
            for number in range(3):
                future = pool.submit(slow_to_import.endless)
                while not future.running():
                    time.sleep(0.001)
                pool._interrupt(None)
                print(type(future.exception()).__name__)
            print(pool.submit(abs, -1).result())
        """,
        "KeyboardInterrupt\n" * 3 + "1\n",
    )


@pytest.mark.parametrize(
    "end, code",
    [("", 0), ("1 / 0", 1)]
    + [(end, code) for end, code in LOST_ENDS.items() if sys.version_info >= (3, 12)],
)
def test_a_task_that_was_given_up_does_not_keep_the_process(end, code):
    outcome = run(
        f"""
        import covet_py, os, sys, time
        pool = covet_py.PoolExecutor(1)
        reader, writer = os.pipe()
        future = pool.submit(os.read, reader, 1)
        while not future.running():
            time.sleep(0.001)
        pool._interrupt(None)
        print("was given up" in str(future.exception()))
        print(pool.submit(abs, -1).result())
        {end}
        """
    )
    assert (outcome.code, outcome.out) == (code, "True\n1\n"), outcome.all
    assert outcome.err.splitlines()[-1].startswith("covet_py: a task did not stop within"), outcome.all


def test_a_fork_after_the_pools_are_shut_down_is_harmless():
    check(
        """
        import covet_py, multiprocessing
        with covet_py.PoolExecutor(2) as pool:
            pool.call(abs, -1)
        child = multiprocessing.get_context("fork").Process(target=int)
        child.start()
        child.join(10)
        print(child.exitcode)
        """,
        "0\n",
    )
