"""What happens to pools that are still open when the interpreter ends, or the process forks.

Finalizing Python while a subinterpreter runs kills the process, on every version. So before the interpreter waits for
its threads, every pool is closed, its tasks finish (as those of the standard pools do), and its interpreters end. Ctrl-C
meanwhile cancels what is queued and interrupts what runs. What does not stop even then leaves one way out that is
clean for everybody else: ending the process without finalizing.

The child of a fork has none of the threads, so none of the pools: what it inherits of them says so when it is used. It can make
pools of its own.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings

from covet_py import _future, _native

# Seconds that interrupted tasks get before the process ends without them.
_GRACE = 5.0
_ATTEMPTS = 5


def _shut_down() -> None:
    # A program that was ended by Ctrl-C is not to go on in its tasks.
    by_sigint = isinstance(getattr(sys, "last_value", None), KeyboardInterrupt)
    interrupted = by_sigint
    try:
        if not interrupted:
            _native.shut_down_all(None)
    except KeyboardInterrupt:
        interrupted = True
    stopped = not interrupted or _interrupt()
    if not stopped or _native.lost_workers():
        _leave(130 if interrupted else _exit_code())
    _future.stop()
    _native.before_finalize(_GRACE)
    if by_sigint:
        _mark_interrupted()


def _interrupt() -> bool:
    """Cancels and interrupts everything; returns whether it has stopped."""
    # Again and again: a task may catch the exception and go on, or begin between two looks.
    for _ in range(_ATTEMPTS):
        _native.interrupt_all()
        try:
            if _native.shut_down_all(_GRACE / _ATTEMPTS):
                return True
        except KeyboardInterrupt:
            return False
    return False


def _mark_interrupted() -> None:
    """Has the process end by SIGINT, as CPython does after an unhandled KeyboardInterrupt.

    It notes one when it evaluates source text, in one place for all interpreters, and takes that note back at the next
    evaluation in any of them: a worker that was interrupted makes some.
    """
    try:
        exec("raise KeyboardInterrupt")
    except KeyboardInterrupt:
        pass


def _exit_code() -> int:
    """The exit code that the process would have had, but for `sys.exit(code)`: CPython has put that away by now."""
    return 1 if getattr(sys, "last_value", None) is not None else 0


def _leave(code: int) -> None:
    print(
        f"covet_py: a task did not stop within {_GRACE:.0f} s of being interrupted; leaving without it",
        file=sys.stderr,
    )
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
    os._exit(code)


def _before_fork() -> None:
    # A hook cannot refuse: CPython ignores its exceptions.
    if not _native.fork_is_safe():
        warnings.warn(
            "os.fork() while a covet_py.PoolExecutor with subinterpreters is open: on this Python the child can crash or hang; "
            "shut the pool down first, or start processes by spawn or forkserver",
            RuntimeWarning,
            stacklevel=2,
        )


def _after_fork() -> None:
    _native.after_fork()
    _future.after_fork()


os.register_at_fork(before=_before_fork, after_in_child=_after_fork)

# Runs before the interpreter joins its threads; `atexit` would be too late for that.
threading._register_atexit(_shut_down)  # type: ignore[attr-defined]
