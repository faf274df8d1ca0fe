"""Dead-leaves scenes: objects of all sizes at random depths that hide one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import check_whole, is_whole
from ..errors import InvalidValueError
from ..types import Floats
from .camera import Camera, encode, exposure, random_camera
from .canvas import RELIEF, Canvas, Layer, plan, railing
from .lighting import Lamp, light_field, random_lamp, smooth_field
from .photographs import Library, Photographs, Picture, library, panorama_view
from .relief import invent_relief, reflectance, sheets
from .textures import photograph_piece, random_material

__all__ = ["Scene", "check_seed", "check_shape", "make_scene"]

_SMALLEST_SIDE = 32
_UNITS = (350.0, 1400.0)
# Share of photographs that are views of panoramas, and the largest side of such: beyond, they are
# too soft.
_PANORAMAS, _VIEW = 0.3, 400
# Of the streams of random numbers of a scene, as `Scene.rng` takes them.
_RAILING = 8


@dataclass(frozen=True, eq=False)
class Scene:
    """A synthetic scene, of which cameras and sensors take the images of a pair."""

    seed: int
    """Seed that it was made from (together with its shape)."""
    colour: Floats
    """Well exposed photograph, everything in focus, (3, H, W), in [0, 1], gamma-encoded: as soft as
    the camera makes it, with its noise, rounded to 8 bits."""
    light: Floats
    """Linear light that the camera saw, exposed: what is above 1 is burnt out, (3, H, W)."""
    depth: Floats
    """True inverse depth, as a disparity: 1 nearest, 0 farthest, (1, H, W)."""
    albedo: Floats
    """Linear reflectance, (3, H, W)."""
    slopes: Floats
    """Derivatives of the height along rows and columns within each surface, (2, H, W)."""
    material: NDArray[np.int32]
    """Number of the material that is seen, (H, W); of a photograph, of the surface."""
    object: NDArray[np.int32]
    """Number of the object that is seen, (H, W): painted ones from back to front."""
    gloss: Floats
    """Gloss of the material that is seen, (H, W)."""
    lamp: Lamp
    """Lamp that lights `colour`."""
    camera: Camera
    """Camera that took `colour`."""
    unit: float
    """Pixels of the shorter side of the photograph of which the scene is a part."""
    shade: Floats
    """Light on the layers: what their reflectance is multiplied by to give `light`, (3, H, W)."""
    layers: tuple[Layer, ...] = field(repr=False)
    """Layers of depth from back to front; empty unless they were asked for."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.depth.shape[1], self.depth.shape[2]

    @property
    def height(self) -> Floats:
        """Height of the surface towards the viewer in pixels, (H, W)."""
        out: Floats = self.depth[0] * np.float32(RELIEF * self.unit)
        return out

    def rng(self, purpose: int) -> np.random.Generator:
        """A generator for choices about this scene, the same at every call."""
        return np.random.default_rng([self.seed, purpose])

    def lit(self, lamp: Lamp) -> tuple[Floats, Floats]:
        """Diffuse light and highlights, (3, H, W) each, under another lamp."""
        return light_field(self.height, self.slopes, self.gloss, lamp, self.unit)


def make_scene(
    shape: tuple[int, int],
    seed: int = 0,
    *,
    photographs: Photographs = True,
    layered: bool = False,
    whole: float = 0.3,
) -> Scene:
    """Make a dead-leaves scene: a part of one that is as large as a photograph.

    Parameters
    ----------
    shape : (height, width)
        In pixels, at least 32 each.
    seed : int
        Not negative; the same scene at every call with the same shape and photographs.
    photographs : bool or path
        Where some of the textures are cut from: the free photographs in scikit-image's wheel
        (`PHOTOGRAPHS`), those and the ones of a folder, or none: then all are made of noise, waves
        and plain colours.
    layered : bool
        Keep what hides behind other objects, `Scene.layers`, which takes four times the memory.
    whole : float
        Share of the scenes that are one photograph, with a depth made up along its edges
        (`mcsc.synthetic.relief`); the others are painted.

    Returns
    -------
    Scene

    Raises
    ------
    TypeError, ValueError
        An argument is not of the kind above; there is no such folder, no photograph in it, or
        one that cannot be used.

    Notes
    -----
    Objects of power-law size - the reason why natural images look alike at all scales - are laid
    from back to front on walls and floor, each with a plane, round or folded surface of its own
    and one of a few materials. Their sizes are relative to a photograph whose shorter side is 350
    to 1400 pixels, of which the scene is a part: in a scene of 128 x 128 pixels there may be one
    edge or none. Most objects lie on what is behind them, some stand free; where surfaces would
    pass through each other the nearer is seen, as in reality. Some objects wear what lies behind
    them: steps of depth that colour does not show. Cost: about 2 s a megapixel, half of it light.

    References
    ----------
    A. B. Lee, D. Mumford and J. Huang, "Occlusion models for natural images", IJCV 41, 2001.
    doi:10.1023/A:1011109015675

    Examples
    --------
    >>> from mcsc.synthetic import make_scene
    >>> scene = make_scene((96, 128), seed=3)
    >>> scene.colour.shape, scene.depth.shape
    ((3, 96, 128), (1, 96, 128))
    """
    shape = check_shape(shape)
    seed = check_seed(seed)
    found = library(photographs)
    rng = np.random.default_rng([seed, 0])
    unit = float(np.exp(rng.uniform(np.log(_UNITS[0]), np.log(_UNITS[1]))))
    camera = random_camera(rng, unit)
    if found.pictures and rng.random() < whole:
        return _photographed(rng, shape, seed, unit, camera, found, layered=layered)
    return _painted(rng, shape, seed, unit, camera, found.pictures, layered=layered)


def _painted(
    rng: np.random.Generator, shape: tuple[int, int], seed: int, unit: float, camera: Camera,
    pictures: Sequence[Picture], *, layered: bool,
) -> Scene:  # fmt: skip
    hues = rng.random(rng.integers(2, 5))
    materials = [
        random_material(rng, shape, hues, pictures) for _ in range(int(rng.integers(8, 15)))
    ]
    canvas = Canvas(shape, unit, materials, layered=layered)
    canvas.background(rng)
    for start in plan(rng, shape, unit, canvas.depth, len(materials)):
        canvas.paint(rng, start)
    # Of a stream of its own: scenes without a railing are as they would be if there were none.
    thin = np.random.default_rng([seed, _RAILING])
    for start in railing(thin, shape, unit, len(materials)):
        canvas.paint(thin, start)
    lamp = random_lamp(rng)
    gloss = np.array([m.gloss for m in materials], np.float32)[canvas.material]
    height = canvas.depth * np.float32(RELIEF * unit)
    diffuse, highlights = light_field(height, canvas.slopes, gloss, lamp, unit)
    falloff = np.exp(np.float32(rng.uniform(0.0, 0.5)) * smooth_field(rng, shape, unit))
    radiance = (canvas.seen * diffuse + highlights) * falloff
    light = radiance * exposure(radiance)
    return Scene(
        seed=seed,
        colour=camera.photograph(rng, light),
        light=light,
        depth=canvas.depth[None],
        albedo=canvas.seen,
        slopes=canvas.slopes,
        material=canvas.material,
        object=canvas.object,
        gloss=gloss,
        lamp=lamp,
        camera=camera,
        unit=unit,
        shade=light / canvas.seen,
        layers=canvas.layers(),
    )


def _photographed(
    rng: np.random.Generator, shape: tuple[int, int], seed: int, unit: float, camera: Camera,
    found: Library, *, layered: bool,
) -> Scene:  # fmt: skip
    if found.panoramas and max(shape) <= _VIEW and rng.random() < _PANORAMAS:
        picture = found.panoramas[int(rng.integers(len(found.panoramas)))]
        radiance, unit = panorama_view(rng, picture, shape)
        linear = radiance * exposure(radiance)
    else:
        # Of two pieces the one with more to see: much of a landscape is sky, or out of focus.
        picture = found.pictures[int(rng.integers(len(found.pictures)))]
        pieces = [photograph_piece(rng, picture, *shape) for _ in range(2)]
        linear = max(pieces, key=_detail)
    gain = np.exp(rng.normal(0, 0.3) + rng.normal(0, 0.1, (3, 1, 1))).astype(np.float32)
    light = linear * gain
    albedo = reflectance(light)
    relief = invent_relief(rng, albedo, unit)
    glossy = (rng.random(int(relief.sheet.max()) + 1) < 0.3) * rng.uniform(0.1, 1.0)
    return Scene(
        seed=seed,
        colour=camera.photograph(rng, light),
        light=light,
        depth=relief.depth[None],
        albedo=albedo,
        slopes=relief.slopes,
        material=relief.sheet,
        object=relief.region,
        gloss=glossy.astype(np.float32)[relief.sheet],
        lamp=random_lamp(rng),
        camera=camera,
        unit=unit,
        # A photograph does not tell reflectance from light; its layers hold both.
        shade=np.ones_like(light),
        layers=sheets(light, relief) if layered else (),
    )


def _detail(linear: Floats) -> float:
    """Mean difference of neighbours, as one sees them."""
    return float(np.abs(np.diff(encode(linear[1]), axis=1)).mean())


def check_shape(shape: Any) -> tuple[int, int]:
    """Refuse what is no (height, width) of whole numbers of at least 32."""
    if (
        isinstance(shape, tuple | list)
        and len(shape) == 2
        and all(is_whole(n) and n >= _SMALLEST_SIDE for n in shape)
    ):
        return int(shape[0]), int(shape[1])
    raise InvalidValueError(
        f"shape must be (height, width) of whole numbers of at least {_SMALLEST_SIDE} pixels; "
        f"found {shape!r}"
    )


def check_seed(seed: Any, name: str = "seed") -> int:
    """Refuse what is no whole number of at least 0."""
    return check_whole(name, seed, least=0)
