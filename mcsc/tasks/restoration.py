"""Restoration of one image with the help of another, by the model alone (Eqs. 3 and 5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import InvalidValueError
from ..images.resize import imresize
from ..model.dictionary import Dictionary
from ..solvers.front import solve
from ..solvers.result import Result
from ..types import Floats
from .coding import Coded, code
from .preparation import Prepared, prepare_restoration
from .task import Task

__all__ = ["Restored", "back_project", "is_sharp", "prepare", "restore"]

_STEPS_BACK = 4


@dataclass(frozen=True, eq=False)
class Restored:
    """A restored image and what it is made of (Fig. 2)."""

    image: Floats
    """Point 4, (C, H, W): base + common + unique."""
    base: Floats
    common: Floats | None
    """Point 1: what both images share."""
    unique: Floats | None
    """Point 2: what x has alone."""
    lam: float
    gap: float
    """Certified relative duality gap of the codes (the largest, of several tiles)."""
    nonzero: float
    """Share of coefficients that are not zero."""
    seconds: float
    converged: bool


def prepare(x: Floats, y: Floats, dictionary: Dictionary, task: Task) -> Prepared:
    """Make the signals of a dictionary, as its metadata say: see `prepare_restoration`.

    Raises
    ------
    ValueError
        Channels do not fit the dictionary, or the images differ in size.
    """
    if dictionary.n_signals != 2:
        raise InvalidValueError(
            f"restoration needs a dictionary of 2 signals, this one has {dictionary.n_signals}"
        )
    return prepare_restoration(
        x,
        y,
        dictionary.channels,
        strength=float(dictionary.metadata.get("strength", task.strength)),
        base=str(dictionary.metadata.get("base", task.base)),
    )


def restore(
    x: Floats,
    y: Floats,
    dictionary: Dictionary,
    task: Task,
    *,
    lam: float | None = None,
    sigma: float | None = None,
    factor: int | None = None,
    tol: float = 1e-3,
    tile: int | None = None,
    progress: bool = False,
    solver: Callable[..., Result] = solve,
) -> Restored:
    """Restore x with the guide y.

    Parameters
    ----------
    x : array of floats, shape (C, H, W)
        In [0, 1]; of the size of the guide (a super-resolution's input enlarged already).
    y : array of floats, shape (C', H, W)
        The guide.
    dictionary : Dictionary
        With target filters, as `mcsc.learn` or ``mcsc learn`` made it for the task.
    task : Task
        Preprocessing; what the dictionary's metadata say has precedence.
    lam : float, optional
        Weight of the l1 norm. Default: the dictionary's, or the task's.
    sigma : float, optional
        Denoising: the noise's standard deviation, of 255; lam goes with it.
    factor : int, optional
        Super-resolution: how much smaller the known image was. Default: the task's.
    tol : float
        Certified relative duality gap of the codes.
    tile : int, optional
        Side of the tiles that large images are coded in. Default: chosen by the memory.
    progress : bool
        Show a progress bar.
    solver : callable
        What makes the codes, called as `mcsc.solve` is: another method, or an approximation.

    Returns
    -------
    Restored

    Raises
    ------
    ValueError
        Sizes or channels do not fit.

    Notes
    -----
    A super-resolved image z must give the known x when it is reduced and enlarged again, U R z = x.
    The model does not know that; afterwards ``z <- z + (x - U R z)`` is repeated four times
    (iterative back-projection, Irani and Peleg, doi:10.1016/1049-9652(91)90045-L). What it adds
    goes to the base.
    """
    prepared = prepare(x, y, dictionary, task)
    chosen = _lam(dictionary, task, lam, sigma)
    coded: Coded = code(
        prepared.signals, dictionary, chosen, "restoration",
        tol=tol, tile=tile, progress=progress, solver=solver,
    )  # fmt: skip

    def as_bands(part: Floats | None) -> Floats | None:
        return None if part is None else part.reshape(prepared.base.shape)

    detail = coded.image.reshape(prepared.base.shape)
    image: Floats = prepared.base + detail
    if task.factor is not None:
        image = back_project(image, x, task.factor if factor is None else factor)
    return Restored(
        image=image.astype(x.dtype),
        base=(image - detail).astype(x.dtype),
        common=as_bands(coded.common),
        unique=as_bands(coded.unique[0]),
        lam=chosen,
        gap=coded.gap,
        nonzero=coded.nonzero,
        seconds=coded.seconds,
        converged=coded.converged,
    )


def back_project(image: Floats, x: Floats, factor: int) -> Floats:
    """Make the image give x when it is reduced and enlarged, as nearly as four steps do.

    Iterative back-projection, ``z <- z + (x - U R z)``.
    """
    small = tuple(-(-n // factor) for n in x.shape[-2:])
    for _ in range(_STEPS_BACK):
        again = imresize(imresize(image, small), x.shape[-2:])
        image = image + (x - again)
    return image


def is_sharp(x: Floats, factor: int) -> bool:
    """Return True if an image (C, H, W) has detail that one enlarged by the factor cannot have.

    Reducing and enlarging an enlarged image takes about 1.5 times as much from it the first time as
    the second time; from a sharp one about four times or more (measured on depth maps and bands;
    neighbours repeated instead of interpolated count as sharp).
    """
    small = tuple(max(1, n // factor) for n in x.shape[-2:])
    once = imresize(imresize(x, small), x.shape[-2:])
    twice = imresize(imresize(once, small), x.shape[-2:])
    first, second = (float(np.square(a - b).sum()) for a, b in ((x, once), (once, twice)))
    return first > 2.5**2 * second


def _lam(dictionary: Dictionary, task: Task, lam: float | None, sigma: float | None) -> float:
    if lam is not None:
        return lam
    chosen = float(dictionary.metadata.get("lam", task.lam))
    if task.sigma is None or sigma is None:
        return chosen
    return chosen * sigma / float(dictionary.metadata.get("sigma", task.sigma))
