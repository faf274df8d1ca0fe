"""Coding of images of any size: whole, or in overlapping tiles that are blended."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypeAlias, TypedDict

import numpy as np

from ..errors import warn_user
from ..model.codes import Codes
from ..model.dictionary import Dictionary
from ..model.problem import Problem
from ..model.reconstruction import Parts, reconstruct, signal_parts
from ..progress import ProgressBar
from ..solvers import SOLVERS
from ..solvers.driver import Callback, deferred_interrupt
from ..solvers.front import solve
from ..solvers.result import ConvergenceWarning, Result, Stop
from ..types import Device, Floats

__all__ = [
    "Coded",
    "CodedImages",
    "CodingOptions",
    "Made",
    "SolverFunction",
    "code",
    "images_of_codes",
    "memory_of_tile",
    "warn_if_nothing_is_coded",
]

Made: TypeAlias = Literal["restoration", "fusion", "signals"]
"""What is made of codes: Eq. 3, Eq. 4, or the signals themselves."""
SolverFunction: TypeAlias = Callable[..., Result]
"""What makes codes: called as `mcsc.solve`."""

# Pixels of all samples that are coded at a time, with up to _MAPS maps; fewer with more. With the
# dictionary of depth-sr (144 maps of
# 12 x 12) 1.7 kB a pixel were measured, so these stay below 1 GB. Small tiles are also faster.
_PIXELS = 500_000
_MAPS = 144
_FEW = 1 / 4000
"""Coefficients a pixel below which a warning is due."""
_FLAT = 1e-4
"""Amplitude below which there is no detail, on the scale of [0, 1]."""
_OVERLAP = 6
"""Overlap of tiles, in filter sizes: where two tiles meet, each is out of reach of the codes beyond
the other's border."""


class CodingOptions(TypedDict, total=False):
    """How to code, as `code` takes it; what a method hands on."""

    tol: float
    max_iter: int | None
    device: Device
    tile: int | None
    callback: Callback | None
    progress: bool


@dataclass(frozen=True, eq=False)
class CodedImages:
    """Images of the codes: Points 1 to 4 of Fig. 2, (N, C, H, W)."""

    image: Floats
    common: Floats | None
    unique: tuple[Floats | None, ...]
    models: tuple[Floats, ...]
    """What the codes make of each signal, if that was asked for; otherwise empty."""

    @classmethod
    def of(cls, images: Mapping[str, Any], count: int) -> CodedImages:
        """Take what `images_of_codes` gives of so many signals."""
        return CodedImages(**_named(images, count))


@dataclass(frozen=True, eq=False)
class Coded(CodedImages):
    """The same, and the numbers of the solver."""

    gap: float
    """Certified relative duality gap, the largest of all tiles; 1, that of codes of zero, if some
    were not reached."""
    nonzeros: int
    coefficients: int
    seconds: float
    converged: bool
    stopped: Stop
    """Why the solver stopped, where it stopped first for another reason than that it was done."""
    tiles: int

    @property
    def nonzero(self) -> float:
        """Share of coefficients that are not zero."""
        return self.nonzeros / self.coefficients


def code(
    signals: tuple[Floats, ...],
    dictionary: Dictionary,
    lam: Any,
    made: Made,
    *,
    masks: tuple[Floats | None, ...] | None = None,
    models: bool = False,
    tol: float = 1e-2,
    max_iter: int | None = None,
    device: Device = "auto",
    tile: int | None = None,
    callback: Callback | None = None,
    progress: bool = False,
    warn: bool = True,
    solver: SolverFunction = solve,
) -> Coded:
    """Solve Eq. 5 for images (N, C, H, W) and reconstruct the target.

    Parameters
    ----------
    signals, dictionary, lam, masks, tol, device
        As in `mcsc.solve`; masks have four axes.
    max_iter : int, optional
        Iterations at most, a tile.
    callback : callable, optional
        As in `mcsc.solve`; to stop means to stop all tiles.
    progress : bool
        Show progress bars on standard error: of the tiles, if there are several, and of the gap.
    made : {"restoration", "fusion", "signals"}
        Which target: the first two as in `mcsc.reconstruct`; "signals" reconstructs each signal's
        own unique part and the strongest of the common parts, for fusion without target filters.
    models : bool
        Also reconstruct the signals; with "signals" they always are.
    tile : int, optional
        Side of the tiles; images with a longer side are cut. Default: about 700 pixels up to 144
        maps, fewer for more.
    warn : bool
        Say so where nearly all codes are zero.
    solver : callable
        What makes the codes: called as `mcsc.solve`, with the arguments above; with `max_iter`,
        `callback` and the dictionary's `terms` only where there are any.

    Returns
    -------
    Coded
        Ctrl-C, or the callback, returns what there is: codes are zero in tiles that were not
        reached.

    Notes
    -----
    Tiles overlap by six filters and are blended linearly, so that there is no seam: the influence
    of a pixel on codes fades within a few filters. The more maps a dictionary has, the smaller they
    are, so that memory is bounded. As many samples are coded at a time as have the pixels of one
    large tile. Whether all of them converged is in the result; the solver's own
    warnings are left out.
    """
    started = time.perf_counter()
    height, width = signals[0].shape[-2:]
    samples = signals[0].shape[0]
    overlap = _OVERLAP * dictionary.filter_size
    rows, cols = _tiles_of((height, width), dictionary, tile)
    largest = math.prod(_largest(rows, cols))
    together = max(1, _pixels_of(dictionary) // largest)
    groups = [slice(n, min(n + together, samples)) for n in range(0, samples, together)]
    total: dict[str, Any] = {}  # images, or None where a part does not exist
    gap, nonzeros, coefficients, done = 0.0, 0, 0, 0
    stopped: Stop = "converged"
    pieces = [(g, r, c) for g in groups for r in rows for c in cols]
    given = {"max_iter": max_iter, "callback": callback}
    options = {name: value for name, value in given.items() if value is not None}
    options |= dictionary.terms
    several = progress and len(pieces) > 1
    with (
        deferred_interrupt() as interrupt,
        ProgressBar("tiles", total=len(pieces), shown=several) as bar,
    ):
        for group, (top, bottom), (left, right) in pieces:
            part = tuple(np.ascontiguousarray(s[group, :, top:bottom, left:right]) for s in signals)
            window = (group, slice(top, bottom), slice(left, right))
            known = None if masks is None else tuple(_cut(m, *window) for m in masks)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                result = solver(
                    part, dictionary, lam, masks=known, tol=tol, device=device, progress=progress,
                    **options,
                )  # fmt: skip
            weight = np.outer(
                _ramp(top, bottom, height, overlap), _ramp(left, right, width, overlap)
            )
            for name, image in images_of_codes(
                result.codes, dictionary, made, models=models
            ).items():
                if image is None:
                    total[name] = None
                    continue
                if name not in total:
                    total[name] = np.zeros((samples, image.shape[1], height, width))
                total[name][group, :, top:bottom, left:right] += weight * image
            gap = max(gap, result.gap)
            nonzeros += result.codes.nnz
            coefficients += result.codes.size
            done += 1
            bar.advance()
            if not result.converged and stopped == "converged":
                stopped = result.stopped
            if result.stopped in ("callback", "interrupted"):
                stopped = result.stopped
                break
            if interrupt.asked and done < len(pieces):
                stopped = "interrupted"
                break
    if done < len(pieces):
        # Of codes of zero no more is known than that the dual value is not negative.
        gap = max(gap, 1.0)
    if warn and stopped == "converged" and gap <= tol:
        detail = max(float(np.abs(s).max()) for s in signals)
        warn_if_nothing_is_coded(nonzeros, coefficients, samples * height * width, lam, detail)
    dtype = signals[0].dtype
    images: dict[str, Any] = {}
    for name in list(total):  # none is held in both precisions longer than needed
        image = total.pop(name)
        images[name] = None if image is None else image.astype(dtype)
    return Coded(
        **_named(images, dictionary.n_signals),
        gap=gap,
        nonzeros=nonzeros,
        coefficients=coefficients,
        seconds=time.perf_counter() - started,
        converged=stopped == "converged",
        stopped=stopped,
        tiles=len(rows) * len(cols),
    )


def memory_of_tile(
    shape: tuple[int, int],
    dictionary: Dictionary,
    lam: Any,
    *,
    dtype: Any = np.float32,
    tile: int | None = None,
) -> int:
    """Return about how many bytes `code` takes for the codes of its largest tile, at its peak.

    Parameters
    ----------
    shape : (height, width)
        Size of the images.
    dictionary, lam, tile
        As for `code`, of one sample.
    dtype : dtype
        Precision of the signals.
    """
    size = _largest(*_tiles_of(shape, dictionary, tile))
    nothing = tuple(np.zeros((1, c, *size), dtype) for c in dictionary.channels)
    return int(SOLVERS.find("working-set").memory(Problem(nothing, dictionary, lam)))


def _pixels_of(dictionary: Dictionary) -> int:
    """How many pixels of all samples are coded at a time."""
    return min(_PIXELS, _PIXELS * _MAPS // dictionary.n_maps)


def _tiles_of(
    shape: tuple[int, int], dictionary: Dictionary, tile: int | None
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Rows and columns of the tiles."""
    overlap = _OVERLAP * dictionary.filter_size
    side = int(_pixels_of(dictionary) ** 0.5) if tile is None else tile
    side = max(side, 3 * overlap)
    return _tiles(shape[0], side, overlap), _tiles(shape[1], side, overlap)


def _largest(
    rows: Sequence[tuple[int, int]], columns: Sequence[tuple[int, int]]
) -> tuple[int, int]:
    return max(b - a for a, b in rows), max(b - a for a, b in columns)


def warn_if_nothing_is_coded(
    nonzeros: int, coefficients: int, pixels: int, lam: Any, detail: float
) -> None:
    """Warn if nearly all codes of so many pixels are zero, though there is detail."""
    if nonzeros < _FEW * pixels and detail > _FLAT:
        shown = ", ".join(dict.fromkeys(f"{value:.3g}" for value in np.atleast_1d(lam)))
        warn_user(
            f"nearly all codes are zero ({nonzeros} of {coefficients} are not): lam = {shown} is "
            "large for the detail of these images; is their range of values right?"
        )


def _cut(mask: Floats | None, samples: slice, rows: slice, columns: slice) -> Floats | None:
    if mask is None:
        return None
    return np.ascontiguousarray(mask[samples if len(mask) > 1 else slice(None), :, rows, columns])


def images_of_codes(
    codes: Codes, dictionary: Dictionary, made: Made, *, models: bool
) -> dict[str, Floats | None]:
    """Return what `code` makes of codes, by the names image, common, unique0, ..., model0, ..."""
    own = signal_parts(codes, dictionary) if models or made == "signals" else ()
    if made == "signals":
        commons = [p.common for p in own if p.common is not None]
        common = _strongest(commons) if commons else None
        unique = tuple(p.unique[m] for m, p in enumerate(own))
        image = sum((u for u in unique if u is not None), start=0.0 if common is None else common)
        parts = Parts(image, common, unique)
    else:
        parts = reconstruct(codes, dictionary, made)
    found = {"image": parts.image, "common": parts.common}
    found |= {f"unique{m}": u for m, u in enumerate(parts.unique)}
    return found | {f"model{m}": p.image for m, p in enumerate(own)}


def _named(images: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Fields of `CodedImages` by the names of images."""
    return {
        "image": images["image"],
        "common": images["common"],
        "unique": tuple(images[f"unique{m}"] for m in range(count)),
        "models": tuple(images[f"model{m}"] for m in range(count) if f"model{m}" in images),
    }


def _strongest(images: list[Floats]) -> Floats:
    """Choose, for every sample and at every place, the image with more energy there."""
    from scipy.ndimage import gaussian_filter

    stack = np.stack(images)
    energy = np.stack([gaussian_filter((i**2).sum(1), (0, 2, 2)) for i in images])
    choice = energy.argmax(0)[None, :, None]
    found: Floats = np.take_along_axis(stack, np.broadcast_to(choice, (1, *stack.shape[1:])), 0)[0]
    return found


def _tiles(length: int, side: int, overlap: int) -> list[tuple[int, int]]:
    if length <= side:
        return [(0, length)]
    count = int(np.ceil((length - overlap) / (side - overlap)))
    edges = np.linspace(0, length, count + 1).round().astype(int)
    half = overlap // 2
    return [(max(0, int(a) - half), min(length, int(b) + half)) for a, b in pairwise(edges)]


def _ramp(start: int, stop: int, length: int, overlap: int) -> np.ndarray:
    """One inside, falling linearly over the overlap; neighbours add up to one."""
    width = 2 * (overlap // 2)
    place = np.arange(start, stop) + 0.5
    out = np.ones(stop - start)
    if start > 0:
        out = np.minimum(out, (place - start) / width)
    if stop < length:
        out = np.minimum(out, (stop - place) / width)
    return out
