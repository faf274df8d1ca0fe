"""The convex problem of Eq. 5: signals, dictionary, lam, masks, boundary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..backend import Array, Backend, backend_for, is_array, namespace
from ..errors import InvalidTypeError, InvalidValueError
from ..types import Boundary
from .codes import Codes
from .convolution import BOUNDARIES, Operator, adjoint, make_operator
from .dictionary import Dictionary
from .lam import lam_per_map
from .spectra import autocorrelation, gram_spectrum, hermitian_norm


@dataclass(frozen=True, eq=False)
class Problem:
    r"""Multi-modal convolutional sparse coding (Eq. 5) for M >= 1 signals.

    .. math::

        \min_{c, u_1, \dots, u_M} \sum_{m=1}^{M} \tfrac12
        \Bigl\| w_m \bigl(x_m - \textstyle\sum_k d^c_{mk} * c_k - \sum_k d^u_{mk} * u_{mk}\bigr)
        \Bigr\|_2^2 + \sum_g \sum_k \lambda_{gk} \|a_{gk}\|_1

    Parameters
    ----------
    signals : tuple of M arrays
        Each (H, W), (C, H, W) or (N, C, H, W), float32 or float64, NumPy or CuPy, on one grid.
        The working precision is the signals' (float64 where they differ).
    dictionary : Dictionary
        Filters; converted to the signals' library and precision. Its `signal_weights` multiply
        the data terms.
    lam : float, or one entry a code group, or one number a map
        The lambda of the objective, > 0. A sequence holds an entry for each group in the order
        common, unique of x, unique of y, ... (absent groups left out); an entry is a number or a
        1-D array with a number for each map. A single 1-D array over all maps in that order works
        too.
    masks : tuple of M (array or None), optional
        Weights w >= 0, 0 where a pixel is unknown: (H, W) or broadcastable to the signal's shape
        after its own axes. Signals may hold NaN or Inf where the weight is zero.
    boundary : {"zero", "periodic"}
        Codes are zero outside the image grid, or circular.

    Raises
    ------
    TypeError
        A dtype or a type is wrong, or array libraries are mixed.
    ValueError
        Shapes or values do not fit; the message names the argument, what was found and what is
        wanted.

    Notes
    -----
    All codes of a batch are independent problems solved together; objective and duality gap are
    those of the sum.
    """

    signals: tuple[Array, ...]
    dictionary: Dictionary
    lam: Any
    masks: tuple[Array | None, ...] | None = None
    boundary: Boundary = "zero"
    stacked: Array = field(init=False, repr=False)
    """Signals times their weights, stacked along channels, (N, C, H, W); zero where the mask is."""
    weights: Array | None = field(init=False, repr=False)
    """Weights stacked likewise, or None where all are one."""
    lam_maps: np.ndarray = field(init=False, repr=False)
    """lam of each map in the order of the dictionary's groups, (K,), float64."""

    def __post_init__(self) -> None:
        signals, dictionary = self.signals, self.dictionary
        if not isinstance(dictionary, Dictionary):
            raise InvalidTypeError(
                f"dictionary must be an mcsc.Dictionary, found {type(dictionary).__name__}"
            )
        if self.boundary not in BOUNDARIES:
            raise InvalidValueError(
                f"boundary must be 'zero' or 'periodic', found {self.boundary!r}"
            )
        lam_maps = lam_per_map(self.lam, {g.name: len(g.bank) for g in dictionary.groups})
        arrays = _check_signals(signals, dictionary)
        xp = namespace(*arrays)
        backend_for(arrays[0])
        dtype = xp.result_type(*arrays)
        masks = _check_masks(self.masks, arrays)
        h, w = (int(n) for n in arrays[0].shape[2:])
        if dictionary.filter_size > min(h, w):
            s = dictionary.filter_size
            raise InvalidValueError(
                f"filters are larger than the image: filters {s}x{s}, image {h}x{w}"
            )
        stacked, weights = [], []
        for m, x in enumerate(arrays):
            weight = None if masks is None or masks[m] is None else masks[m]
            if weight is not None:
                weight = xp.broadcast_to(xp.astype(weight, dtype), x.shape)
                x = xp.where(weight > 0, x, xp.zeros((), dtype=x.dtype))
            finite = xp.all(xp.isfinite(x))
            if not bool(finite):
                raise InvalidValueError(
                    f"signals[{m}] holds NaN or Inf: replace them, or give masks with 0 there"
                )
            x = xp.astype(x, dtype)
            if dictionary.signal_weights is not None:
                # The dictionary's groups carry the same factor: ||w x - (w D) a||^2.
                x = x * xp.asarray(dictionary.signal_weights[m], dtype=dtype)
            stacked.append(x)
            weights.append(weight if weight is not None else xp.ones(x.shape, dtype=dtype))
        object.__setattr__(self, "stacked", xp.concat(stacked, axis=1))
        masked = masks is not None and any(w is not None for w in masks)
        object.__setattr__(self, "weights", xp.concat(weights, axis=1) if masked else None)
        object.__setattr__(self, "lam_maps", lam_maps)

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

    @cached_property
    def backend(self) -> Backend:
        """Array library with its kernels."""
        return backend_for(self.stacked)

    # --------------------------------------------------------------- operators
    @cached_property
    def operator(self) -> Operator:
        """``D`` and its adjoint in the working precision."""
        return self._operator(self.dtype)

    @cached_property
    def exact_operator(self) -> Operator:
        """``D`` and its adjoint in float64, for certificates."""
        xp = self.backend.xp
        return self.operator if self.dtype == xp.float64 else self._operator(xp.float64)

    def _operator(self, dtype: Any) -> Operator:
        return make_operator(self.dictionary.groups, self.shape, self.boundary, self.backend, dtype)

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

        Periodic and unmasked: exact, the largest eigenvalue over the image's frequencies of the
        (C, C) matrix ``D(w) D(w)^H``. The zero boundary is a compression of the operator on the
        grid padded by s - 1, whose constant is taken; weights multiply by at most ``max w^2``.
        """
        s = self.dictionary.filter_size
        h, w = self.shape
        grid = (h, w) if self.boundary == "periodic" else (h + s - 1, w + s - 1)
        norm = hermitian_norm(gram_spectrum(self.gram_kernel, grid))
        return norm * self.largest_weight**2

    @cached_property
    def largest_weight(self) -> float:
        """Largest mask weight, one without masks."""
        return 1.0 if self.weights is None else float(self.backend.xp.max(self.weights))

    # -------------------------------------------------------------- evaluation
    def objective(self, codes: Codes) -> float:
        """Value of Eq. 5 at `codes`, evaluated in float64."""
        from .certificate import Certificate

        return Certificate(self).objective(self._maps(codes))

    def gap(self, codes: Codes) -> float:
        """Relative duality gap at `codes`: certified, (objective - dual bound) / objective."""
        from .certificate import Certificate

        return Certificate(self).evaluate(self._maps(codes)).gap

    def gradient(self, codes: Codes) -> tuple[Array | None, tuple[Array | None, ...]]:
        """Gradient ``-D^T w^2 (s - D a)`` of the quadratic part, as dense (common, unique)."""
        from .certificate import Certificate

        residual = Certificate(self).weighted_residual(self._maps(codes))
        maps = -adjoint(self.exact_operator, self.backend, residual)
        maps = self.backend.xp.astype(maps, self.dtype)
        parts = {g.name: maps[:, g.maps, ...] for g in self.dictionary.groups}
        unique = tuple(parts.get(f"unique[{m}]") for m in range(self.dictionary.n_signals))
        return parts.get("common"), unique

    def lambda_max(self) -> float:
        """Smallest number lam whose solution is zero: ``max |D^T w^2 s|``, in float64."""
        return self._lambda_max

    @cached_property
    def _lambda_max(self) -> float:
        from .certificate import Certificate

        return Certificate(self).largest_correlation()

    def _maps(self, codes: Codes) -> Array:
        self.check_codes(codes)
        return codes.stacked(self.dictionary)

    def check_codes(self, codes: Codes) -> None:
        """Raise ValueError or TypeError if `codes` are not codes of this problem."""
        expected = (self.n_samples, *self.shape)
        if codes.grid != expected:
            raise InvalidValueError(
                f"codes lie on a grid (N, H, W) = {codes.grid}, the signals on {expected}"
            )
        d = self.dictionary
        unique = codes._unique or (None,) * d.n_signals
        found = [0 if g is None else g.shape[1] for g in (codes._common, *unique)]
        wanted = [d.n_common, *d.n_unique]
        if found != wanted:
            raise InvalidValueError(f"codes have {found} maps a group, the dictionary has {wanted}")
        namespace(codes._groups()[0].value, self.stacked)

    # ------------------------------------------------------------------ memory
    def memory_estimate(self, method: str) -> int:
        """Peak bytes that a solver allocates on top of the caller's arrays.

        Parameters
        ----------
        method : str
            As in `mcsc.solve` ("auto" included).
        """
        from ..solvers.memory import estimate

        return estimate(self, method)


def lambda_max(
    signals: Sequence[Array],
    dictionary: Dictionary,
    *,
    masks: Sequence[Array | None] | None = None,
    boundary: Boundary = "zero",
) -> float:
    """Return the smallest number lam for which the solution of Eq. 5 is zero.

    That is the largest absolute correlation of the signals with any filter at any place.

    Parameters
    ----------
    signals, dictionary, masks, boundary
        As in `mcsc.solve`.

    Returns
    -------
    float
        Evaluated in float64. Of a batch, the largest of its members.
    """
    return Problem(signals, dictionary, 1.0, masks, boundary).lambda_max()  # type: ignore[arg-type]


# ---------------------------------------------------------------------- checks
def _check_signals(signals: Any, dictionary: Dictionary) -> list[Array]:
    if is_array(signals) or not isinstance(signals, Sequence):
        raise InvalidTypeError(
            f"signals must be a tuple of arrays, one for each image, found "
            f"{type(signals).__name__}; for one image write (x,)"
        )
    if len(signals) != dictionary.n_signals:
        raise InvalidValueError(
            f"the dictionary is for {dictionary.n_signals} signals, found {len(signals)}"
        )
    arrays = []
    for m, (x, channels) in enumerate(zip(signals, dictionary.channels, strict=True)):
        if not is_array(x):
            raise InvalidTypeError(
                f"signals[{m}] must be a NumPy or CuPy array, found {type(x).__name__}"
            )
        xp = namespace(x)
        if x.dtype not in (xp.float32, xp.float64):
            raise InvalidTypeError(
                f"signals[{m}] has dtype {x.dtype}: signals are float32 or float64; "
                "mcsc.images.read_image scales integer images to [0, 1]"
            )
        shape = tuple(int(n) for n in x.shape)
        if x.ndim not in (2, 3, 4):
            raise InvalidValueError(
                f"signals[{m}] has shape {shape}: a signal is (H, W), (C, H, W) or (N, C, H, W)"
            )
        if 0 in shape:
            raise InvalidValueError(f"signals[{m}] is empty: shape {shape}")
        x = xp.reshape(x, (1,) * (4 - x.ndim) + shape)
        if x.shape[1] != channels:
            hint = ""
            if len(shape) == 3 and shape[2] == channels:
                hint = "; axes are (C, H, W): move the channels to the front"
            raise InvalidValueError(
                f"signals[{m}] has shape {shape}, so {int(x.shape[1])} channels; the dictionary's "
                f"filters of that signal have {channels}{hint}"
            )
        arrays.append(x)
    namespace(*arrays)
    for m, x in enumerate(arrays[1:], start=1):
        if x.shape[2:] != arrays[0].shape[2:] or x.shape[0] != arrays[0].shape[0]:
            raise InvalidValueError(
                f"signals lie on different grids: signals[0] has shape "
                f"{tuple(signals[0].shape)}, signals[{m}] has shape {tuple(signals[m].shape)}"
            )
    return arrays


def _check_masks(masks: Any, arrays: list[Array]) -> list[Array | None] | None:
    if masks is None:
        return None
    if is_array(masks) or not isinstance(masks, Sequence):
        raise InvalidTypeError(
            "masks must be a tuple with an array or None for each signal, found "
            f"{type(masks).__name__}"
        )
    if len(masks) != len(arrays):
        raise InvalidValueError(f"found {len(masks)} masks for {len(arrays)} signals")
    out: list[Array | None] = []
    for m, (mask, x) in enumerate(zip(masks, arrays, strict=True)):
        if mask is None:
            out.append(None)
            continue
        if not is_array(mask):
            raise InvalidTypeError(f"masks[{m}] must be an array, found {type(mask).__name__}")
        xp = namespace(mask, x)
        if not xp.isdtype(mask.dtype, ("bool", "integral", "real floating")):
            raise InvalidTypeError(f"masks[{m}] has dtype {mask.dtype}: weights are real numbers")
        shape = tuple(int(n) for n in mask.shape)
        full = (1,) * (4 - len(shape)) + shape
        fits = len(shape) in (2, 3, 4) and all(
            a in (1, int(b)) for a, b in zip(full[:2], x.shape[:2], strict=True)
        )
        if not fits or full[2:] != tuple(x.shape[2:]):
            raise InvalidValueError(
                f"masks[{m}] has shape {shape}, its signal has shape {tuple(x.shape)}: a mask is "
                "(H, W) or has the signal's shape"
            )
        if xp.isdtype(mask.dtype, "integral") and bool(xp.any((mask != 0) & (mask != 1))):
            raise InvalidValueError(
                f"masks[{m}] holds integers other than 0 and 1: weights are not scaled; for a mask "
                "image write mask > 0"
            )
        weight = xp.astype(xp.reshape(mask, full), x.dtype)
        if not bool(xp.all(xp.isfinite(weight))) or bool(xp.any(weight < 0)):
            raise InvalidValueError(f"masks[{m}] must be finite weights >= 0")
        out.append(weight)
    return out
