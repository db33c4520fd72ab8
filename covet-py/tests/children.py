"""Runs scripts in processes of their own, for everything about exits, signals and `__main__`."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

# A child that needs longer hangs. Generous: the cores are shared with other builds and tests.
TIMEOUT = 30.0

# A shell ignores SIGINT in what it starts in the background, and every child would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass
class Outcome:
    code: int | str
    out: str
    err: str

    @property
    def all(self):
        """What an assertion should show when it fails."""
        return (self.code, self.out, self.err)


def run(source, *arguments, stdin=False, interrupt_after=None, timeout=TIMEOUT, env=None, options=()):
    """Runs source text as a script; "hangs" is the exit code of one that had to be killed.

    stdin: feeds the source to `python -` instead of writing a file.
    interrupt_after: a line of the child's standard output after which SIGINT is sent.
    """
    source = textwrap.dedent(source)
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "script.py"
        script.write_text(source)
        command = [sys.executable, *options, "-" if stdin else str(script), *map(str, arguments)]
        # A child that hangs is aborted, and tells by that where its Python threads are.
        variables = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONFAULTHANDLER": "1", **(env or {})}
        # The child looks for tasks.py where the tests are.
        variables["PYTHONPATH"] = os.pathsep.join(
            filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")])
        )
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=variables,
            cwd=folder,
        )
        before = ""
        if interrupt_after is not None:
            for line in child.stdout:
                before += line
                if line.strip() == interrupt_after:
                    break
            # The line says that the child is about to wait; the signal shall find it waiting.
            time.sleep(0.15)
            child.send_signal(signal.SIGINT)
        try:
            out, err = child.communicate(source if stdin else None, timeout)
            code = child.returncode
        except subprocess.TimeoutExpired:
            threads = describe_threads(child.pid)
            child.send_signal(signal.SIGABRT)
            try:
                out, err = child.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                child.kill()
                out, err = child.communicate()
            err += threads
            code = "hangs"
        return Outcome(code, before + out, err)


def describe_threads(process):
    """What the kernel tells of each thread of a process: name, state, what it waits in, and its system call."""

    def read(file):
        try:
            return file.read_text().strip()
        except OSError as error:
            return error.strerror

    lines = []
    for thread in sorted(Path(f"/proc/{process}/task").glob("*"), key=lambda path: int(path.name)):
        status = dict(line.split(":\t", 1) for line in read(thread / "status").splitlines() if ":\t" in line)
        times = status.get("voluntary_ctxt_switches"), status.get("nonvoluntary_ctxt_switches")
        lines.append(
            f"thread {thread.name} {read(thread / 'comm')}: {status.get('State')}, in {read(thread / 'wchan')}, "
            f"system call {read(thread / 'syscall')}, switched {times}, signals blocked {status.get('SigBlk')}\n"
            + "".join(f"    {line}\n" for line in read(thread / "stack").splitlines())
        )
    return "".join(lines)


def check(source, expected_out="", **options):
    """Runs a script that must end by itself, with exit code 0 and not a word on standard error."""
    outcome = run(source, **options)
    assert outcome.all == (0, textwrap.dedent(expected_out), ""), outcome
    return outcome
