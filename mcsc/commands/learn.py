"""`mcsc learn`: a dictionary from a folder of scenes, or from synthetic ones."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..errors import InvalidValueError
from . import options
from .sources import read_sources, source_options


def _sizes(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        found = tuple(int(word) for word in value.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 2:
        raise click.BadParameter(f"{value!r} is not a whole number >= 2, or several", ctx, param)
    return found


@click.command(
    cls=options.Sectioned,
    sections={
        "Data": ["task_name", "scenes", "synthetic", "flips", "sigma"],
        "Signals": ["strength", "guide_weight", "joint", "colour_guide"],
        "Filters": ["common", "unique", "filter_size", "init"],
        "Learning": ["lam", "passes", "windows", "target_windows", "seed"],
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
    help="Common filters.",
)
@click.option(
    "--unique",
    metavar="K",
    type=click.IntRange(min=0),
    default=32,
    show_default=True,
    help="Unique filters of each image.",
)
@click.option(
    "--filter-size",
    metavar="S[,S...]",
    callback=_sizes,
    default="8",
    show_default=True,
    help="Side of the filters; several are dealt out over them.",
)
@click.option(
    "--lam",
    metavar="NUMBER",
    type=click.FloatRange(min=0, min_open=True),
    help="Weight of the l1 norm.  [default: the task's]",
)
@click.option(
    "--guide-weight",
    metavar="NUMBER",
    type=click.FloatRange(min=0, min_open=True),
    help="Weight of the second image.  [default: the task's]",
)
@click.option(
    "--strength",
    metavar="NUMBER",
    type=click.FloatRange(min=0, min_open=True),
    help="Of the low-pass split.  [default: the task's]",
)
@options.sigma
@click.option(
    "--joint/--no-joint",
    default=None,
    help="Code all channels of the first image together, or one by one.  [default: the task's]",
)
@click.option(
    "--colour-guide/--grey-guide",
    default=None,
    help="Keep the colours of the guide, or take its luma.  [default: the task's]",
)
@click.option(
    "--flips/--no-flips",
    default=True,
    show_default=True,
    help="Learn from every scene upside down, mirrored, and both, too.",
)
@click.option(
    "--passes",
    metavar="N",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Times that every window is coded.",
)
@click.option(
    "--windows",
    metavar="N",
    type=click.IntRange(min=1),
    default=160,
    show_default=True,
    help="Windows of 96 x 96 to learn the filters on, at most.",
)
@click.option(
    "--target-windows",
    metavar="N",
    type=click.IntRange(min=1),
    default=400,
    show_default=True,
    help="Windows to fit target filters on, at most.",
)
@click.option(
    "--init",
    type=click.Choice(["patches", "dct"]),
    default="patches",
    show_default=True,
    help="First filters.",
)
@options.seed("Of every random choice.")
@click.option(
    "--checkpoint",
    metavar="FILE.npz",
    type=click.Path(path_type=Path),
    help="State of the learning; if the file is there, go on from it.",
)
@click.option(
    "--figure",
    metavar="FILE.png",
    type=click.Path(path_type=Path),
    help="Draw the filters, ordered by use.",
)
def learn(
    folder: Path | None,
    task_name: str,
    out: Path,
    scenes: str | None,
    synthetic: int,
    common: int,
    unique: int,
    filter_size: tuple[int, ...],
    lam: float | None,
    guide_weight: float | None,
    strength: float | None,
    sigma: float | None,
    joint: bool | None,
    colour_guide: bool | None,
    flips: bool,
    passes: int,
    windows: int,
    target_windows: int,
    init: str,
    seed: int,
    checkpoint: Path | None,
    figure: Path | None,
) -> None:
    """Learn the filters of a task from the scenes in DIR, from synthetic ones, or both.

    DIR holds files scene_ROLE.png: depth and rgb; ms640 and rgb; ambient and flash; over and under;
    near and far; t1 and t2. In the first three tasks the first image is the clean one.

    \b
    mcsc learn --task depth-sr photos/ --filter-size 12 -o depth.npz
    mcsc learn --task multi-focus --synthetic 40 -o focus.npz
    """  # noqa: D301  (click wants the backspace itself)
    from ..tasks.learning import TaskSettings, learn_task
    from ..tasks.task import get_task

    task = get_task(task_name)
    if sigma is not None and task.sigma is None:
        raise click.UsageError(f"--sigma is for flash-denoise, not for {task_name}")
    if not out.resolve().parent.is_dir():
        raise InvalidValueError(f"{out}: there is no folder {out.resolve().parent}")
    sources = read_sources(task, folder, scenes, synthetic, seed)
    click.echo(f"Learning from {sources.words}.")
    learned = learn_task(
        task,
        sources.readers,
        TaskSettings(
            strength=strength,
            lam=lam,
            guide_weight=guide_weight,
            sigma=sigma,
            joint=joint,
            colour_guide=colour_guide,
            flips=flips,
            seed=seed,
        ),
        description=sources.words,
        target_windows=target_windows,
        n_common=common,
        n_unique=unique,
        filter_size=filter_size,
        passes=passes,
        max_windows=windows,
        init=init,
        seed=seed,
        checkpoint=checkpoint,
        progress=sys.stderr.isatty(),
    )
    # Half the size of float64; codes are found in the precision of the images anyway.
    learned.dictionary.astype("float32").save(out)
    history = learned.history
    click.echo(
        f"{out}: {learned.dictionary.n_maps} maps, objective {history.objective[0]:.5g} -> "
        f"{learned.objective:.5g}, {100 * history.nonzero[-1]:.2g} % nonzero, "
        f"{history.seconds[-1]:.0f} s"
    )
    fit = learned.target_fit
    if fit is not None:
        gain = 1 - (fit.mse / fit.target_power) ** 0.5
        click.echo(
            f"Target filters leave {100 * (1 - gain):.0f} % of the target's root mean square "
            f"(ridge {fit.ridge:g})."
        )
    if figure is not None:
        from ..figures.drawing import save_figure
        from ..figures.mosaics import dictionary_figure

        save_figure(dictionary_figure(learned.dictionary, learned.use), figure)
    if not learned.completed:
        click.get_current_context().exit(130)
