"""Windows coded by the workers of a Dask cluster, instead of by this process.

A batch is cut into its windows, which are problems of their own, however many workers there are,
and what they found is put together in their order: so the result does not depend on who did what.
What comes back of a window is its codes, sparse, which is what the filters are fitted to. A worker
that dies costs the windows that it was coding; others code them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend.processes import this_process, worker_threads
from ..errors import InvalidTypeError
from ..model.certificate import relative_gap
from ..model.codes import Codes
from ..model.dictionary import Dictionary
from ..model.sparse_maps import SparseMaps
from ..solvers.result import Result
from .coding import Coder
from .images import Batch
from .options import LearnOptions

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["WorkersCoder", "check_client", "make_coder"]


def make_coder(client: Client | None, lam: Any, tol: float, options: LearnOptions) -> Coder:
    """Return who codes: this process, or the workers of a client."""
    made = Coder(
        lam,
        options.boundary,
        tol,
        options.max_iter,
        options.device,
        options.mu,
        options.nonnegative,
    )
    return made if client is None else WorkersCoder(**_settings(made), client=client)


def _settings(coder: Coder) -> dict[str, Any]:
    return {f.name: getattr(coder, f.name) for f in fields(Coder)}


def check_client(client: Any) -> None:
    """Refuse what is no client of a cluster."""
    if not (hasattr(client, "submit") and hasattr(client, "gather")):
        raise InvalidTypeError(
            f"client must be a distributed.Client, found {type(client).__name__}"
        )


@dataclass(frozen=True)
class WorkersCoder(Coder):
    """A `Coder` that has windows coded on a cluster, one thread of the solver each."""

    client: Client = field(kw_only=True)

    def code(self, batch: Batch, dictionary: Dictionary, init: Codes | None = None) -> Result:
        """Solve Eq. 5 for every window of a batch, each to `tol`."""
        # A task of its own, so that workers pass it on; unlike scattered data, it can be redone.
        filters = self.client.submit(_same, dictionary, pure=False)
        own = Coder(**_settings(self))
        futures = [
            self.client.submit(_code, own, part, filters, start, this_process(), pure=False)
            for part, start in zip(_parts(batch), _split(init, len(batch.signals[0])), strict=True)
        ]
        try:
            results: list[Result] = [future.result() for future in futures]
        except BaseException:
            self.client.cancel(futures)
            raise
        return _joined(results)


def _same(dictionary: Dictionary) -> Dictionary:
    return dictionary


def _code(
    coder: Coder, batch: Batch, dictionary: Dictionary, init: Codes | None, caller: str
) -> Result:
    worker_threads(1, caller)
    return coder.code(batch, dictionary, init)


def _parts(batch: Batch) -> list[Batch]:
    """The windows of a batch, one by one."""
    found = []
    for n in range(len(batch.signals[0])):
        masks = None
        if batch.masks is not None:
            masks = tuple(None if m is None else m[n : n + 1] for m in batch.masks)
        found.append(Batch(tuple(x[n : n + 1] for x in batch.signals), masks, None))
    return found


def _split(codes: Codes | None, count: int) -> list[Codes | None]:
    """Codes of each sample of a batch."""
    if codes is None:
        return [None] * count

    def of(maps: SparseMaps | None, n: int) -> SparseMaps | None:
        if maps is None:
            return None
        size = maps.size // maps.shape[0]
        first, last = np.searchsorted(maps.index, [n * size, (n + 1) * size])
        shape = (1, *maps.shape[1:])
        return SparseMaps(shape, maps.index[first:last] - n * size, maps.value[first:last])

    return [
        Codes(of(codes.sparse_common, n), tuple(of(maps, n) for maps in codes.sparse_unique))
        for n in range(count)
    ]


def _joined(results: Sequence[Result]) -> Result:
    """One result for a batch of results of one sample each; numbers are those of the sum."""

    def of(parts: Sequence[SparseMaps | None]) -> SparseMaps | None:
        there = [p for p in parts if p is not None]
        if not there:
            return None
        size = there[0].size
        index = np.concatenate([p.index + n * size for n, p in enumerate(there)])
        value = np.concatenate([p.value for p in there])
        return SparseMaps((len(there), *there[0].shape[1:]), index, value)

    every = [r.codes for r in results]
    unique = tuple(of(maps) for maps in zip(*(c.sparse_unique for c in every), strict=True))
    objective = sum(r.objective for r in results)
    bound = sum(r.dual_bound for r in results)
    worst = min(results, key=lambda r: r.converged)
    return replace(
        worst,
        codes=Codes(of([c.sparse_common for c in every]), unique),
        objective=objective,
        dual_bound=bound,
        gap=relative_gap(objective, bound),
        iterations=max(r.iterations for r in results),
        seconds=max(r.seconds for r in results),
    )
