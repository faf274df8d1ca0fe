"""`mcsc restore`: an image and its guide in, one image out."""

from __future__ import annotations

from pathlib import Path

import click

from . import options
from .asked import Asked, shared_options
from .batch import SceneCommand
from .devices.calibrated import calibration_option, read_rig
from .results import (
    PLACED_ANYWHERE,
    Sink,
    registered_to,
    tell,
    words_beyond,
    words_stretched,
    write_parts,
)


@click.command(cls=SceneCommand)
@click.argument("x", metavar="X", type=click.Path(path_type=Path))
@click.argument("guide", metavar="[GUIDE]", required=False, type=click.Path(path_type=Path))
@shared_options(
    "restoration",
    what="Task, by what X lacks: one of {names}.",
    masked="X, or with '2=' of GUIDE",
    ranged="X",
    align="Register the guide to X first, by phase correlation and then optical flow.",
    kept="X",
    own=[
        options.sigma,
        calibration_option,
        click.option(
            "--factor",
            metavar="NUMBER",
            type=click.FloatRange(min=1, min_open=True),
            help="Super-resolution: how many times smaller than the guide X is, or was before it "
            "was enlarged; whole or not.  [default: found from the sizes]",
        ),
    ],
)
def restore(
    asked: Asked,
    x: Path,
    guide: Path | None,
    sigma: float | None,
    calibration: Path | None,
    factor: float | None,
) -> None:
    """Restore image X with the help of a registered GUIDE.

    Super-resolution takes X at its own, smaller size and enlarges it to that of the guide; if both
    are of one size, X counts as enlarged already. Depth may be in any unit, such as millimetres in
    16-bit integers or metres in floating point; the result is in the same unit.

    \b
    mcsc restore mm.png photo.png --task depth-sr --mask zeros -o depth.png
    mcsc restore metres.tif photo.png --task depth-sr --range 0.3 8 -o depth.tif
    mcsc restore raw.png rgb.png --task depth-sr --calibration rig.json -o z.png
    mcsc restore dark.png flash.png --task flash-denoise --sigma 25 -o clean.png

    X may also be a folder of scenes, with files named as for `mcsc evaluate`, or a CSV file with
    the columns x, guide and out; --out is then a folder. Worker processes restore the scenes.
    Scenes whose result exists already are skipped, and those that fail are listed at the end.

    \b
    mcsc restore scenes/ --task depth-sr -o restored/ --workers 2

    Images that need not fit in memory (TIFF, .npy, .zarr) are coded in blocks, as one problem.

    \b
    mcsc restore a.tif b.tif --task flash-denoise --blocks 512 -o huge.tif
    """  # noqa: D301  (click wants the backspace itself)
    from ..images.carried import check_same_place, warn_of_profiles
    from ..images.enlarging import enlarge, find_factor
    from ..tasks import restore as run
    from .devices.calibrated import brought_into
    from .inputs import tell_ranges, with_ranges, words_of_unit

    blocks = asked.in_blocks((x,) if guide is None else (x, guide))
    if blocks is not None:
        blocks.restore(factor=factor, sigma=sigma)
        return
    asked.check_options(2, sigma=sigma, factor=factor)
    rig = read_rig(calibration, asked.task, align=asked.align, factor=factor)
    if asked.run_scenes(x, () if guide is None else (guide,)):
        return
    if guide is None:
        raise click.UsageError(f"want a GUIDE beside {x}, or a folder or a table (.csv) of scenes")
    asked.check_counts(2, ranges=False)
    if len(asked.ranges) > 1:
        raise click.UsageError("--range is for X: give it once")
    if asked.align and 1 in asked.masks:
        raise click.UsageError("--mask 2=... with --align: register the guide and its mask before")
    asked.check_places((x, guide, calibration))
    task, registered = asked.task, asked.registered
    # A sensor's 0 is no distance, and no point.
    first = asked.file(0, x, usual=() if calibration is None else ("zeros", "nan")).read()
    second = asked.file(1, guide).read()
    warn_of_profiles([first.image, second.image])
    if rig is None and not (asked.align or registered):
        places = [given.image.metadata.place for given in (first, second)]
        check_same_place((x, guide), places, PLACED_ANYWHERE)
    if rig is not None:
        assert calibration is not None
        first, factor = brought_into(first, second, rig, calibration)
        registered = True
    [first] = with_ranges(
        [first], asked.ranges, measured=not task.display, sigma=sigma or task.sigma
    )
    [second] = with_ranges([second], (), measured=False)
    sink = Sink.of(asked.out, first, asked.bit_depth)
    names = (str(x), str(guide))
    shown, other = first.shown(), second.shown()
    size, shape = shown.shape[1:], other.shape[1:]
    if task.factor is not None and size != shape:
        times = find_factor(size, shape, factor=factor, usual=task.factor, names=names)
        click.echo(
            f"{x.name}: {size[0]} x {size[1]}, enlarged {times:g} times to {shape[0]} x {shape[1]}"
        )
        shown = enlarge(shown, shape)[0]
    made_of = words_of_unit(first, "the result", sink.dtype, same_unit=sink.same_unit)
    tell_ranges([first, second], [made_of])
    other = registered_to(shown, other, names, align=asked.align, registered=registered)
    found = run(
        first.pixels, other, task, mask=first.mask, guide_mask=second.mask, factor=factor,
        sigma=sigma, value_range=first.value_range, names=names, **asked.how,
    )  # fmt: skip
    said = sink.write(found.image, [first.image], in_place=rig is None)
    said += words_stretched(found.stretched, len(first.pixels))
    if not task.display:
        said += words_beyond(found.image, first)
    made = {"1_common": found.common, "2_unique_x": found.unique, "base": found.base}
    write_parts(asked.parts, made, asked.method)
    if asked.report is not None:
        from .report import report_of_restoration

        report_of_restoration(asked.report, task, x.stem, shown, other, found, first)
    tell(asked.out, found, said)
