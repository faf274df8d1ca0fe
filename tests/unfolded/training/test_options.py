"""What a recipe can ask for beyond Adam on mean squares, and training for noise of any strength."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.ndimage import sobel

from mcsc.tasks import restore
from mcsc.tasks.scenes import synthetic_scenes
from mcsc.tasks.task import get_task
from tests.unfolded.nets import torch
from tests.unfolded.training.scenes import make_scenes, small
from unfolded import CUNet, Recipe, train
from unfolded.starts.task_start import describe, start
from unfolded.training.evaluation import rmse
from unfolded.training.patches import Patches
from unfolded.training.scenes import TaskTriples

pytest.importorskip("lightning")

# A round is a step: what a callback sees are the weights after it.
STEPS = Recipe(
    epochs=5, patches_per_epoch=4, patch=16, batch_size=4, learning_rate=1e-2, schedule="cosine"
)


def recipe(**options):
    return dataclasses.replace(STEPS, **options)


def weights(net):
    return torch.cat([p.detach().ravel() for p in net.parameters()])


def test_the_average_comes_out_and_is_measured():
    net, other, seen = small(), small(), []
    held_out = make_scenes(1, seed=9)
    train(net, make_scenes(), recipe=STEPS, callback=lambda _: seen.append(weights(net)))
    mean = seen[0]
    for t, weight in enumerate(seen[1:], 2):
        share = min(0.4, (1 + t) / (10 + t))
        mean = share * mean + (1 - share) * weight
    # The steps are those without it, whatever is measured in between.
    again = []
    trained = train(
        other, make_scenes(), validation=held_out, recipe=recipe(average=0.4),
        callback=lambda _: again.append(weights(other)),
    )  # fmt: skip
    assert all(torch.equal(a, b) for a, b in zip(seen, again, strict=True))
    torch.testing.assert_close(weights(other), mean, rtol=0, atol=1e-6)
    assert (weights(other) - seen[-1]).abs().max() > 1e-4
    assert trained.history.validation[-1] == pytest.approx(rmse(other, held_out), rel=1e-5)


def test_patience_keeps_the_best_average():
    net = small()
    held_out = make_scenes(1, seed=9)
    wild = recipe(epochs=50, learning_rate=0.5, average=0.5)
    trained = train(net, make_scenes(), validation=held_out, recipe=wild, patience=2)
    assert rmse(net, held_out) == pytest.approx(min(trained.history.validation), rel=1e-5)


def contrast(difference, *sources):
    def strength(images):
        planes = images.reshape(-1, *images.shape[2:])
        found = [np.hypot(sobel(p, 0), sobel(p, 1))[1:-1, 1:-1] / 8 for p in planes]
        return np.reshape(found, (*images.shape[:2], *found[0].shape))

    strongest = np.max([s.max(axis=1, keepdims=True) for s in map(strength, sources)], axis=0)
    ratio = strength(difference) ** 2 / (strongest + 1 / 255)
    return np.mean(np.abs(difference)) + 10 * np.mean(ratio)


@pytest.mark.parametrize(
    ("loss", "of"),
    [
        ("mse", lambda d, *_: np.mean(d**2)),
        ("l1", lambda d, *_: np.mean(np.abs(d))),
        ("charbonnier", lambda d, *_: np.mean(np.sqrt(d**2 + 1e-6))),
        ("contrast", contrast),
    ],
)
def test_losses(loss, of):
    net, scenes = small(), make_scenes()
    patches = [Patches(scenes, 16, 0)[i] for i in range(4)]
    x, y, z = (torch.stack(images) for images in zip(*patches, strict=True))
    with torch.no_grad():
        difference = (net(x, y) - z).numpy().astype(np.float64)
    trained = train(net, scenes, recipe=recipe(loss=loss, epochs=1, squared_from=1.0))
    wanted = of(difference, *(image.numpy().astype(np.float64) for image in (x, y)))
    assert trained.history.loss == [pytest.approx(wanted, rel=1e-5)]


def test_mean_squares_come_last():
    r = recipe(loss="l1", squared_from=0.6)
    assert [r.loss_at(step, 1) for step in range(5)] == ["l1"] * 3 + ["mse"] * 2
    nets = []
    for change in ({}, {"loss": "l1"}, {"loss": "l1", "squared_from": 0.0}):
        nets.append(train(small(), make_scenes(), recipe=recipe(**change)).net)
    assert torch.equal(weights(nets[0]), weights(nets[2]))
    assert not torch.equal(weights(nets[0]), weights(nets[1]))


def test_warm_up():
    for schedule in ("paper", "cosine"):
        rising = Recipe(epochs=10, schedule=schedule, warm_up=20)
        plain = Recipe(epochs=10, schedule=schedule, warm_up=0)
        assert plain.factor(0, 100) == 1
        assert [rising.factor(step, 100) for step in (0, 9)] == [0.05, 0.5]
        assert rising.factor(500, 100) == plain.factor(500, 100)


def norms(net):
    layers = [*net.explained, *(d for m in (*net.unique, net.common) for d in m.down)]
    return torch.cat([layer.weight.square().sum((0, 2, 3)).sqrt() for layer in layers])


def test_unit_ball():
    free, bound = small(), small()
    for net in (free, bound):
        with torch.no_grad():
            net.explained[0].weight.mul_(3)
            net.target_common.weight.mul_(3)
    train(free, make_scenes(), recipe=STEPS)
    train(bound, make_scenes(), recipe=recipe(unit_ball=True))
    assert norms(free).max() > 1.5
    assert norms(bound).max() <= 1 + 1e-6
    assert bound.target_common.weight.square().sum((0, 2, 3)).max() > 1


@pytest.mark.parametrize("optimiser", ["adam", "muon", "scaled-muon"])
def test_a_training_with_all_of_these_is_resumed_bit_for_bit(optimiser, tmp_path):
    r = recipe(
        average=0.7, loss="charbonnier", squared_from=0.5, warm_up=2, unit_ball=True,
        optimiser=optimiser, candidates=3,
    )  # fmt: skip
    net, whole = small(), small()
    options = {"recipe": r, "folder": tmp_path, "validation": make_scenes(1, seed=9)}
    train(net, make_scenes(), callback=lambda p: p.epoch == 3, **options)
    again = train(net, make_scenes(), resume=True, **options)
    assert again.completed
    found = train(whole, make_scenes(), **{**options, "folder": None})
    assert torch.equal(weights(net), weights(whole))
    assert again.history.validation == found.history.validation
    with pytest.raises(ValueError, match=r"average was 0\.7, now it is None"):
        train(net, make_scenes(), resume=True, **{**options, "recipe": recipe()})
    other = "adam" if optimiser == "muon" else "muon"
    changed = dataclasses.replace(r, optimiser=other)
    with pytest.raises(ValueError, match=f"optimiser was '{optimiser}', now it is '{other}'"):
        train(net, make_scenes(), resume=True, **{**options, "recipe": changed})


@pytest.mark.parametrize(("optimiser", "rate"), [("muon", 0.01), ("scaled-muon", 0.02)])
def test_muon_learns(optimiser, rate):
    net, held_out = small(), make_scenes(1, seed=9)
    before = rmse(net, held_out)
    r = recipe(epochs=20, optimiser=optimiser, learning_rate=rate)
    assert train(net, make_scenes(), recipe=r, validation=held_out).error < 0.5 * before


# ------------------------------------------------------------------------------------ noise
TASK = get_task("flash-denoise")


def flash(levels, **options):
    begin = start(TASK, "xavier", filters=3, kernel_size=3, blocks=1, noise_aware=True)
    readers = synthetic_scenes(TASK, 2, (40, 44), seed=3)
    return begin, TaskTriples(TASK, readers, begin.settings, levels, **options)


def test_a_patch_has_noise_of_any_strength_between():
    begin, scenes = flash((10.0, 90.0))
    patches = Patches(scenes, 40, 0, begin.net.configuration)
    found = [patches[i] for i in range(40)]
    sigma = np.array([255 * float(patch[3]) for patch in found])
    assert 10 <= sigma.min() < 25
    assert 75 < sigma.max() <= 90
    # What is between two strengths is what that strength would give.
    low, high = scenes[0]
    settings = dataclasses.replace(begin.settings, sigma=30.0)
    wanted = TaskTriples(TASK, synthetic_scenes(TASK, 2, (40, 44), seed=3), settings)[0]
    for a, b, c in zip(low, high, wanted, strict=False):
        np.testing.assert_allclose(a + 0.25 * (b - a), c, atol=2e-6)
    assert (low[3], high[3]) == (10 / 255, 90 / 255)


def test_one_network_is_trained_for_all():
    begin, scenes = flash((10.0, 90.0))
    held_out = flash((10.0, 90.0), spread=True)[1]
    assert [round(255 * one[3]) for one in held_out] == [30, 70]
    net = begin.net
    r = recipe(patch=32, batch_size=2, patches_per_epoch=20, epochs=3, learning_rate=3e-3)
    before = rmse(net, held_out)
    trained = train(net, scenes, validation=held_out, recipe=r)
    assert trained.history.validation[-1] == pytest.approx(rmse(net, held_out), rel=1e-5)
    assert trained.error < before
    assert net.unique[0].slopes.abs().min() > 0
    describe(net, TASK, begin.settings, noise_levels=[10.0, 90.0])


@pytest.mark.parametrize(
    ("scene", "error", "words"),
    [
        (lambda s: s, TypeError, r"must be \(x, y, z, sigma\), or two"),
        (lambda s: (*s, -1.0), ValueError, "sigma of scene 0 must be"),
        (lambda s: ((*s, 0.2), (*s, 0.1)), ValueError, "the lower first"),
    ],
)
def test_scenes_without_noise_are_refused(scene, error, words):
    torch.manual_seed(0)
    net = CUNet(filters=2, kernel_size=3, blocks=1, noise_aware=True)
    with pytest.raises(error, match=words):
        train(net, [scene(make_scenes(1)[0])], recipe=STEPS)


def test_restore_tells_the_network_the_noise(tmp_path):
    begin, _ = flash((20.0, 60.0))
    net = begin.net
    with torch.no_grad():
        for module in (*net.unique, net.common):
            module.slopes.fill_(1.0)  # its answers stay in proportion to its signals
    describe(net, TASK, begin.settings, noise_levels=[20.0, 60.0])
    net.save(tmp_path / "net")
    scene = TASK.synthetic_pair(0, (40, 40), 5)

    def made(sigma, scale=1.0):
        found = restore(
            scene.x * scale, scene.y * scale, TASK, method="cunet", sigma=sigma,
            weights_file=tmp_path / "net.safetensors", value_range=(0, 1),
        )  # fmt: skip
        return found.image

    assert np.abs(made(25.0) - made(50.0)).max() > 1e-4
    np.testing.assert_allclose(made(None), made(50.0))
    # Beyond what it was trained for, the images are scaled to where it was.
    np.testing.assert_allclose(2 * made(60.0, 0.5), made(120.0), atol=1e-5)
