"""The generic backend: pointwise kernels and transforms for any array API library.

It is the readable statement of what the fused kernels of the other backends compute, and the
reference of their parity tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..types import Array
from .arrays import namespace


class Tile(NamedTuple):
    """A part of the stacked code array (N, K, H, W): samples, maps and rows."""

    samples: slice
    maps: slice
    rows: slice

    def of(self, array: Array) -> Array:
        """Return the view of `array` (N, K, H, W) on this tile."""
        return array[self.samples, self.maps, self.rows, :]


class Piece(NamedTuple):
    """Maps of one group in a slab, and the channels that they act on."""

    maps: slice
    """Among the maps of the slab."""
    channels: slice
    """Among all channels."""
    first: int
    """Row of the first pair (map, channel) among the spectra."""

    @property
    def width(self) -> int:
        """Number of channels."""
        return int(self.channels.stop - self.channels.start)


class Pairs(NamedTuple):
    """Filters' spectra of every pair (map, channel) that interacts; map by map, then by channel."""

    spectra: Array
    """(pairs, H, W // 2 + 1), complex."""
    pieces: tuple[Piece, ...]
    """In the order of the maps."""
    channels: int
    """Number of all channels."""
    table: Any = None
    """The pieces as an array, for the kernels of a GPU."""

    @property
    def n_maps(self) -> int:
        """Number of maps."""
        return int(self.pieces[-1].maps.stop)


def parts_of(values: Array, joined: Sequence[slice], tile: Tile) -> list[Array]:
    """Return the values (n, K, h, w) of every joined group; the tile must be of all maps."""
    assert not tile.maps.start, f"joint groups want all maps in a tile, found {tile.maps}"
    return [values[:, maps, ...] for maps in joined]


def joint_norm(parts: Sequence[Array]) -> Array:
    """Return the l2 norm over arrays of one shape, element by element; without overflow."""
    xp = namespace(*parts)
    largest = xp.abs(parts[0])
    for part in parts[1:]:
        largest = xp.maximum(largest, xp.abs(part))
    usable = (largest > 0) & xp.isfinite(largest)
    scale = xp.where(usable, largest, xp.ones((), dtype=largest.dtype))
    total = (parts[0] / scale) ** 2
    for part in parts[1:]:
        total = total + (part / scale) ** 2
    return scale * xp.sqrt(total)


@dataclass(frozen=True, eq=False)
class Shrinkage:
    """A proximal map of more than the l1 norm with one lam a map.

    The generic backend takes one wherever it takes `thresholds`, an array (K,) of one number per
    map, which are all that the fused kernels know.
    """

    levels: Callable[[Tile], Array]
    """Thresholds on a tile, as an array that broadcasts to it."""
    scale: Array
    """What values are multiplied by afterwards, one number per map, (K,)."""
    nonnegative: Array
    """Maps whose codes must not be negative, (K,), bool."""
    joined: tuple[slice, ...] = ()
    """Maps of groups whose vectors, over the groups, are shrunk by their norm; tiles are of all
    maps then."""

    def of(self, values: Array, tile: Tile, factor: Array | None, xp: Any) -> Array:
        """Shrink values (n, k, h, w) of a tile; `factor` multiplies the thresholds."""
        levels = self.levels(tile)
        if factor is not None:
            levels = levels * factor
        zero = xp.zeros((), dtype=values.dtype)
        above = xp.maximum(values - levels, zero)
        one_sided = xp.reshape(self.nonnegative[tile.maps], (1, -1, 1, 1))
        below = xp.where(one_sided, zero, xp.minimum(values + levels, zero))
        shrunk = above + below
        if self.joined:
            free = xp.where(one_sided, xp.maximum(values, zero), values)
            level = xp.broadcast_to(levels, values.shape)[:, self.joined[0], ...]
            parts = parts_of(free, self.joined, tile)
            norm = joint_norm(parts)
            # Levels may be infinite, and norms zero.
            inside = norm <= level
            one = xp.ones((), dtype=values.dtype)
            kept = xp.where(inside, zero, one - level / xp.where(inside, one, norm))
            for maps, part in zip(self.joined, parts, strict=True):
                shrunk[:, maps, ...] = kept * part
        return self._per_map(tile, xp) * shrunk

    def undo(self, values: Array, tile: Tile, xp: Any) -> Array:
        """Return what is shrunk to these values."""
        directions = xp.sign(values)
        if self.joined:
            parts = parts_of(values, self.joined, tile)
            norm = joint_norm(parts)
            length = xp.where(norm > 0, norm, xp.ones((), dtype=values.dtype))
            for maps, part in zip(self.joined, parts, strict=True):
                directions[:, maps, ...] = part / length
        return values / self._per_map(tile, xp) + self.levels(tile) * directions

    def _per_map(self, tile: Tile, xp: Any) -> Array:
        return xp.reshape(self.scale[tile.maps], (1, -1, 1, 1))


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
        """Inverse of `rfft2` for a result of `shape`, times its size; may overwrite `spectrum`.

        It is not divided by H W: who calls it has made the filters or matrices of the spectrum
        smaller, once for all.
        """
        return self.xp.fft.irfftn(spectrum, s=shape, axes=(-2, -1), norm="forward")

    def filter_spectra(self, filters: Array, shape: tuple[int, int]) -> Array:
        """`rfft2` of what is transformed once: nothing is kept for a next time."""
        return self.rfft2(filters, shape)

    def pairs(self, spectra: Array, pieces: tuple[Piece, ...], channels: int) -> Pairs:
        """Return filters' spectra as the next two methods take them."""
        return Pairs(spectra, pieces, channels)

    def filters_of(self, pairs: Pairs, piece: Piece) -> Array:
        """Return the spectra of a piece, (k, c, ., .)."""
        maps = piece.maps.stop - piece.maps.start
        rows = pairs.spectra[piece.first : piece.first + maps * piece.width, ...]
        return self.xp.reshape(rows, (maps, piece.width, *rows.shape[1:]))

    def analyse_spectra(self, pairs: Pairs, signal: Array) -> Array:
        """``sum_c conj(F[k,c]) S[n,c]`` at every frequency, (N,C,.,.) -> (N,K,.,.)."""
        xp = self.xp
        parts = []
        for piece in pairs.pieces:
            filters, s = self.filters_of(pairs, piece), signal[:, piece.channels, ...]
            total = xp.conj(filters[None, :, 0, ...]) * s[:, None, 0, ...]
            for c in range(1, piece.width):
                total += xp.conj(filters[None, :, c, ...]) * s[:, None, c, ...]
            parts.append(total)
        return parts[0] if len(parts) == 1 else xp.concat(parts, axis=1)

    def synthesise_spectra(self, pairs: Pairs, maps: Array, out: Array | None = None) -> Array:
        """``out[n,c] += sum_k F[k,c] A[n,k]``, (N,K,.,.) -> (N,C,.,.); without `out` from zero."""
        xp = self.xp
        if out is None:
            shape = (maps.shape[0], pairs.channels, *maps.shape[2:])
            out = xp.zeros(shape, dtype=maps.dtype)
        for piece in pairs.pieces:
            filters, a = self.filters_of(pairs, piece), maps[:, piece.maps, ...]
            for c in range(piece.width):
                product = xp.sum(filters[None, :, c, ...] * a, axis=1)
                out[:, piece.channels.start + c, ...] += product
        return out

    def apply_matrices(self, matrices: Array, spectrum: Array) -> Array:
        """``sum_b M[a,b] S[n,b]`` at every frequency: (C,C,.,.), (N,C,.,.) -> (N,C,.,.)."""
        rows = []
        for a in range(spectrum.shape[1]):
            row = matrices[a, 0, ...] * spectrum[:, 0, ...]
            for b in range(1, spectrum.shape[1]):
                row += matrices[a, b, ...] * spectrum[:, b, ...]
            rows.append(row)
        return self.xp.stack(rows, axis=1)

    # -------------------------------------------------------- pointwise kernels
    # The codes that an update returns may lie on a larger grid, zero beyond the tile.
    def shrink(self, values: Array, threshold: Array) -> Array:
        """Soft threshold ``sign(t) max(|t| - threshold, 0)``; NaN stays NaN."""
        xp = self.xp
        zero = xp.zeros((), dtype=values.dtype)
        return xp.sign(values) * xp.maximum(xp.abs(values) - threshold, zero)

    def shrink_codes(
        self, values: Array, thresholds: Array | Shrinkage, tile: Tile, penalty: Array | None = None
    ) -> Array:
        """Shrink values on a tile; `penalty` (H, W) multiplies the thresholds."""
        factor = None if penalty is None else penalty[tile.rows, :]
        if isinstance(thresholds, Shrinkage):
            return thresholds.of(values, tile, factor, self.xp)
        levels = self.xp.reshape(thresholds[tile.maps], (1, -1, 1, 1))
        return self.shrink(values, levels if factor is None else levels * factor)

    def ista_update(
        self, x: Array, g: Array, tile: Tile, step: Any, thresholds: Array | Shrinkage
    ) -> Array:
        """``x <- S(x + step g)`` on the tile; returns the new x there (Eqs. 8, 10, 13).

        `thresholds` are one number per map, (K,), or a `Shrinkage`; here and below.
        """
        new = self.shrink_codes(tile.of(x) + step * g, thresholds, tile)
        x[tile.samples, tile.maps, tile.rows, :] = new
        return new

    def fista_update(
        self,
        x: Array,
        previous: Array,
        g: Array,
        tile: Tile,
        step: Any,
        thresholds: Array | Shrinkage,
        beta: Any,
    ) -> tuple[Array, Any]:
        """``p = x + beta (x - previous); previous <- S(p + step g)`` on the tile.

        Returns the new point and the sum ``<p - new, new - x>``, positive where momentum points
        uphill (O'Donoghue and Candes, doi:10.1007/s10208-013-9150-3).
        """
        old = tile.of(x)
        point = old + beta * (old - tile.of(previous))
        new = self.shrink_codes(point + step * g, thresholds, tile)
        previous[tile.samples, tile.maps, tile.rows, :] = new
        return new, self.xp.sum((point - new) * (new - old))

    def momentum(self, uphill: Any, t: Any) -> tuple[Any, Any]:
        """Nesterov's next ``t`` and ``beta``, begun anew where momentum pointed uphill.

        Both are 0-d arrays, so that on a GPU no step waits for the test.
        """
        xp = self.xp
        new = (1.0 + xp.sqrt(1.0 + 4.0 * t * t)) / 2.0
        restart = xp.asarray(uphill > 0)
        one, zero = xp.ones_like(new), xp.zeros_like(new)
        return xp.where(restart, one, new), xp.where(restart, zero, (t - 1.0) / new)

    def admm_update(
        self,
        v: Array,
        g: Array,
        tile: Tile,
        thresholds: Array | Shrinkage,
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
        old = tile.of(v)
        y = self.shrink_codes(old, thresholds, tile, penalty)
        u = old - y
        a = y - u + g
        new = y + (1 - alpha) * u + alpha * g
        y_new = self.shrink_codes(new, thresholds, tile, penalty)
        u_new = new - y_new
        v[tile.samples, tile.maps, tile.rows, :] = new
        z = y_new - u_new
        if not sums:
            return z, None
        terms = (a - y_new, y_new - y, a, y_new, u_new)
        return z, tuple(xp.sum(term * term) for term in terms)

    def admm_rescale(
        self,
        v: Array,
        tile: Tile,
        thresholds: Array | Shrinkage,
        penalty: Array | None,
        ratio: Any,
    ) -> Array:
        """``u <- ratio u`` in ``v = y + u``, after a change of rho; returns ``y - u``."""
        old = tile.of(v)
        y = self.shrink_codes(old, thresholds, tile, penalty)
        u = ratio * (old - y)
        v[tile.samples, tile.maps, tile.rows, :] = y + u
        return y - u

    def shrink_maps(self, v: Array, thresholds: Array | Shrinkage, shape: tuple[int, int]) -> Array:
        """Return ``S(v)``, cropped to `shape`."""
        h, w = shape
        out = self.xp.empty((*v.shape[:2], h, w), dtype=v.dtype)
        for tile in _small_tiles(out, thresholds):
            found = self.shrink_codes(tile.of(v), thresholds, tile)
            out[:, tile.maps, tile.rows, :] = found[..., :h, :w]
        return out

    def unshrink_maps(self, v: Array, thresholds: Array | Shrinkage) -> None:
        """Put in the place of v what ``S`` makes it of: ``v + threshold sign(v)``."""
        for tile in _small_tiles(v, thresholds):
            if isinstance(thresholds, Shrinkage):
                v[:, tile.maps, tile.rows, :] = thresholds.undo(tile.of(v), tile, self.xp)
            else:
                k = tile.maps.start
                v[:, k, ...] += self.xp.sign(v[:, k, ...]) * thresholds[k]

    # -------------------------------------------------------------- certificates
    def l1_image(self, maps: Array, lam: Array) -> Array:
        """``sum_k lam_k |a_k|`` at every pixel in float64, (N, K, H, W) -> (N, H, W).

        `lam` is (1, K, 1, 1), float64; here and below.
        """
        xp = self.xp
        return xp.sum(lam * xp.abs(xp.astype(maps, xp.float64)), axis=1)

    def ratio_image(self, g: Array, lam: Array) -> Array:
        """``max_k |g_k| / lam_k`` at every pixel, (N, K, H, W) -> (N, H, W)."""
        return self.xp.max(self.xp.abs(g) / lam, axis=1)

    # ------------------------------------------------------------------- images
    def weighted_residual(
        self,
        signal: Array,
        image: Array,
        weights: Array | None,
        previous: Array | None = None,
        beta: Any = None,
    ) -> Array:
        """``w^2 (signal - p)`` with ``p = image + beta (image - previous)``, or ``p = image``.

        Its adjoint image is minus the gradient of the data term at p.
        """
        if previous is not None:
            image = image + beta * (image - previous)
        residual = signal - image
        return residual if weights is None else weights * weights * residual

    # ------------------------------------------------------- conjugate gradients
    # Pieces of the method for ``A = rho I + W F W`` with a preconditioner P, on images (N, C, H, W)
    # of one shape. Sums are taken over everything and stay where they are computed.
    def cg_weighted(self, w: Array, x: Array) -> Array:
        """``w x``."""
        return w * x

    def cg_residual(
        self, signal: Array, image: Array, w: Array, x: Array, filtered: Array, rho: float
    ) -> Array:
        """``r = w (signal - image) - A x`` with ``filtered = F w x``."""
        return w * (signal - image - filtered) - rho * x

    def cg_matrix(self, p: Array, w: Array, filtered: Array, rho: float) -> tuple[Array, Any]:
        """``q = A p`` with ``filtered = F w p``, and ``<p, q>``."""
        q = rho * p + w * filtered
        return q, self.xp.sum(p * q)

    def cg_advance(self, x: Array, r: Array, p: Array, q: Array, rz: Any, pq: Any) -> None:
        """``x <- x + a p``, ``r <- r - a q`` with ``a = <r, z> / <p, q>``."""
        a = rz / self.xp.maximum(pq, self._tiny(p))
        x += a * p
        r -= a * q

    def cg_precondition(self, w: Array, r: Array, filtered: Array) -> tuple[Array, Any]:
        """``z = filtered = P r`` where w > 0, else 0, and ``<r, z>``."""
        z = self.xp.where(w > 0, filtered, self.xp.zeros_like(filtered))
        return z, self.xp.sum(r * z)

    def cg_direction(
        self, z: Array, w: Array, rz: Any, last: tuple[Array, Any] | None = None
    ) -> tuple[Array, Array]:
        """``p = z + <r, z> / <r', z'> p'`` after the last p' and its product, or z; and ``w p``."""
        if last is not None:
            p, before = last
            z = z + (rz / self.xp.maximum(before, self._tiny(p))) * p
        return z, w * z

    def _tiny(self, like: Array) -> Array:
        # Products of images may have any scale: no other bound than that of their type.
        return self.xp.asarray(float(self.xp.finfo(like.dtype).smallest_normal), dtype=like.dtype)

    # ------------------------------------------------------------------- device
    def to_floats(self, sums: tuple[Any, ...]) -> tuple[float, ...]:
        """Return the sums of `admm_update` as numbers; on a GPU this waits for them."""
        return tuple(float(s) for s in sums)

    def available_memory(self) -> int | None:
        """Bytes that can still be allocated, None if unknown."""
        return None


def _small_tiles(maps: Array, thresholds: Array | Shrinkage) -> Iterator[Tile]:
    """One map at a time, or rows of all maps where groups are joined: no temporary of all."""
    if isinstance(thresholds, Shrinkage) and thresholds.joined:
        height = int(maps.shape[2])
        for top in range(0, height, 16):
            yield Tile(slice(None), slice(0, maps.shape[1]), slice(top, min(top + 16, height)))
        return
    for k in range(maps.shape[1]):
        yield Tile(slice(None), slice(k, k + 1), slice(None))
