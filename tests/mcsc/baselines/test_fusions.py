from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.ndimage
import skimage.data

from mcsc.baselines.decision_map import decision_map_fusion
from mcsc.baselines.exposure import exposure_fusion
from mcsc.baselines.mean import mean_fusion
from mcsc.baselines.pyramids import laplacian_fusion
from mcsc.baselines.wavelets import wavelet_fusion
from mcsc.images import read_image
from mcsc.quality.full_reference import psnr
from mcsc.quality.mef_ssim import mef_ssim
from mcsc.quality.no_reference import qabf
from tests.paths import SHARED

DATA = SHARED / "data"
METHODS = [mean_fusion, laplacian_fusion, wavelet_fusion, decision_map_fusion, exposure_fusion]
FOCUS = [laplacian_fusion, wavelet_fusion, decision_map_fusion]


def photograph(shape=(64, 71)):
    image = skimage.data.astronaut()[30 : 30 + shape[0], 180 : 180 + shape[1]]
    return image.transpose(2, 0, 1) / 255


def focus_stack(sharp, count=2):
    """The image blurred everywhere but in one of `count` vertical strips; and that for each."""
    blurred = scipy.ndimage.gaussian_filter(sharp, 2.5, axes=(-2, -1))
    width = sharp.shape[-1]
    strip = np.arange(width) * count // width
    return [np.where(strip == m, sharp, blurred) for m in range(count)]


def noise(seed, shape):
    return np.random.default_rng(seed).random(shape)


# --------------------------------------------------------------------------- all methods
@pytest.mark.parametrize("fuse", METHODS)
@pytest.mark.parametrize("shape", [(3, 31, 45), (33, 18), (1, 7, 5), (3, 1, 9), (1, 1)])
def test_equal_sources_are_their_fusion(fuse, shape):
    x = noise(0, shape)
    np.testing.assert_allclose(fuse([x, x]), x, rtol=0, atol=1e-9)
    np.testing.assert_allclose(fuse((x, x, x)), x, rtol=0, atol=1e-9)


@pytest.mark.parametrize("fuse", METHODS)
@pytest.mark.parametrize("count", [2, 3])
def test_the_order_of_sources_does_not_matter(fuse, count):
    images = [noise(seed, (3, 33, 26)) for seed in range(count)]
    np.testing.assert_allclose(fuse(images), fuse(images[::-1]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("fuse", METHODS)
@pytest.mark.parametrize("shape", [(24, 31), (1, 24, 31), (3, 24, 31)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_result_has_the_shape_and_dtype_of_the_sources(fuse, shape, dtype):
    images = [noise(seed, shape).astype(dtype) for seed in range(2)]
    for image in images:
        image.flags.writeable = False
    result = fuse(images)
    assert result.shape == shape
    assert result.dtype == dtype
    exact = fuse([image.astype(np.float64) for image in images])
    np.testing.assert_allclose(result, exact, rtol=0, atol=1e-6)
    if shape[0] == 1:
        np.testing.assert_array_equal(result[0], fuse([image[0] for image in images]))


@pytest.mark.parametrize("fuse", METHODS)
def test_mirrored_sources_give_the_mirrored_fusion(fuse):
    # Odd sizes: reflection about the middle keeps the pixels of a decimated grid.
    images = [noise(seed, (3, 33, 65)) for seed in range(2)]
    mirrored = fuse([image[..., ::-1] for image in images])
    np.testing.assert_allclose(mirrored, fuse(images)[..., ::-1], rtol=0, atol=1e-9)


@pytest.mark.parametrize("fuse", METHODS)
def test_grey_colours_are_fused_to_grey(fuse):
    images = [np.repeat(noise(seed, (1, 24, 31)), 3, axis=0) for seed in range(2)]
    result = fuse(images)
    np.testing.assert_allclose(result, np.repeat(result[:1], 3, axis=0), rtol=0, atol=1e-12)


@pytest.mark.parametrize("fuse", METHODS)
def test_refuses_bad_sources(fuse):
    x = noise(0, (3, 24, 31))
    with pytest.raises(TypeError, match=r"tuple or list of images, found one array of shape \(3"):
        fuse(x)
    with pytest.raises(ValueError, match="sources holds 1 images; want at least 2"):
        fuse([x])
    with pytest.raises(ValueError, match=r"sources\[1\] has shape \(24, 31\).*want one shape"):
        fuse([x, x[0]])
    with pytest.raises(TypeError, match=r"sources\[0\] must be a NumPy array .* uint8"):
        fuse([(255 * x).astype(np.uint8)] * 2)
    with pytest.raises(ValueError, match=r"sources\[1\] holds NaN or Inf"):
        fuse([x, x * np.nan])


@pytest.mark.parametrize("fuse", METHODS[1:])
def test_choices_need_one_or_three_channels(fuse):
    x = noise(0, (2, 24, 31))
    with pytest.raises(ValueError, match=r"sources\[0\] has shape \(2, 24, 31\); want 1 or 3"):
        fuse([x, x])
    assert mean_fusion([x, x]).shape == x.shape


# --------------------------------------------------------------------------- focus stacks
@pytest.mark.parametrize("fuse", FOCUS)
@pytest.mark.parametrize("count", [2, 3])
def test_focus_stacks_come_out_sharp(fuse, count):
    sharp = photograph()
    stack = focus_stack(sharp, count)
    best = max(psnr(image, sharp) for image in (*stack, mean_fusion(stack)))
    assert psnr(fuse(stack), sharp) > best + 3


def test_mean_fusion_is_the_mean():
    images = [noise(seed, (4, 5, 6)) for seed in range(3)]
    np.testing.assert_allclose(mean_fusion(images), np.mean(images, axis=0), rtol=1e-12)


def test_laplacian_fusion_of_one_level_is_the_written_formula():
    images = [noise(seed, (3, 9, 8)) for seed in range(2)]
    kernel = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256
    smooth = [
        np.stack([scipy.ndimage.correlate(c, kernel, mode="reflect") for c in x]) for x in images
    ]
    details = [x - s for x, s in zip(images, smooth, strict=True)]
    weights = np.array([0.299, 0.587, 0.114])
    grey = [np.abs(np.tensordot(weights, d, 1)) for d in details]
    expected = np.where(grey[0] > grey[1], *details) + np.mean(smooth, axis=0)
    np.testing.assert_allclose(laplacian_fusion(images, 1), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 8)])
@pytest.mark.parametrize("levels", [1, 4, 6])
def test_pyramids_of_any_depth_continue_images_by_reflection(shape, levels):
    images = [noise(seed, shape) for seed in range(2)]
    details, smooth = [], images
    for level in range(levels):
        taps = np.zeros(4 * 2**level + 1)
        taps[:: 2**level] = np.array([1, 4, 6, 4, 1]) / 16
        coarse = smooth
        for axis in (0, 1):
            coarse = [scipy.ndimage.correlate1d(x, taps, axis, mode="reflect") for x in coarse]
        first, second = (x - c for x, c in zip(smooth, coarse, strict=True))
        details.append(np.where(abs(first) >= abs(second), first, second))
        smooth = coarse
    expected = sum(details) + np.mean(smooth, axis=0)
    found = laplacian_fusion(images, levels)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_pyramids_of_more_levels_than_an_image_has_pixels_take_no_more_memory():
    images = [noise(seed, (9, 8)) for seed in range(2)]
    found = laplacian_fusion(images, 80)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(laplacian_fusion([images[0]] * 2, 80), images[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("fuse", [laplacian_fusion, wavelet_fusion])
def test_undecimated_fusion_moves_with_its_sources(fuse):
    images = [noise(seed, (96, 90)) for seed in range(2)]
    moved = fuse([np.roll(image, (1, 3), axis=(0, 1)) for image in images], levels=2)
    expected = np.roll(fuse(images, levels=2), (1, 3), axis=(0, 1))
    inner = slice(30, -30)
    np.testing.assert_allclose(moved[inner, inner], expected[inner, inner], rtol=0, atol=1e-9)


@pytest.mark.parametrize("wavelet", ["haar", "db4", "bior2.2", "sym5"])
@pytest.mark.parametrize("levels", [1, 3])
def test_wavelets_continue_images_by_reflection_and_do_not_wrap_around(wavelet, levels):
    images = [noise(seed, (37, 60)) for seed in range(2)]
    images[0][:, :4] += 3
    wide = wavelet_fusion([np.pad(x, 96, mode="symmetric") for x in images], wavelet, levels)
    expected = wide[96:-96, 96:-96]
    found = wavelet_fusion(images, wavelet, levels)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_decision_map_fusion_stays_within_the_sources():
    images = [noise(seed, (3, 33, 26)) for seed in range(3)]
    fused = decision_map_fusion(images)
    assert (fused >= np.min(images, axis=0) - 1e-12).all()
    assert (fused <= np.max(images, axis=0) + 1e-12).all()


def test_decision_map_fusion_takes_pixels_from_the_sharper_source():
    sharp = photograph()
    stack = focus_stack(sharp)
    fused = decision_map_fusion(stack, sigma=2.0)
    middle = sharp.shape[-1] // 2
    np.testing.assert_allclose(fused[..., : middle - 12], sharp[..., : middle - 12], atol=0.02)
    np.testing.assert_allclose(fused[..., middle + 12 :], sharp[..., middle + 12 :], atol=0.02)


# --------------------------------------------------------------------------- exposures
def slow_reduce(x):
    """Filter and subsample by loops; x (H, W), edge pixel repeated."""
    w = np.array([1, 4, 6, 4, 1]) / 16
    p = np.pad(x, 2, mode="symmetric")
    height, width = (math.ceil(n / 2) for n in x.shape)
    y = np.zeros((height, width))
    for i, j in itertools.product(range(height), range(width)):
        y[i, j] = w @ p[2 * i : 2 * i + 5, 2 * j : 2 * j + 5] @ w
    return y


def slow_expand(x, shape):
    """Mean of the coarse pixels in reach, by their filter weights."""
    w = np.array([1, 4, 6, 4, 1]) / 16
    y, total = np.zeros(shape), np.zeros(shape)
    for i, j in itertools.product(*map(range, shape)):
        for a, b in itertools.product(range(-2, 3), repeat=2):
            # The zeros between the samples are reflected with them.
            k, m = (
                -t - 1 if t < 0 else 2 * n - 1 - t if t >= n else t
                for t, n in zip((i + a, j + b), shape, strict=True)
            )
            if k % 2 == 0 and m % 2 == 0:
                y[i, j] += w[a + 2] * w[b + 2] * x[k // 2, m // 2]
                total[i, j] += w[a + 2] * w[b + 2]
    return y / total


def test_exposure_fusion_is_the_written_formula():
    images = [photograph((9, 13)), np.clip(2.5 * photograph((9, 13)), 0, 1)]
    luma = [np.tensordot([0.299, 0.587, 0.114], x, 1) for x in images]
    weights = []
    for x, y in zip(images, luma, strict=True):
        p = np.pad(y, 1, mode="edge")
        contrast = np.abs(p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:] - 4 * y)
        well = np.prod(np.exp(-((x - 0.5) ** 2) / (2 * 0.2**2)), axis=0)
        weights.append(contrast * np.std(x, axis=0) * well + 1e-12)
    weights = [w / sum(weights) for w in weights]

    expected = []
    for c in range(3):
        levels = []
        planes, masks = [x[c] for x in images], weights
        for _ in range(3):
            small = [slow_reduce(x) for x in planes]
            levels.append(
                sum(
                    w * (x - slow_expand(s, x.shape))
                    for w, x, s in zip(masks, planes, small, strict=True)
                )
            )
            planes, masks = small, [slow_reduce(w) for w in masks]
        result = sum(w * x for w, x in zip(masks, planes, strict=True))
        for level in reversed(levels):
            result = level + slow_expand(result, level.shape)
        expected.append(result)
    np.testing.assert_allclose(exposure_fusion(images), expected, rtol=0, atol=1e-9)


def test_exposure_fusion_shows_what_either_exposure_lost():
    scene = photograph((96, 96))
    scene = 0.1 + 0.8 * scene
    ramp = np.linspace(0.4, 2.5, 96)
    images = [np.clip(scene * ramp * gain, 0, 1) for gain in (0.5, 1.6)]
    fused = exposure_fusion(images).clip(0, 1)  # pyramids overshoot
    for measure in (qabf, mef_ssim):
        assert measure(fused, images) > max(measure(image, images) for image in images)
    assert mef_ssim(fused, images) > mef_ssim(mean_fusion(images), images)


def test_exposure_fusion_of_sources_without_any_weight_is_their_mean():
    black, white = np.zeros((3, 9, 14)), np.ones((3, 9, 14))
    np.testing.assert_allclose(exposure_fusion([black, white]), 0.5, rtol=0, atol=1e-12)


# --------------------------------------------------------------------------- refused parameters
@pytest.mark.parametrize("levels", [0, -1, 2.0, True, None])
@pytest.mark.parametrize("fuse", [laplacian_fusion, wavelet_fusion])
def test_refuses_levels_that_are_no_positive_integer(fuse, levels):
    x = noise(0, (24, 31))
    with pytest.raises(ValueError, match="levels must be a whole number >= 1, found"):
        fuse([x, x], levels=levels)


@pytest.mark.parametrize("levels", [20, 500])
def test_refuses_wavelets_that_would_not_fit_in_memory(levels):
    x = noise(0, (24, 31))
    words = rf"wavelet_fusion in {levels} levels, of 24 x 31 pixels, needs more than the .* GiB"
    with pytest.raises(MemoryError, match=words):
        wavelet_fusion([x, x], levels=levels)


@pytest.mark.parametrize("sigma", [0, -1.0, math.nan, math.inf, "1", True])
@pytest.mark.parametrize("fuse", [decision_map_fusion, exposure_fusion])
def test_refuses_a_sigma_that_is_not_positive(fuse, sigma):
    x = noise(0, (24, 31))
    with pytest.raises(ValueError, match="sigma must be a finite number > 0"):
        fuse([x, x], sigma)


@pytest.mark.parametrize("wavelet", ["morl", "no such", None])
def test_refuses_what_is_no_discrete_wavelet(wavelet):
    x = noise(0, (24, 31))
    with pytest.raises(ValueError, match="wavelet must name a discrete wavelet"):
        wavelet_fusion([x, x], wavelet)


# --------------------------------------------------------------------------- real images
def test_order_of_methods_on_a_real_focus_stack():
    near = DATA / "multi_focus" / "lytro01_near.png"
    if not near.is_file():
        pytest.skip(f"no test images beside the repository ({near} is not there)")
    images = [
        read_image(path).pixels[:, 100:350, 150:400]
        for path in (near, near.with_name("lytro01_far.png"))
    ]
    figures = {fuse: qabf(fuse(images).clip(0, 1), images) for fuse in METHODS[:4]}
    assert min(figures[fuse] for fuse in FOCUS) > figures[mean_fusion] + 0.05
