"""`restore`: one image with the help of another, by any method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..backend import Array, is_array, namespace
from ..errors import InvalidTypeError, InvalidValueError, warn_user
from ..images.enlarging import check_factor, enlarge, find_factor, is_sharp
from ..images.resize import imresize
from ..images.split import fill_holes
from ..model.dictionary import Dictionary
from ..solvers.driver import Callback
from ..solvers.result import Stop
from ..types import Device, Floats, Lam
from ..values.forms import ImageForm, plain_array
from ..values.ranges import ValueRange
from ..words import percent
from .ghosts import ghosts_wanted, guide_without_ghosts, have_lumas
from .methods import (
    check_method_channels,
    check_method_enlarges,
    check_method_fits,
    check_options,
    find_method,
    name_of_method,
    run_method,
)
from .preparation import coded_jointly
from .protocol import TOL, Method
from .shipped import shipped_dictionaries
from .sparse_coding import SparseCoding
from .task import Task, get_task

__all__ = ["Restoration", "restore"]

Shape: TypeAlias = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Restoration:
    """A restored image and what it is made of (Fig. 2).

    Images have the axes, dtype, array library and unit of the caller; parts of an image of integers
    are floats. A part or number that the method does not have is None.
    """

    image: Array
    """Point 4: base + common + unique."""
    base: Array | None
    """Image that the parts are added to."""
    common: Array | None
    """Point 1: what both images share."""
    unique: Array | None
    """Point 2: what x has alone."""
    method: str
    """Name of the method."""
    factor: float | None
    """How many times x was enlarged; None where the task enlarges nothing."""
    lam: Lam | None
    """Weight of the l1 norm that was used."""
    gap: float | None
    """Certified relative duality gap of the codes; if there are several tiles, the largest."""
    nonzero: float | None
    """Share of coefficients that are not zero."""
    converged: bool
    """False if the gap stayed above what was asked for; a method without codes is always done."""
    stopped: Stop | None
    """Why the solver stopped, as `mcsc.Result` says; None where there is none."""
    seconds: float
    """Time that the method took."""
    value_range: ValueRange
    """Values of x that stood for 0 and 1."""
    stretched: tuple[int, ...]
    """Bands of x that span less than half of that range, and were stretched to all of it."""
    cut: float
    """Share of the image's values that lay beyond what integers of x's dtype hold, and were cut off
    there; 0 for floats, which keep all."""
    ghosts: NDArray[np.bool_] | None
    """Where x and y contradict each other, (H, W), and x was its own guide; None where it was not
    looked for. A NumPy array, whatever x is."""


def restore(
    x: Array,
    y: Array,
    task: str | Task,
    *,
    dictionary: Dictionary | str | PathLike[str] | None = None,
    method: str | Method = "mcsc",
    weights_file: str | PathLike[str] | None = None,
    mask: Array | None = None,
    guide_mask: Array | None = None,
    factor: float | None = None,
    sigma: float | None = None,
    lam: Any = None,
    tol: float = TOL,
    max_iter: int | None = None,
    value_range: ValueRange | tuple[float, float] | None = None,
    device: Device = "auto",
    tile: int | None = None,
    orientations: int | None = None,
    ghosts: bool | None = None,
    callback: Callback | None = None,
    progress: bool = False,
    names: tuple[str, str] = ("x", "y"),
) -> Restoration:
    r"""Restore image x with the help of a registered guide y.

    By the model, x and y are coded jointly (Eq. 5), and the restored image is

    .. math:: z = \mathrm{base} + \sum_k g^c_k * c_k + \sum_k g^u_k * u_k \quad (\text{Eq. 3}).

    Parameters
    ----------
    x : array of floats or integers, shape (H, W) or (C, H, W)
        The image to restore, in any unit. In super-resolution either of its own, small size, from
        which it is enlarged to that of the guide by the factor that the sizes tell, or enlarged
        already. A masked array of NumPy is unknown where it is masked.
    y : array of floats or integers, shape (H', W') or (C', H', W')
        The guide, in any unit.
    task : str or Task
        One of `mcsc.tasks.TASKS` that is a restoration: "depth-sr", "multispectral-sr",
        "flash-denoise", or what was added.
    dictionary : Dictionary or path, optional
        For the method "mcsc": filters with target filters, as `mcsc.learn` or ``mcsc learn`` made
        them for the task. Default: those that come with the package.
    method : str or Method
        "mcsc", the model; a baseline, such as "guided-filter"; or a method that another package
        adds, such as "cunet". `mcsc.tasks.method_names` lists them.
    weights_file : path, optional
        File of weights for a method of another package, such as "cunet". Default: the weights that
        come with it.
    mask : array, shape (H, W), (1, H, W) or (C, H, W), optional
        Weights of x on its own grid: booleans, or floats in [0, 1]. Where it is 0 x is unknown and
        may hold anything, NaN included; it is filled by the model and never averaged into its
        neighbours. A method without masks gets x filled by the model, with a warning.
    guide_mask : array, optional
        Weights of y, likewise.
    factor : float, optional
        Super-resolution: how many times smaller x is, or was before it was enlarged; a number above
        1, whole or not. Default: the ratio of the sizes, or the task's factor.
    sigma : float, optional
        Denoising: standard deviation of the noise, in grey levels of 255 over the range of values.
    lam : float or sequence of floats, optional
        Weight of the l1 norm, or one per group of codes; on the scale of values in [0, 1]. Default:
        the dictionary's.
    tol : float
        Certified relative duality gap of the codes. From the default down, measures of real scenes
        change by less than 0.1 %.
    max_iter : int, optional
        Largest number of iterations of the solver for each tile.
    value_range : (low, high), optional
        Values of x that stand for 0 and 1: depth in metres or millimetres, counts of a camera. The
        result is in the unit of x. Default: found by `mcsc.values.ranges.find_range`: [0, 1] for
        floats that lie in it, 0 to 255 for 8 bits, else the range of the known values.
    device : {"auto", "cpu", "cuda"}
        Where codes are computed; "auto": where x is.
    tile : int, optional
        Side of the tiles that large images are cut into. Default: chosen by the memory.
    orientations : {1, 2, 4, 8}, optional
        For the method "cunet": number of orientations (quarter turns, mirrored for 8) in which the
        network restores the images; the results are averaged. The time grows with this number, and
        the result is a little better. Default: one.
    ghosts : bool, optional
        Look for places where x and y contradict each other, as things that moved and shadows of the
        flash do, and let x, freed of its noise, be its own guide there:
        `mcsc.alignment.ghosts.find_ghosts`. Default: if the task says how its images differ, as
        "flash-denoise" does, and both have one channel or three.
    callback : callable, optional
        Called with a `mcsc.Progress` at every evaluation of the certificate; a true value or
        StopIteration stops, and what was computed so far is returned.
    progress : bool
        Show a progress bar on standard error.
    names : (str, str)
        What messages call x and y: file names, for example.

    Returns
    -------
    Restoration
        ``image`` has the size of y and the channels, axes, dtype and array library of x. After
        Ctrl-C it is what was computed so far, and ``stopped`` says so: where nothing was coded yet,
        the image is its base.

    Raises
    ------
    TypeError
        An image is not an array of floats or integers, or arrays of two libraries are mixed.
    ValueError
        Sizes or channels do not fit; an image is not finite where it is known; there is no such
        task or method; or the method does not have an option that was set.
    RuntimeError
        ``device="cuda"`` without CuPy or a usable driver.

    Warns
    -----
    ConvergenceWarning
        The codes did not reach `tol`.
    UserWarning
        x is as large as y but sharper than an enlarged image, and so reduced and enlarged first;
        it lies far outside its range, or is enlarged by a factor far from the one that the
        dictionary was learned for; a few extreme values stretch the range that was found; holes
        were filled for a method without masks; integers were cut off; x and y contradict each
        other.

    Notes
    -----
    Preparation runs on the CPU, in float64 where x is float64 and in float32 otherwise. The scale
    of lam and sigma is that of values brought to [0, 1]: see :doc:`colour, ranges, holes
    </explanations/values>`. In super-resolution, bands and guides that span less than half of it
    are stretched to all of it, so that their contrast does not matter. Every symbol is explained on
    :doc:`the page of the model </explanations/model>`.

    Examples
    --------
    >>> import numpy as np
    >>> from mcsc.images import imresize
    >>> from mcsc.synthetic import make_pair
    >>> from mcsc.tasks import restore
    >>> pair = make_pair("depth", 0, (64, 64))
    >>> metres = 1 + 4 * imresize(pair.target[0], 0.25)
    >>> found = restore(metres, pair.y, "depth-sr", tol=0.05)
    >>> found.image.shape, found.image.dtype == metres.dtype, found.factor
    ((64, 64), True, 4)
    >>> bool(np.allclose(found.base + found.common + found.unique, found.image, atol=1e-4))
    True
    """
    task = get_task(task, "restoration")
    called = name_of_method(method)
    chosen = find_method(method, task, dictionary=dictionary, weights_file=weights_file)
    sigma = task.check_sigma(sigma)
    task.check_factor(factor)
    _check_pair_of_names(names)
    wanted = ghosts_wanted(ghosts, task)
    (x, mask), (y, guide_mask) = (
        plain_array(names[0], x, mask),
        plain_array(names[1], y, guide_mask),
    )
    form, guide_form = ImageForm.of(names[0], x), ImageForm.of(names[1], y)
    namespace(*(a for a in (x, y, mask, guide_mask) if is_array(a)))
    known = None if mask is None else form.weights(mask, x.shape)
    guide_known = None if guide_mask is None else guide_form.weights(guide_mask, y.shape)
    options = {
        "mask": known if "mask" in chosen.options else None, "sigma": sigma, "lam": lam, "tol": tol,
        "max_iter": max_iter, "device": form.device(device), "tile": tile,
        "orientations": orientations, "callback": callback, "progress": progress,
    }  # fmt: skip
    check_options(chosen, called, options)
    if known is not None and "mask" not in chosen.options:
        _check_mask_acts(called, names[0], known)
    if value_range is None:
        noise = task.sigma if sigma is None else sigma
        form = form.measured(x, known, display=task.display, sigma=noise)
    else:
        form = replace(form, values=ValueRange.of(value_range))
    guide_form = guide_form.measured(y, guide_known)
    image = form.taken(x, known)
    guide = guide_form.taken(y, guide_known).astype(image.dtype)
    if wanted is not None and not have_lumas((image, guide), names, asked=ghosts):
        wanted = None
    size, shape = image.shape[1:], guide.shape[1:]
    check_method_fits(chosen, names[1], shape)
    check_method_channels(chosen, f"the method {called}", names, (len(image), len(guide)))
    if task.stretched:
        jointly = coded_jointly(len(image), getattr(chosen, "channels", None))
        form, image = form.stretched(image, known, jointly=jointly)
        guide_form, guide = guide_form.stretched(guide, guide_known, jointly=True)
    known_shape = None
    if task.factor is not None:
        factor, known_shape = _factor(size, shape, factor, task.factor, names)
        check_method_enlarges(chosen, called, names[0], factor)
        if size != shape:
            image, known = enlarge(image, shape, known)
        elif is_sharp(image if known is None else fill_holes(image, known), factor):
            warn_of_sharpness(factor, known_shape, task, names)
            # Methods take x for an enlarged image: what it lacks they add.
            reduced, weights = enlarge(image, known_shape, known)
            image, known = enlarge(reduced, shape, weights)
    elif size != shape:
        raise InvalidValueError(
            f"{names[0]} is {size[0]} x {size[1]}, {names[1]} is {shape[0]} x {shape[1]}: want "
            "registered images of one size"
        )
    contradictions = None
    if wanted is not None:
        guide, contradictions = guide_without_ghosts(
            (image, known), (guide, guide_known), wanted, names
        )
    if guide_known is not None and "guide_mask" not in chosen.options:
        guide, guide_known = fill_holes(guide, guide_known), None
    options |= {
        "mask": known, "guide_mask": guide_known, "known_shape": known_shape, "factor": factor
    }  # fmt: skip
    if known is not None and "mask" not in chosen.options:
        _warn_of_filling(called, names[0], known)
        image = _filled_by_the_model(task, image, guide, options, names[1])
    found, seconds = run_method(chosen, called, (image, guide), options)
    made = form.returned(found.image)
    return Restoration(
        image=made,
        base=form.returned_base(found.base),
        common=form.returned_part(found.common),
        unique=form.returned_part(found.unique[0] if found.unique else None),
        method=called,
        factor=factor,
        lam=found.lam,
        gap=found.gap,
        nonzero=found.nonzero,
        converged=found.converged,
        stopped=found.stopped,
        seconds=seconds,
        value_range=form.values,
        stretched=form.stretched_bands,
        cut=form.cut[0] if form.cut else 0.0,
        ghosts=contradictions,
    )


def _filled_by_the_model(
    task: Task, image: Floats, guide: Floats, options: dict[str, Any], name: str
) -> Floats:
    """Fill the holes of x as the model does, or, where no dictionary comes with it, smoothly."""
    known = options["mask"]
    if task.name not in shipped_dictionaries():
        return fill_holes(image, known)
    model = SparseCoding(task)
    check_method_fits(model, name, guide.shape[1:])
    given = ("mask", "known_shape", "sigma", "tol")
    found = model(image, guide, **{name: options[name] for name in given}).image
    small = options["known_shape"]
    if small is None:
        return np.where(known > 0, image, found).astype(image.dtype)
    # Enlarged without holes, of which it shows nothing: there is detail in what the model makes,
    # and beside holes enlarging had few pixels to go by. The known ones are those of x, as the
    # model's image gives them when it is reduced.
    return imresize(imresize(found, small), found.shape[-2:]).astype(image.dtype)


def _warn_of_filling(method: str, name: str, known: Floats) -> None:
    share = percent(float((known == 0).mean()))
    warn_user(
        f"{method} takes no mask: the unknown pixels of {name} ({share}) were filled by the "
        "model first"
    )


def _check_mask_acts(method: str, name: str, known: Floats) -> None:
    """Refuse weights of which a method without masks would make nothing."""
    if (known > 0).all():
        raise InvalidValueError(
            f"{method} takes no mask, and in that of {name} no pixel is unknown: its weights would "
            "do nothing"
        )


def _check_pair_of_names(names: Any) -> None:
    pair = isinstance(names, Sequence) and not isinstance(names, str) and len(names) == 2
    if not (pair and all(isinstance(name, str) for name in names)):
        raise InvalidTypeError(f"names must be two names, of x and of y; found {names!r}")


def _factor(
    size: Shape, shape: Shape, given: float | None, usual: int, names: tuple[str, str]
) -> tuple[float, Shape]:
    """How many times smaller x is, or was, and its size then."""
    if size != shape:
        return find_factor(size, shape, factor=given, usual=usual, names=names), size
    factor = usual if given is None else check_factor(given)
    return factor, (math.ceil(shape[0] / factor - 1e-9), math.ceil(shape[1] / factor - 1e-9))


def warn_of_sharpness(factor: float, small: Shape, task: Task, names: tuple[str, str]) -> None:
    """Warn that x is reduced first: its detail is more than that of an enlarged image."""
    warn_user(
        f"{names[0]} is as large as {names[1]} and sharper than an image that was enlarged "
        f"{factor:g} times, which {task.name} expects: it is reduced to {small[0]} x {small[1]} "
        "and enlarged again first, and detail that is lost so is made anew"
    )
