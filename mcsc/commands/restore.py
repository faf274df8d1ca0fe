"""`mcsc restore`: an image and its guide in, one image out."""

from __future__ import annotations

from pathlib import Path

import click

from ..types import Device, Lam
from ..values.ranges import ValueRange
from . import options
from .batch import SceneCommand, cluster_options, is_batch, run_batch
from .devices.calibrated import calibration_option, check_calibration
from .options import check_counts, mask_option, range_option
from .results import (
    Sink,
    check_outputs,
    registered_to,
    result_options,
    show_progress,
    tell,
    write_parts,
)


@click.command(cls=SceneCommand)
@click.argument("x", metavar="X", type=click.Path(path_type=Path))
@click.argument("guide", metavar="[GUIDE]", required=False, type=click.Path(path_type=Path))
@options.task("What is wrong with X: one of {names}.", kind="restoration")
@options.sigma
@mask_option("X, or with '2=' of GUIDE")
@range_option("X")
@options.part_options
@calibration_option
@click.option(
    "--factor",
    metavar="N",
    type=click.IntRange(min=2),
    help="Super-resolution: how many times smaller X is, or was before it was enlarged.  "
    "[default: what the sizes tell]",
)
@result_options("restoration")
@cluster_options
def restore(
    x: Path,
    guide: Path | None,
    task_name: str,
    sigma: float | None,
    masks: dict[int, tuple[str, ...]],
    ranges: tuple[ValueRange, ...],
    pages: dict[int, int],
    variables: dict[int, str],
    calibration: Path | None,
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
    overwrite: bool,
    scheduler: str | None,
    workers: int | None,
) -> None:
    """Restore image X with the help of a registered GUIDE.

    Super-resolution takes X at its own, small size and enlarges it to that of the guide; if both
    have one size, X is taken as enlarged already. Depth may be in any unit, as millimetres in 16
    bits or metres as floats, and comes back in it.

    \b
    mcsc restore mm.png photo.png --task depth-sr --mask zeros -o depth.png
    mcsc restore metres.tif photo.png --task depth-sr --range 0.3 8 -o depth.tif
    mcsc restore raw.png rgb.png --task depth-sr --calibration rig.json -o z.png
    mcsc restore dark.png flash.png --task flash-denoise --sigma 25 -o clean.png

    X may be a folder of scenes, with files as for `mcsc evaluate`, or a CSV file with the columns
    x, guide, out; --out is a folder then. Workers restore the scenes; those that are there already
    are skipped, and those that fail are listed at the end.

    \b
    mcsc restore scenes/ --task depth-sr -o restored/ --workers 2
    """  # noqa: D301  (click wants the backspace itself)
    from ..images.carried import warn_of_profiles
    from ..images.enlarging import find_factor
    from ..images.resize import imresize
    from ..tasks import find_method, get_task
    from ..tasks import restore as run
    from .devices.calibrated import brought_into
    from .inputs import read_given, tell_ranges, with_ranges

    if is_batch(x, () if guide is None else (guide,), scheduler, workers):
        run_batch(
            x, out, task=get_task(task_name), suffix=None,
            refused=("parts", "report", "overwrite"), scheduler=scheduler, workers=workers,
        )  # fmt: skip
        return
    if guide is None:
        raise click.UsageError(f"want a GUIDE beside {x}, or a folder or a table of scenes")
    inputs = (x, guide, dictionary, weights_file, calibration)
    check_counts(masks, (), 2, {"--page": pages, "--variable": variables})
    if len(ranges) > 1:
        raise click.UsageError("--range is for X: give it once")
    check_outputs(
        out, parts, report, inputs, align=align, registered=registered, overwrite=overwrite
    )
    task = get_task(task_name)
    chosen = find_method(method, task, dictionary=dictionary, weights_file=weights_file)
    check_calibration(calibration, task, align=align, factor=factor)
    # A sensor's 0 is no distance, and no point.
    usual = () if calibration is None else ("zeros", "nan")
    first = read_given(x, masks.get(0, usual), page=pages.get(0), variable=variables.get(0))
    second = read_given(
        guide, masks.get(1, ()), option="--mask 2=nan", page=pages.get(1), variable=variables.get(1)
    )
    warn_of_profiles([first.image, second.image])
    if calibration is not None:
        first, factor = brought_into(first, second, calibration)
        registered = True
    [first] = with_ranges([first], ranges, measured=not task.display, sigma=sigma or task.sigma)
    [second] = with_ranges([second], (), measured=False)
    sink = Sink.of(out, first, bit_depth)
    names = (str(x), str(guide))
    shown, other = first.shown(), second.shown()
    size, shape = shown.shape[1:], other.shape[1:]
    if task.factor is not None and size != shape:
        find_factor(size, shape, factor=factor, usual=task.factor, names=names)
        click.echo(f"{x.name}: {size[0]} x {size[1]}, enlarged to {shape[0]} x {shape[1]}")
        shown = imresize(shown, shape)
    tell_ranges([first, second])
    if align and second.mask is not None:
        raise click.UsageError("--mask 2=... with --align: register the guide and its mask before")
    other = registered_to(shown, other, names, align=align, registered=registered)
    found = run(
        first.pixels, other, task, method=chosen, mask=first.mask, guide_mask=second.mask,
        factor=factor, sigma=sigma, lam=lam, tol=tol, value_range=first.value_range, device=device,
        progress=show_progress(), names=names,
    )  # fmt: skip
    said = sink.write(found.image, [first.image])
    made = {"1_common": found.common, "2_unique_x": found.unique, "base": found.base}
    write_parts(parts, made, method)
    if report is not None:
        from .report import report_of_restoration

        report_of_restoration(report, task, x.stem, shown, other, found, first)
    tell(out, found, said)
