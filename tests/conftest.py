"""Settings and fixtures of all tests."""

from __future__ import annotations

import functools
import signal

import hypothesis
import pytest

from mcsc.backend import get_num_threads, set_num_threads
from mcsc.backend.select import cupy_or_reason
from tests.helpers import Library

# The same examples everywhere, so that a failure is one for everybody. To look for new ones:
# pytest --hypothesis-profile=explore
hypothesis.settings.register_profile("mcsc", deadline=None, derandomize=True, max_examples=20)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=500)
hypothesis.settings.load_profile("mcsc")

CUPY = pytest.param("cupy", marks=pytest.mark.gpu)


def pytest_configure():
    # A runner that was started in the background ignores Ctrl-C, and so would what it starts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@functools.cache
def _no_cupy():
    return cupy_or_reason()[1]


@functools.cache
def _no_torch():
    try:
        import torch
    except ImportError:
        return "PyTorch is not installed"
    return "" if torch.cuda.is_available() else "PyTorch finds no CUDA device"


def pytest_collection_modifyitems(items):
    """Skip what needs a GPU where the library that the test drives cannot use one."""
    for item in items:
        marker = item.get_closest_marker("gpu")
        why = marker and {"cupy": _no_cupy, "torch": _no_torch}[(*marker.args, "cupy")[0]]()
        if why:
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(params=["numpy", "numpy-readonly", "array_api_strict", CUPY])
def xp(request):
    """Every array library; read-only NumPy arrays show whether inputs are written to."""
    return Library(request.param)


@pytest.fixture(params=["numpy", "array_api_strict", CUPY])
def writable_xp(request):
    """Every array library, for what writes into its arrays."""
    return Library(request.param)


@pytest.fixture
def keep_threads():
    """Put back the number of threads that a test changes."""
    before = get_num_threads()
    yield
    set_num_threads(before)
