"""What Covet keeps in each interpreter that sends or receives values.

Compiled into every such interpreter as the module `_covet_support`. Everything here runs rarely: the
values that matter for speed never reach it (see codec.rs).

What not every interpreter needs is imported where it is used: `pickle` alone takes milliseconds, and most of a megabyte.
"""

import sys

_PROTOCOL = 5


class RemoteError(Exception):
    """A task failed with an exception that could not be sent; its type, message and traceback are text."""


class RemoteTraceback(Exception):
    """The traceback of a task, as text; the cause of the exception that the task raised."""

    def __init__(self, text):
        super().__init__(text)
        self.text = text

    def __str__(self):
        return f'\n"""\n{self.text}"""'


# `Buffer`, the type of immutable bytes that interpreters share, and `mailbox` are put here by the compiled part.


def dump(value, buffers=None):
    """Pickles anything: by reference where every interpreter can import it, else by value.

    What an object keeps out of its pickle (PEP 574) is appended to the list `buffers`, if there is one.
    """
    import pickle

    refusal = None
    dates = sys.modules.get("_pydatetime")
    if dates is not None and dates.datetime.__module__ != "datetime":
        _name_dates(dates)
    try:
        data = _dump_by_name(value, buffers)
        # `__main__` is another module in every interpreter: what it defines must travel by value.
        if b"__main__" not in data:
            return data
    except Exception as error:
        refusal = error
    try:
        return _dump_by_value(value, buffers)
    except ImportError:
        if refusal is None and not _refers_to_main(value):
            return data
        raise pickle.PicklingError(
            "functions and classes of __main__, lambdas and closures are sent by value, "
            "which needs the package cloudpickle: install it"
        ) from refusal
    except Exception as error:
        raise pickle.PicklingError(
            f"{_shape(value)} cannot be sent to another interpreter ({type(error).__name__}: {error}); "
            "send what it is made from, and make it inside the task"
        ) from error
    finally:
        refusal = None  # its traceback refers to this frame


def _taker(buffers):
    """What a pickler gives its buffers to: they go into the list, which begins empty, or into the pickle."""
    if buffers is None:
        return None
    buffers.clear()
    return buffers.append


def _dump_by_name(value, buffers):
    """Pickles as `pickle` does, but for what it refuses, or what would have the receiver import a package."""
    import pickle

    try:
        before = _buffers_reduced
        data = pickle.dumps(value, _PROTOCOL, buffer_callback=_taker(buffers))
        if _buffers_reduced == before:
            return data
    except TypeError:
        pass  # of a memoryview, perhaps
    import copyreg
    import io

    with io.BytesIO() as file:
        pickler = pickle.Pickler(file, _PROTOCOL, buffer_callback=_taker(buffers))
        pickler.dispatch_table = _reducers(copyreg.dispatch_table)
        pickler.dump(value)
        return file.getvalue()


def _dump_by_value(value, buffers):
    """Pickles with cloudpickle, but for what that would turn into something else."""
    import io

    import cloudpickle

    class Pickler(cloudpickle.Pickler):
        # cloudpickle makes `bytes` of a memoryview.
        dispatch_table = _reducers(cloudpickle.Pickler.dispatch_table)

        def reducer_override(self, value):
            # cloudpickle reads an open file and sends a StringIO.
            if isinstance(value, io.TextIOWrapper) and value not in (sys.stdout, sys.stderr):
                raise TypeError(f"cannot pickle {type(value).__qualname__!r} object")
            return super().reducer_override(value)

    # Those of the pickle by name stay, as long as this one may fail.
    taken = None if buffers is None else []
    with io.BytesIO() as file:
        Pickler(file, _PROTOCOL, buffer_callback=_taker(taken)).dump(value)
        if buffers is not None:
            buffers[:] = taken
        return file.getvalue()


def _reduce_view(view):
    """A memoryview as its memory, which stays where it is, and its layout."""
    import pickle

    plain = len(view.format.removeprefix("@")) == 1 and (view.nbytes or view.ndim == 1)
    if not plain:
        what = f"format {view.format!r} and shape {view.shape}"
        raise TypeError(f"expected a memoryview of single items beside an object, found one of {what}: send it by itself")
    if not view.c_contiguous:
        view = memoryview(view.tobytes()).cast(view.format, view.shape)
    return make_view, (pickle.PickleBuffer(view), view.format, view.shape)


def make_view(memory, format, shape):
    """The memoryview that `_reduce_view` took apart; read-only."""
    view = memoryview(memory).toreadonly()
    return view if format == "B" and len(shape) == 1 else view.cast(format, shape)


# How many Buffers were pickled by their own name.
_buffers_reduced = 0


def reduce_buffer(buffer, protocol):
    """A Buffer by its own name, for another process: its bytes, outside the pickle from protocol 5 on."""
    global _buffers_reduced
    import pickle

    _buffers_reduced += 1
    return type(buffer), (pickle.PickleBuffer(buffer) if protocol >= 5 else bytes(buffer),)


def _reduce_buffer(buffer):
    """A Buffer by this module, which every interpreter has."""
    import pickle

    return make_buffer, (pickle.PickleBuffer(buffer),)


def make_buffer(memory):
    """A Buffer of memory that is one already, or that is copied."""
    return Buffer(memory)


def _reducers(others):
    """How a pickle that stays in this process takes apart what other pickles cannot, or copy."""
    return {**others, memoryview: _reduce_view, Buffer: _reduce_buffer}


def refuse(text):
    """Raises what the codec says about a value that it does not send."""
    import pickle

    raise pickle.PicklingError(text)


def _refers_to_main(value):
    """Whether a pickle of the value names something of `__main__`."""
    import copyreg
    import io
    import pickle

    class Pickler(pickle.Pickler):
        found = False

        def reducer_override(self, value):
            if callable(value) and getattr(value, "__module__", None) in ("__main__", "__mp_main__"):
                self.found = True
            return NotImplemented

    pickler = Pickler(io.BytesIO(), _PROTOCOL)
    pickler.dispatch_table = _reducers(copyreg.dispatch_table)
    pickler.dump(value)
    return pickler.found


def _name_dates(dates):
    """Gives the pure Python dates of 3.12, the fallback where `_datetime` is refused, the name of the others."""
    for name in ("date", "datetime", "time", "timedelta", "timezone", "tzinfo", "IsoCalendarDate"):
        if hasattr(dates, name):
            getattr(dates, name).__module__ = "datetime"
    # Its state is in its arguments already; the C one cannot take it.
    dates.timezone.__getstate__ = lambda self: None


def _shape(value):
    """Names what is sent, for an error message."""
    return f"a value of type {type(value).__qualname__!r}"


def dump_call(arguments, keywords, buffers):
    """Pickles the arguments of a call as `dump` does; says which of them cannot be sent."""
    import pickle

    try:
        return dump((arguments, keywords), buffers)
    except pickle.PicklingError:
        for name, value in [*enumerate(arguments), *keywords.items()]:
            try:
                dump(value)
            except pickle.PicklingError as error:
                where = f"argument {name}" if isinstance(name, int) else f"argument {name!r}"
                raise pickle.PicklingError(f"{where}: {error}") from error.__cause__
        raise


def loads(data, *buffers):
    """Unpickles what `dump` made, with its out-of-band buffers."""
    import pickle

    return pickle.loads(data, buffers=buffers)


def reference(function):
    """Returns (module, qualified name) if every interpreter can import `function`, else None."""
    name = getattr(function, "__qualname__", None)
    module = getattr(function, "__module__", None)
    if not isinstance(name, str) or not isinstance(module, str) or module in ("__main__", "__mp_main__"):
        return None
    home = sys.modules.get(module)
    if home is None or getattr(home, "__spec__", None) is None:
        return None
    found = home
    for part in name.split("."):
        found = getattr(found, part, None)
    return (module, name) if found is function else None


def resolve(module, name):
    """Imports what `reference` named."""
    import importlib

    found = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return _framed(found) if module == "builtins" and name in _NEED_A_FRAME else found


# Functions that look at the frame of their caller. A task is called from C, where there is none.
_NEED_A_FRAME = {"eval", "exec", "globals", "locals", "vars", "dir", "__import__"}


def _framed(function):
    """The function with a frame around it, whose globals are a namespace of their own."""
    namespace = {"__name__": "__main__", "__builtins__": __builtins__, "function": function}
    exec("def call(*args, **kwargs): return function(*args, **kwargs)", namespace)
    return namespace.pop("call")


def describe(error):
    """Takes an exception apart: (type, message, traceback, pickled or None), all but the last as text."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        message = str(error)
    except BaseException as failure:
        message = f"<str() of it raised {type(failure).__name__}>"
    try:
        import traceback

        trace = "".join(traceback.format_exception(error))
    except BaseException:
        trace = f"{name}: {message}\n"
    try:
        data = dump(error)
    except BaseException:
        data = None
    return name, message, trace, data


def revive(name, message, trace, data):
    """Makes the exception of `describe` again, with its remote traceback as the cause."""
    # One that was raised for lack of memory could not be pickled for lack of memory.
    error = MemoryError(message) if data is None and name == "MemoryError" else None
    if data is not None:
        try:
            error = loads(data)
        except BaseException:
            pass
    if not isinstance(error, BaseException):
        error = RemoteError(
            f"{name}: {message} (this exception type cannot be pickled; give it arguments that pickle, "
            "or a __reduce__)"
        )
    error.__cause__ = RemoteTraceback(trace)
    return error


def enter(path, argv):
    """Gives a new interpreter the import path and arguments of the one that made it."""
    sys.path[:] = path
    sys.argv[:] = argv


def here():
    """What `enter` takes, of this interpreter."""
    path = [entry for entry in sys.path if isinstance(entry, str)]
    return path, list(getattr(sys, "argv", [""]))


def from_source(source, globals=None):
    """A function that runs source text; what it leaves in `result` is its value.

    It runs in `globals`, or each time in a namespace of its own.
    """
    return _from_code(compile(source, "<covet>", "exec"), globals)


def from_marshal(data, globals=None):
    """As `from_source`, for a code object."""
    import marshal

    code = marshal.loads(data)
    if not isinstance(code, type(_from_code.__code__)):
        raise TypeError(f"expected a marshalled code object, found one of type {type(code).__qualname__!r}")
    return _from_code(code, globals)


def _from_code(code, globals):
    def run(*args):
        namespace = new_globals() if globals is None else globals
        namespace["args"] = args
        namespace.pop("result", None)
        exec(code, namespace)
        return namespace.get("result")

    return run


def new_globals():
    """A namespace for source text to run in."""
    return {"__name__": "__covet__", "__builtins__": __builtins__}


def leave():
    """The last thing that runs in an interpreter before it ends.

    From 3.13 on the owner of a subinterpreter is a dummy thread to `threading`, whose record is dropped when the thread's
    locals are: too late for `threading`, which then complains on standard error.
    """
    locals = getattr(sys.modules.get("threading"), "_thread_local_info", None)
    if locals is not None:
        vars(locals).clear()
