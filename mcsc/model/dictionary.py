"""Filter banks of the multi-modal convolutional sparse coding model (Table 1 of the paper)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import Array, namespace, to_numpy
from ..errors import InvalidTypeError, InvalidValueError, naming
from ..files import read_npz, write_npz
from ..lazy import cached_property
from .banks import check_analysis, check_target, check_weights, read_only
from .lam import stored_lam
from .penalty import check_terms
from .spectra import supremum

_FORMAT = 2  # 2: weights of signals, metadata


@dataclass(frozen=True)
class Group:
    """One code group: its maps, the channels that they act on, and the filters in between.

    The operator of Eq. 5 is ``D = [[dc, du, 0], [hc, 0, hv]]``. In terms of groups the empty
    blocks do not exist: common codes act on every channel, unique codes on one signal's.
    """

    name: str
    maps: slice
    channels: slice
    bank: Array
    """Filters times the weights of their signals, shape (K_g, C_g, s, s), float64."""


@dataclass(frozen=True, eq=False)
class Dictionary:
    r"""Filter banks of M signals and, if known, of the target.

    The model (Eqs. 1-4 of the paper) for two signals ``x, y`` and the target ``z``:

    .. math::

        x & = \sum_k d^c_k * c_k + \sum_k d^u_k * u_k, \\
        y & = \sum_k h^c_k * c_k + \sum_k h^v_k * v_k, \\
        z & = \sum_k g^c_k * c_k + \sum_k g^u_k * u_k \; [+ \sum_k g^v_k * v_k].

    Parameters
    ----------
    common : sequence of M arrays, or None
        Common filters ``(dc, hc, ...)``, one bank per signal, shape (K, C_m, s, s) with one K.
        None: the signals share nothing.
    unique : sequence of M arrays, or None
        Unique filters ``(du, hv, ...)``, shape (K_m, C_m, s, s). An entry may be None.
    target_common : array, optional
        ``gc``, shape (K, C_z, s, s).
    target_unique : sequence of M arrays, optional
        ``(gu, gv, ...)``, shape (K_m, C_z, s, s). An entry may be None (that part of the signal
        is not in the target: ``gv`` in restoration).
    signal_weights : sequence of M floats, optional
        Weight w_m > 0 of each signal in the data term, ``1/2 ||w_m (x_m - ...)||^2``, wherever the
        dictionary is used. None: all one.
    metadata : mapping, optional
        Information that is kept with the filters, such as how they were learned; of types that
        JSON has.

    Raises
    ------
    TypeError
        A bank is not a floating-point array.
    ValueError
        A bank is empty, not (K, C, s, s), not finite, holds a filter that is zero (a
        common one: in all signals), or does not fit the others; the message shows the shapes.

    Notes
    -----
    Convolution is centred: ``(d*c)[i] = sum_p d[p] c[i - p + o]`` with ``o = (s-1)//2`` on each
    axis. Filters are used as given: nothing is normalised. Banks may differ in s. Every symbol is
    explained on :doc:`the page of the model </explanations/model>`.

    A dictionary holds copies of its banks, because what is derived from them is kept: arrays that
    it was made of may be changed afterwards. NumPy's are read-only; for other filters make another
    dictionary, such as ``dataclasses.replace(d, common=...)``, and for a tensor of them
    ``torch.tensor(d.common[0])``, which copies.

    References
    ----------
    X. Deng and P. L. Dragotti, "Deep Convolutional Neural Network for Multi-modal Image
    Restoration and Fusion", IEEE TPAMI 43(10), 2021. doi:10.1109/TPAMI.2020.2984244
    """

    common: tuple[Array, ...] | None = None
    unique: tuple[Array | None, ...] | None = None
    target_common: Array | None = None
    target_unique: tuple[Array | None, ...] | None = None
    signal_weights: tuple[float, ...] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    _cache: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        common, unique = check_analysis(self.common, self.unique)
        object.__setattr__(self, "common", common)
        object.__setattr__(self, "unique", unique)
        gc, gu = check_target(self.target_common, self.target_unique, common, unique)
        object.__setattr__(self, "target_common", gc)
        object.__setattr__(self, "target_unique", gu)
        weights = check_weights(self.signal_weights, self.n_signals)
        object.__setattr__(self, "signal_weights", weights)
        try:
            # A copy, and a proof that it can be written.
            object.__setattr__(self, "metadata", json.loads(json.dumps(dict(self.metadata))))
        except (TypeError, ValueError) as error:
            raise InvalidTypeError(f"metadata must hold what JSON can: {error}") from error
        namespace(*self._analysis_banks(), *self._target_banks())

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        # Neither a pickle nor a deep copy says which arrays were read-only.
        kept = [g.bank for g in self.__dict__.get("groups", ())]
        for bank in (*self._analysis_banks(), *self._target_banks(), *kept):
            read_only(bank)

    # ------------------------------------------------------------------ shape
    @property
    def n_signals(self) -> int:
        """Number of signals M."""
        banks = self.common if self.common is not None else self.unique
        assert banks is not None
        return len(banks)

    @cached_property
    def channels(self) -> tuple[int, ...]:
        """Channels of each signal."""
        out = []
        for m in range(self.n_signals):
            bank = self.common[m] if self.common is not None else None
            if bank is None:
                assert self.unique is not None
                bank = self.unique[m]
            assert bank is not None
            out.append(int(bank.shape[1]))
        return tuple(out)

    @property
    def n_common(self) -> int:
        """Number of common maps."""
        return 0 if self.common is None else int(self.common[0].shape[0])

    @property
    def n_unique(self) -> tuple[int, ...]:
        """Number of unique maps of each signal."""
        unique = self.unique or (None,) * self.n_signals
        return tuple(0 if b is None else int(b.shape[0]) for b in unique)

    @property
    def n_maps(self) -> int:
        """Number of all maps."""
        return self.n_common + sum(self.n_unique)

    @cached_property
    def filter_size(self) -> int:
        """Side s of the largest filter."""
        return max(int(b.shape[2]) for b in self._analysis_banks())

    @property
    def lam(self) -> float | np.ndarray | None:
        """The lam that the filters were learned with, as `mcsc.solve` takes it; None if unknown."""
        return stored_lam(self.metadata, {g.name: len(g.bank) for g in self.groups})

    @property
    def terms(self) -> dict[str, Any]:
        """Penalty terms besides lam that the filters were learned with: ``mu``, ``nonnegative``.

        Only those that the metadata hold, and that are neither zero nor False.
        """
        found = {name: self.metadata.get(name) for name in ("mu", "nonnegative")}
        return {name: value for name, value in found.items() if np.any(value)}

    def _check_metadata(self) -> None:
        """Refuse a lam and terms that a file keeps, or would keep, and that do not fit."""
        maps = {g.name: len(g.bank) for g in self.groups}
        mu, nonnegative = (self.metadata.get(name) for name in ("mu", "nonnegative"))
        with naming("metadata"):
            stored_lam(self.metadata, maps)
            check_terms(
                0.0 if mu is None else mu, False if nonnegative is None else nonnegative, maps
            )

    def _analysis_banks(self) -> list[Array]:
        return [b for b in (*(self.common or ()), *(self.unique or ())) if b is not None]

    def _target_banks(self) -> list[Array]:
        return [b for b in (self.target_common, *(self.target_unique or ())) if b is not None]

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The code groups in their order (common, unique of x, unique of y, ...), float64, NumPy.

        Filters smaller than the largest are embedded around the same origin, and multiplied by the
        weight of their signal: the operator of the weighted data term.
        """
        s = self.filter_size
        weights = self.signal_weights or (1.0,) * self.n_signals
        starts = np.concatenate([[0], np.cumsum(self.channels)])
        groups: list[Group] = []
        k = 0

        def add(name: str, bank: np.ndarray, channels: slice) -> None:
            nonlocal k
            groups.append(Group(name, slice(k, k + len(bank)), channels, read_only(bank)))
            k += len(bank)

        if self.common is not None:
            banks = [w * embed(to_numpy(b), s) for w, b in zip(weights, self.common, strict=True)]
            add("common", np.concatenate(banks, axis=1), slice(0, int(starts[-1])))
        for m, bank in enumerate(self.unique or ()):
            if bank is not None:
                channels = slice(int(starts[m]), int(starts[m + 1]))
                add(f"unique[{m}]", weights[m] * embed(to_numpy(bank), s), channels)
        return tuple(groups)

    def __repr__(self) -> str:
        def shapes(banks: Sequence[Array | None] | None) -> str:
            if banks is None:
                return "None"
            return (
                "(" + ", ".join("None" if b is None else str(tuple(b.shape)) for b in banks) + ")"
            )

        text = f"Dictionary(common={shapes(self.common)}, unique={shapes(self.unique)}"
        if self._target_banks():
            gc = None if self.target_common is None else tuple(self.target_common.shape)
            text += f", target_common={gc}, target_unique={shapes(self.target_unique)}"
        if self.signal_weights is not None:
            text += f", signal_weights={self.signal_weights}"
        return text + ")"

    # ------------------------------------------------------------------ norms
    def lipschitz(self) -> tuple[float | None, tuple[float | None, ...]]:
        r"""Upper bounds on the squared norm of each group's operator, for every image size.

        Returns
        -------
        common : float or None
            Bound for the operator :math:`c \mapsto (dc * c, hc * c, ...)`; None without one.
        unique : tuple of M (float or None)
            Bounds for :math:`u \mapsto du * u`, and so on.

        Notes
        -----
        The squared norm over all image sizes and both boundaries is the maximum over frequency
        of the largest eigenvalue of :math:`G(\omega) = D(\omega) D(\omega)^H`. For a fixed
        direction that is a trigonometric polynomial of degree s - 1 in each variable; sampled at
        n points, its maximum exceeds the sampled one by a factor of at most
        :math:`1 / \cos(\pi (s-1)/n)` an axis (Ehlich and Zeller, doi:10.1007/BF01111276).
        With n = 32 s the bound is at most 1 % above the supremum (n = 8 s, 18 %, for groups of more
        than eight channels).
        """
        if "lipschitz" not in self._cache:
            bounds = {g.name: supremum(g.bank) for g in self.groups}
            unique = tuple(bounds.get(f"unique[{m}]") for m in range(self.n_signals))
            self._cache["lipschitz"] = (bounds.get("common"), unique)
        out: tuple[float | None, tuple[float | None, ...]] = self._cache["lipschitz"]
        return out

    def filter_norms(self) -> np.ndarray:
        """Euclidean norm of each map's filter over all channels, shape (K,), float64.

        A common filter is one atom of all signals, ``(dc_k, hc_k)``. The weights of the signals are
        included.
        """
        norms = [np.sqrt(np.sum(g.bank**2, axis=(1, 2, 3))) for g in self.groups]
        return np.concatenate(norms)

    def normalise(self) -> Dictionary:
        """Return a copy with every atom scaled to unit norm: (dc_k, hc_k) jointly, unique alone.

        Target filters are divided by the same numbers, so that codes scaled the other way
        reconstruct the same target.
        """
        norms = dict(zip([g.name for g in self.groups], self._group_norms(), strict=True))

        def divide(bank: Array | None, name: str) -> Array | None:
            if bank is None:
                return None
            xp = namespace(bank)
            scale = xp.asarray(norms[name], dtype=bank.dtype)
            return bank / xp.reshape(scale, (-1, 1, 1, 1))

        common = self.common
        if common is not None:
            common = tuple(divide(b, "common") for b in common)
        unique = self.unique
        if unique is not None:
            unique = tuple(divide(b, f"unique[{m}]") for m, b in enumerate(unique))
        target_unique = self.target_unique
        if target_unique is not None:
            target_unique = tuple(divide(b, f"unique[{m}]") for m, b in enumerate(target_unique))
        return replace(
            self,
            common=common,
            unique=unique,
            target_common=divide(self.target_common, "common"),
            target_unique=target_unique,
        )

    def _group_norms(self) -> list[np.ndarray]:
        norms = self.filter_norms()
        return [norms[g.maps] for g in self.groups]

    # ------------------------------------------------------------------ files
    def save(self, path: str | Path) -> None:
        """Write the banks to an ``.npz`` file (to a temporary name, then renamed).

        Parameters
        ----------
        path : str or Path
            File name; ``.npz`` is appended if it is missing.

        Raises
        ------
        TypeError, ValueError
            The metadata hold a lam or terms of the penalty that do not fit the groups.
        """
        self._check_metadata()
        arrays: dict[str, np.ndarray] = {}
        for key, banks in (
            ("common", self.common),
            ("unique", self.unique),
            ("target_unique", self.target_unique),
        ):
            for m, bank in enumerate(banks or ()):
                if bank is not None:
                    arrays[f"{key}_{m}"] = to_numpy(bank)
        if self.target_common is not None:
            arrays["target_common"] = to_numpy(self.target_common)
        has = {
            "common": self.common is not None,
            "unique": self.unique is not None,
            "target_unique": self.target_unique is not None,
        }
        weights = None if self.signal_weights is None else list(self.signal_weights)
        write_npz(
            path, "mcsc.Dictionary", _FORMAT, arrays, n_signals=self.n_signals, has=has,
            signal_weights=weights, metadata=self.metadata,
        )  # fmt: skip

    @classmethod
    def load(cls, path: str | Path) -> Dictionary:
        """Read a dictionary that `save` wrote. Nothing is unpickled.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        ValueError
            The file is truncated, not a dictionary, or written by a newer version.
        """
        header, arrays = read_npz(path, "mcsc.Dictionary", _FORMAT)

        def banks(key: str) -> tuple[Any, ...] | None:
            if not header["has"][key]:
                return None
            return tuple(arrays.get(f"{key}_{m}") for m in range(header["n_signals"]))

        try:
            found = cls(
                banks("common"),
                banks("unique"),
                arrays.get("target_common"),
                banks("target_unique"),
                header.get("signal_weights"),
                header.get("metadata", {}),
            )
            found._check_metadata()
        except (TypeError, ValueError, KeyError) as error:
            raise InvalidValueError(f"{path} holds no usable dictionary: {error}") from error
        return found

    def to(self, like: Array) -> Dictionary:
        """Return this dictionary with its banks in the array library of `like`."""
        xp = namespace(like)

        return self._map(lambda bank: xp.asarray(to_numpy(bank)))

    def astype(self, dtype: Any) -> Dictionary:
        """Return this dictionary with its banks in another precision, float32 or float64."""
        return self._map(lambda bank: namespace(bank).astype(bank, dtype))

    def _map(self, convert: Callable[[Array], Array]) -> Dictionary:
        def one(bank: Array | None) -> Array | None:
            return None if bank is None else convert(bank)

        def each(banks: tuple[Array | None, ...] | None) -> Any:
            return None if banks is None else tuple(one(b) for b in banks)

        return replace(
            self,
            common=each(self.common),
            unique=each(self.unique),
            target_common=one(self.target_common),
            target_unique=each(self.target_unique),
        )


def check_is_dictionary(given: Any) -> None:
    """Refuse what is no `Dictionary`."""
    if not isinstance(given, Dictionary):
        raise InvalidTypeError(
            f"dictionary must be an mcsc.Dictionary, found {type(given).__name__}"
        )


def embed(bank: np.ndarray, size: int) -> np.ndarray:
    """Zero-pad filters (K, C, s, s) to `size`, keeping the origin (s-1)//2; float64."""
    s = bank.shape[2]
    before = (size - 1) // 2 - (s - 1) // 2
    pad = (before, size - s - before)
    return np.pad(np.asarray(bank, dtype=np.float64), ((0, 0), (0, 0), pad, pad))
