"""The Python half of threads.rs, compiled into each subinterpreter as `_covet_threads`."""

def watch():
    """Allows daemon threads as soon as `threading` is there."""
    from _covet_loader import when_imported

    when_imported("threading", _allow)


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
