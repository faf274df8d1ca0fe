"""Depth of a sensor that stands beside the camera: the option --calibration of `mcsc restore`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...errors import InvalidValueError
from ...words import percent
from ..named import ListedOption

if TYPE_CHECKING:
    from ...images.cameras.reprojection import Rig
    from ...tasks.task import Task
    from ..inputs import Given

__all__ = ["brought_into", "calibration_option", "read_rig"]


def _example() -> str:
    from ...images.cameras.calibration import EXAMPLE

    return " ".join(EXAMPLE.split())


calibration_option = click.option(
    "--calibration",
    metavar="FILE.json",
    type=click.Path(path_type=Path),
    cls=ListedOption,
    names=_example,
    help="X is a raw depth map of a sensor beside the camera of GUIDE, and the file holds the "
    "calibration of both. The points of the map are projected into the photograph, without those "
    "that are hidden there, and the depth map that results is restored. For a depth map in "
    "millimetres and other lengths in metres: {names}",
)


def read_rig(
    calibration: Path | None, task: Task, *, align: bool, factor: float | None
) -> Rig | None:
    """Read what --calibration names, if anything; refuse what does not go with it."""
    from ...images.cameras.calibration import read_calibration

    if calibration is None:
        return None
    if task.factor is None:
        raise click.UsageError(f"--calibration is for super-resolution of depth, not {task.name}")
    if align:
        raise click.UsageError(
            "--align and --calibration exclude each other: the calibration says how the images lie"
        )
    if factor is not None:
        raise click.UsageError(
            "--factor and --calibration exclude each other: the calibration determines the factor"
        )
    return read_calibration(calibration)


def brought_into(first: Given, second: Given, rig: Rig, calibration: Path) -> tuple[Given, int]:
    """A depth map as the photograph's camera sees it, and how many times the photograph is larger.

    `calibration` is the file of `rig`, for messages.

    Raises
    ------
    ValueError
        The calibration is not for images of these sizes; or the map has several channels.
    """
    import numpy as np

    from ...images.cameras.gathering import gather
    from ...images.cameras.reprojection import reproject

    for key, given, camera in (("depth", first, rig.depth), ("photo", second, rig.photo)):
        height, width = given.image.pixels.shape[1:]
        if (height, width) != (camera.height, camera.width):
            raise InvalidValueError(
                f"{calibration}: {key}.height and {key}.width are {camera.height} and "
                f"{camera.width}, {given.name} is {height} x {width}"
            )
    depth = first.image.samples
    if len(depth) != 1:
        raise InvalidValueError(f"{first.name} has {len(depth)} channels; want depth, which is one")
    mask = None if first.mask is None else first.mask[:1]
    found = reproject(depth.astype(np.float32), rig, mask)
    small = gather(found, second.shown())
    click.echo(
        f"{first.image.path.name}: {found.measured} points of depth, {found.outside} outside of "
        f"the photograph, {found.hidden} hidden in it; the others are {found.spacing:.3g} pixels "
        f"apart there, {percent(float(np.mean(small.mask)), 3)} of it is near one"
    )
    image = replace(
        first.image, pixels=(small.depth / first.full_scale).astype(np.float32), nodata=None
    )
    mask = None if (small.mask > 0).all() else small.mask.astype(np.float32)
    return replace(first, image=image, mask=mask), small.factor
