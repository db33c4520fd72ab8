"""Requests in other interpreters: what it costs to hand one over, and whether two of them do twice as much."""

import statistics
import time

import payloads
from covet_py import NativeRequest, PoolExecutor


def none(_):
    return None


def read_all(payload, turns):
    """Parses and reads in this interpreter; returns how many requests it read."""
    from covet_py import NativeRequest

    read = 0
    for _ in range(turns):
        for data in payload:
            request = NativeRequest(data)
            found = request.method, request.path, request.header("user-agent"), request.query_value("q")
            read += None not in found
    return read


def measure(rounds, wanted, word, row):
    payload = payloads.ALL["small GET"]
    case = "a request as argument of call()"
    if word in case:
        data = payloads.ALL["POST of JSON"][0]
        request = NativeRequest(data)
        yield from hand_over(case, rounds, request, data, row)
    case = "two interpreters, parse and read"
    if word in case:
        turns = 8
        while timed(lambda: read_all(payload, turns)) < wanted * 10:
            turns *= 2
        ratios, ones = [], []
        with PoolExecutor(2) as pool:
            if pool.strategy == "main-only":
                return
            wait([pool.submit(read_all, payload, 1) for _ in range(2)])
            for _ in range(rounds):
                one = timed(lambda: wait([pool.submit(read_all, payload, turns)]))
                two = timed(lambda: wait([pool.submit(read_all, payload, turns) for _ in range(2)]))
                ones.append(one / (turns * len(payload)) * 1e6)
                ratios.append(2 * one / two)
        yield row(case, "us", statistics.median(ones) / statistics.median(ratios), "one", statistics.median(ratios), rounds)


def hand_over(case, rounds, request, data, row):
    with PoolExecutor(1) as pool:
        found = {name: [] for name in ["request", "nothing", "bytes"]}
        arguments = {"request": request, "nothing": None, "bytes": data}
        for argument in arguments.values():
            pool.call(none, argument)
        for _ in range(rounds):
            for name, argument in arguments.items():
                started = time.thread_time()
                for _ in range(20_000):
                    pool.call(none, argument)
                found[name].append((time.thread_time() - started) / 20_000 * 1e6)
        for peer in ["nothing", "bytes"]:
            ratio = statistics.median(other / own for own, other in zip(found["request"], found[peer]))
            yield row(case, "us", statistics.median(found["request"]), f"{peer} as argument", ratio, rounds)


def wait(futures):
    return [future.result() for future in futures]


def timed(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started
