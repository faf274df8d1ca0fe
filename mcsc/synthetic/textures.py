"""Reflectances of the materials of a synthetic scene."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from ..types import Floats
from .photographs import Picture, linear

__all__ = ["Material", "photograph_piece", "power_noise", "random_material"]

_SHARES = {
    "photo": 0.55, "noise": 0.14, "plain": 0.11, "stripes": 0.06, "wood": 0.07, "spots": 0.07,
}  # fmt: skip
_DARKEST, _BRIGHTEST = 0.02, 0.95
_TILE = 512


@dataclass(frozen=True, eq=False)
class Material:
    """What a surface is made of: a pattern that goes on for ever, or pieces of a photograph."""

    kind: str
    plane: Floats
    """Linear reflectance (3, h, w) from 0.02 to 0.95, to be mirrored at its borders; empty if the
    pieces are those of a photograph."""
    picture: Picture | None
    tint: Floats
    """Factor of a photograph's channels, (3, 1, 1)."""
    power: float
    """Exponent of its contrast; 0: its own colours."""
    bump: float
    """How strongly its pattern is relief too; 0: printed on a smooth surface."""
    gloss: float
    """Strength of highlights; 0: matt."""

    def cut(self, rng: np.random.Generator, height: int, width: int) -> Floats:
        """A random piece of the reflectance, (3, height, width), mirrored or not."""
        if self.picture is not None:
            piece = photograph_piece(rng, self.picture, height, width)
            if self.power:
                grey = piece.mean(axis=0)
                ratio = grey / max(float(grey.mean()), 0.02)
                piece = self.tint * ratio ** np.float32(self.power)
            else:
                piece = piece * self.tint
        else:
            _, rows, columns = self.plane.shape
            down, across = _mirrored(rng, rows, height), _mirrored(rng, columns, width)
            piece = self.plane[:, down][:, :, across]
        out: Floats = np.clip(piece, _DARKEST, _BRIGHTEST)
        return out[:, :, ::-1] if rng.random() < 0.5 else out


def photograph_piece(rng: np.random.Generator, picture: Picture, height: int, width: int) -> Floats:
    """A piece of a photograph in linear light, (3, height, width), at one of three scales.

    Where the photograph is too small it is mirrored at its borders.
    """
    # A large thing is not to show the same thing again and again.
    levels = [
        v for v in picture.levels() if 2 * v.shape[1] >= height and 2 * v.shape[2] >= width
    ] or picture.levels()[:1]
    level = levels[int(rng.integers(len(levels)))]
    if rng.random() < 0.2:
        level = level.transpose(0, 2, 1)
    if rng.random() < 0.15:
        level = level[:, ::-1]
    rows = _mirrored(rng, level.shape[1], height)
    columns = _mirrored(rng, level.shape[2], width)
    return linear(level[:, rows][:, :, columns])


def _mirrored(rng: np.random.Generator, available: int, wanted: int) -> NDArray[np.intp]:
    """Places along an axis from a random start, to and fro."""
    if wanted <= available:
        start = int(rng.integers(available - wanted + 1))
        return np.arange(start, start + wanted)
    place = np.arange(wanted) + int(rng.integers(2 * available))
    place %= 2 * available
    return np.minimum(place, 2 * available - 1 - place)


def power_noise(
    rng: np.random.Generator, shape: tuple[int, int], exponent: float, stretch: float = 1.0
) -> Floats:
    """Periodic noise with amplitude ``|f| ** -exponent``, mean 0, variance 1; natural is about 1.

    `stretch` above 1 draws its structures out along the rows.
    """
    fy = scipy.fft.fftfreq(shape[0]).astype(np.float32)[:, None]
    fx = scipy.fft.rfftfreq(shape[1]).astype(np.float32)[None, :] * np.float32(stretch)
    f2 = fy**2 + fx**2
    f2[0, 0] = 1.0
    white = rng.standard_normal(shape, dtype=np.float32)
    spectrum = scipy.fft.rfft2(white) * f2 ** np.float32(-0.5 * exponent)
    spectrum[0, 0] = 0
    noise: Floats = scipy.fft.irfft2(spectrum, s=shape)
    noise /= noise.std()
    return noise


def random_material(
    rng: np.random.Generator,
    shape: tuple[int, int],
    hues: NDArray[np.float64],
    pictures: Sequence[Picture] = (),
) -> Material:
    """Draw a material whose colours lie about `hues` (in turns), the scene's palette.

    Patterns are made on `shape`, or 512 pixels a side if that is less.
    """
    kinds = [k for k in _SHARES if pictures or k != "photo"]
    shares = np.array([_SHARES[k] for k in kinds])
    kind = str(rng.choice(kinds, p=shares / shares.sum()))
    picture, tint, power = None, np.ones((3, 1, 1), np.float32), 0.0
    plane: Floats = np.zeros((3, 0, 0), np.float32)
    if kind == "photo":
        picture = pictures[int(rng.integers(len(pictures)))]
        if rng.random() < 0.35:
            tint, power = _colour(rng, hues), float(rng.uniform(0.4, 1.0))
        else:
            tint = np.exp(rng.normal(0, 0.15, (3, 1, 1))).astype(np.float32)
    else:
        plane = _MAKERS[kind](rng, (min(shape[0], _TILE), min(shape[1], _TILE)), hues)
        np.clip(plane, _DARKEST, _BRIGHTEST, out=plane)
    bump = float(rng.uniform(0.0, 1.0)) if kind in ("photo", "noise", "wood") else 0.0
    gloss = float(rng.uniform(0.1, 1.0)) if rng.random() < 0.3 else 0.0
    return Material(kind, plane, picture, tint, power, bump, gloss)


def _colour(rng: np.random.Generator, hues: NDArray[np.float64]) -> Floats:
    """A linear reflectance (3, 1, 1): few are saturated, dark ones are as frequent as bright."""
    hue = float(rng.choice(hues) + rng.normal(0, 0.06)) if rng.random() < 0.8 else rng.random()
    saturation = rng.beta(1.4, 2.4)
    value = math.exp(rng.uniform(math.log(0.06), math.log(0.85)))
    wheel = 0.5 + 0.5 * np.cos(2 * math.pi * (hue - np.array([0.0, 1 / 3, 2 / 3])))
    colour = value * (1 - saturation * (1 - wheel))
    return colour.astype(np.float32)[:, None, None]


def _mixed(rng: np.random.Generator, hues: NDArray[np.float64], share: Floats) -> Floats:
    """Two colours in proportion to `share` in 0..1, the second often a shade of the first."""
    first = _colour(rng, hues)
    if rng.random() < 0.6:
        second = first * np.float32(rng.uniform(0.25, 0.8))
    else:
        second = _colour(rng, hues)
    return first + share * (second - first)


def _plain(rng: np.random.Generator, shape: tuple[int, int], hues: NDArray[np.float64]) -> Floats:
    grain = np.float32(rng.uniform(0.0, 0.04))
    return _colour(rng, hues) * (1 + grain * power_noise(rng, shape, rng.uniform(0.5, 1.5)))


def _noise(rng: np.random.Generator, shape: tuple[int, int], hues: NDArray[np.float64]) -> Floats:
    field = power_noise(rng, shape, rng.uniform(0.7, 1.6), math.exp(rng.normal(0, 0.5)))
    contrast = np.float32(rng.uniform(0.15, 0.6))
    share = 1 / (1 + np.exp(np.float32(-rng.uniform(0.5, 3)) * np.roll(field, shape[0] // 3, 0)))
    out: Floats = _mixed(rng, hues, share) * np.exp(contrast * field)
    return out


def _spots(rng: np.random.Generator, shape: tuple[int, int], hues: NDArray[np.float64]) -> Floats:
    field = power_noise(rng, shape, rng.uniform(1.4, 2.2))
    # Sharp to about a pixel: printed edges, which depth must not follow.
    slope = np.abs(np.diff(field, axis=1)).mean() * 1.5
    share = np.clip(0.5 + (field - np.float32(rng.normal(0.3, 0.5))) / slope, 0, 1)
    grain = np.float32(rng.uniform(0, 0.12))
    return _mixed(rng, hues, share) * (1 + grain * power_noise(rng, shape, 0.8))


def _waves(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Floats, float]:
    """Phase of a grating (H, W), and its period in pixels."""
    angle = rng.uniform(0, math.pi)
    if rng.random() < 0.5:
        angle = rng.choice([0.0, 0.5 * math.pi]) + rng.normal(0, 0.03)
    period = math.exp(rng.uniform(math.log(4.0), math.log(0.12 * min(shape) + 5)))
    y = np.arange(shape[0], dtype=np.float32)[:, None]
    x = np.arange(shape[1], dtype=np.float32)[None, :]
    turn = np.float32(2 * math.pi / period)
    phase = turn * (np.float32(math.cos(angle)) * x + np.float32(math.sin(angle)) * y)
    return phase, period


def _stripes(rng: np.random.Generator, shape: tuple[int, int], hues: NDArray[np.float64]) -> Floats:
    phase, period = _waves(rng, shape)
    wave = np.sin(phase)
    if rng.random() < 0.4:  # checks
        second, _ = _waves(rng, shape)
        wave = wave * np.sin(second)
    # As steep as sampling allows: an edge is about one pixel wide.
    steep = np.float32(rng.choice([0.7, period / math.pi]))
    share = 0.5 + 0.5 * np.clip(steep * wave, -1, 1)
    grain = np.float32(rng.uniform(0.02, 0.2))
    out: Floats = _mixed(rng, hues, share) * np.exp(grain * power_noise(rng, shape, 1.0))
    return out


def _wood(rng: np.random.Generator, shape: tuple[int, int], hues: NDArray[np.float64]) -> Floats:
    phase, _ = _waves(rng, shape)
    warp = power_noise(rng, shape, rng.uniform(1.6, 2.2), 2.0) * np.float32(rng.uniform(2, 8))
    share = (0.5 + 0.5 * np.sin(phase * np.float32(0.4) + warp)) ** np.float32(rng.uniform(0.7, 2))
    grain = np.float32(rng.uniform(0.05, 0.2))
    out: Floats = _mixed(rng, hues, share) * np.exp(grain * power_noise(rng, shape, 0.7, 4.0))
    return out


_MAKERS: dict[str, Any] = {
    "noise": _noise,
    "plain": _plain,
    "stripes": _stripes,
    "wood": _wood,
    "spots": _spots,
}
