"""python -m covet_py: commands about this Python and its modules."""

from __future__ import annotations

import sys

_USAGE = """usage: python -m covet_py COMMAND

  info [--json]                what this Python can do, and which strategy a pool takes here
  doctor [--json] MODULE...    which way each module takes into a worker: natively, as private images, or not at all, and why
  trial MODULE...              try modules as private images, in two interpreters at once
"""


def main(arguments: list[str]) -> int:
    """Runs a command and returns the exit code."""
    as_json = "--json" in arguments
    match [argument for argument in arguments if argument != "--json"]:
        case ["info"]:
            from covet_py import _info

            return _info.main(as_json)
        case ["doctor", *modules] if modules:
            from covet_py import _doctor

            return _doctor.main(modules, as_json)
        case ["trial", *modules] if modules:
            from covet_py import _trial

            return _trial.main(modules)
        case _:
            print(_USAGE, end="", file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
