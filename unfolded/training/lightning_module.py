"""The network as Lightning wants it.

Apart from `unfolded.training.train`, so that Lightning is imported only when something is trained.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as lightning
import torch
import torch.nn.functional as F
from torch import Tensor

from ..engines.cuda_graphs import GraphedPass
from ..network.cunet import CUNet
from ..network.engine_choice import is_as_written
from .checkpoints import known_by
from .muon import Muon, ScaledMuon
from .recipe import Recipe

_FAINT = 1 / 255
"""Gradients of the sources count as no weaker than this, on the images' scale, a pixel."""
_EDGES = 10.0
"""Weight of the errors of gradients, beside the mean absolute error."""


def _mse(found: Tensor, wanted: Tensor, *sources: Tensor) -> Tensor:
    return F.mse_loss(found, wanted)


def _l1(found: Tensor, wanted: Tensor, *sources: Tensor) -> Tensor:
    return F.l1_loss(found, wanted)


def _charbonnier(found: Tensor, wanted: Tensor, *sources: Tensor) -> Tensor:
    return ((found - wanted).square() + 1e-6).sqrt().mean()


def _contrast(found: Tensor, wanted: Tensor, *sources: Tensor) -> Tensor:
    """The mean absolute error, and squared errors of gradients over the sources' strongest ones.

    By the absolute error alone faint detail is cheap to lose; by contrast it is half of all that
    is to be seen there.
    """
    error = _sobel(found - wanted).square().sum(0)
    strength = [_sobel(source).square().sum(0).sqrt().amax(1, keepdim=True) for source in sources]
    strongest = torch.stack(strength).amax(0)
    return F.l1_loss(found, wanted) + _EDGES * (error / (strongest + _FAINT)).mean()


def _sobel(image: Tensor) -> Tensor:
    """Sobel gradients (2, N, C, H - 2, W - 2), in units of the image a pixel."""
    rows = (image[:, :, 2:] - image[:, :, :-2]) / 8
    columns = (image[..., 2:] - image[..., :-2]) / 8
    return torch.stack([
        rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:],
        columns[:, :, :-2] + 2 * columns[:, :, 1:-1] + columns[:, :, 2:],
    ])  # fmt: skip


_LOSSES: dict[str, Callable[..., Tensor]] = {
    "mse": _mse,
    "l1": _l1,
    "charbonnier": _charbonnier,
    "contrast": _contrast,
}


_OPTIMISERS: dict[str, type[torch.optim.Adam]] = {
    "adam": torch.optim.Adam,
    "muon": Muon,
    "scaled-muon": ScaledMuon,
}


class Module(lightning.LightningModule):
    """The recipe's optimiser on its loss."""

    def __init__(self, net: CUNet, recipe: Recipe) -> None:
        super().__init__()
        self.net = net
        self.recipe = recipe
        self.per_epoch = recipe.steps_per_epoch()
        self._graphed: GraphedPass | None = None

    def on_fit_start(self) -> None:
        """On one GPU, launch the passes of a step as graphs: several speak while they are made."""
        if self.device.type == "cuda" and self.trainer.world_size == 1:
            self._graphed = GraphedPass(self.net, recordable=is_as_written(self.net))

    def identify(self, identity: dict[str, Any]) -> None:
        """Keep what the run is known by in the checkpoint."""
        self.save_hyperparameters(known_by(self.recipe, self.net.configuration, identity))

    def training_step(self, batch: Any, number: int) -> Tensor:
        """Return the loss of a batch."""
        x, y, z, *sigma = batch
        kind = self.recipe.loss_at(self.trainer.global_step, self.per_epoch)
        run = self._graphed or self.net
        loss = _LOSSES[kind](run(x, y, *sigma), z, x, y)
        self.log("loss", loss, prog_bar=True, batch_size=len(x))
        return loss

    def validation_step(self, batch: Any, number: int) -> None:
        """Measure a whole scene."""
        x, y, z, *sigma = batch
        error = 255 * F.mse_loss(self.net(x, y, *sigma), z).sqrt()
        self.log("val_rmse", error, prog_bar=True, batch_size=1, on_epoch=True, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Return the optimiser and its schedule."""
        recipe = self.recipe
        optimiser = _OPTIMISERS[recipe.optimiser](self.net.parameters(), lr=recipe.learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: recipe.factor(step, self.per_epoch)
        )
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


_NAMES = ("lightning.pytorch", "lightning.fabric", "pytorch_lightning", "lightning_fabric")
_MESSAGES = (
    r".*does not have many workers.*",
    r".*no `val_dataloader`.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*GPU available but not used.*",
    r".*smaller than the logging interval.*",
    r".*Experiment logs directory .* exists.*",
    r".*[Ii]sinstance.*LeafSpec.*",
    r".*Starting from v1\.9\.0.*",
)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Lightning's advice for a while: on workers, loggers and hardware not used."""
    levels = {name: logging.getLogger(name).level for name in _NAMES}
    with warnings.catch_warnings():
        for message in _MESSAGES:
            warnings.filterwarnings("ignore", message=message)
        for name in _NAMES:
            logging.getLogger(name).setLevel(logging.WARNING)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
