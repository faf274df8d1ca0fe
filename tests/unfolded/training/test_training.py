"""Training: it learns, its weights are a function of its arguments, and it can be killed."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from tests.paths import ROOT
from tests.unfolded.nets import torch
from unfolded import CUNet, Recipe, load, train
from unfolded.training.data import Patches, as_tensors
from unfolded.training.evaluation import rmse

pytest.importorskip("lightning")


def make_scenes(count=3, shape=(40, 44), seed=0):
    """x is y with noise; what is wanted is y's blurred negative: linear, and to be learned."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        y = rng.random((1, *shape), dtype=np.float32)
        z = 0.5 - 0.25 * (y + np.roll(y, 1, axis=2))
        out.append((y + 0.1 * rng.standard_normal(y.shape, dtype=np.float32), y, z))
    return out


class Counted(list):
    """Scenes that keep the numbers that were read."""

    def __init__(self, scenes):
        super().__init__(scenes)
        self.read = []

    def __getitem__(self, index):
        self.read.append(index)
        return super().__getitem__(index)


def small(seed=0):
    torch.manual_seed(seed)
    return CUNet(filters=6, kernel_size=3, blocks=1)


RECIPE = Recipe(
    epochs=3, patches_per_epoch=80, patch=16, batch_size=4, learning_rate=5e-3, schedule="cosine"
)


def weights(net):
    return torch.cat([p.detach().ravel() for p in net.parameters()])


def test_a_short_training_halves_the_error():
    net, scenes = small(), make_scenes()
    held_out = make_scenes(1, seed=9)
    before = rmse(net, held_out)
    trained = train(net, scenes, validation=held_out, recipe=RECIPE)
    assert trained.net is net
    assert trained.completed
    assert not net.training
    history = trained.history
    assert history.step == [20, 40, 60]
    assert history.loss[-1] < 0.5 * history.loss[0]
    assert history.validation[-1] < 0.5 * before
    assert history.validation[-1] == pytest.approx(rmse(net, held_out), rel=1e-5)
    assert 0 < history.seconds[0] < history.seconds[2]
    assert trained.device == "cpu"


def test_the_same_arguments_give_the_same_weights():
    first, second, third = small(), small(), small()
    recipe = Recipe(epochs=1, patches_per_epoch=20, patch=16, batch_size=4)
    train(first, make_scenes(), recipe=recipe)
    train(second, make_scenes(), recipe=recipe)
    other = Recipe(epochs=1, patches_per_epoch=20, patch=16, batch_size=4, seed=1)
    train(third, make_scenes(), recipe=other)
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(third))


def test_logs_are_written(tmp_path):
    train(small(), make_scenes(), validation=make_scenes(1), recipe=RECIPE, folder=tmp_path / "log")
    text = (tmp_path / "log" / "csv" / "metrics.csv").read_text()
    assert "loss" in text.splitlines()[0]
    assert "val_rmse" in text.splitlines()[0]
    assert list((tmp_path / "log" / "tensorboard").glob("events*"))


SCRIPT = """
import sys
from tests.unfolded.training.test_training import RECIPE, make_scenes, small
from unfolded import Recipe, train
recipe = Recipe(epochs=4, patches_per_epoch=200, patch=16, batch_size=4)
net = small()
trained = train(net, make_scenes(), validation=make_scenes(1, seed=9), recipe=recipe,
                folder=sys.argv[1], resume=True, checkpoint_every=int(sys.argv[2]), patience=4)
net.save(sys.argv[1] + "/done.safetensors")
print(trained.history.step, trained.history.validation)
"""


def run(folder, every):
    command = [sys.executable, "-c", SCRIPT, str(folder), str(every)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("every", [7, 50], ids=["in a round", "at the end of a round"])
def test_a_killed_training_ends_with_the_same_weights(every, tmp_path):
    whole = run(tmp_path / "whole", every)
    said, _ = whole.communicate(timeout=300)
    assert whole.returncode == 0
    assert said.startswith("[50, 100, 150, 200]")
    killed = run(tmp_path / "killed", every)
    checkpoint = tmp_path / "killed" / "last.ckpt"
    limit = time.monotonic() + 300
    while time.monotonic() < limit:
        # Past the first round of 50 steps.
        if checkpoint.exists() and _step(checkpoint) >= 56 - 6 * (every == 50):
            break
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    step = _step(checkpoint)
    assert 50 <= step < 200
    assert not (tmp_path / "killed" / "done.safetensors").exists()
    # A run that is over is not changed by being resumed.
    for _ in range(2):
        resumed = run(tmp_path / "killed", every)
        again, _ = resumed.communicate(timeout=300)
        assert resumed.returncode == 0
        assert again == said
        nets = [load(tmp_path / name / "done.safetensors") for name in ("whole", "killed")]
        assert torch.equal(weights(nets[0]), weights(nets[1]))


def _step(checkpoint):
    try:
        return torch.load(checkpoint, weights_only=True)["global_step"]
    except (EOFError, OSError, RuntimeError):  # being replaced
        return 0


def test_patience_keeps_the_best_round():
    net = small()
    held_out = make_scenes(1, seed=9)
    recipe = Recipe(
        epochs=50, patches_per_epoch=4, patch=16, batch_size=4, learning_rate=0.5
    )  # far too large: it soon diverges
    trained = train(net, make_scenes(), validation=held_out, recipe=recipe, patience=2)
    errors = trained.history.validation
    assert len(errors) < 50
    assert errors.index(min(errors)) == len(errors) - 3
    assert rmse(net, held_out) == pytest.approx(min(errors), rel=1e-5)
    assert trained.error == pytest.approx(min(errors), rel=1e-5)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_divergence_is_said():
    net = small()
    with torch.no_grad():
        net.target_common.weight.fill_(1e20)
    with pytest.raises(ValueError, match="the training diverged at step 1: lower the learning"):
        train(net, make_scenes(), recipe=RECIPE)


# ------------------------------------------------------------------------------ recipe
def test_the_paper_s_recipe_is_the_default():
    recipe = Recipe()
    assert (recipe.epochs, recipe.patches_per_epoch, recipe.patch, recipe.batch_size) == (
        200,
        150_000,
        64,
        64,
    )
    assert recipe.steps_per_epoch() == 2344
    assert recipe.factor(0, 10) == 1
    assert recipe.factor(499, 10) == 1
    assert recipe.factor(500, 10) == pytest.approx(0.9)
    assert recipe.factor(1999, 10) == pytest.approx(0.9**3)


def test_cosine_rises_and_falls():
    recipe = Recipe(epochs=10, schedule="cosine")
    factors = [recipe.factor(step, 100) for step in range(1001)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == pytest.approx(1, abs=1e-3)
    assert factors[500] == pytest.approx(0.5, abs=1e-3)
    assert factors[1000] == pytest.approx(0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 0}, "epochs must be a whole number >= 1, found 0"),
        ({"batch_size": 2.0}, "batch_size must be a whole number"),
        ({"learning_rate": 0.0}, "learning_rate must be a number > 0"),
        ({"noise": float("inf")}, "noise must be a number >= 0, found inf"),
        ({"soften": -1.0}, "soften must be a number >= 0, found -1.0"),
        ({"clip_norm": -1.0}, "clip_norm must be a number > 0, found -1.0"),
        ({"schedule": "linear"}, "schedule must be one of paper, cosine; found 'linear'"),
    ],
)
def test_refused_recipes(options, words):
    with pytest.raises(ValueError, match=words):
        Recipe(**options)


# ------------------------------------------------------------------------------ patches
def test_a_patch_is_a_function_of_its_number():
    scenes = make_scenes(5)
    a, b = (Patches(scenes, 16, 3, small().configuration) for _ in range(2))
    later = [a[i] for i in (7, 1000, 7)]
    for x, y in zip(later[0], later[2], strict=True):
        assert torch.equal(x, y)
    for x, y in zip(b[1000], later[1], strict=True):
        assert torch.equal(x, y)
    assert not torch.equal(later[0][0], later[1][0])
    x, y, z = later[0]
    assert x.shape == (1, 16, 16)
    # The three are cut, turned and mirrored alike.
    assert float((x - y).abs().max()) < 0.6
    assert float(torch.corrcoef(torch.stack([y.ravel(), z.ravel()]))[0, 1]) < -0.5


def test_all_places_and_all_turns_are_drawn():
    ramp = np.arange(9, dtype=np.float32).reshape(1, 3, 3)
    patches = Patches([(ramp, ramp, ramp)], 2, 0)
    found = {tuple(patches[i][0].ravel().tolist()) for i in range(500)}
    assert len(found) == 4 * 8


def test_patches_are_softened_alike():
    rng = np.random.default_rng(0)
    image = rng.random((1, 40, 40)).astype(np.float32)
    sharp = Patches([(image, image, -image)], 32, 3)
    soft = Patches([(image, image, -image)], 32, 3, soften=2.0)
    found = []
    for i in range(20):
        x, y, z = soft[i]
        assert torch.equal(x, y)
        assert torch.equal(x, -z)
        plain = sharp[i][0].numpy()  # the same place, turned the same way
        errors = {
            sigma: np.abs(
                gaussian_filter(plain, (0, sigma, sigma), mode="mirror") - x.numpy()
            ).max()
            for sigma in np.linspace(0, 2, 201)
        }
        found.append(min(errors, key=errors.get))
        assert errors[found[-1]] < 0.02
    assert min(found) < 0.5
    assert max(found) > 1.5
    flat = np.full((1, 16, 16), 0.5, np.float32)  # blurs wider than the patch
    for i in range(10):
        np.testing.assert_allclose(Patches([(flat,) * 3], 16, 0, soften=9.0)[i][0], 0.5, rtol=1e-5)


def test_noise_is_added_to_both_images_and_not_to_the_target():
    scene = tuple(np.full((1, 40, 40), level, np.float32) for level in (0.2, 0.4, 0.6))
    patches = Patches([scene], 32, 3, noise=4.0)
    levels = []
    for i in range(30):
        x, y, z = patches[i]
        assert (z == np.float32(0.6)).all()
        assert not torch.equal(x - 0.2, y - 0.4)
        first, second = (255 * float(image.std()) for image in (x, y))
        assert first == pytest.approx(second, rel=0.1)
        levels.append(first)
        assert torch.equal(patches[i][0], x)
    assert min(levels) < 1
    assert 3 < max(levels) < 4.2


def test_scenes_that_do_not_fit_into_memory_take_turns():
    scenes = Counted(make_scenes(6))
    patches = Patches(scenes, 16, 0, memory=3 * 40 * 44 * 4 * 2)
    del scenes.read[:]
    for i in range(200):
        patches[i]
    # Two at a time; at the start some were read for their size, and the last of them kept.
    assert 1 <= len(scenes.read) == len(set(scenes.read)) <= 2
    for i in range(8192, 8192 * 6, 1024):
        patches[i]
    assert len(set(scenes.read)) > 2


def test_a_small_first_scene_does_not_make_the_others_be_read_again_and_again():
    scenes = Counted([*make_scenes(1, (16, 16)), *make_scenes(39)])
    patches = Patches(scenes, 16, 0, memory=3 * 40 * 44 * 4 * 8)
    del scenes.read[:]
    for i in range(400):
        patches[i]
    assert len(scenes.read) <= 8


# ----------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"scenes": []}, ValueError, "scenes is empty"),
        ({"scenes": [make_scenes(1)[0][:2]]}, TypeError, "triple of images"),
        ({"scenes": make_scenes(1, (12, 40))}, ValueError, "12 x 40: smaller than patches of 16"),
        ({"resume": True}, ValueError, "resume needs the folder"),
        ({"patience": 3}, ValueError, "needs validation scenes"),
        ({"checkpoint_every": 0}, ValueError, "checkpoint_every must be a whole number >= 1"),
        ({"accelerator": "warp"}, ValueError, "warp"),
    ],
)
def test_refused_arguments(change, error, words):
    options = {"scenes": make_scenes(1), "recipe": RECIPE} | change
    before = weights(net := small()).clone()
    with pytest.raises(error, match=words):
        train(net, options.pop("scenes"), **options)
    assert torch.equal(weights(net), before)


def test_refused_scenes():
    x, y, z = make_scenes(1)[0]
    configuration = small().configuration
    with pytest.raises(ValueError, match=r"scene 4 has \(1, 3, 1\) channels of x, y, z; the netw"):
        as_tensors((x, np.repeat(y, 3, axis=0), z), "scene 4", configuration)
    with pytest.raises(ValueError, match="images of it differ in size"):
        as_tensors((x, y[..., 1:], z), "it")
    with pytest.raises(ValueError, match="y of it holds NaN or Inf"):
        as_tensors((x, np.where(y > 0.5, np.nan, y), z), "it")
    with pytest.raises(TypeError, match=r"z of it has shape .* and dtype torch\.uint8"):
        as_tensors((x, y, (z * 255).astype(np.uint8)), "it")


def test_a_network_in_double_precision_is_refused():
    with pytest.raises(TypeError, match=r"call net\.float\(\) first"):
        train(small().double(), make_scenes(1), recipe=RECIPE)


def test_refused_checkpoints(tmp_path):
    recipe = Recipe(epochs=1, patches_per_epoch=40, patch=16, batch_size=4)
    scenes = make_scenes(1)
    train(small(), scenes, recipe=recipe, folder=tmp_path, checkpoint_every=5)
    path = tmp_path / "last.ckpt"
    assert path.exists()
    with pytest.raises(ValueError, match="is there already: resume from it"):
        train(small(), scenes, recipe=recipe, folder=tmp_path)
    with pytest.raises(ValueError, match="is of another run: patch was 16, now it is 8"):
        train(
            small(), scenes, folder=tmp_path, resume=True,
            recipe=Recipe(epochs=1, patches_per_epoch=40, patch=8, batch_size=4),
        )  # fmt: skip
    with pytest.raises(ValueError, match="is of another run: sigma was None, now it is 25"):
        train(small(), scenes, recipe=recipe, folder=tmp_path, resume=True, identity={"sigma": 25})
    # Before there was a field, all was done as its default says.
    state = torch.load(path, weights_only=True)
    for name in ("soften", "noise"):
        assert state["hyper_parameters"]["recipe"].pop(name) == 0
    torch.save(state, path)
    train(small(), scenes, recipe=recipe, folder=tmp_path, resume=True)
    with pytest.raises(ValueError, match=r"is of another run: noise was 0\.0, now it is 2\.0"):
        train(
            small(), scenes, folder=tmp_path, resume=True,
            recipe=dataclasses.replace(recipe, noise=2.0),
        )  # fmt: skip
    other = CUNet(filters=4, kernel_size=3, blocks=1)
    with pytest.raises(ValueError, match=r"filters was \[6, 6, 6\], now it is \[4, 4, 4\]"):
        train(other, scenes, recipe=recipe, folder=tmp_path, resume=True)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="is not a checkpoint of mcsc train, or it is damaged"):
        train(small(), scenes, recipe=recipe, folder=tmp_path, resume=True)
