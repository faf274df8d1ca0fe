"""Restoration and fusion of images that need not fit in memory: all but the codes is local."""

from __future__ import annotations

from .coding import BlockOptions
from .fusion import BlockFusion, fuse_blocks
from .restoration import BlockRestoration, restore_blocks

__all__ = ["BlockFusion", "BlockOptions", "BlockRestoration", "fuse_blocks", "restore_blocks"]
