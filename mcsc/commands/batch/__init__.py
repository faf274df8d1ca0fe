"""What is too much for one process: folders and tables of scenes, images beyond the memory."""

from __future__ import annotations

from .huge import block_options, fuse_huge, is_huge, restore_huge
from .run import SceneCommand, cluster_options, is_batch, run_batch

__all__ = [
    "SceneCommand", "block_options", "cluster_options", "fuse_huge", "is_batch", "is_huge",
    "restore_huge", "run_batch",
]  # fmt: skip
