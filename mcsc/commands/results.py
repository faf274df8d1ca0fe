"""What `mcsc restore` and `mcsc fuse` do alike: registering, writing, telling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click
import numpy as np

from ..errors import InvalidValueError, warn_user
from ..images.suffixes import DTYPES, MANY_BANDS, WRITABLE
from ..values.ranges import ValueRange, beyond, is_much, quantised
from ..words import percent
from . import options

if TYPE_CHECKING:
    from ..images.files import Image
    from ..images.registration import Alignment
    from ..solvers.result import Stop
    from ..types import Floats, Lam
    from .inputs import Given

PLACED_ANYWHERE = "; --registered takes them as they are, --align registers them"
"""What can be done with images that lie in different places of a map."""
_STILL = 0.7
"""Pixels of a shift, and half those of a flow on average, that registered images have, too."""
COMPARED = 0.25
"""Share of the pixels that two images must know together for a shift to be told."""
_FAR_BEYOND = 0.1
"""Share of the range that was measured, by which results may leave it without a word."""


def registered_to(
    reference: Floats, moving: Floats, names: tuple[str, str], *, align: bool, registered: bool
) -> Floats:
    """Return the second image on the grid of the first, or refuse one that is not registered."""
    from ..alignment.stacks import check_aspect, refuse_distant, sized
    from ..images.registration import align as register

    first, second = names
    if align:
        check_aspect(moving.shape, reference.shape, (second, first))
        refuse_distant(
            sized(moving, (int(reference.shape[-2]), int(reference.shape[-1]))),
            reference,
            (second, first),
        )
        found = register(moving, reference, flow=True, names=(second, first))
        if _is_still(found) and moving.shape[-2:] == reference.shape[-2:]:
            click.echo(f"{Path(second).name}: no motion was found, the image is left as it is")
            return moving
        click.echo(f"{Path(second).name}: {found.description}")
        return found.image
    (h, w), (tall, wide) = moving.shape[1:], reference.shape[1:]
    if (h, w) != (tall, wide):
        raise InvalidValueError(
            f"{second} is {h} x {w}, {first} is {tall} x {wide}: want registered images of one "
            "size; --align brings the one to the other's size and registers it"
        )
    if not registered:
        _refuse_shifted(moving, reference, (second, first))
    return moving


def _refuse_shifted(moving: Floats, reference: Floats, names: tuple[str, str]) -> None:
    from ..alignment.distant import distant_shift
    from ..images.registration import displacement

    far = distant_shift(moving, reference)
    if far is not None:
        raise InvalidValueError(
            f"{names[0]} is displaced against {names[1]} {far.words}, too far to be registered: "
            "want the same part of the scene; --registered takes it as it is"
        )
    shift = displacement(moving, reference, names=names)
    if shift is not None:
        raise InvalidValueError(
            f"{names[0]} is shifted against {names[1]} by about {shift.rows:.0f} rows and "
            f"{shift.columns:.0f} columns: --align registers it, --registered takes it as it is"
        )


def _is_still(found: Alignment) -> bool:
    """Whether what an alignment did is no more than its errors, by which it would only harm.

    Where no shift is distinct, a flow follows noise: by 2 to 4 pixels in registered depth.
    """
    if found.shift == (0.0, 0.0):
        return True
    return max(map(abs, found.shift)) < _STILL and found.flow_magnitude < 2 * _STILL


def check_registered(
    frames: Sequence[Floats], names: Sequence[str], masks: Sequence[Floats | None]
) -> None:
    """Refuse frames of several sizes, and ones that are visibly shifted against each other.

    If there are more than eight, the first and the last are compared with the one in the middle.
    Frames are compared where both are known, and not at all if that is little of them.

    Parameters
    ----------
    frames : sequence of arrays (C, H, W)
        With their holes filled.
    names : sequence of str
    masks : sequence of (array (1 or C, H, W), or None)
        Weights, 0 where a frame is unknown.

    Raises
    ------
    ValueError
        The message says which, and what registers them.
    """
    from ..fusion import JOINTLY

    few = len(frames) <= JOINTLY
    still = 0 if few else len(frames) // 2
    reference = frames[still]
    tall, wide = reference.shape[-2:]
    for m in range(1, len(frames)) if few else (0, len(frames) - 1):
        frame = frames[m]
        h, w = frame.shape[-2:]
        if (h, w) != (tall, wide):
            raise InvalidValueError(
                f"{names[m]} is {h} x {w}, {names[still]} is {tall} x {wide}: want registered "
                "images of one size; --align brings images of one aspect to one size and registers "
                "them"
            )
        compared = _where_known(frame, reference, masks[m], masks[still])
        if compared is not None:
            _refuse_shifted(*compared, (names[m], names[still]))


def _where_known(
    first: Floats, second: Floats, *masks: Floats | None
) -> tuple[Floats, Floats] | None:
    """Both images with what either does not know filled; None if they know little together."""
    from ..images.split import fill_holes

    found = [(mask > 0).all(axis=0) for mask in masks if mask is not None]
    if not found:
        return first, second
    known = np.logical_and.reduce(found)[None]
    if known.mean() < COMPARED:
        return None
    filled = [fill_holes(np.where(known, x, 0).astype(x.dtype), known) for x in (first, second)]
    return filled[0], filled[1]


def check_bit_depth(out: Path, bit_depth: str | None) -> None:
    """Refuse a depth that a format does not hold.

    Raises
    ------
    ValueError
        Files of that name do not hold so many bits.
    """
    kind = WRITABLE[out.suffix.lower()]
    depths = sorted({8 * np.dtype(name).itemsize for name in DTYPES[kind]})
    if bit_depth is not None and int(bit_depth) not in depths:
        held = " or ".join(map(str, depths))
        raise InvalidValueError(f"--out {out}: {kind} holds {held} bits, not {bit_depth}")


@dataclass(frozen=True)
class Sink:
    """The file that the image goes to, and what becomes of its values there."""

    path: Path
    given: Given
    dtype: np.dtype[Any]
    same_unit: bool
    """Integers are in the unit of the source; otherwise its range becomes black to white."""

    @classmethod
    def of(cls, out: Path, given: Given, bit_depth: str | None) -> Sink:
        """Choose the samples of a file; refuse one that could not hold the values.

        Raises
        ------
        ValueError
            The format does not hold so many bits, such values or such bands.
        """
        check_bit_depth(out, bit_depth)
        kind = WRITABLE[out.suffix.lower()]
        bands = len(given.image.pixels)
        if bands not in (1, 3) and out.suffix.lower() not in MANY_BANDS:
            raise InvalidValueError(
                f"--out {out}: {given.name} has {bands} bands, for which want a name that ends in "
                f"{' or '.join(MANY_BANDS)}"
            )
        held = [np.dtype(name) for name in DTYPES[kind]]
        own = given.image.samples.dtype
        own = own if own in (np.uint8, np.uint16, np.int16) else np.dtype(np.float32)
        if bit_depth is not None:
            dtype = np.dtype({"8": "u1", "16": "u2", "32": "f4"}[bit_depth])
            if bit_depth == "16" and own == np.int16 and own in held:
                dtype = own
        elif own in held:
            dtype = own
        elif own == np.float32 and given.values.is_plain and np.dtype("u2") in held:
            dtype = np.dtype("u2")
        else:
            ways = "" if kind in ("PFM", "OpenEXR") else ", or --bit-depth 8 or 16 to scale them"
            ways = ", or --bit-depth 8" if kind == "JPEG" else ways
            ways = ", or --bit-depth 32" if kind in ("PFM", "OpenEXR") else ways
            raise InvalidValueError(
                f"--out {out}: {kind} does not hold the values of {given.name} ({_words(own)}, "
                f"{given.values.low:.6g} to {given.values.high:.6g}) as they are: want a name that "
                f"ends in .tif{ways}"
            )
        fills = own.kind != "u" or given.full_scale == np.iinfo(own).max
        return cls(out, given, dtype, dtype == own and (given.measured or fills))

    def write(self, image: Floats, sources: Sequence[Image], *, in_place: bool = True) -> list[str]:
        """Write an image in the unit of the tasks; return what is to be told of it.

        `in_place` says that it lies on the grid of the first source.
        """
        from ..images.carried import carried
        from ..images.files import write_samples

        metadata = carried(sources, image)
        said = []
        if metadata.place is not None:
            tiff = WRITABLE[self.path.suffix.lower()] == "TIFF"
            metadata = metadata if in_place and tiff else replace(metadata, place=None)
            if not in_place:
                said.append("without a place on the map, as it is on another grid than X")
            elif not tiff:
                said.append("without its place on the map, which TIFF keeps")
        if self.dtype.kind == "f":
            write_samples(self.path, image, metadata=metadata)
            return said
        info = np.iinfo(self.dtype)
        if self.same_unit:
            values, span = image * self.given.unit, self.given.values
        else:
            values, span = self.given.shown(image) * float(info.max), ValueRange(0, info.max)
        samples, cut = quantised(values, self.dtype)
        write_samples(self.path, samples, metadata=metadata)
        # Nobody asked for other numbers than those of the source where its type is kept.
        kept = self.dtype == self.given.image.samples.dtype
        if not self.same_unit and (kept or not self.given.is_plain):
            low, high = self.given.values.low, self.given.values.high
            said.append(f"0 is {low:.6g} and {info.max} is {high:.6g}")
        furthest = beyond(values, self.dtype)
        how = "--bit-depth 32 (.tif)"
        return [*said, *words_cut(self.path, self.dtype, cut, furthest, span, how=how)]


def words_stretched(bands: Sequence[int], count: int) -> list[str]:
    """Say how many of the bands span little of their range, and were stretched."""
    if not bands:
        return []
    if count == 1:
        return ["the image stretched to the whole range (it spans less than half of it)"]
    which = f"{len(bands)} of {count} bands"
    return [f"{which} stretched to the whole range (they span less than half of it)"]


def words_cut(
    path: Path, dtype: np.dtype[Any], cut: float, furthest: float, values: ValueRange, *, how: str
) -> list[str]:
    """Say which share of the values of a file was cut off; warn if it is much, with `how` not.

    `furthest` is by how much the furthest was, in the unit of the range `values`: see `is_much`.
    """
    info = np.iinfo(dtype)
    if is_much(cut, furthest, values):
        warn_user(
            f"{percent(cut)} of the values of {path} lie beyond {info.min} to {info.max}, by up "
            f"to {furthest:.3g}, and were cut off there: {how} keeps them"
        )
    return [f"{percent(cut)} of the values cut off at {info.min} or {info.max}"] if cut else []


def words_beyond(image: Floats, given: Given) -> list[str]:
    """Say where the values of a result lie, if they go far beyond those that were measured.

    Beside a step a sum of filters overshoots, as cubic interpolation does.
    """
    known = given.pixels
    if given.mask is not None:
        known = known[np.broadcast_to(given.mask > 0, known.shape)]
    if not known.size:
        return []
    low, high, least, most = (
        float(end) * given.unit for end in (known.min(), known.max(), image.min(), image.max())
    )
    if max(low - least, most - high) <= _FAR_BEYOND * (high - low):
        return []
    return [f"values {least:.6g} to {most:.6g}, where {low:.6g} to {high:.6g} were measured"]


def _words(dtype: np.dtype[Any]) -> str:
    sign = "signed " if dtype.kind == "i" else ""
    return "floats" if dtype.kind == "f" else f"{sign}{8 * dtype.itemsize} bits"


def write_parts(folder: Path | None, parts: dict[str, Floats | None], method: str) -> None:
    """Write the parts that there are as float TIFF; say so if there are none."""
    from ..images.files import write_samples

    if folder is None:
        return
    there = {name: image for name, image in parts.items() if image is not None}
    if not there:
        warn_user(f"{method} gives no parts: --parts wrote nothing")
    for name, image in there.items():
        write_samples(folder / f"{name}.tif", image)


class Told(Protocol):
    """What is told of a result: a `Restoration`, a `Fusion`, or one in blocks."""

    @property
    def image(self) -> Any:
        """The image."""

    @property
    def lam(self) -> Lam | None:
        """Weight of the l1 norm."""

    @property
    def nonzero(self) -> float | None:
        """Share of coefficients that are not zero."""

    @property
    def gap(self) -> float | None:
        """Certified relative duality gap."""

    @property
    def seconds(self) -> float:
        """Time that the method took, in seconds."""

    @property
    def converged(self) -> bool:
        """Whether the gap is as small as was asked for."""

    @property
    def stopped(self) -> Stop | None:
        """Why the solver stopped."""


def tell(out: Path, found: Told, said: Sequence[str] = ()) -> None:
    """Say what was made; leave with status 130 after Ctrl-C, and 1 if it did not converge.

    `said` is what there is to say of the values that were written.
    """
    words = [f"{found.image.shape[-2]} x {found.image.shape[-1]}"]
    if found.lam is not None:
        words.append(f"lam {options.lam_words(found.lam)}")
    if found.nonzero is not None:
        words.append(f"{percent(found.nonzero)} of the coefficients nonzero")
    if found.gap is not None:
        words.append(f"certified gap {found.gap:.1e}")
    click.echo(f"{out}: {', '.join([*words, *said, f'{found.seconds:.1f} s'])}")
    if not found.converged:
        click.get_current_context().exit(130 if found.stopped == "interrupted" else 1)
