"""What is carried from the files that were read to the one that is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import InvalidValueError, warn_user
from .formats.metadata import Metadata, describe_profile, same_colours

if TYPE_CHECKING:
    from pathlib import Path

    from .formats.geotiff import MapPlace

__all__ = ["Source", "carried", "check_same_place", "warn_of_profiles"]


class Source(Protocol):
    """An image of a file: an `Image`, or one that is read block by block."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def pixels(self) -> Any:
        """An array (C, H, W), of which the shape alone counts."""

    @property
    def metadata(self) -> Metadata:
        """Colour profile, EXIF and resolution."""


def carried(images: Sequence[Source], made: Any) -> Metadata:
    """Profile, EXIF, resolution and place for what was made of images: those of the first.

    The profile is that of the first image with as many channels as the result. The resolution is
    such that the result shows as large as the first image, and lies on the map where that does.
    """
    first = images[0]
    channels, height, width = made.reshape(-1, *made.shape[-2:]).shape
    like = next((image for image in images if len(image.pixels) == channels), first)
    rows, columns = height / first.pixels.shape[1], width / first.pixels.shape[2]
    found = first.metadata.enlarged(rows, columns)
    return Metadata(like.metadata.icc, found.exif, found.dpi, found.place).fitting(channels)


def warn_of_profiles(images: Sequence[Source]) -> None:
    """Warn where the same numbers are other colours in another of the images.

    Warns
    -----
    UserWarning
        Once, of the first such image.
    """
    colours = [image for image in images if len(image.pixels) == 3]
    for other in colours[1:]:
        first = colours[0]
        if same_colours(first.metadata.icc, other.metadata.icc):
            continue
        names = [describe_profile(image.metadata.icc) for image in (first, other)]
        if names[0] == names[1]:
            names[1] = "another one of the same name"
        warn_user(
            f"{first.path} has {names[0]}, {other.path} has {names[1]}: their numbers are taken as "
            "they are, so colours of the second will look wrong; convert it to the profile of the "
            "first"
        )
        return


def check_same_place(
    paths: Sequence[Path], places: Sequence[MapPlace | None], way: str = ""
) -> None:
    """Refuse images of which the files say that they lie in different places of a map.

    Parameters
    ----------
    paths : sequence of Path
    places : sequence of (MapPlace or None)
        Those of which the files say nothing may lie anywhere.
    way : str
        What else can be done about it, for the message.

    Raises
    ------
    ValueError
        One lies more than half a pixel beside the first that says where it lies.
    """
    placed = zip(paths, places, strict=True)
    known = [(path, place) for path, place in placed if place is not None]
    for path, place in known[1:]:
        if beside := place.beside(known[0][1]):
            raise InvalidValueError(
                f"{path} {beside} {known[0][0]}: want images of one place; gdalwarp brings the one "
                f"to the grid of the other{way}"
            )
