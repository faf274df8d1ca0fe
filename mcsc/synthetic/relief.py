"""Photographs with a relief of their own: depth that follows some of their edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from ..types import Floats
from .camera import encode
from .canvas import RELIEF, Layer
from .lighting import smooth_field
from .textures import power_noise

__all__ = ["Relief", "invent_relief", "reflectance", "sheets"]

_DARKEST, _BRIGHTEST = 0.005, 0.95


@dataclass(frozen=True, eq=False)
class Relief:
    """What stands where in a photograph, as far as it can be made up."""

    depth: Floats
    """Inverse depth, (H, W), in [0, 1]."""
    slopes: Floats
    """Derivatives of the height within surfaces, (2, H, W)."""
    region: NDArray[np.int32]
    """Number of the region, (H, W), small patches of like colour."""
    sheet: NDArray[np.int32]
    """Number of the surface that the region is a part of, from back to front, (H, W)."""


def invent_relief(rng: np.random.Generator, linear: Floats, unit: float) -> Relief:
    """Make up a depth for a photograph.

    Parameters
    ----------
    rng : Generator
    linear : array (3, H, W)
        Linear light.
    unit : float
        Pixels of the shorter side of the whole photograph.

    Notes
    -----
    Basins of the gradient (a watershed from random points) are the regions; their outlines lie on
    edges where there are any, as soft and as jagged as they are in photographs. A random direction
    in colour space, and a smooth random field, sort the regions into two to five sheets, each at a
    depth of its own: things of one colour lie together, and edges between colours that the
    direction does not tell apart have no step. A smooth surface is added to all.
    """
    from skimage.segmentation import watershed

    shape = (linear.shape[1], linear.shape[2])
    encoded = encode(linear)
    smooth = scipy.ndimage.gaussian_filter(encoded, (0, 0.8, 0.8))
    strength = np.zeros(shape, np.float32)
    for axis in (1, 2):
        strength += (scipy.ndimage.sobel(smooth, axis) ** 2).sum(axis=0)
    spacing = unit * rng.uniform(0.02, 0.07)
    count = max(4, int(shape[0] * shape[1] / spacing**2))
    seeds = np.zeros(shape, np.int32)
    seeds[rng.integers(0, shape[0], count), rng.integers(0, shape[1], count)] = np.arange(
        1, count + 1
    )
    basins: Any = watershed(np.sqrt(strength), seeds)  # type: ignore[no-untyped-call]
    region = (basins - 1).astype(np.int32)
    flat = region.ravel()
    size = np.maximum(np.bincount(flat, minlength=count), 1)

    def mean(plane: Floats) -> NDArray[np.float64]:
        return np.asarray(np.bincount(flat, plane.ravel(), minlength=count) / size)

    direction = rng.standard_normal(3)
    place = direction @ np.stack([mean(plane) for plane in encoded])
    weight = size / size.sum()
    middle = float(np.sum(weight * place))
    deviation = float(np.sqrt(np.sum(weight * (place - middle) ** 2)))
    place = (place - middle) / max(deviation, 0.02)
    place = place + rng.uniform(0.0, 0.3) * mean(power_noise(rng, shape, 1.8))
    # Between groups of colours: through the midst of one, a step would show nowhere.
    order = np.argsort(place)
    tried = rng.uniform(0.1, 0.9, (int(rng.integers(1, 5)), 6))
    tried = place[order][np.searchsorted(np.cumsum(weight[order]), tried)]
    crowd = (weight * (np.abs(place - tried[..., None]) < 0.2)).sum(axis=-1)
    borders = np.sort(np.take_along_axis(tried, crowd.argmin(axis=1)[:, None], axis=1)[:, 0])
    levels = rng.uniform(0, 1, len(borders) + 1)
    # Sheets are numbered from back to front.
    rank = np.argsort(np.argsort(levels))
    sheet = rank[np.searchsorted(borders, place)].astype(np.int32)[region]
    depth = np.sort(levels).astype(np.float32)[sheet]
    surface = smooth_field(rng, shape, unit) * np.float32(rng.uniform(0.05, 0.35))
    depth = np.clip(np.float32(0.1) + np.float32(0.7) * depth + surface, 0, 1)
    relief = np.float32(RELIEF * unit)
    bump = smooth.mean(axis=0) * np.float32(rng.uniform(0.0, 12.0))
    slopes = np.stack([np.gradient(surface * relief + bump, axis=axis) for axis in (0, 1)]).astype(
        np.float32
    )
    return Relief(depth, slopes, region, sheet)


def reflectance(linear: Floats) -> Floats:
    """What a photograph shows, taken for reflectance, (3, H, W)."""
    out: Floats = np.clip(linear, _DARKEST, _BRIGHTEST)
    return out


def sheets(light: Floats, relief: Relief) -> tuple[Layer, ...]:
    """The layers of a photograph, each continued behind those before it by what is nearest."""
    everything = np.concatenate([light, relief.depth[None]])
    out = []
    for number in np.unique(relief.sheet):
        own = relief.sheet == number
        places = scipy.ndimage.distance_transform_edt(
            ~own, return_distances=False, return_indices=True
        )
        known = everything[:, places[0], places[1]]
        alpha = (relief.sheet >= number).astype(np.float32)
        out.append(Layer(known[:3] * alpha, alpha, known[3], own))
    return tuple(out)
