r"""The structured operator ``D`` of Eq. 5 and its adjoint, in the Fourier domain and in space.

For code groups g with maps :math:`a_k` and channels c of the stacked signal,

.. math::

    (D a)_c = \sum_g \sum_{k \in g} d_{kc} * a_k, \qquad
    (D^T r)_k = \sum_{c \in g} \tilde d_{kc} * r_c ,

where :math:`\tilde d` is the flipped filter. A group acts on its own channels only: the two empty
blocks of ``D = [[dc, du, 0], [hc, 0, hv]]`` are neither stored nor multiplied.

Both implementations offer one primitive, `sweep`, that visits the codes tile by tile: it computes
``D^T w`` on a tile, lets the caller update its codes there, and accumulates ``D`` of the result.
An iteration of any proximal method is one sweep, so each map moves through memory once, and
``D^T w`` never exists whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from ..backend import Array, Backend, get_num_threads
from ..backend.base import Pairs, Piece, Tile
from ..backend.threads import map_in_threads
from ..types import Boundary
from .dictionary import Group
from .spectra import wrap

LARGEST_DIRECT_FILTER = 11
_SLAB_BYTES = 2**26

# What a sweep calls on every tile: it gets D^T w there (None without w; it may be overwritten) and
# returns the codes to be synthesised (None where the caller asked for no synthesis) and a tuple of
# numbers that the sweep adds up (or None).
Update = Callable[[Tile, Any], tuple[Any, tuple[Any, ...] | None]]


class Operator(Protocol):
    """``D`` and ``D^T`` for codes (N, K, H, W) and stacked signals (N, C, H, W) of one dtype."""

    shape: tuple[int, int]
    n_maps: int
    n_channels: int
    dtype: Any

    def sweep(
        self, signal: Array | None, update: Update, *, samples: int, synthesise: bool = True
    ) -> tuple[Array, Any]:
        """Visit all tiles; return D of what `update` returned, and the sum of its numbers."""
        ...


def adjoint(operator: Operator, backend: Backend, signal: Array) -> Array:
    """Return ``D^T signal`` whole, shape (N, K, H, W)."""
    xp = backend.xp
    n = signal.shape[0]
    out = xp.zeros((n, operator.n_maps, *operator.shape), dtype=signal.dtype)

    def keep(tile: Tile, g: Array) -> tuple[None, None]:
        out[tile.samples, tile.maps, tile.rows, :] = g
        return None, None

    operator.sweep(signal, keep, samples=n, synthesise=False)
    return out


def forward(operator: Operator, backend: Backend, codes: Array) -> Array:
    """Return ``D codes``, shape (N, C, H, W), in the operator's dtype."""
    xp = backend.xp

    def read(tile: Tile, _: None) -> tuple[Array, None]:
        return xp.astype(tile.of(codes), operator.dtype), None

    return operator.sweep(None, read, samples=int(codes.shape[0]))[0]


class FourierOperator:
    """``D`` in the Fourier domain, for any array library.

    Parameters
    ----------
    groups : sequence of Group
        The code groups.
    shape : (H, W)
        Grid of codes and signals.
    boundary : {"zero", "periodic"}
        "zero" pads to H + s - 1 (and a fast length) and crops.
    backend : Backend
        Transforms and array library.
    dtype : dtype of `backend.xp`
        float32 or float64.
    slab : int, optional
        Maps transformed at a time.

    Notes
    -----
    A sweep costs one real FFT and one inverse real FFT of every map and of every channel. The
    filters' spectra are held: K C (H + s) (W + s) / 2 complex numbers over the pairs (map, channel)
    that interact.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        shape: tuple[int, int],
        boundary: Boundary,
        backend: Backend,
        dtype: Any,
        slab: int | None = None,
    ) -> None:
        self.backend = backend
        self.shape = shape
        self.dtype = dtype
        self.n_maps = sum(len(g.bank) for g in groups)
        self.n_channels = max(g.channels.stop for g in groups)
        size = groups[0].bank.shape[2]
        self._origin = (size - 1) // 2
        self._grid = shape if boundary == "periodic" else padded_grid(shape, size)
        self.slabs: list[tuple[Tile, Pairs]] = []
        step = slab or self.n_maps
        for first in range(0, self.n_maps, step):
            last = min(first + step, self.n_maps)
            tile = Tile(slice(None), slice(first, last), slice(None))
            self.slabs.append((tile, self._pairs(groups, first, last)))

    @staticmethod
    def memory(
        groups: Sequence[Group],
        samples: int,
        shape: tuple[int, int],
        boundary: Boundary,
        itemsize: int,
        backend: Backend,
        slab: int | None = None,
        *,
        analyse: bool = True,
    ) -> tuple[int, int]:
        """Bytes that such an operator holds, and what its sweeps take on top.

        Without `analyse` they are sweeps from codes to images alone.
        """
        h, w = shape if boundary == "periodic" else padded_grid(shape, groups[0].bank.shape[2])
        pairs = sum(g.bank.shape[0] * g.bank.shape[1] for g in groups)
        channels = max(g.channels.stop for g in groups)
        all_maps = sum(len(g.bank) for g in groups)
        maps = min(slab or all_maps, all_maps)
        plane = h * (w + 2) * itemsize
        if backend.name == "CuPy":
            # A plan may ask for a work area as large as its spectra: there and back, and of the
            # last slab, which may be smaller, too.
            transforms = maps + (all_maps % maps) + channels
            back = transforms if analyse else channels
            held = (pairs + samples * (transforms + back)) * plane
            # Of a slab two arrays at a time, and what is padded, or what a certificate sums up of
            # correlations, is a third.
            slabs = 3 if analyse or boundary == "zero" else 2
            return held, samples * (slabs * maps + 3 * channels) * plane
        # Of a slab the maps and their spectra, on the way there and back; of the signals likewise.
        return pairs * plane, 4 * samples * (maps + channels) * plane

    def _pairs(self, groups: Sequence[Group], first: int, last: int) -> Pairs:
        """Spectra of the filters of these maps over the number of pixels: see `Backend.irfft2`."""
        xp, (h, w) = self.backend.xp, self._grid
        pieces: list[Piece] = []
        spectra = []
        rows = 0
        for g in sorted(groups, key=lambda g: g.maps.start):
            begin, end = max(first, g.maps.start), min(last, g.maps.stop)
            if begin >= end:
                continue
            pieces.append(Piece(slice(begin - first, end - first), g.channels, rows))
            bank = g.bank[begin - g.maps.start : end - g.maps.start] / (h * w)
            grid = wrap(bank, self._grid, self._origin).reshape(1, -1, h, w)
            rows += grid.shape[1]
            transformed = self.backend.filter_spectra(
                xp.asarray(grid, dtype=self.dtype), self._grid
            )
            spectra.append(transformed[0, ...])
        whole = spectra[0] if len(spectra) == 1 else xp.concat(spectra, axis=0)
        return self.backend.pairs(whole, tuple(pieces), self.n_channels)

    def sweep(
        self, signal: Array | None, update: Update, *, samples: int, synthesise: bool = True
    ) -> tuple[Array, Any]:
        """See `Operator.sweep`. A tile is a slab of maps."""
        backend = self.backend
        h, w = self.shape
        spectrum = None if signal is None else backend.rfft2(signal, self._grid)
        out = None
        total = None
        for tile, pairs in self.slabs:
            g = None
            if spectrum is not None:
                g = backend.irfft2(backend.analyse_spectra(pairs, spectrum), self._grid)
                if self._grid != self.shape:
                    g = g[..., :h, :w]
            codes, numbers = update(tile, g)
            del g  # at most two arrays of a slab's size at a time
            total = _add(total, numbers)
            if synthesise:
                transformed = backend.rfft2(codes, self._grid)
                del codes
                out = backend.synthesise_spectra(pairs, transformed, out)
                del transformed
        if out is None:
            return None, total
        image = backend.irfft2(out, self._grid)
        return (image[..., :h, :w] if self._grid != self.shape else image), total


class DirectOperator:
    """``D`` in space, as matrix products on patches: NumPy only.

    For a tile of T pixels, ``D^T w`` is the (K, C s s) filter matrix times the (C s s, T) matrix of
    patches, and ``D a`` the transposed product followed by a shifted sum. For small filters the
    processor's matrix units outrun the FFT, and neither boundary needs padding of the codes.

    Notes
    -----
    A sweep costs ``4 s^2`` floating-point operations for every pixel and every pair (map, channel)
    that interacts, all in BLAS. Beyond the codes it holds one tile a thread.
    Results do not depend on the number of threads: tiles are summed in their order.
    """

    pixels_per_tile = 1024

    def __init__(
        self,
        groups: Sequence[Group],
        shape: tuple[int, int],
        boundary: Boundary,
        backend: Backend,
        dtype: Any,
    ) -> None:
        self.backend = backend
        self.shape = shape
        self.boundary = boundary
        self.dtype = np.dtype(dtype)
        self.n_maps = sum(len(g.bank) for g in groups)
        self.n_channels = max(g.channels.stop for g in groups)
        self.size = size = groups[0].bank.shape[2]
        self._origin = (size - 1) // 2
        self.matrices = []
        for g in groups:
            matrix = np.ascontiguousarray(g.bank.reshape(len(g.bank), -1), dtype=self.dtype)
            patch_rows = slice(g.channels.start * size * size, g.channels.stop * size * size)
            self.matrices.append((g.maps, g.channels.start, patch_rows, matrix))
        self._rows = self._rows_of_a_strip(shape)

    @classmethod
    def memory(
        cls,
        groups: Sequence[Group],
        samples: int,
        shape: tuple[int, int],
        itemsize: int,
        *,
        synthesise: bool = True,
    ) -> int:
        """Bytes that sweeps of such an operator take: a strip for each thread, and images."""
        h, w = shape
        size, channels = groups[0].bank.shape[2], max(g.channels.stop for g in groups)
        maps = sum(len(g.bank) for g in groups)
        rows = cls._rows_of_a_strip(shape)
        # Patches (on the way back, too), maps, and as much again for what is made of these.
        strip = ((1 + synthesise) * channels * size * size + 2 * maps) * rows * w
        image = channels * samples * (h + size - 1) * (w + size - 1)
        strips = 0
        if synthesise:  # all strips of images, which overlap by s - 1 rows
            strips = channels * samples * -(-h // rows) * (rows + size - 1) * (w + size - 1)
        return int(itemsize * (get_num_threads() * strip + image + strips))

    @classmethod
    def _rows_of_a_strip(cls, shape: tuple[int, int]) -> int:
        return max(1, min(shape[0], round(cls.pixels_per_tile / shape[1])))

    def pad(self, signal: np.ndarray) -> np.ndarray:
        """Return the signal with s - 1 more rows and columns: every pixel's patch, whole."""
        before, after = self._origin, self.size - 1 - self._origin
        pad = ((0, 0), (0, 0), (before, after), (before, after))
        mode: Any = "wrap" if self.boundary == "periodic" else "constant"
        return np.pad(np.asarray(signal, dtype=self.dtype), pad, mode=mode)

    def sweep(
        self, signal: Array | None, update: Update, *, samples: int, synthesise: bool = True
    ) -> tuple[Array, Any]:
        """See `Operator.sweep`. A tile is a strip of rows with all maps."""
        from ..backend import cpu_kernels as kernels

        h, w = self.shape
        size = self.size
        padded = None if signal is None else self.pad(signal)
        strips = [(n, top) for n in range(samples) for top in range(0, h, self._rows)]

        def chunk(items: list[tuple[int, int]]) -> list[tuple[Any, Any]]:
            # One set of buffers a task: fresh megabyte arrays for every tile would page-fault.
            tall = self._rows
            largest = max(matrix.shape[1] for *_, matrix in self.matrices)
            heights = (
                self.n_channels * size * size if padded is not None else 0,
                self.n_maps if padded is not None else 0,
                largest if synthesise else 0,
            )
            buffers = [np.empty(height * tall * w, self.dtype) for height in heights]
            results = []
            for n, top in items:
                rows = min(tall, h - top)
                # The last strip of every sample may be shorter.
                patches, block, scratch = (
                    b[: height * rows * w].reshape(height, rows * w)
                    for b, height in zip(buffers, heights, strict=True)
                )
                tile = Tile(slice(n, n + 1), slice(0, self.n_maps), slice(top, top + rows))
                g = None
                if padded is not None:
                    kernels.gather_patches(padded[n], top, 0, rows, w, size, patches)
                    for maps, _, patch_rows, matrix in self.matrices:
                        np.matmul(matrix, patches[patch_rows], out=block[maps])
                    g = block.reshape(1, self.n_maps, rows, w)
                codes, numbers = update(tile, g)
                strip = None
                if synthesise:
                    flat = codes.reshape(self.n_maps, rows * w)
                    strip = np.zeros((self.n_channels, rows + size - 1, w + size - 1), self.dtype)
                    for maps, first, _, matrix in self.matrices:
                        product = scratch[: matrix.shape[1]]
                        np.matmul(matrix.T, flat[maps], out=product)
                        kernels.scatter_patches(product, rows, w, size, 0, 0, strip[first:])
                results.append((strip, numbers))
            return results

        # Several chunks a thread, so that a slow core does not hold up the others.
        count = min(len(strips), 4 * get_num_threads())
        bounds = np.linspace(0, len(strips), count + 1).astype(int)
        chunks = [strips[a:b] for a, b in pairwise(bounds)]
        results = [r for part in map_in_threads(chunk, chunks) for r in part]
        total = None
        for _, numbers in results:
            total = _add(total, numbers)
        if not synthesise:
            return None, total
        image = np.zeros((samples, self.n_channels, h + size - 1, w + size - 1), self.dtype)
        for (n, top), (strip, _) in zip(strips, results, strict=True):
            image[n, :, top : top + strip.shape[1]] += strip
        return fold(image, self.shape, self._origin, self.boundary), total


def fold(padded: np.ndarray, shape: tuple[int, int], origin: int, boundary: Boundary) -> np.ndarray:
    """Bring an image (N, C, H+s-1, W+s-1) that begins `origin` pixels early onto its grid.

    What lies outside is dropped at the zero boundary, and comes back at the other end of a
    periodic image. `padded` is overwritten.
    """
    (h, w), o = shape, origin
    if boundary == "periodic":
        after = padded.shape[2] - h - o
        padded[:, :, h : h + o] += padded[:, :, :o]
        padded[:, :, o : o + after] += padded[:, :, h + o :]
        padded[:, :, :, w : w + o] += padded[:, :, :, :o]
        padded[:, :, :, o : o + after] += padded[:, :, :, w + o :]
    return np.ascontiguousarray(padded[:, :, o : o + h, o : o + w])


def _add(total: tuple[Any, ...] | None, numbers: tuple[Any, ...] | None) -> Any:
    if numbers is None or total is None:
        return numbers if total is None else total
    return tuple(a + b for a, b in zip(total, numbers, strict=True))


def make_operator(
    groups: Sequence[Group],
    shape: tuple[int, int],
    boundary: Boundary,
    backend: Backend,
    dtype: Any,
    samples: int,
    *,
    whole: bool = False,
) -> Operator:
    """Return the faster implementation for this array library and filter size.

    With `whole` every tile is of all maps.

    On NumPy a direct product costs ``4 s^2`` flops a pair and pixel, nearly all at the peak of the
    matrix units; two FFTs cost a nearly fixed time. Measured in ``benchmarks/exact/operators.py``.
    """
    if not needs_spectra(backend, groups[0].bank.shape[2]):
        return DirectOperator(groups, shape, boundary, backend, dtype)
    itemsize = int(backend.xp.finfo(dtype).bits) // 8
    size = groups[0].bank.shape[2]
    slab = None if whole else maps_at_a_time(backend, samples, shape, boundary, size, itemsize)
    return FourierOperator(groups, shape, boundary, backend, dtype, slab=slab)


def operator_memory(
    groups: Sequence[Group],
    samples: int,
    shape: tuple[int, int],
    boundary: Boundary,
    backend: Backend,
    itemsize: int,
    *,
    whole: bool = False,
    analyse: bool = True,
) -> tuple[int, int]:
    """Bytes that `make_operator` would hold, and what sweeps take on top; nothing is made.

    Without `analyse` the sweeps are from codes to images alone.
    """
    if needs_spectra(backend, groups[0].bank.shape[2]):
        size = groups[0].bank.shape[2]
        slab = None if whole else maps_at_a_time(backend, samples, shape, boundary, size, itemsize)
        return FourierOperator.memory(
            groups, samples, shape, boundary, itemsize, backend, slab, analyse=analyse
        )
    return 0, DirectOperator.memory(groups, samples, shape, itemsize)


def maps_at_a_time(
    backend: Backend,
    samples: int,
    shape: tuple[int, int],
    boundary: Boundary,
    size: int,
    itemsize: int,
) -> int | None:
    """Maps that a sweep transforms at a time; None: all.

    On a GPU as many as 64 MiB hold: all of 192 maps of 256 x 256, in few launches, while of larger
    images a launch takes so long that more of them cost nothing, and memory is what is short.
    """
    if backend.name == "NumPy":
        return 16
    if backend.name != "CuPy":
        return None
    h, w = shape if boundary == "periodic" else padded_grid(shape, size)
    return max(1, _SLAB_BYTES // (samples * h * w * itemsize))


def padded_grid(shape: tuple[int, int], size: int) -> tuple[int, int]:
    """The next fast grid on which filters of this size do not wrap around an image."""
    import scipy.fft

    h, w = (scipy.fft.next_fast_len(length + size - 1, real=True) for length in shape)
    return h, w


def needs_spectra(backend: Backend, size: int) -> bool:
    """True if `make_operator` works in the Fourier domain, holding the filters' spectra."""
    return backend.name != "NumPy" or size > LARGEST_DIRECT_FILTER
