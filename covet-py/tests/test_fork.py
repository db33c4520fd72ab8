"""Other processes are started while pools are open: no crash, no wait, and a child of a fork gets one clear error.

Each case is a process of its own. The child of a fork says what it got from what it inherited, then uses a pool of its own.
"""

import sys

import pytest
from children import run
from exit_matrix import BEGUN

GIL_IS_OFF = not getattr(sys, "_is_gil_enabled", lambda: True)()

START = """
import covet_py, multiprocessing, os, signal, subprocess, sys, tasks, threading, time
from concurrent.futures import ThreadPoolExecutor

def expect_refusal(*attempts):
    # One text for every way to use what was inherited.
    for attempt in attempts:
        try:
            print("not refused:", attempt())
        except RuntimeError as error:
            assert "belongs to the parent process" in str(error), error

def in_child():
    expect_refusal(
        lambda: pool.call(abs, -1), lambda: pool.submit(abs, -1).result(), lambda: list(pool.map(abs, [-1])), *inherited
    )
    pool.shutdown()
    with covet_py.PoolExecutor(2) as own:
        futures = [own.submit(abs, -n) for n in range(20)]
        told = threading.Semaphore(0)
        for future in futures:
            future.add_done_callback(lambda _: told.release())
        assert [future.result() for future in futures] == list(range(20))
        assert all(told.acquire(timeout=20) for _ in futures)
        assert own.call(abs, -5) == 5 and list(own.map(abs, [-6, -7])) == [6, 7]
    print("child", flush=True)

def plain():
    # In processes that start anew.
    with covet_py.PoolExecutor(1) as own:
        assert own.call(abs, -5) == 5 and own.submit(abs, -6).result() == 6
    print("child", flush=True)

def reap(pid):
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    return "hangs"

def by_fork(end):
    pid = os.fork()
    if pid == 0:
        in_child()
        end()
    return reap(pid)

def by_process(method, target):
    process = multiprocessing.get_context(method).Process(target=target)
    process.start()
    process.join(20)
    code = process.exitcode
    if code is None:
        process.kill()
    return code

inherited = ()
"""

STATES = {
    "idle": """
        pool = covet_py.PoolExecutor(2)
        pool.call(abs, -1), pool.submit(abs, -1).result()
        """,
    "creating": "pool = covet_py.PoolExecutor(4)",
    "running": """
        pool = covet_py.PoolExecutor(2)
        waits = pool.submit(tasks.nap, 0.3)
        future = pool.submit(tasks.spin, 0.3)
        queued = pool.submit(tasks.nap, 0.1)
        results = pool.map(tasks.nap, [0.1] * 4)
        begun(future)
        inherited = (waits.result, future.result, queued.result, lambda: next(results))
        """,
    "observed": """
        pool = covet_py.PoolExecutor(1)
        future = pool.submit(tasks.nap, 0.3)
        future.add_done_callback(lambda _: None)
        inherited = (future.result,)
        """,
    "lent": """
        pool = covet_py.PoolExecutor(2)
        thread = threading.Thread(target=pool.call, args=(tasks.nap, 0.3))
        thread.start()
        time.sleep(0.05)
        """,
    "nested": """
        pool = covet_py.PoolExecutor(1)
        def outer():
            import covet_py, tasks
            with covet_py.PoolExecutor(1) as inner:
                return inner.submit(tasks.nap, 0.3, 5).result()
        future = pool.submit(outer)
        begun(future)
        inherited = (future.result,)
        """,
    "after a thread": """
        # The thread that forks was lent interpreters, and keeps its states of them.
        pool = covet_py.PoolExecutor(2)
        threads = ThreadPoolExecutor(2)
        assert list(threads.map(lambda n: pool.call(abs, -n), range(100))) == list(range(100))
        """,
}

WAYS = {
    "fork": "by_fork(lambda: os._exit(0))",
    "fork, full end": "by_fork(leave)",
    "fork in a thread": "ThreadPoolExecutor(1).submit(by_fork, lambda: os._exit(0)).result()",
    "multiprocessing fork": "by_process('fork', in_child)",
    "multiprocessing forkserver": "by_process('forkserver', plain)",
    "multiprocessing spawn": "by_process('spawn', plain)",
    "subprocess": "subprocess.call([sys.executable, '-c', 'print(\"child\", flush=True)'])",
    "subprocess after Python code": "subprocess.call([sys.executable, '-c', 'print(\"child\", flush=True)'], preexec_fn=int)",
}

# Those that run Python in the child before anything else does.
FORKS = ["fork", "fork, full end", "fork in a thread", "multiprocessing fork", "subprocess after Python code"]


def program(state, way):
    body = START + BEGUN + "\nclass Leave(BaseException): pass\ndef leave(): raise Leave\n"
    body += "def main():\n    global pool, inherited, future, waits, queued, results, threads, thread\n"
    lines = [line[8:] if line.startswith(" " * 8) else line for line in STATES[state].splitlines()]
    body += "".join(f"    {line}\n" for line in lines)
    body += f"    print({WAYS[way]}, flush=True)\n"
    body += "    assert pool.call(abs, -9) == 9 and pool.submit(abs, -8).result() == 8\n    print('parent')\n"
    body += "if __name__ == '__main__':\n    try:\n        main()\n    except Leave:\n        pass\n"
    return body


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("state", STATES)
def test_a_process_that_starts_while_a_pool_is(state, way):
    if GIL_IS_OFF and way in FORKS:
        pytest.skip("on free-threaded builds the child can crash or hang; forks are warned about there")
    # CPython warns of forks of processes with threads; that is the program's own affair.
    outcome = run(program(state, way), options=("-W", "ignore::DeprecationWarning"))
    assert outcome.all == (0, "child\n0\nparent\n", ""), outcome


@pytest.mark.skipif(not GIL_IS_OFF, reason="with a GIL a fork is harmless")
def test_a_fork_without_a_gil_is_warned_about():
    outcome = run(
        """
        import covet_py, os, warnings
        pool = covet_py.PoolExecutor(2, strategy="subinterpreters")
        pool.call(abs, -1)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if os.fork() == 0:
                os._exit(0)
        print(sum("covet_py" in str(warning.message) for warning in caught))
        """
    )
    assert outcome.all == (0, "1\n", ""), outcome
