"""Checkpoints of a training: where they are, and whether a run may go on from one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from mcsc.errors import InvalidTypeError, InvalidValueError

from ..network.configuration import Configuration
from .recipe import Recipe

LAST = "last.ckpt"

_PLAIN = (str, int, float, bool, type(None))
_CONTAINERS = (list, tuple, dict, set)


def known_by(
    recipe: Recipe, configuration: Configuration, identity: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a run is known by in its checkpoint: it is resumed with the same only.

    `identity` is what else makes it this run: its data, the number of devices.
    """
    return {
        "recipe": asdict(recipe),
        "identity": dict(identity),
        "configuration": {
            k: list(v) if isinstance(v, tuple) else v for k, v in configuration.as_dict().items()
        },
    }


def check_identity(identity: Any) -> None:
    """Refuse what a checkpoint could not be known by again.

    Raises
    ------
    TypeError
        It is no mapping to plain values.
    ValueError
        It says `devices`, which the training itself does, or holds NaN.
    """
    if not isinstance(identity, Mapping):
        raise InvalidTypeError(f"identity must be a mapping, found {type(identity).__name__}")
    if "devices" in identity:
        raise InvalidValueError("identity holds 'devices', whose number the training adds itself")
    for key, value in identity.items():
        _check_plain(key, "its keys")
        _check_plain(value, repr(key))


def _check_plain(value: Any, what: str) -> None:
    # Those of NumPy derive from Python's, and a checkpoint that holds them is not read again.
    if type(value) in _CONTAINERS:
        parts = [*value.keys(), *value.values()] if isinstance(value, dict) else value
        for part in parts:
            _check_plain(part, what)
    elif type(value) not in _PLAIN:
        raise InvalidTypeError(
            "identity must hold plain values, numbers, texts and lists of them; found "
            f"{type(value).__name__} as {what}"
        )
    elif value != value:
        raise InvalidValueError(f"identity holds NaN as {what}, which equals nothing")


def find_checkpoint(folder: Path, *, resume: bool) -> Path:
    """Return where a folder's checkpoint is, or will be.

    Raises
    ------
    ValueError
        There is one already, and the run is not to be resumed.
    """
    path = folder / LAST
    if path.exists() and not resume:
        raise InvalidValueError(f"{path} is there already: resume from it, or give another folder")
    return path


_LATER = ("masks", "ranges", "photographs")
"""Parts of an identity that checkpoints of before there were such do not tell of."""


_BEST = "Best"
"""What a checkpoint calls the callback that keeps the best weights."""


def check_checkpoint(path: Path, wanted: Mapping[str, Any], *, patient: bool) -> None:
    """Refuse a checkpoint that is damaged or of another run, before any work.

    Parameters
    ----------
    path : Path
        File of the checkpoint.
    wanted : mapping
        What the run is known by, see `known_by`; of the identity it may be a part.
    patient : bool
        Whether the run has patience, and keeps the weights of its best epoch; how much may change.

    Raises
    ------
    ValueError
        The message says what differs.
    """
    damaged = f"{path} is not a checkpoint of mcsc train, or it is damaged"
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        found = saved["hyper_parameters"]
        was_patient = _BEST in saved["callbacks"]
    except Exception as error:  # pickle, zipfile and PyTorch raise each their own
        raise InvalidValueError(damaged) from error
    if found.keys() != wanted.keys():
        raise InvalidValueError(damaged)
    # A checkpoint of before there was a field was made as its default says.
    defaults = {f.name: f.default for made in (Recipe, Configuration) for f in fields(made)}
    for part in wanted:
        for key, value in wanted[part].items():
            if key in _LATER and key not in found[part]:
                continue
            before = found[part].get(key, defaults.get(key))
            if before != value:
                raise InvalidValueError(
                    f"{path} is of another run: {key} was {before!r}, now it is {value!r}"
                )
    if was_patient and not patient:
        raise InvalidValueError(
            f"{path} is of a run with patience, which ends with the weights of its best epoch: "
            "give patience again, as much as you like"
        )
    if patient and not was_patient:
        raise InvalidValueError(
            f"{path} is of a run without patience, which did not keep the weights of its best "
            "epoch so far: leave patience out, or begin anew in another folder"
        )
