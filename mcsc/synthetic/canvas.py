"""Objects painted from back to front, and the layers of depth that they make."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from ..types import Floats
from .shapes import Outline, bar, random_outline, random_radii
from .textures import Material

__all__ = ["RELIEF", "Canvas", "Layer", "Start", "flatten", "plan", "railing", "spread"]

RELIEF = 0.45
"""Height of a scene over its unit of length: how deep the box is that it fills."""

_LAYERS = 7
_MOST_OBJECTS = 400
_THICKETS = 0.3
# Depth over which one surface dives under another, so that they meet in a smooth line.
_CONTACT = 0.006
# Scenes with a railing, wires or poles before everything else.
_RAILINGS = 0.2
# A surface no deeper than this, over its unit of inverse depth, is one to a quantised depth map.
_CLUSTER = 0.02


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


@dataclass(frozen=True)
class Start:
    """Where an object is to be painted."""

    centre: tuple[float, float]
    radius: float
    depth: float
    material: int
    turn: float | None = None
    """Angle of a leaf, in radians; None for anything else."""
    outline: Outline | None = None
    """Outline of the leaf; None for a random one."""


class Canvas:
    """What is being painted, seen from the front, and the layers that it is made of.

    Parameters
    ----------
    shape : (height, width)
        In pixels.
    unit : float
        Pixels of the length that sizes are relative to: the shorter side of the photograph of which
        this is a part.
    materials : list of Material
    layered : bool
        Keep the layers, which takes much memory.
    """

    def __init__(
        self, shape: tuple[int, int], unit: float, materials: list[Material], *, layered: bool
    ) -> None:
        self.shape, self.unit, self.materials, self.layered = shape, unit, materials, layered
        self.relief = np.float32(RELIEF * unit)
        self.depth = np.zeros(shape, np.float32)
        self.slopes = np.zeros((2, *shape), np.float32)
        self.material = np.zeros(shape, np.int32)
        self.object = np.zeros(shape, np.int32)
        self.layer = np.zeros(shape, np.int32)
        self.seen = np.zeros((3, *shape), np.float32)
        kept = _LAYERS if layered else 0
        self.albedos = np.zeros((kept, 3, *shape), np.float32)
        self.alphas = np.zeros((kept, *shape), np.float32)
        self.depths = np.zeros((kept, *shape), np.float32)
        self.count = 0

    def background(self, rng: np.random.Generator) -> None:
        """A wall, and in most scenes a floor and a second wall that meet it."""
        # From 0 to 1 over the photograph, of which this is some part.
        y, x = (
            (np.arange(n, dtype=np.float32) + np.float32(rng.uniform(0, max(self.unit - n, 0))))
            / np.float32(max(self.unit, n))
            for n in self.shape
        )
        y, x = y[:, None], x[None, :]
        a, b = rng.normal(0, 0.12, 2)
        planes: list[Any] = [rng.uniform(0.02, 0.2) + a * (x - 0.5) + b * (y - 0.5)]
        if rng.random() < 0.6:
            planes.append((y - rng.uniform(0.3, 0.7)) * rng.uniform(0.5, 1.3) + 0.15)
        if rng.random() < 0.3:
            far = x if rng.random() < 0.5 else 1 - x
            planes.append((far - rng.uniform(0.4, 0.9)) * rng.uniform(0.5, 1.2) + 0.15)
        surfaces = np.stack([np.broadcast_to(p, self.shape) for p in planes]).astype(np.float32)
        first = surfaces.argmax(axis=0)
        chosen = rng.choice(len(self.materials), len(planes), replace=False)
        everywhere = (slice(0, self.shape[0]), slice(0, self.shape[1]))
        for i, (surface, number) in enumerate(zip(surfaces, chosen, strict=True)):
            piece = self.materials[number].cut(rng, *self.shape)
            covered = (first == i).astype(np.float32)
            self._put(everywhere, covered, np.maximum(surface, 0), piece, int(number), 0)
            self.count += 1

    def paint(self, rng: np.random.Generator, start: Start) -> None:
        """Lay an object over what is there."""
        outline = start.outline or random_outline(rng, start.centre, start.radius, start.turn)
        box = outline.box(self.shape)
        number = start.material
        inside = outline.distance(box)
        if inside.size == 0 or inside.max() < 0.5:
            return
        covered = np.clip(inside + np.float32(0.5), 0, 1)
        surface = _surface(rng, inside, box, start, self.unit)
        piece = self.materials[number].cut(rng, *inside.shape)
        if rng.random() < 0.1:  # camouflage
            row, column = (
                min(max(int(c), 0), n - 1) for c, n in zip(start.centre, self.shape, strict=True)
            )
            number = int(self.material[row, column])
            piece = self.seen[:, box[0], box[1]].copy()
        covered *= np.clip(0.5 + (surface - self.depth[box]) / np.float32(_CONTACT), 0, 1)
        layer = min(max(int(start.depth * _LAYERS), 0), _LAYERS - 1)
        self._put(box, covered, surface, piece, number, layer)
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
        self.material[box][solid] = number
        self.object[box][solid] = self.count
        self.layer[box][solid] = layer
        # An object cut to one row by the border has no derivative across it.
        if min(surface.shape) > 1:
            relief = surface * self.relief
            if bump := self.materials[number].bump:
                relief += piece.mean(axis=0) * np.float32(bump)
            for axis in (0, 1):
                tilt = np.gradient(relief, axis=axis)
                np.copyto(self.slopes[axis, rows, columns], tilt, where=solid)
        targets = [self.seen]
        if self.layered:
            np.copyto(self.depths[layer][box], surface, where=solid)
            targets.append(self.albedos[layer])
            alpha = self.alphas[layer][box]
            alpha += covered * (1 - alpha)
        for target in targets:
            part = target[:, rows, columns]
            part += covered * (piece - part)

    def layers(self) -> tuple[Layer, ...]:
        """Return the layers that hold something, from back to front."""
        out = []
        for i in range(len(self.alphas)):
            solid = self.alphas[i] > 0.5
            if solid.any():
                depth = spread(self.depths[i][None], solid)[0]
                out.append(Layer(self.albedos[i], self.alphas[i], depth, self.layer == i))
        return tuple(out)


def _surface(
    rng: np.random.Generator,
    inside: Floats,
    box: tuple[slice, slice],
    start: Start,
    unit: float,
) -> Floats:
    """Inverse depth of an object: a slanted plane, a pillow, a roller or a roof."""
    y = np.arange(box[0].start, box[0].stop, dtype=np.float32)[:, None]
    x = np.arange(box[1].start, box[1].stop, dtype=np.float32)[None, :]
    y, x = y - np.float32(start.centre[0]), x - np.float32(start.centre[1])
    tilt = rng.normal(0, 0.2, 2) / unit
    surface = np.float32(start.depth) + np.float32(tilt[0]) * y + np.float32(tilt[1]) * x
    kind = rng.random()
    radius = start.radius
    height = rng.uniform(0.2, 1.0) * min(radius / (RELIEF * unit), 0.35)
    if kind < 0.4:
        # A pillow of that shape: a quarter of a circle up from the rim.
        reach = np.float32(radius * rng.uniform(0.3, 0.8))
        rise = 1 - np.clip(inside / reach, 0, 1)
        surface = surface + np.float32(height) * (np.sqrt(1 - rise**2) - np.float32(0.5))
    elif kind < 0.65:
        turn = rng.uniform(0, math.pi)
        across = (np.float32(math.cos(turn)) * y + np.float32(math.sin(turn)) * x) / radius
        if kind < 0.55:
            surface = surface + np.float32(height) * np.sqrt(np.maximum(1 - across**2, 0))
        else:
            surface = surface - np.float32(height) * np.abs(across - np.float32(rng.normal(0, 0.3)))
    out: Floats = np.clip(surface, 0, 1)
    return out


def plan(
    rng: np.random.Generator, shape: tuple[int, int], unit: float, back: Floats, materials: int
) -> list[Start]:
    """Choose the objects of a canvas, farthest first; `back` is the background's depth."""
    largest = 0.5 * unit
    # A thicket: leaves on leaves at any depth. Elsewhere things are larger, and most lie on others.
    thicket = rng.random() < _THICKETS
    exponent, covered, standing = (
        (rng.uniform(1.2, 2.0), rng.uniform(0.5, 1.5), rng.uniform(0.5, 1.0))
        if thicket
        else (rng.uniform(1.2, 2.6), rng.uniform(0.4, 1.6), rng.uniform(0.15, 0.7))
    )
    radii = random_radii(rng, _MOST_OBJECTS, max(0.01 * unit, 2.5), largest, exponent)
    # Centres lie beyond the borders too, as far as objects reach.
    sides = np.array(shape) + largest
    wanted = covered * float(sides.prod())
    radii = radii[: int(np.searchsorted(np.cumsum(1.7 * radii**2), wanted)) + 1]
    count = len(radii)
    centres = rng.random((count, 2)) * sides - 0.5 * largest
    clusters = rng.random((math.ceil(4 * sides.prod() / unit**2), 2)) * sides - 0.5 * largest
    # Leaves and stones lie together; large things stand anywhere.
    together = (rng.random(count) < 0.5) & (radii < 0.1 * unit)
    home = clusters[rng.integers(len(clusters), size=count)]
    centres[together] = (home + rng.normal(0, 0.13 * unit, (count, 2)))[together]
    places = np.clip(centres, 0, np.array(shape) - 1).astype(int)
    behind = back[places[:, 0], places[:, 1]]
    leaning = behind + rng.exponential(0.06, count) + 0.5 * rng.random(count) * radii / unit
    free = rng.random(count) < standing
    depths = np.where(free, rng.uniform(0.08, 0.97, count), np.minimum(leaning, 0.97))
    found = []
    for (y, x), r, d in zip(centres, radii, depths, strict=True):
        start = Start((float(y), float(x)), float(r), float(d), int(rng.integers(materials)))
        if rng.random() < (0.8 if thicket else 0.08):
            found += _fan(rng, start)
        else:
            found += [start, *_parts(rng, start, unit, materials)]
    return sorted(found, key=lambda start: start.depth)


def _parts(rng: np.random.Generator, start: Start, unit: float, materials: int) -> list[Start]:
    """Limbs, heads and handles: smaller things at the rim of a large one, hardly nearer."""
    if start.radius < 0.06 * unit or rng.random() < 0.6:
        return []
    out = []
    for _ in range(int(rng.integers(2, 7))):
        turn, away = rng.uniform(0, 2 * math.pi), start.radius * rng.uniform(0.4, 1.0)
        centre = start.centre[0] + away * math.sin(turn), start.centre[1] + away * math.cos(turn)
        depth = float(np.clip(start.depth + rng.normal(0.01, _CLUSTER), 0.02, 0.98))
        material = start.material if rng.random() < 0.6 else int(rng.integers(materials))
        out.append(Start(centre, start.radius * rng.uniform(0.2, 0.55), depth, material))
    return out


def _fan(rng: np.random.Generator, start: Start) -> list[Start]:
    """Leaves from one place, half or all the way round."""
    first, around = rng.uniform(0, 2 * math.pi), rng.uniform(0.5, 2.0) * math.pi
    out = []
    for _ in range(int(rng.integers(3, 10))):
        turn = first + around * rng.random()
        length = start.radius * rng.uniform(0.5, 1.0)
        centre = (
            start.centre[0] + 0.9 * length * math.sin(turn),
            start.centre[1] + 0.9 * length * math.cos(turn),
        )
        depth = float(np.clip(start.depth + rng.normal(0, 1.5 * _CLUSTER), 0.02, 0.98))
        out.append(Start(centre, max(length, 2.5), depth, start.material, turn))
    return out


def railing(
    rng: np.random.Generator, shape: tuple[int, int], unit: float, materials: int
) -> list[Start]:
    """Choose thin things far before all else: one wire or pole, or several side by side.

    They have nearly the whole range of depth on both of their sides, which nothing else in a
    scene has: a network that never saw them may answer with anything at all.
    """
    if rng.random() >= _RAILINGS:
        return []
    turn = float(rng.choice([0.0, 0.5]) * math.pi + rng.normal(0, 0.1))
    if rng.random() < 0.4:
        turn = float(rng.uniform(0, math.pi))
    count = int(rng.choice([1, 2, 3, int(rng.integers(4, 13))]))
    width = float(np.exp(rng.uniform(math.log(1.0), math.log(max(0.025 * unit, 4.0)))))
    spacing = width * float(rng.uniform(1.6, 8.0))
    depth, material = float(rng.uniform(0.5, 0.98)), int(rng.integers(materials))
    half = float(rng.uniform(0.2, 1.2)) * unit
    middle = rng.random(2) * shape
    across = np.array([math.cos(turn), -math.sin(turn)])
    bend = float(rng.normal(0, 0.03))
    out = []
    for i in range(count):
        y, x = middle + (i - 0.5 * (count - 1)) * spacing * across
        outline = bar((float(y), float(x)), half, width, turn + float(rng.normal(0, 0.01)), bend)
        out.append(Start(outline.centre, half, depth, material, outline=outline))
    return out


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
