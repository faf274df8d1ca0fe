"""Fixtures of the network's tests."""

from __future__ import annotations

import os

import pytest

try:
    import torch
except ModuleNotFoundError:
    pass
else:
    if not torch.cuda.is_available():
        # NumPy runs the Triton kernels then; they ask when they are imported.
        os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture
def keep_torch_threads():
    """Put PyTorch's number of threads back afterwards."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
