"""Training: it learns, its weights are a function of its arguments, and it can be killed."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from tests.paths import ROOT
from tests.unfolded.nets import torch
from tests.unfolded.training.scenes import make_scenes, small
from unfolded import CUNet, Recipe, train
from unfolded.training.evaluation import rmse
from unfolded.training.train import machines

pytest.importorskip("lightning")


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


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on one core
def test_workers_do_not_change_the_weights(keep_torch_threads):
    torch.set_num_threads(2)
    recipe = Recipe(epochs=2, patches_per_epoch=20, patch=16, batch_size=4)
    nets = [small(), small()]
    for net, workers in zip(nets, (0, 2), strict=True):
        train(net, make_scenes(), recipe=recipe, workers=workers)
    assert torch.equal(weights(nets[0]), weights(nets[1]))


def test_random_numbers_of_the_caller_are_neither_used_nor_changed():
    recipe = Recipe(epochs=1, patches_per_epoch=8, patch=16, batch_size=4)
    nets = []
    for seed in (1, 2):
        net = small()
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002  (the global state is what is looked at)
        random.seed(seed)
        before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
        train(net, make_scenes(), validation=make_scenes(1), recipe=recipe)
        assert torch.equal(torch.get_rng_state(), before[0])
        assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
        assert random.getstate() == before[2]
        nets.append(net)
    assert torch.equal(weights(nets[0]), weights(nets[1]))


# ---------------------------------------------------------------------------- callback
SHORT = Recipe(epochs=3, patches_per_epoch=8, patch=16, batch_size=4)


def test_a_callback_sees_every_round():
    seen = []
    trained = train(
        small(), make_scenes(), validation=make_scenes(1, seed=9), recipe=SHORT,
        callback=seen.append,
    )  # fmt: skip
    assert trained.completed
    history = trained.history
    assert [p.epoch for p in seen] == [1, 2, 3]
    assert [p.step for p in seen] == history.step == [2, 4, 6]
    assert [p.loss for p in seen] == history.loss
    assert [p.seconds for p in seen] == history.seconds
    assert [p.validation for p in seen] == history.validation
    without = []
    train(small(), make_scenes(), recipe=SHORT, callback=without.append)
    assert [p.validation for p in without] == [None] * 3


def raise_stop(_):
    raise StopIteration


@pytest.mark.parametrize("callback", [lambda progress: progress.epoch == 1, raise_stop])
def test_a_callback_stops_the_training_and_it_can_be_resumed(callback, tmp_path):
    net, whole = small(), small()
    options = {"recipe": SHORT, "folder": tmp_path / "run"}
    trained = train(net, make_scenes(), callback=callback, **options)
    assert not trained.completed
    assert trained.history.step == [2]
    assert not net.training
    again = train(net, make_scenes(), resume=True, **options)
    assert again.completed
    assert again.history.step == [2, 4, 6]
    train(whole, make_scenes(), recipe=SHORT)
    assert torch.equal(weights(net), weights(whole))


def test_a_training_that_is_stopped_after_its_last_round_is_complete():
    trained = train(small(), make_scenes(), recipe=SHORT, callback=lambda p: p.epoch == 3)
    assert trained.completed


def test_ctrl_c_ends_the_step_and_keeps_all_of_it(tmp_path, monkeypatch):
    from unfolded.training.callbacks import Recorder  # which imports Lightning

    whole, net = small(), small()
    train(whole, make_scenes(), recipe=RECIPE)
    record = Recorder.on_train_batch_end
    began = time.perf_counter()

    def pressed(self, trainer, *given):
        record(self, trainer, *given)
        if trainer.global_step == 27:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "on_train_batch_end", pressed)
        stopped = train(net, make_scenes(), recipe=RECIPE, folder=tmp_path / "run")
    assert not stopped.completed
    assert stopped.steps == 27
    assert stopped.seconds > 0
    assert stopped.history.step == [20]
    assert (tmp_path / "run" / "last.ckpt").exists()
    again = train(net, make_scenes(), recipe=RECIPE, folder=tmp_path / "run", resume=True)
    assert again.completed
    assert again.steps == 60
    # Nothing but the steps was counted: the clock of a round that is gone on with starts anew.
    assert stopped.seconds < again.seconds < time.perf_counter() - began
    assert torch.equal(weights(net), weights(whole))


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("epoch", [1, 3])
def test_a_request_to_end_in_a_validation_keeps_its_round(tmp_path, monkeypatch, epoch):
    from unfolded.training.lightning_module import Module  # which imports Lightning

    validate = Module.validation_step

    def asked(self, batch, number):
        validate(self, batch, number)
        if (self.trainer.current_epoch + 1, number) == (epoch, 0):
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Module, "validation_step", asked)
        stopped = train(
            small(), make_scenes(), validation=make_scenes(1, seed=9) * 2, recipe=SHORT,
            folder=tmp_path, checkpoint_every=1000,
        )  # fmt: skip
    assert stopped.completed == (epoch == SHORT.epochs)
    assert len(stopped.history.validation) == epoch
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved["global_step"] == stopped.steps
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_checkpoint_goes_by_no_other_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "full"))
    train(small(), make_scenes(), recipe=SHORT, folder=tmp_path / "run")
    assert (tmp_path / "run" / "last.ckpt").exists()


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    from unfolded.training.callbacks import WholeFiles

    def full(*_):
        raise OSError(28, "No space left on device")

    path = tmp_path / "last.ckpt"
    WholeFiles().save_checkpoint({"step": 1}, path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left") as caught:
            WholeFiles().save_checkpoint({"step": 2}, path)
    assert caught.value.filename == str(path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_in_a_callback_is_raised_and_the_network_can_be_used():
    def fails(_):
        raise KeyError("mine")

    net = small()
    with pytest.raises(KeyError, match="mine"):
        train(net, make_scenes(), recipe=SHORT, callback=fails)
    assert not net.training


def test_logs_are_written(tmp_path):
    train(small(), make_scenes(), validation=make_scenes(1), recipe=RECIPE, folder=tmp_path / "log")
    text = (tmp_path / "log" / "csv" / "metrics.csv").read_text()
    assert "loss" in text.splitlines()[0]
    assert "val_rmse" in text.splitlines()[0]
    assert list((tmp_path / "log" / "tensorboard").glob("events*"))


SCRIPT = """
import sys
import tempfile
from tests.unfolded.training.test_training import resumable
resumable(sys.argv[1], int(sys.argv[2]))
"""


def resumable(folder, every):
    """Train, from the checkpoint if there is one; weights, and what was seen on the way."""
    torch.set_num_threads(1)
    recipe = Recipe(epochs=4, patches_per_epoch=200, patch=16, batch_size=4)
    net = small()
    trained = train(
        net, make_scenes(), validation=make_scenes(1, seed=9), recipe=recipe, folder=folder,
        resume=True, checkpoint_every=every, patience=4,
    )  # fmt: skip
    return weights(net), trained.history.step, trained.history.validation


@pytest.mark.slow
@pytest.mark.parametrize("every", [7, 50], ids=["in a round", "at the end of a round"])
def test_a_killed_training_ends_with_the_same_weights(every, tmp_path, keep_torch_threads):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "killed"), str(every)]
    process = subprocess.Popen(command, cwd=ROOT)
    whole = resumable(tmp_path / "whole", every)
    assert whole[1] == [50, 100, 150, 200]
    checkpoint = tmp_path / "killed" / "last.ckpt"
    limit = time.monotonic() + 300
    while time.monotonic() < limit:
        # Past the first round of 50 steps.
        if checkpoint.exists() and _step(checkpoint) >= 56 - 6 * (every == 50):
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    assert 50 <= _step(checkpoint) < 200
    # A run that is over is not changed by being resumed.
    for _ in range(2):
        found = resumable(tmp_path / "killed", every)
        assert found[1:] == whole[1:]
        assert torch.equal(found[0], whole[0])


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
    assert trained.best_step == trained.steps - 2  # a step an epoch
    assert train(small(), make_scenes(), validation=held_out, recipe=SHORT).best_step is None


def test_a_training_that_lost_its_patience_is_over(tmp_path):
    options = {
        "validation": make_scenes(1, seed=9), "patience": 1, "folder": tmp_path / "run",
        "recipe": Recipe(
            epochs=50, patches_per_epoch=4, patch=16, batch_size=4, learning_rate=0.5
        ),
    }  # fmt: skip
    first = train(net := small(), make_scenes(), **options)
    again = train(other := small(), make_scenes(), resume=True, **options)
    assert again.history == first.history
    assert (again.steps, again.error, again.completed) == (first.steps, first.error, True)
    assert torch.equal(weights(net), weights(other))
    # With more of it, it goes on.
    more = train(small(), make_scenes(), resume=True, **options | {"patience": 3})
    assert more.steps > first.steps
    # Without any it would end with the last weights.
    with pytest.raises(ValueError, match=r"is of a run with patience, which ends with the weights"):
        train(small(), make_scenes(), resume=True, **options | {"patience": None})


def test_a_run_without_patience_gets_none_when_it_is_resumed(tmp_path):
    options = {"validation": make_scenes(1, seed=9), "folder": tmp_path, "recipe": SHORT}
    train(small(), make_scenes(), **options)
    with pytest.raises(ValueError, match=r"is of a run without patience, which did not keep"):
        train(small(), make_scenes(), resume=True, patience=3, **options)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_divergence_is_said():
    net = small()
    with torch.no_grad():
        net.target_common.weight.fill_(1e20)
    with pytest.raises(ValueError, match="the training diverged at step 1: lower the learning"):
        train(net, make_scenes(), recipe=RECIPE)


# ----------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("environment", "count"),
    [
        ({}, 1),
        ({"WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4", "TORCHELASTIC_RUN_ID": "a"}, 2),
        ({"SLURM_NTASKS": "6", "SLURM_NNODES": "3", "SLURM_JOB_NAME": "train"}, 3),
        ({"SLURM_NTASKS": "6", "SLURM_NNODES": "3", "SLURM_JOB_NAME": "bash"}, 1),
    ],
)
def test_the_number_of_machines_is_what_their_launcher_says(environment, count):
    assert machines(environment) == count


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"scenes": []}, ValueError, "scenes is empty"),
        ({"scenes": [make_scenes(1)[0][:2]]}, TypeError, "triple of images"),
        ({"scenes": make_scenes(1, (12, 40))}, ValueError, "12 x 40: smaller than patches of 16"),
        ({"resume": True}, ValueError, "resume needs the folder"),
        ({"patience": 3}, ValueError, "needs validation scenes"),
        ({"checkpoint_every": 0}, ValueError, "checkpoint_every must be a whole number >= 1"),
        ({"device": "warp"}, ValueError, "device must be one of auto, cpu, cuda; found 'warp'"),
        ({"devices": 0}, ValueError, "devices must be a whole number >= 1, found 0"),
        ({"precision": "8"}, ValueError, "precision must be one of 32-true, .*; found '8'"),
        ({"callback": 3}, TypeError, "callback must be callable, found int"),
        ({"patience": "3"}, ValueError, "patience must be a whole number >= 1, found '3'"),
        ({"patience": 1.5}, ValueError, "patience must be a whole number >= 1"),
        ({"scenes": iter(make_scenes(1))}, TypeError, "scenes must be a sequence"),
        ({"validation": {"a": 1}}, TypeError, "validation must be a sequence.*found dict"),
        ({"identity": "mine"}, TypeError, "identity must be a mapping, found str"),
        ({"identity": {"a": np.float64(1)}}, TypeError, "plain values.*found float64 as 'a'"),
        ({"identity": {"a": [Path()]}}, TypeError, "plain values.*found PosixPath as 'a'"),
        ({"identity": {"a": {"b": float("nan")}}}, ValueError, "identity holds NaN as 'a'"),
        ({"identity": {"devices": 2}}, ValueError, "identity holds 'devices'"),
        ({"folder": __file__}, OSError, "is a file; want a folder"),
    ],
)
def test_refused_arguments(change, error, words):
    options = {"scenes": make_scenes(1), "recipe": RECIPE} | change
    before = weights(net := small()).clone()
    with pytest.raises(error, match=words):
        train(net, options.pop("scenes"), **options)
    assert torch.equal(weights(net), before)


def test_a_network_in_double_precision_is_refused():
    with pytest.raises(TypeError, match=r"call net\.float\(\) first"):
        train(small().double(), make_scenes(1), recipe=RECIPE)


def test_a_network_without_anything_to_train_is_refused():
    with pytest.raises(ValueError, match=r"call net\.requires_grad_\(\) first"):
        train(small().requires_grad_(False), make_scenes(1), recipe=RECIPE)


def test_a_network_s_own_images_are_targets():
    """As they come, with what made them, which a second step would go through again."""
    teacher, net, other = small(3), small(), small()
    images = [tuple(map(torch.from_numpy, scene[:2])) for scene in make_scenes()]
    made = [(x, y, teacher(x[None], y[None])[0]) for x, y in images]
    train(net, made, validation=made, recipe=SHORT)
    train(other, [(x, y, z.detach()) for x, y, z in made], recipe=SHORT)
    assert torch.equal(weights(net), weights(other))
    assert all(p.grad is None for p in teacher.parameters())


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
    for name in ("sweeps", "thresholds", "noise_aware"):
        assert state["hyper_parameters"]["configuration"].pop(name) in (1, "scalar", False)
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


# -------------------------------------------------------------------------- evaluation
def test_measuring_leaves_every_module_in_its_mode():
    net = small().train()
    net.common.eval()
    before = [module.training for module in net.modules()]
    scenes = make_scenes(1)
    assert rmse(net, scenes) > 0
    assert [module.training for module in net.modules()] == before
    with pytest.raises(TypeError, match="scene 1 must be a triple of images"):
        rmse(net, [*scenes, scenes[0][:2]])
    assert [module.training for module in net.modules()] == before
