"""Light on a surface that is known by its height."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.ndimage

from ..types import Floats

__all__ = ["Lamp", "light_field", "random_lamp", "smooth_field"]


@dataclass(frozen=True, eq=False)
class Lamp:
    """A distant light and the sky around it."""

    direction: tuple[float, float, float]
    """Unit vector to the light: rows, columns, towards the viewer."""
    colour: Floats
    """Colour of the light, (3, 1, 1)."""
    sky: Floats
    """Colour of the light that comes from everywhere, (3, 1, 1)."""
    shadow: float
    """How dark a cast shadow is: 0 none, 1 only the sky's light."""
    occlusion: float
    """How much the sky's light is kept from what lies deep beside something near."""
    gloss: float
    """Strength of highlights on glossy materials."""


def random_lamp(rng: np.random.Generator) -> Lamp:
    """Draw a lamp: between a clear sky with a low sun and an overcast one."""
    turn, height = rng.uniform(0, 2 * math.pi), rng.uniform(0.5, 1.3)
    flat = math.cos(height)
    direction = (flat * math.sin(turn), flat * math.cos(turn), math.sin(height))
    warmth = rng.normal(0.0, 0.15)
    share = rng.uniform(0.3, 0.85)
    colour = np.array([math.exp(warmth), 1.0, math.exp(-warmth)]) * share
    sky = np.array([math.exp(-0.5 * warmth), 1.0, math.exp(0.5 * warmth)]) * (1 - share)
    return Lamp(
        direction,
        colour.astype(np.float32)[:, None, None],
        sky.astype(np.float32)[:, None, None],
        shadow=float(rng.uniform(0.3, 1.0)),
        occlusion=float(rng.uniform(0.2, 0.9)),
        gloss=float(rng.uniform(0.2, 0.8)),
    )


def light_field(
    height: Floats, slopes: Floats, gloss: Floats, lamp: Lamp, unit: float
) -> tuple[Floats, Floats]:
    """Light that a surface sends to the viewer for a reflectance of one, and its highlights.

    Parameters
    ----------
    height : array (H, W)
        Towards the viewer, in pixels, steps included: they cast the shadows.
    slopes : array (2, H, W)
        Derivatives of the height along rows and columns within each surface: they give the shading.
    gloss : array (H, W)
        Gloss of the material.
    lamp : Lamp
    unit : float
        Pixels of the shorter side of the photograph of which this is a part.

    Returns
    -------
    diffuse : array (3, H, W)
        To be multiplied by the reflectance.
    highlights : array (3, H, W)
        To be added.
    """
    dy, dx, dz = (np.float32(d) for d in lamp.direction)
    norm = 1 / np.sqrt(1 + slopes[0] ** 2 + slopes[1] ** 2)
    facing = np.maximum((dz - dy * slopes[0] - dx * slopes[1]) * norm, 0)
    if lamp.shadow:
        facing = facing * (1 - np.float32(lamp.shadow) * _shadow(height, lamp.direction, unit))
    sky = (0.5 + 0.5 * norm) * (1 - np.float32(lamp.occlusion) * _hidden(height, unit))
    diffuse = lamp.colour * facing + lamp.sky * sky
    # Blinn's half-way vector between lamp and viewer, who stands 1.5 units away: a plane
    # mirrors the lamp in one place, not all over.
    rows, columns = height.shape
    side = np.float32(1.5 * unit)
    view_y = (0.5 * (rows - 1) - np.arange(rows, dtype=np.float32)[:, None]) / side
    view_x = (0.5 * (columns - 1) - np.arange(columns, dtype=np.float32)[None, :]) / side
    half_y, half_x, half_z = dy + view_y, dx + view_x, dz + np.float32(1)
    length = np.sqrt(half_y**2 + half_x**2 + half_z**2)
    glance = (half_z - half_y * slopes[0] - half_x * slopes[1]) * norm / length
    glance = np.maximum(glance, 0)
    lobe = np.float32(lamp.gloss) * gloss * glance**40 * (facing > 0)
    return diffuse, lamp.colour * lobe


def _shadow(height: Floats, direction: tuple[float, float, float], unit: float) -> Floats:
    """Share of the light that something nearer to the viewer keeps off, (H, W), soft at its rim."""
    dy, dx, dz = direction
    flat = math.hypot(dy, dx)
    if flat < 0.05:
        return np.zeros_like(height)
    climb = dz / flat
    reach = min(float(np.ptp(height)) / max(climb, 0.1), 0.25 * unit)
    rows, columns = height.shape
    clear = np.zeros_like(height)
    margin = math.ceil(reach) + 1
    around = np.pad(height, margin, mode="edge")
    # Far from what throws it a shadow is softer than the steps are wide.
    step = 1.0
    while step < reach:
        i, j = margin + round(step * dy / flat), margin + round(step * dx / flat)
        above = around[i : i + rows, j : j + columns] - height
        above -= np.float32(step * climb)
        np.maximum(clear, above, out=clear)
        step += max(1.5, 0.04 * step)
    # Grazing light is kept off by less than a pixel of height: no shadow, or slopes would speckle.
    hard = np.clip(clear - np.float32(0.5), 0, 1)
    out: Floats = scipy.ndimage.uniform_filter(hard, 3, mode="nearest")
    return out


def _hidden(height: Floats, unit: float) -> Floats:
    """0 in the open, up to 1 in corners and at the foot of what stands before it, (H, W)."""
    total = np.zeros_like(height)
    for share in (0.02, 0.06):
        width = 2 * max(round(share * unit), 1) + 1
        mean = scipy.ndimage.uniform_filter(height, width, mode="nearest")
        mean = scipy.ndimage.uniform_filter(mean, width, mode="nearest")
        total += np.clip((mean - height) / np.float32(width), 0, 1)
    out: Floats = np.minimum(total, 1)
    return out


def smooth_field(rng: np.random.Generator, shape: tuple[int, int], unit: float) -> Floats:
    """A random smooth function from -1 to 1: one or two waves over a length of `unit` pixels."""
    y = np.arange(shape[0], dtype=np.float32)[:, None] / np.float32(unit)
    x = np.arange(shape[1], dtype=np.float32)[None, :] / np.float32(unit)
    total = np.zeros(shape, np.float32)
    for _ in range(3):
        fy, fx, phase = rng.normal(0, 2.5), rng.normal(0, 2.5), rng.uniform(0, 2 * math.pi)
        total += np.sin(np.float32(fy) * y + np.float32(fx) * x + np.float32(phase))
    return total / 3
