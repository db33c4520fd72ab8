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


def create_extension(name, path, must_run):
    """Creates an extension module in the main interpreter, or finds it there, and runs it if `must_run(module)`.

    Not by importing it: whoever asks may hold the import locks of half the program. The lock of the module itself is
    taken, so that an import of it that is going on in the main interpreter is waited for.
    """
    # Under the names that need no import: while another thread is about to import `importlib`, `importlib._bootstrap` would
    # be a second copy of it, without its own globals.
    from _frozen_importlib import ModuleSpec, _ModuleLockManager
    from _frozen_importlib_external import ExtensionFileLoader

    with _ModuleLockManager(name):
        module = sys.modules.get(name)
        spec = getattr(module, "__spec__", None)
        if module is not None and getattr(spec, "origin", None) == path:
            return module
        spec = ModuleSpec(name, ExtensionFileLoader(name, path), origin=path)
        spec.has_location = True
        module = _imp.create_dynamic(spec)
        if must_run(module):
            try:
                _imp.exec_dynamic(module)
            except Exception:
                pass  # comes again where the module is wanted
        return module


def extensions_of(name):
    """Imports a module, and returns (name, path) of each extension module that came with it or lies below it."""
    import importlib
    from _frozen_importlib_external import ExtensionFileLoader

    before = set(sys.modules)
    importlib.import_module(name)
    package = name.partition(".")[0] + "."
    found = []
    for other, module in sys.modules.copy().items():
        spec = getattr(module, "__spec__", None)
        is_extension = isinstance(getattr(spec, "loader", None), ExtensionFileLoader)
        if is_extension and (other not in before or other == name or other.startswith(package)):
            found.append((spec.name, spec.origin))
    return found
