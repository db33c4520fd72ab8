"""Tries one package in two interpreters at once, in a process of its own, and measures what it costs there.

    measure.py facts --out FILE                           the machine, the packages, and what is installed for each
    measure.py check PACKAGE --extensions E --out FILE    whether two interpreters get main's answer, and which way
    measure.py cost PACKAGE --extensions E --out FILE     memory, time, and two interpreters against one

`cargo xtask ecosystem` calls it. What it finds goes to FILE as JSON. The exit code is 1 if an answer is wrong or an error was
raised, and the last line says which.
"""

import argparse
import concurrent.futures
import gc
import importlib
import importlib.machinery
import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import sys
import sysconfig
import time
import traceback

import covet_py
from covet_py import _native
from recipes import RECIPES
from suites import SUITES

ROUNDS = 20
TURNS = 5  # of one interpreter and two; their median is told
TURN_SECONDS = 0.1


def check(package, extensions):
    """Whether both interpreters of a pool, at once and many times over, get the answer that main gets after them.

    After them, so that nothing leans on main having imported it.
    """
    recipe = RECIPES[package]
    with covet_py.PoolExecutor(2, extensions=extensions) as pool:
        answers = gather(pool.broadcast(several, package, ROUNDS))
        files = gather(pool.broadcast(extension_files))
        refused = pool.stats().refused_imports
    expected = recipe.run()
    images = set(_native.images())
    loaded = set().union(*files)
    return {
        "version": importlib.metadata.version(package),
        "native": len(loaded - images),
        "images": len(loaded & images),
        "refused": refused,
        "images_of": packages_of(loaded & images),
        "wrong": [
            f"expected {expected!r:.300}, found {answer!r:.300}" for found in answers for answer in found if answer != expected
        ],
    }


def packages_of(files):
    """The packages that extension modules belong to, each as [module, distribution, version] as known.txt has them."""
    names = {pathlib.Path(file).relative_to(sysconfig.get_path("platlib")).parts[0].partition(".")[0] for file in files}
    distributions = importlib.metadata.packages_distributions()
    found = []
    for name in sorted(names & distributions.keys()):
        files_of = importlib.metadata.files(distributions[name][0]) or ()
        folder = next(file.parts[0] for file in files_of if file.parts[0].endswith(".dist-info"))
        found.append([name, *folder.removesuffix(".dist-info").rsplit("-", 1)])
    return found


def cost(package, extensions):
    """What the package takes in main, and in an interpreter when another has it already."""
    recipe = RECIPES[package]
    first = covet_py.PoolExecutor(1, extensions=extensions)
    further = covet_py.PoolExecutor(1, extensions=extensions)
    with first, further:
        gather([pool.submit(load, ()) for pool in (first, further)])
        found = {}
        found["main_ms"], found["main_mib"] = growth(lambda: use(package))
        first.submit(use, package).result()
        found["further_ms"], found["further_mib"] = growth(lambda: further.submit(use, package).result())
        if recipe.cpu:
            found["two_to_one"], found["loop_two_to_one"] = two_to_one(recipe.run, first, further)
    return found


def growth(run):
    """Returns what a function returns, and by how many MiB this process grew (its share of pages that others have too)."""
    gc.collect()
    before = pss()
    return run(), pss() - before


def pss():
    """MiB; Linux only."""
    for line in pathlib.Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise OSError("expected a line Pss: in /proc/self/smaps_rollup; found none")


def two_to_one(run, first, further):
    """How much more two interpreters do at once than one alone: of this, and of a plain loop in the same seconds, which tells what
    the machine had to give.
    """
    sizes = {work: fitting(first, work) for work in (run, loop)}
    turns = [
        [2 * timed([first], work, times) / timed([first, further], work, times) for work, times in sizes.items()]
        for _ in range(TURNS)
    ]
    return [statistics.median(ratios) for ratios in zip(*turns)]


def fitting(pool, work):
    """How many times in a row it is done in a turn."""
    times = 1
    while timed([pool], work, times) < TURN_SECONDS:
        times *= 2
    return times


def timed(pools, work, times):
    started = time.perf_counter()
    gather([pool.submit(repeat, work, times) for pool in pools])
    return time.perf_counter() - started


def gather(futures):
    """Waits for all before the first error is raised."""
    concurrent.futures.wait(futures)
    return [future.result() for future in futures]


# What runs in the interpreters.


def several(package, times):
    """Returns the different answers of that many runs."""
    answers = []
    for _ in range(times):
        answer = RECIPES[package].run()
        if answer not in answers:
            answers.append(answer)
    return answers


def repeat(work, times):
    for _ in range(times):
        work()


def loop():
    return sum(i * i for i in range(10_000))


def use(package):
    """Imports the package and runs the recipe once; returns the milliseconds of the import."""
    milliseconds = load(RECIPES[package].modules)
    RECIPES[package].run()
    return milliseconds


def load(modules):
    started = time.perf_counter()
    for module in modules:
        importlib.import_module(module)
    return (time.perf_counter() - started) * 1000


def extension_files():
    """The extension modules that are loaded here and do not belong to Python."""
    standard = sysconfig.get_path("stdlib") + "/lib-dynload/"
    specs = [getattr(module, "__spec__", None) for module in list(sys.modules.values())]
    return {
        spec.origin
        for spec in specs
        if isinstance(getattr(spec, "loader", None), importlib.machinery.ExtensionFileLoader)
        and not spec.origin.startswith(standard)
        and "/covet_py/" not in spec.origin
    }


def facts():
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{len(os.sched_getaffinity(0))} cores, {platform.system()} {platform.machine()}, {' '.join(platform.libc_ver())}",
        "packages": {name: recipe.needs for name, recipe in RECIPES.items()},
        "suites": list(SUITES),
    }


def main():
    parser = argparse.ArgumentParser(description="Tries one package in two interpreters at once.")
    parser.add_argument("command", choices=("facts", "check", "cost"))
    parser.add_argument("package", nargs="?", choices=RECIPES)
    parser.add_argument("--extensions")
    parser.add_argument("--out")
    given = parser.parse_args()
    if given.command == "facts":
        found = facts()
    else:
        run = check if given.command == "check" else cost
        try:
            found = run(given.package, given.extensions)
        except Exception as error:
            traceback.print_exc()
            pathlib.Path(given.out).write_text(json.dumps({"version": importlib.metadata.version(given.package)}))
            first_line = str(error).strip().partition("\n")[0]
            print(f"{type(error).__name__}: {first_line}", file=sys.stderr)
            return 1
    pathlib.Path(given.out).write_text(json.dumps(found))
    for wrong in found.get("wrong", ()):
        print(wrong)
    return 1 if found.get("wrong") else 0


if __name__ == "__main__":
    sys.exit(main())
