"""python -m covet_py: commands about this Python and its modules."""

from __future__ import annotations

import sys

_USAGE = """usage: python -m covet_py COMMAND

  trial MODULE...   try modules as private images, in two interpreters at once
"""


def main(arguments: list[str]) -> int:
    """Runs a command and returns the exit code."""
    match arguments:
        case ["trial", *modules] if modules:
            from covet_py import _trial

            return _trial.main(modules)
        case _:
            print(_USAGE, end="", file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
