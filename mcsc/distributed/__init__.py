"""Beyond one machine, on Dask: many scenes, one huge image."""

from __future__ import annotations

from .result import BlockHistory, BlockResult
from .solve import solve_blocks

__all__ = ["BlockHistory", "BlockResult", "solve_blocks"]
