"""Figure of a restoration: before, after, truth, errors and the split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..types import Floats
from .drawing import (
    MAGNITUDE,
    SIGNED,
    STRIP,
    TITLE,
    UNDER,
    WIDTH,
    Columns,
    Sheet,
    grey_range,
    largest_magnitude,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["restoration_figure"]

_BETWEEN_BARS = 1.5
"""Inches between two scales, for what the colour of unknown pixels means."""


def restoration_figure(
    before: tuple[str, Floats],
    after: tuple[str, Floats],
    guide: tuple[str, Floats],
    common: Floats,
    unique: Floats,
    truth: Floats,
    known: NDArray[np.bool_] | None = None,
) -> Figure:
    """Draw what a restoration began with, what it made, and what it got wrong.

    First row: the input, the restored image, the guide, the truth. Second row, below them: the
    errors of input and restored image on one scale, common and unique part on another.

    Parameters
    ----------
    before, after, guide : (str, array (C, H, W))
        Title and image.
    common, unique : array (C, H, W)
        Points 1 and 2.
    truth : array (C, H, W)
        The true image.
    known : array of bool (H, W), optional
        False where the truth is unknown: these pixels are coloured, and count in no error.

    Returns
    -------
    matplotlib.figure.Figure
        With a canvas of its own. Errors are in grey levels of 255.
    """
    height, width = truth.shape[-2:]
    shown = np.ones((height, width), bool) if known is None else np.asarray(known, bool)
    columns = Columns(4, (height, width))
    second = 2 * TITLE + columns.height
    under = second + columns.height + UNDER
    sheet = Sheet(WIDTH, second + columns.height + STRIP)

    limits = grey_range(truth[..., shown])
    sheet.picture(before[1], columns.box(0, TITLE), before[0], limits)
    sheet.picture(after[1], columns.box(1, TITLE), after[0], limits)
    scale = (0.0, 1.0) if len(guide[1]) == 3 else grey_range(guide[1])
    sheet.picture(guide[1], columns.box(2, TITLE), guide[0], scale)
    sheet.picture(truth, columns.box(3, TITLE), "truth", limits, shown)

    errors = [255 * np.sqrt(np.square(i - truth).mean(axis=0)) for _, i in (before, after)]
    limit = largest_magnitude(errors[0][shown])
    for column, (error, (name, _)) in enumerate(zip(errors, (before, after), strict=True)):
        rms = np.sqrt(np.mean(error[shown] ** 2))
        words = f"error of {name.split(',')[0]}, RMS {rms:.2f} of 255"
        box = columns.box(column, second)
        drawn = sheet.plane(error, box, words, MAGNITUDE, (0.0, limit), shown)
    wide = columns.across(2) - 0.5 * _BETWEEN_BARS
    sheet.colour_bar(drawn, columns.left(0), under, wide)

    planes = {"common part": common.mean(axis=0), "unique part of x": unique.mean(axis=0)}
    limit = largest_magnitude(*planes.values())
    for column, (name, plane) in enumerate(planes.items(), start=2):
        drawn = sheet.plane(plane, columns.box(column, second), name, SIGNED, (-limit, limit))
    sheet.colour_bar(drawn, columns.left(2) + 0.5 * _BETWEEN_BARS, under, wide)
    sheet.unknown_note(shown, 0.5 * WIDTH, under, "center")
    return sheet.figure
