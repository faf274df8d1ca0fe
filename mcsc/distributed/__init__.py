"""Computations on the workers of Dask: many scenes, or one image larger than memory."""

from __future__ import annotations

from .arrays import open_image
from .images import BlockFusion, BlockOptions, BlockRestoration, fuse_blocks, restore_blocks
from .output import write_blocks
from .result import BlockHistory, BlockResult
from .scenes import Incomplete, Outcome, Scene, SceneTable, map_scenes
from .solve import solve_blocks

__all__ = [
    "BlockFusion", "BlockHistory", "BlockOptions", "BlockRestoration", "BlockResult", "Incomplete",
    "Outcome", "Scene", "SceneTable", "fuse_blocks", "map_scenes", "open_image", "restore_blocks",
    "solve_blocks", "write_blocks",
]  # fmt: skip
