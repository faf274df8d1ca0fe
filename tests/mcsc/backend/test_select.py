"""Which backend an array gets, and what is said where there is none."""

from __future__ import annotations

import re
import sys
import types

import numpy as np
import pytest

import mcsc
from mcsc.backend import backend_for, is_array, move_to_cuda, namespace, to_numpy
from mcsc.backend.numpy_backend import NumpyBackend
from mcsc.backend.select import cupy_or_reason
from tests.helpers import make_problem, run, solve


def test_backend_of_a_library(xp):
    array = xp.asarray([1.0, 2.0])
    backend = backend_for(array)
    names = {"array_api_strict": "array API", "cupy": "CuPy"}
    assert backend.name == names.get(xp.name, "NumPy")
    assert is_array(array)
    assert backend.xp is namespace(array, array)
    np.testing.assert_array_equal(to_numpy(array), [1, 2])
    assert isinstance(to_numpy(array), np.ndarray)
    memory = backend.available_memory()
    assert memory is None or memory > 2**20


def test_numpy_s_backend_is_one_and_knows_its_memory():
    assert backend_for(np.zeros(1)) is backend_for(np.ones((2, 2), np.float32))
    assert 2**24 < NumpyBackend().available_memory() < 2**50


def test_what_is_no_array():
    for value in (1.0, [1.0], "a", None, (np.zeros(1),)):
        assert not is_array(value)


def test_mixed_libraries():
    strict = pytest.importorskip("array_api_strict")
    with pytest.raises(TypeError, match=r"mixed \(array_api_strict, numpy\): convert them to one"):
        namespace(np.zeros(1), strict.zeros(1))


# --------------------------------------------------------------------- without a GPU
class FakeCupy:
    """As much of CuPy as is looked at; what is `broken` raises an error when it is used."""

    float32, ndarray = np.float32, np.ndarray

    def __init__(self, count, **broken):
        self.tried = []

        def used(part):
            self.tried.append(part)
            if part in broken:
                raise broken[part]
            return 12, 9

        self.cuda = types.SimpleNamespace(
            runtime=types.SimpleNamespace(getDeviceCount=count),
            nvrtc=types.SimpleNamespace(getVersion=lambda: used("nvrtc")),
            cufft=types.SimpleNamespace(getVersion=lambda: used("cufft")),
        )
        spectrum = types.SimpleNamespace(get=lambda: used("kernel"))
        self.fft = types.SimpleNamespace(rfft=lambda _: spectrum)
        self.ones = np.ones
        self.asarray = np.asarray


def no_driver():
    raise RuntimeError("cudaErrorInsufficientDriver")


class DynamicLibNotFoundError(RuntimeError):
    """What CuPy's loader raises."""


NO_LIBRARY = DynamicLibNotFoundError("Failure finding it\n  tried this\n  and that")
PIP = r"all that it needs comes with pip install 'mcsc\[cuda12\]' or .*'mcsc\[cuda13\]'"


@pytest.mark.parametrize(
    ("cupy", "why"),
    [
        (None, r"CuPy is not installed; .* pip install 'mcsc\[cuda12\]' or .*'mcsc\[cuda13\]'"),
        (
            FakeCupy(no_driver),
            r"CuPy finds no usable CUDA driver \(cudaErrorInsufficientDriver\); .*mcsc\[cuda12\]",
        ),
        (FakeCupy(lambda: 0), "CuPy finds no CUDA device"),
        # The wheel alone: a driver and a device, and nothing to compile or transform with.
        (
            FakeCupy(lambda: 1, nvrtc=NO_LIBRARY),
            r"CuPy cannot use NVRTC, NVIDIA's compiler here \(DynamicLibNotFoundError: Failure "
            rf"finding it\); {PIP}",
        ),
        (
            FakeCupy(lambda: 1, cufft=ImportError("no libcufft.so.11")),
            rf"CuPy cannot use cuFFT here \(ImportError: no libcufft.so.11\); {PIP}",
        ),
        (
            FakeCupy(lambda: 1, kernel=RuntimeError("cuda_fp16.h: no such file")),
            r"CuPy cannot use the device here \(RuntimeError: cuda_fp16.h: no such file\); ",
        ),
    ],
)
def test_cuda_that_cannot_be_used(monkeypatch, cupy, why):
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    message = f"device='cuda' cannot be used: {why}"
    assert cupy_or_reason()[0] is None
    with pytest.raises(RuntimeError, match=message):
        move_to_cuda(np.zeros(1))
    if cupy is None:
        with pytest.raises(RuntimeError, match=message):
            solve(make_problem(), device="cuda")


def test_cuda_that_can_be_used(monkeypatch):
    module = FakeCupy(lambda: 1)
    monkeypatch.setitem(sys.modules, "cupy", module)
    for _ in range(3):
        assert cupy_or_reason() == (module, "")
    assert module.tried == ["nvrtc", "cufft", "kernel"]  # once a process


def test_info_tells_what_cuda_lacks(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", FakeCupy(lambda: 1, nvrtc=NO_LIBRARY))
    done = run("info")
    assert done.exit_code == 0
    assert re.search(r"^GPU +none: CuPy cannot use NVRTC, .*mcsc\[cuda12\]", done.stdout, re.M)


@pytest.mark.gpu
def test_numpy_in_and_out_of_the_gpu():
    problem = make_problem(masks="binary", shape=(20, 17))
    host = solve(problem, method="fista", tol=1e-8)
    device = solve(problem, method="fista", tol=1e-8, device="cuda")
    assert isinstance(device.codes.common, np.ndarray)
    assert device.objective == pytest.approx(host.objective, rel=1e-7)


@pytest.mark.gpu
def test_cupy_arrays_are_not_moved_silently():
    import cupy

    problem = make_problem()
    signals = tuple(cupy.asarray(x) for x in problem.signals)
    assert move_to_cuda(signals[0]) is signals[0]
    with pytest.raises(ValueError, match=r"device='cpu' was asked for, but signals are CuPy"):
        mcsc.solve(signals, problem.dictionary, problem.lam, device="cpu")
    with pytest.raises(TypeError, match=r"mixed \(cupy, numpy\)"):
        mcsc.solve((signals[0], problem.signals[1]), problem.dictionary, problem.lam)
