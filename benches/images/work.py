"""What interpreters and processes are asked to do. As a program it is such a process: it makes the calls that it reads."""

import functools
import json
import sys
import time

from recipes import RECIPES


def use(packages):
    """Imports packages and uses each once; returns the answers, as text."""
    return repr([RECIPES[package].run() for package in packages])


def repeat(package, times):
    """Returns the last answer, as text, and the seconds that this thread computed."""
    started = time.thread_time()
    for _ in range(times):
        answer = RECIPES[package].run()
    return [repr(answer), time.thread_time() - started]


ASKED = {function.__name__: function for function in (use, repeat)}


def last_byte(array):
    return int(array[-1])


def seven():
    return 7


@functools.cache
def large():
    """100 MB that end with a seven; the same array each time."""
    import numpy as np

    return np.full(100_000_000, 7, np.uint8)


def give_large():
    return large()


def import_numpy():
    """Milliseconds."""
    started = time.perf_counter()
    import numpy  # noqa: F401

    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(ASKED[name](*arguments)), flush=True)
