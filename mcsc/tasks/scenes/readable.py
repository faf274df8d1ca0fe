"""One look at all scenes before any work: what cannot be used, and the range of values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import Refusal
from ...values.masks import known_image
from ...values.ranges import ValueRange, find_range
from .files import SceneFiles

__all__ = ["look_at_scenes"]

_SOME = 20_000
"""Values of an image by which a range is found, besides its extremes."""


def look_at_scenes(
    scenes: Sequence[SceneFiles],
    *,
    masks: tuple[Sequence[str], Sequence[str]] = ((), ()),
    ranges: Sequence[ValueRange] = (),
    measured: bool = False,
    check: Callable[..., None] | None = None,
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
    measured : bool
        Images of the first role are measurements, as depth is, and no pictures: their range is that
        of the known values, and values that may stand for unknown are warned of.
    check : callable, optional
        Called with the images of each scene; it raises a `mcsc.errors.Refusal` if the scene is of
        no use.

    Returns
    -------
    list of SceneFiles
        Those that can be read, with masks and ranges.
    dict of str to str
        What is wrong with the others, by their names.
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
            images = asked()
            if check is not None:
                check(*images)
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
                kind: _common_range(group, measured=measured and role == 0)
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
    white: int | None
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
        return cls(np.concatenate([some, ends]), image.told_white, path.name)


def _common_range(group: Sequence[_Sample], *, measured: bool) -> ValueRange:
    whites = [sample.white for sample in group]
    name = group[0].name if len(group) == 1 else f"{group[0].name} and {len(group) - 1} more"
    return find_range(
        [sample.values[None, None] for sample in group],
        name=name,
        display=not measured,
        white=None if None in whites else max(w for w in whites if w is not None),
    )
