"""Signals that dictionaries and networks take, and what their answer is added to."""

from __future__ import annotations

import numpy as np
import pytest

from mcsc.baselines.exposure import exposure_fusion
from mcsc.baselines.guided import guided_filter
from mcsc.fusion.bases import coloured, on_base
from mcsc.fusion.chroma import Chroma
from mcsc.images import lowpass_split, luma_full, luma_studio, ycbcr
from mcsc.tasks.preparation import prepare_fusion, prepare_restoration


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


@pytest.mark.parametrize("sigma", [None, 30.0])
def test_the_base_is_the_guided_filter_s(sigma):
    """Of a noisy x, with windows that grow with the noise, what it takes away is coded."""
    x, y = images(4, 3)
    options = {"strength": 3.0, "base": "guided", "smoothing": (0.1 if sigma else 2, 0.01)}
    made = prepare_restoration(x, y, (1, 1), sigma=sigma, **options)
    level = sigma or 1.0
    wanted = guided_filter(x, y, radius=3 if sigma else 2, eps=(0.01 * level) ** 2)
    np.testing.assert_allclose(made.base, wanted, atol=1e-6)
    high = x - made.base if sigma else lowpass_split(x, 3.0).high
    np.testing.assert_array_equal(made.signals[0][:, 0], high)
    np.testing.assert_array_equal(made.signals[1][2], lowpass_split(luma_studio(y), 3.0).high)


def test_holes_of_a_guided_base_are_filled_before_it_is_smoothed():
    x, y = images(1, 3)
    mask = np.ones_like(x)
    mask[:, 4:9, 5:11] = 0
    options = {"strength": 3.0, "base": "guided", "smoothing": (2, 0.01)}
    made = prepare_restoration(np.where(mask > 0, x, np.nan), y, (1, 1), mask=mask, **options)
    whole = prepare_restoration(x, y, (1, 1), **options)
    model = (x - made.known)[None]
    np.testing.assert_allclose(made.filled_base(mask, model), whole.base, atol=1e-6)
    assert np.abs(made.base - whole.base).max() > 0.01
    np.testing.assert_allclose(made.base[:, 14:, 16:], whole.base[:, 14:, 16:], atol=0.02)


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


@pytest.mark.parametrize("channels", [1, 3])
def test_the_brighter_of_two_sources(channels):
    x, y = images(channels, channels)
    made = prepare_fusion(x, y, (1, 1), strength=3.0, base="low", brightest=True)
    lumas = [luma_studio(i) if channels == 3 else i for i in (x, y)]
    lows = [lowpass_split(luma, 3.0).low for luma in lumas]
    np.testing.assert_array_equal(made.base, np.maximum(*lows))
    image, base = on_base((x, y), np.zeros_like(lumas[0]), 3.0, brightest=True)
    np.testing.assert_array_equal(base, made.base)
    assert len(image) == channels


def test_grey_exposures_are_blended_as_exposures():
    x, y = images(1, 1)
    made = prepare_fusion(x, y, (1, 1), strength=3.0, base="low")
    np.testing.assert_allclose(
        made.base, lowpass_split(exposure_fusion((x, y)), 3.0).low, atol=1e-6
    )


def test_colours_are_those_of_exposure_fusion():
    x, y = images(3, 3)
    grey = images(1)[0]
    found = ycbcr(coloured(grey, (x, y), brightest=False))
    np.testing.assert_allclose(found[:1], grey, atol=1e-5)
    np.testing.assert_allclose(found[1:], ycbcr(exposure_fusion((x, y)))[1:], atol=1e-5)
    assert coloured(grey, (grey, grey), brightest=False) is grey


def test_chroma_is_that_of_the_coloured_source():
    colour = images(3)[0]
    chroma = Chroma()
    chroma.add(colour)
    chroma.add(np.repeat(images(1)[0], 3, axis=0))
    luma = luma_full(colour)
    np.testing.assert_allclose(chroma.coloured(luma), colour, atol=1e-6)
    # Where a luma leaves no room for the colour, it is paler, and the luma is kept.
    found = chroma.coloured(luma * np.float32(1.8))
    inside = luma[0] * 1.8 <= 1
    np.testing.assert_allclose(luma_full(found), luma * 1.8, atol=1e-6)
    assert found[:, inside].min() >= -1e-6
    assert found[:, inside].max() <= 1 + 1e-6
    hue = found - luma_full(found)
    np.testing.assert_allclose(np.cross(hue, colour - luma, axis=0), 0, atol=1e-6)


def test_grey_beside_colour_are_two_lumas_of_full_range():
    grey = images(1)[0]
    options = {"channels": (1, 1), "strength": 3.0, "base": "none"}
    first, second = prepare_fusion(grey, np.repeat(grey, 3, axis=0), **options).signals
    np.testing.assert_allclose(first, second, atol=1e-6)


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_guides_of_any_channels(channels):
    x, y = images(1, channels)
    for wanted in (1, 3):
        made = prepare_restoration(x, y, (1, wanted), strength=3.0, base="none")
        mean = np.broadcast_to(y.mean(axis=0), (1, wanted, 18, 20))
        np.testing.assert_allclose(made.signals[1], mean, atol=1e-6)


@pytest.mark.parametrize("bands", [1, 2, 5])
def test_bands_are_repeated_for_filters_of_colours(bands):
    x, y = images(bands, 3)
    mask = (np.random.default_rng(0).random((1, 18, 20)) > 0.2).astype("f4")
    made = prepare_restoration(x, y, (3, 3), strength=3.0, base="low", mask=mask)
    assert made.signals[0].shape == made.masks[0].shape == (bands, 3, 18, 20)
    assert made.copies == 3
    np.testing.assert_array_equal(made.signals[0][:, 0], made.signals[0][:, 2])
    np.testing.assert_allclose(made.as_bands(made.signals[0]), made.signals[0][:, 0], atol=1e-7)


def test_refusals():
    x, y = images(1, 3)
    with pytest.raises(ValueError, match="x is 18 x 20, y is 18 x 19"):
        prepare_restoration(x, y[..., 1:], (1, 1), strength=3.0, base="low")
    with pytest.raises(ValueError, match="'low', 'guided' or 'injected', found 'mean'"):
        prepare_restoration(x, y, (1, 1), strength=3.0, base="mean")
    with pytest.raises(ValueError, match=r"the base 'guided' wants smoothing=\(radius, edge\)"):
        prepare_restoration(x, y, (1, 1), strength=3.0, base="guided")
    with pytest.raises(ValueError, match=r"the base 'guided' wants smoothing=\(radius, edge\)"):
        prepare_restoration(x, y, (1, 1), strength=3.0, base="guided", smoothing=(2, 0.01, 5))
    with pytest.raises(ValueError, match="base must be 'none', 'low' or 'mean', found 'input'"):
        prepare_fusion(x, y, (1, 1), strength=3.0, base="input")
    with pytest.raises(ValueError, match="codes 2 channels of the image to restore, which has 1"):
        prepare_restoration(x, y, (2, 1), strength=3.0, base="low")
    with pytest.raises(ValueError, match="codes 2 channels of the guide, which has 3"):
        prepare_restoration(x, y, (1, 2), strength=3.0, base="low")
    with pytest.raises(ValueError, match=r"equally many channels each; found \(1, 3\)"):
        prepare_fusion(x, y, (1, 3), strength=3.0, base="low")


@pytest.mark.parametrize("base", ["none", "input", "low", "guided"])
def test_unknown_pixels_have_no_detail_and_no_weight(base):
    x, y = images(2, 3)
    mask = (np.random.default_rng(0).random((1, 18, 20)) > 0.2).astype("f4")
    made = prepare_restoration(
        x, y, (1, 1), strength=3.0, base=base, mask=mask, smoothing=(2, 0.01)
    )
    hidden = np.where(mask > 0, x, 99.0).astype("f4")
    other = prepare_restoration(
        hidden, y, (1, 1), strength=3.0, base=base, mask=mask, smoothing=(2, 0.01)
    )
    assert made.masks[1] is None
    np.testing.assert_array_equal(made.masks[0], np.broadcast_to(mask, (2, 18, 20))[:, None])
    for a, b in ((made.signals[0], other.signals[0]), (made.base, other.base)):
        np.testing.assert_array_equal(a, b)
    assert not made.signals[0][:, 0][:, mask[0] == 0].any()
    if base == "input":
        known = np.broadcast_to(mask > 0, x.shape)
        np.testing.assert_allclose(made.base[known], x[known], atol=1e-6)
