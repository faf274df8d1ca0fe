"""The channels of a guide, mixed for each band."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mcsc.baselines.injection import CELL, hyper_sharpening, luma_weights, mixed, mixture_sums
from mcsc.images.colour import luma_studio
from mcsc.images.enlarging import enlarge
from mcsc.images.resize import degrade, imresize
from mcsc.synthetic import make_pair
from mcsc.tasks import get_task, restore
from mcsc.tasks.preparation import mixture_for, prepare_restoration

TASK = get_task("multispectral-sr")
LUMA = luma_weights(3)


def images(shape=(64, 80), bands=2, channels=3, seed=0):
    """A guide, and bands that are mixtures of its channels."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((channels, *(n // 4 for n in shape)), np.float32)
    y = np.repeat(np.repeat(coarse, 4, 1), 4, 2) + 0.1 * rng.random((channels, *shape), np.float32)
    weights = rng.standard_normal((bands, channels))
    return np.tensordot(weights, y, 1).astype(np.float32) + 0.3, y, weights


@pytest.mark.parametrize("channels", [2, 3, 8])
def test_a_band_that_is_a_mixture_finds_it(channels):
    x, y, weights = images(channels=channels)
    found = mixture_sums(x, y).weights(luma_weights(channels))
    np.testing.assert_allclose(found, weights, atol=0.02)


def test_channels_that_are_alike_become_their_luma():
    _, y, _ = images()
    grey = np.repeat(y[:1], 3, axis=0)
    found = mixture_sums(2 * y[:1], grey).weights(LUMA)
    np.testing.assert_allclose(found[0] / LUMA, found[0, 0] / LUMA[0], rtol=1e-9)
    np.testing.assert_allclose(found.sum(), 2, rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (5, 90), (CELL, CELL)])
def test_without_two_cells_or_without_edges_it_is_the_luma(shape):
    x, y, _ = images((64, 96))
    x, y = x[:, : shape[0], : shape[1]], y[:, : shape[0], : shape[1]]
    if min(shape) >= CELL:
        y = np.ones_like(y)
    np.testing.assert_array_equal(mixture_sums(x, y).weights(LUMA), np.stack([LUMA] * 2))


def test_what_is_unknown_does_not_count():
    x, y, weights = images()
    mask, guide_mask = np.ones_like(x), np.ones_like(y)
    mask[0, :20, :30] = guide_mask[1, 40:, 50:] = 0
    x[0, :20, :30], y[1, 40:, 50:] = 50, -70
    found = mixture_sums(x, y, mask, guide_mask).weights(LUMA)
    np.testing.assert_allclose(found, weights, atol=0.02)
    assert np.abs(mixture_sums(x, y).weights(LUMA) - weights).max() > 0.1
    nothing = mixture_sums(x, y, np.zeros_like(x), None).weights(LUMA)
    np.testing.assert_array_equal(nothing, np.stack([LUMA] * 2))


def test_parts_add_up_to_the_whole():
    x, y, _ = images((16 * CELL, 5 * CELL))
    whole = mixture_sums(x, y)
    total = None
    for rows, own in ((slice(0, 3 * CELL), 2), (slice(2 * CELL, 16 * CELL), 14)):
        part = mixture_sums(x[:, rows], y[:, rows], cells=(own, 5))
        total = part if total is None else total + part
    np.testing.assert_allclose(total.guide, whole.guide, rtol=1e-9)
    np.testing.assert_allclose(total.both, whole.both, rtol=1e-9)


def test_which_models_it_is_for():
    x, y, weights = images()
    depth = get_task("depth-sr")
    for task, channels, base, bands, guide in (
        (depth, (1, 1), "input", x, y),
        (TASK, (1, 3), "input", x, y),
        (TASK, (2, 1), "input", x, y),  # bands together
        (TASK, (1, 1), "none", x, y),  # the images themselves, as the authors' networks
        (TASK, (1, 1), "input", x, y[:1]),
    ):
        assert mixture_for(task, channels, base, bands, guide) is None
    assert mixture_for(TASK, (1, 3), "injected", x, y) is None
    assert mixture_for(depth, (1, 1), "injected", x, y[:1]).shape == (2, 1)
    np.testing.assert_allclose(mixture_for(TASK, (1, 1), "input", x, y), weights, atol=0.02)
    np.testing.assert_allclose(mixture_for(TASK, (1, 1), "low", x[:1], y), weights[:1], atol=0.02)


def test_each_band_has_its_guide():
    x, y, weights = images()
    given = {"strength": 5.0, "base": "input"}
    both = prepare_restoration(x, y, (1, 1), mixture=weights, **given)
    assert both.signals[1].shape == both.signals[0].shape == (2, 1, 64, 80)
    for n in range(2):
        guide = np.tensordot(weights[n : n + 1].astype(np.float32), y, 1)
        alone = prepare_restoration(x[n : n + 1], guide, (1, 1), **given)
        for of_all, of_one in zip(both.signals, alone.signals, strict=True):
            np.testing.assert_allclose(of_all[n], of_one[0], atol=1e-6)
    mask = np.ones((3, 64, 80), np.float32)
    mask[1, 3, 4] = 0
    made = prepare_restoration(x, y, (1, 1), mixture=weights, guide_mask=mask, **given)
    assert made.masks[1].shape == (1, 1, 64, 80)
    assert made.masks[1].sum() == 64 * 80 - 1


def test_detail_of_the_guide_is_injected_where_x_lacks_it():
    x, y, weights = images((64, 80))
    small = degrade(x, 4)
    found = mixture_for(TASK, (1, 1), "injected", small, y, known_shape=(16, 20))
    np.testing.assert_allclose(found, weights, atol=0.02)
    given = {"strength": 5.0, "base": "injected", "known_shape": (16, 20), "mixture": weights}
    made = prepare_restoration(small, y, (1, 1), **given)
    assert made.base.dtype == np.float32
    np.testing.assert_allclose(made.base, x, atol=1e-5)
    assert np.abs(small - x).max() > 0.3
    # What was known is still there.
    np.testing.assert_allclose(degrade(made.base, 4), small, atol=1e-5)
    plain = prepare_restoration(made.base, y, (1, 1), mixture=weights, strength=5.0, base="input")
    for ours, theirs in zip(made.signals, plain.signals, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # Of a guide of one channel, as strongly as it is there in x.
    grey = y[:1]
    one = mixture_for(TASK, (1, 1), "injected", degrade(0.5 * grey, 4), grey, None, None, (16, 20))
    np.testing.assert_allclose(one, [[0.5]], rtol=1e-5)
    for lacking in ("known_shape", "mixture"):
        with pytest.raises(ValueError, match="'injected' is for super-resolution of bands one by"):
            prepare_restoration(small, y, (1, 1), **(given | {lacking: None}))


def test_hyper_sharpening_is_the_injection_alone():
    x, y, _ = images((64, 80))
    small = degrade(x, 4)
    np.testing.assert_allclose(hyper_sharpening(small, y, known_shape=(16, 20)), x, atol=0.02)
    given = {"value_range": (-9.0, 9.0), "method": "hyper-sharpening"}
    found = restore(imresize(x, 0.25), 2 * y, TASK, **given)
    np.testing.assert_allclose(found.image, x, atol=0.1)


def test_detail_is_injected_into_holes_and_from_a_guide_with_holes():
    x, y, weights = images((64, 80), bands=1)
    small, mask, guide_mask = degrade(x, 4), np.ones_like(x), np.ones_like(y)
    mask[:, 20:24, 30:40] = guide_mask[0, 40:44, 8:16] = 0
    small[mask == 0], y[guide_mask == 0] = 30, -30
    made = prepare_restoration(
        small, y, (1, 1), strength=5.0, base="injected", mixture=weights, mask=mask,
        guide_mask=guide_mask, known_shape=(16, 20),
    )  # fmt: skip
    near = np.zeros(x.shape, bool)
    near[:, 16:28, 26:44] = near[:, 32:52, 0:24] = True
    np.testing.assert_allclose(made.base[~near], x[~near], atol=0.01)
    assert np.abs(made.base - x).max() < 2


def test_a_red_band_is_guided_by_what_is_red():
    pair = make_pair("multispectral", 3, (96, 96))
    band = np.clip(1.2 * pair.y[:1] - 0.4 * pair.y[1:2] + 0.1, 0, 1)
    small = imresize(band, 0.25)
    errors = {}
    for method in ("mcsc", "guided-filter", "bicubic"):
        found = restore(small, pair.y, TASK, method=method, value_range=(0, 1))
        errors[method] = float(np.abs(found.image - band).mean())
    assert errors["mcsc"] < 0.5 * errors["guided-filter"] < errors["bicubic"]


def test_a_fusion_has_no_guide():
    with pytest.raises(ValueError, match="mixed_guide of the task multi-focus: a fusion has no"):
        replace(get_task("multi-focus"), mixed_guide=True)
    with pytest.raises(TypeError, match="mixed_guide of the task depth-sr must be True or False"):
        replace(get_task("depth-sr"), mixed_guide=1)


@pytest.mark.parametrize("spacing", ["checkerboard", "every other row and column"])
def test_nothing_is_injected_where_nothing_tells_how_strong(spacing):
    """No two cells beside each other are known: neither sign nor strength can be measured."""
    pair = make_pair("multispectral", 3, (96, 96), 1)
    # The negative of the guide: the luma would be injected with the wrong sign.
    band = 1 - luma_studio(pair.y)
    known = (np.indices((24, 24)).sum(axis=0) % 2).astype(np.float32)
    if spacing != "checkerboard":
        known = np.kron(np.ones((12, 12), np.float32), np.array([[1, 0], [0, 0]], np.float32))
    task = get_task("multispectral-sr")
    x, mask = enlarge(imresize(band, (24, 24)), (96, 96), known[None])
    given = (task, (1, 1)), (x, pair.y, mask, None, (24, 24))
    injects = mixture_for(*given[0], "injected", *given[1])
    np.testing.assert_array_equal(injects, np.zeros((1, 3)))
    np.testing.assert_array_equal(mixture_for(*given[0], "input", *given[1]), [luma_weights(3)])


def test_a_guide_of_one_brightness_is_mixed_by_its_colours():
    rng = np.random.default_rng(0)
    red = imresize(rng.random((1, 12, 12)), (48, 48))
    weights = luma_weights(3)
    guide = np.concatenate((red, -red * weights[0] / weights[1], np.zeros_like(red)))
    assert np.ptp(np.tensordot(weights, guide, 1)) < 1e-12
    mixture = mixture_sums(3 * red, guide).weights(weights)
    np.testing.assert_allclose(mixed(guide, mixture), 3 * red, atol=0.02)
