"""Weight files: safetensors with the configuration and the use in their metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from mcsc import __version__
from mcsc.errors import InvalidTypeError, InvalidValueError
from mcsc.files import atomic_write, check_readable

from .configuration import Configuration

KIND = "unfolded.CUNet"
FORMAT = 2
"""2: configurations with sweeps, kinds of thresholds and noise; in 1 these have their defaults."""

SUFFIX = ".safetensors"


@dataclass(frozen=True, eq=False)
class WeightFile:
    """What a weight file holds."""

    configuration: Configuration
    metadata: dict[str, Any]
    """What else is kept with the weights; see `CUNet`."""
    state: Mapping[str, Tensor]
    """Names and tensors, as `torch.nn.Module.state_dict` has them."""


def write_weights(path: str | Path, content: WeightFile) -> None:
    """Write a weight file, whole or not at all.

    Parameters
    ----------
    path : str or Path
        File name; ``.safetensors`` is appended if it is missing.
    content : WeightFile
        Its metadata must hold only what JSON can.

    Raises
    ------
    TypeError, ValueError
        A weight is NaN or infinite, or the metadata hold what JSON cannot.
    """
    path = Path(path)
    if not isinstance(content.metadata, dict):
        raise InvalidTypeError(f"metadata must be a dict, found {type(content.metadata).__name__}")
    if path.suffix.lower() != SUFFIX:
        path = path.with_name(path.name + SUFFIX)
    try:
        more = json.dumps(content.metadata, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidTypeError(f"metadata must hold only what JSON can: {error}") from error
    header = {
        "kind": KIND,
        "format": str(FORMAT),
        "written_by": __version__,
        "configuration": json.dumps(content.configuration.as_dict()),
        "metadata": more,
    }
    # Copies: the format knows no two names of one tensor, which a caller may have made.
    state = {
        k: v.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for k, v in content.state.items()
    }
    for key, value in state.items():
        if not bool(value.isfinite().all()):
            raise InvalidValueError(f"{key} holds NaN or Inf: such weights are not written")
    data = to_bytes(state, header)
    with atomic_write(path) as file:
        file.write(data)


def read_weights(path: str | Path) -> WeightFile:
    """Return what `write_weights` wrote; whether the tensors fit is not looked at.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is damaged, of another kind, or written by a newer version.
    """
    path = Path(path)
    check_readable(path, "weight file")
    foreign = f"{path} is not a weight file written by unfolded, or it is damaged"
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InvalidValueError(foreign) from error
    if header.get("kind") != KIND:
        raise InvalidValueError(foreign)
    try:
        version = int(header["format"])
    except (KeyError, ValueError) as error:
        raise InvalidValueError(foreign) from error
    if version > FORMAT:
        raise InvalidValueError(
            f"{path} was written by a newer unfolded ({header.get('written_by', 'unknown')}, "
            f"file format {version}; this one reads up to {FORMAT}): update mcsc"
        )
    try:
        configuration = Configuration.from_dict(json.loads(header["configuration"]))
        metadata = json.loads(header.get("metadata", "{}"))
        if not isinstance(metadata, dict):
            raise InvalidValueError("its metadata are not a JSON object")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InvalidValueError(f"{path} holds no usable configuration: {error}") from error
    return WeightFile(configuration, metadata, state)
