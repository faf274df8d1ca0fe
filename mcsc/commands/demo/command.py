"""`mcsc demo`: a decomposition of measured images that needs no file."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from ...errors import InvalidValueError
from ...progress import is_terminal
from .. import named, options

_CENTRE = (208, 568)
_SIZE = (256, 256)


@click.command()
@options.out("demo_output")
@named.solver
@options.tol
@click.option(
    "--size",
    type=(click.IntRange(min=16), click.IntRange(min=16)),
    metavar="H W",
    help="Height and width, in pixels, of the part around the headlight that is decomposed.  "
    f"[default: {_SIZE[0]} {_SIZE[1]}]",
)
@click.option("--full", is_flag=True, help="Decompose the whole images.")
@click.pass_context
def demo(
    ctx: click.Context,
    out: Path,
    method: str,
    tol: float,
    size: tuple[int, int] | None,
    full: bool,
) -> None:
    """Decompose and restore images that come with the program.

    They are a measured disparity map (inverse depth) of a motorcycle and a photograph of it. Some
    pixels of the disparity could not be measured; a mask leaves these holes out of the problem.

    First, each image is split into a smooth low-pass part and the detail that remains. The exact
    solver codes the detail of both images together, with a bank of cosines that needs no training:
    a common part, which both share (the edges of objects), and a unique part of each (steps of
    depth, texture). It stops when the duality gap certifies that the objective is within the
    tolerance of its optimum.

    Second, the disparity is reduced by 4, enlarged again, and restored with the help of the
    photograph and of a dictionary that was learned from synthetic scenes. The page report.html
    compares the result with bicubic interpolation.

    Exit status: 0 if the solver converged, 1 if it did not, 2 if something was refused, 130 if it
    was interrupted (what was computed is written).
    """
    if full and size is not None:
        raise click.UsageError("--full and --size exclude each other", ctx)
    from ...images.files import write_image
    from ...images.samples import motorcycle
    from ...model.starter import dct_dictionary
    from ...tasks import decompose
    from ..destinations import check_destinations
    from ..inputs import Signal
    from ..outputs import show_lam, show_table, write_all

    check_destinations({}, folders={"--out": out})
    whole = motorcycle()
    height, width = whole.x.shape[1:]
    window = None if full else _window(size or _SIZE, (height, width))
    pair = motorcycle(window)
    click.echo(click.wrap_text(pair.description))
    whole_size = f"{height} x {width} pixels"
    if window is None:
        click.echo(f"The whole images of {whole_size} are decomposed.")
    else:
        click.echo(f"A part of {window[2]} x {window[3]} of their {whole_size} is decomposed.")
    signals = [
        Signal("x", pair.names[0], pair.x, pair.mask, {"sample": "motorcycle", "window": window}),
        Signal("y", pair.names[1], pair.y, None, {"sample": "motorcycle", "window": window}),
    ]
    dictionary = dct_dictionary((1, 1))
    found = decompose(
        [signal.image for signal in signals],
        dictionary,
        masks=[signal.mask for signal in signals],
        labels=[signal.label for signal in signals],
        method=method,
        tol=tol,
        announce=lambda lam, largest: show_lam(dictionary, lam, largest, relative=True),
        progress=is_terminal(sys.stderr),
    )
    show_table(signals, found)
    # The pair itself, so that everything can be done again, and otherwise, with `mcsc solve`.
    inputs = [f"{signal.symbol}.png" for signal in signals]
    for name, signal in zip(inputs, signals, strict=True):
        write_image(out / name, signal.image, bit_depth=16)
    arguments = {**ctx.params, "command": "demo"}
    write_all(out, signals, dictionary, found, arguments, inputs, codes=True)
    words = ["mcsc", "solve", *(str(out / name) for name in inputs), "--mask", "zeros"]
    click.echo(f"\nThe same can be computed from these files:\n  {shlex.join(words)}")
    from .restoration import show_restoration

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
