"""`pool`: pools that are found by name."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from children import check

import covet_py
from covet_py import _named


@pytest.fixture
def name(request):
    yield request.node.name
    known = _named._pools.pop(request.node.name, None)
    if known is not None:
        known[0].shutdown()


def test_it_is_made_once(name):
    made = covet_py.pool(name, max_workers=1)
    assert made.call(abs, -1) == made.submit(abs, -1).result() == 1
    assert covet_py.pool(name) is made
    assert covet_py.pool(name, max_workers=1) is made


def test_names_are_apart(name):
    with covet_py.pool(f"{name} 2", max_workers=1) as other:
        assert covet_py.pool(name, max_workers=1) is not other


def test_threads_that_ask_at_once_get_the_same(name):
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: covet_py.pool(name, max_workers=1), range(64)))
    assert len(found) == 1


def test_other_options_are_refused(name):
    covet_py.pool(name, max_workers=1)
    with pytest.raises(ValueError, match="made with other options: expected {'max_workers': 1}, found {'max_workers': 2}"):
        covet_py.pool(name, max_workers=2)
    with pytest.raises(ValueError, match="pin"):
        covet_py.pool(name, max_workers=1, pin=True)


def test_one_that_is_shut_down_is_made_anew(name):
    first = covet_py.pool(name, max_workers=1)
    first.shutdown()
    second = covet_py.pool(name, max_workers=2)
    assert second is not first
    assert second.call(abs, -1) == 1
    assert covet_py.pool(name) is second


def test_what_cannot_be_made_leaves_nothing(name):
    with pytest.raises(ValueError, match="max_workers"):
        covet_py.pool(name, max_workers=0)
    with pytest.raises(TypeError, match="expected the name of a pool as a str, found int"):
        covet_py.pool(1)
    assert covet_py.pool(name, max_workers=1).call(abs, -1) == 1


def test_it_ends_with_the_process():
    check("import covet_py; print(covet_py.pool('a', max_workers=1).submit(abs, -1).result())", "1\n")


def test_the_child_of_a_fork_makes_its_own():
    program = """
import covet_py, os, warnings
warnings.simplefilter("ignore")  # of forks
made = covet_py.pool("a", max_workers=1, strategy="main-only")
assert made.submit(abs, -1).result() == 1
pid = os.fork()
if pid == 0:
    own = covet_py.pool("a", max_workers=1, strategy="main-only")
    os._exit(0 if own is not made and own.submit(abs, -1).result() == 1 else 3)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    check(program, "0\n")
