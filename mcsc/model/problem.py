"""The convex problem of Eq. 5: signals, dictionary, lam, masks, boundary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..backend import Array, Backend, backend_for, namespace, on_device_of
from ..checks import check_choice
from ..errors import InvalidValueError
from ..lazy import cached_property
from ..types import Boundary
from .certificate import Certificate, Envelope
from .codes import Codes, check_is_codes
from .convolution import (
    DirectOperator,
    Operator,
    adjoint,
    make_operator,
    needs_spectra,
)
from .dictionary import Dictionary, check_is_dictionary
from .peaks import PatchPeaks, Peaks, SweepPeaks, TilePeaks
from .penalty import Penalty
from .signals import check_filters_fit, check_masks, check_signals, stack_signals
from .solver_table import SOLVERS
from .spectra import autocorrelation, gram_spectrum, hermitian_norm


@dataclass(frozen=True, eq=False)
class Problem:
    r"""Multi-modal convolutional sparse coding (Eq. 5) for M >= 1 signals.

    .. math::

        \min_{c, u_1, \dots, u_M} \; & \sum_{m=1}^{M} \tfrac12
        \Bigl\| w_m \bigl(x_m - \textstyle\sum_k d^c_{mk} * c_k - \sum_k d^u_{mk} * u_{mk}\bigr)
        \Bigr\|_2^2 \\ & + \sum_g \sum_k \lambda_{gk} \|a_{gk}\|_1
        + \tfrac{\mu_g}{2} \|a_{gk}\|_2^2

    Parameters
    ----------
    signals : tuple of M arrays
        Each (H, W), (C, H, W) or (N, C, H, W), float32 or float64, NumPy or CuPy, on one grid.
        The working precision is the signals' (float64 where they differ).
    dictionary : Dictionary
        Filters; converted to the signals' library and precision. Its `signal_weights` multiply
        the data terms.
    lam : float, or one entry per code group, one number per map, or one per coefficient
        The lambda of the objective, > 0. A sequence holds an entry for each group in the order
        common, unique of x, unique of y, ... (absent groups left out); an entry is a number, a
        1-D array with a number for each map, or an array of 2 to 4 axes that broadcasts to the
        group's codes (N, K, H, W), with a number for each coefficient. A single array over all maps
        in that order works too.
    masks : tuple of M (array or None), optional
        Weights w >= 0, 0 where a pixel is unknown: (H, W) or broadcastable to the signal's shape
        after its own axes. Signals may hold NaN or Inf where the weight is zero.
    boundary : {"zero", "periodic"}
        Codes are zero outside the image grid, or circular.
    mu : float, or one per code group
        Weight of half the squares of the codes, >= 0: the elastic net.
    nonnegative : bool, or one per code group
        Whether codes must not be negative.
    joint : bool, or one per code group
        Groups that are joined: lam weighs the l2 norm over them of the coefficients of one number k
        and one place, :math:`\lambda_k \sqrt{\sum_g a_{gk}^2}`, in the place of their l1 norm, so
        that they vanish together. They have equally many maps, and the same lam and mu.

    Raises
    ------
    TypeError
        A dtype or a type is wrong, or array libraries are mixed.
    ValueError
        Shapes or values do not fit; the message names the argument, what was found and what is
        wanted.

    Notes
    -----
    The images of a batch are independent problems that are solved together; objective and duality
    gap are those of the sum. Every symbol is explained on :doc:`the page of the model
    </explanations/model>`.
    """

    signals: tuple[Array, ...]
    dictionary: Dictionary
    lam: Any
    masks: tuple[Array | None, ...] | None = None
    boundary: Boundary = "zero"
    mu: Any = 0.0
    nonnegative: Any = False
    joint: Any = False
    stacked: Array = field(init=False, repr=False)
    """Signals times their weights, stacked along channels, (N, C, H, W); zero where the mask is."""
    weights: Array | None = field(init=False, repr=False)
    """Weights stacked likewise, or None where all are one."""
    penalty: Penalty = field(init=False, repr=False)
    """lam, mu and signs of all maps."""
    lam_maps: np.ndarray = field(init=False, repr=False)
    """lam of each map in the order of the dictionary's groups, (K,), float64; where it differs
    within a map, its mean."""

    def __post_init__(self) -> None:
        signals, dictionary = self.signals, self.dictionary
        check_is_dictionary(dictionary)
        check_choice("boundary", self.boundary, Boundary)
        arrays = check_signals(signals, dictionary.channels)
        xp = namespace(*arrays)
        backend_for(arrays[0])
        with on_device_of(arrays[0]):
            masks = check_masks(self.masks, arrays)
        h, w = (int(n) for n in arrays[0].shape[2:])
        check_filters_fit(dictionary.filter_size, (h, w))
        grid = (int(arrays[0].shape[0]), h, w)
        # The dictionary's groups carry the same factors: ||w x - (w D) a||^2.
        with on_device_of(arrays[0]):
            penalty = Penalty.make(
                self.lam, self.mu, self.nonnegative, _maps_of(dictionary), grid, xp, self.joint
            )
            stacked, weights = stack_signals(
                arrays, masks, dictionary.signal_weights, xp.result_type(*arrays)
            )
        object.__setattr__(self, "stacked", stacked)
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "penalty", penalty)
        object.__setattr__(self, "lam_maps", penalty.lam_maps)

    def on_device(self) -> AbstractContextManager[Any]:
        """Return a context in which the device of the signals is the current one."""
        return on_device_of(self.stacked)

    def with_lam(self, lam: Any) -> Problem:
        """Return this problem with another lam; arrays and what was computed are shared."""
        with self.on_device():
            penalty = Penalty.make(
                lam, self.mu, self.nonnegative, _maps_of(self.dictionary),
                (self.n_samples, *self.shape), self.backend.xp, self.joint,
            )  # fmt: skip
        # What is cached (operators, constants, lambda_max) does not depend on lam.
        other = object.__new__(Problem)
        new = {"lam": lam, "penalty": penalty, "lam_maps": penalty.lam_maps}
        other.__dict__.update(self.__dict__ | new)
        return other

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what the problem is made from: operators hold modules, and are made anew."""
        return Problem, (
            self.signals, self.dictionary, self.lam, self.masks, self.boundary, self.mu,
            self.nonnegative, self.joint,
        )  # fmt: skip

    # ------------------------------------------------------------------- shape
    @property
    def shape(self) -> tuple[int, int]:
        """Height and width (H, W)."""
        return int(self.stacked.shape[2]), int(self.stacked.shape[3])

    @property
    def n_samples(self) -> int:
        """Batch size N."""
        return int(self.stacked.shape[0])

    @property
    def dtype(self) -> Any:
        """Working precision."""
        return self.stacked.dtype

    @property
    def itemsize(self) -> int:
        """Size of a number in the working precision, in bytes."""
        return int(self.backend.xp.finfo(self.dtype).bits) // 8

    @cached_property
    def backend(self) -> Backend:
        """Array library with its kernels."""
        return backend_for(self.stacked)

    @property
    def pointwise(self) -> Backend:
        """What shrinks codes: fused kernels or, for penalties that these lack, generic methods."""
        return self.backend if self.penalty.plain else Backend(self.backend.xp)

    # --------------------------------------------------------------- operators
    @cached_property
    def operator(self) -> Operator:
        """``D`` and its adjoint in the working precision."""
        return make_operator(
            self.dictionary.groups,
            self.shape,
            self.boundary,
            self.backend,
            self.dtype,
            self.n_samples,
            whole=bool(self.penalty.joined),
        )

    @cached_property
    def exact_operator(self) -> Operator:
        """``D`` and its adjoint in float64, for certificates.

        On NumPy always in space: spectra of all maps in float64 would be the largest arrays of a
        solver that holds nonzeros alone.
        """
        d, backend = self.dictionary, self.backend
        in_space = backend.name == "NumPy"
        if self.itemsize == 8 and needs_spectra(backend, d.filter_size) != in_space:
            return self.operator
        exact = backend.xp.float64
        if in_space:
            return DirectOperator(d.groups, self.shape, self.boundary, backend, exact)
        return make_operator(
            d.groups, self.shape, self.boundary, backend, exact, self.n_samples,
            whole=bool(self.penalty.joined),
        )  # fmt: skip

    @cached_property
    def gram_kernel(self) -> np.ndarray:
        """Autocorrelation of the stacked dictionary, (C, C, 2s-1, 2s-1), lag 0 at the centre."""
        channels = sum(self.dictionary.channels)
        s = self.dictionary.filter_size
        kernel = np.zeros((channels, channels, 2 * s - 1, 2 * s - 1))
        for g in self.dictionary.groups:
            kernel[g.channels, g.channels] += autocorrelation(g.bank)
        return kernel

    @cached_property
    def lipschitz(self) -> float:
        """Lipschitz constant of the gradient.

        With the periodic boundary and no masks it is exact: the largest eigenvalue, over the
        frequencies of the image, of the (C, C) matrix ``D(w) D(w)^H``. The operator of the zero
        boundary is a compression of the periodic one on the grid padded by s - 1, whose constant is
        taken; weights multiply it by at most ``max w^2``.
        """
        s = self.dictionary.filter_size
        h, w = self.shape
        grid = (h, w) if self.boundary == "periodic" else (h + s - 1, w + s - 1)
        norm = hermitian_norm(gram_spectrum(self.gram_kernel, grid))
        return norm * self.largest_weight**2

    @cached_property
    def largest_weight(self) -> float:
        """Largest weight of the masks; 1 without masks."""
        with self.on_device():
            return 1.0 if self.weights is None else float(self.backend.xp.max(self.weights))

    # -------------------------------------------------------------- evaluation
    def certificate(self) -> Certificate:
        """Return an evaluator of objective and dual value in float64; it copies the signals."""
        return self._certificate(self.penalty)

    @property
    def bounding(self) -> Penalty:
        """The penalty of the certificate's lower bound: `Penalty.bounding`."""
        return self.penalty.bounding(self.dictionary.filter_norms())

    @property
    def certifies_by_patches(self) -> bool:
        """Whether certificates look at patches on a GPU, and not at maps of correlations."""
        return self._by_patches(self.penalty)

    def _by_patches(self, penalty: Penalty) -> bool:
        return penalty.plain and PatchPeaks.takes(self.dictionary.groups, self.backend)

    def _certificate(self, penalty: Penalty) -> Certificate:
        xp, d = self.backend.xp, self.dictionary
        weights = None if self.weights is None else xp.astype(self.weights, xp.float64)
        bounding = self.bounding if penalty is self.penalty else penalty
        peaks: Peaks
        if self.backend.name == "NumPy" and not penalty.joined:
            peaks = TilePeaks(d.groups, self.shape, self.boundary, self.backend, bounding)
        elif self._by_patches(penalty):
            peaks = PatchPeaks(d.groups, self.boundary, bounding)
        else:
            peaks = SweepPeaks(self.exact_operator, bounding, self.backend)
        signal = xp.astype(self.stacked, xp.float64)
        envelope = Envelope(self.shape, d.filter_size, self.boundary)
        return Certificate(
            self.exact_operator, signal, weights, penalty, bounding, peaks, envelope, self.backend
        )

    def objective(self, codes: Codes) -> float:
        """Value of Eq. 5 at `codes`, evaluated in float64."""
        with self.on_device():
            certificate = self.certificate()
            return certificate.objective(*self._image(codes, certificate))

    def gap(self, codes: Codes) -> float:
        """Relative duality gap at `codes`: certified, (objective - dual bound) / objective."""
        with self.on_device():
            certificate = self.certificate()
            return certificate.evaluate_image(*self._image(codes, certificate)).gap

    def gradient(self, codes: Codes) -> tuple[Array | None, tuple[Array | None, ...]]:
        """Gradient ``-D^T w^2 (s - D a)`` of the quadratic part, as dense (common, unique)."""
        with self.on_device():
            certificate = self.certificate()
            residual = certificate.weighted_residual(self._image(codes, certificate)[0])
            maps = -adjoint(self.exact_operator, self.backend, residual)
            maps = self.backend.xp.astype(maps, self.dtype)
        parts = {g.name: maps[:, g.maps, ...] for g in self.dictionary.groups}
        unique = tuple(parts.get(f"unique[{m}]") for m in range(self.dictionary.n_signals))
        return parts.get("common"), unique

    def _image(self, codes: Codes, certificate: Certificate) -> tuple[Array, float]:
        """``D a`` and the penalty in float64; from the nonzeros alone where they are few."""
        self.check_codes(codes)
        # The places of more nonzeros would take more memory than the maps, and far more time.
        if self.backend.name != "NumPy" or codes.nnz > 0.1 * codes.size:
            return certificate.image(codes.stacked(self.dictionary))
        image, parts = np.zeros(self.stacked.shape), []
        for g, maps in zip(self.dictionary.groups, codes.present, strict=True):
            image[:, g.channels] += maps.image(g.bank, self.boundary)
            n, k, i, j, value = maps.coordinates()
            parts.append((value.astype(np.float64), n, k + g.maps.start, i, j))
        if not self.penalty.joined:  # group by group: no copy of all places
            return image, float(sum(self.penalty.of_values(*part) for part in parts))
        return image, self.penalty.of_values(*map(np.concatenate, zip(*parts, strict=True)))

    def lambda_max(self) -> float:
        """Smallest number lam whose solution is zero: ``max |D^T w^2 s|``, in float64.

        For codes that must not be negative, it is ``max D^T w^2 s``.
        """
        return self._lambda_max

    @cached_property
    def _lambda_max(self) -> float:
        with self.on_device():
            xp = self.backend.xp
            ones = tuple(xp.ones((1, 1, 1, 1), dtype=xp.float64) for _ in self.penalty.lam)
            zero, one = np.zeros_like(self.penalty.mu), np.ones_like(self.lam_maps)
            unit = replace(self.penalty, lam=ones, lam_maps=one, mu=zero)
            return self._certificate(unit).largest_correlation()

    def check_codes(self, codes: Codes) -> None:
        """Raise ValueError or TypeError if `codes` are not codes of this problem."""
        check_is_codes(codes)
        expected = (self.n_samples, *self.shape)
        if codes.grid != expected:
            raise InvalidValueError(
                f"codes lie on a grid (N, H, W) = {codes.grid}, the signals on {expected}"
            )
        codes.maps_for(self.dictionary)
        namespace(codes.present[0].value, self.stacked)

    # ------------------------------------------------------------------ memory
    def memory_estimate(self, method: str) -> int:
        """Peak bytes that a solver allocates on top of the caller's arrays.

        Parameters
        ----------
        method : str
            As in `mcsc.solve` ("auto" included).

        Raises
        ------
        ValueError
            There is no such method, or it does not take these arrays.

        Notes
        -----
        The pixels of the signals are read once at most; nothing of their size is allocated.
        """
        with self.on_device():
            return int(SOLVERS.resolve(method, self).memory(self))


def lambda_max(
    signals: Sequence[Array],
    dictionary: Dictionary,
    *,
    masks: Sequence[Array | None] | None = None,
    boundary: Boundary = "zero",
    nonnegative: Any = False,
    joint: Any = False,
) -> float:
    """Return the smallest number lam for which the solution of Eq. 5 is zero.

    It is the largest absolute value of the correlation of the signals with any filter at any place.
    For filters whose codes must not be negative, negative correlations do not count. For joint
    groups, the l2 norm of the correlations with all filters of one number, at one place, takes the
    place of the absolute value. The weight mu changes nothing.

    Parameters
    ----------
    signals, dictionary, masks, boundary, nonnegative, joint
        As in `mcsc.solve`.

    Returns
    -------
    float
        That lam, evaluated in float64; for a batch, the largest of its images.
    """
    problem = Problem(
        signals,  # type: ignore[arg-type]
        dictionary,
        1.0,
        masks,  # type: ignore[arg-type]
        boundary,
        nonnegative=nonnegative,
        joint=joint,
    )
    return problem.lambda_max()


def _maps_of(dictionary: Dictionary) -> Mapping[str, int]:
    return {g.name: len(g.bank) for g in dictionary.groups}
