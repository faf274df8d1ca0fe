from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import skimage.data

from mcsc.images import luma_studio, motorcycle
from mcsc.images.samples import DISPARITY_RANGE


def gradient(image):
    return np.abs(np.diff(image, axis=1))


def test_motorcycle_is_measured_disparity_with_its_photograph():
    left, _, disparity = skimage.data.stereo_motorcycle()
    pair = motorcycle()
    assert pair.x.shape == pair.y.shape == pair.mask.shape == (1, 500, 741)
    assert {a.dtype for a in (pair.x, pair.y, pair.mask, pair.guide_rgb)} == {np.dtype("f4")}
    known = pair.mask[0] == 1
    np.testing.assert_array_equal(known, np.isfinite(disparity))
    assert 0.05 < 1 - known.mean() < 0.1
    np.testing.assert_allclose(pair.x[0][known] * DISPARITY_RANGE, disparity[known], rtol=1e-6)
    assert (pair.x[0][~known] == 0).all()
    assert pair.x.max() <= 1
    np.testing.assert_array_equal(np.rint(pair.guide_rgb * 255), left.transpose(2, 0, 1))
    np.testing.assert_array_equal(pair.y, luma_studio(pair.guide_rgb))


def test_disparity_and_photograph_are_registered():
    pair = motorcycle()
    edges = gradient(pair.x[0]) * np.minimum(pair.mask[0, :, 1:], pair.mask[0, :, :-1])
    scores = {
        shift: np.corrcoef(
            edges[:, 20:-20].ravel(), np.roll(gradient(pair.y[0]), shift, 1)[:, 20:-20].ravel()
        )[0, 1]
        for shift in range(-12, 13, 3)
    }
    assert max(scores, key=scores.__getitem__) == 0


def test_crop():
    whole, part = motorcycle(), motorcycle(size=(100, 200, 64, 96))
    for name in ("x", "y", "mask", "guide_rgb"):
        np.testing.assert_array_equal(
            getattr(part, name), getattr(whole, name)[:, 100:164, 200:296], err_msg=name
        )
    assert part.x.flags.c_contiguous


def test_names_and_frozen():
    pair = motorcycle(size=(0, 0, 8, 8))
    assert pair.names == ("disparity", "photograph")
    assert "Middlebury" in pair.description
    assert "divided by 64" in pair.description
    with pytest.raises(dataclasses.FrozenInstanceError):
        pair.names = ("a", "b")


@pytest.mark.parametrize(
    "size",
    [
        (0, 0, 501, 10),
        (0, 740, 10, 2),
        (-1, 0, 10, 10),
        (0, 0, 0, 10),
        (0, 0, 10),
        (0.0, 0, 10, 10),
        (0, 0, True, 10),
    ],
)
def test_refused_size(size):
    with pytest.raises(ValueError, match="within 500 x 741 pixels; found"):
        motorcycle(size=size)
