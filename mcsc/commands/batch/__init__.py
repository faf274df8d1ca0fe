"""What is too much for one process: folders and tables of scenes, images beyond the memory."""

from __future__ import annotations

from .huge import HugeImages, block_options, is_huge
from .run import SceneCommand, check_cluster, cluster_options, is_batch, run_batch

__all__ = [
    "HugeImages", "SceneCommand", "block_options", "check_cluster", "cluster_options", "is_batch",
    "is_huge", "run_batch",
]  # fmt: skip
