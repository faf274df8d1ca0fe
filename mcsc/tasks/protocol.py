"""The protocol of a method: what is asked of the model, of baselines, of what others add."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..checks import (
    check_made,
    check_number,
    check_shares,
    check_whole,
    is_whole,
    made_number,
    what_is,
)
from ..errors import InvalidTypeError, InvalidValueError
from ..solvers.result import Stop
from ..types import Floats, Kind, Lam

__all__ = [
    "METHOD_OPTIONS", "ORIENTATIONS", "TOL", "Method", "MethodResult", "check_attributes",
    "check_result",
]  # fmt: skip

TOL = 1e-2
"""Certified gap that `restore` and `fuse` ask for by default."""

ORIENTATIONS = (1, 2, 4, 8)
"""Numbers of orientations in which a method may look at images."""

METHOD_OPTIONS = (
    "mask", "guide_mask", "known_shape", "factor", "sigma", "lam", "tol", "max_iter", "rule",
    "device", "tile", "orientations", "callback", "progress",
)  # fmt: skip
"""Names of the options that a method may have; see `Method`."""


@dataclass(frozen=True, eq=False)
class MethodResult:
    """The image that a method makes, with its parts and numbers.

    Arrays are NumPy, (C, H, W), on the scale of the images that came in.
    """

    image: Floats
    """The image."""
    base: Floats | None = None
    """Image that the parts are added to."""
    common: Floats | None = None
    """What the images share."""
    unique: tuple[Floats | None, ...] = ()
    """What x (restoration) or each source (fusion) has alone."""
    weights: Floats | None = None
    """Share of each source in each pixel, (M, H, W)."""
    index: NDArray[np.int32] | None = None
    """Which source was chosen in each pixel, (H, W), counted from 0 in the order they came in."""
    rule: str | None = None
    """Rule by which sources were fused."""
    lam: Lam | None = None
    """Weight of the l1 norm that was used; None without codes."""
    gap: float | None = None
    """Certified relative duality gap of the codes; None without codes."""
    nonzero: float | None = None
    """Share of coefficients that are not zero; None without codes."""
    converged: bool = True
    """False if the method stopped before it had finished."""
    stopped: Stop | None = None
    """Why it stopped, as `mcsc.Result` says; None without codes."""


class Method(Protocol):
    """Protocol of a method that makes one image of two or more.

    It is a class with ``__call__``, or a function, with an attribute `options`: the names of the
    options below that it has. It is called with prepared images and with all of these options as
    keywords. An option that the caller sets and the method does not have is refused before the
    method is called, so that none is ignored.

    Parameters
    ----------
    *images : arrays of floats, shape (C, H, W), or one sequence of them
        NumPy, float32 or float64, finite, registered, of one height and width, in [0, 1] as far as
        noise allows. They must not be written to.

        Restoration: x, already enlarged to the size of its guide, and y, the guide, each of any
        number of channels. Fusion: one sequence of two or more sources, all of 1 or all of 3
        channels. The sequence may make or read a source whenever it is indexed, so that a method
        that takes one source at a time can fuse hundreds of them.
    mask : array (1, H, W) or (C, H, W), or None
        Weights of x in [0, 1]; 0 where x is unknown, and its value there means nothing. A method
        that has this option fills the holes; another one gets x filled by the model.
    guide_mask : array (1, H, W) or (C, H, W), or None
        Weights of y, likewise. A method without this option gets y filled smoothly.
    known_shape : (height, width) or None
        Super-resolution: size at which x was known before it was enlarged.
    factor : float or None
        Super-resolution: how many times x was enlarged.
    sigma : float or None
        Denoising: standard deviation of the noise, in grey levels of 255; None: the strength that
        the method is made for.
    lam : float, sequence of floats, or None
        Weight of the l1 norm; None: the method's own.
    tol : float
        Certified relative gap to stop at.
    max_iter : int or None
        Largest number of iterations of the solver for each tile; None: the solver's own.
    rule : str or None
        Fusion rule; None: the method's own.
    device : {"auto", "cpu", "cuda"}
        Where to compute.
    tile : int or None
        Side of the tiles that large images are cut into; None: the method's own.
    orientations : {1, 2, 4, 8} or None
        Number of orientations in which the images are processed, whose results are averaged; None:
        one.
    callback : callable or None
        Called with a `mcsc.Progress` at every evaluation of the certificate; a true value or
        StopIteration asks to stop and to return what was computed so far, as Ctrl-C does.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    array (C, H, W) or MethodResult
        The image; or the image with its parts and numbers.

    Notes
    -----
    A method for fusion may have an attribute ``roles``: the number of sources that have a role of
    their own, 2 by default. If there are no more sources than roles, they are passed in the order
    in which they were given, and otherwise in an order that does not depend on it. Any method may
    have an attribute ``filter_size``: the side of its filters in pixels. Images that are smaller
    are refused by their names before the method is called. So is an image to be enlarged by another
    factor than ``only_factor``, if a method has that attribute and it is not None; and, in a
    restoration, images of which a method codes other numbers of ``channels``, (C, C'), than they
    have, 1 and 3 excepted, which can be made of any number, or that its ``base``, a field of
    `Task`, does not serve. A method may have a method ``check_device``, which refuses a device that
    cannot be used: it is called with the option `device` before any image is looked at. One that
    has the option `rule` may have a method ``check_count(count, rule)``, which refuses a number of
    sources (None: not known yet) or a rule for them, beforehand, and a method ``chooses(rule,
    count)``, which says whether `MethodResult.index` will be there.

    Another package adds a method by an entry point of group ``mcsc.methods``: a callable of the
    `Task` and of a file of weights (or None: its own), which returns the method or raises a
    `mcsc.errors.InvalidValueError` whose message says what does not fit. In a script,
    ``mcsc.tasks.METHODS.add(name, callable)`` does the same.

    Examples
    --------
    >>> class Darker:
    ...     options = frozenset({"sigma"})
    ...
    ...     def __call__(self, x, y, *, sigma):
    ...         return 0.9 * x
    >>> from mcsc.tasks import METHODS
    >>> METHODS.add("darker", lambda task, weights: Darker())
    >>> METHODS.remove("darker")
    """

    @property
    def options(self) -> Set[str]:
        """Names of the options that the method has, out of `METHOD_OPTIONS`."""
        ...

    def __call__(self, *images: Any, **options: Any) -> Floats | MethodResult:
        """Return the restored or fused image."""
        ...


def check_attributes(whose: str, method: Any, kind: Kind) -> None:
    """Refuse attributes of a method that are none of the kind that `Method` says.

    Raises
    ------
    TypeError, ValueError
        The message begins with the attribute and `whose`.
    """
    for name in ("filter_size", "roles"):
        if getattr(method, name, None) is not None and (name != "roles" or kind == "fusion"):
            check_whole(f"{name} of {whose}", getattr(method, name))
    if getattr(method, "only_factor", None) is not None:
        check_number(f"only_factor of {whose}", method.only_factor)
    channels = getattr(method, "channels", None)
    if kind == "restoration" and channels is not None:
        pair = isinstance(channels, tuple | list) and len(channels) == 2
        if not pair or not all(is_whole(n) and n >= 1 for n in channels):
            raise InvalidTypeError(
                f"channels of {whose} must be two whole numbers >= 1, of x and of y; found "
                f"{what_is(channels)}"
            )
    for name in ("check_device", "check_count", "chooses"):
        given = getattr(method, name, None)
        if given is not None and not callable(given):
            raise InvalidTypeError(f"{name} of {whose} must be callable; found {what_is(given)}")


def check_result(found: MethodResult, sources: Sequence[Any], name: str, kind: Kind) -> None:
    """Refuse what a method of somebody else returned, if it is not as `MethodResult` says."""
    whose = f"the method {name}"
    _, height, width = shape = sources[0].shape
    check_made(whose, "the image", found.image, shape)
    unique = found.unique
    if not isinstance(unique, tuple | list):
        raise InvalidTypeError(
            f"{whose} must return unique as a tuple of images; found {what_is(unique)}"
        )
    parts = {"base": found.base, "common": found.common}
    parts |= {f"unique[{m}]": part for m, part in enumerate(unique)}
    # Of grey sources a network may have parts of three channels.
    allowed = {1, shape[0]} if kind == "restoration" else {1, 3}
    for part, image in parts.items():
        if image is not None:
            check_made(whose, part, image, (None, height, width))
            if len(image) not in allowed:
                wanted = " or ".join(map(str, sorted(allowed)))
                raise InvalidValueError(
                    f"{whose} returned {part} of {len(image)} channels; want {wanted}"
                )
    count = 1 if kind == "restoration" else len(sources)
    if len(unique) not in (0, count):
        of = "x alone" if kind == "restoration" else "each source"
        raise InvalidValueError(
            f"{whose} returned {len(unique)} unique parts; want {count}, of {of}, or none"
        )
    if kind == "fusion":
        check_shares(whose, found.weights, found.index, (count, height, width))
    for number in ("gap", "nonzero"):
        value = getattr(found, number)
        if value is not None:
            made_number(whose, f"{number} as a number or None", value)
