"""Arrays on CUDA devices; and what is said where there is none, as in a build without the feature."""

from array import array

import pytest

import covet_py
from covet_py import DeviceArray

INFO = covet_py.gpu_info()
needs_device = pytest.mark.skipif(not INFO["available"], reason=f"needs a CUDA device: {INFO['reason']}")
X = array("f", [1.0, 4.0, 9.0])


def test_the_answer_is_clear_and_stays():
    assert covet_py.gpu_info() == INFO
    if INFO["available"]:
        assert INFO["reason"] is None and INFO["devices"][0]["index"] == 0
    else:
        assert INFO["reason"] and INFO["devices"] == []


@pytest.mark.skipif(INFO["available"], reason="there is a CUDA device")
def test_without_a_device_arrays_say_the_reason():
    with pytest.raises(RuntimeError) as raised:
        DeviceArray(X)
    assert str(raised.value) == INFO["reason"]


@pytest.mark.parametrize("name", ["gpu", "cpu", "cuda:x", "cuda1", "cuda:-1"])
def test_devices_have_names(name):
    with pytest.raises(ValueError, match='expected a device such as "cuda:0", found'):
        DeviceArray(X, name)


@needs_device
def test_arrays_go_there_and_back():
    there = DeviceArray(X)
    assert (there.shape, there.dtype, there.ndim, there.size, there.device) == ((3,), "float32", 1, 3, "cuda:0")
    assert there.to_device("cuda:0") is there
    assert there.to_device("cpu").tolist() == X.tolist()


@needs_device
def test_computing_there():
    x = DeviceArray(X)
    assert x.sum() == 14.0
    assert x.transform("sqrt").to_device("cpu").tolist() == [1.0, 2.0, 3.0]
    assert x.axpy(2, x).to_device("cpu").tolist() == [3.0, 12.0, 27.0]
    matrix = DeviceArray(memoryview(array("d", range(6))).cast("B").cast("d", (2, 3)))
    column = DeviceArray(memoryview(array("d", [1, 2, 3])).cast("B").cast("d", (3, 1)))
    assert (matrix @ column).to_device("cpu").tolist() == [[8.0], [26.0]]


@needs_device
def test_what_does_not_fit_is_refused():
    x = DeviceArray(X)
    with pytest.raises(ValueError, match="expected one of"):
        x.transform("nothing")
    with pytest.raises(TypeError, match="float32, found one of int32"):
        x.axpy(1, DeviceArray(array("i", [1, 2, 3])))
    with pytest.raises(ValueError, match="expected two matrices"):
        x @ x
