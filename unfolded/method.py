"""CU-Net as a method of `mcsc evaluate`: ``--method cunet --weights FILE``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mcsc.imaging.colour import luma
from mcsc.imaging.tasks import get_task

from .cunet import CUNet
from .official import load_official
from .weights import load, pretrained

Floats = NDArray[np.floating[Any]]


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
        The network is of the other kind (restoration, fusion) than the task.
    """
    if file is None:
        net = pretrained(task)
    else:
        net = load_official(file) if Path(file).suffix == ".pth" else load(file)
    kind = get_task(task).kind
    if net.configuration.task != kind:
        raise ValueError(f"{file}: a network for {net.configuration.task}, {task} is a {kind}")
    return CUNetMethod(net.eval())


class CUNetMethod:
    """Calls a network on NumPy images (C, H, W) in [0, 1]."""

    def __init__(self, net: CUNet) -> None:
        self.net = net

    def __call__(self, x: Floats, y: Floats, *, sigma: float | None = None) -> Floats:
        """Return the restored or fused image, (C, H, W).

        A network of one channel takes the bands of x one by one and the luma of y; grey images are
        repeated for a network of three.
        """
        first, second = self.net.configuration.channels
        guide = _channels(y, second)
        bands = x[:, None] if first == 1 else _channels(x, first)[None]
        dtype = next(self.net.parameters()).dtype
        with torch.inference_mode():
            images = [
                self.net(*(torch.from_numpy(np.array(i))[None].to(dtype) for i in (band, guide)))
                for band in bands
            ]
        found: Floats = torch.cat(images, dim=1)[0].numpy().astype(x.dtype)
        return found


def _channels(image: Floats, count: int) -> Floats:
    if len(image) == count:
        return image
    if count == 1 and len(image) == 3:
        return luma(image)
    if len(image) == 1:
        return np.repeat(image, count, axis=0)
    raise ValueError(f"the network takes {count} channels, the image has {len(image)}")
