from __future__ import annotations

import numpy as np
import pytest
import skimage.color
import skimage.data

from mcsc.images import luma_full, luma_studio, rgb, ycbcr


def photograph(dtype=np.float64):
    return (skimage.data.astronaut().transpose(2, 0, 1)[:, :64, :96] / 255).astype(dtype)


@pytest.mark.parametrize(("dtype", "tol"), [(np.float32, 1e-6), (np.float64, 1e-12)])
def test_ycbcr_is_that_of_scikit_image(dtype, tol):
    image = photograph(dtype)
    expected = skimage.color.rgb2ycbcr(photograph(), channel_axis=0) / 255
    result = ycbcr(image)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, expected, rtol=0, atol=tol)
    np.testing.assert_array_equal(luma_studio(image), result[:1])


def test_luma_of_black_and_white_is_studio_range():
    black, white = np.zeros((3, 1, 1)), np.ones((3, 1, 1))
    assert luma_studio(black).item() == pytest.approx(16 / 255, abs=1e-15)
    assert luma_studio(white).item() == pytest.approx(235 / 255, abs=1e-15)
    np.testing.assert_allclose(ycbcr(white)[1:], 128 / 255, rtol=0, atol=1e-15)


@pytest.mark.parametrize(("dtype", "tol"), [(np.float32, 1e-6), (np.float64, 1e-14)])
def test_rgb_inverts_ycbcr(dtype, tol):
    image = photograph(dtype)
    image.flags.writeable = False
    back = rgb(ycbcr(image))
    assert back.dtype == dtype
    np.testing.assert_allclose(back, image, rtol=0, atol=tol)
    np.testing.assert_allclose(ycbcr(rgb(image)), image, rtol=0, atol=tol)


def test_batches_are_converted_image_by_image():
    image = photograph()
    batch = np.stack([image, image[:, ::-1]])
    np.testing.assert_array_equal(ycbcr(batch)[1], ycbcr(image[:, ::-1]))
    assert luma_studio(batch).shape == (2, 1, 64, 96)


def test_full_range_luma_is_that_of_matlab():
    image = photograph()
    expected = 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
    np.testing.assert_allclose(luma_full(image)[0], expected, rtol=0, atol=1e-14)
    assert luma_full(photograph(np.float32)).dtype == np.float32
    batch = np.stack([image, image[:, ::-1]])
    np.testing.assert_array_equal(luma_full(batch)[1], luma_full(image[:, ::-1]))


@pytest.mark.parametrize("luma", [luma_full, luma_studio])
def test_a_grey_image_counts_as_one_of_three_equal_channels(luma):
    grey = photograph()[:1]
    np.testing.assert_allclose(luma(grey), luma(np.repeat(grey, 3, axis=0)), rtol=0, atol=1e-15)


def test_a_grey_image_is_its_own_full_range_luma():
    grey = photograph(np.float32)[:1]
    np.testing.assert_array_equal(luma_full(grey), grey)


@pytest.mark.parametrize("function", [luma_full, luma_studio, ycbcr, rgb])
def test_refusals(function):
    with pytest.raises(TypeError, match=r"must be a NumPy array of floats, found uint8"):
        function(np.zeros((3, 4, 4), np.uint8))
    with pytest.raises(TypeError, match="found list"):
        function([[[0.0]]])
    with pytest.raises(ValueError, match=r"has shape \(4, 4, 3\); want \(\.\.\., 3, H, W\)"):
        function(np.zeros((4, 4, 3)))
    with pytest.raises(ValueError, match=r"has shape \(4, 4\)"):
        function(np.zeros((4, 4)))


@pytest.mark.parametrize("function", [ycbcr, rgb])
def test_grey_has_no_chroma(function):
    with pytest.raises(ValueError, match=r"has shape \(1, 4, 4\); want \(\.\.\., 3, H, W\)"):
        function(np.zeros((1, 4, 4)))
