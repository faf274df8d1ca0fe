"""What figures are drawn with: sheets measured in inches, colours and scales.

No state of pyplot is touched: a figure has a canvas of its own, and nothing has to be closed.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..files import atomic_write, printable
from ..types import Floats
from ..words import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

__all__ = [
    "ERROR",
    "GAP",
    "MAGNITUDE",
    "SIGNED",
    "STRIP",
    "TICK_SIZE",
    "TITLE",
    "TITLE_SIZE",
    "UNDER",
    "UNKNOWN",
    "WIDTH",
    "Box",
    "Columns",
    "Sheet",
    "colour_map",
    "grey_range",
    "largest_magnitude",
    "save_figure",
    "shortened",
]

# Names of colour maps.
SIGNED = "RdBu_r"
ERROR = "PuOr_r"
MAGNITUDE = "Purples"
UNKNOWN = "#2a9d8f"
"""Colour of unknown pixels; in none of the maps above."""

# Inches. The width is what a page or a README gives.
WIDTH = 10.0
GAP = 0.07
"""Gap between columns."""
TITLE = 0.21
"""Height of a line of text above pictures."""
STRIP = 0.36
"""Height of a strip with a colour bar under pictures. The bar begins ..."""
UNDER = 0.06
"""... this far below them, ..."""
_BAR = 0.075
"""... and this is its height."""
_MARGIN = 0.08

Box: TypeAlias = tuple[float, float, float, float]
"""Inches from the left, from the top, of width, of height."""

# Points.
TITLE_SIZE = 9.0
TICK_SIZE = 8.0
_LONGEST_TITLE = 22


class Sheet:
    """A figure on which things lie so many inches from the left and from the top."""

    def __init__(self, width: float, height: float) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.width, self.height = width, height
        self.figure: Figure = Figure(figsize=(width, height), facecolor="white")
        FigureCanvasAgg(self.figure)

    def axes(self, box: Box) -> Axes:
        """Axes that cover a box."""
        left, top, width, height = box
        return self.figure.add_axes(
            (
                left / self.width,
                1 - (top + height) / self.height,
                width / self.width,
                height / self.height,
            )
        )

    def picture(
        self,
        image: Floats,
        box: Box,
        title: str,
        limits: tuple[float, float] = (0.0, 1.0),
        known: NDArray[np.bool_] | None = None,
    ) -> None:
        """Draw an image (C, H, W) with a title: three channels in colour, others by their mean.

        `limits` are the values of black and white; pixels that are not `known` (H, W) are coloured.
        """
        if len(image) != 3:
            self.plane(image.mean(axis=0), box, title, "gray", limits, known)
            return
        from matplotlib.colors import to_rgb

        low, high = limits
        colours = np.clip((image - low) / (high - low), 0, 1).transpose(1, 2, 0)
        if known is not None:
            colours = np.where(known[..., None], colours, to_rgb(UNKNOWN))
        self._titled(box, title).imshow(colours)

    def plane(
        self,
        plane: Floats,
        box: Box,
        title: str,
        colours: str,
        limits: tuple[float, float],
        known: NDArray[np.bool_] | None = None,
    ) -> Any:
        """Draw a plane (H, W) in a colour map, and return what matplotlib drew."""
        shown: Any = plane if known is None else np.ma.masked_array(plane, mask=~known)
        return self._titled(box, title).imshow(
            shown, cmap=colour_map(colours), vmin=limits[0], vmax=limits[1]
        )

    def _titled(self, box: Box, title: str) -> Axes:
        ax = self.axes(box)
        ax.set_axis_off()
        if title:
            ax.set_title(_drawable(title), fontsize=TITLE_SIZE, pad=3, parse_math=False)
        return ax

    def text(self, text: str, left: float, top: float, **style: Any) -> Text:
        """Write text at a place."""
        at = left / self.width, 1 - top / self.height
        return self.figure.text(*at, _drawable(text), parse_math=False, **style)

    def unknown_note(self, known: NDArray[np.bool_], left: float, top: float, at: str) -> None:
        """Say what the colour of unknown pixels means, and how many there are, if there are any.

        `at` is the part of the text that lies at `left`: "left" or "center".
        """
        if not known.all():
            words = f"■ unknown: {percent(1 - known.mean())}"
            self.text(words, left, top, color=UNKNOWN, fontsize=TICK_SIZE, va="top", ha=at)

    def colour_bar(self, drawn: Any, left: float, top: float, width: float) -> None:
        """Draw the scale of a picture, with its ends and, if there is one, its zero."""
        low, high = drawn.get_clim()
        ticks = [low, 0.0, high] if low < 0 else [low, high]
        ax = self.axes((left, top, width, _BAR))
        bar = self.figure.colorbar(drawn, cax=ax, orientation="horizontal", ticks=ticks)
        bar.outline.set_linewidth(0.4)
        ax.set_xticks(ticks, [f"{t:.2g}".replace("-", "−") for t in ticks], fontsize=TICK_SIZE)
        ax.tick_params(length=2, width=0.5, pad=1.5)
        # Centred, the labels at the ends would run into those of the next bar.
        labels = ax.get_xticklabels()
        labels[0].set_horizontalalignment("left")
        labels[-1].set_horizontalalignment("right")


class Columns:
    """A number of columns of equal pictures on a sheet of `WIDTH`."""

    def __init__(self, count: int, shape: tuple[int, int]) -> None:
        self.width = (WIDTH - 2 * _MARGIN - (count - 1) * GAP) / count
        self.height = self.width * shape[0] / shape[1]

    def left(self, column: int) -> float:
        """Where a column begins."""
        return _MARGIN + column * (self.width + GAP)

    def box(self, column: int, top: float) -> Box:
        """A picture in a column."""
        return self.left(column), top, self.width, self.height

    def across(self, count: int) -> float:
        """Width of so many neighbours."""
        return count * self.width + (count - 1) * GAP


def shortened(text: str) -> str:
    """A text with its middle left out, if it is too long for the title of a narrow picture."""
    if len(text) <= _LONGEST_TITLE:
        return text
    return text[: _LONGEST_TITLE - 9] + "…" + text[-8:]


def colour_map(name: str) -> Any:
    """A colour map of matplotlib in which masked pixels are `UNKNOWN`."""
    import matplotlib

    return matplotlib.colormaps[name].with_extremes(bad=UNKNOWN)


def grey_range(values: Floats) -> tuple[float, float]:
    """Limits of a grey scale: the quantiles of 0.1 and 99.9 %."""
    if values.size == 0:
        return 0.0, 1.0
    low, high = (float(q) for q in np.quantile(values, (0.001, 0.999)))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def largest_magnitude(*values: Floats) -> float:
    """Where a scale around or from zero ends: the 99.8 % quantile of all magnitudes."""
    flat = np.concatenate([np.zeros(0), *(np.abs(v).ravel() for v in values)])
    if flat.size == 0:
        return 1.0
    limit = float(np.quantile(flat, 0.998))
    return limit or float(flat.max()) or 1.0


def save_figure(figure: Figure, path: str | Path, dpi: int = 150) -> None:
    """Write a figure as PNG, whole or not at all.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        As the functions of this room make it.
    path : path
        An existing file is replaced.
    dpi : int
        Pixels of an inch.
    """
    with atomic_write(path) as file, warnings.catch_warnings():
        # Names of files in scripts that the font does not have: boxes are drawn, enough is said.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(file, format="png", dpi=dpi)


def _drawable(text: str) -> str:
    """Text without the bytes of file names that are none."""
    return printable(text).replace("\n", " ")
