r"""Weights that a network starts from: the bridge from a dictionary of `mcsc` to `unfolded`.

One sweep of the alternating solver from zero codes, with J + 1 ISTA steps per group in the order
u, v, c, is CU-Net with

.. math::

    D_j = D, \qquad E_j = D^T / L, \qquad \lambda_j = \lambda / L, \qquad j = 0, \ldots, J,

for each group's operator D and its bound L on the squared norm (`mcsc.Dictionary.lipschitz`). With
:math:`V = \sqrt L\, U` the same steps read :math:`D_j = D / \sqrt L`, :math:`E_j = D^T / \sqrt L`,
:math:`\lambda_j = \lambda / \sqrt L`: the balanced form, the same image from filters of one size in
both directions, which Adam, whose steps have one size too, trains far better.

Further sweeps are further modules of the same filters, which begin at the codes of the sweep before
and see what the other groups leave of the signals.

This stands below the network: it makes a configuration and a state dictionary, no module.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mcsc import Dictionary
from mcsc.backend import to_numpy
from mcsc.errors import InvalidTypeError, InvalidValueError
from mcsc.model.dictionary import embed
from mcsc.model.lam import lam_per_map
from mcsc.types import Floats, Kind

from .configuration import Configuration, Thresholds

# Of a network's state, in the order of the dictionary's groups.
_MODULES = ("common", "unique.0", "unique.1")
_EXPLAINED = ("explained.0.weight", "explained.1.weight")
_AGAIN = re.compile(r"^again\.\d+\.")
_TARGETS = ("target_common.weight", "target_unique.0.weight", "target_unique.1.weight")


def weights_of(
    dictionary: Dictionary,
    lam: Any,
    *,
    blocks: int,
    kind: Kind,
    out_channels: int | None = None,
    sweeps: int = 1,
    thresholds: Thresholds = "scalar",
) -> tuple[Configuration, dict[str, Tensor]]:
    """Return what a network that starts from a dictionary is, and its state, in double precision.

    Parameters
    ----------
    dictionary, lam, blocks, kind, sweeps, thresholds
        As `CUNet.from_dictionary` takes them, `kind` as its `task`; it also lists the errors.
    out_channels : int, optional
        Channels of a target whose filters will be fitted. Where the dictionary has none, they start
        from the model of x if that has so many channels, else from zero.
    """
    if not isinstance(dictionary, Dictionary):
        raise InvalidTypeError(
            f"dictionary must be an mcsc.Dictionary, found {type(dictionary).__name__}"
        )
    if dictionary.n_signals != 2 or dictionary.n_common == 0 or 0 in dictionary.n_unique:
        raise InvalidValueError(
            f"a network needs common and unique filters of two signals, found {dictionary!r}"
        )
    size = dictionary.filter_size
    targets = _targets(dictionary, kind, size, out_channels)
    configuration = Configuration(
        channels=dictionary.channels,  # type: ignore[arg-type]
        out_channels=int(targets[0].shape[1]),
        kind=kind,
        filters=(dictionary.n_common, *dictionary.n_unique),  # type: ignore[arg-type]
        kernel_size=size,
        blocks=blocks,
        residual=True,
        tied=False,
        sweeps=sweeps,
        thresholds=thresholds,
    )
    lams = _lam_per_group(lam, dictionary, thresholds)
    banks = [g.bank for g in dictionary.groups]  # c, u, v
    # Banks of groups carry the weights of their signals, which the network does not see: its
    # analysis filters get them twice, its synthesis filters not at all.
    weights = _channel_weights(dictionary)
    state = {}
    for sweep in range(sweeps):
        before = "" if sweep == 0 else f"again.{sweep - 1}."
        for name, bank, w, bound, numbers in zip(
            _MODULES, banks, weights, _bounds(dictionary), lams, strict=True
        ):
            module = before + name
            # From codes, not from zero, the first step too takes away what they explain.
            for j in range(blocks + (sweep > 0)):
                state[f"{module}.down.{j}.weight"] = _synthesis(bank / w)
                state[f"{module}.up.{j}.weight"] = _analysis(w * bank / bound)
            state[f"{module}.first.weight"] = _analysis(w * bank / bound)
            each = torch.from_numpy(np.asarray(numbers / bound))
            state[f"{module}.thresholds"] = each.expand(blocks + 1, *each.shape).clone()
        for name, bank, w in zip(_EXPLAINED, banks[1:], weights[1:], strict=True):
            state[before + name] = _synthesis(bank / w)
        if sweep:
            state[f"{before}known.weight"] = _synthesis(banks[0] / weights[0])
    for name, bank in zip(_TARGETS, targets, strict=False):
        state[name] = _synthesis(bank)
    return configuration, state


def balanced(state: Mapping[str, Tensor], dictionary: Dictionary) -> dict[str, Tensor]:
    """Return the state with codes and filters scaled, so that filters have one size.

    Parameters
    ----------
    state : mapping of str to tensor
        As `weights_of` made it, with any target filters.
    dictionary : Dictionary
        The dictionary that the network was made from.
    """
    out = dict(state)
    # What stands outside of a module and sees its codes.
    outside = zip(_TARGETS, ("known.weight", *_EXPLAINED), strict=True)
    for module, names, bound in zip(_MODULES, outside, _bounds(dictionary), strict=True):
        root = math.sqrt(bound)
        for full in state:
            name = _AGAIN.sub("", full)
            if name in names or name.startswith(f"{module}.down."):
                out[full] = state[full] / root
            elif name.startswith(f"{module}."):
                out[full] = state[full] * root
    return out


def is_double(dictionary: Dictionary) -> bool:
    """Return True if a filter bank is in double precision: so will the network be."""
    given = [*(dictionary.common or ()), *(dictionary.unique or ())]
    return any(str(bank.dtype).endswith("64") for bank in given)


def _bounds(dictionary: Dictionary) -> list[float]:
    """Bound L of each of the groups c, u, v."""
    l_common, l_unique = dictionary.lipschitz()
    return [float(bound) for bound in (l_common, *l_unique) if bound is not None]


def _channel_weights(dictionary: Dictionary) -> list[Floats]:
    """Weight of the signal of each channel of the groups c, u, v, to multiply (K, C, s, s)."""
    weights = dictionary.signal_weights or (1.0, 1.0)
    each = [
        np.full((channels, 1, 1), w)
        for w, channels in zip(weights, dictionary.channels, strict=True)
    ]
    return [np.concatenate(each), *each]


def _analysis(bank: Any) -> Tensor:
    """Filters (K, C, s, s) as `Analysis` holds them."""
    return torch.from_numpy(np.array(bank, dtype=np.float64, order="C"))


def _synthesis(bank: Any) -> Tensor:
    """Filters (K, C, s, s) as `Synthesis` holds them."""
    return _analysis(bank).flip(-2, -1).swapaxes(0, 1).contiguous()


def _lam_per_group(lam: Any, dictionary: Dictionary, thresholds: Thresholds) -> list[Floats]:
    """One number, or one for each map, of each of c, u, v."""
    counts = {g.name: len(g.bank) for g in dictionary.groups}
    each = np.split(lam_per_map(lam, counts), np.cumsum(list(counts.values()))[:-1])
    if thresholds == "map":
        return [values.astype(np.float64) for values in each]
    for name, values in zip(counts, each, strict=True):
        if np.ptp(values) > 0:
            raise InvalidValueError(
                f"lam differs among the maps of group {name}: a network with one threshold per "
                "group needs one number, or one for each of (c, u, v); thresholds='map' takes all"
            )
    return [np.asarray(values[0], dtype=np.float64) for values in each]


def _targets(dictionary: Dictionary, kind: Kind, size: int, fitted: int | None) -> list[Floats]:
    """``gc, gu[, gv]``, (K, C_z, s, s) each."""
    gc, gu = dictionary.target_common, dictionary.target_unique
    if gc is None and gu is None:
        if fitted is not None and not (kind == "restoration" and fitted == dictionary.channels[0]):
            counts = (dictionary.n_common, *dictionary.n_unique)
            return [
                np.zeros((n, fitted, size, size)) for n in counts[: 3 if kind == "fusion" else 2]
            ]
        if kind == "fusion":
            raise InvalidValueError(
                "fusion needs target filters (target_common, target_unique), and the dictionary "
                "has none; learn them with mcsc.learn, or give pairs to fit them to"
            )
        return _model_of_x(dictionary, size)
    banks = [gc, *(gu or (None, None))][: 3 if kind == "fusion" else 2]
    if any(b is None for b in banks):
        raise InvalidValueError(
            f"{kind} needs target filters for c, u{' and v' if kind == 'fusion' else ''}, and the "
            f"dictionary lacks some of them: {dictionary!r}"
        )
    larger = max(int(b.shape[2]) for b in banks if b is not None)
    if larger > size:
        raise InvalidValueError(
            f"target filters of {larger}x{larger} are larger than the others, {size}x{size}: a "
            "network has one filter size"
        )
    return [embed(to_numpy(b), size) for b in banks if b is not None]


def _model_of_x(dictionary: Dictionary, size: int) -> list[Floats]:
    """``dc, du``."""
    assert dictionary.common is not None
    assert dictionary.unique is not None
    return [embed(to_numpy(b), size) for b in (dictionary.common[0], dictionary.unique[0])]
