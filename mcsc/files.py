"""Files: written whole or not at all, read without trusting what they hold."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from ._version import __version__
from .errors import InvalidValueError


@contextmanager
def atomic_write(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path` and rename it to `path` when all went well.

    An interrupted run leaves the old file or the new one, never half.
    """
    path = Path(path)
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"cannot write {path}: no folder {path.parent}") from error
    try:
        with os.fdopen(descriptor, "wb") as handle:
            yield handle
        # mkstemp makes files private; give the result what an ordinary new file gets.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_npz(
    path: str | Path, kind: str, version: int, arrays: dict[str, np.ndarray], **header: Any
) -> None:
    """Write arrays with a JSON header; ``.npz`` is appended to the name if it is missing."""
    path = Path(path)
    if path.suffix != ".npz":
        path = path.with_name(path.name + ".npz")
    text = json.dumps(
        {"format": version, "kind": kind, "written_by": __version__, "arrays": sorted(arrays)}
        | header
    )
    with atomic_write(path) as handle:
        np.savez_compressed(handle, **({"header": np.array(text)} | arrays))  # type: ignore[arg-type]


def read_npz(
    path: str | Path, kind: str, newest: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return header and arrays of a file that `write_npz` wrote. Nothing is unpickled.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is damaged, of another kind, or of a format above `newest`.
    """
    path = Path(path)
    noun = kind.removeprefix("mcsc.").lower()
    if not path.is_file():
        raise FileNotFoundError(f"no {noun} file at {path}")
    # Opened here: NumPy leaves the file of a damaged archive open.
    with path.open("rb") as handle:
        try:
            with np.load(handle, allow_pickle=False) as data:
                arrays = {key: data[key] for key in data.files}
            header = json.loads(str(arrays.pop("header")[()]))
            if header["kind"] != kind:
                raise InvalidValueError(f"it is of kind {header['kind']!r}")
            newer = header["format"] > newest
            # A damaged table of contents can lose arrays without a word.
            if not newer and sorted(arrays) != header["arrays"]:
                raise InvalidValueError(f"it holds {sorted(arrays)}")
        except Exception as error:  # zipfile, zlib, NumPy and JSON raise each their own
            raise InvalidValueError(
                f"{path} is not a {noun} file written by mcsc, or it is damaged"
            ) from error
    if newer:
        raise InvalidValueError(
            f"{path} was written by a newer mcsc ({header.get('written_by', 'unknown')}, file "
            f"format {header['format']}; this one reads up to {newest}): update mcsc"
        )
    return header, arrays
