"""The options that `mcsc restore` and `mcsc fuse` share, and what was asked for by them."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InvalidValueError
from ..images.suffixes import WRITABLE
from ..lazy import cached_property
from ..progress import is_terminal
from ..tasks.task import TASKS, get_task
from ..types import Device, Kind, Lam
from ..values.ranges import ValueRange
from . import named, options
from .batch import HugeImages, block_options, cluster_options, is_batch, is_huge, run_batch
from .destinations import check_destinations, overwrite_option
from .results import check_bit_depth

if TYPE_CHECKING:
    from ..tasks.protocol import Method
    from ..tasks.task import Task
    from .inputs import SourceFile

__all__ = ["Asked", "shared_options"]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass(frozen=True)
class Asked:
    """What the options say that both commands have; one field each, by its parameter's name."""

    task_name: str
    masks: dict[int, tuple[str, ...]]
    ranges: tuple[ValueRange, ...]
    pages: dict[int, int]
    variables: dict[int, str]
    out: Path
    bit_depth: str | None
    overwrite: bool
    method: str
    weights_file: Path | None
    dictionary: Path | None
    lam: Lam | None
    tol: float
    max_iter: int | None
    device: Device
    orientations: int | None
    parts: Path | None
    align: bool
    registered: bool
    ghosts: bool | None
    report: Path | None
    blocks: int | None
    codes: Path | None
    scheduler: str | None
    workers: int | None

    @cached_property
    def task(self) -> Task:
        """The task."""
        return get_task(self.task_name)

    @cached_property
    def chosen(self) -> Method:
        """The method, with the dictionary or the weights that are its own."""
        from ..tasks import find_method

        return find_method(
            self.method, self.task, dictionary=self.dictionary, weights_file=self.weights_file
        )

    @property
    def how(self) -> dict[str, Any]:
        """Options of `mcsc.tasks.restore`, `fuse` and `fuse_volumes`."""
        return {
            "method": self.chosen, "lam": self.lam, "tol": self.tol, "max_iter": self.max_iter,
            "device": self.device, "orientations": self.orientations, "ghosts": self.ghosts,
            "progress": is_terminal(sys.stderr),
        }  # fmt: skip

    def run_scenes(
        self, first: Path, others: Sequence[Path], *, single: Sequence[str] = ()
    ) -> bool:
        """Run the command once a scene if a folder or a table of them was given.

        Parameters
        ----------
        first, others : paths
            What the command was given.
        single : sequence of str
            Parameters of the command that are for one scene alone, besides the shared ones.

        Returns
        -------
        bool
            False if it was given images.
        """
        if not is_batch(first, others, self.scheduler, self.workers):
            return False
        run_batch(
            first, self.out, task=self.task, suffix=None,
            refused=("parts", "report", "overwrite", *single), scheduler=self.scheduler,
            workers=self.workers,
        )  # fmt: skip
        return True

    def in_blocks(self, images: Sequence[Path]) -> HugeImages | None:
        """Return the images as they are worked on in blocks, if they are to be."""
        if not is_huge(images, self.blocks, self.codes):
            return None
        shared = {f.name for f in fields(HugeImages)} - {"images", "task"}
        return HugeImages(
            images=tuple(images), task=self.task, **{name: getattr(self, name) for name in shared}
        )

    def file(self, number: int, path: Path, *, usual: Sequence[str] = ()) -> SourceFile:
        """Return image `number`, from 0, with what options say of it; `usual` without --mask."""
        from .inputs import SourceFile

        which = "" if number == 0 else f"{number + 1}="
        return SourceFile(
            path, self.masks.get(number, tuple(usual)), f"--mask {which}nan",
            self.pages.get(number), self.variables.get(number),
        )  # fmt: skip

    def check_counts(self, count: int, *, ranges: bool = True) -> None:
        """Refuse what is said of images that are not there; `ranges`: they may be one each."""
        options.check_counts(
            self.masks, self.ranges if ranges else (), count,
            {"--page": self.pages, "--variable": self.variables},
        )  # fmt: skip

    def check_options(
        self,
        count: int,
        *,
        sigma: float | None = None,
        factor: float | None = None,
        rule: str | None = None,
    ) -> None:
        """Refuse, before any of `count` images is looked at, what the task or the method lacks."""
        from ..tasks.ghosts import ghosts_wanted
        from ..tasks.methods import check_method_enlarges, check_options, gives_parts

        task, method = self.task, self.chosen
        task.check_sigma(sigma, "--sigma")
        task.check_factor(factor, "--factor")
        ghosts_wanted(self.ghosts, task, count)
        # By its usual value, too: what was given counts.
        options.refuse_idle(click.get_current_context(), {self.method: method}, ("tol",))
        wanted = {
            "lam": self.lam, "tol": self.tol, "max_iter": self.max_iter, "device": self.device,
            "orientations": self.orientations, "sigma": sigma, "rule": rule, "tile": None,
            "callback": None,
        }  # fmt: skip
        check_options(method, self.method, wanted)
        if factor is not None:
            check_method_enlarges(method, self.method, "the first image", factor)
        if self.parts is not None and not gives_parts(method):
            raise click.UsageError(f"--parts: the method {self.method} gives no parts")
        if self.align and self.registered:
            raise click.UsageError("--align and --registered exclude each other")

    def check_places(self, inputs: Sequence[Path | None], depth: Path | None = None) -> None:
        """Refuse before the work what could not be written after it."""
        if self.out.suffix.lower() not in WRITABLE:
            raise InvalidValueError(
                f"--out {self.out}: want a name that ends in {', '.join(WRITABLE)}"
            )
        check_bit_depth(self.out, self.bit_depth)
        if self.report is not None and self.report.suffix.lower() not in (".html", ".htm"):
            raise InvalidValueError(
                f"--report {self.report}: pages are HTML; want a name ending in .html"
            )
        if depth is not None and depth.suffix.lower() not in (".png", ".tif", ".tiff"):
            raise InvalidValueError(f"--depth {depth}: want a name that ends in .png or .tif")
        check_destinations(
            {"--out": self.out, "--report": self.report, "--depth": depth},
            folders={"--parts": self.parts},
            inputs=(*inputs, self.dictionary, self.weights_file), overwrite=self.overwrite,
        )  # fmt: skip


def _methods(kind: Kind) -> str:
    """Names of all methods for tasks of a kind."""
    from ..tasks.methods import method_names

    tasks = [t for t in TASKS.available().values() if t.kind == kind]
    return ", ".join(dict.fromkeys(name for t in tasks for name in method_names(t)))


def _with_ghosts(kind: Kind) -> str:
    """Names of the tasks whose images are looked at for contradictions."""
    tasks = TASKS.available().items()
    return ", ".join(n for n, t in tasks if t.kind == kind and t.ghosts is not None)


def shared_options(
    kind: Kind,
    *,
    what: str,
    masked: str,
    ranged: str,
    align: str,
    kept: str,
    own: Sequence[Decorator] = (),
) -> Decorator:
    """Return a decorator that adds the shared options, and hands them on as ``asked``.

    Parameters
    ----------
    kind : {"restoration", "fusion"}
        Kind of the tasks.
    what, align : str
        Help of --task and --align.
    kept : str
        Which image is kept where they contradict each other.
    masked, ranged : str
        Which images --mask and --range are for.
    own : sequence of decorators
        Options of the one command, listed between those of the images and those of the result.
    """
    found: tuple[Decorator, ...] = (
        named.task(what, kind=kind),
        options.mask_option(masked),
        options.range_option(ranged),
        options.part_options,
        *own,
        click.option(
            "--out", "-o", metavar="FILE", required=True, type=click.Path(path_type=Path),
            help="Image to write: .png, .tif, .jpg or, for floating-point values, .npy, .pfm, "
            ".exr.",
        ),
        click.option(
            "--bit-depth", type=click.Choice(["8", "16", "32"]), default=None,
            help="Bits of a value in the image that is written; 32 means floating point. 8 or 16 "
            "bits that are not those of X have the range of values as black to white; floats are "
            "in the unit of X or, of pictures of integers, shares of its full scale (255, 65535)."
            "  [default: as X, in its unit]",
        ),
        overwrite_option,
        click.option(
            "--method", metavar="NAME", default="mcsc", show_default=True,
            cls=named.ListedOption, names=lambda: _methods(kind),
            help="Method: mcsc is the model of this package; it can be any of {names}.",
        ),
        options.weights_file,
        options.task_dictionary,
        click.option(
            "--lam", metavar="NUMBERS", callback=options.numbers,
            help="Weight of the l1 norm, or one for each group of codes, separated by commas.  "
            "[default: what the dictionary was learned with]",
        ),
        options.tol_of_images,
        options.max_iter(", for every tile of a large image"),
        options.device,
        options.orientations,
        click.option(
            "--parts", metavar="DIR", type=click.Path(path_type=Path),
            help="Folder to which base, common and unique parts are written, as floating-point "
            "TIFF. A fusion rule may choose between them; otherwise they add up to the image.",
        ),
        click.option("--align", is_flag=True, help=align),
        click.option(
            "--registered", is_flag=True,
            help="The images are registered: do not check for a shift, or for the place on a map.",
        ),
        click.option(
            "--ghosts/--no-ghosts", default=None,
            help="Look for places where the images contradict each other, such as things that "
            f"moved and shadows of a flash, and keep {kept} there.  [default: for {{names}}]",
            cls=named.ListedOption, names=lambda: _with_ghosts(kind),
        ),
        click.option(
            "--report", metavar="FILE.html", type=click.Path(path_type=Path),
            help="HTML page to write, which shows the images in a browser.",
        ),
        block_options,
        cluster_options("process a folder or a table of scenes, or blocks", "one for each core"),
    )  # fmt: skip
    shared = [f.name for f in fields(Asked)]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def gathered(**given: Any) -> Any:
            return command(asked=Asked(**{name: given.pop(name) for name in shared}), **given)

        decorated: Callable[..., Any] = gathered
        for option in reversed(found):
            decorated = option(decorated)
        return decorated

    return decorate
