"""`decompose`: images taken apart into what they share and what each has alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import check_whole
from ..errors import InvalidTypeError, InvalidValueError, warn_user
from ..images.split import lowpass_split
from ..model.dictionary import Dictionary
from ..model.lam import weighted_lam
from ..model.problem import lambda_max
from ..model.reconstruction import signal_parts
from ..model.signals import check_filters_fit
from ..model.starter import dct_dictionary
from ..solvers.driver import Callback
from ..solvers.front import solve
from ..solvers.result import Result
from ..solvers.reweighted import reweighted
from ..types import Boundary, Device, Floats, Lam
from ..values.forms import ImageForm, plain_array
from ..values.masks import check_mask
from ..values.ranges import ValueRange
from .shipped import opened_dictionary
from .sparse_coding import checked_lam
from .task import LAM_RELATIVE, STRENGTH

__all__ = ["Decomposition", "SignalParts", "decompose", "symbols"]

_FAINT = 0.01
"""Share of the strongest detail below which lam leaves little of another one."""


@dataclass(frozen=True, eq=False)
class SignalParts:
    """One signal and its parts, all of shape (C, H, W)."""

    label: str
    """Title, for example ``"x, disparity"``."""
    image: Floats
    """The signal; whatever it holds where `mask` is 0 is not looked at."""
    common: Floats | None
    """Common part ``dc * c``."""
    unique: Floats | None
    """Unique part ``du * u``."""
    low: Floats | None = None
    """Low-pass part, if the signal was split."""
    mask: NDArray[Any] | None = None
    """Weights that broadcast to the signal, 0 where it is unknown."""

    @property
    def reconstruction(self) -> Floats:
        """Sum of the parts; holes are filled."""
        parts = [p for p in (self.low, self.common, self.unique) if p is not None]
        total: Floats = np.sum(parts, axis=0)
        return total

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where the signal is known, (C, H, W)."""
        if self.mask is None:
            return np.ones(self.image.shape, dtype=bool)
        return np.broadcast_to(np.asarray(self.mask) > 0, self.image.shape)

    @property
    def known_pixels(self) -> NDArray[np.bool_]:
        """Where all channels are known, (H, W)."""
        known: NDArray[np.bool_] = np.all(self.known, axis=0)
        return known

    @property
    def error(self) -> Floats:
        """Signal minus reconstruction, zero where the signal is unknown."""
        image = np.where(self.known, self.image, 0)
        error: Floats = np.where(self.known, image - self.reconstruction, 0)
        return error

    @property
    def rms(self) -> float:
        """Root mean square of the error over the known samples."""
        squares = np.square(self.error[self.known], dtype=np.float64)
        return float(np.sqrt(squares.mean())) if squares.size else 0.0


@dataclass(frozen=True, eq=False)
class Decomposition:
    """Result of `decompose`: the parts of each image, and the certified codes."""

    parts: tuple[SignalParts, ...]
    """The parts of each image."""
    result: Result
    """Codes with their certificate."""
    lam: Lam
    """Weight of the l1 norm that was used."""
    lambda_max: float
    """The lam above which all codes are zero."""
    value_ranges: tuple[ValueRange, ...]
    """Values of each image that stood for 0 and 1 when it was coded."""

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the computation early."""
        return self.result.stopped == "interrupted"


def decompose(
    images: Sequence[Floats],
    dictionary: Dictionary | str | PathLike[str] | None = None,
    *,
    lam: float | Sequence[float] | None = None,
    lam_relative: float = LAM_RELATIVE,
    lam_weights: Any = None,
    mu: Any = None,
    nonnegative: Any = None,
    joint: Any = False,
    rounds: int = 1,
    masks: Sequence[NDArray[Any] | None] | None = None,
    value_ranges: Sequence[ValueRange | Sequence[float] | None] | None = None,
    strength: float | None = STRENGTH,
    labels: Sequence[str] | None = None,
    method: str = "auto",
    boundary: Boundary = "zero",
    tol: float = 1e-3,
    max_iter: int | None = None,
    device: Device = "auto",
    announce: Callable[[Lam, float], None] | None = None,
    callback: Callback | None = None,
    progress: bool = False,
) -> Decomposition:
    """Take registered images apart: low-pass part, common part, and the unique part of each.

    Each image is split into a smooth part and detail (`mcsc.images.lowpass_split`); the detail of
    all is coded jointly, exactly (`mcsc.solve`).

    Parameters
    ----------
    images : sequence of arrays of floats or integers, shape (H, W) or (C, H, W)
        One or more NumPy arrays of one size; a single image has only a unique part. A masked array
        is unknown where it is masked.
    dictionary : Dictionary or path, optional
        Default: cosines of 8 x 8 for the channels of the images (`mcsc.dct_dictionary`).
    lam : float or sequence of floats, optional
        Weight of the l1 norm, or one per group of codes; on the scale of values brought to [0, 1].
    lam_relative : float
        Used if `lam` is not given: lam as a share of lambda_max, above which all codes are zero.
    lam_weights : array, sequence or mapping of arrays, optional
        Numbers > 0 by which lam is multiplied in each pixel or for each coefficient: one array that
        broadcasts to the codes of all maps, (N, K, H, W), a sequence of one array for each group,
        or a mapping from names of groups to arrays.
    mu, nonnegative : optional
        As in `mcsc.solve`. Default: what the dictionary was learned with.
    joint
        As in `mcsc.solve`.
    rounds : int
        Number of rounds, as in `mcsc.reweighted`: 1 solves once; in each further round, the lam of
        a coefficient falls with its size in the last.
    masks : sequence of (array or None), optional
        Weights of each image in [0, 1], (H, W), (1, H, W) or (C, H, W); where one is 0 the image is
        unknown, may hold anything, and is filled by the sum of its parts.
    value_ranges : sequence of ((low, high) or None), optional
        Values of each image that stand for 0 and 1; None: found by
        `mcsc.values.ranges.find_range`. Parts are in the unit of their image.
    strength : float or None
        Strength of the low-pass split, in squared pixels. None: the images are not split.
    labels : sequence of str, optional
        What titles and messages call the images. Default: x and y; x1, x2, ... if there are more
        than two.
    method, boundary, tol, max_iter, device, callback, progress
        As in `mcsc.solve`.
    announce : callable, optional
        Called with lam and lambda_max before the long part.

    Returns
    -------
    Decomposition

    Raises
    ------
    TypeError
        An image is not a NumPy array of floats or integers, or `dictionary` is something else.
    FileNotFoundError
        There is no such file of a dictionary.
    ValueError
        Images differ in size, are not finite where they are known, or hold no detail that the
        dictionary could code, or are smaller than its filters; a mask does not fit; or as
        `mcsc.solve`.

    Examples
    --------
    >>> from mcsc.images import motorcycle
    >>> from mcsc.tasks import decompose
    >>> pair = motorcycle(size=(140, 500, 48, 48))
    >>> found = decompose((pair.x, pair.y), masks=(pair.mask, None), lam_relative=0.2)
    >>> found.result.converged, [p.reconstruction.shape for p in found.parts]
    (True, [(1, 48, 48), (1, 48, 48)])
    """
    if dictionary is not None:
        dictionary = opened_dictionary(dictionary)
    names = symbols(len(images)) if labels is None else list(labels)
    nothing = [None] * len(images)
    forms: list[ImageForm] = []
    taken: list[Floats] = []
    weights: list[Floats | None] = []
    for name, given, mask, values in zip(
        names, images, masks or nothing, value_ranges or nothing, strict=True
    ):
        image, mask = plain_array(name, given, mask)
        form = ImageForm.of(name, image)
        if not isinstance(image, np.ndarray):
            raise InvalidTypeError(f"{name} must be a NumPy array, found {type(image).__name__}")
        shape = (1,) * (3 - image.ndim) + image.shape
        weight = None if mask is None else check_mask(name, mask, shape)
        if values is None:
            form = form.measured(image, weight, doubtful=True)
        else:
            form = replace(form, values=ValueRange.of(values))
        forms.append(form)
        taken.append(form.taken(image, weight))
        weights.append(None if weight is None else weight.astype(taken[-1].dtype))
    if dictionary is None:
        dictionary = dct_dictionary(tuple(len(i) for i in taken))
    for name, image in zip(names, taken, strict=True):
        check_filters_fit(dictionary.filter_size, image.shape[1:], name)
    low: list[Floats | None] = [None] * len(taken)
    detail = taken
    if strength is not None:
        splits = [lowpass_split(i, strength, w) for i, w in zip(taken, weights, strict=True)]
        low, detail = [s.low for s in splits], [s.high for s in splits]
    _warn_of_energies(names, detail)
    count = check_whole("rounds", rounds)
    maps = {g.name: len(g.bank) for g in dictionary.groups}
    terms: dict[str, Any] = dict(dictionary.terms)
    terms |= {n: v for n, v in (("mu", mu), ("nonnegative", nonnegative)) if v is not None}
    largest = lambda_max(
        detail, dictionary, masks=weights, boundary=boundary, joint=joint,
        nonnegative=terms.get("nonnegative", False),
    )  # fmt: skip
    chosen: Lam
    if lam is not None:
        chosen = checked_lam(lam, dictionary)
    elif largest <= 100 * float(np.finfo(detail[0].dtype).eps):
        # The split leaves rounding errors of a constant, and lam would follow them.
        raise InvalidValueError(
            f"the images hold no detail that the dictionary could code: lambda_max = "
            f"{largest:.1g}; choose lam"
        )
    else:
        chosen = lam_relative * largest
    each: Any = chosen
    if lam_weights is not None:
        grid = (1, *detail[0].shape[-2:])
        each = [a.astype(detail[0].dtype) for a in weighted_lam(chosen, lam_weights, maps, grid)]
    if announce is not None:
        announce(chosen, largest)
    how: dict[str, Any] = {
        "method": method, "boundary": boundary, "tol": tol, "masks": weights, "joint": joint,
        "device": device, "max_iter": max_iter, "callback": callback, "progress": progress, **terms,
    }  # fmt: skip
    if count == 1:
        result = solve(detail, dictionary, each, **how)
    else:
        result = reweighted(detail, dictionary, each, rounds=count, **how).result
    parts = []
    for m, part in enumerate(signal_parts(result.codes, dictionary, boundary=boundary)):
        common, own, values = part.common, part.unique[m], forms[m].values
        smooth = low[m]
        if smooth is None and values.low != 0:  # of which the parts know nothing
            smooth = np.zeros_like(taken[m])
        parts.append(
            SignalParts(
                label=names[m],
                image=_unscaled(values, taken[m]),
                common=None if common is None else values.restored_part(common[0]),
                unique=None if own is None else values.restored_part(own[0]),
                low=None if smooth is None else _unscaled(values, smooth),
                mask=weights[m],
            )
        )
    return Decomposition(tuple(parts), result, chosen, largest, tuple(f.values for f in forms))


def _unscaled(values: ValueRange, image: Floats) -> Floats:
    return values.restored(image).astype(image.dtype, copy=False)


def _warn_of_energies(names: Sequence[str], detail: Sequence[Floats]) -> None:
    """One lam is for all: it leaves nothing of the faint, or all of the strong image."""
    levels = [float(np.sqrt(np.mean(np.square(d, dtype=np.float64)))) for d in detail]
    faint, strong = int(np.argmin(levels)), int(np.argmax(levels))
    if 0 < levels[faint] < _FAINT * levels[strong]:
        warn_user(
            f"the detail of {names[strong]} is {levels[strong] / levels[faint]:.0f} times as "
            f"strong as that of {names[faint]}, of which lam will leave little: give it the range "
            "that its values use"
        )


def symbols(count: int) -> list[str]:
    """Names of so many signals in formulas, tables and files."""
    return ["x", "y"][:count] if count <= 2 else [f"x{m + 1}" for m in range(count)]
