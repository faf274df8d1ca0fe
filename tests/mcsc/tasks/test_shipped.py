"""The dictionaries that come with the package."""

import numpy as np
import pytest

from mcsc.quality.full_reference import psnr, rmse
from mcsc.quality.mef_ssim import mef_ssim
from mcsc.quality.no_reference import qabf
from mcsc.synthetic import scenes
from mcsc.tasks import TASKS, fuse, restore, shipped_dictionaries, shipped_dictionary


@pytest.mark.parametrize("name", list(TASKS))
def test_every_task_has_one_that_knows_its_use(name):
    d = shipped_dictionary(name)
    assert d.metadata["task"] == name
    assert d.metadata["lam"] > 0
    assert "synthetic scenes" in d.metadata["data"]
    assert d.filter_norms().max() <= 1 + 1e-5
    assert (d.target_common is not None) == (TASKS[name].kind == "restoration")


def test_names():
    assert shipped_dictionaries() == sorted(TASKS)
    with pytest.raises(ValueError, match="no dictionary 'x' comes with the package; there are de"):
        shipped_dictionary("x")


@pytest.mark.parametrize("name", ["depth-sr", "multispectral-sr", "flash-denoise"])
def test_restoration_of_synthetic_scenes_not_seen(name):
    task = TASKS[name]
    before, after = [], []
    for number, scene in enumerate(scenes(task.synthetic, 3, (96, 96), 900)):
        x = task.degrade(scene.target, seed=number)
        found = restore(x, scene.y, task, sigma=task.sigma, ghosts=False)
        assert found.gap <= 1e-2
        before.append(rmse(x, scene.target))
        after.append(rmse(found.image, scene.target))
    assert np.mean(after) < (0.5 if task.sigma else 0.97) * np.mean(before)


@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("multi-exposure", lambda image, scene: mef_ssim(image, (scene.x, scene.y))),
        ("multi-focus", lambda image, scene: psnr(image, scene.target) / 10),
        ("medical", lambda image, scene: qabf(image, (scene.x, scene.y))),
    ],
)
def test_fusion_of_synthetic_scenes_beats_the_mean(name, measure):
    gains = []
    for scene in scenes(TASKS[name].synthetic, 3, (128, 128), 900):
        found = (fuse((scene.x, scene.y), name, method=m).image for m in ("mcsc", "mean"))
        gains.append(np.subtract(*(measure(np.clip(image, 0, 1), scene) for image in found)))
    assert np.mean(gains) > 0.01


@pytest.mark.slow
def test_focus_is_chosen_better_than_by_the_baselines():
    kept, close = [], []
    for scene in scenes("focus", 3, (160, 160), 700):
        sources = (scene.x, scene.y)
        images = [
            np.clip(fuse(sources, "multi-focus", method=m).image, 0, 1)
            for m in ("mcsc", "decision-map", "wavelet", "laplacian")
        ]
        kept.append([qabf(image, sources) for image in images])
        close.append([psnr(image, scene.target) for image in images[:2]])
    own, *others = np.mean(kept, axis=0)
    assert own > max(others)
    own, decision = np.mean(close, axis=0)
    assert own > decision + 0.3
