"""The generic backend: pointwise kernels and transforms for any array API library.

It is the readable statement of what the fused kernels of the other backends compute, and the
reference of their parity tests.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..types import Array


class Tile(NamedTuple):
    """A part of the stacked code array (N, K, H, W): samples, maps and rows."""

    samples: slice
    maps: slice
    rows: slice

    def of(self, array: Array) -> Array:
        """Return the view of `array` (N, K, H, W) on this tile."""
        return array[self.samples, self.maps, self.rows, :]


class Backend:
    """Transforms and pointwise kernels on the arrays of namespace `xp`."""

    name = "array API"

    def __init__(self, xp: Any) -> None:
        self.xp = xp

    # -------------------------------------------------------------- transforms
    def rfft2(self, array: Array, shape: tuple[int, int]) -> Array:
        """Real 2-D FFT over the last two axes, zero-padded to `shape`."""
        h, w = array.shape[-2:]
        if (h, w) != shape:
            # The standard's rfftn(s=...) pads too, but array libraries differ in how they crop.
            padded = self.xp.zeros((*array.shape[:-2], *shape), dtype=array.dtype)
            padded[..., :h, :w] = array
            array = padded
        return self.xp.fft.rfftn(array, axes=(-2, -1))

    def irfft2(self, spectrum: Array, shape: tuple[int, int]) -> Array:
        """Inverse of `rfft2` for a result of `shape`."""
        return self.xp.fft.irfftn(spectrum, s=shape, axes=(-2, -1))

    def analyse_spectra(self, filters: Array, signal: Array) -> Array:
        """``sum_c conj(F[k,c]) S[n,c]`` at every frequency: (K,C,.,.), (N,C,.,.) -> (N,K,.,.)."""
        xp = self.xp
        total = xp.conj(filters[None, :, 0, ...]) * signal[:, None, 0, ...]
        for c in range(1, filters.shape[1]):
            total += xp.conj(filters[None, :, c, ...]) * signal[:, None, c, ...]
        return total

    def synthesise_spectra(self, filters: Array, maps: Array, out: Array) -> None:
        """``out[n,c] += sum_k F[k,c] A[n,k]``: (K,C,.,.), (N,K,.,.) -> (N,C,.,.)."""
        for c in range(filters.shape[1]):
            out[:, c, ...] += self.xp.sum(filters[None, :, c, ...] * maps, axis=1)

    # -------------------------------------------------------- pointwise kernels
    def shrink(self, values: Array, threshold: Array) -> Array:
        """Soft threshold ``sign(t) max(|t| - threshold, 0)``."""
        xp = self.xp
        zero = xp.zeros((), dtype=values.dtype)
        return xp.sign(values) * xp.maximum(xp.abs(values) - threshold, zero)

    def _per_map(self, values: Array, tile: Tile) -> Array:
        return self.xp.reshape(values[tile.maps], (1, -1, 1, 1))

    def ista_update(self, x: Array, g: Array, tile: Tile, step: Any, thresholds: Array) -> Array:
        """``x <- S(x + step g)`` on the tile; returns the new x there (Eqs. 8, 10, 13)."""
        new = self.shrink(tile.of(x) + step * g, self._per_map(thresholds, tile))
        x[tile.samples, tile.maps, tile.rows, :] = new
        return new

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
        """``p = x + beta (x - previous); previous <- S(p + step g)`` on the tile.

        Returns the new point and the sum ``<p - new, new - x>``, positive where momentum points
        uphill (O'Donoghue and Candes, doi:10.1007/s10208-013-9150-3).
        """
        old = tile.of(x)
        point = old + beta * (old - tile.of(previous))
        new = self.shrink(point + step * g, self._per_map(thresholds, tile))
        previous[tile.samples, tile.maps, tile.rows, :] = new
        return new, self.xp.sum((point - new) * (new - old))

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
        """One over-relaxed ADMM update of ``v = y + u``, from which ``y = S(v)``, ``u = v - y``.

        `g` is the correction of the quadratic step, ``a = y - u + g``. `penalty` (H, W)
        multiplies the thresholds: infinite where codes must be zero. Returns ``y - u`` after the
        update and, if `sums`, what ADMM's residuals are made of: the sums of squares of
        ``a - y_new``, ``y_new - y``, ``a``, ``y_new`` and ``u_new``.
        """
        xp = self.xp
        threshold = self._per_map(thresholds, tile)
        if penalty is not None:
            threshold = threshold * penalty[tile.rows, :]
        old = tile.of(v)
        y = self.shrink(old, threshold)
        u = old - y
        a = y - u + g
        new = y + (1 - alpha) * u + alpha * g
        y_new = self.shrink(new, threshold)
        u_new = new - y_new
        v[tile.samples, tile.maps, tile.rows, :] = new
        z = y_new - u_new
        if not sums:
            return z, None
        terms = (a - y_new, y_new - y, a, y_new, u_new)
        return z, tuple(xp.sum(term * term) for term in terms)

    def admm_rescale(
        self, v: Array, tile: Tile, thresholds: Array, penalty: Array | None, ratio: Any
    ) -> Array:
        """``u <- ratio u`` in ``v = y + u``, after a change of rho; returns ``y - u``."""
        threshold = self._per_map(thresholds, tile)
        if penalty is not None:
            threshold = threshold * penalty[tile.rows, :]
        old = tile.of(v)
        y = self.shrink(old, threshold)
        u = ratio * (old - y)
        v[tile.samples, tile.maps, tile.rows, :] = y + u
        return y - u

    # ------------------------------------------------------------------- device
    def available_memory(self) -> int | None:
        """Bytes that can still be allocated, None if unknown."""
        return None
