"""Signals without end while tasks run, and how soon Ctrl-C ends a wait.

    python storm.py [SIGNALS] [TASKS]       at least so many of each (10000)
    python storm.py --latency [ROUNDS]      from SIGINT to KeyboardInterrupt in each kind of wait, ROUNDS times each (20)

Another process sends SIGINT and SIGTERM by turns. The handlers are Python functions, and now and then raise out of a wait, which
is then begun again. Exit code 0: every task ran once, and every future had its own answer.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import tasks
from covet_py import PoolExecutor

SENDER = """
import os, signal, sys, time
process, count = map(int, sys.argv[1:])
for number in range(count):
    os.kill(process, signal.SIGTERM if number % 2 else signal.SIGINT)
    time.sleep(0.0005)
"""
TOGETHER = 100


class Interrupted(Exception):
    pass


class Handlers:
    """Counts signals, and raises in the main thread while `waiting`, once each time that is set."""

    def __init__(self, may_raise):
        self.may_raise = may_raise
        self.handled = {signal.SIGINT: 0, signal.SIGTERM: 0}
        self.waiting = False
        self.raised = 0
        for number in self.handled:
            signal.signal(number, self.handle)

    def handle(self, number, frame):
        self.handled[number] += 1
        if self.may_raise and self.waiting and sum(self.handled.values()) % 3 == 0:
            self.waiting = False
            self.raised += 1
            raise Interrupted

    def persist(self, wait):
        """What `wait()` returns, however often it is interrupted."""
        while True:
            try:
                self.waiting = True
                try:
                    return wait()
                finally:
                    self.waiting = False
            except Interrupted:
                pass


def mark(file, number):
    os.write(file, b"x")
    return number


def storm(signals=10_000, least=10_000):
    wrong = submitted = called = 0
    with tempfile.TemporaryFile() as marks, PoolExecutor(2) as pool:
        # Where tasks run in the main interpreter, one that the main thread runs itself would be hit, and the error be its own.
        apart = pool.strategy == "subinterpreters"
        handlers = Handlers(may_raise=apart)
        sender = subprocess.Popen([sys.executable, "-c", SENDER, str(os.getpid()), str(signals)])
        while submitted < least or sender.poll() is None:
            futures = [pool.submit(mark, marks.fileno(), submitted + n) for n in range(TOGETHER)]
            results = pool.map(tasks.same, range(TOGETHER))
            wrong += sum(handlers.persist(lambda: pool.call(tasks.same, n)) != n for n in range(TOGETHER))
            called += TOGETHER
            wrong += sum(handlers.persist(future.result) != submitted + n for n, future in enumerate(futures))
            wrong += list(results) != list(range(TOGETHER))
            submitted += TOGETHER
        wrong += sender.wait() != 0
        ran = os.fstat(marks.fileno()).st_size
    print(
        f"{signals} signals sent, {handlers.handled[signal.SIGINT]} SIGINT and {handlers.handled[signal.SIGTERM]} SIGTERM handled, "
        f"{handlers.raised} waits interrupted; {submitted} tasks submitted, {ran} ran, {called} called, {submitted} mapped, "
        f"{wrong} wrong"
    )
    return wrong == 0 and ran == submitted and min(handlers.handled.values()) > 0 and (handlers.raised > 0) == apart


def forever(*_):
    while True:
        pass


WAITS = {
    "future.result()": lambda pool: pool.submit(forever).result(),
    "pool.map": lambda pool: next(pool.map(forever, range(4))),
    "pool.call": lambda pool: pool.call(forever),
}


def latency(rounds=20):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    prompt = True
    for name, wait in WAITS.items():
        times = [interrupted(wait, 0.1 + 0.007 * number) for number in range(rounds)]
        times = [milliseconds for milliseconds in times if milliseconds is not None]
        prompt = prompt and len(times) == rounds
        print(f"{name:<16} median {statistics.median(times):5.1f} ms, longest {max(times):5.1f} ms, {len(times)} times", flush=True)
    return prompt


def interrupted(wait, after):
    """Milliseconds from SIGINT, so many seconds after the wait began, to its end; None if it ended otherwise."""
    sent, ended = [], []

    def interrupt():
        time.sleep(after)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    try:
        with PoolExecutor(2) as pool:
            pool.submit(abs, -1).result()
            threading.Thread(target=interrupt).start()
            try:
                wait(pool)
            except KeyboardInterrupt:
                ended.append(time.monotonic())
                # Has the pool interrupt its tasks too.
                raise
    except KeyboardInterrupt:
        return (ended[0] - sent[0]) * 1000
    return None


def main(arguments):
    if arguments[:1] == ["--latency"]:
        return latency(*map(int, arguments[1:]))
    return storm(*map(int, arguments))


if __name__ == "__main__":
    sys.exit(not main(sys.argv[1:]))
