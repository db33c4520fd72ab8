"""Packages that refuse interpreters with a GIL of their own, in Covet's interpreters beside processes: speed, memory, import time.

    main.py [--quick] [--json FILE] [WORD]      a word leaves only the groups whose name contains it: speed, arrays, memory, many,
                                                imports

`cargo xtask bench images` runs this where the packages are. Both sides run the same Python; every answer is checked. Lower
is better; above 1 the ratio says by how much Covet is ahead. Speed is measured in turns of both sides, and the median of the turns'
ratios is told: both had the same seconds. Where others use the machine too, the CPU time tells more. A process to compare
with is `work.py`, which imports no more than an interpreter does; memory is told beside the standard pool's workers as well, which
also hold what `multiprocessing` needs.
"""

import argparse
import concurrent.futures
import contextlib
import json
import multiprocessing
import pathlib
import statistics
import subprocess
import sys
import time

import work
from covet_py import PoolExecutor
from table import Table

CPU_BOUND = ("numpy", "pandas", "pydantic", "orjson")
SETS = {
    "numpy": ("numpy",),
    "the web set": ("fastapi", "pydantic", "orjson", "httptools"),
    "the data set": ("numpy", "pandas", "scipy", "pyarrow", "scikit-learn"),
}
FURTHER = 4
MANY = {"numpy and pydantic": (("numpy", "pydantic"), 32), "the data set": (SETS["the data set"], 16)}


class Processes:
    """Processes that do the same as interpreters."""

    def __init__(self, count):
        command = [sys.executable, work.__file__]
        self.all = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)]

    def each(self, name, *arguments):
        """Has every process make the call; returns what they answer."""
        for process in self.all:
            print(json.dumps([name, *arguments]), file=process.stdin, flush=True)
        return [json.loads(process.stdout.readline()) for process in self.all]

    def close(self):
        for process in self.all:
            process.stdin.close()
        for process in self.all:
            process.stdout.close()
            process.wait()

    def pss(self):
        return sum(pss(process.pid) for process in self.all)


def pss(pid="self"):
    """MiB that a process takes, with its share of the pages that others have too."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise OSError(f"expected a line Pss: in /proc/{pid}/smaps_rollup; found none")


def gather(*tasks):
    """Submits (pool, function, argument...) all at once; returns what they answer."""
    futures = [pool.submit(*call) for pool, *call in tasks]
    concurrent.futures.wait(futures)
    return [future.result() for future in futures]


class Executors:
    """Pools of one worker each, so that there can be one more."""

    def __init__(self, count):
        self.all = [self.make() for _ in range(count)]

    def each(self, name, *arguments):
        """Has every interpreter make the call; returns what they answer."""
        return gather(*((pool, work.ASKED[name], *arguments) for pool in self.all))

    def close(self):
        for pool in self.all:
            pool.shutdown(wait=False)
        for pool in self.all:
            pool.shutdown()


class Interpreters(Executors):
    make = staticmethod(lambda: PoolExecutor(1))

    def pss(self):
        return pss()


class SpawnedWorkers(Executors):
    """The standard pool's, in processes that begin empty as an interpreter does."""

    @staticmethod
    def make():
        return concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))

    def pss(self):
        return sum(pss(worker) for pool in self.all for worker in pool._processes)


SIDES = {"interpreters": Interpreters, "processes": Processes, "ProcessPoolExecutor, spawn": SpawnedWorkers}


# The cases. Each yields (case, unit, Covet's value, the peer, its value, samples).


def speed(turns, seconds):
    """Two interpreters and two processes compute the same, in turns."""
    with contextlib.closing(Interpreters(2)) as interpreters, contextlib.closing(Processes(2)) as processes:
        for package in CPU_BOUND:
            expected = work.repeat(package, 1)[0]
            times = 1
            while taken(interpreters, package, times, expected)[0] < seconds:
                times *= 2
            taken(processes, package, times, expected)
            ours, theirs = [], []
            for turn in range(turns):
                # Each is first by turns: what one leaves behind is to slow both alike.
                sides = [(ours, interpreters), (theirs, processes)]
                for found, side in sides[:: -1 if turn % 2 else 1]:
                    found.append(taken(side, package, times, expected))
            for i, what in enumerate(("", ", CPU time")):
                middle = statistics.median(found[i] for found in ours) / times * 1e6
                ratio = statistics.median(peer[i] / own[i] for own, peer in zip(ours, theirs))
                yield f"two at once: {package}{what}", "us", middle, "two processes", middle * ratio, turns


def taken(side, package, times, expected):
    """The seconds until both have answered, and those that one computed, by the mean."""
    started = time.perf_counter()
    found = side.each("repeat", package, times)
    seconds = time.perf_counter() - started
    check([answer for answer, _ in found], [expected] * 2)
    return seconds, statistics.mean(computed for _, computed in found)


def check(found, expected):
    if found != expected:
        raise AssertionError(f"expected {expected!r:.300}, found {found!r:.300}")


def arrays(turns, _):
    """An array of 100 MB as argument and as result, beside a call without."""
    array = work.large()
    with PoolExecutor(1) as pool:
        calls = {
            "argument": lambda: pool.call(work.last_byte, array),
            "result": lambda: work.last_byte(pool.call(work.give_large)),
        }
        for what, call in calls.items():
            found = [
                (brief(call), brief(lambda: pool.call(work.seven)), brief(lambda: work.last_byte(array.copy()), 3)) for _ in range(turns)
            ]
            # What others do on this machine only adds: the lower quartile.
            ours, bare, copied = (sorted(values)[len(values) // 4] for values in zip(*found))
            yield f"array of 100 MB as {what}", "us", ours, "floor: the call itself", bare, turns
            yield f"array of 100 MB as {what}", "us", ours, "one copy of it", copied, turns


def brief(call, times=200):
    """Microseconds of a call."""
    check(call(), 7)
    started = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - started) / times * 1e6


def memory(*_):
    for name, packages in SETS.items():
        for count in (1, FURTHER):
            what = "a further one" if count == 1 else f"each of {count} further ones"
            ours, *theirs = (inside("grow", side, packages, count) for side in SIDES)
            for peer, size in zip(list(SIDES)[1:], theirs):
                yield f"memory of {what}: {name}", "MiB", ours, peer, size, 1


def grow(side, packages, count):
    """MiB that each further interpreter or process takes when there is one already."""
    first = SIDES[side](1)
    expected = first.each("use", packages)
    before = first.pss()
    further = SIDES[side](count)
    check(further.each("use", packages), expected * count)
    # All interpreters are one process.
    after = further.pss() + (0 if side == "interpreters" else first.pss())
    for some in (further, first):
        some.close()
    return (after - before) / count


def many(turns, _):
    for name, (packages, count) in MANY.items():
        count = count if turns > 3 else count // 4
        ours, theirs = (inside("make", side, packages, count) for side in ("interpreters", "processes"))
        for unit, of_ours, of_theirs in zip(("s", "MiB"), ours, theirs):
            yield f"{count} with {name}: made, used, ended", unit, of_ours, "processes", of_theirs, 1


def make(side, packages, count):
    """The seconds that so many take until all have answered and ended, and the MiB that they have together."""
    started = time.perf_counter()
    some = SIDES[side](count)
    answers = some.each("use", packages)
    check(answers, answers[:1] * count)
    size = some.pss()
    some.close()
    return time.perf_counter() - started, size


def imports(turns, _):
    """In an interpreter when another has it already, beside main; each time in a new process."""
    found = [inside("time_imports") for _ in range(turns)]
    further, main = (statistics.median(values) for values in zip(*found))
    yield "import numpy in a further interpreter", "ms", further, "import in main", main, turns


def time_imports():
    first, further = PoolExecutor(1), PoolExecutor(1)
    with first, further:
        gather((first, work.seven), (further, work.seven))
        gather((first, work.import_numpy))
        return *gather((further, work.import_numpy)), work.import_numpy()


GROUPS = (speed, arrays, memory, many, imports)
INSIDE = {function.__name__: function for function in (grow, make, time_imports)}


def inside(name, *arguments):
    """Calls a function in a process of its own."""
    command = [sys.executable, __file__, "--inside", json.dumps([name, *arguments])]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main():
    parser = argparse.ArgumentParser(description="Packages in interpreters with a GIL of their own, beside processes.")
    parser.add_argument("word", nargs="?", default="")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        name, *arguments = json.loads(given.inside)
        return print(json.dumps(INSIDE[name](*arguments)))
    turns, seconds = (3, 0.1) if given.quick else (9, 0.4)
    table = Table("images")
    for group in GROUPS:
        if given.word in group.__name__:
            for row in group(turns, seconds):
                table.add(*row)
    if given.json:
        table.write(given.json)


if __name__ == "__main__":
    main()
