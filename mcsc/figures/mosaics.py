"""Figure of a dictionary: a mosaic of atoms for each code group."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValueError
from ..model.dictionary import Dictionary
from ..types import Floats
from .atom_groups import (
    PAPER,
    SEAM,
    AtomGroup,
    atom_groups,
    check_dictionary,
    group_caption,
)
from .drawing import WIDTH, Sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["dictionary_figure"]

# Pixels, between tiles and of the bar under a tile.
_SPACE = 10
_BAR = 4
_BAR_COLOUR = (0x00, 0x72, 0xB2)

# Inches.
_EDGE = 0.12
_CAPTION = 0.36
_BETWEEN = 0.3
_MOST_OF_AN_ATOM = 0.46
_LEAST_OF_AN_ATOM = 0.13


def dictionary_figure(
    dictionary: Dictionary, use: Sequence[float] | Floats | None = None
) -> Figure:
    """Draw the atoms, a mosaic for each code group.

    Parameters
    ----------
    dictionary : Dictionary
        Banks of three channels are drawn in colour, others by the mean of their channels.
    use : array (K,), optional
        How much each map is used, as `mcsc.Learned.use` counts: atoms are then drawn from the most
        used to the least, each over a bar of that length; unused ones are faded.

    Returns
    -------
    matplotlib.figure.Figure
        With a canvas of its own.

    Raises
    ------
    TypeError
        `dictionary` is something else.
    ValueError
        `use` is not one finite number of at least 0 for every map.

    Notes
    -----
    The filters that share a map are one tile, side by side: those of the signals, then the
    target's. Mid-grey is zero. Within a tile the signals' filters share one scale, so a filter
    that is weak in one signal is pale there; the target's filter has its own.
    """
    check_dictionary(dictionary)
    groups = atom_groups(dictionary, None if use is None else _check_use(use, dictionary.n_maps))
    # Unique groups are narrower: two in a row.
    whole = len(groups) if len(groups) == 1 else int(dictionary.common is not None)
    rows = [[g] for g in groups[:whole]]
    rows += [groups[i : i + 2] for i in range(whole, len(groups), 2)]

    mosaics: list[list[tuple[AtomGroup, NDArray[np.uint8], float]]] = []
    for row in rows:
        wide = _width(row)
        # Atoms of one row are of one size.
        side = min(_atom_side(group, wide) for group in row)
        mosaics.append([(group, *_mosaic(group, wide, side)) for group in row])
    heights = [max(image.shape[0] * scale for _, image, scale in row) for row in mosaics]
    total = sum(heights) + len(rows) * _CAPTION + (len(rows) - 1) * _BETWEEN * 0.5 + _EDGE
    sheet = Sheet(WIDTH, total)
    top = 0.0
    for drawn, height in zip(mosaics, heights, strict=True):
        for column, (group, image, scale) in enumerate(drawn):
            left = _EDGE + column * (_width(drawn) + _BETWEEN)
            group_caption(sheet, group, left, top + _CAPTION - 0.07)
            high, wide = image.shape[0] * scale, image.shape[1] * scale
            ax = sheet.axes((left, top + _CAPTION, wide, high))
            ax.imshow(image, interpolation="nearest", aspect="auto")
            ax.set_axis_off()
        top += _CAPTION + height + 0.5 * _BETWEEN
    return sheet.figure


def _width(row: Sequence[Any]) -> float:
    """Inches of each of the groups in a row."""
    return (WIDTH - 2 * _EDGE - (len(row) - 1) * _BETWEEN) / len(row)


def _tile_size(group: AtomGroup) -> tuple[int, int]:
    bar = _BAR + SEAM if group.use is not None else 0
    return group.side + bar, len(group.banks) * (group.side + SEAM) - SEAM


def _atom_side(group: AtomGroup, wide: float) -> float:
    """Inches of an atom so that the mosaic is a wide rectangle, neither crumbs nor boulders."""
    count = len(group.order)
    high, across = _tile_size(group)
    columns = max(math.ceil(math.sqrt(2.4 * count * (high + _SPACE) / (across + _SPACE))), 1)
    side = wide * group.side / (columns * (across + _SPACE) - _SPACE)
    return float(min(max(side, _LEAST_OF_AN_ATOM), _MOST_OF_AN_ATOM))


def _mosaic(group: AtomGroup, wide: float, side: float) -> tuple[NDArray[np.uint8], float]:
    """The tiles of a group as one image, and the inches of its pixels."""
    high, across = _tile_size(group)
    scale = side / group.side
    count = len(group.order)
    columns = min(max(int((wide / scale + _SPACE + 1e-6) // (across + _SPACE)), 1), count)
    scale = min(scale, wide / (columns * (across + _SPACE) - _SPACE))
    rows = math.ceil(count / columns)
    size = rows * (high + _SPACE) - _SPACE, columns * (across + _SPACE) - _SPACE
    image = np.full((*size, 3), PAPER, np.uint8)
    most = 0.0 if group.use is None else float(group.use.max())
    for place, k in enumerate(group.order):
        i, j = divmod(place, columns)
        tile = group.tile(int(k))
        if group.use is not None and group.use[k] == 0:
            tile = np.asarray(255 - (255 - tile.astype(np.int32)) // 3, np.uint8)
        y, x = i * (high + _SPACE), j * (across + _SPACE)
        image[y : y + tile.shape[0], x : x + across] = tile
        if group.use is not None and group.use[k] > 0:
            # Less than a pixel would look unused.
            length = max(round(across * group.use[k] / most), 2)
            image[y + high - _BAR : y + high, x : x + length] = _BAR_COLOUR
    return image, scale


def _check_use(use: Any, maps: int) -> NDArray[np.float64]:
    try:
        values = np.asarray(use, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidValueError(f"use must hold one number for each of the {maps} maps") from error
    if values.shape != (maps,):
        raise InvalidValueError(
            f"use has shape {values.shape}; want ({maps},), one number for each map: common, "
            "then unique"
        )
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise InvalidValueError("use holds negative numbers, NaN or Inf")
    return values
