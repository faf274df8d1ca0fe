"""How a network is trained, in numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from mcsc.checks import check_number, check_whole
from mcsc.errors import InvalidTypeError, InvalidValueError

Schedule = Literal["paper", "cosine"]
"""What becomes of the learning rate; see `Recipe`."""
Optimiser = Literal["adam", "muon", "scaled-muon"]
"""What takes the steps; see `Recipe`."""
Loss = Literal["mse", "l1", "charbonnier", "contrast"]
"""What training minimises: means of squares, of absolute values, of roots of squares + 1e-6, or of
absolute values and of squares of gradients relative to those of the sources."""
Arithmetic = Literal["32-true", "bf16-mixed", "16-mixed"]
"""What training computes in, in Lightning's words."""


@dataclass(frozen=True)
class Recipe:
    """Settings of a training; the defaults are those of the paper.

    Attributes
    ----------
    epochs : int
        Number of epochs; after each, the error on the validation scenes is measured.
    patches_per_epoch : int
        Number of patches that are drawn in an epoch, rounded to a whole number of steps, at least
        one.
    patch : int
        Side of the patches, in pixels.
    batch_size : int
        Number of patches in a step, on each device.
    optimiser : {"adam", "muon", "scaled-muon"}
        Adam, as in the paper; or Muon for the filters, and Adam for the thresholds; or the same
        with steps that are shares of what they change: see `unfolded.training.muon`.
    learning_rate : float
        Learning rate of the optimiser at the start; with Muon that of the filters, of which the
        thresholds have 0.3; with "scaled-muon" the share of its norm by which a step changes a
        bank of filters (0.005, say); thresholds are changed by twice that share.
    schedule : {"paper", "cosine"}
        How the learning rate changes: it is multiplied by 0.9 every 50 epochs; or it rises in the
        first hundredth of all steps and then falls to zero along half a cosine, which is better for
        few epochs.
    seed : int
        Seed of the choice of patches.
    clip_norm : float, optional
        Largest norm of the gradient, to which larger ones are scaled down; for large learning
        rates.
    candidates : int
        Number of places that are drawn for each patch, of which that one is taken where what is to
        be made has most detail: the largest sum of squared differences between neighbours. Smooth
        places teach little.
    soften : float
        Blur the images and the target of a patch by a Gaussian whose standard deviation, in pixels,
        is drawn from 0 to this number. For fusion: a network that has only seen sharp targets
        sharpens photographs that are soft.
    noise : float
        Add white Gaussian noise to both images of a patch, and not to what is to be made of them;
        its standard deviation, in grey levels of 255, is drawn from 0 to this number. For fusion:
        a network that has only seen clean images takes the artefacts of compressed photographs for
        detail. Where scenes have noise of their own, leave it out: the network learns to take
        faint detail for noise.
    average : float, optional
        Decay of an exponential moving average of the weights, which is then what is validated and
        returned. It is smaller at first: (1 + t) / (10 + t) in step t.
    loss : {"mse", "l1", "charbonnier", "contrast"}
        Loss that is minimised at first. "contrast", for fusion, is the mean absolute error and 10
        times the mean, over pixels, of the squared error of the Sobel gradient divided by that of
        the source where it is stronger, plus 1/255: relative errors count, so that faint detail is
        kept, too.
    squared_from : float
        Share of the steps after which the mean squared error is minimised, whatever `loss` is.
    warm_up : int, optional
        Number of steps in which the learning rate rises to `learning_rate`. Default: a hundredth of
        all with the schedule "cosine", none with "paper".
    unit_ball : bool
        After each step, scale each filter of D whose norm, over all channels, is larger than 1 to
        a norm of 1, as dictionary learning does.
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
    average: float | None = None
    loss: Loss = "mse"
    squared_from: float = 0.75
    warm_up: int | None = None
    unit_ball: bool = False
    optimiser: Optimiser = "adam"
    candidates: int = 1

    def __post_init__(self) -> None:
        for name, least in (
            ("epochs", 1), ("patches_per_epoch", 1), ("patch", 1), ("batch_size", 1), ("seed", 0),
            ("candidates", 1),
        ):  # fmt: skip
            object.__setattr__(self, name, check_whole(name, getattr(self, name), least=least))
        for name, zero in (
            ("learning_rate", False), ("clip_norm", False), ("soften", True), ("noise", True),
            ("average", True), ("squared_from", True),
        ):  # fmt: skip
            value = getattr(self, name)
            if not (name in ("clip_norm", "average") and value is None):
                object.__setattr__(self, name, check_number(name, value, zero=zero))
        if self.warm_up is not None:
            object.__setattr__(self, "warm_up", check_whole("warm_up", self.warm_up, least=0))
        for name, most in (("average", 1.0), ("squared_from", 1.0)):
            value = getattr(self, name)
            if value is not None and (value > most or (name == "average" and value == most)):
                words = "below" if name == "average" else "at most"
                raise InvalidValueError(f"{name} must be {words} {most:g}, found {value!r}")
        if not isinstance(self.unit_ball, bool):
            raise InvalidTypeError(f"unit_ball must be True or False, found {self.unit_ball!r}")
        for name, literal in (("schedule", Schedule), ("loss", Loss), ("optimiser", Optimiser)):
            known = get_args(literal)
            if getattr(self, name) not in known:
                raise InvalidValueError(
                    f"{name} must be one of {', '.join(known)}; found {getattr(self, name)!r}"
                )

        if self.loss == "contrast" and self.patch < 3:
            raise InvalidValueError(
                f"the loss contrast takes gradients of 3 x 3 pixels; found patch={self.patch}"
            )

    def steps_per_epoch(self, devices: int = 1) -> int:
        """Return the number of steps of the optimiser in an epoch."""
        return max(1, round(self.patches_per_epoch / (self.batch_size * devices)))

    def rounding(self, devices: int = 1) -> str:
        """Say how many patches an epoch has, where that is not `patches_per_epoch`."""
        steps, each = self.steps_per_epoch(devices), self.batch_size * devices
        if steps * each == self.patches_per_epoch:
            return ""
        return (
            f"An epoch is {steps} step{'s' * (steps > 1)} of {each} patches: {steps * each} "
            f"patches, not {self.patches_per_epoch}."
        )

    def factor(self, step: int, per_epoch: int) -> float:
        """Return what the learning rate is multiplied by at a step, counted from 0."""
        total = self.epochs * per_epoch
        if self.schedule == "paper":
            rising, found = self.warm_up or 0, float(0.9 ** (step // per_epoch // 50))
        else:
            rising = max(1, total // 100) if self.warm_up is None else self.warm_up
            found = 0.5 * (1 + math.cos(math.pi * step / total))
        return min((step + 1) / rising, found) if rising else found

    def loss_at(self, step: int, per_epoch: int) -> Loss:
        """Return what is minimised in a step, counted from 0."""
        return self.loss if step < self.squared_from * self.epochs * per_epoch else "mse"
