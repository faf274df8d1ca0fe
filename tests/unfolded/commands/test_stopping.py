"""`mcsc train` that is interrupted."""

from __future__ import annotations

import signal

import pytest
from click.testing import CliRunner

pytest.importorskip("lightning")

from tests.unfolded.nets import torch
from unfolded import load
from unfolded.commands import train

SHORT = [
    "--task", "depth-sr", "--synthetic", "2", "--epochs", "2", "--patches", "8", "--patch", "32",
    "--batch-size", "4", "--filters", "4", "--kernel-size", "3", "--blocks", "1", "--start",
    "xavier", "--validation", "0",
]  # fmt: skip


@pytest.fixture
def pressed(monkeypatch):
    """Press Ctrl-C as often as is said in the first step that a training makes."""
    from unfolded.training.lightning_module import Module  # which imports Lightning

    step = Module.training_step

    def press(times):
        def training_step(self, *given):
            if self.trainer.global_step == 0:
                for _ in range(times):
                    signal.raise_signal(signal.SIGINT)
            return step(self, *given)

        monkeypatch.setattr(Module, "training_step", training_step)

    return press


def invoke(out):
    return CliRunner().invoke(train, [*SHORT, "-o", str(out)])


@pytest.mark.filterwarnings("ignore:The number of training batches")
def test_weights_that_nothing_was_learned_for_do_not_replace_any(tmp_path, pressed):
    out = tmp_path / "net.safetensors"
    out.write_bytes(b"learned in many hours")
    pressed(2)
    result = invoke(out)
    assert result.exit_code == 130
    assert "interrupted before the end of the first step; " in result.stderr
    assert out.read_bytes() == b"learned in many hours"
    assert not out.with_suffix(".md").exists()


@pytest.mark.filterwarnings("ignore:The number of training batches")
def test_weights_of_one_step_are_kept(tmp_path, pressed):
    out = tmp_path / "net.safetensors"
    pressed(1)
    result = invoke(out)
    assert result.exit_code == 130
    assert "1 steps" in result.stdout
    assert "--resume goes on from" in result.stdout
    assert torch.isfinite(load(out).target_common.weight).all()
