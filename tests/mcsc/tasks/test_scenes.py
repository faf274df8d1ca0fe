"""Scenes in folders and synthetic ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mcsc.images import write_image
from mcsc.lazy import Recent
from mcsc.synthetic import scenes
from mcsc.tasks import find_scenes, get_task, synthetic_scenes
from mcsc.tasks.scenes import (
    SceneFiles,
    flipped,
    hold_out,
    look_at_scenes,
    name_of,
    require_targets,
    unseen_scenes,
)
from mcsc.values.ranges import ValueRange
from tests.mcsc.tasks.pairs import pair


def test_what_was_made_lately_is_kept():
    recent, made = Recent(10), []

    def get(key, size=4):
        def make():
            made.append(key)
            return key

        return recent.get(key, make, lambda _: size)

    assert [get(k) for k in "abab"] == list("abab")
    assert made == ["a", "b"]
    get("a")
    get("c")  # b is the oldest now
    get("a")
    assert made == ["a", "b", "c"]
    assert get("huge", 99) == get("huge", 99) == "huge"
    get("b")
    assert made == ["a", "b", "c", "huge", "b"]


def test_synthetic_scenes_can_be_read_in_any_order():
    task = get_task("depth-sr")
    readers = synthetic_scenes(task, 3, (64, 64), seed=1)
    assert name_of(readers[2], 2) == "synthetic scene 2"
    assert name_of(flipped(readers)[5], 0) == "synthetic scene 2"
    pairs = list(scenes("depth", 3, (64, 64), seed=1))
    for n in (2, 0, 1):
        clean, guide = readers[n]()
        np.testing.assert_array_equal(clean, pairs[n].target)
        np.testing.assert_array_equal(guide, pairs[n].y)


def test_flips_are_the_scenes_turned():
    image = np.arange(3 * 33 * 35, dtype=np.float32).reshape(3, 33, 35)
    found = [r()[0] for r in flipped([lambda: (image, image)])]
    cut = image[:, :32, :32]
    for got, wanted in zip(
        found, (cut, cut[:, ::-1], cut[:, :, ::-1], cut[:, ::-1, ::-1]), strict=True
    ):
        np.testing.assert_array_equal(got, wanted)
    small = image[:, :15]
    with pytest.raises(ValueError, match="scene 0 is 15 x 35: flips want 16 x 16"):
        flipped([lambda: (small, small)])[0]()


@pytest.fixture
def folder(tmp_path):
    for seed in (1, 2):
        scene = pair("depth-sr", seed)
        write_image(tmp_path / f"s{seed}_depth.png", scene.target, bit_depth=16)
        write_image(tmp_path / f"s{seed}_rgb.png", scene.y)
    return tmp_path


def test_find_scenes(folder):
    task = get_task("depth-sr")
    assert [s.name for s in find_scenes(folder, task)] == ["s1", "s2"]
    assert [s.name for s in find_scenes(folder, task, ["s2"])] == ["s2"]
    with pytest.raises(ValueError, match="no scene s3; there are s1, s2"):
        find_scenes(folder, task, ["s3"])
    with pytest.raises(ValueError, match="there is no such folder"):
        find_scenes(folder / "x", task)
    with pytest.raises(ValueError, match=r"no images of multi-focus; want files SCENE_near\.png"):
        find_scenes(folder, get_task("multi-focus"))
    (folder / "s2_rgb.png").unlink()
    with pytest.raises(ValueError, match=r"scene s2 has no file s2_rgb\.png"):
        find_scenes(folder, task)


def test_scenes_are_held_out_in_their_order_and_the_same_again():
    names = [f"scene {n}" for n in range(10)]
    kept, apart = hold_out(names, 0.3, seed=4)
    assert len(apart) == 3
    assert sorted(kept + apart, key=names.index) == names
    assert [kept, apart] == [sorted(part, key=names.index) for part in (kept, apart)]
    assert (kept, apart) == hold_out(names, 0.3, seed=4)
    assert any(hold_out(names, 0.3, seed=s) != (kept, apart) for s in range(3))
    assert hold_out(names, 0.0) == (names, [])
    assert len(hold_out(names[:2], 0.01)[1]) == 1
    with pytest.raises(ValueError, match="of 1 scene, 1 would be held out, and none left"):
        hold_out(names[:1], 0.1)


def test_unseen_scenes_are_none_of_those_that_are_learned_from():
    task = get_task("depth-sr")
    assert unseen_scenes(task, 40, 0.0) == []
    assert len(unseen_scenes(task, 400, 0.1)) == 8
    seen = [reader()[0] for reader in synthetic_scenes(task, 2, seed=1)]
    (unseen,) = unseen_scenes(task, 2, 0.1, seed=1)
    assert unseen()[0].shape == seen[0].shape
    assert not any(np.array_equal(unseen()[0], image) for image in seen)


def test_fusions_are_learned_from_scenes_with_their_targets(tmp_path):
    lone = SceneFiles("a", tmp_path / "a_near.png", tmp_path / "a_far.png")
    require_targets([lone], get_task("depth-sr"))
    require_targets([replace(lone, target_path=tmp_path / "t.png")], get_task("multi-focus"))
    with pytest.raises(ValueError, match="a has no target: multi-focus is learned from scenes"):
        require_targets([lone], get_task("multi-focus"))


def test_a_target_of_another_kind_of_file_keeps_its_values(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (2, 32, 32)) / 255
    target = rng.uniform(-0.2, 1.3, (32, 32)).astype(np.float32)
    write_image(tmp_path / "a_near.png", x)
    write_image(tmp_path / "a_far.png", y)
    write_image(tmp_path / "a_target.tif", target, bit_depth=32)
    task = get_task("multi-focus")
    [scene] = find_scenes(tmp_path, task)
    np.testing.assert_array_equal(scene()[2][0], target)
    [known], faults = look_at_scenes([scene])
    assert not faults
    np.testing.assert_array_equal(known()[2][0], target)
    np.testing.assert_allclose(known()[0][0], x, atol=1e-6)
    asked, faults = look_at_scenes([scene], ranges=[ValueRange(0, 100)])
    assert not asked
    assert "a_target.tif: another kind of file than a_near.png" in faults["a"]


@pytest.mark.parametrize("bit_depth", [16, 32])
def test_depth_has_the_range_of_what_is_known_and_pictures_begin_at_black(bit_depth, tmp_path):
    rng = np.random.default_rng(0)
    depth = rng.uniform(2000, 2100, (32, 32)).astype(np.float32)
    if bit_depth == 16:
        depth = np.round(depth) / 65535
    write_image(tmp_path / "a_depth.tif", depth, bit_depth=bit_depth)
    write_image(tmp_path / "a_rgb.tif", depth, bit_depth=bit_depth)
    found, _ = look_at_scenes(find_scenes(tmp_path, get_task("depth-sr")), measured=True)
    x, y = found[0].ranges
    assert (x.low, x.high) == pytest.approx((2000, 2100), abs=1)
    assert (y.low, y.high) == pytest.approx((0, 4095 if bit_depth == 16 else 2100), abs=1)


def written(tmp_path, text):
    table = tmp_path / "scenes.csv"
    table.write_text(text)
    return table


def test_a_table_names_the_files_of_scenes(tmp_path):
    task = get_task("depth-sr")
    table = written(
        tmp_path, "rgb,out,depth,scene\nb/g.png,o.png,a/d.png,one\ng.png,p.png,d.png,two\n"
    )
    one, two = find_scenes(table, task)
    assert (one.name, one.x_path, one.y_path) == ("one", tmp_path / "a/d.png", tmp_path / "b/g.png")
    assert two.x_path == tmp_path / "d.png"
    assert [s.name for s in find_scenes(table, task, ["two"])] == ["two"]
    with pytest.raises(ValueError, match="no scene three; there are one, two"):
        find_scenes(table, task, ["three"])
    # Names of their own are taken in their order.
    [scene] = find_scenes(written(tmp_path, "a,b\nguide.png,x.png\n"), task)
    assert (scene.name, scene.x_path.name, scene.y_path.name) == ("guide", "guide.png", "x.png")


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffx,guide,scene\r\nd.png,g.png,one\r\n",
        "x;guide;scene\nd.png;g.png;one\n",
        "x\tguide\tscene\nd.png\tg.png\tone\n",
        "X, Guide , Scene\nd.png, g.png , one\n",
        "Depth,RGB,SCENE\nd.png,g.png,one\n",
        '"x","guide","scene"\n"d.png","g.png","one"\n',
        "\nx,guide,scene,,\n\nd.png,g.png,one,,\n,,,,\n  \n",
        "x,guide,scene\rd.png,g.png,one\r",
    ],
)
def test_tables_as_programs_write_them(text, tmp_path):
    (tmp_path / "scenes.csv").write_bytes(text.encode())
    [scene] = find_scenes(tmp_path / "scenes.csv", get_task("depth-sr"))
    found = scene.name, scene.x_path, scene.y_path
    assert found == ("one", tmp_path / "d.png", tmp_path / "g.png")


def test_a_comma_in_a_table_of_semicolons_is_part_of_a_name(tmp_path):
    table = written(tmp_path, "near;far\nn, 1.png;f, 1.png\n")
    [scene] = find_scenes(table, get_task("multi-focus"))
    assert (scene.x_path.name, scene.y_path.name) == ("n, 1.png", "f, 1.png")


def test_a_file_that_is_no_table_is_told_from_a_missing_folder(tmp_path):
    (tmp_path / "scenes.tsv").write_text("x\tguide\na\tb\n")
    with pytest.raises(ValueError, match="is a file; want a folder of scenes, or a table of them"):
        find_scenes(tmp_path / "scenes.tsv", get_task("depth-sr"))


def test_a_table_of_a_fusion_may_name_targets(tmp_path):
    table = written(tmp_path, "target,far,near\nt.png,f.png,n.png\n,f.png,m.png\n")
    first, second = find_scenes(table, get_task("multi-focus"))
    assert (first.x_path.name, first.y_path.name, first.target_path) == (
        "n.png", "f.png", tmp_path / "t.png"
    )  # fmt: skip
    assert second.target_path is None


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "want a line of column names first"),
        ("x,guide\n", "want a line of column names first"),
        ("out\nb\n", "want a line of column names first"),
        ("x,x\na,b\n", "two columns have one name: x, x"),
        ("x,guide\na,b\na\n", "line 3: want 2 entries"),
        ("x,guide\na,b,c\n", "line 2: want 2 entries"),
        ("x,guide\n,b\n", "line 2: want 2 entries"),
        ("x,guide\n\na/d.png,b\nc/d.png,b\n", "line 4: there is a scene d already: want a column"),
        ("x,guide,scene\na,b,../c\n", "line 2: '../c' is not a name for a scene"),
        ("x,guide,more\na,b,c\n", "the columns 'x', 'guide', 'more': want x and guide, the two"),
        (",x,guide\n0,a,b\n", "the columns '', 'x', 'guide': want x and guide, the two images"),
        ("x\na\n", "the columns 'x': want x and guide, the two images of depth-sr"),
        ("X,x\na,b\n", "two columns have one name: x, x"),
        ("x;guide\na,b\n", "line 2: want 2 entries"),
        ("x,guide\na,b\0c\n", "is not a table in UTF-8: it holds a zero byte"),
        ("x,guide\n" + "a" * 200_000 + ",b\n", "is not a table: field larger"),
    ],
)
def test_tables_that_are_none_are_refused(text, match, tmp_path):
    with pytest.raises(ValueError, match=match):
        find_scenes(written(tmp_path, text), get_task("depth-sr"))


def test_a_table_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "t.csv").write_bytes("x,guide\nä,b\n".encode("latin-1"))
    with pytest.raises(ValueError, match="is not a table in UTF-8"):
        find_scenes(tmp_path / "t.csv", get_task("depth-sr"))
