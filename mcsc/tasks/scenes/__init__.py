"""Scenes of a task, in files and synthetic ones, read when they are asked for.

A scene is a `Reader`, a callable that returns the images of both roles; it may have a ``name``, for
messages. Those here can be pickled, as other processes want them.
"""

from __future__ import annotations

from .files import SceneFiles
from .folders import find_scenes, require_targets
from .readable import look_at_scenes
from .readers import Reader, check_scene, flipped, hold_out, is_part, name_of
from .synthetic import synthetic_scenes, unseen_scenes
from .table import TableLine, scene_table

__all__ = [
    "Reader", "SceneFiles", "TableLine", "check_scene", "find_scenes", "flipped", "hold_out",
    "is_part", "look_at_scenes", "name_of", "require_targets", "scene_table", "synthetic_scenes",
    "unseen_scenes",
]  # fmt: skip
