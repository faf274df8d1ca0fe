"""`mcsc learn`: a dictionary from a folder of scenes, or from synthetic ones."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from ..errors import InvalidValueError
from ..files import npz_path
from ..learning.options import Init
from ..progress import is_terminal
from ..words import percent
from . import options
from .batch import check_cluster, cluster_options
from .destinations import check_destinations
from .sources import files_of_tasks, files_read, read_sources, source_options

if TYPE_CHECKING:
    from ..learning import Learned
    from ..types import Device, Lam
    from ..values.ranges import ValueRange


_TARGET_WINDOWS = 400


def _sizes(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        found = tuple(int(word) for word in value.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 2:
        raise click.BadParameter(f"{value!r} is not a whole number >= 2, or several", ctx, param)
    return found


_HELP = """Learn the filters of a task from the scenes in DIR, from synthetic ones, or both.

\b
mcsc learn --task depth-sr photos/ --filter-size 12 -o depth.npz
mcsc learn --task multi-focus --synthetic 40 -o focus.npz

DIR holds two images of each scene, called SCENE_ROLE.EXT with the roles below, or is a CSV file
with a column for each of them. An image marked as
clean is the one that a restoration is to find; the image to restore is made from it.

\b
{listed}

Ctrl-C ends learning after the current step and writes the filters learned so far; a second Ctrl-C
stops at once.
"""


@click.command(
    cls=options.Sectioned,
    help=_HELP,
    listed=files_of_tasks,
    short_help="Learn the filters of a task from scenes.",
    sections={
        "Data": [
            "task_name",
            "scenes",
            "masks",
            "ranges",
            "synthetic",
            "photographs",
            "flips",
            "sigma",
        ],
        "Signals": ["strength", "guide_weight", "all_channels", "colour_guide"],
        "Filters": ["common", "unique", "filter_size", "init"],
        "Learning": [
            "lam",
            "mu",
            "nonnegative",
            "passes",
            "windows",
            "target_windows",
            "max_iter",
            "seed",
            "device",
        ],
        "Workers": ["workers", "scheduler"],
        "Files": ["out", "checkpoint", "figure"],
    },
)
@source_options
@click.option(
    "--out",
    "-o",
    metavar="FILE.npz",
    required=True,
    type=click.Path(path_type=Path),
    help="Dictionary to write.",
)
@click.option(
    "--common",
    metavar="K",
    type=click.IntRange(min=0),
    default=32,
    show_default=True,
    help="Number of common filters.",
)
@click.option(
    "--unique",
    metavar="K",
    type=click.IntRange(min=0),
    default=32,
    show_default=True,
    help="Number of unique filters of each image.",
)
@click.option(
    "--filter-size",
    metavar="S[,S...]",
    callback=_sizes,
    default="8",
    show_default=True,
    help="Side of the filters in pixels; with several sides, an equal number of filters gets "
    "each of them.",
)
@click.option(
    "--lam",
    metavar="NUMBERS",
    callback=options.numbers,
    help="Weight of the l1 norm: the larger, the fewer coefficients; one number, or one for each "
    "group of codes, separated by commas.  [default: the task's]",
)
@click.option(
    "--guide-weight",
    metavar="NUMBER",
    type=click.FloatRange(min=0, min_open=True),
    help="Weight of the error in the second image, relative to that in the first.  [default: the "
    "task's]",
)
@click.option(
    "--strength",
    metavar="NUMBER",
    type=click.FloatRange(min=0, min_open=True),
    help="Smoothness, in squared pixels, of the low-pass part that is taken off before filters "
    "are learned.  [default: the task's]",
)
@options.sigma
@click.option(
    "--all-channels/--single-channels",
    default=None,
    help="Restorations: learn filters that cover all channels of the first image together, or "
    "filters for single channels.  [default: the task's]",
)
@click.option(
    "--colour-guide/--grey-guide",
    default=None,
    help="Use the guide in its three colours, or only its luma.  [default: the task's]",
)
@click.option(
    "--flips/--no-flips",
    default=True,
    show_default=True,
    help="Use every scene four times (as it is, upside down, mirrored, and both), or only as it "
    "is.",
)
@click.option(
    "--passes",
    metavar="N",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Number of times that every window is coded.",
)
@click.option(
    "--windows",
    metavar="N",
    type=click.IntRange(min=1),
    default=160,
    show_default=True,
    help="Largest number of windows, of 96 x 96 pixels, to learn filters from.",
)
@click.option(
    "--target-windows",
    metavar="N",
    type=click.IntRange(min=1),
    help="Restorations: largest number of windows to fit target filters to.  "
    f"[default: {_TARGET_WINDOWS}]",
)
@click.option(
    "--init",
    type=click.Choice(get_args(Init)),
    default="patches",
    show_default=True,
    help="Filters to start from: patches of the images, or cosines.",
)
@options.term_options
@options.max_iter(", for every batch of windows")
@options.seed("Seed of every random choice.")
@options.device
@cluster_options("code windows")
@click.option(
    "--checkpoint",
    metavar="FILE.npz",
    type=click.Path(path_type=Path),
    help="File to which the state of learning is written again and again; if it exists, learning "
    "continues from it.",
)
@click.option(
    "--figure",
    metavar="FILE.png",
    type=click.Path(path_type=Path),
    help="Picture to write of the filters, ordered by how much they are used.",
)
def learn(
    folder: Path | None,
    task_name: str,
    out: Path,
    scenes: list[str] | None,
    masks: dict[int, tuple[str, ...]],
    ranges: tuple[ValueRange, ...],
    synthetic: int,
    photographs: Path | None,
    common: int,
    unique: int,
    filter_size: tuple[int, ...],
    lam: Lam | None,
    guide_weight: float | None,
    strength: float | None,
    sigma: float | None,
    all_channels: bool | None,
    colour_guide: bool | None,
    flips: bool,
    passes: int,
    windows: int,
    target_windows: int | None,
    init: str,
    mu: Any,
    nonnegative: str | None,
    max_iter: int | None,
    seed: int,
    device: Device,
    checkpoint: Path | None,
    figure: Path | None,
    scheduler: str | None,
    workers: int | None,
) -> None:
    """Learn the filters of a task, and write them as a dictionary."""
    from ..learning.options import LearnOptions
    from ..tasks.learning import TaskSettings, check_learn_task, learn_task
    from ..tasks.scenes import find_scenes
    from ..tasks.task import get_task

    task = get_task(task_name)
    task.check_sigma(sigma, "--sigma")
    if target_windows is not None and task.kind == "fusion":
        raise click.UsageError(
            f"--target-windows is for restorations: {task_name} has no target filters"
        )
    if colour_guide is not None and task.kind == "fusion":
        name = "--colour-guide" if colour_guide else "--grey-guide"
        raise click.UsageError(f"{name} is for restorations: {task_name} has no guide")
    if all_channels and task.kind == "fusion":
        raise click.UsageError(
            f"--all-channels is for restorations: {task_name} codes the lumas of images, and takes "
            "their colours from the sources"
        )
    out = npz_path(out)
    if checkpoint is not None:
        checkpoint = npz_path(checkpoint)
    if figure is not None and figure.suffix.lower() != ".png":
        raise InvalidValueError(f"{figure}: filters are drawn as PNG; want a name ending in .png")
    found = [] if folder is None else find_scenes(folder, task, faults={})
    check_destinations(
        {"--out": out, "--checkpoint": checkpoint, "--figure": figure},
        inputs=files_read(found, photographs),
    )
    signs: Any = False
    if nonnegative is not None:
        names = {name: name for name, k in (("common", common), ("x", unique), ("y", unique)) if k}
        signs = options.chosen_groups("--nonnegative", nonnegative, names)
    settings = TaskSettings(
        strength=strength,
        lam=lam,
        guide_weight=guide_weight,
        sigma=sigma,
        all_channels=all_channels,
        colour_guide=colour_guide,
        flips=flips,
        seed=seed,
    )
    how: dict[str, Any] = {
        "n_common": common,
        "n_unique": unique,
        "filter_size": filter_size,
        "passes": passes,
        "seed": seed,
        "checkpoint": checkpoint,
        "options": LearnOptions(
            init=init,  # type: ignore[arg-type]  # click has seen to it
            max_windows=windows,
            target_windows=target_windows or _TARGET_WINDOWS,
            max_iter=max_iter,
            device=device,
            mu=0.0 if mu is None else mu,
            nonnegative=signs,
        ),
    }
    check_learn_task(task, settings, **how)
    check_cluster(scheduler, workers)
    sources = read_sources(
        task, folder, scenes, synthetic, seed, photographs=photographs, masks=masks, ranges=ranges
    )
    click.echo(f"Learning from {sources.words}.")
    with ExitStack() as stack:
        client = None
        if scheduler is not None or workers is not None:
            from ..distributed.cluster import opened

            client = stack.enter_context(opened(None, scheduler, workers))
        learned = learn_task(
            task,
            sources.readers,
            settings,
            **how,
            progress=is_terminal(sys.stderr),
            description=sources.words,
            client=client,
        )
    done = learned.dictionary.metadata["learned"]["passes"]
    if done == 0:  # filters that nothing was learned for must not replace any
        click.echo(f"mcsc: interrupted before the first step; {out} is not written", err=True)
        click.get_current_context().exit(130)
    # Half the size of float64; codes are found in the precision of the images anyway.
    learned.dictionary.astype("float32").save(out)
    if learned.completed:
        _tell(out, learned)
    if figure is not None:
        from ..figures.drawing import save_figure
        from ..figures.mosaics import dictionary_figure

        save_figure(dictionary_figure(learned.dictionary, learned.use), figure)
    if not learned.completed:
        lacking = ", but no target filters" if task.kind == "restoration" else ""
        again = (
            "--checkpoint FILE.npz would have kept the state, to go on from"
            if checkpoint is None
            else f"the same command goes on from {checkpoint}"
        )
        click.echo(
            f"mcsc: interrupted after {done:.3g} of {passes} passes; {out} holds the filters as "
            f"they were then{lacking}; {again}",
            err=True,
        )
        click.get_current_context().exit(130)


def _tell(out: Path, learned: Learned) -> None:
    """Say what was learned."""
    history, fit = learned.history, learned.target_fit
    click.echo(
        f"{out}: {learned.dictionary.n_maps} maps, objective {history.objective[0]:.5g} -> "
        f"{learned.objective:.5g}, {percent(history.nonzero[-1])} nonzero, "
        f"{history.seconds[-1]:.0f} s"
    )
    if fit is None:
        return
    left = (fit.mse / fit.target_power) ** 0.5
    chosen = (
        f"the best of {len(fit.ridges)} on {_count(fit.validation_windows)} held out"
        if fit.ridges
        else "not compared with others"
    )
    click.echo(
        f"Target filters leave {100 * left:.0f} % of the target's root mean square on "
        f"{_count(fit.windows)} (ridge {fit.ridge:g}, {chosen})."
    )


def _count(windows: int) -> str:
    return f"{windows} window{'' if windows == 1 else 's'}"
