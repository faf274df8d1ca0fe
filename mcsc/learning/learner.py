"""`learn`: coupled dictionaries by alternating exact coding and filter updates."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend import require_cuda
from ..checks import check_callback
from ..errors import warn_user
from ..model.dictionary import Dictionary
from .checkpoint import Checkpoint
from .history import LearningHistory, LearningProgress, Stop
from .images import Images
from .options import LearnOptions, Settings, is_many
from .targets import NoActiveCodeError, TargetFit, fit_targets
from .watch import Stopped, watching

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True, eq=False)
class Learned:
    """Result of `learn`: the dictionary, and how it was learned."""

    dictionary: Dictionary
    """Its metadata keep lam and the settings; `Dictionary.lam` returns lam as `solve` takes it."""
    history: LearningHistory
    """Objective, sparsity and time after each pass."""
    objective: float
    """Eq. 5 summed over all windows, with the dictionary; NaN if learning was stopped before."""
    use: np.ndarray
    """Sum of absolute codes of each map over all windows, (K,), in the order of groups; each window
    as it was coded last."""
    target_fit: TargetFit | None
    """How well the target filters fit, and with which ridge; None if there are none."""
    stopped: Stop
    """Why learning ended: "completed", or "callback" or "interrupted" before all was done."""

    @property
    def completed(self) -> bool:
        """Whether all passes, the last coding and the fit of the targets were done."""
        return self.stopped == "completed"


def check_learning(
    *,
    lam: Any,
    n_common: int,
    n_unique: int | Sequence[int],
    filter_size: int | Sequence[int],
    passes: int,
    window: int,
    tol: float,
    seed: int,
    options: LearnOptions,
    checkpoint: str | Path | None = None,
    count: int = 2,
) -> None:
    """Refuse what `learn` refuses of its arguments whatever `count` signals it is given.

    Raises
    ------
    TypeError, ValueError
        As `learn`; also a checkpoint that is none, is damaged, or is of other settings.
    RuntimeError
        The device cannot be used.
    """
    settings = Settings(
        lam=lam, n_common=n_common, n_unique=n_unique, filter_size=filter_size, passes=passes,
        window=window, tol=tol, seed=seed, options=options,
    )  # fmt: skip
    if options.device == "cuda":
        require_cuda()
    # Of channels only the filters' shapes depend.
    settings = settings.for_channels((1,) * count)
    file = None if checkpoint is None else Checkpoint(checkpoint, settings.record())
    if file is not None and file.exists():
        file.check()


def learn(
    signals: Any,
    targets: Any = None,
    *,
    lam: Any,
    n_common: int = 64,
    n_unique: int | Sequence[int] = 64,
    filter_size: int | Sequence[int] = 8,
    masks: Any = None,
    passes: int = 10,
    window: int = 96,
    tol: float = 1e-2,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    callback: Callable[[LearningProgress], Any] | None = None,
    progress: bool = False,
    options: LearnOptions | None = None,
    client: Client | None = None,
) -> Learned:
    r"""Learn a coupled dictionary, and target filters if targets are given (Eqs. 1-5).

    .. math::

        \min_{d, a} \; & \sum_n \Bigl[ \sum_m \tfrac12 \| w_m (x_{nm} - \sum_k d^c_{mk} * c_{nk}
        - \sum_k d^u_{mk} * u_{nmk}) \|_2^2 + \lambda \|a_n\|_1 \Bigr]
        \\ & \text{s.t.} \quad \sum_m \|w_m d^c_{mk}\|_2^2 \le 1, \; \|w_m d^u_{mk}\|_2 \le 1

    Windows of the images are coded by the working-set solver, or on a GPU (`LearnOptions.device`),
    warm-started from the last pass, and after every batch the filters are updated by accelerated
    projected gradients on the nonzero coefficients. Atoms that are not used are replaced by patches
    where the residual is largest.

    Parameters
    ----------
    signals : tuple of M arrays, or sequence of such tuples
        Registered images of one size, each (H, W), (C_m, H, W) or (N, C_m, H, W), or scenes of any
        sizes. NumPy, float32 or float64. A sequence may read its scenes when they are asked for:
        they need not fit in memory together.
    targets : array, or sequence of arrays, optional
        The target z of each scene, on its grid. Target filters are fitted by ridge regression on
        the codes of the signals alone (see `learn_targets`).
    lam : float, or one entry per code group, or one number per map
        Weight of the l1 norm, > 0, as in `mcsc.solve`.
    n_common, n_unique : int, int or one per signal
        Number K of common filters, and of unique filters of each signal; 0: there is no such group.
    filter_size : int or sequence of int
        Side s of the filters, in pixels. Several sizes are dealt out evenly over the maps of each
        group.
    masks : like `signals`, optional
        Weights of pixels, 0 where unknown; an entry may be None.
    passes : int
        Number of passes over all windows; in each, every window is coded and the filters are
        updated.
    window : int
        Side of the windows that images are cut into, in pixels. They cover the images, and overlap
        where the side does not divide an image's.
    tol : float
        Relative duality gap to which windows are coded, as in `mcsc.solve`.
    seed : int
        Seed of all random choices. The same seed gives the same result on the same machine.
    checkpoint : path, optional
        File to which the state is written before the first step, after every pass, every minute,
        and when learning is stopped; a file is replaced only by a complete one. ``.npz`` is
        appended if it is missing. If the file exists, learning continues from it and ends with the
        same bits as an uninterrupted run.
    callback : callable, optional
        Called with a `LearningProgress` after every step: a batch that was coded, a fit of target
        filters. A true value or StopIteration stops.
    progress : bool
        Show a progress bar on standard error.
    options : LearnOptions, optional
        Options that are rarely changed: weights of signals, first filters, number of windows, the
        update of the filters, the regularisation of target filters, ...
    client : distributed.Client, optional
        Client of a Dask cluster whose workers code the windows, each for itself to `tol`; filters
        are updated here. The result is the same for any number of workers, and differs from that
        without a client within `tol`. The windows of one batch are coded at a time: let
        `LearnOptions.batch_size` be at least the number of workers.

    Returns
    -------
    Learned
        Dictionary, history, objective, use of the atoms. The first Ctrl-C, or a callback that asks
        for it, ends learning after the current step: the checkpoint is written, nothing more is
        coded or fitted, and `stopped` says so. A second Ctrl-C raises KeyboardInterrupt at once.

    Warns
    -----
    UserWarning
        At this lam no code is active: nothing was learned, or there are targets that could not be
        fitted to any.

    Raises
    ------
    TypeError, ValueError
        Bad input, refused before any work; also a checkpoint of other data or settings.
    OSError
        The checkpoint cannot be written; found out before any work, too.

    Notes
    -----
    Every symbol is explained on :doc:`the page of the model </explanations/model>`.

    Memory: the codes of all windows (16 bytes per nonzero), and the images of one batch or of
    `LearnOptions.update_pixels`. A filter update costs about ``update_steps`` times three passes
    over their nonzeros, C s s multiplications each.

    Examples
    --------
    >>> import numpy as np, mcsc
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((2, 1, 24, 24))
    >>> y = rng.standard_normal((2, 1, 24, 24))
    >>> learned = mcsc.learn((x, y), lam=0.5, n_common=4, n_unique=4, filter_size=5, passes=2)
    >>> learned.dictionary.n_maps, learned.stopped
    (12, 'completed')
    >>> options = mcsc.LearnOptions(zero_mean=True, init="dct")
    >>> other = mcsc.learn((x, y), lam=0.5, n_common=4, n_unique=4, passes=2, options=options)
    >>> bool(abs(other.dictionary.common[0].mean((2, 3))).max() < 1e-12)
    True
    """
    started = time.perf_counter()
    check_callback(callback)
    if client is not None:
        from .workers import check_client

        check_client(client)
    settings = Settings(
        lam=lam,
        n_common=n_common,
        n_unique=n_unique,
        filter_size=filter_size,
        passes=passes,
        window=window,
        tol=tol,
        seed=seed,
        options=LearnOptions() if options is None else options,
    )
    if settings.options.device == "cuda":
        require_cuda()
    images = Images(signals, masks, targets)
    settings = settings.for_channels(images.channels)
    layout = settings.layout(images.channels)
    images.check_size(layout.size, settings.window)
    record = settings.record() | {"channels": list(images.channels)}
    file = None
    if checkpoint is not None:
        # Windows that are coded one by one end at other codes than together: other bits.
        coded = {} if client is None else {"coded": "window by window"}
        file = Checkpoint(checkpoint, record | {"data": images.fingerprint} | coded)
    # Numba and its kernels are loaded only when they are needed.
    from .passes import Passes

    state = Passes(images, layout, settings, client)
    before = state.resume(file) if file is not None and file.exists() else 0.0
    objective, fit = math.nan, None
    stopped: Stop = "completed"

    def dictionary() -> Dictionary:
        known = None if math.isnan(objective) else objective
        metadata = {
            "lam": settings.lam,
            "boundary": settings.options.boundary,
            "mu": settings.options.mu,
            "nonnegative": settings.options.nonnegative,
            "learned": record | {"passes": state.passes(), "objective": known},
        }
        return replace(layout.dictionary(state.filters), metadata=metadata)

    with watching(started, callback, progress=progress) as watch:
        watch.seconds_before = before
        try:
            state.run(watch, file)
            objective = state.finish(watch)
            if targets is not None:
                fit = fit_targets(
                    images,
                    dictionary(),
                    lam=settings.lam,
                    tol=settings.tol,
                    window=settings.window,
                    seed=settings.seed,
                    options=settings.options,
                    watch=watch,
                    client=client,
                )
        except Stopped as stop:
            stopped = stop.how
        except NoActiveCodeError as error:
            # What was learned is worth more than the filters that are missing.
            warn_user(f"no target filters: {error}")
    if targets is None and stopped == "completed" and not any(state.history.nonzero):
        given = settings.lam if is_many(settings.lam) else [settings.lam]
        warn_user(
            f"nothing was learned: with lam = {', '.join(f'{v:g}' for v in given)} all codes are "
            "zero, and the filters stay as they were; want a lam below mcsc.lambda_max"
        )
    return Learned(
        dictionary=dictionary() if fit is None else fit.dictionary,
        history=state.history,
        objective=objective,
        use=state.sums(),
        target_fit=fit,
        stopped=stopped,
    )
