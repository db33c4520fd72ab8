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


def answer(*numbers):
    print(*numbers, flush=True)


def work(times, size):
    for _ in range(int(times)):
        found = count(int(size))
    answer(found)


def imported(*modules):
    """Stays until its input ends, so that its memory can be looked at."""
    sys.stdin.read()


def executor(kind, calls):
    """Microseconds of a blocking call, nanoseconds of one task of a map, milliseconds until the first result."""
    import concurrent.futures as futures
    from time import perf_counter

    # By its importable name: this file is `__main__` here, which not every executor can send.
    import tasks

    calls = int(calls)
    begin = perf_counter()
    with getattr(futures, kind)(1) as pool:
        assert pool.submit(tasks.same, 7).result() == 7
        first = perf_counter() - begin
        begin = perf_counter()
        for n in range(calls):
            assert pool.submit(tasks.same, n).result() == n
        call = (perf_counter() - begin) / calls
        begin = perf_counter()
        assert list(pool.map(tasks.same, range(10 * calls), chunksize=256)) == list(range(10 * calls))
        mapped = (perf_counter() - begin) / (10 * calls)
    answer(f"{call * 1e6} {mapped * 1e9} {first * 1e3}")


def transport(size):
    """Microseconds of `len(value)` and `same(value)` in InterpreterPoolExecutor, for so many bytes and a view of them."""
    import concurrent.futures as futures
    from time import perf_counter

    import tasks

    data = bytes([7]) * int(size)
    times = []
    with futures.InterpreterPoolExecutor(1) as pool:
        for value in (data, memoryview(data)):
            for function in (len, tasks.same):
                pool.submit(function, value).result()
                begin, calls = perf_counter(), 0
                while calls < 3 or perf_counter() - begin < 0.1:
                    result = pool.submit(function, value).result()
                    assert result == len(data) or len(result) == len(data)
                    calls += 1
                times.append((perf_counter() - begin) / calls * 1e6)
    answer(*times)


def stay(modules):
    """Imports, and keeps a worker busy until every other one has begun as well."""
    import time

    for module in modules:
        __import__(module)
    time.sleep(1)


def spawned(count, *modules):
    """Kilobytes of a worker that multiprocessing spawned: resident, and its proportional share."""
    import concurrent.futures as futures
    import multiprocessing

    import tasks

    count = int(count)
    with futures.ProcessPoolExecutor(count, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(tasks.stay, [modules] * count))
        workers = list(pool._processes)
        assert len(workers) == count
        resident = sum(memory(worker, "Rss:") for worker in workers) / count
        proportional = sum(memory(worker, "Pss:") for worker in workers) / count
    answer(f"{resident} {proportional}")


def memory(process, kind):
    with open(f"/proc/{process}/smaps_rollup") as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith(kind))


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

    for _ in range(int(count) // 10):
        once()
    before = memory("self", "Rss:")
    for _ in range(int(count)):
        once()
    answer((memory("self", "Rss:") - before) / int(count))


if __name__ == "__main__":
    mode, *arguments = sys.argv[1:]
    if mode == "imported":
        for module in arguments:
            __import__(module)
    print("ready", flush=True)
    if mode != "imported":
        sys.stdin.readline()
    globals()[mode](*arguments)
