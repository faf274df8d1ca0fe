"""`mcsc solve`: decompose the images of the user."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ..errors import InvalidValueError
from ..progress import is_terminal
from ..tasks.task import LAM_RELATIVE, STRENGTH
from ..types import Boundary, Device, Lam
from ..values.ranges import ValueRange
from . import named, options
from .batch import SceneCommand, cluster_options, is_batch, run_batch
from .options import check_counts, mask_option, range_option


@click.command(cls=SceneCommand)
@click.argument(
    "images", metavar="X [Y ...]", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@options.out("mcsc_output")
@click.option(
    "--lam",
    metavar="NUMBERS",
    callback=options.numbers,
    help="The lambda of the objective: one number, or one for each group of codes, separated by "
    "commas, in the order common, unique to X, unique to Y, ...",
)
@click.option(
    "--lam-relative",
    metavar="NUMBER",
    type=click.FloatRange(min=0, max=1, min_open=True),
    help="lam as a share of lambda_max, above which all codes are zero.  "
    f"[default: {LAM_RELATIVE}]",
)
@click.option(
    "--lam-weights",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Numbers > 0 by which lam is multiplied in each pixel, or for each coefficient: an array "
    "(.npy) of the images' height and width, or of (maps, height, width), where an axis of length "
    "1 is repeated; or one array for each group, named common, x, y, ... (.npz; the lam of groups "
    "that are left out stays as it is).",
)
@options.term_options
@click.option(
    "--joint",
    metavar="GROUPS",
    help="Groups whose codes vanish together, named as for --nonnegative; they must have equally "
    "many maps. In every place, lam weighs the root of the sum of their squares.",
)
@click.option(
    "--rounds",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Solve N times: the larger a coefficient is in one round, the smaller is its lam in the "
    "next.",
)
@named.solver
@options.tol
@options.max_iter()
@click.option(
    "--boundary",
    type=click.Choice(["zero", "periodic"]),
    default="zero",
    show_default=True,
    help="The codes outside the image: zero, or a periodic continuation.",
)
@mask_option("image N (X if N is left out)")
@range_option("all images or, repeated, in each of them", result=False)
@options.part_options
@click.option(
    "--grey", is_flag=True, help="Use only the luma of colour images, which takes much less time."
)
@click.option(
    "--low-pass/--no-low-pass",
    default=True,
    show_default=True,
    help="Split off a smooth low-pass part first, and code only the detail that remains.",
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
    help="File of filters, as Dictionary.save or `mcsc learn` wrote it.  [default: cosines of 8 "
    "x 8 pixels]",
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
    help="Number of CPU threads.  [default: one for each core]",
)
@click.option(
    "--codes/--no-codes",
    default=True,
    show_default=True,
    help="Write codes.npz and dictionary.npz, or leave them out.",
)
@cluster_options("process a folder or a table of scenes", "one for each core")
@click.pass_context
def solve(
    ctx: click.Context,
    images: tuple[Path, ...],
    out: Path,
    lam: Lam | None,
    lam_relative: float | None,
    lam_weights: Path | None,
    mu: Any,
    nonnegative: str | None,
    joint: str | None,
    rounds: int,
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

    The images are files of one size: PNG, JPEG, TIFF and many other kinds. The command finds the
    optimum of Eq. 5 of Deng and Dragotti (doi:10.1109/TPAMI.2020.2984244): sparse codes that all
    images share, and sparse codes of each image alone. A single image has only codes of its own.

    \b
    Files in DIR for every image (called x and y, or x1, x2, ... if there are
    more than two), in the values of the image file or, where these are
    integers, as shares of their full scale (255, 65535):
      x_low.tif x_common.tif x_unique.tif   the parts, floating-point TIFF
      x_sum.tif                             their sum, with unknown pixels filled
    Files in DIR for all images together:
      panel.png convergence.png             pictures of parts and convergence
      result.json                           all numbers, versions, arguments
      codes.npz dictionary.npz              for further use in Python

    \b
    mcsc solve depth.png photo.png --grey --mask zeros --out depth
    mcsc solve near.tif far.tif --lam-relative 0.05
    mcsc solve scenes/ --out solved --workers 2

    Instead of images, the argument may be a folder of scenes, with files SCENE_NAME.png of the same
    NAMEs for every scene, or a CSV file with a column for each image and a column out. Each scene
    gets a folder of its own in DIR. Scenes whose result exists already are skipped, and those that
    fail are listed at the end.

    Exit status: 0 if the solver converged, 1 if it did not, 2 if the input was refused, 130 if it
    was interrupted (what was computed is written).
    """  # noqa: D301  (click wants the backspace itself)
    if lam is not None and lam_relative is not None:
        raise click.UsageError("--lam and --lam-relative exclude each other", ctx)
    if strength is not None and not low_pass:
        raise click.UsageError(
            "--strength is for the low-pass part, which --no-low-pass leaves in", ctx
        )
    check_counts(masks, ranges, len(images), {"--page": pages, "--variable": variables})

    from ..model.dictionary import Dictionary

    loaded = None if dictionary is None else Dictionary.load(dictionary)
    if is_batch(images[0], images[1:], scheduler, workers):
        run_batch(images[0], out, task=None, suffix="", scheduler=scheduler, workers=workers)
        return

    from ..backend import require_cuda, set_num_threads
    from ..model.lam import lam_per_map
    from ..model.starter import dct_dictionary
    from ..tasks import decompose
    from ..tasks.decomposition import symbols
    from .destinations import check_destinations
    from .inputs import fitting_dictionary, read_signals, read_weights
    from .outputs import names_of_files, show_lam, show_signals, show_table, write_all

    if threads is not None:
        set_num_threads(threads)
    if device == "cuda":
        require_cuda()
    letters = symbols(len(images))
    check_destinations(
        {}, folders={"--out": out}, inside={"--out": names_of_files(letters, codes=codes)},
        inputs=(*images, dictionary, lam_weights),
    )  # fmt: skip
    if loaded is not None and loaded.n_signals != len(images):
        raise InvalidValueError(
            f"{dictionary} is a dictionary for {loaded.n_signals} images, and "
            f"{len(images)} {'is' if len(images) == 1 else 'are'} given"
        )
    groups = (loaded or dct_dictionary((1,) * len(images))).groups
    names = options.names_of_groups((group.name for group in groups), letters)
    if lam is not None and loaded is not None:
        lam_per_map(lam, {group.name: len(group.bank) for group in groups})
    signs = None
    if nonnegative is not None:
        signs = options.chosen_groups("--nonnegative", nonnegative, names)
    joined = False if joint is None else options.chosen_groups("--joint", joint, names)
    weights = None if lam_weights is None else read_weights(lam_weights, names)
    signals = read_signals(
        images, masks, grey=grey, precision=precision, ranges=ranges, pages=pages,
        variables=variables,
    )  # fmt: skip
    bank = fitting_dictionary(loaded, dictionary, signals)
    show_signals(signals)
    if not low_pass and dictionary is None:
        click.echo("The starter dictionary has no constant filter: without the low-pass part, flat")
        click.echo("areas stay in the error.")
    found = decompose(
        [signal.image for signal in signals],
        bank,
        lam=lam,
        lam_relative=LAM_RELATIVE if lam_relative is None else lam_relative,
        lam_weights=weights,
        mu=mu,
        nonnegative=signs,
        joint=joined,
        rounds=rounds,
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
        progress=is_terminal(sys.stderr),
    )
    show_table(signals, found)
    settings = {**ctx.params, "ranges": [[r.low, r.high] for r in ranges], "command": "solve"}
    write_all(out, signals, bank, found, settings, codes=codes)
    ctx.exit(0 if found.result.converged else 130 if found.interrupted else 1)
