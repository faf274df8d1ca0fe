r"""The certificate of an image by sums over its blocks, in float64.

Objective and dual value of Eq. 5 at codes a with weighted residual :math:`r = w (s - D a)` are
made of three sums and a maximum, to which each block contributes:

.. math::

    P = \tfrac12 \|r\|^2 + \textstyle\sum \lambda |a|, \qquad
    t \langle w s, r \rangle - \tfrac{t^2}{2} \|r\|^2 \le P(a^\star)
    \quad \text{for } |t| \, |D_k^T w r| \le \lambda_k .
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backend.base import Tile
from ..model.certificate import Bounds
from ..model.problem import Problem
from ..types import Region

__all__ = ["Sums", "sums_of_region"]


@dataclass(frozen=True)
class Sums:
    """What a part of an image contributes; those of disjoint parts add up."""

    energy: float
    r"""``||r||^2`` over its pixels."""
    cross: float
    """``<w s, r>`` over its pixels."""
    penalty: float
    """``sum lam |a|`` over its codes."""
    largest: float
    """Largest ``|D_k^T w r| / lam_k`` at its codes' places."""

    def __add__(self, other: Sums) -> Sums:
        """Join two parts."""
        return Sums(
            self.energy + other.energy,
            self.cross + other.cross,
            self.penalty + other.penalty,
            max(self.largest, other.largest),
        )

    def bounds(self) -> Bounds:
        """Return objective and dual value, if the sums are those of a whole image."""
        limit = 1.0 / max(self.largest, 1e-300)
        t = float(np.clip(self.cross / max(self.energy, 1e-300), -limit, limit))
        dual = t * self.cross - 0.5 * t * t * self.energy
        return Bounds(0.5 * self.energy + self.penalty, dual)


def sums_of_region(problem: Problem, image: np.ndarray, penalty: float, region: Region) -> Sums:
    """Return the sums of a part of a problem's grid.

    Parameters
    ----------
    problem : Problem
        A problem of one sample, on a grid that holds all that the codes in the region touch.
    image : array (1, C, H, W)
        ``D a`` everywhere, float64.
    penalty : float
        ``sum lam |a|`` over the region.
    region : (slice, slice)
        Rows and columns, of pixels and of codes.

    Notes
    -----
    Costs one analysis in float64, of which nothing is held whole.
    """
    signal, weights = problem.stacked.astype(np.float64), problem.weights
    w = 1.0 if weights is None else weights.astype(np.float64)
    r = w * (signal - image)
    lam = problem.lam_maps.reshape(1, -1, 1, 1)
    rows, columns = region
    found: list[float] = []  # list.append is atomic: tiles come from threads

    def visit(tile: Tile, g: Any) -> tuple[None, None]:
        top, bottom, _ = tile.rows.indices(problem.shape[0])
        first, last = max(rows.start - top, 0), min(rows.stop, bottom) - top
        if first < last:
            part = np.abs(g[:, :, first:last, columns]) / lam[:, tile.maps]
            found.append(float(part.max()))
        return None, None

    problem.exact_operator.sweep(w * r, visit, samples=1, synthesise=False)
    inside, target = r[:, :, *region], (w * signal)[:, :, *region]
    return Sums(float(np.sum(inside * inside)), float(np.sum(target * inside)), penalty, max(found))
