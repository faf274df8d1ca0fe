"""Scenes in folders and synthetic ones."""

from __future__ import annotations

import numpy as np
import pytest

from mcsc.images import write_image
from mcsc.synthetic import scenes
from mcsc.tasks import find_scenes, get_task, synthetic_scenes
from mcsc.tasks.scenes import Recent, flipped, name_of
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
