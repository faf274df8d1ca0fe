"""Computations on the workers of Dask: many scenes, or one image larger than memory."""

from __future__ import annotations

from .arrays import open_image
from .output import write_blocks
from .result import BlockHistory, BlockResult
from .scenes import Outcome, Scene, SceneTable, map_scenes
from .solve import solve_blocks

__all__ = [
    "BlockHistory", "BlockResult", "Outcome", "Scene", "SceneTable", "map_scenes", "open_image",
    "solve_blocks",
    "write_blocks",
]  # fmt: skip
