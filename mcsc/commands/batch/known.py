"""Which pixels of an image that need not fit in memory are known: by --mask, or by its file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...errors import InvalidValueError

__all__ = ["IN_PARTS", "known_by_file", "known_by_words"]

IN_PARTS = (".tif", ".tiff", ".npy", ".zarr")
"""Kinds of files that need not be read whole."""


def known_by_file(path: Path, page: int | None, image: Any) -> tuple[Any, float | None]:
    """Return where an image is known, and the value that its file calls unknown.

    (None, None) if it calls none so, or no pixel has it.
    """
    from ...values.masks import known_by_value

    value = _nodata(path, page)
    known = None if value is None else known_by_value(image, value)
    if known is None or known.all().compute():
        return None, None
    return known, value


def known_by_words(
    path: Path,
    page: int | None,
    image: Any,
    words: Sequence[str],
    opened: Callable[..., Any],
) -> Any:
    """Return where an image (C, H, W) is known, by the words of --mask, as a Dask array.

    Parameters
    ----------
    path, page
        File of the image, and its page, counted from 1.
    image : Dask array (C, H, W)
    words : sequence of str
        "nan", "zeros", "nodata", numbers, or names of mask files, in which 0 is unknown. Of
        several, a pixel is unknown if any of them says so.
    opened : callable
        Opens a file as such an array.

    Raises
    ------
    ValueError
        The file of the image says of no value that it is unknown, though this is asked for; or a
        mask file is of another size, holds other numbers than 0 and one more, or seems to be
        inverted; or a word is none of these.
    """
    from ...values.masks import known_by_value, nodata_of

    known: Any = True
    for word in words:
        if word == "nan":
            import dask.array as da

            part = da.isfinite(image).all(axis=0, keepdims=True)
        elif word == "zeros":
            part = (image != 0).any(axis=0, keepdims=True)
        elif word == "nodata":
            part = known_by_value(image, nodata_of(path, _nodata(path, page)))
        elif Path(word).exists():
            part = _by_mask_file(Path(word), path, image, opened)
        else:
            try:
                part = known_by_value(image, float(word))
            except ValueError:
                raise InvalidValueError(
                    f"--mask {word}: in blocks want nan, zeros, nodata, a number or a mask file"
                ) from None
        known = part & known
    return known


def _nodata(path: Path, page: int | None) -> float | None:
    """Return the value that a file calls unknown; only those of TIFF files can."""
    from ...distributed.arrays import image_pages, unknown_value_of

    if path.suffix.lower() in (".zarr", ".npy"):
        return None
    return unknown_value_of(path, image_pages(path)[(page or 1) - 1])


def _by_mask_file(file: Path, path: Path, image: Any, opened: Callable[..., Any]) -> Any:
    """Return where a mask file, in blocks of two values, says that an image is known."""
    import dask
    import dask.array as da

    from ...distributed.arrays import as_blocks
    from ...images import read_image
    from ...values.masks import check_upright

    if file.suffix.lower() in IN_PARTS:
        mask = opened(file, None, kinds="bfiu")
    else:  # one of another kind is small enough to be read whole
        mask = as_blocks(str(file), read_image(file).samples, max(image.chunks[1]))
    if mask.shape[1:] != image.shape[1:]:
        raise InvalidValueError(
            f"--mask {file} is {mask.shape[1]} x {mask.shape[2]}, {path} {image.shape[1]} x "
            f"{image.shape[2]}: want the same size"
        )
    there = (mask != 0).any(axis=0, keepdims=True)
    blank = (~da.isfinite(image) | (image == 0)).all(axis=0, keepdims=True)
    most, others, known, blank_known, blanks = dask.compute(
        mask.max(), ((mask != 0) & (mask != mask.max())).any(), there.sum(), (blank & there).sum(),
        blank.sum(),
    )  # fmt: skip
    if others:
        raise InvalidValueError(
            f"--mask {file} holds other numbers than 0 and {most:g}: in blocks a mask has two "
            "values, of which 0 is unknown"
        )
    if mask.dtype.kind == "f" and 0 < most < 1:
        raise InvalidValueError(
            f"--mask {file} holds weights up to {most:g}: in blocks want 0 and 1, or white"
        )
    if not known:
        raise InvalidValueError(f"--mask {file}: no pixel of {path} is known")
    check_upright(file, path, (known, there.size - known), (blank_known, blanks - blank_known))
    # Chunks are those of the image, which it is read with.
    return there.rechunk((1, *image.chunks[1:]))
