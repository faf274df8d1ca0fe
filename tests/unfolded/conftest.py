"""Fixtures of the network's tests."""

from __future__ import annotations

import pytest


@pytest.fixture
def keep_torch_threads():
    """Put PyTorch's number of threads back afterwards."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
