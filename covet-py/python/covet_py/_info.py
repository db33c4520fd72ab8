"""What this Python can do: `python -m covet_py info`."""

from __future__ import annotations

import json
import os
import platform
import sys

from covet_py import __version__
from covet_py._executor import PoolExecutor


def collect() -> dict[str, object]:
    """The facts, by name."""
    gil_enabled = getattr(sys, "_is_gil_enabled", lambda: True)()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with PoolExecutor(1) as pool:
        strategy, reason = pool.strategy, pool.strategy_reason
    return {
        "covet_py": __version__,
        "python": platform.python_version(),
        "implementation": sys.implementation.cache_tag,
        "executable": sys.executable,
        "platform": platform.platform(),
        "gil": "on" if gil_enabled else "off",
        "cores": os.cpu_count(),
        "usable cores": usable,
        "strategy": strategy,
        "reason": reason,
        "extensions": os.environ.get("COVET_EXTENSIONS", "auto"),
    }


def main(as_json: bool) -> int:
    """Prints them."""
    facts = collect()
    if as_json:
        print(json.dumps(facts, indent=2))
    else:
        for name, value in facts.items():
            print(f"{name:15} {value}")
    return 0
