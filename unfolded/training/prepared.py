"""Scenes as a network sees them, made once and kept as compact files: by the workers of a cluster.

Reading, degrading and splitting large images takes longer than a network's step on a patch of them.
The files hold integers of 16 bits and what they stand for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mcsc.errors import InvalidValueError
from mcsc.files import read_npz, write_npz
from mcsc.images.sizes import BYTES_OF_A_PIXEL
from mcsc.synthetic.photographs import photograph_files
from mcsc.tasks.scenes import Reader, SceneFiles

if TYPE_CHECKING:
    from .scenes import TaskTriples

__all__ = [
    "PreparedTriples", "pack", "prepare_scenes", "stamp_of_photographs", "stamp_of_scenes",
    "unpack",
]  # fmt: skip

_KIND, _FORMAT = "mcsc.Scene of a training", 1
_WHITE = 65535


def pack(scene: Sequence[Any], prefix: str = "") -> dict[str, np.ndarray]:
    """Return the arrays of a file for a scene (x, y, z), or (x, y, z, sigma).

    Images are rounded to 65536 steps between their smallest and their largest value.
    """
    found: dict[str, np.ndarray] = {}
    ends = []
    for word, image in zip("xyz", scene[:3], strict=True):
        values = np.asarray(image, dtype=np.float64)
        low, high = float(values.min()), float(values.max())
        steps = (values - low) / (high - low or 1.0) * _WHITE
        found[f"{prefix}{word}"] = np.round(steps).astype(np.uint16)
        ends.append((low, high))
    found[f"{prefix}range"] = np.asarray(ends)
    if len(scene) > 3:
        found[f"{prefix}sigma"] = np.asarray(float(scene[3]))
    return found


def unpack(arrays: Mapping[str, np.ndarray], prefix: str = "") -> tuple[Any, ...]:
    """Return the scene that `pack` made arrays of, in float32."""
    images = []
    for word, (low, high) in zip("xyz", arrays[f"{prefix}range"], strict=True):
        steps = arrays[f"{prefix}{word}"].astype(np.float32) / _WHITE
        images.append((low + (high - low) * steps).astype(np.float32))
    key = f"{prefix}sigma"
    return (*images, float(arrays[key])) if key in arrays else tuple(images)


class PreparedTriples(Sequence[Any]):
    """Scenes of `TaskTriples` from the files that `prepare_scenes` wrote.

    Parameters
    ----------
    files : sequence of Path
        One a scene.
    names : sequence of str
        What to call them.
    """

    def __init__(self, files: Sequence[Path], names: Sequence[str]) -> None:
        self._files, self._names = tuple(files), tuple(names)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: Any) -> Any:
        _, arrays = read_npz(self._files[index], _KIND, _FORMAT)
        if "0_range" not in arrays:
            return unpack(arrays)
        return unpack(arrays, "0_"), unpack(arrays, "1_")

    def name(self, index: int) -> str:
        """Return what to call a scene in a message."""
        return self._names[index]


def stamp_of_scenes(readers: Sequence[Reader]) -> str:
    """Return what changes with the files of scenes: their names, sizes and times."""
    digest = hashlib.blake2b(digest_size=12)
    for reader in readers:
        paths: list[Path] = []
        if isinstance(reader, SceneFiles):
            digest.update(repr((reader.masks, reader.ranges)).encode())
            found = (reader.x_path, reader.y_path, reader.target_path)
            paths = [path for path in found if path is not None]
        for path in paths:
            stat = path.stat()
            digest.update(f"{path.name} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()


def stamp_of_photographs(folder: Path | None) -> str:
    """Return what changes with the photographs that scenes are made of: their names and sizes.

    Not with the folder's place, nor with the times of its files, which a copy may not keep. None
    are those of scikit-image.
    """
    if folder is None:
        return "those of scikit-image"
    files = photograph_files(folder)
    listed = [f"{path.relative_to(folder).as_posix()} {path.stat().st_size}" for path in files]
    digest = hashlib.blake2b("\n".join(sorted(listed)).encode(), digest_size=6)
    return f"{len(files)} files {digest.hexdigest()}"


def prepare_scenes(
    parts: Mapping[str, TaskTriples],
    folder: Path,
    settings: Mapping[str, Any],
    *,
    scheduler: str | None = None,
    progress: bool = False,
) -> dict[str, PreparedTriples]:
    """Make scenes on workers, a task each, and return those that read what was written.

    Parameters
    ----------
    parts : mapping of str to TaskTriples
        By what their files are called.
    folder : Path
        Made if it is missing, on a file system that all workers see. Scenes that are there
        already are left as they are.
    settings : mapping
        All that the scenes depend on, in JSON's types.
    scheduler : str, optional
        Address of a Dask cluster. Default: a process a core of this machine.
    progress : bool
        Show Dask's bar.

    Raises
    ------
    ValueError
        The folder holds scenes of other settings, or a scene cannot be made: the message names it.
    """
    from mcsc.distributed import Scene, map_scenes

    folder = folder.resolve()
    due, made = [], {}
    for part, triples in parts.items():
        files = [folder / f"{part}-{n:05d}.npz" for n in range(len(triples))]
        made[part] = PreparedTriples(files, [triples.name(n) for n in range(len(triples))])
        due += [
            Scene(f"{part}-{n}", (triples, n), file, triples.pixels(n) * BYTES_OF_A_PIXEL)
            for n, file in enumerate(files)
        ]
    table = map_scenes(
        _prepare, due, scheduler=scheduler, folder=folder, settings=settings, progress=progress
    )
    if table.count("interrupted"):
        raise KeyboardInterrupt
    for outcome in table.failed:
        raise InvalidValueError(f"scene {outcome.name} could not be prepared: {outcome.reason}")
    return made


def _prepare(triples: TaskTriples, index: int, out: Path) -> None:
    scene = triples[index]
    two = isinstance(scene[0], tuple)
    arrays = pack(scene[0], "0_") | pack(scene[1], "1_") if two else pack(scene)
    write_npz(out, _KIND, _FORMAT, arrays)
