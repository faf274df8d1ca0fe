"""The network as Lightning wants it.

Apart from `unfolded.training.train`, so that Lightning is imported only when something is trained.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning.pytorch as lightning
import torch
import torch.nn.functional as F
from torch import Tensor

from ..network.cunet import CUNet
from .checkpoints import known_by
from .recipe import Recipe


def _charbonnier(found: Tensor, wanted: Tensor) -> Tensor:
    return ((found - wanted).square() + 1e-6).sqrt().mean()


_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "charbonnier": _charbonnier,
}


class Module(lightning.LightningModule):
    """Adam on the recipe's loss."""

    def __init__(self, net: CUNet, recipe: Recipe) -> None:
        super().__init__()
        self.net = net
        self.recipe = recipe
        self.per_epoch = recipe.steps_per_epoch()

    def identify(self, identity: dict[str, Any]) -> None:
        """Keep what the run is known by in the checkpoint."""
        self.save_hyperparameters(known_by(self.recipe, self.net.configuration, identity))

    def training_step(self, batch: Any, number: int) -> Tensor:
        """Return the loss of a batch."""
        x, y, z, *sigma = batch
        kind = self.recipe.loss_at(self.trainer.global_step, self.per_epoch)
        loss = _LOSSES[kind](self.net(x, y, *sigma), z)
        self.log("loss", loss, prog_bar=True, batch_size=len(x))
        return loss

    def validation_step(self, batch: Any, number: int) -> None:
        """Measure a whole scene."""
        x, y, z, *sigma = batch
        error = 255 * F.mse_loss(self.net(x, y, *sigma), z).sqrt()
        self.log("val_rmse", error, prog_bar=True, batch_size=1, on_epoch=True, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Return Adam and its schedule."""
        recipe = self.recipe
        adam = torch.optim.Adam(self.net.parameters(), lr=recipe.learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            adam, lambda step: recipe.factor(step, self.per_epoch)
        )
        return {
            "optimizer": adam,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
