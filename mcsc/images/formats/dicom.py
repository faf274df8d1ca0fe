"""What DICOM files say of their slices: samples, places, frames with a header of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import ImageFileError

__all__ = ["DicomHeader", "DicomSlice", "places_of"]

_SLICES_APART = 0.02  # share of their distance by which gaps between slices may differ
_ALIKE = 1e-3  # share by which sizes of pixels, and numbers of unit vectors, may differ
# Where an enhanced file has what a classic one has at its top (DICOM PS3.3, C.7.6.16.2).
_GROUPS = {
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "SpacingBetweenSlices": "PixelMeasuresSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "ImagePositionPatient": "PlanePositionSequence",
    "WindowCenter": "FrameVOILUTSequence",
    "WindowWidth": "FrameVOILUTSequence",
    "StackID": "FrameContentSequence",
}


@dataclass(frozen=True)
class DicomSlice:
    """What is said of one slice, or of all frames of a file that says it once."""

    slope: float
    intercept: float
    spacing: tuple[float, ...]
    """Distance of rows and of columns, millimetres."""
    thickness: float
    turn: tuple[float, ...] | None
    """Directions of a row and of a column."""
    spot: tuple[float, ...] | None
    """Place of the first pixel, millimetres."""
    window: tuple[float, float] | None
    """Values that a viewer shows as black and white."""
    stack: str
    """Name of the stack that it belongs to, of a file that may hold several."""

    @classmethod
    def of(cls, get: Callable[[str], Any]) -> DicomSlice:
        """Take it out of what `get` finds by name; raises anything at all where that is damaged."""

        def numbers(name: str, count: int) -> tuple[float, ...] | None:
            value = get(name)
            if value is None:
                return None
            taken = tuple(float(v) for v in value)
            if len(taken) != count or not np.isfinite(taken).all():
                raise ValueError(f"{name} is {value}")
            return taken

        def number(name: str, usual: float) -> float:
            value = get(name)
            taken = float(usual if value in (None, "") else value)
            if not np.isfinite(taken):
                raise ValueError(f"{name} is {value}")
            return taken

        apart = number("SpacingBetweenSlices", 0) or number("SliceThickness", 0)
        centre, width = (get(f"Window{name}") for name in ("Center", "Width"))
        window = None
        if centre not in (None, "") and width not in (None, ""):
            # A file may offer several; the first is what viewers begin with.
            middle, wide = (float(np.ravel([value])[0]) for value in (centre, width))
            window = (middle - wide / 2, middle + wide / 2)
        slope = number("RescaleSlope", 1)
        if slope == 0:
            raise ValueError("RescaleSlope is 0")
        return cls(
            slope=slope, intercept=number("RescaleIntercept", 0),
            spacing=numbers("PixelSpacing", 2) or (1.0, 1.0), thickness=abs(apart) or 1.0,
            turn=numbers("ImageOrientationPatient", 6), spot=numbers("ImagePositionPatient", 3),
            window=window, stack=str(get("StackID") or ""),
        )  # fmt: skip


@dataclass(frozen=True)
class DicomHeader:
    """What a DICOM file says of its samples."""

    rows: int
    columns: int
    frames: int
    bits: int
    compressed: bool
    photometric: str
    modality: str
    series: str
    title: str
    slices: tuple[DicomSlice, ...]
    """One for each frame where they have headers of their own, otherwise one."""

    @classmethod
    def of(cls, found: Any) -> DicomHeader:
        """Take it out of a data set; raises anything at all where that is damaged."""
        frames = int(found.get("NumberOfFrames") or 1)
        return cls(
            rows=int(found.Rows), columns=int(found.Columns), frames=frames,
            bits=int(found.BitsAllocated),
            compressed=bool(found.file_meta.TransferSyntaxUID.is_compressed),
            photometric=str(found.get("PhotometricInterpretation", "MONOCHROME2")),
            modality=str(found.get("Modality", "")), series=str(found.get("SeriesInstanceUID", "")),
            title=str(found.get("SeriesDescription", "")) or "without a name",
            slices=tuple(DicomSlice.of(get) for get in _sources(found, frames)),
        )  # fmt: skip


def _sources(found: Any, frames: int) -> list[Callable[[str], Any]]:
    """Where to look for what is said of each slice, by its name."""
    shared = list(found.get("SharedFunctionalGroupsSequence") or [])[:1]
    own = list(found.get("PerFrameFunctionalGroupsSequence") or [])
    if not own:
        return [_looked_up([*shared, found])]
    if len(own) != frames:
        raise ValueError(f"it holds {frames} frames and says where {len(own)} lie")
    return [_looked_up([group, *shared, found]) for group in own]


def _looked_up(places: Sequence[Any]) -> Callable[[str], Any]:
    """Look for a name in groups, the first one first, and last in the file itself."""

    def get(name: str) -> Any:
        for place in places[:-1]:
            group = place.get(_GROUPS[name])
            if group and group[0].get(name) is not None:
                return group[0].get(name)
        return places[-1].get(name)

    return get


def places_of(place: Path, slices: Sequence[DicomSlice]) -> tuple[list[int], NDArray[np.float64]]:
    """Find the order of slices along their normal, and the affine of their volume.

    Parameters
    ----------
    place : Path
        File or folder, for messages.
    slices : sequence of DicomSlice

    Returns
    -------
    order : list of int
        Numbers of the slices, from the feet to the head if they lie across.
    affine : array (4, 4)
        As `Volume.affine`.

    Raises
    ------
    ImageFileError
        They are no volume: places are missing, or the slices are turned, of several stacks or
        sizes, unevenly apart or in one place.
    """
    affine = np.eye(4)
    first = slices[0]
    turns = [found.turn for found in slices if found.turn is not None]
    spots = [found.spot for found in slices if found.spot is not None]
    stacks = {found.stack for found in slices}
    if len(stacks) > 1:
        raise ImageFileError(f"{place}: holds {len(stacks)} stacks of slices; want one")
    spacings = np.array([found.spacing for found in slices])
    if (np.ptp(spacings, axis=0) > _ALIKE * np.abs(spacings[0])).any():
        raise ImageFileError(f"{place}: its slices have pixels of several sizes (PixelSpacing)")
    if min(len(turns), len(spots)) < len(slices):
        # A file of many frames that says nothing of their places is taken in its own order.
        if len(slices) > 1 and (spots or turns or place.is_dir()):
            raise ImageFileError(
                f"{place}: does not say where all its slices lie (ImagePositionPatient, "
                "ImageOrientationPatient)"
            )
        affine[:3, :3] = np.diag([-first.spacing[1], -first.spacing[0], first.thickness])
        return list(range(len(slices))), affine
    along = np.array(turns)
    if np.abs(along - along[0]).max() > _ALIKE:
        raise ImageFileError(f"{place}: its slices are not parallel")
    across, down = along[0, :3], along[0, 3:]
    normal = np.cross(across, down)
    points = np.array(spots)
    order = [int(i) for i in np.argsort(points @ normal, kind="stable")]
    step = normal * first.thickness
    if len(slices) > 1:
        steps = np.diff(points[order] @ normal)
        if (steps < 1e-3).any():
            raise ImageFileError(
                f"{place}: several of its slices lie in one place, as of several times or echoes; "
                "want one volume"
            )
        if np.ptp(steps) > _SLICES_APART * np.median(steps):
            raise ImageFileError(
                f"{place}: its slices are {steps.min():.3g} to {steps.max():.3g} mm apart; some "
                "are missing, or they must be resampled first"
            )
        step = (points[order[-1]] - points[order[0]]) / (len(slices) - 1)
    # DICOM's x and y run to the left and to the back, NIfTI's to the right and to the front.
    flip = np.diag([-1.0, -1.0, 1.0])
    columns = [across * first.spacing[1], down * first.spacing[0], step]
    affine[:3, :3] = flip @ np.stack(columns, axis=1)
    affine[:3, 3] = flip @ points[order[0]]
    return order, affine
