"""What a camera makes of light: softness, a response curve, noise, 8 bits, and JPEG's blocks."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from ..types import Floats

__all__ = ["Camera", "encode", "exposure", "random_camera", "soften"]

_GAMMA = 2.2


@dataclass(frozen=True)
class Camera:
    """How soft, noisy and contrasty photographs are."""

    softness: float
    """Blur of lens, sensor and demosaicing: standard deviation of a Gaussian, in pixels."""
    noise: float
    """Standard deviation in the encoded image, grey levels of 255."""
    contrast: float
    """How strongly the curve bends: 0 is the plain gamma, 1 takes all contrast to the middle."""
    gamma: float = _GAMMA
    quality: int = 0
    """Quality of the JPEG compression, up to 100; 0: the image is not compressed."""

    def develop(self, linear: Floats) -> Floats:
        """Encode exposed linear light (3, H, W) as this camera does, without noise."""
        value = encode(soften(np.clip(linear, 0, 1), self.softness), self.gamma)
        out: Floats = value + np.float32(self.contrast) * (value * value * (3 - 2 * value) - value)
        return out

    def photograph(self, rng: np.random.Generator, linear: Floats) -> Floats:
        """Take a photograph of exposed linear light (3, H, W): 8 bits a sample."""
        grain = rng.standard_normal(linear.shape, dtype=np.float32)
        # Photons' noise grows with the root of light, which encoding undoes nearly.
        encoded = self.develop(linear) + np.float32(self.noise / 255) * grain
        levels = np.rint(255 * np.clip(encoded, 0, 1)).astype(np.uint8)
        if self.quality:
            levels = _compressed(levels, self.quality)
        out: Floats = levels.astype(np.float32) / np.float32(255)
        return out


def _compressed(levels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Samples (3, H, W) as they come back from a JPEG file."""
    import PIL.Image

    file = io.BytesIO()
    PIL.Image.fromarray(np.ascontiguousarray(levels.transpose(1, 2, 0))).save(
        file, "JPEG", quality=quality, subsampling=0 if quality > 90 else 2
    )
    return np.asarray(PIL.Image.open(file)).transpose(2, 0, 1)


def random_camera(rng: np.random.Generator, unit: float) -> Camera:
    """Draw a camera; photographs of few pixels, `unit` a side, were reduced, and are sharper."""
    size = min(max(math.log(unit / 400) / math.log(3.5), 0), 1)
    softness = rng.uniform(0.2, 0.5) + rng.uniform(0, 0.5) * size
    return Camera(float(softness), float(0.3 + rng.exponential(0.9)), float(rng.uniform(0.0, 0.8)))


def soften(image: Floats, sigma: float) -> Floats:
    """Blur (C, H, W) by a Gaussian; nothing under a quarter of a pixel."""
    if sigma < 0.25:
        return image
    out: Floats = scipy.ndimage.gaussian_filter(
        image, (0, sigma, sigma), mode="nearest", truncate=3
    )
    return out


def encode(linear: Floats, gamma: float = _GAMMA) -> Floats:
    """Clip linear light to [0, 1] and encode it for display."""
    out: Floats = np.clip(linear, 0, 1) ** np.float32(1 / gamma)
    return out


def exposure(radiance: Floats, key: float = 0.2) -> np.float32:
    """Gain that brings the middle of linear light to `key` and burns out no more than 1 %."""
    grey = radiance.mean(axis=0)
    middle = float(np.exp(np.log(grey + np.float32(1e-4)).mean()))
    brightest = float(np.quantile(radiance.max(axis=0)[::2, ::2], 0.99))
    return np.float32(min(key / middle, 1 / max(brightest, 1e-4)))
