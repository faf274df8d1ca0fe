"""Folders of registered images: ``scene_ROLE.png`` for every role of a task."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from ..errors import InvalidValueError
from ..images.files import read_image
from ..types import Floats
from .task import Task

__all__ = ["SceneFiles", "find_scenes"]

_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")


@dataclass(frozen=True)
class SceneFiles:
    """The two files of a scene, and of a fusion perhaps its target: a `Reader` of them."""

    name: str
    x_path: Path
    y_path: Path
    target_path: Path | None = None

    def __call__(self) -> tuple[Floats, ...]:
        """Return the images of both roles and, if there is one, the target of a fusion.

        Raises
        ------
        ValueError
            They differ in size.
        """
        pair = self.read()
        if self.target_path is None:
            return pair
        target = read_image(self.target_path).pixels
        if target.shape[1:] != pair[0].shape[1:]:
            raise InvalidValueError(
                f"{self.target_path.name} is {target.shape[1]} x {target.shape[2]}, "
                f"{self.x_path.name} is {pair[0].shape[1]} x {pair[0].shape[2]}: images of a "
                "scene must have one size"
            )
        return *pair, target

    def read(self) -> tuple[Floats, Floats]:
        """Return the images of both roles, (C, H, W) float32 in [0, 1].

        Raises
        ------
        ValueError
            They differ in size.
        """
        x, y = read_image(self.x_path).pixels, read_image(self.y_path).pixels
        if x.shape[1:] != y.shape[1:]:
            raise InvalidValueError(
                f"{self.x_path.name} is {x.shape[1]} x {x.shape[2]}, {self.y_path.name} is "
                f"{y.shape[1]} x {y.shape[2]}: images of a scene must have one size"
            )
        return x, y


def find_scenes(
    folder: str | PathLike[str], task: Task, names: Sequence[str] | None = None
) -> list[SceneFiles]:
    """Find the scenes of a task in a folder, sorted by name.

    Parameters
    ----------
    folder : path
        With files ``scene_ROLE.png`` (or .tif, .jpg, .bmp), the roles being those of the task. In
        a fusion, ``scene_target.png`` is what is to be made, if anybody knows.
    task : Task
        What to look for.
    names : sequence of str, optional
        These scenes only.

    Raises
    ------
    ValueError
        There is no such folder, no scene in it, a named scene is missing, or a scene lacks a file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InvalidValueError(f"{folder}: there is no such folder")
    found: list[dict[str, Path]] = [_by_scene(folder, roles) for roles in task.roles]
    all_names = sorted(found[0].keys() | found[1].keys())
    x_role, y_role = (" or ".join(f"_{role}" for role in roles) for roles in task.roles)
    if not all_names:
        raise InvalidValueError(
            f"{folder}: no images of {task.name}; want files SCENE{x_role}.png and "
            f"SCENE{y_role}.png"
        )
    if names is not None:
        missing = sorted(set(names) - set(all_names))
        if missing:
            raise InvalidValueError(
                f"{folder}: no scene {', '.join(missing)}; there are {', '.join(all_names)}"
            )
        all_names = [n for n in all_names if n in set(names)]
    for name in all_names:
        for images, role in zip(found, (x_role, y_role), strict=True):
            if name not in images:
                raise InvalidValueError(f"{folder}: scene {name} has no file {name}{role}.png")
    targets = _by_scene(folder, ("target",)) if task.kind == "fusion" else {}
    return [
        SceneFiles(name, found[0][name], found[1][name], targets.get(name)) for name in all_names
    ]


def _by_scene(folder: Path, roles: Sequence[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for role in reversed(roles):  # the first role of a scene wins
        for path in _files(folder):
            match = re.fullmatch(rf"(.+)_{re.escape(role)}", path.stem)
            if match:
                found[match[1]] = path
    return found


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in _SUFFIXES and path.is_file():
            yield path
