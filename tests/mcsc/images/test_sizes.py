"""Sizes of images by their first bytes."""

from __future__ import annotations

import numpy as np
import pytest

from mcsc.images.files import write_samples
from mcsc.images.sizes import pixels_of


@pytest.mark.parametrize(
    ("name", "shape", "dtype"),
    [
        ("a.png", (7, 5), np.uint16),
        ("a.jpg", (3, 7, 5), np.uint8),
        ("a.tif", (3, 7, 5), np.uint8),
        ("a.tif", (6, 7, 5), np.float32),
    ],
)
def test_the_first_bytes_tell(name, shape, dtype, tmp_path):
    path = tmp_path / name
    write_samples(path, np.zeros(shape, dtype))
    assert pixels_of(path) == 35
    path.write_bytes(path.read_bytes()[:-20])
    assert pixels_of(path) in (0, 35)


def test_of_what_says_nothing_nothing_is_known(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"no image")
    assert pixels_of(tmp_path / "a.tif") == pixels_of(tmp_path / "gone.png") == 0
