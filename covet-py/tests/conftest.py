"""What every test file of the package may use."""

import faulthandler
import os
import sys
import time
from pathlib import Path

import pytest

# The helper modules beside the tests, also when pytest is told not to touch sys.path. Workers take over the path that their
# pool's maker has, so tasks.py can be imported there too.
HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)

import tasks  # noqa: E402

from covet_py import PoolExecutor  # noqa: E402


# A test that takes longer hangs. The process is ended then, with the stacks of its threads: nothing else gets a thread
# out of a wait in compiled code.
HANGS_AFTER = 60.0
STDERR = []


def pytest_configure(config):
    config.addinivalue_line("markers", "hangs_after(seconds): how long the test may take, instead of a minute")
    # Not while pytest captures what is written to it.
    STDERR.append(os.dup(2))


@pytest.fixture(autouse=True)
def watchdog(request):
    marker = request.node.get_closest_marker("hangs_after")
    faulthandler.dump_traceback_later(marker.args[0] if marker else HANGS_AFTER, exit=True, file=STDERR[0])
    yield
    # The end of the module's pool, which comes after its last test, is watched as well.
    faulthandler.dump_traceback_later(HANGS_AFTER, exit=True, file=STDERR[0])


def pytest_unconfigure():
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="module")
def pool():
    """Two workers, shared by the tests of a file: each of them must leave the pool usable."""
    with PoolExecutor(2) as executor:
        yield executor


@pytest.fixture
def own_pool():
    """Two workers for one test."""
    with PoolExecutor(2) as executor:
        yield executor


@pytest.fixture
def gate(tmp_path):
    """Keeps tasks waiting until it is opened; opens at the end of the test whatever happens."""

    class Gate:
        path = str(tmp_path / "go")

        def open(self):
            (tmp_path / "go").touch()

    made = Gate()
    yield made
    made.open()


@pytest.fixture
def busy(own_pool, gate):
    """A pool with both workers held up by the gate, and their futures."""
    futures = [own_pool.submit(tasks.wait_for_file, gate.path) for _ in range(2)]
    while not all(future.running() for future in futures):
        time.sleep(0.002)
    return own_pool, futures
