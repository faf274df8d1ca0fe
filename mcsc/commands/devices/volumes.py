"""Volumes of scanners in `mcsc fuse`: NIfTI and series of DICOM files, fused slice by slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...errors import InvalidValueError
from ...values.ranges import ValueRange, find_range

if TYPE_CHECKING:
    from ...images.formats.medical import Volume

__all__ = ["fuse_volumes", "has_volumes"]

_SUFFIXES = (".nii", ".nii.gz")


def has_volumes(sources: Sequence[Path]) -> bool:
    """Whether images of scanners are to be fused as volumes: more slices than one, or a folder.

    Raises
    ------
    click.UsageError
        Some are, and some are not.
    """
    from ...images.formats.medical import is_volume

    there = [is_volume(path) for path in sources]
    if any(there) and not all(there):
        one, other = sources[there.index(True)], sources[there.index(False)]
        kind = "a folder, as of a series of DICOM files" if one.is_dir() else "a volume"
        raise click.UsageError(
            f"{one} is {kind}, {other} is a picture: want volumes alone, or --page for one slice"
        )
    return any(there)


def fuse_volumes(
    sources: Sequence[Path],
    out: Path,
    ranges: Sequence[ValueRange],
    *,
    overwrite: bool,
    bit_depth: str | None,
    refused: Mapping[str, Any],
    **options: Any,
) -> None:
    """Read volumes, fuse them, write the result as NIfTI, and tell.

    Parameters
    ----------
    sources, out : paths
    ranges : sequence of ValueRange
        None: what each volume uses; one for all; or one each.
    overwrite : bool
        `out` may be one of the sources.
    bit_depth : str or None
        "32": floats; None: as the first volume has them.
    refused : mapping of str to value
        Options that were given and do nothing for volumes.
    **options
        Options of `mcsc.tasks.fuse_volumes`.
    """
    import numpy as np

    from ...images.formats.medical import Volume, read_volume, same_grid, write_volume
    from ...tasks.volumes import fuse_volumes as run
    from ..destinations import check_destinations
    from ..results import words_cut

    for name, value in refused.items():
        if value:
            raise click.UsageError(f"{name} is for pictures, not for volumes")
    if not out.name.lower().endswith(_SUFFIXES):
        raise InvalidValueError(
            f"--out {out}: volumes are written as NIfTI: want .nii or .nii.gz, or --page for one "
            "slice as a picture"
        )
    if bit_depth not in (None, "32"):
        raise click.UsageError(
            f"--bit-depth {bit_depth} is for pictures; a volume has the samples of the first one, "
            "or --bit-depth 32"
        )
    check_destinations({"--out": out}, inputs=sources, overwrite=overwrite)
    volumes = [read_volume(path) for path in sources]
    for other in volumes[1:]:
        why = same_grid(volumes[0], other)
        if why:
            raise InvalidValueError(
                f"{why}: want volumes of one grid; resample one to that of the other first, as "
                "nibabel.processing.resample_from_to does"
            )
    if ranges:
        chosen = list(ranges) if len(ranges) > 1 else [ranges[0]] * len(volumes)
    else:
        chosen = [find_range([_typed(v)], name=str(v.path)) for v in volumes]
    for volume, values in zip(volumes, chosen, strict=True):
        note = f"{volume.note}; " if volume.note else ""
        click.echo(
            f"{volume.path.name}: {_slices(volume.slices)} of {volume.slices.shape[1]} x "
            f"{volume.slices.shape[2]}; {note}{values.low:.6g} to {values.high:.6g} are worked on "
            "as 0 to 1"
        )
    found = run(
        [v.slices for v in volumes], value_ranges=chosen, names=[str(p) for p in sources], **options
    )
    first = volumes[0]
    dtype = first.dtype if bit_depth is None else np.dtype(np.float32)
    cut = write_volume(out, Volume(found.image, first.affine, dtype, out))
    said = [] if found.gap is None else [f"worst certified gap {found.gap:.1e}"]
    if cut:
        said += words_cut(out, dtype, cut, how="--bit-depth 32")
    click.echo(f"{out}: {', '.join([_slices(found.image), *said, f'{found.seconds:.1f} s'])}")
    if not found.converged:
        click.get_current_context().exit(1)


def _slices(volume: Any) -> str:
    return f"{len(volume)} slice{'' if len(volume) == 1 else 's'}"


def _typed(volume: Volume) -> Any:
    """The samples in the type of the file, whose range counts."""
    small = volume.dtype.kind in "iu" and volume.dtype.itemsize <= 2
    return volume.slices.astype(volume.dtype) if small else volume.slices
