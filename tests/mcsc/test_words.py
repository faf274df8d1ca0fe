"""Numbers in messages."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import mcsc
from mcsc.words import percent


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (1, "100 %"), (0.9997, "100 %"), (0.994, "99 %"), (0.5, "50 %"), (0.07, "7 %"),
        (0.0318, "3.2 %"), (0.03, "3 %"), (4e-4, "0.04 %"), (4.12e-7, "0.000041 %"), (0, "0 %"),
        (np.float32(0.25), "25 %"), (np.float64(1.0), "100 %"), (np.mean([True, False]), "50 %"),
    ],
)  # fmt: skip
def test_percentages_have_no_powers_of_ten(share, words):
    assert percent(share) == words


def test_percentages_of_more_digits():
    assert [percent(s, 3) for s in (1.0, 0.4567, 0.00456)] == ["100 %", "45.7 %", "0.456 %"]


def test_all_percentages_are_said_by_the_one_function():
    """A format such as .2g has 1e+02 for a hundred."""
    files = Path(mcsc.__file__).parent.rglob("*.py")
    left = [f.name for f in files if re.search(r":\.\d+g\}\s*%", f.read_text(encoding="utf-8"))]
    assert left == []
