"""`Interpreter`: names that last, in an interpreter of its own."""

import math
import sys
import threading
import traceback

import pytest
from children import check

import covet_py


@pytest.fixture
def interpreter():
    with covet_py.Interpreter() as made:
        yield made


def test_names_last_and_the_last_expression_is_the_value(interpreter):
    assert interpreter.run("def area(width, height): return width * height") is None
    assert interpreter.run("area(6, 7)") == 42
    assert interpreter.run("side = 3\nsquare = area(side, side)") is None
    assert interpreter.run("square; side") == 3
    assert interpreter.run("") is None


def test_variables_are_set_before(interpreter):
    assert interpreter.run("x + y", x=1, y=2.5) == 3.5
    assert interpreter.run("x") == 1


def test_call_takes_functions_and_names(interpreter):
    interpreter.run("import math\nclass Box:\n    size = 3\n    @staticmethod\n    def grow(by, *, times=1): return Box.size + by * times")
    assert interpreter.call("Box.grow", 2, times=2) == 7
    assert interpreter.call("math.hypot", 3, 4) == 5
    assert interpreter.call("len", "abc") == 3
    assert interpreter.call(math.hypot, 3, 4) == 5
    assert interpreter.call(lambda x: x + 1, 1) == 2


def test_a_name_that_is_not_there(interpreter):
    with pytest.raises(NameError, match="name 'area' is not defined"):
        interpreter.call("area", 1)
    with pytest.raises(AttributeError):
        interpreter.call("len.nothing")


def test_what_it_defines_can_be_sent(interpreter):
    interpreter.run("class Point:\n    def __init__(self, x): self.x = x\ndef twice(x): return 2 * x")
    assert interpreter.run("Point(3)").x == 3
    assert interpreter.run("twice")(4) == 8


def test_names_are_its_own(interpreter):
    with covet_py.Interpreter() as other:
        other.run("x = 1")
        with pytest.raises(NameError):
            interpreter.run("x")
    assert "x" not in vars(sys.modules["__main__"])


def test_errors_show_the_lines_of_what_was_run(interpreter):
    with pytest.raises(SyntaxError):
        interpreter.run("1 +")
    interpreter.run("def broken(x):\n    return 1 / x  # here")
    for use in (lambda: interpreter.run("broken(0)"), lambda: interpreter.call("broken", 0)):
        with pytest.raises(ZeroDivisionError) as caught:
            use()
        text = "".join(traceback.format_exception(caught.value))
        assert "return 1 / x  # here" in text
        assert "in run_in" not in text and "in call_in" not in text


def test_threads_take_turns(interpreter):
    interpreter.run("count = 0\ndef add():\n    global count\n    count += 1")
    threads = [threading.Thread(target=lambda: [interpreter.call("add") for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert interpreter.run("count") == 800


def test_closing(interpreter):
    interpreter.run("x = 1")
    assert " open>" in repr(interpreter)
    interpreter.close()
    interpreter.close()
    assert " closed>" in repr(interpreter)
    with pytest.raises(RuntimeError, match="shutdown"):
        interpreter.run("x")


def test_one_that_cannot_be_made_can_be_closed():
    with pytest.raises(covet_py.BrokenPool, match="no_such_module"):
        with covet_py.Interpreter(preload=["no_such_module"]) as broken:
            broken.run("1")
    broken.close()


def test_one_that_is_never_closed():
    check(
        """
        import covet_py
        interpreter = covet_py.Interpreter()
        interpreter.run("x = 41")
        print(interpreter.run("x + 1"))
        """,
        "42\n",
    )
