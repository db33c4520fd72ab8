"""The Python half of threads.rs, compiled into each subinterpreter as `_covet_threads`."""

import sys


class _Finder:
    """Allows daemon threads in `threading` once that is imported: most interpreters never do."""

    def find_spec(self, name, path=None, target=None):
        if name != "threading":
            return None
        from _frozen_importlib import _find_spec

        sys.meta_path.remove(self)
        spec = _find_spec(name, path)
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            _allow(module)

        spec.loader.exec_module = exec_module
        return spec


def watch():
    """Allows daemon threads, now or as soon as `threading` is there."""
    threading = sys.modules.get("threading")
    if threading is None:
        sys.meta_path.insert(0, _Finder())
    else:
        _allow(threading)


def _allow(threading):
    threading._daemon_threads_allowed = lambda: True
    start = getattr(threading, "_start_joinable_thread", None)
    if start is not None:
        # To CPython (3.13 and later) it is an ordinary thread.
        threading._start_joinable_thread = lambda function, handle=None, daemon=True: start(
            function, handle=handle, daemon=False
        )


def end(interrupt, seconds):
    """Ends the daemon threads, after the others and the exit handlers; `interrupt(ident)` raises SystemExit in one.

    Returns whether they have ended in this time.
    """
    import atexit
    import threading
    import time

    # Threads that were not started here: that of the interpreter's owner, and the one that it takes for the main thread.
    foreign = (threading._MainThread, threading._DummyThread)

    def others(daemon):
        return [
            thread
            for thread in threading.enumerate()
            if thread.daemon is daemon and not isinstance(thread, foreign)
        ]

    if not others(daemon=True):
        return True
    for thread in others(daemon=False):
        thread.join()
    atexit._run_exitfuncs()
    deadline = time.monotonic() + seconds
    while daemons := others(daemon=True):
        if time.monotonic() > deadline:
            return False
        for thread in daemons:
            interrupt(thread.ident)
        daemons[0].join(0.02)
    return True
