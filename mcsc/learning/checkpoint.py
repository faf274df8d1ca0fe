"""The state of learning in a file: whole or not at all, never pickled."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InvalidValueError
from ..files import npz_path, read_npz, write_npz
from ..model.codes import Codes
from ..model.dictionary import Dictionary
from .atoms import Layout

_KIND, _FORMAT = "mcsc.Checkpoint", 2  # 2: windows cover the images


@dataclass(frozen=True)
class State:
    """What a checkpoint holds."""

    arrays: dict[str, np.ndarray]
    numbers: dict[str, Any]
    """Settings, of types that JSON has."""
    codes: list[Codes | None]
    """Codes of every batch; None for those that were not coded yet."""


class Checkpoint:
    """A file of the state.

    Parameters
    ----------
    path : path
        Its name; ``.npz`` is appended if it is missing, for writing and for reading.
    identity : dict
        Settings and data in JSON's types; a checkpoint of another is refused.
    """

    def __init__(self, path: str | Path, identity: dict[str, Any]) -> None:
        self.path = npz_path(path)
        self._identity = json.loads(json.dumps(identity))

    def exists(self) -> bool:
        """Whether there is a file to go on from."""
        return self.path.exists()

    def write(
        self,
        dictionary: Dictionary,
        codes: Sequence[Codes | None],
        arrays: dict[str, np.ndarray],
        numbers: dict[str, Any],
    ) -> None:
        """Write the codes of every batch, arrays and numbers; `dictionary` tells the groups."""
        content = {f"state_{name}": array for name, array in arrays.items()}
        names = [g.name for g in dictionary.groups]
        for b, batch in enumerate(codes):
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
        write_npz(
            self.path,
            _KIND,
            _FORMAT,
            content,
            settings=self._identity,
            numbers=numbers,
            grids=[None if batch is None else list(batch.grid) for batch in codes],
        )

    def read(self, layout: Layout) -> State:
        """Read what `write` wrote for filters of this layout.

        Raises
        ------
        ValueError
            The file is damaged, or was written for other data or settings, or by a version whose
            state means something else.
        """
        header, content = self._opened()
        self._compare(header["settings"], self._identity.keys() | header["settings"].keys())
        arrays = {k.removeprefix("state_"): v for k, v in content.items() if k.startswith("state_")}
        dictionary = layout.dictionary(arrays["filters"])
        codes: list[Codes | None] = []
        for b, grid in enumerate(header["grids"]):
            if grid is None:
                codes.append(None)
                continue
            parts = {}
            for g, group in enumerate(dictionary.groups):
                place = content[f"codes_{b}_{g}_place"]
                parts[group.name] = (*place, content[f"codes_{b}_{g}_value"])
            codes.append(Codes.from_coordinates(parts, dictionary, tuple(grid)))
        return State(arrays, header["numbers"], codes)

    def check(self) -> None:
        """Refuse a file that `read` would refuse, where the identity is known only in part."""
        header, _ = self._opened()
        self._compare(header["settings"], self._identity.keys())

    def _opened(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        header, content = read_npz(self.path, _KIND, _FORMAT)
        if header["format"] < _FORMAT:
            raise InvalidValueError(
                f"{self.path} is a checkpoint of an older mcsc, which cut images into other "
                "windows; remove it or use another name"
            )
        return header, content

    def _compare(self, found: dict[str, Any], keys: Iterable[str]) -> None:
        wanted = self._identity
        different = sorted(k for k in keys if wanted.get(k) != found.get(k))
        if different:
            shown = ", ".join(
                "data" if k == "data" else f"{k} ({found.get(k)!r}, now {wanted.get(k)!r})"
                for k in different
            )
            raise InvalidValueError(
                f"{self.path} is a checkpoint of other settings: {shown}; remove it or use another "
                "name"
            )
