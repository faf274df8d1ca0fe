"""Objects painted from back to front, and the layers of depth that they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from ..types import Floats
from .shapes import random_outline, random_radii
from .textures import Material

__all__ = ["RELIEF", "Canvas", "Layer", "flatten", "plan", "spread"]

RELIEF = 0.45
"""Height of a scene in shorter sides of the image: how deep the box is that it fills."""

_LAYERS = 7
_MOST_OBJECTS = 220
# Depth over which one surface dives under another, so that they meet in a smooth line.
_CONTACT = 0.006


@dataclass(frozen=True, eq=False)
class Layer:
    """The objects of one range of depth, complete behind whatever hides them."""

    albedo: Floats
    """Reflectance times coverage, (3, H, W)."""
    alpha: Floats
    """Coverage, 1 where it lets nothing of the farther layers through, (H, W)."""
    depth: Floats
    """Inverse depth, (H, W); continued smoothly beyond the coverage."""
    own: NDArray[np.bool_]
    """Where the viewer sees this layer, (H, W)."""


class Canvas:
    """What is being painted, seen from the front, and the layers that it is made of."""

    def __init__(self, shape: tuple[int, int], materials: list[Material]) -> None:
        self.shape = shape
        self.materials = materials
        self.relief = np.float32(RELIEF * min(shape))
        self.depth = np.zeros(shape, np.float32)
        self.slopes = np.zeros((2, *shape), np.float32)
        self.material = np.zeros(shape, np.int32)
        self.object = np.zeros(shape, np.int32)
        self.layer = np.zeros(shape, np.int32)
        self.seen = np.zeros((3, *shape), np.float32)
        self.albedos = np.zeros((_LAYERS, 3, *shape), np.float32)
        self.alphas = np.zeros((_LAYERS, *shape), np.float32)
        self.depths = np.zeros((_LAYERS, *shape), np.float32)
        self.count = 0

    def background(self, rng: np.random.Generator) -> None:
        """A wall, and in most scenes a floor and a second wall that meet it."""
        y = np.linspace(0, 1, self.shape[0], dtype=np.float32)[:, None]
        x = np.linspace(0, 1, self.shape[1], dtype=np.float32)[None, :]
        a, b = rng.normal(0, 0.12, 2)
        planes: list[Any] = [rng.uniform(0.02, 0.2) + a * (x - 0.5) + b * (y - 0.5)]
        if rng.random() < 0.6:
            planes.append((y - rng.uniform(0.3, 0.7)) * rng.uniform(0.7, 1.3) + 0.15)
        if rng.random() < 0.3:
            far = x if rng.random() < 0.5 else 1 - x
            planes.append((far - rng.uniform(0.4, 0.9)) * rng.uniform(0.5, 1.2) + 0.15)
        surfaces = np.stack([np.broadcast_to(p, self.shape) for p in planes]).astype(np.float32)
        first = surfaces.argmax(axis=0)
        chosen = rng.choice(len(self.materials), len(planes), replace=False)
        everywhere = (slice(None), slice(None))
        for i, (surface, number) in enumerate(zip(surfaces, chosen, strict=True)):
            material = self.materials[number]
            self._put(
                everywhere,
                (first == i).astype(np.float32),
                np.maximum(surface, 0),
                material.cut(rng, *self.shape),
                int(number),
                0,
            )
            self.count += 1

    def paint(
        self, rng: np.random.Generator, centre: tuple[float, float], radius: float, depth: float
    ) -> None:
        """Lay an object over what is there."""
        outline = random_outline(rng, centre, radius)
        box = outline.box(self.shape)
        number = int(rng.integers(len(self.materials)))
        inside = outline.distance(box)
        if inside.size == 0 or inside.max() < 0.5:
            return
        covered = np.clip(inside + np.float32(0.5), 0, 1)
        surface = _surface(rng, inside, box, centre, radius, depth, min(self.shape))
        piece = self.materials[number].cut(rng, *inside.shape)
        if rng.random() < 0.15 and radius < 0.2 * min(self.shape):  # camouflage
            row, column = (
                min(max(int(c), 0), n - 1) for c, n in zip(centre, self.shape, strict=True)
            )
            number = int(self.material[row, column])
            piece = self.seen[:, box[0], box[1]].copy()
        covered *= np.clip(0.5 + (surface - self.depth[box]) / np.float32(_CONTACT), 0, 1)
        self._put(box, covered, surface, piece, number, min(int(depth * _LAYERS), _LAYERS - 1))
        self.count += 1

    def _put(
        self,
        box: tuple[slice, slice],
        covered: Floats,
        surface: Floats,
        piece: Floats,
        number: int,
        layer: int,
    ) -> None:
        solid = covered > 0.5
        rows, columns = box
        np.copyto(self.depth[box], surface, where=solid)
        np.copyto(self.depths[layer][box], surface, where=solid)
        self.material[box][solid] = number
        self.object[box][solid] = self.count
        self.layer[box][solid] = layer
        # An object cut to one row by the border has no derivative across it.
        tilt: Any = np.zeros((2, *surface.shape), np.float32)
        bump = np.float32(self.materials[number].bump)
        if min(surface.shape) > 1:
            tilt += np.asarray(np.gradient(surface)) * self.relief
            tilt += np.asarray(np.gradient(piece.mean(axis=0))) * bump
        np.copyto(self.slopes[:, rows, columns], tilt, where=solid)
        for target in (self.seen, self.albedos[layer]):
            part = target[:, rows, columns]
            part += covered * (piece - part)
        alpha = self.alphas[layer][box]
        alpha += covered * (1 - alpha)

    def layers(self) -> tuple[Layer, ...]:
        """Return the layers that hold something, from back to front."""
        out = []
        for i in range(_LAYERS):
            solid = self.alphas[i] > 0.5
            if solid.any():
                depth = spread(self.depths[i][None], solid)[0]
                out.append(Layer(self.albedos[i], self.alphas[i], depth, self.layer == i))
        return tuple(out)


def _surface(
    rng: np.random.Generator,
    inside: Floats,
    box: tuple[slice, slice],
    centre: tuple[float, float],
    radius: float,
    depth: float,
    side: int,
) -> Floats:
    """Inverse depth of an object: a slanted plane, and in half of them a bulge."""
    y = np.arange(box[0].start, box[0].stop, dtype=np.float32)[:, None] - np.float32(centre[0])
    x = np.arange(box[1].start, box[1].stop, dtype=np.float32)[None, :] - np.float32(centre[1])
    tilt = rng.normal(0, 0.25, 2) / side
    surface = np.float32(depth) + np.float32(tilt[0]) * y + np.float32(tilt[1]) * x
    if rng.random() < 0.5:
        # A pillow of that shape: a quarter of a circle up from the rim.
        reach = np.float32(radius * rng.uniform(0.3, 0.8))
        rise = 1 - np.clip(inside / reach, 0, 1)
        bulge = rng.uniform(0.3, 1.0) * min(radius / (RELIEF * side), 0.35)
        surface = surface + np.float32(bulge) * (np.sqrt(1 - rise**2) - np.float32(0.5))
    out: Floats = np.clip(surface, 0, 1)
    return out


def plan(
    rng: np.random.Generator, shape: tuple[int, int]
) -> list[tuple[tuple[float, float], float, float]]:
    """Centres, radii and depths of the objects, farthest first."""
    side = min(shape)
    radii = random_radii(
        rng, _MOST_OBJECTS, max(0.012 * side, 2.5), 0.42 * side, rng.uniform(1.6, 2.8)
    )
    wanted = rng.uniform(0.7, 2.2) * shape[0] * shape[1]
    count = int(np.searchsorted(np.cumsum(1.7 * radii**2), wanted)) + 1
    radii = radii[:count]
    clusters = rng.random((4, 2)) * shape
    centres = rng.random((len(radii), 2)) * shape
    # Leaves and stones lie together; large things stand anywhere.
    together = (rng.random(len(radii)) < 0.5) & (radii < 0.1 * side)
    home = clusters[rng.integers(len(clusters), size=len(radii))]
    centres[together] = (home + rng.normal(0, 0.13 * side, (len(radii), 2)))[together]
    depths = rng.uniform(0.08, 0.97, len(radii))
    order = np.argsort(depths, kind="stable")
    return [
        ((float(centres[i, 0]), float(centres[i, 1])), float(radii[i]), float(depths[i]))
        for i in order
    ]


def flatten(values: list[Floats], layers: tuple[Layer, ...]) -> Floats:
    """Lay premultiplied layers over one another."""
    out = values[0]
    for value, layer in zip(values[1:], layers[1:], strict=True):
        out = value + (1 - layer.alpha) * out
    return out


def spread(values: Floats, where: NDArray[np.bool_]) -> Floats:
    """Continue values (C, H, W) from where they are known over the whole image, roughly."""
    weight = where.astype(np.float32)
    known = max(float(weight.mean()), 1e-9)
    out = np.empty_like(values)
    width = 2 * max(round(0.02 * min(where.shape)), 2) + 1
    near = scipy.ndimage.uniform_filter(weight, width, mode="nearest")
    reached = near > 0.5 / width**2
    for value, target in zip(values, out, strict=True):
        total = scipy.ndimage.uniform_filter(value * weight, width, mode="nearest")
        target[...] = float((value * weight).mean()) / known
        np.divide(total, near, out=target, where=reached)
        np.copyto(target, value, where=where)
    return out
