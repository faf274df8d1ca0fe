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
        It is a GPU, and PyTorch finds none, or one of a kind that this PyTorch lacks.
    """
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InvalidValueError(
            f"device must be one such as 'cpu', 'cuda' or 'cuda:1'; found {device!r}"
        ) from error
    if found.type == "cuda" and not torch.cuda.is_available():
        raise UnavailableError(
            f"device={str(device)!r} cannot be used: PyTorch finds no CUDA device here; use "
            "device='cpu'"
        )
    if found.type not in ("cpu", "cuda"):
        try:  # each kind that this PyTorch lacks has an error of its own
            there = torch.zeros(1, device=found).cpu().numel() == 1
        except Exception:
            there = False
        if not there:
            raise UnavailableError(
                f"device={str(device)!r} cannot be used: this PyTorch has none of that kind; use "
                "device='cpu'"
            )
    return found
