"""Images that need not fit in memory, for `mcsc restore` and `mcsc fuse`: opened, not read."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import numpy as np
from click.core import ParameterSource

from ...errors import InvalidValueError, warn_user
from ...files import check_readable
from ...progress import is_terminal
from ...tasks.task import Task
from ...types import Lam
from ...values.ranges import ValueRange, shortest
from ...words import percent
from .. import options
from ..results import COMPARED, registered_to, tell, words_stretched
from .known import IN_PARTS, check_opaque, known_by_file, known_by_words, stored_image
from .run import check_cluster

if TYPE_CHECKING:
    from ...distributed import BlockFusion, BlockOptions, BlockRestoration
    from ...images.formats.metadata import Metadata

__all__ = ["HugeImages", "block_options", "is_huge"]

F = TypeVar("F", bound=Callable[..., Any])

_MIDDLE = 1024
"""Side of what is looked at for a shift, in the middle of the images."""
_REFUSED = (
    "parts", "report", "overwrite", "align", "weights_file", "device", "orientations",
    "calibration", "depth", "crop", "variables", "max_iter", "ghosts",
)  # fmt: skip


def block_options(command: F) -> F:
    """Add the options for an image that need not fit in memory."""
    for option in (
        click.option(
            "--codes", metavar="DIR", type=click.Path(path_type=Path),
            help="With --blocks: folder for the codes, which all workers must be able to reach. "
            "After an interruption, the same command continues from it.  [default: a temporary "
            "folder]",
        ),
        click.option(
            "--blocks", metavar="N", type=click.IntRange(min=1),
            help="Code images that need not fit in memory (TIFF, .npy, .zarr) in blocks of N x N "
            "pixels, yet as one problem. The memory grows with N, not with the images; --out is a "
            "new .tif or .zarr.  [default: 512 if an image is a .zarr, otherwise no blocks]",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def is_huge(images: Sequence[Path], blocks: int | None, codes: Path | None) -> bool:
    """Whether images are to be worked on in blocks."""
    huge = blocks is not None or any(path.suffix.lower() == ".zarr" for path in images)
    if codes is not None and not huge:
        raise click.UsageError("--codes goes with --blocks")
    return huge


@dataclass(frozen=True)
class HugeImages:
    """Images to be worked on in blocks, and what the options say of that."""

    images: tuple[Path, ...]
    out: Path
    task: Task
    blocks: int | None
    codes: Path | None
    method: str
    bit_depth: str | None
    masks: Mapping[int, Sequence[str]]
    ranges: Sequence[ValueRange]
    pages: Mapping[int, int]
    registered: bool
    scheduler: str | None
    workers: int | None
    dictionary: Path | None
    lam: Lam | None
    tol: float

    def restore(self, *, factor: float | None, sigma: float | None) -> None:
        """Restore the first image with the second one as its guide."""
        from ...distributed import restore_blocks

        if len(self.images) < 2:
            raise click.UsageError(f"want a GUIDE beside {self.images[0]}")
        opened, samples = self._opened(measured=not self.task.display)
        x, guide = (image.pixels for image in opened)
        # Its range is found, or is that of floats.
        told = opened[1].told_white
        shown = guide if told is None else guide.astype(np.float32) / np.float32(told)
        options.check_counts(self.masks, (), 2, {"--page": self.pages})
        if len(self.ranges) > 1:
            raise click.UsageError("--range is for X: give it once")
        mask, guide_mask = (self._mask(m, image) for m, image in enumerate((x, guide)))
        names = str(self.images[0]), str(self.images[1])
        if not self.registered:
            _check_registered((x, guide), names, self.task, (mask, guide_mask))
        # Of measurements what counts are the values that there are, not how many bits they have.
        counted = self.task.display or x.dtype == np.uint8
        stated = _range_of(opened[0].told_white if counted else None)
        found = restore_blocks(
            x, shown, self.task, mask=mask, guide_mask=guide_mask, factor=factor, sigma=sigma,
            value_range=self._range or stated, names=names, dictionary=self.dictionary,
            lam=self.lam, **self._how,
        )  # fmt: skip
        said = words_stretched(found.stretched, len(x))
        self._write(found, found.value_range, samples, opened[:1], said)

    def fuse(self, *, rule: str | None) -> None:
        """Fuse all images."""
        from ...distributed import fuse_blocks

        if len(self.images) < 2:
            raise click.UsageError("want two images or more")
        if self.masks:
            raise click.UsageError("--mask is not for fusions in blocks: all pixels must be known")
        if len(self.ranges) > 1:
            raise click.UsageError("--range with --blocks is for all sources: give it once")
        opened, samples = self._opened(measured=False)
        sources = [image.pixels for image in opened]
        for m, source in enumerate(sources):
            advice = ": fusions in blocks want all pixels known"
            check_opaque(self.images[m], self.pages.get(m), source, advice)
            _, value = known_by_file(self.images[m], self.pages.get(m), source)
            if value is not None:
                unknown = shortest(value, source.dtype)
                raise InvalidValueError(
                    f"{self.images[m]} has pixels of {unknown}, which is unknown, as the file "
                    "says: fusions in blocks want all pixels known"
                )
        names = [str(path) for path in self.images]
        if not self.registered:
            for m in range(1, len(sources)):
                _check_registered((sources[0], sources[m]), (names[0], names[m]), self.task)
        told = _told(opened, together=self.task.one_unit)
        found = fuse_blocks(
            sources, self.task, rule=rule, value_range=self._range or told, names=names,
            dictionary=self.dictionary, lam=self.lam, **self._how,
        )  # fmt: skip
        self._write(found, found.value_ranges[0], samples, opened)

    @property
    def _range(self) -> ValueRange | None:
        return self.ranges[0] if self.ranges else None

    @property
    def _how(self) -> BlockOptions:
        return {
            "tol": self.tol, "block": self.blocks or 512, "folder": self.codes,
            "scheduler": self.scheduler, "workers": self.workers,
            "progress": is_terminal(sys.stderr),
        }  # fmt: skip

    def _opened(self, *, measured: bool) -> tuple[list[_Opened], _Samples]:
        """Check what can be checked at once; return the images, and what is written of them."""
        from ...images.carried import check_same_place, warn_of_profiles

        _check(self.method, self.out, self.images)
        check_cluster(self.scheduler, self.workers)
        found = [_Opened.of(path, self.pages.get(m)) for m, path in enumerate(self.images)]
        warn_of_profiles(found)
        if not self.registered:
            places = [source.metadata.place for source in found]
            check_same_place(self.images, places, "; --registered takes them as they are")
        return found, _Samples.of(found[0], self.bit_depth, measured=measured)

    def _mask(self, number: int, image: Any) -> Any:
        """Return where an image is known, by --mask, or else by its file, which is told of."""
        path, page, words = self.images[number], self.pages.get(number), self.masks.get(number, ())
        if "alpha" not in words:
            option = "--mask alpha" if number == 0 else f"--mask {number + 1}=alpha"
            advice = f"; if these are unknown, say {option}; otherwise put it on a background"
            check_opaque(path, page, image, advice)
        if words:
            return known_by_words(path, page, image, words, _opened)
        known, value = known_by_file(path, page, image)
        if value is not None:
            said = shortest(value, image.dtype)
            click.echo(f"{path.name}: {said} is unknown, as the file says")
        return known

    def _write(
        self,
        found: BlockRestoration | BlockFusion,
        values: ValueRange,
        samples: _Samples,
        sources: Sequence[_Opened],
        said: Sequence[str] = (),
    ) -> None:
        """Write the image, and tell of it."""
        from ...distributed import write_blocks
        from ...images.carried import carried

        out, image, dtype = self.out, found.image / samples.white, samples.dtype
        said = list(said)
        if samples.scaled:
            white = float(np.iinfo(dtype).max)
            image = (image - values.low) * (white / (values.high - values.low))
            said.append(f"0 is {values.low:.6g} and {white:.0f} is {values.high:.6g}")
        elif values not in (*options.PLAIN_RANGES, ValueRange(0, samples.white)):
            unit = options.unit_words("the result", samples.white)
            click.echo(f"{options.range_words(self.images[0].name, values)}, and {unit}")
        metadata = carried(sources, image)
        if lost := _lost(out, metadata):
            click.echo(f"{out.name} does not keep {lost} of {self.images[0].name}")
        cut = write_blocks(
            out, image, dtype=dtype, metadata=metadata, scheduler=self.scheduler,
            workers=self.workers,
        )  # fmt: skip
        if cut:
            said.append(f"{percent(cut)} of the values cut off at the ends of {dtype}")
        if cut > 0.01:
            warn_user(
                f"{percent(cut)} of the values of {out} lie beyond what {dtype} holds, and were "
                "cut off there: --bit-depth 32 keeps them"
            )
        tell(out, found, said)


# ------------------------------------------------------------------------ before any work
def _check(method: str, out: Path, images: Sequence[Path]) -> None:
    """Refuse options that blocks do not have, and places that could not be written to."""
    from ...distributed.output import check_new_image

    ctx = click.get_current_context()
    for param in ctx.command.params:
        given = ctx.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE
        # What is not to be done (--no-ghosts) is not done.
        if given and param.name in _REFUSED and ctx.params[str(param.name)] is not False:
            raise click.UsageError(
                f"{max(param.opts, key=len)} is not for images that are worked on in blocks "
                "(--blocks, .zarr)"
            )
    if method != "mcsc":
        raise click.UsageError(f"--method {method} does not work in blocks; want mcsc")
    try:
        check_new_image(out)
    except (OSError, InvalidValueError) as error:
        raise type(error)(f"--out {error}") from error
    for path in images:
        if path.suffix.lower() not in IN_PARTS:
            raise InvalidValueError(
                f"{path}: in blocks, images are TIFF, .npy or .zarr, which need not be read whole"
            )


def _opened(path: Path, page: int | None, *, kinds: str = "fiu") -> Any:
    """Open an image as a Dask array (C, H, W), of a dtype of these kinds."""
    from ...distributed import open_image
    from ...distributed.arrays import as_blocks, image_pages
    from ...images.formats.base import ImageFileError
    from ...images.formats.floats import channels_are_last

    found: Any
    if path.suffix.lower() == ".zarr":
        if page is not None:
            raise click.UsageError(f"--page is for TIFF in blocks, not for {path}")
        found = open_image(path)
    elif path.suffix.lower() != ".npy":
        import dask.array as da

        stored = image_pages(path) if page is None else [stored_image(path, page)]
        pages = [open_image(path, page=image.number) for image in stored if image is not None]
        if len(pages) > 1 and any(p.shape != pages[0].shape or p.ndim != 2 for p in pages):
            raise InvalidValueError(
                f"{path} has {len(pages)} pages that are not bands of one image: say which, as "
                "--page 1"
            )
        found = pages[0] if len(pages) == 1 else da.stack(pages)
    else:
        if page is not None:
            raise click.UsageError(f"--page is for TIFF in blocks, not for {path}")
        check_readable(path, "image file")
        try:
            found = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise InvalidValueError(f"{path} holds no array of numbers") from error
    # As where files are read whole, an array of NumPy may have its channels last.
    npy = path.suffix.lower() == ".npy" and getattr(found, "ndim", 0) == 3
    last = False
    if npy:
        with contextlib.suppress(ImageFileError):  # it cannot be told: they are first, as elsewhere
            last = channels_are_last(f"{path}: ", found.shape)
    if last:
        click.echo(f"{path.name}: the last of the axes {found.shape} is that of the channels")
    image = as_blocks(str(path), found, 1024, last=last)
    if image.dtype.kind not in kinds:
        raise InvalidValueError(f"{path} has dtype {image.dtype}: want floats or integers")
    return image


@dataclass(frozen=True)
class _Opened:
    """An image of a file, which is read block by block, and what the file says of it."""

    path: Path
    pixels: Any
    """Dask array (C, H, W)."""
    metadata: Metadata
    bit_depth: int
    """Bits of a sample in the file."""
    told_white: int | None = None
    """See `mcsc.images.Image`."""

    @classmethod
    def of(cls, path: Path, page: int | None) -> _Opened:
        from ...images.formats.base import told_white
        from ...images.formats.metadata import Metadata

        pixels, stored = _opened(path, page), stored_image(path, page)
        dtype = pixels.dtype
        if stored is None:
            return cls(path, pixels, Metadata(), 8 * dtype.itemsize)
        depth = stored.bit_depth or 8 * dtype.itemsize
        white = told_white(dtype, depth, stored.significant_bits)
        return cls(path, pixels, stored.metadata, depth, white)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the samples."""
        own: np.dtype[Any] = self.pixels.dtype
        return own

    @property
    def full_scale(self) -> float:
        """See `mcsc.images.Image`."""
        from ...images.formats.base import full_scale

        return full_scale(self.dtype, self.bit_depth)

    @property
    def is_filled(self) -> bool:
        """Whether a sample has all bits of its type."""
        return self.bit_depth >= 8 * self.dtype.itemsize


def _told(images: Sequence[_Opened], *, together: bool) -> Any:
    """The ranges of sources as their files say them: one for all, or one each, None if unsaid."""
    from ..inputs import of_one_scale, white_of

    if together and of_one_scale(images):
        return _range_of(white_of(images))
    return [_range_of(image.told_white) for image in images]


def _range_of(white: int | None) -> ValueRange | None:
    return None if white is None else ValueRange(0, float(white))


def _lost(out: Path, metadata: Metadata) -> str:
    """Say what of the metadata a file that is written in blocks does not keep."""
    from ...images.formats.encode import words_of_tiff

    if out.suffix.lower() == ".zarr":
        kept = {
            "the colour profile": metadata.icc, "EXIF": metadata.exif, "dpi": metadata.dpi,
            "the place on the map": metadata.place,
        }  # fmt: skip
        return ", ".join(name for name, value in kept.items() if value is not None)
    return "exposure and GPS (EXIF)" if words_of_tiff(metadata)[1] else ""


@dataclass(frozen=True)
class _Samples:
    """What is written of values in the unit of the image: see `mcsc.commands.results.Sink`."""

    dtype: np.dtype[Any]
    scaled: bool
    """The range of values becomes black to white."""
    white: float
    """What is written as 1, in the unit of the image."""

    @classmethod
    def of(cls, image: _Opened, bit_depth: str | None, *, measured: bool) -> _Samples:
        own = image.pixels.dtype.newbyteorder("=")
        dtype = own if own.kind in "iu" else np.dtype(np.float32)
        if bit_depth is not None:
            dtype = np.dtype({"8": "u1", "16": "u2", "32": "f4"}[bit_depth])
        share = dtype.kind == "f" and own.kind == "u" and own.itemsize <= 2 and not measured
        # A picture of fewer bits than its samples would be dark as it is.
        other = dtype != own or (own.kind == "u" and not image.is_filled and not measured)
        return cls(dtype, dtype.kind in "iu" and other, image.full_scale if share else 1.0)


def _check_registered(
    images: tuple[Any, Any],
    names: tuple[str, str],
    task: Task,
    masks: tuple[Any, Any] = (None, None),
) -> None:
    """Refuse images that are visibly shifted in their middle; sizes are looked at elsewhere."""
    (small, tall), (size, wide) = images[0].shape[1:], images[1].shape[1:]
    ratio = size // small if small and size % small == 0 and wide == size // small * tall else 0
    if task.factor is None and ratio != 1:
        return
    if not ratio:
        return
    sides = [min(length, _MIDDLE // ratio) for length in (small, tall)]
    first = [(length - side) // 2 for length, side in zip((small, tall), sides, strict=True)]
    windows = []
    for image, mask, scale in zip(images, masks, (1, ratio), strict=True):
        rows, columns = (
            slice(scale * f, scale * (f + s)) for f, s in zip(first, sides, strict=True)
        )
        window, known = (
            None if a is None else np.asarray(a[:, rows, columns].compute(scheduler="synchronous"))
            for a in (image, mask)
        )
        windows.append(_shown(window, known))
    if any(window is None for window in windows):
        return
    shown, other = windows
    if ratio > 1:
        from ...images.resize import imresize

        shown = imresize(shown, other.shape[1:])
    registered_to(shown, other, names, align=False, registered=False)


def _shown(image: Any, mask: Any) -> Any:
    """Bring a window to [0, 1], its holes filled; None if little of it is known."""
    from ...images.split import fill_holes

    known = np.isfinite(image).all(axis=0, keepdims=True)
    if mask is not None:
        known &= mask.all(axis=0, keepdims=True)
    if known.mean() < COMPARED:
        return None
    there = image.astype(np.float64)[:, known[0]]
    low, high = float(there.min()), float(there.max())
    values = np.where(known, (image - low) / max(high - low, 1e-300), 0).astype(np.float32)
    return values if known.all() else fill_holes(values, known)
