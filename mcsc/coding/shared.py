"""Filters of two signals as filters of any number of signals, the same for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from ..backend import to_numpy
from ..errors import InvalidValueError
from ..model.dictionary import Dictionary, embed
from ..model.lam import lam_per_map

__all__ = ["shared_filters"]

_FAINT = 0.3
"""Share of an atom's norm: common filters below it are what is left of a structure that one signal
shows and the other hardly does."""
_ALIKE = 0.9
"""Correlation, wherever one lies on the other and whatever their sign, from which on two filters
are one."""


def shared_filters(
    dictionary: Dictionary, count: int, lam: Any
) -> tuple[Dictionary, NDArray[np.float64]]:
    r"""Make a dictionary of any number of signals of the filters of a few.

    Which source of a stack is the first means nothing. So all M signals get the same filters, those
    that any signal of the dictionary has, of unit norm:

    .. math::

        x_m = \sum_k \frac{d_k}{\sqrt M} * c_k + \sum_k e_k * u_{mk}, \qquad m = 1, \ldots, M,

    the :math:`d_k` out of its common filters and the :math:`e_k` out of the unique ones, without
    those that are another one moved or negative. So what all sources show costs
    :math:`\sqrt M` times as much as what one shows, as with two, and not M times.

    Parameters
    ----------
    dictionary : Dictionary
        All of whose signals have equally many channels.
    count : int
        M. With one signal there are no common filters: nothing is shared.
    lam : float or sequence
        As `mcsc.solve` takes it for `dictionary`.

    Returns
    -------
    shared : Dictionary
        A dictionary for M signals with unit signal weights and no target filters: these belong to
        the roles that signals had.
    lam : array
        One number per map of `shared`.

    Raises
    ------
    ValueError
        Channels of the signals differ, or terms of the penalty between unique parts.
    """
    if len(set(dictionary.channels)) != 1:
        raise InvalidValueError(
            "filters can be shared by all signals if these have equally many channels, found "
            f"{dictionary.channels}"
        )
    counts = {g.name: len(g.bank) for g in dictionary.groups}
    weights = lam_per_map(lam, counts)
    each = dict(zip(counts, np.split(weights, np.cumsum(list(counts.values()))[:-1]), strict=True))
    size = dictionary.filter_size
    common: Any = None
    unique: Any = None
    found = []
    if dictionary.common is not None and count > 1:
        banks = [embed(to_numpy(b), size) for b in dictionary.common]
        norms = np.sqrt(sum((b**2).sum(axis=(1, 2, 3)) for b in banks))
        bank, chosen = _distinct(
            np.concatenate(banks), np.tile(norms, len(banks)), np.tile(each["common"], len(banks))
        )
        common = (bank / np.sqrt(count),) * count
        found.append(chosen)
    if dictionary.unique is not None:
        named = [(f"unique[{m}]", b) for m, b in enumerate(dictionary.unique) if b is not None]
        banks = [embed(to_numpy(b), size) for _, b in named]
        norms = np.concatenate([np.sqrt((b**2).sum(axis=(1, 2, 3))) for b in banks])
        bank, chosen = _distinct(
            np.concatenate(banks), norms, np.concatenate([each[name] for name, _ in named])
        )
        unique = (bank,) * count
        found += [chosen] * count
    shared = Dictionary(common, unique)
    given: list[Any] = [*(dictionary.common or ()), *(dictionary.unique or ())]
    # Learned in float32, solved in float32.
    dtype = np.result_type(*(to_numpy(b) for b in given if b is not None))
    metadata = {**dictionary.metadata, **_shared_terms(dictionary, shared)}
    return replace(shared.astype(dtype), metadata=metadata), np.concatenate(found)


def _shared_terms(dictionary: Dictionary, shared: Dictionary) -> dict[str, list[Any]]:
    """Return terms of the penalty that are one for each group, for the groups of shared filters."""
    terms: dict[str, list[Any]] = {}
    for name, given in dictionary.terms.items():
        if not isinstance(given, Sequence):
            continue
        each = dict(zip((g.name for g in dictionary.groups), given, strict=True))
        unique = [value for group, value in each.items() if group != "common"]
        if any(value != unique[0] for value in unique):
            raise InvalidValueError(
                f"{name} of this dictionary is {list(given)}, and differs between the images: "
                "filters that all share need one for all unique parts"
            )
        terms[name] = [
            each["common"] if group.name == "common" else unique[0] for group in shared.groups
        ]
    return terms


def _distinct(
    bank: NDArray[np.float64], whole: NDArray[np.float64], lam: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Filters of unit norm that differ, the strongest first, and their lam.

    `whole` are the norms of the atoms that the filters are parts of.
    """
    norms = np.sqrt((bank**2).sum(axis=(1, 2, 3)))
    share = norms / whole
    kept: list[int] = []
    filters = bank / np.maximum(norms, np.finfo(float).tiny)[:, None, None, None]
    for k in np.argsort(-share, kind="stable"):
        if share[k] < _FAINT:
            break
        if not any(_correlation(filters[k], filters[j]) >= _ALIKE for j in kept):
            kept.append(int(k))
    return filters[kept], lam[kept]


def _correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Correlation of two filters (C, s, s) of unit norm, the largest in magnitude of all shifts."""
    turned = second[:, ::-1, ::-1]
    found = sum(fftconvolve(a, b) for a, b in zip(first, turned, strict=True))
    return float(np.abs(found).max())
