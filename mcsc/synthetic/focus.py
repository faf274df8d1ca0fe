"""Pairs focused near and far, and focus stacks, of scenes whose layers are known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from ..checks import check_number, check_whole
from ..errors import InvalidValueError
from ..types import Floats
from .canvas import spread
from .scene import Scene

__all__ = ["focus_pair", "focus_stack"]

# Below, a blur is not worth its transforms: under a tenth of a pixel everywhere.
_SHARP = 0.35
_RADII = (1.5, 9.0)
# Share of the scenes, besides those that are flat, that lie at one plane of focus: a small part of
# a photograph often does.
_ONE_PLANE, _FLAT = 0.25, 0.05


def focus_pair(scene: Scene) -> tuple[Floats, Floats, Floats]:
    """Photograph a scene with the lens focused near, then far.

    Parameters
    ----------
    scene : Scene
        With layers.

    Returns
    -------
    near, far : arrays (3, H, W), in [0, 1]
        Focused on the nearer and on the farther objects, or in a quarter of the scenes one on what
        is there and the other elsewhere; what lies away from the plane of focus is blurred by a
        disc (an open lens) or a Gaussian, half of the scenes each. Half are compressed as JPEG.
    target : array (3, H, W), in [0, 1]
        Every layer as sharp as in the sharper of the two, without noise.

    Raises
    ------
    ValueError
        The scene has no layers.

    Notes
    -----
    The blur's radius is proportional to the difference of inverse depth from the plane of focus,
    as for a thin lens. Each layer of depth is blurred in linear light with its own coverage, then
    laid over the ones behind: a blurred near object is transparent at its rim and shows what
    stands behind it, and a sharp one is not stained by its blurred background.
    """
    if not scene.layers:
        raise InvalidValueError("focus_pair wants a scene with layers: make_scene(layered=True)")
    rng = scene.rng(1)
    camera = replace(scene.camera, quality=int(rng.integers(75, 98)) if rng.random() < 0.5 else 0)
    depth = scene.depth[0]
    far_plane, middle, near_plane = (float(q) for q in np.quantile(depth, (0.2, 0.5, 0.9)))
    if rng.random() < _ONE_PLANE or near_plane - far_plane < _FLAT:
        away = middle + float(rng.uniform(0.2, 0.6)) * rng.choice([-1, 1])
        far_plane, near_plane = min(middle, away), max(middle, away)
    widest = math.exp(rng.uniform(math.log(_RADII[0]), math.log(_RADII[1])))
    # Radius a unit of inverse depth.
    strength = widest / (near_plane - far_plane)
    disc = bool(rng.random() < 0.5)
    lens = _Lens(scene, strength, widest, disc)
    near, far = (camera.photograph(rng, lens.seen(plane)) for plane in (near_plane, far_plane))
    return near, far, camera.develop(lens.seen(near_plane, far_plane))


def focus_stack(
    scene: Scene, count: int, widest: float = 5.0
) -> tuple[list[Floats], Floats, NDArray[np.intp]]:
    """Photograph a scene with the lens focused on several planes, from near to far.

    Parameters
    ----------
    scene : Scene
        With layers.
    count : int
        Number of photographs, at least 2.
    widest : float
        Radius of the blur, in pixels, of the nearest objects when the farthest are in focus.

    Returns
    -------
    frames : list of arrays (3, H, W), in [0, 1]
        Focused on planes that are evenly spaced in inverse depth, between the 2nd and the 98th
        hundredth of the scene's; blurred as the pairs of `focus_pair`, by a disc.
    target : array (3, H, W), in [0, 1]
        Every layer as sharp as in the sharpest of them, without noise.
    nearest : array of int, (H, W)
        Which photograph is focused nearest to what is seen.

    Raises
    ------
    ValueError
        The scene has no layers, or there are fewer than two photographs.
    """
    if not scene.layers:
        raise InvalidValueError("focus_stack wants a scene with layers: make_scene(layered=True)")
    count = check_whole("count", count, least=2)
    widest = check_number("widest", widest)
    rng = scene.rng(1)
    depth = scene.depth[0]
    far_plane, near_plane = (float(q) for q in np.quantile(depth, (0.02, 0.98)))
    planes = np.linspace(near_plane, far_plane, count)
    lens = _Lens(scene, widest / max(near_plane - far_plane, _FLAT), widest, True)
    frames = [scene.camera.photograph(rng, lens.seen(plane)) for plane in planes]
    nearest = np.abs(depth[None] - planes[:, None, None]).argmin(axis=0)
    return frames, scene.camera.develop(lens.seen(*planes)), nearest


class _Lens:
    """A wide open lens before a scene: `strength` is the radius of its blur a unit of depth."""

    def __init__(self, scene: Scene, strength: float, widest: float, disc: bool) -> None:
        self.scene, self.strength, self.widest = scene, strength, widest
        light = scene.shade
        lit = [
            layer.albedo * np.where(layer.own, light, spread(light, layer.own))
            if layer.own.any()
            else layer.albedo * light
            for layer in scene.layers
        ]
        self.blurred = [
            _Blurred(np.concatenate([colour, layer.alpha[None]]), widest, disc)
            for colour, layer in zip(lit, scene.layers, strict=True)
        ]

    def seen(self, *planes: float) -> Floats:
        """Linear light, every layer as sharp as with the lens focused on the best plane for it."""
        out = np.zeros_like(self.scene.shade)
        for layer, stack in zip(self.scene.layers, self.blurred, strict=True):
            away = np.min([np.abs(layer.depth - plane) for plane in planes], axis=0)
            radius = np.minimum(np.float32(self.strength) * away, self.widest * 1.5)
            above = stack.at(radius, layer.alpha > 0)
            out = above[:3] + (1 - above[3]) * out
        return out


class _Blurred:
    """Planes (C, H, W) blurred by kernels of any radius; each is transformed once."""

    def __init__(self, planes: Floats, widest: float, disc: bool) -> None:
        self.planes = planes
        self.disc = disc
        self.margin = math.ceil(1.5 * widest * (1 if disc else 1.5)) + 2
        pad = [(0, 0), (self.margin, self.margin), (self.margin, self.margin)]
        self.padded = np.pad(planes, pad, mode="edge")
        self.sizes = [scipy.fft.next_fast_len(n, real=True) for n in self.padded.shape[1:]]
        self.spectrum: NDArray[np.complex64] | None = None

    def at(self, radius: Floats, where: NDArray[np.bool_]) -> Floats:
        """Blur by a radius that varies slowly over the image, (H, W)."""
        used = radius[where]
        low, high = (float(used.min()), float(used.max())) if used.size else (0.0, 0.0)
        # A pixel apart at most: between them two blurs may be mixed.
        count = max(math.ceil(high - low), 1) + 1 if high - low > 0.1 else 1
        levels = np.linspace(low, high, count)
        if count == 1:
            return self._blur(0.5 * (low + high))
        place = np.clip((radius - low) * np.float32((count - 1) / (high - low)), 0, count - 1)
        out = np.zeros_like(self.planes)
        for i, level in enumerate(levels):
            out += np.maximum(1 - np.abs(place - np.float32(i)), 0) * self._blur(float(level))
        return out

    def _blur(self, radius: float) -> Floats:
        if radius < _SHARP:
            return self.planes
        if self.spectrum is None:
            self.spectrum = scipy.fft.rfft2(self.padded, s=self.sizes)
        reach = self.margin
        away = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]).astype(np.float32)
        # A Gaussian with the second moment of the disc.
        disc = np.clip(radius + 0.5 - away, 0, 1)
        kernel = disc if self.disc else np.exp(-((away / radius) ** 2) * np.float32(2))
        kernel = (kernel / kernel.sum()).astype(np.float32)
        product = self.spectrum * scipy.fft.rfft2(kernel, s=self.sizes)
        full = scipy.fft.irfft2(product, s=self.sizes)
        _, rows, columns = self.planes.shape
        start = 2 * reach  # the padding, and the kernel's own centre
        out: Floats = full[:, start : start + rows, start : start + columns]
        return out
