"""Scenes of a task: those of a folder, by the names of its files, or of a table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path

from ...errors import InvalidValueError
from ...files import visible_files
from ...images.suffixes import READABLE
from ..task import Task, get_task
from .files import SceneFiles
from .table import scene_table

__all__ = ["find_scenes", "require_targets"]


def find_scenes(
    folder: str | PathLike[str],
    task: str | Task,
    names: Sequence[str] | None = None,
    *,
    faults: dict[str, str] | None = None,
) -> list[SceneFiles]:
    """Find the scenes of a task in a folder, sorted by name, or in a table, in its order.

    Parameters
    ----------
    folder : path
        Folder with files ``scene_ROLE.png`` (or .tif, .jpg, .bmp) of the roles of the task. In a
        fusion, ``scene_target.png`` is the wanted image, if there is one. Files whose names begin
        with a dot are ignored. Or a CSV file: `mcsc.tasks.scenes.scene_table`.
    task : str or Task
        The task whose scenes to look for.
    names : sequence of str, optional
        Names of the scenes to find. Default: all.
    faults : dict, optional
        Filled with what is wrong with scenes that lack a file or have two of one role, by their
        names; they are left out. Without it they are refused.

    Raises
    ------
    ValueError
        There is no such folder or table, no scene in it, a named scene is missing, or a scene lacks
        a file or has two of one role.
    """
    task = get_task(task)
    folder = Path(folder)
    if folder.suffix.lower() == ".csv" and folder.exists() and not folder.is_dir():
        return _of_table(folder, task, names)
    if not folder.is_dir():
        if folder.exists():
            raise InvalidValueError(
                f"{folder}: is a file; want a folder of scenes, or a table of them, .csv"
            )
        raise InvalidValueError(f"{folder}: there is no such folder")
    twice: dict[str, str] = {}
    found: list[dict[str, Path]] = [_by_scene(folder, roles, twice) for roles in task.roles]
    targets = _by_scene(folder, ("target",), twice) if task.kind == "fusion" else {}
    all_names = sorted(found[0].keys() | found[1].keys())
    x_role, y_role = (" or ".join(f"_{role}" for role in roles) for roles in task.roles)
    if not all_names:
        raise InvalidValueError(
            f"{folder}: no images of {task.name}; want files SCENE{x_role}.png and "
            f"SCENE{y_role}.png"
        )
    all_names = _chosen(folder, all_names, names)
    wrong: dict[str, str] = {}
    for name in all_names:
        for images, role in zip(found, (x_role, y_role), strict=True):
            if name not in images:
                wrong[name] = f"no file {name}{role}.png"
        if name in twice:
            wrong[name] = twice[name]
    if faults is None:
        for name, reason in wrong.items():
            raise InvalidValueError(f"{folder}: scene {name} has {reason}")
    else:
        faults |= {name: f"has {reason}" for name, reason in wrong.items()}
    return [
        SceneFiles(name, found[0][name], found[1][name], targets.get(name))
        for name in all_names
        if name not in wrong
    ]


def _chosen(path: Path, there: list[str], names: Sequence[str] | None) -> list[str]:
    """Return the names that are asked for, or all."""
    if names is None:
        return there
    missing = sorted(set(names) - set(there))
    if missing:
        raise InvalidValueError(
            f"{path}: no scene {', '.join(missing)}; there are {', '.join(there)}"
        )
    return [name for name in there if name in set(names)]


def _of_table(path: Path, task: Task, names: Sequence[str] | None) -> list[SceneFiles]:
    """The scenes of a table; whether their files are there is seen when they are read."""
    found: dict[str, SceneFiles] = {}
    for line in scene_table(path, task):
        if len(line.inputs) != 2:
            raise InvalidValueError(
                f"{path}, line {line.number}: want the two images of {task.name}, found "
                f"{len(line.inputs)}"
            )
        if line.name in found:
            raise InvalidValueError(
                f"{path}, line {line.number}: there is a scene {line.name} already: want a column "
                "scene with a name for each"
            )
        found[line.name] = SceneFiles(line.name, *line.inputs, line.target)
    return [found[name] for name in _chosen(path, list(found), names)]


def require_targets(scenes: Sequence[SceneFiles], task: Task) -> None:
    """Refuse scenes of a fusion that come without the image that is to be made of them.

    Raises
    ------
    ValueError
        The message names the first of them.
    """
    if task.kind != "fusion":
        return
    for scene in scenes:
        if scene.target_path is None:
            raise InvalidValueError(
                f"{scene.x_path.parent}: {scene.name} has no target: {task.name} is learned from "
                "scenes whose result is known; want a file SCENE_target.png with each pair, "
                "synthetic scenes, or --teacher METHOD to make the result"
            )


def _by_scene(folder: Path, roles: Sequence[str], twice: dict[str, str]) -> dict[str, Path]:
    """Files by scene; what is there two times goes into `twice`."""
    found: dict[str, Path] = {}
    for role in reversed(roles):  # the first role of a scene wins
        mine: dict[str, Path] = {}
        for path in _files(folder):
            match = re.fullmatch(rf"(.+)_{re.escape(role)}", path.stem)
            if match and match[1] in mine:
                twice[match[1]] = f"two files of one role, {mine[match[1]].name} and {path.name}"
            elif match:
                mine[match[1]] = path
        found |= mine
    return found


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in visible_files(folder) if path.suffix.lower() in READABLE)
