"""Files that are no images, damaged, or without one reading; what is not written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import tifffile

from mcsc.errors import Refusal
from mcsc.images import ImageFileError, read_image, write_image
from tests.mcsc.images.pictures import colours, planes, save
from tests.paths import ROOT


def refused(path, message):
    with pytest.raises(ImageFileError, match=message) as caught:
        read_image(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text


def test_missing_folder_empty_and_not_an_image(tmp_path):
    refused(tmp_path / "none.png", "no such file$")
    for address in ("https://example.com/a.png", "file:///a.png", "s3://b/a.png"):
        refused(Path(address), "no such file; want one on this machine by its path, not an address")
    refused(Path("~/none.png"), "no such file; only a shell knows ~: want the whole path")
    refused(tmp_path, "is a folder, not an image file; want PNG, JPEG, BMP, TIFF")
    (tmp_path / "empty.png").touch()
    refused(tmp_path / "empty.png", "is empty; want PNG")
    (tmp_path / "text.png").write_text("hello, this is no picture\n")
    refused(tmp_path / "text.png", "not an image of a known kind; want PNG")
    refused(tmp_path / "text.png" / "a.png", "cannot be opened: Not a directory")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    refused(tmp_path / "pipe.png", "is a pipe or a device; want a file on disk")


def test_a_tiff_without_pixels_is_damaged(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((12, 14, 3), np.uint8), photometric="rgb", metadata=None)
    with tifffile.TiffFile(path) as tif:
        bits = tif.pages[0].tags["BitsPerSample"].valueoffset
    data = bytearray(path.read_bytes())
    data[bits] = 0
    path.write_bytes(data)
    refused(path, "truncated or damaged TIFF: it holds no pixels")


def test_an_image_too_large_for_memory_is_named(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", colours())

    def fail(*_):
        raise MemoryError("Unable to allocate 3 TiB")

    monkeypatch.setattr(PIL.Image.Image, "getexif", fail)
    with pytest.raises(
        MemoryError, match=r"a\.png: there is too little memory: Unable to"
    ) as caught:
        read_image(path)
    assert isinstance(caught.value, Refusal)


def damage(data):
    """The file cut at several places, from within its header to nearly whole."""
    yield from (data[:n] for n in (9, 30, len(data) // 3, len(data) // 2, len(data) - 60))


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("a.png", np.uint8), ("deep.png", np.uint16), ("a.jpg", np.uint8), ("a.bmp", np.uint8)],
)
def test_truncated_pictures(tmp_path, name, dtype):
    path = tmp_path / name
    if dtype == np.uint16:
        write_image(path, planes(colours(dtype, (40, 50, 3))), 16)
    else:
        save(path, colours(dtype, (40, 50, 3)))
    kind = {"p": "PNG", "j": "JPEG", "b": "BMP"}[path.suffix[1]]
    for data in damage(path.read_bytes()):
        path.write_bytes(data)
        refused(path, f"truncated or damaged {kind}: .")


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("pages", [1, 5])
def test_truncated_tiff(tmp_path, capfd, compression, pages):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tif:
        for _ in range(pages):
            tif.write(colours(np.uint16, (40, 50)), compression=compression, metadata=None)
    for data in damage(path.read_bytes()):
        path.write_bytes(data)
        refused(path, "truncated or damaged TIFF: .")
    assert capfd.readouterr() == ("", "")


def test_tiff_that_lost_its_last_pages(tmp_path):
    """Uncompressed pages are whole, and only the chain of pages tells that some are gone."""
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tif:
        for _ in range(5):
            tif.write(colours(np.uint16, (40, 50)), metadata=None)
    with tifffile.TiffFile(path) as tif:
        third = tif.pages[3].offset
    path.write_bytes(path.read_bytes()[:third])
    refused(path, "no page after the first 3, but the file says that there are more")


def test_damage_is_told_once(tmp_path):
    """tifffile logs what it meets; without a logging set-up that must not reach stderr."""
    path = tmp_path / "a.tif"
    write_image(path, planes(colours(shape=(40, 50, 5))))
    path.write_bytes(path.read_bytes()[:4000])
    code = (
        "import sys, mcsc.images as m\ntry: m.read_image(sys.argv[1])\nexcept ValueError: print(1)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, cwd=ROOT
    )
    assert (run.stdout, run.stderr) == ("1\n", "")


def test_flipped_bits_in_compressed_data_are_noticed(tmp_path):
    for bit_depth in (8, 16):
        path = tmp_path / f"{bit_depth}.png"
        write_image(path, planes(colours(np.uint16, (40, 50, 3))), bit_depth)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        refused(path, "truncated or damaged PNG: .")


def test_pictures_without_one_reading(tmp_path):
    PIL.Image.new("CMYK", (8, 8)).save(tmp_path / "cmyk.jpg")
    refused(tmp_path / "cmyk.jpg", "colour mode CMYK is not supported; convert it to grey or RGB")
    frames = [PIL.Image.fromarray(colours()), PIL.Image.fromarray(255 - colours())]
    frames[0].save(tmp_path / "moving.png", save_all=True, append_images=frames[1:])
    refused(tmp_path / "moving.png", "is an animation; want one image")


def test_tiffs_without_one_reading(tmp_path):
    path = tmp_path / "a.tif"
    PIL.Image.new("CMYK", (8, 8)).save(path)
    refused(path, "photometric interpretation SEPARATED is not supported")
    with tifffile.TiffWriter(path) as tif:
        tif.write(np.zeros((8, 9), np.uint8))
        tif.write(np.zeros((8, 10), np.uint8))
    refused(path, r"holds 2 images of different size or type \(8 x 9, 8 x 10\): want one")
    tifffile.imwrite(path, np.zeros((4, 8, 9, 3), np.uint8), photometric="rgb")
    refused(path, "holds 4 pages of 3 channels each; want one of them by its page, or")
    tifffile.imwrite(path, np.zeros((8, 9), np.complex64))
    refused(path, "samples are complex64; want integers or floats")


# Refusals on writing


@pytest.mark.parametrize(
    ("name", "pixels", "bit_depth", "message"),
    [
        ("a.gif", np.zeros((2, 2)), 8, r"want a name in \.png, \.tif, \.tiff, \.jpg"),
        ("a", np.zeros((2, 2)), 8, "want a name in"),
        ("a.png", np.zeros((2, 2)), 32, "PNG cannot hold bit_depth 32; want 8 or 16"),
        ("a.png", np.zeros((2, 2)), 1, "PNG cannot hold bit_depth 1; want 8 or 16"),
        ("a.jpg", np.zeros((2, 2)), 16, "JPEG cannot hold bit_depth 16; want 8"),
        ("a.tif", np.zeros((2, 2)), 12, "TIFF cannot hold bit_depth 12; want 8 or 16 or 32"),
        ("a.png", np.zeros((2, 2), np.uint8), 8, r"pixels are uint8; want floats in \[0, 1\]"),
        ("a.tif", np.zeros((2, 2), bool), 8, "pixels are bool; want floats"),
        ("a.png", np.zeros(4), 8, r"shape \(4,\); want \(H, W\) or \(C, H, W\)"),
        ("a.png", np.zeros((1, 1, 2, 2)), 8, r"shape \(1, 1, 2, 2\); want \(H, W\)"),
        ("a.tif", np.zeros((0, 4)), 8, r"shape \(0, 4\); want .* not empty"),
        ("a.png", np.zeros((8, 9, 3)), 8, r"8 channels; want \(C, H, W\) with 1 or 3 channels"),
        ("a.jpg", np.zeros((2, 8, 9)), 8, "2 channels; want .* for JPEG"),
        ("a.png", np.full((2, 2), np.nan), 8, "NaN or Inf; want finite values"),
        ("a.tif", np.full((2, 2), np.inf), 32, "NaN or Inf; want finite values"),
        ("none/a.png", np.zeros((2, 2)), 8, "there is no folder .*none"),
    ],
)
def test_refused_writes(tmp_path, name, pixels, bit_depth, message):
    with pytest.raises(ImageFileError, match=message) as caught:
        write_image(tmp_path / name, pixels, bit_depth)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_not_overwritten(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(
        ImageFileError, match=r"a\.png: cannot be written: it is a folder; want the name of a file"
    ):
        write_image(tmp_path / "a.png", np.zeros((2, 2)))


# The shared test images
