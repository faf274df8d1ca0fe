"""`mcsc restore`: an image and its guide in, one image out."""

from __future__ import annotations

from pathlib import Path

import click

from ..types import Device, Lam
from . import options
from .results import (
    check_outputs,
    read,
    registered_to,
    require_room,
    result_options,
    show_progress,
    tell,
    write,
    write_parts,
)


@click.command()
@click.argument("x", metavar="X", type=click.Path(path_type=Path))
@click.argument("guide", metavar="GUIDE", type=click.Path(path_type=Path))
@options.task("What is wrong with X: one of {names}.", kind="restoration")
@options.sigma
@click.option(
    "--mask",
    metavar="WHAT",
    help="Unknown pixels of X: 'zeros' where it is 0, 'nan' where it is NaN or Inf, or an image "
    "file of weights from 0, unknown, to 1. They are filled.",
)
@click.option(
    "--factor",
    metavar="N",
    type=click.IntRange(min=2),
    help="Super-resolution: how many times smaller X is, or was before it was enlarged.  "
    "[default: what the sizes tell]",
)
@result_options("restoration")
def restore(
    x: Path,
    guide: Path,
    task_name: str,
    sigma: float | None,
    mask: str | None,
    factor: int | None,
    out: Path,
    bit_depth: str | None,
    method: str,
    weights_file: Path | None,
    dictionary: Path | None,
    lam: Lam | None,
    tol: float,
    device: Device,
    parts: Path | None,
    align: bool,
    registered: bool,
    report: Path | None,
) -> None:
    """Restore image X with the help of a registered GUIDE.

    Super-resolution takes X at its own, small size and enlarges it to that of the guide; if both
    have one size, X is taken as enlarged already.

    \b
    mcsc restore small.png photo.png --task depth-sr --mask zeros -o depth.png
    mcsc restore dark.png flash.png --task flash-denoise --sigma 25 -o clean.png
    """  # noqa: D301  (click wants the backspace itself)
    from ..images.carried import warn_of_profiles
    from ..images.enlarging import find_factor
    from ..images.files import read_image
    from ..images.resize import imresize
    from ..images.split import fill_holes
    from ..tasks import find_method, get_task
    from ..tasks import restore as run
    from .inputs import read_mask, require_finite
    from .outputs import make_folder

    check_outputs(out, report, align=align, registered=registered)
    task = get_task(task_name)
    chosen = find_method(method, task, dictionary=dictionary, weights_file=weights_file)
    first, second = read_image(x), read(guide)
    warn_of_profiles([first, second])
    require_room(out, first)
    known = None
    if mask is None:
        require_finite(x, first.pixels, "--mask nan")
    else:
        known = read_mask(mask, first.pixels, x)
    names = (str(x), str(guide))
    size, shape = first.pixels.shape[1:], second.pixels.shape[1:]
    shown = first.pixels if known is None else fill_holes(first.pixels, known)
    if task.factor is not None and size != shape:
        find_factor(size, shape, factor=factor, usual=task.factor, names=names)
        click.echo(f"{x.name}: {size[0]} x {size[1]}, enlarged to {shape[0]} x {shape[1]}")
        shown = imresize(shown, shape)
    other = registered_to(shown, second.pixels, names, align=align, registered=registered)
    if parts is not None:
        make_folder(parts)
    found = run(
        first.pixels, other, task, method=chosen, mask=known, factor=factor, sigma=sigma, lam=lam,
        tol=tol, device=device, progress=show_progress(), names=names,
    )  # fmt: skip
    write(out, found.image, [first], bit_depth)
    made = {"1_common": found.common, "2_unique_x": found.unique, "base": found.base}
    write_parts(parts, made, method)
    if report is not None:
        from .report import report_of_restoration

        report_of_restoration(report, task, x.stem, shown, other, found)
    tell(out, found)
