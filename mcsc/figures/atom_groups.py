"""Figures of a dictionary's atoms and of what they explain; no state of pyplot is touched."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..backend import to_numpy
from ..checks import check_whole
from ..errors import InvalidTypeError, InvalidValueError
from ..model.codes import Codes, Coordinates
from ..model.dictionary import Dictionary, embed
from ..model.reconstruction import _fitting, signal_parts
from ..types import Boundary, Floats
from .panels import _SIGNED, _TICK_SIZE, _TITLE_SIZE, _colour_bar, _figure, _limit, _map

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["atom_figure", "atom_use", "dictionary_figure"]

# Pixels of a mosaic; an atom's own are enlarged to about _ATOM a side.
_ATOM = 48
_INNER = 3
_OUTER = 10
_BAR = 4
_BAR_COLOUR = (0x00, 0x72, 0xB2)
_PAPER = 255

# Inches.
_WIDTH = 10.0
_EDGE = 0.12
_CAPTION = 0.36
_BETWEEN = 0.3
_MOST_OF_AN_ATOM = 0.46
_LEAST_OF_AN_ATOM = 0.13


@dataclass(frozen=True, eq=False)
class _Panel:
    """A code group: its atoms in all banks, in the order in which they are drawn."""

    group: str
    title: str
    names: list[str]
    banks: list[Floats]
    """Shape (K, C, s, s) each, with one s; zeros where the target has no filter."""
    analysis: int
    """How many of the banks, the first ones, are of the signals; the others of the target."""
    order: NDArray[np.intp]
    use: NDArray[np.float64] | None


def atom_use(codes: Codes, dictionary: Dictionary) -> NDArray[np.float64]:
    """How much every map is used: the sum of the magnitudes of its coefficients.

    Parameters
    ----------
    codes : Codes
        Of any number of samples.
    dictionary : Dictionary
        That the codes belong to.

    Returns
    -------
    array (K,)
        Common maps first, then each signal's unique ones: the order of `Dictionary.groups`.

    Raises
    ------
    TypeError, ValueError
        An argument is something else, or the two do not fit.
    """
    _check_codes(codes, dictionary)
    return _use(_coordinates(codes), dictionary)


def dictionary_figure(
    dictionary: Dictionary, use: Sequence[float] | Floats | None = None
) -> Figure:
    """Draw the atoms, a mosaic for each code group.

    Parameters
    ----------
    dictionary : Dictionary
        Banks of three channels are drawn in colour, others by the mean of their channels.
    use : array (K,), optional
        How much each map is used, as :func:`atom_use` counts: atoms are then drawn from the most
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
    _check_dictionary(dictionary)
    panels = _panels(dictionary, None if use is None else _check_use(use, dictionary.n_maps))
    rows = [[p] for p in panels]
    if len(panels) > 1:  # unique groups are narrower: two in a row
        split = 1 if dictionary.common is not None else 0
        rest = panels[split:]
        rows = [[p] for p in panels[:split]] + [rest[i : i + 2] for i in range(0, len(rest), 2)]

    mosaics: list[list[tuple[_Panel, NDArray[np.uint8], float]]] = []
    for row in rows:
        wide = (_WIDTH - 2 * _EDGE - (len(row) - 1) * _BETWEEN) / len(row)
        # Atoms of one row are of one size.
        side = min(_atom_side(panel, wide) for panel in row)
        mosaics.append([(panel, *_mosaic(panel, wide, side)) for panel in row])
    heights = [max(image.shape[0] * scale for _, image, scale in row) for row in mosaics]
    total = sum(heights) + len(rows) * _CAPTION + (len(rows) - 1) * _BETWEEN * 0.5 + _EDGE
    figure = _figure(_WIDTH, total)
    top = 0.0
    for drawn, height in zip(mosaics, heights, strict=True):
        wide = (_WIDTH - 2 * _EDGE - (len(drawn) - 1) * _BETWEEN) / len(drawn)
        for column, (panel, image, scale) in enumerate(drawn):
            left = _EDGE + column * (wide + _BETWEEN)
            _caption(figure, panel, left / _WIDTH, 1 - (top + _CAPTION - 0.07) / total)
            box = (
                left / _WIDTH,
                1 - (top + _CAPTION + image.shape[0] * scale) / total,
                image.shape[1] * scale / _WIDTH,
                image.shape[0] * scale / total,
            )
            ax = figure.add_axes(box)
            ax.imshow(image, interpolation="nearest", aspect="auto")
            ax.set_axis_off()
        top += _CAPTION + height + 0.5 * _BETWEEN
    return figure


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
    _check_codes(codes, dictionary)
    top = check_whole("top", top, most=16)
    count, height, width = codes.grid
    sample = check_whole("sample", sample, least=0, most=count - 1)
    parts = _coordinates(codes, sample)
    use = _use(parts, dictionary)
    panels = [p for p in _panels(dictionary, use) if p.use is not None and p.use.any()]
    if not panels:
        raise InvalidValueError(
            f"the codes of sample {sample} are all zero: no atom explains anything"
        )

    label = 0.34
    gap = 0.06
    cell = (_WIDTH - 2 * _EDGE - label - (top - 1) * gap) / top
    tall = cell * height / width
    head = _CAPTION + min(0.5, 0.8 * cell) + 0.2
    strip = 0.4
    lines = [p.analysis for p in panels]
    total = sum(head + n * (tall + gap) + strip for n in lines)
    figure = _figure(_WIDTH, total)

    def place(left: float, down: float, wide: float, high: float) -> Axes:
        return figure.add_axes(
            (left / _WIDTH, 1 - (down + high) / total, wide / _WIDTH, high / total)
        )

    down = 0.0
    for panel in panels:
        assert panel.use is not None
        chosen = [int(k) for k in panel.order[:top] if panel.use[k] > 0]
        _caption(figure, panel, _EDGE / _WIDTH, 1 - (down + _CAPTION - 0.09) / total)
        images = [_explained(parts[panel.group], panel, k, codes.grid, boundary) for k in chosen]
        limit = _limit(np.concatenate([i.ravel() for column in images for i in column]))
        drawn = None
        for column, (k, explained) in enumerate(zip(chosen, images, strict=True)):
            left = _EDGE + label + column * (cell + gap)
            tile = _tile([b[k] for b in panel.banks], panel.analysis)
            high = min(0.5, 0.8 * cell)
            wide = high * tile.shape[1] / tile.shape[0]
            if wide > cell:
                wide, high = cell, cell * tile.shape[0] / tile.shape[1]
            ax = place(left + 0.5 * (cell - wide), down + _CAPTION, wide, high)
            ax.imshow(tile, interpolation="nearest", aspect="auto")
            ax.set_axis_off()
            share = 100 * panel.use[k] / panel.use.sum()
            figure.text(
                (left + 0.5 * cell) / _WIDTH,
                1 - (down + head - 0.04) / total,
                f"{share:.2g} %",
                fontsize=_TICK_SIZE,
                ha="center",
                va="bottom",
            )
            for line, part in enumerate(explained):
                ax = place(left, down + head + line * (tall + gap), cell, tall)
                drawn = ax.imshow(part, cmap=_map(_SIGNED), vmin=-limit, vmax=limit)
                ax.set_axis_off()
        for line, name in enumerate(panel.names[: panel.analysis]):
            middle = down + head + line * (tall + gap) + 0.5 * tall
            figure.text(
                (_EDGE + 0.5 * label - 0.04) / _WIDTH,
                1 - middle / total,
                name,
                fontsize=_TITLE_SIZE,
                ha="center",
                va="center",
                rotation=0 if len(name) < 4 else 90,
            )
        down += head + panel.analysis * (tall + gap)
        bar = place(_EDGE + label, down, 2 * cell + gap if top > 1 else cell, 0.075)
        _colour_bar(figure, drawn, bar)
        down += strip
    return figure


def _panels(dictionary: Dictionary, use: NDArray[np.float64] | None) -> list[_Panel]:
    pair = dictionary.n_signals == 2
    targets = dictionary.target_unique or (None,) * dictionary.n_signals
    out = []
    for group in dictionary.groups:
        if group.name == "common":
            assert dictionary.common is not None
            title = "common to " + ("x and y" if pair else "all signals")
            banks: list[Any] = list(dictionary.common)
            names = ["dc", "hc"] if pair else [f"d{m + 1}" for m in range(len(banks))]
            target, target_name = dictionary.target_common, "gc"
        else:
            m = int(group.name[len("unique[") : -1])
            assert dictionary.unique is not None
            title = "unique to " + (("x", "y")[m] if pair else f"signal {m + 1}")
            if dictionary.n_signals == 1:
                title = "filters"
            banks = [dictionary.unique[m]]
            names = [("du", "hv")[m] if pair else f"d{m + 1}"]
            target, target_name = targets[m], ("gu", "gv")[m] if pair else f"g{m + 1}"
        analysis = len(banks)
        if target is not None:
            banks, names = [*banks, target], [*names, target_name]
        size = max(int(b.shape[2]) for b in banks)
        own = None if use is None else use[group.maps]
        order = np.arange(len(group.bank)) if own is None else np.argsort(-own, kind="stable")
        filters = [embed(to_numpy(b), size) for b in banks]
        out.append(_Panel(group.name, title, names, filters, analysis, order, own))
    return out


def _caption(figure: Figure, panel: _Panel, left: float, bottom: float) -> None:
    count, _, size, _ = panel.banks[0].shape
    text = f"{count} of {size} × {size}"
    if panel.use is not None:
        unused = int((panel.use == 0).sum())
        text += ", most used first" + (f", {unused} unused" if unused else "")
    title = figure.text(
        left, bottom, panel.title, fontsize=_TITLE_SIZE + 1, weight="bold", va="bottom"
    )
    extent = title.get_window_extent(figure.canvas.get_renderer())  # type: ignore[attr-defined]
    after = left + (extent.width + 12) / figure.bbox.width
    banks = " | ".join(panel.names)
    figure.text(after, bottom, f"{banks}    {text}", fontsize=_TITLE_SIZE, color="0.3", va="bottom")


def _shade(atom: Floats, limit: float) -> NDArray[np.uint8]:
    """One filter (C, s, s) in colour or grey, (s, s, 3), zero in the middle of the scale."""
    plane = atom if len(atom) == 3 else np.repeat(atom.mean(axis=0, keepdims=True), 3, axis=0)
    value = np.clip(0.5 + 0.5 * plane / (limit or 1.0), 0, 1)
    return np.asarray(np.rint(255 * value.transpose(1, 2, 0)), np.uint8)


def _tile(filters: list[Floats], analysis: int) -> NDArray[np.uint8]:
    """The filters of one map side by side, enlarged by a whole number."""
    drawn = [f if len(f) == 3 else f.mean(axis=0, keepdims=True) for f in filters]
    limit = max(float(np.abs(f).max()) for f in drawn[:analysis])
    times = max(round(_ATOM / filters[0].shape[-1]), 1)
    pieces = []
    for i, atom in enumerate(drawn):
        own = limit if i < analysis else float(np.abs(atom).max())
        image = _shade(atom, own).repeat(times, 0).repeat(times, 1)
        pieces.append(
            np.pad(image, [(0, 0), (_INNER if i else 0, 0), (0, 0)], constant_values=_PAPER)
        )
    return np.concatenate(pieces, axis=1)


def _tile_size(panel: _Panel) -> tuple[int, int]:
    size = panel.banks[0].shape[-1]
    side = size * max(round(_ATOM / size), 1)
    bar = _BAR + _INNER if panel.use is not None else 0
    return side + bar, len(panel.banks) * (side + _INNER) - _INNER


def _atom_side(panel: _Panel, wide: float) -> float:
    """Inches of an atom so that the mosaic is a wide rectangle, neither crumbs nor boulders."""
    count = len(panel.order)
    high, across = _tile_size(panel)
    size = panel.banks[0].shape[-1] * max(round(_ATOM / panel.banks[0].shape[-1]), 1)
    columns = max(math.ceil(math.sqrt(2.4 * count * (high + _OUTER) / (across + _OUTER))), 1)
    side = wide * size / (columns * (across + _OUTER) - _OUTER)
    return float(min(max(side, _LEAST_OF_AN_ATOM), _MOST_OF_AN_ATOM))


def _mosaic(panel: _Panel, wide: float, side: float) -> tuple[NDArray[np.uint8], float]:
    """The tiles of a group as one image, and the inches of its pixels."""
    high, across = _tile_size(panel)
    size = panel.banks[0].shape[-1] * max(round(_ATOM / panel.banks[0].shape[-1]), 1)
    scale = side / size
    count = len(panel.order)
    columns = min(max(int((wide / scale + _OUTER + 1e-6) // (across + _OUTER)), 1), count)
    scale = min(scale, wide / (columns * (across + _OUTER) - _OUTER))
    rows = math.ceil(count / columns)
    image = np.full(
        (rows * (high + _OUTER) - _OUTER, columns * (across + _OUTER) - _OUTER, 3), _PAPER, np.uint8
    )
    most = 0.0 if panel.use is None else float(panel.use.max())
    for place, k in enumerate(panel.order):
        i, j = divmod(place, columns)
        tile = _tile([b[k] for b in panel.banks], panel.analysis)
        if panel.use is not None and panel.use[k] == 0:
            tile = np.asarray(255 - (255 - tile.astype(np.int32)) // 3, np.uint8)
        y, x = i * (high + _OUTER), j * (across + _OUTER)
        image[y : y + tile.shape[0], x : x + across] = tile
        if panel.use is not None and panel.use[k] > 0:
            # Less than a pixel would look unused.
            length = max(round(across * panel.use[k] / most), 2)
            image[y + high - _BAR : y + high, x : x + length] = _BAR_COLOUR
    return image, scale


def _explained(
    parts: Coordinates, panel: _Panel, k: int, grid: tuple[int, int, int], boundary: Boundary
) -> list[Floats]:
    """Map k of a group convolved with its filter in each signal, mean of the channels."""
    own = parts.map == k
    one = np.zeros((1, 1, *grid[1:]), parts.value.dtype)
    one[0, 0, parts.row[own], parts.column[own]] = parts.value[own]
    alone = Dictionary(common=tuple(b[k : k + 1] for b in panel.banks[: panel.analysis]))
    codes = Codes.from_dense(one, [None] * panel.analysis)
    images = signal_parts(codes, alone, boundary=boundary)
    return [to_numpy(part.image)[0].mean(axis=0) for part in images]


def _coordinates(codes: Codes, sample: int | None = None) -> dict[str, Coordinates]:
    """The nonzeros of each code group, of all samples or one, in NumPy."""
    common, unique = codes.coordinates()
    found = {"common": common} | {f"unique[{m}]": part for m, part in enumerate(unique)}
    out = {}
    for name, part in found.items():
        if part is not None:
            arrays = [to_numpy(a) for a in part]
            keep = slice(None) if sample is None else arrays[0] == sample
            out[name] = Coordinates(*(a[keep] for a in arrays))
    return out


def _use(parts: dict[str, Coordinates], dictionary: Dictionary) -> NDArray[np.float64]:
    total = np.zeros(dictionary.n_maps)
    for group in dictionary.groups:
        part = parts[group.name]
        values = np.abs(part.value).astype(np.float64)
        total[group.maps] = np.bincount(part.map, values, len(group.bank))
    return total


def _check_codes(codes: Any, dictionary: Any) -> None:
    if not isinstance(codes, Codes):
        raise InvalidTypeError(f"codes must be mcsc.Codes, found {type(codes).__name__}")
    _check_dictionary(dictionary)
    _fitting(codes, dictionary)


def _check_dictionary(dictionary: Any) -> None:
    if not isinstance(dictionary, Dictionary):
        raise InvalidTypeError(
            f"dictionary must be an mcsc.Dictionary, found {type(dictionary).__name__}"
        )


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
