"""The types that the package declares hold together."""

import subprocess
import sys
from pathlib import Path

import pytest

import covet_py


def test_the_package_passes_mypy(tmp_path):
    pytest.importorskip("mypy")
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "-p", "covet_py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,  # where no file shadows a module
        timeout=120,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_it_says_that_it_is_typed():
    folder = Path(covet_py.__file__).parent
    assert (folder / "py.typed").exists() and (folder / "_native.pyi").exists()


def test_everything_public_is_there_and_documented():
    for name in covet_py.__all__:
        assert getattr(covet_py, name).__doc__
