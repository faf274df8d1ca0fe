from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from mcsc.quality.full_reference import psnr, rmse, ssim
from tests.mcsc.quality.photographs import photograph, sources


def test_rmse_and_psnr_of_a_known_error():
    reference = photograph()
    image = reference + np.where(np.arange(reference.size) % 2, 0.02, -0.02).reshape(23, 20)
    assert rmse(image, reference) == pytest.approx(0.02 * 255, rel=1e-12)
    assert rmse(image, reference, scale=1) == pytest.approx(0.02, rel=1e-12)
    assert psnr(image, reference) == pytest.approx(-20 * math.log10(0.02), rel=1e-12)
    assert rmse(reference, reference) == 0
    assert psnr(reference, reference) == math.inf


def test_errors_of_float32_images_are_taken_in_float64():
    reference = np.full((300, 300), 0.1, np.float32)
    image = reference + np.float32(1e-3)
    assert rmse(image, reference, 1.0) == pytest.approx(
        float(image[0, 0]) - float(reference[0, 0]), rel=1e-12
    )


def slow_ssim(x, y):
    """Windows inside the image, by loops."""
    bell = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    w = np.outer(bell, bell) / bell.sum() ** 2
    values = []
    for i, j in itertools.product(*(range(n - 10) for n in x.shape)):
        a, b = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
        ma, mb = np.sum(w * a), np.sum(w * b)
        va, vb = np.sum(w * (a - ma) ** 2), np.sum(w * (b - mb) ** 2)
        cov = np.sum(w * (a - ma) * (b - mb))
        luminance = (2 * ma * mb + 0.01**2) / (ma**2 + mb**2 + 0.01**2)
        values.append(luminance * (2 * cov + 0.03**2) / (va + vb + 0.03**2))
    return np.mean(values)


def test_ssim_is_the_mean_over_windows_and_channels():
    x, y = np.stack(sources()), np.stack(sources(3)[1:])
    expected = np.mean([slow_ssim(a, b) for a, b in zip(x, y, strict=True)])
    assert ssim(x, y) == pytest.approx(expected, rel=1e-9)
    assert ssim(x, x) == pytest.approx(1, abs=1e-12)
    assert ssim(x[0], y[0]) == ssim(x[:1], y[:1])


@pytest.mark.parametrize("measure", [rmse, psnr, ssim])
def test_measures_with_a_reference_refuse_bad_images(measure):
    x = photograph()
    with pytest.raises(TypeError, match="image must be a NumPy array of floats, found uint8"):
        measure((255 * x).astype(np.uint8), x)
    with pytest.raises(TypeError, match="reference must be a NumPy array of floats, found list"):
        measure(x, x.tolist())
    with pytest.raises(ValueError, match=r"image has shape \(23, 20\), reference \(1, 23, 20\)"):
        measure(x, x[None])
    with pytest.raises(ValueError, match="reference holds NaN or Inf"):
        measure(x, np.where(x > x.min(), x, np.nan))
    with pytest.raises(ValueError, match=r"shape \(0, 20\).*not empty"):
        measure(x[:0], x[:0])


def test_ssim_refuses_images_smaller_than_its_window():
    with pytest.raises(ValueError, match="at least 11 x 11 pixels"):
        ssim(np.zeros((10, 30)), np.zeros((10, 30)))


@pytest.mark.parametrize("scale", [0, -1.0, math.nan, "255", True])
def test_rmse_refuses_a_scale_that_is_no_positive_number(scale):
    with pytest.raises(ValueError, match="scale must be a finite number > 0"):
        rmse(photograph(), photograph(), scale)


def test_unknown_pixels_do_not_count():
    x, y = photograph(shape=(30, 40)), sources(2, (30, 40))[1]
    known = np.random.default_rng(0).random(x.shape) > 0.3
    holed, other = np.where(known, x, np.nan), np.where(known, y, np.inf)
    wanted = 255 * np.sqrt(np.mean((x - y)[known] ** 2))
    assert rmse(holed, other, mask=known) == pytest.approx(wanted)
    assert psnr(holed, other, mask=known) == pytest.approx(-20 * np.log10(wanted / 255))
    assert ssim(holed, other, mask=known) < ssim(holed, holed, mask=known) == pytest.approx(1)
    assert ssim(x, y, mask=np.ones(x.shape)) == pytest.approx(ssim(x, y))
    one_hole = np.ones(x.shape, bool)
    one_hole[12:15, 20:23] = False
    assert ssim(np.where(one_hole, x, 0), y, mask=one_hole) == pytest.approx(ssim(x, y), abs=0.02)
    for measure in (rmse, psnr, ssim):
        with pytest.raises(ValueError, match="mask is 0 everywhere: no pixel counts"):
            measure(x, y, mask=np.zeros(x.shape))
        with pytest.raises(ValueError, match=r"mask has shape \(3,\), image \(30, 40\)"):
            measure(x, y, mask=np.ones(3))


@pytest.mark.parametrize("measure", [rmse, psnr, ssim])
def test_measures_in_grey_levels_refuse_other_units(measure):
    x = photograph()
    for image, reference, name in ((255 * x, 255 * x, "image"), (x, 255 * x, "reference"),
                                   (255 * x, x, "image"), (x, -x - 1, "reference")):  # fmt: skip
        with pytest.raises(ValueError, match=rf"{name} has values from .* want images in \["):
            measure(image, reference)
    assert rmse(255 * x, 255 * x + 1, 1.0) == pytest.approx(1)


def test_what_a_method_made_may_overshoot():
    x = photograph()
    bad = x.copy()
    bad[0, :5], bad[1, :5] = 7.0, -3.0
    wanted = math.sqrt(((bad - x) ** 2).mean())
    assert rmse(bad, x) == pytest.approx(255 * wanted)
    assert psnr(bad, x) == pytest.approx(-20 * math.log10(wanted))


@pytest.mark.parametrize("measure", [rmse, psnr, ssim])
def test_masks_of_masked_arrays_are_not_lost(measure):
    x = photograph()
    masked = np.ma.masked_array(x, x > 0.5)
    for image, reference, name in ((masked, x, "image"), (x, masked, "reference")):
        for mask in (None, np.ones(x.shape)):
            with pytest.raises(TypeError, match=f"{name} is a masked array, whose mask would be"):
                measure(image, reference, mask=mask)
