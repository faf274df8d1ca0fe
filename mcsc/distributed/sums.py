r"""The certificate of an image by sums over its blocks, in float64.

Objective and dual value of Eq. 5 at codes a are made of sums and maxima, to which each block
contributes. That takes two looks at all blocks (`mcsc.model.certificate`): with the weighted
residual r as the dual point they tell where it violates the constraints; what they found gives the
envelope e of the violations, of the whole image, and the point :math:`r / (1 + e)`, which is nearly
feasible, is looked at again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..model.certificate import dual_value
from ..model.peaks import CELL, TilePeaks
from ..model.penalty import Penalty
from ..model.problem import Problem
from ..types import Region

__all__ = ["Sums", "join_cells", "sums_of_region"]


@dataclass(frozen=True)
class Sums:
    """What a part of an image contributes; those of disjoint parts add up."""

    energy: float
    r"""``||theta||^2`` over its pixels."""
    cross: float
    """``<w s, theta>`` over its pixels."""
    penalty: float
    """Penalty of its codes."""
    largest: float
    """Largest ``|D_k^T w theta| / lam_k`` at its codes' places, over maps without a square."""
    excess: float
    """Over maps with one: see `mcsc.model.peaks`."""

    def __add__(self, other: Sums) -> Sums:
        """Join two parts."""
        return Sums(
            self.energy + other.energy,
            self.cross + other.cross,
            self.penalty + other.penalty,
            max(self.largest, other.largest),
            self.excess + other.excess,
        )

    @property
    def objective(self) -> float:
        """Value of Eq. 5, if theta is the residual and the sums are those of a whole image."""
        return 0.5 * self.energy + self.penalty

    def dual(self, penalty: Penalty) -> float:
        """Dual value at the best feasible multiple of theta, of a whole image."""
        numbers = (self.energy, self.cross, self.largest, self.excess)
        return float(dual_value(penalty, *(np.array(number) for number in numbers)))


def sums_of_region(
    problem: Problem,
    image: np.ndarray,
    penalty: float,
    inside: Region,
    place: tuple[int, int],
    shrink: np.ndarray | None = None,
) -> tuple[Sums, np.ndarray]:
    """Return the sums of a part of a problem's grid, and the largest ratios in its cells.

    Parameters
    ----------
    problem : Problem
        A problem of one sample, on a grid that holds all that the codes in the region touch.
    image : array (1, C, H, W)
        ``D a`` everywhere, float64.
    penalty : float
        Penalty of the region's codes.
    inside : (slice, slice)
        Rows and columns, of pixels and of codes.
    place : (row, column)
        Where the grid begins on the whole image.
    shrink : array (H, W), optional
        The envelope by which the residual is made the dual point. Default: none.

    Notes
    -----
    Costs one look at all correlations, of which nothing is held whole.
    """
    signal, weights = problem.stacked.astype(np.float64), problem.weights
    w = 1.0 if weights is None else weights.astype(np.float64)
    theta = w * (signal - image)
    if shrink is not None:
        theta = theta / (1.0 + shrink)
    peaks = TilePeaks(
        problem.dictionary.groups, problem.shape, problem.boundary, problem.backend,
        problem.bounding,
    )  # fmt: skip
    look = peaks.look(w * theta, inside, place)
    part, target = theta[:, :, *inside], (w * signal)[:, :, *inside]
    sums = Sums(
        float(np.sum(part * part)), float(np.sum(target * part)), penalty,
        float(look.largest[0]), float(look.excess[0]),
    )  # fmt: skip
    return sums, look.cells[0]


def join_cells(whole: np.ndarray, cells: np.ndarray, region: Region) -> None:
    """Enter what a part of an image found into the cells (H', W') of the whole, in place.

    A cell that several parts share gets the largest of their ratios.
    """
    first = [part.start // CELL for part in region]
    there = whole[
        first[0] : first[0] + cells.shape[0], first[1] : first[1] + cells.shape[1]
    ]  # a view
    np.maximum(there, cells, out=there)
