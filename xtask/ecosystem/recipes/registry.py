"""How recipes are entered."""

from typing import Callable, NamedTuple


class Recipe(NamedTuple):
    """How a package is tried."""

    run: Callable[[], object]
    modules: tuple[str, ...]
    """What is imported for it."""
    cpu: bool
    needs: tuple[str, ...]
    """What is installed for it."""


RECIPES: dict[str, Recipe] = {}
"""By the name of the distribution on PyPI."""


def recipe(distribution, *modules, cpu=False, beside=()):
    """Enters the function under it into `RECIPES`. The module has the name of the distribution unless it is given; what the body
    uses `beside` it is installed too.
    """

    def enter(run):
        RECIPES[distribution] = Recipe(run, modules or (distribution,), cpu, (distribution, *beside))
        return run

    return enter
