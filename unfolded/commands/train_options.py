"""The options of `mcsc train`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import click

from mcsc.commands import options
from mcsc.commands.named import Listed, rule_names
from mcsc.types import Base, Device
from mcsc.values.ranges import ValueRange

from ..network.configuration import Thresholds
from ..training.recipe import Arithmetic, Loss, Optimiser, Recipe, Schedule

F = TypeVar("F", bound=Callable[..., Any])

SECTIONS = {
    "Data": [
        "task_name", "scenes", "masks", "ranges", "synthetic", "photographs", "sigma",
        "teacher", "teacher_rule", "soften", "noise", "validation",
    ],
    "Network": [
        "start_from", "filters", "kernel_size", "blocks", "sweeps", "thresholds", "noise_levels",
        "base",
    ],
    "Training": [
        "epochs", "patches", "patch", "candidates", "batch_size", "optimiser", "learning_rate",
        "schedule", "warm_up", "clip_norm", "loss", "squared_from", "average", "unit_ball",
        "patience", "seed",
    ],
    "Machine": ["device", "devices", "precision", "workers", "prepare", "scheduler"],
    "Files": ["out", "log_folder", "resume", "checkpoint_every"],
}  # fmt: skip
"""Names of the options by heading; see `mcsc.commands.options.Sectioned`."""


@dataclass(frozen=True)
class TrainOptions:
    """What was asked for, by the options' names."""

    folder: Path | None
    task_name: str
    scenes: list[str] | None
    masks: dict[int, tuple[str, ...]]
    ranges: tuple[ValueRange, ...]
    synthetic: int
    photographs: Path | None
    sigma: float | None
    teacher: str | None
    teacher_rule: str | None
    soften: float
    noise: float
    validation: float
    start_from: str
    filters: int
    kernel_size: int | None
    blocks: int
    sweeps: int | None
    thresholds: Thresholds | None
    noise_levels: tuple[float, float] | None
    base: Base | None
    epochs: int
    patches: int
    patch: int
    candidates: int
    batch_size: int
    optimiser: Optimiser
    learning_rate: float
    schedule: Schedule
    warm_up: int | None
    clip_norm: float | None
    loss: Loss
    squared_from: float
    average: float | None
    unit_ball: bool
    patience: int | None
    seed: int
    device: Device
    devices: str
    precision: Arithmetic
    workers: int
    prepare: Path | None
    scheduler: str | None
    out: Path
    log_folder: Path | None
    resume: bool
    checkpoint_every: int

    @property
    def n_devices(self) -> int | Literal["auto"]:
        """How many devices."""
        return "auto" if self.devices == "auto" else int(self.devices)

    def recipe(self) -> Recipe:
        """Return the numbers of the training."""
        return Recipe(
            epochs=self.epochs,
            patches_per_epoch=self.patches,
            patch=self.patch,
            candidates=self.candidates,
            batch_size=self.batch_size,
            optimiser=self.optimiser,
            learning_rate=self.learning_rate,
            schedule=self.schedule,
            seed=self.seed,
            clip_norm=self.clip_norm,
            soften=self.soften,
            noise=self.noise,
            average=self.average,
            loss=self.loss,
            squared_from=self.squared_from,
            warm_up=self.warm_up,
            unit_ball=self.unit_ball,
        )


TRAIN_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--prepare",
        metavar="DIR",
        type=click.Path(path_type=Path),
        help="Before training, make every scene as the network sees it, with one process for each "
        "core, and keep them in DIR as files of 16 bits, from which the same command takes them "
        "the next time.",
    ),
    click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="With --prepare: address of a Dask scheduler, such as tcp://HOST:8786, whose workers "
        "are to make the scenes.  [default: processes on this machine]",
    ),
    click.option(
        "--out",
        "-o",
        metavar="FILE",
        required=True,
        type=click.Path(path_type=Path),
        help="File of weights to write, FILE.safetensors; a model card, FILE.md, is written "
        "beside it, and replaces no file but another card.",
    ),
    click.option(
        "--start",
        "start_from",
        metavar="WHAT",
        default="dictionary",
        show_default=True,
        help="What the network starts from: dictionary (the task's, which comes with mcsc), xavier "
        "(random filters), a dictionary FILE.npz, or weights FILE.safetensors.",
    ),
    click.option(
        "--filters",
        metavar="K",
        type=click.IntRange(min=1),
        default=64,
        show_default=True,
        help="Number of filters of each module, with --start xavier; otherwise as in the start.",
    ),
    click.option(
        "--kernel-size",
        metavar="S",
        type=click.IntRange(min=1),
        help="Side of the filters in pixels. Smaller filters of a dictionary or of weights get a "
        "frame of zeros.  [default: theirs, or 8 for random ones]",
    ),
    click.option(
        "--blocks",
        metavar="J",
        type=click.IntRange(min=0),
        default=4,
        show_default=True,
        help="Number of unrolled blocks of each module. A network that starts from weights keeps "
        "its own number.",
    ),
    click.option(
        "--sweeps",
        metavar="N",
        type=click.IntRange(min=1),
        help="Number of passes over u, v and c. A network that starts from weights with fewer "
        "passes gets those that it lacks.  [default: 1, or as in the weights]",
    ),
    click.option(
        "--thresholds",
        type=click.Choice(get_args(Thresholds)),
        help="Thresholds: one for each block, or one for each of the maps of a block.  [default: "
        "scalar, or as in the weights]",
    ),
    click.option(
        "--levels",
        "noise_levels",
        metavar="LOW HIGH",
        nargs=2,
        type=click.FloatRange(min=0),
        help="Denoising: train one network for noise of any standard deviation from LOW to HIGH, "
        "in grey levels of 255; its thresholds follow the noise.",
    ),
    click.option(
        "--base",
        type=click.Choice(get_args(Base)),
        help="What the output of the network is added to. none: nothing (the network then sees "
        "the images themselves, not their detail); input: the first image, x; low: its low-pass "
        "part; guided: x smoothed by the guided filter; injected: x with the detail of the guide "
        "that it lacks; mean: the mean of both images.  [default: the task's]",
    ),
    options.sigma,
    click.option(
        "--epochs",
        metavar="N",
        type=click.IntRange(min=1),
        default=Recipe.epochs,
        show_default=True,
        help="Number of epochs; the network is validated after each of them.",
    ),
    click.option(
        "--patches",
        metavar="N",
        type=click.IntRange(min=1),
        default=Recipe.patches_per_epoch,
        show_default=True,
        help="Number of patches that are drawn in an epoch, rounded to a whole number of steps.",
    ),
    click.option(
        "--patch",
        metavar="SIDE",
        type=click.IntRange(min=1),
        default=Recipe.patch,
        show_default=True,
        help="Side of a patch in pixels.",
    ),
    click.option(
        "--candidates",
        metavar="N",
        type=click.IntRange(min=1),
        default=Recipe.candidates,
        show_default=True,
        help="Number of places that are drawn for each patch, of which the one is taken where "
        "what is to be made has most detail: smooth places teach little.",
    ),
    click.option(
        "--batch-size",
        metavar="N",
        type=click.IntRange(min=1),
        default=Recipe.batch_size,
        show_default=True,
        help="Batch size: number of patches in a step, on each device.",
    ),
    click.option(
        "--optimiser",
        type=click.Choice(get_args(Optimiser)),
        default=Recipe.optimiser,
        show_default=True,
        help="What takes the steps: Adam, as in the paper; Muon, which moves filters along "
        "orthogonal directions (and thresholds as Adam, at 0.3 of the learning rate); or scaled "
        "Muon, whose steps are shares of what they change (0.005 is a learning rate to try).",
    ),
    click.option(
        "--learning-rate",
        metavar="NUMBER",
        type=click.FloatRange(min=0, min_open=True),
        default=Recipe.learning_rate,
        show_default=True,
        help="Learning rate of the optimiser at the start.",
    ),
    click.option(
        "--schedule",
        type=click.Choice(get_args(Schedule)),
        default=Recipe.schedule,
        show_default=True,
        help="Schedule of the learning rate: multiplied by 0.9 every 50 epochs, or a cosine down "
        "to zero, which is better for few epochs.",
    ),
    click.option(
        "--warm-up",
        metavar="N",
        type=click.IntRange(min=0),
        help="Number of steps in which the learning rate rises to its first value.  [default: a "
        "hundredth of all steps with the cosine, otherwise none]",
    ),
    click.option(
        "--loss",
        type=click.Choice(get_args(Loss)),
        default=Recipe.loss,
        show_default=True,
        help="Loss that is minimised at first. mse: mean squared error; l1: mean absolute error; "
        "charbonnier: a smooth form of l1; contrast, for fusion: l1 and squared errors of "
        "gradients, relative to the gradients of the sources.",
    ),
    click.option(
        "--squared-from",
        metavar="SHARE",
        type=click.FloatRange(0, 1),
        default=Recipe.squared_from,
        show_default=True,
        help="Share of the steps after which the mean squared error is minimised instead.",
    ),
    click.option(
        "--average",
        metavar="SHARE",
        type=click.FloatRange(0, 1, max_open=True),
        help="Keep an exponential moving average of the weights with this decay, such as 0.999, "
        "and write it.  [default: no average; the last weights are written]",
    ),
    click.option(
        "--unit-ball",
        is_flag=True,
        help="After each step, scale the filters D, which make an image of codes in each block, "
        "to a norm of 1 if theirs is larger.",
    ),
    click.option(
        "--clip-norm",
        metavar="NUMBER",
        type=click.FloatRange(min=0, min_open=True),
        help="Largest norm of the gradient; gradients of a larger norm are scaled down to it.  "
        "[default: no limit]",
    ),
    click.option(
        "--teacher",
        metavar="METHOD",
        help="Fusion: train the network to make what this method makes of each scene, such as "
        "mcsc, instead of SCENE_target.png, which is then not needed.",
    ),
    click.option(
        "--teacher-rule",
        metavar="RULE",
        type=Listed(rule_names),
        help="Fusion rule of the --teacher, as of `mcsc fuse --rule`.  [default: the "
        "dictionary's, or the task's]",
    ),
    click.option(
        "--soften",
        metavar="PIXELS",
        type=click.FloatRange(min=0),
        default=0.0,
        show_default=True,
        help="Fusion: blur the sources and the target of each patch by a Gaussian of a random "
        "standard deviation of up to PIXELS, since photographs are softer than synthetic scenes.",
    ),
    click.option(
        "--noise",
        metavar="LEVELS",
        type=click.FloatRange(min=0),
        default=0.0,
        show_default=True,
        help="Fusion: add noise of a random standard deviation of up to LEVELS grey levels of "
        "255 to the sources, and not to the target, since photographs have been compressed. The "
        "network then takes faint detail for noise.",
    ),
    click.option(
        "--validation",
        metavar="SHARE",
        type=click.FloatRange(0, 0.9),
        default=0.1,
        show_default=True,
        help="Share of the scenes to hold out for validation, at least one of a folder; 0 for no "
        "validation.",
    ),
    click.option(
        "--patience",
        metavar="N",
        type=click.IntRange(min=1),
        help="Stop when the validation error, of scenes as the network sees them, has not fallen "
        "for N epochs, and keep the weights of the best epoch.  [default: never]",
    ),
    options.seed("Seed of scenes, random filters and patches."),
    click.option(
        "--folder",
        "log_folder",
        metavar="DIR",
        type=click.Path(path_type=Path),
        help="Folder for checkpoints and logs (CSV, TensorBoard).  [default: FILE-training]",
    ),
    click.option(
        "--resume", is_flag=True, help="Continue from the checkpoint in the folder of the training."
    ),
    click.option(
        "--checkpoint-every",
        metavar="N",
        type=click.IntRange(min=1),
        default=200,
        show_default=True,
        help="Number of steps between checkpoints; one is also written after every epoch.",
    ),
    click.option(
        "--device",
        type=click.Choice(get_args(Device)),
        default="auto",
        show_default=True,
        help="Where to train: 'auto' takes a GPU if there is one.",
    ),
    click.option(
        "--devices",
        metavar="N",
        default="auto",
        show_default=True,
        help="Number of devices; several train together (DDP), each in a process of its own.",
    ),
    click.option(
        "--precision",
        type=click.Choice(get_args(Arithmetic)),
        default="32-true",
        show_default=True,
        help="Floating-point precision. bf16-mixed is faster on a GPU, and on a CPU that has "
        "bfloat16 instructions.",
    ),
    click.option(
        "--workers",
        metavar="N",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Number of processes that prepare patches; 0 leaves this to the process that trains.",
    ),
)


def train_options(command: F) -> F:
    """Add the options, all but those of `mcsc.commands.sources.source_options`."""
    for option in reversed(TRAIN_OPTIONS):
        command = option(command)
    return command
