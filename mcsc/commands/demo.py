"""`mcsc demo`: a decomposition of measured images that needs no file."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from ..errors import InvalidValueError
from . import options

_CENTRE = (208, 568)
_SIZE = (256, 256)


@click.command()
@options.out("demo_output")
@options.method
@options.tol
@click.option(
    "--size",
    type=(click.IntRange(min=16), click.IntRange(min=16)),
    metavar="H W",
    help=f"Pixels of the part that is decomposed, around the headlight.  [default: {_SIZE[0]} "
    f"{_SIZE[1]}]",
)
@click.option("--full", is_flag=True, help="Decompose the whole picture.")
@click.pass_context
def demo(
    ctx: click.Context,
    out: Path,
    method: str,
    tol: float,
    size: tuple[int, int] | None,
    full: bool,
) -> None:
    """Decompose a measured disparity map and a photograph, and restore the one with the other.

    The disparity has holes, pixels that could not be measured; a mask takes them out of the
    problem. Each image is split into a smooth low-pass part and detail. The exact solver codes the
    detail with a bank of cosines, which needs no training, as a part that both images share (edges
    of objects) plus one of each alone (steps of depth; texture). It stops when the duality gap
    certifies that the objective is within the tolerance of the optimum.

    Then the disparity is reduced by 4 and enlarged again, and restored with the photograph by a
    dictionary that was learned from synthetic scenes. report.html shows it against bicubic.

    Exit status: 0 converged, 1 not, 2 refused, 130 interrupted (what was computed is written).
    """
    if full and size is not None:
        raise click.UsageError("--full and --size exclude each other", ctx)
    from ..images.files import write_image
    from ..images.samples import motorcycle
    from ..model.starter import dct_dictionary
    from .decompose import Settings, Signal, decompose
    from .outputs import make_folder, show_table, write_all

    make_folder(out)
    whole = motorcycle()
    height, width = whole.x.shape[1:]
    window = None if full else _window(size or _SIZE, (height, width))
    pair = motorcycle(window)
    part = "the whole" if window is None else f"{window[2]} x {window[3]} pixels of the"
    click.echo(click.wrap_text(f"{pair.description} Decomposing {part} {height} x {width}."))
    signals = [
        Signal("x", pair.names[0], pair.x, pair.mask, {"sample": "motorcycle", "window": window}),
        Signal("y", pair.names[1], pair.y, None, {"sample": "motorcycle", "window": window}),
    ]
    dictionary = dct_dictionary((1, 1))
    settings = Settings(method=method, tol=tol)
    found = decompose(signals, dictionary, settings, click.echo)
    show_table(signals, found)
    # The pair itself, so that everything can be done again, and otherwise, with `mcsc solve`.
    inputs = [f"{signal.symbol}.png" for signal in signals]
    for name, signal in zip(inputs, signals, strict=True):
        write_image(out / name, signal.image, bit_depth=16)
    arguments = {**ctx.params, "command": "demo"}
    write_all(out, signals, dictionary, found, arguments, inputs, codes=True)
    words = ["mcsc", "solve", *(str(out / name) for name in inputs), "--mask", "zeros"]
    click.echo(f"\nThe same from files: {shlex.join(words)}")
    from .demo_restoration import show_restoration

    show_restoration(out, pair, tol)
    ctx.exit(0 if found.result.converged else 130 if found.interrupted else 1)


def _window(size: tuple[int, int], shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part of `size` around the centre, moved inside the picture."""
    for name, n, most in zip(("height", "width"), size, shape, strict=True):
        if n > most:
            raise InvalidValueError(f"--size: {name} {n} is more than the picture's {most}")
    top, left = (
        min(max(centre - n // 2, 0), most - n)
        for centre, n, most in zip(_CENTRE, size, shape, strict=True)
    )
    return top, left, *size
