"""The Python half of loader.rs, compiled into each interpreter as `_covet_loader` before anything else."""

import _imp
import sys


def admit_extensions(admit, image):
    """Asks `admit(name, path, importing, refused)` before any extension module is loaded. It raises ImportError to refuse it, and
    returns True for one that fits, False for one that comes by `image(spec, name, path, suffix)`, and None where only CPython's
    own check can tell: one that this has refused is asked for again.
    """
    load, run = _imp.create_dynamic, _imp.exec_dynamic
    images = []  # that have not run yet

    def create_dynamic(spec, file=None):
        importing = _importing(spec.name)
        fits = admit(spec.name, spec.origin, importing, False)
        if fits is not False:
            try:
                return load(spec) if fits or "t" in sys.abiflags else _with_check(0, load, spec)
            except ImportError as error:
                if "does not support loading in subinterpreters" not in str(error):
                    raise
                admit(spec.name, spec.origin, importing, True)
        if spec.name.startswith("numpy."):
            _let_numpy_be()
        module = _with_check(-1, image, spec, spec.name, spec.origin, _suffix(spec.name))
        images.append(module)
        return module

    def exec_dynamic(module):
        for i, waiting in enumerate(images):
            if waiting is module:
                del images[i]
                return _with_check(-1, run, module)
        return run(module)

    _imp.create_dynamic, _imp.exec_dynamic = create_dynamic, exec_dynamic
    if "t" not in sys.abiflags:
        _admit_faulthandler()


def _admit_faulthandler():
    """Lets faulthandler be imported, as joblib does without using it, but not be turned on: its handlers are the process's, and keep
    the file of the interpreter that gave it to them.
    """
    make = _imp.create_builtin

    def create_builtin(spec):
        if spec.name != "faulthandler":
            return make(spec)
        module = _with_check(-1, make, spec)
        for name in ("enable", "register", "dump_traceback_later"):
            setattr(module, name, refuse)
        return module

    def refuse(*args, **kwargs):
        raise RuntimeError("faulthandler is for the whole process: turn it on in the main interpreter")

    _imp.create_builtin = create_builtin


def admit_libraries(library):
    """Has ctypes open the libraries that packages bring along by `library(path)`: one image for each interpreter, since the locks
    that guard a library in Python are each interpreter's own. It returns None for one to be shared.
    """
    if "posix" not in sys.builtin_module_names:
        return
    import posix

    process_wide = posix.RTLD_GLOBAL | getattr(posix, "RTLD_NOLOAD", 0)

    def admit(module):
        share = module.dlopen

        def dlopen(name, flags=0, /):
            if not flags & process_wide and _is_of_package(name):
                sys.audit("ctypes.dlopen", name)
                handle = library(name)
                if handle is not None:
                    return handle
            return share(name, flags)

        module.dlopen = dlopen

    when_imported("_ctypes", admit)


def _is_of_package(path):
    """Whether this is the path of a file that was installed with a package."""
    return isinstance(path, str) and path.startswith("/") and ("/site-packages/" in path or "/dist-packages/" in path)


def _importing(name):
    """The module of the same package whose import, the outermost, needs the module `name`."""
    package = name.partition(".")[0]
    frame, outermost = sys._getframe(1), name
    while frame is not None:
        if frame.f_code.co_name == "_find_and_load" and "importlib" in frame.f_code.co_filename:
            wanted = frame.f_locals.get("name")
            if isinstance(wanted, str) and wanted.partition(".")[0] == package:
                outermost = wanted
        frame = frame.f_back
    return outermost


def _with_check(override, function, *arguments):
    """Calls a function while CPython's check of extension modules is off (-1) or as it is by default (0).

    It has to be off for a private image, and while that runs: it may make further modules of its own. A free-threaded build has
    no such switch.
    """
    before = _imp._override_multi_interp_extensions_check(override)
    try:
        return function(*arguments)
    finally:
        _imp._override_multi_interp_extensions_check(before)


def _let_numpy_be():
    """NumPy warns in every subinterpreter of what a private image takes care of."""
    import warnings

    warnings.filterwarnings("ignore", "NumPy was imported from a Python sub-interpreter", UserWarning)


def _suffix(name):
    """What the name of a module's initialisation function ends with (PEP 489)."""
    last = name.rpartition(".")[2]
    if last.isascii():
        return "_" + last
    return "U_" + last.encode("punycode").decode("ascii").replace("-", "_")


class _Finder:
    """Calls functions with a module once that is imported, and then leaves the import alone."""

    def __init__(self):
        self.waiting = {}

    def find_spec(self, name, path=None, target=None):
        then = self.waiting.pop(name, None)
        if then is None:
            return None
        if not self.waiting:
            sys.meta_path.remove(self)
        from _frozen_importlib import _find_spec

        spec = _find_spec(name, path)
        if spec is None:
            return None
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            then(module)

        spec.loader.exec_module = exec_module
        return spec


_finder = _Finder()


def when_imported(name, then):
    """Calls `then(module)` when a module of the standard library has been imported, or at once if it has."""
    module = sys.modules.get(name)
    if module is not None:
        then(module)
        return
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    _finder.waiting[name] = then


def has_extension(name, path):
    """Whether this interpreter has imported the extension module of this file, and has done with that."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return getattr(spec, "origin", None) == path and not getattr(spec, "_initializing", False)


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
