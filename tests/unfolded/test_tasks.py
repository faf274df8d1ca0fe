"""The six tasks for a network: starts, preparation, use."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from mcsc.baselines.exposure import exposure_fusion
from mcsc.images import luma_studio, ycbcr
from mcsc.tasks.preparation import prepare_fusion, prepare_restoration
from mcsc.tasks.scenes import synthetic_scenes
from mcsc.tasks.shipped import load_pretrained
from mcsc.tasks.task import TASKS, get_task
from tests.unfolded.nets import torch
from unfolded import CUNet, load, tasks
from unfolded.training.data import Patches

RESTORATIONS = [t for t in TASKS.values() if t.kind == "restoration"]


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
    d = load_pretrained(name)
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


# --------------------------------------------------------------------------------- use
def images(seed=0, channels=(3, 3), shape=(24, 28)):
    rng = np.random.default_rng(seed)
    return tuple(rng.random((c, *shape), dtype=np.float32) for c in channels)


def trained(task, channels=(1, 1), out=1, **metadata):
    torch.manual_seed(1)
    net = CUNet(channels, out, task.kind, filters=4, kernel_size=3, blocks=1).eval()
    net.metadata = metadata
    return net


def detail(net, made, n=0):
    with torch.no_grad():
        return net(*(torch.from_numpy(np.array(s[n : n + 1])) for s in made.signals)).numpy()[0]


def test_restoration_adds_to_the_base_and_honours_the_known_image():
    task = get_task("depth-sr")
    net = trained(task, base="input", strength=2.0)
    truth, guide = images(channels=(1, 3))
    x = task.degrade(truth)
    found = tasks.apply(net, task, x, guide)
    made = prepare_restoration(x, guide, (1, 1), strength=2.0, base="input")
    plain = x + detail(net, made)
    assert found.dtype == np.float32
    again, before = task.degrade(found), task.degrade(plain)
    assert np.abs(again - x).max() < 0.3 * np.abs(before - x).max()


def test_authors_weights_see_the_images_themselves():
    task = get_task("flash-denoise")
    net = trained(task, (3, 3), 3)
    x, y = images()
    with torch.no_grad():
        wanted = net(torch.from_numpy(x)[None], torch.from_numpy(y)[None])[0]
    np.testing.assert_allclose(tasks.apply(net, task, x, y, sigma=50.0), wanted, atol=1e-6)


def test_noise_of_another_level_is_scaled_to_the_one_trained_for():
    task = get_task("flash-denoise")
    net = trained(task, (3, 3), 3, base="none", sigma=50.0)
    x, y = images()
    found = tasks.apply(net, task, x, y, sigma=25.0)
    np.testing.assert_allclose(
        found, tasks.apply(net, task, 2 * x, 2 * y, sigma=50.0) / 2, atol=1e-5
    )


def test_fused_luma_keeps_the_colours():
    task = get_task("multi-focus")
    net = trained(task, base="mean", strength=5.0)
    x, y = images()
    found = tasks.apply(net, task, x, y)
    made = prepare_fusion(x, y, (1, 1), strength=5.0, base="mean")
    np.testing.assert_allclose(made.base, (luma_studio(x) + luma_studio(y)) / 2, atol=1e-6)
    np.testing.assert_allclose(luma_studio(found), made.base + detail(net, made), atol=1e-4)
    np.testing.assert_allclose(ycbcr(found)[1:], ycbcr(exposure_fusion((x, y)))[1:], atol=1e-5)
    grey = tasks.apply(net, task, luma_studio(x), luma_studio(y))
    assert grey.shape == (1, 24, 28)


def test_tiles_give_the_same():
    task = get_task("medical")
    net = trained(task, base="low", strength=5.0)
    x, y = images(channels=(1, 1))
    np.testing.assert_allclose(
        tasks.apply(net, task, x, y, tile=9), tasks.apply(net, task, x, y), atol=1e-6
    )


def test_metadata_travel_with_the_weights(tmp_path):
    net = trained(get_task("depth-sr"), base="input", strength=2.0, data="nothing")
    net.save(tmp_path / "net.safetensors")
    assert load(tmp_path / "net.safetensors").metadata == net.metadata


@pytest.mark.parametrize("task", RESTORATIONS, ids=lambda t: t.name)
def test_network_of_a_dictionary_sees_what_the_solver_sees(task):
    d = load_pretrained(task.name)
    first, second = (3, 3) if task.joint else (1, 3)
    x, y = images(channels=(first, second))
    net = CUNet.from_dictionary(d, 0.05, blocks=2)
    net.metadata = {"base": d.metadata["base"], "strength": d.metadata["strength"]}
    from mcsc.tasks.restoration import prepare

    made = tasks.prepare(net, task, x, y)
    wanted = prepare(x, y, d, task)
    for a, b in zip((*made.signals, made.base), (*wanted.signals, wanted.base), strict=True):
        np.testing.assert_array_equal(a, b)
