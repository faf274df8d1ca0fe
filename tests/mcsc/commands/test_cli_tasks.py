"""`mcsc learn`, `restore`, `fuse` and `evaluate` on small files."""

from __future__ import annotations

import json
import signal
from inspect import signature

import numpy as np
import pytest
from click.testing import CliRunner

import mcsc
from mcsc.cli import cli
from mcsc.images.files import read_image, write_image
from mcsc.images.resize import imresize
from mcsc.synthetic import scenes
from mcsc.tasks import METHODS

SMALL = (
    "--common", "6", "--unique", "6", "--filter-size", "6", "--passes", "2", "--windows", "8",
)  # fmt: skip


def run(*words):
    apart = {"mix_stderr": False} if "mix_stderr" in signature(CliRunner).parameters else {}
    return CliRunner(**apart).invoke(cli, [str(word) for word in words])


@pytest.fixture(scope="module")
def depth(tmp_path_factory):
    """A folder of scenes, and a dictionary learned from it by the command line."""
    folder = tmp_path_factory.mktemp("depth")
    for number, pair in enumerate(scenes("depth", 2, (96, 96), 5)):
        write_image(folder / f"s{number}_depth.png", pair.target, bit_depth=16)
        write_image(folder / f"s{number}_rgb.png", pair.y)
        write_image(folder / f"small{number}.png", imresize(pair.target, 0.25), bit_depth=16)
    figure = folder / "filters.pdf"
    result = run(
        "learn", "--task", "depth-sr", folder, "-o", folder / "d.npz", "--scenes", "s0",
        "--figure", folder / "filters.png", "--target-windows", "8", *SMALL,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "Learning from s0." in result.stdout
    assert not figure.exists()
    assert (folder / "filters.png").stat().st_size > 10_000
    return folder


@pytest.fixture(scope="module")
def focus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("focus")
    pair = next(iter(scenes("focus", 1, (96, 96), 5)))
    write_image(folder / "s_near.png", pair.x)
    write_image(folder / "s_far.png", pair.y)
    result = run(
        "learn", "--task", "multi-focus", "--synthetic", "2", "-o", folder / "d.npz", *SMALL
    )
    assert result.exit_code == 0, result.stderr
    return folder


def test_restore_enlarges_and_writes_what_it_says(depth, tmp_path):
    out = tmp_path / "depth.png"
    result = run(
        "restore", depth / "small1.png", depth / "s1_rgb.png", "--task", "depth-sr", "-o", out,
        "--dictionary", depth / "d.npz", "--parts", tmp_path / "parts", "--report",
        tmp_path / "r.html",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "24 x 24, enlarged 4 times to 96 x 96" in result.stdout
    image = read_image(out)
    assert image.bit_depth == 16
    parts = [
        read_image(tmp_path / "parts" / f"{n}.tif").pixels
        for n in ("base", "1_common", "2_unique_x")
    ]
    np.testing.assert_allclose(sum(parts), image.samples, atol=1)
    page = (tmp_path / "r.html").read_text()
    assert "small1" in page
    assert "<h1" in page


def test_evaluate_prints_and_writes_the_table(depth, tmp_path):
    result = run(
        "evaluate", "--task", "depth-sr", depth, "--method", "bicubic,mcsc", "--dictionary",
        depth / "d.npz", "--csv", tmp_path / "t.csv", "--json", tmp_path / "t.json", "--images",
        tmp_path / "images", "--report", tmp_path / "r.html",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert [line.split()[:2] for line in result.stdout.splitlines() if line] == [
        ["first", "images:"], ["scene", "method"], ["s0", "bicubic"], ["s0", "mcsc"],
        ["s1", "bicubic"], ["s1", "mcsc"], ["mean", "bicubic"], ["mean", "mcsc"],
    ]  # fmt: skip
    content = json.loads((tmp_path / "t.json").read_text())
    assert content["mean"]["bicubic"]["RMSE"] > 0
    assert sorted(p.name for p in (tmp_path / "images").iterdir()) == [
        "s0_bicubic.png", "s0_mcsc.png", "s1_bicubic.png", "s1_mcsc.png"
    ]  # fmt: skip


def test_evaluate_measures_a_rule(focus, tmp_path):
    words = ("evaluate", "--task", "multi-focus", focus, "--method", "mcsc", "--dictionary")
    words += (focus / "d.npz", "--json")
    found = {}
    for rule in ("sum", "choose"):
        result = run(*words, tmp_path / "t.json", "--rule", rule)
        assert result.exit_code == 0, result.stderr
        found[rule] = json.loads((tmp_path / "t.json").read_text())
        assert found[rule]["rule"] == rule
    assert found["choose"]["mean"]["mcsc"]["QABF"] > found["sum"]["mean"]["mcsc"]["QABF"]


def test_evaluate_writes_what_it_has_after_ctrl_c(depth, tmp_path):
    def halting(x, y):
        signal.raise_signal(signal.SIGINT)
        return x

    halting.options = frozenset()
    METHODS.add("halting", lambda task, weights: halting)
    try:
        result = run(
            "evaluate", "--task", "depth-sr", depth, "--method", "bicubic,halting", "--json",
            tmp_path / "t.json", "--csv", tmp_path / "t.csv",
        )  # fmt: skip
    finally:
        METHODS.remove("halting")
    assert result.exit_code == 130
    content = json.loads((tmp_path / "t.json").read_text())
    assert content["stopped"] == "interrupted"
    assert [(row["scene"], row["method"]) for row in content["rows"]] == [
        ("s0", "bicubic"), ("s0", "halting")
    ]  # fmt: skip
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 5


def test_fuse_keeps_colour_and_depth_of_bits(focus, tmp_path):
    out = tmp_path / "fused.tif"
    words = ("fuse", focus / "s_near.png", focus / "s_far.png", "--task", "multi-focus")
    result = run(
        *words, "-o", out, "--dictionary", focus / "d.npz", "--bit-depth", "16", "--rule",
        "choose", "--parts", tmp_path / "parts", "--report", tmp_path / "r.html",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    image = read_image(out)
    assert image.pixels.shape == (3, 96, 96)
    assert image.bit_depth == 16
    assert (tmp_path / "parts" / "weights.tif").exists()


def test_a_shift_is_refused_and_align_registers_it(focus, tmp_path):
    near = read_image(focus / "s_near.png").pixels
    write_image(tmp_path / "moved.png", np.roll(near, (7, -5), (1, 2)))
    words = ("fuse", focus / "s_near.png", tmp_path / "moved.png", "--task", "multi-focus", "-o")
    words += (tmp_path / "o.png", "--dictionary", focus / "d.npz")
    result = run(*words)
    assert result.exit_code == 2
    assert "is shifted against" in result.stderr
    assert "--align registers it" in result.stderr
    result = run(*words, "--align")
    assert result.exit_code == 0, result.stderr
    assert "moved.png: " in result.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("restore", "x.png", "y.png", "-o", "o.png"), "Missing option '--task'"),
        (("restore", "none.png", "{d}/s0_rgb.png", "--task", "depth-sr", "-o", "o.png"), "none"),
        (("restore", "{d}/s0_depth.png", "{d}/small0.png", "--task", "depth-sr", "-o", "o.png",
          "--dictionary", "{d}/d.npz"), "small0.png as large, or larger by one factor"),
        (("restore", "{d}/s0_depth.png", "{d}/s0_rgb.png", "--task", "depth-sr", "-o", "o.gif",
          "--dictionary", "{d}/d.npz"), "want a name that ends in"),
        (("restore", "{d}/s0_depth.png", "{d}/s0_rgb.png", "--task", "depth-sr", "-o", "no/o.png",
          "--dictionary", "{d}/d.npz"), "there is no folder"),
        (("restore", "{d}/s0_depth.png", "{d}/s0_rgb.png", "--task", "depth-sr", "--sigma", "5",
          "-o", "o.png"), "sigma is for denoising, not for depth-sr"),
        (("restore", "{d}/s0_depth.png", "{d}/s0_rgb.png", "--task", "depth-sr", "-o", "o.png",
          "--dictionary", "{d}/s0_rgb.png"), "not a dictionary file"),
        (("fuse", "{d}/s0_rgb.png", "--task", "medical", "-o", "o.png"), "want two images"),
        (("fuse", "{d}/s0_rgb.png", "{d}/small0.png", "--task", "medical", "-o", "o.png",
          "--dictionary", "{d}/d.npz"), "--align"),
        (("learn", "--task", "depth-sr", "-o", "o.npz"), "want a folder of scenes"),
        (("learn", "--task", "depth-sr", "{d}", "-o", "o.npz", "--filter-size", "a"), "'a' is not"),
        (("learn", "--task", "medical", "{d}", "-o", "o.npz"), "no images of medical"),
        (("evaluate", "--task", "depth-sr"), "Missing argument 'DIR'"),
        (("evaluate", "--task", "depth-sr", "{d}", "--method", "mean"), "has no method 'mean'"),
        (("evaluate", "--task", "depth-sr", "{d}", "--scenes", "s9", "--method", "bicubic"),
         "no scene s9"),
    ],
)  # fmt: skip
def test_refusals(depth, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    result = run(*(word.format(d=depth) for word in words))
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())


def test_learned_dictionary_loads_in_python(depth):
    found = mcsc.Dictionary.load(depth / "d.npz")
    assert found.metadata["task"] == "depth-sr"
    assert found.n_unique == (6, 6)
