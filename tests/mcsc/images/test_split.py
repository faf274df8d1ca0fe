from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
import scipy.sparse.linalg
import skimage.data

from mcsc.images import fill_holes, lowpass_split
from mcsc.images.split import fill_nearest


def photograph(dtype=np.float64):
    return (skimage.data.camera()[100:140, 200:253] / 255).astype(dtype)


def holes(shape=(40, 53)):
    mask = np.ones(shape)
    mask[5:17, 20:31] = 0
    mask[:, 50:] = 0
    mask[np.random.default_rng(3).random(shape) < 0.1] = 0
    return mask


def laplacian(height, width):
    def chain(n):
        if n == 1:
            return scipy.sparse.csr_array((1, 1))
        ones = np.ones(n - 1)
        d = scipy.sparse.diags_array([-ones, ones], offsets=[0, 1], shape=(n - 1, n))
        return d.T @ d

    eye = scipy.sparse.eye_array
    return scipy.sparse.kron(chain(height), eye(width)) + scipy.sparse.kron(
        eye(height), chain(width)
    )


def direct(image, strength, weight):
    """The normal equations by sparse elimination."""
    squared = (weight**2).ravel()
    system = scipy.sparse.diags_array(squared) + strength * laplacian(*image.shape)
    low = scipy.sparse.linalg.spsolve(system.tocsc(), squared * image.ravel())
    return low.reshape(image.shape)


@pytest.mark.parametrize("strength", [0.1, 5.0, 300.0])
@pytest.mark.parametrize(("dtype", "tol"), [(np.float32, 1e-6), (np.float64, 1e-13)])
def test_low_solves_the_normal_equations(strength, dtype, tol):
    image = photograph(dtype)
    low, high = lowpass_split(image, strength)
    assert low.dtype == high.dtype == dtype
    expected = direct(photograph(), strength, np.ones(image.shape))
    np.testing.assert_allclose(low, expected, rtol=0, atol=tol)
    np.testing.assert_allclose(low + high, image, rtol=0, atol=np.finfo(dtype).eps)


@pytest.mark.parametrize("strength", [0.1, 5.0, 300.0])
@pytest.mark.parametrize(("dtype", "tol"), [(np.float32, 1e-6), (np.float64, 1e-8)])
def test_masked_low_solves_the_weighted_normal_equations(strength, dtype, tol):
    image, mask = photograph(dtype), holes()
    weight = mask * np.random.default_rng(4).uniform(0.5, 2, mask.shape)
    low, high = lowpass_split(image, strength, weight)
    assert low.dtype == high.dtype == dtype
    expected = direct(photograph(), strength, weight)
    np.testing.assert_allclose(low, expected, rtol=0, atol=tol)
    known = mask > 0
    np.testing.assert_allclose((low + high)[known], image[known], rtol=0, atol=np.finfo(dtype).eps)
    assert (high[~known] == 0).all()


def test_low_minimises_the_written_objective():
    image, mask = photograph()[:7, :9], holes()[3:10, 18:27]

    def objective(low):
        low = low.reshape(image.shape)
        fidelity = np.sum((mask * (low - image)) ** 2)
        smoothness = np.sum(np.diff(low, axis=0) ** 2) + np.sum(np.diff(low, axis=1) ** 2)
        return 0.5 * fidelity + 2.5 * smoothness

    low = lowpass_split(image, 5.0, mask).low
    found = scipy.optimize.minimize(objective, np.zeros(image.size), options={"gtol": 1e-8})
    assert objective(low) <= found.fun
    np.testing.assert_allclose(low.ravel(), found.x, rtol=0, atol=1e-5)


def test_values_in_holes_do_not_matter():
    image, mask = photograph(), holes()
    changed = np.where(mask == 0, np.nan, image)
    changed[10, 25] = np.inf
    low, high = lowpass_split(changed, mask=mask == 1)
    expected = lowpass_split(image, mask=mask)
    np.testing.assert_array_equal(low, expected.low)
    np.testing.assert_array_equal(high, expected.high)


def test_a_mask_without_holes_changes_nothing():
    image = photograph()
    expected = lowpass_split(image).low
    np.testing.assert_allclose(
        lowpass_split(image, mask=np.ones((40, 53))).low, expected, rtol=0, atol=1e-14
    )
    np.testing.assert_allclose(
        lowpass_split(image, 5.0 * 4, mask=np.full((40, 53), 2.0)).low, expected, rtol=0, atol=1e-14
    )


def test_borders_do_not_wrap_around():
    image = np.zeros((20, 30))
    image[:, 15:] = 1
    low = lowpass_split(image).low
    assert low[:, 0].max() < 0.02
    assert low[:, -1].min() > 0.98


def test_constants_are_low_and_strength_orders_the_detail():
    np.testing.assert_allclose(lowpass_split(np.full((9, 7), 0.3)).high, 0, atol=1e-15)
    image = photograph()
    norms = [np.linalg.norm(lowpass_split(image, s).high) for s in (0, 0.5, 5, 50)]
    assert norms[0] == pytest.approx(0, abs=1e-12)
    assert norms[1] < norms[2] < norms[3]


@pytest.mark.parametrize("masked", [False, True])
def test_planes_are_split_one_by_one(masked):
    image = np.stack([photograph(), photograph()[::-1]])[:, None]
    image.flags.writeable = False
    # One mask for both: the second plane is the first upside down.
    mask = np.minimum(holes(), holes()[::-1]) if masked else None
    low, _ = lowpass_split(image, mask=mask)
    assert low.shape == (2, 1, 40, 53)
    np.testing.assert_allclose(low[1, 0], low[0, 0, ::-1], rtol=0, atol=1e-8)


def test_a_single_row():
    image = photograph()[:1]
    np.testing.assert_allclose(
        lowpass_split(image).low, direct(image, 5.0, np.ones_like(image)), rtol=0, atol=1e-13
    )


def test_unfinished_iterations_warn(monkeypatch):
    monkeypatch.setattr("mcsc.images.split._MAX_ITER", 2)
    with pytest.warns(RuntimeWarning, match="stopped after 2 iterations"):
        lowpass_split(photograph(), mask=holes())


def test_refused_images():
    with pytest.raises(TypeError, match="floats, found uint8"):
        lowpass_split(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match=r"shape \(4,\); want \(H, W\)"):
        lowpass_split(np.zeros(4))
    with pytest.raises(ValueError, match="not empty"):
        lowpass_split(np.zeros((4, 0)))
    with pytest.raises(ValueError, match="image holds NaN or Inf; give a mask"):
        lowpass_split(np.full((4, 4), np.nan))
    with pytest.raises(ValueError, match="NaN or Inf where mask is not 0"):
        lowpass_split(np.full((4, 4), np.nan), mask=np.ones((4, 4)))


@pytest.mark.parametrize("strength", [-1, np.nan, np.inf, "5", None])
def test_refused_strength(strength):
    with pytest.raises(ValueError, match="strength must be a finite number >= 0, found"):
        lowpass_split(photograph(), strength)


def test_holes_need_some_strength():
    with pytest.raises(ValueError, match="strength is 0, so holes cannot be filled"):
        lowpass_split(photograph(), 0, holes())


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones((53, 40)), r"mask has shape \(53, 40\), image \(40, 53\)"),
        (np.ones((2, 40, 53)), r"mask has shape \(2, 40, 53\), image \(40, 53\)"),
        (-np.ones((40, 53)), "finite and >= 0"),
        (np.full((40, 53), np.nan), "finite and >= 0"),
        (np.zeros((40, 53)), "mask is 0 everywhere: nothing is known there"),
        (np.full((40, 53), "a"), "numbers or booleans"),
    ],
)
def test_refused_masks(mask, message):
    error = TypeError if mask.dtype.kind == "U" else ValueError
    with pytest.raises(error, match=message):
        lowpass_split(photograph(), mask=mask)


def test_holes_are_filled_by_the_smooth_part():
    image, mask = photograph(), holes()
    found = fill_holes(np.where(mask > 0, image, np.nan), mask)
    np.testing.assert_array_equal(found[mask > 0], image[mask > 0])
    low = lowpass_split(image, mask=mask).low
    np.testing.assert_allclose(found[mask == 0], low[mask == 0], atol=1e-12)


def test_holes_are_filled_with_the_nearest_known_pixel():
    image = np.array([[[1.0, 2.0, np.nan, np.nan, 9.0]], [[np.inf, 3.0, 4.0, 5.0, np.nan]]])
    filled = fill_nearest(image, np.isfinite(image))
    np.testing.assert_array_equal(filled, [[[1, 2, 2, 9, 9]], [[3, 3, 4, 5, 5]]])
    assert np.isnan(image[0, 0, 2])
    np.testing.assert_array_equal(fill_nearest(filled, np.ones((1, 1, 5))), filled)
    with pytest.raises(ValueError, match="NaN or Inf where mask is not 0"):
        fill_nearest(image, np.array([True, True, False, True, True]))
    with pytest.raises(ValueError, match="mask is 0 everywhere: nothing is known"):
        fill_nearest(image, np.zeros(5))
    with pytest.raises(ValueError, match="mask is 0 everywhere in band 2 of 2: nothing is known"):
        fill_nearest(image, np.array([np.isfinite(image[0]), np.zeros((1, 5))]))


@pytest.mark.parametrize("use", [lowpass_split, fill_holes, fill_nearest])
def test_masks_that_are_masked_are_refused(use):
    image = np.arange(36.0).reshape(6, 6)
    mask = np.ma.masked_less(np.ones((6, 6)), 2)
    with pytest.raises(TypeError, match="mask is a masked array, whose mask would be lost here"):
        use(image, mask=mask)
