"""`mcsc restore` and `mcsc fuse`: the user's files in, one image out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from ..errors import InvalidValueError
from . import options

if TYPE_CHECKING:
    from ..images.files import Image

_RESTORATIONS = ("depth-sr", "multispectral-sr", "flash-denoise")
_DISPLACED = 3.0
"""Pixels; a shift that is known with confidence and at least this is refused."""
_FUSIONS = ("multi-exposure", "multi-focus", "medical")


def _common(command: Any) -> Any:
    for option in reversed(
        (
            click.option(
                "--out", "-o", metavar="FILE", required=True, type=click.Path(path_type=Path),
                help="Image to write: .png, .tif or .jpg.",
            ),
            click.option(
                "--bit-depth", type=click.Choice(["8", "16"]), default=None,
                help="Of the image that is written.  [default: that of X]",
            ),
            click.option(
                "--method", metavar="NAME", default="mcsc", show_default=True,
                help="mcsc, the model of this package, or one that another package adds, as "
                "cunet.",
            ),
            click.option(
                "--weights", metavar="FILE", type=click.Path(path_type=Path),
                help="Of such a method.  [default: those that come with it]",
            ),
            click.option(
                "--dictionary", metavar="FILE.npz", type=click.Path(path_type=Path),
                help="As `mcsc learn` wrote it.  [default: the task's, which comes with mcsc]",
            ),
            click.option(
                "--lam", metavar="NUMBER", type=click.FloatRange(min=0, min_open=True),
                help="Weight of the l1 norm.  [default: what the dictionary was learned with]",
            ),
            options.tol,
            click.option(
                "--split", "split", metavar="DIR", type=click.Path(path_type=Path),
                help="Folder for the parts that the image is the sum of (Points 1 to 3), as float "
                "TIFF.",
            ),
            click.option(
                "--align", is_flag=True,
                help="Register the other image to the first: by phase correlation, then optical "
                "flow.",
            ),
            click.option(
                "--report", metavar="FILE.html", type=click.Path(path_type=Path),
                help="A page with the pictures, to be opened in a browser.",
            ),
        )
    ):  # fmt: skip
        command = option(command)
    return command


@click.command()
@click.argument("x", metavar="X", type=click.Path(path_type=Path))
@click.argument("guide", metavar="GUIDE", type=click.Path(path_type=Path))
@click.option(
    "--task",
    "task_name",
    type=click.Choice(_RESTORATIONS),
    required=True,
    help="What is wrong with X.",
)
@options.sigma
@_common
def restore(
    x: Path,
    guide: Path,
    task_name: str,
    sigma: float | None,
    out: Path,
    bit_depth: str | None,
    method: str,
    weights: Path | None,
    dictionary: Path | None,
    lam: float | None,
    tol: float,
    split: Path | None,
    align: bool,
    report: Path | None,
) -> None:
    """Restore image X with the help of a registered GUIDE.

    Super-resolution takes X at its own, small size and enlarges it to that of the guide; if both
    have one size, X is taken as enlarged already.

    \b
    mcsc restore depth_small.png photo.png --task depth-sr -o depth.png
    mcsc restore dark.png flash.png --task flash-denoise --sigma 25 -o clean.png
    """  # noqa: D301  (click wants the backspace itself)
    from ..tasks.restoration import is_sharp
    from ..tasks.restoration import restore as run
    from ..tasks.task import get_task

    task = get_task(task_name)
    if sigma is not None and task.sigma is None:
        raise click.UsageError(f"--sigma is for flash-denoise, not for {task_name}")
    first, second = _read(x), _read(guide)
    foreign = _foreign(task, method, weights, dictionary=dictionary, lam=lam, split=split,
                       report=report)  # fmt: skip
    filters = _dictionary(dictionary, task_name) if foreign is None else None
    _check_output(out, split, report)
    image, factor = first.pixels, task.factor
    if factor is not None:
        image = _enlarge(image, second.pixels, x, guide)
        if image.shape == first.pixels.shape and is_sharp(image, factor):
            click.echo(
                f"mcsc: warning: {x} is as large as {guide} and sharper than an image that was "
                f"enlarged {factor} times; such an image, or its small original, is what "
                f"{task_name} expects",
                err=True,
            )
        if image.shape != first.pixels.shape:
            factor = round(image.shape[1] / first.pixels.shape[1])
    other = _registered(second.pixels, image, guide, x, align)
    if foreign is not None:
        if factor != task.factor:
            raise InvalidValueError(
                f"{method} enlarges {task.factor} times, {x} is {factor} times smaller than {guide}"
            )
        _write_foreign(out, foreign(image, other, sigma=sigma or task.sigma), first, bit_depth)
        return
    assert filters is not None
    found = run(
        image, other, filters, task, lam=lam, sigma=sigma, factor=factor, tol=tol, progress=_bar()
    )
    _write(out, found.image, first, bit_depth)
    parts = {"1_common": found.common, "2_unique_x": found.unique, "base": found.base}
    _write_parts(split, parts)
    _tell(out, found)
    if report is not None:
        from .report import report_of_restoration

        report_of_restoration(report, task, x.stem, image, other, found)
    if not found.converged:
        click.get_current_context().exit(1)


@click.command()
@click.argument(
    "sources", metavar="X Y [Z ...]", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--task", "task_name", type=click.Choice(_FUSIONS), required=True, help="What the images are."
)
@click.option(
    "--rule",
    type=click.Choice(["choose", "detail", "sum", "targets"]),
    help="How the parts become one image: every pixel, or its detail, from the source that is "
    "more active there, the sum of all parts, or learned target filters.  [default: the "
    "dictionary's]",
)
@_common
def fuse(
    sources: tuple[Path, ...],
    task_name: str,
    rule: str | None,
    out: Path,
    bit_depth: str | None,
    method: str,
    weights: Path | None,
    dictionary: Path | None,
    lam: float | None,
    tol: float,
    split: Path | None,
    align: bool,
    report: Path | None,
) -> None:
    """Fuse two or more registered images of one scene into one.

    \b
    mcsc fuse near.png far.png --task multi-focus -o sharp.png
    mcsc fuse over.png under.png --task multi-exposure -o fused.png
    """  # noqa: D301  (click wants the backspace itself)
    if len(sources) < 2:
        raise click.UsageError("want two images or more")
    from ..tasks.fusion import fuse as run
    from ..tasks.task import get_task

    images = [_read(path) for path in sources]
    for path, image in zip(sources, images, strict=True):
        if len(image.pixels) not in (1, 3):
            raise InvalidValueError(f"{path} has {len(image.pixels)} channels; want 1 or 3")
    task = get_task(task_name)
    foreign = _foreign(task, method, weights, dictionary=dictionary, lam=lam, split=split,
                       report=report, rule=rule)  # fmt: skip
    filters = _dictionary(dictionary, task_name) if foreign is None else None
    _check_output(out, split, report)
    first = images[0].pixels
    pixels = [first] + [
        _registered(i.pixels, first, path, sources[0], align)
        for i, path in zip(images[1:], sources[1:], strict=True)
    ]
    if foreign is not None:
        fused = pixels[0]
        for other in pixels[1:]:
            fused = foreign(fused, other)
        _write_foreign(out, fused, images[0], bit_depth)
        return
    assert filters is not None
    found = run(pixels, filters, task, rule=rule, lam=lam, tol=tol, progress=_bar())
    _write(out, found.image, images[0], bit_depth)
    parts = {"1_common": found.common, "base": found.base} | {
        f"{m + 2}_unique_{m + 1}": u for m, u in enumerate(found.unique)
    }
    if found.weights is not None:
        parts["weights"] = found.weights
    _write_parts(split, parts)
    _tell(out, found)
    if report is not None:
        from .report import report_of_fusion

        report_of_fusion(report, task, [p.stem for p in sources], pixels, found)
    if not found.converged:
        click.get_current_context().exit(1)


def _read(path: Path) -> Image:
    from ..images.files import read_image

    image = read_image(path)
    if not np.isfinite(image.pixels).all():
        raise InvalidValueError(f"{path} holds NaN or Inf")
    return image


def _dictionary(path: Path | None, task: str) -> Any:
    from ..model.dictionary import Dictionary
    from ..tasks.shipped import load_pretrained

    return load_pretrained(task) if path is None else Dictionary.load(path)


def _foreign(task: Any, method: str, weights: Path | None, **own: Any) -> Any:
    """Return a method of another package, None for this one's, or refuse what does not fit it."""
    if method == "mcsc":
        if weights is not None:
            raise click.UsageError("--weights are for another method; mcsc takes --dictionary")
        return None
    from ..tasks.methods import resolve_method

    for name, value in own.items():
        if value is not None:
            raise click.UsageError(f"--{name} is for the method mcsc, not for {method}")
    return resolve_method(method, task, weights)


def _write_foreign(out: Path, image: Any, source: Image, bit_depth: str | None) -> None:
    _write(out, image, source, bit_depth)
    click.echo(f"{out}: {image.shape[1]} x {image.shape[2]}")


def _check_output(out: Path, split: Path | None, report: Path | None) -> None:
    """Refuse before the work what could not be written after it."""
    if out.suffix.lower() not in (".png", ".tif", ".tiff", ".jpg", ".jpeg"):
        raise InvalidValueError(f"--out {out}: want a name that ends in .png, .tif or .jpg")
    for path in (out, report):
        if path is not None and not path.resolve().parent.is_dir():
            raise InvalidValueError(f"{path}: there is no folder {path.resolve().parent}")
    if split is not None:
        from .outputs import make_folder

        make_folder(split)


def _enlarge(image: Any, guide: Any, path: Path, guide_path: Path) -> Any:
    """Bicubic to the guide's size, if the guide is larger by one factor on both axes."""
    from ..images.resize import imresize

    (h, w), (tall, wide) = image.shape[1:], guide.shape[1:]
    if (h, w) == (tall, wide):
        return image
    factor = round(tall / h)
    if factor < 2 or abs(tall - factor * h) >= factor or abs(wide - factor * w) >= factor:
        raise InvalidValueError(
            f"{path} is {h} x {w}, {guide_path} is {tall} x {wide}: want the guide as large, or "
            "larger by one whole factor on both axes"
        )
    click.echo(f"{path.name}: {h} x {w}, enlarged to {tall} x {wide}")
    return imresize(image, (tall, wide))


def _registered(moving: Any, reference: Any, path: Path, first: Path, align: bool) -> Any:
    """Return the image on the grid of the first, or refuse one that is not registered."""
    from ..images.registration import CONFIDENT, estimate_shift
    from ..images.registration import align as register

    if moving.shape[1:] != reference.shape[1:]:
        (h, w), (tall, wide) = moving.shape[1:], reference.shape[1:]
        if not align:
            raise InvalidValueError(
                f"{path} is {h} x {w}, {first} is {tall} x {wide}: want registered images of one "
                "size; --align brings the one to the other's size and registers it"
            )
        from ..images.resize import imresize

        moving = imresize(moving, (tall, wide))
        click.echo(f"{path.name}: resized from {h} x {w} to {tall} x {wide}")
    if align:
        found = register(moving, reference, flow=True)
        click.echo(f"{path.name}: {found.description}")
        return found.image
    shift = estimate_shift(moving, reference)
    if shift.confidence >= CONFIDENT and max(abs(shift.rows), abs(shift.columns)) >= _DISPLACED:
        raise InvalidValueError(
            f"{path} is shifted against {first} by about {shift.rows:.0f} rows and "
            f"{shift.columns:.0f} columns; --align registers it"
        )
    return moving


def _write(out: Path, image: Any, source: Image, bit_depth: str | None) -> None:
    from ..images.files import write_image

    depth = int(bit_depth) if bit_depth else 16 if source.bit_depth > 8 else 8
    if out.suffix.lower() in (".jpg", ".jpeg"):
        depth = 8
    write_image(out, image, bit_depth=depth)


def _write_parts(folder: Path | None, parts: dict[str, Any]) -> None:
    from ..images.files import write_image

    if folder is None:
        return
    for name, image in parts.items():
        if image is not None:
            write_image(folder / f"{name}.tif", image, bit_depth=32)


def _tell(out: Path, found: Any) -> None:
    click.echo(
        f"{out}: lam {found.lam:.3g}, {100 * found.nonzero:.2g} % of the coefficients nonzero, "
        f"certified gap {found.gap:.1e}, {found.seconds:.1f} s"
    )
    if not found.converged:
        click.echo("mcsc: warning: the gap did not reach --tol", err=True)


def _bar() -> bool:
    return sys.stderr.isatty()
