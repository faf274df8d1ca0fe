"""Where the scenes of `learn` and `train` come from: a folder, synthetic scenes, or both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import InvalidValueError
from ..files import visible_files
from ..tasks.task import TASKS
from . import named, options

if TYPE_CHECKING:
    from ..synthetic.photographs import Source
    from ..tasks.scenes import Reader, SceneFiles
    from ..tasks.task import Task
    from ..values.ranges import ValueRange

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Sources:
    """Scenes to learn from and, for `train`, to be measured on."""

    readers: list[Reader]
    held_out: list[Reader]
    words: str
    """What they are, for people."""
    photographs: list[Source]
    """What synthetic scenes among them show."""


def files_of_tasks() -> str:
    """Say, for --help, which files DIR holds for each task."""
    rows = []
    for task in TASKS.available().values():
        first, second = (" or ".join(role) for role in task.roles)
        clean = " (clean)" if task.kind == "restoration" else ""
        rows.append(f"{task.name:18}{first}{clean}, {second}")
    return "\n".join(rows)


def source_options(command: F) -> F:
    """Add DIR, --task, --scenes, --mask, --range, --synthetic and --photographs."""
    for option in reversed(
        (
            click.argument(
                "folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path)
            ),
            named.task("Name of the task: {names}."),
            click.option(
                "--scenes", metavar="NAMES", callback=options.listed_names,
                help="Names of the scenes of DIR to take, separated by commas.  [default: all]",
            ),
            options.mask_option("the first image of every scene, or with '2=' of the second", "2="),
            options.range_option(
                "all images or, given twice, in the first and in the second image", result=False
            ),
            click.option(
                "--synthetic", metavar="N", type=click.IntRange(min=0), default=0,
                show_default=True,
                help="Number of synthetic scenes to use besides those of DIR.",
            ),
            click.option(
                "--photographs", metavar="DIR", type=click.Path(path_type=Path),
                help="Folder of photographs (JPEG, PNG, TIFF, BMP, PGM, PPM) and panoramas "
                "(Radiance .hdr) as textures of the synthetic scenes; its file SOURCES names their "
                "origins and licences.  [default: photographs that come with scikit-image]",
            ),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def files_read(files: Iterable[SceneFiles], photographs: Path | None = None) -> list[Path]:
    """Files that scenes, and photographs for synthetic ones, are read from: not to be replaced."""
    paths = [p for f in files for p in (f.x_path, f.y_path, f.target_path) if p is not None]
    if photographs is not None and photographs.is_dir():
        paths += visible_files(photographs, within=True)
    return paths


def read_sources(
    task: Task,
    folder: Path | None,
    scenes: Sequence[str] | None,
    synthetic: int,
    seed: int,
    *,
    photographs: Path | None = None,
    masks: Mapping[int, Sequence[str]] | None = None,
    ranges: Sequence[ValueRange] = (),
    held_out: float = 0.0,
    truth: bool = False,
) -> Sources:
    """Find the scenes; `held_out` of them, at least one of each kind, are kept apart.

    With `truth`, scenes of a fusion must come with their result. `masks` and `ranges` are those of
    the options for the first and the second images.

    Raises
    ------
    click.UsageError
        There are neither a folder nor synthetic scenes; something is for a folder; or photographs
        are given, and no synthetic scenes that show them.
    ValueError
        The folder holds no such scenes, some that cannot be read, or too few to keep one apart; or
        that of the photographs holds none, or some that cannot be used.
    """
    if folder is None and synthetic == 0:
        raise click.UsageError("want a folder of scenes, or --synthetic N")
    for option, value in (("--scenes", scenes), ("--mask", masks), ("--range", ranges)):
        if value and folder is None:
            raise click.UsageError(f"{option} is for a folder")
    options.check_counts(masks or {}, ranges, 2)
    if photographs is not None and synthetic == 0:
        raise click.UsageError("--photographs is for --synthetic N")
    if photographs is not None and not task.photographed:
        raise click.UsageError(
            f"--photographs is not for {task.name}: its synthetic scenes show none"
        )
    from ..synthetic.photographs import photograph_sources
    from ..tasks.scenes import (
        hold_out,
        require_targets,
        synthetic_scenes,
        unseen_scenes,
    )

    readers: list[Reader] = []
    apart: list[Reader] = []
    words = []
    shown: list[Source] = []
    if synthetic and task.photographed:
        shown = photograph_sources(photographs or True)
    if folder is not None:
        found = _readable(folder, task, scenes, masks, ranges)
        if truth:
            require_targets(found, task)
        if held_out and len(found) < 2:
            raise InvalidValueError(
                f"{folder} has {len(found)} scene: want another one to validate on, or "
                "--validation 0"
            )
        kept, others = hold_out(found, held_out, seed)
        readers += kept
        apart += others
        words.append(", ".join(scene.name for scene in kept))
    if synthetic:
        readers += synthetic_scenes(task, synthetic, seed=seed, photographs=photographs)
        apart += unseen_scenes(task, synthetic, held_out, seed, photographs)
        words.append(f"{synthetic} synthetic scenes")
    return Sources(readers, apart, " and ".join(words), shown)


def _readable(
    folder: Path,
    task: Task,
    scenes: Sequence[str] | None,
    masks: Mapping[int, Sequence[str]] | None,
    ranges: Sequence[ValueRange],
) -> list[SceneFiles]:
    """The scenes of a folder; all of them are looked at before any work."""
    from ..tasks.scenes import find_scenes, look_at_scenes

    faults: dict[str, str] = {}
    found = find_scenes(folder, task, scenes, faults=faults)
    words = masks or {}
    found, unreadable = look_at_scenes(
        found, masks=(words.get(0, ()), words.get(1, ())), ranges=ranges,
        measured=not task.display,
    )  # fmt: skip
    faults |= unreadable
    if faults:
        listed = "; ".join(f"scene {name}: {reason}" for name, reason in faults.items())
        raise InvalidValueError(f"{folder}: {listed}")
    for which, role in (("first", 0), ("second", 1)):
        for values in dict.fromkeys(scene.ranges[role] for scene in found):
            if values not in options.PLAIN_RANGES:
                click.echo(options.range_words(f"{which} images", values))
    return found
