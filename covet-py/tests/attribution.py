"""Many tasks of which one in ten fails, in one of a dozen ways: every future has its own answer or its own error.

    python attribution.py [TASKS] [SEED]        100000 tasks, and a seed that is printed

Tasks are submitted, called and mapped. Exit code 0: none lost, none swapped.
"""

import random
import sys
import threading

import tasks
from covet_py import PoolExecutor, RemoteError

TOGETHER = 500


class Mine(Exception):
    """Of `__main__`, so it goes by value, with an argument that its text does not show."""

    def __init__(self, number, other):
        super().__init__(number, other)
        self.other = other

    def __str__(self):
        return f"mine {self.args[0]}"


def chained(number):
    try:
        raise LookupError(f"first {number}")
    except LookupError as error:
        raise ValueError(f"second {number}") from error


def raising(make):
    def fail(number):
        raise make(number)

    return fail


# How a task fails, and what its error is, as (type, arguments, what its text or remote traceback holds).
WAYS = (
    (raising(ZeroDivisionError), lambda n: (ZeroDivisionError, (n,), f"{n}")),
    (raising(KeyError), lambda n: (KeyError, (n,), f"{n}")),
    (raising(MemoryError), lambda n: (MemoryError, (n,), f"{n}")),
    (raising(SystemExit), lambda n: (SystemExit, (n,), f"{n}")),
    (raising(KeyboardInterrupt), lambda n: (KeyboardInterrupt, (n,), f"{n}")),
    (raising(StopAsyncIteration), lambda n: (StopAsyncIteration, (n,), f"{n}")),
    (raising(lambda n: OSError(2, f"no {n}", f"file {n}")), lambda n: (FileNotFoundError, (2, f"no {n}"), f"file {n}")),
    (
        raising(lambda n: UnicodeDecodeError("utf-8", b"\xff", 0, 1, f"why {n}")),
        lambda n: (UnicodeDecodeError, ("utf-8", b"\xff", 0, 1, f"why {n}"), f"why {n}"),
    ),
    (raising(tasks.Custom), lambda n: (tasks.Custom, (n,), f"{n}")),
    (raising(lambda n: Mine(n, [n])), lambda n: (Mine, (n, [n]), f"mine {n}")),
    (chained, lambda n: (ValueError, (f"second {n}",), f"first {n}")),
    (
        raising(lambda n: ExceptionGroup(f"group {n}", [ValueError(n), KeyError(n)])),
        lambda n: (ExceptionGroup, None, f"group {n}"),
    ),
    # Cannot be pickled.
    (raising(tasks.Unsendable), lambda n: (RemoteError, None, f"Unsendable: {n}")),
)


def task(number, way):
    if way is not None:
        WAYS[way][0](number)
    return number


def is_right(number, way, get):
    try:
        value = get()
    except BaseException as error:
        if way is None:
            return False
        kind, args, text = WAYS[way][1](number)
        told = f"{error}\n{error.__cause__}"
        numbers = {type(part): part.args for part in getattr(error, "exceptions", ())}
        return (
            type(error) is kind
            and args in (None, error.args)
            and text in told
            and numbers in ({}, {ValueError: (number,), KeyError: (number,)})
        )
    return way is None and value == number


def ways(numbers, rng):
    """Ten in a hundred fail, in some way or other."""
    return [rng.randrange(len(WAYS)) if rng.random() < 0.1 else None for _ in numbers]


def by_submit(pool, numbers, plan, rng):
    futures = [pool.submit(task, *each) for each in zip(numbers, plan)]
    order = list(zip(numbers, plan, futures))
    rng.shuffle(order)
    return [is_right(number, way, future.result) for number, way, future in order]


def by_call(pool, numbers, plan, rng):
    return [is_right(number, way, lambda: pool.call(task, number, way)) for number, way in zip(numbers, plan)]


def by_map(pool, numbers, plan, rng):
    # The iterator ends with the first error, so there is one, in the middle of others that are done by then.
    results = pool.map(task, numbers, plan)
    right = []
    for number, way in zip(numbers, plan):
        right.append(is_right(number, way, lambda: next(results)))
        if way is not None:
            rest = [by_submit, by_call][rng.randrange(2)]
            return right + rest(pool, numbers[len(right) :], plan[len(right) :], rng)
    return right


def main(count=100_000, seed=None):
    seed = int(seed) if seed is not None else random.randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    rng = random.Random(seed)
    answered = failed = wrong = 0
    with PoolExecutor(2) as pool:
        for start in range(0, int(count), TOGETHER):
            numbers = range(start, min(start + TOGETHER, int(count)))
            plan = ways(numbers, rng)
            send = rng.choice([by_submit, by_submit, by_call, by_map])
            right = send(pool, numbers, plan, rng)
            answered += len(right)
            failed += sum(way is not None for way in plan)
            wrong += right.count(False)
    print(f"{count} tasks, {answered} answered, {failed} of them failing in {len(WAYS)} ways, {wrong} with what is not theirs")
    return answered == int(count) and wrong == 0


if __name__ == "__main__":
    sys.exit(not main(*sys.argv[1:]))
