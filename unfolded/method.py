"""CU-Net as a method of `mcsc evaluate`: ``--method cunet --weights FILE``."""

from __future__ import annotations

from pathlib import Path

from mcsc.errors import InvalidValueError
from mcsc.tasks.task import Task, get_task
from mcsc.types import Floats

from .network.cunet import CUNet
from .starts.official import load_official
from .starts.weights import load, pretrained
from .tasks import apply


def make_method(task: str, file: str | Path | None) -> CUNetMethod:
    """Return the network as a method for a task; entry point of the group ``mcsc.methods``.

    Parameters
    ----------
    task : str
        Name of a task of `mcsc`.
    file : path or None
        Weights: ``.safetensors`` as `CUNet.save` wrote them, or the authors' ``.pth``. None: the
        weights that come with the package.

    Raises
    ------
    ValueError
        The network is of the other kind (restoration, fusion) than the task, or for another task.
    """
    if file is None:
        net = pretrained(task)
    else:
        net = load_official(file) if Path(file).suffix == ".pth" else load(file)
    found = get_task(task)
    if net.configuration.task != found.kind:
        raise InvalidValueError(
            f"{file}: a network for {net.configuration.task}, {task} is a {found.kind}"
        )
    trained_for = net.metadata.get("task", task)
    if trained_for != task:
        raise InvalidValueError(f"{file}: a network for {trained_for}, not for {task}")
    return CUNetMethod(net.eval(), found)


class CUNetMethod:
    """Calls a network on NumPy images (C, H, W) in [0, 1]."""

    def __init__(self, net: CUNet, task: Task) -> None:
        self.net, self.task = net, task

    def __call__(self, x: Floats, y: Floats, *, sigma: float | None = None) -> Floats:
        """Return the restored or fused image, (C, H, W); see `unfolded.tasks.apply`."""
        return apply(self.net, self.task, x, y, sigma=sigma)
