"""CuPy: cuFFT by its plans, pointwise work in the fused kernels of ``kernels.cu``.

Nothing here waits for the device: sums stay there, as the partial sums of a kernel's blocks, until
a kernel adds them up or a solver asks for a number.
"""

from __future__ import annotations

from typing import Any

import array_api_compat.cupy as xp
import cupy
import numpy as np

from ..types import Array
from .base import Backend, Pairs, Piece, Tile
from .cuda.kernels import THREADS, Maps, launch
from .cuda.transforms import backward, forward

_NULL = np.uintp(0)
_SUMS = 256
"""Blocks, and so partial sums, of a kernel on images of ADMM."""
_MOST_CHANNELS = 4
"""Whose sums a thread of `synthesise_spectra` holds."""


# NaN goes on: it is larger than anything.
_L1_IMAGE = cupy.ReductionKernel(
    "S a, float64 lam", "float64 y", "lam * fabs((double)a)", "a + b", "y = a", "0", "mcsc_l1_image"
)
_RATIO_IMAGE = cupy.ReductionKernel(
    "T g, T lam", "T y", "fabs(g) / lam", "a != a || a > b ? a : b", "y = a", "0",
    "mcsc_ratio_image",
)  # fmt: skip


class Partial:
    """A sum, or several, as partial sums on the device: (blocks,) or (blocks, sums) each.

    Parameters
    ----------
    *parts : array
        Parts of the computation, one launch each.
    """

    def __init__(self, *parts: Array) -> None:
        self.parts = parts

    def __add__(self, other: Partial) -> Partial:
        return Partial(*self.parts, *other.parts)

    def joined(self) -> Array:
        """Return all of them in one array."""
        return self.parts[0] if len(self.parts) == 1 else cupy.concatenate(self.parts)

    def __float__(self) -> float:
        return float(self.joined().sum())


class CupyBackend(Backend):
    """Transforms and fused kernels for CuPy arrays on the current device and stream.

    Kernels that work on g overwrite it and return it, with the grid that it is cropped from set to
    zero beyond it: it is transformed without padding.
    """

    name = "CuPy"

    def __init__(self) -> None:
        super().__init__(xp)

    # -------------------------------------------------------------- transforms
    def rfft2(self, array: Array, shape: tuple[int, int]) -> Array:
        """See `Backend.rfft2`."""
        *lead, h, w = array.shape
        if (h, w) != shape:
            item = array.dtype.itemsize
            if array.strides[-1] != item or not _planes_in_a_row(array):
                array = cupy.ascontiguousarray(array)
            out = cupy.empty((*lead, *shape), array.dtype)
            planes = out.size // (shape[0] * shape[1])
            sizes = (h, w, *shape, array.strides[-2] // item, array.strides[-3] // item)
            arguments = (array, out, *map(np.int32, sizes))
            launch("padded", array.dtype, (planes * shape[0],), (THREADS,), arguments)
            array = out
        return forward(cupy.ascontiguousarray(array))

    def irfft2(self, spectrum: Array, shape: tuple[int, int]) -> Array:
        """See `Backend.irfft2`; overwrites `spectrum`."""
        return backward(cupy.ascontiguousarray(spectrum), shape)

    def filter_spectra(self, filters: Array, shape: tuple[int, int]) -> Array:
        """See `Backend.filter_spectra`; for contiguous filters that fill the grid."""
        return forward(filters, keep=False)

    def pairs(self, spectra: Array, pieces: tuple[Piece, ...], channels: int) -> Pairs:
        """See `Backend.pairs`; the table that kernels look maps up in goes to the device."""
        rows = [
            (piece.first + k * piece.width, piece.channels.start, piece.width)
            for piece in pieces
            for k in range(piece.maps.stop - piece.maps.start)
        ]
        return Pairs(spectra, pieces, channels, cupy.asarray(np.asarray(rows, dtype=np.int32)))

    def analyse_spectra(self, pairs: Pairs, signal: Array) -> Array:
        """See `Backend.analyse_spectra`; one pass over filters and result."""
        n, channels, h, w = signal.shape
        maps = pairs.n_maps
        out = cupy.empty((n, maps, h, w), signal.dtype)
        chunks = -(-h * w // 1024)
        sizes = map(np.int32, (n, maps, channels, h * w, chunks))
        arguments = (pairs.spectra, cupy.ascontiguousarray(signal), out, pairs.table, *sizes)
        launch("analyse_spectra", signal.dtype, (maps * chunks,), (THREADS,), arguments)
        return out

    def synthesise_spectra(self, pairs: Pairs, maps: Array, out: Array | None = None) -> Array:
        """See `Backend.synthesise_spectra`; one pass over filters and maps."""
        n, k, h, w = maps.shape
        channels = pairs.channels
        more = np.int32(out is not None)
        if out is None:
            out = cupy.empty((n, channels, h, w), maps.dtype)
        chunks = -(-h * w // 32)
        parts = -(-channels // _MOST_CHANNELS)
        held = -(-channels // parts)
        sizes = map(np.int32, (k, channels, h * w, chunks))
        arguments = (pairs.spectra, maps, out, pairs.table, *sizes, more)
        grid = (n * chunks, parts)
        launch("synthesise_spectra", maps.dtype, grid, (32, 8), arguments, held)
        return out

    def apply_matrices(self, matrices: Array, spectrum: Array) -> Array:
        """See `Backend.apply_matrices`."""
        n, channels, h, w = spectrum.shape
        out = cupy.empty_like(spectrum)
        sizes = (np.int32(channels), np.int32(h * w))
        grid = (-(-h * w // THREADS), n * channels)
        arguments = (matrices, spectrum, out, *sizes)
        launch("apply_matrices", spectrum.dtype, grid, (THREADS,), arguments)
        return out

    # -------------------------------------------------------- pointwise kernels
    def ista_update(self, x: Array, g: Array, tile: Tile, step: Any, thresholds: Array) -> Array:
        """See `Backend.ista_update`; overwrites and returns `g`."""
        m = Maps(x.shape[1], tile.maps.start or 0, g)
        arguments = (x, g, m.layout, g.dtype.type(step), thresholds)
        launch("ista_update", g.dtype, m.grid, m.block, arguments, m.pack)
        return m.whole

    def fista_update(
        self,
        x: Array,
        previous: Array,
        g: Array,
        tile: Tile,
        step: Any,
        thresholds: Array,
        beta: Any,
    ) -> tuple[Array, Any]:
        """See `Backend.fista_update`; overwrites and returns `g`."""
        m = Maps(x.shape[1], tile.maps.start or 0, g)
        sums = cupy.empty(m.grid[0], np.float64)
        arguments = (x, previous, g, m.layout, g.dtype.type(step), thresholds, beta, sums)
        launch("fista_update", g.dtype, m.grid, m.block, arguments, m.pack)
        return m.whole, Partial(sums)

    def momentum(self, uphill: Any, t: Any) -> tuple[Any, Any]:
        """See `Backend.momentum`; one kernel, which adds the partial sums up."""
        sums = uphill.joined()
        new, beta = cupy.empty((), t.dtype), cupy.empty((), t.dtype)
        arguments = (sums, np.int32(sums.size), t, new, beta)
        launch("momentum", t.dtype, (1,), (THREADS,), arguments)
        return new, beta

    def admm_update(
        self,
        v: Array,
        g: Array,
        tile: Tile,
        thresholds: Array,
        penalty: Array | None,
        alpha: float,
        *,
        sums: bool,
    ) -> tuple[Array, tuple[Any, ...] | None]:
        """See `Backend.admm_update`; overwrites and returns `g`."""
        m = Maps(v.shape[1], tile.maps.start or 0, g)
        partial = cupy.empty((m.grid[0], 5), np.float64) if sums else _NULL
        weights = _NULL if penalty is None else penalty
        arguments = (v, g, m.layout, thresholds, weights, g.dtype.type(alpha), partial)
        launch("admm_update", g.dtype, m.grid, m.block, arguments, m.pack, int(sums))
        return m.whole, (Partial(partial),) if sums else None

    def admm_rescale(
        self, v: Array, tile: Tile, thresholds: Array, penalty: Array | None, ratio: Any
    ) -> Array:
        """See `Backend.admm_rescale`; one pass."""
        n, k, h, w = tile.of(v).shape
        z = cupy.empty((n, k, h, w), v.dtype)
        m = Maps(v.shape[1], tile.maps.start or 0, z)
        weights = _NULL if penalty is None else penalty
        arguments = (v, z, m.layout, thresholds, weights, v.dtype.type(ratio))
        launch("admm_rescale", v.dtype, m.grid, m.block, arguments)
        return z

    def shrink_maps(self, v: Array, thresholds: Array, shape: tuple[int, int]) -> Array:
        """See `Backend.shrink_maps`; one pass."""
        n, k, _, _ = v.shape
        out = cupy.empty((n, k, *shape), v.dtype)
        m = Maps(k, 0, v[..., : shape[0], : shape[1]])
        launch("shrink_maps", v.dtype, m.grid, m.block, (v, out, m.layout, thresholds))
        return out

    def unshrink_maps(self, v: Array, thresholds: Array) -> None:
        """See `Backend.unshrink_maps`; one pass."""
        m = Maps(v.shape[1], 0, v)
        launch("unshrink_maps", v.dtype, m.grid, m.block, (v, m.layout, thresholds))

    # -------------------------------------------------------------- certificates
    def l1_image(self, maps: Array, lam: Array) -> Array:
        """See `Backend.l1_image`; one pass, over maps in their own precision."""
        return _L1_IMAGE(maps, lam, axis=1)

    def ratio_image(self, g: Array, lam: Array) -> Array:
        """See `Backend.ratio_image`; one pass."""
        return _RATIO_IMAGE(g, lam, axis=1)

    # ------------------------------------------------------------------- images
    def weighted_residual(
        self,
        signal: Array,
        image: Array,
        weights: Array | None,
        previous: Array | None = None,
        beta: Any = None,
    ) -> Array:
        """See `Backend.weighted_residual`; one pass."""
        if previous is not None and previous.strides != image.strides:
            previous, image = cupy.ascontiguousarray(previous), cupy.ascontiguousarray(image)
        if image.strides[-1] != image.dtype.itemsize or not _planes_in_a_row(image):
            image = cupy.ascontiguousarray(image)
            previous = None if previous is None else cupy.ascontiguousarray(previous)
        out = cupy.empty(signal.shape, signal.dtype)
        h, w = signal.shape[2:]
        row = image.strides[2] // image.dtype.itemsize
        sizes = map(np.int32, (h, w, image.strides[1] // image.strides[2], row))
        optional = (_NULL if a is None else a for a in (previous, beta, weights))
        grid = (signal.shape[0] * signal.shape[1] * h,)
        arguments = (signal, image, *optional, out, *sizes)
        launch("weighted_residual", signal.dtype, grid, (THREADS,), arguments)
        return out

    # ------------------------------------------------------- conjugate gradients
    def cg_weighted(self, w: Array, x: Array) -> Array:
        """See `Backend.cg_weighted`."""
        out = cupy.empty_like(x)
        _on_images("multiply", x, (w, x, out))
        return out

    def cg_residual(
        self, signal: Array, image: Array, w: Array, x: Array, filtered: Array, rho: float
    ) -> Array:
        """See `Backend.cg_residual`."""
        r = cupy.empty_like(x)
        _on_images("cg_start", x, (signal, image, w, x, filtered, r, x.dtype.type(rho)))
        return r

    def cg_matrix(self, p: Array, w: Array, filtered: Array, rho: float) -> tuple[Array, Any]:
        """See `Backend.cg_matrix`; `filtered` becomes the product."""
        sums = cupy.empty(_blocks(p), np.float64)
        _on_images("cg_matrix", p, (p, w, filtered, p.dtype.type(rho), sums))
        return filtered, sums

    def cg_advance(self, x: Array, r: Array, p: Array, q: Array, rz: Any, pq: Any) -> None:
        """See `Backend.cg_advance`; the kernel adds the partial sums up."""
        _on_images("cg_advance", x, (x, r, p, q, rz, pq, np.int32(rz.size)))

    def cg_precondition(self, w: Array, r: Array, filtered: Array) -> tuple[Array, Any]:
        """See `Backend.cg_precondition`; `filtered` becomes z."""
        sums = cupy.empty(_blocks(r), np.float64)
        _on_images("cg_precondition", r, (w, r, filtered, sums))
        return filtered, sums

    def cg_direction(
        self, z: Array, w: Array, rz: Any, last: tuple[Array, Any] | None = None
    ) -> tuple[Array, Array]:
        """See `Backend.cg_direction`; the last p is overwritten."""
        p, before = (cupy.empty_like(z), _NULL) if last is None else last
        weighted = cupy.empty_like(z)
        _on_images("cg_direction", z, (p, weighted, z, w, before, rz, np.int32(rz.size)))
        return p, weighted

    # ------------------------------------------------------------------- device
    def to_floats(self, sums: tuple[Any, ...]) -> tuple[float, ...]:
        """See `Backend.to_floats`; one copy to the host."""
        (partial,) = sums
        return tuple(partial.joined().sum(axis=0).get().tolist())

    def available_memory(self) -> int | None:
        """Free bytes on the current device, those in CuPy's pool included."""
        free, _ = cupy.cuda.runtime.memGetInfo()
        return int(free) + int(cupy.get_default_memory_pool().free_bytes())


def _blocks(images: Array) -> int:
    return int(min(_SUMS, -(-images.size // (4 * THREADS))))


def _on_images(name: str, like: Array, arguments: tuple[Any, ...]) -> None:
    grid = (_blocks(like),)
    launch(name, like.dtype, grid, (THREADS,), (*arguments, np.int64(like.size)))


def _planes_in_a_row(array: Array) -> bool:
    """Whether the planes of (N, C, H, W) follow one another at one distance, each row by row."""
    n, c = array.shape[:2]
    size, across, row, _ = array.strides
    return bool((c == 1 or across % row == 0) and (n == 1 or size == c * across) and row > 0)
