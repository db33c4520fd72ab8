"""CPython's own tests of executors pass with PoolExecutor. See cpython_suite.py."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest


def installed():
    try:
        return importlib.util.find_spec("test.test_concurrent_futures.executor") is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.skipif(not installed(), reason="this Python came without its tests of concurrent.futures, or with older ones")
@pytest.mark.hangs_after(300)  # it sleeps for half a minute, all in all
def test_cpython_suite():
    script = Path(__file__).with_name("cpython_suite.py")
    outcome = subprocess.run([sys.executable, script, "-v"], capture_output=True, text=True, timeout=280)
    assert outcome.returncode == 0, outcome.stderr
    found = re.search(r"^Ran (\d+) tests", outcome.stderr, re.MULTILINE)
    assert found is not None and int(found[1]) >= 30, outcome.stderr
