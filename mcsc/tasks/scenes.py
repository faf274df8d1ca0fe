"""Scenes of a task, in folders and synthetic ones, read when they are asked for.

A scene is a `Reader`, a callable that returns the images of both roles; it may have a ``name``, for
messages. Those here can be pickled, as other processes want them.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValueError, Refusal
from ..images.files import read_image
from ..images.suffixes import READABLE
from ..synthetic.photographs import Photographs
from ..types import Floats
from ..values.masks import full_scale, known_image
from ..values.ranges import ValueRange, find_range
from .task import Task

__all__ = [
    "Reader",
    "Recent",
    "SceneFiles",
    "find_scenes",
    "flipped",
    "hold_out",
    "look_at_scenes",
    "name_of",
    "require_targets",
    "synthetic_scenes",
    "unseen_scenes",
]

S = TypeVar("S")
V = TypeVar("V")

Reader = Callable[[], tuple[Floats, ...]]
"""Returns the images of both roles: the clean image and the guide, or both sources.

Of a fusion, the image that is to be made of them may come third.
"""

_SOME = 20_000
"""Values of an image by which a range is found, besides its extremes."""
_MOST_UNSEEN = 8
_OTHER_SEED = 1_000_003
_GRID = 16  # pixels; a multiple of every task's factor
_CACHE_BYTES = 500_000_000


def name_of(reader: Reader, number: int) -> str:
    """Return what to call a scene in a message."""
    return str(getattr(reader, "name", f"scene {number}"))


# ---------------------------------------------------------------------------------- folders
@dataclass(frozen=True)
class SceneFiles:
    """The two files of a scene, and of a fusion perhaps its target: a `Reader` of them."""

    name: str
    x_path: Path
    y_path: Path
    target_path: Path | None = None
    masks: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    """What is unknown in the images of both roles: words of `mcsc.values.masks.MASK_WORDS`."""
    ranges: tuple[ValueRange | None, ValueRange | None] = (None, None)
    """Values that stand for 0 and 1, in the unit of the files; None: the full scale of integers,
    [0, 1] of floats."""

    def __call__(self) -> tuple[Floats, ...]:
        """Return the images of both roles and, if there is one, the target of a fusion.

        Raises
        ------
        ValueError
            They differ in size.
        """
        x, y = self.read()
        if self.target_path is None:
            return x, y
        target = self._target()
        self._check_sizes(target, x, self.target_path)
        return x, y, target

    def _target(self) -> Floats:
        """Read the target, whose values are those of x."""
        assert self.target_path is not None
        values = self.ranges[0]
        if values is None:
            return self._image(self.target_path, (), None)[0]
        full = full_scale(read_image(self.x_path))
        plain = (values.low, values.high) == (0.0, full)
        target, own = self._image(self.target_path, (), None if plain else values)
        if not plain and own != full:
            raise InvalidValueError(
                f"{self.target_path.name}: another kind of file than {self.x_path.name}, so that "
                f"the range {values.low:g} to {values.high:g} cannot be that of both; want both as "
                "integers of as many bits, or both as floats"
            )
        return target

    def read(self) -> tuple[Floats, Floats]:
        """Return the images of both roles, (C, H, W) float32 in [0, 1]; NaN where unknown.

        Raises
        ------
        ValueError
            They differ in size, or hold NaN or Inf that no mask calls unknown.
        """
        x, _ = self._image(self.x_path, self.masks[0], self.ranges[0])
        y, _ = self._image(self.y_path, self.masks[1], self.ranges[1])
        self._check_sizes(y, x, self.y_path)
        return x, y

    def _check_sizes(self, other: Floats, x: Floats, path: Path) -> None:
        if other.shape[1:] != x.shape[1:]:
            raise InvalidValueError(
                f"{path.name} is {other.shape[1]} x {other.shape[2]}, {self.x_path.name} is "
                f"{x.shape[1]} x {x.shape[2]}: images of a scene must have one size"
            )

    def _image(
        self, path: Path, words: Sequence[str], values: ValueRange | None
    ) -> tuple[Floats, float]:
        """Values in [0, 1], and white in the file's own unit."""
        image, mask = known_image(path, words)
        pixels: Floats = image.pixels
        full = full_scale(image)
        if values is not None:
            pixels = ValueRange(values.low / full, values.high / full).scaled(pixels)
        known = pixels if mask is None else np.where(mask > 0, pixels, np.nan)
        return known.astype(np.float32), full


def look_at_scenes(
    scenes: Sequence[SceneFiles],
    *,
    masks: tuple[Sequence[str], Sequence[str]] = ((), ()),
    ranges: Sequence[ValueRange] = (),
    doubtful: bool = False,
) -> tuple[list[SceneFiles], dict[str, str]]:
    """Read all scenes once, find what cannot be read, and one range of values for the others.

    Parameters
    ----------
    scenes : sequence of SceneFiles
    masks : (sequence of str, sequence of str)
        What is unknown in the images of both roles.
    ranges : sequence of ValueRange
        Range of values of both roles, or of each. None: found by `mcsc.values.ranges.find_range`,
        for all images of one role and dtype together, so that measures of scenes can be compared.
    doubtful : bool
        Warn of values in the images of the first role that may stand for unknown.

    Returns
    -------
    list of SceneFiles
        Those that can be read, with masks and ranges.
    dict of str to str
        Of the others, by name: what is wrong.
    """
    faults: dict[str, str] = {}
    kept: list[SceneFiles] = []
    found: list[tuple[_Sample, _Sample]] = []
    given = (tuple(masks[0]), tuple(masks[1]))
    for scene in scenes:
        asked = replace(scene, masks=given)
        if ranges:
            asked = replace(asked, ranges=(ranges[0], ranges[-1]))
        try:
            asked()
            samples = [
                _Sample.of(path, words)
                for path, words in zip((scene.x_path, scene.y_path), given, strict=True)
            ]
        except (Refusal, OSError) as error:
            faults[scene.name] = str(error)
            continue
        kept.append(asked)
        found.append((samples[0], samples[1]))
    if ranges:
        return kept, faults
    each: list[dict[str, ValueRange]] = []
    for role in (0, 1):
        groups: dict[str, list[_Sample]] = {}
        for pair in found:
            groups.setdefault(pair[role].kind, []).append(pair[role])
        each.append(
            {
                kind: _common_range(group, doubtful=doubtful and role == 0)
                for kind, group in groups.items()
            }
        )
    return [
        replace(scene, ranges=(each[0][x.kind], each[1][y.kind]))
        for scene, (x, y) in zip(kept, found, strict=True)
    ], faults


class _Sample(NamedTuple):
    """Some of the known values of an image, its extremes among them."""

    values: NDArray[Any]
    bits: int | None
    name: str

    @property
    def kind(self) -> str:
        return str(self.values.dtype)

    @classmethod
    def of(cls, path: Path, words: Sequence[str]) -> _Sample:
        image, mask = known_image(path, words)
        samples = image.samples
        known = samples[np.broadcast_to(True if mask is None else mask > 0, samples.shape)]
        some = known[:: max(1, known.size // _SOME)]
        ends = np.array([known.min(), known.max()], known.dtype)
        depth = image.bit_depth
        bits = image.significant_bits or (depth if 8 < depth < 16 else None)
        return cls(np.concatenate([some, ends]), bits, path.name)


def _common_range(group: Sequence[_Sample], *, doubtful: bool) -> ValueRange:
    bits = [sample.bits for sample in group]
    name = group[0].name if len(group) == 1 else f"{group[0].name} and {len(group) - 1} more"
    return find_range(
        [sample.values[None, None] for sample in group],
        name=name,
        doubtful=doubtful,
        bits=None if None in bits else max(b for b in bits if b is not None),
    )


def find_scenes(
    folder: str | PathLike[str],
    task: Task,
    names: Sequence[str] | None = None,
    *,
    faults: dict[str, str] | None = None,
) -> list[SceneFiles]:
    """Find the scenes of a task in a folder, sorted by name.

    Parameters
    ----------
    folder : path
        Folder with files ``scene_ROLE.png`` (or .tif, .jpg, .bmp) of the roles of the task. In a
        fusion, ``scene_target.png`` is the wanted image, if there is one. Files whose names begin
        with a dot are ignored.
    task : Task
        The task whose scenes to look for.
    names : sequence of str, optional
        Names of the scenes to find. Default: all.
    faults : dict, optional
        Filled with what is wrong with scenes that lack a file or have two of one role, by their
        names; they are left out. Without it they are refused.

    Raises
    ------
    ValueError
        There is no such folder, no scene in it, a named scene is missing, or a scene lacks a file
        or has two of one role.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InvalidValueError(f"{folder}: there is no such folder")
    twice: dict[str, str] = {}
    found: list[dict[str, Path]] = [_by_scene(folder, roles, twice) for roles in task.roles]
    targets = _by_scene(folder, ("target",), twice) if task.kind == "fusion" else {}
    all_names = sorted(found[0].keys() | found[1].keys())
    x_role, y_role = (" or ".join(f"_{role}" for role in roles) for roles in task.roles)
    if not all_names:
        raise InvalidValueError(
            f"{folder}: no images of {task.name}; want files SCENE{x_role}.png and "
            f"SCENE{y_role}.png"
        )
    if names is not None:
        missing = sorted(set(names) - set(all_names))
        if missing:
            raise InvalidValueError(
                f"{folder}: no scene {', '.join(missing)}; there are {', '.join(all_names)}"
            )
        all_names = [n for n in all_names if n in set(names)]
    wrong: dict[str, str] = {}
    for name in all_names:
        for images, role in zip(found, (x_role, y_role), strict=True):
            if name not in images:
                wrong[name] = f"no file {name}{role}.png"
        if name in twice:
            wrong[name] = twice[name]
    if faults is None:
        for name, reason in wrong.items():
            raise InvalidValueError(f"{folder}: scene {name} has {reason}")
    else:
        faults |= {name: f"has {reason}" for name, reason in wrong.items()}
    return [
        SceneFiles(name, found[0][name], found[1][name], targets.get(name))
        for name in all_names
        if name not in wrong
    ]


def require_targets(scenes: Sequence[SceneFiles], task: Task) -> None:
    """Refuse scenes of a fusion that come without the image that is to be made of them.

    Raises
    ------
    ValueError
        The message names the first of them.
    """
    if task.kind != "fusion":
        return
    for scene in scenes:
        if scene.target_path is None:
            raise InvalidValueError(
                f"{scene.x_path.parent}: {scene.name} has no target: {task.name} is learned from "
                "scenes whose result is known; want a file SCENE_target.png with each pair, "
                "synthetic scenes, or --teacher METHOD to make the result"
            )


def hold_out(scenes: Sequence[S], share: float, seed: int = 0) -> tuple[list[S], list[S]]:
    """Keep a share of the scenes apart, to measure on what was not learned from.

    Parameters
    ----------
    scenes : sequence
        In any order; both lists keep it.
    share : float
        In [0, 1): at least one scene is kept apart, unless it is 0.
    seed : int
        Seed of the random choice.

    Returns
    -------
    list, list
        Those to learn from, and those kept apart.

    Raises
    ------
    ValueError
        No scene would be left to learn from.
    """
    count = max(1, round(share * len(scenes))) if share else 0
    if count >= len(scenes):
        raise InvalidValueError(
            f"of {len(scenes)} scene{'s' * (len(scenes) > 1)}, {count} would be held out, and "
            "none left to learn from: want more scenes, or a smaller share"
        )
    order = np.random.default_rng(seed).permutation(len(scenes))
    return [scenes[i] for i in sorted(order[count:])], [scenes[i] for i in sorted(order[:count])]


def _by_scene(folder: Path, roles: Sequence[str], twice: dict[str, str]) -> dict[str, Path]:
    """Files by scene; what is there two times goes into `twice`."""
    found: dict[str, Path] = {}
    for role in reversed(roles):  # the first role of a scene wins
        mine: dict[str, Path] = {}
        for path in _files(folder):
            match = re.fullmatch(rf"(.+)_{re.escape(role)}", path.stem)
            if match and match[1] in mine:
                twice[match[1]] = f"two files of one role, {mine[match[1]].name} and {path.name}"
            elif match:
                mine[match[1]] = path
        found |= mine
    return found


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        # ._s1_depth.png of other programs is no image. A link to nothing is told when it is read.
        if path.suffix.lower() in READABLE and path.name[0] != "." and not path.is_dir():
            yield path


# ------------------------------------------------------------------------- synthetic, turned
class Recent(Generic[V]):
    """What was made lately, up to so many bytes, and the last one in any case.

    Parameters
    ----------
    cache_bytes : int
        Most bytes that are kept.
    """

    def __init__(self, cache_bytes: int) -> None:
        self.cache_bytes = cache_bytes
        self._kept: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable, make: Callable[[], V], size: Callable[[V], int]) -> V:
        """Return what was made for the key, or make it; `size` gives its bytes."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][0]
        made = make()
        self._kept[key] = made, size(made)
        self._bytes += self._kept[key][1]
        while self._bytes > self.cache_bytes and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1][1]
        return made

    def __getstate__(self) -> dict[str, Any]:
        # Another process makes its own.
        return {"cache_bytes": self.cache_bytes, "_kept": OrderedDict(), "_bytes": 0}


@dataclass(frozen=True)
class _Synthetic:
    """One synthetic scene."""

    task: Task
    number: int
    shape: tuple[int, int]
    seed: int
    photographs: Photographs | None
    recent: Recent[tuple[Floats, ...]]

    @property
    def name(self) -> str:
        return f"synthetic scene {self.number}"

    def __call__(self) -> tuple[Floats, ...]:
        return self.recent.get(self.number, self._make, lambda made: sum(i.nbytes for i in made))

    def _make(self) -> tuple[Floats, ...]:
        pair = self.task.synthetic_pair(self.number, self.shape, self.seed, self.photographs)
        if self.task.kind == "restoration":
            return pair.target, pair.y
        return pair.x, pair.y, pair.target


def synthetic_scenes(
    task: Task,
    count: int,
    shape: tuple[int, int] = (256, 256),
    seed: int = 0,
    photographs: Photographs | None = None,
) -> list[Reader]:
    """Return readers of synthetic scenes, each of which makes its scene when it is called.

    `photographs` are those of `Task.synthetic_pair`.
    """
    recent: Recent[tuple[Floats, ...]] = Recent(_CACHE_BYTES)
    return [_Synthetic(task, number, shape, seed, photographs, recent) for number in range(count)]


def unseen_scenes(
    task: Task, count: int, share: float, seed: int = 0, photographs: Photographs | None = None
) -> list[Reader]:
    """Readers of synthetic scenes to measure on, none of which are among `synthetic_scenes`.

    A `share` of `count`, from one to eight, and none if it is 0; the other arguments are those that
    the `count` scenes are made with.
    """
    if not share:
        return []
    # Other seeds are other scenes.
    wanted = max(1, min(_MOST_UNSEEN, round(share * count)))
    return synthetic_scenes(task, wanted, seed=seed + _OTHER_SEED, photographs=photographs)


@dataclass(frozen=True)
class _Turned:
    """A scene upside down, mirrored, or both."""

    reader: Reader
    number: int
    down: bool
    across: bool

    @property
    def name(self) -> str:
        return name_of(self.reader, self.number)

    def __call__(self) -> tuple[Floats, ...]:
        images = self.reader()
        # Cut first, so that degradations see the same grid of pixels.
        h, w = images[0].shape[1:]
        if min(h, w) < _GRID:
            raise InvalidValueError(f"{self.name} is {h} x {w}: flips want {_GRID} x {_GRID}")
        height, width = (n - n % _GRID for n in (h, w))
        rows = slice(None, None, -1 if self.down else 1)
        columns = slice(None, None, -1 if self.across else 1)
        return tuple(np.ascontiguousarray(i[:, :height, :width][:, rows, columns]) for i in images)


def flipped(readers: Sequence[Reader]) -> list[Reader]:
    """The scenes, and each upside down, mirrored, and both: four times as much to learn from."""
    turns = [(False, False), (True, False), (False, True), (True, True)]
    return [_Turned(reader, n, *how) for how in turns for n, reader in enumerate(readers)]
