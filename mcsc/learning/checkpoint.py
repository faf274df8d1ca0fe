"""The state of learning in a file: whole or not at all, never pickled."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InvalidValueError
from ..files import read_npz, write_npz
from ..model.codes import Codes
from ..model.dictionary import Dictionary

_KIND, _FORMAT = "mcsc.Checkpoint", 1


def write(
    path: str | Path,
    settings: dict[str, Any],
    codes: Sequence[Codes | None],
    dictionary: Dictionary,
    arrays: dict[str, np.ndarray],
    numbers: dict[str, Any],
) -> None:
    """Write settings, codes of every batch, arrays and numbers."""
    content = {f"state_{name}": array for name, array in arrays.items()}
    grids: list[list[int] | None] = []
    names = [g.name for g in dictionary.groups]
    for b, batch in enumerate(codes):
        grids.append(None if batch is None else list(batch.grid))
        if batch is None:
            continue
        common, unique = batch.coordinates()
        parts = {"common": common} | {f"unique[{m}]": c for m, c in enumerate(unique)}
        for g, name in enumerate(names):
            part = parts[name]
            assert part is not None
            place = np.stack([part.sample, part.map, part.row, part.column]).astype(np.int32)
            content[f"codes_{b}_{g}_place"] = place
            content[f"codes_{b}_{g}_value"] = part.value
    banks = {"n_signals": dictionary.n_signals, "channels": list(dictionary.channels)}
    write_npz(
        path, _KIND, _FORMAT, content, settings=settings, numbers=numbers, grids=grids, banks=banks
    )


def read(
    path: Path, settings: dict[str, Any], batches: int
) -> tuple[dict[str, Any], dict[str, np.ndarray], list[Codes | None]]:
    """Read what `write` wrote for the same settings.

    Raises
    ------
    ValueError
        The file is damaged, or was written for other data or settings.
    """
    header, content = read_npz(path, _KIND, _FORMAT)
    found, wanted = header["settings"], json.loads(json.dumps(settings))
    different = sorted(k for k in wanted.keys() | found.keys() if wanted.get(k) != found.get(k))
    if different:
        shown = ", ".join(
            "data" if k == "data" else f"{k} ({found.get(k)!r}, now {wanted.get(k)!r})"
            for k in different
        )
        raise InvalidValueError(
            f"{path} is a checkpoint of other settings: {shown}; remove it or use another name"
        )
    arrays = {k.removeprefix("state_"): v for k, v in content.items() if k.startswith("state_")}
    dictionary = _shapes_only(settings)
    codes: list[Codes | None] = []
    for b in range(batches):
        grid = header["grids"][b]
        if grid is None:
            codes.append(None)
            continue
        parts = {}
        for g, group in enumerate(dictionary.groups):
            place = content[f"codes_{b}_{g}_place"]
            parts[group.name] = (*place, content[f"codes_{b}_{g}_value"])
        codes.append(Codes.from_coordinates(parts, dictionary, tuple(grid)))
    return header["numbers"], arrays, codes


def _shapes_only(settings: dict[str, Any]) -> Dictionary:
    """A dictionary of the same groups; its filters do not matter."""
    channels = settings["channels"]
    common = (
        tuple(np.ones((settings["n_common"], c, 1, 1)) for c in channels)
        if settings["n_common"]
        else None
    )
    unique = tuple(
        np.ones((k, c, 1, 1)) if k else None
        for k, c in zip(settings["n_unique"], channels, strict=True)
    )
    return Dictionary(common, unique if any(settings["n_unique"]) else None)
