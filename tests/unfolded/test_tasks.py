"""The six tasks for a network: starts, preparation."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from mcsc.tasks.scenes import synthetic_scenes
from mcsc.tasks.shipped import shipped_dictionary
from mcsc.tasks.task import TASKS, get_task
from tests.unfolded.nets import torch
from unfolded import CUNet, tasks
from unfolded.training.data import Patches


def test_scenes_and_patches_go_to_other_processes():
    task = get_task("flash-denoise")
    begin = tasks.start(task, "xavier", filters=2, kernel_size=3, blocks=1)
    scenes = tasks.triples(task, synthetic_scenes(task, 3, (64, 64), seed=3), begin.settings)
    patches = Patches(scenes, 32, 5, begin.net.configuration)
    wanted = [patches[i] for i in (1, 7)]
    assert patches._recent._bytes > 0
    there = pickle.loads(pickle.dumps(patches))
    assert there._recent._bytes == 0
    for i, triple in zip((1, 7), wanted, strict=True):
        for a, b in zip(there[i], triple, strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("name", TASKS)
def test_every_task_starts_from_its_dictionary(name):
    task = get_task(name)
    begin = tasks.start(task, blocks=1)
    configuration = begin.net.configuration
    d = shipped_dictionary(name)
    assert configuration.task == task.kind
    assert configuration.channels == d.channels
    assert configuration.filters == (d.n_common, *d.n_unique)
    scenes = tasks.triples(task, synthetic_scenes(task, 1, (64, 64), seed=3), begin.settings)
    x, y, z = scenes[0]
    assert (x.shape[1], y.shape[1]) == configuration.channels
    assert z.shape[1] == configuration.out_channels
    assert len(x) == len(y) == len(z)
    found = begin.net(*(torch.from_numpy(np.array(i)) for i in (x, y)))
    assert found.shape == z.shape


def test_fitted_targets_are_better_than_none():
    task = get_task("multi-focus")
    begin = tasks.start(task, blocks=1)
    scenes = tasks.triples(task, synthetic_scenes(task, 2, (64, 64), seed=3), begin.settings)

    def error():
        return sum(
            float((begin.net(*(torch.from_numpy(np.array(i)) for i in (x, y))) - z).square().mean())
            for x, y, z in ((x, y, torch.from_numpy(np.array(z))) for x, y, z in scenes)
        )

    with torch.no_grad():
        before = error()
        assert tasks.fit_targets(begin.net, scenes, side=32) > 0
        assert error() < 0.5 * before


def test_random_starts_differ_by_seed_and_take_the_task_s_channels():
    flash = get_task("flash-denoise")
    options = {"filters": 4, "kernel_size": 3, "blocks": 1}
    a, b, c = (tasks.start(flash, "xavier", seed=s, **options).net for s in (0, 0, 1))
    assert a.configuration.channels == (3, 3)
    assert a.configuration.out_channels == 3
    assert torch.equal(a.target_common.weight, b.target_common.weight)
    assert not torch.equal(a.target_common.weight, c.target_common.weight)
    assert tasks.start(get_task("medical"), "xavier", **options).net.configuration.channels == (
        1,
        1,
    )


def test_a_trained_network_goes_on_with_its_preparation(tmp_path):
    task = get_task("multi-focus")
    begin = tasks.start(task, "xavier", filters=4, kernel_size=3, blocks=1, base="none")
    tasks.describe(begin.net, task, begin.settings)
    begin.net.save(tmp_path / "net.safetensors")
    again = tasks.start(get_task("medical"), tmp_path / "net.safetensors")
    assert again.settings.base == "none"
    assert tasks.start(task).settings.base == "mean"


@pytest.mark.parametrize(
    ("name", "what", "words"),
    [
        ("depth-sr", "dct", "starts from dictionary, xavier, a file .npz or .safetensors; found"),
        ("depth-sr", "missing.safetensors", "no weight file at missing.safetensors"),
    ],
)
def test_refused_starts(name, what, words):
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        tasks.start(get_task(name), what)


def test_a_start_of_the_other_kind_is_refused(tmp_path):
    CUNet(filters=2, kernel_size=3, blocks=0).save(tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match="network for restoration, medical is a fusion"):
        tasks.start(get_task("medical"), tmp_path / "net.safetensors")


def test_fusions_without_targets_cannot_train():
    task = get_task("medical")
    rng = np.random.default_rng(0)
    pair = tuple(rng.random((1, 32, 32), dtype=np.float32) for _ in range(2))
    scenes = tasks.triples(task, [lambda: pair], tasks.start(task).settings)
    with pytest.raises(ValueError, match=r"want a file SCENE_target\.png with each pair"):
        scenes[0]
