"""Volumes of scanners in `mcsc fuse`: NIfTI and series of DICOM files, fused slice by slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...errors import InvalidValueError
from ...values.ranges import ValueRange, beyond, find_range
from ...words import percent

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
    masks: Mapping[int, Sequence[str]],
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
    masks : mapping of int to sequence of str
        Words of --mask by the number of the volume: "nan", "zeros" and numbers.
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
    for words in masks.values():
        _check_words(words)
    check_destinations({"--out": out}, inputs=sources, overwrite=overwrite)
    volumes = [read_volume(path) for path in sources]
    for other in volumes[1:]:
        why = same_grid(volumes[0], other)
        if why:
            raise InvalidValueError(
                f"{why}: want volumes of one grid; resample one to that of the other first, as "
                "nibabel.processing.resample_from_to does"
            )
    known = [_known(volume, m, masks.get(m, ())) for m, volume in enumerate(volumes)]
    if ranges:
        chosen = list(ranges) if len(ranges) > 1 else [ranges[0]] * len(volumes)
    else:
        chosen = [
            find_range([_typed(v)], [mask], name=str(v.path))
            for v, mask in zip(volumes, known, strict=True)
        ]
    for volume, mask, values in zip(volumes, known, chosen, strict=True):
        note = f"{volume.note}; " if volume.note else ""
        if mask is not None:
            note += f"{percent(1 - float(mask.mean()), 3)} of the voxels unknown; "
        click.echo(
            f"{volume.path.name}: {_slices(volume.slices)} of {volume.slices.shape[1]} x "
            f"{volume.slices.shape[2]}; {note}{values.low:.6g} to {values.high:.6g} are worked on "
            "as 0 to 1"
        )
    found = run(
        [v.slices for v in volumes], masks=known, value_ranges=chosen,
        names=[str(p) for p in sources], **options,
    )  # fmt: skip
    first = volumes[0]
    dtype = first.dtype if bit_depth is None else np.dtype(np.float32)
    cut = write_volume(out, Volume(found.image, first.affine, dtype, out))
    said = [] if found.gap is None else [f"worst certified gap {found.gap:.1e}"]
    if cut:
        furthest = beyond(found.image, dtype)
        said += words_cut(out, dtype, cut, furthest, chosen[0], how="--bit-depth 32")
    click.echo(f"{out}: {', '.join([_slices(found.image), *said, f'{found.seconds:.1f} s'])}")
    if not found.converged:
        click.get_current_context().exit(1)


def _check_words(words: Sequence[str]) -> None:
    for word in words:
        if word not in ("nan", "zeros") and _number(word) is None:
            raise click.UsageError(f"--mask {word}: of volumes want nan, zeros or a number")


def _known(volume: Volume, number: int, words: Sequence[str]) -> Any:
    """Where a volume is known, (slices, H, W); None where that is everywhere.

    Raises
    ------
    ValueError
        It holds NaN or Inf where nothing says that it is unknown, or no voxel is known.
    """
    import numpy as np

    from ...values.masks import known_by_value

    slices = volume.slices
    known = np.ones(slices.shape, bool)
    for word in words:
        value = 0.0 if word == "zeros" else _number(word)
        if word == "nan":
            part = np.isfinite(slices)
        else:
            assert value is not None
            part = known_by_value(slices[None], value)[0]
            if word != "zeros" and part.all():
                click.echo(f"--mask {word}: no voxel of {volume.path.name} has this value")
        known &= part
    if not known.any():
        raise InvalidValueError(f"--mask: no voxel of {volume.path} is known")
    wrong = ~np.isfinite(slices) & known
    if wrong.any():
        option = "--mask nan" if number == 0 else f"--mask {number + 1}=nan"
        raise InvalidValueError(
            f"{volume.path} holds NaN or Inf in {int(wrong.any(axis=(1, 2)).sum())} of "
            f"{_slices(slices)}; if these are unknown voxels, say {option}"
        )
    return None if known.all() else known


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _slices(volume: Any) -> str:
    return f"{len(volume)} slice{'' if len(volume) == 1 else 's'}"


def _typed(volume: Volume) -> Any:
    """The samples in the type of the file, whose range counts."""
    small = volume.dtype.kind in "iu" and volume.dtype.itemsize <= 2
    return volume.slices.astype(volume.dtype) if small else volume.slices
