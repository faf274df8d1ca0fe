"""Shapes of a made-up world as triangle meshes: every one is made of surfaces of two parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

__all__ = [
    "Shape",
    "bent_strips",
    "blob",
    "box",
    "branches",
    "cone",
    "lathe",
    "lattice",
    "merged",
    "rods",
    "sheet",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Shape:
    """A triangle mesh about the origin, about one unit large, z upwards."""

    vertices: Points
    """(V, 3)"""
    faces: NDArray[np.int64]
    """(F, 3)"""
    places: Points
    """Where in its texture each vertex lies, (V, 2): one unit is the width of the texture."""

    def moved(self, scale: float | Points, turn: Points, to: Points) -> Shape:
        """The shape scaled, turned by a matrix (3, 3), then moved."""
        return Shape((self.vertices * scale) @ turn.T + to, self.faces, self.places)


def merged(shapes: Sequence[Shape]) -> Shape:
    """One mesh of several."""
    starts = np.cumsum([0, *(len(s.vertices) for s in shapes[:-1])])
    return Shape(
        np.concatenate([s.vertices for s in shapes]),
        np.concatenate([s.faces + start for s, start in zip(shapes, starts, strict=True)]),
        np.concatenate([s.places for s in shapes]),
    )


def _surface(points: Points, wide: float = 1.0, high: float = 1.0) -> Shape:
    """A net of points (rows, columns, 3), its texture `wide` along columns, `high` along rows."""
    rows, columns = points.shape[:2]
    v, u = np.mgrid[0 : high : rows * 1j, 0 : wide : columns * 1j]
    first = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    faces = np.concatenate(
        [
            np.stack([first, first + 1, first + columns], 1),
            np.stack([first + 1, first + columns + 1, first + columns], 1),
        ]
    )
    return Shape(points.reshape(-1, 3), faces, np.stack([u.ravel(), v.ravel()], 1))


def _waves(rng: np.random.Generator, at: Points, waves: int, frequency: float) -> Points:
    """A random smooth function of points (..., 3), about -1 to 1."""
    total = np.zeros(at.shape[:-1])
    for _ in range(waves):
        total += np.sin(at @ rng.normal(0, frequency, 3) + rng.uniform(0, 2 * math.pi))
    return total / math.sqrt(waves / 2)


def blob(rng: np.random.Generator, rough: float) -> Shape:
    """A lump, from a ball (rough 0) to a boulder (1)."""
    polar, turn = np.mgrid[0 : math.pi : 49j, 0 : 2 * math.pi : 97j]
    ball = np.stack([np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], -1)
    radius = 1 + 0.22 * min(2 * rough, 1) * _waves(rng, ball, 4, 1.3)
    for octave in range(1, 5):
        radius += 0.3 * rough * 2.0**-octave * _waves(rng, ball, 6, 1.3 * 2**octave)
    return _surface(0.5 * ball * np.maximum(radius, 0.2)[..., None], 2.0, 1.0)


def lathe(rng: np.random.Generator) -> Shape:
    """A thing turned on a lathe: a vase, bottle, bowl, pawn or lamp."""
    height = np.linspace(0, 1, 41)
    knots = rng.integers(3, 8)
    profile = np.interp(height, np.linspace(0, 1, knots), rng.uniform(0.12, 0.5, knots))
    if rng.random() < 0.7:
        profile = np.convolve(np.pad(profile, 4, mode="edge"), np.hanning(11)[1:-1] / 5, "valid")
    turn = np.linspace(0, 2 * math.pi, 65)
    points = np.empty((len(height), len(turn), 3))
    points[..., 0] = profile[:, None] * np.cos(turn)
    points[..., 1] = profile[:, None] * np.sin(turn)
    points[..., 2] = height[:, None] - 0.5
    top = points[-1:] * [0, 0, 1] + np.zeros_like(points[-1:])
    return _surface(np.concatenate([points, top]), 2.0, 1.0)


def cone(rng: np.random.Generator) -> Shape:
    """A cone, pyramid or prism."""
    sides = int(rng.choice([3, 4, 5, 6, 64]))
    turn = np.linspace(0, 2 * math.pi, sides + 1)
    upper = 0.0 if rng.random() < 0.7 else rng.uniform(0.1, 0.45)
    profile = [(0.45, -0.5), (upper, 0.5), *([(0.0, 0.5)] if upper else [])]
    strips = []
    # Few sides are flat, each with corners of its own; many are a round one.
    for ends in np.stack([turn[:-1], turn[1:]], 1) if sides < 9 else [turn]:
        rings = [
            np.stack([r * np.cos(ends), r * np.sin(ends), np.full_like(ends, z)], -1)
            for r, z in profile
        ]
        strips.append(_surface(np.stack(rings)))
    return merged(strips)


def box(sides: Points) -> Shape:
    """A box of the given three sides about the origin."""
    net = np.mgrid[-0.5:0.5:2j, -0.5:0.5:2j].transpose(1, 2, 0)
    walls = []
    for axis in range(3):
        for end in (-0.5, 0.5):
            points = np.insert(net, axis, end, axis=-1) * sides
            others = np.delete(sides, axis)
            walls.append(_surface(points, float(others[1]), float(others[0])))
    return merged(walls)


def sheet(rng: np.random.Generator, wide: float, high: float, bumpy: float, fold: float) -> Shape:
    """A sheet in the plane of x and y, z its relief: a wall, ground, cloth or curtain.

    `bumpy` is the height of hills, `fold` that of folds along y.
    """
    n = 129 if bumpy or fold else 2
    y, x = np.mgrid[-0.5 : 0.5 : n * 1j, -0.5 : 0.5 : n * 1j]
    at = np.stack([x * wide, y * high, np.zeros_like(x)], -1)
    if bumpy:
        size = max(wide, high)
        for octave in range(4):
            at[..., 2] += bumpy * 0.6**octave * _waves(rng, at / size * [1, 1, 0], 4, 4 * 2**octave)
    if fold:
        pleats = rng.uniform(8, 40)
        sway = 0.5 * _waves(rng, at / max(wide, high), 3, 5.0)
        at[..., 2] += fold * np.sin(pleats * x + 3 * sway) * (1 + 0.5 * sway)
    return _surface(at, wide, high)


def _tube(spine: Points, radius: Points, sides: int) -> Shape:
    along = np.gradient(spine, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    aside = np.cross(along, [0.3, 0.5, 0.81])
    aside /= np.maximum(np.linalg.norm(aside, axis=1, keepdims=True), 1e-9)
    third = np.cross(along, aside)
    turn = np.linspace(0, 2 * math.pi, sides + 1)[:, None]
    ring = np.cos(turn) * aside[:, None] + np.sin(turn) * third[:, None]
    length = float(np.linalg.norm(np.diff(spine, axis=0), axis=1).sum())
    return _surface(spine[:, None] + radius[:, None, None] * ring, 0.3, length)


def rods(rng: np.random.Generator, count: int, thickness: float, bend: float) -> Shape:
    """A bunch of rods out of one place: brushes in a jar, reeds, wires, tentacles."""
    found = []
    t = np.linspace(0, 1, 12 if bend else 2)[:, None]
    for _ in range(count):
        foot = np.append(rng.normal(0, 0.06, 2), -0.5)
        way = np.append(rng.normal(0, 0.35, 2), 1.0)
        curl = np.append(rng.normal(0, bend, 2), -abs(rng.normal(0, bend)))
        spine = foot + t * way * rng.uniform(0.7, 1.1) + t**2 * curl
        radius = thickness * rng.uniform(0.5, 1.3) * (1 - rng.uniform(0, 0.9) * t[:, 0])
        found.append(_tube(spine, radius, 8))
    return merged(found)


def branches(rng: np.random.Generator, depth: int = 4, leaves: bool = True) -> Shape:
    """A tree or bush."""
    found: list[Shape] = []

    def grow(foot: Points, way: Points, length: float, thick: float, left: int) -> None:
        t = np.linspace(0, 1, 5)[:, None]
        spine = foot + t * way * length + t**2 * rng.normal(0, 0.12 * length, 3)
        found.append(_tube(spine, thick * (1 - 0.4 * t[:, 0]), 6))
        if not left:
            if leaves:
                found.append(_leaves(rng, spine[-1], 6, 0.07))
            return
        for _ in range(int(rng.integers(2, 4))):
            turned = way + rng.normal(0, 0.55, 3)
            turned /= np.linalg.norm(turned)
            start = spine[int(rng.integers(2, 5))]
            grow(start, turned, length * rng.uniform(0.6, 0.8), 0.6 * thick, left - 1)

    grow(np.array([0, 0, -0.5]), np.array([0, 0, 1.0]), 0.4, rng.uniform(0.02, 0.05), depth)
    return merged(found)


def _strip(foot: Points, way: Points, length: float, width: float, droop: float) -> Shape:
    t = np.linspace(0, 1, 7)[:, None]
    spine = foot + t * way * length + t**2 * np.array([0, 0, -droop * length])
    aside = np.cross(way, [0, 0, 1.0]) + np.array([1e-3, 0, 0])
    aside /= np.linalg.norm(aside)
    shape = (width * np.sin(math.pi * np.clip(0.12 + 0.88 * t, 0, 1)) ** 0.7) * aside
    return _surface(np.stack([spine - shape, spine, spine + shape], 1), 0.15, length)


def _leaves(rng: np.random.Generator, foot: Points, count: int, size: float) -> Shape:
    out = []
    for _ in range(count):
        way = rng.normal(0, 1, 3)
        way /= np.linalg.norm(way)
        out.append(_strip(foot, way, size * rng.uniform(0.6, 1.4), 0.35 * size, 0.3))
    return merged(out)


def bent_strips(rng: np.random.Generator, count: int, width: float, ball: bool) -> Shape:
    """A plant with long leaves, a tuft of grass, or, as a ball, needles and fur."""
    out = []
    for _ in range(count):
        way = rng.normal(0, 1, 3) if ball else np.append(rng.normal(0, 0.6, 2), 1.0)
        way /= np.linalg.norm(way)
        foot = 0.08 * way if ball else np.append(rng.normal(0, 0.08, 2), -0.5)
        length = rng.uniform(0.35, 0.6) if ball else rng.uniform(0.6, 1.2)
        out.append(_strip(foot, way, length, width, 0.0 if ball else rng.uniform(0, 0.6)))
    return merged(out)


def lattice(rng: np.random.Generator) -> Shape:
    """A fence, grid or rack of bars."""
    bars = []
    gap, thick = rng.uniform(0.06, 0.25), rng.uniform(0.01, 0.04)
    for place in np.arange(-0.5, 0.5001, gap):
        bars.append(box(np.array([thick, 0.02, 1.0])).moved(1, np.eye(3), np.array([place, 0, 0])))
        if gap > 0.09:
            bar = box(np.array([1.0, 0.02, thick]))
            bars.append(bar.moved(1, np.eye(3), np.array([0, 0.02, place])))
    return merged(bars)
