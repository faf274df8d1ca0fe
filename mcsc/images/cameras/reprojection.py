r"""Depth of a sensor brought into a photograph: a sparse map, and a mask of where it is known.

A pixel of the sensor with depth Z, whose ray is (x, y) after its lens is undone, is the point
:math:`P = Z (x, y, 1)`. The photograph's camera sees it at :math:`R P + t`, in its own depth Z',
through its own lens. Of several points in one pixel the nearest counts (z-buffer). A photograph has
more pixels than a sensor, so points behind an object fall between those of the object, too: a point
that lies within the pixel of the sensor that a nearer point fills is hidden.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from ...checks import check_unmasked
from ...errors import InvalidValueError
from ...types import Floats
from .camera import Camera

__all__ = ["Reprojection", "Rig", "reproject"]

_BEHIND = 0.03
"""Share of its depth by which a point is behind a nearer one, not beside it on one surface."""


@dataclass(frozen=True, eq=False)
class Rig:
    """Calibration of a depth sensor and a camera that are fixed to each other."""

    depth: Camera
    """The depth sensor. Its depth is measured along the optical axis, not along the ray."""
    photo: Camera
    """The camera of the photograph."""
    rotation: NDArray[np.float64]
    """R, 3 x 3: from the axes of the sensor to those of the photograph's camera."""
    translation: NDArray[np.float64]
    """t, 3 numbers, in metres: where the sensor is, seen from the photograph's camera."""
    depth_unit: float
    """Metres in one step of the depth map: 0.001 for millimetres, 1 for metres."""


@dataclass(frozen=True, eq=False)
class Reprojection:
    """Result of `reproject`: a depth map in the view of the photograph."""

    depth: Floats
    """Shape (1, H, W), in the unit of the map that was given; 0 where it is unknown."""
    mask: Floats
    """Shape (1, H, W): 1 where it is known."""
    spacing: float
    """Pixels of the photograph from one point of the sensor to the next: the median."""
    measured: int
    """Number of pixels of the sensor that have a depth."""
    outside: int
    """Number of them that lie outside of the photograph."""
    hidden: int
    """Number of them that are hidden by a nearer surface in the photograph, or fall into one pixel
    with a nearer point."""


def reproject(depth: Floats, rig: Rig, mask: Floats | None = None) -> Reprojection:
    """Project a depth map of a sensor into the view of a photograph.

    Parameters
    ----------
    depth : array of floats, shape (H, W) or (1, H, W)
        Depth map of the sensor, as it was measured. Values that are not finite or not above 0 are
        holes.
    rig : Rig
        Calibration of the sensor and of the camera of the photograph.
    mask : array, shape (H, W) or (1, H, W), optional
        0 where the depth is unknown.

    Returns
    -------
    Reprojection

    Raises
    ------
    TypeError
        The map is a masked array.
    ValueError
        The map is not of the size that the calibration is for, holds no depth, or none of it is in
        the photograph.

    Notes
    -----
    A point is put into the nearest pixel of the photograph, so it is up to half a pixel aside.
    """
    check_unmasked("depth", depth)
    wanted = rig.depth.height, rig.depth.width
    if depth.shape not in (wanted, (1, *wanted)):
        raise InvalidValueError(
            f"the depth map has shape {depth.shape}, the calibration is for a sensor of "
            f"{wanted[0]} x {wanted[1]}"
        )
    plane: NDArray[np.float64] = np.asarray(depth, np.float64).reshape(wanted)
    rays = rig.depth.rays()
    known = np.isfinite(plane) & (plane > 0) & np.isfinite(rays).all(axis=0)
    if mask is not None:
        known &= np.asarray(mask).reshape(wanted) > 0
    if not known.any():
        raise InvalidValueError("the depth map holds no depth: no value above 0 is known")
    z = plane[known] * rig.depth_unit
    points = np.concatenate([rays[:, known] * z, z[None]])
    moved = rig.rotation @ points + rig.translation[:, None]
    place = rig.photo.project(moved)
    shape = rig.photo.height, rig.photo.width
    with np.errstate(invalid="ignore"):
        nearest = np.rint(place)
        inside = (
            (nearest[0] >= 0)
            & (nearest[0] < shape[1])
            & (nearest[1] >= 0)
            & (nearest[1] < shape[0])
        )
    if not inside.any():
        raise InvalidValueError(
            "none of the depth falls into the photograph: the rotation or the translation is "
            "another one (want those from the sensor to the photograph's camera, in metres), or "
            "depth_unit is"
        )
    columns, rows = nearest[:, inside].astype(np.int64)
    far = moved[2, inside]
    buffer = np.full(shape, np.inf)
    np.minimum.at(buffer, (rows, columns), far)
    # A pixel of the sensor, as large as it is in the photograph.
    spacing = float(
        np.median(z[inside] / far)
        * np.sqrt(rig.photo.fx * rig.photo.fy / (rig.depth.fx * rig.depth.fy))
    )
    reach = 2 * math.ceil(spacing / 2) + 1 if spacing > 1 else 1
    front = scipy.ndimage.minimum_filter(buffer, size=reach, mode="constant", cval=np.inf)
    there = np.isfinite(buffer)
    visible = there & (buffer <= (1 + _BEHIND) * front)
    found = np.where(visible, buffer, 0) / rig.depth_unit
    return Reprojection(
        depth=found[None].astype(np.float64 if depth.dtype == np.float64 else np.float32),
        mask=visible[None].astype(np.float32),
        spacing=spacing,
        measured=int(known.sum()),
        outside=int((~inside).sum()),
        hidden=int(inside.sum() - visible.sum()),
    )
