"""Figure of the convergence of solvers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InvalidValueError
from .drawing import Sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..solvers.result import History

__all__ = ["convergence_figure"]


def convergence_figure(
    histories: Mapping[str, History], tol: float | None = None, *, log_seconds: bool = False
) -> Figure:
    """Draw the certified relative gap, on a logarithmic scale, against seconds.

    Parameters
    ----------
    histories : mapping of str to History
        One curve each; the key is its name. A gap of zero is drawn as a triangle below the others.
    tol : float, optional
        Drawn as a line.
    log_seconds : bool
        Seconds on a logarithmic scale too, for methods whose times differ by far.

    Returns
    -------
    matplotlib.figure.Figure
        With a canvas of its own.

    Raises
    ------
    ValueError
        There are no histories.
    """
    if not histories:
        raise InvalidValueError("histories is empty: nothing to draw")
    sheet = Sheet(6.0, 3.6)
    ax = sheet.axes((0.75, 0.2, 5.1, 2.9))
    colours = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
    positive = [g for h in histories.values() for g in (*h.gap, tol or 1.0) if g > 0]
    floor = min(positive) / 10
    for i, (name, history) in enumerate(histories.items()):
        seconds = np.asarray(history.seconds, dtype=np.float64)
        gap = np.asarray(history.gap, dtype=np.float64)
        colour = colours[i % len(colours)]
        ax.plot(
            seconds,
            np.where(gap > 0, gap, floor),
            label=name,
            color=colour,
            linestyle=("-", "--", ":")[i // len(colours) % 3],
            linewidth=1.6,
            marker="o" if len(gap) <= 40 else None,
            markersize=3.5,
        )
        zero = gap <= 0
        if zero.any():
            ax.plot(seconds[zero], np.full(zero.sum(), floor), "v", color=colour, markersize=8)
    ax.set_yscale("log")
    if log_seconds:
        ax.set_xscale("log")
    else:
        ax.set_xlim(left=0)
    if tol is not None:
        ax.axhline(tol, color="0.35", linewidth=1, linestyle=(0, (4, 3)), label=f"tol = {tol:g}")
    ax.set_xlabel("seconds", fontsize=10)
    ax.set_ylabel("certified relative gap", fontsize=10)
    ax.tick_params(labelsize=9)
    ax.grid(which="major", color="0.88", linewidth=0.7)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.legend(fontsize=9, frameon=False, loc="best")
    return sheet.figure
