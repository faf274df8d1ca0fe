from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from mcsc.quality.mef_ssim import mef_ssim
from tests.mcsc.quality.photographs import photograph, sources


def slow_mef_ssim(f, images):
    """One scale: patches by loops, and vectors instead of covariances."""
    bell = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    w = np.outer(bell, bell).ravel() / bell.sum() ** 2
    values = []
    for i, j in itertools.product(*(range(n - 10) for n in f.shape)):
        patches = [x[i : i + 11, j : j + 11].ravel() for x in images]
        tilde = [x - x.mean() for x in patches]
        norms = [np.linalg.norm(x) for x in tilde]
        desired = np.zeros(121)
        if max(norms) > 0:
            p = np.linalg.norm(sum(tilde)) / sum(norms)
            p = min(math.tan(math.pi / 2 * min(p, 1)), 10)
            mean = sum(n**p * x / n for x, n in zip(tilde, norms, strict=True) if n > 0)
            desired = max(norms) * mean / np.linalg.norm(mean)
        y = f[i : i + 11, j : j + 11].ravel()
        dx, dy = desired - w @ desired, y - w @ y
        values.append((2 * w @ (dx * dy) + 0.03**2) / (w @ dx**2 + w @ dy**2 + 0.03**2))
    return np.mean(values)


@pytest.mark.parametrize("count", [2, 3])
def test_mef_ssim_is_the_written_formula(count):
    images = sources(count)
    images[0] = images[0].copy()
    images[0][:14] = 1  # saturated in one source only
    fused = np.mean(sources(3), axis=0)
    assert mef_ssim(fused, images, scales=1) == pytest.approx(
        slow_mef_ssim(fused, images), rel=1e-7
    )


def test_mef_ssim_of_patches_that_are_flat_in_all_sources():
    flat = [np.zeros((13, 12)), np.ones((13, 12))]
    fused = photograph(shape=(13, 12))
    assert mef_ssim(fused, flat, scales=1) == pytest.approx(slow_mef_ssim(fused, flat), rel=1e-9)
    assert mef_ssim(np.full((13, 12), 0.5), flat, scales=1) == pytest.approx(1, rel=1e-9)


def test_mef_ssim_of_a_perfect_fusion_is_one_whatever_its_mean():
    x = 0.5 * photograph(shape=(50, 61))
    assert mef_ssim(0.2 + x, [x, x + 0.5]) == pytest.approx(1, rel=1e-9)
    assert mef_ssim(x, [x, 0.5 * x]) == pytest.approx(1, rel=1e-9)
    assert mef_ssim(0.5 * x, [x, 0.5 * x]) < 0.95


def test_mef_ssim_of_three_scales_is_their_weighted_product():
    images = sources(3, (56, 48))
    fused = np.mean(images, axis=0)
    expected = 1.0
    for weight in np.array([0.0448, 0.2856, 0.3001]) / 0.6305:
        expected *= slow_mef_ssim(fused, images) ** weight
        fused, *images = (
            (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4
            for x in (fused, *images)
        )
    assert mef_ssim(np.mean(sources(3, (56, 48)), axis=0), sources(3, (56, 48))) == pytest.approx(
        expected, rel=1e-7
    )


def test_mef_ssim_of_an_inverted_image_is_no_power_of_a_negative_number():
    x = photograph(shape=(50, 61))
    assert mef_ssim(1 - x, [x, x]) == 0


@pytest.mark.parametrize("scales", [0, 4, 1.0, True, None])
def test_mef_ssim_refuses_other_scales(scales):
    x = photograph(shape=(80, 80))
    with pytest.raises(ValueError, match="scales must be"):
        mef_ssim(x, [x, x], scales=scales)


def test_mef_ssim_refuses_images_smaller_than_the_window_on_the_coarsest_scale():
    x = photograph(shape=(40, 60))
    with pytest.raises(ValueError, match=r"coarsest of 3 scales \[10, 15\].* 11 pixels"):
        mef_ssim(x, [x, x])
    assert mef_ssim(x, [x, x], scales=2) == pytest.approx(1, rel=1e-9)


def test_mef_ssim_needs_two_sources():
    with pytest.raises(ValueError, match="sources holds 1 images; want at least 2"):
        mef_ssim(photograph(), [photograph()])
