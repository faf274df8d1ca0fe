"""Reflectances of the materials of a synthetic scene."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from ..types import Floats

__all__ = ["PHOTOGRAPHS", "Material", "power_noise", "random_material"]

PHOTOGRAPHS = (
    "astronaut",
    "brick",
    "camera",
    "chelsea",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "rocket",
)
"""Functions of `skimage.data` whose files are part of the scikit-image wheel and, as their
documentation says, CC0 (brick, camera, chelsea, coffee, grass, gravel), in the public domain
(astronaut, rocket) or without known copyright restrictions (coins)."""

_SHARES = {"photo": 0.42, "noise": 0.2, "plain": 0.14, "stripes": 0.08, "wood": 0.08, "spots": 0.08}
_DARKEST, _BRIGHTEST = 0.02, 0.95
_GAMMA = np.float32(2.2)


@dataclass(frozen=True, eq=False)
class Material:
    """What a surface is made of, on a plane as large as the image."""

    kind: str
    albedo: Floats
    """Linear reflectance (3, H, W), from 0.02 to 0.95."""
    bump: float
    """How strongly its pattern is relief too; 0: printed on a smooth surface."""
    gloss: float
    """Strength of highlights; 0: matt."""

    def cut(self, rng: np.random.Generator, height: int, width: int) -> Floats:
        """A random piece of the reflectance, (3, height, width), mirrored or not."""
        top = int(rng.integers(0, self.albedo.shape[1] - height + 1))
        left = int(rng.integers(0, self.albedo.shape[2] - width + 1))
        piece = self.albedo[:, top : top + height, left : left + width]
        return piece[:, :, ::-1] if rng.random() < 0.5 else piece


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
    *,
    photographs: bool = True,
) -> Material:
    """Draw a material whose colours lie about `hues` (in turns), the scene's palette."""
    kinds = [k for k in _SHARES if photographs or k != "photo"]
    shares = np.array([_SHARES[k] for k in kinds])
    kind = str(rng.choice(kinds, p=shares / shares.sum()))
    albedo = _MAKERS[kind](rng, shape, hues)
    bump = float(rng.uniform(0.0, 1.0)) if kind in ("photo", "noise", "wood") else 0.0
    gloss = float(rng.uniform(0.1, 1.0)) if rng.random() < 0.3 else 0.0
    np.clip(albedo, _DARKEST, _BRIGHTEST, out=albedo)
    return Material(kind, albedo, bump, gloss)


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


def _photo(rng: np.random.Generator, shape: tuple[int, int], hues: NDArray[np.float64]) -> Floats:
    levels = _photograph(str(rng.choice(PHOTOGRAPHS)))
    picture = levels[int(rng.integers(len(levels)))]
    if rng.random() < 0.3:
        picture = picture.transpose(0, 2, 1)
    if rng.random() < 0.2:
        picture = picture[:, ::-1]
    missing = [max(n - m, 0) for n, m in zip(shape, picture.shape[1:], strict=True)]
    if any(missing):
        picture = np.pad(picture, [(0, 0), (0, missing[0]), (0, missing[1])], mode="symmetric")
    top, left = (
        int(rng.integers(0, m - n + 1)) for n, m in zip(shape, picture.shape[1:], strict=True)
    )
    piece = picture[:, top : top + shape[0], left : left + shape[1]]
    if rng.random() < 0.5:
        grey = piece.mean(axis=0)
        ratio = grey / max(float(grey.mean()), 0.02)
        out: Floats = _colour(rng, hues) * ratio ** np.float32(rng.uniform(0.5, 1.0))
        return out
    tint: Floats = np.exp(rng.normal(0, 0.15, (3, 1, 1))).astype(np.float32)
    return piece * tint


_MAKERS: dict[str, Any] = {
    "photo": _photo,
    "noise": _noise,
    "plain": _plain,
    "stripes": _stripes,
    "wood": _wood,
    "spots": _spots,
}


@lru_cache(maxsize=len(PHOTOGRAPHS))
def _photograph(name: str) -> tuple[Floats, ...]:
    """A photograph in linear light (3, H, W), and reduced by 2 and 4."""
    import skimage.data

    picture = getattr(skimage.data, name)()
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)
    level = np.ascontiguousarray(picture[..., :3].transpose(2, 0, 1)).astype(np.float32)
    level = (level / np.float32(255)) ** _GAMMA
    levels = [level]
    for _ in range(2):
        c, h, w = level.shape
        level = level[:, : h // 2 * 2, : w // 2 * 2].reshape(c, h // 2, 2, w // 2, 2)
        level = level.mean(axis=(2, 4))
        levels.append(level)
    for level in levels:
        level.flags.writeable = False
    return tuple(levels)
