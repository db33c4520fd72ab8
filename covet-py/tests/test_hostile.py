"""Tasks that mean no good, each in a process of its own: the pool is usable after them, and the process ends as it should."""

import sys

import pytest
from children import run

FINE = "fine"

# The body of a task: what comes of it ("fine": it returns that), and the line that may stand last on standard error.
TASKS = {
    "sys.exit": ("sys.exit(3)", "SystemExit: 3"),
    "SystemExit with a list": ("raise SystemExit([1, 2])", "SystemExit: [1, 2]"),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt: "),
    "GeneratorExit": ("raise GeneratorExit", "GeneratorExit: "),
    "BaseException": ("raise BaseException", "BaseException: "),
    "MemoryError": ("raise MemoryError", "MemoryError: "),
    "a real lack of memory": ("return len(bytes(1 << 62))", "MemoryError: "),
    "recursion": ("def down(): return down()\n    down()", "RecursionError: maximum recursion depth exceeded"),
    "an exception that is its own cause": ("e = ValueError('v'); e.__cause__ = e.__context__ = e; raise e", "ValueError: v"),
    "an exception without text": (
        "bad = lambda self: 1 / 0\n    raise type('E', (Exception,), {'__str__': bad, '__repr__': bad, '__reduce__': bad})()",
        "RemoteError: __main__.E: <str() of it raised ZeroDivisionError>",
    ),
    "a result that leaves": (
        "class Result:\n        def __reduce__(self): raise SystemExit(3)\n    return Result()",
        "SystemExit: 3",
    ),
    "fork": ("os.fork()", "RuntimeError: "),
    "exec": ("os.execv('/bin/true', ['true'])", "RuntimeError: "),
    "a process": ("subprocess.run([sys.executable, '-c', '']); return FINE", FINE),
    "a signal handler": ("signal.signal(signal.SIGINT, signal.SIG_DFL)", "ValueError: "),
    "a wakeup descriptor": ("signal.set_wakeup_fd(-1)", "ValueError: "),
    "signals seen": ("[signal.getsignal(s) for s in signal.valid_signals()]; signal.pthread_sigmask(0, []); return FINE", FINE),
    "frames of others": (
        "for _ in range(500):\n        for frame in sys._current_frames().values():\n"
        "            while frame:\n                frame.f_locals\n                frame = frame.f_back\n    return FINE",
        FINE,
    ),
    "exceptions of others": ("[repr(sys._current_exceptions()) for _ in range(2000)]; return FINE", FINE),
    "settrace": ("sys.settrace(lambda *a: None); sys.setprofile(lambda *a: None); return FINE", FINE),
    "settrace in all threads": (
        "getattr(threading, 'settrace_all_threads', sys.settrace)(lambda *a: None); return FINE",
        FINE,
    ),
    "gc": ("gc.freeze(); gc.disable(); return FINE", FINE),
    "a recursion limit": ("sys.setrecursionlimit(10**9)\n    def down(n): return n and down(n - 1)\n    down(5000); return FINE", FINE),
    "a switch interval": ("sys.setswitchinterval(1e-6); return FINE", FINE),
    "no stdout": ("sys.stdout = sys.stderr = None; return FINE", FINE),
    "closed stdout": ("sys.stdout.close(); return FINE", FINE),
    "a lock left held": ("global lock; lock = threading.RLock(); lock.acquire(); return FINE", FINE),
    "a thread left running": ("threading.Thread(target=time.sleep, args=(0.2,)).start(); return FINE", FINE),
    "an exit handler": ("atexit.register(time.sleep, 0.01); return FINE", FINE),
    "an object that dies at the end": (
        "class Last:\n        def __del__(self): pass\n    global last; last = Last(); last.me = last; return FINE",
        FINE,
    ),
    "an event loop left open": ("import asyncio\n    global loop; loop = asyncio.new_event_loop(); return FINE", FINE),
    "no import path": ("sys.path = sys.meta_path = None; return FINE", FINE),
    "another pickle": ("import pickle\n    pickle.dumps = pickle.loads = pickle.Pickler = None; return FINE", FINE),
    "no traceback": ("import traceback\n    traceback.TracebackException = None; raise ValueError('v')", "ValueError: v"),
    "no hooks": ("sys.excepthook = sys.unraisablehook = None; raise ValueError('v')", "ValueError: v"),
}

PROGRAM = """
import atexit, covet_py, gc, os, signal, subprocess, sys, threading, time
FINE = "fine"

def task():
    import atexit, gc, os, signal, subprocess, sys, threading, time
    {body}

def outcome(run):
    try:
        return run()
    except BaseException as error:
        return f"{{type(error).__name__}}: {{error}}"

# Main computes meanwhile, as does the other worker.
busy = threading.Thread(target=lambda: [sum(range(1000)) for _ in range(3000)])
busy.start()
with covet_py.PoolExecutor(2{strategy}) as pool:
    other = pool.submit(sum, range(1000000))
    futures = [pool.submit(task) for _ in range(3)]
    outcomes = {{outcome(lambda: future.result(20)) for future in futures}} | {{outcome(lambda: pool.call(task))}}
    assert [pool.submit(abs, -n).result(20) for n in range(20)] == list(range(20))
    assert pool.call(abs, -5) == 5 and list(pool.map(abs, [-1, -2])) == [1, 2]
    assert type(pool.submit(int, "x").exception(20)) is ValueError
    assert other.result(20) == sum(range(1000000))
for text in sorted(outcomes):
    print(text)
sys.exit(6)
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks run in the main interpreter, which is the program's own")
@pytest.mark.parametrize("name", TASKS)
def test_a_pool_survives(name):
    body, expected = TASKS[name]
    ended = run(PROGRAM.format(body=body, strategy=", strategy='subinterpreters'"))
    assert (ended.code, ended.err) == (6, ""), ended
    texts = ended.out.splitlines()
    assert texts and all(text.startswith(expected) for text in texts), ended


def test_an_end_of_the_process_by_a_task_is_its_own():
    assert run("import covet_py, os\ncovet_py.PoolExecutor(2).submit(os._exit, 7).result()").all == (7, "", "")


def test_closed_descriptors():
    # Nothing can be written any more, and the exit code still tells.
    source = """
    import covet_py, os, sys
    with covet_py.PoolExecutor(2) as pool:
        pool.submit(os.closerange, 1, 3).result()
        sys.stdout = sys.stderr = None
        fine = pool.call(abs, -5) == 5 and list(pool.map(abs, [-1, -2])) == [1, 2] and pool.submit(abs, -7).result() == 7
    sys.exit(6 if fine else 1)
    """
    assert run(source).all == (6, "", "")
