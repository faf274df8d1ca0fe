"""Pairs of exposures, too long and too short, of scenes whose radiance is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..baselines.exposure import exposure_fusion
from ..types import Floats
from .camera import Camera
from .lighting import random_lamp, smooth_field
from .scene import Scene

__all__ = ["bracket", "exposure_pair"]


def exposure_pair(scene: Scene) -> tuple[Floats, Floats, Floats]:
    """Photograph a scene of high contrast twice, too long and too short.

    Parameters
    ----------
    scene : Scene
        As `make_scene` makes it.

    Returns
    -------
    over, under, target : arrays (3, H, W), in [0, 1]
        As `bracket` returns them; the light is that of an interior with a window: about 6 to 11
        stops.
    """
    rng = scene.rng(2)
    return bracket(rng, _contrasty(scene, rng), scene.camera)


def bracket(
    rng: np.random.Generator, radiance: Floats, camera: Camera
) -> tuple[Floats, Floats, Floats]:
    """Expose true radiance twice, too long and too short.

    Parameters
    ----------
    rng : Generator
    radiance : array (3, H, W)
        Linear light of any range, above 0.
    camera : Camera
        How soft and noisy; half of the pairs are compressed as JPEG besides.

    Returns
    -------
    over, under : arrays (3, H, W), in [0, 1]
        With one response curve; over-exposed, its highlights are clipped to 1, and under-exposed,
        its shadows are dark and coarse, since both are rounded to 8 bits: from a useful photograph
        to one that is nearly black.
    target : array (3, H, W), in [0, 1]
        Well exposed everywhere: the whole series of exposures from one to the other, a stop apart
        and without noise, fused (Mertens et al., 2009; `mcsc.baselines.exposure.exposure_fusion`).
        It shows what is lost in both, which a network can only guess, and between them no contrast
        that no photograph has: with a tone-mapped target instead, networks learned gradients of
        their own.
    """
    camera = replace(
        camera,
        noise=0.4 * camera.noise,  # the light of tripods; and pictures reduced from larger ones
        gamma=float(rng.uniform(1.9, 2.5)),
        contrast=float(rng.uniform(0.0, 0.4)),
        quality=int(rng.integers(75, 98)) if rng.random() < 0.5 else 0,
    )
    brightest = radiance.max(axis=0)
    # Short enough for the highlights, or up to five stops shorter: photographers bracket in whole
    # stops, and the darkest of a series shows next to nothing of the shadows.
    short = rng.uniform(0.7, 1.0) / float(np.quantile(brightest, 0.995))
    short *= 2.0 ** -(5.0 * rng.beta(1.2, 1.4))
    # Long enough for the shadows: up to three quarters are burnt out.
    long = 1.0 / float(np.quantile(brightest, 1 - rng.uniform(0.1, 0.75)))
    long = float(np.clip(long, 4 * short, 1024 * short))
    stops = max(round(math.log2(long / short)), 2)
    series = [
        camera.develop(radiance * np.float32(short * (long / short) ** (i / stops)))
        for i in range(stops + 1)
    ]
    over, under = (camera.photograph(rng, radiance * np.float32(gain)) for gain in (long, short))
    return over, under, np.clip(exposure_fusion(series), 0, 1).astype(np.float32)


def _contrasty(scene: Scene, rng: np.random.Generator) -> Floats:
    """Linear light with the range of an interior with a window."""
    lamp = random_lamp(rng)
    diffuse, highlights = scene.lit(lamp)
    stops = np.float32(rng.uniform(1.0, 2.0)) * smooth_field(rng, scene.shape, scene.unit)
    if rng.random() < 0.6:  # what stands behind is outdoors
        edge = np.quantile(scene.depth, rng.uniform(0.2, 0.5))
        outside = np.clip((np.float32(edge) - scene.depth[0]) / np.float32(0.01) + 0.5, 0, 1)
        stops = stops + np.float32(rng.uniform(2.0, 4.0)) * outside
    light = np.exp2(stops)
    out: Floats = (scene.albedo * diffuse + highlights) * light + np.float32(1e-4)
    return out
