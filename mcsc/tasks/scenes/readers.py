"""Scenes by what reads them: their names, some kept apart, all of them turned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from ...checks import nowhere_known, what_is
from ...errors import InvalidTypeError, InvalidValueError
from ...types import Floats, Kind

__all__ = ["Reader", "check_scene", "flipped", "hold_out", "is_part", "name_of"]

S = TypeVar("S")

Reader = Callable[[], tuple[Floats, ...]]
"""Returns the images of both roles: the clean image and the guide, or both sources.

Of a fusion, the image that is to be made of them may come third.
"""

_GRID = 16  # pixels; a multiple of every task's factor


def name_of(reader: Reader, number: int) -> str:
    """Return what to call a scene in a message."""
    return str(getattr(reader, "name", f"scene {number}"))


def check_scene(given: Any, name: str, kind: Kind = "fusion") -> tuple[Floats, ...]:
    """Return the images that a reader gave; refuse what are none of a scene.

    Raises
    ------
    TypeError
        It is no tuple of two NumPy arrays of floats, (C, H, W), or in a fusion of two or three.
    ValueError
        They differ in size: cut to the smallest, they would not show the same.
    """
    wanted = "the images of both roles" + ", or of these and the target" * (kind == "fusion")
    several = isinstance(given, tuple | list)
    images = list(given) if several else []
    counts = (2, 3) if kind == "fusion" else (2,)
    if len(images) not in counts or not all(
        isinstance(i, np.ndarray) and i.ndim == 3 and i.dtype.kind == "f" for i in images
    ):
        found = "; ".join(map(what_is, images)) or what_is(given)
        raise InvalidTypeError(
            f"{name} must return a tuple of {wanted}, NumPy arrays of floats (C, H, W); found "
            f"{found}"
        )
    places = ("first", "second", "third")
    for which, image in zip(places, images, strict=False):
        if (where := nowhere_known(~np.isnan(image))) is not None:
            raise InvalidValueError(f"the {which} image of {name} is NaN {where}")
    sizes = [image.shape[1:] for image in images]
    for which, size in zip(places[1:], sizes[1:], strict=False):
        if size != sizes[0]:
            raise InvalidValueError(
                f"the {which} image of {name} is {size[0]} x {size[1]}, the first {sizes[0][0]} x "
                f"{sizes[0][1]}: want registered images of one size"
            )
    return tuple(images)


def hold_out(scenes: Sequence[S], share: float, seed: int = 0) -> tuple[list[S], list[S]]:
    """Keep a share of the scenes apart, to measure on what was not learned from.

    Parameters
    ----------
    scenes : sequence
        In any order; both lists keep it.
    share : float
        In [0, 1): at least one scene is kept apart, unless it is 0.
    seed : int
        Seed of the random choice.

    Returns
    -------
    list, list
        Those to learn from, and those kept apart.

    Raises
    ------
    ValueError
        No scene would be left to learn from.
    """
    count = max(1, round(share * len(scenes))) if share else 0
    if count >= len(scenes):
        raise InvalidValueError(
            f"of {len(scenes)} scene{'s' * (len(scenes) > 1)}, {count} would be held out, and "
            "none left to learn from: want more scenes, or a smaller share"
        )
    order = np.random.default_rng(seed).permutation(len(scenes))
    return [scenes[i] for i in sorted(order[count:])], [scenes[i] for i in sorted(order[:count])]


def is_part(reader: Reader) -> bool:
    """Whether a scene is a part of a larger image, of whose contrast it tells nothing."""
    return bool(getattr(reader, "is_part", False))


@dataclass(frozen=True)
class _Turned:
    """A scene upside down, mirrored, or both."""

    reader: Reader
    number: int
    down: bool
    across: bool

    @property
    def name(self) -> str:
        return name_of(self.reader, self.number)

    @property
    def is_part(self) -> bool:
        return is_part(self.reader)

    def __call__(self) -> tuple[Floats, ...]:
        images = check_scene(self.reader(), self.name)
        # Cut first, so that degradations see the same grid of pixels.
        h, w = images[0].shape[1:]
        if min(h, w) < _GRID:
            raise InvalidValueError(f"{self.name} is {h} x {w}: flips want {_GRID} x {_GRID}")
        height, width = (n - n % _GRID for n in (h, w))
        rows = slice(None, None, -1 if self.down else 1)
        columns = slice(None, None, -1 if self.across else 1)
        return tuple(np.ascontiguousarray(i[:, :height, :width][:, rows, columns]) for i in images)


def flipped(readers: Sequence[Reader]) -> list[Reader]:
    """The scenes, and each upside down, mirrored, and both: four times as much to learn from."""
    turns = [(False, False), (True, False), (False, True), (True, True)]
    return [_Turned(reader, n, *how) for how in turns for n, reader in enumerate(readers)]
