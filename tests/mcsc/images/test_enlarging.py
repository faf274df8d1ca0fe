"""Super-resolution's geometry: factors from sizes, enlarging with holes, back-projection."""

from __future__ import annotations

import numpy as np
import pytest

from mcsc.images import imresize
from mcsc.images.enlarging import back_project, enlarge, find_factor, is_sharp
from mcsc.images.resize import resize_known
from mcsc.synthetic import make_pair


def rng(seed=0):
    return np.random.default_rng(seed)


# -------------------------------------------------------------------------------- factors
@pytest.mark.parametrize(
    ("small", "large", "factor"),
    [
        ((32, 32), (32, 32), 1),
        ((24, 32), (96, 128), 4),
        ((25, 33), (97, 130), 4),  # rounded up
        ((24, 32), (97, 130), 4),  # rounded down
        ((13, 12), (193, 190), 16),  # 15 would be nearer to the ratio of the heights
        ((48, 61), (193, 245), 4),  # neither: cut off on one side
        ((1, 1), (5, 5), 5),
        ((480, 640), (1500, 2000), 3.125),
        ((225, 400), (720, 1280), 3.2),
        ((32, 32), (48, 48), 1.5),
        ((90, 91), (99, 100), 1.1),
    ],
)
def test_sizes_tell_the_factor(small, large, factor):
    found = find_factor(small, large)
    assert found == factor
    assert isinstance(found, int) == (factor == int(factor))
    if factor > 1:
        assert find_factor(small, large, factor=factor) == factor


def test_where_sizes_leave_a_choice_the_usual_factor_is_taken():
    assert find_factor((2, 2), (7, 7)) == 4
    assert find_factor((2, 2), (9, 9), usual=4) == 5  # 4 would make three
    assert find_factor((3, 3), (13, 13), usual=5) == 5
    assert find_factor((3, 3), (13, 13), usual=9) == 5


@pytest.mark.parametrize(
    ("small", "large", "options", "message"),
    [
        ((64, 64), (32, 32), {}, "d.png is 64 x 64, c.png is 32 x 32: want c.png as large, or lar"),
        ((32, 32), (64, 96), {}, "want c.png as large, or larger by one factor on both axes"),
        ((32, 32), (48, 50), {}, "larger by one factor"),
        ((100, 100), (104, 104), {}, "larger by one factor"),
        ((24, 24), (96, 96), {"factor": 2.5}, "that is not 2.5 times as large"),
        ((24, 24), (96, 96), {"factor": 3}, "d.png is 24 x 24, c.png is 96 x 96: that is not 3 ti"),
        ((24, 24), (96, 96), {"factor": 1}, "factor must be a number > 1, found 1"),
        ((24, 24), (96, 96), {"factor": "4"}, "factor must be a finite number > 0, found '4'"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_by_name(small, large, options, message):
    with pytest.raises(ValueError, match=message):
        find_factor(small, large, names=("d.png", "c.png"), **options)


# ---------------------------------------------------------------------------------- holes
@pytest.mark.parametrize("shape", [(80, 60), (160, 120), (10, 8)])
def test_a_constant_with_holes_stays_constant(shape):
    mask = rng().random((1, 20, 15)) > 0.4
    image = np.where(mask, 0.3, np.nan)
    found, weights = resize_known(image, mask, shape)
    assert found.shape == weights.shape == (1, *shape)
    np.testing.assert_allclose(found[weights > 0], 0.3, atol=1e-6)
    assert not found[weights == 0].any()
    assert 0.2 < weights.mean() < 0.9


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_holes_lie_where_they_lay_and_known_pixels_do_not_change_with_them(factor):
    image = rng().random((2, 12, 14)).astype("f4")
    mask = np.ones((1, 12, 14), bool)
    mask[:, 4:7, 5:9] = False
    shape = (12 * factor, 14 * factor)
    found, weights = resize_known(image, mask, shape)
    wanted = np.broadcast_to(mask.repeat(factor, 1).repeat(factor, 2), weights.shape)
    np.testing.assert_array_equal(weights > 0, wanted)
    other = np.where(mask, image, 1e6)
    np.testing.assert_array_equal(resize_known(other, mask, shape)[0], found)
    # Away from the hole it is the plain one.
    plain = imresize(image, shape)
    np.testing.assert_allclose(found[:, : 2 * factor], plain[:, : 2 * factor], atol=1e-6)
    assert found.dtype == np.float32


def test_values_are_bounded_whatever_the_holes():
    """Negative lobes could leave a weight of nothing to divide by."""
    for seed in range(20):
        mask = rng(seed).random((1, 16, 16)) > rng(seed).uniform(0.1, 0.95)
        if mask.any():
            found, _ = resize_known(rng(seed).random((1, 16, 16)), mask, (80, 80))
            assert -1 < found.min() < found.max() < 2


def test_weights_between_are_kept():
    weights = rng().random((1, 6, 6))
    found, mask = enlarge(np.ones((1, 6, 6)), (12, 12), weights)
    np.testing.assert_array_equal(mask, weights.repeat(2, 1).repeat(2, 2))
    np.testing.assert_allclose(found, 1, atol=1e-6)
    assert enlarge(np.ones((1, 6, 6)), (12, 12))[1] is None


# ------------------------------------------------------------------------- back-projection
def test_the_known_image_is_honoured():
    target = make_pair("depth", 3, (64, 64)).target
    small = imresize(target, 0.25)
    x = imresize(small, (64, 64))
    blurred = x + 0.1 * rng().standard_normal(x.shape).astype("f4")
    found = back_project(blurred, x, (16, 16))
    before, after = (np.abs(imresize(z, (16, 16)) - small).max() for z in (blurred, found))
    assert after < 0.1 * before


def test_back_projection_leaves_holes_alone_and_takes_nothing_from_them():
    target = make_pair("depth", 3, (64, 64)).target
    small = imresize(target, 0.25)
    mask = np.ones((1, 16, 16))
    mask[:, 5:9, 6:11] = 0
    x, weights = enlarge(np.where(mask > 0, small, np.nan), (64, 64), mask)
    z = x + np.float32(0.05)
    z[weights == 0] = 9.0
    found = back_project(z, x, (16, 16), weights)
    assert (found[weights == 0] == 9.0).all()
    known = weights > 0
    errors = [np.abs(resize_known(i, weights, (16, 16))[0] - small)[mask > 0] for i in (x, found)]
    assert errors[1].mean() < 0.1 * errors[0].mean()
    assert errors[1].max() < 0.2 * errors[0].max()
    full = np.ones_like(x)
    np.testing.assert_allclose(
        back_project(z, x, (16, 16), full), back_project(z, x, (16, 16)), atol=1e-5
    )
    other = z.copy()
    other[weights == 0] = -3.0
    np.testing.assert_array_equal(back_project(other, x, (16, 16), weights)[known], found[known])


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("factor", [1.5, 2, 4])
def test_what_no_enlarged_image_can_have_is_not_added(factor, holes):
    small, shape = (20, 24), (round(20 * factor), round(24 * factor))
    known = np.ones((1, *small))
    known[:, 5:9, 6:11] = 0 if holes else 1
    x, weights = enlarge(imresize(rng().random((1, 10, 12)), small), shape, known)
    noise = 0.01 * rng(1).standard_normal(x.shape)
    clean, found = (back_project(x, i, small, weights) for i in (x, x + noise))
    changed = (found - clean)[weights > 0]
    # Of the squares of white noise enlarging can have made one part in factor^2; reducing averages,
    # so of that somewhat more is asked for.
    assert changed.std() < 1.8 * noise.std() / factor
    rounded = np.round(255 * x) / 255
    changed = (back_project(x, rounded, small, weights) - clean)[weights > 0]
    assert changed.std() < 1.8 * (rounded - x).std() / factor


@pytest.mark.parametrize("factor", [2, 4])
def test_sharp_images_are_told_from_enlarged_ones(factor):
    for number in range(3):
        sharp = make_pair("depth", number, (64, 64), 50).target
        small = imresize(sharp, tuple(n // factor for n in sharp.shape[1:]))
        assert is_sharp(sharp, factor)
        assert not is_sharp(imresize(small, sharp.shape[1:]), factor)
    assert not is_sharp(np.full((1, 16, 16), 0.5), factor)
