from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import skimage.data

from mcsc.images import imresize, motorcycle, read_image
from mcsc.images.registration import CONFIDENT, align, displacement, estimate_shift
from tests.paths import SHARED

DATA = SHARED / "data"
SHIFTS = [(0.0, 0.0), (3.0, -5.0), (0.5, 0.25), (-2.3, 7.6), (-20.4, 13.7)]


def photograph():
    return skimage.data.camera()[60:360, 60:340] / 255


def views(shift, change=lambda image: image):
    """Two parts of one photograph, the second of another kind, off by `shift`."""
    scene = photograph()
    moved = scipy.ndimage.shift(scene, [-s for s in shift], order=5, mode="reflect")
    inner = slice(30, -30)
    return scene[inner, inner], change(moved)[inner, inner]


def noisy(image):
    return image + 0.05 * np.random.default_rng(0).standard_normal(image.shape)


KINDS = {
    "same": lambda image: image,
    "inverted": lambda image: 1 - image,
    "darker": lambda image: 0.3 * image**2,
    "blurred": lambda image: scipy.ndimage.gaussian_filter(image, 1.5),
    "folded": lambda image: np.abs(image - 0.5),
    "noisy": noisy,
}


# --------------------------------------------------------------------------- estimate_shift
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shift", SHIFTS)
def test_known_shifts_are_found_to_a_tenth_of_a_pixel(kind, shift):
    x, y = views(shift, KINDS[kind])
    rows, columns, confidence = estimate_shift(x, y)
    np.testing.assert_allclose((rows, columns), shift, rtol=0, atol=0.1)
    assert confidence > CONFIDENT


def test_swapping_the_images_turns_the_shift_round():
    x, y = views((-2.3, 7.6), KINDS["inverted"])
    forth, back = estimate_shift(x, y), estimate_shift(y, x)
    np.testing.assert_allclose(forth[:2], [-back.rows, -back.columns], rtol=0, atol=0.051)
    assert forth.confidence == pytest.approx(back.confidence, abs=0.05)


def test_channels_are_compared_by_their_luma():
    colour = skimage.data.astronaut()[:300, 100:400].transpose(2, 0, 1) / 255
    x, y = colour[:, 20:276, 20:276], colour[2, 24:280, 17:273]
    rows, columns, confidence = estimate_shift(x.astype(np.float32), y[None])
    np.testing.assert_allclose((rows, columns), (4, -3), rtol=0, atol=0.15)
    assert confidence > CONFIDENT


@pytest.mark.parametrize("seed", range(5))
def test_pictures_without_anything_in_common_are_not_distinct(seed):
    rng = np.random.default_rng(seed)
    noise = [scipy.ndimage.gaussian_filter(rng.random((120, 130)), 1.5) for _ in range(2)]
    assert estimate_shift(*noise).confidence < CONFIDENT


def test_a_texture_that_repeats_is_not_distinct():
    rows, columns = np.indices((160, 160))
    texture = np.sin(2 * np.pi * rows / 16) * np.sin(2 * np.pi * columns / 16) / 2 + 0.5
    assert estimate_shift(texture, np.roll(texture, 3, axis=1)).confidence < CONFIDENT


@pytest.mark.parametrize("flat", [np.zeros((64, 48)), np.full((64, 48), 0.3)])
def test_constants_have_no_shift(flat):
    noise = np.random.default_rng(0).random((64, 48))
    assert estimate_shift(flat, flat) == (0, 0, 0)
    assert estimate_shift(flat, noise) == (0, 0, 0)
    assert estimate_shift(noise, flat) == (0, 0, 0)


def test_registered_depth_and_photograph_are_found_registered():
    pair = motorcycle(size=(100, 200, 256, 256))
    rows, columns, confidence = estimate_shift(pair.x, pair.guide_rgb)
    assert np.hypot(rows, columns) < 3 or confidence < CONFIDENT


# --------------------------------------------------------------------------- align
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shift", [(0.5, 0.25), (-2.3, 7.6)])
def test_align_moves_an_image_onto_another(dtype, shift):
    reference, moving = (image.astype(dtype) for image in views(shift))
    moving.flags.writeable = False
    result = align(moving, reference)
    assert result.image.dtype == dtype
    assert result.image.shape == moving.shape
    np.testing.assert_allclose(result.shift, shift, rtol=0, atol=0.1)
    assert result.flow_magnitude == 0
    inner = slice(12, -12)
    before = np.abs(moving - reference)[inner, inner].mean()
    after = np.abs(result.image - reference)[inner, inner].mean()
    assert after < 0.4 * before
    assert result.image.min() >= moving.min()
    assert result.image.max() <= moving.max()
    rows, columns = result.shift
    assert f"moved by {rows:+.2f} rows and {columns:+.2f} columns" in result.description


def test_align_moves_all_channels_alike():
    reference, moving = views((3.0, -5.0))
    colour = np.stack([moving, 1 - moving, moving**2])
    result = align(colour, reference)
    np.testing.assert_allclose(result.shift, (3, -5), rtol=0, atol=0.1)
    np.testing.assert_allclose(result.image[1], 1 - result.image[0], rtol=0, atol=1e-6)


def test_align_leaves_an_image_alone_when_no_shift_is_distinct():
    moving, reference = np.random.default_rng(0).random((2, 64, 64))
    result = align(moving, reference)
    np.testing.assert_array_equal(result.image, moving)
    assert result.image is not moving
    assert result.shift == (0, 0)
    assert "not moved" in result.description


@pytest.mark.parametrize("kind", ["same", "inverted", "darker"])
def test_flow_follows_a_smooth_deformation(kind):
    scene = photograph()
    rows, columns = np.indices(scene.shape)
    wave = 2.5 * np.sin(2 * np.pi * rows / 150) * np.cos(2 * np.pi * columns / 170)
    warped = scipy.ndimage.map_coordinates(scene, [rows + wave, columns - wave], order=3)
    inner = slice(30, -30)
    reference, target = warped[inner, inner], scene[inner, inner]
    moving = KINDS[kind](target)
    result = align(moving, reference, flow=True)
    wanted = KINDS[kind](reference)

    def error(image):
        return np.abs(image - wanted)[10:-10, 10:-10].mean()

    assert error(result.image) < 0.6 * error(align(moving, reference).image)
    assert 0.7 < result.flow_magnitude < 2.5
    assert f"optical flow, {result.flow_magnitude:.2f} pixels on average" in result.description


# --------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("call", "a", "b"), [(estimate_shift, "x", "y"), (align, "moving", "reference")]
)
def test_refuses_bad_images(call, a, b):
    x = photograph()
    with pytest.raises(TypeError, match=f"{a} must be a NumPy array of floats, found uint8"):
        call((255 * x).astype(np.uint8), x)
    with pytest.raises(ValueError, match=f"{b} holds NaN or Inf"):
        call(x, x * np.nan)
    with pytest.raises(ValueError, match=r"has shape \(31, 280\); want at least 32 x 32"):
        call(x[:31], x[:31])


def test_refuses_images_of_two_sizes_and_says_who_is_meant():
    x = photograph()
    with pytest.raises(ValueError, match=r"has shape .* want one height and width"):
        estimate_shift(x, x.T)
    with pytest.raises(ValueError, match=r"b\.png has shape \(20, 280\); want at least 32 x 32"):
        align(x[:20], x[:20], names=("b.png", "b.png"))
    with pytest.raises(ValueError, match=r"b\.png holds NaN or Inf"):
        align(x, x * np.nan, names=("a.png", "b.png"))
    with pytest.raises(ValueError, match=r"a\.png holds NaN or Inf"):
        displacement(x * np.nan, x, names=("a.png", "b.png"))


# --------------------------------------------------------------------------- bands, sizes
@pytest.mark.parametrize("bands", [2, 4, 5, 31])
def test_any_number_of_bands_is_compared_by_their_mean(bands):
    x, y = views((3.0, -5.0))
    share = np.linspace(0.2, 1, bands)[:, None, None]
    found = estimate_shift(share * x, y)
    np.testing.assert_allclose(found[:2], (3, -5), rtol=0, atol=0.1)
    shift = displacement(share * x, y)
    np.testing.assert_allclose(shift[:2], (3, -5), rtol=0, atol=0.1)
    result = align(share * y, x)
    assert result.image.shape == (bands, *x.shape)
    np.testing.assert_allclose(result.shift, (3, -5), rtol=0, atol=0.1)


def test_what_is_registered_unclear_or_small_is_not_displaced():
    x, y = views((1.0, -2.0))
    assert displacement(x, y) is None
    assert displacement(*np.random.default_rng(0).random((2, 64, 64))) is None
    x, y = views((3.0, -5.0))
    assert displacement(x, y) is not None
    assert displacement(x[:31], y[:31]) is None
    assert displacement(x[:1, :1], y[:1, :1]) is None


def test_images_of_two_sizes_are_compared_on_the_larger_grid():
    x, y = views((8.0, -12.0))
    small = imresize(y, 0.25)
    shift = displacement(x, small)
    np.testing.assert_allclose(shift[:2], (8, -12), rtol=0, atol=0.5)
    result = align(small, x)
    assert result.image.shape == x.shape
    np.testing.assert_allclose(result.shift, (8, -12), rtol=0, atol=0.5)
    assert result.description.startswith("resized from 60 x 55 to 240 x 220, moved by +")


# --------------------------------------------------------------------------- real images
@pytest.mark.parametrize(
    ("folder", "first", "second"),
    [
        ("depth_sr", "cones_rgb", "cones_depth"),
        ("flash_denoise", "mid01_ambient", "mid01_flash"),
        ("medical", "mr01_t1", "mr01_t2"),
    ],
)
def test_registered_pairs_of_two_modalities_raise_no_alarm(folder, first, second):
    path = DATA / folder / f"{first}.png"
    if not path.is_file():
        pytest.skip(f"no test images beside the repository ({path} is not there)")
    x, y = (read_image(p).pixels for p in (path, path.with_name(f"{second}.png")))
    rows, columns, confidence = estimate_shift(x, y)
    assert np.hypot(rows, columns) < 3 or confidence < CONFIDENT
