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
            f"{_shape(value)} cannot be sent to another interpreter ({type(error).__name__}: {error}); {_advice(value)}"
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
            return _reduce_wrapper(value) or super().reducer_override(value)

    # Those of the pickle by name stay, as long as this one may fail.
    taken = None if buffers is None else []
    with io.BytesIO() as file:
        Pickler(file, _PROTOCOL, buffer_callback=_taker(taken)).dump(value)
        if buffers is not None:
            buffers[:] = taken
        return file.getvalue()


def _reduce_wrapper(value):
    """What functools made of a function that cannot be imported, by how it did that, or None. cloudpickle would send a name, or
    fail for the locks and weak references inside.
    """
    import functools

    if isinstance(value, functools._lru_cache_wrapper):
        if reference(value) is None:
            return make_cached, (value.__wrapped__, value.cache_parameters(), value.__dict__)
    elif isinstance(value, functools.cached_property):
        return make_cached_property, (value.func, value.attrname)
    elif isinstance(value, functools.partialmethod):
        return make_partial_method, (value.func, value.args, value.keywords)
    elif isinstance(value, functools.singledispatchmethod):
        return make_generic_method, (value.func, dict(value.dispatcher.registry))
    elif (code := getattr(value, "__code__", None)) is not None:
        if code.co_qualname == "singledispatch.<locals>.wrapper" and reference(value) is None:
            return make_generic, (value.__wrapped__, dict(value.registry))
    return None


def make_cached(function, parameters, attributes):
    """A function with a cache (`functools.lru_cache`), which is empty."""
    import functools

    made = functools.lru_cache(**parameters)(function)
    made.__dict__.update(attributes)
    return made


def make_generic(function, implementations):
    """A generic function (`functools.singledispatch`)."""
    import functools

    made = functools.singledispatch(function)
    for kind, implementation in implementations.items():
        made.register(kind, implementation)
    return made


def make_generic_method(function, implementations):
    """A generic method (`functools.singledispatchmethod`)."""
    import functools

    made = functools.singledispatchmethod(function)
    made.dispatcher = make_generic(function, implementations)
    return made


def make_partial_method(function, arguments, keywords):
    """A method with some of its arguments (`functools.partialmethod`), which from 3.14 on does not pickle by itself."""
    import functools

    return functools.partialmethod(function, *arguments, **keywords)


def make_cached_property(function, name):
    """A property that is worked out once for each object (`functools.cached_property`)."""
    import functools

    made = functools.cached_property(function)
    made.attrname = name
    return made


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


def _advice(value):
    """What to do about a value that cannot be sent."""
    match type(value).__name__:
        case "generator":
            return "have the task return a list of what it yields"
        case "coroutine":
            value.close()  # else it complains that nobody awaited it
            return "have the task run it to its end (asyncio.run)"
        case "async_generator":
            return "have the task run it to its end (asyncio.run), and return a list"
        case _:
            return "send what it is made from, and make it inside the task"


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
    # This module has none, and is everywhere.
    if home is None or (module != __name__ and getattr(home, "__spec__", None) is None):
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

        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_globals is globals():
            frames = frames.tb_next
        trace = "".join(traceback.format_exception(kind, error, frames))
    except BaseException:
        trace = f"{name}: {message}\n"
    try:
        data = dump(error)
    except BaseException:
        data = None
    return name, message, trace, data


def revive(name, message, trace, data):
    """Makes the exception of `describe` again, with its remote traceback as the cause."""
    # One that was raised for lack of memory could not be pickled for lack of memory; one of a time limit is not Python's own.
    plain = {"MemoryError": MemoryError, "TimeoutError": TimeoutError}.get(name) if data is None else None
    error = plain(message) if plain else None
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


def may_run_in_main(error):
    """Whether a call ended because an extension module was refused to this interpreter, before anything but imports had run: what
    the function is, its arguments, and import statements at its very beginning."""
    if not getattr(error, "covet_refused", False) or error.__traceback__ is None:
        return False
    code, last = error.__traceback__.tb_frame.f_code, error.__traceback__.tb_lasti
    if code in (resolve.__code__, loads.__code__):
        return True
    import dis

    for step in dis.get_instructions(code):
        if step.offset >= last:
            return step.opname == "IMPORT_NAME"
        if step.opname not in _OF_IMPORTS:
            return False
    return False


# What an import statement is made of, and what stands before the first statement of a function.
_OF_IMPORTS = {
    *("RESUME", "NOP", "CACHE", "EXTENDED_ARG", "MAKE_CELL", "COPY_FREE_VARS"),
    *("LOAD_CONST", "LOAD_COMMON_CONSTANT", "LOAD_SMALL_INT", "IMPORT_NAME", "IMPORT_FROM"),
    *("STORE_FAST", "STORE_FAST_STORE_FAST", "STORE_DEREF", "SWAP", "POP_TOP"),
}


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


# Namespaces that last, by number.
_namespaces = {}


def run_in(number, source, variables):
    """Runs source text in a lasting namespace, and returns the value of its last statement if that is an expression."""
    return _namespaces.setdefault(number, _Namespace()).run(source, variables)


def call_in(number, name, arguments, keywords):
    """Calls what has this name, which may be dotted, in a lasting namespace."""
    return _namespaces.setdefault(number, _Namespace()).call(name, arguments, keywords)


def forget(number):
    """Drops a namespace."""
    _namespaces.pop(number, None)


class _Namespace:
    def __init__(self):
        # What it defines is sent by value, as what the program defines in its `__main__` is.
        self.globals = {"__name__": "__main__", "__builtins__": __builtins__}
        self.sources = {}

    def run(self, source, variables):
        name = f"<source {len(self.sources) + 1}>"
        tree = compile(source, name, "exec", _ONLY_TREE)
        self.sources[name] = source
        last = tree.body.pop() if tree.body and type(tree.body[-1]).__name__ == "Expr" else None
        self.globals.update(variables)
        try:
            exec(compile(tree, name, "exec"), self.globals)
            if last is not None:
                from _ast import Expression

                return eval(compile(Expression(last.value), name, "eval"), self.globals)
        except BaseException:
            self.show_sources()
            raise

    def call(self, name, arguments, keywords):
        try:
            return eval(name, self.globals)(*arguments, **keywords)
        except BaseException:
            self.show_sources()
            raise

    def show_sources(self):
        """Lets tracebacks show the lines of what was run."""
        import linecache

        for name, source in self.sources.items():
            linecache.cache[name] = (len(source), None, source.splitlines(True), name)


# Has `compile` return a syntax tree: `ast.PyCF_ONLY_AST`, without importing `ast`.
_ONLY_TREE = 0x400


def leave():
    """The last thing that runs in an interpreter before it ends.

    From 3.13 on the owner of a subinterpreter is a dummy thread to `threading`, whose record is dropped when the thread's
    locals are: too late for `threading`, which then complains on standard error.
    """
    locals = getattr(sys.modules.get("threading"), "_thread_local_info", None)
    if locals is not None:
        vars(locals).clear()
