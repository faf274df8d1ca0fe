"""The pictures of the networks' benchmarks, drawn from the results' files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..networks.growth import fits, size_of
from .plots import INK, Data, label, panels, plain_numbers, save, style_of

_CYCLE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")


def growth(data: Data, path: Path) -> None:
    """Seconds and memory against pixels, and against filters, with the fitted exponents."""
    from matplotlib.ticker import LogLocator, NullFormatter

    figure, axes = panels(4, width=9.6, height=7.2, columns=2)
    exponents = {(f["axis"], f["series"]): f for f in fits(data)}
    places = {("pixels", "seconds"): 0, ("filters", "seconds"): 1}
    places |= {("pixels", "extra"): 2, ("filters", "extra"): 3}
    colours = dict(zip(dict.fromkeys(r["series"] for r in data["rows"]), _CYCLE, strict=False))
    for (axis, value), place in places.items():
        ax = axes[place]
        for series, colour in colours.items():
            rows = [r for r in data["rows"] if (r["series"], r["axis"]) == (series, axis)]
            power = exponents[axis, series][value]
            ax.loglog(
                [size_of(r) / (1e6 if axis == "pixels" else 1) for r in rows],
                [
                    float(np.median(r["seconds"])) if value == "seconds" else r["extra"] / 2**20
                    for r in rows
                ],
                color=colour, marker="o", markersize=4, linewidth=1.8,
                label=series if power is None else f"{series}: p = {power:.2f}",
            )  # fmt: skip
        for side in (ax.xaxis, ax.yaxis):
            side.set_major_locator(LogLocator(subs=(1, 3)))
            side.set_minor_formatter(NullFormatter())
            plain_numbers(side)
        if axis == "filters":
            counts = sorted({r["filters"] for r in data["rows"] if r["axis"] == axis})
            ax.set_xticks(counts)
            ax.minorticks_off()
        title = "Seconds" if value == "seconds" else "Peak memory on top"
        label(
            ax, title, "megapixels" if axis == "pixels" else "filters a module",
            "seconds" if value == "seconds" else "MiB",
        )  # fmt: skip
        ax.legend(frameon=False, fontsize=8.5, loc="upper left")
    save(figure, path)


_AXES = {"residual": "residual lines", "kernel_size": "filter size s", "blocks": "LCSC blocks J"}


def ablations(data: Data, path: Path) -> None:
    """RMSE against filter size and against blocks, with the paper's on an axis of its own."""
    shown = [t for t in data["tables"] if t["option"] != "residual"] or data["tables"]
    name = list(data["scenes"])[-1]
    figure, axes = panels(len(shown), width=4.8 * len(shown), height=3.6)
    for ax, found in zip(axes, shown, strict=True):
        values = [r["value"] for r in found["rows"]]
        ours = [r["scores"][name]["RMSE"] for r in found["rows"]]
        papers = [r["paper"]["RMSE"] for r in found["rows"]]
        mark: Data = {"marker": "o", "markersize": 4, "linewidth": 2}
        lines = ax.plot(values, ours, color="#0072b2", label="here", **mark)
        other = ax.twinx()
        lines += other.plot(
            values,
            papers,
            color="#d55e00",
            linestyle=(0, (4, 2)),
            label="paper (right axis)",
            **mark,
        )
        ax.set_xticks(values)
        other.tick_params(labelsize=9, colors=INK)
        for side in ("top", "left", "bottom"):
            other.spines[side].set_visible(False)
        other.spines["right"].set_color("0.6")
        label(ax, found["title"], _AXES[found["option"]], f"RMSE, {name} scenes")
        ax.legend(handles=lines, frameon=False, fontsize=9, loc="upper center")
    save(figure, path)


def unrolling(data: Data, path: Path, tasks: Sequence[str] | None = None) -> None:
    """Accuracy against seconds, one panel a task: exact methods, one sweep, networks."""
    found = [t for t in data["tasks"] if tasks is None or t["task"] in tasks]
    if not found:
        raise ValueError(f"there are no results of {', '.join(tasks or ())}")
    columns = min(len(found), 3)
    lines = -(-len(found) // columns)
    figure, axes = panels(len(found), max(3.6 * columns, 6.4), 3.3 * lines + 0.9, columns)
    handles: dict[str, Any] = {}
    seconds = [r["seconds"] for t in found for r in t["rows"]]
    for ax, task in zip(axes, found, strict=True):
        _unrolled_panel(ax, task, handles)
        ax.set_xlim(min(seconds) / 1.4, 1.4 * max(seconds))
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", frameon=False, fontsize=9,
        ncols=5 if columns > 2 else 3, columnspacing=1.4,
    )  # fmt: skip
    save(figure, path)


def _unrolled_panel(ax: Any, task: Data, handles: dict[str, Any]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    name = task["measure"]["name"]

    def points(rows: Sequence[Data]) -> tuple[list[float], list[float]]:
        return [r["seconds"] for r in rows], [r["measures"][name] for r in rows]

    exact = [r for r in task["rows"] if "gap" in r]
    for method in dict.fromkeys(r["method"] for r in exact):
        rows = [r for r in exact if r["method"] == method]
        style = style_of(method)
        (line,) = ax.plot(*points(rows), **style)
        handles.setdefault(f"{method}, exact", line)
        met = [r for r in rows if r["gap"] is not None]
        missed = [r for r in rows if r["gap"] is None]
        dot: Data = {"linestyle": "", "marker": "o", "markersize": 5, "color": style["color"]}
        ax.plot(*points(met), **dot, zorder=4)
        ax.plot(*points(missed), **dot, markerfacecolor="white", zorder=4)
    sweep = [r for r in task["rows"] if r["method"] == "one sweep"]
    (line,) = ax.plot(
        *points(sweep), linestyle="", marker="x", markersize=8, markeredgewidth=2, color="0.3",
        zorder=5,
    )  # fmt: skip
    handles.setdefault("one sweep of the alternation", line)
    networks = [r for r in task["rows"] if "blocks" in r and not r.get("trained")]
    (line,) = ax.plot(
        *points(networks), linestyle=":", marker="D", markersize=6, color="0.3",
        markerfacecolor="white", zorder=5,
    )  # fmt: skip
    blocks = ", ".join(str(r["blocks"]) for r in networks)
    handles.setdefault(f"CU-Net, untrained, J = {blocks}", line)
    trained = [r for r in task["rows"] if r.get("trained")]
    if trained:
        (line,) = ax.plot(
            *points(trained), linestyle="", marker="*", markersize=15, color="#d62728", zorder=6
        )
        handles.setdefault("CU-Net, trained", line)
    _baseline(ax, task, name, handles)
    low, high = ax.get_ylim()
    spare = max(_LEAST_SPAN.get(name, 0.0) - (high - low), 0.0) / 2
    ax.set_ylim(low - spare, high + spare)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    ax.xaxis.set_minor_formatter(NullFormatter())
    plain_numbers(ax.xaxis)
    if not task["measure"]["larger_is_better"]:
        ax.invert_yaxis()
    height, width = task["shape"]
    units = {"RMSE": "RMSE, grey levels", "PSNR": "PSNR, dB", "QABF": "$Q^{AB/F}$"}
    unit = units.get(name, name)
    label(ax, task["task"], f"seconds, {width}x{height}", f"{unit} (up is better)")


_LEAST_SPAN = {"RMSE": 0.5, "PSNR": 1.0, "QABF": 0.04}
"""Of the axis of accuracy: less is no difference to look at."""


def _baseline(ax: Any, task: Data, name: str, handles: dict[str, Any]) -> None:
    """A line where no codes would be; words where that is far below."""
    level = task["baseline"]["measures"][name]
    values = [r["measures"][name] for r in task["rows"]]
    span = max(max(values) - min(values), _LEAST_SPAN.get(name, 0.0))
    if min(values) - span <= level <= max(values) + span:
        line = ax.axhline(level, color="0.6", linestyle=(0, (1, 2)), linewidth=1.4)
        handles.setdefault("x as it is, or mean of both", line)
    else:
        words = {"bicubic": "bicubic", "input": "noisy input"}.get(
            task["baseline"]["method"], "mean"
        )
        ax.text(
            0.98, 0.03, f"{words}: {level:.3g}", transform=ax.transAxes, fontsize=9, color="0.4",
            ha="right",
        )  # fmt: skip


def starts(data: Data, path: Path) -> None:
    """Held-out error against seconds, the dictionary's learning counted, a panel a budget."""
    from ..networks.starts import best

    budgets = sorted({r["steps"] for r in data["runs"]})
    figure, axes = panels(len(budgets), width=9.6, height=3.8, columns=len(budgets))
    colours = dict(zip(("dictionary", "Xavier"), _CYCLE, strict=False))
    for ax, steps in zip(axes, budgets, strict=True):
        for run in (r for r in best(data) if r["steps"] == steps):
            ax.plot(
                run["seconds"], run["validation"], color=colours[run["start"]], marker="o",
                markersize=4, linewidth=1.8, label=f"{run['start']}, rate {run['rate']:g}",
            )  # fmt: skip
        ax.axhline(data["inputs"]["synthetic"], color=INK, linewidth=1, linestyle=":")
        ax.plot(
            data["preparation"], data["untrained"]["synthetic"], color=colours["dictionary"],
            marker="s", linestyle="none", label="dictionary, untrained",
        )  # fmt: skip
        label(ax, f"{steps} steps", "seconds", "RMSE on held-out scenes")
        # Random filters begin far above the picture.
        ax.set_ylim(top=1.1 * data["inputs"]["synthetic"])
        ax.set_xlim(left=0)
        ax.legend(frameon=False, fontsize=8.5)
    save(figure, path)
