from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import skimage.data

from mcsc.baselines.bilateral import joint_bilateral
from mcsc.baselines.guided import guided_filter
from mcsc.quality.full_reference import rmse

FILTERS = [guided_filter, joint_bilateral]


def colour(shape=(13, 17), dtype=np.float64):
    image = skimage.data.astronaut()[60 : 60 + shape[0], 200 : 200 + shape[1]]
    return (image.transpose(2, 0, 1) / 255).astype(dtype)


def noise(shape, seed=0):
    return np.random.default_rng(seed).random(shape)


def slow_guided(x, g, radius, eps):
    """Every window on its own, cut off at the border; x (C, H, W), g (C_g, H, W)."""
    _, height, width = x.shape

    def window(i, j):
        rows = slice(max(i - radius, 0), i + radius + 1)
        return rows, slice(max(j - radius, 0), j + radius + 1)

    a = np.zeros((height, width, len(x), len(g)))
    b = np.zeros((height, width, len(x)))
    for i, j in itertools.product(range(height), range(width)):
        xs = x[:, *window(i, j)].reshape(len(x), -1)
        gs = g[:, *window(i, j)].reshape(len(g), -1)
        dx, dg = xs - xs.mean(1, keepdims=True), gs - gs.mean(1, keepdims=True)
        sigma = dg @ dg.T / dg.shape[1] + eps * np.eye(len(g))
        a[i, j] = dx @ dg.T / dg.shape[1] @ np.linalg.inv(sigma)
        b[i, j] = xs.mean(1) - a[i, j] @ gs.mean(1)
    z = np.zeros_like(x)
    for i, j in itertools.product(range(height), range(width)):
        z[:, i, j] = a[window(i, j)].mean((0, 1)) @ g[:, i, j] + b[window(i, j)].mean((0, 1))
    return z


@pytest.mark.parametrize("guide_channels", [1, 3])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("radius", [1, 3, 20])
def test_guided_filter_is_the_written_formula(channels, guide_channels, radius):
    x, g = noise((channels, 13, 17)), colour()[:guide_channels]
    expected = slow_guided(x, g, radius, 0.01)
    np.testing.assert_allclose(guided_filter(x, g, radius, 0.01), expected, rtol=0, atol=1e-10)


def test_guided_filter_keeps_what_is_affine_in_the_guide():
    g = colour((40, 50))
    x = np.stack([0.3 * g[0] - 0.2 * g[1] + 0.5 * g[2] + 0.1, 1 - g[1]])
    np.testing.assert_allclose(guided_filter(x, g, 4, 1e-12), x, rtol=0, atol=1e-6)
    # A grey guide cannot tell what the colours do.
    assert np.abs(guided_filter(x, g[:1], 4, 1e-12) - x).max() > 0.02


def slow_bilateral(x, g, sigma_space, sigma_range):
    radius = math.ceil(2 * sigma_space)
    pixels = list(itertools.product(*map(range, x.shape[1:])))
    z = np.zeros_like(x)
    for i, j in pixels:
        total = 0.0
        for k, m in pixels:
            if max(abs(i - k), abs(j - m)) <= radius:
                near = ((i - k) ** 2 + (j - m) ** 2) / (2 * sigma_space**2)
                alike = np.sum((g[:, i, j] - g[:, k, m]) ** 2) / (2 * sigma_range**2)
                z[:, i, j] += math.exp(-near - alike) * x[:, k, m]
                total += math.exp(-near - alike)
        z[:, i, j] /= total
    return z


@pytest.mark.parametrize("guide_channels", [1, 3])
@pytest.mark.parametrize("sigma_space", [0.4, 1.2, 9.0])
def test_joint_bilateral_is_the_written_formula(guide_channels, sigma_space):
    x, g = noise((2, 6, 9)), colour((6, 9))[:guide_channels]
    found = joint_bilateral(x, g, sigma_space, 0.15)
    np.testing.assert_allclose(found, slow_bilateral(x, g, sigma_space, 0.15), rtol=0, atol=1e-12)


def test_joint_bilateral_does_not_mix_across_edges_of_the_guide():
    guide = np.repeat([[0.0, 1.0]], 10, axis=1) * np.ones((12, 1))
    x = guide + 0.1 * noise((12, 20))
    z = joint_bilateral(x, guide, 3, 0.01)
    assert z[:, :10].max() < 0.1
    assert z[:, 10:].min() > 1
    assert z[:, :10].std() < 0.3 * x[:, :10].std()


@pytest.mark.parametrize("restore", FILTERS)
def test_a_guide_takes_noise_away(restore):
    guide = colour((90, 100))
    ambient = 0.5 * guide[::-1] ** 1.5
    noisy = ambient + 0.1 * np.random.default_rng(0).standard_normal(ambient.shape)
    assert rmse(restore(noisy, guide), ambient) < 0.6 * rmse(noisy, ambient)


@pytest.mark.parametrize("restore", FILTERS)
@pytest.mark.parametrize("shape", [(13, 17), (1, 13, 17), (3, 13, 17)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_result_has_the_shape_and_dtype_of_the_image(restore, shape, dtype):
    image, guide = noise(shape).astype(dtype), colour()
    image.flags.writeable = guide.flags.writeable = False
    result = restore(image, guide)
    assert result.shape == shape
    assert result.dtype == dtype
    exact = restore(image.astype(np.float64), guide)
    np.testing.assert_allclose(result, exact, rtol=0, atol=1e-6)
    parts = np.stack([restore(plane, guide) for plane in image.reshape(-1, 13, 17)])
    np.testing.assert_allclose(result.reshape(parts.shape), parts, rtol=0, atol=1e-6)


@pytest.mark.parametrize("restore", FILTERS)
def test_a_constant_stays_constant(restore):
    flat = np.full((3, 13, 17), 0.3)
    np.testing.assert_allclose(restore(flat, colour()), flat, rtol=0, atol=1e-12)
    np.testing.assert_allclose(restore(flat, flat[:1]), flat, rtol=0, atol=1e-12)
    one = np.full((1, 1), 0.25)
    np.testing.assert_allclose(restore(one, one), one, rtol=0, atol=1e-12)


@pytest.mark.parametrize("restore", FILTERS)
def test_refuses_bad_images(restore):
    x = noise((13, 17))
    with pytest.raises(TypeError, match="image must be a NumPy array of floats, found int"):
        restore(x.astype(int), x)
    with pytest.raises(TypeError, match="guide must be a NumPy array of floats, found list"):
        restore(x, x.tolist())
    with pytest.raises(ValueError, match=r"guide has shape \(17, 13\), image \(13, 17\)"):
        restore(x, x.T)
    with pytest.raises(ValueError, match="guide holds NaN or Inf"):
        restore(x, np.full_like(x, np.inf))
    with pytest.raises(ValueError, match=r"shape \(1, 1, 13, 17\); want"):
        restore(x[None, None], x)


@pytest.mark.parametrize("radius", [0, -1, 2.0, True, None])
def test_guided_filter_refuses_other_radii(radius):
    x = noise((13, 17))
    with pytest.raises(ValueError, match="radius must be a whole number >= 1, found"):
        guided_filter(x, x, radius)


@pytest.mark.parametrize("given", [0, -1, math.nan, math.inf, "1", True])
def test_refuses_parameters_that_are_not_positive(given):
    x = noise((13, 17))
    with pytest.raises(ValueError, match="eps must be a finite number > 0"):
        guided_filter(x, x, 2, given)
    with pytest.raises(ValueError, match="sigma_space must be a finite number > 0"):
        joint_bilateral(x, x, given)
    with pytest.raises(ValueError, match="sigma_range must be a finite number > 0"):
        joint_bilateral(x, x, 2, given)
