"""Processes that end in every way, with pools in every state: the cases, and a way to run each many times by hand.

    python exit_matrix.py [COUNT] [NAME ...]        COUNT times each (50), only cases whose name contains a NAME

A case passes when the exit code, standard output and standard error are exactly what they would be without a pool.
"""

import signal
import sys
import textwrap
from dataclasses import dataclass

from children import run

INTERRUPTED = "KeyboardInterrupt"
ENDS_BY_SIGINT = -signal.SIGINT


@dataclass
class Case:
    source: str
    code: int = 0
    out: str = ""
    err: str = ""
    """The last line of standard error; only that traceback may be there. Empty: nothing at all."""
    interrupt: bool = False
    """Send SIGINT once the child has said "ready"; it must end long before its tasks would."""

    def problem(self):
        """Runs it once. Returns what went wrong, or None."""
        source = "import covet_py, tasks, sys, threading, time, itertools, os\n" + textwrap.dedent(self.source)
        outcome = run(source, interrupt_after="ready" if self.interrupt else None)
        lines = outcome.err.strip().splitlines()
        if outcome.code != self.code:
            return f"exit code {outcome.code}, not {self.code}; {outcome.out!r}; stderr:\n{outcome.err[-2000:]}"
        if (lines[-1:] or [""])[0] != self.err:
            return f"last line of stderr not {self.err!r}:\n{outcome.err}"
        if outcome.err.count("Traceback (most recent call last)") != bool(self.err) or "Exception ignored" in outcome.err:
            return f"more than one traceback:\n{outcome.err}"
        if outcome.out != self.out:
            return f"stdout {outcome.out!r}, not {self.out!r}"
        return None


def interrupted(source):
    return Case(source, ENDS_BY_SIGINT, "ready\n", INTERRUPTED, interrupt=True)


FOREVER = """
def forever(*_):
    while True:
        pass
"""

CASES = {
    "idle": Case("pool = covet_py.PoolExecutor(2); pool.call(abs, -1)"),
    "at once": Case("pool = covet_py.PoolExecutor(2)"),
    "at once, many workers": Case("pools = [covet_py.PoolExecutor(4) for _ in range(3)]"),
    "never used, shut down": Case("covet_py.PoolExecutor(2).shutdown()"),
    "shut down without waiting": Case(
        "pool = covet_py.PoolExecutor(2); pool.submit(tasks.nap, 0.1); pool.shutdown(wait=False)"
    ),
    "work is completed": Case(
        """
        pool = covet_py.PoolExecutor(2)
        read, write = os.pipe()
        for i in range(40):
            pool.submit(os.write, write, b"x")
        pool.submit(tasks.nap, 0.1)
        for i in range(10):
            pool.submit(tasks.say, "done")
        """,
        out="done\n" * 10,
    ),
    "unread map is completed": Case(
        "pool = covet_py.PoolExecutor(2); results = pool.map(tasks.say, ['m'] * 30)", out="m\n" * 30
    ),
    "half-read map": Case(
        "pool = covet_py.PoolExecutor(2); results = pool.map(tasks.nap, [0.001] * 50, range(50)); next(results)"
    ),
    "callbacks run before the end": Case(
        """
        pool = covet_py.PoolExecutor(1)
        pool.submit(tasks.nap, 0.2, 5).add_done_callback(lambda future: print(future.result()))
        """,
        out="5\n",
    ),
    "exception in main": Case(
        "pool = covet_py.PoolExecutor(2); pool.submit(tasks.nap, 0.1); raise ValueError('mine')", 1, err="ValueError: mine"
    ),
    "exception in the block": Case(
        """
        with covet_py.PoolExecutor(2) as pool:
            pool.submit(tasks.nap, 0.1)
            raise ValueError("mine")
        """,
        1,
        err="ValueError: mine",
    ),
    "sys.exit in main": Case("pool = covet_py.PoolExecutor(2); pool.submit(tasks.nap, 0.1); sys.exit(3)", 3),
    "sys.exit in a task": Case(
        """
        pool = covet_py.PoolExecutor(2)
        pool.submit(sys.exit, 7)
        print(type(pool.submit(sys.exit, 7).exception()).__name__)
        """,
        out="SystemExit\n",
    ),
    "sys.exit in a task, taken": Case("covet_py.PoolExecutor(2).submit(sys.exit, 7).result()", 7),
    "os._exit in main": Case("pool = covet_py.PoolExecutor(2); pool.submit(tasks.nap, 5); os._exit(4)", 4),
    "failed tasks that nobody asks": Case(
        "pool = covet_py.PoolExecutor(2)\nfor i in range(50): pool.submit(tasks.fail_if_odd, i)"
    ),
    "daemon thread uses the pool": Case(
        """
        pool = covet_py.PoolExecutor(2)
        def use():
            while True:
                pool.call(abs, -1)
                pool.submit(abs, -1).result()
        threading.excepthook = lambda _: None
        for _ in range(3):
            threading.Thread(target=use, daemon=True).start()
        time.sleep(0.05)
        """
    ),
    "thread still calling": Case(
        """
        pool = covet_py.PoolExecutor(2)
        def use():
            try:
                while True:
                    pool.call(abs, -1)
                    pool.submit(abs, -1).result()
            except RuntimeError as error:
                assert "shutdown" in str(error), error
                os.write(1, b"refused\\n")
        threading.Thread(target=use).start()
        time.sleep(0.05)
        """,
        out="refused\n",
    ),
    "thread waits for a result": Case(
        """
        pool = covet_py.PoolExecutor(1)
        future = pool.submit(tasks.nap, 0.3, "late")
        threading.Thread(target=lambda: print(future.result())).start()
        """,
        out="late\n",
    ),
    "two pools": Case(
        """
        one, two = covet_py.PoolExecutor(1), covet_py.PoolExecutor(2)
        one.submit(tasks.nap, 0.1), two.submit(tasks.nap, 0.1), one.call(abs, -1)
        """
    ),
    "collected while busy": Case(
        """
        import gc
        for _ in range(3):
            pool = covet_py.PoolExecutor(2)
            pool.submit(tasks.nap, 0.1)
            pool.submit(tasks.say, "ran")
            del pool
            gc.collect()
        """,
        out="ran\n" * 3,
    ),
    "pool in a cycle": Case(
        "pool = covet_py.PoolExecutor(2); pool.me = pool; pool.keep = pool.submit(tasks.nap, 0.1); del pool"
    ),
    "pool of an imported module": Case("import pool_at_import; print(pool_at_import.pool.call(abs, -4))", out="4\n"),
    "nested pool left open": Case(
        """
        def task():
            import covet_py
            global inner
            inner = covet_py.PoolExecutor(1)
            return inner.call(abs, -2)
        pool = covet_py.PoolExecutor(1)
        print(pool.submit(task).result())
        """,
        out="2\n",
    ),
    "task leaves a thread behind": Case(
        "pool = covet_py.PoolExecutor(1); print(pool.submit(tasks.use_thread_and_leave).result())", out="True\n"
    ),
    "pool made at exit": Case(
        """
        import atexit
        def late():
            try:
                covet_py.PoolExecutor(1).submit(abs, -1)
            except RuntimeError:
                print("refused")
        atexit.register(late)
        """,
        out="refused\n",
    ),
    "pool made by a thread at exit": Case(
        """
        def late():
            time.sleep(0.1)
            try:
                covet_py.PoolExecutor(1).submit(abs, -1)
            except RuntimeError:
                print("refused")
        threading.Thread(target=late).start()
        """,
        out="refused\n",
    ),
    "asyncio in tasks": Case(
        "with covet_py.PoolExecutor(2) as pool: print(pool.call(tasks.use_asyncio), pool.submit(tasks.use_asyncio).result())",
        out="13 13\n",
    ),
    "Ctrl-C while map waits for endless tasks, in the block": interrupted(
        FOREVER
        + """
with covet_py.PoolExecutor(2) as pool:
    results = pool.map(forever, range(4))
    print("ready", flush=True)
    next(results)
"""
    ),
    "Ctrl-C while map waits for endless tasks": interrupted(
        FOREVER
        + """
pool = covet_py.PoolExecutor(2)
results = pool.map(forever, range(4))
print("ready", flush=True)
next(results)
"""
    ),
    "Ctrl-C during a map of short tasks": interrupted(
        """
        with covet_py.PoolExecutor(2) as pool:
            print("ready", flush=True)
            for result in pool.map(tasks.nap, itertools.repeat(0.01), itertools.count(), buffersize=8):
                pass
        """
    ),
    "Ctrl-C between the results of a map": interrupted(
        FOREVER
        + """
with covet_py.PoolExecutor(2) as pool:
    results = pool.map(forever, range(2))
    print("ready", flush=True)
    time.sleep(60)
"""
    ),
    "Ctrl-C while map reads an endless iterable": interrupted(
        """
        with covet_py.PoolExecutor(2, queue_size=1) as pool:
            print("ready", flush=True)
            pool.map(abs, itertools.count())
        """
    ),
    "Ctrl-C during call": interrupted(
        FOREVER
        + """
with covet_py.PoolExecutor(2) as pool:
    print("ready", flush=True)
    pool.call(forever)
"""
    ),
    # The main thread runs it itself, and notices when it returns: signals are handled in the main interpreter only.
    "Ctrl-C during call of a function that used to be brief": interrupted(
        """
        with covet_py.PoolExecutor(2) as pool:
            for _ in range(100):
                pool.call(tasks.spin, 0)
            print("ready", flush=True)
            pool.call(tasks.spin, 1)
            time.sleep(10)
        """
    ),
    "Ctrl-C during result": interrupted(
        FOREVER
        + """
with covet_py.PoolExecutor(2) as pool:
    future = pool.submit(forever)
    print("ready", flush=True)
    future.result()
"""
    ),
    "Ctrl-C during result, without a block": interrupted(
        FOREVER
        + """
pool = covet_py.PoolExecutor(2)
future = pool.submit(forever)
print("ready", flush=True)
future.result()
"""
    ),
    "Ctrl-C while submit waits for room": interrupted(
        """
        with covet_py.PoolExecutor(1, queue_size=1) as pool:
            print("ready", flush=True)
            for _ in range(10):
                pool.submit(tasks.spin, 60)
        """
    ),
    "Ctrl-C while leaving the block": interrupted(
        """
        with covet_py.PoolExecutor(1) as pool:
            pool.submit(tasks.spin, 60)
            print("ready", flush=True)
        """
    ),
    "Ctrl-C at exit": Case(
        """
        pool = covet_py.PoolExecutor(1)
        pool.submit(tasks.spin, 60)
        print("ready", flush=True)
        """,
        # The program itself had ended well; only the wait was cut short.
        0,
        "ready\n",
        interrupt=True,
    ),
    "Ctrl-C beside the pool": interrupted(
        "pool = covet_py.PoolExecutor(2); pool.call(abs, -1); print('ready', flush=True); time.sleep(60)"
    ),
    "Ctrl-C that the program handles": Case(
        """
        with covet_py.PoolExecutor(2) as pool:
            print("ready", flush=True)
            try:
                pool.call(tasks.spin, 60)
            except KeyboardInterrupt:
                print("caught")
            print(pool.call(abs, -6), pool.submit(abs, -7).result(), list(pool.map(abs, [-8])))
        """,
        out="ready\ncaught\n6 7 [8]\n",
        interrupt=True,
    ),
}

# What the pool is doing when the program comes to its end. Whatever runs ends by itself, as it would have to without a pool.
STATES = {
    "idle": "pool = covet_py.PoolExecutor(2); pool.call(abs, -1); pool.submit(abs, -1).result()",
    "running": "pool = covet_py.PoolExecutor(2); begun(pool.submit(tasks.spin, 0.3))",
    "creating": "pool = covet_py.PoolExecutor(2)",
    "blocked in C": """
read, write = os.pipe()
pool = covet_py.PoolExecutor(2)
begun(pool.submit(os.read, read, 1))
# Only now: what is there already would not block.
subprocess.Popen(["sh", "-c", "sleep 0.3; echo"], stdout=write)
""",
    "in time.sleep": "pool = covet_py.PoolExecutor(2); begun(pool.submit(time.sleep, 0.3))",
    "thread in a task": "pool = covet_py.PoolExecutor(2); print(pool.submit(tasks.use_thread_and_leave).result())",
}
ENDS = {
    "normally": ("", 0, ""),
    "by an exception": ("raise ValueError('mine')", 1, "ValueError: mine"),
    "by SIGINT": ("os.kill(os.getpid(), signal.SIGINT); time.sleep(60)", ENDS_BY_SIGINT, INTERRUPTED),
    "by a handler of SIGTERM": (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(15)); os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)",
        15,
        "",
    ),
    "by sys.exit": ("sys.exit(3)", 3, ""),
    "by os._exit": ("sys.stdout.flush(); os._exit(4)", 4, ""),
}
# Not running alone: on a busy machine a brief task can be done before this thread has seen it run.
BEGUN = """
import signal, subprocess
def begun(future):
    while not (future.running() or future.done()):
        time.sleep(0.001)
"""

for state, reach in STATES.items():
    for end, (last, code, err) in ENDS.items():
        out = "True\n" if state == "thread in a task" else ""
        CASES[f"{state}, ends {end}"] = Case("\n".join([BEGUN, reach, last]), code, out, err)

if sys.version_info < (3, 12):
    # With one GIL the task itself is hit, and the exception is its own.
    del CASES["Ctrl-C during call of a function that used to be brief"]


def main(arguments):
    count = int(arguments[0]) if arguments else 50
    chosen = [name for name in CASES if not arguments[1:] or any(part in name for part in arguments[1:])]
    bad = 0
    for name in chosen:
        problems = [problem for problem in (CASES[name].problem() for _ in range(count)) if problem]
        bad += bool(problems)
        print(f"{'ok ' if not problems else 'BAD'} {count - len(problems)}/{count} {name}", flush=True)
        if problems:
            print(textwrap.indent(problems[0], "      "), flush=True)
    return bad


if __name__ == "__main__":
    sys.exit(bool(main(sys.argv[1:])))
