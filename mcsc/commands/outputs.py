"""What `mcsc demo` and `mcsc solve` write and print."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ..figures.convergence import convergence_figure
from ..figures.drawing import save_figure
from ..figures.panels import decomposition_figure
from ..files import write_json
from ..images.files import write_image
from ..model.dictionary import Dictionary
from ..tasks.decomposition import Decomposition
from ..types import Floats, Lam
from ..words import percent
from .info import versions
from .inputs import Signal

_PICTURES = ("panel.png", "convergence.png")
_CODES = ("codes.npz", "dictionary.npz")


def names_of_files(symbols: Sequence[str], *, codes: bool) -> list[str]:
    """Names of all files that `write_all` may write of signals that are called so."""
    parts = [f"{s}_{n}.tif" for s in symbols for n in ("low", "common", "unique", "sum")]
    return ["result.json", *_PICTURES, *(_CODES if codes else ()), *parts]


def write_all(
    folder: Path,
    signals: list[Signal],
    dictionary: Dictionary,
    found: Decomposition,
    settings: dict[str, Any],
    inputs: Sequence[str] = (),
    *,
    codes: bool,
) -> None:
    """Write numbers, codes, parts and pictures, and say so, of `inputs` written before too.

    In this order: what took long, and cannot be made of the rest, is there first.
    """
    result = found.result
    parts: list[dict[str, Floats]] = []
    for signal, part in zip(signals, found.parts, strict=True):
        images = {"low": part.low, "common": part.common, "unique": part.unique}
        images["sum"] = part.reconstruction
        parts.append(
            {f"{signal.symbol}_{name}.tif": i for name, i in images.items() if i is not None}
        )
    written = [[*_PICTURES, "result.json", *(_CODES if codes else ())], *map(list, parts)]
    written += [list(inputs)] if inputs else []
    # With their names: files of another run may lie in the folder too.
    files = [name for names in written for name in names]
    _write_result(folder / "result.json", signals, found, settings, files)
    if codes:
        result.codes.save(folder / "codes.npz")
        dictionary.save(folder / "dictionary.npz")
    for of_signal in parts:
        for name, image in of_signal.items():
            write_image(folder / name, image, bit_depth=32)
    save_figure(decomposition_figure(found.parts), folder / "panel.png")
    figure = convergence_figure({result.method: result.history}, float(settings["tol"]))
    save_figure(figure, folder / "convergence.png")
    click.echo(f"\nWritten to {folder}:")
    for names in written:
        click.echo("  " + "  ".join(names))


def _write_result(
    path: Path,
    signals: list[Signal],
    found: Decomposition,
    settings: dict[str, Any],
    files: list[str],
) -> None:
    result, codes = found.result, found.result.codes
    content = {
        "versions": versions(),
        "arguments": settings,
        "signals": [
            {
                "symbol": signal.symbol,
                "name": signal.name,
                **signal.source,
                "shape": list(signal.image.shape),
                "unknown_share": 1 - float(part.known_pixels.mean()),
                "rms_error": part.rms,
            }
            for signal, part in zip(signals, found.parts, strict=True)
        ],
        "lambda_max": found.lambda_max,
        "lam": found.lam,
        "result": {
            "method": result.method,
            "converged": result.converged,
            "message": result.message,
            "seconds": result.seconds,
            "iterations": result.iterations,
            "objective": result.objective,
            "gap": result.gap,
            "dual_bound": result.dual_bound,
            "nonzeros": {"common": codes.nnz_common, "unique": list(codes.nnz_unique)},
            "coefficients": codes.size,
        },
        "history": asdict(result.history),
        "files": files,
    }
    write_json(path, content)


def show_signals(signals: list[Signal]) -> None:
    """Say what was read."""
    width = max(len(signal.name) for signal in signals)
    for signal in signals:
        channels, high, wide = signal.image.shape
        text = f"{high} x {wide}" + (f", {channels} channels" if channels > 1 else "")
        if signal.mask is not None:
            share = 1 - float((signal.mask > 0).all(axis=0).mean())
            text += f", {percent(share, 3)} of the pixels unknown"
        click.echo(f"{signal.symbol}  {signal.name:<{width}}  {text}")


def show_lam(dictionary: Dictionary, lam: Lam, largest: float, *, relative: bool) -> None:
    """Say how many maps there are, and which lam is taken, before the long part."""
    if relative:
        assert isinstance(lam, float)
        click.echo(
            f"{dictionary.n_maps} maps, lam = {lam:.3g}, {lam / largest:g} of lambda_max = "
            f"{largest:.3g}"
        )
        return
    values = (lam,) if isinstance(lam, float) else lam
    above = ": all codes are zero" if min(values) >= largest else ""
    shown = ", ".join(f"{value:g}" for value in values)
    click.echo(f"{dictionary.n_maps} maps, lam = {shown}, lambda_max = {largest:.3g}{above}")


def show_table(signals: list[Signal], found: Decomposition) -> None:
    """Print the one table, a row if the screen is wide enough, else a column.

    A message says what convergence means here; that there was none is a warning already.
    """
    from rich.console import Console
    from rich.table import Table

    result = found.result
    cells = {
        "method": result.method,
        "seconds": f"{result.seconds:.3g}",
        "iterations": str(result.iterations),
        "objective": f"{result.objective:.6g}",
        "certified\ngap": f"{result.gap:.1e}" if result.gap else "0",
    }
    if result.codes.sparse_common is not None:
        cells["nonzeros\ncommon"] = str(result.codes.nnz_common)
    for signal, count in zip(signals, result.codes.nnz_unique, strict=False):
        cells[f"nonzeros\nof {signal.symbol}"] = str(count)

    console = Console(file=sys.stdout, highlight=False)
    # Two images fit into 80 columns with one space in between, and without lines.
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for i, name in enumerate(cells):
        table.add_column(name, justify="left" if i == 0 else "right", no_wrap=True)
    table.add_row(*cells.values())
    click.echo()
    unbounded = console.options.update(max_width=1000)
    if console.measure(table, options=unbounded).maximum > console.width:
        width = max(map(len, cells))
        for name, value in cells.items():
            click.echo(f"{name.replace(chr(10), ' '):<{width}}  {value}")
    else:
        console.print(table)
    if result.converged:
        click.echo("\n" + click.wrap_text(result.message))
