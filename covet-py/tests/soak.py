"""Pools that come and go, with random tasks and errors, for as long as it is told: no crash, no wrong answer, no growth.

    python soak.py [SECONDS] [SEED]        30 seconds, and a seed that is printed

Exit code 0: every answer was right, and (from Python 3.14 on, where CPython gives an interpreter's memory back) the process grew
by less than `MOST` kB for each pool that ended.
"""

import random
import sys
import time

import tasks
from covet_py import PoolExecutor

PRELOAD = ["json", "re", "datetime", "decimal", "asyncio", "ssl", "sqlite3", "hashlib"]
# kB a pool: two interpreters that held all of PRELOAD.
MOST = 512
# Pools before growth counts.
WARM = 3


def resident():
    """kB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4


def ask(pool, rng, number):
    """One task; returns how to learn whether its answer was wrong."""
    kind = rng.randrange(4)
    if kind == 0:
        future = pool.submit(tasks.use_library, number)
        return lambda: future.result() == tasks.use_library(number)
    if kind == 1:
        future = pool.submit(tasks.fail_if_odd, number)
        return lambda: answer(future.result, number)
    if kind == 2:
        return lambda: answer(lambda: pool.call(tasks.fail_if_odd, number), number)
    results = pool.map(tasks.same, range(number % 50))
    return lambda: list(results) == list(range(number % 50))


def answer(get, number):
    """Whether `fail_if_odd(number)` ended as it should."""
    try:
        return get() == number and number % 2 == 0
    except BaseException as error:
        return type(error).__name__ in (tasks.odd_kind(number), "RemoteError") and str(number) in str(error)


def life(rng):
    """One pool. Returns how many tasks it was given, and how many answers were wrong."""
    with PoolExecutor(2, preload=PRELOAD) as pool:
        asked = [ask(pool, rng, rng.randrange(1_000_000)) for _ in range(rng.randrange(10, 60))]
        rng.shuffle(asked)
        return len(asked), sum(not right() for right in asked)


def main(seconds=30.0, seed=None):
    seed = int(seed) if seed is not None else random.randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    rng = random.Random(seed)
    end = time.monotonic() + float(seconds)
    pools = done = wrong = 0
    sizes = []
    while time.monotonic() < end or pools <= WARM:
        count, bad = life(rng)
        pools, done, wrong = pools + 1, done + count, wrong + bad
        sizes.append(resident())
    slope = (sizes[-1] - sizes[WARM - 1]) / (pools - WARM)
    print(f"{pools} pools, {done} tasks, {wrong} wrong; {slope:.0f} kB a pool")
    return wrong == 0 and (slope < MOST or sys.version_info < (3, 14))


if __name__ == "__main__":
    sys.exit(not main(*sys.argv[1:]))
