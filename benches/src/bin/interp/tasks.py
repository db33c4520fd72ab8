"""What the bench runs in Python: in interpreters of a pool, and as a process of its own to compare with.

As a program (`python tasks.py MODE ...`) it says `ready`, waits for a line, does its work, and says the answer.
"""

import sys


def same(n):
    return n


def count(n):
    total = 0
    for i in range(n):
        total += i * i % 7
    return total


def answer(text):
    print(text, flush=True)


def work(times, size):
    for _ in range(int(times)):
        found = count(int(size))
    answer(found)


def imported(*modules):
    """Stays until its input ends, so that its memory can be looked at."""
    sys.stdin.read()


def executor(kind, calls):
    """Microseconds of a blocking call, and of one task of a map."""
    import concurrent.futures as futures
    from time import perf_counter

    # By its importable name: this file is `__main__` here, which not every executor can send.
    import tasks

    calls = int(calls)
    with getattr(futures, kind)(1) as pool:
        for n in range(5):
            assert pool.submit(tasks.same, n).result() == n
        begin = perf_counter()
        for n in range(calls):
            assert pool.submit(tasks.same, n).result() == n
        call = (perf_counter() - begin) / calls
        begin = perf_counter()
        assert list(pool.map(tasks.same, range(10 * calls), chunksize=256)) == list(range(10 * calls))
        mapped = (perf_counter() - begin) / (10 * calls)
    answer(f"{call * 1e6} {mapped * 1e6}")


def lives(count):
    """Bytes that each interpreter leaves behind, made and ended by CPython's own module."""
    try:
        import _interpreters
    except ImportError:
        import _xxsubinterpreters as _interpreters

    def once():
        interpreter = _interpreters.create()
        _interpreters.run_string(interpreter, "import threading")
        _interpreters.destroy(interpreter)

    def resident():
        with open("/proc/self/smaps_rollup") as rollup:
            return next(int(line.split()[1]) for line in rollup if line.startswith("Rss:"))

    for _ in range(int(count) // 10):
        once()
    before = resident()
    for _ in range(int(count)):
        once()
    answer((resident() - before) / int(count))


if __name__ == "__main__":
    mode, *arguments = sys.argv[1:]
    if mode == "imported":
        for module in arguments:
            __import__(module)
    print("ready", flush=True)
    if mode != "imported":
        sys.stdin.readline()
    globals()[mode](*arguments)
