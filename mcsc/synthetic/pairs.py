"""Pairs of images of one scene: defocus, exposure, flash and spectral bands."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray

from ..baselines.exposure import exposure_fusion
from ..types import Floats
from .canvas import flatten, spread
from .lighting import Lamp, encode, exposure, random_lamp, smooth_field
from .scene import Scene

__all__ = ["exposure_pair", "flash_pair", "focus_pair", "multispectral_pair"]

# Below, a blur is not worth its transforms: under a tenth of a pixel everywhere.
_SHARP = 0.35


def focus_pair(scene: Scene) -> tuple[Floats, Floats, Floats]:
    """Photograph a scene with the lens focused near, then far.

    Parameters
    ----------
    scene : Scene

    Returns
    -------
    near, far : arrays (3, H, W), in [0, 1]
        Focused on the nearer and on the farther objects; what lies elsewhere is blurred by a disc
        (an open lens) or a Gaussian, half of the scenes each.
    target : array (3, H, W), in [0, 1]
        All in focus: the same photograph through a pinhole.

    Notes
    -----
    The blur's radius is proportional to the difference of inverse depth from the plane of focus,
    as for a thin lens. Each layer of depth is blurred in linear light with its own coverage, then
    laid over the ones behind: a blurred near object is transparent at its rim and shows what
    stands behind it, and a sharp one is not stained by its blurred background.
    """
    rng = scene.rng(1)
    depth = scene.depth[0]
    far_plane, near_plane = (float(q) for q in np.quantile(depth, (0.2, 0.9)))
    widest = rng.uniform(0.012, 0.028) * min(scene.shape)
    # Radius a unit of inverse depth; flat scenes too get a blur that one can see.
    strength = widest / max(near_plane - far_plane, 0.15)
    disc = bool(rng.random() < 0.5)
    light = _light_of_colour(scene)
    lit = [
        layer.albedo * np.where(layer.own, light, spread(light, layer.own))
        if layer.own.any()
        else layer.albedo * light
        for layer in scene.layers
    ]
    blurred = [
        _Blurred(np.concatenate([colour, layer.alpha[None]]), widest, disc)
        for colour, layer in zip(lit, scene.layers, strict=True)
    ]

    def photograph(plane: float) -> Floats:
        out = np.zeros_like(light)
        for layer, stack in zip(scene.layers, blurred, strict=True):
            radius = np.minimum(np.float32(strength) * np.abs(layer.depth - plane), widest * 1.5)
            seen = stack.at(radius, layer.alpha > 0)
            out = seen[:3] + (1 - seen[3]) * out
        return encode(out)

    target = encode(flatten(lit, scene.layers))
    return photograph(near_plane), photograph(far_plane), target


def _light_of_colour(scene: Scene) -> Floats:
    """What the reflectance must be multiplied by to give the scene's photograph, linear."""
    linear = scene.colour ** np.float32(2.2)
    return linear / scene.albedo


class _Blurred:
    """Planes (C, H, W) blurred by kernels of any radius; each is transformed once."""

    def __init__(self, planes: Floats, widest: float, disc: bool) -> None:
        self.planes = planes
        self.disc = disc
        self.margin = math.ceil(1.5 * widest * (1 if disc else 1.5)) + 2
        pad = [(0, 0), (self.margin, self.margin), (self.margin, self.margin)]
        self.padded = np.pad(planes, pad, mode="edge")
        self.sizes = [scipy.fft.next_fast_len(n, real=True) for n in self.padded.shape[1:]]
        self.spectrum: NDArray[np.complex64] | None = None

    def at(self, radius: Floats, where: NDArray[np.bool_]) -> Floats:
        """Blur by a radius that varies slowly over the image, (H, W)."""
        used = radius[where]
        low, high = (float(used.min()), float(used.max())) if used.size else (0.0, 0.0)
        # A pixel apart at most: between them two blurs may be mixed.
        count = max(math.ceil(high - low), 1) + 1 if high - low > 0.1 else 1
        levels = np.linspace(low, high, count)
        if count == 1:
            return self._blur(0.5 * (low + high))
        place = np.clip((radius - low) * np.float32((count - 1) / (high - low)), 0, count - 1)
        out = np.zeros_like(self.planes)
        for i, level in enumerate(levels):
            out += np.maximum(1 - np.abs(place - np.float32(i)), 0) * self._blur(float(level))
        return out

    def _blur(self, radius: float) -> Floats:
        if radius < _SHARP:
            return self.planes
        if self.spectrum is None:
            self.spectrum = scipy.fft.rfft2(self.padded, s=self.sizes)
        reach = self.margin
        away = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]).astype(np.float32)
        # A Gaussian with the second moment of the disc.
        disc = np.clip(radius + 0.5 - away, 0, 1)
        kernel = disc if self.disc else np.exp(-((away / radius) ** 2) * np.float32(2))
        kernel = (kernel / kernel.sum()).astype(np.float32)
        product = self.spectrum * scipy.fft.rfft2(kernel, s=self.sizes)
        full = scipy.fft.irfft2(product, s=self.sizes)
        _, rows, columns = self.planes.shape
        start = 2 * reach  # the padding, and the kernel's own centre
        out: Floats = full[:, start : start + rows, start : start + columns]
        return out


def exposure_pair(scene: Scene) -> tuple[Floats, Floats, Floats]:
    """Photograph a scene of high contrast twice, too long and too short.

    Parameters
    ----------
    scene : Scene

    Returns
    -------
    over, under : arrays (3, H, W), in [0, 1]
        With one response curve; over-exposed, its highlights are clipped to 1, and under-exposed,
        its shadows are dark and coarse, since both are rounded to 8 bits: from a useful photograph
        to one that is nearly black. No sample of `over` is darker than that of `under`.
    target : array (3, H, W), in [0, 1]
        Well exposed everywhere: the whole series of exposures from one to the other, a stop apart,
        fused (Mertens et al., 2009; `mcsc.baselines.fusions.exposure_fusion`). It shows what is
        lost in both, which a network can only guess, and between them no contrast that no
        photograph has: with a tone-mapped target instead, networks learned gradients of their own.
    """
    rng = scene.rng(2)
    radiance = _contrasty(scene, rng)
    gamma, bend = rng.uniform(1.9, 2.5), np.float32(rng.uniform(0.0, 0.4))

    def develop(gain: float) -> Floats:
        value = encode(radiance * np.float32(gain), gamma)
        curved = value + bend * (value * value * (3 - 2 * value) - value)
        return np.round(curved * 255).astype(np.float32) / np.float32(255)

    brightest = radiance.max(axis=0)
    # Short enough for the highlights, or up to six stops shorter: photographers bracket in whole
    # stops, and the darkest of a series shows next to nothing of the shadows.
    short = rng.uniform(0.7, 1.0) / float(np.quantile(brightest, 0.995))
    short *= 2.0 ** -rng.uniform(0.0, 6.0)
    # Long enough for the shadows, or longer: 3 % are burnt out at least.
    wanted = math.exp(rng.uniform(math.log(0.06), math.log(0.4)))
    long = float(max(wanted / np.quantile(brightest, 0.1), 1.05 / np.quantile(brightest, 0.97)))
    long = float(np.clip(long, 4 * short, 1024 * short))
    over, under = develop(long), develop(short)
    stops = max(round(math.log2(long / short)), 2)
    between = [develop(short * (long / short) ** (i / stops)) for i in range(1, stops)]
    fused = exposure_fusion([under, *between, over])
    return over, under, np.clip(fused, 0, 1).astype(np.float32)


def _contrasty(scene: Scene, rng: np.random.Generator) -> Floats:
    """Linear light with the range of an interior with a window: about 6 to 11 stops."""
    lamp = random_lamp(rng)
    diffuse, highlights = scene.lit(lamp)
    stops = np.float32(rng.uniform(1.0, 2.0)) * smooth_field(rng, scene.shape)
    if rng.random() < 0.6:  # what stands behind is outdoors
        edge = np.quantile(scene.depth, rng.uniform(0.2, 0.5))
        outside = np.clip((np.float32(edge) - scene.depth[0]) / np.float32(0.01) + 0.5, 0, 1)
        stops = stops + np.float32(rng.uniform(2.0, 4.0)) * outside
    light = np.exp2(stops)
    out: Floats = (scene.albedo * diffuse + highlights) * light + np.float32(1e-4)
    return out


def flash_pair(scene: Scene) -> tuple[Floats, Floats]:
    """Photograph a scene by its dim ambient light, then with a flash on the camera.

    Parameters
    ----------
    scene : Scene

    Returns
    -------
    ambient, flash : arrays (3, H, W), in [0, 1]
        Ambient light comes from aside, is coloured and uneven; the flash is white, comes from
        beside the lens, falls off with the square of distance, is mirrored by glossy materials and
        throws narrow shadows of its own. Each is exposed for its light; neither holds noise.
    """
    rng = scene.rng(3)
    lamp = random_lamp(rng)
    tint = np.exp(np.array([1.0, 0.2, -1.0]) * rng.uniform(-0.1, 0.45)).astype(np.float32)
    diffuse, highlights = scene.lit(lamp)
    uneven = np.exp(np.float32(rng.uniform(0.2, 0.9)) * smooth_field(rng, scene.shape))
    ambient = (scene.albedo * diffuse + highlights) * uneven * tint[:, None, None]

    side = rng.uniform(0, 2 * math.pi)
    lean = rng.uniform(0.12, 0.3)
    on_camera = Lamp(
        (lean * math.sin(side), lean * math.cos(side), math.sqrt(1 - lean**2)),
        np.full((3, 1, 1), 0.95, np.float32),
        np.full((3, 1, 1), 0.05, np.float32),
        shadow=float(rng.uniform(0.7, 1.0)),
        occlusion=0.0,
        gloss=float(rng.uniform(0.5, 1.5)),
    )
    diffuse, highlights = scene.lit(on_camera)
    farthest = rng.uniform(2.0, 5.0)  # over the nearest distance
    distance = farthest / (1 + (np.float32(farthest) - 1) * scene.depth[0])
    lit = (scene.albedo * diffuse + highlights) / distance**2
    # The flash does not put out the room's light.
    flash = lit + np.float32(rng.uniform(0.02, 0.15)) * ambient * np.float32(lit.mean()) / max(
        float(ambient.mean()), 1e-6
    )
    dim = np.float32(rng.uniform(0.5, 1.0))
    return (
        encode(ambient * exposure(ambient) * dim),
        encode(flash * exposure(flash, key=0.16)),
    )


def multispectral_pair(scene: Scene) -> tuple[Floats, Floats]:
    r"""Photograph a scene in one narrow band of the spectrum, and in colour.

    Parameters
    ----------
    scene : Scene

    Returns
    -------
    band : array (1, H, W), in [0, 1]
        Linear light at a random wavelength :math:`\lambda` from 400 to 700 nm.
    colour : array (3, H, W), in [0, 1]
        `Scene.colour`.

    Notes
    -----
    A pixel of colour :math:`(r, g, b)` of material m reflects

    .. math::

        S(\lambda) = w_r(\lambda) r + w_g(\lambda) g + w_b(\lambda) b
            + a_m(\lambda) \tfrac13 (r + g + b),

    smooth bell-shaped weights w plus what the camera does not tell of the material: :math:`a_m`
    differs from material to material, so the band has edges and contrasts of its own.
    """
    rng = scene.rng(4)
    wavelength = rng.uniform(400.0, 700.0)
    weights = np.exp(-0.5 * ((wavelength - np.array([610.0, 540.0, 455.0])) / 42.0) ** 2) + 0.02
    weights /= weights.sum()
    own = rng.normal(0.0, 0.3, int(scene.material.max()) + 1).astype(np.float32)
    linear = scene.colour ** np.float32(2.2)
    mixed = np.tensordot(weights.astype(np.float32), linear, axes=1)
    band = np.maximum(mixed + own[scene.material] * linear.mean(axis=0), 0.1 * mixed)
    gain = rng.uniform(0.6, 1.0) / max(float(np.quantile(band, 0.995)), 1e-4)
    clipped: Any = np.clip(band * np.float32(gain), 0, 1)
    return clipped[None].astype(np.float32), scene.colour
