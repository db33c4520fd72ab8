"""What arrives is what was sent: value, exact type, and identity inside one message."""

import array
import collections
import copy
import datetime
import decimal
import fractions
import math
import pathlib
import pickle
import random
import struct
import sys
import uuid

import pytest
import random_values
import tasks
from random_values import FLOATS, STRINGS, shape

from covet_py import PoolExecutor


def ways(pool):
    """The ways by which a value goes there and back."""
    return {
        "call": lambda value: pool.call(tasks.same, value),
        "submit": lambda value: pool.submit(tasks.same, value).result(),
        "map": lambda value: next(pool.map(tasks.same, [value])),
    }


@pytest.fixture(params=["call", "submit", "map"])
def send(pool, request):
    return ways(pool)[request.param]


def assert_alike(a, b):
    """Equal, and of the same exact types all the way down."""
    assert type(a) is type(b)
    if isinstance(a, float):
        # Distinguishes -0.0, and NaN equals NaN.
        assert struct.pack("d", a) == struct.pack("d", b)
    elif isinstance(a, complex):
        assert_alike([a.real, a.imag], [b.real, b.imag])
    elif isinstance(a, dict):
        assert len(a) == len(b)
        for (key, value), (key_b, value_b) in zip(a.items(), b.items()):
            assert_alike(key, key_b)
            assert_alike(value, value_b)
    elif isinstance(a, (list, tuple, collections.deque)):
        assert len(a) == len(b)
        for item, item_b in zip(a, b):
            assert_alike(item, item_b)
    elif isinstance(a, (set, frozenset)):
        assert {(type(i), i) for i in a} == {(type(i), i) for i in b}
    else:
        assert a == b


INTEGERS = [0, 1, -1, 255, 256, -257] + [
    sign * (1 << bits) + step for bits in (31, 32, 62, 63, 64, 65, 200) for sign in (1, -1) for step in (-1, 0, 1)
]
SIMPLE = [None, True, False, *INTEGERS, *FLOATS, *STRINGS]
SIMPLE += [complex(1, -2), complex(-0.0, math.nan), complex(math.inf, 0)]
SIMPLE += [b"", b"\0", b"bytes", bytes(range(256)), bytearray(), bytearray(b"\0abc")]


def test_simple_values_keep_value_and_type(send):
    for value in SIMPLE:
        assert_alike(send(value), value)
    # All in one message: every alignment that the pieces before can give to the pieces after.
    assert_alike(send(SIMPLE), SIMPLE)


@pytest.mark.parametrize("text", ["a", "\xe9", "\u20ac", "\U0001f600", "\ud800"], ids=ascii)
def test_strings_of_each_width_survive_each_alignment(send, text):
    for shift in range(9):
        value = ["x" * shift, text * 3, b"y" * shift, text * 5]
        assert_alike(send(value), value)


CONTAINERS = [
    (),
    [],
    {},
    set(),
    frozenset(),
    (1,),
    [1],
    {1: 2},
    ((), [], {}),
    [[], [[]], ([],)],
    {"a": [1, (2, {"b": None})], 3: {4.5: "x"}, None: True, (1, (2,)): []},
    {1, "a", 2.5, None, (1, 2)},
    frozenset({frozenset(), frozenset({1})}),
    list(range(1000)),
    tuple("abc" * 100),
    {i: str(i) for i in range(1000)},
    [{"set": {1}}, (b"", bytearray(b"x"), 1j)],
    collections.deque([1, 2], maxlen=3),
    collections.defaultdict(list, {"a": [1]}),
    collections.Counter("abca"),
    collections.OrderedDict([("z", 1), ("a", 2)]),
    range(5),
    slice(1, None, 2),
    Ellipsis,
    NotImplemented,
    int,
    datetime.datetime(2020, 1, 2, 3, 4, 5, 6, datetime.timezone.utc),
    datetime.timedelta(days=-1, microseconds=5),
    decimal.Decimal("1.10"),
    fractions.Fraction(1, 3),
    uuid.UUID(int=5),
    pathlib.PurePosixPath("/a/b"),
    array.array("d", [1.0, -0.0]),
]


@pytest.mark.parametrize("value", CONTAINERS, ids=lambda value: ascii(value)[:40])
def test_containers_and_library_types_keep_value_and_type(send, value):
    assert_alike(send(value), value)


OBJECTS = [
    tasks.Point(1, [2]),
    tasks.Color.RED,
    tasks.Bits.A | tasks.Bits.B,
    tasks.Number(7),
    tasks.Number(1 << 80),
    tasks.Text("t"),
    tasks.Record("r", [1], tasks.Record("s", [])),
    tasks.Frozen(3),
    tasks.Slotted([1]),
    tasks.Pair(1, [2]),
    tasks.Level.LOW,
    tasks.Table(a=1),
    tasks.Row([1]),
]


@pytest.mark.parametrize("value", OBJECTS, ids=lambda value: type(value).__name__)
def test_subclasses_and_objects_keep_their_class(send, value):
    assert_alike(send(value), value)
    # Beside plain values: the message as a whole takes the other way.
    assert_alike(send([1, value, {"k": value}]), [1, value, {"k": value}])


def test_enum_members_stay_single(send):
    assert send(tasks.Color.BLUE) is tasks.Color.BLUE


def test_dicts_keep_their_order(send):
    keys = list(range(200)) + [str(i) for i in range(200)]
    random.Random(4).shuffle(keys)
    assert list(send(dict.fromkeys(keys))) == keys


# What `covet_interp::MAX_DEPTH` says.
MAX_DEPTH = 1000


@pytest.mark.parametrize("levels", [1, 50, 100, 150, MAX_DEPTH])
def test_nesting_within_the_limit_arrives_whole(pool, send, levels):
    assert tasks.depth(send(tasks.deep(levels))) == levels
    assert pool.call(tasks.depth, tasks.deep(levels)) == levels


@pytest.mark.parametrize("make", [tasks.deep, tasks.deep_tuple])
@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 1_000_000])
def test_nesting_beyond_the_limit_is_refused_and_harms_nobody(pool, send, make, levels):
    too_deep = "expected at most 1000 levels of nesting, found more"
    with pytest.raises(pickle.PicklingError, match=f"argument 0: .*{too_deep}"):
        send(make(levels))
    # As a result: the worker refuses.
    with pytest.raises(pickle.PicklingError, match=too_deep):
        pool.submit(make, levels).result()
    assert send(1) == 1


def test_objects_nested_beyond_what_pickle_can_are_refused(pool, send):
    with pytest.raises(pickle.PicklingError, match="argument 0: .*[Rr]ecursion"):
        send(tasks.chain(100_000))
    with pytest.raises(pickle.PicklingError, match="[Rr]ecursion"):
        pool.submit(tasks.chain, 100_000).result()
    assert send(1) == 1


@pytest.mark.parametrize("kibibytes", [128, 512, 1024])
def test_deep_values_do_not_overflow_small_stacks(pool, kibibytes):
    import threading

    failures = []

    def send():
        try:
            assert tasks.depth(pool.submit(tasks.same, tasks.deep(MAX_DEPTH)).result()) == MAX_DEPTH
            for make, many in ((tasks.deep, 1_000_000), (tasks.chain, 100_000)):
                value = make(many)
                with pytest.raises(pickle.PicklingError):
                    pool.submit(tasks.same, value).result()
                keep.append(value)
            assert pool.submit(tasks.same, tasks.chain(2)).result().items.name == 0
        except BaseException as error:
            failures.append(error)

    # Dropped on a thread with more stack: that is the business of whoever makes them.
    keep = []
    before = threading.stack_size(kibibytes << 10)
    try:
        thread = threading.Thread(target=send)
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    assert failures == []


HUGE = 3 << 30


@pytest.mark.skipif(
    not getattr(sys, "_is_gil_enabled", lambda: True)(),
    reason="on free-threaded builds the values themselves are resident (13 GiB were seen), so peak memory says nothing",
)
@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: [1, (value,)]], ids=["bare", "inside"])
def test_a_value_of_3_gib_is_refused_before_it_is_copied(pool, send, wrap):
    before = tasks.peak_memory()
    too_large = f"expected a message of at most {2 << 30} bytes, found at least 32212254.."
    with pytest.raises(pickle.PicklingError, match=f"argument 0: .*{too_large}"):
        send(wrap(tasks.zeros(HUGE)))
    with pytest.raises(pickle.PicklingError, match=too_large):
        pool.submit(tasks.zeros, HUGE).result()
    assert tasks.peak_memory() - before < 512 << 20
    assert send(1) == 1


ONE_OBJECT = {
    "list": list,
    "dict": dict,
    "set": set,
    "bytearray": lambda: bytearray(b"a"),
    "tuple": lambda: ([],),
    "frozenset": lambda: frozenset({1, (2,)}),
    "object": lambda: tasks.Record("a", []),
    "large str": lambda: "\u20ac" * 1000,
    "large bytes": lambda: b"x" * 1000,
}


@pytest.mark.parametrize("make", ONE_OBJECT.values(), ids=ONE_OBJECT)
@pytest.mark.parametrize("beside", [None, tasks.Record("b", [])], ids=["alone", "beside an object"])
def test_one_object_twice_stays_one_object(send, make, beside):
    value = make()
    a, b, (c,), _ = send([value, value, (value,), beside])
    assert a is b is c
    assert_alike(a, value)


def test_one_object_stays_one_when_it_is_also_a_key(send):
    key = (1, frozenset({2}))
    back = send([key, {key: 1}, {key}, (key, {(key,): key})])
    first = back[0]
    (in_dict,), (in_set,), (again, outer) = back[1], back[2], back[3]
    ((inside,), value), = outer.items()
    assert first is in_dict is in_set is again is inside is value


def test_an_object_shares_its_parts_with_the_containers_around_it(send):
    parts = [1]
    record = tasks.Record("r", parts)
    cycle = {"record": record, "parts": parts}
    record.items.append(cycle)
    back = send([parts, cycle, record])
    assert back[0] is back[1]["parts"] is back[2].items
    assert back[1] is back[0][1]
    assert back[1]["record"] is back[2]


def test_types_that_are_equal_stay_different(send):
    value = [True, 1, 1.0, {True}, {1}, {1.0}, {-0.0: 0.0}, {0.0: -0.0}, [tasks.Level.LOW, 1], {tasks.Level.LOW}]
    for back in (send(value), [send(item) for item in value]):
        assert_alike(back, value)
    assert send({True: "a", 0.0: "b"}) == {True: "a", 0.0: "b"}


def test_nan_is_a_key_of_its_own(send):
    nan, other = math.nan, float("nan")
    back = send({nan: 1, other: 2, (nan,): 3})
    assert sorted(back.values()) == [1, 2, 3]
    assert len(send({nan, other, 1.5})) == 3


@pytest.mark.parametrize("bits", [0x7FF0000000000001, 0xFFF8000000000123, 0x8000000000000000, 1], ids=hex)
def test_floats_keep_every_bit(send, bits):
    (value,) = struct.unpack("d", struct.pack("Q", bits))
    assert struct.pack("d", send(value)) == struct.pack("Q", bits)


@pytest.mark.parametrize("bits", [63, 64, 65, 127, 128, 2039, 2040, 2041, 100_000])
def test_integers_of_any_size_arrive_whole(send, bits):
    values = [sign * (1 << bits) + step for sign in (1, -1) for step in (-1, 0, 1)]
    assert send(values) == values


def test_equal_objects_stay_apart(send):
    a, b = send([[], []])
    assert a is not b
    a.append(1)
    assert b == []


@pytest.mark.parametrize("make", [list, dict, tuple, lambda: [0] * 50, lambda: ([],)])
def test_one_object_as_two_arguments_stays_one_object(pool, make):
    value = make()
    assert pool.call(tasks.is_one_object, value, value)
    assert pool.submit(tasks.is_one_object, value, value).result()
    assert pool.submit(tasks.is_one_object, a=value, b=value).result()
    assert list(pool.map(tasks.is_one_object, [value], [value])) == [True]


def test_a_temporary_passed_twice_does_not_merge_with_another(pool):
    # Objects that die during the call may have the same address one after the other.
    for _ in range(50):
        assert not pool.call(tasks.is_one_object, [], [])
        assert pool.call(tasks.pair, [1], [2], [3]) == ([1], [2], [3])


def test_many_shared_objects_keep_their_identities(send):
    parts = [[i] for i in range(300)]
    order = [random.Random(1).randrange(300) for _ in range(2000)]
    back = send([parts[i] for i in order])
    first = {}
    for i, part in zip(order, back):
        assert part == [i]
        assert first.setdefault(i, part) is part
    assert len({id(part) for part in first.values()}) == len(first)


def test_a_list_in_itself(pool, send):
    value = []
    value.append(value)
    back = send(value)
    assert back[0] is back and len(back) == 1
    assert pool.call(tasks.holds_itself, value)


def test_a_dict_in_itself(pool, send):
    value = {}
    value["self"] = value
    back = send(value)
    assert back["self"] is back and len(back) == 1
    assert pool.call(tasks.holds_itself, value)


def test_longer_cycles(send):
    inner = {"list": None}
    outer = [1, (inner, [inner])]
    inner["list"] = outer
    back = send(outer)
    assert back[1][0]["list"] is back
    assert back[1][1][0] is back[1][0]


def test_a_cycle_through_an_object(send):
    record = tasks.Record("r", [])
    record.items.append(record)
    back = send(record)
    assert back.items[0] is back


@pytest.mark.parametrize(
    "value",
    [b"x" * 10_000_000, "y" * 10_000_000, bytearray(10_000_000), "\u20ac" * 3_000_000, list(range(300_000))],
    ids=["bytes", "str", "bytearray", "wide str", "list"],
)
def test_big_values_arrive_whole(send, value):
    back = send(value)
    assert type(back) is type(value) and back == value


def test_keyword_arguments(pool):
    names = {f"name_{i}": i for i in range(20)}
    for args, kwargs in [((), {}), ((1,), {"a": 2}), ((), names), (tuple(range(20)), {}), (tuple(range(20)), names)]:
        for send in (pool.call, lambda *a, **k: pool.submit(*a, **k).result()):
            back_args, back_kwargs = send(tasks.echo, *args, **kwargs)
            assert_alike(back_args, args)
            assert_alike(back_kwargs, kwargs)


@pytest.mark.parametrize("count", [0, 1, 6, 7, 8, 9, 100, 1000])
def test_any_number_of_positional_arguments(pool, count):
    values = tuple([i] for i in range(count))
    assert pool.call(tasks.pair, *values) == values
    # One that the codec does not know, so all go by pickle.
    assert pool.call(tasks.pair, *values, {1}) == (*values, {1})
    if count:
        assert list(pool.map(tasks.pair, *([value] for value in values))) == [values]


def test_names_of_keywords_that_are_special(pool):
    assert pool.call(tasks.echo, self=1, fn=2, args=3) == ((), {"self": 1, "fn": 2, "args": 3})
    assert pool.submit(tasks.echo, self=1, fn=2).result() == ((), {"self": 1, "fn": 2})
    assert pool.call(tasks.echo, **{"\xe9 \u20ac": 1, "": 2}) == ((), {"\xe9 \u20ac": 1, "": 2})


def test_arguments_are_copies(pool):
    value = [1, {"a": [2]}]
    before = copy.deepcopy(value)
    back = pool.call(tasks.same, value)
    back[1]["a"].append(3)
    assert value == before


@pytest.mark.parametrize("seed", range(4))
def test_random_values_come_back_as_pickle_would_bring_them(pool, seed):
    rng = random.Random(seed)
    values = [random_values.make(rng, 4, []) for _ in range(250)]
    expected = [pickle.loads(pickle.dumps(value, 5)) for value in values]
    for got, value, model in zip(pool.map(tasks.same, values), values, expected):
        assert shape(got) == shape(model) == shape(value)
    for value, model in zip(values[:60], expected):
        assert shape(pool.call(tasks.same, value)) == shape(model)


def test_interpreters_exchange_values_and_keep_nothing():
    # In a process of its own: what other tests left would be memory too.
    import subprocess
    import sys
    from pathlib import Path

    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("exchange.py"), "200000"], capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "200000 values exchanged, 0 wrong" in done.stdout


def test_a_value_that_changes_while_it_is_sent_does_not_crash():
    # The codec reads containers while other threads (on free-threaded builds) may change them.
    import threading

    shared = [[i] for i in range(100)]
    table = {i: [i] for i in range(100)}
    stop = threading.Event()

    def change():
        i = 0
        while not stop.is_set():
            i += 1
            shared.append([i])
            table[i % 150] = [i]
            del shared[0]
            table.pop((i * 7) % 150, None)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        with PoolExecutor(1) as pool:
            for _ in range(100):
                assert len(pool.call(tasks.same, shared)) in (99, 100, 101)
                assert all(type(value) is list for value in pool.call(tasks.same, table).values())
    finally:
        stop.set()
        changer.join()
