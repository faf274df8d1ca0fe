"""`learn`: coupled dictionaries by alternating exact coding and filter updates."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InvalidValueError
from ..model.dictionary import Dictionary
from ..types import Boundary
from .history import LearningHistory, LearningProgress
from .options import check_options
from .targets import TargetFit, check_ridges, learn_targets
from .windows import Images


@dataclass(frozen=True)
class Learned:
    """What `learn` returns."""

    dictionary: Dictionary
    history: LearningHistory
    objective: float
    """Eq. 5 summed over all windows, with the dictionary."""
    use: np.ndarray
    """Sum of |codes| of each map over all windows, (K,), in the order of the groups."""
    target_fit: TargetFit | None
    """How well the target filters fit, and with which ridge; None without targets."""
    completed: bool
    """False if a callback or Ctrl-C stopped the passes."""


def learn(
    signals: Any,
    targets: Any = None,
    *,
    lam: float | Sequence[float],
    n_common: int = 64,
    n_unique: int | Sequence[int] = 64,
    filter_size: int | Sequence[int] = 8,
    signal_weights: Sequence[float] | None = None,
    masks: Any = None,
    task: str = "restoration",
    passes: int = 10,
    batch_size: int = 8,
    window: int = 96,
    max_windows: int | None = None,
    update_steps: int = 15,
    relaxation: float = 2.0,
    memory: int = 80_000,
    init: str | Dictionary = "patches",
    zero_mean: bool = False,
    boundary: Boundary = "zero",
    tol: float = 1e-2,
    ridge: float | Sequence[float] | None = None,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    callback: Callable[[LearningProgress], Any] | None = None,
    progress: bool = False,
) -> Learned:
    r"""Learn a coupled dictionary, and target filters if targets are given (Eqs. 1-5).

    .. math::

        \min_{d, a} \sum_n \Bigl[ \sum_m \tfrac12 \| w_m (x_{nm} - \sum_k d^c_{mk} * c_{nk}
        - \sum_k d^u_{mk} * u_{nmk}) \|_2^2 + \lambda |a_n|_1 \Bigr]
        \quad \text{s.t.} \quad \sum_m \|w_m d^c_{mk}\|_2^2 \le 1, \; \|w_m d^u_{mk}\|_2 \le 1

    Windows of the images are coded by the working-set solver, warm-started from the last pass, and
    after every batch the filters are updated by accelerated projected gradients on the nonzero
    coefficients. Atoms without use are replaced by patches of the worst residual.

    Parameters
    ----------
    signals : tuple of M arrays, or sequence of such tuples
        Registered images of one size, each (H, W), (C_m, H, W) or (N, C_m, H, W), or scenes of any
        sizes. NumPy, float32 or float64. A sequence may read its scenes when they are asked for:
        they need not fit in memory together.
    targets : array, or sequence of arrays, optional
        The target z of each scene, on its grid. Target filters are fitted by ridge regression on
        the codes of the signals alone (see `learn_targets`).
    lam : float or one a code group
        Weight of the l1 norm, > 0.
    n_common, n_unique : int, int or one a signal
        Numbers K of filters; 0: no such group.
    filter_size : int or sequence of int
        Side s of the filters. Several sizes are dealt out evenly over the maps of each group.
    signal_weights : sequence of M floats, optional
        Weights w_m of the signals, recorded in the dictionary, so that coding uses the same.
    masks : like `signals`, optional
        Weights of pixels, 0 where unknown; an entry may be None.
    task : {"restoration", "fusion"}
        Which codes the target is made of (Eq. 3 or Eq. 4).
    passes : int
        Times that every window is coded while filters change.
    batch_size : int
        Windows coded between two updates.
    window : int
        Side of the windows that images are cut into, in pixels.
    max_windows : int, optional
        Take only so many windows, drawn at random.
    update_steps : int
        Accelerated gradient steps of an update.
    relaxation : float
        Filters go so many times as far as an update says: codes follow filters only slowly, and
        the next update would say the same again. 1: as far as it says.
    memory : int
        Pixels of the windows that an update fits: the last batch, and earlier ones while they fit
        in. Codes of earlier batches hold filters back to what they were.
    init : {"patches", "dct"} or Dictionary
        First filters.
    zero_mean : bool
        Constrain every filter to zero mean in every channel.
    boundary : {"zero", "periodic"}
        Of the windows.
    tol : float
        Relative duality gap to which windows are coded.
    ridge : float or sequence of float, optional
        Of the target filters; several are compared on a validation part. Default: a sequence.
    seed : int
        Of every random choice. Same seed, same machine: same result.
    checkpoint : path, optional
        File of the state, written after every pass and every minute, in one piece. If it exists,
        learning goes on from it and ends with the same bits as an uninterrupted run.
    callback : callable, optional
        Called with `LearningProgress` after every batch; a true value stops.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    Learned
        Dictionary, history, objective, use of the atoms. Ctrl-C returns what there is.

    Raises
    ------
    TypeError, ValueError
        Bad input, refused before any work; also a checkpoint of other data or settings.

    Notes
    -----
    Memory: the codes of all windows (16 bytes a nonzero), and the images of one batch or of
    `memory` pixels. A filter update costs about ``update_steps`` times three passes over their
    nonzeros, C s s multiplications each.

    Examples
    --------
    >>> import numpy as np, mcsc
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((2, 1, 24, 24))
    >>> y = rng.standard_normal((2, 1, 24, 24))
    >>> learned = mcsc.learn((x, y), lam=0.5, n_common=4, n_unique=4, filter_size=5, passes=2)
    >>> learned.dictionary.n_maps
    12
    """
    started = time.perf_counter()
    options = check_options(
        lam, n_common, n_unique, filter_size, signal_weights, task, passes, batch_size, window,
        max_windows, update_steps, relaxation, memory, init, boundary, tol, seed, callback,
    )  # fmt: skip
    ridges = check_ridges(ridge)
    images = Images(signals, masks, targets)
    layout = options.layout(images.channels, zero_mean)
    smallest = min(min(h, w) for _, h, w in images.sizes)
    if min(smallest, window) < layout.size:
        raise InvalidValueError(
            f"filters of {layout.size}x{layout.size} need windows and images at least as large: "
            f"window = {window}, the smallest image has {smallest} pixels on a side"
        )
    settings: dict[str, Any] = {
        **options.settings(images.channels), "zero_mean": zero_mean, "data": images.fingerprint,
    }  # fmt: skip
    # Numba and its kernels are loaded only when they are needed.
    from .passes import Passes

    state = Passes(images, layout, options, init)
    before = 0.0
    if checkpoint is not None and Path(checkpoint).exists():
        before = state.resume(Path(checkpoint), settings)
    completed = state.run(started - before, checkpoint, settings, callback, progress)
    dictionary, objective, use = state.finish(started - before)
    metadata = {
        "lam": lam if isinstance(lam, int | float) else list(lam), "boundary": boundary,
        "learned": {k: v for k, v in settings.items() if k != "data"} | {"objective": objective},
    }  # fmt: skip
    dictionary = replace(dictionary, metadata=metadata)
    fit = None
    if targets is not None:
        dictionary, fit = learn_targets(
            signals, targets, dictionary, lam, masks=masks, task=task, boundary=boundary, tol=tol,
            window=window, max_windows=max_windows, batch_size=batch_size, ridge=ridges, seed=seed,
        )  # fmt: skip
    return Learned(dictionary, state.history, objective, use, fit, completed)
