from __future__ import annotations

import json
import os
import re
import shlex
import signal
import threading
import time

import numpy as np
import PIL.Image
import pytest
import tifffile

import mcsc
from mcsc.images import read_image, write_image
from tests.helpers import SOLVERS_BY_TIME, run

PARTS = ("low", "common", "unique", "sum")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images of 20 x 24 pixels with one edge in common, and small dictionaries.

    One filter size and one precision, because kernels are compiled for each.
    """
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    x, y, z = 0.2 + 0.1 * rng.random((3, 20, 24))
    x[:, 12:] += 0.5
    y[:, 12:] += 0.3
    y[8:] += 0.2
    write_image(folder / "x.png", x)
    write_image(folder / "y.png", y)
    write_image(folder / "z.png", z)
    write_image(folder / "rgb.png", np.stack([x, y, z]))
    write_image(folder / "bands.tif", np.stack([x, y, z, x, y]), 16)
    write_image(folder / "small.png", x[:10])
    write_image(folder / "tiny.png", x[:3, :3])
    write_image(folder / "flat.png", np.full((20, 24), 0.5))
    black = x.copy()
    black[3:6, 4:8] = 0
    write_image(folder / "black.png", black)
    tifffile.imwrite(folder / "nan.tif", np.where(black == 0, np.nan, black).astype("f4"))
    write_image(folder / "mask.png", (black > 0).astype(float))
    write_image(folder / "nothing.png", np.zeros((20, 24)))
    (folder / "text.png").write_text("hello")
    (folder / "truncated.png").write_bytes((folder / "rgb.png").read_bytes()[:200])
    mcsc.dct_dictionary((1, 1), 8, 3).save(folder / "d.npz")
    mcsc.dct_dictionary((1,), 8, 3).save(folder / "d1.npz")
    mcsc.dct_dictionary((1, 3), 8, 3).save(folder / "d13.npz")
    mcsc.dct_dictionary((1, 1, 1), 8, 2).save(folder / "d111.npz")
    return folder


def solve(folder, out, *words, images=("x.png", "y.png"), dictionary="d.npz"):
    paths = [folder / name for name in images]
    given = ("--dictionary", folder / dictionary, "--lam-relative", 0.3, "--out", out)
    return run("solve", *paths, *given, *words)


def pixels(path):
    return read_image(path).pixels


# ------------------------------------------------------------------------- what is written
@pytest.mark.parametrize("boundary", ["zero", "periodic"])
def test_solve_writes_what_python_computes(folder, tmp_path, boundary):
    done = solve(folder, tmp_path / "new" / "out", "--boundary", boundary)
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    out = tmp_path / "new" / "out"
    names = {"panel.png", "convergence.png", "result.json", "codes.npz", "dictionary.npz"}
    names |= {f"{s}_{part}.tif" for s in "xy" for part in PARTS}
    assert {path.name for path in out.iterdir()} == names
    for name in names:
        assert name in done.stdout
    for name in ("panel.png", "convergence.png"):
        with PIL.Image.open(out / name) as picture:
            assert np.asarray(picture.convert("L")).std() > 10

    content = json.loads((out / "result.json").read_text())
    result = content["result"]
    assert set(content["files"]) == names
    assert result["converged"]
    assert result["gap"] <= 1e-3
    assert content["lam"] == pytest.approx(0.3 * content["lambda_max"])
    assert content["history"]["gap"][-1] == result["gap"]
    assert content["arguments"]["boundary"] == boundary
    assert content["versions"]["mcsc"] == mcsc.__version__
    assert [s["file"] for s in content["signals"]] == [str(folder / n) for n in ("x.png", "y.png")]

    dictionary = mcsc.Dictionary.load(out / "dictionary.npz")
    codes = mcsc.Codes.load(out / "codes.npz")
    assert result["nonzeros"] == {"common": codes.nnz_common, "unique": list(codes.nnz_unique)}
    detail = []
    for m, s in enumerate("xy"):
        low, common, unique, total = (pixels(out / f"{s}_{part}.tif") for part in PARTS)
        np.testing.assert_allclose(total, low + common + unique, atol=1e-6)
        own = mcsc.Dictionary((dictionary.common[m],), (dictionary.unique[m],))
        shown = mcsc.Codes.from_dense(codes.common, (codes.unique[m],))
        expected = mcsc.reconstruct(shown, own, boundary=boundary)
        np.testing.assert_allclose(common, expected.common[0], atol=1e-6)
        np.testing.assert_allclose(unique, expected.unique[0][0], atol=1e-6)
        image = pixels(folder / f"{s}.png").astype("f8")
        rms = np.sqrt(np.mean((image - total) ** 2))
        assert content["signals"][m]["rms_error"] == pytest.approx(rms, rel=1e-3)
        detail.append(image - low)
    problem = mcsc.Problem(tuple(detail), dictionary, content["lam"], boundary=boundary)
    assert problem.objective(codes) == pytest.approx(result["objective"], rel=1e-4)


def test_table_and_message(folder, tmp_path):
    done = solve(folder, tmp_path)
    content = json.loads((tmp_path / "result.json").read_text())
    result = content["result"]
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    head = next(i for i, line in enumerate(lines) if line.startswith("method "))
    assert re.split(r" +", lines[head])[:5] == [
        "method",
        "seconds",
        "iterations",
        "objective",
        "gap",
    ]
    assert lines[head].endswith("common     of x     of y")
    cells = lines[head + 1].split()
    assert cells[0] == result["method"]
    assert int(cells[2]) == result["iterations"]
    assert float(cells[3]) == pytest.approx(result["objective"], rel=1e-5)
    counts = [result["nonzeros"]["common"], *result["nonzeros"]["unique"]]
    assert [int(cell) for cell in cells[5:]] == counts
    assert "converged: certified relative gap" in done.stdout
    assert "x  x  20 x 24" in done.stdout


def test_a_narrow_screen_gets_a_column(folder, tmp_path):
    done = solve(folder, tmp_path, images=("x.png", "y.png", "z.png"), dictionary="d111.npz")
    assert done.exit_code == 0, done.output
    assert re.search(r"^nonzeros of x3 +\d+$", done.stdout, re.MULTILINE)
    assert (tmp_path / "x3_unique.tif").exists()
    assert not (tmp_path / "x_low.tif").exists()


def test_one_image_has_no_common_part(folder, tmp_path):
    done = solve(folder, tmp_path, images=("x.png",), dictionary="d1.npz")
    assert done.exit_code == 0, done.output
    assert re.search(r"nonzeros\nmethod .* of x\n", done.stdout)
    assert not (tmp_path / "x_common.tif").exists()
    assert (tmp_path / "x_unique.tif").exists()


def test_colour_no_low_pass_no_codes_and_the_starter(folder, tmp_path):
    paths = (folder / "x.png", folder / "rgb.png")
    words = ("--no-low-pass", "--no-codes", "--lam-relative", 0.5, "--threads", 1)
    words += ("--out", tmp_path)
    done = run("solve", *paths, *words)
    assert done.exit_code == 0, done.output
    assert "348 maps" in done.stdout
    assert "no constant filter" in done.stdout
    assert pixels(tmp_path / "y_sum.tif").shape == (3, 20, 24)
    assert not (tmp_path / "codes.npz").exists()
    assert not (tmp_path / "x_low.tif").exists()


def test_precision_is_that_of_the_codes(folder, tmp_path):
    for precision in ("float32", "float64"):
        done = solve(folder, tmp_path, "--method", "fista", "--precision", precision)
        assert done.exit_code == 0, done.output
        assert mcsc.Codes.load(tmp_path / "codes.npz").dtype == precision


def test_grey_takes_luma(folder, tmp_path):
    done = solve(folder, tmp_path, "--grey", images=("x.png", "rgb.png"))
    assert done.exit_code == 0, done.output
    assert pixels(tmp_path / "y_sum.tif").shape == (1, 20, 24)


def test_lam_is_that_of_the_objective(folder, tmp_path):
    words = ("--dictionary", folder / "d.npz", "--lam", "0.3,0.2,0.1", "--out", tmp_path)
    done = run("solve", folder / "x.png", folder / "y.png", *words)
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "result.json").read_text())["lam"] == [0.3, 0.2, 0.1]
    done = run("solve", folder / "x.png", folder / "y.png", *words[:2], "--lam", 99, *words[4:])
    assert "all codes are zero" in done.stdout
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("method", SOLVERS_BY_TIME)
def test_every_method(folder, tmp_path, method):
    done = solve(folder, tmp_path, "--method", method, "--tol", "1e-2", "--lam-relative", 0.5)
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "result.json").read_text())["result"]["method"] == method


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("black.png", ["--mask", "zeros"]),
        ("black.png", ["--mask", "1=zeros"]),
        ("nan.tif", ["--mask", "nan"]),
        ("black.png", ["--mask", "mask.png"]),
        ("nan.tif", ["--mask", "1=mask.png"]),
    ],
)
def test_masks(folder, tmp_path, monkeypatch, image, words):
    monkeypatch.chdir(folder)
    done = solve(folder, tmp_path, *words, images=(image, "y.png"))
    assert done.exit_code == 0, done.output
    content = json.loads((tmp_path / "result.json").read_text())
    assert [s["unknown_share"] for s in content["signals"]] == [pytest.approx(12 / 480), 0]
    filled = pixels(tmp_path / "x_sum.tif")[0, 3:6, 4:8]
    assert 0.1 < filled.min() < filled.max() < 0.4


def test_a_mask_of_the_second_image(folder, tmp_path):
    done = solve(folder, tmp_path, "--mask", "2=zeros", images=("y.png", "black.png"))
    content = json.loads((tmp_path / "result.json").read_text())
    assert [s["unknown_share"] for s in content["signals"]] == [0, pytest.approx(12 / 480)]
    assert done.exit_code == 0, done.output


def test_files_of_an_earlier_run_are_replaced(folder, tmp_path):
    (tmp_path / "panel.png").write_bytes(b"old")
    (tmp_path / "mine.txt").write_text("kept")
    assert solve(folder, tmp_path).exit_code == 0
    with PIL.Image.open(tmp_path / "panel.png") as picture:
        picture.load()
    assert (tmp_path / "mine.txt").read_text() == "kept"
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_demo(tmp_path):
    done = run("demo", "--out", tmp_path, "--size", 16, 20)
    assert done.exit_code == 0, done.output
    assert "A part of 16 x 20 of their 500 x 741 pixels is decomposed." in done.stdout
    content = json.loads((tmp_path / "result.json").read_text())
    assert content["result"]["converged"]
    assert content["result"]["gap"] <= 1e-3
    assert content["signals"][0]["shape"] == [1, 16, 20]
    assert mcsc.Codes.load(tmp_path / "codes.npz").grid == (1, 16, 20)

    # The images that it wrote, and the command that it names, give the same.
    command = shlex.split(re.search(r"mcsc (solve .*)", done.stdout)[1])
    again = run(*command, "--out", tmp_path / "again")
    assert again.exit_code == 0, again.output
    other = json.loads((tmp_path / "again" / "result.json").read_text())
    assert other["result"]["objective"] == pytest.approx(content["result"]["objective"], rel=3e-3)
    assert other["signals"][0]["unknown_share"] == content["signals"][0]["unknown_share"]


@pytest.mark.slow
def test_the_demo_as_it_is(tmp_path):
    done = run("demo", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    content = json.loads((tmp_path / "result.json").read_text())
    assert content["result"]["gap"] <= 1e-3
    assert 0.02 < content["signals"][0]["unknown_share"] < 0.2
    assert min(content["result"]["nonzeros"]["unique"]) > 1000


# -------------------------------------------------------------------- stopping before the end
def test_not_converged_is_one_warning_and_status_1(folder, tmp_path):
    done = solve(folder, tmp_path, "--method", "fista", "--max-iter", 2)
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("mcsc: warning: fista not converged (reached max_iter = 2)")
    assert not json.loads((tmp_path / "result.json").read_text())["result"]["converged"]


@pytest.mark.skipif(
    signal.getsignal(signal.SIGINT) is not signal.default_int_handler, reason="Ctrl-C is taken"
)
def test_ctrl_c_keeps_what_was_computed(folder, tmp_path):
    def press():
        while signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            time.sleep(0.01)  # until the solver listens
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press, daemon=True)
    thread.start()
    endless = ("--method", "ista", "--tol", "1e-300", "--max-iter", 10**9)
    done = solve(folder, tmp_path, *endless)
    thread.join()
    assert done.exit_code == 130
    (line,) = done.stderr.splitlines()
    assert line.startswith("mcsc: warning: ista not converged (interrupted)")
    assert mcsc.Codes.load(tmp_path / "codes.npz").nnz >= 0
    assert (tmp_path / "panel.png").exists()


def test_ctrl_c_outside_the_solver(folder, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("mcsc.tasks.decomposition.lambda_max", interrupted)
    done = solve(folder, tmp_path)
    assert done.exit_code == 130
    assert done.stderr.split("\n", 1)[1] == "mcsc: interrupted\n"


# -------------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("x.png missing.png", "missing.png: no such file"),
        ("x.png text.png", "text.png: not an image of a known kind"),
        ("x.png truncated.png", "truncated.png: truncated or damaged PNG"),
        ("x.png .", ".: is a folder, not an image file"),
        ("x.png small.png", "x.png is 20 x 24, small.png is 10 x 24"),
        ("tiny.png", "filters are larger than tiny.png: filters 8x8, image"),
        (
            "nan.tif y.png",
            "nan.tif holds NaN or Inf; if these are unknown pixels, say --mask 1=nan",
        ),
        ("x.png nan.tif", "say --mask 2=nan"),
        ("nan.tif y.png --mask zeros", "NaN or Inf where --mask zeros says that it is known"),
        ("nothing.png y.png --mask zeros", "no pixel of nothing.png is known"),
        ("x.png y.png --mask nothing.png", "no pixel of x.png is known"),
        (
            "x.png y.png --mask small.png",
            "--mask small.png is 10 x 24, x.png 20 x 24: want the same size",
        ),
        (
            "x.png y.png --mask rgb.png",
            "--mask rgb.png has 3 channels, x.png 1: want one, or the same number",
        ),
        ("x.png y.png --mask missing.png", "missing.png: no such file"),
        ("flat.png nothing.png", "no detail that the dictionary could code"),
        ("x.png rgb.png --dictionary d.npz", "of 1, 3 channels; --grey takes the luma"),
        (
            "x.png y.png --dictionary d13.npz",
            "d13.npz is a dictionary for 2 images of 1, 3 channels",
        ),
        ("x.png --dictionary d.npz", "d.npz is a dictionary for 2 images, and 1 is given"),
        ("x.png y.png --dictionary x.png", "x.png is not a dictionary"),
        ("x.png y.png --dictionary no.npz", "no dictionary file at no.npz"),
        ("x.png y.png --lam 1,2", "lam has 2 entries"),
        ("x.png bands.tif --grey", "--grey: bands.tif has 5 channels"),
        ("x.png y.png --out x.png", "--out x.png is a file; want a folder"),
        ("x.png y.png --out x.png/sub", "--out x.png/sub"),
    ],
)
def test_bad_input_is_one_line_and_status_2(folder, monkeypatch, words, message):
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    done = run("solve", "--out", folder / "x.png" / "never", *words.split())
    if "--out" not in words:
        # The folder is made after the files were read, so that a refusal leaves none behind.
        done = run("solve", *words.split())
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("mcsc: error: ")
    assert message in line
    made = [p for p in sorted(folder.iterdir()) if p not in before]
    for path in made:
        path.rmdir()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("solv x.png", "No such command 'solv'"),
        ("solve", "Missing argument"),
        ("solve x.png --lamda 3", "No such option"),
        ("solve x.png y.png --lam 0", "'0' is not a number > 0"),
        ("solve x.png y.png --lam 1,a", "'1,a' is not a number > 0"),
        ("solve x.png y.png --lam 1 --lam-relative 0.1", "exclude each other"),
        ("solve x.png y.png --lam-relative 2", "2.0 is not in the range"),
        ("solve x.png y.png --tol 0", "0.0 is not in the range"),
        ("solve x.png y.png --method magic", "'magic' is not one of 'auto'"),
        ("solve x.png y.png --mask 3=zeros", "--mask is for image 3, there are 2"),
        ("solve x.png y.png --mask 0=zeros", "images are counted from 1"),
        ("solve x.png y.png --range 3 1", "3 1: want two finite numbers, the first below the se"),
        ("solve x.png y.png --range 0 1 --range 0 1 --range 0 1", "--range is given 3 times for 2"),
        ("solve x.png y.png --no-low-pass --strength 3", "--strength is for the low-pass part"),
        ("demo --full --size 32 32", "--full and --size exclude each other"),
        ("demo --size 8 8", "8 is not in the range"),
        ("info more", "unexpected extra argument"),
    ],
)
def test_wrong_words_are_one_line_a_hint_and_status_2(words, message):
    done = run(*words.split())
    assert done.exit_code == 2
    line, hint = done.stderr.splitlines()
    assert line.startswith("mcsc: error: ")
    assert message in line
    assert re.fullmatch(r"Try 'mcsc( \w+)? --help'\.", hint)


def test_demo_refuses_more_than_there_is(tmp_path):
    done = run("demo", "--size", 9999, 32, "--out", tmp_path)
    assert done.exit_code == 2
    assert done.stderr == "mcsc: error: --size: height 9999 is more than the picture's 500\n"


def test_no_gpu_is_one_line(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("mcsc.backend.select.cupy_or_reason", lambda: (None, "none here"))
    done = solve(folder, tmp_path, "--device", "cuda")
    assert done.exit_code == 2
    assert "mcsc: error: device='cuda' cannot be used: none here\n" in done.stderr
