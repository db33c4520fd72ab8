"""Modules of the standard library, used by both workers at once, whoever of them comes first."""

import importlib.util
import sys

import pytest
import tasks
from children import check, run

from covet_py import PoolExecutor

USES = {
    "datetime": "(datetime.datetime(2024, 2, 28) + datetime.timedelta(days=2)).isoformat()",
    "decimal": "str(decimal.Decimal('1.1') + decimal.Decimal('2.2'))",
    "json": "json.dumps(json.loads('{\"a\": [1, 2.5, null]}'))",
    "ssl": "ssl.create_default_context().verify_mode.name",
    "hashlib": "hashlib.sha256(b'x').hexdigest()[:8] + hashlib.md5(b'x').hexdigest()[:8]",
    "asyncio": "asyncio.run(asyncio.sleep(0, 'slept'))",
    "sqlite3": "sqlite3.connect(':memory:').execute('select 6 * 7').fetchone()[0]",
    "zoneinfo": "str(zoneinfo.ZoneInfo('UTC'))",
    "ctypes": "ctypes.c_int(5).value + ctypes.sizeof(ctypes.c_long)",
    "re": "re.sub(r'(\\\\w)(\\\\d)', r'\\\\2\\\\1', 'a1 b2')",
    "pickle": "pickle.loads(pickle.dumps({'a': {1}}))",
    "logging": "logging.getLogger('x').isEnabledFor(logging.ERROR)",
    "xml.etree.ElementTree": "xml.etree.ElementTree.fromstring('<a><b>t</b></a>')[0].text",
    "random": "random.Random(1).randrange(1000)",
    "struct": "struct.pack('<I', 5)",
    "zlib": "zlib.decompress(zlib.compress(b'z' * 100))",
    "bz2": "bz2.decompress(bz2.compress(b'z' * 100))",
    "lzma": "lzma.decompress(lzma.compress(b'z' * 100))",
    "array": "array.array('i', [1, 2]).tolist()",
    "heapq": "heapq.nsmallest(2, [3, 1, 2])",
    "collections": "collections.Counter('aab').most_common(1)",
    "threading": "threading.Thread(target=int).start()",
    "concurrent.futures": "concurrent.futures.ThreadPoolExecutor(1).submit(abs, -1).result()",
    "subprocess": "subprocess.run(['true']).returncode",
    "socket": "len(socket.socketpair())",
    "uuid": "uuid.UUID(int=1).hex[-1]",
    "unicodedata": "unicodedata.name('a')",
    "csv": "list(csv.reader(['a,b']))",
    "statistics": "statistics.mean([1, 2, 3])",
    "fractions": "str(fractions.Fraction(1, 3))",
    "tempfile": "tempfile.TemporaryFile().close()",
    "contextvars": "contextvars.ContextVar('v', default=3).get()",
    "time": "time.strptime('2020', '%Y').tm_year",
    "inspect": "str(inspect.signature(lambda a: a))",
    "typing": "typing.get_type_hints(int)",
    "multiprocessing.shared_memory": "multiprocessing.shared_memory.__name__",
    "email.message": "email.message.EmailMessage().is_multipart()",
    "faulthandler": "faulthandler.is_enabled().__class__.__name__",
    "curses": "curses.ERR",
}
if "t" in sys.abiflags:
    # Built in, and refused by CPython itself: free-threaded builds have no switch for that.
    del USES["faulthandler"]

# What CPython 3.12 itself does not let into an interpreter with a GIL of its own, and that has no form in pure Python.
# (datetime and decimal have one.)
REFUSED_ON_3_12 = {"ctypes", "xml.etree.ElementTree", "multiprocessing.shared_memory"}

def works_here(name):
    return importlib.util.find_spec(name.partition(".")[0]) is not None


@pytest.mark.parametrize("name", USES)
def test_modules_work_in_both_workers(pool, name):
    if not works_here(name):
        pytest.skip(f"this Python was built without {name}")
    try:
        expected = tasks.use_module(name, USES[name])
    except ImportError as error:
        pytest.skip(f"this Python was built without a part of {name}: {error}")
    futures = [pool.submit(tasks.use_module, name, USES[name]) for _ in range(4)]
    for future in futures:
        try:
            assert future.result() == expected
        except ImportError as error:
            if pool.strategy != "subinterpreters":
                raise
            # Refused is fine where CPython's own rule says so, if it is said what to do.
            whole = str(error) + str(error.__cause__)
            assert "GIL of its own" in whole and "main-only" in whole, error
            assert sys.version_info < (3, 13) and name in REFUSED_ON_3_12 or name == "curses", error


def test_main_need_not_have_loaded_them_before():
    # A process of its own: there the workers are the first to import, both at once.
    check(
        """
        import covet_py, tasks
        {USES, MAY_BE_REFUSED}
        with covet_py.PoolExecutor(2) as pool:
            futures = [(name, pool.submit(tasks.use_module, name, use)) for name, use in USES.items() for _ in range(2)]
            for name, future in futures:
                error = future.exception()
                if error is not None and not (isinstance(error, ImportError) and name in MAY_BE_REFUSED):
                    print(name, repr(error))
        """.replace(
            "{USES, MAY_BE_REFUSED}",
            f"USES = {USES!r}; MAY_BE_REFUSED = {missing_here() | REFUSED_ON_3_12 | {'curses'}!r}",
        )
    )


def missing_here():
    """Modules that this Python was built without."""
    missing = set()
    for name in USES:
        try:
            __import__(name)
        except ImportError:
            missing.add(name)
    return missing


def test_datetime_and_decimal_always_work(pool):
    for name in ("datetime", "decimal", "zoneinfo", "json", "pickle"):
        assert pool.call(tasks.use_module, name, USES[name]) == tasks.use_module(name, USES[name])


def test_faulthandler_is_turned_on_in_main_only(pool):
    if pool.strategy != "subinterpreters" or "t" in sys.abiflags:
        pytest.skip("here the workers are in main, or cannot import it")
    for function in ("enable()", "register(10)", "dump_traceback_later(1)"):
        with pytest.raises(RuntimeError, match="in the main interpreter"):
            pool.call(tasks.use_module, "faulthandler", f"faulthandler.{function}")


def test_many_pools_in_a_row_load_the_same_modules():
    names = ["datetime", "decimal", "json", "ssl", "hashlib", "asyncio", "sqlite3", "re"]
    names = [name for name in names if name not in missing_here()]
    uses = {name: USES[name] for name in names}
    check(
        f"""
        import covet_py, tasks
        uses = {uses!r}
        for life in range(20):
            with covet_py.PoolExecutor(2) as pool:
                futures = [pool.submit(tasks.use_module, name, use) for name, use in uses.items() for _ in range(2)]
                for future in futures:
                    future.result()
        print("lived")
        """,
        "lived\n",
    )


def test_a_refused_module_can_be_used_in_main_afterwards():
    # Main was made to load it so as to be asked; that must not spoil it there.
    outcome = run(
        """
        import covet_py, tasks
        with covet_py.PoolExecutor(1) as pool:
            try:
                pool.call(tasks.import_it, "readline")
            except ImportError:
                pass
        import readline
        readline.add_history("x")
        print(readline.get_current_history_length())
        """
    )
    if "No module named 'readline'" in outcome.err:
        pytest.skip("this Python was built without readline")
    assert outcome.all == (0, "1\n", "")


def test_numpy_works_or_is_refused_by_name(pool):
    pytest.importorskip("numpy")
    try:
        assert pool.call(tasks.use_module, "numpy", "int(numpy.arange(4).sum())") == 6
    except ImportError as error:
        assert "numpy" in str(error)
    assert pool.call(abs, -1) == 1


def test_preloaded_modules_are_there():
    with PoolExecutor(2, preload=["json", "xml.dom"]) as pool:
        futures = [pool.submit(tasks.loaded, "xml.dom") for _ in range(8)]
        assert all(future.result() for future in futures)
