"""What a table costs that all workers read: as a Buffer it is in memory once, as bytes once for each of them.

    cargo xtask python -- covet-py/tests/one_table.py 500
"""

import mmap
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import tasks  # noqa: E402

from covet_py import Buffer, PoolExecutor  # noqa: E402

WORKERS = 4


def growth(make, size):
    """By how many times its size the process has grown once every worker has read all of the table, and keeps it."""
    with PoolExecutor(WORKERS) as pool:
        everywhere(pool, tasks.keep, None)
        before = tasks.resident_memory()
        with mmap.mmap(-1, size) as zeros:
            table = make(zeros)
        everywhere(pool, tasks.keep, table)
        assert everywhere(pool, tasks.sum_of_pages, table) == WORKERS * [0]
        after = tasks.resident_memory()
        everywhere(pool, tasks.keep, None)
    return (after - before) / size


def everywhere(pool, function, argument):
    return [future.result() for future in pool.broadcast(function, argument)]


def main(megabytes):
    size = megabytes << 20
    once = growth(Buffer, size)
    each = growth(lambda memory: bytes(memory), size) if megabytes <= 100 else None
    print(f"{WORKERS} workers read a table of {megabytes} MB: as a Buffer {once:.2f} times its size in memory (PSS)", end="")
    print(f", as bytes {each:.2f} times" if each else "")
    return once < 1.2


if __name__ == "__main__":
    sys.exit(not main(int(sys.argv[1])))
