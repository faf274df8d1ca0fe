"""Folders and tables of scenes for commands that know one scene."""

from __future__ import annotations

from .run import SceneCommand, cluster_options, is_batch, run_batch

__all__ = ["SceneCommand", "cluster_options", "is_batch", "run_batch"]
