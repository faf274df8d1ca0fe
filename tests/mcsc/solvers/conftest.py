from __future__ import annotations

import pytest

from mcsc.backend import set_num_threads


@pytest.fixture(autouse=True)
def one_thread(keep_threads):
    """Problems of a few pixels gain nothing from threads, which have tests of their own."""
    set_num_threads(1)
