"""Signals while tasks run. How soon Ctrl-C ends a wait is measured by `storm.py --latency`; that it does is in exit_matrix.py."""

from pathlib import Path

from children import run


def test_no_task_is_lost_in_a_storm_of_signals():
    storm = Path(__file__).with_name("storm.py").read_text()
    outcome = run(storm, 400, 400)
    assert (outcome.code, outcome.err) == (0, ""), outcome


def test_a_wait_that_a_handler_left_can_be_begun_again():
    program = """
    import covet_py, os, signal, tasks, threading, time
    class Left(Exception): pass
    def leave(*_): raise Left
    signal.signal(signal.SIGTERM, leave)
    with covet_py.PoolExecutor(1) as pool:
        future = pool.submit(tasks.nap, 0.5, "done")
        results = pool.map(tasks.same, "ab")
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        for wait in (future.result, future.result, lambda: list(results)):
            try:
                print(wait())
            except Left:
                print("left")
    """
    assert run(program).all == (0, "left\ndone\n['a', 'b']\n", "")
