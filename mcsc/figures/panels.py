"""Figures of a decomposition and of its convergence; no state of pyplot is touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValueError
from ..files import atomic_write
from ..types import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..solvers.result import History

__all__ = ["SignalParts", "convergence_figure", "decomposition_figure", "save_figure"]

_UNKNOWN = "#2a9d8f"  # in none of the maps below
_SIGNED = "RdBu_r"
_ERROR = "PuOr_r"
_MAGNITUDE = "Purples"

# Inches and points; the width is what a page or a README gives.
_WIDTH = 10.0
_MARGIN = 0.08
_GAP = 0.07
_TITLE = 0.21
_STRIP = 0.36
_BAR = 0.075
_TITLE_SIZE = 9.0
_TICK_SIZE = 8.0
_LONGEST_LABEL = 22


@dataclass(frozen=True, eq=False)
class SignalParts:
    """One signal and what it was taken apart into, all (C, H, W)."""

    label: str
    """Title, for example ``"x, disparity"``."""
    image: Floats
    """The signal; whatever it holds where `mask` is 0 is not looked at."""
    common: Floats | None
    """Common part ``dc * c``."""
    unique: Floats | None
    """Unique part ``du * u``."""
    low: Floats | None = None
    """Low-pass part, if the signal was split."""
    mask: NDArray[Any] | None = None
    """Weights that broadcast to the signal, 0 where it is unknown."""

    @property
    def reconstruction(self) -> Floats:
        """Sum of the parts."""
        parts = [p for p in (self.low, self.common, self.unique) if p is not None]
        total: Floats = np.sum(parts, axis=0)
        return total

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where the signal is known, (C, H, W)."""
        if self.mask is None:
            return np.ones(self.image.shape, dtype=bool)
        return np.broadcast_to(np.asarray(self.mask) > 0, self.image.shape)

    @property
    def known_pixels(self) -> NDArray[np.bool_]:
        """Where all channels are known, (H, W)."""
        known: NDArray[np.bool_] = np.all(self.known, axis=0)
        return known

    @property
    def error(self) -> Floats:
        """Signal minus reconstruction, zero where the signal is unknown."""
        image = np.where(self.known, self.image, 0)
        error: Floats = np.where(self.known, image - self.reconstruction, 0)
        return error

    @property
    def rms(self) -> float:
        """Root mean square of the error over the known samples."""
        squares = np.square(self.error[self.known], dtype=np.float64)
        return float(np.sqrt(squares.mean())) if squares.size else 0.0


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

    cell = (_WIDTH - 2 * _MARGIN - (len(names) - 1) * _GAP) / len(names)
    tall = cell * height / width
    row = _TITLE + tall + _STRIP
    figure = _figure(_WIDTH, len(signals) * row)
    total = len(signals) * row

    def place(column: float, top: float, wide: float, high: float) -> Axes:
        left = _MARGIN + column * (cell + _GAP)
        box = (left / _WIDTH, 1 - (top + high) / total, wide / _WIDTH, high / total)
        return figure.add_axes(box)

    for r, signal in enumerate(signals):
        top = r * row + _TITLE
        under = top + tall + 0.06
        axes = {name: place(c, top, cell, tall) for c, name in enumerate(names)}
        _draw_images(axes, signal, tall)
        coded = [name for name in ("common", "unique") if getattr(signal, name) is not None]
        if coded:
            drawn = _draw_parts(axes, signal, coded)
            wide = cell * len(coded) + _GAP * (len(coded) - 1)
            bar = place(names.index(coded[0]), under, wide, _BAR)
            _colour_bar(figure, drawn, bar)
        drawn = _draw_error(axes["error"], signal)
        _colour_bar(figure, drawn, place(names.index("error"), under, cell, _BAR))
        for ax in axes.values():
            ax.set_axis_off()
    return figure


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
    figure = _figure(6.0, 3.6)
    ax = figure.add_axes((0.125, 0.14, 0.85, 0.79))
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
    return figure


def save_figure(figure: Figure, path: str | Path, dpi: int = 150) -> None:
    """Write a figure as PNG, whole or not at all.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        As the functions above make it.
    path : path
        An existing file is replaced.
    dpi : int
        Pixels of an inch.
    """
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=dpi)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _title(ax: Axes, text: str) -> None:
    ax.set_title(text, fontsize=_TITLE_SIZE, pad=3)


def _shorten(label: str) -> str:
    if len(label) <= _LONGEST_LABEL:
        return label
    return label[: _LONGEST_LABEL - 9] + "…" + label[-8:]


def _draw_images(axes: Mapping[str, Axes], signal: SignalParts, tall: float) -> None:
    known = signal.known_pixels
    low, high = _range(signal.image[signal.known])
    images = {"signal": signal.image, "low": signal.low, "reconstruction": signal.reconstruction}
    titles = {"signal": _shorten(signal.label), "low": "low-pass", "reconstruction": "sum of parts"}
    for name, image in images.items():
        if image is None or name not in axes:
            continue
        ax = axes[name]
        shown = np.ones_like(known) if name != "signal" else known
        if len(image) == 3:
            colours = np.clip((image - low) / (high - low), 0, 1).transpose(1, 2, 0)
            ax.imshow(np.where(shown[..., None], colours, _rgb(_UNKNOWN)))
        else:
            ax.imshow(_masked(image.mean(axis=0), shown), cmap=_map("gray"), vmin=low, vmax=high)
        _title(ax, titles[name])
    if not known.all():
        axes["signal"].text(
            0,
            -0.06 / tall,
            f"■ unknown: {100 * (1 - known.mean()):.2g} %",
            color=_UNKNOWN,
            fontsize=_TICK_SIZE,
            va="top",
            transform=axes["signal"].transAxes,
        )


def _draw_parts(axes: Mapping[str, Axes], signal: SignalParts, names: Sequence[str]) -> Any:
    planes = {name: getattr(signal, name).mean(axis=0) for name in names}
    limit = _limit(np.concatenate([p.ravel() for p in planes.values()]))
    drawn = None
    for name, plane in planes.items():
        drawn = axes[name].imshow(plane, cmap=_map(_SIGNED), vmin=-limit, vmax=limit)
        _title(axes[name], f"{name} part")
    return drawn


def _draw_error(ax: Axes, signal: SignalParts) -> Any:
    known = signal.known_pixels
    error = signal.error
    _title(ax, f"error, RMS {signal.rms:.2g}")
    if len(error) == 1:
        limit = _limit(error[0][known])
        return ax.imshow(_masked(error[0], known), cmap=_map(_ERROR), vmin=-limit, vmax=limit)
    magnitude = np.sqrt(np.square(error).mean(axis=0))
    limit = _limit(magnitude[known])
    return ax.imshow(_masked(magnitude, known), cmap=_map(_MAGNITUDE), vmin=0, vmax=limit)


def _colour_bar(figure: Figure, drawn: Any, ax: Axes) -> None:
    low, high = drawn.get_clim()
    ticks = [low, 0.0, high] if low < 0 else [low, high]
    bar = figure.colorbar(drawn, cax=ax, orientation="horizontal", ticks=ticks)
    bar.outline.set_linewidth(0.4)
    ax.set_xticks(ticks, [f"{t:.2g}".replace("-", "−") for t in ticks], fontsize=_TICK_SIZE)
    ax.tick_params(length=2, width=0.5, pad=1.5)
    # Centred, the labels at the ends would run into those of the next bar.
    labels = ax.get_xticklabels()
    labels[0].set_horizontalalignment("left")
    labels[-1].set_horizontalalignment("right")


def _map(name: str) -> Any:
    import matplotlib

    return matplotlib.colormaps[name].with_extremes(bad=_UNKNOWN)


def _rgb(colour: str) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    return to_rgb(colour)


def _masked(plane: Floats, known: NDArray[np.bool_]) -> Any:
    return np.ma.masked_array(plane, mask=~known)


def _range(values: Floats) -> tuple[float, float]:
    """Limits of a grey scale."""
    if values.size == 0:
        return 0.0, 1.0
    low, high = (float(q) for q in np.quantile(values, (0.001, 0.999)))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _limit(values: Floats) -> float:
    """Where a scale around zero ends."""
    if values.size == 0:
        return 1.0
    limit = float(np.quantile(np.abs(values), 0.998))
    return limit or float(np.abs(values).max()) or 1.0
