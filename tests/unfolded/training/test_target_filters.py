"""Target filters that are fitted before a training."""

from __future__ import annotations

import numpy as np

from mcsc.tasks.scenes import synthetic_scenes
from mcsc.tasks.task import get_task
from tests.unfolded.nets import torch
from unfolded.starts.task_start import start
from unfolded.training import target_filters
from unfolded.training.scenes import TaskTriples
from unfolded.training.target_filters import refit_on_scenes


def test_fitted_targets_are_better_than_none(monkeypatch):
    monkeypatch.setattr(target_filters, "FITTED_PATCHES", 16)
    task = get_task("multi-focus")
    begin = start(task, blocks=1)
    scenes = TaskTriples(task, synthetic_scenes(task, 2, (64, 64), seed=4), begin.settings)

    def error():
        return sum(
            float((begin.net(*(torch.from_numpy(np.array(i)) for i in (x, y))) - z).square().mean())
            for x, y, z in ((x, y, torch.from_numpy(np.array(z))) for x, y, z in scenes)
        )

    with torch.no_grad():
        before = error()
        assert refit_on_scenes(begin.net, scenes, side=32) > 0
        assert error() < 0.5 * before
