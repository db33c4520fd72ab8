"""Two interpreters exchange random values, memory among them: all come back equal, and what the process has stays the same.

    cargo xtask python -- covet-py/tests/exchange.py 1000000
"""

import itertools
import os
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import random_values  # noqa: E402
import tasks  # noqa: E402

from covet_py import PoolExecutor  # noqa: E402

# Bytes per value that the resident size may grow by: what is left of a value that leaks is more than this. Free-threaded
# 3.13 grows by about 30, for a reason that is not known.
MOST_GROWTH = 16 if getattr(sys, "_is_gil_enabled", lambda: True)() else 64
# Values that are made at once, and sent many times in different company: making one costs more than sending it.
STOCK = 2000


def resident():
    """Bytes of memory that this process has now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(count):
    rng = random.Random(count)
    stock = [random_values.make(rng, 4, []) for _ in range(STOCK)]
    stock += [random_values.make_memory(rng) for _ in range(STOCK // 100)]
    shapes = [random_values.shape(value) for value in stock]
    wrong, sizes, at = 0, [], []
    with PoolExecutor(1) as pool:
        sent = 0
        while sent < count:
            order = [rng.randrange(len(stock)) for _ in range(min(count - sent, 2000))]
            half = len(order) // 2
            # By turns borrowed and dispatched.
            called = (pool.call(tasks.same, stock[i]) for i in order[:half])
            mapped = pool.map(tasks.same, (stock[i] for i in order[half:]))
            for i, back in zip(order, itertools.chain(called, mapped)):
                wrong += random_values.shape(back) != shapes[i]
            sent += len(order)
            if sent > count // 4:
                at.append(sent)
                sizes.append(resident())
            if sent % max(count // 10, 1) < len(order):
                print(f"{sent:>10} values, {wrong} wrong, {resident() / 1e6:.1f} MB", flush=True)
    mean = sum(at) / len(at)
    spread = sum((x - mean) ** 2 for x in at) or 1
    slope = sum((x - mean) * y for x, y in zip(at, sizes)) / spread
    print(f"{count} values exchanged, {wrong} wrong, {slope:+.2f} bytes of memory each (at most {MOST_GROWTH})")
    return wrong == 0 and slope <= MOST_GROWTH


if __name__ == "__main__":
    sys.exit(not main(int(sys.argv[1])))
