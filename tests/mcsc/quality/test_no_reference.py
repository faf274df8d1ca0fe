"""Measures of fused images; what all have in common is tested here, MEF-SSIM's included."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.ndimage

from mcsc.images import read_image
from mcsc.quality.mef_ssim import mef_ssim
from mcsc.quality.no_reference import entropy, mutual_information, qabf, spatial_frequency
from tests.mcsc.quality.photographs import photograph, sources
from tests.paths import SHARED

DATA = SHARED / "data"
FUSION = [qabf, mutual_information, mef_ssim]
# The paper's sigmoids at equal strength and orientation.
QABF_MOST = 0.9994 / (1 + math.exp(-7.5)) * 0.9879 / (1 + math.exp(-4.4))


def colours(seed=0, shape=(3, 23, 20)):
    return np.random.default_rng(seed).random(shape)


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


def test_spatial_frequency_of_a_known_pattern():
    board = np.indices((6, 8)).sum(axis=0) % 2 * 0.1
    squares = (5 * 8 + 6 * 7) * 0.1**2
    assert spatial_frequency(board, 1) == pytest.approx(math.sqrt(squares / 48), rel=1e-12)
    assert spatial_frequency(board) == pytest.approx(25.5 * math.sqrt(82 / 48), rel=1e-12)
    assert spatial_frequency(np.full((4, 4), 0.3)) == 0


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


@pytest.mark.parametrize("scale", [0, -1.0, math.nan, "255", True])
def test_spatial_frequency_refuses_a_scale_that_is_no_positive_number(scale):
    with pytest.raises(ValueError, match="scale must be a finite number > 0"):
        spatial_frequency(photograph(), scale)


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


@pytest.mark.parametrize("measure", [qabf, mutual_information, mef_ssim])
def test_images_that_are_not_from_zero_to_one_are_refused(measure):
    x, y = sources(2, (40, 48))
    for fused, images, name in ((255 * x, [x, y], "fused"), (x, [x, y + 0.5], r"sources\[1\]")):
        with pytest.raises(ValueError, match=rf"{name} has values from .* in \[0, 1\]: divide by"):
            measure(fused, images)


def slow_qabf_with_black_around(fused, images):
    """As the field's MATLAB code has it: zero padding, arctan of the quotient."""
    kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1.0]])

    def edges(plane):
        across = scipy.ndimage.correlate(plane, kernel, mode="constant")
        down = scipy.ndimage.correlate(plane, kernel.T, mode="constant")
        angle = np.where(across == 0, np.pi / 2, np.arctan(down / np.where(across == 0, 1, across)))
        return np.hypot(across, down), angle

    strength_f, angle_f = edges(fused)
    kept = total = 0.0
    for image in images:
        strength, angle = edges(image)
        largest = np.maximum(strength, strength_f)
        g = np.where(largest > 0, np.minimum(strength, strength_f) / np.maximum(largest, 1e-30), 1)
        a = 1 - np.abs(angle - angle_f) / (np.pi / 2)
        q = 0.9994 / (1 + np.exp(-15 * (g - 0.5))) * 0.9879 / (1 + np.exp(-22 * (a - 0.8)))
        kept, total = kept + (q * strength).sum(), total + strength.sum()
    return kept / total


def test_qabf_with_the_border_of_published_figures():
    x, y = sources(2, (40, 48))
    fused = (x + y) / 2
    found = qabf(fused, [x, y], border="zero")
    assert found == pytest.approx(slow_qabf_with_black_around(fused, [x, y]), abs=1e-3)
    assert found != pytest.approx(qabf(fused, [x, y]), abs=2e-3)
    with pytest.raises(ValueError, match="border must be 'reflect' or 'zero', found 'wrap'"):
        qabf(fused, [x, y], border="wrap")


def test_unknown_pixels_do_not_count():
    x, y = sources(2, (40, 48))
    known = np.ones((40, 48), bool)
    known[:, :10] = False
    for measure in (qabf, mutual_information):
        whole = measure((x + y) / 2, [x, y], mask=known)
        spoilt = np.where(known, (x + y) / 2, 1 - x)
        assert measure(spoilt, [x, y], mask=known) == pytest.approx(whole, rel=1e-9)
        assert measure(spoilt, [x, y]) != pytest.approx(whole, rel=1e-3)
        # Whatever unknown pixels hold: NaN, as most files have it, or values of another unit.
        for anything in (np.nan, np.inf, -9999.0):
            holed = [np.where(known, image, anything) for image in ((x + y) / 2, x, y)]
            assert measure(holed[0], holed[1:], mask=known) == pytest.approx(whole, rel=1e-9)
        with pytest.raises(ValueError, match=r"mask has shape \(48, 40\), the images \(40, 48\)"):
            measure(x, [x, y], mask=known.T)
