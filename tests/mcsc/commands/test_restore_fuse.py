"""`mcsc restore` and `mcsc fuse` on the files that people have."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

import mcsc
from mcsc.images import imresize, read_image, write_image
from mcsc.tasks import METHODS, MethodResult, get_task
from tests.helpers import run
from tests.mcsc.tasks.pairs import pair


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    scene = pair("multispectral-sr", 57, (96, 96))  # detail enough to see a shift
    small = imresize(scene.target, 0.25)
    for count in (2, 4, 5, 31):
        share = np.linspace(0.3, 1, count)[:, None, None].astype("f4")
        write_image(folder / f"bands{count}.tif", share * small, 16)
    write_image(folder / "photo.png", scene.y)
    scene = pair("depth-sr", 54, (96, 96))
    small = imresize(scene.target, 0.25)
    write_image(folder / "depth.png", scene.target, 16)
    write_image(folder / "small.png", small, 16)
    write_image(folder / "rgb.png", scene.y)
    known = np.random.default_rng(0).random(small.shape[1:]) > 0.08
    write_image(folder / "mask.png", known.astype(float))
    write_image(folder / "zeros.png", np.where(known, np.maximum(small, 0.05), 0), 16)
    tifffile.imwrite(folder / "nan.tif", np.where(known, small, np.nan)[0].astype("f4"))
    scene = pair("multi-focus", shape=(64, 64))
    write_image(folder / "near.png", scene.x)
    write_image(folder / "far.png", scene.y)
    write_image(folder / "target.png", scene.target)
    write_image(folder / "grey.png", scene.x.mean(0))
    mcsc.dct_dictionary((1, 1), 8, 4).save(folder / "d.npz")
    return folder


def restore(folder, out, x, guide, *words, task="depth-sr"):
    """`mcsc restore` with a small dictionary."""
    given = ("--task", task, "-o", out, "--dictionary", folder / "d.npz", "--lam", 0.05)
    return run("restore", folder / x, folder / guide, *given, *words)


# ------------------------------------------------------------------------------------- bands
@pytest.mark.parametrize("count", [2, 4, 5, 31])
def test_any_number_of_bands_with_a_photograph(folder, tmp_path, count):
    out = tmp_path / "o.tif"
    done = restore(
        folder, out, f"bands{count}.tif", "photo.png", "--tol", 0.1, task="multispectral-sr"
    )
    assert done.exit_code == 0, done.stderr
    image = read_image(out)
    assert image.pixels.shape == (count, 96, 96)
    assert image.bit_depth == 16


def test_bands_with_the_dictionary_that_comes_along(folder, tmp_path):
    done = run(
        "restore", folder / "bands5.tif", folder / "photo.png", "--task", "multispectral-sr", "-o",
        tmp_path / "o.tif", "--report", tmp_path / "r.html",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert read_image(tmp_path / "o.tif").pixels.shape == (5, 96, 96)


def test_bands_want_a_tiff(folder, tmp_path):
    done = restore(folder, tmp_path / "o.png", "bands5.tif", "photo.png", task="multispectral-sr")
    assert done.exit_code == 2
    assert "bands5.tif has 5 bands, for which want a name that ends in .tif" in done.stderr
    scene = read_image(folder / "bands5.tif").pixels
    write_image(tmp_path / "s_ms.tif", imresize(scene, 4), 16)
    write_image(tmp_path / "s_rgb.png", read_image(folder / "photo.png").pixels)
    done = run(
        "evaluate", tmp_path, "--task", "multispectral-sr", "--method", "bicubic", "--images",
        tmp_path / "images",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert read_image(tmp_path / "images" / "s_bicubic.tif").pixels.shape == (5, 96, 96)


def test_bands_that_are_shifted_are_found_out(folder, tmp_path):
    moved = np.roll(read_image(folder / "bands5.tif").pixels, (3, -2), (1, 2))
    write_image(tmp_path / "moved.tif", moved, 16)
    words = ("restore", tmp_path / "moved.tif", folder / "photo.png", "--task", "multispectral-sr")
    words += ("-o", tmp_path / "o.tif", "--dictionary", folder / "d.npz", "--tol", 0.1)
    done = run(*words)
    assert done.exit_code == 2
    assert f"{folder / 'photo.png'} is shifted against {tmp_path / 'moved.tif'}" in done.stderr
    assert "--align registers it, --registered takes it as it is" in done.stderr
    assert not (tmp_path / "o.tif").exists()
    done = run(*words, "--registered")
    assert done.exit_code == 0, done.stderr
    done = run(*words, "--align", "--registered")
    assert done.exit_code == 2
    assert "--align and --registered exclude each other" in done.stderr


# ----------------------------------------------------------------------------- small, refusals
@pytest.mark.parametrize("size", [8, 24, 31])
def test_small_images_are_not_refused_for_registration(folder, tmp_path, size):
    for name in ("near", "far"):
        pixels = read_image(folder / f"{name}.png").pixels[:, :size, :size]
        write_image(tmp_path / f"{name}.png", pixels)
    done = run(
        "fuse", tmp_path / "near.png", tmp_path / "far.png", "--task", "multi-focus", "-o",
        tmp_path / "o.png", "--dictionary", folder / "d.npz",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    done = run(
        "fuse", tmp_path / "near.png", tmp_path / "far.png", "--task", "multi-focus", "-o",
        tmp_path / "o.png", "--dictionary", folder / "d.npz", "--align",
    )  # fmt: skip
    assert done.exit_code == 2
    assert f"{tmp_path / 'near.png'} has shape" in done.stderr
    assert "want at least 32 x 32 pixels" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("restore nan.tif rgb.png", "nan.tif holds NaN or Inf; if these are unknown pixels, say"),
        ("restore small.png nan.tif", "nan.tif holds NaN or Inf"),
        ("restore rgb.png small.png", "rgb.png is 96 x 96, small.png is 24 x 24: want small.png"),
        (
            "restore small.png rgb.png --factor 3",
            "small.png is 24 x 24, rgb.png is 96 x 96: that i",
        ),
        ("restore small.png rgb.png --mask zero", "zero: no such file"),
        (
            "restore small.png rgb.png --method magic",
            "depth-sr has no method 'magic': want bicubic",
        ),
        (
            "restore small.png rgb.png --method bicubic --lam 1",
            "the method bicubic has no option lam",
        ),
        (
            "restore small.png rgb.png --method bicubic --tol 0.5",
            "the method bicubic has no option tol",
        ),
        (  # its usual value does nothing either
            "restore small.png rgb.png --method bicubic --tol 1e-2",
            "the method bicubic has no option tol",
        ),
        ("fuse near.png far.png --method mean --tol 1e-2", "the method mean has no option tol"),
        (
            "restore small.png rgb.png --method bicubic --max-iter 5",
            "the method bicubic has no option max_iter",
        ),
        ("restore small.png rgb.png --max-iter 0", "0 is not in the range x>=1"),
        ("restore small.png rgb.png --method bicubic --weights w", "bicubic takes no weights"),
        ("restore small.png rgb.png --method bicubic --dictionary d.npz", "takes no dictionary"),
        ("restore small.png rgb.png --weights w", "the method mcsc takes no weights"),
        ("restore small.png rgb.png --lam a", "'a' is not a number > 0"),
        ("restore small.png rgb.png --lam 1,2", "lam has 2 entries: give one number, one for each"),
        ("restore small.png rgb.png --device cuda", "device='cuda' cannot be used: none here"),
        ("fuse near.png bands4.tif", "bands4.tif is 24 x 24, near.png is 64 x 64: want registered"),
        ("fuse bands4.tif bands4.tif", "bands4.tif has 4 bands, for which want"),
        ("fuse near.png far.png --method mean --rule sum", "the method mean has no option rule"),
        (
            "fuse near.png far.png --rule max",
            "'max' is not one of 'choose', 'detail', 'activity', 'sum', 'tar",
        ),
    ],
)
def test_refusals_name_the_files_and_leave_nothing(folder, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(folder)
    monkeypatch.setattr("mcsc.backend.select.cupy_or_reason", lambda: (None, "none here"))
    command, *rest = words.split()
    task = "depth-sr" if command == "restore" else "multi-focus"
    before = sorted(folder.iterdir())
    done = run(command, *rest, "--task", task, "-o", tmp_path / "o.png")
    assert done.exit_code == 2
    assert message in done.stderr.splitlines()[0]
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
    assert sorted(folder.iterdir()) == before


# -------------------------------------------------------------------------------------- masks
@pytest.mark.parametrize(
    ("image", "word"), [("zeros.png", "zeros"), ("nan.tif", "nan"), ("zeros.png", "mask.png")]
)
def test_unknown_pixels_are_filled(folder, tmp_path, monkeypatch, image, word):
    monkeypatch.chdir(folder)
    words = ("--task", "depth-sr", "-o", tmp_path / "o.tif", "--mask", word)
    done = run("restore", image, "rgb.png", *words)
    assert done.exit_code == 0, done.stderr
    truth = read_image(folder / "depth.png").pixels
    found = read_image(tmp_path / "o.tif").pixels
    known = read_image(folder / "mask.png").pixels[0].repeat(4, 0).repeat(4, 1) > 0
    errors = np.abs(found - truth)[0]
    assert errors[~known].mean() < 2.5 * errors[known].mean()


def test_the_factor_and_several_lams(folder, tmp_path):
    done = restore(
        folder, tmp_path / "o.png", "small.png", "rgb.png", "--factor", 4, "--lam", "0.1,0.05,0.05"
    )
    assert done.exit_code == 0, done.stderr
    assert "lam 0.1, 0.05, 0.05" in done.stdout


# ------------------------------------------------------------------------------ other methods
def test_a_baseline_writes_an_image_and_a_page(folder, tmp_path):
    done = run(
        "restore", folder / "small.png", folder / "rgb.png", "--task", "depth-sr", "--method",
        "guided-filter", "-o", tmp_path / "o.png", "--report", tmp_path / "r.html",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert done.stderr == ""
    assert "guided-filter" in (tmp_path / "r.html").read_text()
    assert "certified" not in done.stdout
    task = get_task("depth-sr")
    assert task.factor == 4
    assert read_image(tmp_path / "o.png").pixels.shape == (1, 96, 96)


@pytest.mark.parametrize(
    ("stopped", "said", "status"),
    [
        (None, "", 1),
        ("max_iter", ", at its most iterations", 1),
        ("interrupted", ", interrupted", 130),
    ],
)
def test_not_converged_is_a_warning_and_a_status(folder, tmp_path, stopped, said, status):
    def hasty(x, y, *, tol):
        return MethodResult(x, gap=0.5, converged=False, stopped=stopped)

    hasty.options, hasty.name = frozenset({"tol"}), "hasty"
    METHODS.add("hasty", lambda task, weights: hasty)
    try:
        words = ("--task", "depth-sr", "-o", tmp_path / "o.png", "--method", "hasty")
        done = run("restore", folder / "small.png", folder / "rgb.png", *words)
    finally:
        METHODS.remove("hasty")
    assert done.exit_code == status
    assert done.stderr == (
        f"mcsc: warning: hasty did not converge to tol = 0.01{said}: the certified gap is 5.0e-01\n"
    )
    assert (tmp_path / "o.png").exists()


# ------------------------------------------------------------------------------------- fusion
@pytest.mark.parametrize("command", ["restore", "fuse", "evaluate"])
def test_the_iterations_can_be_limited(folder, tmp_path, command):
    words = {
        "restore": (folder / "small.png", folder / "rgb.png", "--task", "depth-sr"),
        "fuse": (folder / "near.png", folder / "far.png", "--task", "multi-focus"),
        "evaluate": (tmp_path, "--task", "multi-focus", "--method", "mcsc"),
    }[command]
    for role in ("near", "far"):
        write_image(tmp_path / f"s_{role}.png", read_image(folder / f"{role}.png").pixels)
    words += ("--dictionary", folder / "d.npz", "--tol", 1e-3)
    words += () if command == "evaluate" else ("-o", tmp_path / "o.png", "--lam", 0.02)
    done = run(command, *words)
    assert done.exit_code == 0, done.stderr
    assert "not converge" not in done.stderr
    done = run(command, *words, "--max-iter", 1)
    assert done.exit_code == (0 if command == "evaluate" else 1)
    assert "mcsc did not converge to tol = 0.001, at its most iterations" in done.stderr


def test_three_sources_and_their_parts(folder, tmp_path):
    done = run(
        "fuse", folder / "near.png", folder / "far.png", folder / "target.png", "--task",
        "multi-focus", "-o", tmp_path / "o.png", "--dictionary", folder / "d.npz", "--parts",
        tmp_path / "parts",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "parts").iterdir()) == [
        "1_common.tif", "2_unique_1.tif", "3_unique_2.tif", "4_unique_3.tif", "base.tif",
        "weights.tif",
    ]  # fmt: skip


def test_grey_and_colour(folder, tmp_path):
    for first, second in (("grey.png", "far.png"), ("far.png", "grey.png")):
        done = run(
            "fuse", folder / first, folder / second, "--task", "multi-focus", "-o",
            tmp_path / "o.png", "--dictionary", folder / "d.npz", "--report", tmp_path / "r.html",
        )  # fmt: skip
        assert done.exit_code == 0, done.stderr
        assert read_image(tmp_path / "o.png").pixels.shape == (3, 64, 64)
