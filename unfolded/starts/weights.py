"""Networks from weight files: one's own, and those that come with the package."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from torch import Tensor

from mcsc.errors import InvalidTypeError, InvalidValueError

from ..network.configuration import Configuration
from ..network.cunet import CUNet
from ..network.weight_file import SUFFIX, read_weights


def load(path: str | Path, configuration: Configuration | None = None) -> CUNet:
    """Return the network that `CUNet.save` wrote, in evaluation mode, on the CPU.

    Parameters
    ----------
    path : str or Path
        File name; its ``.safetensors`` may be left out.
    configuration : Configuration, optional
        Configuration that the caller needs (`CUNet.configuration` of another network): a file with
        another one is refused.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    TypeError
        `configuration` is something else.
    ValueError
        The file is damaged, of another kind, written by a newer version, or its weights or its
        configuration are not the ones wanted.
    """
    path = Path(path)
    if configuration is not None and not isinstance(configuration, Configuration):
        raise InvalidTypeError(
            f"configuration must be a Configuration, found {type(configuration).__name__}"
        )
    if not path.exists() and path.with_name(path.name + ".safetensors").exists():
        path = path.with_name(path.name + ".safetensors")  # as `CUNet.save` completes names
    found = read_weights(path)
    if configuration is not None and found.configuration != configuration:
        raise InvalidValueError(
            f"{path} is for another network: {configuration.differences(found.configuration)}"
        )
    net = build(found.configuration, found.state, path)
    net.metadata = found.metadata
    return net


def build(configuration: Configuration, state: Mapping[str, Tensor], path: str | Path) -> CUNet:
    """Return the network of a file's weights, in their dtype, in evaluation mode.

    Raises
    ------
    ValueError
        The weights do not fit the configuration; `path` is named.
    """
    try:
        return CUNet.from_state(configuration, state)
    except InvalidValueError as error:
        raise InvalidValueError(f"{path} is damaged: {error}") from error


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
        Name of a task, such as ``"depth-sr"``.

    Raises
    ------
    ValueError
        There are no weights of that name; the message lists the names there are.

    Notes
    -----
    The network takes the detail of images, not the images themselves, and gives what is to be added
    to a base; its `metadata` say which (``"strength"`` of `mcsc.images.lowpass_split`, ``"base"``).
    `mcsc.tasks.restore` and `mcsc.tasks.fuse` do all of this with ``method="cunet"``.
    """
    there = shipped()
    if name not in there:
        names = ", ".join(there) or "none in this copy; train some with mcsc train"
        raise InvalidValueError(f"no pretrained weights named {name!r}: there are {names}")
    with resources.as_file(there[name]) as path:
        return load(path)
