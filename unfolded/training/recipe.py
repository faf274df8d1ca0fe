"""How a network is trained, in numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from mcsc.checks import check_number, check_whole
from mcsc.errors import InvalidValueError

Schedule = Literal["paper", "cosine"]
"""What becomes of the learning rate; see `Recipe`."""
Arithmetic = Literal["32-true", "bf16-mixed", "16-mixed"]
"""What training computes in, in Lightning's words."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; the defaults are the paper's.

    Attributes
    ----------
    epochs : int
        Rounds; after each the network is measured on the validation scenes.
    patches_per_epoch : int
        Patches drawn in a round.
    patch : int
        Side of the patches, pixels.
    batch_size : int
        Patches a step, on each device.
    learning_rate : float
        Of Adam, at the start.
    schedule : {"paper", "cosine"}
        Times 0.9 every 50 epochs; or half a cosine down to nothing at the last step, after a
        hundredth of all steps of rising: better where epochs are few.
    seed : int
        Of the patches.
    clip_norm : float, optional
        Shorten gradients of a larger norm: for large rates.
    soften : float
        Blur the images of a patch and what is to be made of them alike, by a Gaussian whose
        standard deviation is drawn from 0 to so many pixels. For fusion: a network that has only
        seen sharp targets sharpens photographs that are soft.
    noise : float
        Add white Gaussian noise to both images of a patch, of a standard deviation that is drawn
        from 0 to so many grey levels of 255. For fusion: a network that has only seen clean images
        takes what a photograph's compression leaves for detail.
    """

    epochs: int = 200
    patches_per_epoch: int = 150_000
    patch: int = 64
    batch_size: int = 64
    learning_rate: float = 1e-4
    schedule: Schedule = "paper"
    seed: int = 0
    clip_norm: float | None = None
    soften: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        for name, least in (
            ("epochs", 1), ("patches_per_epoch", 1), ("patch", 1), ("batch_size", 1), ("seed", 0),
        ):  # fmt: skip
            object.__setattr__(self, name, check_whole(name, getattr(self, name), least=least))
        for name, zero in (
            ("learning_rate", False), ("clip_norm", False), ("soften", True), ("noise", True),
        ):  # fmt: skip
            value = getattr(self, name)
            if not (name == "clip_norm" and value is None):
                object.__setattr__(self, name, check_number(name, value, zero=zero))
        known = get_args(Schedule)
        if self.schedule not in known:
            raise InvalidValueError(
                f"schedule must be one of {', '.join(known)}; found {self.schedule!r}"
            )

    def steps_per_epoch(self, devices: int = 1) -> int:
        """Return the optimiser's steps in a round."""
        return max(1, round(self.patches_per_epoch / (self.batch_size * devices)))

    def factor(self, step: int, per_epoch: int) -> float:
        """Return what the learning rate is multiplied by at a step, counted from 0."""
        if self.schedule == "paper":
            return float(0.9 ** (step // per_epoch // 50))
        total = self.epochs * per_epoch
        rising = max(1, total // 100)
        return min((step + 1) / rising, 0.5 * (1 + math.cos(math.pi * step / total)))
