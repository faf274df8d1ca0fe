"""`mcsc train`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

import mcsc
from mcsc.commands.batch import check_cluster
from mcsc.commands.destinations import check_destinations
from mcsc.commands.options import Sectioned
from mcsc.commands.sources import Sources, read_sources, source_options
from mcsc.errors import InvalidValueError
from mcsc.files import check_readable
from mcsc.progress import is_terminal

from ..training.card import check_card, write_card
from .extras import need
from .train_options import SECTIONS, TrainOptions, train_options

if TYPE_CHECKING:
    from mcsc.tasks.task import Task

    from ..starts.task_start import Start


@click.command(cls=Sectioned, sections=SECTIONS, short_help="Train CU-Net for a task.")
@source_options
@train_options
def train(**given: Any) -> None:
    """Train CU-Net for a task on the scenes in DIR, on synthetic ones, or both.

    DIR holds files as for `mcsc learn`. Scenes of a fusion also need SCENE_target.png, the wanted
    image, unless a --teacher makes it. The defaults are those of the paper, whose 200 epochs are
    meant for a GPU. A training for half an hour on a CPU:

    \b
    mcsc train --task depth-sr --synthetic 200 --epochs 10 --patches 1600 --batch-size 8 \\
        --schedule cosine --learning-rate 2e-4 --clip-norm 0.1 -o depth.safetensors
    """  # noqa: D301  (click wants the backspace itself)
    from mcsc.tasks.task import get_task

    asked = TrainOptions(**given)
    task = get_task(asked.task_name)
    _refuse(asked, task)
    _check_start(asked.start_from)
    need("torch", "safetensors", "lightning", extra="train")
    begin = _begin(asked, task)
    check_cluster(asked.scheduler, None)
    sources = read_sources(
        task, asked.folder, asked.scenes, asked.synthetic, asked.seed,
        photographs=asked.photographs, masks=asked.masks, ranges=asked.ranges,
        held_out=asked.validation, truth=asked.teacher is None,
    )  # fmt: skip
    if not _run(asked, task, sources, begin):
        click.get_current_context().exit(130)


def _refuse(asked: TrainOptions, task: Task) -> None:
    """Refuse what is cheap to refuse: Torch and Lightning take seconds to load."""
    asked.recipe()  # refuses numbers that do not go together
    task.check_sigma(asked.sigma, "--sigma")
    if asked.noise_levels is not None:
        low, high = asked.noise_levels
        if task.sigma is None:
            raise click.UsageError(f"--levels is for denoising, not for {task.name}")
        if not low < high:
            raise click.UsageError(f"--levels: want the lower first, found {low:g} {high:g}")
        if asked.sigma is not None:
            raise click.UsageError(
                "--sigma and --levels exclude each other: --sigma is for noise of one strength"
            )
    for name, value in (("soften", asked.soften), ("noise", asked.noise)):
        if value and task.kind != "fusion":
            raise click.UsageError(f"--{name} is for fusions; {task.name} makes its own input")
    if asked.teacher is not None:
        from mcsc.tasks.methods import method_names

        if task.kind != "fusion":
            raise click.UsageError(f"--teacher is for fusions; {task.name} has true images")
        if asked.teacher not in (names := method_names(task)):
            raise click.UsageError(
                f"--teacher: want one of {', '.join(names)}, found {asked.teacher!r}"
            )
    _check_teacher_rule(asked, task)
    if asked.scheduler is not None and asked.prepare is None:
        raise click.UsageError("--scheduler goes with --prepare")
    if asked.patience is not None and asked.validation == 0:
        raise click.UsageError("--patience needs scenes to validate on")
    out = asked.out
    if out.suffix.lower() != ".safetensors":
        raise InvalidValueError(f"--out {out}: want a name that ends in .safetensors")
    check_card(out.with_suffix(".md"))
    begin = Path(asked.start_from)
    check_destinations(
        {"--out": out, "the card of --out": out.with_suffix(".md")},
        inputs=[begin if begin.is_file() else None],
        folders={"--prepare": asked.prepare, "--folder": _logs(asked)},
    )
    devices = asked.devices
    if devices != "auto" and not (devices.isdecimal() and int(devices) >= 1):
        raise click.UsageError(f"--devices must be auto or a number >= 1, found {devices!r}")


def _logs(asked: TrainOptions) -> Path:
    return asked.log_folder or asked.out.with_name(asked.out.stem + "-training")


def _check_start(start_from: str) -> None:
    """Refuse sizes of a network that has its own, and a file that is none."""
    weights = start_from.lower().endswith(".safetensors")
    for name in ("filters", *(("blocks",) if weights else ())):
        source = click.get_current_context().get_parameter_source(name)
        if start_from != "xavier" and source is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"--{name.replace('_', '-')} is for a new network: --start {start_from} has its own"
            )
    if weights or start_from.lower().endswith(".npz"):
        check_readable(start_from, "weight file" if weights else "dictionary file")


def _begin(asked: TrainOptions, task: Task) -> Start:
    """Return what the training starts from, before any scene is read.

    Refused are a device, a start or a checkpoint that cannot be used, whatever the scenes are.
    """
    from ..network.devices import torch_device
    from ..starts.task_start import start
    from ..training.checkpoints import check_checkpoint, find_checkpoint, known_by

    if asked.device == "cuda":
        torch_device("cuda")
    checkpoint = find_checkpoint(_logs(asked), resume=asked.resume)
    if asked.resume and not checkpoint.exists():
        raise InvalidValueError(
            f"--resume: there is no checkpoint at {checkpoint}; leave it out to begin"
        )
    begin = start(
        task, asked.start_from, filters=asked.filters, kernel_size=asked.kernel_size,
        blocks=asked.blocks, base=asked.base, sigma=asked.sigma, seed=asked.seed,
        sweeps=asked.sweeps, thresholds=asked.thresholds,
        noise_aware=asked.noise_levels is not None,
    )  # fmt: skip
    if begin.net.configuration.noise_aware and asked.noise_levels is None:
        raise InvalidValueError(
            f"{asked.start_from}: its thresholds follow the noise, so --levels are needed"
        )
    if checkpoint.exists():
        known = known_by(asked.recipe(), begin.net.configuration, _identity(asked, task, begin))
        check_checkpoint(checkpoint, known, patient=asked.patience is not None)
    return begin


def _check_teacher_rule(asked: TrainOptions, task: Task) -> None:
    if asked.teacher_rule is None:
        return
    from mcsc.tasks.methods import check_rule, find_method

    if asked.teacher is None:
        raise click.UsageError("--teacher-rule goes with --teacher")
    method = find_method(asked.teacher, task)
    if "rule" not in method.options:
        raise click.UsageError(f"--teacher-rule: the method {asked.teacher} takes no rule")
    check_rule(method, 2, asked.teacher_rule)


def _identity(asked: TrainOptions, task: Task, begin: Start) -> dict[str, Any]:
    """Return what the training is known by in its checkpoint, but for the scenes."""
    return {
        "task": task.name,
        "start": begin.words,
        "validation": asked.validation,
        **asdict(begin.settings),
        **_noise(asked),
    }


def _seen_of(sources: Sources) -> dict[str, str]:
    """Return what scenes in files are seen with: what --mask and --range say, or find."""
    from mcsc.tasks.scenes import SceneFiles

    files = [r for r in (*sources.readers, *sources.held_out) if isinstance(r, SceneFiles)]
    if not files:
        return {}
    return {
        "masks": str(sorted({str(f.masks) for f in files})),
        "ranges": str(sorted({str(f.ranges) for f in files})),
    }


def _noise(asked: TrainOptions) -> dict[str, Any]:
    return {} if asked.noise_levels is None else {"noise_levels": list(asked.noise_levels)}


def _run(asked: TrainOptions, task: Task, sources: Sources, begin: Start) -> bool:
    """Train, write weights and card; False if it was interrupted."""
    from lightning.pytorch.utilities import rank_zero_only

    from ..starts.task_start import describe
    from ..training.checkpoints import check_checkpoint, find_checkpoint, known_by
    from ..training.evaluation import rmse
    from ..training.prepared import prepare_scenes, stamp_of_photographs, stamp_of_scenes
    from ..training.scenes import TaskTriples
    from ..training.target_filters import refit_on_scenes
    from ..training.taught import taught
    from ..training.train import device_count, train

    # Of several devices each has a process that runs all of this: one of them speaks and writes.
    say = rank_zero_only(click.echo)
    out, resume = asked.out, asked.resume
    logs = _logs(asked)
    checkpoint = find_checkpoint(logs, resume=resume)
    net, settings, levels = begin.net, begin.settings, asked.noise_levels
    words, readers, others = sources.words, sources.readers, sources.held_out
    if asked.teacher is not None:
        words += f", their targets made by {asked.teacher}"
        if asked.teacher_rule is not None:
            words += f" with the rule {asked.teacher_rule}"
        readers = [*taught(readers, task, asked.teacher, asked.teacher_rule)]
        others = [*taught(others, task, asked.teacher, asked.teacher_rule)]
    seen = TaskTriples(task, readers, settings, levels)
    # Other noise than that of the scenes that are trained on.
    apart = replace(settings, seed=settings.seed + 1_000_003)
    held_out = TaskTriples(task, others, apart, levels, spread=True)
    network = f"the network, from {begin.words},"
    seen.check(asked.patch, net.configuration, network)
    held_out.check(1, net.configuration, network, spans=True)
    noise = _noise(asked)
    shown = stamp_of_photographs(asked.photographs) if sources.photographs else "none"
    identity = {
        "data": words, "photographs": shown, **_seen_of(sources), **_identity(asked, task, begin),
    }  # fmt: skip
    if checkpoint.exists():
        known = known_by(asked.recipe(), net.configuration, identity)
        check_checkpoint(checkpoint, known, patient=asked.patience is not None)
    scenes: Sequence[Any] = seen
    unseen: Sequence[Any] = held_out
    if asked.prepare is not None:
        say(f"Preparing {len(seen) + len(held_out)} scenes in {asked.prepare}.")
        made = prepare_scenes(
            {"scene": seen, "held-out": held_out},
            asked.prepare,
            {
                "task": task.name,
                "data": words,
                "files": stamp_of_scenes([*sources.readers, *sources.held_out]),
                "seed": asked.seed,
                "photographs": shown,
                "version": mcsc.__version__,
                **asdict(settings),
                **noise,
            },
            scheduler=asked.scheduler,
            progress=is_terminal(sys.stdout),
        )
        scenes, unseen = made["scene"], made["held-out"]
    say(f"Training on {words}, from {begin.words}.")
    rounded = asked.recipe().rounding(device_count(asked.device, asked.n_devices))
    if rounded:
        say(rounded)
    if asked.start_from != "xavier" and not asked.start_from.lower().endswith(".safetensors"):
        refit_on_scenes(net, scenes, asked.seed, min(asked.patch, 64))
    before = rmse(net, unseen) if len(unseen) else None
    if before is not None:
        remark = f" ({held_out.stretched})" if held_out.stretched else ""
        count = f"{len(unseen)} scene{'s' * (len(unseen) > 1)}"
        say(f"Error on {count} held out, of 255: {before:.3f}{remark}")
    trained = train(
        net,
        scenes,
        validation=unseen,
        recipe=asked.recipe(),
        folder=logs,
        resume=resume,
        checkpoint_every=asked.checkpoint_every,
        identity=identity,
        patience=asked.patience,
        device=asked.device,
        devices=asked.n_devices,
        precision=asked.precision,
        workers=asked.workers,
        progress=is_terminal(sys.stderr),
    )
    if getattr(rank_zero_only, "rank", 0):
        return True
    if not trained.steps:  # weights that nothing was learned for must not replace any
        say(f"mcsc: interrupted before the end of the first step; {out} is not written", err=True)
        return False
    describe(net, task, settings, data=words, start=begin.words, **noise)
    net.save(out)
    write_card(
        out.with_suffix(".md"), trained, task, data=words, start=begin.words,
        command=shlex.join(["mcsc", *sys.argv[1:]]), before=before,
        photographs=sources.photographs, stretched=held_out.stretched,
    )  # fmt: skip
    error = "" if trained.error is None else f", error {trained.error:.3f}"
    if trained.best_step is not None:
        error += f" with the weights of step {trained.best_step}"
    words = "" if trained.completed else f" (interrupted; --resume goes on from {logs})"
    click.echo(f"{out}: {trained.steps} steps, {trained.seconds:.0f} s{error}{words}")
    return trained.completed
