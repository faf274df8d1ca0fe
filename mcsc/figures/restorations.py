"""A figure of a restoration: before, after, truth, errors and the split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..types import Floats
from .panels import (
    _BAR,
    _GAP,
    _MAGNITUDE,
    _MARGIN,
    _SIGNED,
    _STRIP,
    _TITLE,
    _WIDTH,
    _colour_bar,
    _figure,
    _limit,
    _map,
    _masked,
    _range,
    _title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["restoration_figure"]


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
        False where the truth is unknown; nothing is drawn there.

    Returns
    -------
    matplotlib.figure.Figure
        With a canvas of its own.
    """
    height, width = truth.shape[-2:]
    shown = np.ones((height, width), bool) if known is None else np.asarray(known, bool)
    cell = (_WIDTH - 2 * _MARGIN - 3 * _GAP) / 4
    tall = cell * height / width
    total = 2 * (_TITLE + tall) + _STRIP
    figure = _figure(_WIDTH, total)

    def place(column: float, top: float, wide: float, high: float) -> Axes:
        left = _MARGIN + column * (cell + _GAP)
        return figure.add_axes(
            (left / _WIDTH, 1 - (top + high) / total, wide / _WIDTH, high / total)
        )

    low, high = _range(truth[..., shown])
    for column, (title, image) in enumerate((before, after, guide, ("truth", truth))):
        ax = place(column, _TITLE, cell, tall)
        if len(image) == 3:
            ax.imshow(np.clip(image, 0, 1).transpose(1, 2, 0))
        else:
            mask = shown if title == "truth" else np.ones_like(shown)
            limits = _range(image) if column == 2 else (low, high)
            ax.imshow(
                _masked(image.mean(0), mask), cmap=_map("gray"), vmin=limits[0], vmax=limits[1]
            )
        _title(ax, title)
        ax.set_axis_off()
    second = 2 * _TITLE + tall
    errors = [np.sqrt(np.square(i - truth).mean(0)) for _, i in (before, after)]
    limit = _limit(errors[0][shown])
    drawn = None
    for column, (error, (title, _)) in enumerate(zip(errors, (before, after), strict=True)):
        ax = place(column, second, cell, tall)
        drawn = ax.imshow(_masked(error, shown), cmap=_map(_MAGNITUDE), vmin=0, vmax=limit)
        rms = float(np.sqrt(np.mean(error[shown] ** 2)))
        _title(ax, f"error of {title.split(',')[0]}, RMS {255 * rms:.2f} of 255")
        ax.set_axis_off()
    under = second + tall + 0.06
    _colour_bar(figure, drawn, place(0, under, 2 * cell + _GAP, _BAR))
    planes = [common.mean(0), unique.mean(0)]
    limit = _limit(np.concatenate([p.ravel() for p in planes]))
    for column, (plane, title) in enumerate(
        zip(planes, ("common part", "unique part of x"), strict=True), start=2
    ):
        ax = place(column, second, cell, tall)
        drawn = ax.imshow(plane, cmap=_map(_SIGNED), vmin=-limit, vmax=limit)
        _title(ax, title)
        ax.set_axis_off()
    _colour_bar(figure, drawn, place(2, under, 2 * cell + _GAP, _BAR))
    return figure
