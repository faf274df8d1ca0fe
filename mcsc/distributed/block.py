"""One region: coded with all other codes fixed, and a block's part of the certificate.

With ``o`` what the codes outside of a region put into its field, the codes inside minimise

    1/2 ||w (s - o - D a)||^2 + sum lam |a|,

which is a step of block coordinate descent on Eq. 5. Regions whose fields are disjoint can take it
at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..model.certificate import Envelope
from ..model.codes import Codes
from ..model.problem import Problem
from ..solvers.working_set import WorkingSet
from ..sparse.tiles import TileGrid
from ..types import Boundary, Floats, Region
from .store import Places, ProblemRecord
from .sums import Sums, sums_of_region

__all__ = ["Coded", "FieldProblem"]

_MOST_STEPS = 500


class _WorkingSetInside(WorkingSet):
    """The working set with coefficients in a part of the grid only."""

    def __init__(self, problem: Problem, start: Codes | None, inside: Region) -> None:
        self._inside = inside
        super().__init__(problem, start)

    def make_grid(self, problem: Problem) -> TileGrid:
        size = problem.dictionary.filter_size
        return TileGrid(problem.n_samples, problem.shape, size, self.tile_side, self._inside)


@dataclass(frozen=True, eq=False)
class Coded:
    """What a visit to a region found."""

    places: Places
    before: float
    """By how much optimality was violated before: see `FieldProblem.code`."""
    after: float
    steps: int
    """Number of steps of the working set; 0 if the codes were good enough already."""


class FieldProblem:
    """Eq. 5 on the field of a region.

    Parameters
    ----------
    record : ProblemRecord
        The problem of the whole image.
    region : (slice, slice)
        Where codes may change, or what the certificate is asked for.
    places : Places
        All codes that touch the field.
    signals : sequence of M arrays (1, C_m, h, w)
        On the field.
    masks : sequence of M (array or None)
        Weights there.
    lams : sequence of (array (1 or K, h, w) or None)
        lam of the coefficients of each group there; None: that of the record.
    """

    def __init__(
        self,
        record: ProblemRecord,
        region: Region,
        places: Places,
        signals: Sequence[Floats],
        masks: Sequence[Floats | None],
        lams: Sequence[Floats | None] = (),
    ) -> None:
        cover, dictionary = record.cover, record.dictionary
        boundary: Boundary = cover.boundary if cover.alone else "zero"
        self._record, self._region = record, region
        self._field = cover.field(region)
        self._inside = _relative(region, self._field)
        own = places.inside(region)
        self._own = places.chosen(own)
        self._signals, self._masks = tuple(signals), tuple(masks)
        self._problem = Problem(
            self._signals, dictionary, _lam(record, lams), self._masks, boundary, **record.terms
        )
        self._outside = self._image(places.chosen(~own))

    @property
    def nonzeros(self) -> int:
        """How many codes of the region are not zero."""
        return len(self._own.map)

    def code(self, accuracy: float) -> Coded:
        """Code the region, starting from its codes.

        Parameters
        ----------
        accuracy : float
            Where to stop: at this excess of the largest correlation over lam, which is 1 at the
            optimum, and at this relative duality gap of the region.
        """
        problem = self._problem
        factors = problem.dictionary.signal_weights or (1.0,) * len(self._signals)
        rest, first = [], 0
        for x, factor in zip(self._signals, factors, strict=True):
            part = self._outside[:, first : first + x.shape[1]]
            first += x.shape[1]
            rest.append((x - part / factor).astype(x.dtype))
        solver = _WorkingSetInside(
            Problem(
                tuple(rest),
                problem.dictionary,
                problem.lam,
                self._masks,
                problem.boundary,
                problem.mu,
                problem.nonnegative,
            ),
            self._own.codes(self._field, problem.dictionary),
            self._inside,
        )
        before, steps = _violation(solver), 0
        while _violation(solver) > accuracy and steps < _MOST_STEPS:
            solver.step()
            steps += 1
        places = Places.of_codes(solver.codes(), self._field, problem.dictionary)
        return Coded(places, before, _violation(solver), steps)

    def sums(self, around: np.ndarray | None = None) -> tuple[Sums, np.ndarray]:
        """Return the region's part of the certificate, in float64, and the ratios in its cells.

        `around` is what an envelope of the whole image is around the field; None: there is none.
        """
        problem, own, field = self._problem, self._own, self._field
        row, column = own.row - field[0].start, own.column - field[1].start
        value = own.value.astype(np.float64)
        penalty = problem.penalty.of_values(value, np.zeros_like(row), own.map, row, column)
        image = self._outside + self._image(own)
        shrink = None
        if around is not None:
            cover = self._record.cover
            envelope = Envelope(cover.shape, cover.filter_size, cover.boundary)
            shrink = envelope.interpolated(around[None], field)[0]
        place = field[0].start, field[1].start
        return sums_of_region(problem, image, penalty, self._inside, place, shrink)

    def _image(self, places: Places) -> np.ndarray:
        """What codes put into the field, (1, C, h, w), float64."""
        problem = self._problem
        grid = self._record.cover.reach(self._field)
        shape = tuple(part.stop - part.start for part in grid)
        image = np.zeros((*problem.stacked.shape[:2], *shape))
        codes = places.codes(grid, problem.dictionary)
        for g, maps in zip(problem.dictionary.groups, codes.present, strict=True):
            image[:, g.channels] += maps.image(g.bank, problem.boundary)
        return image[:, :, *_relative(self._field, grid)]


def _lam(record: ProblemRecord, lams: Sequence[Floats | None]) -> Any:
    """Return lam on a field, as `Problem` takes it."""
    if all(lam is None for lam in lams):
        return record.lam
    groups = record.dictionary.groups
    return [record.lam[g.maps] if lam is None else lam for g, lam in zip(groups, lams, strict=True)]


def _violation(solver: WorkingSet) -> float:
    return max(solver.ratio - 1, solver.estimate)


def _relative(inner: Region, outer: Region) -> Region:
    rows, columns = (
        slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True)
    )
    return rows, columns
