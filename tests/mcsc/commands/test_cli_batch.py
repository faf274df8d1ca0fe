"""Folders and tables of scenes on the command line, on workers in this process."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import mcsc
import mcsc.distributed
from mcsc.images.files import read_image, write_image, write_samples
from mcsc.synthetic import make_pair
from tests.helpers import make_dictionary, run

pytest.importorskip("distributed")


from tests.clusters import local_client
from tests.mcsc.commands.scene_files import write_depth_scenes


@pytest.fixture(scope="module", autouse=True)
def client():
    """The active client: commands take its workers."""
    with local_client(active=True) as client:
        yield client


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Two scenes of depth, and one whose guide is truncated."""
    folder = tmp_path_factory.mktemp("scenes")
    return write_depth_scenes(folder, "abz", factor=4, truncated="z")


QUICK = ("--task", "depth-sr", "--method", "guided-filter")


def test_a_folder_is_restored_and_what_fails_is_listed(scenes, tmp_path):
    out = tmp_path / "out"
    first = run("restore", scenes, *QUICK, "-o", out)
    assert first.exit_code == 1, first.output
    assert sorted(p.name for p in out.iterdir()) == ["a.png", "b.png", "settings.json"]
    assert "z  failed: " in first.stdout
    assert "truncated" in first.stdout
    assert "2 done, 1 failed" in first.stdout
    alone = tmp_path / "alone.png"
    assert run("restore", scenes / "a_depth.png", scenes / "a_rgb.png", *QUICK, "-o", alone)
    assert np.array_equal(read_image(out / "a.png").pixels, read_image(alone).pixels)
    assert read_image(out / "a.png").bit_depth == 16
    again = run("restore", scenes, *QUICK, "-o", out)
    assert "2 skipped, 1 failed" in again.stdout
    other = run("restore", scenes, *QUICK, "--factor", 4, "-o", out)
    assert other.exit_code == 2
    assert "other settings" in other.stderr
    assert other.stderr.count("\n") == 1


def test_files_are_named_so_that_workers_in_other_folders_find_them(scenes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    known = np.ones(read_image(scenes / "a_depth.png").pixels.shape[1:], np.uint8)
    known[0, 0] = 0
    write_samples("known.png", 255 * known)
    Path("nan").touch()
    words = []

    def noted(function, due, **_):
        words.extend(due[0].inputs[1])
        return mcsc.distributed.SceneTable()

    monkeypatch.setattr(mcsc.distributed, "map_scenes", noted)
    masks = ("--mask", "known.png", "--mask", "2=known.png", "--mask", "2=0", "--mask", "nan")
    run("restore", scenes, *QUICK, *masks, "-o", "out")
    file = str(tmp_path / "known.png")
    assert [w for w in words if "=" in w] == [f"1={file}", f"2={file}", "2=0", "1=nan"]


def test_a_scene_that_lacks_a_file_fails_alone(tmp_path):
    folder = tmp_path / "scenes"
    folder.mkdir()
    write_depth_scenes(folder, "ab", factor=4)
    (folder / "b_rgb.png").unlink()
    found = run("restore", folder, *QUICK, "-o", tmp_path / "out")
    assert found.exit_code == 1
    assert "b  failed: has no file b_rgb.png\n1 done, 1 failed" in found.stdout
    # The same of any images.
    solved = run("solve", folder, "--grey", "--lam-relative", 0.5, "--out", tmp_path / "s")
    assert solved.exit_code == 1
    assert "b  failed: has the images depth; others have depth, rgb" in solved.stdout


def test_results_of_other_scenes_are_not_taken_for_these(scenes, tmp_path):
    assert run("restore", scenes, *QUICK, "-o", tmp_path / "out").exit_code == 1
    other = write_depth_scenes(tmp_path, "ab", factor=4)
    found = run("restore", other, *QUICK, "-o", tmp_path / "out")
    assert found.exit_code == 2
    assert "holds results of other settings: scenes" in found.stderr


def test_a_table_names_inputs_and_outputs(scenes, tmp_path):
    table = tmp_path / "scenes.csv"
    table.write_text(
        "x,guide,out\n"
        f"{scenes}/a_depth.png,{scenes}/a_rgb.png,one/first.tif\n"
        f"{scenes}/b_depth.png,{scenes}/b_rgb.png,second.png\n"
    )
    found = run("restore", table, *QUICK, "-o", tmp_path / "out")
    assert found.exit_code == 0, found.output
    assert (tmp_path / "out/one/first.tif").is_file()
    assert (tmp_path / "out/second.png").is_file()


def test_a_table_of_three_images_with_a_rule_for_three(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in "abc":
        write_image(tmp_path / f"{name}.png", rng.random((1, 20, 24)))
    make_dictionary(0, channels=(1, 1, 1), target=1).save("d3.npz")
    mcsc.dct_dictionary((1, 1, 1)).save("none.npz")
    Path("t.csv").write_text("a,b,c,out\na.png,b.png,c.png,o.png\n")
    words = ("fuse", "t.csv", "--task", "medical", "--rule", "targets", "-o", "out", "--registered")
    found = run(*words, "--dictionary", "d3.npz", "--tol", "0.5")
    assert found.exit_code == 0, found.output
    found = run(*words, "--dictionary", "none.npz")
    assert found.exit_code == 2
    assert "the target filters of a dictionary, and this one has none" in found.stderr


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "line of column names"),
        ("x,guide\na,b\n", "want a column out, with the name of each result"),
        ("x,guide,out\na,b,../c.png\n", "line 2: out is ../c.png; want a name in the folder out"),
        ("x,guide,out\na,b\n", "line 2: want 3 entries"),
        ("x,guide,out\na,b,c.xyz\n", "line 2: out is c.xyz"),
        ("x,guide,out,note\na,b,c.png,good\n", "the columns 'x', 'guide', 'out', 'note': want"),
        ("x,guide,out\na,b\0,c.png\n", "it holds a zero byte"),
    ],
)
def test_tables_that_are_none_are_refused(text, match, tmp_path):
    table = tmp_path / "scenes.csv"
    table.write_text(text)
    found = run("restore", table, *QUICK, "-o", tmp_path / "out")
    assert found.exit_code == 2
    assert match in found.stderr
    assert not (tmp_path / "out").exists()


def test_fusion_and_decomposition_take_folders_too(tmp_path):
    folder = tmp_path / "scenes"
    folder.mkdir()
    pair = make_pair("focus", 0, (32, 32))
    for role, image in (("near", pair.x), ("far", pair.y)):
        write_image(folder / f"a_{role}.png", np.asarray(image), bit_depth=8)
    fused = run(
        "fuse", folder, "--task", "multi-focus", "--method", "wavelet", "-o", tmp_path / "f"
    )
    assert fused.exit_code == 0, fused.output
    assert (tmp_path / "f/a.png").is_file()
    (folder / "._a_near.png").write_bytes(b"a note of another program")
    solved = run("solve", folder, "--grey", "--lam-relative", 0.3, "--out", tmp_path / "s")
    assert solved.exit_code == 0, solved.output
    numbers = json.loads((tmp_path / "s/a/result.json").read_text())
    assert numbers["result"]["converged"]
    assert [s["name"] for s in numbers["signals"]] == ["a_far", "a_near"]


def test_folders_side_by_side_are_no_scenes(tmp_path):
    # Of scanners, a folder is one image.
    for name in "ab":
        (tmp_path / name).mkdir()
    found = run(
        "fuse", tmp_path / "a", tmp_path / "b", "--task", "medical", "-o", tmp_path / "o.tif"
    )
    assert found.exit_code == 2
    assert "scenes" not in found.stderr


def test_words_that_do_not_go_together_are_refused(scenes, tmp_path, monkeypatch):
    monkeypatch.setattr("mcsc.distributed.cluster._CONNECT", 0.5)
    x, guide, out = scenes / "a_depth.png", scenes / "a_rgb.png", tmp_path / "out"
    for words, match in (
        ((scenes, guide, *QUICK, "-o", out), "want it alone"),
        ((x, *QUICK, "-o", tmp_path / "o.png"), "want a GUIDE"),
        ((x, guide, *QUICK, "-o", tmp_path / "o.png", "--workers", 2), "--workers is for a folder"),
        ((scenes, *QUICK, "-o", out, "--report", "r.html"), "--report is for one scene"),
        ((scenes, *QUICK, "-o", x), "is a file"),
        ((tmp_path, *QUICK, "-o", out), "no images of depth-sr"),
        ((scenes, *QUICK, "-o", out, "--scheduler", "tcp://127.0.0.1:9"), "no Dask scheduler at"),
    ):
        found = run("restore", *words)
        assert found.exit_code == 2, words
        assert match in found.stderr
