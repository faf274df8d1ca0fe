"""Figure of a decomposition: the signals and their parts side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InvalidValueError
from ..tasks.decomposition import SignalParts
from .drawing import (
    ERROR,
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
    shortened,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["decomposition_figure"]


def decomposition_figure(signals: Sequence[SignalParts]) -> Figure:
    """Draw the signals, a row each: low-pass, common and unique part, reconstruction and error.

    Parameters
    ----------
    signals : sequence of SignalParts
        On one grid. Parts that no signal has get no column.

    Returns
    -------
    matplotlib.figure.Figure
        With a canvas of its own; pyplot does not know it, so nothing has to be closed.

    Raises
    ------
    ValueError
        There are no signals, or they lie on different grids.

    Notes
    -----
    Common and unique part of a signal share one symmetric scale, at the 99.8 % quantile of their
    magnitude. Signals of three channels are drawn in colour; of others, and of the parts of
    all, the mean of the channels is drawn, and the root mean square of the error over them.
    """
    if not signals:
        raise InvalidValueError("signals is empty: nothing to draw")
    grids = {s.image.shape[-2:] for s in signals}
    if len(grids) > 1:
        raise InvalidValueError(f"signals lie on different grids: {sorted(grids)}")
    height, width = grids.pop()
    names = ["signal"]
    names += ["low"] if any(s.low is not None for s in signals) else []
    names += ["common"] if any(s.common is not None for s in signals) else []
    names += ["unique"] if any(s.unique is not None for s in signals) else []
    names += ["reconstruction", "error"]

    columns = Columns(len(names), (height, width))
    row = TITLE + columns.height + STRIP
    sheet = Sheet(WIDTH, len(signals) * row)
    for r, signal in enumerate(signals):
        top = r * row + TITLE
        place = {name: columns.box(c, top) for c, name in enumerate(names)}
        under = top + columns.height + UNDER
        known = signal.known_pixels
        limits = grey_range(signal.image[signal.known])
        sheet.picture(signal.image, place["signal"], shortened(signal.label), limits, known)
        sheet.unknown_note(known, columns.left(0), under, "left")
        if signal.low is not None:
            sheet.picture(signal.low, place["low"], "low-pass", limits)

        parts = {"common": signal.common, "unique": signal.unique}
        planes = {name: part.mean(axis=0) for name, part in parts.items() if part is not None}
        limit = largest_magnitude(*planes.values())
        drawn = [
            sheet.plane(plane, place[name], f"{name} part", SIGNED, (-limit, limit))
            for name, plane in planes.items()
        ]
        sheet.picture(signal.reconstruction, place["reconstruction"], "sum of parts", limits)
        error, words = signal.error, f"error, RMS {signal.rms:.2g}"
        plane = error[0] if len(error) == 1 else np.sqrt(np.square(error).mean(axis=0))
        limit = largest_magnitude(plane[known])
        colours, low = (ERROR, -limit) if len(error) == 1 else (MAGNITUDE, 0.0)
        wrong = sheet.plane(plane, place["error"], words, colours, (low, limit), known)

        if drawn:
            first = place[next(iter(planes))][0]
            sheet.colour_bar(drawn[-1], first, under, columns.across(len(planes)))
        sheet.colour_bar(wrong, place["error"][0], under, columns.width)
    return sheet.figure
