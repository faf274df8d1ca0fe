"""Weight files: safetensors with the configuration and the use in their metadata."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes

from mcsc import __version__
from mcsc.errors import InvalidValueError
from mcsc.files import atomic_write

from ..network.configuration import Configuration
from ..network.cunet import CUNet

KIND = "unfolded.CUNet"
FORMAT = 1
SUFFIX = ".safetensors"


def save(net: CUNet, path: str | Path) -> None:
    """Write a network's weights and configuration, whole or not at all; see `CUNet.save`."""
    path = Path(path)
    if path.suffix != SUFFIX:
        path = path.with_name(path.name + SUFFIX)
    metadata = {
        "kind": KIND,
        "format": str(FORMAT),
        "written_by": __version__,
        "configuration": json.dumps(net.configuration.as_dict()),
        "metadata": json.dumps(net.metadata),
    }
    state = {k: v.detach().cpu().contiguous() for k, v in net.state_dict().items()}
    for key, value in state.items():
        if not bool(value.isfinite().all()):
            raise InvalidValueError(f"{key} holds NaN or Inf: such weights are not written")
    data = to_bytes(state, metadata)
    with atomic_write(path) as file:
        file.write(data)


def load(path: str | Path, configuration: Configuration | None = None) -> CUNet:
    """Return the network that `CUNet.save` wrote, in evaluation mode, on the CPU.

    Parameters
    ----------
    path : str or Path
        File name.
    configuration : Configuration, optional
        What the caller needs (`CUNet.configuration` of another network): a file with another one
        is refused.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is damaged, of another kind, written by a newer version, or its weights or its
        configuration are not the ones wanted.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weight file at {path}")
    foreign = f"{path} is not a weight file written by unfolded, or it is damaged"
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InvalidValueError(foreign) from error
    if metadata.get("kind") != KIND:
        raise InvalidValueError(foreign)
    try:
        version = int(metadata["format"])
    except (KeyError, ValueError) as error:
        raise InvalidValueError(foreign) from error
    if version > FORMAT:
        raise InvalidValueError(
            f"{path} was written by a newer unfolded ({metadata.get('written_by', 'unknown')}, "
            f"file format {version}; this one reads up to {FORMAT}): update mcsc"
        )
    try:
        found = Configuration.from_dict(json.loads(metadata["configuration"]))
        more = json.loads(metadata.get("metadata", "{}"))
        if not isinstance(more, dict):
            raise InvalidValueError("its metadata are no object")
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidValueError(f"{path} holds no usable configuration: {error}") from error
    if configuration is not None and found != configuration:
        raise InvalidValueError(
            f"{path} is for another network: {configuration.differences(found)}"
        )
    net = build(found, state, path)
    net.metadata = more
    return net


def build(configuration: Configuration, state: dict[str, torch.Tensor], path: Any) -> CUNet:
    """Return a network with the weights `state`, in their dtype, in evaluation mode.

    Raises
    ------
    ValueError
        The weights do not fit the configuration; `path` is named.
    """
    # On no device first: a configuration that asks for terabytes must cost nothing to refuse.
    with torch.device("meta"):
        net = CUNet(**configuration.as_dict())
    wanted = {k: tuple(v.shape) for k, v in net.state_dict().items()}
    found = {k: tuple(v.shape) for k, v in state.items()}
    if found != wanted:
        wrong = sorted(k for k in wanted.keys() | found.keys() if wanted.get(k) != found.get(k))
        raise InvalidValueError(
            f"{path} is damaged: its weights do not fit its configuration, first at {wrong[0]} "
            f"(found {found.get(wrong[0], 'nothing')}, wanted {wanted.get(wrong[0], 'nothing')})"
        )
    types = {v.dtype for v in state.values()}
    if len(types) != 1 or not next(iter(types)).is_floating_point:
        raise InvalidValueError(
            f"{path} is damaged: its weights have dtypes {sorted(map(str, types))}"
        )
    for key, value in state.items():
        if not bool(value.isfinite().all()):
            raise InvalidValueError(f"{path} is damaged: {key} holds NaN or Inf")
    net.load_state_dict(state, assign=True)
    return net.requires_grad_().eval()


def shipped() -> dict[str, Any]:
    """Return the weight files that come with the package, by name."""
    folder = resources.files("unfolded") / "weights_data"
    files = folder.iterdir() if folder.is_dir() else ()
    return {
        f.name.removesuffix(SUFFIX): f
        for f in sorted(files, key=lambda f: f.name)
        if f.name.endswith(SUFFIX)
    }


def pretrained(name: str) -> CUNet:
    """Return a network with weights that come with the package, in evaluation mode.

    Parameters
    ----------
    name : str
        Such as ``"depth-sr"``.

    Raises
    ------
    ValueError
        There are no weights of that name; the message lists the names there are.
    """
    there = shipped()
    if name not in there:
        names = ", ".join(there) or "none in this copy; train some with mcsc train"
        raise InvalidValueError(f"no pretrained weights named {name!r}: there are {names}")
    with resources.as_file(there[name]) as path:
        return load(path)
