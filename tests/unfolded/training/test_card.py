"""Model cards say what a network is."""

from __future__ import annotations

import pytest

from mcsc.tasks.task import get_task
from unfolded import CUNet, Recipe, Trained, TrainingHistory
from unfolded.training.card import write_card


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"filters": 2}, "2 filters of 3 x 3 per module, 1 blocks; "),
        ({"filters": (2, 3, 4)}, "2 (common), 3 and 4 (unique) filters of 3 x 3 per module"),
        ({"tied": True, "residual": False}, "1 blocks, which share their filters, no residual li"),
        ({"sweeps": 2, "thresholds": "map"}, "1 blocks, 2 sweeps, a threshold for each map; "),
    ],
)
def test_its_kind(options, says, tmp_path):
    net = CUNet(**{"filters": 2, "kernel_size": 3, "blocks": 1} | options)
    trained = Trained(
        net=net, recipe=Recipe(), history=TrainingHistory(), device="cpu", devices=1, steps=1,
        seconds=1.0, completed=True,
    )  # fmt: skip
    path = tmp_path / "card.md"
    write_card(
        path, trained, get_task("depth-sr"), data="d", start="s", command="c", before=None
    )  # fmt: skip
    assert says in path.read_text()


def test_it_says_whose_weights_were_kept(tmp_path):
    """Patience keeps those of the best epoch, which is not the last."""
    history = TrainingHistory([8, 16, 24], [1.0, 2.0, 3.0], [0.1] * 3, [5.0, 4.0, 4.0])
    assert history.best_step == 16
    assert TrainingHistory([8, 16], [1.0, 2.0], [0.1] * 2, [float("nan"), 7.0]).best_step == 16
    assert TrainingHistory([8], [1.0], [0.1]).best_step is None
    net = CUNet(filters=2, kernel_size=3, blocks=0)
    path = tmp_path / "card.md"
    for step in (16, None):
        trained = Trained(
            net=net, recipe=Recipe(), history=history, device="cpu", devices=1, steps=24,
            seconds=3.0, completed=True, error=4.0, best_step=step,
        )  # fmt: skip
        write_card(
            path, trained, get_task("depth-sr"), data="d", start="s", command="c", before=None
        )
        said = "the weights are those of step 16, of the smallest error" in path.read_text()
        assert said == (step is not None)
