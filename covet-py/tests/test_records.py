"""Log records and warnings of workers, which the main interpreter handles."""

import logging
import sys
import threading
import warnings

import pytest
from children import run

from covet_py import PoolExecutor


@pytest.fixture(autouse=True)
def levels():
    """The root logger's level is pytest's to change: workers copy it when they import `logging`."""
    before = logging.root.level
    logging.root.setLevel(logging.INFO)
    yield
    logging.root.setLevel(before)


def log(level, message, *args, **kwargs):
    import logging

    logging.getLogger("app.worker").log(level, message, *args, **kwargs)


def test_records_reach_the_handlers_of_main(own_pool, caplog):
    own_pool.call(log, logging.INFO, "%s and %s", "one", 2)
    own_pool.submit(log, logging.DEBUG, "too low").result()
    own_pool.submit(log, logging.ERROR, "bad", extra={"request": 7}).result()
    assert [(r.name, r.levelname, r.getMessage()) for r in caplog.records] == [
        ("app.worker", "INFO", "one and 2"),
        ("app.worker", "ERROR", "bad"),
    ]
    assert caplog.records[1].request == 7


def test_a_traceback_comes_as_text(own_pool, caplog):
    def task():
        import logging

        try:
            1 / 0
        except ZeroDivisionError:
            logging.getLogger("app").exception("failed", stack_info=True)

    own_pool.call(task)
    assert "ZeroDivisionError: division by zero" in caplog.text
    assert "Stack (most recent call last)" in caplog.text


def test_an_attribute_that_cannot_be_sent_is_shown(own_pool, caplog):
    def task():
        import logging
        import threading

        logging.getLogger("app").warning("held", extra={"lock": threading.Lock()})

    own_pool.call(task)
    assert caplog.records[0].getMessage() == "held"
    if own_pool.strategy == "subinterpreters":
        assert "lock" in caplog.records[0].lock


def test_levels_of_loggers_are_those_of_main(caplog):
    logging.getLogger("app.quiet").setLevel(logging.CRITICAL)

    def task():
        import logging

        logging.getLogger("app.quiet").error("hidden")
        return logging.getLogger("app.quiet.below").getEffectiveLevel()

    try:
        with PoolExecutor(1) as pool:
            assert pool.call(task) == logging.CRITICAL
        # Of one that main sets later: main does not handle what it does not want.
        with PoolExecutor(1) as pool:
            pool.call(log, logging.INFO, "first")
            logging.getLogger("app.worker").setLevel(logging.ERROR)
            pool.call(log, logging.INFO, "second")
    finally:
        logging.getLogger("app.quiet").setLevel(logging.NOTSET)
        logging.getLogger("app.worker").setLevel(logging.NOTSET)
    assert [r.getMessage() for r in caplog.records] == ["first"]


def test_handlers_of_the_worker_come_first(own_pool, caplog):
    def task():
        import io
        import logging

        if logging.getLogger("own").handlers:
            return None
        text = io.StringIO()
        logger = logging.getLogger("own")
        logger.propagate = False
        logger.addHandler(logging.StreamHandler(text))
        logger.error("here")
        return text.getvalue()

    try:
        assert own_pool.call(task) == "here\n"
    finally:
        logging.getLogger("own").handlers.clear()
        logging.getLogger("own").propagate = True
    assert caplog.records == []


def test_records_of_threads_that_a_task_starts(own_pool, caplog):
    def task():
        import logging
        import threading

        thread = threading.Thread(target=logging.getLogger("app").error, args=("from a thread",))
        thread.start()
        thread.join()

    for _ in range(3):
        own_pool.call(task)
    assert [r.getMessage() for r in caplog.records] == ["from a thread"] * 3


def test_a_handler_of_main_that_fails_fails_no_task(own_pool, capsys):
    class Broken(logging.Handler):
        def emit(self, record):
            raise ValueError("broken handler")

    handler = Broken()
    logging.getLogger("app.worker").addHandler(handler)
    sys.unraisablehook, before = (lambda unraisable: None), sys.unraisablehook
    try:
        if own_pool.strategy == "subinterpreters":
            assert own_pool.call(log, logging.ERROR, "x") is None
    finally:
        sys.unraisablehook = before
        logging.getLogger("app.worker").removeHandler(handler)


def test_many_at_once(own_pool, caplog):
    def task(number):
        import logging

        for i in range(20):
            logging.getLogger("app").info("%d.%d", number, i)

    threads = [threading.Thread(target=own_pool.call, args=(task, number)) for number in range(4)]
    for thread in threads:
        thread.start()
    list(own_pool.map(task, range(4, 8)))
    for thread in threads:
        thread.join()
    assert sorted(r.getMessage() for r in caplog.records) == sorted(f"{n}.{i}" for n in range(8) for i in range(20))


def warn(text="careful", category=DeprecationWarning):
    import warnings

    warnings.warn(text, category, stacklevel=1)


class OwnWarning(UserWarning):
    pass


def test_warnings_are_shown_by_main():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with PoolExecutor(1) as pool:
            pool.submit(warn).result()
            pool.call(warn, "own", OwnWarning)
    assert [(str(w.message), w.category) for w in caught] == [("careful", DeprecationWarning), ("own", OwnWarning)]
    assert caught[0].filename == __file__


@pytest.mark.filterwarnings("error")
def test_filters_are_those_of_main():
    with PoolExecutor(1) as pool:
        with pytest.raises(DeprecationWarning, match="careful"):
            pool.submit(warn).result()
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("ignore", "care.*")
        with PoolExecutor(1) as pool:
            pool.submit(warn).result()
    assert caught == []


def test_not_if_it_is_not_wanted():
    program = """
        import covet_py, logging
        logging.basicConfig(format="main: %(message)s")
        def task():
            import logging
            logging.getLogger("app").error("heard")
        with covet_py.PoolExecutor(1, strategy="subinterpreters", forward_records=FORWARD) as pool:
            pool.call(task)
        """
    if sys.version_info < (3, 12):
        pytest.skip("no interpreter of its own before 3.12")
    assert run(program.replace("FORWARD", "True")).all == (0, "", "main: heard\n")
    assert run(program.replace("FORWARD", "False")).all == (0, "", "heard\n")
