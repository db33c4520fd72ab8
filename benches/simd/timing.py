"""How statements are timed: in turns, so that a slow minute of the machine meets all of them."""

import functools
import statistics
import timeit
from typing import NamedTuple


class Effort(NamedTuple):
    rounds: int
    # Seconds that a sample lasts if one call is shorter, and those that a statement gets in all.
    sample: float
    budget: float


FULL = Effort(25, 0.002, 0.6)
QUICK = Effort(5, 0.001, 0.1)


def medians(samplers, effort):
    """Returns the median microseconds of a call for each, and the number of samples. A sampler takes a number of calls and returns
    the seconds that they took."""
    numbers, longest = [], 0
    for sampler in samplers:
        number = 1
        while (took := sampler(number)) < effort.sample / 2:
            number *= 2
        numbers.append(number)
        longest = max(longest, took)
    rounds = max(3, min(effort.rounds, int(effort.budget / longest)))
    found = [[] for _ in samplers]
    for turn in range(rounds):
        for place in range(len(samplers)):
            # Each is first by turns: what one leaves behind is to slow all alike.
            which = (place + turn) % len(samplers)
            found[which].append(samplers[which](numbers[which]) / numbers[which])
    return [statistics.median(values) * 1e6 for values in found], rounds


def sampler(statement, names):
    return timeit.Timer(statement, globals=names).timeit


# What a further interpreter is asked, over names that it makes once.


@functools.cache
def made(setup):
    names = {}
    exec(setup, names)
    return names


def answer(setup, statement):
    return eval(statement, made(setup))


def sample(setup, statement, number):
    return sampler(statement, made(setup))(number)
