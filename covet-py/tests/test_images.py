"""Private images of modules that nothing is known of, and where there is no room for any: the right error, or another folder."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from covet_py import PoolExecutor, _native

np = pytest.importorskip("numpy")
HERE = Path(__file__).parent


@pytest.fixture(scope="module", autouse=True)
def interpreters_have_images():
    with PoolExecutor(1) as pool:
        if pool.strategy != "subinterpreters" or "t" in sys.abiflags or sys.platform != "linux":
            pytest.skip("there are no private images here")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A function that makes a package `unknown`: an extension module of NumPy's in a place of its own, and this `__init__.py`."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("COVET_IMAGE_CACHE", str(tmp_path / "cache"))
    extension = next(Path(np.__file__).parent.glob("_core/_operand_flag_tests.*.so"))

    def make(source):
        folder = tmp_path / "unknown"
        folder.mkdir()
        shutil.copy(extension, folder)
        (folder / "__init__.py").write_text("from unknown import _operand_flag_tests\n" + textwrap.dedent(source))
        return str(folder / extension.name)

    return make


def use():
    import unknown

    # The trial leaves it behind.
    unknown.process.kill()
    return unknown.process.wait()


def test_what_passes_its_trial_has_an_image_in_each_interpreter(package):
    file = package("import subprocess; process = subprocess.Popen(['sleep', '600'])")
    with PoolExecutor(2) as pool:
        assert [future.result() for future in pool.broadcast(use)] == [-signal.SIGKILL] * 2
    assert file in _native.images()


@pytest.mark.parametrize(
    "source, reason",
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended by signal: 11 (SIGSEGV)"),
        ("import os; os.abort()", "ended by signal: 6 (SIGABRT)"),
        ("raise ValueError('not twice')", "ValueError: not twice"),
        ("import os; os._exit(3)", "ended by exit status: 3"),
    ],
    ids=["crashes", "aborts", "raises", "exits"],
)
def test_what_fails_in_its_trial_is_refused_and_says_why(package, source, reason):
    file = package(source)
    with PoolExecutor(2, fallback="raise") as pool:
        for future in pool.broadcast(use):
            with pytest.raises(ImportError) as caught:
                future.result()
            assert "in a trial" in str(caught.value) and reason in str(caught.value)
        assert pool.call(abs, -1) == 1
    assert file not in _native.images()


@pytest.mark.parametrize("end", ["os.abort()", "os._exit(3)", "os.kill(os.getpid(), 11)"])
def test_what_ends_its_trial_is_not_tried_in_main(package, end):
    package(f"import os; {end}")
    with PoolExecutor(1) as pool:
        with pytest.raises(ImportError, match="in a trial, a process with two interpreters with it ended by"):
            pool.call(use)
        assert pool.call(abs, -1) == 1


def run_with_mount(folder, options, **variables):
    """Imports NumPy in two interpreters, in a process that has a small file system of its own mounted there."""
    folder.mkdir()
    program = """
    import covet_py, tasks
    with covet_py.PoolExecutor(2) as pool:
        for future in pool.broadcast(tasks.use_numpy, 10):
            print(future.exception() or "works")
        print(pool.call(abs, -7))
    """
    mount = f"mount -t tmpfs -o mode=700,{options} tmpfs {folder}"
    namespace = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c"]
    if subprocess.run([*namespace, mount], capture_output=True).returncode != 0:
        pytest.skip("this user may not mount anything")
    command = [*namespace, f'{mount} && exec "$0" -c "$1"', sys.executable, textwrap.dedent(program)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVET_")}
    environment = {**kept, "PYTHONPATH": str(HERE), **{name: str(value) for name, value in variables.items()}}
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (outcome.returncode, outcome.stderr) == (0, ""), outcome
    return outcome.stdout


UNUSABLE = {"size=64k": "No space left on device", "noexec": "it is mounted noexec"}


@pytest.mark.parametrize("options", UNUSABLE)
def test_a_folder_without_room_is_an_error_that_says_so(tmp_path, options):
    folder = tmp_path / "cache"
    out = run_with_mount(folder, options, COVET_IMAGE_CACHE=folder)
    assert out.count(f"{folder}: {UNUSABLE[options]}") >= 2, out
    assert out.endswith("\n7\n")


@pytest.mark.parametrize("options", UNUSABLE)
def test_where_the_users_folder_has_no_room_the_one_for_temporary_files_has(tmp_path, options):
    folder, temporary = tmp_path / "home", tmp_path / "temporary"
    temporary.mkdir()
    out = run_with_mount(folder, options, XDG_CACHE_HOME=folder, TMPDIR=temporary)
    assert out == "works\nworks\n7\n"
    assert list(temporary.glob("covet-images-*/*/*/_multiarray_umath*.so"))


def open_libraries(path):
    import ctypes

    handles = [ctypes.CDLL(path)._handle for _ in range(2)]
    return handles, ctypes.CDLL("libc.so.6")._handle, ctypes.CDLL(path, ctypes.RTLD_GLOBAL)._handle


def test_a_library_that_ctypes_opens_is_private_if_a_package_brought_it():
    path = str(next(Path(np.__file__).parent.glob("_core/_operand_flag_tests.*.so")))
    with PoolExecutor(2) as pool:
        found = [future.result() for future in pool.broadcast(open_libraries, path)]
        again = [future.result() for future in pool.broadcast(open_libraries, path)]
    assert found == again
    (own, libc, shared), (other, its_libc, also_shared) = found
    assert own[0] == own[1] != other[0] == other[1]
    assert (libc, shared) == (its_libc, also_shared)
    assert shared not in own + other
    assert open_libraries(path) == ([shared, shared], libc, shared)


def test_what_is_no_library_is_refused_as_ever(tmp_path):
    path = tmp_path / "site-packages" / "unknown" / "libunknown.so"
    path.parent.mkdir(parents=True)
    with PoolExecutor(1) as pool:
        for text in [None, b"", b"\x7fELF"]:
            if text is not None:
                path.write_bytes(text)
            with pytest.raises(OSError, match="libunknown.so"):
                pool.submit(open_libraries, str(path)).result()
