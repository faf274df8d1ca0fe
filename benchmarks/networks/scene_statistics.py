"""Statistics by which sets of registered pairs are compared: gradients, sizes, steps, edges.

All are taken on images in [0, 1] and given in grey levels of 255 and in pixels.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from mcsc.images.colour import luma_studio

Image = NDArray[Any]
Pair = tuple[Image, Image]
"""Guide and target, (C, H, W)."""

LEVELS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Edges of the bins of gradients and contrasts; what is beyond has bins of its own."""
BRIGHTNESS = (8.0, 16.0, 32.0, 64.0, 128.0, 192.0, 224.0, 250.0)
WIDTHS = (1.2, 1.6, 2.0, 2.5, 3.0, 4.0, 5.0)
SHARES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3)
_EDGE, _STEP, _REACH = 10.0, 3.0, 6


@dataclass(frozen=True)
class Statistic:
    """A histogram (with `bins`) or a number of a pair, averaged over a set."""

    name: str
    of: Callable[[Pair], Image]
    """Samples of which the histogram is taken, or what the mean is taken of."""
    bins: tuple[float, ...] = ()
    weighted: bool = False
    """Samples are sizes: each counts as much as it covers."""

    def measure(self, pairs: Sequence[Pair]) -> list[float]:
        """Shares of the bins, or one mean; every pair counts the same."""
        found = [self._one(np.asarray(self.of(pair), np.float64).ravel()) for pair in pairs]
        known = [one for one in found if not np.isnan(one).any()] or found[:1]
        return [float(v) for v in np.mean(known, axis=0)]

    def _one(self, samples: Image) -> list[float]:
        if not samples.size:
            return [float("nan")] * (len(self.bins) + 1)
        if not self.bins:
            return [float(samples.mean())]
        place = np.searchsorted(self.bins, samples)
        counts = np.bincount(
            place, samples if self.weighted else None, minlength=len(self.bins) + 1
        )
        return [float(c) for c in counts / counts.sum()]

    def distance(self, a: Sequence[float], b: Sequence[float]) -> float:
        """Share of the samples that lie in other bins; of a number, the difference."""
        if not self.bins:
            return b[0] - a[0]
        return 0.5 * float(np.abs(np.subtract(a, b)).sum())


def grey(image: Image) -> Image:
    """Luma or the one channel, (H, W), in grey levels."""
    plane: Image = 255 * (luma_studio(image) if len(image) == 3 else image)[0].astype(np.float64)
    return plane


def gradient(plane: Image) -> Image:
    """Larger of the differences to the next pixel down and to the right, (H-1, W-1)."""
    down, right = np.abs(np.diff(plane, axis=0))[:, 1:], np.abs(np.diff(plane, axis=1))[1:]
    out: Image = np.maximum(down, right)
    return out


def spectral_slope(plane: Image) -> Image:
    """Exponent p of power proportional to frequency^p, from 3 % to 35 % of the sampling rate."""
    h, w = plane.shape
    window = np.hanning(h)[:, None] * np.hanning(w)
    power = np.abs(np.fft.fft2((plane - plane.mean()) * window)) ** 2
    radius = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.fftfreq(w))
    edges = np.geomspace(0.03, 0.35, 9)
    rings = [
        (np.sqrt(a * b), power[inside].mean())
        for a, b in itertools.pairwise(edges)
        if (inside := (radius >= a) & (radius < b)).any()
    ]
    middle, mean = np.array(rings).T
    return np.array([np.polyfit(np.log(middle), np.log(mean + 1e-9), 1)[0]])


def edge_widths(plane: Image, threshold: float = 20.0) -> Image:
    """Pixels from 10 % to 90 % of the rise of edges along rows and columns."""
    found = []
    for lines in (plane, plane.T):
        step = np.diff(lines, axis=1)
        size = np.abs(step)
        inner = size[:, _REACH:-_REACH]
        peak = (inner > threshold) & (inner >= size[:, _REACH - 1 : -_REACH - 1])
        peak &= inner > size[:, _REACH + 1 : size.shape[1] - _REACH + 1]
        row, column = np.nonzero(peak)
        column = column + _REACH
        sign = np.sign(step[row, column])
        around = column[:, None] + np.arange(-_REACH, _REACH + 1)
        rise = step[row[:, None], around] * sign[:, None]
        # Only as far as the edge goes on rising on both sides of its steepest place.
        right = np.cumprod(rise[:, _REACH:] > 0, axis=1)
        left = np.cumprod(rise[:, _REACH::-1] > 0, axis=1)[:, :0:-1]
        rise = rise * np.concatenate([left, right], axis=1)
        total = rise.sum(axis=1)
        height = np.cumsum(rise, axis=1) / total[:, None]
        ends = []
        for level in (0.1, 0.9):
            k = np.argmax(height >= level, axis=1)
            n = np.arange(len(k))
            before = np.where(k > 0, height[n, np.maximum(k - 1, 0)], 0.0)
            ends.append(k + (level - before) / (height[n, k] - before))
        found.append(ends[1] - ends[0])
    return np.concatenate(found)


def region_areas(depth: Image) -> Image:
    """Sizes of the connected regions between steps of depth, over that of the image."""
    smooth = np.pad(gradient(depth) < _STEP, ((1, 0), (1, 0)), mode="edge")
    labels, _ = scipy.ndimage.label(smooth)
    areas: Image = np.bincount(labels.ravel())[1:] / labels.size
    return areas


def steps(depth: Image) -> Image:
    """Gradients of depth that are steps."""
    size = gradient(depth)
    out: Image = size[size >= _STEP]
    return out


def shared(a: Image, b: Image, at_a: float, at_b: float) -> Image:
    """Of the places where gradients of a are above `at_a`: are those of b nearby above `at_b`?"""
    near = scipy.ndimage.maximum_filter(gradient(b), 5)
    out: Image = near[gradient(a) >= at_a] >= at_b
    return out


def contrasts(plane: Image, side: int = 16) -> Image:
    """Standard deviations of blocks."""
    h, w = (n - n % side for n in plane.shape)
    blocks = plane[:h, :w].reshape(h // side, side, w // side, side)
    out: Image = blocks.std(axis=(1, 3))
    return out


def _alike(pair: Pair) -> Image:
    """Correlation of the gradients of both images in blocks of 16 x 16."""
    a, b = (np.diff(grey(image), axis=1)[:, 1:] for image in pair)
    side = 16
    h, w = (n - n % side for n in a.shape)
    a, b = (d[:h, :w].reshape(h // side, side, w // side, side) for d in (a, b))
    total = np.sqrt((a**2).sum(axis=(1, 3)) * (b**2).sum(axis=(1, 3)))
    out: Image = (a * b).sum(axis=(1, 3)) / np.maximum(total, 1e-6)
    return out


def _blockiness(image: Image) -> Image:
    """Mean step over the borders of JPEG's blocks of 8, over that of the columns between."""
    size = np.abs(np.diff(grey(image), axis=1)).mean(axis=0)
    border = np.arange(len(size)) % 8 == 7
    return np.array([size[border].mean() / max(size[~border].mean(), 1e-6)])


def _grain(image: Image) -> Image:
    """Noise of the calmest tenth of the blocks of 8, standard deviation in grey levels."""
    fine = grey(image)
    fine = (fine[1:, 1:] - fine[:-1, 1:] - fine[1:, :-1] + fine[:-1, :-1]) / 2
    blocks = np.sort(contrasts(fine, 8).ravel())
    return blocks[: max(len(blocks) // 10, 1)]


def _of_each(first: str, second: str) -> tuple[Statistic, ...]:
    return (
        Statistic(f"gradients of the {first}", lambda p: gradient(grey(p[0])), LEVELS),
        Statistic(f"gradients of the {second}", lambda p: gradient(grey(p[1])), LEVELS),
        Statistic(
            f"contrast of the {first}, blocks of 16", lambda p: contrasts(grey(p[0])), LEVELS
        ),
        Statistic(f"widths of the {first}'s edges", lambda p: edge_widths(grey(p[0])), WIDTHS),
        Statistic(f"spectral slope of the {first}", lambda p: spectral_slope(grey(p[0]))),
        Statistic(f"spectral slope of the {second}", lambda p: spectral_slope(grey(p[1]))),
    )


STATISTICS: dict[str, tuple[Statistic, ...]] = {
    "depth": (
        *_of_each("guide", "target"),
        Statistic("sizes of regions of depth", lambda p: region_areas(grey(p[1])), SHARES, True),
        Statistic("heights of steps of depth", lambda p: steps(grey(p[1])), LEVELS[2:]),
        Statistic("share of pixels at a step", lambda p: gradient(grey(p[1])) >= _STEP),
        Statistic(
            "steps of depth that colour shows",
            lambda p: shared(grey(p[1]), grey(p[0]), _STEP, _EDGE),
        ),
        Statistic(
            "edges of colour that depth shows",
            lambda p: shared(grey(p[0]), grey(p[1]), _EDGE, _STEP),
        ),
    ),
    "flash": (
        *_of_each("guide", "target"),
        Statistic("widths of the target's edges", lambda p: edge_widths(grey(p[1])), WIDTHS),
        Statistic("likeness of gradients, blocks of 16", _alike, (-0.5, 0, 0.25, 0.5, 0.75, 0.9)),
        Statistic("burnt out in the flash image", lambda p: p[0].max(axis=0) > 0.99),
        Statistic("mean of the target", lambda p: grey(p[1])),
        Statistic("mean of the guide", lambda p: grey(p[0])),
    ),
    "multispectral": (
        *_of_each("guide", "target"),
        Statistic("likeness of gradients, blocks of 16", _alike, (-0.5, 0, 0.25, 0.5, 0.75, 0.9)),
        Statistic("levels of the target", lambda p: grey(p[1]), (2, 4, 8, 16, 32, 64, 128)),
    ),
    "exposure": (
        *_of_each("long exposure", "short exposure"),
        Statistic("levels of the long exposure", lambda p: grey(p[0]), BRIGHTNESS),
        Statistic("levels of the short exposure", lambda p: grey(p[1]), BRIGHTNESS),
        Statistic("burnt out in the long exposure", lambda p: p[0].max(axis=0) > 0.99),
        Statistic("noise of the long exposure, levels", lambda p: _grain(p[0])),
        Statistic("noise of the short exposure, levels", lambda p: _grain(p[1])),
        Statistic("blocks of 8 in the long exposure, ratio", lambda p: _blockiness(p[0])),
    ),
}
"""By the name of the synthetic scenes that go with a task."""
