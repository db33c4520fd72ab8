"""`PoolExecutor.explain`: what it says is what happens."""

import dataclasses
import sys
import threading

import pytest
import tasks
from children import check

from covet_py import Buffer, PoolExecutor


def ways(explanation):
    return {finding.module: finding.way for finding in explanation.modules}


def test_a_function_of_a_module(pool):
    found = pool.explain(tasks.add, 1, b=2)
    assert found.function == "tasks.add" and found.sent.startswith("by reference")
    assert found.arguments.startswith("by the direct codec: ")
    assert (found.strategy, found.strategy_reason) == (pool.strategy, pool.strategy_reason)
    assert ways(found) == {"tasks": "native"}
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.sent = "otherwise"


def test_nothing_is_called(pool, tmp_path):
    pool.explain(tasks.append_line, str(tmp_path / "log"), 1)
    assert not (tmp_path / "log").exists()


def test_what_arguments_cost(pool):
    assert pool.explain(tasks.same).arguments == "none"
    assert pool.explain(tasks.same, tasks.Custom(1, 2)).arguments.startswith("by pickle, because")
    assert "1048576 bytes that stay where they are" in pool.explain(tasks.same, Buffer(bytes(1 << 20))).arguments


def test_what_cannot_be_sent_is_said(pool):
    lock = threading.Lock()
    found = pool.explain(lambda: lock, lock)
    assert "cannot be sent" in found.sent and "lock" in found.sent
    assert found.arguments.startswith("which cannot be sent: argument 0")
    assert "cannot be sent" in str(found)


def test_where_call_runs_it(own_pool):
    assert own_pool.explain(tasks.spin, 0.1).call.startswith("dispatched: a worker")
    elsewhere = []
    thread = threading.Thread(target=lambda: elsewhere.append(own_pool.explain(tasks.spin, 0.1).call))
    thread.start()
    thread.join()
    assert elsewhere[0].startswith("borrowed")
    # However long one took on a machine that others use.
    while not own_pool.explain(tasks.same, 1).call.startswith("borrowed"):
        own_pool.call(tasks.same, 1)


def test_modules_that_code_refers_to():
    check(
        """
        import covet_py, json
        from math import sqrt

        def helper():
            import decimal
            return sqrt(2)

        def work(x):
            return helper(), json.dumps(x)

        work_calls = 0
        def counts():
            global work_calls
            work_calls += 1

        with covet_py.PoolExecutor(1) as pool:
            found = pool.explain(work, 1)
            print(sorted(finding.module for finding in found.modules))
            print(found.sent.partition(":")[0], "|", found.sent.partition(":")[2][:13])
            print(pool.explain(counts).sent.partition(", because")[0])
            print(pool.explain(pool.wrap(work), 1).sent == found.sent)
        """,
        "['decimal', 'json', 'math']\nby value |  pickled once\nby value: pickled for each call\nTrue\n",
    )


def test_how_modules_are_had():
    with PoolExecutor(1) as pool:
        found = pool.explain(tasks.use_module_readline)
        if pool.strategy == "subinterpreters" and "t" not in sys.abiflags:
            assert ways(found)["readline"] == "refused"
            assert "readline cannot be loaded" in str(found)
            assert found.fallback == "main" and "\nfallback" in str(found)
        assert ways(pool.explain(tasks.use_module_missing))["no_such_module"] == "missing"


def test_it_reads_well(pool):
    lines = str(pool.explain(tasks.add, 1, 2)).splitlines()
    assert not any(line.startswith("fallback") for line in lines)
    assert lines[0].startswith("function") and "tasks.add, by reference" in lines[0]
    assert any(line.startswith("module tasks") for line in lines)
    assert max(map(len, lines)) <= 120
