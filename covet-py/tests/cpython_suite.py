"""CPython's own tests of executors, bound to PoolExecutor.

    python cpython_suite.py [-v]

Runs what `test.test_concurrent_futures` asks of every executor; what it asks of threads or processes alone is not bound.
"""

import sys
import unittest
from unittest import mock

from test.test_concurrent_futures import executor, test_as_completed, test_init, test_shutdown, test_wait, util

from covet_py import PoolExecutor


class Bound(util.BaseTestCase):
    executor_type = PoolExecutor

    def create_event(self):
        self.skipTest("an event belongs to one interpreter, as with InterpreterPoolExecutor")


class Tasks(executor.ExecutorTest, util.ExecutorMixin, Bound):
    pass


class Wait(test_wait.WaitTests, util.ExecutorMixin, Bound):
    pass


class AsCompleted(test_as_completed.AsCompletedTests, util.ExecutorMixin, Bound):
    pass


class Initializer(test_init.InitializerMixin, Bound):
    pass


class FailingInitializer(test_init.FailingInitializerMixin, Bound):
    pass


class Shutdown(test_shutdown.ExecutorShutdownTest, util.ExecutorMixin, Bound):
    """Some of these run scripts, which import the executor by its name."""

    def setUp(self):
        original = test_shutdown.assert_python_ok
        here = "from covet_py import PoolExecutor"

        def run(option, script, *arguments, **variables):
            script = script.replace("from concurrent.futures import PoolExecutor", here)
            return original(option, script, *arguments, **variables)

        patch = mock.patch.object(test_shutdown, "assert_python_ok", run)
        patch.start()
        self.addCleanup(patch.stop)
        super().setUp()


if __name__ == "__main__":
    verbosity = 2 if "-v" in sys.argv else 1
    unittest.main(argv=sys.argv[:1], verbosity=verbosity)
