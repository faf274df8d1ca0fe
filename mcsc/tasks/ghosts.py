"""What `restore` and `fuse` do where their images contradict each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from ..alignment.ghosts import find_ghosts, noise_of
from ..errors import InvalidTypeError, InvalidValueError, warn_user
from ..fusion import JOINTLY
from ..images.planes import luma_plane
from ..images.split import fill_holes
from ..types import Floats, Ghosts
from ..values.holes import fill_from_others
from ..words import percent
from .prepared import PreparedSources
from .task import TASKS, Task

__all__ = ["ghosts_wanted", "guide_without_ghosts", "have_lumas", "sources_without_ghosts"]

Map = NDArray[np.bool_]

_DARK, _WHITE = 0.02, 0.98
"""Brightness that shows nothing."""
_AROUND = 12
"""Pixels around a contradiction that its denoising looks at."""


def ghosts_wanted(asked: bool | None, task: Task, count: int = 2) -> Ghosts | None:
    """Return what ghosts to look for in so many sources, or None.

    Raises
    ------
    TypeError
        `asked` is neither True nor False nor None.
    ValueError
        They are asked for, and the task does not say how its images differ, or there are more than
        `JOINTLY` sources.
    """
    if asked is not None and not isinstance(asked, bool | np.bool_):
        raise InvalidTypeError(f"ghosts must be True, False or None, found {asked!r}")
    if asked and task.ghosts is None:
        names = [t.name for t in TASKS.available().values() if t.ghosts is not None]
        raise InvalidValueError(f"ghosts can be told in {' and '.join(names)}, not in {task.name}")
    if asked and count > JOINTLY:
        raise InvalidValueError(
            f"ghosts can be looked for in up to {JOINTLY} sources, found {count}"
        )
    wanted = count <= JOINTLY and (asked is None or bool(asked))
    return task.ghosts if wanted else None


def have_lumas(images: Sequence[Floats], names: Sequence[str], *, asked: bool | None) -> bool:
    """Return True if ghosts can be looked for in these images (C, H, W), by their lumas.

    Raises
    ------
    ValueError
        They are `asked` for, and an image has neither one channel nor three.
    """
    for image, name in zip(images, names, strict=True):
        if len(image) not in (1, 3):
            if asked:
                raise InvalidValueError(
                    f"ghosts are told by lumas, and {name} has {len(image)} channels; want 1 or 3"
                )
            return False
    return True


def _warn(found: Map, names: Sequence[str], *, kept: str) -> None:
    """Say how much of an image contradicts another one."""
    these = " and ".join(names) if len(names) == 2 else f"the {len(names)} sources"
    warn_user(
        f"{these} contradict each other in {percent(float(found.mean()))} of the pixels, as "
        f"things that moved and shadows of a flash do; there, {kept} is kept (ghosts=False or "
        "--no-ghosts does not look for such places)"
    )


def guide_without_ghosts(
    x: tuple[Floats, Floats | None],
    y: tuple[Floats, Floats | None],
    kind: Ghosts,
    names: Sequence[str],
) -> tuple[Floats, Map]:
    """Let an image guide itself where its guide contradicts it; warn if it does.

    Parameters
    ----------
    x, y : (array (C, H, W) in [0, 1], weights or None)
        The image and the guide, 0 where the weights are 0.
    kind : {"exposure", "flash"}
    names : (str, str)
        What messages call them.

    Returns
    -------
    guide : array (C', H, W)
        In a contradiction the luma of x, as bright as the guide is around, freed of its noise by
        non-local means. The error of a restoration is smaller with it than with a guide that is
        unknown there, which blurs x, or that contradicts it.
    found : array of bool (H, W)

    References
    ----------
    A. Buades, B. Coll, J.-M. Morel, "A non-local algorithm for image denoising", CVPR 2005.
    doi:10.1109/CVPR.2005.38
    """
    (image, known), (guide, guide_known) = x, y
    there = np.ones(image.shape[1:], bool)
    for weights in (known, guide_known):
        there &= True if weights is None else (weights > 0).all(axis=0)
    image = image if known is None else fill_holes(image, known)
    whole = guide if guide_known is None else fill_holes(guide, guide_known)
    found = find_ghosts(image, whole, kind, there)
    if not found.any():
        return guide, found
    _warn(found, names, kept=names[0])
    luma = np.array(luma_plane(image))  # which may be the image itself
    level = noise_of(luma, None if known is None else np.asarray((known > 0).all(axis=0)))
    if level > 0:
        from skimage.restoration import denoise_nl_means

        noisy = luma.copy()
        # Piece by piece: a box around all of them may be the whole photograph.
        for box, piece in _pieces(found):
            start = [max(0, part.start - _AROUND) for part in box]
            stop = [part.stop + _AROUND for part in box]
            around = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
            clean = denoise_nl_means(
                noisy[around], patch_size=5, patch_distance=6, h=0.8 * level, sigma=level,
            )  # fmt: skip
            inside = tuple(
                slice(part.start - a, part.stop - a) for part, a in zip(box, start, strict=True)
            )
            luma[box][piece] = clean[inside][piece]
    own = np.broadcast_to(luma, guide.shape).astype(guide.dtype)
    left = (~found[None]).astype(guide.dtype)
    return fill_from_others([whole, own], [left, None])[0], found


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
        The sources, in which what was not kept is unknown. If there are two, that is the second one
        in a contradiction; if there are more, which are sorted by brightness, all that contradict
        the one in the middle. Where most of a contradiction is black or white in the source that
        would be kept, and not in the other one, the other one is kept.
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
        empty = _shows_nothing(first), _shows_nothing(other)
        for box, piece in _pieces(find_ghosts(first, other, kind, there)):
            lost, shown = (float(nothing[box][piece].mean()) for nothing in empty)
            maps[kept if lost > 0.5 >= shown else number][box] |= piece
    found: Map = np.logical_or.reduce(maps)
    if found.any():
        _warn(found, names, kept=names[order[kept]])
        sources = sources.leaving_out(maps)
    return sources, found


def _pieces(found: Map) -> Iterator[tuple[Any, Map]]:
    """Each connected piece: the box around it, and where in that it is."""
    labels, _ = scipy.ndimage.label(found)
    for number, box in enumerate(scipy.ndimage.find_objects(labels), 1):
        yield box, labels[box] == number


def _shows_nothing(image: Floats) -> Map:
    grey = image.mean(axis=0)
    return np.asarray((grey < _DARK) | (grey > _WHITE))
