"""What `restore` and `fuse` do where their images contradict each other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from ..alignment.ghosts import find_ghosts
from ..errors import InvalidTypeError, InvalidValueError, warn_user
from ..images.colour import luma_full
from ..images.split import fill_holes
from ..types import Floats, Ghosts
from ..values.holes import fill_from_others
from .prepared import PreparedSources
from .task import TASKS, Task

__all__ = ["ghosts_wanted", "guide_without_ghosts", "sources_without_ghosts"]

Map = NDArray[np.bool_]

_DARK, _WHITE = 0.02, 0.98
"""Brightness that shows nothing."""
_LEVELS = 4
"""Noise of 255 that is left in what guides itself."""


def ghosts_wanted(asked: bool | None, task: Task) -> Ghosts | None:
    """Return what ghosts to look for, or None.

    Raises
    ------
    TypeError
        `asked` is neither True nor False nor None.
    ValueError
        They are asked for, and the task does not say how its images differ.
    """
    if asked is not None and not isinstance(asked, bool | np.bool_):
        raise InvalidTypeError(f"ghosts must be True, False or None, found {asked!r}")
    if asked and task.ghosts is None:
        names = [t.name for t in TASKS.available().values() if t.ghosts is not None]
        raise InvalidValueError(f"ghosts can be told in {' and '.join(names)}, not in {task.name}")
    return None if asked is not None and not asked else task.ghosts


def _warn(found: Map, names: Sequence[str], *, kept: str) -> None:
    """Say how much of an image contradicts another one."""
    these = " and ".join(names) if len(names) == 2 else f"the {len(names)} sources"
    warn_user(
        f"{these} contradict each other in {100 * float(found.mean()):.2g} % of the pixels, as "
        f"things that move and shadows of a flash do: there {kept} is kept (ghosts=False, "
        "--no-ghosts: not looked for)"
    )


def guide_without_ghosts(
    x: tuple[Floats, Floats | None],
    y: tuple[Floats, Floats | None],
    kind: Ghosts,
    names: tuple[str, str],
    *,
    sigma: float | None,
) -> tuple[Floats, Floats | None, Map]:
    """Take a guide as unknown where it contradicts the image to restore; warn if it does.

    Parameters
    ----------
    x, y : (array (C, H, W) in [0, 1], weights or None)
        The image and the guide, 0 where the weights are 0.
    kind : {"exposure", "flash"}
    names : (str, str)
        What messages call them.
    sigma : float, optional
        For a method that takes no mask of the guide: standard deviation of the noise of x, of 255.

    Returns
    -------
    guide : array (C', H, W)
        For a method without masks, x guides itself there: by its luma, as bright as the guide is
        around, smoothed until four grey levels of its noise are left.
    guide_mask : array or None
    found : array of bool (H, W)
    """
    (image, known), (guide, guide_known) = x, y
    there = np.ones(image.shape[1:], bool)
    for weights in (known, guide_known):
        there &= True if weights is None else (weights > 0).all(axis=0)
    image = image if known is None else fill_holes(image, known)
    whole = guide if guide_known is None else fill_holes(guide, guide_known)
    found = find_ghosts(image, whole, kind, there)
    if not found.any():
        return guide, guide_known, found
    _warn(found, names, kept=names[0])
    left = (~found[None]).astype(guide.dtype)
    if sigma is None:
        return guide, left if guide_known is None else guide_known * left, found
    width = sigma / (2 * math.sqrt(math.pi) * _LEVELS)
    smooth = scipy.ndimage.gaussian_filter(image, (0, width, width), mode="nearest")
    luma = luma_full(smooth) if len(smooth) == 3 else smooth[:1]
    own = np.broadcast_to(luma, guide.shape).astype(guide.dtype)
    return fill_from_others([whole, own], [left, None])[0], None, found


def sources_without_ghosts(
    sources: PreparedSources, kind: Ghosts, order: Sequence[int], names: Sequence[str]
) -> tuple[PreparedSources, Map]:
    """Leave sources out where they contradict the one that is kept; warn if any do.

    Parameters
    ----------
    sources : PreparedSources
        Few enough to be in memory together.
    kind : {"exposure", "flash"}
    order : sequence of int
        Number of each source, in the order they were given.
    names : sequence of str
        What messages call them, in the order they were given.

    Returns
    -------
    sources : PreparedSources
        Of two, the second is unknown in a contradiction; of more, which are sorted by brightness,
        all that contradict the one in the middle. Where most of a contradiction is black or white
        in the one that is kept and not in the other, the other one is.
    found : array of bool (H, W)
    """
    images = sources.loaded()
    known = [sources.known(m) for m in range(len(images))]
    kept = order.index(0) if len(order) == 2 else len(order) // 2
    first = images[kept]
    maps = [np.zeros(first.shape[1:], bool) for _ in images]
    for number, other in enumerate(images):
        if number == kept:
            continue
        there = np.ones(first.shape[1:], bool)
        for weights in (known[kept], known[number]):
            there &= True if weights is None else (weights > 0).all(axis=0)
        for place in _pieces(find_ghosts(first, other, kind, there)):
            lost = _shows_nothing(first)[place].mean() > 0.5 >= _shows_nothing(other)[place].mean()
            maps[kept if lost else number] |= place
    found: Map = np.logical_or.reduce(maps)
    if found.any():
        _warn(found, names, kept=names[order[kept]])
        sources = sources.leaving_out(maps)
    return sources, found


def _pieces(found: Map) -> list[Map]:
    """Each connected piece, as a map of its own."""
    labels, count = scipy.ndimage.label(found)
    return [labels == n for n in range(1, count + 1)]


def _shows_nothing(image: Floats) -> Map:
    grey = image.mean(axis=0)
    return np.asarray((grey < _DARK) | (grey > _WHITE))
