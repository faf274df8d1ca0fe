"""Figure of single atoms and of what each of them explains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend import to_numpy
from ..checks import check_whole
from ..errors import InvalidValueError
from ..model.codes import Codes, Coordinates
from ..model.dictionary import Dictionary
from ..model.reconstruction import signal_parts
from ..types import Boundary, Floats
from .atom_groups import (
    AtomGroup,
    atom_groups,
    check_codes,
    coordinates,
    group_caption,
    group_use,
)
from .drawing import SIGNED, TICK_SIZE, TITLE_SIZE, WIDTH, Sheet, largest_magnitude

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["atom_figure"]

# Inches.
_EDGE = 0.12
_CAPTION = 0.36
_LABEL = 0.34
"""Of the banks' names, on the left."""
_GAP = 0.06
_SHARE = 0.2
"""Of the line that says how much an atom is used."""
_STRIP = 0.4
"""Of the scale under a group."""
_MOST_OF_A_TILE = 0.5


def atom_figure(
    codes: Codes,
    dictionary: Dictionary,
    top: int = 8,
    *,
    sample: int = 0,
    boundary: Boundary = "zero",
) -> Figure:
    """Draw the most used atoms of each code group over the images that they explain.

    Parameters
    ----------
    codes : Codes
    dictionary : Dictionary
    top : int
        Atoms of each group, from 1 to 16; groups that use fewer show fewer.
    sample : int
        Of the batch.
    boundary : {"zero", "periodic"}
        As in `mcsc.solve`.

    Returns
    -------
    matplotlib.figure.Figure
        With a canvas of its own. A column is an atom: its filters, its share of the group's sum of
        magnitudes, and its map convolved with each filter (of the mean of the channels).

    Raises
    ------
    TypeError, ValueError
        Codes and dictionary are something else or do not fit, an argument is out of range, or the
        codes of that sample are all zero.
    """
    check_codes(codes, dictionary)
    top = check_whole("top", top, most=16)
    count, height, width = codes.grid
    sample = check_whole("sample", sample, least=0, most=count - 1)
    parts = coordinates(codes, sample)
    used = [g for g in atom_groups(dictionary, group_use(parts, dictionary)) if _any(g)]
    if not used:
        raise InvalidValueError(
            f"the codes of sample {sample} are all zero: no atom explains anything"
        )

    cell = (WIDTH - 2 * _EDGE - _LABEL - (top - 1) * _GAP) / top
    tall = cell * height / width
    highest = min(_MOST_OF_A_TILE, 0.8 * cell)
    head = _CAPTION + highest + _SHARE
    sheet = Sheet(WIDTH, sum(head + g.analysis * (tall + _GAP) + _STRIP for g in used))
    centred: Any = {"fontsize": TICK_SIZE, "ha": "center", "va": "bottom"}
    down = 0.0
    for group in used:
        assert group.use is not None
        chosen = [int(k) for k in group.order[:top] if group.use[k] > 0]
        group_caption(sheet, group, _EDGE, down + _CAPTION - 0.09)
        images = [_explained(parts[group.name], group, k, codes.grid, boundary) for k in chosen]
        limit = largest_magnitude(*(image for column in images for image in column))
        for column, (k, explained) in enumerate(zip(chosen, images, strict=True)):
            left = _EDGE + _LABEL + column * (cell + _GAP)
            tile = group.tile(k)
            high = min(highest, cell * tile.shape[0] / tile.shape[1])
            wide = high * tile.shape[1] / tile.shape[0]
            ax = sheet.axes((left + 0.5 * (cell - wide), down + _CAPTION, wide, high))
            ax.imshow(tile, interpolation="nearest", aspect="auto")
            ax.set_axis_off()
            share = 100 * group.use[k] / group.use.sum()
            sheet.text(f"{share:.2g} %", left + 0.5 * cell, down + head - 0.04, **centred)
            for line, part in enumerate(explained):
                box = left, down + head + line * (tall + _GAP), cell, tall
                drawn = sheet.plane(part, box, "", SIGNED, (-limit, limit))
        for line, name in enumerate(group.bank_names[: group.analysis]):
            middle = down + head + line * (tall + _GAP) + 0.5 * tall
            style: Any = {"fontsize": TITLE_SIZE, "ha": "center", "va": "center"}
            style["rotation"] = 0 if len(name) < 4 else 90
            sheet.text(name, _EDGE + 0.5 * _LABEL - 0.04, middle, **style)
        down += head + group.analysis * (tall + _GAP)
        sheet.colour_bar(drawn, _EDGE + _LABEL, down, 2 * cell + _GAP if top > 1 else cell)
        down += _STRIP
    return sheet.figure


def _any(group: AtomGroup) -> bool:
    return group.use is not None and bool(group.use.any())


def _explained(
    parts: Coordinates, group: AtomGroup, k: int, grid: tuple[int, int, int], boundary: Boundary
) -> list[Floats]:
    """Map k of a group convolved with its filter in each signal, mean of the channels."""
    own = parts.map == k
    one = np.zeros((1, 1, *grid[1:]), parts.value.dtype)
    one[0, 0, parts.row[own], parts.column[own]] = parts.value[own]
    alone = Dictionary(common=tuple(b[k : k + 1] for b in group.banks[: group.analysis]))
    codes = Codes.from_dense(one, [None] * group.analysis)
    images = signal_parts(codes, alone, boundary=boundary)
    return [to_numpy(part.image)[0].mean(axis=0) for part in images]
