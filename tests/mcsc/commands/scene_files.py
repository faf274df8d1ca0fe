"""Folders of scenes for the commands."""

from __future__ import annotations

import numpy as np

from mcsc.images import imresize
from mcsc.images.files import write_image
from mcsc.synthetic import make_pair


def write_depth_scenes(folder, names, *, factor=1.0, truncated=()):
    """Write a scene of depth for each name, its depth smaller by `factor`; returns the folder."""
    for seed, name in enumerate(names):
        pair = make_pair("depth", seed, (32, 32))
        depth = imresize(np.asarray(pair.target), 1 / factor)
        write_image(folder / f"{name}_depth.png", depth, bit_depth=16)
        write_image(folder / f"{name}_rgb.png", np.asarray(pair.y), bit_depth=8)
    for name in truncated:
        spoiled = folder / f"{name}_rgb.png"
        spoiled.write_bytes(spoiled.read_bytes()[:200])
    return folder
