"""The Python half of records.rs, compiled into each subinterpreter and into main as `_covet_records`.

What passes between them is bytes: `tell(what, data)` in the one is `answer(what, data)` in the other.
"""

import marshal
import sys

# In a subinterpreter.


def forward(tell):
    """Has main handle what this interpreter logs or warns of, as soon as it imports what that takes: most never do."""
    from _covet_loader import when_imported

    when_imported("logging", lambda logging: _forward_records(logging, tell))
    when_imported("warnings", lambda warnings: _forward_warnings(warnings, tell))


def _forward_records(logging, tell):
    class MainHandler(logging.Handler):
        """Of records that no other handler takes."""

        def emit(self, record):
            try:
                tell("record", _dump_record(record))
            except Exception:
                self.handleError(record)

    logging.lastResort = MainHandler()
    root, disabled, levels = marshal.loads(tell("levels", b""))
    logging.root.setLevel(root)
    logging.disable(disabled)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def _dump_record(record):
    """A record without what belongs to this interpreter: its traceback, and the arguments of its message, are text."""
    import logging

    from _covet_support import dump

    fields = dict(record.__dict__, msg=record.getMessage(), args=None, exc_info=None)
    if record.exc_info and not record.exc_text:
        fields["exc_text"] = logging.Formatter().formatException(record.exc_info)
    try:
        return dump(fields)
    except Exception:
        return dump({name: _sendable(value) for name, value in fields.items()})


def _sendable(value):
    """The value, or its `repr` if it cannot be sent."""
    from _covet_support import dump

    try:
        dump(value)
    except Exception:
        return repr(value)
    return value


def _forward_warnings(warnings, tell):
    from _covet_support import dump

    show = warnings.showwarning

    def showwarning(message, category, filename, lineno, file=None, line=None):
        if file is not None:
            return show(message, category, filename, lineno, file, line)
        try:
            data = dump((message, category, filename, lineno, line))
        except Exception:
            data = dump((f"{category.__name__}: {message}", UserWarning, filename, lineno, line))
        tell("warning", data)

    filters = marshal.loads(tell("filters", b""))
    if filters is not None and filters != _describe_filters(warnings):
        _set_filters(warnings, filters)
    warnings.showwarning = showwarning


def _set_filters(warnings, filters):
    warnings.resetwarnings()
    for action, message, (module, name), where, line in reversed(filters):
        category = getattr(sys.modules.get(module), name, None)
        # One whose category is not known here filters nothing here.
        if isinstance(category, type) and issubclass(category, Warning):
            warnings.filterwarnings(action, message or "", category, where or "", line)


# In both.


def _describe_filters(warnings):
    """The filters as values that `marshal` knows."""
    return [
        (action, _pattern(message), (category.__module__, category.__qualname__), _pattern(module), line)
        for action, message, category, module, line in warnings.filters
    ]


def _pattern(expression):
    return getattr(expression, "pattern", expression)


# In main.


def answer(what, data):
    """Does what a subinterpreter asks for, and returns the answer."""
    return _ANSWERS[what](data) or b""


def _take_record(data):
    import logging

    from _covet_support import loads

    record = logging.makeLogRecord(loads(data))
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


def _take_warning(data):
    import warnings

    from _covet_support import loads

    message, category, filename, lineno, line = loads(data)
    # Filters have let it pass where it was raised.
    warnings._showwarnmsg(warnings.WarningMessage(message, category, filename, lineno, line=line))


def _levels(_):
    """(level of the root logger, what is disabled, {name: level} of the loggers that have one)."""
    logging = sys.modules.get("logging")
    if logging is None:
        return marshal.dumps((30, 0, {}))
    loggers = logging.root.manager.loggerDict.copy().items()
    levels = {name: level for name, logger in loggers if (level := getattr(logger, "level", 0))}
    return marshal.dumps((logging.root.level, logging.root.manager.disable, levels))


def _filters(_):
    warnings = sys.modules.get("warnings")
    return marshal.dumps(None if warnings is None else _describe_filters(warnings))


_ANSWERS = {"record": _take_record, "warning": _take_warning, "levels": _levels, "filters": _filters}
