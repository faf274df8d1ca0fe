"""`mcsc fuse`: several images of one scene in, one image out."""

from __future__ import annotations

from pathlib import Path

import click

from ..types import Device, Lam
from . import options
from .results import (
    check_outputs,
    read,
    registered_to,
    result_options,
    show_progress,
    tell,
    write,
    write_parts,
)


def _rule_names() -> list[str]:
    from ..tasks.rules import RULES

    return list(RULES)


def _rule_words() -> str:
    from ..tasks.rules import RULES

    return "; ".join(f"{name}, {rule.words}" for name, rule in RULES.available().items())


@click.command()
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
@result_options("fusion")
def fuse(
    sources: tuple[Path, ...],
    task_name: str,
    rule: str | None,
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
    """Fuse two or more registered images of one scene into one.

    \b
    mcsc fuse near.png far.png --task multi-focus -o sharp.png
    mcsc fuse over.png under.png --task multi-exposure -o fused.png
    """  # noqa: D301  (click wants the backspace itself)
    if len(sources) < 2:
        raise click.UsageError("want two images or more")
    from ..images.carried import warn_of_profiles
    from ..tasks import find_method, get_task
    from ..tasks import fuse as run
    from .outputs import make_folder

    check_outputs(out, report, align=align, registered=registered)
    task = get_task(task_name)
    chosen = find_method(method, task, dictionary=dictionary, weights_file=weights_file)
    images = [read(path) for path in sources]
    warn_of_profiles(images)
    names = [str(path) for path in sources]
    first = images[0].pixels
    pixels = [first] + [
        registered_to(first, image.pixels, (names[0], name), align=align, registered=registered)
        for image, name in zip(images[1:], names[1:], strict=True)
    ]
    if parts is not None:
        make_folder(parts)
    found = run(
        pixels, task, method=chosen, rule=rule, lam=lam, tol=tol, device=device,
        progress=show_progress(), names=names,
    )  # fmt: skip
    write(out, found.image, images, bit_depth)
    made = {"1_common": found.common, "base": found.base, "weights": found.weights}
    made |= {f"{m + 2}_unique_{m + 1}": part for m, part in enumerate(found.unique)}
    write_parts(parts, made, method)
    if report is not None:
        from .report import report_of_fusion

        report_of_fusion(report, task, [p.stem for p in sources], pixels, found)
    tell(out, found)
