"""CU-Net as a method of mcsc: ``method="cunet"``, ``--method cunet --weights FILE``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mcsc.errors import InvalidValueError, naming, warn_user
from mcsc.fusion.rules import RULES
from mcsc.tasks.protocol import MethodResult
from mcsc.tasks.task import Task
from mcsc.types import Device

from .images import OWN_RULE, fused, fused_one_by_one, kept_with_network, restored
from .network.accelerated import Accelerated, accelerate
from .network.configuration import Configuration
from .network.cunet import CUNet
from .network.devices import torch_device
from .network.tiling import radius, work_of_tiles
from .starts.opening import open_weights

_MUCH_WORK = 16.0
"""Times that the pixels of an image are computed in tiles, from which on a warning is due."""


def make_method(task: Task, file: str | Path | None) -> CUNetMethod:
    """Return the network as a method for a task; entry point of the group ``mcsc.methods``.

    Parameters
    ----------
    task : Task
        Task that the method is for.
    file : path or None
        Weights: ``.safetensors`` as `CUNet.save` wrote them, or the authors' ``.pth``. None: the
        weights that come with the package.

    Raises
    ------
    ValueError
        The network is of the other kind (restoration, fusion) than the task, or for another task.
    """
    net = open_weights(task.name if file is None else file)
    with naming(task.name if file is None else file):
        if net.configuration.kind != task.kind:
            raise InvalidValueError(
                f"a network for {net.configuration.kind}, {task.name} is a {task.kind}"
            )
        trained_for = net.metadata.get("task")
        if isinstance(trained_for, str) and trained_for != task.name:
            raise InvalidValueError(f"a network for {trained_for}, not for {task.name}")
        method = CUNetMethod(net.eval(), task)
    if net.metadata.get("base") is None and Path(str(file)).suffix.lower() == ".safetensors":
        warn_user(
            f"{file} does not say what it was trained for: it is taken as the authors' networks, "
            "which see the images themselves"
        )
    return method


class CUNetMethod:
    """A network with a task's preparation, as a `mcsc.tasks.Method`.

    A network of one channel restores the bands of x one by one and fuses lumas (for the colours see
    `mcsc.fusion.bases`); a grey guide, and grey sources, are repeated for one of three. Of more
    than two sources each goes through it beside the mean of the others: `fused_one_by_one`. With
    ``device="cuda"`` the network runs as `unfolded.accelerate` makes it, in float32.

    Of two sources its answer says which one is taken where, by the rule of the task or another one
    that chooses, or it is the image as it is (the rule "sum"): `fused`.

    Parameters
    ----------
    net : CUNet
        In evaluation mode.
    task : Task
        What it is for.
    """

    name = "cunet"

    def __init__(self, net: CUNet, task: Task) -> None:
        self.net, self.task = net, task
        kept_with_network(net, task)  # refuses metadata that nobody can use
        self._accelerated: Accelerated | None = None
        own = ("rule",) if task.kind == "fusion" else ("known_shape", "sigma")
        self.options = frozenset({"device", "tile", "orientations", *own})

    def __call__(
        self,
        *images: Any,
        known_shape: tuple[int, int] | None = None,
        sigma: float | None = None,
        rule: str | None = None,
        device: Device = "auto",
        tile: int | None = None,
        orientations: int | None = None,
    ) -> MethodResult:
        """Restore x with the guide y, or fuse sources; see `mcsc.tasks.Method`.

        Raises
        ------
        ValueError
            Channels do not fit, or a network has no such rule.
        RuntimeError
            ``device="cuda"`` and PyTorch finds none.
        """
        net = self._on(device)
        how: dict[str, Any] = {"tile": tile, "orientations": orientations or 1}
        if tile is not None:
            first = images[0] if isinstance(images[0], np.ndarray) else images[0][0]
            _warn_of_work(net.configuration, first.shape[-2:], tile)
        if self.task.kind == "restoration":
            return restored(net, self.task, *images, known_shape=known_shape, sigma=sigma, **how)
        (sources,) = images
        self.check_count(len(sources), rule)
        how["rule"] = self.rule_name(rule)
        selection = RULES.find(how["rule"]).selection
        if len(sources) == 2 and (selection is None or selection.by_answer is not None):
            return fused(net, self.task, *sources, **how)
        return fused_one_by_one(net, self.task, sources, **how)

    def rule_name(self, rule: str | None) -> str:
        """Return the rule that is asked for, or that of the task, if it chooses."""
        if rule is not None:
            return rule
        return self.task.rule if RULES.find(self.task.rule).selection else OWN_RULE

    def check_count(self, count: int | None, rule: str | None = None) -> None:
        """Refuse a rule that a network does not have; see `mcsc.tasks.Method`.

        Raises
        ------
        ValueError
            The rule neither chooses between sources nor adds up their parts.
        """
        if rule is not None and rule != OWN_RULE and RULES.find(rule).selection is None:
            have = [n for n, r in RULES.available().items() if n == OWN_RULE or r.selection]
            raise InvalidValueError(
                f"rule must be one of {', '.join(have)} of the method {self.name}; found {rule!r}"
            )

    def chooses(self, rule: str | None = None, count: int = 2) -> bool:
        """Whether its result says which source was chosen, with this rule."""
        return RULES.find(self.rule_name(rule)).selection is not None

    @property
    def channels(self) -> tuple[int, int]:
        """Numbers of channels of the images that the network sees."""
        return self.net.configuration.channels

    @property
    def base(self) -> str:
        """What its answer is added to."""
        return kept_with_network(self.net, self.task).base

    @property
    def only_factor(self) -> int | None:
        """The factor that the network was trained for, of super-resolution."""
        return self.task.factor

    def check_device(self, device: Device) -> None:
        """Refuse "cuda" where PyTorch finds none."""
        if device != "auto":
            torch_device(device)

    def _on(self, device: Device) -> CUNet | Accelerated:
        """The network where it is to run: on a GPU its accelerated form, made at the first call."""
        if device == "cuda":
            torch_device(device)  # refuses before the network is copied
            if self._accelerated is None:
                self._accelerated = accelerate(self.net, device)
            return self._accelerated
        return self.net if device == "auto" else self.net.to(torch_device(device))


def _warn_of_work(configuration: Configuration, shape: tuple[int, int], tile: int) -> None:
    """Say so if small tiles make much work."""
    times = work_of_tiles(configuration, shape, tile)
    if times > _MUCH_WORK:
        warn_user(
            f"tiles of {tile} pixels take {times:.0f} times the work of the whole image, as each "
            f"brings {radius(configuration)} pixels along on every side: larger ones take less"
        )
