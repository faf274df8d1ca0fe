"""Profile, EXIF and resolution: read, carried across, written."""

from __future__ import annotations

import time

import imagecodecs
import numpy as np
import PIL.Image
import pytest
import tifffile
from PIL.TiffImagePlugin import IFDRational

from mcsc.images import Metadata, read_image, write_image
from mcsc.images.formats.metadata import describe_profile, exif_read, same_colours
from tests.mcsc.images.formats.profiles import grey, srgb, swapped
from tests.mcsc.images.pictures import colours, save

TAKEN = "2020:01:02 03:04:05"


def exif(orientation=1):
    block = PIL.Image.Exif()
    block[271], block[306], block[274] = "Maker", TAKEN, orientation
    inner = block.get_ifd(0x8769)
    inner[33434], inner[0x9003], inner[0xA002], inner[0xA003] = (
        IFDRational(1, 250),
        TAKEN,
        13,
        11,
    )
    block.get_ifd(0x8825)[1] = "N"
    return block


def seen(path):
    """What Pillow, a reader of its own, finds in a file."""
    with PIL.Image.open(path) as picture:
        found = picture.getexif()
        tags = {tag: found[tag] for tag in (271, 306, 274) if tag in found}
        inner = dict(found.get_ifd(0x8769))
        return picture.info.get("icc_profile"), tags, inner, picture.info.get("dpi")


@pytest.mark.parametrize("source", ["a.jpg", "a.png", "a.tif"])
@pytest.mark.parametrize("target", ["b.jpg", "b.png", "b.tif"])
@pytest.mark.parametrize("bit_depth", [8, 16])
def test_what_a_file_says_is_in_what_is_made_of_it(tmp_path, source, target, bit_depth):
    if target == "b.jpg" and bit_depth == 16:
        return
    path = tmp_path / source
    if source == "a.tif":  # by our own writer, of what a JPEG says
        save(tmp_path / "a.jpg", colours(), exif=exif(6), icc_profile=swapped(), dpi=(300, 240))
        found = read_image(tmp_path / "a.jpg")
        write_image(path, found.pixels, 8, metadata=found.metadata)
    else:
        save(path, colours(), exif=exif(6), icc_profile=swapped(), dpi=(300, 240))
    found = read_image(path)
    assert found.pixels.shape == (3, 13, 11)
    assert found.metadata.icc == swapped()
    assert found.metadata.dpi == pytest.approx((240, 300), abs=0.1)  # turned with the image
    write_image(tmp_path / target, found.pixels, bit_depth, metadata=found.metadata)
    icc, tags, inner, dpi = seen(tmp_path / target)
    assert icc == swapped()
    assert tags == {271: "Maker", 306: TAKEN}  # without the orientation, which was applied
    assert inner[0x9003] == TAKEN
    assert float(inner[33434]) == pytest.approx(1 / 250)
    assert 0xA002 not in inner
    assert [float(d) for d in dpi] == pytest.approx([240, 300], abs=0.1)
    again = read_image(tmp_path / target)
    assert again.metadata.icc == swapped()
    assert again.pixels.shape == (3, 13, 11)


def test_gps_is_kept(tmp_path):
    found = read_image(save(tmp_path / "a.jpg", colours(), exif=exif()))
    write_image(tmp_path / "b.tif", found.pixels, 16, metadata=found.metadata)
    with PIL.Image.open(tmp_path / "b.tif") as picture:
        assert dict(picture.getexif().get_ifd(0x8825)) == {1: "N"}


def test_files_without_anything_get_nothing(tmp_path):
    found = read_image(save(tmp_path / "a.png", colours()))
    assert found.metadata == Metadata()
    for name in ("b.jpg", "b.png", "b.tif"):
        write_image(tmp_path / name, found.pixels, metadata=found.metadata)
        icc, tags, inner, _ = seen(tmp_path / name)
        assert (icc, tags, inner) == (None, {}, {})
        assert read_image(tmp_path / name).metadata == Metadata()


def test_resolution_of_tiff_in_centimetres(tmp_path):
    options = {"photometric": "rgb", "resolution": (100, 50), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(tmp_path / "a.tif", colours(), **options)
    assert read_image(tmp_path / "a.tif").metadata.dpi == pytest.approx((254, 127))
    tifffile.imwrite(tmp_path / "a.tif", colours(), photometric="rgb")  # 1 by 1, without a unit
    assert read_image(tmp_path / "a.tif").metadata.dpi is None


def test_descriptions_of_programs_are_not_carried(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", colours()[..., 0], metadata={"axes": "YX", "a": "b"})
    assert read_image(tmp_path / "a.tif").metadata.exif is None or b"shape" not in (
        read_image(tmp_path / "a.tif").metadata.exif
    )
    tifffile.imwrite(tmp_path / "a.tif", colours()[..., 0], description="My cat", metadata=None)
    assert b"My cat" in read_image(tmp_path / "a.tif").metadata.exif


@pytest.mark.parametrize("source", ["a.jpg", "a.png", "a.tif"])
@pytest.mark.parametrize("target", ["b.jpg", "b.png", "b.tif"])
def test_text_beyond_ascii_stays_what_it_was(tmp_path, source, target):
    name, rights, lens = "José Ø", "© Zoë Żak", "Größe µ"  # in UTF-8, as cameras write it
    places = {315: name, 33432: rights, 0xA434: lens}
    wanted = [text.encode() for text in places.values()]
    if source == "a.tif":
        wanted.pop()  # tifffile writes no directory of EXIF
        tags = [(code, "s", 0, places[code].encode(), True) for code in (315, 33432)]
        tifffile.imwrite(tmp_path / source, colours(), photometric="rgb", extratags=tags)
    else:
        block = exif()
        for code, text in places.items():
            held = block.get_ifd(0x8769) if code == 0xA434 else block
            held[code] = "*" * len(text.encode())
        content = block.tobytes()
        for text in wanted:
            content = content.replace(b"*" * len(text) + b"\0", text + b"\0", 1)
        save(tmp_path / source, colours(), exif=content)
    found = read_image(tmp_path / source)
    write_image(tmp_path / target, found.pixels, metadata=found.metadata)
    written = (tmp_path / target).read_bytes()
    assert all(text in written for text in wanted)
    again = read_image(tmp_path / target)
    assert all(text in again.metadata.exif for text in wanted)


def test_what_windows_says_and_ratings_are_kept_in_tiff_too(tmp_path):
    block = exif()
    block[0x9C9B], block[18246] = "Ö".encode("utf-16-le") + b"\0\0", 4
    found = read_image(save(tmp_path / "a.jpg", colours(), exif=block))
    for name in ("b.tif", "c.tif"):
        write_image(tmp_path / name, found.pixels, metadata=found.metadata)
        found = read_image(tmp_path / name)
        with PIL.Image.open(tmp_path / name) as picture:
            tags = picture.getexif()
            assert (tags[0x9C9B], tags[18246]) == (b"\xd6\0\0\0", 4)


@pytest.mark.parametrize("value", [70_000, -3, 2.5, (1, 2), b"", IFDRational(1, 3)])
def test_a_rating_of_another_type_does_no_harm(tmp_path, value):
    block = exif()
    block[18246] = value
    found = read_image(save(tmp_path / "a.jpg", colours(), exif=block))
    for name in ("b.tif", "b.png", "b.jpg"):
        write_image(tmp_path / name, found.pixels, metadata=found.metadata)
        assert b"Maker" in read_image(tmp_path / name).metadata.exif


def test_a_description_is_kept_beside_that_of_the_program(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", colours(), photometric="rgb", description="My cat")
    assert b"My cat" in read_image(tmp_path / "a.tif").metadata.exif


def test_a_profile_for_colours_is_not_put_on_grey(tmp_path):
    metadata = Metadata(icc=srgb())
    assert metadata.fitting(3) == metadata
    assert metadata.fitting(1).icc is None
    assert Metadata(icc=grey()).fitting(1).icc == grey()
    write_image(tmp_path / "a.png", np.zeros((4, 4)), metadata=metadata)
    assert seen(tmp_path / "a.png")[0] is None


def test_an_enlarged_image_shows_as_much_as_before():
    assert Metadata(dpi=(100, 50)).enlarged(2, 4).dpi == (400, 100)
    assert Metadata().enlarged(2, 4).dpi is None


def test_exif_of_a_deep_jpeg(tmp_path):
    plain = imagecodecs.jpeg8_encode(np.zeros((8, 9), np.uint16) + 2000, bitspersample=12)
    block = b"Exif\0\0" + exif(6).tobytes()[6:]
    segment = b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block
    (tmp_path / "a.jpg").write_bytes(plain[:2] + segment + plain[2:])
    found = read_image(tmp_path / "a.jpg")
    assert found.pixels.shape == (1, 9, 8)
    assert exif_read(found.metadata.exif)[0] == 1
    assert b"Maker" in found.metadata.exif


def test_profiles_are_compared_by_what_is_seen():
    first = srgb()
    made = bytearray(first)
    made[24:36] = time.strftime("%Y%m%d%H%M").encode()[:12]  # another date
    assert same_colours(first, bytes(made))
    assert same_colours(None, first)
    assert same_colours(None, None)
    assert not same_colours(first, swapped())
    assert not same_colours(None, swapped())
    assert not same_colours(first, b"no profile at all")
    assert describe_profile(None) == "no colour profile, which counts as sRGB"
    assert "sRGB" in describe_profile(first)
    assert describe_profile(b"nothing") == "the colour profile without a name"
