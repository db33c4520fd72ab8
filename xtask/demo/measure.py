"""Measures one way of running the demo's job, in a process of its own.

    measure.py facts --out FILE             machine, Python, the files of the job, the ways
    measure.py way NAME --out FILE --files FILE --workers N
    measure.py share --files FILE --workers N --index I

`cargo xtask demo` calls it once per way, so that memory, imports and start methods of one way
cannot touch another's. Every way gets the same files in the same order, from a warm file cache.
"""

import argparse
import collections
import concurrent.futures
import datetime
import hashlib
import json
import multiprocessing
import os
import pathlib
import pickle
import platform
import statistics
import subprocess
import sys
import sysconfig
import threading
import time

import job

LOOP_SECONDS = 4.0  # what the plain loop may take; the largest files are left out until it fits
KIB_STEPS = (64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2)
ROUNDS = 5
ROUND_SECONDS = 0.1
MIB = 1024 * 1024


# The ways: how each executor is opened, and its name in the table.


def open_threads(workers):
    return concurrent.futures.ThreadPoolExecutor(workers)


def open_processes(workers):
    context = multiprocessing.get_context(start_method())
    return concurrent.futures.ProcessPoolExecutor(workers, mp_context=context)


def open_interpreters(workers):
    return concurrent.futures.InterpreterPoolExecutor(workers)


def open_covet(workers):
    import covet_py

    return covet_py.PoolExecutor(workers)


def start_method():
    # Never fork: a forked child inherits the locks of threads that it does not have.
    methods = multiprocessing.get_all_start_methods()
    return "forkserver" if "forkserver" in methods else "spawn"


POOLS = {
    "threads": ("ThreadPoolExecutor", open_threads),
    "processes": (f"ProcessPoolExecutor ({start_method()})", open_processes),
    "interpreters": ("InterpreterPoolExecutor", open_interpreters),
    "covet": ("Covet", open_covet),
}


def ways():
    """Returns the ways this Python has, in the order they are run.

    The loop opens and closes; the ceiling stands next to Covet, so that a machine which gets busy
    meanwhile changes both.
    """
    names = ["loop", *POOLS, "loop"]
    if not hasattr(concurrent.futures, "InterpreterPoolExecutor"):
        names.remove("interpreters")
    names.insert(names.index("covet"), "plain")
    return names


def measure_way(name, files_path, workers):
    """Returns the rows of one way."""
    files = read_files(files_path)
    if name == "loop":
        return [measure_loop(files)]
    if name == "plain":
        return [measure_plain_processes(files_path, files, workers)]
    return measure_pool(name, files, workers)


def measure_loop(files):
    seconds, results = timed(lambda: [job.measure_file(path) for path in files])
    memory = tree_memory()
    return {
        "way": "loop",
        "label": "plain loop",
        "warm_seconds": seconds,
        "digests": [digest(results)],
        "map_us": task_us(lambda n: collections.deque(map(job.noop, range(n)), maxlen=0)),
        "call_us": task_us(lambda n: [job.noop(i) for i in range(n)]),
        "findings": findings(results),
        **memory,
    }


def measure_pool(name, files, workers):
    label, open_pool = POOLS[name]
    # Chunks spare the processes most of their messages; the other pools have no use for them.
    chunks = {"chunksize": 8} if name == "processes" else {}
    if name == "covet":
        import covet_py  # noqa: F401  (no way pays for the import of its own library)
    started = time.perf_counter()
    with open_pool(workers) as pool:
        new_results = list(pool.map(job.measure_file, files, **chunks))
        new_seconds = time.perf_counter() - started
        warm_seconds, results = timed(lambda: list(pool.map(job.measure_file, files, **chunks)))
        row = {
            "way": name,
            "label": label,
            "new_seconds": new_seconds,
            "warm_seconds": warm_seconds,
            "digests": [digest(new_results), digest(results)],
            **tree_memory(),
        }
        row["map_us"] = task_us(lambda n: collections.deque(pool.map(job.noop, range(n)), maxlen=0))
        row["submit_us"] = task_us(lambda n: [pool.submit(job.noop, i).result() for i in range(n)])
        if name == "processes":
            row["chunked_map_us"] = task_us(
                lambda n: collections.deque(pool.map(job.noop, range(n), chunksize=256), maxlen=0)
            )
        if name != "covet":
            return [row]
        row["label"] = f"{label} ({pool.strategy})"
        row["ours"] = True
        row["strategy"] = pool.strategy
        row["strategy_reason"] = pool.strategy_reason
        row["call_us"] = task_us(lambda n: [pool.call(job.noop, i) for i in range(n)])
        return [row, *(measure_calls(pool, files, threads) for threads in sorted({1, workers}))]


def measure_calls(pool, files, threads):
    """Measures blocking calls from plain threads: no queue and no hand-over in between."""
    results = [None] * len(files)
    todo = collections.deque(enumerate(files))

    def work():
        while True:
            try:
                index, path = todo.popleft()
            except IndexError:
                return
            results[index] = pool.call(job.measure_file, path)

    def run():
        plain = [threading.Thread(target=work) for _ in range(threads)]
        for thread in plain:
            thread.start()
        for thread in plain:
            thread.join()

    seconds, _ = timed(run)
    return {
        "way": f"call from {threads}",
        "ours": True,
        "label": f"  call() from {threads} plain thread{'s' * (threads > 1)}",
        "warm_seconds": seconds,
        "digests": [digest(results)],
    }


def measure_plain_processes(files_path, files, workers):
    """Measures as many independent processes as workers, each with its share: the ceiling."""
    command = [sys.executable, __file__, "share", "--files", files_path, "--workers", str(workers)]
    started = time.perf_counter()
    children = [
        subprocess.Popen([*command, "--index", str(index)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for index in range(workers)
    ]
    for child in children:
        child.stdout.readline()  # ready: imports are done

    def round_trip():
        for child in children:
            child.stdin.write(b"go\n")
            child.stdin.flush()
        return [pickle.load(child.stdout) for child in children]

    def in_order(shares):
        results = [None] * len(files)
        for index, share in enumerate(shares):
            results[index::workers] = share
        return results

    new_results = in_order(round_trip())
    new_seconds = time.perf_counter() - started
    warm_seconds, shares = timed(round_trip)
    memory = tree_memory()
    for child in children:
        child.stdin.close()
        child.wait()
    return {
        "way": "plain",
        "label": f"{workers} plain process{'es' * (workers > 1)} (the ceiling)",
        "new_seconds": new_seconds,
        "warm_seconds": warm_seconds,
        "digests": [digest(new_results), digest(in_order(shares))],
        **memory,
    }


def run_share(files_path, workers, index):
    share = read_files(files_path)[index::workers]
    print("ready", flush=True)
    for _ in sys.stdin:
        pickle.dump([job.measure_file(path) for path in share], sys.stdout.buffer)
        sys.stdout.buffer.flush()


def read_files(files_path):
    return json.loads(pathlib.Path(files_path).read_text())


# What is said about results, time and memory.


def digest(results):
    """Returns a hash of the full results, in the order of the files."""
    return hashlib.sha256(repr(results).encode()).hexdigest()


def findings(results):
    parsed = [result for result in results if "error" not in result]
    functions = [
        {"file": result["path"], "line": line, "name": name, "complexity": complexity}
        for result in parsed
        for complexity, name, line, _ in result["functions"]
    ]
    functions.sort(key=lambda found: (-found["complexity"], found["file"], found["line"]))
    return {
        "files": len(parsed),
        "not_python": len(results) - len(parsed),
        "lines": sum(result["lines"] for result in parsed),
        "tokens": sum(result["tokens"] for result in parsed),
        "functions": len(functions),
        "docstring_coverage": sum(result["documented"] for result in parsed)
        / max(1, sum(result["documentable"] for result in parsed)),
        "longest_function": max((result["longest"] for result in parsed), default=0),
        "most_complex": functions[:10],
    }


def timed(run):
    started = time.perf_counter()
    result = run()
    return time.perf_counter() - started, result


def task_us(run):
    """Returns the median over rounds of the microseconds of one no-op task."""
    count = 200
    seconds, _ = timed(lambda: run(count))
    while seconds < ROUND_SECONDS / 2 and count < 100_000:
        count = min(100_000, int(count * min(20, ROUND_SECONDS / max(seconds, 1e-9))) + 1)
        seconds, _ = timed(lambda: run(count))
    return statistics.median(timed(lambda: run(count))[0] for _ in range(ROUNDS)) / count * 1e6


def tree_memory():
    """Returns resident and proportional memory of this process and all below it (Linux only)."""
    if not os.path.exists("/proc/self/smaps_rollup"):
        return {}
    children = collections.defaultdict(list)
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, parent = stat.parent.name, stat.read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue  # ended meanwhile
        children[parent].append(pid)
    total = collections.Counter()
    todo = [str(os.getpid())]
    while todo:
        pid = todo.pop()
        todo.extend(children[pid])
        try:
            rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        for line in rollup.splitlines():
            name, _, value = line.partition(":")
            if name in ("Rss", "Pss"):
                total[name] += int(value.split()[0]) * 1024
    return {"rss_mib": total["Rss"] / MIB, "pss_mib": total["Pss"] / MIB}


# The facts all ways share.


def facts():
    library = pathlib.Path(sysconfig.get_path("stdlib"))
    sizes = {
        str(path): path.stat().st_size
        for path in library.rglob("*.py")
        if not {"site-packages", "dist-packages"} & set(path.parts)
    }
    limit = size_limit(sizes)
    # The largest first: then no way ends with one core waiting for a large file.
    files = sorted((path for path in sizes if sizes[path] <= limit), key=lambda path: (-sizes[path], path))
    for path in files:
        pathlib.Path(path).read_bytes()  # into the file cache, before any way is measured
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": machine(),
        "python": {
            "version": platform.python_version(),
            "build": " ".join(platform.python_build()),
            "compiler": platform.python_compiler(),
            "executable": os.path.realpath(sys.executable),
            "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
            "free_threaded_build": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        },
        "library": str(library),
        "files_found": len(sizes),
        "files": files,
        "file_limit_kib": None if len(files) == len(sizes) else limit // 1024,
        "ways": ways(),
    }


def size_limit(sizes):
    """Returns the file size up to which the plain loop takes no more than `LOOP_SECONDS`."""
    sample = sorted(sizes, key=lambda path: (sizes[path], path))[::40]
    # Twice: the first pass also pays for reading the files.
    seconds = min(timed(lambda: [job.measure_file(path) for path in sample])[0] for _ in range(2))
    per_byte = seconds / max(1, sum(sizes[path] for path in sample))
    everything = max(sizes.values(), default=0)
    for limit in (everything, *(kib * 1024 for kib in KIB_STEPS)):
        if per_byte * sum(size for size in sizes.values() if size <= limit) <= LOOP_SECONDS:
            break
    return limit


def machine():
    return {
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "memory_gib": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1024**3,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "libc": " ".join(platform.libc_ver()).strip(),
    }


def cpu_model():
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def usable_cores():
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def arguments():
    parser = argparse.ArgumentParser(description="Measures one way of running the demo's job.")
    parser.add_argument("command", choices=("facts", "way", "share"))
    parser.add_argument("name", nargs="?", choices=("loop", "plain", *POOLS))
    parser.add_argument("--out")
    parser.add_argument("--files")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--index", type=int)
    return parser.parse_args()


def main():
    given = arguments()
    if given.command == "share":
        run_share(given.files, given.workers, given.index)
    elif given.command == "facts":
        pathlib.Path(given.out).write_text(json.dumps(facts()))
    else:
        rows = measure_way(given.name, given.files, given.workers)
        pathlib.Path(given.out).write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
