"""Synthetic pairs for each task, any number of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..checks import check_number, check_whole
from ..errors import InvalidValueError
from ..images.resize import degrade
from ..types import Floats
from .anatomy import make_anatomy, medical_pair
from .camera import random_camera
from .depthmaps import depth_pair
from .exposures import bracket, exposure_pair
from .flash import flash_pair
from .focus import focus_pair
from .photographs import Photographs, library, panorama_view
from .scene import Scene, check_seed, check_shape, make_scene
from .spectra import multispectral_pair

__all__ = [
    "NOISY", "PAIR_NAMES", "PHOTOGRAPHED", "REDUCED", "SyntheticPair", "make_pair", "scenes",
]  # fmt: skip

PAIR_NAMES = ("depth", "multispectral", "flash", "exposure", "focus", "medical")
"""Names of the pairs that `scenes` makes, in the order of the tasks of the paper."""
PHOTOGRAPHED = PAIR_NAMES[:-1]
"""Those whose pairs show photographs."""
REDUCED = ("depth", "multispectral")
"""Those whose x is the target reduced and enlarged."""
NOISY = ("flash",)
"""Those whose x is the target with noise."""


@dataclass(frozen=True, eq=False)
class SyntheticPair:
    """A synthetic pair of registered images, with the image that is to be made of them."""

    x: Floats
    """First image, (C_x, H, W), in [0, 1]; to be restored, or one of two to be fused."""
    y: Floats
    """Guide or second image, (C_y, H, W), in [0, 1]."""
    target: Floats
    """The true image, (C_z, H, W), in [0, 1]."""
    names: tuple[str, str, str]
    """What x, y and target are, for titles."""
    name: str
    """One of `PAIR_NAMES`."""
    seed: int
    """Seed of all random choices that were made for it."""


def scenes(
    name: str,
    count: int,
    shape: tuple[int, int] = (256, 256),
    seed: int = 0,
    *,
    factor: int = 4,
    sigma: float = 50 / 255,
    photographs: Photographs = True,
) -> Iterator[SyntheticPair]:
    """Make pairs of images as a task has them, one at a time.

    ============= ============================ ================= =====================
    name          x                            y                 target
    ============= ============================ ================= =====================
    depth         depth, reduced and enlarged  colour            depth
    multispectral band, reduced and enlarged   colour            band
    flash         ambient light plus noise     flash             ambient light
    exposure      over-exposed                 under-exposed     well exposed
    focus         focused near                 focused far       all in focus
    medical       like T1                      like T2           fused by definition
    ============= ============================ ================= =====================

    Parameters
    ----------
    name : str
        One of `PAIR_NAMES`.
    count : int
        Number of pairs. A larger number begins with the same pairs.
    shape : (height, width)
        In pixels, at least 32 each: a part of a scene as large as a photograph.
    seed : int
        Not negative; the same pairs at every call with the same shape and photographs.
    factor : int
        For "depth" and "multispectral": the factor of :func:`mcsc.images.degrade`. It must divide
        height and width.
    sigma : float
        For "flash": standard deviation of the Gaussian noise; x is not clipped to [0, 1] then.
    photographs : bool or path
        As in `make_scene`. Of a folder's panoramas exposures are taken from true radiance; the
        other tasks but medical see views of them among the photographs.

    Returns
    -------
    iterator of SyntheticPair
        Images are float32. Those of three channels can be made grey by
        :func:`mcsc.images.luma_studio`, as the paper does for depth and focus.

    Raises
    ------
    ValueError, TypeError
        An argument is not of the kind above. Raised by the call, not at the first pair.

    Notes
    -----
    Cost, for 64 x 64 pixels on one core: depth 4 ms, multispectral and flash 5 to 8 ms, exposure
    and focus 15 ms; much less than a step of training takes for a patch of that size.

    Examples
    --------
    >>> from mcsc.synthetic import scenes
    >>> [pair.x.shape for pair in scenes("focus", 2, shape=(64, 64))]
    [(3, 64, 64), (3, 64, 64)]
    """
    count = check_whole("count", count)
    options = _checked(name, shape, seed, factor, sigma, photographs)
    return (_make(number, *options) for number in range(count))


def make_pair(
    name: str,
    number: int,
    shape: tuple[int, int] = (256, 256),
    seed: int = 0,
    *,
    factor: int = 4,
    sigma: float = 50 / 255,
    photographs: Photographs = True,
) -> SyntheticPair:
    """Make one of the pairs of `scenes`, by its number from 0 on.

    The other arguments, and the errors, are those of `scenes`.
    """
    return _make(
        check_seed(number, "number"), *_checked(name, shape, seed, factor, sigma, photographs)
    )


def _checked(
    name: str,
    shape: tuple[int, int],
    seed: int,
    factor: int,
    sigma: float,
    photographs: Photographs,
) -> tuple[str, tuple[int, int], int, int, float, Photographs]:
    if name not in PAIR_NAMES:
        raise InvalidValueError(f"name must be one of {', '.join(PAIR_NAMES)}; found {name!r}")
    shape = check_shape(shape)
    seed = check_seed(seed)
    factor = check_whole("factor", factor)
    sigma = check_number("sigma", sigma, zero=True)
    library(photographs)
    if name in REDUCED and any(n % factor for n in shape):
        raise InvalidValueError(
            f"factor {factor} does not divide the shape {shape[0]} x {shape[1]}"
        )
    return name, shape, seed, factor, sigma, photographs


def _make(
    number: int, name: str, shape: tuple[int, int], seed: int, factor: int, sigma: float,
    photographs: Photographs,
) -> SyntheticPair:  # fmt: skip
    own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    if name == "medical":
        anatomy = make_anatomy(shape, own)
        return _pair(name, own, *medical_pair(anatomy))
    panoramas = library(photographs).panoramas
    if name == "exposure" and panoramas:
        rng = np.random.default_rng([own, 7])
        if rng.random() < _PANORAMAS:
            picture = panoramas[int(rng.integers(len(panoramas)))]
            radiance, focal = panorama_view(rng, picture, shape)
            # As soft as interpolation makes them, and no softer.
            camera = replace(random_camera(rng, focal), softness=0.0)
            return _pair(name, own, *bracket(rng, radiance, camera))
    scene = make_scene(
        shape, own, photographs=photographs, layered=name == "focus", whole=_WHOLE[name]
    )
    return _pair(name, own, *_images(name, scene, factor, sigma))


# Chosen by `python -m benchmarks.networks.yardstick`: depth that is made up is less real than that
# of painted scenes, light that falls on photographs more so.
_WHOLE = {"depth": 0.1, "multispectral": 0.5, "flash": 0.8, "exposure": 0.5, "focus": 0.6}
# Share of the exposures that are of panoramas, if there are any.
_PANORAMAS = 0.6

_TITLES = {
    "depth": ("low-resolution depth", "colour", "depth"),
    "multispectral": ("low-resolution band", "colour", "band"),
    "flash": ("noisy ambient light", "flash", "ambient light"),
    "exposure": ("over-exposed", "under-exposed", "well exposed"),
    "focus": ("near in focus", "far in focus", "all in focus"),
    "medical": ("like T1", "like T2", "fused"),
}


def _pair(name: str, seed: int, x: Floats, y: Floats, target: Floats) -> SyntheticPair:
    x, y, target = (np.ascontiguousarray(a, np.float32) for a in (x, y, target))
    return SyntheticPair(x, y, target, _TITLES[name], name, seed)


def _images(name: str, scene: Scene, factor: int, sigma: float) -> Any:
    if name == "focus":
        return focus_pair(scene)
    if name == "exposure":
        return exposure_pair(scene)
    if name in NOISY:
        ambient, flash = flash_pair(scene)
        noise = scene.rng(5).standard_normal(ambient.shape, dtype=np.float32)
        return ambient + np.float32(sigma) * noise, flash, ambient
    target, guide = multispectral_pair(scene) if name == "multispectral" else depth_pair(scene)
    # Cubic convolution overshoots at edges.
    return np.clip(degrade(target, factor), 0, 1), guide, target
