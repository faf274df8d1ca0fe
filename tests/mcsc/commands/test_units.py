"""Files of any unit and kind through `mcsc restore`, `fuse` and `solve`, and back."""

from __future__ import annotations

import json
import re

import imagecodecs
import numpy as np
import pytest
import tifffile

import mcsc
from mcsc.images import imresize, read_image, write_image
from mcsc.images.files import write_samples
from tests.helpers import run
from tests.mcsc.tasks.pairs import pair

SCENE = pair("depth-sr", 55)
TARGET = 0.1 + 0.8 * (SCENE.target - SCENE.target.min()) / np.ptp(SCENE.target)
SMALL = imresize(TARGET, 0.25)[0]
KNOWN = np.random.default_rng(0).random(SMALL.shape) > 0.1


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "rgb.png", SCENE.y)
    mm = np.rint(500 + 4000 * SMALL).astype(np.uint16)
    write_samples(tmp_path / "mm.png", mm[None])
    write_samples(tmp_path / "holes.png", np.where(KNOWN, mm, 0).astype(np.uint16)[None])
    write_samples(tmp_path / "mask.png", KNOWN.astype(np.uint8)[None])
    tifffile.imwrite(tmp_path / "metres.tif", (0.5 + 4 * SMALL).astype("f4"))
    write_image(tmp_path / "eight.png", SMALL)
    write_image(tmp_path / "sixteen.png", SMALL, 16)
    return tmp_path


def restore(x, out, *words, method="guided-filter"):
    return run("restore", x, "rgb.png", "--task", "depth-sr", "-o", out, "--method", method, *words)


def read(path):
    image = read_image(path)
    return image.samples.astype(float), image


def test_an_image_of_little_contrast_is_said_to_be_stretched(folder):
    words = "the image stretched to the whole range (it spans less than half of it)"
    assert words in " ".join(restore("metres.tif", "o.tif", "--range", "0", "20").output.split())
    assert words not in restore("metres.tif", "o.tif").output


@pytest.mark.parametrize(
    ("x", "out", "kind", "low", "high"),
    [
        ("mm.png", "o.png", "uint16", 500, 4500),
        ("mm.png", "o.tif", "uint16", 500, 4500),
        ("metres.tif", "o.tif", "float32", 0.5, 4.5),
        ("metres.tif", "o.npy", "float32", 0.5, 4.5),
        ("eight.png", "o.png", "uint8", 0, 255),
        ("sixteen.png", "o.png", "uint16", 0, 65535),
    ],
)
def test_results_are_in_the_unit_and_the_kind_of_the_file(folder, x, out, kind, low, high):
    done = restore(x, out, "--report", "r.html")
    assert done.exit_code == 0, done.stderr
    found, image = read(out)
    assert image.dtype == kind
    truth = low + (high - low) * TARGET
    assert np.abs(found - truth).mean() < 0.035 * (high - low)
    told = f"{x}: values " in done.stdout
    assert told == (x not in ("eight.png",))
    assert "worked on as 0 to 1" in (folder / "r.html").read_text()


def counted(path, counts, white):
    """Write counts of few bits, in the kind that the name asks for."""
    bits = white.bit_length()
    if path.suffix == ".pgm":
        rows, columns = counts.shape
        kind = ">u2" if white > 255 else "u1"
        head = f"P5 {columns} {rows} {white}\n".encode()
        path.write_bytes(head + counts.astype(kind).tobytes())
    elif path.suffix == ".tif":
        kind = "u2" if bits > 8 else "u1"
        tifffile.imwrite(path, counts.astype(kind), bitspersample=bits, photometric="minisblack")
    else:
        content = imagecodecs.jpeg8_encode(counts.astype("u2"), lossless=True, bitspersample=bits)
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "white"),
    [
        *(("d.pgm", white) for white in (100, 127, 255, 300, 511, 1023, 4095, 10000, 65535)),
        *(("d.tif", 2**bits - 1) for bits in (4, 8, 10, 12, 14, 16)),
        ("d.jpg", 4095),
    ],
)
@pytest.mark.parametrize("out", ["o.png", "o.tif"])
def test_depth_of_any_bits_comes_back_in_the_counts_of_the_file(folder, name, white, out):
    low, high = white // 3, 2 * white // 3
    counts = np.rint(low + (high - low) * SMALL)
    counted(folder / name, counts, white)
    done = restore(name, out)
    assert done.exit_code == 0, done.output
    found, image = read(out)
    assert image.dtype == ("uint8" if white < 256 else "uint16")
    truth = low + (high - low) * TARGET
    assert np.abs(found - truth).mean() < 0.05 * (high - low) + 0.5
    assert " is unknown" not in done.output
    told = f"values {counts.min():.6g} to {counts.max():.6g} are worked on as 0 to 1"
    assert (told in done.stdout) == (white > 255)


def test_ranges_and_masks_of_few_bits_are_counts(folder):
    counts = np.where(KNOWN, np.rint(1600 + 200 * SMALL), 0)
    for name in ("d.pgm", "d.tif"):
        counted(folder / name, counts, 4095)
        done = restore(name, "o.png")
        assert "are 0, the others lie between 16" in done.stderr
        done = restore(name, "o.png", "--mask", 0, "--range", 1600, 1800)
        assert done.exit_code == 0, done.stderr
        assert "values 1600 to 1800 are worked on as 0 to 1" in done.stdout
        assert "no pixel" not in done.output
        found, _ = read("o.png")
        assert np.abs(found - (1600 + 200 * TARGET)).mean() < 20


@pytest.mark.parametrize("white", [100, 1023, 4095, 10000])
@pytest.mark.parametrize("suffix", ["pgm", "tif"])
def test_pictures_of_few_bits_keep_their_brightness_and_new_counts_are_told(folder, suffix, white):
    if suffix == "tif":
        white = 2 ** white.bit_length() - 1
    scene = pair("multi-focus")
    names = [f"{name}.{suffix}" for name in "ab"]
    for name, image in zip(names, (scene.x, scene.y), strict=True):
        counted(folder / name, np.rint(white * image.mean(axis=0)), white)
    words = ("--task", "multi-focus", "--method", "mean", "-o", "o.png")
    done = run("fuse", *names, *words)
    assert done.exit_code == 0, done.stderr
    found = read_image("o.png")
    wanted = (scene.x + scene.y).mean(axis=0) / 2
    assert np.abs(found.pixels[0] - wanted).max() < 1.5 / white
    full = 255 if white < 256 else 65535
    assert f"0 is 0 and {full} is {white}" in done.stdout
    write_image("c.png", scene.x.mean(axis=0), 16 if white > 255 else 8)
    done = run("fuse", "c.png", names[1], *words)
    assert f"is {white}" not in done.stdout
    assert np.abs(read_image("o.png").pixels[0] - wanted).max() < 1.5 / white


def test_other_kinds_are_scaled_if_asked_for_and_that_is_told(folder):
    done = restore("metres.tif", "o.png")
    assert done.exit_code == 2
    assert "PNG does not hold the values of metres.tif (floats, 0." in done.stderr
    assert "want a name that ends in .tif, or --bit-depth 8 or 16 to scale them" in done.stderr
    done = restore("metres.tif", "o.png", "--bit-depth", 16, "--range", 0, 5)
    assert done.exit_code == 0, done.stderr
    assert "0 is 0 and 65535 is 5" in done.stdout
    found, _ = read("o.png")
    assert np.abs(found / 65535 * 5 - (0.5 + 4 * TARGET)).mean() < 0.16
    done = restore("mm.png", "o.tif", "--bit-depth", 32)
    assert done.exit_code == 0, done.stderr
    found, image = read("o.tif")
    assert image.dtype == "float32"
    assert np.abs(found - (500 + 4000 * TARGET)).mean() < 150


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mm.png", "o.jpg"), "JPEG does not hold the values of mm.png (16 bits, "),
        (("mm.png", "o.jpg", "--bit-depth", 16), "JPEG holds 8 bits, not 16"),
        (("mm.png", "o.png", "--bit-depth", 32), "PNG holds 8 or 16 bits, not 32"),
        (("mm.png", "o.pfm"), "PFM does not hold the values"),
        (("mm.png", "o.gif"), "want a name that ends in .png"),
        (("mm.png", "o.png", "--range", 0, 1, "--range", 0, 1), "--range is for X: give it once"),
        (("mm.png", "o.png", "--mask", "3=nan"), "--mask is for image 3, there are 2"),
        (("mm.png", "o.png", "--mask", "nodata"), "mm.png does not say which value is unknown"),
    ],
)
def test_refusals(folder, words, message):
    before = sorted(folder.iterdir())
    done = restore(*words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert sorted(folder.iterdir()) == before


def test_values_that_are_cut_off_are_told(folder):
    board = np.kron(np.indices((4, 4)).sum(0) % 2, np.ones((4, 4)))
    write_image("board.png", board)
    done = restore("board.png", "o.png", method="bicubic")
    assert done.exit_code == 0, done.stderr
    assert "% of the values cut off at 0 or 255" in done.stdout
    assert re.search("lie beyond 0 to 255, by up to .*, and were cut off there: --bit", done.stderr)
    done = restore("board.png", "o.tif", "--bit-depth", 32, method="bicubic")
    assert "cut off" not in done.output
    assert read("o.tif")[0].min() < -5


# ------------------------------------------------------------------------------------ holes
@pytest.mark.parametrize("words", [("zeros",), ("mask.png",), ("0",), ("zeros", "mask.png")])
def test_holes_of_a_depth_camera_are_filled(folder, words):
    masks = [word for given in words for word in ("--mask", given)]
    done = restore("holes.png", "o.png", *masks, method="mcsc")
    assert done.exit_code == 0, done.stderr
    found, image = read("o.png")
    assert image.dtype == "uint16"
    holes = ~KNOWN.repeat(4, 0).repeat(4, 1)
    error = np.abs(found[0] - (500 + 4000 * TARGET[0]))
    assert error[holes].mean() < 3 * error[~holes].mean()


def test_holes_that_nobody_tells_of_are_suspected(folder):
    done = restore("holes.png", "o.png")
    assert done.exit_code == 0
    assert "of the values of holes.png are 0, the others lie between" in done.stderr
    assert (
        "if these are unknown pixels, mask them (on the command line by --mask zeros)"
        in done.stderr
    )


def test_a_value_that_the_file_calls_unknown_is_unknown(folder):
    metres = np.where(KNOWN, 0.5 + 4 * SMALL, -9999).astype("f4")
    tifffile.imwrite("dem.tif", metres, extratags=[(42113, "s", 0, "-9999", True)])
    done = restore("dem.tif", "o.tif", method="mcsc")
    assert done.exit_code == 0, done.stderr
    assert "dem.tif: -9999 is unknown, as the file says" in done.stdout
    assert np.abs(read("o.tif")[0] - (0.5 + 4 * TARGET)).mean() < 0.2


@pytest.mark.parametrize(
    ("words", "blocks"),
    [
        ((), ()),
        (("--mask", "nodata"), ()),
        (("--mask", -9999), ()),
        ((), ("--blocks", 64, "--registered", "--workers", 1)),
    ],
)
def test_what_one_band_does_not_know_is_unknown_in_that_band(folder, words, blocks):
    """GDAL says it of each band; -9999 taken as a value would flatten all of them."""
    scene = pair("multispectral-sr", 55)
    truth = 3000 * np.stack([scene.target[0], scene.target[0] ** 2]).astype("f4")
    low = np.stack([imresize(band, 0.25) for band in truth]).astype("f4")
    write_image("guide.tif", scene.y)
    tags = [(42113, "s", 0, "-9999", True)]
    found = {}
    for name, value in (("full", 0), ("holes", -9999)):
        if value:
            low[1, :3] = value
        tifffile.imwrite(f"{name}.tif", low, photometric="minisblack", extratags=tags)
        asked = (*words, *blocks) if value else ()
        made = run(
            "restore", f"{name}.tif", "guide.tif", "--task", "multispectral-sr", "-o",
            f"o-{name}.tif", "--tol", 0.5, *asked,
        )  # fmt: skip
        assert "-9999 is unknown" in made.stdout or words or not value
        found[name] = tifffile.imread(f"o-{name}.tif")
    error = np.abs(found["holes"] - truth).mean(axis=(1, 2))
    usual = np.abs(found["full"] - truth).mean(axis=(1, 2))
    assert error[0] < 1.5 * usual[0] + 20
    assert found["holes"].min() > -1000
    assert error[1] < 500


def test_transparent_borders_of_a_stack(folder):
    scene = pair("multi-focus")
    for name, image, side in (("a", scene.x, slice(None, 4)), ("b", scene.y, slice(-4, None))):
        alpha = np.full((1, 64, 64), 255, np.uint8)
        alpha[:, :, side] = 0
        samples = np.concatenate([np.rint(255 * image).astype(np.uint8), alpha])
        tifffile.imwrite(
            f"{name}.tif", samples.transpose(1, 2, 0), photometric="rgb",
            extrasamples=["unassalpha"],
        )  # fmt: skip
    words = ("fuse", "a.tif", "b.tif", "--task", "multi-focus", "-o", "o.png", "--method", "mean")
    done = run(*words)
    assert done.exit_code == 2
    assert "a.tif has transparent pixels; if these are unknown, say --mask alpha;" in done.stderr
    done = run(*words, "--mask", "alpha")
    assert "b.tif has transparent pixels; if these are unknown, say --mask 2=alpha;" in done.stderr
    done = run(*words, "--mask", "alpha", "--mask", "2=alpha")
    assert done.exit_code == 0, done.stderr
    found = read_image("o.png").pixels
    assert np.abs(found - (scene.x + scene.y) / 2).mean() < 0.01
    assert np.abs(found[:, :, :4] - scene.y[:, :, :4]).mean() < 0.03


# ------------------------------------------------------------------------------------ solve
def test_solve_works_on_the_range_and_gives_parts_in_the_unit_of_the_file(folder):
    mcsc.dct_dictionary((1, 1), 8, 4).save("d.npz")
    truth = (0.5 + 4 * TARGET[0]).astype("f4")
    tifffile.imwrite("x.tif", truth)
    words = ("solve", "x.tif", "rgb.png", "--grey", "--dictionary", "d.npz", "--tol", 0.1)
    done = run(*words, "--lam-relative", 0.3, "--out", "out")
    assert done.exit_code == 0, done.stderr
    assert "x.tif: values 0 to 4." in done.stdout
    assert np.abs(tifffile.imread("out/x_sum.tif") - truth).mean() < 0.4
    signal = json.loads((folder / "out" / "result.json").read_text())["signals"][0]
    assert signal["range"] == [0, pytest.approx(truth.max())]
    words += ("--lam-relative", 0.3, "--out", "out", "--range", 0.4, 5, "--range", 0, 300)
    done = run(*words)
    assert done.exit_code == 0, done.stderr
    signals = json.loads((folder / "out" / "result.json").read_text())["signals"]
    assert [s["range"] for s in signals] == [[0.4, 5], [0, 300]]


def test_values_far_beyond_those_that_were_measured_are_told(folder):
    """A step is overshot by cubic interpolation; nothing is clipped, and the last line says so."""
    step = np.full(SMALL.shape, 1000, np.uint16)
    step[:, step.shape[1] // 2 :] = 3000
    step[0, 0] = 0
    write_samples("step.png", step[None])
    done = restore("step.png", "o.png", "--mask", "zeros", "--method", "mcsc", "--max-iter", 1)
    found, _ = read("o.png")
    assert found.min() < 800
    told = re.search(r"values (\S+) to (\S+), where 1000 to 3000 were measured", done.stdout)
    np.testing.assert_allclose(
        [float(n) for n in told.groups()], [found.min(), found.max()], atol=1
    )
    smooth = restore("mm.png", "o.png", method="bicubic")
    assert "were measured" not in smooth.stdout


@pytest.mark.parametrize(
    ("dtype", "advice"),
    [
        ("f4", "too large to compute with in float32: if these are unknown pixels, mask them"),
        ("f8", "holds NaN or Inf; if these are unknown pixels, say --mask "),
    ],
)
def test_the_lowest_float_is_refused_before_any_work(folder, dtype, advice):
    """As maps have it where nothing was measured, without a word of that in the file."""
    metres = np.where(KNOWN, 0.5 + 4 * SMALL, np.finfo(dtype).min).astype(dtype)
    tifffile.imwrite("lowest.tif", metres)
    before = sorted(folder.iterdir())
    for words in (
        ("restore", "lowest.tif", "rgb.png", "--task", "depth-sr", "-o", "o.tif"),
        ("solve", "lowest.tif", "metres.tif", "--out", "solved"),
        ("fuse", "lowest.tif", "metres.tif", "--task", "multi-focus", "-o", "o.tif"),
    ):
        done = run(*words)
        assert done.exit_code == 2, done.output
        assert advice in done.stderr
        assert done.stderr.count("\n") == 1
        assert sorted(folder.iterdir()) == before
    mask = re.search(r"--mask (?:1=)?(\S+?)\)?$", done.stderr).group(1)
    done = restore("lowest.tif", "o.tif", "--mask", mask, method="mcsc")
    assert done.exit_code == 0, done.output
    assert -2 < read("o.tif")[0].min() < read("o.tif")[0].max() < 8


def test_immense_ranges_are_refused(folder):
    done = restore("metres.tif", "o.tif", "--range", "-3.4e38", "3.4e38")
    assert done.exit_code == 2
    assert "-3.4e+38 3.4e+38: is too wide a range to compute with" in done.stderr


@pytest.mark.parametrize(
    ("words", "said", "unit"),
    [
        ((), ", and the result is in that unit", 1),
        (("--bit-depth", 32), ", and the result is in shares of 65535", 65535),
        (("--bit-depth", 8), "", 4095 / 255),
    ],
)
@pytest.mark.parametrize("command", ["restore", "fuse"])
def test_what_is_told_of_a_unit_is_what_the_numbers_are(folder, command, words, said, unit):
    counts = np.rint(4080 * TARGET).astype(np.uint16)
    write_samples("counts.tif", counts)
    task = {"restore": "flash-denoise", "fuse": "multi-focus"}[command]
    method = {"restore": "guided-filter", "fuse": "mean"}[command]
    done = run(
        command, "counts.tif", "counts.tif", "--task", task, "--method", method, "--registered",
        "-o", "o.tif", *words,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    line = "counts.tif: values 0 to 4095 are worked on as 0 to 1"
    assert f"{line}{said}\n" in done.stdout
    assert ("0 is 0 and 255 is 4095" in done.stdout) == (not said)
    found = read("o.tif")[0]
    assert found.shape == counts.shape
    assert np.median(found) * unit == pytest.approx(np.median(counts), rel=0.1)


def test_what_is_told_of_parts_is_what_the_numbers_are(folder):
    counts = np.rint(4080 * SMALL).astype(np.uint16)
    write_samples("counts.tif", counts[None])
    done = run("solve", "counts.tif", "metres.tif", "--out", "solved", "--tol", 0.1, "--no-codes")
    assert "counts.tif: values 0 to 4095 are worked on as 0 to 1, and parts are in shares of " in (
        done.stdout
    )
    assert re.search(
        "metres.tif: values 0 to .* as 0 to 1, and parts are in that unit", done.stdout
    )
    for name, wanted in (("x", counts / 65535), ("y", 0.5 + 4 * SMALL)):
        assert np.abs(read(f"solved/{name}_sum.tif")[0] - wanted).max() < 0.1 * wanted.max()
