r"""A network that starts from a dictionary: the bridge from `mcsc` to `unfolded`.

One sweep of the alternating solver from zero codes, with J + 1 ISTA steps a group in the order
u, v, c, is CU-Net with

.. math::

    D_j = D, \qquad E_j = D^T / L, \qquad \lambda_j = \lambda / L, \qquad j = 0, \ldots, J,

for each group's operator D and its bound L on the squared norm (`mcsc.Dictionary.lipschitz`). With
:math:`V = \sqrt L\, U` the same steps read :math:`D_j = D / \sqrt L`, :math:`E_j = D^T / \sqrt L`,
:math:`\lambda_j = \lambda / \sqrt L`: the balanced form, the same image from filters of one size in
both directions, which Adam, whose steps have one size too, trains far better.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mcsc import Dictionary
from mcsc.backend import to_numpy
from mcsc.errors import InvalidTypeError, InvalidValueError
from mcsc.model.dictionary import embed

from ..network.cunet import CUNet
from ..network.layers import Analysis, Synthesis
from ..network.lcsc import LCSC
from .refit import refit

Pairs = Iterable[tuple[Tensor, Tensor, Tensor]]


def from_dictionary(
    dictionary: Dictionary,
    lam: float | Sequence[float],
    *,
    blocks: int = 4,
    task: str = "restoration",
    balanced: bool = False,
    pairs: Pairs | None = None,
    ridge: float = 1e-3,
) -> CUNet:
    r"""Return the network that does one sweep of the alternating solver.

    Untrained, its codes are those of ``mcsc.solve((x, y), dictionary, lam, method="alternating",
    max_iter=1, inner_steps=blocks + 1, boundary="zero")``, to rounding.

    Parameters
    ----------
    dictionary : mcsc.Dictionary
        Common and unique filters of two signals. Without target filters the target is x itself
        (``gc = dc``, ``gu = du``), unless `pairs` say what it is.
    lam : float, or three floats
        The lambda of Eq. 5, for all codes or for (c, u, v): a network has one threshold a group.
    blocks : int
        LCSC blocks J: J + 1 ISTA steps.
    task : {"restoration", "fusion"}
        What the target is made of.
    balanced : bool
        Scale codes and filters as above. The images are the same, the codes larger by
        :math:`\sqrt L` of their group.
    pairs : iterable of (x, y, z), optional
        Training images with their targets, tensors (N, C, H, W). The target filters are then
        fitted to the network's own codes by `unfolded.starts.refit.refit`.
    ridge : float
        Weight of the penalty in that fit, relative to the mean energy of the codes.

    Returns
    -------
    CUNet
        In double precision if a filter bank is, else in single; in evaluation mode.

    Raises
    ------
    TypeError
        `dictionary` is something else, or lam holds no numbers.
    ValueError
        The dictionary is not one of two signals with common and unique filters each, lam is not
        positive or has one value a map, or there is no target for the task.
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
    targets = _targets(dictionary, task, size, fitted=pairs is not None)
    if targets is None:
        assert pairs is not None
        pairs = list(pairs)
        out_channels = _target_channels(pairs)
        if task == "restoration" and out_channels == dictionary.channels[0]:
            # The fit starts from, and is drawn to, the model of x.
            targets = _model_of_x(dictionary, size)
    else:
        out_channels = int(targets[0].shape[1])
    net = CUNet(
        channels=dictionary.channels,  # type: ignore[arg-type]
        out_channels=out_channels,
        task=task,
        filters=(dictionary.n_common, *dictionary.n_unique),  # type: ignore[arg-type]
        kernel_size=size,
        blocks=blocks,
    ).double()
    l_common, l_unique = dictionary.lipschitz()
    banks = [g.bank for g in dictionary.groups]  # c, u, v
    bounds = [float(b) for b in (l_common, *l_unique) if b is not None]
    modules: list[LCSC] = [net.common, *net.unique]
    # Banks of groups carry the weights of their signals, which the network does not see: its
    # analysis filters get them twice, its synthesis filters not at all.
    weights = _channel_weights(dictionary)
    with torch.no_grad():
        for module, bank, w, bound, number in zip(
            modules, banks, weights, bounds, _lams(lam), strict=True
        ):
            _set(module.first, w * bank / bound)
            for down, up, _ in module.steps():
                _set(down, bank / w)
                _set(up, w * bank / bound)
            module.thresholds.fill_(number / bound)
        for layer, bank, w in zip(net.explained, banks[1:], weights[1:], strict=True):
            _set(layer, bank / w)  # type: ignore[arg-type]
        for i, layer in enumerate(_target_layers(net)):
            if targets is None:
                layer.weight.zero_()
            else:
                _set(layer, targets[i])
    net.eval()
    if pairs is not None:
        refit(net, pairs, ridge=ridge)
    if balanced:
        _balance(net, bounds)
    given = [*(dictionary.common or ()), *(dictionary.unique or ())]
    return net if any(str(b.dtype).endswith("64") for b in given) else net.float()


def _channel_weights(dictionary: Dictionary) -> list[np.ndarray]:
    """Weight of the signal of each channel of the groups c, u, v, to multiply (K, C, s, s)."""
    weights = dictionary.signal_weights or (1.0, 1.0)
    each = [
        np.full((channels, 1, 1), w)
        for w, channels in zip(weights, dictionary.channels, strict=True)
    ]
    return [np.concatenate(each), *each]


def _set(layer: Analysis | Synthesis, bank: np.ndarray) -> None:
    filters = torch.from_numpy(np.ascontiguousarray(bank, dtype=np.float64))
    if isinstance(layer, Synthesis):
        filters = filters.flip(-2, -1).swapaxes(0, 1)
    layer.weight.copy_(filters)


def _target_layers(net: CUNet) -> list[Synthesis]:
    """``gc``, ``gu``, ``gv``: the order of the groups."""
    return [net.target_common, *net.target_unique]


def _balance(net: CUNet, bounds: Sequence[float]) -> None:
    """Scale the codes of each group by sqrt(L) and every filter so that images stay."""
    modules: list[LCSC] = [net.common, *net.unique]
    outside: list[list[nn.Module]] = [[layer] for layer in _target_layers(net)]
    outside += [[]] * (3 - len(outside))
    for i, layer in enumerate(net.explained, start=1):
        outside[i] = [*outside[i], layer]
    with torch.no_grad():
        for module, layers, bound in zip(modules, outside, bounds, strict=True):
            root = math.sqrt(bound)
            for name, parameter in module.named_parameters():
                parameter.mul_(1 / root if name.startswith("down") else root)
            for layer in layers:
                layer.weight.div_(root)  # type: ignore[operator]


def _lams(lam: Any) -> list[float]:
    values: Any = [lam] * 3 if isinstance(lam, numbers.Real) else lam
    if isinstance(values, (str, bool)) or isinstance(lam, bool) or not hasattr(values, "__len__"):
        raise InvalidTypeError(f"lam must be a number or three, found {lam!r}")
    if len(values) != 3:
        raise InvalidValueError(
            f"lam has {len(values)} entries: give one number, or one for each of (c, u, v); a "
            "network has no thresholds of single maps"
        )
    if not all(np.ndim(v) == 0 and isinstance(v, numbers.Real) for v in values):
        raise InvalidTypeError(f"lam must hold a number for each of (c, u, v), found {lam!r}")
    if not all(math.isfinite(v) and v > 0 for v in values):
        raise InvalidValueError(f"lam must be finite and > 0, found {lam!r}")
    return [float(v) for v in values]


def _targets(
    dictionary: Dictionary, task: str, size: int, *, fitted: bool
) -> list[np.ndarray] | None:
    """``gc, gu[, gv]``; None where there are none but they will be fitted."""
    gc, gu = dictionary.target_common, dictionary.target_unique
    if gc is None and gu is None:
        if fitted:
            return None
        if task == "fusion":
            raise InvalidValueError(
                "fusion needs target filters (target_common, target_unique), and the dictionary "
                "has none; learn them with mcsc.learn, or give pairs to fit them to"
            )
        return _model_of_x(dictionary, size)
    banks = [gc, *(gu or (None, None))][: 3 if task == "fusion" else 2]
    if any(b is None for b in banks):
        raise InvalidValueError(
            f"{task} needs target filters for c, u{' and v' if task == 'fusion' else ''}, and the "
            f"dictionary lacks some of them: {dictionary!r}"
        )
    larger = max(int(b.shape[2]) for b in banks if b is not None)
    if larger > size:
        raise InvalidValueError(
            f"target filters of {larger}x{larger} are larger than the others, {size}x{size}: a "
            "network has one filter size"
        )
    return [embed(to_numpy(b), size) for b in banks if b is not None]


def _model_of_x(dictionary: Dictionary, size: int) -> list[np.ndarray]:
    """``dc, du``."""
    assert dictionary.common is not None
    assert dictionary.unique is not None
    return [embed(to_numpy(b), size) for b in (dictionary.common[0], dictionary.unique[0])]


def _target_channels(pairs: Any) -> int:
    try:
        return int(pairs[0][2].shape[1])
    except (IndexError, TypeError, AttributeError) as error:
        raise InvalidValueError(
            "pairs must hold (x, y, z) of tensors (N, C, H, W), at least one of them"
        ) from error
