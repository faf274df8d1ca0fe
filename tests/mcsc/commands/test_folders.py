"""Folders of scenes as people have them: one bad file among good ones, holes, other units."""

from __future__ import annotations

import csv
import signal

import numpy as np
import pytest
import tifffile

import mcsc
from mcsc.images import read_image, write_image
from mcsc.tasks import find_scenes, get_task
from mcsc.tasks.scenes import look_at_scenes
from tests.helpers import run
from tests.mcsc.tasks.pairs import pair


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "scenes"
    folder.mkdir()
    for seed in range(3):
        scene = pair("depth-sr", seed)
        write_image(folder / f"s{seed}_depth.png", scene.target)
        write_image(folder / f"s{seed}_rgb.png", scene.y)
    return folder


def evaluate(folder, *words, method="bicubic"):
    return run("evaluate", folder, "--task", "depth-sr", "--method", method, *words)


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def truncate(folder):
    path = folder / "s1_rgb.png"
    path.write_bytes(path.read_bytes()[:300])


def other_size(folder):
    write_image(folder / "s1_rgb.png", pair("depth-sr", 1, (64, 68)).y)


def not_a_number(folder):
    depth = read_image(folder / "s1_depth.png").pixels[0]
    depth[0, 0] = np.nan
    (folder / "s1_depth.png").unlink()
    tifffile.imwrite(folder / "s1_depth.tif", depth)


def tiny(folder):
    scene = pair("depth-sr", 1)
    write_image(folder / "s1_depth.png", scene.target[:, :8, :8])
    write_image(folder / "s1_rgb.png", scene.y[:, :8, :8])


def lone(folder):
    (folder / "s1_rgb.png").unlink()


def twice(folder):
    write_image(folder / "s1_depth.tif", pair("depth-sr", 7).target, 8)


def gone(folder):
    (folder / "s1_depth.png").unlink()
    (folder / "s1_depth.png").symlink_to(folder / "elsewhere.png")


BAD = {
    gone: "s1_depth.png: no such file",
    truncate: "s1_rgb.png: truncated or damaged PNG",
    other_size: "s1_rgb.png is 64 x 68, s1_depth.png is 64 x 64",
    not_a_number: "s1_depth.tif holds NaN or Inf; if these are unknown pixels, say --mask nan",
    tiny: "want at least 11 x 11 pixels",
    lone: "has no file s1_rgb.png",
    twice: "has two files of one role, s1_depth.png and s1_depth.tif",
}


@pytest.mark.parametrize("spoil", BAD, ids=lambda f: f.__name__)
def test_a_bad_scene_is_named_and_the_others_are_measured(folder, tmp_path, spoil):
    spoil(folder)
    done = evaluate(folder, "--csv", tmp_path / "t.csv", "--json", tmp_path / "t.json")
    assert done.exit_code == 1, done.stderr
    assert "warning: scene s1 is left out: " in done.stderr
    assert BAD[spoil] in done.stderr
    assert done.stderr.splitlines()[-1] == "mcsc: 1 of 3 scenes were left out: s1"
    rows = rows_of(tmp_path / "t.csv")
    assert [r["scene"] for r in rows] == ["s0", "s2", "mean"]
    assert "s1" in (tmp_path / "t.json").read_text()


def test_learning_refuses_bad_scenes_by_name_before_any_work(folder, tmp_path):
    truncate(folder)
    (folder / "s2_rgb.png").unlink()
    done = run("learn", "--task", "depth-sr", folder, "-o", tmp_path / "d.npz")
    assert done.exit_code == 2
    assert "scene s1: " in done.stderr
    assert "s1_rgb.png: truncated or damaged PNG" in done.stderr
    assert "scene s2: has no file s2_rgb.png" in done.stderr
    assert not (tmp_path / "d.npz").exists()


def test_files_of_other_programs_are_no_scenes(folder):
    (folder / "._s1_depth.png").write_bytes(b"resource fork")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "Thumbs.db").write_bytes(b"x")
    done = evaluate(folder)
    assert (done.exit_code, done.stderr) == (0, "")


def test_one_perfect_scene_does_not_make_the_mean_infinite(folder, tmp_path):
    write_image(folder / "s1_depth.png", np.full((1, 64, 64), 0.3, "f4"))
    done = evaluate(folder, "--csv", tmp_path / "t.csv")
    assert done.exit_code == 0, done.stderr
    rows = rows_of(tmp_path / "t.csv")
    assert rows[1]["PSNR"] == "inf"
    assert 10 < float(rows[-1]["PSNR"]) < 100


def test_rows_are_there_when_somebody_stops_it(folder, tmp_path, monkeypatch):
    from mcsc.baselines import table

    whole = table.BASELINES["bicubic"].function
    calls = []

    def stopped(*given, **options):
        calls.append(1)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return whole(*given, **options)

    monkeypatch.setattr(
        "mcsc.tasks.methods.BASELINES.find",
        lambda name: table.Baseline(**{**table.BASELINES[name].__dict__, "function": stopped}),
    )
    done = evaluate(folder, "--csv", tmp_path / "t.csv")
    assert done.exit_code == 130
    assert "interrupted; 2 rows were done and are kept" in done.stderr
    rows = rows_of(tmp_path / "t.csv")
    assert [r["scene"] for r in rows] == ["s0", "s1", "mean"]


# -------------------------------------------------------------------------- units and holes
def test_millimetres_are_measured_over_one_range_of_all_scenes(folder, tmp_path):
    wide = evaluate(folder, "--csv", tmp_path / "a.csv")
    known = []
    for seed in range(3):
        depth = read_image(folder / f"s{seed}_depth.png").samples[0].astype("u2")
        (folder / f"s{seed}_depth.png").unlink()
        tifffile.imwrite(folder / f"s{seed}_depth.tif", 16 * depth)
        known += [16 * int(depth.min()), 16 * int(depth.max())]
    low, high = min(known), max(known)
    deep = evaluate(folder, "--csv", tmp_path / "b.csv")
    assert deep.exit_code == 0, deep.stderr
    # As `mcsc restore` does it: depth is no picture, in which 0 is black.
    assert f"first images: values {low} to {high} are worked on as 0 to 1" in deep.stdout
    given = evaluate(folder, "--range", 0, 4080, "--range", 0, 255, "--csv", tmp_path / "c.csv")
    assert given.exit_code == 0, given.stderr
    a, b, c = ([float(r["RMSE"]) for r in rows_of(tmp_path / f"{n}.csv")] for n in "abc")
    assert wide.exit_code == 0
    np.testing.assert_allclose(b, np.array(a) * 4080 / (high - low), rtol=1e-3)
    np.testing.assert_allclose(c, a, rtol=1e-3)


def test_holes_weigh_nothing_and_are_not_measured(folder, tmp_path):
    plain = evaluate(folder, "--csv", tmp_path / "a.csv", method="bicubic")
    assert plain.exit_code == 0
    for seed in range(3):
        image = read_image(folder / f"s{seed}_depth.png")
        depth = np.maximum(image.pixels, 0.02)
        depth[:, 20:26, 30:40] = 0
        write_image(folder / f"s{seed}_depth.png", depth)
    done = evaluate(folder, "--mask", "zeros", "--csv", tmp_path / "b.csv")
    assert done.exit_code == 0, done.stderr
    # With every scene, but told once, with a count.
    first, again = done.stderr.splitlines()
    words = "bicubic takes no mask: the unknown pixels of the first image of s0"
    assert first.startswith(f"mcsc: warning: {words}")
    assert again.startswith(f"mcsc: warning: 2 more times, of other scenes or methods: {words}")
    a, b = ([float(r["RMSE"]) for r in rows_of(tmp_path / f"{n}.csv")] for n in "ab")
    np.testing.assert_allclose(b, a, rtol=0.25)
    scenes = find_scenes(folder, get_task("depth-sr"))
    found, faults = look_at_scenes(scenes, masks=(("zeros",), ()))
    assert not faults
    assert np.isnan(found[0].read()[0]).sum() == 60


def test_options_that_would_do_nothing_are_refused(folder):
    done = evaluate(folder, "--tol", "1e-3", method="bicubic,guided-filter")
    assert done.exit_code == 2
    assert "--tol is for none of these methods: bicubic, guided-filter" in done.stderr
    done = evaluate(folder, "--max-iter", 5, method="bicubic,guided-filter")
    assert "--max-iter is for none of these methods: bicubic, guided-filter" in done.stderr
    done = evaluate(folder, "--scenes", "s0, s1", method="bicubic, guided-filter")
    assert done.exit_code == 0, done.stderr
    assert "s2" not in done.stdout
    done = evaluate(folder, "--report", folder / "r.pdf")
    assert "pages are HTML; want a name ending in .html" in done.stderr


# ------------------------------------------------------------- what a method cannot code
def two_bands(folder, seed):
    """A guide of two bands in the place of the colour one."""
    (folder / f"s{seed}_rgb.png").unlink()
    write_image(folder / f"s{seed}_rgb.tif", pair("depth-sr", seed).y[:2])


def test_a_dictionary_of_other_channels_is_refused_before_anything_is_measured(folder, tmp_path):
    mcsc.dct_dictionary((1, 2)).save(tmp_path / "d.npz")
    words = ("--dictionary", tmp_path / "d.npz", "--csv", tmp_path / "t.csv")
    result = evaluate(folder, *words, method="bicubic,mcsc")
    assert result.exit_code == 2
    assert result.stderr == (
        f"mcsc: error: {folder}: the method mcsc codes 2 channels of the second image of the "
        "scene, which has 3: want another dictionary or other weights\n"
    )
    assert not result.stdout
    assert not (tmp_path / "t.csv").exists()


def test_scenes_that_a_method_cannot_code_are_left_out_of_all_methods(folder, tmp_path):
    two_bands(folder, 1)
    mcsc.dct_dictionary((1, 2)).save(tmp_path / "d.npz")
    words = ("--dictionary", tmp_path / "d.npz", "--csv", tmp_path / "t.csv", "--max-iter", 1)
    result = evaluate(folder, *words, method="bicubic,mcsc")
    assert result.exit_code == 1, result.stderr
    assert {row["scene"] for row in rows_of(tmp_path / "t.csv")} == {"s1", "mean"}
    for name in ("s0", "s2"):
        assert f"scene {name} is left out: the method mcsc codes 2 channels" in result.stderr


def test_scenes_smaller_than_the_filters_are_left_out_of_all_methods(folder, tmp_path):
    tiny(folder)
    result = evaluate(folder, "--csv", tmp_path / "t.csv", "--max-iter", 1, method="bicubic,mcsc")
    assert result.exit_code == 1, result.stderr
    assert {row["scene"] for row in rows_of(tmp_path / "t.csv")} == {"s0", "s2", "mean"}
    assert "scene s1 is left out: filters are larger than the first image of the" in result.stderr
