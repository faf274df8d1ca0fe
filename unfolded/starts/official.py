"""The weight files that the paper's authors publish (PyTorch ``.pth``), read without trust."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mcsc.errors import InvalidValueError
from mcsc.files import check_readable

from ..network.configuration import Configuration
from ..network.cunet import CUNet
from .weights import build

# The list of training losses holds NumPy scalars. This is all that unpickling them takes; PyTorch
# refuses every other name. NumPy before 2.0 wrote the older one of the first two.
_LOSS_LIST: list[Any] = [
    (np._core.multiarray.scalar, "numpy.core.multiarray.scalar"),  # type: ignore[attr-defined]
    (np._core.multiarray.scalar, "numpy._core.multiarray.scalar"),  # type: ignore[attr-defined]
    np.dtype,
    np.dtypes.Float32DType,
    np.dtypes.Float64DType,
]

_MODULES = {"net_u": "unique.0", "net_v": "unique.1", "net_z": "common"}
_FIXED = {
    "conv_u.weight": "explained.0.weight",
    "conv_v.weight": "explained.1.weight",
    "decoder.conv_1.weight": "target_unique.0.weight",
    "decoder.conv_2.weight": "target_common.weight",
    "decoder.conv_3.weight": "target_unique.1.weight",
}
_BLOCK = re.compile(r"net_u\.down_conv_(\d{1,9})\.weight")


def load_official(path: str | Path) -> CUNet:
    """Return the network of one of the authors' released weight files, in evaluation mode.

    Filters, thresholds, filter size, blocks, channels and the kind are read from the tensors.

    Parameters
    ----------
    path : str or Path
        A ``.pth`` file: ``{"model": state_dict, "train_loss": [...]}``, or the state dictionary
        alone; names may begin with ``module.``, as `torch.nn.DataParallel` leaves them.

    Returns
    -------
    CUNet
        On the CPU.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is damaged, holds anything but tensors, numbers and a loss list, or is of another
        network; the message names the first thing that is amiss.

    Notes
    -----
    Read with ``weights_only=True``: nothing in the file is run. A few learned thresholds are
    negative; the network keeps them (see `unfolded.engines.reference.soft_threshold`).
    """
    path = Path(path)
    check_readable(path, "weight file")
    try:
        with torch.serialization.safe_globals(_LOSS_LIST):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zipfile and PyTorch raise each their own
        raise InvalidValueError(
            f"{path} is not a PyTorch weight file, is damaged, or holds more than tensors and "
            "numbers (which is not run)"
        ) from error
    state = _state(content, path)
    configuration = _configuration(state, path)
    return build(configuration, _renamed(state, configuration.blocks, path), path)


def _state(content: Any, path: Path) -> dict[str, Tensor]:
    state = content.get("model", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not state:
        raise _refusal(path, "it holds no state dictionary")
    out = {}
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise _refusal(path, f"its state dictionary holds {key!r}, which is not a tensor")
        if not value.is_floating_point() or value.layout is not torch.strided:
            raise _refusal(path, f"{key} has dtype {value.dtype} and layout {value.layout}")
        out[key.removeprefix("module.")] = value
    exact = torch.float64 if all(v.dtype == torch.float64 for v in out.values()) else torch.float32
    return {key: value.to(exact) for key, value in out.items()}


def _configuration(state: dict[str, Tensor], path: Path) -> Configuration:
    def shape(key: str) -> tuple[int, ...]:
        if key not in state:
            raise _refusal(path, f"there is no {key} in it")
        found = tuple(state[key].shape)
        if len(found) != 4 or 0 in found:
            raise _refusal(path, f"{key} has shape {found}; filters have four axes")
        return found

    numbers = {int(m[1]) for m in map(_BLOCK.fullmatch, state) if m}
    for j in range(max(numbers, default=-1) + 1):  # not as many as the largest says
        if j not in numbers:
            raise _refusal(path, f"there is no net_u.down_conv_{j}.weight in it")
    k_u, c_x, size, _ = shape("net_u.layer_in.weight")
    k_v, c_y, _, _ = shape("net_v.layer_in.weight")
    return Configuration(
        channels=(c_x, c_y),
        out_channels=shape("decoder.conv_2.weight")[0],
        kind="fusion" if "decoder.conv_3.weight" in state else "restoration",
        filters=(shape("net_z.layer_in.weight")[0], k_u, k_v),
        kernel_size=size,
        blocks=len(numbers),
        residual=True,
        tied=False,
    )


def _renamed(state: dict[str, Tensor], blocks: int, path: Path) -> dict[str, Tensor]:
    """Names of the authors to ours; what is left over is refused, what is missing `build` finds."""
    left = dict(state)
    out = {}

    def move(theirs: str, ours: str) -> None:
        if theirs in left:
            out[ours] = left.pop(theirs).contiguous()

    for theirs, ours in _FIXED.items():
        move(theirs, ours)
    for theirs, ours in _MODULES.items():
        move(f"{theirs}.layer_in.weight", f"{ours}.first.weight")
        for j in range(blocks):
            move(f"{theirs}.down_conv_{j}.weight", f"{ours}.down.{j}.weight")
            move(f"{theirs}.up_conv_{j}.weight", f"{ours}.up.{j}.weight")
        thresholds = []
        for name in ("lam_in", *(f"lam_{j}" for j in range(blocks))):
            value = left.pop(f"{theirs}.{name}", None)
            if value is None or value.numel() != 1:
                raise _refusal(path, f"there is no number {theirs}.{name} in it")
            thresholds.append(value.reshape(()))
        out[f"{ours}.thresholds"] = torch.stack(thresholds)
    if left:
        raise _refusal(path, f"{min(left)} is not part of that network")
    return out


def _refusal(path: Path, why: str) -> InvalidValueError:
    return InvalidValueError(f"{path} does not hold the released CU-Net's weights: {why}")
