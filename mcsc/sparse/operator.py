"""Images as a linear function of the filters, at fixed codes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..backend import sparse_kernels
from ..backend.threads import map_in_threads
from .active_set import ActiveSet
from .filters import FilterLayout

# Sums over coefficients are cut into this many parts whatever the number of threads, so that the
# result does not depend on it.
_PARTS = 16


class CodesOperator:
    """``filters -> sum_k filter_k * a_k`` on one batch, and its transpose.

    Costs C s s multiplications per nonzero coefficient, either way.

    Parameters
    ----------
    active : ActiveSet
        The codes a.
    layout : FilterLayout
        What the vectors of filters look like.
    channels : int
        Number of channels of the images.
    """

    def __init__(self, active: ActiveSet, layout: FilterLayout, channels: int) -> None:
        self._active = active
        self._layout = layout
        self.channels = channels
        n = active.signal.shape[0]
        self.image_shape = (n, channels, *active.shape)
        _, *rest = active.extent
        self._extent = (channels, *rest)

    def image(self, filters: np.ndarray) -> np.ndarray:
        """``sum_k filter_k * a_k``, padded as the active set's images."""
        a = self._active
        out = np.zeros(self.image_shape, dtype=a.dtype)
        given = filters.astype(a.dtype, copy=False)
        a.add(out, (given, *self._layout.arrays), self._extent, a.value)
        return out

    def transpose(self, image: np.ndarray) -> np.ndarray:
        """The sum of the patches of a padded image under a filter, times the codes; float64."""
        a = self._active
        flat = np.ascontiguousarray(image).reshape(-1)
        edges = np.linspace(0, a.size, _PARTS + 1).astype(int)
        parts = [slice(int(p), int(q)) for p, q in pairwise(edges)]

        def work(part: slice) -> np.ndarray:
            out = np.zeros(self._layout.length, dtype=a.dtype)
            sparse_kernels.take(
                a.filter_rows, part.start, part.stop, flat, self._extent, *self._layout.arrays,
                *a.places[:4], a.value, out,
            )  # fmt: skip
            return out

        return np.asarray(np.sum(map_in_threads(work, parts), axis=0, dtype=np.float64))

    def energy(self, maps: int) -> np.ndarray:
        """Sum of squares of each map's codes, (maps,), float64."""
        a = self._active
        return np.bincount(a.k, weights=a.value.astype(np.float64) ** 2, minlength=maps)
