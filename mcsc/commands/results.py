"""What `mcsc restore` and `mcsc fuse` share: options, reading, registering, writing, telling."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import numpy as np

from ..errors import InvalidValueError
from ..images.suffixes import MANY_BANDS, WRITABLE
from ..tasks.task import TASKS
from ..types import Kind
from . import options

if TYPE_CHECKING:
    from ..images.files import Image
    from ..tasks import Fusion, Restoration
    from ..types import Floats

F = TypeVar("F", bound=Callable[..., Any])


def _methods(kind: Kind) -> str:
    """Names of all methods for tasks of a kind."""
    from ..tasks.methods import method_names

    tasks = [t for t in TASKS.available().values() if t.kind == kind]
    return ", ".join(dict.fromkeys(name for t in tasks for name in method_names(t)))


def result_options(kind: Kind) -> Callable[[F], F]:
    """Return a decorator that adds the options of both commands."""
    found = (
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
            cls=options.ListedOption, names=lambda: _methods(kind),
            help="mcsc, the model of this package, or another one: {names}.",
        ),
        click.option(
            "--weights", "weights_file", metavar="FILE", type=click.Path(path_type=Path),
            help="Of a method of another package.  [default: those that come with it]",
        ),
        click.option(
            "--dictionary", metavar="FILE.npz", type=click.Path(path_type=Path),
            help="Of mcsc, as `mcsc learn` wrote it.  [default: the task's, which comes with mcsc]",
        ),
        click.option(
            "--lam", metavar="NUMBERS", callback=options.numbers,
            help="Weight of the l1 norm, or one for each group of codes, separated by commas.  "
            "[default: what the dictionary was learned with]",
        ),
        options.tol_of_images,
        options.device,
        click.option(
            "--parts", metavar="DIR", type=click.Path(path_type=Path),
            help="Folder for the parts that the image is the sum of (Points 1 to 3), as float "
            "TIFF.",
        ),
        click.option(
            "--align", is_flag=True,
            help="Register the other image to the first: by phase correlation, then optical flow.",
        ),
        click.option(
            "--registered", is_flag=True,
            help="Take the images as registered: do not look for a shift.",
        ),
        click.option(
            "--report", metavar="FILE.html", type=click.Path(path_type=Path),
            help="A page with the pictures, to be opened in a browser.",
        ),
    )  # fmt: skip

    def decorate(command: F) -> F:
        for option in reversed(found):
            command = option(command)
        return command

    return decorate


def check_outputs(out: Path, report: Path | None, *, align: bool, registered: bool) -> None:
    """Refuse before the work what could not be written after it."""
    if align and registered:
        raise click.UsageError("--align and --registered exclude each other")
    if out.suffix.lower() not in WRITABLE:
        raise InvalidValueError(f"--out {out}: want a name that ends in .png, .tif or .jpg")
    for path in (out, report):
        if path is not None and not path.resolve().parent.is_dir():
            raise InvalidValueError(f"{path}: there is no folder {path.resolve().parent}")


def require_room(out: Path, source: Image) -> None:
    """Refuse a file that cannot hold the bands of the image."""
    bands = len(source.pixels)
    if bands not in (1, 3) and out.suffix.lower() not in MANY_BANDS:
        raise InvalidValueError(
            f"--out {out}: {source.path} has {bands} bands, for which want a name that ends in .tif"
        )


def read(path: Path) -> Image:
    """Read an image that must be known everywhere."""
    from ..images.files import read_image

    image = read_image(path)
    if not np.isfinite(image.pixels).all():
        raise InvalidValueError(f"{path} holds NaN or Inf")
    return image


def registered_to(
    reference: Floats, moving: Floats, names: tuple[str, str], *, align: bool, registered: bool
) -> Floats:
    """Return the second image on the grid of the first, or refuse one that is not registered."""
    from ..images.registration import align as register
    from ..images.registration import displacement

    first, second = names
    if align:
        found = register(moving, reference, flow=True, names=(second, first))
        click.echo(f"{Path(second).name}: {found.description}")
        return found.image
    (h, w), (tall, wide) = moving.shape[1:], reference.shape[1:]
    if (h, w) != (tall, wide):
        raise InvalidValueError(
            f"{second} is {h} x {w}, {first} is {tall} x {wide}: want registered images of one "
            "size; --align brings the one to the other's size and registers it"
        )
    shift = None if registered else displacement(moving, reference, names=(second, first))
    if shift is not None:
        raise InvalidValueError(
            f"{second} is shifted against {first} by about {shift.rows:.0f} rows and "
            f"{shift.columns:.0f} columns: --align registers it, --registered takes it as it is"
        )
    return moving


def write(out: Path, image: Floats, sources: Sequence[Image], bit_depth: str | None) -> None:
    """Write the image in the depth of its first source, or as asked for."""
    from ..images.carried import carried
    from ..images.files import write_image

    depth = int(bit_depth) if bit_depth else 16 if sources[0].bit_depth > 8 else 8
    if out.suffix.lower() in (".jpg", ".jpeg"):
        depth = 8
    write_image(out, image, bit_depth=depth, metadata=carried(sources, image))


def write_parts(folder: Path | None, parts: dict[str, Floats | None], method: str) -> None:
    """Write the parts that there are as float TIFF; say so if there are none."""
    from ..images.files import write_image

    if folder is None:
        return
    there = {name: image for name, image in parts.items() if image is not None}
    if not there:
        click.echo(f"mcsc: warning: {method} gives no parts: --parts wrote nothing", err=True)
    for name, image in there.items():
        write_image(folder / f"{name}.tif", image, bit_depth=32)


def tell(out: Path, found: Restoration | Fusion) -> None:
    """Say what was made; leave with status 130 after Ctrl-C, and 1 if it did not converge."""
    words = [f"{found.image.shape[-2]} x {found.image.shape[-1]}"]
    if found.lam is not None:
        words.append(f"lam {options.lam_words(found.lam)}")
    if found.nonzero is not None:
        words.append(f"{100 * found.nonzero:.2g} % of the coefficients nonzero")
    if found.gap is not None:
        words.append(f"certified gap {found.gap:.1e}")
    click.echo(f"{out}: {', '.join([*words, f'{found.seconds:.1f} s'])}")
    if not found.converged:
        click.get_current_context().exit(130 if found.stopped == "interrupted" else 1)


def show_progress() -> bool:
    """Whether somebody is looking at a screen."""
    return sys.stderr.isatty()
