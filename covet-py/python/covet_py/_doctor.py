"""Which way modules take into a worker's interpreter: `python -m covet_py doctor MODULE...`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from covet_py import _native
from covet_py._executor import PoolExecutor


@dataclass(frozen=True)
class Finding:
    """What a module does in an interpreter of its own GIL."""

    module: str
    way: str
    """native, private images, refused, or missing."""
    reason: str = ""
    extensions: int = 0
    """How many extension modules are there once it is imported."""
    images: int = 0
    """How many of them are private images."""

    @property
    def detail(self) -> str:
        """The reason, or the numbers."""
        return self.reason or f"{self.extensions} extension modules, {self.images} of them private images"


def load(name: str) -> tuple[str, str, list[str]]:
    """Imports a module, in a worker: (how it went, why not, the files of extension modules)."""
    import importlib
    import sys
    from importlib.machinery import ExtensionFileLoader

    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        return "missing", str(error), []
    except ImportError as error:
        return "refused", str(error), []
    specs = [getattr(module, "__spec__", None) for module in list(sys.modules.values())]
    files = {spec.origin for spec in specs if spec is not None and isinstance(spec.loader, ExtensionFileLoader)}
    return "native", "", [file for file in files if file]


def look(names: list[str], strategy: str = "auto", extensions: str | None = None) -> list[Finding]:
    """Imports each module in an interpreter of its own, and says how that went. The options are those of `PoolExecutor`."""
    findings = []
    for name in names:
        with PoolExecutor(1, strategy=strategy, extensions=extensions, fallback="raise") as pool:
            if pool.strategy != "subinterpreters":
                # Threads of the main interpreter load everything.
                way, reason, files = pool.submit(load, name).result()
                findings.append(Finding(name, way, reason or pool.strategy_reason, len(files)))
                continue
            way, reason, files = pool.submit(load, name).result()
            images = len(set(files).intersection(_native.images()))
            if way == "native" and images:
                way = "private images"
            findings.append(Finding(name, way, reason, len(files), images))
    return findings


def main(names: list[str], as_json: bool) -> int:
    """Prints the findings; returns 1 if any module cannot be had in a worker."""
    findings = look(names)
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        width = max(len(name) for name in names)
        for finding in findings:
            print(f"{finding.module:{width}}  {finding.way:14}  {finding.detail}")
    return int(any(finding.way in ("refused", "missing") for finding in findings))
