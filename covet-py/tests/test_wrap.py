"""`PoolExecutor.wrap`: functions that always run in the pool."""

import asyncio
import inspect

import pytest
import tasks
from children import check

from covet_py import PoolExecutor


def test_it_runs_there(pool):
    place = pool.wrap(tasks.place)
    there, here = place(), tasks.place()
    assert there != here
    assert pool.wrap(pow)(2, exp=5) == 32


def test_it_looks_like_the_function(pool):
    @pool.wrap
    def twice(number: int, *, more: int = 0) -> int:
        """Doubles it."""
        return 2 * number + more

    assert (twice.__name__, twice.__doc__) == ("twice", "Doubles it.")
    assert twice.__module__ == __name__ and twice.__qualname__.endswith("twice")
    assert str(inspect.signature(twice)) == "(number: int, *, more: int = 0) -> int"
    assert "twice" in repr(twice)
    assert twice(3, more=1) == 7
    assert twice.__wrapped__(3) == 6


def test_it_raises_what_call_raises(pool):
    with pytest.raises(KeyError, match="mine"):
        pool.wrap(tasks.raise_kind)("KeyError", "mine")


def test_methods_send_their_instance(pool):
    class Counter:
        def __init__(self, start):
            self.start = start

        @pool.wrap
        def plus(self, number):
            return self.start + number

        @staticmethod
        @pool.wrap
        def twice(number):
            return 2 * number

    assert Counter(3).plus(4) == 7
    assert Counter.plus(Counter(1), 1) == 2
    assert Counter.twice(4) == 8


def test_inside_a_worker_it_is_the_plain_function():
    check(
        """
        import covet_py

        def where():
            import _thread
            return _thread.get_ident()

        pool = covet_py.PoolExecutor(2)

        @pool.wrap
        def factorial(n):
            return n * factorial(n - 1) if n else 1

        @pool.wrap
        def same_place():
            return where() == other()

        other = pool.wrap(where)
        print(factorial(10), same_place(), list(pool.map(factorial, range(4))))
        """,
        "3628800 True [1, 1, 2, 6]\n",
    )


@pytest.mark.parametrize("kind", ["coroutine", "asynchronous generator", "generator"])
def test_what_cannot_be_sent_back_is_refused_at_once(pool, kind):
    async def coroutine(): ...

    async def asynchronous_generator():
        yield

    def generator():
        yield

    with pytest.raises(TypeError, match=f"found the {kind} function"):
        pool.wrap(locals()[kind.replace(" ", "_")])
    with pytest.raises(TypeError, match="expected a function to wrap, found 3"):
        pool.wrap(3)


def test_from_an_event_loop(pool):
    wrapped = pool.wrap(tasks.add)

    async def main():
        return await asyncio.to_thread(wrapped, 1, 2)

    assert asyncio.run(main()) == 3


def test_a_subclass_that_calls_in_another_way(pool):
    seen = []

    class Noting(PoolExecutor):
        def call(self, fn, /, *args, **kwargs):
            seen.append(fn)
            return super().call(fn, *args, **kwargs)

    with Noting(1) as noting:
        assert noting.wrap(tasks.add)(1, 2) == 3
    assert seen == [tasks.add]
