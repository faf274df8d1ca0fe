"""Small problems, oracles for them that share no code with the package, and the command line."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
import pytest
import scipy.signal
from click.testing import CliRunner

import mcsc
from mcsc.backend import to_numpy
from mcsc.cli import cli
from mcsc.solvers import SOLVERS

# Relative accuracy of an objective that a solver must reach, and the tol that it is asked for.
OBJECTIVE_RTOL = {"float64": 1e-6, "float32": 1e-4}
SOLVER_TOL = {"float64": 5e-7, "float32": 5e-5}

SOLVERS_BY_TIME = [
    pytest.param(name, marks=pytest.mark.slow if name in ("ista", "alternating") else [])
    for name in SOLVERS
]
"""For tests of many cases: the two that take the most iterations are for the slow tests."""


def make_bank(rng, count, channels, size):
    return rng.standard_normal((count, channels, size, size))


def make_dictionary(seed=0, *, channels=(1, 1), size=3, common=3, unique=2, target=None):
    """Random atoms of unit norm.

    `size` is one for all banks or one a bank, common ones first; no maps, no bank; `target` is
    the target's channels.
    """
    rng = np.random.default_rng(seed)
    sizes = itertools.repeat(size) if isinstance(size, int) else iter(size)
    counts = [unique] * len(channels) if isinstance(unique, int) else unique
    first = tuple(make_bank(rng, common, c, next(sizes)) for c in channels) if common else None
    second = tuple(
        make_bank(rng, k, c, next(sizes)) if k else None
        for k, c in zip(counts, channels, strict=True)
    )
    second = second if any(counts) else None
    targets = {}
    if target:
        targets["target_common"] = make_bank(rng, common, target, next(sizes))
        targets["target_unique"] = tuple(make_bank(rng, k, target, next(sizes)) for k in counts)
    return mcsc.Dictionary(first, second, **targets).normalise()


def make_signals(seed=0, *, channels=(1, 1), shape=(8, 7), samples=1, dtype="float64"):
    rng = np.random.default_rng(seed + 1000)
    return tuple(rng.standard_normal((samples, c, *shape)).astype(dtype) for c in channels)


def make_sparse_images(seed=0, *, count=4, shape=(24, 24), dtype="float32"):
    """Signals that sparse codes with a known dictionary make."""
    rng = np.random.default_rng(seed)
    d = make_dictionary(7, size=5, common=4, unique=3)

    def maps(k):
        values = rng.standard_normal((count, k, *shape)) * 3
        return values * (rng.random(values.shape) < 0.02)

    codes = mcsc.Codes.from_dense(maps(4), (maps(3), maps(3)))
    parts = mcsc.signal_parts(codes, d)
    return tuple(p.image.astype(dtype) for p in parts), d


def make_masks(kind, signals, seed=0):
    """None, "binary" (of the first signal only) or "fractional" weights, some above one."""
    rng = np.random.default_rng(seed + 2000)
    if kind is None:
        return None
    if kind == "binary":
        return ((rng.random(signals[0].shape) > 0.3).astype(signals[0].dtype), *[None] * 10)[
            : len(signals)
        ]
    return tuple((1.5 * rng.random(x.shape)).astype(x.dtype) for x in signals)


def make_problem(
    seed=0,
    *,
    channels=(1, 1),
    shape=(8, 7),
    samples=1,
    dtype="float64",
    lam=0.3,
    masks=None,
    boundary="zero",
    mu=0.0,
    nonnegative=False,
    joint=False,
    **dictionary,
):
    """A random problem; `lam` (a number or what `mcsc.solve` takes) is relative to lambda_max."""
    signals = make_signals(seed, channels=channels, shape=shape, samples=samples, dtype=dtype)
    d = make_dictionary(seed, channels=channels, **dictionary)
    masks = make_masks(masks, signals, seed)
    largest = mcsc.lambda_max(signals, d, masks=masks, boundary=boundary)
    lam = [np.asarray(part) * largest for part in lam] if isinstance(lam, tuple) else lam * largest
    return mcsc.Problem(signals, d, lam, masks, boundary, mu, nonnegative, joint)


def solve(problem, **options):
    """`mcsc.solve` for a problem."""
    return mcsc.solve(
        problem.signals,
        problem.dictionary,
        problem.lam,
        masks=problem.masks,
        boundary=problem.boundary,
        **({n: getattr(problem, n) for n in ("mu", "nonnegative", "joint")} | options),
    )


def solve_unconverged(problem, **options):
    """The same where the iterations are limited on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mcsc.ConvergenceWarning)
        return solve(problem, **options)


def stacked(codes):
    """All maps (N, K, H, W): common, then unique."""
    return np.concatenate(
        [np.asarray(g) for g in (codes.common, *codes.unique) if g is not None], axis=1
    )


# --------------------------------------------------------------------------- oracles
def code_groups(dictionary):
    """The banks that each code group acts with, one (or None) a signal: common, then unique."""
    none = [None] * dictionary.n_signals
    if dictionary.common is not None:
        yield list(dictionary.common)
    for m, bank in enumerate(dictionary.unique or ()):
        if bank is not None:
            yield [*none[:m], bank, *none[m + 1 :]]


def explicit_matrix(dictionary, shape, boundary):
    """The matrix of D by loops over ``(d*c)[i] = sum_p d[p] c[i - p + o]``, o = (s-1)//2."""
    h, w = shape
    channels = dictionary.channels
    blocks = []
    for banks in code_groups(dictionary):
        maps = next(len(b) for b in banks if b is not None)
        block = np.zeros((sum(channels), h, w, maps, h, w))
        for m, bank in enumerate(banks):
            if bank is None:
                continue
            _, _, s, _ = bank.shape
            o = (s - 1) // 2
            for i, j, p, q in itertools.product(range(h), range(w), range(s), range(s)):
                a, b = i - p + o, j - q + o
                if boundary == "periodic":
                    a, b = a % h, b % w
                elif not (0 <= a < h and 0 <= b < w):
                    continue
                first = sum(channels[:m])
                block[first : first + channels[m], i, j, :, a, b] += bank[:, :, p, q].T
        blocks.append(block.reshape(sum(channels) * h * w, -1))
    return np.concatenate(blocks, axis=1)


def dense_systems(problem):
    """(matrix, target, lam) of ``1/2|target - matrix a|^2 + sum lam |a|`` for each sample.

    Squares of the codes are further rows of the matrix.
    """
    h, w = problem.shape
    matrix = explicit_matrix(problem.dictionary, (h, w), problem.boundary)
    masks = problem.masks or (None,) * len(problem.signals)
    full = [
        np.ones(x.shape) if mask is None else np.broadcast_to(mask, x.shape)
        for x, mask in zip(problem.signals, masks, strict=True)
    ]
    weights = np.concatenate(full, axis=1).astype(np.float64)
    signals = np.concatenate(problem.signals, axis=1).astype(np.float64)
    groups = problem.dictionary.groups
    shapes = [(problem.n_samples, len(g.bank), h, w) for g in groups]
    lam = np.concatenate(
        [np.broadcast_to(a, shape) for a, shape in zip(problem.penalty.lam, shapes, strict=True)],
        axis=1,
    )
    square = np.repeat(problem.penalty.mu, h * w)
    for weight, signal, own in zip(weights, signals, lam, strict=True):
        target = np.where(weight > 0, weight * signal, 0.0).ravel()
        rows = weight.reshape(-1, 1) * matrix
        if square.any():
            rows = np.concatenate([rows, np.diag(np.sqrt(square))])
            target = np.concatenate([target, np.zeros(len(square))])
        yield rows, target, own.ravel()


def lasso_value(matrix, target, lam, a):
    return 0.5 * np.sum((target - matrix @ a) ** 2) + np.sum(lam * np.abs(a))


def dense_optimum(problem):
    """Least objective of `problem` by scikit-learn's coordinate descent on the explicit matrix."""
    from sklearn.linear_model import Lasso

    h, w = problem.shape
    one_sided = np.repeat(problem.penalty.nonnegative, h * w)
    total = 0.0
    for matrix, target, lam in dense_systems(problem):
        # Its objective is ours over n; column scaling turns lam of each coefficient into one.
        n = len(target)
        scaled = matrix / lam
        lasso = Lasso(
            alpha=1.0 / n, fit_intercept=False, tol=1e-12, max_iter=100_000,
            positive=bool(one_sided.any()),
        )  # fmt: skip
        if one_sided.any():  # what may be negative is the difference of two that may not
            found = lasso.fit(np.hstack([scaled, -scaled[:, ~one_sided]]), target).coef_
            a = found[: len(lam)].copy()
            a[~one_sided] -= found[len(lam) :]
            a /= lam
        else:
            a = lasso.fit(scaled, target).coef_ / lam
        value = lasso_value(matrix, target, lam, a)
        # The oracle is checked too: its duality gap, by the formula.
        residual = target - matrix @ a
        ratio = matrix.T @ residual / lam
        ratio = np.where(one_sided, ratio, np.abs(ratio))
        theta = residual * min(1.0, 1.0 / max(ratio.max(), 1e-300))
        dual = 0.5 * np.sum(target**2) - 0.5 * np.sum((target - theta) ** 2)
        assert value - dual <= 1e-8 * value
        total += value
    return total


def convolve(bank, maps):
    """``sum_k bank_k * maps_k`` for maps (K, H, W), zero boundary, (C, H, W), by SciPy."""
    h, w = maps.shape[1:]
    o = (bank.shape[2] - 1) // 2
    full = [
        sum(scipy.signal.convolve2d(a, d) for a, d in zip(maps, bank[:, c], strict=True))
        for c in range(bank.shape[1])
    ]
    return np.stack(full)[:, o : o + h, o : o + w]


def correlate(bank, image):
    """Adjoint of `convolve`: (C, H, W) to (K, H, W)."""
    h, w = image.shape[1:]
    first = bank.shape[2] - 1 - (bank.shape[2] - 1) // 2
    full = [
        sum(scipy.signal.correlate2d(r, d) for r, d in zip(image, filters, strict=True))
        for filters in bank
    ]
    return np.stack(full)[:, first : first + h, first : first + w]


def soft(values, threshold):
    return np.sign(values) * np.maximum(np.abs(values) - threshold, 0.0)


# --------------------------------------------------------------------------- libraries
@dataclass(frozen=True)
class Library:
    """An array library that a test body runs on."""

    name: str

    @property
    def fused(self) -> bool:
        """True for NumPy, with the kernels of its own backend."""
        return self.name.startswith("numpy")

    def asarray(self, values: Any) -> Any:
        """Values, copied, as an array of this library."""
        values = np.array(values)
        if self.name == "numpy":
            return values
        if self.name == "numpy-readonly":
            values.flags.writeable = False
            return values
        if self.name == "cupy":
            import cupy

            return cupy.asarray(values)
        import array_api_strict

        return array_api_strict.asarray(values)

    def owns(self, array: Any) -> bool:
        """True if `array` is of this library."""
        return type(array) is type(self.asarray([0.0]))

    def to_numpy(self, array: Any) -> np.ndarray:
        """An array of this library as a NumPy array; fails for those of others."""
        assert self.owns(array)
        return to_numpy(array)


def run(*words):
    """Call `mcsc` with these words; streams apart."""
    # Click 8.1 mixes the streams unless it is told not to, newer ones never do.
    apart = {"mix_stderr": False} if "mix_stderr" in signature(CliRunner).parameters else {}
    return CliRunner(**apart).invoke(cli, [str(word) for word in words])
