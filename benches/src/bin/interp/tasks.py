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


def make(kind, workers):
    """An executor, of covet_py or of the standard library, by the name of its class."""
    import concurrent.futures as futures
    import multiprocessing

    if kind == "PoolExecutor":
        import covet_py

        return covet_py.PoolExecutor(workers)
    if kind == "ProcessPoolExecutor":
        return futures.ProcessPoolExecutor(workers, multiprocessing.get_context("forkserver"))
    return getattr(futures, kind)(workers)


def seconds(function, calls):
    """What a call takes, the best of three times so many."""
    from time import perf_counter

    times = []
    for _ in range(3):
        begin = perf_counter()
        for n in range(calls):
            function(n)
        times.append((perf_counter() - begin) / calls)
    return min(times)


def costs(kind, calls):
    """Of an executor with one worker: milliseconds until the first result, then microseconds of a blocking call of f(int), of
    f(dict), of f(list), of submit and result, and of an item of a map.
    """
    from time import perf_counter

    import tasks

    calls = int(calls)
    make(kind, 1).shutdown()  # imports what it needs
    row = {f"column {i}": i / 7 for i in range(10)}
    numbers = list(range(1000))
    begin = perf_counter()
    with make(kind, 1) as pool:
        assert pool.submit(tasks.same, 7).result() == 7
        first = perf_counter() - begin
        submitted = lambda function, value: pool.submit(function, value).result()
        call = pool.call if kind == "PoolExecutor" else submitted
        assert call(tasks.same, row) == row and call(tasks.same, numbers) == numbers
        found = [
            seconds(lambda n: call(tasks.same, n), calls),
            seconds(lambda n: call(tasks.same, row), calls // 4),
            seconds(lambda n: call(tasks.same, numbers), calls // 10),
            seconds(lambda n: submitted(tasks.same, n), calls),
        ]
        items = 10 * calls
        options = {"chunksize": 64} if kind == "ProcessPoolExecutor" else {}
        begin = perf_counter()
        assert list(pool.map(tasks.same, range(items), **options)) == list(range(items))
        found.append((perf_counter() - begin) / items)
    answer(first * 1e3, *(time * 1e6 for time in found))


def called_by_two(times, size):
    """Milliseconds for as much as two processes that `work`, by two threads that call a pool of two; and the answer."""
    import threading
    from time import perf_counter

    import covet_py

    import tasks

    with covet_py.PoolExecutor(2) as pool:
        found = []

        def caller():
            for _ in range(int(times)):
                found.append(pool.call(tasks.count, int(size)))

        for future in pool.broadcast(tasks.count, 10):
            future.result()
        threads = [threading.Thread(target=caller) for _ in range(2)]
        begin = perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = perf_counter() - begin
    assert len(found) == 2 * int(times) and len(set(found)) == 1
    answer(took * 1e3, found[0])


def uneven(kind, size):
    """How much longer than the ideal schedule two workers take for tasks of which every hundredth is 100 times as long."""
    from time import perf_counter

    import tasks

    sizes = [int(size) * (100 if i % 100 == 50 else 1) for i in range(400)]
    answers = {size: count(size) for size in set(sizes)}
    times = []
    for workers in (1, 2):
        with make(kind, workers) as pool:
            list(pool.map(tasks.count, [10] * 10))
            begin = perf_counter()
            found = list(pool.map(tasks.count, sizes))
            times.append(perf_counter() - begin)
            assert found == [answers[size] for size in sizes]
    answer(times[1] / (times[0] / 2))


def growth(count):
    """Bytes by which the process grows for 1000 tasks, after a tenth of them: submitted, mapped and called."""
    import tasks

    count = int(count)
    with make("PoolExecutor", 2) as pool:

        def some(count):
            for start in range(0, count, 1000):
                futures = [pool.submit(tasks.same, n) for n in range(start, start + 500)]
                assert sum(future.result() for future in futures) == sum(range(start, start + 500))
                assert sum(pool.map(tasks.same, range(250))) == sum(range(250))
                assert all(pool.call(tasks.same, n) == n for n in range(250))

        some(count // 10)
        before = memory("self", "Rss:")
        some(count)
        answer((memory("self", "Rss:") - before) * 1024 / (count / 1000))


def awaited(kind, calls):
    """Microseconds of a task that an event loop waits for, with 1 and with 100 in flight; 2 workers.

    `run` is `covet_py.PoolExecutor.run`; another kind is an executor, used by `run_in_executor`.
    """
    import asyncio
    from time import perf_counter

    import tasks

    async def one_after_the_other(send, numbers):
        for n in numbers:
            assert await send(n) == n

    async def main():
        loop = asyncio.get_running_loop()
        with make("PoolExecutor" if kind == "run" else kind, 2) as pool:
            if kind == "run":
                send = lambda n: pool.run(tasks.same, n)
            else:
                send = lambda n: loop.run_in_executor(pool, tasks.same, n)
            await asyncio.gather(*(one_after_the_other(send, range(10)) for _ in range(10)))
            for in_flight, count in ((1, int(calls) // 10), (100, int(calls))):
                begin = perf_counter()
                await asyncio.gather(*(one_after_the_other(send, range(i, count, in_flight)) for i in range(in_flight)))
                yield (perf_counter() - begin) / count * 1e6

    async def collect():
        return [time async for time in main()]

    answer(*asyncio.run(collect()))


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
