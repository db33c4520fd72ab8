"""NativeRequest and NativeResponse beside what people use: what reading a request and writing a response costs in Python.

    main.py [--quick] [--json FILE] [WORD]      a word leaves only the cases whose name contains it

`cargo xtask bench native-python` runs this where the peers are. Every answer is checked first. A round of each side, one after
the other, is repeated; told is the median of our rounds, and the median of the ratios within a round, so that both had the same
seconds. Above 1 the ratio says by how much Covet is ahead. What is timed is the CPU time of the thread.
"""

import argparse
import json
import statistics
import time

import payloads
import sides
import workers
from covet_py import NativeRequest


def same(ours, theirs):
    return ours == theirs


def any_answer(ours, theirs):
    return True


def same_response(ours, theirs):
    """Every side writes its own date and the case of names that it likes."""
    return ours.startswith(b"HTTP/1.1 200 ") and theirs.startswith(b"HTTP/1.1 200 ") and theirs.endswith(sides.BODY)


# (what, its payload, our side, the peers, how answers compare)
CASES = [
    ("parse only", "small GET", NativeRequest, sides.PARSE, any_answer),
    ("parse only", "browser", NativeRequest, sides.PARSE, any_answer),
    ("parse only", "100 headers", NativeRequest, sides.PARSE, any_answer),
    ("four fields", "small GET", sides.four_native, sides.FOUR, same),
    ("four fields", "browser", sides.four_native, sides.FOUR, same),
    ("four fields", "100 headers", sides.four_native, sides.FOUR, same),
    ("everything", "browser", sides.all_native, sides.EVERYTHING, same),
    ("four fields and a member", "POST of JSON", sides.json_native, sides.JSON, same),
    ("ASGI scope", "browser", sides.scope_native, sides.SCOPE, same),
    ("response bytes", "small GET", sides.write_native, sides.WRITE, same_response),
]


def seconds(function, payload, turns):
    """CPU time of one call, the mean over the variants."""
    started = time.thread_time()
    for _ in range(turns):
        for data in payload:
            function(data)
    return (time.thread_time() - started) / (turns * len(payload))


def turns_for(function, payload, wanted):
    turns = 1
    while seconds(function, payload, turns) * turns * len(payload) < wanted:
        turns *= 2
    return turns


def measure(rounds, wanted, word):
    for what, kind, ours, peers, alike in CASES:
        case = f"{what}, {kind}"
        if word not in case:
            continue
        payload = payloads.ALL[kind]
        for name, peer in peers.items():
            for data in payload:
                if not alike(ours(data), peer(data)):
                    raise AssertionError(f"{case}, {name}: expected {ours(data)!r:.300}, found {peer(data)!r:.300}")
        functions = {"": ours, **peers}
        turns = {name: turns_for(function, payload, wanted) for name, function in functions.items()}
        found = {name: [] for name in functions}
        for _ in range(rounds):
            for name, function in functions.items():
                found[name].append(seconds(function, payload, turns[name]))
        for name in peers:
            ratio = statistics.median(peer / own for own, peer in zip(found[""], found[name]))
            yield row(case, "us", statistics.median(found[""]) * 1e6, name, ratio, rounds)
    yield from workers.measure(rounds, wanted, word, row)


def row(case, unit, ours, peer, ratio, rounds):
    return {
        "area": "native-python",
        "case": case,
        "unit": unit,
        "covet": ours,
        "peer": peer,
        "peer_value": ours * ratio,
        "ratio": ratio,
        "samples": rounds,
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json")
    parser.add_argument("word", nargs="?", default="")
    options = parser.parse_args()
    rounds, wanted = (3, 0.01) if options.quick else (15, 0.05)
    rows = []
    for found in measure(rounds, wanted, options.word):
        rows.append(found)
        print(
            f"{found['case']:42} {found['covet']:9.3f} {found['unit']:3} "
            f"{found['peer']:40} {found['peer_value']:9.3f} {found['ratio']:8.2f}",
            flush=True,
        )
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rows, file)


if __name__ == "__main__":
    main()
