"""Random tasks and errors for as long as it is told: no crash, no wrong answer, no growth.

    python soak.py [SECONDS] [SEED]        30 seconds, and a seed that is printed

From Python 3.14 on, where CPython gives an interpreter's memory back, pools come and go, and their workers are replaced every 20
tasks. Before, where each life leaks, a few pools do, and the last one stays.

Exit code 0: every answer was right, and the process grew by less than `MOST` kB for each pool that ended, or, where one stays,
by less than `MOST_OF_A_ROUND` kB for each round of tasks.
"""

import random
import sys
import sysconfig
import time

import tasks
from covet_py import PoolExecutor

PRELOAD = ["json", "re", "datetime", "decimal", "asyncio", "ssl", "sqlite3", "hashlib"]
GIVES_BACK = sys.version_info >= (3, 14)
# kB a pool: two interpreters that held all of PRELOAD, some lives of each.
MOST = 512
# kB for a round of some 35 tasks. The allocator of free-threaded builds keeps more: ThreadPoolExecutor was seen to grow by 3 kB a
# round there over 4000 rounds of the same tasks, and by more over fewer.
MOST_OF_A_ROUND = 12 if sysconfig.get_config_var("Py_GIL_DISABLED") else 4
# Pools that come and go where each leaks.
FEW = 5
# Pools, or rounds of the one that stays, before growth counts.
WARM = 20
WARM_ROUNDS = 100


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


def round_of(rng, pool):
    """Some tasks. Returns how many, and how many answers were wrong."""
    asked = [ask(pool, rng, rng.randrange(1_000_000)) for _ in range(rng.randrange(10, 60))]
    rng.shuffle(asked)
    return len(asked), sum(not right() for right in asked)


def pools_come_and_go(rng, go_on):
    """Yields what each round of tasks gave: one pool for each."""
    while go_on():
        with PoolExecutor(2, preload=PRELOAD, max_tasks_per_child=20 if GIVES_BACK else None) as pool:
            yield round_of(rng, pool)


def one_pool_stays(rng, go_on):
    """The same of one pool."""
    with PoolExecutor(2, preload=PRELOAD) as pool:
        while go_on():
            yield round_of(rng, pool)


def run(rounds):
    """Returns how many tasks there were, how many answers were wrong, and the size of the process after each round."""
    done = wrong = 0
    sizes = []
    for count, bad in rounds:
        done, wrong = done + count, wrong + bad
        sizes.append(resident())
    return done, wrong, sizes


def growth(sizes, warm):
    """kB a round, once warm."""
    return (sizes[-1] - sizes[warm - 1]) / (len(sizes) - warm)


def main(seconds=30.0, seed=None):
    seed = int(seed) if seed is not None else random.randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    rng = random.Random(seed)
    end = time.monotonic() + float(seconds)
    count = iter(range(sys.maxsize))
    if GIVES_BACK:
        done, wrong, sizes = run(pools_come_and_go(rng, lambda: next(count) <= WARM or time.monotonic() < end))
        slope = growth(sizes, WARM)
        print(f"{len(sizes)} pools, {done} tasks, {wrong} wrong; {slope:.0f} kB a pool")
        return wrong == 0 and slope < MOST
    done, wrong, sizes = run(pools_come_and_go(rng, lambda: next(count) < FEW))
    print(f"{len(sizes)} pools, {done} tasks, {wrong} wrong; each leaks, as CPython does here")
    done, bad, sizes = run(one_pool_stays(rng, lambda: next(count) <= FEW + WARM_ROUNDS or time.monotonic() < end))
    slope = growth(sizes, WARM_ROUNDS)
    print(f"1 pool, {len(sizes)} rounds of {done} tasks in all, {bad} wrong; {slope:.2f} kB a round")
    return wrong + bad == 0 and slope < MOST_OF_A_ROUND


if __name__ == "__main__":
    sys.exit(not main(*sys.argv[1:]))
