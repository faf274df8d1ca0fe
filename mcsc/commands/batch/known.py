"""Which pixels of an image that need not fit in memory are known: by --mask, or by its file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InvalidValueError

if TYPE_CHECKING:
    from ...images.formats.tiff import StoredImage

__all__ = ["IN_PARTS", "check_opaque", "known_by_file", "known_by_words", "stored_image"]

IN_PARTS = (".tif", ".tiff", ".npy", ".zarr")
"""Kinds of files that need not be read whole."""


def stored_image(path: Path, page: int | None) -> StoredImage | None:
    """Return what a TIFF file says of an image; None of files of other kinds.

    Raises
    ------
    ValueError
        It has no such page, counted from 1; see `mcsc.distributed.arrays.image_pages`.
    """
    from ...distributed.arrays import image_pages

    if path.suffix.lower() in (".zarr", ".npy"):
        return None
    found = image_pages(path)
    if page is not None and page > len(found):
        raise InvalidValueError(f"{path} has no page {page}, but {len(found)}")
    return found[(page or 1) - 1]


def check_opaque(path: Path, page: int | None, image: Any, advice: str) -> None:
    """Refuse an image whose file has a mask of pixels in which some are unknown.

    Raises
    ------
    ValueError
        The message ends in `advice`.
    """
    known = _opaque(path, page, image)
    if known is not None and not known.all().compute():
        raise InvalidValueError(f"{path} has transparent pixels{advice}")


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
        "nan", "zeros", "nodata", "alpha" (what a mask in the file of the image says), numbers, or
        names of mask files, in which 0 is unknown. Of several, a pixel is unknown if any of them
        says so.
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
        elif word == "alpha":
            found = _opaque(path, page, image)
            part = True if found is None else found
        elif Path(word).exists():
            part = _by_mask_file(Path(word), path, image, opened)
        else:
            try:
                part = known_by_value(image, float(word))
            except ValueError:
                raise InvalidValueError(
                    f"--mask {word}: in blocks want nan, zeros, nodata, alpha, a number or a "
                    "mask file"
                ) from None
        known = part & known
    return None if known is True else known


def _nodata(path: Path, page: int | None) -> float | None:
    """Return the value that a file calls unknown; only those of TIFF files can."""
    from ...distributed.arrays import unknown_value_of

    stored = stored_image(path, page)
    return None if stored is None else unknown_value_of(path, stored.number)


def _opaque(path: Path, page: int | None, image: Any) -> Any:
    """Return where the mask in a TIFF file says that an image is known; None without one."""
    from ...distributed import open_image
    from ...distributed.arrays import as_blocks

    stored = stored_image(path, page)
    if stored is None or stored.mask is None:
        return None
    mask = as_blocks(f"the mask of {path}", open_image(path, page=stored.mask), 1024)
    return (mask != 0).rechunk((1, *image.chunks[1:]))


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
