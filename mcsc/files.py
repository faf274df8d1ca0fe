"""Files: written whole or not at all, read without trusting what they hold."""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from ._version import __version__
from .errors import InvalidValueError, warn_user

__all__ = [
    "atomic_write",
    "check_readable",
    "check_writable",
    "make_folder",
    "npz_path",
    "printable",
    "read_npz",
    "visible_files",
    "write_json",
    "write_npz",
    "write_text",
]

# An honest file is seldom packed tighter than this; below the floor there is no harm.
_TIGHTEST = 200
_HARMLESS = 2**28

_ANYBODY = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_EFFECTIVE = os.access in os.supports_effective_ids


def check_writable(path: str | Path) -> None:
    """Refuse the name of a file that could not be written, before any work is done.

    Parameters
    ----------
    path : path
        A symbolic link stands for the file that it leads to.

    Raises
    ------
    IsADirectoryError
        It is a folder.
    FileNotFoundError
        Its folder does not exist.
    PermissionError
        The file is read-only, which holds for root, too; or its folder cannot be written to.
    OSError
        A new file cannot be made beside it for another reason, as a disk that is full.
    ValueError
        It is no ordinary file: a device, a pipe.
    """
    path = Path(path)
    _try(_target(path).parent, path)


def check_readable(path: str | Path, what: str = "file") -> None:
    """Refuse what cannot be read as a file, before it is opened.

    To open a pipe is to wait until somebody writes to it, and a device may have no end.

    Parameters
    ----------
    path : path
    what : str
        What messages call it.

    Raises
    ------
    FileNotFoundError
        There is none.
    IsADirectoryError
        It is a folder.
    ValueError
        It is a pipe or a device.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path}: is a folder; want a {what}")
    if not path.exists():
        raise FileNotFoundError(f"no {what} at {path}")
    if not path.is_file():
        raise InvalidValueError(f"{path}: is a pipe or a device; want a {what} on disk")


def visible_files(folder: Path, *, within: bool = False) -> list[Path]:
    """List what a folder holds that is no folder, but for names that begin with a dot, sorted.

    Other programs keep notes of their own beside a file x.png as ._x.png, with its ending. Links to
    nothing are listed, so that whoever reads them can say so.

    Parameters
    ----------
    folder : Path
    within : bool
        List those of the folders within, too, whose names begin with no dot. Links to folders are
        followed, and no folder is listed twice. One that cannot be listed is left out, with a
        warning.
    """
    if not within:
        return sorted(p for p in folder.iterdir() if p.name[0] != "." and not p.is_dir())
    found: list[Path] = []
    seen = {folder.resolve()}

    def cannot_list(error: OSError) -> None:
        if Path(str(error.filename)) == folder:
            raise type(error)(f"{folder}: cannot be listed: {error.strerror}") from error
        warn_user(f"{error.filename} cannot be listed ({error.strerror}), and is left out")

    for parent, inner, names in os.walk(folder, onerror=cannot_list, followlinks=True):
        here = Path(parent)
        found += [here / name for name in names if name[0] != "."]
        entered = []
        for name in sorted(inner):
            place = (here / name).resolve()
            if name[0] != "." and place not in seen:
                seen.add(place)
                entered.append(name)
        inner[:] = entered
    return sorted(found)


def make_folder(path: str | Path) -> None:
    """Make a folder, unless it is there, and see that files can be made in it.

    Raises
    ------
    NotADirectoryError
        It is a file.
    OSError
        It cannot be made or written to.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"{path}: is a file; want a folder")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(error)(f"{path}: cannot be made: {error.strerror}") from error
    _try(path, path)


def _try(folder: Path, path: Path) -> None:
    """Make an empty file in a folder and take it away: rights alone do not tell."""
    temporary = _temporary(folder)
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        os.unlink(temporary)
    except OSError as error:
        raise type(error)(f"{path}: cannot be written: {error.strerror}") from error


def _temporary(folder: Path) -> Path:
    # Short, so that every name that a file can have can be written, and with none of its bytes.
    return folder / f".mcsc-{secrets.token_hex(8)}.tmp"


@contextmanager
def atomic_write(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path` and rename it to `path` when all went well.

    An interrupted run leaves the old file or the new one, never half; what was renamed has reached
    the disk. A symbolic link stays, and the file that it leads to is replaced. A new file gets the
    permissions of any new file, a replaced one keeps its own.

    Parameters
    ----------
    path : path

    Yields
    ------
    binary file
        To write to.

    Raises
    ------
    OSError, ValueError
        As `check_writable`; or writing failed, for example because the disk is full.
    """
    path = Path(path)
    target = _target(path)
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
    temporary = _temporary(target.parent)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        # The system applies the umask, which belongs to all threads: to read it is to change it.
        descriptor = os.open(temporary, flags, 0o666 if mode is None else mode)
        try:
            with os.fdopen(descriptor, "wb") as handle:
                yield handle
                handle.flush()
                os.fsync(handle.fileno())
            if mode is not None:
                os.chmod(temporary, mode)
            os.replace(temporary, target)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
    except OSError as error:
        # The user knows neither the temporary name nor, where none is told, which file is meant.
        if error.errno and error.filename in (None, str(temporary)):
            raise type(error)(error.errno, error.strerror, str(path)) from error
        raise
    _settle(target.parent)


def write_text(path: str | Path, text: str) -> None:
    """Write text as UTF-8, whole or not at all.

    Written as `printable` makes it.
    """
    with atomic_write(path) as file:
        file.write(printable(text).encode())


def printable(text: str) -> str:
    """Text in which bytes of file names that are none (Python's surrogates) became U+FFFD."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write what every reader of JSON understands, whole or not at all.

    JSON has no infinite numbers and no NaN: they become ``null``, as in JavaScript and pandas.
    NumPy's numbers and arrays become numbers and lists, paths strings. Text stays readable, in
    UTF-8; bytes of file names that are no text are escaped so that Python reads them back.

    Parameters
    ----------
    path : path
    content : mapping
        Consists of mappings, sequences, strings, numbers, paths, arrays, True, False and None.
    """
    text = json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False)
    with atomic_write(path) as file:
        # "\udcff" in a string is written as these six letters, JSON's own escape.
        file.write(text.encode("utf-8", "backslashreplace") + b"\n")


def npz_path(path: str | Path) -> Path:
    """Where `write_npz` writes: ``.npz`` is appended if it is missing.

    Raises
    ------
    ValueError
        The path names no file.
    """
    path = Path(path)
    if path.suffix.lower() == ".npz":
        return path
    if not path.name:
        raise InvalidValueError(f"{str(path)!r} is not the name of a file")
    return path.with_name(path.name + ".npz")


def write_npz(
    path: str | Path, kind: str, version: int, arrays: dict[str, np.ndarray], **header: Any
) -> None:
    """Write arrays with a JSON header to `npz_path`."""
    text = json.dumps(
        {"format": version, "kind": kind, "written_by": __version__, "arrays": sorted(arrays)}
        | header
    )
    with atomic_write(npz_path(path)) as handle:
        np.savez_compressed(handle, **({"header": np.array(text)} | arrays))  # type: ignore[arg-type]


def read_npz(
    path: str | Path, kind: str, newest: int, *, max_bytes: int | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return header and arrays of a file that `write_npz` wrote; its ``.npz`` may be left out.

    Nothing is unpickled, and nothing is unpacked that would need far more memory than a file of
    its size should.

    Parameters
    ----------
    path : path
    kind : str
        What the file must hold, as it was given to `write_npz`.
    newest : int
        Highest version that is understood.
    max_bytes : int, optional
        Most bytes that the arrays may take. Default: 200 times the size of the file, and at least
        256 MiB.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is damaged, of another kind, of a format above `newest`, or its arrays would take
        more than `max_bytes`.
    """
    path = Path(path)
    noun = kind.removeprefix("mcsc.").lower()
    if not path.exists() and npz_path(path).exists():
        path = npz_path(path)
    check_readable(path, f"{noun} file")
    with path.open("rb") as handle:
        most = max(_HARMLESS, _TIGHTEST * path.stat().st_size) if max_bytes is None else max_bytes
        try:
            needed = _unpacked_size(handle)
            if needed <= most:
                with np.load(handle, allow_pickle=False) as data:
                    arrays = {key: data[key] for key in data.files}
                header = json.loads(str(arrays.pop("header")[()]))
                if header["kind"] != kind:
                    raise InvalidValueError(f"it is of kind {header['kind']!r}")
                newer = header["format"] > newest
                # A damaged table of contents can lose arrays without a word.
                if not newer and sorted(arrays) != header["arrays"]:
                    raise InvalidValueError(f"it holds {sorted(arrays)}")
        except MemoryError:
            raise
        except Exception as error:  # zipfile, zlib, NumPy and JSON raise each their own
            raise InvalidValueError(
                f"{path} is not a {noun} file written by mcsc, or it is damaged"
            ) from error
    if needed > most:
        raise InvalidValueError(
            f"{path} would take {needed / 2**20:.0f} MiB of memory, more than the "
            f"{most / 2**20:.0f} MiB that a {noun} file of {path.stat().st_size} bytes may take"
        )
    if newer:
        raise InvalidValueError(
            f"{path} was written by a newer mcsc ({header.get('written_by', 'unknown')}, file "
            f"format {header['format']}; this one reads up to {newest}): update mcsc"
        )
    return header, arrays


def _target(path: Path) -> Path:
    """The file that a path leads to, by links or not; refuse what cannot be written."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(
            f"{path}: cannot be written: it is a folder; want the name of a file"
        )
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{path}: cannot be written: there is no folder {target.parent}")
    if target.exists():
        if not target.is_file():
            raise InvalidValueError(
                f"{path}: cannot be written: it is a device or a pipe; want the name of a file"
            )
        # What nobody may write was protected by somebody; root, as whom containers run, could.
        protected = not target.stat().st_mode & _ANYBODY
        if protected or not os.access(target, os.W_OK, effective_ids=_EFFECTIVE):
            raise PermissionError(f"{path}: cannot be written: it is read-only")
    if not os.access(target.parent, os.W_OK | os.X_OK, effective_ids=_EFFECTIVE):
        raise PermissionError(
            f"{path}: cannot be written: no permission to write into {target.parent}"
        )
    return target


def _settle(folder: Path) -> None:
    """Let the names in a folder reach the disk, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _plain(value: Any) -> Any:
    """In JSON's own types."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _unpacked_size(handle: IO[bytes]) -> int:
    """Bytes of all arrays of an archive as it declares them; no more than these are unpacked.

    Raises
    ------
    ValueError
        An array declares another size than its part of the archive.
    """
    total = 0
    with zipfile.ZipFile(handle) as archive:
        for info in archive.infolist():
            total += info.file_size
            with archive.open(info) as member:
                version = np.lib.format.read_magic(member)
                read = {
                    (1, 0): np.lib.format.read_array_header_1_0,
                    (2, 0): np.lib.format.read_array_header_2_0,
                }[version]
                shape, _, dtype = read(member)
                # NumPy allocates what the array declares before it reads any of it.
                if math.prod(shape) * dtype.itemsize != info.file_size - member.tell():
                    raise ValueError(f"{info.filename} declares {shape} of {dtype}")
    handle.seek(0)
    return total
