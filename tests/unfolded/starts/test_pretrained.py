"""The weights that come with the package."""

from __future__ import annotations

from importlib import resources

import numpy as np
import pytest

from mcsc.images import lowpass_split, luma_studio
from mcsc.quality.full_reference import rmse
from mcsc.synthetic import scenes
from mcsc.tasks import fuse, restore
from mcsc.tasks.task import TASKS
from tests.unfolded.nets import torch
from unfolded import CUNet, pretrained
from unfolded.starts.weights import shipped

FOLDER = resources.files("unfolded") / "weights_data"


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_weights_and_a_card(name):
    net = pretrained(name)
    assert isinstance(net, CUNet)
    assert not net.training
    assert net.configuration.kind == TASKS[name].kind
    assert net.metadata["task"] == name
    assert "synthetic" in net.metadata["data"]
    largest = (3e6 if max(net.configuration.channels) == 3 else 1e6) * net.configuration.sweeps
    assert (FOLDER / f"{name}.safetensors").stat().st_size < largest
    card = (FOLDER / f"{name}.md").read_text()
    for words in (
        f"# {name}\n",
        f"- Data: {net.metadata['data']}",
        " s on ",
        "mcsc train",
        "after it",
    ):
        assert words in card


def test_names():
    assert sorted(shipped()) == sorted(TASKS)
    with pytest.raises(ValueError, match="no pretrained weights named 'x': there are depth-sr, "):
        pretrained("x")


@pytest.mark.parametrize("name", ["depth-sr", "multispectral-sr", "flash-denoise"])
def test_restoration_of_synthetic_scenes_not_seen(name):
    task = TASKS[name]
    before, after = [], []
    for number, scene in enumerate(scenes(task.synthetic, 4, (128, 128), 900)):
        x = task.degrade(scene.target, seed=number)
        found = restore(x, scene.y, task, method="cunet", sigma=task.sigma, ghosts=False)
        before.append(rmse(x, scene.target))
        after.append(rmse(found.image, scene.target))
    assert np.mean(after) < (0.4 if task.sigma else 0.85) * np.mean(before)


@pytest.mark.parametrize(
    ("name", "side", "rule", "share"),
    [
        ("multi-exposure", 128, None, 0.9),
        ("multi-exposure", 128, "sum", 0.9),
        ("multi-focus", 128, None, 0.9),
        ("multi-focus", 128, "sum", 0.9),
        # Exact coding has 0.93.
        pytest.param("medical", 256, None, 0.95, marks=pytest.mark.slow),
        pytest.param("medical", 256, "sum", 0.85, marks=pytest.mark.slow),
    ],
)
def test_detail_of_fused_synthetic_scenes_is_nearer_to_the_target_than_the_mean(
    name, side, rule, share
):
    task = TASKS[name]
    errors = []
    # Medical slices in the size of real ones: smaller ones are all outlines.
    for scene in scenes(task.synthetic, 4, (side, side), 900):
        sources = (scene.x, scene.y)
        ways = (("cunet", rule), ("mean", None))
        images = (detail(fuse(sources, task, method=m, rule=r).image) for m, r in ways)
        errors.append([rmse(image, detail(scene.target)) for image in images])
    own, of_the_mean = np.mean(errors, axis=0)
    assert own < share * of_the_mean


def detail(image):
    """What networks answer for: low-pass parts come from elsewhere."""
    return lowpass_split(luma_studio(image) if len(image) == 3 else image).high


@pytest.mark.parametrize("name", TASKS)
def test_codes_are_sparse_and_not_silent(name):
    """Thresholds that silence every code would give the base alone."""
    from unfolded.images import prepare_for_network

    task, net = TASKS[name], pretrained(name)
    scene = next(iter(scenes(task.synthetic, 1, (96, 96), 901)))
    x = scene.x if task.kind == "fusion" else task.degrade(scene.target)
    made = prepare_for_network(net, task, x, scene.y)
    with torch.no_grad():
        level = {"sigma": task.sigma / 255} if net.configuration.noise_aware else {}
        c, uv = net.codes(*(torch.from_numpy(np.array(s[:1])) for s in made.signals), **level)
    shares = [float((maps != 0).float().mean()) for maps in (c, *uv)]
    assert max(shares) > 1e-3
    assert min(shares) < 0.9
