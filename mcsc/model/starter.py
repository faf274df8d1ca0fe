"""A dictionary that needs no training: overcomplete 2-D cosines."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import check_whole
from ..errors import InvalidTypeError, InvalidValueError
from .dictionary import Dictionary

__all__ = ["dct_bank", "dct_dictionary"]

Floats = NDArray[np.float64]

_LARGEST_FOR_BOTH_SIGNS = 3
_DIRECTIONS = 3


def dct_bank(filter_size: int = 8, atoms_per_axis: int | None = None) -> Floats:
    r"""Return zero-mean 2-D cosines of unit norm.

    Products of one-dimensional cosines

    .. math::

        a_k(i) \propto \cos\frac{(2i + 1) k \pi}{2n} - \text{mean},
        \qquad 0 \le k < n, \quad 0 \le i < s,

    of frequencies :math:`k\pi/n`, all but the constant one, which the low-pass split takes care of.

    Parameters
    ----------
    filter_size : int
        Side s of the filters, at least 2.
    atoms_per_axis : int, optional
        Frequencies n of an axis, from 2 to ``2 s``. ``n = s`` is the orthonormal DCT-II, ``n > s``
        is overcomplete within a patch. By default ``s + 1`` (2 for s = 2).

    Returns
    -------
    array, shape (n * n - 1, 1, s, s)
        The bank, float64, lowest frequencies first.

    Raises
    ------
    ValueError
        An argument is not a whole number or out of range, or two atoms would be the same.

    Notes
    -----
    In a convolutional dictionary an atom stands at every pixel, so that K atoms are K-fold
    overcomplete whatever n is. Where a method's time or memory goes with the number of maps, as it
    does for all but the working set, fewer frequencies (n = 6 for s = 8) are a good bargain.

    Examples
    --------
    >>> from mcsc.model.starter import dct_bank
    >>> dct_bank().shape
    (80, 1, 8, 8)
    """
    s = check_whole("filter_size", filter_size, least=2, most=1024)
    if atoms_per_axis is None:
        atoms_per_axis = s + 1 if s > 2 else 2
    n = check_whole("atoms_per_axis", atoms_per_axis, least=2, most=2 * s)
    k = np.arange(n)
    waves = np.cos((2 * np.arange(s)[:, None] + 1) * k * np.pi / (2 * n))
    waves[:, 1:] -= waves[:, 1:].mean(axis=0)
    waves /= np.linalg.norm(waves, axis=0)
    likeness = np.abs(np.triu(waves.T @ waves, 1)).max()
    if likeness > 1 - 1e-9:
        raise InvalidValueError(
            f"atoms_per_axis = {n} gives the same atom twice with filter_size = {s}; "
            f"want at most {s}"
        )
    bank = np.einsum("ik,jl->klij", waves, waves).reshape(n * n, 1, s, s)
    order = np.argsort(np.add.outer(k, k).ravel(), kind="stable")
    return np.ascontiguousarray(bank[order[1:]])


def dct_dictionary(
    channels: Sequence[int] = (1, 1),
    filter_size: int = 8,
    atoms_per_axis: int | None = None,
    *,
    both_signs: bool | None = None,
) -> Dictionary:
    r"""Return a dictionary of cosines to start from, before one is learned.

    Every signal gets zero-mean cosines d of unit norm as unique filters. Common filters pair the
    same atom in all signals, :math:`(d, d)/\sqrt2` and :math:`(d, -d)/\sqrt2` for two grey images,
    because an edge that is bright to dark in one may be dark to bright in the other.

    Parameters
    ----------
    channels : sequence of M int
        Channels of each signal.
    filter_size : int
        Side s of the filters, at least 2.
    atoms_per_axis : int, optional
        Number n of frequencies along an axis, from 2 to ``2 s``: the atoms are the products of a
        vertical and a horizontal cosine, all but the constant one, ``n n - 1`` of them. Default:
        ``s + 1`` (2 for s = 2).
    both_signs : bool, optional
        Pair atoms with each relative sign, ``2^(M-1)`` of them, or with the same sign only. By
        default each for up to three signals; more are as a rule a focus stack or an exposure
        bracket, whose edges agree.

    Returns
    -------
    Dictionary
        Atoms of unit norm; the norm of a common atom is taken over all signals. For M = 1 there are
        no common atoms.

    Raises
    ------
    TypeError, ValueError
        An argument is not of the kind above.

    Notes
    -----
    A signal of several channels is coded along orthonormal directions: its channels' mean with all
    atoms, and the first two opponents, for colour :math:`(1, 0, -1)/\sqrt2` and
    :math:`(1, -2, 1)/\sqrt6`, with those of low frequency (``k + l <= n / 2``), since colour varies
    slowly. Of more than three channels, quick changes along the channels stay in the error.
    Opponents are common where all signals have them. A common atom has the same contrast in every
    channel.

    Examples
    --------
    >>> import mcsc
    >>> mcsc.dct_dictionary(channels=(1, 1))
    Dictionary(common=((160, 1, 8, 8), (160, 1, 8, 8)), unique=((80, 1, 8, 8), (80, 1, 8, 8)))
    >>> mcsc.dct_dictionary(channels=(1, 3)).n_unique
    (80, 108)
    """
    counts = _channels(channels)
    if both_signs is None:
        both_signs = len(counts) <= _LARGEST_FOR_BOTH_SIGNS
    if not isinstance(both_signs, bool):
        raise InvalidTypeError(f"both_signs must be True, False or None, found {both_signs!r}")
    full = dct_bank(filter_size, atoms_per_axis)
    half = full[: _coarse(math.isqrt(len(full) + 1))]

    def along(signal: int, direction: int) -> Floats:
        bank = full if direction == 0 else half
        return bank * _direction(counts[signal], direction)[:, None, None]

    unique = tuple(
        np.concatenate([along(m, j) for j in range(min(c, _DIRECTIONS))])
        for m, c in enumerate(counts)
    )
    if len(counts) == 1:
        return Dictionary(unique=unique)
    flips = itertools.product((1.0, -1.0) if both_signs else (1.0,), repeat=len(counts) - 1)
    signs = [(1.0, *flip) for flip in flips]
    shared = range(min(*counts, _DIRECTIONS))
    # The same contrast in every channel of every signal, so those of more channels weigh more.
    weights = np.sqrt(np.asarray(counts) / sum(counts))
    common = tuple(
        np.concatenate([sign[m] * along(m, j) for j in shared for sign in signs]) * weights[m]
        for m in range(len(counts))
    )
    return Dictionary(common=common, unique=unique)


def _coarse(frequencies: int) -> int:
    """How many atoms of `dct_bank`, lowest first, have frequencies ``k + l <= n / 2``."""
    low = frequencies // 2
    return (low + 1) * (low + 2) // 2 - 1


def _direction(channels: int, index: int) -> Floats:
    """Row `index` of the orthonormal DCT-II over the channels: the mean, then opponents."""
    row = np.cos((2 * np.arange(channels) + 1) * index * np.pi / (2 * channels))
    unit: Floats = row / np.linalg.norm(row)
    return unit


def _channels(channels: Any) -> tuple[int, ...]:
    if isinstance(channels, str) or not isinstance(channels, Sequence):
        raise InvalidTypeError(
            f"channels must hold one whole number for every signal, found {channels!r}; "
            "for two grey images write (1, 1)"
        )
    if len(channels) == 0:
        raise InvalidValueError("channels is empty: give one whole number for every signal")
    return tuple(check_whole(f"channels[{m}]", c, most=100_000) for m, c in enumerate(channels))
