r"""Target filters: ridge regression of the target on the codes of the signals alone.

.. math::

    \min_g \tfrac12 \sum_n \| z_n - \sum_k g_k * a_{nk} \|_2^2
    + \tfrac{\rho}{2} \bar e \sum_k \|g_k\|_2^2

with the mean energy :math:`\bar e` of a map's codes, so that the ridge :math:`\rho` has no unit.
Solved by conjugate gradients on the normal equations, which are never formed: an iteration costs
2 C s s multiplications a nonzero coefficient.
"""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import InvalidTypeError, InvalidValueError
from ..model.codes import Codes
from ..model.dictionary import Dictionary
from ..solvers.front import solve
from ..solvers.result import ConvergenceWarning
from ..types import Boundary
from .windows import Batch, Images, batches

RIDGES = (1e-2, 1e-1, 1.0, 10.0)
VALIDATION = 0.2


@dataclass(frozen=True)
class TargetFit:
    """How well target filters explain the target."""

    ridge: float
    """The one that was chosen."""
    ridges: tuple[float, ...]
    """Those that were compared."""
    validation_mse: tuple[float, ...]
    """Mean squared error of each on the validation part; empty if there was only one ridge."""
    mse: float
    """Mean squared error of the final filters on all windows."""
    target_power: float
    """Mean square of the target, what filters of zero would leave."""


def learn_targets(
    signals: Any,
    targets: Any,
    dictionary: Dictionary,
    lam: Any = None,
    *,
    masks: Any = None,
    task: str = "restoration",
    ridge: float | Sequence[float] | None = None,
    boundary: Boundary = "zero",
    tol: float = 1e-3,
    window: int = 96,
    max_windows: int | None = None,
    batch_size: int = 8,
    seed: int = 0,
) -> tuple[Dictionary, TargetFit]:
    """Fit target filters gc, gu (and gv for fusion) to known targets.

    Codes are computed from the signals alone, by the solver that is used later: atoms learned
    jointly with the target would be coded differently when the target is not there.

    Parameters
    ----------
    signals, targets, masks, task, boundary, window, max_windows, batch_size, seed
        As in `learn`.
    dictionary : Dictionary
        Analysis filters; target filters that it has are replaced.
    lam : float or one a code group, optional
        As when the dictionary will be used. Default: what it was learned with.
    ridge : float or sequence of float, optional
        Strength of the regularisation, relative to the mean energy of a map. Several are compared
        on a fifth of the windows, drawn by `seed`, and the best is used on all.
    tol : float
        Relative duality gap of the codes.

    Returns
    -------
    dictionary : Dictionary
        With target filters.
    fit : TargetFit
        Ridge and errors.

    Raises
    ------
    TypeError, ValueError
        Bad input, or no code is active at this lam.
    """
    ridges = check_ridges(ridge)
    if not isinstance(dictionary, Dictionary):
        raise InvalidTypeError(
            f"dictionary must be an mcsc.Dictionary, found {type(dictionary).__name__}"
        )
    if lam is None:
        lam = dictionary.metadata.get("lam")
        if lam is None:
            raise InvalidValueError(
                "give lam: the dictionary does not say what it was learned with"
            )
    images = Images(signals, masks, targets)
    if images.target_channels is None:
        raise InvalidValueError("targets is None: give one target a scene")
    rng = np.random.default_rng(seed)
    windows = images.windows(window)
    if max_windows is not None and len(windows) > max_windows:
        chosen = rng.choice(len(windows), max_windows, replace=False)
        windows = [windows[i] for i in np.sort(chosen)]
    groups = batches(windows, batch_size)
    coded = []
    for group in groups:
        batch = images.read(group)
        coded.append((batch, _code(batch, dictionary, lam, boundary, tol)))
    # Numba and its kernels are loaded only when they are needed.
    from .regression import TargetRegression

    regression = TargetRegression(dictionary, coded, lam, boundary, task, images.target_channels)
    held = np.zeros(len(coded), dtype=bool)
    if len(ridges) > 1 and len(coded) > 1:
        count = max(1, round(VALIDATION * len(coded)))
        held[rng.choice(len(coded), count, replace=False)] = True
    errors: tuple[float, ...] = ()
    best = ridges[0]
    if held.any():
        errors = tuple(regression.mse(regression.fit(r, ~held), held) for r in ridges)
        best = ridges[int(np.argmin(errors))]
    everything = np.ones(len(coded), dtype=bool)
    filters = regression.fit(best, everything)
    mse = regression.mse(filters, everything)
    power = regression.mse(np.zeros_like(filters), everything)
    gc, gu = regression.banks(filters)
    found = replace(dictionary, target_common=gc, target_unique=gu)
    return found, TargetFit(best, ridges, errors, mse, power)


def _code(batch: Batch, dictionary: Dictionary, lam: Any, boundary: Boundary, tol: float) -> Codes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return solve(
            batch.signals, dictionary, lam, masks=batch.masks, method="working-set",
            boundary=boundary, tol=tol,
        ).codes  # fmt: skip


def check_ridges(ridge: Any) -> tuple[float, ...]:
    """Return the ridges to compare; refuse what is none."""
    values = RIDGES if ridge is None else ridge if isinstance(ridge, Sequence) else (ridge,)
    for value in values:
        number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or value <= 0:
            raise InvalidValueError(f"ridge must be finite and > 0, found {value!r}")
    if not values:
        raise InvalidValueError("ridge is an empty sequence")
    return tuple(float(v) for v in values)
