r"""Muon: steps of filter banks along orthogonal directions, and Adam for what are no banks.

A bank of K filters is a matrix with one row each. Its gradient, averaged over the steps, has few
large singular values: what all filters can do about the largest errors. Muon makes all of them
nearly one, so that the filters also learn what few pixels ask for.

.. math:: G = U S V^T \;\longmapsto\; U S' V^T, \quad S' \approx 1

Of one network the banks differ in size by a factor of a hundred, and training changes that: what
makes an image of the common maps began 200 times smaller than it was in the end. `ScaledMuon` takes
steps that are shares of what they change, so that each bank and all thresholds learn at one pace.

References
----------
K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024,
https://kellerjordan.github.io/posts/muon/. J. Liu et al., "Muon is scalable for LLM training",
2025, arXiv:2502.16982, Eq. 4: the length of a step. `torch.optim.Muon` is for matrices alone, and
takes one at a time. Y. You, I. Gitman, B. Ginsburg, "Large batch training of convolutional
networks", 2017, arXiv:1708.03888: steps in proportion to the norm of what they change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration, as Jordan et al. chose them."""
_ITERATIONS = 5
_LENGTH = 0.2
"""Root mean square of a step, as a share of the learning rate: about that of Adam."""


_SMALLEST = 1e-3
"""Root mean square up to which numbers are small: `ScaledMuon` moves them as if they were of it, so
that what is zero can become something."""
_FASTER = 2.0
"""Rate of thresholds as a share of that of banks, both relative to their size: after 800 steps a
network of bands was best with 1 % for thresholds, ahead of 0.3 % and of 3 %."""


_SHARE = 0.3
"""Learning rate of all that are no banks, as a share of that of banks. With as much as
banks have, a network of flash photographs had batches of 100 times the usual loss, in one run."""


class Muon(torch.optim.Adam):
    """Muon for filter banks (K, C, s, s) or (C, K, s, s), Adam for all other parameters.

    Parameters
    ----------
    parameters : iterable of Parameter
        Those with four axes are banks.
    lr : float
        Learning rate of the banks: a step changes a number by about a fifth of it. All others are
        changed by Adam at 0.3 of it.
    momentum : float
        Share of the mean gradient that a step keeps, as Nesterov has it.

    Notes
    -----
    Cost: 15 products of matrices of K rows for each bank and step, of which banks of one shape are
    multiplied together: for the network of flash photographs 25 to 36 ms a step on one core,
    where a step on two patches of 128 x 128 takes about a second.
    """

    def __init__(
        self, parameters: Iterable[torch.nn.Parameter], lr: float, *, momentum: float = 0.95
    ) -> None:
        every = list(parameters)
        banks = [p for p in every if p.ndim == 4]
        others = [p for p in every if p.ndim != 4]
        groups: list[dict[str, Any]] = []
        if banks:
            groups.append({"params": banks, "momentum": momentum})
        if others:
            groups.append({"params": others, "momentum": None, "lr": _SHARE * lr})
        super().__init__(groups, lr=lr)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        taken: list[tuple[Tensor, Tensor]] = []
        for group in self.param_groups:
            if group["momentum"] is not None:
                self._step_banks(group)
                taken += [(p, p.grad) for p in group["params"]]
        for bank, _ in taken:
            bank.grad = None  # Adam leaves what has none
        self._step_others()
        for bank, gradient in taken:
            bank.grad = gradient
        return loss

    def _step_others(self) -> None:
        super().step()

    def _step_banks(self, group: dict[str, Any]) -> None:
        alike: dict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = {}
        for bank in group["params"]:
            if bank.grad is None:
                continue
            state = self.state[bank]
            if not state:
                state["step"] = torch.zeros(())  # which Adam looks for in what it loads
                state["mean"] = torch.zeros_like(bank)
            state["step"] += 1
            state["mean"].lerp_(bank.grad, 1 - group["momentum"])
            towards = _as_matrix(bank.grad.lerp(state["mean"], group["momentum"]))
            alike.setdefault(tuple(towards.shape), []).append((bank, towards))
        for shape, found in alike.items():
            made = orthogonalised(torch.stack([towards for _, towards in found]))
            for (bank, _), step in zip(found, made, strict=True):
                length = group["lr"] * self._length(bank, shape)
                _as_bank(bank).sub_(step.reshape(_as_bank(bank).shape) * length)

    def _length(self, bank: Tensor, shape: tuple[int, ...]) -> float | Tensor:
        """Singular values of a step at a rate of 1, of a bank that is a matrix of a shape."""
        return _LENGTH * math.sqrt(max(shape))


class ScaledMuon(Muon):
    """`Muon` whose steps are shares of what they change, those of Adam, too.

    Parameters
    ----------
    parameters : iterable of Parameter
        As for `Muon`.
    lr : float
        Norm of a step of a bank, as a share of the bank's norm: 0.005, say. All others are changed
        by twice that share of their root mean square.
    momentum : float
        As for `Muon`.
    """

    def __init__(
        self, parameters: Iterable[torch.nn.Parameter], lr: float, *, momentum: float = 0.95
    ) -> None:
        super().__init__(parameters, lr, momentum=momentum)
        for group in self.param_groups:
            if group["momentum"] is None:
                group["lr"] = _FASTER * lr

    def _length(self, bank: Tensor, shape: tuple[int, ...]) -> float | Tensor:
        # All min(shape) singular values of the step are about one.
        return _size(bank) * math.sqrt(bank.numel() / min(shape))

    def _step_others(self) -> None:
        others = [p for g in self.param_groups if g["momentum"] is None for p in g["params"]]
        before = [p.clone() for p in others]
        super()._step_others()
        for p, old in zip(others, before, strict=True):
            p.copy_(torch.lerp(old, p, _size(old)))


def _size(values: Tensor) -> Tensor:
    """Root mean square, at least what counts as small; a tensor, as no GPU is to be waited for."""
    found: Tensor = values.norm() / math.sqrt(values.numel())
    return found.clamp(min=_SMALLEST)


def orthogonalised(matrices: Tensor) -> Tensor:
    """Return matrices (N, R, C) with all their singular values near one, by Newton and Schulz.

    Between about 0.6 and 1.3, but for those that are next to nothing beside the largest.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    found = matrices.mT if tall else matrices
    size = found.flatten(1).norm(dim=1).clamp(min=torch.finfo(found.dtype).tiny)
    found = found / size[:, None, None]
    a, b, c = _COEFFICIENTS
    for _ in range(_ITERATIONS):
        gram = found @ found.mT
        found = torch.baddbmm(
            found, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), found, beta=a
        )
    return found.mT if tall else found


def _as_bank(bank: Tensor) -> Tensor:
    """A view with the filters' axis first: the longer one of the first two."""
    return bank.transpose(0, 1) if bank.shape[0] < bank.shape[1] else bank


def _as_matrix(bank: Tensor) -> Tensor:
    return _as_bank(bank).flatten(1)
