"""In blocks, files are read as where they are read whole."""

from __future__ import annotations

import numpy as np
import PIL.ImageCms
import pytest
import tifffile

from mcsc.images import read_image
from mcsc.images.files import write_image, write_samples
from mcsc.images.formats.metadata import Metadata, exif_block
from mcsc.synthetic import make_pair
from tests.helpers import run

pytest.importorskip("distributed")

import zarr

from tests.clusters import local_client


@pytest.fixture(scope="module", autouse=True)
def client():
    """The active client: commands take its workers."""
    with local_client(active=True) as client:
        yield client


def samples_of(image):
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)


SLOW = pytest.mark.slow
DENOISED = ("--task", "flash-denoise", "--registered", "--no-ghosts")


DAMAGED = {
    "short.tif": "truncated or damaged TIFF: its pixels go on to byte",
    "spoiled.tif": "truncated or damaged TIFF: ",  # seen by a worker alone
    "spoiled.zarr": "truncated or damaged zarr array: ",
}


def write_damaged(folder, samples):
    whole = folder / "whole.tif"
    tifffile.imwrite(whole, samples, photometric="minisblack", tile=(16, 16), compression="zlib")
    content = whole.read_bytes()
    (folder / "short.tif").write_bytes(content[:-300])
    with tifffile.TiffFile(whole) as file:
        place = file.pages.first.dataoffsets[3]
    (folder / "spoiled.tif").write_bytes(content[:place] + b"none" * 9 + content[place + 36 :])
    zarr.create_array(folder / "spoiled.zarr", data=samples, chunks=samples.shape)
    for chunk in (folder / "spoiled.zarr" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(b"none")


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("command", ["restore", "fuse"])
def test_damaged_files_get_one_line(command, name, tmp_path):
    pair = make_pair("focus", 0, (40, 60))
    write_damaged(tmp_path, samples_of(pair.x[0]))
    write_image(tmp_path / "y.tif", pair.y[0])
    task = {"restore": "flash-denoise", "fuse": "multi-focus"}[command]
    made = tmp_path / "out.tif"
    for images in ((name, "y.tif"), ("y.tif", name)):
        found = run(
            command, *(tmp_path / image for image in images), "--task", task, "--registered",
            "--blocks", 40, "-o", made,
        )  # fmt: skip
        assert found.exit_code == 2, found.output
        assert f"{tmp_path / name}: {DAMAGED[name]}" in found.stderr
        assert found.stderr.count("\n") == 1, found.stderr
        assert not made.exists()


def test_masks_inside_a_file_are_no_bands_in_blocks(tmp_path):
    pair = make_pair("flash", 0, (40, 60))
    grey = samples_of(pair.x[1])
    known = np.ones(grey.shape, bool)
    write_image(tmp_path / "y.tif", pair.y[1])
    for name, holes in (("all.tif", False), ("some.tif", True)):
        known[10:20, 10:30] = not holes
        with tifffile.TiffWriter(tmp_path / name) as writer:
            writer.write(grey, photometric="minisblack")
            writer.write(known, photometric="mask", subfiletype=4)
            writer.write(grey[::2, ::2], photometric="minisblack", subfiletype=1)
    rest = (
        tmp_path / "y.tif", "--task", "flash-denoise", "--registered", "--no-ghosts", "--tol", 1e-3
    )  # fmt: skip
    images = {}
    for name, words in (("all.tif", ()), ("some.tif", ("--mask", "alpha"))):
        for way in ((), ("--blocks", 40)):
            out = tmp_path / f"{len(images)}.tif"
            found = run("restore", tmp_path / name, *rest, *words, *way, "-o", out)
            assert found.exit_code == 0, found.output
            images[name, way] = read_image(out).samples
        np.testing.assert_allclose(*(images[name, way].astype(int) for way in ((), way)), atol=1)
    assert (images["all.tif", ()] != images["some.tif", ()]).any()
    for way in ((), ("--blocks", 40)):
        found = run("restore", tmp_path / "some.tif", *rest, *way, "-o", tmp_path / "o.tif")
        assert found.exit_code == 2
        assert "has transparent pixels; if these are unknown, say --mask alpha" in found.stderr
    words = ("fuse", tmp_path / "y.tif", tmp_path / "some.tif", "--task", "multi-focus")
    found = run(*words, "--registered", "--blocks", 40, "-o", tmp_path / "o.tif")
    assert found.exit_code == 2
    assert "some.tif has transparent pixels: fusions in blocks want all pixels" in found.stderr


@pytest.mark.parametrize("kind", ["cielab", "icclab", "ycbcr", "logl", "palette", "separated"])
def test_colours_that_are_not_rgb_are_refused_in_blocks(kind, tmp_path):
    extra = {"palette": {"colormap": np.zeros((3, 256), np.uint16)}}.get(kind, {})
    shape = {"palette": (40, 60), "logl": (40, 60), "separated": (40, 60, 4)}.get(kind, (40, 60, 3))
    tifffile.imwrite(tmp_path / "x.tif", np.zeros(shape, np.uint8), photometric=kind, **extra)
    write_image(tmp_path / "y.tif", np.zeros((1, 40, 60)))
    images = tmp_path / "x.tif", tmp_path / "y.tif"
    words = (*images, *DENOISED, "--blocks", 40, "-o", tmp_path / "out.tif")
    found = run("restore", *words)
    assert found.exit_code == 2, found.output
    assert f"x.tif, page 1, is of the kind {kind.upper()}" in found.stderr


def test_images_behind_one_directory_are_refused_in_blocks(tmp_path):
    words = "ImageJ=1.54f\nimages=5\nslices=5\n"
    tifffile.imwrite(
        tmp_path / "x.tif", np.zeros((40, 60), np.uint8), description=words, metadata=None
    )
    with (tmp_path / "x.tif").open("ab") as file:
        file.write(bytes(4 * 40 * 60))
    write_image(tmp_path / "y.tif", np.zeros((1, 40, 60)))
    images = tmp_path / "x.tif", tmp_path / "y.tif"
    words = (*images, *DENOISED, "--blocks", 40, "-o", tmp_path / "out.tif")
    found = run("restore", *words)
    assert found.exit_code == 2, found.output
    assert "holds several images behind one directory" in found.stderr


@pytest.mark.parametrize("bits", [4, *(pytest.param(b, marks=SLOW) for b in (10, 12))])
@pytest.mark.parametrize("depth", [(), ("--bit-depth", "32")])
def test_photographs_of_few_bits_come_out_bright_in_blocks(bits, depth, tmp_path):
    pair = make_pair("flash", 0, (40, 60))
    dark = np.rint((2**bits - 1) / 5 * np.clip(pair.x[1], 0, 1))  # fewer bits would do
    tifffile.imwrite(
        tmp_path / "x.tif", dark.astype(np.uint8 if bits < 8 else np.uint16), bitspersample=bits,
        photometric="minisblack",
    )  # fmt: skip
    write_image(tmp_path / "y.tif", pair.y[1])
    words = (
        "restore", tmp_path / "x.tif", tmp_path / "y.tif", "--task", "flash-denoise", "--no-ghosts",
        "--registered", "--tol", 1e-3, *depth,
    )  # fmt: skip
    whole, blocks = tmp_path / "whole.tif", tmp_path / "blocks.tif"
    assert run(*words, "-o", whole).exit_code == 0
    found = run(*words, "--blocks", 40, "-o", blocks)
    assert found.exit_code == 0, found.output
    a, b = read_image(whole), read_image(blocks)
    assert a.dtype == b.dtype
    np.testing.assert_allclose(b.pixels, a.pixels, atol=1 / 255)


def write_bits(path, image, bits):
    kind = np.uint8 if bits <= 8 else np.uint16
    counts = np.rint((2**bits - 1) * np.clip(image, 0, 1)).astype(kind)
    tifffile.imwrite(path, counts, bitspersample=bits, photometric="minisblack")


def assert_same_in_blocks(folder, *words):
    whole, blocks = folder / "whole.tif", folder / "blocks.tif"
    for out, more in ((whole, ()), (blocks, ("--blocks", 40))):
        found = run(*words, "--registered", "--tol", 1e-3, *more, "-o", out)
        assert found.exit_code == 0, found.output
    a, b = read_image(whole), read_image(blocks)
    assert a.dtype == b.dtype
    np.testing.assert_allclose(b.pixels, a.pixels, atol=1 / 255)
    return a.pixels


def test_guides_of_few_bits_are_as_bright_in_blocks(tmp_path):
    pair = make_pair("flash", 0, (40, 60))
    write_bits(tmp_path / "x.tif", pair.x[1], 8)
    write_bits(tmp_path / "y.tif", pair.y[1] / 20, 12)  # 8 bits would do
    images = tmp_path / "x.tif", tmp_path / "y.tif"
    assert_same_in_blocks(
        tmp_path, "restore", *images, "--task", "flash-denoise", "--no-ghosts", "--bit-depth", 32
    )


@pytest.mark.parametrize(
    "bits", [(10, 12), *(pytest.param(b, marks=SLOW) for b in ((12, 12), (8, 12), (12, 16)))]
)
def test_sources_of_several_depths_are_as_bright_in_blocks(bits, tmp_path):
    pair = make_pair("focus", 0, (40, 60))
    for name, image, depth in zip("xy", (pair.x, pair.y), bits, strict=True):
        write_bits(tmp_path / f"{name}.tif", 0.4 * image[1], depth)
    images = tmp_path / "x.tif", tmp_path / "y.tif"
    made = assert_same_in_blocks(
        tmp_path, "fuse", *images, "--task", "multi-focus", "--no-ghosts", "--bit-depth", 32
    )
    assert made.mean() == pytest.approx(0.4 * pair.x[1].clip(0, 1).mean(), rel=0.1)


def test_profile_author_and_resolution_are_kept_in_blocks(tmp_path):
    profile = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
    pair = make_pair("flash", 0, (40, 60))
    write_image(tmp_path / "y.tif", pair.y)
    said = Metadata(profile, exif_block({315: "Ann"}, {33434: 0.5}, {}), (300.0, 300.0))
    write_samples(tmp_path / "x.tif", samples_of(pair.x), metadata=said)
    words = (tmp_path / "x.tif", tmp_path / "y.tif", *DENOISED, "--tol", 0.1, "--blocks", 40)
    for name, lost in (
        ("a.tif", "exposure and GPS (EXIF)"), ("a.zarr", "the colour profile, EXIF, dpi")
    ):  # fmt: skip
        found = run("restore", *words, "-o", tmp_path / name)
        assert found.exit_code == 0, found.output
        assert f"{name} does not keep {lost} of x.tif" in found.stdout
        assert "has no colour profile, which counts as sRGB" not in found.stderr
    kept, given = (read_image(tmp_path / f"{n}.tif").metadata for n in "ax")
    assert kept.icc == given.icc == profile
    assert kept.dpi == pytest.approx(given.dpi)
    assert b"Ann" in kept.exif


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_pixels_that_are_not_finite_get_advice_for_the_command_line(bad, tmp_path):
    pair = make_pair("flash", 0, (40, 60))
    holed = pair.x[:1].copy()
    holed[0, 5:9, 5:9] = bad
    write_image(tmp_path / "y.tif", pair.y[:1])
    tifffile.imwrite(tmp_path / "x.tif", holed[0])
    words = (tmp_path / "x.tif", tmp_path / "y.tif", *DENOISED, "--blocks", 40, "--tol", 0.1, "-o")
    found = run("restore", *words, tmp_path / "o.tif")
    assert found.exit_code == 2
    assert "x.tif holds NaN or Inf: if these pixels are unknown, " in found.stderr
    assert found.stderr.endswith("(on the command line by --mask nan)\n")
    assert found.stderr.count("\n") == 1
    found = run("restore", *words, tmp_path / "o.tif", "--mask", "nan")
    assert found.exit_code == 0, found.output
