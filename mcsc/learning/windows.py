"""Windows: the parts of images that are coded together, and how they cover an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Window(NamedTuple):
    """A part of one image of one scene, in pixels."""

    scene: int
    sample: int
    top: int
    left: int
    height: int
    width: int


def cover(sizes: Sequence[tuple[int, int, int]], side: int) -> list[Window]:
    """Cover every image with windows of one side; of an axis that is shorter, take all.

    Along each axis there are as many windows as it takes, spread evenly: they overlap by as little
    as windows of one size can.

    Parameters
    ----------
    sizes : sequence of (int, int, int)
        Samples, height and width of each scene.
    side : int
        Height and width of the windows.
    """
    found = []
    for scene, (samples, height, width) in enumerate(sizes):
        h, w = min(side, height), min(side, width)
        found += [
            Window(scene, sample, top, left, h, w)
            for sample in range(samples)
            for top in starts(height, h)
            for left in starts(width, w)
        ]
    return found


def starts(length: int, size: int) -> list[int]:
    """Where windows of `size` pixels begin that cover `length`: the fewest, spread evenly."""
    count = -(-length // size)
    return [round(i * (length - size) / max(count - 1, 1)) for i in range(count)]


def draw(windows: list[Window], most: int | None, rng: np.random.Generator) -> list[Window]:
    """Draw `most` of the windows, in their order; all if there are no more, or None is given."""
    if most is None or len(windows) <= most:
        return windows
    return [windows[i] for i in np.sort(rng.choice(len(windows), most, replace=False))]


def batches(windows: Sequence[Window], size: int) -> list[list[Window]]:
    """Group windows of equal size, in order, into batches of at most `size`."""
    groups: dict[tuple[int, int], list[Window]] = {}
    for window in windows:
        groups.setdefault((window.height, window.width), []).append(window)
    return [g[i : i + size] for g in groups.values() for i in range(0, len(g), size)]
