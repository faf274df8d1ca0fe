"""`solve`: the one front door."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from ..backend import Array, is_array, move_to_cuda, to_numpy
from ..checks import check_number, check_whole, is_number
from ..errors import InvalidTypeError, InvalidValueError
from ..model.codes import Codes
from ..model.problem import Problem
from ..types import Boundary
from .admm import Admm
from .alternating import Alternating
from .driver import Callback, Solver, run
from .memory import refuse_if_too_large
from .proximal import Fista, Ista
from .result import Result

METHODS = ("ista", "fista", "admm", "alternating", "working-set")
_MAX_ITER = {
    "ista": 20_000,
    "fista": 10_000,
    "admm": 5_000,
    "alternating": 2_000,
    "working-set": 1_000,
}


def choose(problem: Problem) -> tuple[str, str]:
    """Return the method that "auto" takes for this problem, and why.

    On a CPU no lam was found at which an FFT method arrives first
    (``benchmarks/exact/crossover.py``, two EPYC cores, 128x128, 3 x 64 filters of 8x8, gap 1e-3,
    either boundary): at 10 % of lambda_max the working set takes 0.2-0.3 s against 12 s or more, at
    0.1 % 8 s against 30 s, and at 0.03 % it is the only one to arrive within 40 s. The support is
    bounded by the number of pixels and channels, so that with 192 maps it stays below 1.1 %. With 1
    to 8 filters a group, where up to half of all coefficients are nonzero, it was the first to
    arrive too; where no method arrived (0.1 % of lambda_max and less) their gaps were of one size.

    On a GPU, ADMM: it takes the fewest iterations. That is not measured yet.
    """
    if problem.backend.name == "NumPy":
        return "working-set", "the fastest on a CPU at every lam that was measured"
    return "admm", "on a GPU it takes the fewest iterations"


def solve(
    signals: Sequence[Array],
    dictionary: Any,
    lam: Any,
    *,
    method: str = "auto",
    boundary: Boundary = "zero",
    tol: float = 1e-4,
    masks: Sequence[Array | None] | None = None,
    device: str = "auto",
    init: Result | Codes | None = None,
    max_iter: int | None = None,
    inner_steps: int | None = None,
    inner_tol: float | None = None,
    callback: Callback | None = None,
    progress: bool = False,
) -> Result:
    r"""Solve multi-modal convolutional sparse coding (Eq. 5) to a certified duality gap.

    .. math::

        \min_{c,u,v} \tfrac12 \|x - dc*c - du*u\|_2^2 + \tfrac12 \|y - hc*c - hv*v\|_2^2
        + \lambda (|c|_1 + |u|_1 + |v|_1)

    Parameters
    ----------
    signals : tuple of M arrays
        Images ``(x, y, ...)``, each (H, W), (C, H, W) or (N, C, H, W), float32 or float64, in NumPy
        or CuPy. Their precision is the working precision.
    dictionary : Dictionary
        Filters for M signals of those channels.
    lam : float, or one entry a code group, or one number a map
        Weight of the l1 norm, > 0; see `Problem`. Nothing is rescaled.
    method : {"auto", "ista", "fista", "admm", "alternating", "working-set"}
        All reach the same optimum. "auto" takes the working set for NumPy arrays and ADMM for
        CuPy arrays (see Notes); the result says which.
    boundary : {"zero", "periodic"}
        Codes are zero outside the image ("same" convolution), or circular.
    tol : float
        Stop when the certified relative duality gap is at most this, > 0. It is evaluated in
        float64. In float32 the FFT methods reach about 1e-5; the working set goes on in float64
        where it must, and reaches 1e-6.
    masks : tuple of M (array or None), optional
        Weights w >= 0 in ``1/2 ||w (x - ...)||^2``; 0 marks unknown pixels.
    device : {"auto", "cpu", "cuda"}
        "cuda" moves NumPy arrays to the GPU once, and the codes back.
    init : Result or Codes, optional
        Warm start on the same grid and dictionary.
    max_iter : int, optional
        Iterations at most (sweeps over all blocks for "alternating").
    inner_steps : int, optional
        "alternating" only: ISTA steps on a block before the next (10, unless `inner_tol` is given).
    inner_tol : float, optional
        "alternating" only: leave a block when its image changes by less than this, relatively.
    callback : callable, optional
        Called with a `Progress` at every evaluation; a true value or StopIteration stops.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    Result
        Codes, objective, certified gap, history. Ctrl-C returns what there is.

    Warns
    -----
    ConvergenceWarning
        The solver stopped before the gap reached `tol`; the message says why.

    Raises
    ------
    TypeError, ValueError
        Bad input, refused before any work.
    MemoryError
        The estimate of `Problem.memory_estimate` exceeds the memory that is free.
    RuntimeError
        ``device="cuda"`` without CuPy or a usable driver.

    Notes
    -----
    An iteration of an FFT method computes ``D^T`` and ``D`` of all maps once: ``4 s^2`` flops for
    each pixel and pair (map, channel) on a CPU, two FFTs a map on a GPU. The certificate costs
    about two iterations and is evaluated every 25. One of the working set computes ``D^T``
    where the residual changed, and descends on the few coefficients that are not zero.

    The first call of the working set compiles its kernels for a filter size and a precision, a few
    seconds; later processes read them from disk (Numba's cache).

    "auto" takes the working set on a CPU because it was the first to a gap of 1e-3 at every lam
    from 10 % to 0.01 % of lambda_max at which any method arrived, and with dense solutions too;
    there is no crossover to FFT methods (``benchmarks/exact/crossover.py``,
    ``docs/benchmarks.md``).

    Examples
    --------
    >>> import numpy as np, mcsc
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.standard_normal((2, 32, 32))
    >>> bank = lambda: rng.standard_normal((4, 1, 5, 5))
    >>> d = mcsc.Dictionary(common=(bank(), bank()), unique=(bank(), bank())).normalise()
    >>> result = mcsc.solve((x, y), d, lam=0.5)
    >>> result.converged, result.codes.common.shape
    (True, (1, 4, 32, 32))
    """
    started = time.perf_counter()
    _check_options(method, tol, device, max_iter, inner_steps, inner_tol, callback)
    signals, masks, came_from_numpy = _on_device(signals, masks, device)
    problem = Problem(signals, dictionary, lam, masks, boundary)  # type: ignore[arg-type]
    note = ""
    if method == "working-set" and problem.backend.name != "NumPy":
        raise InvalidValueError("method='working-set' runs on the CPU: pass NumPy arrays")
    if method == "auto":
        method, why = choose(problem)
        note = f"; method 'auto' took {method!r}: {why}"
    refuse_if_too_large(problem, method)
    solver = _make(problem, method, _start(problem, init), inner_steps, inner_tol)
    result = run(
        problem,
        solver,
        started=started,
        tol=tol,
        max_iter=_MAX_ITER[method] if max_iter is None else max_iter,
        callback=callback,
        progress=progress,
        note=note,
    )
    if came_from_numpy:
        result = _on_host(result)
    return result


def _on_device(signals: Any, masks: Any, device: str) -> tuple[Any, Any, bool]:
    """Move NumPy arrays to the GPU where that was asked for; what is no array is refused later."""

    def each(arrays: Any, convert: Callable[[Array], Array]) -> Any:
        if is_array(arrays) or not isinstance(arrays, Sequence):
            return arrays
        return tuple(convert(a) if is_array(a) else a for a in arrays)

    given = [a for a in signals if is_array(a)] if isinstance(signals, Sequence) else []
    on_gpu = any(type(a).__module__.startswith("cupy") for a in given)
    if device == "cpu" and on_gpu:
        raise InvalidValueError(
            "device='cpu' was asked for, but signals are CuPy arrays: use .get() first"
        )
    if device == "cuda" and given:
        return each(signals, move_to_cuda), each(masks, move_to_cuda), not on_gpu
    return signals, masks, False


def _make(
    problem: Problem,
    method: str,
    init: Codes | None,
    inner_steps: int | None,
    inner_tol: float | None,
) -> Solver:
    if method == "working-set":
        # Numba and its kernels are loaded only when they are needed.
        from .working_set import WorkingSet

        return WorkingSet(problem, init)
    start = _dense(problem, init)
    if method == "ista":
        return Ista(problem, start)
    if method == "fista":
        return Fista(problem, start)
    if method == "admm":
        return Admm(problem, start)
    if inner_steps is None and inner_tol is None:
        inner_steps = 10
    return Alternating(problem, start, inner_steps, inner_tol)


def _start(problem: Problem, init: Result | Codes | None) -> Codes | None:
    if init is None:
        return None
    codes = init.codes if isinstance(init, Result) else init
    if not isinstance(codes, Codes):
        raise InvalidTypeError(f"init must be a Result or Codes, found {type(init).__name__}")
    problem.check_codes(codes)
    return codes


def _dense(problem: Problem, init: Codes | None) -> Array:
    xp = problem.backend.xp
    if init is None:
        shape = (problem.n_samples, problem.dictionary.n_maps, *problem.shape)
        return xp.zeros(shape, dtype=problem.dtype)
    return xp.astype(init.stacked(problem.dictionary), problem.dtype)


def _on_host(result: Result) -> Result:
    from dataclasses import replace

    dense = [
        None if g is None else to_numpy(g) for g in (result.codes.common, *result.codes.unique)
    ]
    return replace(result, codes=Codes.from_dense(dense[0], dense[1:]))


def _check_options(
    method: str,
    tol: float,
    device: str,
    max_iter: int | None,
    inner_steps: int | None,
    inner_tol: float | None,
    callback: Any,
) -> None:
    if method not in ("auto", *METHODS):
        names = ", ".join(repr(m) for m in ("auto", *METHODS))
        raise InvalidValueError(f"method must be one of {names}, found {method!r}")
    if device not in ("auto", "cpu", "cuda"):
        raise InvalidValueError(f"device must be 'auto', 'cpu' or 'cuda', found {device!r}")
    check_number("tol", tol)
    for name, value in (("max_iter", max_iter), ("inner_steps", inner_steps)):
        if value is not None:
            check_whole(name, value)
    if inner_tol is not None and not (is_number(inner_tol) and 0 < inner_tol < 1):
        raise InvalidValueError(f"inner_tol must be between 0 and 1, found {inner_tol!r}")
    if method != "alternating" and (inner_steps is not None or inner_tol is not None):
        raise InvalidValueError("inner_steps and inner_tol are for method='alternating'")
    if callback is not None and not callable(callback):
        raise InvalidTypeError(f"callback must be callable, found {type(callback).__name__}")
