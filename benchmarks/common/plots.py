"""The pictures of the page, drawn from the results' files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mcsc.files import atomic_write

Data = dict[str, Any]

COLOURS = {
    "working-set": "#0072b2",
    "admm": "#d55e00",
    "fista": "#009e73",
    "alternating": "#cc79a7",
    "ista": "#e69f00",
    "SPORCO ADMM": "#d55e00",
    "SPORCO PGM": "#009e73",
}
INK = "0.25"


def panels(
    count: int, width: float = 9.6, height: float = 4.0, columns: int | None = None
) -> tuple[Any, list[Any]]:
    columns = columns or count
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(-(-count // columns), columns, i + 1) for i in range(count)]
    for ax in axes:
        ax.grid(which="major", color="0.9", linewidth=0.7)
        ax.set_axisbelow(True)
        ax.tick_params(labelsize=9, colors=INK, which="both")
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
        for side in ("bottom", "left"):
            ax.spines[side].set_color("0.6")
    return figure, axes


def label(ax: Any, title: str, x: str, y: str) -> None:
    ax.set_title(title, fontsize=10.5, loc="left", color="0.1")
    ax.set_xlabel(x, fontsize=9.5, color=INK)
    ax.set_ylabel(y, fontsize=9.5, color=INK)


def plain_numbers(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=150)


def style_of(name: str) -> Data:
    theirs = name.startswith("SPORCO")
    return {
        "color": COLOURS[name],
        "linestyle": (0, (4, 2)) if theirs else "-",
        "linewidth": 2.4 if name == "working-set" else 1.6,
        "zorder": 3 if name == "working-set" else 2,
    }


def convergence(data: Data, path: Path) -> None:
    """Objective above the optimum, and certified gap, against seconds."""
    figure, (left, right) = panels(2)
    optimum = data["optimum"]
    for trace in data["traces"]:
        seconds = np.asarray(trace["seconds"])
        objective = np.asarray(trace["objective"])
        dual = np.array([-np.inf if d is None else d for d in trace["dual"]])
        excess = (objective - optimum) / optimum
        gap = (objective - dual) / objective
        style = style_of(trace["name"])
        for ax, value in ((left, excess), (right, gap)):
            shown = value > 0
            ax.loglog(seconds[shown], value[shown], label=trace["name"], **style)
    for ax in (left, right):
        ax.set_ylim(1e-5, 1.5)
        plain_numbers(ax.xaxis)
    label(left, "Objective above the optimum", "seconds", "relative excess")
    label(right, "Certified relative duality gap", "seconds", "(objective − dual) / objective")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=9.5,
        handlelength=2.4, columnspacing=1.6,
    )  # fmt: skip
    save(figure, path)


def crossover(data: Data, path: Path) -> None:
    """Seconds to a gap against lam over lambda_max, for both boundaries."""
    boundaries = list(dict.fromkeys(row["boundary"] for row in data["rows"]))
    figure, axes = panels(len(boundaries))
    for ax, boundary in zip(axes, boundaries, strict=True):
        rows = [r for r in data["rows"] if r["boundary"] == boundary]
        for method in dict.fromkeys(r["method"] for r in rows):
            mine = [r for r in rows if r["method"] == method]
            arrived = [r for r in mine if r["converged"]]
            style = style_of(method)
            ax.loglog(
                [r["fraction"] for r in arrived], [r["seconds"] for r in arrived],
                label=method, marker="o", markersize=4, **style,
            )  # fmt: skip
            late = [r for r in mine if not r["converged"]]
            ax.loglog(
                [r["fraction"] for r in late], [r["seconds"] for r in late],
                linestyle="", marker="^", markersize=7, markerfacecolor="none",
                color=style["color"],
            )  # fmt: skip
        ax.invert_xaxis()
        plain_numbers(ax.yaxis)
        label(ax, f"{boundary} boundary", "lam / lambda_max", f"seconds to gap {data['tol']:g}")
    seconds = [r["seconds"] for r in data["rows"]]
    for ax in axes:
        ax.set_ylim(min(seconds) / 1.5, 1.5 * max(seconds))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=9.5
    )
    save(figure, path)


def operators(data: Data, path: Path) -> None:
    """Time of a sweep against filter size, direct and by FFT."""
    sizes = list(dict.fromkeys(row["image"] for row in data["sweeps"]))
    figure, axes = panels(len(sizes), width=3.3 * len(sizes) + 0.6, height=3.4)
    for ax, image in zip(axes, sizes, strict=True):
        rows = [r for r in data["sweeps"] if r["image"] == image]
        boundaries = dict.fromkeys(r["boundary"] for r in rows)
        x = sorted({r["filter"] for r in rows})
        by = {(r["boundary"], r["filter"]): r for r in rows}
        first = next(iter(boundaries))
        direct = [1e3 * by[first, s]["direct"] for s in x]
        ax.plot(x, direct, color="#0072b2", linewidth=2, label="direct")
        for boundary, line in zip(boundaries, ("-", (0, (4, 2))), strict=False):
            fourier = [1e3 * by[boundary, s]["fourier"] for s in x]
            ax.plot(
                x, fourier, color="#d55e00", linestyle=line, linewidth=2, label=f"FFT, {boundary}"
            )
        ax.set_ylim(bottom=0)
        ax.axvline(data["in_use"], color="0.5", linewidth=1, linestyle=":")
        label(ax, f"{image}x{image} pixels", "filter size s", "milliseconds a sweep")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=9.5
    )
    save(figure, path)
