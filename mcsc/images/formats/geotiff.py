"""Where an image lies on a map, as GeoTIFF tells: read, compared, carried to what is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import tifffile

__all__ = ["MapPlace", "place_of_page"]

_SCALE, _TIEPOINTS, _MATRIX, _KEYS, _NUMBERS, _TEXT = 33550, 33922, 34264, 34735, 34736, 34737
_RASTER_TYPE, _POINTS = 1025, 2  # its tie points are centres of pixels, not corners
_KIND, _GEOGRAPHIC, _PROJECTED = 1024, 2048, 3072  # of the coordinates
# Of a pixel of the finer image: half of one along both axes is usual beside a panchromatic band.
_BESIDE = 0.72


@dataclass(frozen=True)
class MapPlace:
    """Where the pixels of an image lie on a map, and in which coordinates."""

    matrix: tuple[float, ...]
    """(a, b, c, d, e, f): the corner of column j and row i is at (a j + b i + c, d j + e i + f)."""
    size: tuple[int, int]
    """Rows and columns."""
    points: bool
    """The file calls the centre of its first pixel (0, 0), not its corner."""
    keys: tuple[int, ...] = ()
    """GeoKeyDirectory, which says what the coordinates are."""
    numbers: tuple[float, ...] = ()
    """GeoDoubleParams, for the keys."""
    text: str = ""
    """GeoAsciiParams, for the keys."""

    def enlarged(self, rows: float, columns: float) -> MapPlace:
        """Return the place of the image with more pixels, which shows as much as before."""
        a, b, c, d, e, f = self.matrix
        matrix = (a / columns, b / rows, c, d / columns, e / rows, f)
        size = round(self.size[0] * rows), round(self.size[1] * columns)
        return replace(self, matrix=matrix, size=size)

    def beside(self, other: MapPlace) -> str:
        """Say how this image lies beside another one; empty if it lies on it.

        Images of other pixels lie on each other if their corners do.
        """
        if self._differs(other):
            return "has other coordinates on the map than"
        corners, others = self._corners(), other._corners()
        apart = np.hypot(*(corners - others).T).max()
        finest = min(
            np.hypot(*place._linear()).min() for place in (self, other)
        )  # a column and a row of the matrix are the sides of a pixel
        if apart <= _BESIDE * finest:
            return ""
        return f"lies on the map up to {apart / finest:.6g} pixels beside"

    def tags(self) -> list[tuple[int, str, int, Any, bool]]:
        """Tags of a page at this place, as tifffile takes them."""
        a, b, c, d, e, f = self.matrix
        if self.points:
            c, f = c + (a + b) / 2, f + (d + e) / 2
        found: list[tuple[int, str, int, Any, bool]] = []
        if b == d == 0 and a > 0 > e:
            found += [(_SCALE, "d", 3, (a, -e, 0.0), True)]
            found += [(_TIEPOINTS, "d", 6, (0.0, 0.0, 0.0, c, f, 0.0), True)]
        else:
            matrix = (a, b, 0.0, c, d, e, 0.0, f, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
            found += [(_MATRIX, "d", 16, matrix, True)]
        if self.keys:
            found += [(_KEYS, "H", len(self.keys), self.keys, True)]
        if self.numbers:
            found += [(_NUMBERS, "d", len(self.numbers), self.numbers, True)]
        if self.text:
            found += [(_TEXT, "s", 0, self.text.encode(errors="replace"), True)]
        return found

    def _differs(self, other: MapPlace) -> bool:
        """Whether both say what their coordinates are, and say different things."""

        def both(key: int) -> tuple[int, int]:
            return self._key(key), other._key(key)

        # A projected system has a geographic one of its own, which some programs write, too.
        keys = (_KIND, _PROJECTED if all(both(_PROJECTED)) else _GEOGRAPHIC)
        return any(all(found) and found[0] != found[1] for found in map(both, keys))

    def _key(self, key: int) -> int:
        return _short_key(self.keys, key)

    def _linear(self) -> np.ndarray:
        a, b, _, d, e, _ = self.matrix
        return np.array([[a, b], [d, e]])

    def _corners(self) -> np.ndarray:
        rows, columns = self.size
        ends = np.array([(0, 0), (0, rows), (columns, 0), (columns, rows)], np.float64)
        corners: np.ndarray = ends @ self._linear().T + (self.matrix[2], self.matrix[5])
        return corners


def place_of_page(page: tifffile.TiffPage) -> MapPlace | None:
    """Return where a page lies on a map; None if it does not say, or by points of control alone."""
    try:
        matrix = _matrix(page)
        if matrix is None or not np.isfinite(matrix).all():
            return None
        a, b, c, d, e, f = matrix
        if a * e == b * d:
            return None
        keys = tuple(int(n) for n in _values(page, _KEYS))
        numbers = tuple(float(n) for n in _values(page, _NUMBERS))
    except (TypeError, ValueError, OverflowError):  # of damaged tags; the picture is whole
        return None
    points = _short_key(keys, _RASTER_TYPE) == _POINTS
    if points:
        c, f = c - (a + b) / 2, f - (d + e) / 2
    text = page.tags.valueof(_TEXT)
    return MapPlace(
        (a, b, c, d, e, f), (page.imagelength, page.imagewidth), points, keys, numbers,
        text if isinstance(text, str) else "",
    )  # fmt: skip


def _matrix(page: tifffile.TiffPage) -> tuple[float, ...] | None:
    whole = [float(n) for n in _values(page, _MATRIX)]
    if len(whole) == 16:
        return (*whole[:2], whole[3], *whole[4:6], whole[7])
    scale = [float(n) for n in _values(page, _SCALE)]
    tie = [float(n) for n in _values(page, _TIEPOINTS)]
    if len(scale) < 2 or len(tie) < 6:
        return None
    across, down = scale[0], -scale[1]
    return (across, 0.0, tie[3] - across * tie[0], 0.0, down, tie[4] - down * tie[1])


def _values(page: tifffile.TiffPage, code: int) -> Sequence[Any]:
    found = page.tags.valueof(code)
    return () if found is None else found if isinstance(found, tuple) else (found,)


def _short_key(keys: Sequence[int], key: int) -> int:
    """The number that a directory of keys, four numbers each, has of one; 0 if it has none."""
    for start in range(4, len(keys) - 3, 4):
        number, place, _, value = keys[start : start + 4]
        if number == key and place == 0:
            return value
    return 0
