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
from types import CodeType

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
        _leave(130 if interrupted else _Exit.code())
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


class _Exit:
    """What the program ends with, as far as CPython does not tell `_shut_down`: it has put the code of a SystemExit away by then."""

    noted: SystemExit | None = None

    @classmethod
    def unwound(cls, code: CodeType, offset: int, error: BaseException) -> None:
        # Out of the outermost frame, where nobody catches it.
        if (
            isinstance(error, SystemExit)
            and threading.current_thread() is threading.main_thread()
            and sys._getframe(1).f_back is None
        ):
            cls.noted = error

    @classmethod
    def code(cls) -> int:
        if cls.noted is None:
            return 1 if getattr(sys, "last_value", None) is not None else 0
        code = cls.noted.code
        if code is None:
            return 0
        return code & 0xFF if isinstance(code, int) else 1


def watch_exit() -> None:
    """Called in the main thread once a task is lost, so that the process will have to leave without finalizing.

    Costs a call of Python for every frame that an exception leaves, from now on. On 3.11, and where other tools have taken all
    places, the code of a SystemExit stays unknown, and is taken for 0.
    """
    if sys.version_info < (3, 12):
        return
    monitoring = sys.monitoring
    for tool in (4, 3):
        if monitoring.get_tool(tool) == __name__:
            return
        if monitoring.get_tool(tool) is None:
            monitoring.use_tool_id(tool, __name__)
            monitoring.register_callback(tool, monitoring.events.PY_UNWIND, _Exit.unwound)
            monitoring.set_events(tool, monitoring.events.PY_UNWIND)
            return


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
