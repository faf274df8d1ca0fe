"""`mcsc train` and `mcsc export`, which this package adds to the command line of `mcsc`."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from mcsc.commands import options
from mcsc.commands.sources import read_sources, source_options
from mcsc.errors import InvalidValueError

_PATH = click.Path(path_type=Path)


@click.command(
    cls=options.Sectioned,
    sections={
        "Data": ["task_name", "scenes", "synthetic", "sigma", "soften", "noise", "validation"],
        "Network": ["start_from", "filters", "kernel_size", "blocks", "base"],
        "Training": [
            "epochs", "patches", "patch", "batch_size", "learning_rate", "schedule", "clip_norm",
            "patience", "seed",
        ],
        "Machine": ["accelerator", "devices", "precision", "workers"],
        "Files": ["out", "log_folder", "resume", "checkpoint_every"],
    },
)  # fmt: skip
@source_options
@click.option(
    "--out",
    "-o",
    metavar="FILE",
    required=True,
    type=_PATH,
    help="Weights to write, FILE.safetensors; a model card, FILE.md, goes with them.",
)
@click.option(
    "--start",
    "start_from",
    metavar="WHAT",
    default="dictionary",
    show_default=True,
    help="What the network starts from: dictionary (the task's, which comes with mcsc), xavier "
    "(random filters), a dictionary FILE.npz, or weights FILE.safetensors.",
)
@click.option(
    "--filters",
    metavar="K",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Filters of each module, if they are random.",
)
@click.option(
    "--kernel-size",
    metavar="S",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Side of the filters, if they are random.",
)
@click.option(
    "--blocks",
    metavar="J",
    type=click.IntRange(min=0),
    default=4,
    show_default=True,
    help="Blocks of each module; weights have their own.",
)
@click.option(
    "--base",
    type=click.Choice(["none", "input", "low", "mean"]),
    help="What the network's answer is added to: nothing (it sees the images as they are), x, the "
    "low-pass part, or the mean of both images.  [default: the task's]",
)
@options.sigma
@click.option(
    "--epochs",
    metavar="N",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Rounds of patches.",
)
@click.option(
    "--patches",
    metavar="N",
    type=click.IntRange(min=1),
    default=150_000,
    show_default=True,
    help="Patches a round.",
)
@click.option(
    "--patch",
    metavar="SIDE",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Side of a patch, pixels.",
)
@click.option(
    "--batch-size",
    metavar="N",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Patches a step, on each device.",
)
@click.option(
    "--learning-rate",
    metavar="NUMBER",
    type=click.FloatRange(min=0, min_open=True),
    default=1e-4,
    show_default=True,
    help="Of Adam.",
)
@click.option(
    "--schedule",
    type=click.Choice(["paper", "cosine"]),
    default="paper",
    show_default=True,
    help="Of the rate: times 0.9 every 50 rounds, or a cosine down to nothing: for few rounds.",
)
@click.option(
    "--clip-norm",
    metavar="NUMBER",
    type=click.FloatRange(min=0, min_open=True),
    help="Shorten gradients of a larger norm.",
)
@click.option(
    "--soften",
    metavar="PIXELS",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Fusion: blur sources and target of a patch alike, by a Gaussian of 0 to so many pixels: "
    "photographs are softer than synthetic scenes.",
)
@click.option(
    "--noise",
    metavar="LEVELS",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Fusion: add noise of 0 to so many grey levels of 255 to the sources: photographs were "
    "compressed.",
)
@click.option(
    "--validation",
    metavar="SHARE",
    type=click.FloatRange(0, 0.9),
    default=0.1,
    show_default=True,
    help="Share of the scenes that are held out, at least one of a folder; 0: none.",
)
@click.option(
    "--patience",
    metavar="N",
    type=click.IntRange(min=1),
    help="Stop when the validation error did not fall for N rounds; keep the best.",
)
@options.seed("Of scenes, filters and patches.")
@click.option(
    "--folder",
    "log_folder",
    metavar="DIR",
    type=_PATH,
    help="For checkpoints and logs (CSV, TensorBoard).  [default: FILE-training]",
)
@click.option("--resume", is_flag=True, help="Go on from the folder's checkpoint.")
@click.option(
    "--checkpoint-every",
    metavar="N",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Steps between checkpoints.",
)
@click.option(
    "--accelerator",
    type=click.Choice(["auto", "cpu", "gpu"]),
    default="auto",
    show_default=True,
    help="What to train on.",
)
@click.option(
    "--devices",
    metavar="N",
    default="auto",
    show_default=True,
    help="How many GPUs; several train together (DDP).",
)
@click.option(
    "--precision",
    type=click.Choice(["32-true", "bf16-mixed", "16-mixed"]),
    default="32-true",
    show_default=True,
    help="Of the arithmetic.",
)
@click.option(
    "--workers", metavar="N", type=click.IntRange(min=0), default=0, show_default=True,
    help="Processes that cut patches.",
)  # fmt: skip
def train(
    folder: Path | None,
    task_name: str,
    scenes: str | None,
    synthetic: int,
    out: Path,
    start_from: str,
    filters: int,
    kernel_size: int,
    blocks: int,
    base: str | None,
    sigma: float | None,
    epochs: int,
    patches: int,
    patch: int,
    batch_size: int,
    learning_rate: float,
    schedule: str,
    clip_norm: float | None,
    soften: float,
    noise: float,
    validation: float,
    patience: int | None,
    seed: int,
    log_folder: Path | None,
    resume: bool,
    checkpoint_every: int,
    accelerator: str,
    devices: str,
    precision: str,
    workers: int,
) -> None:
    """Train CU-Net for a task on the scenes in DIR, on synthetic ones, or both.

    DIR holds files as for `mcsc learn`; scenes of a fusion also SCENE_target.png. The recipe is the
    paper's: 200 rounds are for a GPU. On a CPU, for half an hour:

    \b
    mcsc train --task depth-sr --synthetic 200 --epochs 10 --patches 1600 --batch-size 8 \\
        --schedule cosine --learning-rate 2e-4 --clip-norm 0.1 -o depth.safetensors
    """  # noqa: D301  (click wants the backspace itself)
    from mcsc.tasks.task import get_task

    task = get_task(task_name)
    if sigma is not None and task.sigma is None:
        raise click.UsageError(f"--sigma is for flash-denoise, not for {task_name}")
    for name, value in (("soften", soften), ("noise", noise)):
        if value and task.kind != "fusion":
            raise click.UsageError(f"--{name} is for fusions; {task_name} makes its own input")
    if patience is not None and validation == 0:
        raise click.UsageError("--patience needs scenes to validate on")
    if out.suffix != ".safetensors":
        raise InvalidValueError(f"--out {out}: want a name that ends in .safetensors")
    if not out.resolve().parent.is_dir():
        raise InvalidValueError(f"{out}: there is no folder {out.resolve().parent}")
    if devices != "auto" and not (devices.isdecimal() and int(devices) >= 1):
        raise click.UsageError(f"--devices must be auto or a number >= 1, found {devices!r}")
    sources = read_sources(task, folder, scenes, synthetic, seed, held_out=validation, truth=True)
    _check_start(start_from)
    _need("torch", "safetensors", "lightning", extra="train")
    # Torch and Lightning take seconds to load: not before what is cheap to refuse.
    from lightning.pytorch.utilities import rank_zero_only

    from . import tasks
    from .starts.card import write_card
    from .training.evaluation import rmse
    from .training.train import Recipe, find_checkpoint
    from .training.train import train as run

    # Of several devices each has a process that runs all of this: one of them speaks and writes.
    say = rank_zero_only(click.echo)
    logs = log_folder or out.with_name(out.stem + "-training")
    if not find_checkpoint(logs, resume=resume).exists() and resume:
        say(f"There is no checkpoint in {logs} yet: training from the start.")

    begin = tasks.start(
        task, start_from, filters=filters, kernel_size=kernel_size, blocks=blocks, base=base,
        sigma=sigma, seed=seed,
    )  # fmt: skip
    net, settings = begin.net, begin.settings
    seen = tasks.triples(task, sources.readers, settings)
    # Other noise than that of the scenes that are trained on.
    apart = replace(settings, seed=settings.seed + 1_000_003)
    held_out = tasks.triples(task, sources.held_out, apart)
    seen.check(patch, net.configuration)
    held_out.check(1, net.configuration)
    say(f"Training on {sources.words}, from {begin.words}.")
    if start_from != "xavier" and not start_from.endswith(".safetensors"):
        tasks.fit_targets(net, seen, seed, min(patch, 64))
    before = rmse(net, held_out) if len(held_out) else None
    if before is not None:
        say(f"Error on {len(held_out)} scenes held out, of 255: {before:.3f}")
    recipe = Recipe(
        epochs=epochs, patches_per_epoch=patches, patch=patch, batch_size=batch_size,
        learning_rate=learning_rate, schedule=schedule, seed=seed, clip_norm=clip_norm,
        soften=soften, noise=noise,
    )  # fmt: skip
    trained = run(
        net,
        seen,
        validation=held_out,
        recipe=recipe,
        folder=logs,
        resume=resume,
        checkpoint_every=checkpoint_every,
        identity={
            "task": task.name,
            "data": sources.words,
            "start": begin.words,
            "validation": validation,
            **asdict(settings),
        },
        patience=patience,
        accelerator=accelerator,
        devices=devices if devices == "auto" else int(devices),
        precision=precision,
        workers=workers,
        progress=sys.stderr.isatty(),
    )
    if getattr(rank_zero_only, "rank", 0):
        return
    history = trained.history
    tasks.describe(net, task, settings, data=sources.words, start=begin.words)
    net.save(out)
    write_card(
        out.with_suffix(".md"), trained, task, data=sources.words, start=begin.words,
        command=shlex.join(["mcsc", *sys.argv[1:]]), before=before,
    )  # fmt: skip
    error = "" if trained.error is None else f", error {trained.error:.3f}"
    steps = history.step[-1] if history.step else 0
    spent = history.seconds[-1] if history.seconds else 0
    click.echo(f"{out}: {steps} steps, {spent:.0f} s{error}")
    if not trained.completed:
        click.get_current_context().exit(130)


def _check_start(start_from: str) -> None:
    """Refuse sizes of a network that has its own."""
    weights = start_from.endswith(".safetensors")
    for name in ("filters", "kernel_size", *(("blocks",) if weights else ())):
        source = click.get_current_context().get_parameter_source(name)
        if start_from != "xavier" and source is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"--{name.replace('_', '-')} is for a new network: --start {start_from} has its own"
            )


@click.command()
@click.argument("weights", metavar="WEIGHTS")
@click.option("--out", "-o", metavar="FILE.onnx", required=True, type=_PATH, help="Model to write.")
def export(weights: str, out: Path) -> None:
    """Write a network as an ONNX model, for images of any size.

    WEIGHTS is a file that `mcsc train` wrote, the authors' .pth, or the name of weights that come
    with the package, such as depth-sr. The model takes x and y as the network sees them and gives
    the image and its parts.

    \b
    mcsc export depth-sr -o depth.onnx
    """  # noqa: D301  (click wants the backspace itself)
    if out.suffix != ".onnx":
        raise InvalidValueError(f"--out {out}: want a name that ends in .onnx")
    if not out.resolve().parent.is_dir():
        raise InvalidValueError(f"{out}: there is no folder {out.resolve().parent}")
    _need("torch", "safetensors", "onnx", "onnxscript", extra="export")
    net: Any = open_weights(weights)
    net.export(out)
    click.echo(f"{out}: {net.configuration.channels} channels, {out.stat().st_size / 1e6:.1f} MB")


def _need(*packages: str, extra: str) -> None:
    """Refuse to begin without packages of an extra."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise InvalidValueError(
            f"{' and '.join(missing)} not installed: pip install 'mcsc[{extra}]'"
        )


def open_weights(name: str) -> Any:
    """Return the network of a file, or of weights that come with the package."""
    from .starts.official import load_official
    from .starts.weights import load, pretrained, shipped

    if name in shipped():
        return pretrained(name)
    if name.endswith(".pth"):
        return load_official(name)
    if not Path(name).suffix:
        pretrained(name)  # says which names there are
    return load(name)
