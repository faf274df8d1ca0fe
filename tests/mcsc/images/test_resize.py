from __future__ import annotations

import numpy as np
import pytest
import skimage.data

from mcsc.images import degrade, imresize, read_image
from tests.paths import SHARED

DEPTH = SHARED / "data" / "depth_sr"


def photograph(dtype=np.float64):
    return (skimage.data.camera()[100:160, 200:284] / 255).astype(dtype)


def cubic(t):
    t = np.abs(t)
    return np.where(
        t <= 1,
        1.5 * t**3 - 2.5 * t**2 + 1,
        np.where(t < 2, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2, 0),
    )


def matrix(n, m, scale):
    """Keys' kernel at m places of n samples that go on by reflection, one row a place."""
    sigma = min(scale, 1)
    places = (np.arange(m) + 0.5) / scale - 0.5
    result = np.zeros((m, n))
    for j in range(-6 * n, 7 * n):
        k = j % (2 * n)
        result[:, min(k, 2 * n - 1 - k)] += cubic(sigma * (places - j))
    return result / result.sum(1, keepdims=True)


@pytest.mark.parametrize("scale", [0.25, 0.5, 1 / 3, 0.37, 1, 1.7, 2, 4])
def test_scale_agrees_with_the_formula_up_to_the_border(scale):
    image = photograph()
    result = imresize(image, scale)
    height, width = result.shape
    assert height == np.ceil(np.round(scale * 60, 9))
    assert width == np.ceil(np.round(scale * 84, 9))
    expected = matrix(60, height, scale) @ image @ matrix(84, width, scale).T
    # Pillow takes the places of samples in single precision.
    np.testing.assert_allclose(result, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("shape", [(15, 21), (7, 100), (60, 84), (1, 1), (61, 83)])
def test_shape_agrees_with_the_formula(shape):
    image = photograph()
    result = imresize(image, shape)
    expected = matrix(60, shape[0], shape[0] / 60) @ image @ matrix(84, shape[1], shape[1] / 84).T
    assert result.shape == shape
    # Pillow takes the places of samples in single precision.
    np.testing.assert_allclose(result, expected, rtol=0, atol=2e-6)


def test_image_smaller_than_the_kernel():
    image = np.array([[0.0, 1.0, 0.5]])
    expected = matrix(1, 4, 4) @ image @ matrix(3, 12, 4).T
    np.testing.assert_allclose(imresize(image, 4), expected, rtol=0, atol=5e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_planes_are_resized_one_by_one_and_keep_their_type(dtype):
    image = np.stack([photograph(dtype), photograph(dtype)[::-1]])[None]
    image.flags.writeable = False
    result = imresize(image, 0.5)
    assert result.shape == (1, 2, 30, 42)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result[0, 1], imresize(image[0, 1], 0.5))


def test_degrade_keeps_the_size_and_blurs():
    image = photograph(np.float32)
    result = degrade(image, 4)
    assert result.shape == image.shape
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, imresize(imresize(image, 0.25), 4))
    assert 0 < np.abs(np.diff(result)).sum() < 0.8 * np.abs(np.diff(image)).sum()
    np.testing.assert_allclose(degrade(image, 1), image, rtol=0, atol=1e-7)


def test_a_constant_stays_constant():
    np.testing.assert_allclose(degrade(np.full((12, 8), 0.3), 4), 0.3, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("scene", "published"),
    [("ambush", 6.31), ("market", 8.77), ("art", 3.87), ("books", 1.56), ("moebius", 1.33)],
)
def test_bicubic_error_on_the_test_scenes(scene, published):
    path = DEPTH / f"{scene}_depth.png"
    if not path.exists():
        pytest.skip(f"needs {path.name} of the shared test data")
    depth = read_image(path).pixels
    rmse = 255 * np.sqrt(np.mean((degrade(depth, 4) - depth) ** 2))
    assert rmse == pytest.approx(published, abs=0.015)


@pytest.mark.parametrize("scale", [0, -1.0, np.inf, np.nan, "4", True, None])
def test_refused_scale(scale):
    with pytest.raises(ValueError, match="scale must be a positive number"):
        imresize(photograph(), scale)


@pytest.mark.parametrize("shape", [(4,), (4, 0), (4.0, 4), (4, True), (4, 4, 4)])
def test_refused_shape(shape):
    with pytest.raises(ValueError, match="shape must be two positive integers"):
        imresize(photograph(), shape)


@pytest.mark.parametrize("factor", [0, -2, 2.0, True, None])
def test_refused_factor(factor):
    with pytest.raises(ValueError, match="factor must be a whole number >= 1, found"):
        degrade(photograph(), factor)


def test_factor_must_leave_something():
    with pytest.raises(ValueError, match="factor 61 would leave nothing of an image of 60 x 84 pi"):
        degrade(photograph(), 61)


def test_factor_must_divide():
    with pytest.raises(
        ValueError, match="factor 8 does not divide the image of 60 x 84 pixels; crop it to 56 x 80"
    ):
        degrade(photograph(), 8)


@pytest.mark.parametrize("function", [imresize, degrade])
def test_refused_images(function):
    with pytest.raises(TypeError, match="floats, found uint8"):
        function(np.zeros((4, 4), np.uint8), 2)
    with pytest.raises(TypeError, match="floats, found list"):
        function([[0.0]], 2)
    with pytest.raises(ValueError, match=r"shape \(4,\); want \(H, W\)"):
        function(np.zeros(4), 2)
    with pytest.raises(ValueError, match="not empty"):
        function(np.zeros((0, 4)), 2)
    with pytest.raises(ValueError, match="NaN or Inf"):
        function(np.full((4, 4), np.nan), 2)
