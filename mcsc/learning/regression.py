"""The ridge regression of target filters, by conjugate gradients on the nonzero coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InvalidValueError
from ..model.codes import Codes
from ..model.dictionary import Dictionary
from ..model.problem import Problem
from ..solvers.working_set import WorkingSet
from ..sparse.active_set import ActiveSet, TileGrid
from ..sparse.operator import CodesOperator, FilterLayout
from ..types import Boundary
from .windows import Batch

_CG_STEPS = 150


class TargetRegression:
    """The least-squares problem for given codes and targets."""

    def __init__(
        self,
        dictionary: Dictionary,
        coded: Sequence[tuple[Batch, Codes]],
        lam: Any,
        boundary: Boundary,
        task: str,
        channels: int,
    ) -> None:
        self._dictionary = dictionary
        self._channels = channels
        size = dictionary.filter_size
        wanted = {"common", "unique[0]"} if task == "restoration" else None
        self._groups = [g for g in dictionary.groups if wanted is None or g.name in wanted]
        maps = dictionary.n_maps
        used = np.concatenate([np.arange(g.maps.start, g.maps.stop) for g in self._groups])
        layout = FilterLayout.of_target(maps, used, channels, size)
        self._size = layout.length
        self._parts: list[tuple[CodesOperator, np.ndarray, ActiveSet]] = []
        energy = np.zeros(maps)
        for batch, codes in coded:
            problem = Problem(batch.signals, dictionary, lam, batch.masks, boundary)
            grid = TileGrid(problem.n_samples, problem.shape, size, WorkingSet.tile_side)
            active = ActiveSet(problem, grid, problem.dtype)
            active.insert_codes(codes)
            active.keep(np.isin(active.k, used))
            operator = CodesOperator(active, layout, channels)
            assert batch.target is not None
            self._parts.append((operator, batch.target.astype(active.dtype), active))
            energy += operator.energy(maps)
        if not energy.any():
            raise InvalidValueError(
                "no code is active at this lam: there is nothing to fit targets to"
            )
        self._energy = np.repeat(energy[used], channels * size * size)
        self._mean = float(energy[used].mean())

    def fit(self, ridge: float, which: np.ndarray) -> np.ndarray:
        """Filters for the chosen batches, as one vector, by preconditioned conjugate gradients."""
        parts = [p for p, chosen in zip(self._parts, which, strict=True) if chosen]
        damping = ridge * self._mean

        def normal(g: np.ndarray) -> np.ndarray:
            out = damping * g
            for operator, _, active in parts:
                out = out + operator.transpose(_inside(active, operator.image(g)))
            return out

        g = np.zeros(self._size)
        r = np.zeros(self._size)
        for operator, target, active in parts:
            r += operator.transpose(_inside(active, active.pad(target)))
        scale = 1 / (self._energy + damping)
        p = z = scale * r
        rz = first = float(r @ z)
        for _ in range(_CG_STEPS):
            if rz <= 1e-8 * first:
                break
            q = normal(p)
            step = rz / float(p @ q)
            g = g + step * p
            r = r - step * q
            z = scale * r
            rz, previous = float(r @ z), rz
            p = z + (rz / previous) * p
        return g

    def mse(self, filters: np.ndarray, which: np.ndarray) -> float:
        """Mean squared error over the chosen batches."""
        total, count = 0.0, 0
        for (operator, target, active), chosen in zip(self._parts, which, strict=True):
            if chosen:
                error = active.crop(operator.image(filters)) - target
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
