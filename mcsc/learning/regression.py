"""The ridge regression of target filters, by conjugate gradients on the nonzero coefficients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..model.codes import Codes
from ..model.dictionary import Dictionary
from ..sparse.active_set import ActiveSet
from ..sparse.filters import FilterLayout
from ..sparse.operator import CodesOperator
from ..types import Kind
from .coding import Coder
from .images import Batch

_CG_STEPS = 150


class TargetRegression:
    """The least-squares problem for given codes and targets.

    Parameters
    ----------
    dictionary : Dictionary
        What the codes are of.
    coded : sequence of (Batch, Codes)
        Windows with their targets, and their codes.
    coder : Coder
        How they were coded.
    kind : {"restoration", "fusion"}
        Which codes the target is made of.
    channels : int
        Number of channels of the target.

    Attributes
    ----------
    empty : bool
        Every code that the target is made of is zero: there is nothing to fit.
    """

    def __init__(
        self,
        dictionary: Dictionary,
        coded: Sequence[tuple[Batch, Codes]],
        *,
        coder: Coder,
        kind: Kind,
        channels: int,
    ) -> None:
        self._dictionary = dictionary
        self._channels = channels
        size = dictionary.filter_size
        wanted = {"common", "unique[0]"} if kind == "restoration" else None
        self._groups = [g for g in dictionary.groups if wanted is None or g.name in wanted]
        used = np.concatenate([np.arange(g.maps.start, g.maps.stop) for g in self._groups])
        layout = FilterLayout.of_target(dictionary.n_maps, used, channels, size)
        self._size = layout.length
        self._parts: list[tuple[CodesOperator, np.ndarray, ActiveSet]] = []
        energies = []
        for batch, codes in coded:
            active = coder.activate(batch, dictionary, codes)
            active.keep(np.isin(active.k, used))
            operator = CodesOperator(active, layout, channels)
            assert batch.target is not None
            self._parts.append((operator, batch.target.astype(active.dtype), active))
            energies.append(operator.energy(dictionary.n_maps)[used])
        self._energies = np.array(energies)
        self.empty = not self._energies.any()

    def fit(self, ridge: float, which: np.ndarray, go_on: Callable[[], None]) -> np.ndarray:
        """Filters for the chosen batches, as one vector, by preconditioned conjugate gradients.

        Parameters
        ----------
        ridge : float
            Relative to the mean energy of a map's codes in these batches.
        which : array of bool
            For each batch, whether it counts.
        go_on : callable
            Called before every iteration; raises what ends the fit.
        """
        parts = [p for p, chosen in zip(self._parts, which, strict=True) if chosen]
        energy = self._energies[which].sum(axis=0)
        g = np.zeros(self._size)
        if not energy.any():
            return g
        damping = ridge * float(energy.mean())

        def normal(g: np.ndarray) -> np.ndarray:
            out = damping * g
            for operator, _, active in parts:
                out = out + operator.transpose(_inside(active, operator.image(g)))
            return out

        r = np.zeros(self._size)
        for operator, target, active in parts:
            r += operator.transpose(_inside(active, active.pad(target)))
        scale = 1 / (np.repeat(energy, self._size // len(energy)) + damping)
        p = z = scale * r
        rz = first = float(r @ z)
        for _ in range(_CG_STEPS):
            if rz <= 1e-8 * first:
                break
            go_on()
            q = normal(p)
            step = rz / float(p @ q)
            g = g + step * p
            r = r - step * q
            z = scale * r
            rz, previous = float(r @ z), rz
            p = z + (rz / previous) * p
        return g

    def mse(self, filters: np.ndarray | None, which: np.ndarray) -> float:
        """Mean squared error over the chosen batches; None stands for filters of zero."""
        total, count = 0.0, 0
        for (operator, target, active), chosen in zip(self._parts, which, strict=True):
            if chosen:
                error = target if filters is None else active.crop(operator.image(filters)) - target
                total += float(np.sum(error.astype(np.float64) ** 2))
                count += error.size
        return total / count

    def banks(self, filters: np.ndarray) -> tuple[Any, Any]:
        """Return ``gc`` and ``(gu, gv, ...)``."""
        s, start = self._dictionary.filter_size, 0
        found: dict[str, np.ndarray] = {}
        for g in self._groups:
            count = len(g.bank) * self._channels * s * s
            bank = filters[start : start + count].reshape(len(g.bank), self._channels, s, s)
            found[g.name] = bank
            start += count
        unique = tuple(found.get(f"unique[{m}]") for m in range(self._dictionary.n_signals))
        return found.get("common"), unique if any(u is not None for u in unique) else None


def _inside(active: ActiveSet, padded: np.ndarray) -> np.ndarray:
    """Zero outside the image, or a periodic image's copies of its edges."""
    return active.pad(active.crop(padded))
