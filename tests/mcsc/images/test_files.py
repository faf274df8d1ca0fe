from __future__ import annotations

import struct
import zlib

import imagecodecs
import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import skimage.data
import tifffile

import mcsc.images
from mcsc.images import ImageFileError, imresize, read_image, write_image
from mcsc.images.files import sure_shape
from tests.mcsc.images.pictures import chunk, colours, deep_png, opened, planes, png, save
from tests.paths import ROOT

DATA = ROOT / ".." / "shared" / "data"


def test_every_public_name_is_there():
    assert {getattr(mcsc.images, name).__name__ for name in mcsc.images.__all__} == set(
        mcsc.images.__all__
    )
    assert set(mcsc.images.__all__) <= set(dir(mcsc.images))
    with pytest.raises(AttributeError, match=r"'mcsc\.images' has no attribute 'nothing'"):
        _ = mcsc.images.nothing


# Round trips


@pytest.mark.parametrize("suffix", [".png", ".tif", ".TIFF"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("bit_depth", "dtype"), [(8, np.uint8), (16, np.uint16)])
def test_every_level_survives_a_round_trip(tmp_path, suffix, channels, bit_depth, dtype):
    full = 2**bit_depth - 1
    levels = np.arange(full + 1, dtype=np.float32).reshape(16, -1) / np.float32(full)
    pixels = np.stack([levels, levels[::-1], levels[:, ::-1]])[:channels]
    pixels.flags.writeable = False
    path = tmp_path / f"image{suffix}"
    write_image(path, pixels, bit_depth)
    image = read_image(path)
    assert image.bit_depth == bit_depth
    assert image.path == path
    assert image.pixels.dtype == np.float32
    assert image.pixels.flags.c_contiguous
    assert image.pixels.flags.writeable
    np.testing.assert_array_equal(image.pixels, pixels)
    # Not only to ourselves: another reader sees the same samples.
    if suffix != ".png":
        stored = tifffile.imread(path)
        assert stored.dtype == dtype
        np.testing.assert_array_equal(planes(stored), pixels)
    elif bit_depth == 8 or channels == 1:
        np.testing.assert_array_equal(planes(np.asarray(opened(path))), pixels)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("bit_depth", [8, 16, 32])
def test_any_number_of_channels_in_tiff(tmp_path, bit_depth):
    pixels = planes(colours(np.uint8, (9, 10, 31)))
    write_image(tmp_path / "stack.tif", pixels, bit_depth)
    image = read_image(tmp_path / "stack.tif")
    assert image.bit_depth == bit_depth
    np.testing.assert_allclose(image.pixels, pixels, rtol=0, atol=0.5 / 65535)
    with PIL.Image.open(tmp_path / "stack.tif") as picture:
        assert picture.n_frames == 31


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (2, 1, 7), (2, 7, 1), (5, 1, 1)])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_thin_images(tmp_path, suffix, shape):
    if suffix == ".png":
        shape = shape[-2:]
    pixels = planes(colours(np.uint16, shape)).reshape(shape)
    write_image(tmp_path / f"thin{suffix}", pixels, 16)
    expected = pixels.reshape(-1, *shape[-2:])
    np.testing.assert_array_equal(read_image(tmp_path / f"thin{suffix}").pixels, expected)


def test_float_tiff_keeps_values_and_the_reader_keeps_nan(tmp_path):
    pixels = np.array([[-1.5, 0.25], [7e5, 1.0]])
    write_image(tmp_path / "float.tif", pixels, bit_depth=32)
    image = read_image(str(tmp_path / "float.tif"))
    assert image.bit_depth == 32
    np.testing.assert_array_equal(image.pixels, pixels[None].astype(np.float32))
    pixels[0, 0] = np.nan
    for dtype in (np.float16, np.float32, np.float64):
        tifffile.imwrite(tmp_path / "nan.tif", np.clip(pixels, 0, 2).astype(dtype))
        np.testing.assert_array_equal(
            read_image(tmp_path / "nan.tif").pixels, np.clip(pixels, 0, 2)[None].astype(np.float32)
        )


def test_values_are_clipped_and_rounded_to_the_nearest(tmp_path):
    pixels = np.array([[-0.2, 1.7, 0.49 / 255, 0.51 / 255, 100.49 / 255, 100.51 / 255]])
    write_image(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(
        np.asarray(opened(tmp_path / "a.png")), [[0, 255, 0, 1, 100, 101]]
    )


def test_jpeg_is_written_at_good_quality(tmp_path):
    pixels = planes(skimage.data.astronaut()[:120, :160])
    write_image(tmp_path / "photo.jpg", pixels)
    image = read_image(tmp_path / "photo.jpg")
    assert image.bit_depth == 8
    assert opened(tmp_path / "photo.jpg").format == "JPEG"
    assert 0 < np.sqrt(np.mean((image.pixels - pixels) ** 2)) < 3 / 255
    write_image(tmp_path / "grey.jpeg", pixels[0])
    assert read_image(tmp_path / "grey.jpeg").pixels.shape == (1, 120, 160)


def test_an_existing_file_is_replaced(tmp_path):
    path = tmp_path / "a.png"
    path.write_text("something else")
    write_image(path, np.ones((2, 2)))
    np.testing.assert_array_equal(read_image(path).pixels, np.ones((1, 2, 2)))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    write_image(path, np.zeros((2, 2)))
    before = path.read_bytes()

    def full_disk(source, target):
        assert list(tmp_path.iterdir()) != [path]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mcsc.files.os.replace", full_disk)
    with pytest.raises(ImageFileError, match=r"a\.png: cannot be written: No space left on device"):
        write_image(path, np.ones((2, 2)))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# Other people's files


@pytest.mark.parametrize("values", [colours(), colours()[..., 0]])
@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_files_of_pillow(tmp_path, values, suffix):
    image = read_image(save(tmp_path / f"a.{suffix}", values))
    assert image.bit_depth == 8
    np.testing.assert_array_equal(image.pixels, planes(values))


def test_jpeg_matches_pillow(tmp_path):
    path = save(tmp_path / "a.jpg", skimage.data.astronaut()[:40, :50], quality=80)
    np.testing.assert_array_equal(read_image(path).pixels, planes(np.asarray(opened(path))))


def test_the_content_counts_not_the_name(tmp_path):
    path = save(tmp_path / "really_a_png.jpg", colours(), format="PNG")
    np.testing.assert_array_equal(read_image(path).pixels, planes(colours()))


@pytest.mark.parametrize(
    ("shape", "colour_type"), [((5, 6), 0), ((5, 6, 3), 2), ((5, 6, 2), 4), ((5, 6, 4), 6)]
)
def test_16_bit_png_is_read_in_full_depth(tmp_path, shape, colour_type):
    values = colours(np.uint16, shape)
    if colour_type in (4, 6):
        values[..., -1] = 65535
    (tmp_path / "deep.png").write_bytes(deep_png(values, colour_type))
    image = read_image(tmp_path / "deep.png")
    assert image.bit_depth == 16
    expected = values[..., :-1] if colour_type in (4, 6) else values
    np.testing.assert_array_equal(image.pixels, planes(expected))


def test_1_bit_files(tmp_path):
    values = colours()[..., 0] > 128
    for name in ("a.png", "a.bmp", "a.tif"):
        image = read_image(save(tmp_path / name, values))
        assert image.bit_depth == 1
        np.testing.assert_array_equal(image.pixels[0], values)


def test_grey_of_2_and_4_bits_fills_the_range(tmp_path):
    (tmp_path / "a.png").write_bytes(png([b"\x1b"], 2, 0))
    np.testing.assert_allclose(
        read_image(tmp_path / "a.png").pixels, [[[0, 1 / 3, 2 / 3, 1]]], rtol=1e-6
    )


def test_palettes_are_expanded(tmp_path):
    picture = PIL.Image.fromarray(skimage.data.astronaut()[:40, :50]).quantize(16)
    picture.save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert opened(tmp_path / "a.png").mode == "P"
    np.testing.assert_array_equal(image.pixels, planes(np.asarray(picture.convert("RGB"))))


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_dropped_if_opaque_and_refused_if_not(tmp_path, suffix, channels):
    values = colours(shape=(6, 7, channels))
    values[..., -1] = 255
    path = save(tmp_path / f"a.{suffix}", values)
    np.testing.assert_array_equal(read_image(path).pixels, planes(values[..., :-1]))
    values[3, 4, -1] = 254
    with pytest.raises(ImageFileError, match=rf"a\.{suffix}: has transparent pixels; want"):
        read_image(save(path, values))


@pytest.mark.parametrize(
    ("bytes_of", "opaque", "transparent"),
    [
        (lambda extra: png([b"\x01\x02"], 8, 0, extra), [3], [2]),
        (lambda extra: png([b"\x01\x02\x03"], 8, 2, extra), [1, 2, 4], [1, 2, 3]),
        (lambda extra: deep_png(np.array([[1, 2]]), 0, extra), [3], [2]),
        (lambda extra: deep_png(np.array([[1, 2, 3]]), 2, extra), [1, 2, 4], [1, 2, 3]),
    ],
)
def test_a_transparent_colour_counts_only_where_it_occurs(tmp_path, bytes_of, opaque, transparent):
    path = tmp_path / "key.png"
    path.write_bytes(bytes_of(chunk(b"tRNS", struct.pack(f">{len(opaque)}H", *opaque))))
    assert read_image(path).pixels.shape[0] == len(opaque)
    path.write_bytes(bytes_of(chunk(b"tRNS", struct.pack(f">{len(opaque)}H", *transparent))))
    with pytest.raises(ImageFileError, match="has transparent pixels"):
        read_image(path)


@pytest.mark.parametrize("orientation", range(10))
def test_orientation_is_honoured(tmp_path, orientation):
    exif = PIL.Image.Exif()
    exif[274] = orientation
    for name in ("a.jpg", "a.png"):
        path = save(tmp_path / name, skimage.data.astronaut()[:24, :32], exif=exif)
        upright = PIL.ImageOps.exif_transpose(opened(path))
        np.testing.assert_array_equal(read_image(path).pixels, planes(np.asarray(upright)))
    path = tmp_path / "a.tif"
    if orientation in range(1, 9):
        tifffile.imwrite(path, colours(), photometric="rgb", extratags=[(274, 3, 1, orientation)])
        upright = PIL.ImageOps.exif_transpose(opened(path))
        np.testing.assert_array_equal(read_image(path).pixels, planes(np.asarray(upright)))


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "zstd"])
@pytest.mark.parametrize("predictor", [False, True])
def test_tiff_stacks_of_others(tmp_path, compression, predictor):
    values = colours(np.uint16, (20, 30, 5))
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        values.transpose(2, 0, 1),
        photometric="minisblack",
        compression=compression,
        predictor=predictor and compression is not None,
        bigtiff=predictor,
        byteorder=">" if predictor else "<",
    )
    np.testing.assert_array_equal(read_image(path).pixels, planes(values))


@pytest.mark.parametrize(
    "options",
    [
        {"imagej": True},
        {"ome": True},
        {"metadata": {"axes": "ZYX"}},
        {"tile": (16, 16)},
        {"planarconfig": "separate"},
    ],
    ids=str,
)
def test_tiff_layouts_become_channels(tmp_path, options):
    values = colours(np.uint16, (20, 30, 5))
    tifffile.imwrite(
        tmp_path / "a.tif", values.transpose(2, 0, 1), photometric="minisblack", **options
    )
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, planes(values))


def test_metadata_cannot_point_to_other_files(tmp_path):
    uuids = [f"urn:uuid:{n * 8}-{n * 4}-{n * 4}-{n * 4}-{n * 12}" for n in "12"]
    data = "".join(
        f'<TiffData FirstC="{c}" IFD="0" PlaneCount="1"><UUID FileName="{c}.ome.tif">{uuid}</UUID>'
        "</TiffData>"
        for c, uuid in enumerate(uuids)
    )
    for c, uuid in enumerate(uuids):
        description = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{uuid}">'
            '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" '
            f'SizeX="13" SizeY="11" SizeC="2" SizeZ="1" SizeT="1">{data}</Pixels></Image></OME>'
        )
        values = colours()[..., c]
        tifffile.imwrite(tmp_path / f"{c}.ome.tif", values, description=description, metadata=None)
    assert tifffile.imread(tmp_path / "1.ome.tif").shape == (2, 11, 13)
    image = read_image(tmp_path / "1.ome.tif")
    np.testing.assert_array_equal(image.pixels, planes(colours()[..., 1]))


def test_tiff_with_channels_last(tmp_path):
    values = colours(np.uint8, (20, 30, 7))
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack", planarconfig="contig")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, planes(values))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_where_white_is_zero(tmp_path, dtype):
    values = colours(dtype, (6, 7))
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite")
    np.testing.assert_allclose(
        read_image(tmp_path / "a.tif").pixels, 1 - planes(values), rtol=0, atol=1e-7
    )


def test_1_bit_tiff_where_white_is_zero(tmp_path):
    values = colours()[..., 0] > 128
    options = {"photometric": "miniswhite", "software": "somebody"}
    tifffile.imwrite(tmp_path / "a.tif", values, **options)
    expected = np.asarray(opened(tmp_path / "a.tif"))
    assert expected.dtype == bool
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels[0], expected)
    # tifffile itself says that 0 is white, and means that True is 1.
    tifffile.imwrite(tmp_path / "a.tif", values)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels[0], values)


# Refusals on reading: one line that names the file


def test_shared_16_bit_stack():
    path = DATA / "multispectral_sr" / "feathers_ms.tif"
    if not path.exists():
        pytest.skip(f"needs {path.name} of the shared test data")
    image = read_image(path)
    assert image.pixels.shape == (31, 512, 512)
    assert image.bit_depth == 16
    assert round(image.pixels.max().item() * 65535) == 62937
    np.testing.assert_array_equal(np.rint(image.pixels[24] * 65535), tifffile.imread(path, key=24))


def test_shared_pictures():
    paths = [
        DATA / "multispectral_sr" / "beads_ms640.png",
        DATA / "depth_sr" / "art_depth.png",
        DATA / "depth_sr" / "cones_rgb.png",
    ]
    if not all(path.exists() for path in paths):
        pytest.skip("needs beads, art and cones of the shared test data")
    for path, bit_depth in zip(paths, (16, 8, 8), strict=True):
        image = read_image(path)
        assert image.bit_depth == bit_depth
        stored = np.asarray(opened(path)).astype(np.float32)
        np.testing.assert_array_equal(
            image.pixels, np.atleast_3d(stored).transpose(2, 0, 1) / np.float32(2**bit_depth - 1)
        )


def test_a_shared_picture_resized_and_written_again(tmp_path):
    path = DATA / "multispectral_sr" / "beads_ms640.png"
    if not path.exists():
        pytest.skip(f"needs {path.name} of the shared test data")
    image = read_image(path)
    small = imresize(image.pixels, 0.25)
    write_image(tmp_path / "small.png", small, image.bit_depth)
    assert np.abs(read_image(tmp_path / "small.png").pixels - small.clip(0, 1)).max() < 0.51 / 65535


# ------------------------------------------------------------------- what files say besides
def test_alpha_is_kept_apart_if_asked_for(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 255, (6, 9, 3), np.uint8)
    alpha = np.full((6, 9), 255, np.uint8)
    alpha[:2] = 0
    alpha[3, 3] = 51
    PIL.Image.fromarray(np.dstack([rgb, alpha])).save(tmp_path / "a.png")
    tifffile.imwrite(
        tmp_path / "a.tif", np.dstack([rgb, alpha]), photometric="rgb", extrasamples=["unassalpha"]
    )
    for name in ("a.png", "a.tif"):
        found = read_image(tmp_path / name, keep_alpha=True)
        np.testing.assert_array_equal(found.samples, rgb.transpose(2, 0, 1))
        np.testing.assert_allclose(found.alpha, alpha[None] / 255)
        with pytest.raises(ImageFileError, match=r"has transparent pixels; .* the mask 'alpha'"):
            read_image(tmp_path / name)


def test_nodata_and_the_bits_that_are_used(tmp_path):
    dem = np.full((5, 7), 3.5, np.float32)
    tifffile.imwrite(tmp_path / "d.tif", dem, extratags=[(42113, "s", 0, "-9999", True)])
    assert read_image(tmp_path / "d.tif").nodata == -9999
    deep = np.arange(35, dtype=np.uint16).reshape(5, 7) * 100
    tifffile.imwrite(tmp_path / "b.tif", deep, extratags=[(281, "H", 1, 4095, True)])
    found = read_image(tmp_path / "b.tif")
    assert found.significant_bits == 12
    np.testing.assert_array_equal(found.samples[0], deep)
    plain = imagecodecs.png_encode(deep)
    body = b"sBIT" + bytes([12])
    said = plain[:33] + (1).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    (tmp_path / "b.png").write_bytes(said + plain[33:])
    assert read_image(tmp_path / "b.png").significant_bits == 12
    (tmp_path / "p.png").write_bytes(plain)
    assert read_image(tmp_path / "p.png").significant_bits is None
    assert read_image(tmp_path / "p.png").samples.dtype == np.uint16


def with_sbit(path, samples, bits):
    plain = imagecodecs.png_encode(samples)
    body = b"sBIT" + bytes([bits])
    said = plain[:33] + (1).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    path.write_bytes(said + plain[33:])
    return read_image(path).significant_bits


@pytest.mark.parametrize(("bits", "dtype"), [(5, np.uint8), (7, np.uint8), (12, np.uint16)])
def test_samples_that_were_scaled_to_all_bits_have_their_white(tmp_path, bits, dtype):
    """By the standard of PNG sBIT tells how many upper bits are the camera's."""
    depth = 8 * np.dtype(dtype).itemsize
    counts = np.arange(24, dtype=dtype).reshape(4, 6)  # those of a dark picture
    bright = counts + dtype(2**bits - 24)
    path = tmp_path / "a.png"
    for own in (counts, bright):
        shifted = own << (depth - bits)
        filled = shifted.copy()
        for copy in range(1, depth // bits + 1):
            left = depth - (copy + 1) * bits
            filled |= own << left if left >= 0 else own >> -left
        assert with_sbit(path, shifted.astype(dtype), bits) is None
        assert with_sbit(path, filled.astype(dtype), bits) is None
    assert with_sbit(path, bright, bits) == bits  # as they were counted
    assert with_sbit(path, np.zeros((4, 6), dtype), bits) == bits


def test_a_header_vouches_for_a_shape_or_for_nothing(tmp_path):
    levels = np.arange(35 * 3, dtype=np.uint8).reshape(5, 7, 3)
    colour, turned = PIL.Image.fromarray(levels), PIL.Image.Exif()
    turned[274] = 6
    colour.save(tmp_path / "a.png")
    colour.convert("L").save(tmp_path / "grey.png")
    colour.quantize(4).save(tmp_path / "palette.png")
    colour.save(tmp_path / "a.jpg", exif=turned)
    (tmp_path / "more.jpg").write_bytes((tmp_path / "a.jpg").read_bytes() + bytes(99))
    (tmp_path / "deep.png").write_bytes(imagecodecs.png_encode(levels.astype(np.uint16) * 257))
    tifffile.imwrite(tmp_path / "a.tif", levels, photometric="rgb")
    tifffile.imwrite(tmp_path / "strips.tif", levels[..., 0], rowsperstrip=1, compression="zlib")
    sure = sorted(tmp_path.iterdir())
    for path in sure:
        assert sure_shape(path) == read_image(path).pixels.shape, path
    assert sure_shape(tmp_path / "a.jpg") == (3, 7, 5)
    # Of files that are cut short, even by a byte, none; neither of what only pixels decide.
    for path in sure:
        if path.name != "more.jpg":
            cut = tmp_path / f"cut-{path.name}"
            cut.write_bytes(path.read_bytes()[:-3])
            assert sure_shape(cut) is None, path
    colour.putalpha(255)
    colour.save(tmp_path / "opaque.png")
    colour.convert("CMYK").save(tmp_path / "cmyk.jpg")
    tifffile.imwrite(tmp_path / "floats.tif", levels.astype(np.float32), photometric="rgb")
    tifffile.imwrite(tmp_path / "pages.tif", np.stack([levels, levels]), photometric="rgb")
    (tmp_path / "text.png").write_text("no image")
    for name in ("opaque.png", "cmyk.jpg", "floats.tif", "pages.tif", "text.png", "missing.png"):
        assert sure_shape(tmp_path / name) is None, name
