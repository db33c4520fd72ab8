"""`python -m covet_py`."""

import json
import subprocess
import sys

import pytest

import covet_py


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "covet_py", *arguments], capture_output=True, text=True, timeout=120)


def test_info_says_what_a_pool_would_do():
    facts = json.loads(run("info", "--json").stdout)
    with covet_py.PoolExecutor(1) as pool:
        assert (facts["strategy"], facts["reason"]) == (pool.strategy, pool.strategy_reason)
    assert facts["covet_py"] == covet_py.__version__
    plain = run("info")
    assert (plain.returncode, plain.stderr) == (0, "")
    assert all(name in plain.stdout for name in facts)


def test_doctor_says_which_way_each_module_takes():
    outcome = run("doctor", "--json", "json", "readline", "no_such_module")
    found = {finding["module"]: finding for finding in json.loads(outcome.stdout)}
    assert outcome.returncode == 1
    assert found["json"]["way"] == "native"
    assert found["no_such_module"]["way"] == "missing"
    with covet_py.PoolExecutor(1) as pool:
        if pool.strategy == "subinterpreters" and found["readline"]["way"] != "missing":
            assert found["readline"]["way"] == "refused"
            assert "readline cannot be loaded" in found["readline"]["reason"]
    assert run("doctor", "json").returncode == 0


def test_doctor_knows_private_images():
    pytest.importorskip("numpy")
    if "t" in sys.abiflags:
        pytest.skip("free-threaded builds have no private images")
    found = json.loads(run("doctor", "--json", "numpy").stdout)[0]
    with covet_py.PoolExecutor(1) as pool:
        expected = "private images" if pool.strategy == "subinterpreters" else "native"
    assert found["way"] == expected, found
    assert (found["images"] > 0) is (expected == "private images")


def test_a_command_that_there_is_not_prints_how_they_are_used():
    for arguments in ([], ["nonsense"], ["doctor"]):
        outcome = run(*arguments)
        assert (outcome.returncode, outcome.stdout) == (2, "")
        assert outcome.stderr.startswith("usage: python -m covet_py")
