from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage

from benchmarks.networks import yardstick
from benchmarks.networks.scene_statistics import (
    STATISTICS,
    Statistic,
    contrasts,
    edge_widths,
    gradient,
    region_areas,
    shared,
    spectral_slope,
    steps,
)
from mcsc.images import write_image
from mcsc.synthetic import scenes


@pytest.mark.parametrize("sigma", [0.8, 1.2, 2.0])
def test_widths_of_gaussian_edges(sigma):
    step = np.zeros((40, 60))
    step[:, 30:] = 200.0
    soft = scipy.ndimage.gaussian_filter1d(step, sigma, axis=1, mode="nearest")
    # From 10 % to 90 % of a Gaussian's integral; samples a pixel apart are joined by lines.
    found = edge_widths(soft)
    assert len(found) == 40
    np.testing.assert_allclose(found, 2.563 * sigma, rtol=0.14)


def test_width_of_a_sharp_edge_and_of_none():
    step = np.zeros((30, 40))
    step[14:] = 100.0
    np.testing.assert_allclose(edge_widths(step), 0.8)
    assert edge_widths(np.full((30, 40), 7.0)).size == 0


def test_regions_and_steps_of_depth():
    depth = np.zeros((20, 40))
    depth[:, 30:] = 50.0
    areas = region_areas(depth)
    # The column at the step belongs to neither; it is there once.
    assert sorted(areas)[-2:] == pytest.approx([9 / 40, 30 / 40], abs=0.02)
    np.testing.assert_array_equal(steps(depth), 50.0)
    assert (gradient(depth) > 0).sum() == 19


def test_what_the_other_image_shows():
    depth, colour = np.zeros((30, 60)), np.zeros((30, 60))
    depth[:, 20:] = 40.0
    colour[:, 22:] = 40.0  # two pixels away: the same edge
    colour[:, 45:] = 90.0  # an edge of its own
    assert shared(depth, colour, 3.0, 10.0).mean() == 1
    assert shared(colour, depth, 10.0, 3.0).mean() == pytest.approx(0.5)


def test_slope_of_noise_is_known():
    rng = np.random.default_rng(0)
    assert spectral_slope(rng.standard_normal((128, 128)))[0] == pytest.approx(0, abs=0.15)
    walk = np.cumsum(np.cumsum(rng.standard_normal((128, 128)), axis=0), axis=1)
    assert spectral_slope(walk)[0] < -1.5


def test_contrast_of_blocks():
    plane = np.zeros((32, 48))
    plane[:, ::2] = 2.0
    np.testing.assert_allclose(contrasts(plane), 1.0)


def test_distance_is_the_share_in_other_bins():
    pairs = [(np.full((1, 20, 20), level), np.zeros((1, 20, 20))) for level in (0.1, 0.9)]
    brightness = Statistic("brightness", lambda pair: pair[0], (0.5,))
    dark, light = (brightness.measure([pair]) for pair in pairs)
    assert dark == [1, 0]
    assert brightness.measure(pairs) == [0.5, 0.5]
    assert brightness.distance(dark, light) == 1
    assert brightness.distance(dark, [0.5, 0.5]) == 0.5
    mean = Statistic("mean", lambda pair: pair[0])
    assert mean.distance(mean.measure([pairs[0]]), mean.measure([pairs[1]])) == pytest.approx(0.8)
    # A pair without samples does not count.
    no = Statistic("none", lambda pair: pair[0][pair[0] > 0.5], (0.95,))
    assert no.measure(pairs) == [1, 0]


def test_scenes_that_choices_are_made_on_are_none_of_the_papers():
    tested = {
        "ambush", "cave", "market", "art", "books", "moebius", "reindeer", "minion", "towel",
        "elmo", "pendant", "book", "tampax", "typewriter", "pot", "plant", "flower", "aloe",
        "cactus", "chart_and_stuffed_toy", "egyptian_statue", "feathers", "glass_tiles",
        "jelly_beans", "oil_painting", "paints",
    }  # fmt: skip
    for real in yardstick.REALITY.values():
        assert not tested & set(real.scenes)
    assert all(name.startswith("train_") for name in yardstick.REALITY["multi-exposure"].scenes)


def test_without_the_files_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(yardstick, "DATA", tmp_path)
    monkeypatch.setattr(yardstick, "OFFICIAL", tmp_path)
    data = yardstick.main(["--quick", "--threads", "1", "--tasks", "depth-sr"])
    found = data["tasks"]["depth-sr"]
    assert found["missing"] == [
        "The authors' weights depth_ks9.pth are not there.",
        "There are no real scenes of depth-sr.",
    ]
    text = yardstick.summary(data)
    assert all(line in text for line in found["missing"])
    assert all(len(row) == 2 for errors in found["rows"].values() for row in errors)
    for label in found["rows"]:
        assert len(found["statistics"][label]) == len(STATISTICS["depth"])


@pytest.mark.slow
def test_folders_of_scenes_are_judged_too(tmp_path, monkeypatch):
    monkeypatch.setattr(yardstick, "DATA", tmp_path)
    monkeypatch.setattr(yardstick, "OFFICIAL", tmp_path)
    folder = tmp_path / "worlds"
    folder.mkdir()
    for n, pair in enumerate(scenes("depth", 2, (96, 96), 5, photographs=False)):
        write_image(folder / f"w{n}_depth.png", pair.target)
        write_image(folder / f"w{n}_rgb.png", pair.y)
    given = ["--quick", "--threads", "1", "--tasks", "depth-sr"]
    also = ["--also", "depth-sr", "worlds", str(folder)]
    found = yardstick.main([*given, *also])["tasks"]["depth-sr"]
    assert len(found["rows"]["worlds"]) == 2
    assert found["rows"]["worlds"] != found["rows"]["48 of 64"]
    for wrong in (["flash-denoise", "worlds"], ["depth-sr", "real"]):
        with pytest.raises(SystemExit, match=r"none of --tasks|a line real already"):
            yardstick.main([*given, "--also", *wrong, str(folder)])
    with pytest.raises(ValueError, match="nowhere"):
        yardstick.main([*given, "--also", "depth-sr", "lost", str(tmp_path / "nowhere")])
