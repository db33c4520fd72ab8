"""Memory that is read where it lies: what arrives, and that it is given back."""

import array
import ctypes
import gc
import mmap
import os
import pickle
import select
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest
import tasks
from tasks import Exporter

import covet_py

from covet_py import Buffer, PoolExecutor, _native

LARGE = 1 << 16
# Without one, what another thread of an interpreter made waits for that thread, or for the collector, to be dropped.
WITH_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
WAYS = {
    "call": lambda pool, fn, *args: pool.call(fn, *args),
    "submit": lambda pool, fn, *args: pool.submit(fn, *args).result(),
    "map": lambda pool, fn, *args: next(pool.map(fn, *([arg] for arg in args))),
}


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def run(pool, request):
    """Runs a function in another interpreter, in each of the ways."""
    return lambda fn, *args: request.param(pool, fn, *args)


def soon(condition):
    """Whether it holds within a few seconds: what another interpreter gives back is dropped a little later."""
    deadline = time.monotonic() + 20
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
        gc.collect()
    return True


def released(view):
    """Releases a view, unless it is in use."""
    try:
        view.release()
    except BufferError:
        return False
    return True


# What arrives


def test_a_memoryview_arrives_as_one_over_the_same_memory(run):
    memory = bytearray(range(256))
    view = run(tasks.same, memoryview(memory))
    assert type(view) is memoryview and view.readonly and view == memory
    memory[5] = 99
    assert view[5] == 99
    with pytest.raises(TypeError):
        view[0] = 1


@pytest.mark.parametrize("code", "bBhHiIlLqQfd?c")
def test_formats_are_kept(run, code):
    view = memoryview(bytes(range(48))).cast(code)
    back = run(tasks.same, view)
    assert (back.format, back.itemsize, back.nbytes) == (view.format, view.itemsize, 48)
    assert back.tobytes() == view.tobytes()


@pytest.mark.parametrize("shape", [(24,), (2, 12), (4, 3, 2), (1, 24, 1), (24, 1)])
def test_shapes_and_strides_are_kept(run, shape):
    view = memoryview(array.array("i", range(24))).cast("B").cast("i", shape)
    back = run(tasks.same, view)
    assert (back.shape, back.strides, back.ndim) == (view.shape, view.strides, view.ndim)
    assert back.c_contiguous and back.tolist() == view.tolist()


def test_structures_and_single_items_are_kept(run):
    class Pair(ctypes.Structure):
        _fields_ = [("a", ctypes.c_int), ("b", ctypes.c_double)]

    pairs = memoryview((Pair * 3)(Pair(1, 2.0), Pair(3, 4.0)))
    back = run(tasks.same, pairs)
    assert (back.format, back.shape, back.itemsize) == (pairs.format, pairs.shape, pairs.itemsize)
    assert back.tobytes() == pairs.tobytes()
    one = memoryview(ctypes.c_double(1.5))
    back = run(tasks.same, one)
    assert (back.ndim, back.shape, back.tobytes()) == (0, (), one.tobytes())


@pytest.mark.parametrize("key", [slice(None, None, 2), slice(None, None, -1), slice(3, 3)], ids=str)
def test_a_view_with_gaps_is_copied_in_order(run, key):
    memory = bytearray(range(100))
    view = memoryview(memory)[key]
    back = run(tasks.same, view)
    assert back.tolist() == view.tolist() and back.c_contiguous and back.format == "B"
    words = memoryview(array.array("H", range(100)))[key]
    back = run(tasks.same, words)
    assert back.tolist() == words.tolist() and back.format == "H"


@pytest.mark.parametrize("size", [0, 1, 255, 256, LARGE - 1, LARGE, LARGE + 1, 1 << 20])
def test_bytes_and_text_of_any_size_arrive_whole(run, size):
    data = bytes(range(256)) * (size // 256 + 1)
    for value in (data[:size], "a" * size, "\xe9" * size, "\u20ac" * size, "\U0001f600" * size, bytearray(size)):
        back = run(tasks.same, value)
        assert type(back) is type(value) and back == value


def test_one_large_object_twice_stays_one(run):
    for value in (b"x" * LARGE, "x" * LARGE, memoryview(b"abc"), Buffer(b"abc")):
        a, b, (c,) = run(tasks.same, [value, value, (value,)])
        assert a is b is c and type(a) is type(value)
        assert run(tasks.is_one_object, value, value)


def test_a_bytearray_is_copied(run):
    memory = bytearray(LARGE)
    back = run(tasks.same, memory)
    memory[0] = back[1] = 7
    assert type(back) is bytearray and back[0] == 0 and memory[1] == 0


def test_views_and_buffers_beside_objects_keep_their_type(run):
    words = memoryview(array.array("d", range(6)))
    grid = words.cast("B").cast("d", (2, 3))
    record = tasks.Record("r", [memoryview(b"abc"), words, grid, words[::2], Buffer(b"buffer"), b"x" * LARGE])
    back = run(tasks.same, record)
    views, (buffer, data) = back.items[:4], back.items[4:]
    assert [view.tolist() for view in views] == [[97, 98, 99], words.tolist(), grid.tolist(), [0.0, 2.0, 4.0]]
    assert all(type(view) is memoryview and view.readonly for view in views)
    assert type(buffer) is Buffer and bytes(buffer) == b"buffer" and data == b"x" * LARGE


def test_memory_outside_a_pickle_is_not_copied(run):
    for memory in (b"read-only" * 10_000, bytearray(100_000), b"", bytearray()):
        back = run(tasks.same, tasks.Words(memory)).memory
        assert type(back) is memoryview and back.readonly and back == memory
        if isinstance(memory, bytearray) and memory:
            memory[0] = 1
            assert back[0] == 1
        a, b = run(tasks.same, [tasks.Words(memory), [tasks.Words(memory)]])
        assert a.memory == memory == b[0].memory


def test_a_function_by_value_brings_a_view_along(pool):
    pytest.importorskip("cloudpickle")
    memory = bytearray(b"abc")
    view = memoryview(memory)
    assert pool.call(lambda: type(view).__name__ + bytes(view).decode()) == "memoryviewabc"


def test_other_exporters(run):
    with mmap.mmap(-1, LARGE) as mapped:
        mapped[:3] = b"abc"
        view = memoryview(mapped)
        back = run(tasks.same, view)
        assert bytes(back[:3]) == b"abc" and len(back) == LARGE
        del back
        assert soon(lambda: released(view))


def test_a_view_of_a_view_and_a_slice_of_it(run):
    memory = bytearray(range(100))
    back = run(tasks.same, memoryview(memory)[10:90])
    again = run(tasks.same, back[10:20])
    nested = run(tasks.same, memoryview(again)[1:3])
    memory[21] = 200
    assert again[1] == nested[0] == 200 and again.tolist() == [20, 200, *range(22, 30)]


# Errors


def test_a_released_view_is_refused(run):
    view = memoryview(b"abc")
    view.release()
    with pytest.raises(ValueError, match="released memoryview"):
        run(tasks.same, view)
    with pytest.raises(ValueError, match="released memoryview"):
        run(tasks.same, [1, view])
    with pytest.raises(ValueError, match="released memoryview"):
        run(tasks.released_view, None)


class Refuses:
    def __buffer__(self, flags):
        raise BufferError("not today")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="classes can export buffers from 3.12 on")
def test_an_exporter_that_refuses():
    with pytest.raises(BufferError, match="not today"):
        Buffer(Refuses())


def test_a_view_of_structures_beside_an_object_is_refused_by_who_sends_it(run):
    structures = memoryview((type("Pair", (ctypes.Structure,), {"_fields_": [("a", ctypes.c_int)]}) * 2)())
    with pytest.raises(pickle.PicklingError, match="expected a memoryview of single items beside an object, found one of format"):
        run(tasks.same, [structures, tasks.Record("r", [])])
    one = memoryview(array.array("d", [1.5])).cast("B").cast("d", ())
    assert run(tasks.same, tasks.Record("r", [one])).items[0].tolist() == 1.5


def test_a_view_is_not_writable_where_it_arrives(run):
    with pytest.raises(TypeError, match="read-only|cannot modify"):
        run(tasks.write_to, memoryview(bytearray(3)))


def test_views_are_not_limited_in_size_and_bytes_are(pool):
    size = 3 << 30
    with mmap.mmap(-1, size) as zeros:
        view = memoryview(zeros)
        assert pool.call(len, view) == size
        assert soon(lambda: released(view))


# Buffer


def test_a_buffer_is_an_immutable_copy():
    memory = bytearray(b"abc")
    buffer = Buffer(memory)
    memory[0] = 0
    assert bytes(buffer) == b"abc" and len(buffer) == 3 and list(buffer) == [97, 98, 99]
    assert repr(buffer) == "<Buffer of 3 bytes>"
    assert type(buffer[1:]) is memoryview and bytes(buffer[1:]) == b"bc" and buffer[0] == 97
    view = memoryview(buffer)
    assert view.readonly and view.format == "B"
    with pytest.raises(TypeError):
        view[0] = 1
    with pytest.raises((BufferError, TypeError)):
        ctypes.c_char.from_buffer(buffer)
    with pytest.raises(IndexError):
        buffer[3]


def test_a_buffer_of_typed_memory_is_its_bytes():
    words = array.array("d", [1.5, 2.5])
    assert bytes(Buffer(words)) == words.tobytes()
    assert bytes(Buffer(memoryview(words)[::-1])) == array.array("d", [2.5, 1.5]).tobytes()


@pytest.mark.parametrize("bad", [(), (b"a", b"b"), (1,), (None,), ("text",)], ids=str)
def test_what_no_buffer_can_be_made_of_is_refused(bad):
    with pytest.raises(TypeError):
        Buffer(*bad)
    with pytest.raises(TypeError):
        Buffer(source=b"")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_buffer_pickles_for_other_processes(protocol):
    back = pickle.loads(pickle.dumps(Buffer(b"abc" * 1000), protocol))
    assert type(back) is Buffer and bytes(back) == b"abc" * 1000


def test_a_buffer_is_unpickled_by_another_process():
    data = pickle.dumps(Buffer(b"abc"), 5)
    script = f"import pickle; b = pickle.loads({data!r}); print(type(b).__name__, bytes(b))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50)
    assert done.stdout == "Buffer b'abc'\n", done.stderr


def address(exporter):
    """Where the memory of an exporter lies."""
    view = ctypes.create_string_buffer(256)
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(exporter), view, 0)
    start = ctypes.c_void_p.from_buffer(view).value
    ctypes.pythonapi.PyBuffer_Release(view)
    return start


def test_a_buffer_is_the_same_memory_everywhere(run):
    buffer = Buffer(b"x" * 100)
    assert address(run(tasks.same, buffer)) == address(buffer)
    assert address(Buffer(buffer)) == address(buffer) == address(Buffer(memoryview(buffer)))
    assert address(run(tasks.same, [tasks.Record("r", [buffer])])[0].items[0]) == address(buffer)
    assert address(run(tasks.same, memoryview(buffer)[10:])) == address(buffer) + 10


def test_a_buffer_made_in_one_worker_outlives_it():
    with PoolExecutor(1) as one:
        buffer = one.call(tasks.make_buffer, bytes(range(250)) * 4)
        before = _native.leaked_references()
    assert bytes(buffer) == bytes(range(250)) * 4
    with PoolExecutor(1) as other:
        assert other.call(bytes, buffer) == bytes(buffer)
    assert _native.leaked_references() == before


# Given back


@pytest.mark.parametrize("make", [lambda e: memoryview(e), lambda e: tasks.Words(e), lambda e: [memoryview(e), {"k": memoryview(e)[1:]}]], ids=["view", "object", "views"])
def test_arguments_are_given_back(run, make):
    exporter = Exporter(1000)
    for _ in range(20):
        run(tasks.type_name, make(exporter))
    assert soon(exporter.is_free)
    gone = weakref.ref(exporter)
    del exporter
    assert soon(lambda: gone() is None)


def test_what_a_receiver_keeps_is_given_back_when_it_drops_it(pool):
    exporter = Exporter(1000)
    with PoolExecutor(1) as one:
        for send in (one.call, lambda *args: one.submit(*args).result()):
            send(tasks.keep, memoryview(exporter))
            time.sleep(0.05)
            assert not exporter.is_free()
            send(tasks.keep, None)
            assert soon(lambda: one.call(gc.collect) < 0 or exporter.is_free())


@pytest.fixture
def pipe():
    """Where the end of memory is told, whichever interpreter it belongs to."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    yield read, write
    os.close(read)
    os.close(write)


def told(read, seconds=20):
    """Whether that was told within so many seconds."""
    ready, _, _ = select.select([read], [], [], seconds)
    return bool(ready) and os.read(read, 4) == b"gone"


@pytest.mark.parametrize("send", [WAYS["call"], WAYS["submit"], WAYS["map"]], ids=WAYS)
def test_a_view_of_a_result_keeps_its_memory_and_gives_it_back(send, pipe):
    read, write = pipe
    with PoolExecutor(1) as one:
        one.call(abs, 1)
        view = send(one, tasks.make_view, LARGE, write)
        part = view[10:20]
        del view
        gc.collect()
        assert not told(read, 0.2) and part.tolist() == [7] * 10
        del part
        gc.collect()
        if WITH_GIL:
            # Nobody has to call: its worker is woken for it.
            assert told(read)
        else:
            assert soon(lambda: one.call(gc.collect) < 0 or told(read, 0))


@pytest.mark.skipif(
    not WITH_GIL,
    reason="free-threaded builds keep the memory of large objects for later",
)
def test_large_bytes_are_given_back_at_once():
    with PoolExecutor(1) as one:
        before = tasks.resident_memory()
        for send in (one.call, lambda *args: one.submit(*args).result()):
            for _ in range(10):
                assert len(send(tasks.zeros, 20 << 20)) == 20 << 20
            data = b"x" * (20 << 20)
            for _ in range(10):
                assert send(len, data) == 20 << 20
    assert tasks.resident_memory() - before < 150 << 20


def test_cancelled_tasks_give_their_arguments_back(own_pool):
    exporter = Exporter(1000)
    busy = [own_pool.submit(tasks.nap, 0.3) for _ in range(2)]
    queued = [own_pool.submit(tasks.type_name, memoryview(exporter)) for _ in range(5)]
    assert all(future.cancel() for future in queued)
    assert soon(exporter.is_free)
    for future in busy:
        future.result()


def test_errors_give_back_what_they_carry(run):
    exporter = Exporter(1000)
    for _ in range(5):
        with pytest.raises(ValueError, match="carries"):
            run(tasks.fail_with, memoryview(exporter))
    assert soon(exporter.is_free)


def test_a_map_that_is_left_gives_back(own_pool):
    exporters = [Exporter(1000) for _ in range(50)]
    results = own_pool.map(tasks.type_name, (memoryview(exporter) for exporter in exporters))
    assert next(results) == "memoryview"
    del results
    assert soon(lambda: all(exporter.is_free() for exporter in exporters))


def test_tasks_that_are_lost_give_back_once_they_return():
    exporter = Exporter(1000)
    with PoolExecutor(1) as one:
        one.submit(abs, 1).result()
        future = one.submit(tasks.nap, 7, memoryview(exporter))
        while not future.running():
            time.sleep(0.01)
        time.sleep(0.2)
        one.interrupt(future)
        assert future.exception(timeout=30) is not None
    del future
    assert soon(exporter.is_free)


def test_a_shut_down_pool_gives_back_what_its_workers_kept():
    exporter = Exporter(1000)
    with PoolExecutor(2) as two:
        for kept in two.broadcast(tasks.keep, memoryview(exporter)):
            kept.result()
    tasks.keep(None)  # where tasks run in this interpreter
    assert soon(exporter.is_free)


# Memory of interpreters that end


@pytest.mark.parametrize("size", [1, 100, LARGE, 1 << 20])
def test_views_outlive_the_interpreter_they_came_from(size):
    leaked = _native.leaked_references()
    with PoolExecutor(1) as one:
        own = one.strategy == "subinterpreters"
        views = [one.submit(tasks.make_view, size).result() for _ in range(3)]
        views += [one.call(tasks.make_view, size)[:1]]
    for _ in range(3):
        with PoolExecutor(1) as other:
            assert all(set(view) == {7} for view in views)
            assert other.call(bytes, views[0]) == b"\7" * size
    assert _native.leaked_references() == leaked + (4 if own else 0)


@pytest.mark.parametrize("make", [tasks.zeros, tasks.text_of, tasks.record_of])
def test_results_are_asked_for_after_the_end_and_leave_nothing(make):
    leaked = _native.leaked_references()
    with PoolExecutor(2) as two:
        futures = [two.submit(make, 300_000) for _ in range(10)]
        results = two.map(make, [300_000] * 10)
    expected = make(300_000)
    assert all(future.result() == expected for future in futures)
    assert list(results) == [expected] * 10
    assert _native.leaked_references() == leaked


def test_views_outlive_a_worker_that_is_recycled():
    with PoolExecutor(1, max_tasks_per_child=2, accept_leak=True) as one:
        views = [one.submit(tasks.make_view, 500).result() for _ in range(10)]
        assert all(set(view) == {7} for view in views)
    assert all(set(view) == {7} for view in views)


# Threads, sharing


def test_many_threads_exchange_views(own_pool):
    exporters = [Exporter(LARGE) for _ in range(4)]
    failures = []

    def work(exporter):
        try:
            for _ in range(200):
                back = own_pool.call(tasks.same, memoryview(exporter))
                assert back.nbytes == LARGE
                made = own_pool.submit(tasks.make_view, 300).result()
                assert set(made) == {7}
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=[exporter]) for exporter in exporters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert soon(lambda: all(exporter.is_free() for exporter in exporters))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_table_that_all_workers_read_is_in_memory_once():
    # In a process of its own: what other tests left would be memory too.
    script = Path(__file__).with_name("one_table.py")
    done = subprocess.run([sys.executable, script, "64"], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 workers read a table of 64 MB" in done.stdout


def test_the_package_offers_it():
    assert covet_py.Buffer is Buffer and Buffer.__module__ == "covet_py"
