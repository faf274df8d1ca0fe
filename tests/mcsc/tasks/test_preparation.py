"""Signals that dictionaries and networks take, and what their answer is added to."""

from __future__ import annotations

import numpy as np
import pytest

from mcsc.baselines.exposure import exposure_fusion
from mcsc.images import lowpass_split, luma_studio, ycbcr
from mcsc.tasks.preparation import (
    alike,
    blended_exposures,
    coloured,
    prepare_fusion,
    prepare_restoration,
)


def images(*channels, shape=(18, 20)):
    rng = np.random.default_rng(len(channels))
    return tuple(rng.random((c, *shape), dtype=np.float32) for c in channels)


@pytest.mark.parametrize("base", ["none", "input", "low"])
def test_restoration_of_bands_one_by_one(base):
    x, y = images(4, 3)
    made = prepare_restoration(x, y, (1, 1), strength=3.0, base=base)
    first, second = made.signals
    assert first.shape == (4, 1, 18, 20)
    assert second.shape == (4, 1, 18, 20)
    if base == "none":
        np.testing.assert_array_equal(first[:, 0], x)
        np.testing.assert_array_equal(second[2, 0], luma_studio(y)[0])
        assert not made.base.any()
    else:
        low, high = lowpass_split(x, 3.0)
        np.testing.assert_array_equal(first[:, 0], high)
        np.testing.assert_array_equal(second[3], lowpass_split(luma_studio(y), 3.0).high)
        np.testing.assert_array_equal(made.base, x if base == "input" else low)


def test_restoration_jointly_with_a_grey_guide_repeated():
    x, y = images(3, 1)
    first, second = prepare_restoration(x, y, (3, 3), strength=3.0, base="low").signals
    assert first.shape == second.shape == (1, 3, 18, 20)
    np.testing.assert_array_equal(second[0, 0], second[0, 2])


@pytest.mark.parametrize("channels", [1, 3])
def test_bases_of_fusions(channels):
    x, y = images(3, 3)
    a, b = (x, y) if channels == 3 else (luma_studio(x), luma_studio(y))
    options = {"channels": (channels, channels), "strength": 3.0}
    plain = prepare_fusion(x, y, base="none", **options)
    np.testing.assert_array_equal(plain.signals[0][0], a)
    assert not plain.base.any()
    mean = prepare_fusion(x, y, base="mean", **options)
    np.testing.assert_allclose(mean.base, (a + b) / 2, atol=1e-6)
    np.testing.assert_array_equal(mean.signals[1][0], lowpass_split(b, 3.0).high)
    low = prepare_fusion(x, y, base="low", **options)
    blended = exposure_fusion((x, y))
    wanted = lowpass_split(blended if channels == 3 else luma_studio(blended), 3.0).low
    np.testing.assert_allclose(low.base, wanted, atol=1e-6)


def test_the_brighter_of_grey_sources():
    x, y = images(1, 1)
    made = prepare_fusion(x, y, (1, 1), strength=3.0, base="low")
    lows = [lowpass_split(i, 3.0).low for i in (x, y)]
    np.testing.assert_array_equal(made.base, np.maximum(*lows))


def test_colours_are_those_of_exposure_fusion():
    x, y = images(3, 3)
    grey = images(1)[0]
    found = ycbcr(coloured(grey, blended_exposures((x, y))))
    np.testing.assert_allclose(found[:1], grey, atol=1e-5)
    np.testing.assert_allclose(found[1:], ycbcr(exposure_fusion((x, y)))[1:], atol=1e-5)
    assert coloured(grey, blended_exposures((grey, grey))) is grey


def test_one_grey_and_one_colour_source_have_lumas_of_one_range():
    grey = images(1)[0]
    white, bright = np.ones_like(grey), np.ones((3, 18, 20), np.float32)
    options = {"channels": (1, 1), "strength": 3.0}
    for x, y in ((white, bright), (bright, white)):
        first, second = prepare_fusion(x, y, base="none", **options).signals
        np.testing.assert_array_equal(first, second)
        for base in ("low", "mean"):
            made = prepare_fusion(x, y, base=base, **options)
            np.testing.assert_allclose(
                coloured(made.base, blended_exposures((x, y))), bright, atol=1e-6
            )
    # Any grey picture, and the same in three equal channels.
    first, second = prepare_fusion(grey, np.repeat(grey, 3, axis=0), base="none", **options).signals
    np.testing.assert_allclose(first, second, atol=1e-6)
    found = coloured(first[0], blended_exposures((grey, bright)))
    np.testing.assert_allclose(found, np.repeat(grey, 3, axis=0), atol=1e-6)
    assert [len(i) for i in alike((grey, bright))] == [3, 3]
    with pytest.raises(
        ValueError, match=r"of 2 and of 3 channels cannot be fused \(number 1 of 2\)"
    ):
        alike((grey.repeat(2, axis=0), bright))


def test_refusals():
    x, y = images(1, 3)
    with pytest.raises(ValueError, match="x is 18 x 20, y is 18 x 19"):
        prepare_restoration(x, y[..., 1:], (1, 1), strength=3.0, base="low")
    with pytest.raises(ValueError, match="base must be 'none', 'input' or 'low', found 'mean'"):
        prepare_restoration(x, y, (1, 1), strength=3.0, base="mean")
    with pytest.raises(ValueError, match="base must be 'none', 'low' or 'mean', found 'input'"):
        prepare_fusion(x, y, (1, 1), strength=3.0, base="input")
    with pytest.raises(ValueError, match="codes 2 channels of the image to restore, which has 1"):
        prepare_restoration(x, y, (2, 1), strength=3.0, base="low")
    with pytest.raises(ValueError, match="codes 2 channels of the guide, which has 3"):
        prepare_restoration(x, y, (1, 2), strength=3.0, base="low")
    with pytest.raises(ValueError, match=r"equally many channels each; found \(1, 3\)"):
        prepare_fusion(x, y, (1, 3), strength=3.0, base="low")


@pytest.mark.parametrize("base", ["none", "input", "low"])
def test_unknown_pixels_have_no_detail_and_no_weight(base):
    x, y = images(2, 3)
    mask = (np.random.default_rng(0).random((1, 18, 20)) > 0.2).astype("f4")
    made = prepare_restoration(x, y, (1, 1), strength=3.0, base=base, mask=mask)
    hidden = np.where(mask > 0, x, 99.0).astype("f4")
    other = prepare_restoration(hidden, y, (1, 1), strength=3.0, base=base, mask=mask)
    assert made.masks[1] is None
    np.testing.assert_array_equal(made.masks[0], np.broadcast_to(mask, (2, 18, 20))[:, None])
    for a, b in ((made.signals[0], other.signals[0]), (made.base, other.base)):
        np.testing.assert_array_equal(a, b)
    assert not made.signals[0][:, 0][:, mask[0] == 0].any()
    if base == "input":
        known = np.broadcast_to(mask > 0, x.shape)
        np.testing.assert_allclose(made.base[known], x[known], atol=1e-6)
