"""Model cards: how weights came to be, beside their file."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mcsc import __version__
from mcsc.errors import InvalidValueError
from mcsc.files import atomic_write

if TYPE_CHECKING:
    from mcsc.synthetic.photographs import Source
    from mcsc.tasks.task import Task

    from ..network.configuration import Configuration
    from .train import Trained

_KIND = ": a CU-Net of "
"""Words of the first sentence of every card."""
_LOOKED_AT = 4096
_OPTIMISERS = {
    "adam": "Adam",
    "muon": "Muon (thresholds: Adam)",
    "scaled-muon": "Muon of scaled steps (thresholds: Adam)",
}


def write_card(
    path: str | Path, trained: Trained, task: Task, *, data: str, start: str, command: str,
    before: float | None, photographs: Sequence[Source] = (), stretched: str = "",
) -> None:  # fmt: skip
    """Write a page in Markdown about trained weights.

    Parameters
    ----------
    path : path
        File of the card.
    trained : Trained
        What `unfolded.train` returned.
    task : Task
        What the network is for.
    data, start : str
        What it was trained on, what it started from.
    command : str
        That trained it.
    before : float or None
        Error on the validation scenes before training, of 255.
    photographs : sequence of Source
        That synthetic scenes among the data are made of.
    stretched : str
        Which scenes the errors are of after their little contrast was stretched, for people.
    """
    configuration, metadata = trained.net.configuration, trained.net.metadata
    recipe = trained.recipe
    count = sum(p.numel() for p in trained.net.parameters())
    torch_version = importlib.metadata.version("torch")
    kinds = [
        *(["which share their filters"] if configuration.tied else []),
        *([] if configuration.residual else ["no residual lines"]),
        *([f"{configuration.sweeps} sweeps"] if configuration.sweeps > 1 else []),
        *(["a threshold for each map"] if configuration.thresholds == "map" else []),
        *(["thresholds that follow the noise"] if configuration.noise_aware else []),
    ]
    levels = metadata.get("noise_levels")
    average = "" if recipe.average is None else f", weights averaged with {recipe.average:g}"
    loss = "" if recipe.loss == "mse" else f", {recipe.loss} up to {recipe.squared_from:.0%}"
    each = recipe.candidates
    chosen = f" (each of {each} places the one with most detail)" if each > 1 else ""
    lines = [
        f"# {task.name}",
        "",
        f"{task.title}{_KIND}{configuration.channels[0]} + {configuration.channels[1]} "
        f"channels, {_filters(configuration)} of {configuration.kernel_size} x "
        f"{configuration.kernel_size} per module, {configuration.blocks} blocks"
        + "".join(f", {kind}" for kind in kinds)
        + f"; {count:,} parameters.",
        "",
        f"- Signals: {_signals(metadata)}",
        f"- Data: {data}"
        + (f", noise of {levels[0]:g} to {levels[1]:g} of 255." if levels else "."),
        f"- Start: {start}.",
        f"- Training: {trained.steps:,} steps of {_patches(trained)} patches of {recipe.patch} x "
        f"{recipe.patch}{chosen}, {_OPTIMISERS[recipe.optimiser]} at {recipe.learning_rate:g}, "
        f"schedule {recipe.schedule}, seed {recipe.seed}{loss}{average}; {trained.seconds:.0f} s "
        + f"on {_device(trained)}"
        + ("" if trained.completed else ", interrupted")
        + ("." if trained.best_step is None else f"; {_kept(trained.best_step)}."),
        f"- Command: `{command}`",
        f"- Versions: mcsc {__version__}, PyTorch {torch_version}.",
    ]
    if trained.error is not None:
        first = "" if before is None else f"{before:.3f} before training, "
        lines.append(
            f"- Root mean square error on scenes that were held out, of 255: {first}"
            f"{trained.error:.3f} after it" + (f"; {stretched}." if stretched else ".")
        )
    if photographs:
        lines += ["", "Photographs that the synthetic scenes are made of:", ""]
        lines += [f"- {p.name}: {p.licence} ({p.origin})" for p in photographs]
    with atomic_write(path) as file:
        file.write(("\n".join(lines) + "\n").encode())


def check_card(path: Path) -> None:
    """Refuse to replace a page that is no card, whose name nobody typed.

    Raises
    ------
    ValueError
        There is such a page.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        begin = file.read(_LOOKED_AT).decode("utf-8", "replace")
    # Before its title a published card may have settings of the place where it is.
    if not (("\n" + begin).count("\n# ") and _KIND in begin):
        raise InvalidValueError(
            f"{path} is no model card, and would be replaced by that of {path.stem}.safetensors: "
            "want another name for the weights"
        )


def _kept(step: int) -> str:
    return f"the weights are those of step {step:,}, of the smallest error on scenes held out"


def _filters(configuration: Configuration) -> str:
    c, u, v = configuration.filters
    return f"{c} filters" if c == u == v else f"{c} (common), {u} and {v} (unique) filters"


def _signals(metadata: dict[str, object]) -> str:
    words = {
        "none": "the images themselves.",
        "input": "their detail (low-pass split of strength {s:g}); what the network gives is added "
        "to x.",
        "injected": "their detail (low-pass split of strength {s:g}), that of x with what the "
        "guide has and x lacks; what the network gives is added to that x.",
        "low": "their detail (low-pass split of strength {s:g}); what the network gives is added "
        "to the low-pass part.",
        "guided": "what the guided filter takes from x, and the detail of the guide (low-pass "
        "split of strength {s:g}); what the network gives is added to what that filter leaves.",
        "mean": "their detail (low-pass split of strength {s:g}); what the network gives is added "
        "to the mean of the images.",
    }
    return words[str(metadata.get("base", "none"))].format(s=metadata.get("strength") or 0.0)


def _patches(trained: Trained) -> str:
    each = trained.recipe.batch_size
    return f"{trained.devices} x {each}" if trained.devices > 1 else str(each)


def _device(trained: Trained) -> str:
    if trained.device != "cpu":
        return f"{trained.devices} x {trained.device}" if trained.devices > 1 else trained.device
    import os

    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = torch.get_num_threads()
    words = f"{threads} thread{'s' * (threads > 1)} of a CPU with {cores} cores"
    return f"{trained.devices} processes, each with {words}" if trained.devices > 1 else words
