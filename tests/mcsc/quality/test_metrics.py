from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import skimage.data

from mcsc.images import read_image
from mcsc.quality.metrics import (
    entropy,
    mef_ssim,
    mutual_information,
    psnr,
    qabf,
    rmse,
    spatial_frequency,
    ssim,
)
from tests.paths import SHARED

DATA = SHARED / "data"
FUSION = [qabf, mutual_information, mef_ssim]
# The paper's sigmoids at equal strength and orientation.
QABF_MOST = 0.9994 / (1 + math.exp(-7.5)) * 0.9879 / (1 + math.exp(-4.4))


def photograph(top=100, left=200, shape=(23, 20)):
    return skimage.data.camera()[top : top + shape[0], left : left + shape[1]] / 255


def sources(count=2, shape=(23, 20)):
    """Parts of one photograph under gains and offsets, one of them saturated."""
    x = photograph(shape=shape)
    return [x, np.clip(3 * x - 0.4, 0, 1), 0.7 * photograph(left=203, shape=shape)][:count]


def colours(seed=0, shape=(3, 23, 20)):
    return np.random.default_rng(seed).random(shape)


# --------------------------------------------------------------------------- with a reference
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


# --------------------------------------------------------------------------- Q^{AB/F}
def slow_qabf(f, images):
    """The written formula, pixel by pixel; f and the images grey."""

    def gradient(image, i, j):
        window = np.pad(image, 1, mode="symmetric")[i : i + 3, j : j + 3]
        rows = np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]])
        sy, sx = np.sum(window * rows), np.sum(window * rows.T)
        return math.hypot(sx, sy), math.pi / 2 if abs(sx) < 1e-6 else math.atan(sy / sx)

    kept = total = 0.0
    for image in images:
        for i, j in itertools.product(*map(range, f.shape)):
            (g, alpha), (gf, alphaf) = gradient(image, i, j), gradient(f, i, j)
            ratio = 1.0 if g == gf else min(g, gf) / max(g, gf)
            turn = 1 - abs(alpha - alphaf) / (math.pi / 2)
            strength = 0.9994 / (1 + math.exp(-15 * (ratio - 0.5)))
            kept += g * strength * 0.9879 / (1 + math.exp(-22 * (turn - 0.8)))
            total += g
    return kept / total


@pytest.mark.parametrize("count", [1, 2, 3])
def test_qabf_is_the_written_formula(count):
    images = sources(count)
    fused = np.mean(sources(3), axis=0)
    fused[:5] = 0.3  # flat: no gradient there
    assert qabf(fused, images) == pytest.approx(slow_qabf(fused, images), rel=1e-9)


def test_qabf_of_a_perfect_fusion_is_its_maximum():
    x = photograph()
    assert pytest.approx(0.9748, abs=1e-4) == QABF_MOST
    assert qabf(x, [x, x]) == pytest.approx(QABF_MOST, rel=1e-12)
    assert qabf(np.mean(sources(), axis=0), sources()) < QABF_MOST
    assert qabf(np.full_like(x, 0.5), [x, x]) < 0.01


def test_qabf_weights_sources_by_the_strength_of_their_edges():
    x = photograph()
    assert qabf(x, [x, np.full_like(x, 0.2)]) == pytest.approx(QABF_MOST, rel=1e-12)


def test_qabf_needs_edges():
    with pytest.raises(ValueError, match="sources are all constant"):
        qabf(photograph(), [np.zeros((23, 20)), np.ones((23, 20))])


# --------------------------------------------------------------------------- histograms
def test_entropy_of_known_histograms():
    levels = np.arange(256) / 255
    assert entropy(np.tile(levels, (3, 1))) == pytest.approx(8, rel=1e-12)
    assert entropy(np.repeat([0.0, 1.0, 1.0, 1.0], 5).reshape(4, 5)) == pytest.approx(
        0.75 * math.log2(4 / 3) + 0.5, rel=1e-12
    )
    assert entropy(np.full((4, 4), 0.3)) == 0
    assert math.copysign(1, entropy(np.full((4, 4), 0.3))) == 1  # 0, not -0
    noise = np.random.default_rng(0).random((700, 700))
    assert 7.99 < entropy(noise) <= 8


def test_mutual_information_with_itself_is_the_entropy():
    x = photograph()
    assert mutual_information(x, [x]) == pytest.approx(entropy(x), rel=1e-12)
    assert mutual_information(x, [x, x]) == pytest.approx(2 * entropy(x), rel=1e-12)
    assert mutual_information(x, [1 - x], normalised=True) == pytest.approx(1, rel=1e-12)
    assert mutual_information(x, [x, x, x], normalised=True) == pytest.approx(3, rel=1e-12)


def slow_information(x, y):
    a, b = (np.rint(255 * image).astype(int).ravel() for image in (x, y))
    pairs = list(zip(a, b, strict=True))
    n = len(pairs)
    value = 0.0
    for i, j in set(pairs):
        p = pairs.count((i, j)) / n
        value += p * math.log2(p / (np.sum(a == i) / n * np.sum(b == j) / n))
    return value


@pytest.mark.parametrize("normalised", [False, True])
def test_mutual_information_is_the_written_formula(normalised):
    images = sources()
    fused = np.mean(sources(3), axis=0)
    expected = sum(
        slow_information(fused, x) * (2 / (entropy(fused) + entropy(x)) if normalised else 1)
        for x in images
    )
    found = mutual_information(fused, images, normalised=normalised)
    assert found == pytest.approx(expected, rel=1e-9)


def test_independent_images_share_no_information():
    rows, columns = np.meshgrid(np.arange(16) / 15, np.arange(16) / 15, indexing="ij")
    assert mutual_information(rows, [columns]) == pytest.approx(0, abs=1e-12)
    flat = np.zeros((16, 16))
    assert mutual_information(flat, [flat, flat], normalised=True) == 0


def test_values_beyond_the_range_count_as_its_ends():
    x = photograph()
    beyond = np.where(x > 0.6, x + 1, x)
    assert entropy(beyond) == entropy(np.minimum(beyond, 1))


# --------------------------------------------------------------------------- MEF-SSIM
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
    x = photograph(shape=(50, 61))
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


# --------------------------------------------------------------------------- spatial frequency
def test_spatial_frequency_of_a_known_pattern():
    board = np.indices((6, 8)).sum(axis=0) % 2 * 0.1
    squares = (5 * 8 + 6 * 7) * 0.1**2
    assert spatial_frequency(board, 1) == pytest.approx(math.sqrt(squares / 48), rel=1e-12)
    assert spatial_frequency(board) == pytest.approx(25.5 * math.sqrt(82 / 48), rel=1e-12)
    assert spatial_frequency(np.full((4, 4), 0.3)) == 0


# --------------------------------------------------------------------------- colour, refusals
@pytest.mark.parametrize("measure", FUSION)
def test_fusion_is_measured_on_full_range_luma(measure):
    shape = (3, 50, 61)
    fused, one, two = (colours(seed, shape) for seed in range(3))
    greys = [0.299 * x[0] + 0.587 * x[1] + 0.114 * x[2] for x in (fused, one, two)]
    expected = measure(greys[0], greys[1:])
    assert measure(fused, [one, two]) == pytest.approx(expected, rel=1e-12)
    assert measure(fused, (greys[1], two)) == pytest.approx(expected, rel=1e-12)
    assert measure(greys[0][None], greys[1:]) == expected


@pytest.mark.parametrize("measure", [spatial_frequency, entropy])
def test_one_image_is_measured_on_full_range_luma(measure):
    x = colours()
    expected = measure(0.299 * x[0] + 0.587 * x[1] + 0.114 * x[2])
    assert measure(x) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("measure", FUSION)
def test_the_order_of_sources_does_not_matter(measure):
    images = sources(3, (50, 61))
    fused = np.mean(images, axis=0)
    assert measure(fused, images) == pytest.approx(measure(fused, images[::-1]), rel=1e-9)


@pytest.mark.parametrize("measure", [rmse, psnr, ssim])
def test_measures_with_a_reference_refuse_bad_images(measure):
    x = photograph()
    with pytest.raises(TypeError, match="image must be a NumPy array of floats; found uint8"):
        measure((255 * x).astype(np.uint8), x)
    with pytest.raises(TypeError, match="reference must be a NumPy array of floats; found list"):
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


@pytest.mark.parametrize("measure", [lambda x, s: rmse(x, x, s), spatial_frequency])
@pytest.mark.parametrize("scale", [0, -1.0, math.nan, "255", True])
def test_refuses_a_scale_that_is_no_positive_number(measure, scale):
    with pytest.raises(ValueError, match="scale must be a finite number > 0"):
        measure(photograph(), scale)


@pytest.mark.parametrize("measure", FUSION)
def test_measures_of_fusion_refuse_bad_images(measure):
    x = photograph()
    with pytest.raises(TypeError, match=r"sources must be a tuple or list .* shape \(2, 23, 20\)"):
        measure(x, np.stack([x, x]))
    with pytest.raises(ValueError, match="sources holds 0 images"):
        measure(x, [])
    with pytest.raises(ValueError, match=r"sources\[1\] has shape \(20, 23\), sources\[0\]"):
        measure(x, [x, x.T])
    with pytest.raises(ValueError, match=r"fused has shape .* want one height and width"):
        measure(x.T, [x, x])
    with pytest.raises(ValueError, match=r"sources\[1\] has shape \(2, 23, 20\).*1 or 3 channels"):
        measure(x, [x, np.stack([x, x])])
    with pytest.raises(TypeError, match=r"sources\[1\] must be a NumPy array of floats"):
        measure(x, [x, (255 * x).astype(int)])
    with pytest.raises(ValueError, match="fused holds NaN"):
        measure(x * np.nan, [x, x])


def test_mef_ssim_needs_two_sources():
    with pytest.raises(ValueError, match="sources holds 1 images; want at least 2"):
        mef_ssim(photograph(), [photograph()])


# --------------------------------------------------------------------------- real images
def test_figures_of_the_mean_of_real_focus_stacks():
    folder = DATA / "multi_focus"
    if not folder.is_dir():
        pytest.skip(f"no test images beside the repository ({folder} is not there)")
    figures = []
    for near in sorted(folder.glob("lytro*_near.png")):
        far = near.with_name(near.name.replace("near", "far"))
        images = [read_image(path).pixels for path in (near, far)]
        mean = np.mean(images, axis=0)
        figures.append(
            (
                qabf(mean, images),
                mutual_information(mean, images, normalised=True),
                spatial_frequency(mean),
            )
        )
    # Means over all 20 pairs, by an implementation of its own: 0.564, 0.869, 11.6; these are 13.
    np.testing.assert_allclose(np.mean(figures, axis=0), [0.564, 0.869, 11.6], rtol=0.12)
