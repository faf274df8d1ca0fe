"""Render scenes to train networks on: depth with colour, ambient light with flash.

Made-up worlds of photographed materials, lit by real panoramas: depth is exact, light, shade and
shadows are real. Written are the pictures of a folder that `mcsc train --task depth-sr DIR`, or
`--task flash-denoise DIR`, takes. What is there already is kept, so that a run that was stopped
goes on. Needs Mitsuba 3 (`pip install mitsuba==3.8.0`).
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

import numpy as np

from mcsc.errors import InvalidValueError
from mcsc.images.files import write_image
from mcsc.synthetic.camera import Camera, exposure, random_camera
from mcsc.synthetic.depthmaps import ideal_camera, measured_depth, rendered_depth
from mcsc.synthetic.flash import developed
from mcsc.synthetic.photographs import Library, library
from mcsc.types import Floats

from .world import STYLES, Seen, render

TASKS = ("depth-sr", "flash-denoise")
# Share of depth maps that are measured by a pair of cameras, by style; the others are a film's.
_MEASURED = {"table": 0.8, "heap": 0.8, "outdoors": 0.2, "close": 0.2, "thicket": 0.2}
_SHARES = (0.28, 0.22, 0.15, 0.15, 0.2)
_SMALLEST = 64


def pair(
    number: int, task: str, pictures: Library, shape: tuple[int, int], seed: int, samples: int
) -> dict[str, Floats]:
    """Render a scene: its images (C, H, W) in [0, 1] by their roles."""
    # Independent choices for what is seen and for who sees it.
    world, rng = (np.random.default_rng([seed, number, part]) for part in range(2))
    style = STYLES[int(world.choice(len(STYLES), p=_SHARES))]
    seen = render(world, style, pictures, shape, samples, lamp=task == "flash-denoise")
    unit = float(min(shape))
    camera = random_camera(rng, unit)
    if task == "flash-denoise":
        return _flash_roles(rng, seen, camera)
    true = _normalised(seen.nearness)
    light = seen.ambient * exposure(seen.ambient) * np.float32(np.exp(rng.normal(0, 0.3)))
    if rng.random() < _MEASURED[style]:
        return {"depth": measured_depth(rng, true, unit), "rgb": camera.photograph(rng, light)}
    ideal = ideal_camera(rng, camera)
    return {"depth": rendered_depth(rng, true), "rgb": ideal.photograph(rng, light)}


def _flash_roles(rng: np.random.Generator, seen: Seen, camera: Camera) -> dict[str, Floats]:
    # The flash does not put out the room's light.
    share = (
        rng.uniform(0.02, 0.25) * float(seen.flash.mean()) / max(float(seen.ambient.mean()), 1e-9)
    )
    ambient, flash = developed(
        rng, seen.ambient, seen.flash + np.float32(share) * seen.ambient, camera
    )
    return {"ambient": ambient, "flash": flash}


def _normalised(nearness: Floats) -> Floats:
    """Nearness from 0, farthest, to 1, but for the nearest few pixels."""
    low, high = float(nearness.min()), float(np.quantile(nearness, 0.999))
    out: Floats = np.clip((nearness - low) / max(high - low, 1e-9), 0, 1).astype(np.float32)
    return out


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rendering",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--task", choices=TASKS, required=True)
    parser.add_argument("--scenes", type=int, default=160, help="how many (default: 160)")
    parser.add_argument("--first", type=int, default=0, help="number of the first (default: 0)")
    parser.add_argument("--photographs", type=Path, required=True, help="photographs, panoramas")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(480, 544), metavar=("HEIGHT", "WIDTH")
    )
    parser.add_argument("--samples", type=int, default=32, help="paths a pixel (default: 32)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder of the pictures")
    options = parser.parse_args()
    if importlib.util.find_spec("mitsuba") is None:
        parser.error("Mitsuba 3 is not there: pip install mitsuba==3.8.0")
    if (
        min(options.size) < _SMALLEST
        or options.samples < 1
        or min(options.scenes, options.seed, options.first) < 0
    ):
        parser.error("want at least 64 pixels a side, a sample a pixel, and no negative numbers")
    try:
        pictures = library(options.photographs)
    except InvalidValueError as error:
        parser.error(str(error))
    if not pictures.panoramas:
        parser.error(f"no panorama (.hdr) in {options.photographs}: they light the scenes")
    options.out.mkdir(parents=True, exist_ok=True)
    for number in range(options.first, options.first + options.scenes):
        first, second = ("depth", "rgb") if options.task == "depth-sr" else ("ambient", "flash")
        paths = {role: options.out / f"world{number:04d}_{role}.png" for role in (first, second)}
        if all(path.is_file() for path in paths.values()):
            continue
        images = pair(
            number, options.task, pictures, tuple(options.size), options.seed, options.samples
        )
        for role, path in paths.items():
            write_image(path, images[role])
        print(f"{number}: {', '.join(path.name for path in paths.values())}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
