"""`mcsc solve`: decompose the images of the user."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..tasks.task import LAM_RELATIVE, STRENGTH
from ..types import Boundary, Device, Lam
from ..values.ranges import ValueRange
from . import options
from .batch import SceneCommand, cluster_options, is_batch, run_batch
from .options import check_counts, mask_option, range_option


@click.command(cls=SceneCommand)
@click.argument(
    "images", metavar="X Y [Z ...]", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@options.out("mcsc_output")
@click.option(
    "--lam",
    metavar="NUMBERS",
    callback=options.numbers,
    help="The lambda of the objective: one number, or one for each group, separated by commas, in "
    "the order common, unique of X, unique of Y, ...",
)
@click.option(
    "--lam-relative",
    metavar="NUMBER",
    type=click.FloatRange(min=0, max=1, min_open=True),
    help="lam as a share of lambda_max, above which all codes are zero.  "
    f"[default: {LAM_RELATIVE}]",
)
@options.method
@options.tol
@options.max_iter()
@click.option(
    "--boundary",
    type=click.Choice(["zero", "periodic"]),
    default="zero",
    show_default=True,
    help="Codes are zero outside the image, or circular.",
)
@mask_option("image N (1 is X, and may be left out)")
@range_option("all images, or, repeated, of each")
@options.part_options
@click.option("--grey", is_flag=True, help="Take the luma of colour images: much less work.")
@click.option(
    "--low-pass/--no-low-pass",
    default=True,
    show_default=True,
    help="Code only the detail, after taking off a smooth low-pass part.",
)
@click.option(
    "--strength",
    metavar="NUMBER",
    type=click.FloatRange(min=0, min_open=True),
    help="Smoothness of the low-pass part, in squared pixels: structures much smaller than "
    f"2 pi sqrt(strength) pixels are detail.  [default: {STRENGTH:g}]",
)
@click.option(
    "--dictionary",
    metavar="FILE.npz",
    type=click.Path(path_type=Path),
    help="Filters, as Dictionary.save wrote them.  [default: cosines of 8 x 8]",
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "float64"]),
    default="float32",
    show_default=True,
    help="Precision of the solver; the certificate is always float64.",
)
@options.device
@click.option(
    "--threads",
    metavar="N",
    type=click.IntRange(min=1),
    help="Threads of the CPU.  [default: one a core]",
)
@click.option(
    "--codes/--no-codes",
    default=True,
    show_default=True,
    help="Write codes.npz and dictionary.npz.",
)
@cluster_options
@click.pass_context
def solve(
    ctx: click.Context,
    images: tuple[Path, ...],
    out: Path,
    lam: Lam | None,
    lam_relative: float | None,
    method: str,
    tol: float,
    max_iter: int | None,
    boundary: Boundary,
    masks: dict[int, tuple[str, ...]],
    ranges: tuple[ValueRange, ...],
    pages: dict[int, int],
    variables: dict[int, str],
    grey: bool,
    low_pass: bool,
    strength: float | None,
    dictionary: Path | None,
    precision: str,
    device: Device,
    threads: int | None,
    codes: bool,
    scheduler: str | None,
    workers: int | None,
) -> None:
    """Decompose registered images of one scene.

    PNG, JPEG, BMP or TIFF files of one size. Finds the optimum of Eq. 5 of Deng and Dragotti
    (doi:10.1109/TPAMI.2020.2984244): one sparse code that the images share and one for each of
    them. A single image has its own only.

    \b
    Written to DIR, for every image (x and y; x1, x2, ... of more than two):
      x_low.tif x_common.tif x_unique.tif   the parts, float TIFF
      x_sum.tif                             their sum, holes filled
    in the values of the file, or, where these are integers, in shares of its
    full scale (255, 65535);
    and of all together:
      panel.png convergence.png             pictures
      result.json                           every number, versions, arguments
      codes.npz dictionary.npz              to go on with in Python

    \b
    mcsc solve depth.png photo.png --grey --mask zeros --out depth
    mcsc solve near.tif far.tif --lam-relative 0.05
    mcsc solve scenes/ --out solved --workers 2

    Instead of images: a folder of scenes, files SCENE_NAME.png with the same names for all, or a
    CSV file with a column for each image and a column out. Each has a folder in DIR; those that are
    there already are skipped, and those that fail are listed at the end.

    Exit status: 0 converged, 1 not, 2 refused, 130 interrupted (what was computed is written).
    """  # noqa: D301  (click wants the backspace itself)
    if lam is not None and lam_relative is not None:
        raise click.UsageError("--lam and --lam-relative exclude each other", ctx)
    if strength is not None and not low_pass:
        raise click.UsageError(
            "--strength is for the low-pass part, which --no-low-pass leaves in", ctx
        )
    check_counts(masks, ranges, len(images), {"--page": pages, "--variable": variables})

    if is_batch(images[0], images[1:], scheduler, workers):
        run_batch(images[0], out, task=None, suffix="", scheduler=scheduler, workers=workers)
        return

    from ..backend import set_num_threads
    from ..tasks import decompose
    from .destinations import check_destinations
    from .inputs import read_dictionary, read_signals
    from .outputs import names_of_files, show_lam, show_signals, show_table, write_all

    if threads is not None:
        set_num_threads(threads)
    signals = read_signals(
        images, masks, grey=grey, precision=precision, ranges=ranges, pages=pages,
        variables=variables,
    )  # fmt: skip
    bank = read_dictionary(dictionary, signals)
    check_destinations(
        {}, folders={"--out": out}, inside={"--out": names_of_files(signals, codes=codes)},
        inputs=(*images, dictionary),
    )  # fmt: skip
    show_signals(signals)
    if not low_pass and dictionary is None:
        click.echo("The starter dictionary has no constant filter: without the low-pass part, flat")
        click.echo("areas stay in the error.")
    found = decompose(
        [signal.image for signal in signals],
        bank,
        lam=lam,
        lam_relative=LAM_RELATIVE if lam_relative is None else lam_relative,
        masks=[signal.mask for signal in signals],
        value_ranges=[signal.value_range for signal in signals],
        strength=(STRENGTH if strength is None else strength) if low_pass else None,
        labels=[signal.label for signal in signals],
        method=method,
        boundary=boundary,
        tol=tol,
        max_iter=max_iter,
        device=device,
        announce=lambda chosen, largest: show_lam(bank, chosen, largest, relative=lam is None),
        progress=sys.stderr.isatty(),
    )
    show_table(signals, found)
    settings = {**ctx.params, "ranges": [[r.low, r.high] for r in ranges], "command": "solve"}
    write_all(out, signals, bank, found, settings, codes=codes)
    ctx.exit(0 if found.result.converged else 130 if found.interrupted else 1)
