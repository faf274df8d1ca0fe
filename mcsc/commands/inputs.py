"""Image files, masks and lam from the words of the command line."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import click
import numpy as np

from ..errors import InvalidValueError
from ..files import check_readable
from ..images.carried import check_same_place
from ..images.colour import luma_studio
from ..images.files import Image
from ..images.split import fill_holes
from ..model.dictionary import Dictionary
from ..model.signals import check_filters_fit
from ..tasks.decomposition import symbols
from ..types import Floats
from ..values.masks import known_image
from ..values.ranges import ValueRange, find_range
from . import options


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
        return self.image.full_scale

    @property
    def pixels(self) -> Floats:
        """What the tasks take, (C, H, W)."""
        if self.unit == self.full_scale:
            return self.image.pixels
        return self.image.samples.astype(np.float32)

    @property
    def value_range(self) -> ValueRange:
        """Range of values of `pixels`."""
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


def read_given(
    path: Path,
    words: Sequence[str] = (),
    *,
    option: str = "--mask nan",
    page: int | None = None,
    variable: str | None = None,
) -> Given:
    """Read an image file and find what is unknown in it.

    Parameters
    ----------
    path : Path
    words : sequence of str
        Values of the option --mask.
    option : str
        What says on the command line that NaN and Inf are unknown.
    page, variable : optional
        As in `mcsc.images.read_image`.

    Raises
    ------
    ValueError
        It cannot be read; it has transparent pixels, NaN or Inf, and nothing says that these are
        unknown; or a mask does not fit.
    """
    image, mask = known_image(
        path, words, option=option, page=page, variable=variable, tell=click.echo
    )
    return Given(image, mask)


class Counted(Protocol):
    """What files say of their samples, whether they were read or are read in blocks."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the samples."""

    @property
    def full_scale(self) -> float:
        """See `mcsc.images.Image`."""

    @property
    def told_white(self) -> int | None:
        """See `mcsc.images.Image`."""


def of_one_scale(images: Sequence[Counted]) -> bool:
    """Return True if images of one unit have one range: those of one dtype and depth."""
    return len({(image.dtype.str, image.full_scale) for image in images}) == 1


def white_of(images: Sequence[Counted]) -> int | None:
    """Return white of images of one range, where all their files say it."""
    whites = [image.told_white for image in images]
    told = [white for white in whites if white is not None]
    return max(told) if told and len(told) == len(whites) else None


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
        The images are of one unit: those of one dtype and depth have one range.
    sigma : float, optional
        Standard deviation of the noise, in grey levels of 255.
    """
    if ranges:
        each = ranges if len(ranges) > 1 else [ranges[0]] * len(given)
        return [
            replace(g, values=r, measured=measured, chosen=True)
            for g, r in zip(given, each, strict=True)
        ]

    def found(group: Sequence[Given]) -> ValueRange:
        return find_range(
            [g.image.samples for g in group],
            [g.mask for g in group],
            name=group[0].name if len(group) == 1 else "the images",
            display=not measured,
            doubtful=doubtful,
            sigma=sigma,
            white=white_of([g.image for g in group]),
        )

    if together and of_one_scale([g.image for g in given]):
        common = found(given)
        return [replace(g, values=common, measured=measured) for g in given]
    return [replace(g, values=found([g]), measured=measured) for g in given]


def tell_ranges(given: Sequence[Given], made: Sequence[str] = ()) -> None:
    """Say what was done to values that are not plain, one line for images of one range.

    Parameters
    ----------
    given : sequence of Given
    made : sequence of str
        What is made of each image, as `words_of_unit` returns it; nothing of those beyond its end.
    """
    told: dict[tuple[ValueRange, float], tuple[list[str], list[str]]] = {}
    for m, g in enumerate(given):
        if not g.is_plain:
            names, words = told.setdefault((g.values, g.unit), ([], []))
            names.append(g.image.path.name)
            words += [f", and {made[m]}"] if m < len(made) and made[m] else []
    for (values, _), (names, words) in told.items():
        click.echo(options.range_words(", ".join(names), values) + "".join(words[:1]))


def words_of_unit(given: Given, what: str, dtype: Any, *, same_unit: bool) -> str:
    """Say in which unit `what` is made of an image; nothing where its range becomes black to white.

    Floats of a picture of integers are shares of its full scale, and so are its parts.
    """
    if np.dtype(dtype).kind == "f":
        return options.unit_words(what, given.unit)
    return options.unit_words(what, 1.0) if same_unit else ""


@dataclass(frozen=True, eq=False)
class Signal:
    """An image to be decomposed, with its mask."""

    symbol: str
    """``x``, ``y``, or ``x1``, ``x2``, ... of more than two."""
    name: str
    """For titles and the table."""
    image: Floats
    """Shape (C, H, W)."""
    mask: Floats | None = None
    """Weights (1 or C, H, W), 0 where the image is unknown."""
    source: dict[str, Any] = field(default_factory=dict)
    """Where it came from, for ``result.json``."""
    value_range: ValueRange | None = None
    """Values of `image` that stand for 0 and 1."""

    @property
    def label(self) -> str:
        """For titles of pictures."""
        return f"{self.symbol}, {self.name}"


def read_signals(
    paths: Sequence[Path],
    masks: Mapping[int, Sequence[str]],
    *,
    grey: bool,
    precision: str,
    ranges: Sequence[ValueRange] = (),
    pages: Mapping[int, int] | None = None,
    variables: Mapping[int, str] | None = None,
) -> list[Signal]:
    """Read images and their masks; refuse what does not go together, by file name.

    `masks` maps the index of an image to words of the option --mask, `pages` and `variables` to
    those of --page and --variable; `ranges` are those of --range.
    """
    given = with_ranges(
        [
            read_given(
                path,
                masks.get(m, ()),
                option=f"--mask {m + 1}=nan",
                page=(pages or {}).get(m),
                variable=(variables or {}).get(m),
            )
            for m, path in enumerate(paths)
        ],
        ranges,
        measured=False,
        doubtful=True,
    )
    check_same_place(paths, [g.image.metadata.place for g in given])
    tell_ranges(given, [words_of_unit(g, "parts", np.float32, same_unit=False) for g in given])
    for g in given:
        if grey and len(g.image.pixels) not in (1, 3):
            raise InvalidValueError(
                f"--grey: {g.name} has {len(g.image.pixels)} channels; luma is of 3 (1 stays as it "
                "is)"
            )
    if len({g.image.pixels.shape[1:] for g in given}) > 1:
        listed = ", ".join(f"{g.name} is {_size(g.image.pixels.shape)}" for g in given)
        raise InvalidValueError(
            f"images differ in size, want registered ones of one size: {listed}"
        )
    signals = []
    for m, (symbol, g) in enumerate(zip(symbols(len(paths)), given, strict=True)):
        pixels: Floats = g.image.pixels.astype(precision)
        mask = g.mask
        if mask is not None:
            pixels = np.where(mask > 0, pixels, 0).astype(pixels.dtype)
        if grey and len(pixels) == 3:
            pixels = luma_studio(pixels)
            if mask is not None and len(mask) == 3:
                mask = mask.min(axis=0, keepdims=True)
        source = {
            "file": g.name,
            "bit_depth": g.image.bit_depth,
            "mask": list(masks[m]) if m in masks else None,
            "range": [g.values.low, g.values.high],
            "full_scale": g.unit,
        }
        signals.append(Signal(symbol, g.image.path.stem, pixels, mask, source, g.value_range))
    return signals


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[-2]} x {shape[-1]}"


def fitting_dictionary(
    given: Dictionary | None, path: Path | None, signals: Sequence[Signal]
) -> Dictionary:
    """Return a dictionary that was read from `path` if it fits the images; of none, the starter."""
    dictionary = _of_channels(given, path, tuple(len(signal.image) for signal in signals))
    for signal in signals:
        shape = signal.image.shape[1:]
        check_filters_fit(dictionary.filter_size, shape, signal.source["file"])
    return dictionary


def _of_channels(
    dictionary: Dictionary | None, path: Path | None, channels: tuple[int, ...]
) -> Dictionary:
    if dictionary is None:
        from ..model.starter import dct_dictionary

        return dct_dictionary(channels)
    if dictionary.channels != channels:
        hint = ""
        if dictionary.channels == tuple(1 for _ in channels) and set(channels) <= {1, 3}:
            hint = "; --grey takes the luma of colour images"
        raise InvalidValueError(
            f"{path} is a dictionary for {_channels(dictionary.channels)}, the images are "
            f"{_channels(channels)}{hint}"
        )
    return dictionary


def read_weights(path: Path, names: Mapping[str, str]) -> Any:
    """Read what lam is multiplied by: an array, or several by the names of groups.

    `names` are what the command line calls the groups, by their own names.
    """
    check_readable(path)
    try:
        found: Any = np.load(path, allow_pickle=False)
        if not isinstance(found, np.ndarray):
            with found:
                found = {name: found[name] for name in found.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidValueError(
            f"{path} is not an array of numbers in a file of NumPy (.npy, .npz)"
        ) from error
    arrays = found if isinstance(found, dict) else {"": found}
    for array in arrays.values():
        if array.dtype.kind not in "iuf" or array.ndim < 2:
            raise InvalidValueError(
                f"{path} holds {array.dtype} of shape {array.shape}: want numbers > 0 for all "
                "pixels, (height, width), or for all coefficients, (maps, height, width)"
            )
    if not isinstance(found, dict):
        return found
    unknown = [name for name in found if name not in names.values()]
    if unknown or not found:
        raise InvalidValueError(
            f"{path} holds {', '.join(unknown) or 'nothing'}: want some of "
            f"{', '.join(names.values())}"
        )
    return {name: found[spoken] for name, spoken in names.items() if spoken in found}


def _channels(channels: tuple[int, ...]) -> str:
    counts = ", ".join(map(str, channels))
    images = "1 image" if len(channels) == 1 else f"{len(channels)} images"
    return f"{images} of {counts} channel{'' if channels == (1,) else 's'}"


# ------------------------------------------------------------------------------ long stacks
@dataclass(frozen=True)
class SourceFile:
    """An image file, and what options say of it."""

    path: Path
    words: Sequence[str] = ()
    """Values of the option --mask."""
    option: str = "--mask nan"
    """What says on the command line that NaN and Inf are unknown."""
    page: int | None = None
    variable: str | None = None

    def read(self, tell: Callable[[str], None] = click.echo) -> Given:
        """Read it; see `read_given`."""
        image, mask = known_image(
            self.path, self.words, option=self.option, page=self.page, variable=self.variable,
            tell=tell,
        )  # fmt: skip
        return Given(image, mask)


@dataclass(frozen=True, eq=False)
class Frames(Sequence[Floats]):
    """Image files as arrays (C, H, W) in [0, 1], each read when it is asked for."""

    files: Sequence[SourceFile]
    given: Sequence[Given]
    """Range and metadata of every file. The first entry is whole; the others have no pixels."""

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[m] for m in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        return self._read(index).shown()

    @property
    def masks(self) -> Sequence[Floats | None]:
        """Weights of the frames, read when they are asked for."""
        return _Masks(self) if any(f.words for f in self.files) else [None] * len(self)

    def mask(self, index: int) -> Floats | None:
        """Weights of a frame, (1 or C, H, W); None where all of it is known."""
        return self._read(index).mask if self.files[index].words else None

    def _read(self, index: int) -> Given:
        if index == 0:
            return self.given[0]
        # What there is to say of it was said when it was read first.
        read = self.files[index].read(tell=lambda text: None)
        return replace(self.given[index], image=read.image, mask=read.mask)


class _Masks(Sequence[Any]):
    def __init__(self, frames: Frames) -> None:
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[m] for m in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        return self._frames.mask(index)


def open_frames(
    files: Sequence[SourceFile], ranges: Sequence[ValueRange], *, together: bool
) -> Frames:
    """Read every file once, and keep what is needed of it.

    Parameters
    ----------
    files : sequence of SourceFile
    ranges : sequence of ValueRange
        Values of the option --range.
    together : bool
        Files of one type have one range.

    Raises
    ------
    ValueError
        A file cannot be read, or has unknown pixels of which no option says so.
    """
    given = [f.read() if m == 0 else _without_pixels(f.read()) for m, f in enumerate(files)]
    return Frames(files, with_ranges(given, ranges, measured=False, together=together))


def _without_pixels(given: Given) -> Given:
    """Keep the smallest and the largest known value of each channel."""
    pixels = given.image.pixels
    known = np.isfinite(pixels)
    if given.mask is not None:
        known &= np.broadcast_to(given.mask > 0, pixels.shape)
    ends = [
        [c[k].min(), c[k].max()] if k.any() else [0, 0] for c, k in zip(pixels, known, strict=True)
    ]
    image = replace(given.image, pixels=np.array(ends, np.float32)[:, None], alpha=None)
    return Given(image, None)
