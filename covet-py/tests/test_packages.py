"""Processes whose workers have packages that refuse interpreters with a GIL of their own: how they end, fork and are interrupted.

What is not installed is skipped. `cargo xtask ecosystem --tests` runs this where all of them are.
"""

import importlib.util
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import tasks
from children import check
from exit_matrix import BEGUN, ENDS, Case

from covet_py import PoolExecutor

STATES = {
    "idle": "",
    "busy": "begun(pool.submit(tasks.use_for_long, {package!r})); pool.submit(tasks.use_for_long, {package!r})",
}


@pytest.fixture(params=tasks.USES)
def package(request):
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    with PoolExecutor(1) as pool:
        if pool.strategy == "subinterpreters" and "t" in sys.abiflags:
            pytest.skip("free-threaded builds have no private images")
    return request.param


def used(package):
    """The beginning of a program: both workers of a pool have used the package."""
    return f"""
pool = covet_py.PoolExecutor(2)
for future in pool.broadcast(tasks.USES[{package!r}], 10):
    future.result()
"""


@pytest.mark.parametrize("state", STATES)
def test_a_process_ends_well(package, state):
    reach = BEGUN + used(package) + STATES[state].format(package=package)
    cases = {end: Case(f"{reach}\n{last}", code, "", err) for end, (last, code, err) in ENDS.items()}
    # Side by side: more pressure, and less time.
    with ThreadPoolExecutor(3) as threads:
        found = dict(zip(cases, threads.map(Case.problem, cases.values())))
    assert not any(found.values()), "\n".join(f"ends {end}: {problem}" for end, problem in found.items() if problem)


def test_a_loop_is_interrupted_and_the_worker_goes_on(package):
    with PoolExecutor(1) as pool:
        expected = pool.call(tasks.USES[package], 10)
        future = pool.submit(tasks.use_forever, package)
        while not future.running():
            pass
        pool.interrupt(future)
        with pytest.raises(KeyboardInterrupt):
            future.result(timeout=60)
        assert pool.call(tasks.USES[package], 10) == expected


@pytest.mark.hangs_after(180)
@pytest.mark.parametrize("state", STATES)
def test_forks_and_subprocesses(package, state):
    if "t" in sys.abiflags:
        pytest.skip("on free-threaded builds the child of a fork can crash or hang")
    program = f"""
import covet_py, os, subprocess, sys, tasks, time
{BEGUN}
{used(package)}
expected = pool.call(tasks.USES[{package!r}], 10)
{STATES[state].format(package=package)}
child = os.fork()
if child == 0:
    # The package itself, and a pool of its own that has it.
    with covet_py.PoolExecutor(1) as own:
        found = own.submit(tasks.USES[{package!r}], 10).result()
    os._exit([found, tasks.USES[{package!r}](10)] != [expected] * 2)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(subprocess.call([sys.executable, "-c", "pass"]))
print(pool.call(tasks.USES[{package!r}], 10) == expected)
"""
    # CPython warns of forks of processes with threads.
    check(program, "0\n0\nTrue\n", options=["-W", "ignore::DeprecationWarning"], timeout=90)
