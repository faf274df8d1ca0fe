"""Outlines of the objects of a synthetic scene, by their signed distance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..types import Floats

__all__ = ["Outline", "bar", "random_outline", "random_radii"]

_KINDS = ("blob", "polygon", "ellipse", "box", "stalk")
_SHARES = (0.3, 0.2, 0.2, 0.18, 0.12)
_HOLLOW = 0.08


@dataclass(frozen=True, eq=False)
class Outline:
    """A closed curve; lengths are in pixels, angles in radians."""

    kind: str
    centre: tuple[float, float]
    """Row and column."""
    radius: float
    """No point of the shape is farther from the centre."""
    angle: float
    aspect: float
    """Short half axis over the long one (ellipse, box), width over length (stalk)."""
    bend: float
    """How far the ends of a stalk leave its chord, divided by its length."""
    corners: NDArray[np.float64]
    """Polygon: (n, 2) angles and distances of the corners, angles ascending; blob: (n, 2) cosine
    and sine coefficients of the distance, over the mean distance."""
    hollow: float
    """Width of the rim if the inside is empty, over the radius; 0: it is filled."""

    def box(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Rows and columns of an image that the shape can touch."""
        edges = []
        for middle, n in zip(self.centre, shape, strict=True):
            low = min(max(math.floor(middle - self.radius - 1), 0), n)
            edges.append(slice(low, max(min(math.ceil(middle + self.radius + 2), n), low)))
        return edges[0], edges[1]

    def distance(self, box: tuple[slice, slice]) -> Floats:
        """Distance to the curve in pixels, positive inside, right to first order near the curve."""
        rows = np.arange(box[0].start, box[0].stop, dtype=np.float32)[:, None]
        columns = np.arange(box[1].start, box[1].stop, dtype=np.float32)[None, :]
        y, x = rows - np.float32(self.centre[0]), columns - np.float32(self.centre[1])
        cos, sin = np.float32(math.cos(self.angle)), np.float32(math.sin(self.angle))
        p, q = cos * x + sin * y, cos * y - sin * x
        inside: Floats = getattr(self, f"_{self.kind}")(p, q)
        if self.hollow:
            inside = np.minimum(inside, np.float32(self.hollow * self.radius) - inside)
        return inside

    def _ellipse(self, p: Floats, q: Floats) -> Floats:
        a = np.float32(self.radius)
        b = np.float32(self.radius * self.aspect)
        level = np.hypot(p / a, q / b)
        # A first-order distance needs the gradient of the level; it vanishes at the centre.
        slope = np.hypot(p / a**2, q / b**2) + np.float32(1e-6)
        out: Floats = (1 - level) * np.minimum(level / slope, a)
        return np.where(level < 0.5, (1 - level) * b, out)

    def _box(self, p: Floats, q: Floats) -> Floats:
        half = self.radius / math.hypot(1.0, self.aspect)
        return np.minimum(np.float32(half) - np.abs(p), np.float32(half * self.aspect) - np.abs(q))

    def _stalk(self, p: Floats, q: Floats) -> Floats:
        length = np.float32(self.radius * 0.9)
        along = p / length
        curve = np.float32(self.bend * self.radius) * (along**2 - np.float32(0.5))
        # Slimmer towards one end, like a twig.
        width = np.float32(self.aspect * self.radius) * (1 - np.float32(0.35) * along)
        out: Floats = np.minimum(width - np.abs(q - curve), length - np.abs(p))
        return out

    def _polygon(self, p: Floats, q: Floats) -> Floats:
        angles, reach = self.corners.T
        corner = np.stack([reach * np.cos(angles), reach * np.sin(angles)], axis=1)
        following = np.roll(corner, -1, axis=0)
        side = following - corner
        normal = np.stack([-side[:, 1], side[:, 0]], axis=1)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        offset = -np.sum(normal * corner, axis=1)
        # Star-shaped about the centre: the direction alone says which side is met.
        sector = np.searchsorted(angles, np.arctan2(q, p).ravel()).reshape(p.shape) - 1
        nx, ny, n0 = (a.astype(np.float32)[sector] for a in (normal[:, 0], normal[:, 1], offset))
        out: Floats = nx * p + ny * q + n0
        return out

    def _blob(self, p: Floats, q: Floats) -> Floats:
        distance = np.hypot(p, q) + np.float32(1e-6)
        reach: Any = np.ones_like(distance)
        slope: Any = np.zeros_like(distance)
        # cos and sin of n times the angle, by repeated complex multiplication.
        cos, sin = p / distance, q / distance
        c, s = cos, sin
        for n, (a, b) in enumerate(self.corners.astype(np.float32), start=1):
            if n > 1:
                c, s = c * cos - s * sin, s * cos + c * sin
            reach = reach + a * c + b * s
            slope = slope + np.float32(n) * (b * c - a * s)
        scale = np.float32(self.radius / (1 + np.hypot(*self.corners.T).sum()))
        out: Floats = scale * (reach - distance / scale) / np.hypot(1, slope / reach)
        return out


def random_radii(
    rng: np.random.Generator, count: int, smallest: float, largest: float, exponent: float
) -> NDArray[np.float64]:
    """Draw radii with density proportional to ``r ** -exponent`` between two bounds."""
    power = 1.0 - exponent
    u = rng.random(count)
    if abs(power) < 1e-6:
        return np.asarray(smallest * (largest / smallest) ** u)
    low, high = smallest**power, largest**power
    return np.asarray((low + u * (high - low)) ** (1.0 / power))


def random_outline(
    rng: np.random.Generator,
    centre: tuple[float, float],
    radius: float,
    turn: float | None = None,
) -> Outline:
    """Draw an outline that a circle of that radius holds; a leaf if its direction is given."""
    if turn is not None:
        kind = str(rng.choice(["ellipse", "stalk"]))
        slim = float(rng.uniform(0.06, 0.25))
        bend = float(rng.uniform(-0.2, 0.2)) if kind == "stalk" else 0.0
        return Outline(kind, centre, radius, turn, slim, bend, np.zeros((0, 2)), 0.0)
    kind = str(rng.choice(_KINDS, p=_SHARES))
    corners = np.zeros((0, 2))
    aspect, bend = float(rng.uniform(0.35, 1.0)), 0.0
    if kind == "polygon":
        corners = _corners(rng, radius)
    elif kind == "blob":
        order = np.arange(1, rng.integers(5, 9))
        corners = rng.standard_normal((len(order), 2)) * 0.28 / order[:, None] ** 1.2
        corners[0] *= 0.3
        # A negative distance would turn the shape inside out.
        corners *= min(1.0, 0.75 / np.hypot(*corners.T).sum())
    elif kind == "stalk":
        aspect = max(float(rng.uniform(0.03, 0.12)), min(0.9 / radius, 0.3))
        bend = float(rng.uniform(-0.25, 0.25))
    # A rim takes room: in small shapes, or those with spikes, it would be all there is.
    rim = kind in ("ellipse", "box") and radius > 12 and rng.random() < _HOLLOW / 0.38
    hollow = float(rng.uniform(0.08, 0.2)) if rim else 0.0
    angle = float(rng.uniform(0, 2 * math.pi))
    if kind == "box" and rng.random() < 0.6:
        angle = float(rng.choice([0.0, 0.5 * math.pi]) + rng.normal(0, 0.05))
    return Outline(kind, centre, radius, angle, aspect, bend, corners, hollow)


def bar(
    centre: tuple[float, float], half: float, width: float, turn: float, bend: float = 0.0
) -> Outline:
    """Outline of a pole or wire of that half length and width, in pixels.

    Its ends leave its chord by `bend` times the half length.
    """
    slim = min(0.5 * width / half, 1.0)
    return Outline("stalk", centre, half, turn, slim, bend, np.zeros((0, 2)), 0.0)


def _corners(rng: np.random.Generator, radius: float) -> NDArray[np.float64]:
    count = int(rng.integers(3, 10))
    spacing = rng.uniform(0.6, 1.4, count)
    # From -pi, with the first corner there, so that every direction lies between two corners.
    angles = -math.pi + 2 * math.pi * np.concatenate([[0], np.cumsum(spacing)[:-1]]) / spacing.sum()
    reach = radius * rng.uniform(0.45 if count > 4 else 0.8, 1.0, count)
    return np.stack([angles, reach], axis=1)
