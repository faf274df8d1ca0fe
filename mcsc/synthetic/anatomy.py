"""Anatomy-like slices, and two modalities that map their tissues to different contrasts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from ..types import Floats
from .lighting import smooth_field
from .scene import check_seed, check_shape
from .textures import power_noise

__all__ = ["TISSUES", "Anatomy", "make_anatomy", "medical_pair"]

TISSUES = (
    "air",
    "skin and fat",
    "bone",
    "fluid",
    "grey matter",
    "white matter",
    "deep nuclei",
    "lesion seen by x",
    "lesion seen by y",
)
"""What `Anatomy.tissue` numbers; the names only say which contrast is meant."""

# Mean and spread of the intensities, in the manner of T1- and T2-weighted MR.
_T1 = ((0.02, 0.01), (0.85, 0.08), (0.1, 0.05), (0.18, 0.05), (0.5, 0.06), (0.72, 0.06))
_T2 = ((0.02, 0.01), (0.55, 0.12), (0.06, 0.04), (0.92, 0.05), (0.6, 0.06), (0.42, 0.06))


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A synthetic slice like one through a head: nested, folded and scattered regions."""

    seed: int
    """Seed that it was made from (together with its shape)."""
    tissue: NDArray[np.int32]
    """Number of the tissue, (H, W); see `TISSUES`."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.tissue.shape[0], self.tissue.shape[1]


def make_anatomy(shape: tuple[int, int], seed: int = 0) -> Anatomy:
    """Make a synthetic slice of a head.

    Parameters
    ----------
    shape : (height, width)
        In pixels, at least 32 each.
    seed : int
        Not negative; the same slice at every call with the same shape.

    Returns
    -------
    Anatomy

    Raises
    ------
    ValueError
        An argument is not of the kind above.

    Examples
    --------
    >>> from mcsc.synthetic import make_anatomy
    >>> make_anatomy((64, 64), seed=1).tissue.shape
    (64, 64)
    """
    shape = check_shape(shape)
    seed = check_seed(seed)
    rng = np.random.default_rng([seed, 10])
    y = (np.arange(shape[0], dtype=np.float32)[:, None] - 0.5 * shape[0]) / min(shape)
    x = (np.arange(shape[1], dtype=np.float32)[None, :] - 0.5 * shape[1]) / min(shape)
    turn = rng.normal(0, 0.15)
    y, x = y - np.float32(rng.normal(0, 0.015)), x - np.float32(rng.normal(0, 0.015))
    p = np.float32(math.cos(turn)) * x + np.float32(math.sin(turn)) * y
    q = np.float32(math.cos(turn)) * y - np.float32(math.sin(turn)) * x
    half = rng.uniform(0.35, 0.42), rng.uniform(0.41, 0.46)

    def wobble(exponent: float, size: float) -> Floats:
        return np.float32(size) * power_noise(rng, shape, exponent)

    # 1 on the outline of the head, 0 in its middle.
    level = np.hypot(p / np.float32(half[0]), q / np.float32(half[1])) + wobble(2.6, 0.012)
    tissue = np.zeros(shape, np.int32)
    skin, bone = rng.uniform(0.05, 0.1), rng.uniform(0.04, 0.08)
    tissue[level < 1] = 1
    tissue[level < 1 - skin] = 2
    tissue[level < 1 - skin - bone] = 3
    inner = level / np.float32(1 - skin - bone)

    # Cortex: a labyrinth of waves whose valleys are furrows, deepest near the surface.
    width = rng.uniform(0.012, 0.018) * min(shape)
    white = rng.standard_normal(shape, dtype=np.float32)
    waves = scipy.ndimage.gaussian_filter(white, width) - scipy.ndimage.gaussian_filter(
        white, 1.6 * width
    )
    ridge = np.abs(waves) / waves.std()
    under = 1 - inner + wobble(2.0, 0.01)
    midline = (np.abs(p + wobble(2.4, 0.004)) < 0.006) & (under < 0.42)
    furrow = ridge < rng.uniform(0.25, 0.4) * (1 - under / np.float32(rng.uniform(0.2, 0.35)))
    cortex = ridge < 1.1 * (1 - under / np.float32(rng.uniform(0.3, 0.42)))
    tissue[under > 0.02] = 4
    tissue[(under > 0.075) & ~cortex] = 5
    tissue[(furrow | midline) & (under > 0)] = 3

    for sign in (-1.0, 1.0):
        # Nuclei beside, ventricles in, the middle; nearly mirrored.
        place = sign * rng.uniform(0.1, 0.13), rng.uniform(-0.02, 0.05)
        size = rng.uniform(0.03, 0.055), rng.uniform(0.05, 0.08)
        tissue[
            _ellipse(p, q, place, size, sign * rng.uniform(0.2, 0.6)) + wobble(2.2, 0.08) < 1
        ] = 6
        place = sign * rng.uniform(0.035, 0.05), rng.uniform(-0.06, 0.0)
        size = rng.uniform(0.014, 0.035), rng.uniform(0.08, 0.14)
        tissue[
            _ellipse(p, q, place, size, sign * rng.uniform(0.1, 0.35)) + wobble(2.2, 0.05) < 1
        ] = 3
    brain = inner < 0.85
    for number in (7, 8):
        for _ in range(int(rng.integers(1, 4))):
            away, angle = 0.3 * math.sqrt(rng.random()), rng.uniform(0, 2 * math.pi)
            place = away * math.cos(angle), away * math.sin(angle)
            size = tuple(np.exp(rng.uniform(np.log(0.012), np.log(0.05), 2)))
            spot = _ellipse(p, q, place, (size[0], size[1]), rng.uniform(0, math.pi))
            tissue[(spot + wobble(1.8, 0.2) < 1) & brain] = number
    return Anatomy(seed, tissue)


def _ellipse(
    p: Floats, q: Floats, centre: tuple[float, float], half: tuple[float, float], turn: float
) -> Floats:
    """1 on the ellipse, less inside."""
    p, q = p - np.float32(centre[0]), q - np.float32(centre[1])
    cos, sin = np.float32(math.cos(turn)), np.float32(math.sin(turn))
    out: Floats = np.hypot(
        (cos * p + sin * q) / np.float32(half[0]), (cos * q - sin * p) / np.float32(half[1])
    )
    return out


def medical_pair(anatomy: Anatomy) -> tuple[Floats, Floats, Floats]:
    """Image a slice in two modalities.

    Parameters
    ----------
    anatomy : Anatomy
        As `make_anatomy` makes it.

    Returns
    -------
    x, y : arrays (1, H, W), in [0, 1]
        Every tissue has one intensity in each, in the manner of MR T1 (fat and white matter bright)
        and T2 (fluid bright), with the fine texture of tissue, uneven sensitivity and a little
        Rician noise. Each shows a kind of lesion that the other does not.
    target : array (1, H, W), in [0, 1]
        A definition, since nature knows no fused image: the slice as x shows it, without noise
        and with even sensitivity, but fluid as y shows it, and the lesions that only y
        shows with the contrast that they have there.
    """
    rng = np.random.default_rng([anatomy.seed, 11])
    shape = anatomy.shape
    texture = 1 + np.float32(0.035) * power_noise(rng, shape, 0.9)
    tables = []
    for contrasts, own in ((_T1, 7), (_T2, 8)):
        values = np.array([rng.normal(mean, spread) for mean, spread in contrasts])
        deep = 0.5 * (values[4] + values[5]) + rng.normal(0, 0.04)
        # Unseen, a lesion has the intensity of what it lies in.
        white = values[5]
        seen = white + rng.choice([-1, 1]) * rng.uniform(0.2, 0.35)
        lesions = [seen if own == number else white for number in (7, 8)]
        tables.append(np.clip(np.concatenate([values, [deep], lesions]), 0.01, 1))
    fused = tables[0].copy()
    fused[3] = tables[1][3]
    fused[8] = np.clip(tables[0][5] + tables[1][8] - tables[1][5], 0.01, 1)

    def image(table: NDArray[np.float64]) -> Floats:
        plain = table.astype(np.float32)[anatomy.tissue]
        grained = np.where(anatomy.tissue > 0, plain * texture, plain)
        # A voxel holds more than one tissue.
        out: Floats = np.clip(scipy.ndimage.gaussian_filter(grained, 0.6), 0, 1)
        return out

    x, y = (_measured(rng, image(table)) for table in tables)
    return x[None], y[None], image(fused)[None]


def _measured(rng: np.random.Generator, image: Floats) -> Floats:
    uneven = smooth_field(rng, image.shape, min(image.shape))
    sensitivity = np.exp(np.float32(rng.uniform(0.02, 0.12)) * uneven)
    noise = np.float32(rng.uniform(0.004, 0.015))
    real, imaginary = rng.standard_normal((2, *image.shape), dtype=np.float32) * noise
    out: Floats = np.clip(np.hypot(image * sensitivity + real, imaginary), 0, 1)
    return out
