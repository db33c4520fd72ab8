"""Two interpreters and main use packages side by side for as long as told, with errors in between: no crash, no wrong answer, no
growth.

    soak.py run PACKAGE... --seconds S --extensions E --out FILE

`cargo xtask ecosystem --soak` calls it. What was seen goes to FILE as JSON. The exit code is 1 if an answer was wrong, or if the
process grew by more than `MOST_GROWTH` once it was warm, and the last line says which.
"""

import argparse
import collections
import json
import pathlib
import random
import statistics
import sys
import time

import covet_py
from measure import gather, pss
from recipes import RECIPES

SAMPLES = 60  # of the memory, over the whole time
WARM = 15  # samples before growth counts: then each package was used and failed many times in each interpreter
BATCH = 24
MOST_GROWTH = 0.05
SEED = 6


def fail_numpy():
    import numpy as np

    np.zeros(2) + np.zeros(3)


def fail_pandas():
    import pandas as pd

    pd.DataFrame({"a": [1]})["b"]


def fail_pydantic():
    from pydantic import TypeAdapter

    TypeAdapter(list[int]).validate_json('[1, "two"]')


def fail_orjson():
    import orjson

    orjson.loads('{"a": ')


def fail_h5py():
    import h5py

    h5py.File("/nowhere/file.h5")


FAILURES = {
    "h5py": fail_h5py,
    "numpy": fail_numpy,
    "orjson": fail_orjson,
    "pandas": fail_pandas,
    "pydantic": fail_pydantic,
}


def use(package):
    return RECIPES[package].run()


def fail(package):
    FAILURES[package]()


def outcome(get):
    """What a task came to: its answer, or the first line of its error."""
    try:
        return get()
    except Exception as error:
        first_line = str(error).partition("\n")[0]
        return f"{type(error).__name__}: {first_line}"


class Soak:
    def __init__(self, pool, packages):
        self.pool = pool
        self.packages = packages
        self.random = random.Random(SEED)
        self.expected = {}
        self.count = collections.Counter()
        self.wrong = []

    def batch(self):
        """Gives the pool some tasks, does some of them in main meanwhile, borrows an interpreter for others."""
        tasks = [(self.random.choice((use, use, fail)), self.random.choice(self.packages)) for _ in range(BATCH)]
        futures = [(task, self.pool.submit(*task)) for task in tasks]
        for work, package in tasks[:4]:
            self.look("main", (work, package), lambda: work(package))
        for task in tasks[4:8]:
            self.look("borrowed", task, lambda: self.pool.call(*task))
        for task, future in futures:
            self.look("worker", task, future.result)

    def look(self, place, task, get):
        found = outcome(get)
        self.count[place] += 1
        self.count["errors"] += task[0] is fail
        expected = self.expected.setdefault(task, found) if place == "main" else self.expected.get(task, found)
        if found != expected:
            self.wrong.append(f"{task[1]}, {place}: expected {expected!r:.300}, found {found!r:.300}")


def run(packages, seconds, extensions):
    with covet_py.PoolExecutor(2, extensions=extensions) as pool:
        gather(pool.broadcast(use, packages[0]))
        soak = Soak(pool, packages)
        for package in packages:
            # Main knows the answer before anybody is asked.
            soak.look("main", (use, package), lambda: use(package))
            soak.look("main", (fail, package), lambda: fail(package))
        began = time.monotonic()
        sizes = []
        while len(sizes) < SAMPLES:
            soak.batch()
            if time.monotonic() - began >= seconds * (len(sizes) + 1) / SAMPLES:
                sizes.append(pss())
                print(f"{time.monotonic() - began:6.0f} s  {sum(soak.count.values())} tasks  {sizes[-1]:.1f} MiB", flush=True)
    warm, last = statistics.median(sizes[WARM : 2 * WARM]), statistics.median(sizes[-WARM:])
    return {
        "packages": packages,
        "seconds": seconds,
        "tasks": {place: soak.count[place] for place in ("worker", "borrowed", "main")},
        "errors": soak.count["errors"],
        "wrong": len(soak.wrong),
        "examples": soak.wrong[:20],
        "warm_mib": warm,
        "last_mib": last,
    }


def main():
    parser = argparse.ArgumentParser(description="Uses packages in two interpreters and in main for a while.")
    parser.add_argument("command", choices=("run",))
    parser.add_argument("packages", nargs="+", choices=FAILURES)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--extensions")
    parser.add_argument("--out", required=True)
    given = parser.parse_args()
    found = run(given.packages, given.seconds, given.extensions)
    pathlib.Path(given.out).write_text(json.dumps(found))
    if found["wrong"]:
        print(f"{found['wrong']} wrong answers: {found['examples'][0]}")
    elif found["last_mib"] > found["warm_mib"] * (1 + MOST_GROWTH):
        print(f"the process grew from {found['warm_mib']:.0f} to {found['last_mib']:.0f} MiB")
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
