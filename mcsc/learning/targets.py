r"""Target filters: ridge regression of the target on the codes of the signals alone.

.. math::

    \min_g \tfrac12 \sum_n \| z_n - \sum_k g_k * a_{nk} \|_2^2
    + \tfrac{\rho}{2} \bar e \sum_k \|g_k\|_2^2

with the mean energy :math:`\bar e` of a map's codes, so that the ridge :math:`\rho` has no unit.
Solved by conjugate gradients on the normal equations, which are never formed: an iteration costs
2 C s s multiplications per nonzero coefficient.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import check_callback, check_tol, check_whole
from ..errors import InvalidValueError
from ..model.dictionary import Dictionary, check_is_dictionary
from ..model.lam import plain_lam
from ..model.penalty import check_terms
from ..types import Boundary, Kind
from .history import LearningProgress, Stop
from .images import Images
from .options import LearnOptions
from .watch import Stopped, Watch, watching
from .windows import Window, batches, cover, draw

if TYPE_CHECKING:
    from distributed import Client

VALIDATION = 0.2
"""Share of the windows that is held out while ridges are compared."""


class NoActiveCodeError(InvalidValueError):
    """Every code that the target is made of is zero."""


@dataclass(frozen=True, eq=False)
class TargetFit:
    """Target filters, and how well they explain the target."""

    dictionary: Dictionary
    """The dictionary with its target filters; as it was given, if the fit was stopped."""
    stopped: Stop
    """What ended the fit: "completed", or "callback" or "interrupted" before there were filters."""
    ridge: float | None
    """Regularisation of the filters; None if the fit was stopped."""
    ridges: tuple[float, ...] = ()
    """Ridges that were compared; empty if only one was given, or nothing could be held out."""
    validation_mse: tuple[float, ...] = ()
    """Mean squared error of each ridge on the windows that were held out from its fit."""
    validation_windows: int = 0
    """Number of windows that were held out for the comparison."""
    windows: int = 0
    """Number of windows that the filters were fitted to in the end, the held-out ones included."""
    mse: float = math.nan
    """Mean squared error of the filters on all windows; NaN if the fit was stopped."""
    target_power: float = math.nan
    """Mean square of the target, what filters of zero would leave."""

    @property
    def completed(self) -> bool:
        """Whether there are target filters."""
        return self.stopped == "completed"


def learn_targets(
    signals: Any,
    targets: Any,
    dictionary: Dictionary,
    lam: Any = None,
    *,
    masks: Any = None,
    kind: Kind = "restoration",
    ridge: float | Sequence[float] | None = None,
    boundary: Boundary = "zero",
    tol: float = 1e-3,
    max_iter: int | None = None,
    window: int = 96,
    max_windows: int | None = None,
    batch_size: int = 8,
    seed: int = 0,
    callback: Callable[[LearningProgress], Any] | None = None,
    progress: bool = False,
) -> TargetFit:
    """Fit target filters gc, gu (and gv for fusion) to known targets.

    Codes are computed from the signals alone, by the solver that is used later: atoms learned
    jointly with the target would be coded differently when the target is not there.

    Parameters
    ----------
    signals, targets, masks
        As in `learn`.
    dictionary : Dictionary
        Analysis filters; target filters that it has are replaced.
    lam : float, or one per code group or per map, optional
        As in `mcsc.solve`. It should be the lam that the dictionary will be used with, and is kept
        in its metadata. Default: what the dictionary was learned with. The other terms of the
        penalty are always those of the dictionary (`Dictionary.terms`).
    kind : {"restoration", "fusion"}
        Which codes the target is made of (Eq. 3 or Eq. 4).
    ridge : float or sequence of float, optional
        Strength of the regularisation, relative to the mean energy of a map's codes. If several are
        given, the one with the least error on held-out windows is taken, and the filters are then
        fitted to all windows. A fifth of the windows is held out, drawn by `seed`: all windows of
        some images or, if there is only one image, some of its windows (which may share a few
        pixels with their neighbours). If there is only one window, nothing can be held out, and the
        first ridge is taken.
        Default: 0.01, 0.1, 1 and 10.
    boundary : {"zero", "periodic"}
        Boundary of the windows, as in `mcsc.solve`.
    tol : float
        Relative duality gap of the codes, as in `mcsc.solve`.
    max_iter : int, optional
        Largest number of iterations of the solver for each batch, as in `mcsc.solve`. Codes that do
        not reach `tol` are used as they are.
    window : int
        Side of the windows that images are cut into, in pixels.
    max_windows : int, optional
        Largest number of windows that are used; they are drawn at random by `seed`.
    batch_size : int
        Number of windows that are coded together.
    seed : int
        Seed of all random choices.
    callback : callable, optional
        Called with `LearningProgress` after every batch that is coded, and every fit; a true value
        or StopIteration stops.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    TargetFit
        The dictionary with its target filters, the ridge, and the errors. After Ctrl-C, the
        function returns without filters at the end of the current step, and `stopped` says so; a
        second Ctrl-C raises KeyboardInterrupt.

    Raises
    ------
    TypeError, ValueError
        Bad input, refused before any work; or no code is active at this lam.

    Notes
    -----
    The codes of all windows are held, with two images of each: about 50 bytes per nonzero and 8 a
    pixel and channel in float32.

    Examples
    --------
    >>> import numpy as np, mcsc
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.standard_normal((2, 4, 1, 24, 24))
    >>> bank = lambda: rng.standard_normal((3, 1, 5, 5))
    >>> d = mcsc.Dictionary(common=(bank(), bank()), unique=(bank(), bank())).normalise()
    >>> fit = mcsc.learn_targets((x, y), 0.5 * x, d, lam=0.5, batch_size=2)
    >>> fit.ridge in fit.ridges, fit.validation_windows, fit.windows
    (True, 1, 4)
    >>> fit.mse < fit.target_power, fit.dictionary.target_common.shape
    (True, (3, 1, 5, 5))
    """
    started = time.perf_counter()
    options = LearnOptions(
        kind=kind,
        boundary=boundary,
        batch_size=batch_size,
        max_windows=max_windows,
        max_iter=max_iter,
        ridge=ridge,
    )
    tol = check_tol(tol)
    window = check_whole("window", window)
    seed = check_whole("seed", seed, least=0)
    check_callback(callback)
    check_is_dictionary(dictionary)
    options = replace(options, **dictionary.terms)
    if lam is None:
        lam = dictionary.lam
        if lam is None:
            raise InvalidValueError(
                "give lam: the dictionary does not say what it was learned with"
            )
    maps = {g.name: len(g.bank) for g in dictionary.groups}
    lam = plain_lam(lam, maps)
    check_terms(options.mu, options.nonnegative, maps)
    images = Images(signals, masks, targets)
    if images.target_channels is None:
        raise InvalidValueError("targets is None: give one target for each scene")
    if images.channels != dictionary.channels:
        raise InvalidValueError(
            f"the signals have {images.channels} channels, the dictionary is for "
            f"{dictionary.channels}"
        )
    images.check_size(dictionary.filter_size, window)
    with watching(started, callback, progress=progress) as watch:
        try:
            return fit_targets(
                images,
                dictionary,
                lam=lam,
                tol=tol,
                window=window,
                seed=seed,
                options=options,
                watch=watch,
            )
        except Stopped as stop:
            return TargetFit(dictionary, stop.how, ridge=None)


def fit_targets(
    images: Images,
    dictionary: Dictionary,
    *,
    lam: float | list[float],
    tol: float,
    window: int,
    seed: int,
    options: LearnOptions,
    watch: Watch,
    client: Client | None = None,
) -> TargetFit:
    """Do what `learn_targets` says with arguments that were checked, `client` as in `learn`.

    Raises
    ------
    NoActiveCodeError
        Every code that the target is made of is zero.
    Stopped
        The callback or a Ctrl-C asked for it.
    """
    # Numba and its kernels are loaded only when they are needed.
    from .regression import TargetRegression
    from .workers import make_coder

    assert images.target_channels is not None
    rng = np.random.default_rng(seed)
    most = options.max_windows if options.target_windows is None else options.target_windows
    windows = draw(cover(images.sizes, window), most, rng)
    ridges = options.ridges if len(windows) > 1 else options.ridges[:1]
    held = hold_out(windows, rng) if len(ridges) > 1 else np.zeros(len(windows), dtype=bool)
    # Batches of one kind, so that each is held out or not.
    groups: list[list[Window]] = []
    apart: list[bool] = []
    for out in (False, True):
        kind = [w for w, chosen in zip(windows, held, strict=True) if chosen == out]
        groups += batches(kind, options.batch_size)
        apart += [out] * (len(groups) - len(apart))
    validation = np.array(apart)
    compared = ridges if held.any() else ()

    steps = len(groups) + len(compared) + 1
    step = 0

    def done() -> None:
        nonlocal step
        step += 1
        watch.report("targets", step, steps)

    coder = make_coder(client, lam, tol, options)
    coded = []
    for group in groups:
        watch.go_on()
        batch = images.read(group)
        coded.append((batch, watch.coded(coder.code(batch, dictionary))))
        done()
    regression = TargetRegression(
        dictionary, coded, coder=coder, kind=options.kind, channels=images.target_channels
    )
    if regression.empty:
        raise NoActiveCodeError("no code is active at this lam: there is nothing to fit targets to")
    errors = []
    for ridge in compared:
        filters = regression.fit(ridge, ~validation, watch.go_on)
        errors.append(regression.mse(filters, validation))
        done()
    best = ridges[int(np.argmin(errors))] if errors else ridges[0]
    everything = np.ones(len(groups), dtype=bool)
    filters = regression.fit(best, everything, watch.go_on)
    done()
    gc, gu = regression.banks(filters)
    return TargetFit(
        dictionary=replace(
            dictionary,
            target_common=gc,
            target_unique=gu,
            metadata={**dictionary.metadata, "lam": lam},
        ),
        stopped="completed",
        ridge=best,
        ridges=compared,
        validation_mse=tuple(errors),
        validation_windows=int(held.sum()),
        windows=len(windows),
        mse=regression.mse(filters, everything),
        target_power=regression.mse(None, everything),
    )


def hold_out(windows: Sequence[Window], rng: np.random.Generator) -> np.ndarray:
    """Choose about a fifth of two windows or more, at least one and not all; (len,), bool.

    Whole images where there are several, so that no pixel is fitted and held out.
    """
    image = np.unique([(w.scene, w.sample) for w in windows], axis=0, return_inverse=True)[1]
    image = image.reshape(-1)
    count = int(image.max()) + 1
    part = image if count > 1 else np.arange(len(windows))
    held = np.zeros(len(windows), dtype=bool)
    order = rng.permutation(int(part.max()) + 1)
    for chosen in order[:-1]:
        if held.sum() >= max(1, round(VALIDATION * len(windows))):
            break
        held |= part == chosen
    return held
