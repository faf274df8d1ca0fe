"""Devices by name."""

from __future__ import annotations

import torch

from mcsc.errors import InvalidValueError, UnavailableError


def torch_device(device: str | torch.device) -> torch.device:
    """Return a device, if PyTorch has it here.

    Raises
    ------
    ValueError
        There is no such kind of device.
    RuntimeError
        It is a GPU, and PyTorch finds none.
    """
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise InvalidValueError(
            f"device must be one such as 'cpu', 'cuda' or 'cuda:1'; found {device!r}"
        ) from error
    if found.type == "cuda" and not torch.cuda.is_available():
        raise UnavailableError(
            f"device={str(device)!r} cannot be used: PyTorch finds no CUDA device here; use "
            "device='cpu'"
        )
    return found
