"""A made-up world before a camera: what stands where, of what material, lit by a real panorama."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcsc.synthetic.photographs import Library
from mcsc.synthetic.textures import photograph_piece, power_noise
from mcsc.types import Floats

from . import meshes
from .meshes import Points, Shape

__all__ = ["STYLES", "Seen", "render"]

STYLES = ("table", "heap", "outdoors", "close", "thicket")
"""Things on a table before a wall; many in a heap; a landscape; near ones before far; leaves."""

_DARKEST, _BRIGHTEST = 0.02, 0.92
_TEXTURE = 512
_BACK = np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True, eq=False)
class Seen:
    """What a pinhole camera sees."""

    ambient: Floats
    """Radiance by the panorama's light, (3, H, W)."""
    flash: Floats
    """Radiance by a lamp beside the lens alone, (3, H, W)."""
    nearness: Floats
    """Reciprocal of depth along the optical axis at the middle of each pixel, (H, W); sky is 0."""


def _turn(rng: np.random.Generator, upright: bool) -> Points:
    """A random rotation, (3, 3), about the vertical alone where upright."""
    if upright:
        angle = rng.uniform(0, 2 * math.pi)
        c, s = math.cos(angle), math.sin(angle)
        return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    q, r = np.linalg.qr(rng.normal(0, 1, (3, 3)))
    return np.asarray(q * np.sign(np.diag(r)))


def _thing(rng: np.random.Generator, style: str) -> tuple[Shape, bool]:
    """A random thing about one unit large, and whether it is smooth."""
    shares = {
        "table": (4, 3, 2, 3, 1.2, 1, 1, 0.7, 0.6),
        "heap": (5, 3, 1, 3, 0.5, 0.5, 0.6, 0.2, 0.2),
        "outdoors": (3, 0.5, 0.5, 1.5, 0.7, 3, 2, 0.8, 0.8),
        "close": (3, 1, 0.5, 1, 1, 1, 1, 0.6, 2),
        "thicket": (0.4, 0.1, 0.1, 0.3, 2, 2, 4, 0.2, 4),
    }[style]
    kind = int(rng.choice(len(shares), p=np.array(shares) / sum(shares)))
    if kind == 0:
        return meshes.blob(rng, float(rng.uniform(0, 1) ** 2)), True
    if kind == 1:
        return meshes.lathe(rng), True
    if kind == 2:
        return meshes.cone(rng), False
    if kind == 3:
        return meshes.box(np.exp(rng.uniform(-1.6, 0.0, 3))), False
    if kind == 4:
        thickness = float(np.exp(rng.uniform(-5.2, -3.2)))
        return meshes.rods(
            rng, int(rng.integers(1, 14)), thickness, rng.choice([0, 0.15, 0.4])
        ), True
    if kind == 5:
        return meshes.branches(rng, int(rng.integers(2, 5)), bool(rng.random() < 0.7)), True
    if kind == 6:
        width = float(np.exp(rng.uniform(-4.6, -2.6)))
        return meshes.bent_strips(rng, int(rng.integers(6, 60)), width, False), True
    if kind == 7:
        return meshes.lattice(rng), False
    width = float(np.exp(rng.uniform(-5.0, -3.2)))
    return meshes.bent_strips(rng, int(rng.integers(12, 90)), width, True), True


@dataclass(frozen=True, eq=False)
class _Camera:
    height: float
    """Of the eye above the ground."""
    pitch: float
    """How far down it looks, radians."""
    field: float
    """Of view across, degrees."""
    shape: tuple[int, int]

    def at(self, across: float, up: float, distance: float) -> Points:
        """The point that is seen at (across, up), -1 to 1 of the shorter side, so far away."""
        rows, columns = self.shape
        reach = math.tan(math.radians(self.field / 2)) * min(rows, columns) / columns
        ahead = np.array([0, math.cos(self.pitch), -math.sin(self.pitch)])
        top = np.array([0, math.sin(self.pitch), math.cos(self.pitch)])
        way = ahead + reach * (across * np.array([1.0, 0, 0]) + up * top)
        return np.array([0, 0, self.height]) + distance * way


def _placed(
    rng: np.random.Generator, style: str, camera: _Camera
) -> list[tuple[Shape, bool, float]]:
    """Shapes of the world, whether each is smooth, and units a texture is wide."""
    near, far = {
        "table": (1.2, 3.2), "heap": (1.6, 2.6), "outdoors": (2.0, 40.0),
        "close": (0.8, 12.0), "thicket": (0.7, 12.0),
    }[style]  # fmt: skip
    out: list[tuple[Shape, bool, float]] = []
    wide = 3.5 * far
    back = far * rng.uniform(1.05, 1.5)
    upright = np.array([[1.0, 0, 0], [0, 0, 1], [0, 1, 0]])
    if style in ("table", "heap") or rng.random() < 0.3:
        lean = rng.normal(0, 0.25)
        c, s = math.cos(lean), math.sin(lean)
        wall = meshes.sheet(rng, wide, wide, 0.0, float(rng.choice([0, 0, 0.02])) * far)
        turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ upright
        out.append((wall.moved(1, turn, back * _BACK), True, float(rng.uniform(0.6, 3) * far)))
    if style != "thicket" or rng.random() < 0.5:
        hills = {"table": 0.0, "heap": 0.05}.get(style, 0.02 * far)
        ground = meshes.sheet(rng, 3 * wide, 3 * wide, hills * rng.random(), 0.0)
        out.append((ground, True, float(rng.uniform(0.5, 3) * camera.height)))
    if style in ("table", "heap") and rng.random() < 0.4:
        size = rng.uniform(0.5, 1.5)
        cloth = meshes.sheet(rng, size, size, 0.06, 0.04)
        to = camera.at(rng.uniform(-1, 1), rng.uniform(-1, 0.5), rng.uniform(near, far))
        out.append((cloth.moved(1, _turn(rng, False), to), True, 0.7))
    count = {"table": (10, 40), "heap": (40, 90), "outdoors": (15, 60), "close": (6, 24),
             "thicket": (20, 60)}[style]  # fmt: skip
    least, most = {"table": (0.1, 0.7), "heap": (0.14, 0.45)}.get(style, (0.06, 1.1))
    for number in range(int(rng.integers(*count))):
        distance = math.exp(rng.uniform(math.log(near), math.log(far)))
        # Sizes as they are seen: few large, many small.
        seen = min(least * (1 - rng.random()) ** -0.75, most)
        if style in ("close", "thicket") and number < 4:
            distance, seen = near * rng.uniform(1, 1.6), rng.uniform(0.4, 1.1)
        across, up = rng.uniform(-1.3, 1.3), rng.uniform(-1.0, 1.0)
        to = camera.at(across, up, distance)
        size = seen * distance
        floats = style in ("heap", "thicket", "close") and rng.random() < 0.8
        shape, smooth = _thing(rng, style)
        stretch = size * np.exp(rng.normal(0, 0.2, 3))
        if style in ("outdoors", "close"):
            stretch = size * np.exp(rng.normal(0.2, 0.2, 3))
        if not floats:
            to[2] = 0.5 * stretch[2]
            to[:2] = camera.at(across, rng.uniform(-0.9, 0), distance)[:2]
        turn = _turn(rng, not floats)
        out.append((shape.moved(stretch, turn, to), smooth, float(rng.uniform(0.3, 2.0))))
    return out


def _colour(rng: np.random.Generator) -> Points:
    return np.exp(rng.normal(-1.2, 0.7)) * np.exp(rng.normal(0, 0.35, (3, 1, 1)))


def _reflectance(rng: np.random.Generator, pictures: Library) -> Floats:
    """Linear reflectance of a material, (h, w, 3), always as large: others are compiled anew."""
    kind = rng.random()
    shape = (_TEXTURE, _TEXTURE)
    if kind < 0.6 and pictures.pictures:
        picture = pictures.pictures[int(rng.integers(len(pictures.pictures)))]
        colours = photograph_piece(rng, picture, *shape)
        tint = np.exp(rng.normal(0, 0.3, (3, 1, 1))) if rng.random() < 0.5 else 1.0
        colours = colours * tint * (0.35 / max(float(colours.mean()), 0.05))
    else:
        base, other = (_colour(rng) for _ in range(2))
        colours = np.broadcast_to(base, (3, *shape))
        if kind < 0.85:
            pattern = power_noise(rng, shape, float(rng.uniform(0.6, 1.8)))
            share = np.clip(0.5 + rng.uniform(0.1, 2.0) * pattern, 0, 1)
            colours = base * (1 - share) + other * share
    clipped = np.clip(colours, _DARKEST, _BRIGHTEST).astype(np.float32)
    return np.ascontiguousarray(clipped.transpose(1, 2, 0))


@lru_cache(maxsize=1)
def _mitsuba() -> Any:
    import drjit
    import mitsuba

    mitsuba.set_variant("llvm_ad_rgb")
    drjit.set_thread_count(1)
    return mitsuba


def _mesh(mi: Any, shape: Shape, smooth: bool, units: float, material: Any) -> Any:
    properties = mi.Properties()
    properties["bsdf"] = material
    properties["face_normals"] = not smooth
    mesh = mi.Mesh(
        "thing", len(shape.vertices), len(shape.faces), has_vertex_normals=smooth,
        has_vertex_texcoords=True, props=properties,
    )  # fmt: skip
    values = mi.traverse(mesh)
    values["vertex_positions"] = shape.vertices.astype(np.float32).ravel()
    values["faces"] = shape.faces.astype(np.uint32).ravel()
    values["vertex_texcoords"] = (shape.places / max(units, 0.02)).astype(np.float32).ravel()
    values.update()
    if smooth:
        mesh.recompute_vertex_normals()
    return mesh


def _material(mi: Any, reflectance: Floats, gloss: bool, rough: float) -> Any:
    colour = {
        "type": "bitmap", "data": mi.TensorXf(reflectance), "raw": True, "wrap_mode": "mirror",
    }  # fmt: skip
    if gloss:
        inner = {"type": "roughplastic", "diffuse_reflectance": colour, "alpha": rough}
    else:
        inner = {"type": "diffuse", "reflectance": colour}
    return mi.load_dict({"type": "twosided", "inner": inner})


def render(
    rng: np.random.Generator,
    style: str,
    pictures: Library,
    shape: tuple[int, int],
    samples: int = 48,
    *,
    lamp: bool = False,
) -> Seen:
    """Make up a world and look at it.

    Parameters
    ----------
    rng : Generator
        Of every choice.
    style : str
        One of `STYLES`.
    pictures : Library
        Photographs for materials, and panoramas, at least one, for light and background.
    shape : (height, width)
        Of the image, pixels.
    samples : int
        Paths a pixel.
    lamp : bool
        Render by the lamp too; otherwise `Seen.flash` is empty.
    """
    mi = _mitsuba()
    camera = _Camera(
        height=float(rng.uniform(0.5, 1.2)) * (2.0 if style == "outdoors" else 1.0),
        pitch=float(
            rng.uniform(-0.05, 0.5) if style in ("table", "heap") else rng.normal(0.05, 0.12)
        ),
        field=float(rng.uniform(35, 65)),
        shape=shape,
    )
    things: dict[str, Any] = {}
    for number, (thing, smooth, units) in enumerate(_placed(rng, style, camera)):
        gloss, rough = bool(rng.random() < 0.45), float(rng.choice([0.1, 0.2, 0.35]))
        material = _material(mi, _reflectance(rng, pictures), gloss, rough)
        things[f"thing{number}"] = _mesh(mi, thing, smooth, units, material)
    eye = [0, 0, camera.height]
    ahead = [0, math.cos(camera.pitch), camera.height - math.sin(camera.pitch)]
    sensor = mi.load_dict(
        {
            "type": "perspective", "fov": camera.field, "fov_axis": "x",
            "to_world": mi.ScalarTransform4f().look_at(eye, ahead, [0, 0, 1]),
            "film": {"type": "hdrfilm", "width": shape[1], "height": shape[0],
                     "rfilter": {"type": "box"}},
        }
    )  # fmt: skip
    panorama = pictures.panoramas[int(rng.integers(len(pictures.panoramas)))]
    light = panorama.radiance().transpose(1, 2, 0)
    up = mi.ScalarTransform4f().rotate([0, 0, 1], float(rng.uniform(0, 360))).rotate([1, 0, 0], 90)
    sky = {"type": "envmap", "bitmap": mi.Bitmap(np.ascontiguousarray(light)), "to_world": up}
    seed = int(rng.integers(2**31))
    path = {"type": "path", "max_depth": 4}

    def seen_by(emitter: dict[str, Any], count: int) -> Floats:
        scene = mi.load_dict({"type": "scene", "integrator": path, "light": emitter, **things})
        image = np.array(mi.render(scene, sensor=sensor, spp=count, seed=seed), np.float32)
        return np.ascontiguousarray(image[..., :3].transpose(2, 0, 1))

    ambient = seen_by(sky, samples)
    flash = np.zeros((3, 0, 0), np.float32)
    if lamp:
        beside = [float(v) for v in rng.normal(0, 0.06, 3)]
        place = [beside[0], -0.02, camera.height + abs(beside[2]) + 0.02]
        flash = seen_by(
            {"type": "point", "position": place, "intensity": 1.0}, max(samples // 2, 8)
        )
    bare = mi.load_dict({"type": "scene", **things})
    return Seen(ambient, flash, _nearness(mi, bare, sensor, camera))


def _nearness(mi: Any, scene: Any, sensor: Any, camera: _Camera) -> Floats:
    rows, columns = camera.shape
    number = mi.UInt32(np.arange(rows * columns, dtype=np.uint32))
    place = mi.Point2f(
        (mi.Float(number % columns) + 0.5) / columns, (mi.Float(number // columns) + 0.5) / rows
    )
    ray, _ = sensor.sample_ray(0.0, 0.5, place, mi.Point2f(0.5, 0.5))
    hit = scene.ray_intersect(ray)
    points, valid = np.array(hit.p), np.array(hit.is_valid())
    points = points if points.shape[0] == 3 else points.T
    ahead = points[1] * math.cos(camera.pitch) - (points[2] - camera.height) * math.sin(
        camera.pitch
    )
    near: NDArray[np.float64] = np.where(valid, 1 / np.maximum(ahead, 1e-3), 0.0)
    return near.reshape(rows, columns).astype(np.float32)
