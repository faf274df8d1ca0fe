"""Kinds of TIFF, JPEG and raw photographs; sizes; kinds that are refused, by name."""

from __future__ import annotations

import struct
import sys
import zlib

import imagecodecs
import numpy as np
import PIL.Image
import pytest
import skimage.data
import tifffile

from mcsc.errors import MissingExtraError, OutOfMemoryError
from mcsc.images import ImageFileError, read_image
from tests.mcsc.images.pictures import chunk, colours, dng, interlaced_png, opened, planes

PICTURE = np.kron(colours(shape=(6, 9, 3)), np.ones((8, 8, 1), np.uint8))


def test_a_reduced_page_is_no_image(tmp_path):
    path = tmp_path / "a.tif"
    deep = PICTURE.astype(np.uint16) * 257
    for number, thumbnail in enumerate(
        ({"subfiletype": 1}, {"subfiletype": 0, "extratags": [(255, "H", 1, 2, True)]})
    ):
        for first in (False, True):  # before the picture, as cameras have it, or after
            with tifffile.TiffWriter(path) as tif:
                pages = [(deep, {}), (PICTURE[::4, ::4], thumbnail)]
                for values, options in pages[::-1] if first else pages:
                    tif.write(values, photometric="rgb", metadata=None, **options)
            found = read_image(path)
            assert found.bit_depth == 16, number
            np.testing.assert_array_equal(found.pixels, planes(deep))
            np.testing.assert_array_equal(read_image(path, page=1).pixels, planes(deep))
            with pytest.raises(ImageFileError, match="has no page 2: there is 1 page"):
                read_image(path, page=2)
    tifffile.imwrite(path, PICTURE, photometric="rgb", subfiletype=1, metadata=None)
    with pytest.raises(ImageFileError, match="holds reduced images and masks only"):
        read_image(path)


def test_pages_by_number(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tif:
        for values in (PICTURE, 255 - PICTURE, PICTURE[:16]):
            tif.write(values, photometric="rgb", metadata=None)
    np.testing.assert_array_equal(read_image(path, page=2).pixels, planes(255 - PICTURE))
    assert read_image(path, page=3).pixels.shape == (3, 16, 72)
    with pytest.raises(ImageFileError, match=r"3 images of different size .* by its page"):
        read_image(path)
    for page in (0, 4, -1):
        with pytest.raises(ImageFileError, match=f"has no page {page}: there are 3 pages"):
            read_image(path, page=page)
    stack = PICTURE.transpose(2, 0, 1)
    for options in ({"imagej": True}, {"metadata": {"axes": "ZYX"}}, {"metadata": None}):
        tifffile.imwrite(path, stack, photometric="minisblack", **options)
        np.testing.assert_array_equal(read_image(path, page=3).pixels[0], planes(PICTURE)[2])


def test_a_smaller_page_that_nobody_calls_reduced_is_asked_for(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tif:
        for values in (PICTURE, PICTURE[::2, ::2]):
            tif.write(values, photometric="rgb", metadata=None)
    with pytest.raises(
        ImageFileError, match=r"2 images of different size or type \(48 x 72 x 3, 2"
    ):
        read_image(path)
    assert read_image(path, page=2).pixels.shape == (3, 24, 36)


def test_jpeg_in_tiff(tmp_path):
    path, photo = tmp_path / "a.tif", skimage.data.astronaut()[:64, :80]
    options = {"compression": "jpeg", "compressionargs": {"level": 98}}
    for photometric, subsampling in (("rgb", None), ("ycbcr", (1, 1)), ("ycbcr", (2, 2))):
        tifffile.imwrite(path, photo, photometric=photometric, subsampling=subsampling, **options)
        with tifffile.TiffFile(path) as tif:
            assert tif.pages[0].photometric == tifffile.PHOTOMETRIC.YCBCR
        found = read_image(path)
        assert found.bit_depth == 8
        # The library of TIFF itself, by Pillow.
        np.testing.assert_array_equal(found.pixels, planes(np.asarray(opened(path).convert("RGB"))))
        if photometric == "rgb":
            assert np.abs(found.pixels - planes(photo)).mean() < 2 / 255
    PIL.Image.fromarray(photo).save(path, compression="jpeg", quality=95)
    assert np.abs(read_image(path).pixels - planes(photo)).mean() < 2 / 255
    PIL.Image.fromarray(photo[..., 0].copy()).save(path, compression="jpeg")
    assert read_image(path).pixels.shape == (1, 64, 80)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.uint32, np.int64])
def test_signed_and_large_samples_are_kept_as_they_are(tmp_path, dtype):
    low = -1024 if np.dtype(dtype).itemsize > 1 and np.dtype(dtype).kind == "i" else 0
    values = np.linspace(low, 120, 35).astype(dtype).reshape(5, 7)
    tifffile.imwrite(tmp_path / "a.tif", values)
    found = read_image(tmp_path / "a.tif")
    assert found.dtype == dtype
    np.testing.assert_array_equal(found.pixels[0], values)
    np.testing.assert_array_equal(found.samples[0], values)


def test_samples_of_12_bits(tmp_path):
    values = np.random.default_rng(0).integers(0, 4096, (32, 40), np.uint16)
    (tmp_path / "a.jpg").write_bytes(imagecodecs.jpeg8_encode(values, 99, bitspersample=12))
    found = read_image(tmp_path / "a.jpg")
    assert found.bit_depth == 12
    assert np.abs(found.pixels[0] - values / 4095).max() < 0.02
    lossless = imagecodecs.jpeg8_encode(values, lossless=True, bitspersample=12)
    (tmp_path / "b.jpg").write_bytes(lossless)
    np.testing.assert_array_equal(read_image(tmp_path / "b.jpg").samples[0], values)
    (tmp_path / "c.jpg").write_bytes(lossless[: len(lossless) // 2])
    with pytest.raises(ImageFileError, match="truncated or damaged JPEG of 12 bits"):
        read_image(tmp_path / "c.jpg")


@pytest.mark.parametrize(("channels", "kind"), [(1, 0), (2, 4), (3, 2), (4, 6)])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 4), (13, 22)])
def test_interlaced_png_of_16_bits_is_read_without_a_word(tmp_path, capfd, channels, kind, size):
    rng = np.random.default_rng(3)
    values = rng.integers(0, 65536, (*size, channels), np.uint16)
    if channels in (2, 4):
        values[..., -1] = 65535
    stored = interlaced_png(values[..., 0] if channels == 1 else values, kind)
    (tmp_path / "a.png").write_bytes(stored)
    colours_of = values[..., : channels - (channels in (2, 4))]
    found = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(found.pixels, planes(colours_of))
    assert found.bit_depth == 16
    assert capfd.readouterr() == ("", "")


def test_interlaced_png_with_a_transparent_colour_or_damage(tmp_path, capfd):
    values = np.arange(9 * 11 * 3, dtype=np.uint16).reshape(9, 11, 3)
    key = chunk(b"tRNS", values[4, 5].astype(">u2").tobytes())
    path = tmp_path / "a.png"
    path.write_bytes(interlaced_png(values, 2, key))
    found = read_image(path, keep_alpha=True)
    np.testing.assert_array_equal(found.pixels, planes(values))
    np.testing.assert_array_equal(np.argwhere(found.alpha[0] == 0), [[4, 5]])
    whole = interlaced_png(values, 2)
    path.write_bytes(whole + b"a trailer, as some programs add one")
    np.testing.assert_array_equal(read_image(path).pixels, planes(values))
    short = interlaced_png(values[:-1], 2)
    header = whole[:33]
    flipped = bytearray(whole)
    flipped[-40] ^= 4
    for content in (whole[:-40], header + short[33:], bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(ImageFileError, match="truncated or damaged PNG"):
            read_image(path)
    assert capfd.readouterr() == ("", "")


def test_palettes_of_tiff(tmp_path):
    indices = np.arange(16, dtype=np.uint8).reshape(4, 4)
    colours_ = np.random.default_rng(0).integers(0, 256, (3, 256), np.uint16)
    options = {"photometric": "palette", "metadata": None}
    for stored, depth, full in ((colours_ * 257, 8, 255), (colours_ * 256 + 7, 16, 65535)):
        tifffile.imwrite(tmp_path / "a.tif", indices, colormap=stored, **options)
        found = read_image(tmp_path / "a.tif")
        assert found.bit_depth == depth
        expected = stored[:, indices] / 65535
        np.testing.assert_allclose(found.pixels, expected, atol=0.1 / full)
    # Of 8 bits times 256, as Pillow writes them.
    tifffile.imwrite(tmp_path / "p.tif", indices, colormap=colours_ * 256, **options)
    found = read_image(tmp_path / "p.tif")
    assert (found.bit_depth, found.dtype) == (8, np.uint8)
    np.testing.assert_array_equal(found.samples, colours_[:, indices])
    # Two colours, of one bit.
    two = np.array([[0, 65535], [65535, 0], [257, 514]], np.uint16)
    tifffile.imwrite(
        tmp_path / "c.tif", indices % 2 > 0, photometric="miniswhite", metadata=None,
        extratags=[(320, "H", 6, tuple(two.ravel().tolist()), True)],
    )  # fmt: skip
    with tifffile.TiffFile(tmp_path / "c.tif") as tif:
        place = tif.pages[0].tags["PhotometricInterpretation"].valueoffset
    content = bytearray((tmp_path / "c.tif").read_bytes())
    content[place : place + 2] = (3).to_bytes(2, "little")
    (tmp_path / "c.tif").write_bytes(bytes(content))
    np.testing.assert_array_equal(
        read_image(tmp_path / "c.tif").samples, (two // 257)[:, indices % 2]
    )
    tifffile.imwrite(
        tmp_path / "d.tif", np.stack([indices] * 2), colormap=colours_ * 257, **options
    )
    with pytest.raises(ImageFileError, match="holds 2 pages of colours; want one of them by its"):
        read_image(tmp_path / "d.tif")
    assert read_image(tmp_path / "d.tif", page=2).pixels.shape == (3, 4, 4)


def test_a_mask_page_says_what_is_known(tmp_path):
    known = np.ones((48, 72), np.uint8)
    known[:, :9] = 0
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(PICTURE[..., 0], photometric="minisblack", metadata=None)
        tif.write(known > 0, photometric=4, subfiletype=4, metadata=None)
    with pytest.raises(ImageFileError, match="transparent pixels"):
        read_image(tmp_path / "a.tif")
    found = read_image(tmp_path / "a.tif", keep_alpha=True)
    np.testing.assert_array_equal(found.alpha[0], known)
    np.testing.assert_array_equal(found.pixels, planes(PICTURE)[:1])


def test_colours_that_are_multiplied_by_their_opacity_are_divided(tmp_path):
    alpha = np.full((6, 9), 128, np.uint8)
    alpha[0] = 0
    stored = np.dstack([(colours(shape=(6, 9, 3)) * (alpha / 255)[..., None]).round(), alpha])
    options = {"photometric": "rgb", "extrasamples": ["assocalpha"]}
    tifffile.imwrite(tmp_path / "a.tif", stored.astype(np.uint8), **options)
    found = read_image(tmp_path / "a.tif", keep_alpha=True)
    expected = planes(colours(shape=(6, 9, 3)))
    np.testing.assert_allclose(found.pixels[:, 1:], expected[:, 1:], atol=2.5 / 255)
    assert not found.pixels[:, 0].any()


def test_a_bmp_whose_fourth_byte_is_not_used(tmp_path):
    content = np.dstack([colours()[::-1, :, ::-1], np.zeros((11, 13), np.uint8)]).tobytes()
    size = struct.pack("<IiiHHIIii", 108, 13, 11, 1, 32, 3, len(content), 2835, 2835)
    masks = struct.pack("<IIIIII", 0, 0, 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    head = size + masks + b"BGRs" + bytes(48)
    total = struct.pack("<IHHI", 14 + len(head) + len(content), 0, 0, 14 + len(head))
    (tmp_path / "a.bmp").write_bytes(b"BM" + total + head + content)
    np.testing.assert_array_equal(read_image(tmp_path / "a.bmp").pixels, planes(colours()))


# ------------------------------------------------------------------------------------- sizes
def blank_png(height, width):
    """Black, of one bit: many pixels in few bytes."""
    row = b"\0" + bytes(-(-width // 8))
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(row * 1000) for _ in range(height // 1000))
    packed += packer.compress(row * (height % 1000)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )


def test_sizes_above_those_of_pillow_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 1000)  # it warns above, refuses above twice
    PIL.Image.fromarray(PICTURE).save(tmp_path / "a.png")
    PIL.Image.fromarray(PICTURE).save(tmp_path / "a.jpg")
    PIL.Image.fromarray(PICTURE).save(tmp_path / "a.bmp")
    for name in ("a.png", "a.jpg", "a.bmp"):
        assert read_image(tmp_path / name).pixels.shape == (3, 48, 72)


def test_what_does_not_fit_into_memory_is_told(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(blank_png(2000, 3000))
    assert not read_image(tmp_path / "a.png").pixels.any()
    monkeypatch.setattr("mcsc.images.formats.base.available_memory", lambda: 10_000_000)
    with pytest.raises(
        OutOfMemoryError,
        match=r"a\.png: is 2000 x 3000 pixels, 23 MiB as floats: to read it takes 24 MiB, and 10",
    ):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["png", "jpg", "bmp", "tif"])
def test_a_size_that_the_file_cannot_hold(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    if kind == "tif":
        tifffile.imwrite(path, PICTURE, photometric="rgb", metadata=None)
    else:
        PIL.Image.fromarray(PICTURE).save(path)
    content = bytearray(path.read_bytes())
    if kind == "png":
        content[16:24] = struct.pack(">II", 60000, 60000)
        content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    elif kind == "jpg":
        place = content.index(b"\xff\xc0") + 5
        content[place : place + 4] = struct.pack(">HH", 60000, 60000)
    elif kind == "bmp":
        content[18:26] = struct.pack("<ii", 60000, 60000)
    else:
        with tifffile.TiffFile(path) as tif:
            places = [tif.pages[0].tags[code].valueoffset for code in (256, 257, 278)]
        for place in places:
            content[place : place + 2] = struct.pack("<H", 60000)
    path.write_bytes(bytes(content))
    with pytest.raises(
        ImageFileError,
        match=r"truncated or damaged .*: it declares 60000 x 60000 pixels, which its \d+ bytes can",
    ):
        read_image(path)


# -------------------------------------------------------------------------------------- kinds
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\0\0\0\x18ftypheic", r"is HEIF \(HEIC\), which is not read: export it as PNG or JPEG"),
        (b"\0\0\0\x18ftypavif", "is AVIF, which is not read: convert it to PNG or TIFF"),
        (b"\0\0\0\x18ftypisom", r"is a video \(MP4, MOV\), .*: take frames out of it as PNG"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "is WebP, which is not read: convert it to PNG or TIFF"),
        (b"GIF89a", "is GIF, which is not read"),
        (b"\0\0\0\x0cjP  \r\n", "is JPEG 2000, which is not read"),
        (b"\xff\x0a", "is JPEG XL, which is not read"),
        (b"8BPS\0\1", r"is Photoshop \(PSD\), .*: save it as TIFF, flattened"),
        (b"PIEH", r"is Sintel's depth or flow .*: convert it to TIFF, OpenEXR or \.npy"),
        (b"\x89HDF\r\n\x1a\n", r"is HDF5, .*: save the one array as \.npy or TIFF"),
        (b"SIMPLE  =", "is FITS"),
        (b"NRRD0004", "is NRRD, .*: convert it to NIfTI"),
        (b"ObjectType = Image", "is MetaImage"),
        (b"ply\nformat", r"is a point cloud \(PLY\), .*: project it to a depth map first"),
        (b"%PDF-1.4", "is PDF"),
        (b"PK\x03\x04", r"is a NumPy archive \(\.npz\) or ZIP, .*: save the one array as \.npy"),
        (b"\x1f\x8b\x08\0", "is compressed by gzip, .*: unpack it first"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS.*git lfs pull"),
        (b"<!DOCTYPE html><html>", "is a web page, not an image of pixels"),
        (b"<svg xmlns=", "is SVG, not an image of pixels"),
        (b"P2 3 3 255\n", r"is plain PBM, PGM or PPM, .*: save it in the binary form"),
        (b"just words", "not an image of a known kind; want PNG, JPEG, BMP, TIFF, PGM"),
    ],
)
def test_kinds_that_are_refused_are_named(tmp_path, content, message):
    (tmp_path / "a.png").write_bytes(content + bytes(20))
    with pytest.raises(ImageFileError, match=message) as caught:
        read_image(tmp_path / "a.png")
    assert "\n" not in str(caught.value)


def test_a_raw_photograph_is_developed(tmp_path):
    pytest.importorskip("rawpy")
    mosaic = np.full((64, 96), 400, np.uint16)
    mosaic[:, 48:] = 1600
    found = read_image(dng(tmp_path / "a.dng", mosaic))
    assert found.bit_depth == 16
    assert found.pixels.shape == (3, 64, 96)
    assert found.note.startswith("developed to sRGB")
    assert b"Maker Model" in found.metadata.exif
    dark, light = found.pixels[1, 10:-10, 10:38].mean(), found.pixels[1, 10:-10, 58:86].mean()
    # Four times the light: by sRGB's curve 1.9 times the value, not stretched to white.
    assert 1.7 < light / dark < 2.2
    assert light < 0.9
    (tmp_path / "b.nef").write_bytes((tmp_path / "a.dng").read_bytes()[:3000])
    with pytest.raises(ImageFileError, match="truncated or damaged raw photograph"):
        read_image(tmp_path / "b.nef")


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [("a.dng", "rawpy", "raw"), ("a.exr", "OpenEXR", "exr"), ("a.mat", "h5py", "matlab")],
)
def test_a_missing_package_is_named(tmp_path, monkeypatch, name, module, extra):
    path = tmp_path / name
    if name == "a.dng":
        dng(path, np.full((24, 32), 400, np.uint16))
    else:
        path.write_bytes(b"v/1\x01" if name == "a.exr" else b"MATLAB 7.3 MAT-file")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"{module}: install mcsc\[{extra}\]"):
        read_image(path)
