"""Masks by words and by files, as people have them."""

from __future__ import annotations

import imagecodecs
import numpy as np
import PIL.Image
import pytest
import tifffile

from mcsc.images import read_image
from mcsc.values.holes import fill_from_others
from mcsc.values.masks import known_image, mask_of_words, read_mask

RNG = np.random.default_rng(0)
KNOWN = RNG.random((24, 30)) > 0.2
IMAGE = np.where(KNOWN, RNG.integers(40, 200, (24, 30)), 0).astype(np.uint8)


def palette(path, colour):
    image = PIL.Image.fromarray(KNOWN.astype(np.uint8), "P")
    image.putpalette([0, 0, 0, *colour])
    image.save(path)


def png(path, samples):
    path.write_bytes(imagecodecs.png_encode(samples))


KINDS = {
    "u8.png": lambda p: png(p, KNOWN.astype("u1") * 255),
    "u8_0_1.png": lambda p: png(p, KNOWN.astype("u1")),
    "u16_0_1.png": lambda p: png(p, KNOWN.astype("u2")),
    "u16.png": lambda p: png(p, KNOWN.astype("u2") * 65535),
    "labels.png": lambda p: png(p, KNOWN.astype("u1") * 2),
    "labels128.png": lambda p: png(p, KNOWN.astype("u1") * 128),
    "instances.png": lambda p: png(p, np.where(KNOWN, 1 + np.arange(30) % 7, 0).astype("u2")),
    "bit1.png": lambda p: PIL.Image.fromarray(KNOWN).save(p),
    "bool.tif": lambda p: tifffile.imwrite(p, KNOWN),
    "u8_0_1.tif": lambda p: tifffile.imwrite(p, KNOWN.astype("u1")),
    "f0_1.tif": lambda p: tifffile.imwrite(p, KNOWN.astype("f4")),
    "f0_255.tif": lambda p: tifffile.imwrite(p, KNOWN.astype("f4") * 255),
    "rgb.png": lambda p: png(p, np.repeat(KNOWN[..., None].astype("u1") * 255, 3, 2)),
    "white.png": lambda p: palette(p, (255, 255, 255)),
    "voc.png": lambda p: palette(p, (128, 0, 0)),
    "q95.jpg": lambda p: PIL.Image.fromarray(KNOWN.astype("u1") * 255).save(p, quality=95),
}


SILENT = (
    "u8.png", "u16.png", "bit1.png", "bool.tif", "f0_1.tif", "rgb.png", "white.png", "q95.jpg"
)  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_mask_files_are_understood(tmp_path, name):
    KINDS[name](tmp_path / name)
    mask, how = read_mask(tmp_path / name, IMAGE[None], "x.png")
    assert mask.shape == (1, 24, 30)
    wrong = ((mask[0] > 0) != KNOWN).mean()
    assert wrong == 0 if name != "q95.jpg" else wrong < 0.01
    assert (how is None) == (name in SILENT)


def test_grey_values_between_are_weights(tmp_path):
    weights = np.where(KNOWN, RNG.integers(60, 256, KNOWN.shape), 0).astype(np.uint8)
    png(tmp_path / "w.png", weights)
    mask, how = read_mask(tmp_path / "w.png", IMAGE[None], "x.png")
    np.testing.assert_allclose(mask[0], weights / 255, rtol=1e-6)
    assert how is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: png(p, ~KNOWN * np.uint8(255)), "seems to be inverted: x.png is blank where"),
        (lambda p: png(p, KNOWN[:20].astype("u1")), r"is 20 x 30, x.png 24 x 30: want the same"),
        (lambda p: tifffile.imwrite(p, np.where(KNOWN, np.nan, 1).astype("f4")), "holds NaN, Inf"),
        (lambda p: tifffile.imwrite(p, KNOWN - np.float32(0.5)), "or negative weights"),
        (
            lambda p: tifffile.imwrite(p, np.arange(720, dtype="f4").reshape(24, 30)),
            "holds floats up to 719; want weights in",
        ),
        (
            lambda p: png(p, RNG.integers(0, 255, (24, 30, 3), np.uint8)),
            "has 3 channels, x.png 1: want one, or the same number",
        ),
    ],
)
def test_what_is_no_mask_is_refused(tmp_path, make, message):
    make(tmp_path / "m.tif")
    with pytest.raises(ValueError, match=message):
        read_mask(tmp_path / "m.tif", IMAGE[None], "x.png")


def given(tmp_path, image, **options):
    tifffile.imwrite(tmp_path / "x.tif", image, **options)
    return read_image(tmp_path / "x.tif", keep_alpha=True)


def test_words_alone_and_together(tmp_path):
    metres = RNG.uniform(1, 5, (24, 30)).astype("f4")
    metres[0], metres[1], metres[2], metres[3, :5] = 0, np.nan, -9999, np.inf
    image = given(tmp_path, metres, extratags=[(42113, "s", 0, "-9999", True)])

    def unknown(*words):
        return np.flatnonzero((mask_of_words(words, image)[0][0] == 0).all(axis=1)).tolist()

    assert unknown("zeros", "nan") == [0, 1]
    assert unknown("nan") == [1]
    assert unknown("nan", "nodata") == [1, 2]
    assert unknown("nan", "-9999", "zeros") == [0, 1, 2]
    png(tmp_path / "m.png", np.where(np.arange(24)[:, None] > 19, 0, 1).astype("u1").repeat(30, 1))
    assert unknown("nan", str(tmp_path / "m.png")) == [1, 20, 21, 22, 23]
    with pytest.raises(ValueError, match="holds NaN or Inf where --mask zeros says that it is kno"):
        mask_of_words(["zeros"], image)
    assert mask_of_words(["nan"], given(tmp_path, np.ones((4, 4), "f4")))[0] is None
    assert mask_of_words(["nan", "-9999"], image)[1] == []
    assert mask_of_words(["nan", "17"], image)[1] == ["--mask 17: no pixel of x.tif has this value"]


@pytest.mark.parametrize("word", [None, "nodata", "value"])
@pytest.mark.parametrize(
    ("dtype", "bands", "value", "each"),
    [
        ("f4", 4, -9999, True),
        ("f4", 3, -9999, True),
        ("f4", 2, np.nan, True),
        ("i2", 3, -32768, True),
        ("u2", 4, 0, True),
        ("u4", 3, 0, True),
        ("u1", 3, 0, False),
        ("u2", 3, 65535, False),
    ],
)
def test_bands_are_unknown_each_by_itself_and_colours_together(
    tmp_path, dtype, bands, value, each, word
):
    samples = RNG.uniform(1, 200, (bands, 24, 30)).astype(dtype)
    samples[1, :6] = value
    samples[:, 20:] = value
    image = given(
        tmp_path, samples, photometric="minisblack", extratags=[(42113, "s", 0, str(value), True)]
    )
    if word is None:
        told = []
        _, mask = known_image(tmp_path / "x.tif", tell=told.append)
        assert told == [f"x.tif: {value:g} is unknown, as the file says"]
    else:
        mask, _ = mask_of_words([str(value) if word == "value" else word], image)
    if word == "value" and np.isnan(value):  # "nan" is a word: of one band it is of all
        each = False
        known = np.isfinite(samples).all(axis=0, keepdims=True)
    else:
        known = samples != value if each else (samples != value).any(axis=0, keepdims=True)
        known &= ~np.isnan(samples) if each else True
    np.testing.assert_array_equal(mask, known)


def test_a_band_that_is_nothing_but_nodata_is_told_of_with_what_to_do(tmp_path):
    samples = np.arange(4 * 64, dtype=np.uint16).reshape(4, 8, 8) + 1
    samples[3] = 0
    tags = [(42113, "s", 0, "0", True)]
    tifffile.imwrite(tmp_path / "x.tif", samples, extratags=tags, photometric="minisblack")
    message = r"x.tif is 0 everywhere in band 4 of 4, .* as the file says: .* say --mask nan to"
    with pytest.raises(ValueError, match=message):
        known_image(tmp_path / "x.tif")
    image, mask = known_image(tmp_path / "x.tif", ["nan"])
    assert mask is None
    assert len(image.pixels) == 4


def test_words_that_do_not_fit_are_refused(tmp_path):
    image = given(tmp_path, np.zeros((6, 7), "u2"))
    with pytest.raises(ValueError, match=r"--mask nodata: .*x.tif does not say which value is unk"):
        mask_of_words(["nodata"], image)
    with pytest.raises(ValueError, match=r"--mask zeros: no pixel of .*x.tif is known"):
        mask_of_words(["zeros"], image)
    bands = np.ones((3, 6, 7), "f4")
    bands[2] = np.nan
    image = given(tmp_path, bands, photometric="minisblack", planarconfig="separate")
    with pytest.raises(ValueError, match=r"x.tif is known: it is unknown everywhere in band 3 of"):
        mask_of_words(["nan"], image)
    image = given(tmp_path, np.zeros((6, 7), "u2"))
    with pytest.raises(ValueError, match=r"zero: no such file; want .*; did you mean zeros\?"):
        mask_of_words(["zero"], image)
    half = np.zeros((6, 7), "u2")
    half[:, :3] = 7
    image = given(tmp_path, half)
    with pytest.raises(ValueError, match=r"no pixel of .*x.tif is known to zeros and 7"):
        mask_of_words(["zeros", "7"], image)


def test_transparent_pixels_are_unknown(tmp_path):
    rgba = RNG.integers(1, 255, (8, 9, 4), np.uint8)
    rgba[..., 3] = 255
    rgba[:2, :, 3] = 0
    png(tmp_path / "a.png", rgba)
    mask, _ = mask_of_words(["alpha"], read_image(tmp_path / "a.png", keep_alpha=True))
    np.testing.assert_array_equal(mask[0, :, 0] > 0, np.arange(8) > 1)


# --------------------------------------------------------------- holes that other images know
def test_holes_are_filled_from_the_others_without_a_step():
    rng = np.random.default_rng(1)
    other = rng.random((1, 20, 24)).astype("f4")
    dark = 0.5 * other.mean() + 0.5 * other - 0.1
    mask = np.ones((1, 20, 24))
    mask[:, :, :5] = 0
    filled, same = fill_from_others([np.where(mask > 0, other - 0.2, 9), other], [mask, None])
    np.testing.assert_allclose(filled, other - 0.2, atol=1e-5)
    np.testing.assert_array_equal(same, other)
    filled, _ = fill_from_others([np.where(mask > 0, dark, np.nan), other], [mask, None])
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[mask > 0], dark[mask > 0])


def test_what_nobody_knows_is_continued_smoothly():
    flat = np.full((1, 16, 16), 0.5, "f4")
    first, second = np.ones((1, 16, 16)), np.ones((1, 16, 16))
    first[:, :4], second[:, 2:6] = 0, 0
    holed = [np.where(first > 0, flat, np.nan), np.where(second > 0, flat, np.nan)]
    for filled in fill_from_others(holed, [first, second]):
        np.testing.assert_allclose(filled, flat, atol=1e-5)
    nothing = [np.zeros((1, 4, 4), "f4")] * 2
    assert fill_from_others(nothing, [None, None])[0] is nothing[0]
