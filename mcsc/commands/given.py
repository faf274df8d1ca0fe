"""Images as the user gives them: files, with masks and ranges of values told by options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np

from ..errors import InvalidValueError
from ..images.files import Image, read_image
from ..images.split import fill_holes
from ..types import Floats
from ..values.masks import mask_of_words
from ..values.ranges import ValueRange, find_range
from . import options

__all__ = ["Given", "mask_option", "range_option", "read_given", "tell_ranges", "with_ranges"]

F = TypeVar("F", bound=Callable[..., Any])


def mask_option(of: str, numbered: str = "N=") -> Callable[[F], F]:
    """Return the option --mask; `of` says of which images."""
    return click.option(
        "--mask",
        "masks",
        metavar=f"[{numbered}]WHAT",
        callback=options.masks,
        multiple=True,
        help=f"Unknown pixels of {of}: 'zeros' (a depth camera's 0), 'nan' (NaN and Inf), 'nodata' "
        "(the value that a GeoTIFF calls so), 'alpha' (transparent), a number (pixels of that "
        "value), or a mask file, black where unknown. Repeat it for several kinds. Holes weigh "
        "nothing and are filled.",
    )


def range_option(of: str) -> Callable[[F], F]:
    """Return the option --range; `of` says whose values."""
    return click.option(
        "--range",
        "ranges",
        metavar="LOW HIGH",
        nargs=2,
        type=float,
        multiple=True,
        callback=_ranges,
        help=f"Values of {of} that stand for black and white, in the file's own unit: metres, "
        "millimetres, counts. The result is in that unit.  [default: 0 to 255 for 8 bits; else "
        "what the values use]",
    )


def _ranges(
    ctx: click.Context, param: click.Parameter, given: tuple[tuple[float, float], ...]
) -> tuple[ValueRange, ...]:
    for low, high in given:
        if not (np.isfinite([low, high]).all() and low < high):
            raise click.BadParameter(
                f"{low:g} {high:g}: want two finite numbers, the first below the second", ctx, param
            )
    return tuple(ValueRange(*pair) for pair in given)


@dataclass(frozen=True, eq=False)
class Given:
    """An image file, what of it is unknown, and its range of values."""

    image: Image
    mask: Floats | None
    """Weights (1 or C, H, W), 0 where it is unknown; None if all is known."""
    values: ValueRange = field(default_factory=ValueRange)
    """In the file's own unit."""
    measured: bool = False
    """Values are measurements, as depth is: results are in the file's own unit, also as floats.
    Otherwise floats of integers are shares of the full scale, as `read_image` gives them."""
    chosen: bool = False
    """The user gave the range."""

    @property
    def name(self) -> str:
        """For messages."""
        return str(self.image.path)

    @property
    def unit(self) -> float:
        """What 1 of `pixels` is in the file's own unit."""
        return 1.0 if self.measured else self.full_scale

    @property
    def full_scale(self) -> float:
        """White in the file's own unit, where its kind has one, else 1."""
        dtype, bits = self.image.samples.dtype, self.image.bit_depth
        if dtype.kind != "u" or dtype.itemsize > 2:
            return 1.0
        return 255.0 if bits <= 8 else 2.0**bits - 1

    @property
    def pixels(self) -> Floats:
        """What the tasks take, (C, H, W)."""
        if self.unit == self.full_scale:
            return self.image.pixels
        return self.image.samples.astype(np.float32)

    @property
    def value_range(self) -> ValueRange:
        """Of `pixels`."""
        return ValueRange(self.values.low / self.unit, self.values.high / self.unit)

    @property
    def is_plain(self) -> bool:
        """Whether black and white are those of the file's kind, so that nobody need be told."""
        return self.values == ValueRange(0, self.full_scale)

    def shown(self, image: Floats | None = None) -> Floats:
        """An image in the unit of `pixels`, by default these with their holes filled, in [0, 1]."""
        if image is not None:
            return self.value_range.scaled(image)
        pixels = self.pixels if self.mask is None else fill_holes(self._known(), self.mask)
        return self.value_range.scaled(pixels).astype(np.float32)

    def _known(self) -> Floats:
        assert self.mask is not None
        return np.where(self.mask > 0, self.pixels, 0).astype(np.float32)


def read_given(path: Path, words: Sequence[str] = (), *, option: str = "--mask nan") -> Given:
    """Read an image file and find what is unknown in it.

    Parameters
    ----------
    path : Path
    words : sequence of str
        Of the option --mask.
    option : str
        What says on the command line that NaN and Inf are unknown.

    Raises
    ------
    ValueError
        It cannot be read; it has transparent pixels, NaN or Inf, and nothing says that these are
        unknown; or a mask does not fit.
    """
    image = read_image(path, keep_alpha="alpha" in words)
    if not words:
        finite = np.isfinite(image.pixels)
        if not finite.all() and not (image.nodata is not None and np.isnan(image.nodata)):
            raise InvalidValueError(
                f"{path} holds NaN or Inf; if these are unknown pixels, say {option}"
            )
        unknown = image.nodata is not None and bool((image.samples == image.nodata).any())
        if not unknown:
            return Given(image, None)
        click.echo(f"{path.name}: {image.nodata:g} is unknown, as the file says")
        words = ("nodata",)
    mask, said = mask_of_words(words, image)
    for line in said:
        click.echo(line)
    return Given(image, mask)


def with_ranges(
    given: Sequence[Given],
    ranges: Sequence[ValueRange],
    *,
    measured: bool,
    doubtful: bool | None = None,
    together: bool = False,
    sigma: float | None = None,
) -> list[Given]:
    """Give images their ranges: those of the option --range, or what their values use.

    Parameters
    ----------
    given : sequence of Given
    ranges : sequence of ValueRange
        None, one for all, or one each.
    measured : bool
        Values are measurements, see `Given`.
    doubtful : bool, optional
        Warn of values that may stand for unknown. Default: of measurements.
    together : bool
        The images are of one unit: those of one dtype have one range.
    sigma : float, optional
        Of the noise, of 255.
    """
    if ranges:
        each = ranges if len(ranges) > 1 else [ranges[0]] * len(given)
        return [
            replace(g, values=r, measured=measured, chosen=True)
            for g, r in zip(given, each, strict=True)
        ]

    def found(group: Sequence[Given]) -> ValueRange:
        bits = [_bits(g.image) for g in group]
        return find_range(
            [g.image.samples for g in group],
            [g.mask for g in group],
            name=group[0].name if len(group) == 1 else "the images",
            display=not measured,
            doubtful=doubtful,
            sigma=sigma,
            bits=None if None in bits else max(b for b in bits if b is not None),
        )

    if together and len({str(g.image.samples.dtype) for g in given}) == 1:
        common = found(given)
        return [replace(g, values=common, measured=measured) for g in given]
    return [replace(g, values=found([g]), measured=measured) for g in given]


def _bits(image: Image) -> int | None:
    """How many bits of a sample are used, where that is known."""
    depth = image.bit_depth
    return image.significant_bits or (depth if 8 < depth < 16 else None)


def tell_ranges(given: Sequence[Given]) -> None:
    """Say what was done to values that are not plain, one line for images of one range."""
    told: dict[ValueRange, list[str]] = {}
    for g in given:
        if not g.is_plain:
            told.setdefault(g.values, []).append(g.image.path.name)
    for values, names in told.items():
        click.echo(
            f"{', '.join(names)}: values {values.low:.6g} to {values.high:.6g} are worked on as 0 "
            "to 1, and results are in their unit"
        )
