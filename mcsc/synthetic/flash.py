"""Pairs lit by the room, and by a flash on the camera."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..types import Floats
from .camera import Camera, exposure
from .lighting import Lamp, random_lamp, smooth_field
from .scene import Scene

__all__ = ["developed", "flash_pair"]

# Share of ambient photographs that are softer than the lens makes them, and by what: standard
# deviation of a Gaussian, in pixels. A network that has seen none gives an ambient photograph all
# detail that the flash shows: blurred by 1 pixel, such scenes took it from 0.9 dB before the
# authors' weights, which were trained on photographs, to 1.0 dB behind them (noise of 50).
_UNSTEADY, _SHAKE = 2 / 3, (0.3, 1.5)


def flash_pair(scene: Scene) -> tuple[Floats, Floats]:
    """Photograph a scene by its dim ambient light, then with a flash on the camera.

    Parameters
    ----------
    scene : Scene
        As `make_scene` makes it.

    Returns
    -------
    ambient, flash : arrays (3, H, W), in [0, 1]
        Ambient light comes from aside, is coloured and uneven; the flash is white, comes from
        beside the lens, falls off with the square of distance, is mirrored by glossy materials and
        throws narrow shadows of its own. Each is exposed for its light, often with burnt-out parts,
        and taken by one camera: as soft as its lens, with a little noise, half of them compressed.
        In two of three pairs the ambient photograph is softer than that: so little light asks for a
        long exposure, which the hand does not hold still, or for a wide aperture.
    """
    rng = scene.rng(3)
    lamp = random_lamp(rng)
    tint = np.exp(np.array([1.0, 0.2, -1.0]) * rng.uniform(-0.15, 0.5)).astype(np.float32)
    diffuse, highlights = scene.lit(lamp)
    uneven = np.exp(np.float32(rng.uniform(0.2, 1.2)) * smooth_field(rng, scene.shape, scene.unit))
    ambient = (scene.albedo * diffuse + highlights) * uneven * tint[:, None, None]

    side = rng.uniform(0, 2 * math.pi)
    lean = rng.uniform(0.12, 0.5)
    on_camera = Lamp(
        (lean * math.sin(side), lean * math.cos(side), math.sqrt(1 - lean**2)),
        np.exp(rng.normal(0, 0.06, (3, 1, 1))).astype(np.float32) * np.float32(0.95),
        np.full((3, 1, 1), 0.05, np.float32),
        shadow=float(rng.uniform(0.7, 1.0)),
        occlusion=0.0,
        gloss=float(rng.uniform(0.5, 1.5)),
    )
    diffuse, highlights = scene.lit(on_camera)
    farthest = rng.uniform(1.5, 5.0)  # over the nearest distance
    distance = farthest / (1 + (np.float32(farthest) - 1) * scene.depth[0])
    lit = (scene.albedo * diffuse + highlights) / distance**2
    # The flash does not put out the room's light.
    flash = lit + np.float32(rng.uniform(0.02, 0.25)) * ambient * np.float32(lit.mean()) / max(
        float(ambient.mean()), 1e-6
    )
    return developed(rng, ambient, flash, scene.camera)


def developed(
    rng: np.random.Generator, ambient: Floats, flash: Floats, camera: Camera
) -> tuple[Floats, Floats]:
    """Photograph linear light (3, H, W) of a room and of a flash, each exposed for itself."""
    quality = int(rng.integers(85, 99)) if rng.random() < 0.5 else 0
    softness = camera.softness * np.exp(rng.normal(0, 0.15, 2))
    gains = np.exp(rng.normal((0.15, 0.2), 0.4)).astype(np.float32)
    if rng.random() < _UNSTEADY:
        softness[0] = math.hypot(softness[0], rng.uniform(*_SHAKE))
    cameras = [replace(camera, softness=float(s), quality=quality) for s in softness]
    return (
        cameras[0].photograph(rng, ambient * exposure(ambient) * gains[0]),
        cameras[1].photograph(rng, flash * exposure(flash) * gains[1]),
    )
