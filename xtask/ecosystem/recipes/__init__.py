"""What each package is asked to do: something real with its compiled code, in a body of its own.

A recipe takes nothing, needs no server and no network, and returns plain values that are the same each time. `cpu=True` marks
those that compute all the while, so that two interpreters should do twice as much as one.
"""

from recipes import arrays, databases, formats, networks, others  # each enters its own
from recipes.registry import RECIPES

__all__ = ["RECIPES"]
