"""Folders and tables of scenes for commands that know one scene: the command, once a scene.

A worker runs the command itself with the words that were given, the scene's files in place of the
folder. So every option means in a folder what it means for a scene.
"""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from ...errors import InvalidValueError
from ...files import visible_files
from ...images.sizes import BYTES_OF_A_PIXEL, pixels_of
from ...images.suffixes import READABLE, WRITABLE
from ...progress import is_terminal
from ...tasks.task import Task
from ..options import masks, numbered

__all__ = [
    "SceneCommand",
    "check_cluster",
    "cluster_options",
    "is_batch",
    "memory_of",
    "run_batch",
]

F = TypeVar("F", bound=Callable[..., Any])

_WORDS = "mcsc.words"
_CODING = 900_000_000  # for codes: tiles are cut so that they stay below


class SceneCommand(click.Command):
    """A command that remembers the options it was given, as words."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words, and keep those of the options."""
        if not ctx.resilient_parsing:
            given, _, _ = self.make_parser(ctx).parse_args(list(args))
            ctx.meta[_WORDS] = given
        return super().parse_args(ctx, args)


def cluster_options(what: str, default: str = "none") -> Callable[[F], F]:
    """Return a decorator that adds the options that say who does the work."""

    def decorate(command: F) -> F:
        for option in (
            click.option(
                "--scheduler", metavar="ADDRESS",
                help=f"Address of a Dask scheduler, such as tcp://HOST:8786, whose workers are to "
                f"{what}.  [default: none]",
            ),
            click.option(
                "--workers", metavar="N", type=click.IntRange(min=1),
                help=f"Number of processes on this machine that are to {what}.  [default: "
                f"{default}]",
            ),
        ):  # fmt: skip
            command = option(command)
        return command

    return decorate


def check_cluster(scheduler: str | None, workers: int | None) -> None:
    """Refuse workers that nobody could ask, before anything is read.

    Raises
    ------
    ImportError
        Dask is not installed.
    RuntimeError
        There is no scheduler at that address.
    """
    if scheduler is None and workers is None:
        return
    from ...distributed.cluster import check_scheduler

    if scheduler is not None and workers is not None:
        raise click.UsageError(
            "--scheduler and --workers exclude each other: a scheduler has workers of its own"
        )
    if scheduler is not None:
        check_scheduler(scheduler)


def is_batch(
    first: Path, others: Sequence[Path], scheduler: str | None, workers: int | None
) -> bool:
    """Whether a folder or a table of scenes was given; refuse what is neither that nor a scene."""
    batch = first.is_dir() or (first.suffix.lower() == ".csv" and first.exists())
    if batch and first.is_dir() and others and all(other.is_dir() for other in others):
        batch = False  # a folder each, as of a series of slices
    if batch and others:
        raise click.UsageError(f"{first} holds scenes: want it alone, without {others[0]}")
    if not batch and (scheduler is not None or workers is not None):
        name = "--scheduler" if scheduler is not None else "--workers"
        raise click.UsageError(f"{name} is for a folder or a table of scenes, or --blocks")
    return batch


def run_batch(
    path: Path,
    out: Path,
    *,
    task: Task | None,
    suffix: str | None,
    refused: Sequence[str] = (),
    scheduler: str | None,
    workers: int | None,
) -> None:
    """Run the command at hand once for each scene of a folder or a table.

    Parameters
    ----------
    path : Path
        A folder of files ``SCENE_ROLE.png``, or a CSV file with one line per scene.
    out : Path
        Folder of the results; ``settings.json`` in it says how they were made.
    task : Task or None
        Whose roles the files of a folder have. None: any, the same for all scenes, in the order of
        their names.
    suffix : str or None
        Suffix of the results of a folder's scenes; None: that of their first image, if it can be
        written without loss; empty: each is a folder.
    refused : sequence of str
        Parameters that are for one scene alone.

    Raises
    ------
    ValueError
        There are no scenes, or the output folder holds results of other settings.
    """
    ctx = click.get_current_context()
    for name in refused:
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            option = next(p for p in ctx.command.params if p.name == name).opts[-1]
            raise click.UsageError(f"{option} is for one scene, {path} holds many")
    if out.exists() and not out.is_dir():
        raise InvalidValueError(f"--out {out} is a file; want a folder for the results of {path}")
    check_cluster(scheduler, workers)
    out = out.resolve()
    words = _option_words(ctx, {"out", "scheduler", "workers"})
    faults: dict[str, str] = {}
    if not path.is_dir():
        rows = _of_table(path, out, task, suffix)
    else:
        rows = _of_folder(path, out, task, suffix, faults)
    if not rows:
        reasons = "; ".join(f"scene {name} {reason}" for name, reason in faults.items())
        raise InvalidValueError(f"{path}: {reasons}")
    from ...distributed import Outcome, Scene, SceneTable, map_scenes

    command = str(ctx.command.name)
    scenes = [
        Scene(
            name,
            (command, tuple(words), tuple(str(i.resolve()) for i in inputs)),
            target,
            memory_of(inputs),
        )
        for name, inputs, target in rows
    ]
    done = map_scenes(
        run_command, scenes, scheduler=scheduler, workers=workers, folder=out,
        settings={"command": command, "options": words, "scenes": str(path.resolve())},
        progress=is_terminal(sys.stdout),
    )  # fmt: skip
    incomplete = [Outcome(name, "failed", reason) for name, reason in faults.items()]
    table = SceneTable([*done.outcomes, *incomplete], done.seconds)
    click.echo(str(table))
    statuses = {o.status for o in table.outcomes}
    stopped = any(o.value == 1 for o in table.outcomes)
    ctx.exit(130 if "interrupted" in statuses else int("failed" in statuses or stopped))


def run_command(name: str, words: Sequence[str], inputs: Sequence[str], out: Path) -> int:
    """Run a command of this package on a scene, on a worker; returns its exit status.

    Raises
    ------
    ValueError
        The command refuses the scene.
    """
    command = getattr(importlib.import_module(f"..{name}", __package__), name)
    args = [*words, "--out", str(out), "--", *inputs]
    try:
        status = command.main(args, f"mcsc {name}", standalone_mode=False)
    except click.ClickException as error:
        raise InvalidValueError(error.format_message()) from error
    return status if isinstance(status, int) else 0


def _option_words(ctx: click.Context, but: set[str]) -> list[str]:
    """The options that were given, as words that mean the same."""
    words: list[str] = []
    for param in ctx.command.params:
        value = ctx.meta[_WORDS].get(param.name)
        if not isinstance(param, click.Option) or param.name in but or value is None:
            continue
        if ctx.get_parameter_source(str(param.name)) is not click.core.ParameterSource.COMMANDLINE:
            continue
        if param.is_flag:
            names = param.opts if value else param.secondary_opts
            words += [max(names, key=len)] if names else []
            continue
        for one in value if param.multiple else [value]:
            words += [max(param.opts, key=len), _anywhere(param, one)]
    return words


def _anywhere(param: click.Option, value: Any) -> str:
    """Return a value of an option as a word, with names of files as workers anywhere find them."""
    if isinstance(param.type, click.Path):
        return str(Path(value).resolve())
    if param.callback is masks:
        from ...values.masks import absolute_word

        number, word = numbered(value)
        return f"{number}={absolute_word(word)}"
    return str(value)


Row = tuple[str, tuple[Path, ...], Path]


def _of_folder(
    folder: Path, out: Path, task: Task | None, suffix: str | None, faults: dict[str, str]
) -> list[Row]:
    """Scenes of a folder; what is wrong with others goes into `faults`."""

    def target(scene: str, first: Path) -> Path:
        ending = first.suffix.lower()
        own = ending if ending in WRITABLE and ending not in (".jpg", ".jpeg") else ".png"
        return out / f"{scene}{own if suffix is None else suffix}"

    if task is not None:
        from ...tasks.scenes import find_scenes

        return [
            (s.name, (s.x_path, s.y_path), target(s.name, s.x_path))
            for s in find_scenes(folder, task, faults=faults)
        ]
    found: dict[str, dict[str, Path]] = {}
    for path in visible_files(folder):
        scene, mark, role = path.stem.rpartition("_")
        if mark and scene and path.suffix.lower() in READABLE:
            found.setdefault(scene, {})[role] = path
    if not found:
        raise InvalidValueError(f"{folder}: no scenes; want files SCENE_NAME.png")
    kinds = Counter(tuple(sorted(files)) for files in found.values())
    usual = kinds.most_common(1)[0][0]
    rows = []
    for scene, files in found.items():
        roles = tuple(sorted(files))
        if roles == usual:
            inputs = tuple(files[role] for role in usual)
            rows.append((scene, inputs, target(scene, inputs[0])))
        else:
            faults[scene] = f"has the images {', '.join(roles)}; others have {', '.join(usual)}"
    return rows


def _of_table(path: Path, out: Path, task: Task | None, suffix: str | None) -> list[Row]:
    """Scenes of a CSV file, which says where their results go."""
    from ...tasks.scenes import scene_table

    rows = []
    folders = suffix == ""
    for line in scene_table(path, task):
        if line.out is None:
            raise InvalidValueError(f"{path}: want a column out, with the name of each result")
        given = Path(line.out)
        if given.is_absolute() or ".." in given.parts:
            raise InvalidValueError(
                f"{path}, line {line.number}: out is {given}; want a name in the folder {out.name}"
            )
        if given.suffix.lower() not in (("",) if folders else WRITABLE):
            kind = "the name of a folder" if folders else "the name of an image"
            raise InvalidValueError(f"{path}, line {line.number}: out is {given}; want {kind}")
        rows.append((given.with_suffix("").as_posix(), line.inputs, out / given))
    return rows


def memory_of(inputs: Sequence[Path]) -> int:
    """Return about what a scene takes, by the size of its largest image; 0 if none tells it."""
    pixels = max((pixels_of(path) for path in inputs), default=0)
    return pixels * BYTES_OF_A_PIXEL + min(pixels * 1800, _CODING)
