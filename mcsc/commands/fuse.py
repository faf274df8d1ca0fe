"""`mcsc fuse`: several images of one scene in, one image out."""

from __future__ import annotations

from pathlib import Path

import click

from ..types import Device, Lam
from ..values.ranges import ValueRange
from . import options
from .batch import SceneCommand, cluster_options, is_batch, run_batch
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


def _rule_names() -> list[str]:
    from ..tasks.rules import RULES

    return list(RULES)


def _rule_words() -> str:
    from ..tasks.rules import RULES

    return "; ".join(f"{name}, {rule.words}" for name, rule in RULES.available().items())


@click.command(cls=SceneCommand)
@click.argument(
    "sources", metavar="X Y [Z ...]", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@options.task("What the images are: one of {names}.", kind="fusion")
@click.option(
    "--rule",
    metavar="RULE",
    cls=options.ListedOption,
    type=options.Listed(_rule_names),
    names=_rule_words,
    help="Of mcsc: how the parts become one image: {names}.  [default: the dictionary's]",
)
@mask_option("source N (1 is X, and may be left out)")
@range_option("all sources, or, repeated, of each")
@options.part_options
@result_options("fusion")
@cluster_options
def fuse(
    sources: tuple[Path, ...],
    task_name: str,
    rule: str | None,
    masks: dict[int, tuple[str, ...]],
    ranges: tuple[ValueRange, ...],
    pages: dict[int, int],
    variables: dict[int, str],
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
    """Fuse two or more registered images of one scene into one.

    \b
    mcsc fuse near.png far.png --task multi-focus -o sharp.png
    mcsc fuse over.png under.png --task multi-exposure -o fused.png
    mcsc fuse t1.nii.gz t2.nii.gz --task medical -o fused.nii.gz
    mcsc fuse a.tif b.tif --task multi-focus --mask alpha --mask 2=alpha -o z.tif

    Instead of images: a folder of scenes, with files as for `mcsc evaluate`, or a CSV file with a
    column for each image and a column out; --out is a folder then. Workers fuse the scenes; those
    that are there already are skipped, and those that fail are listed at the end.

    \b
    mcsc fuse scenes/ --task multi-focus -o fused/ --workers 2
    """  # noqa: D301  (click wants the backspace itself)
    from ..images.carried import warn_of_profiles
    from ..tasks import find_method, get_task
    from ..tasks import fuse as run
    from .devices.volumes import fuse_volumes, has_volumes
    from .inputs import read_given, tell_ranges, with_ranges

    volumes = len(sources) > 1 and not pages and has_volumes(sources)
    if not volumes and is_batch(sources[0], sources[1:], scheduler, workers):
        run_batch(
            sources[0], out, task=get_task(task_name), suffix=None,
            refused=("parts", "report", "overwrite"), scheduler=scheduler, workers=workers,
        )  # fmt: skip
        return
    if len(sources) < 2:
        raise click.UsageError("want two images or more, or a folder or a table of scenes")
    inputs = (*sources, dictionary, weights_file)
    check_counts(masks, ranges, len(sources), {"--page": pages, "--variable": variables})
    if volumes:
        refused = {
            "--parts": parts, "--report": report, "--align": align, "--bit-depth": bit_depth,
            "--mask": masks, "--variable": variables, "--scheduler": scheduler,
            "--workers": workers,
        }  # fmt: skip
        fuse_volumes(
            sources, out, ranges, overwrite=overwrite, refused=refused, task=task_name,
            method=find_method(
                method, get_task(task_name), dictionary=dictionary, weights_file=weights_file
            ),
            rule=rule, lam=lam, tol=tol, device=device, progress=show_progress(),
        )  # fmt: skip
        return
    check_outputs(
        out, parts, report, inputs, align=align, registered=registered, overwrite=overwrite
    )
    task = get_task(task_name)
    chosen = find_method(method, task, dictionary=dictionary, weights_file=weights_file)
    given = [
        read_given(
            path,
            masks.get(m, ()),
            option=f"--mask {m + 1}=nan",
            page=pages.get(m),
            variable=variables.get(m),
        )
        for m, path in enumerate(sources)
    ]
    images = [g.image for g in given]
    warn_of_profiles(images)
    given = with_ranges(given, ranges, measured=False, together=task.one_unit)
    sink = Sink.of(out, given[0], bit_depth)
    tell_ranges(given)
    if align and any(g.mask is not None for g in given[1:]):
        raise click.UsageError("--mask of a source with --align: register it and its mask before")
    names = [g.name for g in given]
    # The others in [0, 1]: the result is in the unit of the first.
    shown = [given[0].shown()]
    shown += [
        registered_to(shown[0], g.shown(), (names[0], g.name), align=align, registered=registered)
        for g in given[1:]
    ]
    found = run(
        [given[0].pixels, *shown[1:]], task, method=chosen, rule=rule, lam=lam, tol=tol,
        masks=[g.mask for g in given],
        value_range=[given[0].value_range] + [(0, 1)] * (len(given) - 1), device=device,
        progress=show_progress(), names=names,
    )  # fmt: skip
    said = sink.write(found.image, images)
    made = {"1_common": found.common, "base": found.base, "weights": found.weights}
    made |= {f"{m + 2}_unique_{m + 1}": part for m, part in enumerate(found.unique)}
    write_parts(parts, made, method)
    if report is not None:
        from .report import report_of_fusion

        report_of_fusion(report, task, [p.stem for p in sources], shown, found, given[0])
    tell(out, found, said)
