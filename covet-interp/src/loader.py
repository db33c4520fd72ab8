"""The Python half of loader.rs, compiled into each interpreter as `_covet_loader` before anything else."""

import _imp
import sys


def admit_extensions(admit):
    """Asks `admit(name, path, refused)` before any extension module is loaded; it raises ImportError to refuse.

    Where it cannot tell, CPython's own check decides, and its refusal is told in the same words.
    """
    load = _imp.create_dynamic

    def create_dynamic(spec, file=None):
        admit(spec.name, spec.origin, False)
        try:
            return load(spec)
        except ImportError as error:
            if "does not support loading in subinterpreters" in str(error):
                admit(spec.name, spec.origin, True)
            raise

    _imp.create_dynamic = create_dynamic


def create_extension(name, path):
    """Creates an extension module in the main interpreter, or finds it there.

    Not by importing it: whoever asks may hold the import locks of half the program.
    """
    from importlib.machinery import ExtensionFileLoader, ModuleSpec

    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    if module is not None and getattr(spec, "origin", None) == path:
        return module
    spec = ModuleSpec(name, ExtensionFileLoader(name, path), origin=path)
    spec.has_location = True
    return _imp.create_dynamic(spec)


def execute_extension(module):
    """Runs what `create_extension` created, unless it has run. Its own errors come again where it is wanted."""
    try:
        _imp.exec_dynamic(module)
    except Exception:
        pass
