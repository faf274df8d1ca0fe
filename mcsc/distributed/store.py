"""The codes of a large image, in files of its regions in a folder that all workers see.

Codes are in files, not in the memory of workers: a worker that dies costs what it was doing and
nothing else, memory is bounded by a block, and an interrupted run goes on where it was. Files are
written whole or not at all; a region that is coded again gets a new file, so that whoever still
reads the old one is not disturbed.
"""

from __future__ import annotations

import json
import shutil
import threading
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import InvalidValueError
from ..files import read_npz, write_json, write_npz
from ..lazy import Recent, cached_property
from ..model.codes import Codes
from ..model.dictionary import Dictionary
from ..model.penalty import Penalty
from ..types import Boundary, Region
from .cover import Cover
from .layers import Layer, moved, overlap

__all__ = ["CodeStore", "Places", "ProblemRecord"]

# Codes that a worker read or wrote lately: a block's are read for every seam around it.
_recent: Recent[Places] = Recent(50_000_000)
_recent_lock = threading.Lock()

_KIND, _FORMAT = "mcsc.Codes of a region", 2


class Places(NamedTuple):
    """Nonzero coefficients on an image's grid."""

    map: np.ndarray
    """Maps of all groups, in their order."""
    row: np.ndarray
    column: np.ndarray
    value: np.ndarray

    def chosen(self, keep: np.ndarray) -> Places:
        """Return some of them."""
        return Places(*(a[keep] for a in self))

    def inside(self, region: Region) -> np.ndarray:
        """Which of them lie in a region."""
        rows, columns = region
        found: np.ndarray = (self.row >= rows.start) & (self.row < rows.stop)
        found &= (self.column >= columns.start) & (self.column < columns.stop)
        return found

    def codes(self, region: Region, dictionary: Dictionary) -> Codes:
        """Return them as codes on the grid of a region that holds them all."""
        rows, columns = region
        grid = 1, rows.stop - rows.start, columns.stop - columns.start
        parts: dict[str, Any] = {}
        for g in dictionary.groups:
            mine = self.chosen((self.map >= g.maps.start) & (self.map < g.maps.stop))
            parts[g.name] = (
                np.zeros(len(mine.map), dtype=np.int64), mine.map - g.maps.start,
                mine.row - rows.start, mine.column - columns.start, mine.value,
            )  # fmt: skip
        return Codes.from_coordinates(parts, dictionary, grid)

    @classmethod
    def of_codes(cls, codes: Codes, region: Region, dictionary: Dictionary) -> Places:
        """Return codes on the grid of a region by their places on the image's."""
        rows, columns = region
        found = []
        for g, maps in zip(dictionary.groups, codes.present, strict=True):
            part = maps.coordinates()
            found.append(
                (part.map + g.maps.start, part.row + rows.start, part.column + columns.start,
                 part.value)
            )  # fmt: skip
        k, i, j, value = (np.concatenate(column) for column in zip(*found, strict=True))
        return cls(k.astype(np.int32), i.astype(np.int32), j.astype(np.int32), value)


@dataclass(frozen=True, eq=False)
class ProblemRecord:
    """What the codes in a folder are for; another problem is refused."""

    dictionary: Dictionary
    lam: np.ndarray
    """lam of each map, (K,); 0 where an array gives it for every coefficient."""
    cover: Cover
    dtype: str
    mu: tuple[float, ...] = ()
    """mu of each group; empty: 0 for all of them."""
    nonnegative: tuple[bool, ...] = ()
    """Whether the codes of each group must not be negative; empty: False for all of them."""

    @property
    def terms(self) -> dict[str, Any]:
        """What `mcsc.Problem` is told of the penalty besides lam."""
        given = {"mu": self.mu, "nonnegative": self.nonnegative}
        return {name: value for name, value in given.items() if any(value)}

    @cached_property
    def penalty(self) -> Penalty:
        """The penalty of one place; lam is not that of the problem."""
        maps = {g.name: len(g.bank) for g in self.dictionary.groups}
        given = {"mu": 0.0, "nonnegative": False} | self.terms
        return Penalty.make(1.0, given["mu"], given["nonnegative"], maps, (1, 1, 1), np)

    def words(self) -> dict[str, Any]:
        """Return it in JSON's types, but for the filters."""
        return {
            "shape": list(self.cover.shape),
            "dtype": self.dtype,
            "lam": self.lam.tolist(),
            "mu": list(self.mu),
            "nonnegative": list(self.nonnegative),
            "boundary": self.cover.boundary,
            "blocks": [list(self.cover.rows), list(self.cover.columns)],
        }


class CodeStore:
    """A folder of codes.

    Parameters
    ----------
    folder : path
        Exists, and is the same for all workers.
    temporary : bool
        The folder is removed when this process has no more use for the store.
    """

    def __init__(self, folder: str | Path, *, temporary: bool = False) -> None:
        self.folder = Path(folder)
        if temporary:
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def __reduce__(self) -> tuple[Any, ...]:
        """Go to workers without the right to remove the folder."""
        return CodeStore, (self.folder,)

    # ------------------------------------------------------------------ the problem
    def begin(self, record: ProblemRecord) -> list[Layer]:
        """Note what is solved here, or find what was done of it: the layers, oldest first.

        Raises
        ------
        ValueError
            The folder holds other things than codes of this problem; nothing in it is changed.
        """
        if not self._problem.is_file():
            if any(self.folder.iterdir()):
                raise InvalidValueError(
                    f"{self.folder} is not empty, and holds no codes of blocks; want a new folder"
                )
            record.dictionary.save(self._dictionary)
            write_json(self._problem, {"format": _FORMAT, **record.words()})
            return []
        found, wanted = _read_json(self._problem), record.words()
        different = [k for k, v in wanted.items() if found.get(k) != v]
        if not _same_filters(Dictionary.load(self._dictionary), record.dictionary):
            different.append("dictionary")
        if different:
            raise InvalidValueError(
                f"{self.folder} holds codes of another problem: {', '.join(different)} differ; "
                "remove it or name another folder"
            )
        if not self._layers.is_file():
            return []
        return [_layer(entry) for entry in _read_json(self._layers)["layers"]]

    def keep(self, layers: Iterable[Layer]) -> None:
        """Note the layers, oldest first, and remove the files of other ones."""
        kept = list(layers)
        entries = [[r.start, r.stop, c.start, c.stop, name] for (r, c), name in kept]
        write_json(self._layers, {"format": _FORMAT, "layers": entries})
        wanted = {layer.name for layer in kept}
        for path in self.folder.glob("codes-*.npz"):
            if path.name not in wanted:
                path.unlink(missing_ok=True)

    @property
    def _problem(self) -> Path:
        return self.folder / "problem.json"

    @property
    def _dictionary(self) -> Path:
        return self.folder / "dictionary.npz"

    @property
    def _layers(self) -> Path:
        return self.folder / "layers.json"

    def problem(self) -> ProblemRecord:
        """Return what the codes are for; read once a process."""
        return _record(str(self._problem), str(self._dictionary), _stamp(self._problem))

    # ------------------------------------------------------------------ codes
    def write(self, name: str, places: Places) -> int:
        """Write the codes of a region; returns the bytes of the file."""
        path = self.folder / name
        write_npz(path, _KIND, _FORMAT, places._asdict())
        return path.stat().st_size

    def read(self, name: str) -> Places:
        """Read what `write` wrote, or remember it: a name is never written twice."""

        def read() -> Places:
            return Places(**read_npz(self.folder / name, _KIND, _FORMAT)[1])

        stamp = _stamp(self._problem)
        with _recent_lock:
            return _recent.get((stamp, name), read, lambda places: sum(a.nbytes for a in places))

    def within(self, region: Region, layers: Sequence[Layer], cover: Cover) -> Places:
        """Return the codes in a region, of layers that lie there, oldest first.

        On a periodic image a code can be in the region more than once, one period apart.
        """
        dtype = np.dtype(self.problem().dtype)
        nothing = np.zeros(0, dtype=np.int32)
        found = [Places(nothing, nothing, nothing, np.zeros(0, dtype=dtype))]
        placed = [
            (moved(layer.region, shift), shift, layer.name)
            for layer in layers
            for shift in cover.shifts()
        ]
        for number, (there, (down, right), name) in enumerate(placed):
            if not name or not overlap(there, region):
                continue
            places = self.read(name)
            places = Places(places.map, places.row + down, places.column + right, places.value)
            keep = places.inside(region)
            for later, _, _ in placed[number + 1 :]:
                if overlap(later, there):
                    keep &= ~places.inside(later)
            found.append(places.chosen(keep))
        return Places(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _layer(entry: Sequence[Any]) -> Layer:
    top, bottom, left, right, name = entry
    return Layer((slice(top, bottom), slice(left, right)), name)


def _same_filters(one: Dictionary, other: Dictionary) -> bool:
    mine, theirs = one.groups, other.groups
    return [g.name for g in mine] == [g.name for g in theirs] and all(
        np.array_equal(a.bank, b.bank) for a, b in zip(mine, theirs, strict=True)
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise InvalidValueError(f"{path} is damaged") from error
    if content.get("format") != _FORMAT:
        raise InvalidValueError(f"{path} is of another version of mcsc; remove its folder")
    return content


def _stamp(path: Path) -> tuple[str, int, int]:
    """What tells a file from another one of the same name."""
    stat = path.stat()
    return str(path), stat.st_mtime_ns, stat.st_ino


@lru_cache(maxsize=4)
def _record(path: str, filters: str, stamp: tuple[str, int, int]) -> ProblemRecord:
    """Read what is solved in a folder."""
    words = _read_json(Path(path))
    dictionary = Dictionary.load(filters)
    rows, columns = (tuple(edges) for edges in words["blocks"])
    boundary: Boundary = words["boundary"]
    cover = Cover(rows, columns, dictionary.filter_size, boundary)
    return ProblemRecord(
        dictionary, np.array(words["lam"]), cover, words["dtype"],
        tuple(words["mu"]), tuple(words["nonnegative"]),
    )  # fmt: skip
