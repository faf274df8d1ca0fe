"""Depth maps as they are measured: coarse, displaced at edges, with filled holes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.ndimage

from ..types import Floats
from .camera import Camera
from .scene import Scene
from .textures import power_noise

__all__ = ["depth_pair", "ideal_camera", "measured_depth", "rendered_depth"]

_LEVELS = np.float32(255)
# Share of maps that are rendered, not measured: exact, with few near things and much far away.
_RENDERED = 0.4


def depth_pair(scene: Scene) -> tuple[Floats, Floats]:
    """Measure the depth of a scene, and take its photograph.

    Parameters
    ----------
    scene : Scene
        As `make_scene` makes it.

    Returns
    -------
    depth : array (1, H, W), in [0, 1]
        Disparity of 8 bits, bright is near: part of the range, its edges a pixel or so beside those
        of the photograph, not softened by any lens, holes behind objects filled along rows. Two
        of five are exact, as if rendered, over most of the range.
    colour : array (3, H, W), in [0, 1]
        `Scene.colour`; with an exact depth a sharper picture.
    """
    rng = scene.rng(6)
    true = scene.depth[0]
    if rng.random() < _RENDERED:
        depth = rendered_depth(rng, true)
        return depth, ideal_camera(rng, scene.camera).photograph(rng, scene.light)
    return measured_depth(rng, true, scene.unit), scene.colour


def rendered_depth(rng: np.random.Generator, true: Floats) -> Floats:
    """Encode nearness (H, W), 0 to 1, as a film's depth maps are: exact, over most of the range."""
    depth = true ** np.float32(rng.uniform(0.8, 3.0))
    low, high = rng.uniform(0.0, 0.1), rng.uniform(0.85, 1.0)
    return _rounded(low + (high - low) * depth, 1)


def ideal_camera(rng: np.random.Generator, camera: Camera) -> Camera:
    """A camera like this, but without lens or sensor, as renderers have it."""
    # Edges are as sharp as samples of many rays make them.
    return replace(camera, softness=float(rng.uniform(0.1, 0.5)), noise=float(rng.uniform(0, 0.6)))


def measured_depth(rng: np.random.Generator, true: Floats, unit: float) -> Floats:
    """Measure nearness (H, W), 0 to 1, as a pair of cameras does: displaced, with filled holes.

    `unit` is the shorter side of the photograph, pixels.
    """
    # Stereo cameras give disparities from a far wall to the nearest thing.
    low, high = rng.uniform(0.02, 0.4), rng.uniform(0.55, 0.95)
    depth = np.float32(low) + np.float32(high - low) * true
    if rng.random() < 0.4:
        depth = _filled(depth, float(rng.uniform(0.02, 0.08)) * unit)
    depth = _displaced(rng, depth)
    kind = rng.random()
    if kind < 0.35:
        depth = scipy.ndimage.median_filter(depth, 3 if kind < 0.2 else 5)
    elif kind < 0.5:  # the nearer is matched with a rim of what is behind it
        depth = scipy.ndimage.grey_dilation(depth, (2, 2) if kind < 0.42 else (3, 3))
    if rng.random() < 0.5:
        bumps = power_noise(rng, true.shape, rng.uniform(0.5, 1.2))
        depth = depth + bumps * np.float32(rng.uniform(0.1, 0.6) / 255)
    return _rounded(depth, int(rng.choice([1, 1, 1, 2, 4])))


def _rounded(depth: Floats, step: int) -> Floats:
    levels = np.rint(depth * (_LEVELS / step)) * np.float32(step)
    out: Floats = (np.clip(levels, 0, 255).astype(np.float32) / _LEVELS).reshape(1, *depth.shape)
    return out


def _displaced(rng: np.random.Generator, depth: Floats) -> Floats:
    """Take each pixel from a pixel or so away, neighbours from about the same direction.

    Edges move, but stay smooth: what a reduced map does not show of them cannot be restored, and a
    network that is to find ragged ones learns to blur.
    """
    size = rng.uniform(0.0, 1.0)
    rows, columns = depth.shape
    y, x = np.arange(rows)[:, None], np.arange(columns)[None, :]
    places = []
    for place, n in ((y, rows), (x, columns)):
        sway = power_noise(rng, depth.shape, rng.uniform(2.7, 3.5)) * np.float32(size / 1.4)
        away = np.rint(sway + np.float32(rng.uniform(-0.5, 0.5))).astype(np.intp)
        places.append(np.clip(place + away, 0, n - 1))
    out: Floats = depth[places[0], places[1]]
    return out


def _filled(depth: Floats, widest: float) -> Floats:
    """What only one of two cameras sees, left of nearer things, filled with what is farther."""
    # At a step of the whole range the strip is `widest` pixels.
    out = depth
    reach = int(min(widest, depth.shape[1] - 1))
    for away in range(1, reach + 1, max(1, reach // 8)):
        hidden = depth[:, away:] - depth[:, :-away] > np.float32(away / widest)
        farther = np.minimum(out[:, :-away], np.roll(out, away, axis=1)[:, :-away])
        out = out.copy()
        np.copyto(out[:, :-away], farther, where=hidden)
    return out
