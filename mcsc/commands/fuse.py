"""`mcsc fuse`: several images of one scene in, one image out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from ..errors import InvalidValueError
from ..fusion import JOINTLY
from ..types import Floats
from ..values.ranges import ValueRange
from .asked import Asked, shared_options
from .batch import SceneCommand
from .named import rule_option
from .results import PLACED_ANYWHERE, Sink, check_registered, tell, write_parts

if TYPE_CHECKING:
    from ..tasks import Fusion
    from .inputs import Given, SourceFile


@click.command(cls=SceneCommand)
@click.argument(
    "sources", metavar="X Y [Z ...]", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@shared_options(
    "fusion",
    what="Task, by the kind of the images: one of {names}.",
    masked="source N (X if N is left out)",
    ranged="all sources or, repeated, in each of them",
    align="Register the sources first, for the shift, rotation and tilt of a hand-held camera "
    "and the change of scale of its lens. Two are registered to the first, more to the one in "
    "the middle.",
    kept="the first of two sources, or, of more, the one of middle brightness",
    own=[
        rule_option,
        click.option(
            "--depth",
            metavar="FILE",
            type=click.Path(path_type=Path),
            help="Image to write of the number of the source that the rule chose at each pixel, "
            "counted from 0 in the order of the sources: for a focus stack, the frame that is "
            "sharpest there. For rules that choose a source. .png or .tif.",
        ),
        click.option(
            "--crop",
            is_flag=True,
            help="With --align: keep only the part that all sources show. Otherwise, borders "
            "that some sources do not show are taken from the others.",
        ),
    ],
)
def fuse(
    asked: Asked, sources: tuple[Path, ...], rule: str | None, depth: Path | None, crop: bool
) -> None:
    """Fuse two or more registered images of one scene into one.

    Any number of images may be given, in any order; more than eight are read and coded one at a
    time.

    \b
    mcsc fuse near.png far.png --task multi-focus -o sharp.png
    mcsc fuse over.png under.png --task multi-exposure -o fused.png
    mcsc fuse *.jpg --task multi-focus --align --crop --depth z.png -o sharp.jpg
    mcsc fuse t1.nii.gz t2.nii.gz --task medical -o fused.nii.gz
    mcsc fuse a.tif b.tif --task multi-focus --mask alpha --mask 2=alpha -o z.tif

    Instead of images, the argument may be a folder of scenes, with files named as for `mcsc
    evaluate`, or a CSV file with a column for each image and a column out; --out is then a folder.
    Worker processes fuse the scenes. Scenes whose result exists already are skipped, and those that
    fail are listed at the end.

    \b
    mcsc fuse scenes/ --task multi-focus -o fused/ --workers 2

    Images that need not fit in memory (TIFF, .npy, .zarr) are coded in blocks, as one problem.

    \b
    mcsc fuse near.tif far.tif --task multi-focus --blocks 512 -o huge.tif
    """  # noqa: D301  (click wants the backspace itself)
    from ..alignment.stacks import align_stack
    from ..images.carried import check_same_place, warn_of_profiles
    from ..images.files import write_samples
    from ..tasks import fuse as run
    from ..tasks.methods import check_rule, chooses
    from .devices.volumes import fuse_volumes, has_volumes
    from .inputs import tell_ranges, words_of_unit

    blocks = asked.in_blocks(sources)
    if blocks is not None:
        blocks.fuse(rule=rule)
        return
    # A folder holds scenes of two, a table of any number.
    asked.check_options(max(2, len(sources)), rule=rule)
    table = len(sources) == 1 and sources[0].suffix.lower() == ".csv"
    check_rule(asked.chosen, None if table else max(2, len(sources)), rule)
    volumes = len(sources) > 1 and not asked.pages and has_volumes(sources)
    if not volumes and asked.run_scenes(sources[0], sources[1:], single=("depth", "crop")):
        return
    if len(sources) < 2:
        raise click.UsageError("want two images or more, or a folder or a table (.csv) of scenes")
    if crop and not asked.align:
        raise click.UsageError("--crop goes with --align: it cuts off the borders that this leaves")
    asked.check_counts(len(sources))
    if volumes:
        refused = {
            "--parts": asked.parts, "--report": asked.report, "--align": asked.align,
            "--registered": asked.registered, "--depth": depth,
            "--variable": asked.variables, "--scheduler": asked.scheduler,
            "--workers": asked.workers,
        }  # fmt: skip
        fuse_volumes(
            sources, asked.out, asked.ranges, overwrite=asked.overwrite,
            bit_depth=asked.bit_depth, masks=asked.masks, refused=refused, task=asked.task_name,
            rule=rule, **asked.how,
        )  # fmt: skip
        return
    asked.check_places(sources, depth)
    task, method = asked.task, asked.chosen
    if depth is not None and not chooses(method, rule, len(sources)):
        raise click.UsageError(
            f"--depth: {asked.method} does not choose between sources as it is asked to; want "
            "a method and a rule that do, as --method mcsc --rule choose"
        )
    files = [asked.file(m, path) for m, path in enumerate(sources)]
    given, frames, known = _opened(files, asked.ranges, together=task.one_unit)
    images = [g.image for g in given]
    warn_of_profiles(images)
    if not (asked.align or asked.registered):
        check_same_place(sources, [image.metadata.place for image in images], PLACED_ANYWHERE)
    sink = Sink.of(asked.out, given[0], asked.bit_depth)
    made_of = words_of_unit(given[0], "the result", sink.dtype, same_unit=sink.same_unit)
    tell_ranges(given, [made_of])
    names = [str(path) for path in sources]
    if asked.align:
        # The result of two lies on the first; of more, errors are smallest from the middle.
        aligned = align_stack(
            frames, reference=0 if len(frames) == 2 else None, crop=crop, known=known, names=names
        )
        for m in range(len(frames)):
            click.echo(aligned.describe(m))
        frames, known = aligned, aligned.masks
    elif not asked.registered:
        check_registered(frames, names, known)
    found = run(frames, task, rule=rule, masks=known, value_range=(0, 1), names=names, **asked.how)
    found = _in_unit(found, given[0].value_range)
    if depth is not None:
        if found.index is None:
            raise InvalidValueError(f"--depth: {asked.method} did not say which source it chose")
        kind = np.uint8 if len(frames) <= 256 else np.uint16
        write_samples(depth, found.index.astype(kind)[None])
    # Of more than two, what is aligned lies on the one in the middle.
    in_place = not asked.align or (len(frames) == 2 and not crop)
    said = sink.write(found.image, images, in_place=in_place)
    made = {"1_common": found.common, "base": found.base, "weights": found.weights}
    made |= {f"{m + 2}_unique_{m + 1}": part for m, part in enumerate(found.unique)}
    write_parts(asked.parts, made, asked.method)
    if asked.report is not None:
        from .report import report_of_fusion

        report_of_fusion(asked.report, task, [p.stem for p in sources], frames, found, given[0])
    tell(asked.out, found, said)


def _opened(
    files: Sequence[SourceFile], ranges: Sequence[ValueRange], *, together: bool
) -> tuple[Sequence[Given], Sequence[Floats], Sequence[Any]]:
    """What is known of the files; their pixels in [0, 1] and their masks: a few are in memory."""
    from .inputs import open_frames, with_ranges

    if len(files) > JOINTLY:
        frames = open_frames(files, ranges, together=together)
        return frames.given, frames, frames.masks
    given = with_ranges([f.read() for f in files], ranges, measured=False, together=together)
    return given, [g.shown() for g in given], [g.mask for g in given]


def _in_unit(found: Fusion, values: ValueRange) -> Fusion:
    """What was fused in [0, 1], in the unit of the first source."""

    def part(image: Floats | None) -> Floats | None:
        return None if image is None else values.restored_part(image)

    return replace(
        found,
        image=values.restored(found.image),
        base=None if found.base is None else values.restored(found.base),
        common=part(found.common),
        unique=tuple(part(u) for u in found.unique),
    )
