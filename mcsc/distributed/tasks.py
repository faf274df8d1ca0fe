"""What workers do to a region; arrays come in, codes go to files, numbers come back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..backend.processes import worker_threads
from ..model.reconstruction import Parts, reconstruct
from ..types import Boundary, Floats, Kind, Region
from .block import FieldProblem
from .layers import Layer
from .store import CodeStore
from .sums import Sums

__all__ = [
    "Job", "Part", "Visit", "certify", "code", "named_parts", "parts_of_block", "reach_of_targets",
]  # fmt: skip


class Job(NamedTuple):
    """What all tasks of a call are told."""

    store: CodeStore
    """Store of the codes."""
    threads: int
    caller: str


@dataclass(frozen=True)
class Visit:
    """What coding a region did."""

    before: float
    """Excess of the largest correlation over lam, or relative gap, whichever is larger."""
    after: float
    steps: int
    name: str | None
    """Name of the file with the new codes; None if they stayed as they were."""
    read: int
    """Bytes of signals and codes that came in."""
    written: int
    """Bytes of codes that went out."""


def code(
    job: Job,
    region: Region,
    layers: Sequence[Layer],
    accuracy: float,
    name: str,
    signals: Sequence[Floats],
    masks: Sequence[Floats | None],
    lams: Sequence[Floats | None],
) -> Visit:
    """Code a region and write its codes, if they changed; see `FieldProblem.code`."""
    worker_threads(job.threads, job.caller)
    store = job.store
    problem, read = _problem(store, region, layers, signals, masks, lams)
    found = problem.code(accuracy)
    if not found.steps:
        return Visit(found.before, found.after, 0, None, read, 0)
    if not len(found.places.map):
        return Visit(found.before, found.after, found.steps, "", read, 0)
    written = store.write(name, found.places)
    return Visit(found.before, found.after, found.steps, name, read, written)


@dataclass(frozen=True)
class Part:
    """A block's part of the certificate."""

    sums: Sums
    cells: np.ndarray
    """Largest ratio of a correlation to lam in each cell that the block touches."""
    nonzeros: int
    """Codes that are not zero."""


def certify(
    job: Job,
    region: Region,
    layers: Sequence[Layer],
    around: np.ndarray | None,
    signals: Sequence[Floats],
    masks: Sequence[Floats | None],
    lams: Sequence[Floats | None],
) -> Part:
    """Return a block's part of the certificate; `around`: see `FieldProblem.sums`."""
    worker_threads(job.threads, job.caller)
    problem, _ = _problem(job.store, region, layers, signals, masks, lams)
    sums, cells = problem.sums(around)
    return Part(sums, cells, problem.nonzeros)


def _problem(
    store: CodeStore,
    region: Region,
    layers: Sequence[Layer],
    signals: Sequence[Floats],
    masks: Sequence[Floats | None],
    lams: Sequence[Floats | None],
) -> tuple[FieldProblem, int]:
    record = store.problem()
    cover = record.cover
    places = store.within(cover.reach(cover.field(region)), layers, cover)
    fields = [np.ascontiguousarray(x, dtype=record.dtype)[None] for x in signals]
    weights = [None if m is None else np.ascontiguousarray(m)[None] for m in masks]
    beside = [None if lam is None else np.ascontiguousarray(lam) for lam in lams]
    read = sum(a.nbytes for a in (*fields, *places, *weights, *beside) if a is not None)
    return FieldProblem(record, region, places, fields, weights, beside), read


def reach_of_targets(store: CodeStore, region: Region) -> Region:
    """Return where codes lie that the target filters, of any size, bring into a region."""
    record = store.problem()
    banks = (record.dictionary.target_common, *(record.dictionary.target_unique or ()))
    sizes = [b.shape[2] for b in banks if b is not None]
    return record.cover.reach(region, max(sizes, default=record.dictionary.filter_size))


def parts_of_block(
    job: Job, region: Region, layers: Sequence[Layer], kind: Kind
) -> dict[str, np.ndarray | None]:
    """Return a block of the target and of what it is made of, (C, h, w) each, None without one."""
    worker_threads(job.threads, job.caller)
    store = job.store
    record = store.problem()
    grid = reach_of_targets(store, region)
    codes = store.within(grid, layers, record.cover).codes(grid, record.dictionary)
    boundary: Boundary = record.cover.boundary if record.cover.alone else "zero"
    rows, columns = (
        slice(r.start - g.start, r.stop - g.start) for r, g in zip(region, grid, strict=True)
    )
    found = named_parts(reconstruct(codes, record.dictionary, kind, boundary=boundary))
    return {n: None if p is None else np.array(p[0, :, rows, columns]) for n, p in found.items()}


def named_parts(parts: Parts) -> dict[str, Any]:
    """Return a target and its parts by name, those of the unique ones numbered."""
    unique = {f"unique{m}": part for m, part in enumerate(parts.unique)}
    return {"image": parts.image, "common": parts.common} | unique
