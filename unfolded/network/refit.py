r"""Target filters by ridge regression on a network's codes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from mcsc.errors import InvalidTypeError, InvalidValueError

from .engine_choice import synthesis_for
from .layers import Synthesis

CodeTensors = tuple[Tensor, tuple[Tensor, Tensor]]
Pairs = Iterable[tuple[Tensor, ...]]


class Coding(Protocol):
    """A network, as far as it is needed here: its codes and the filters of its target."""

    target_common: Synthesis
    target_unique: nn.ModuleList

    def codes(self, x: Tensor, y: Tensor, sigma: Tensor | None = None) -> CodeTensors:
        """Return ``(c, (u, v))``."""
        ...


def target_channels(pairs: Any) -> int:
    """Return the channels of the targets of a sequence of (x, y, z), all of which are checked.

    Raises
    ------
    TypeError
        It holds other things.
    ValueError
        It holds nothing, or a tensor has NaN or Inf; the message says which.
    """
    try:
        first = pairs[0]
    except (IndexError, TypeError, KeyError) as error:
        raise InvalidValueError(
            "pairs must hold (x, y, z) of tensors (N, C, H, W), at least one of them"
        ) from error
    for number, pair in enumerate(pairs):
        check_pair(number, pair)
    return int(first[2].shape[1])


def check_pair(number: int, pair: Any) -> None:
    """Refuse what is not (x, y, z) of tensors (N, C, H, W), or with the noise's level behind.

    Raises
    ------
    TypeError
        The message says what was found.
    ValueError
        A tensor has NaN or Inf.
    """
    whole = isinstance(pair, tuple | list) and len(pair) in (3, 4)
    if not whole or not all(isinstance(a, Tensor) and a.ndim == 4 for a in pair[:3]):
        shown = getattr(pair, "shape", type(pair).__name__)
        if isinstance(pair, tuple | list):
            shown = [f"{type(a).__name__} {tuple(getattr(a, 'shape', ()))}" for a in pair]
        raise InvalidTypeError(
            "pairs must hold (x, y, z) of tensors (N, C, H, W), as torch.from_numpy makes them; "
            f"found {shown}"
        )
    for name, tensor in zip(("x", "y", "z", "sigma"), pair, strict=False):
        if not bool(torch.as_tensor(tensor).isfinite().all()):
            raise InvalidValueError(f"{name} of pairs[{number}] holds NaN or Inf")


def refit(
    net: Coding,
    pairs: Pairs,
    *,
    ridge: float = 1e-3,
    tol: float = 1e-6,
    max_iter: int = 200,
) -> int:
    r"""Fit ``gc``, ``gu`` (and ``gv``) to targets, with the codes that the network computes.

    .. math::

        \min_g \sum_{(x, y, z)} \tfrac12 \|z - g^c * c - g^u * u \,[- g^v * v]\|^2
        + \tfrac{\rho}{2} \sum_k P_k \|g_k - g^0_k\|^2 ,

    where :math:`g^0` are the filters that the network has (zero, if it has none yet),
    :math:`P_k` is the mean energy of the maps in k's group and :math:`\rho` is `ridge`. Filters of
    maps that are never used stay as they are.

    Parameters
    ----------
    net : CUNet
        Its target filters are overwritten; all else is left alone.
    pairs : iterable of (x, y, z)
        Images and targets, tensors (N, C, H, W) of the network's dtype or castable to it; and
        sigma, a tensor (N,), for a network that is `noise_aware`.
    ridge : float
        :math:`\rho > 0`.
    tol : float
        Stop when the normal equations' residual is this small, relative to its start.
    max_iter : int
        Iterations of conjugate gradients at most.

    Returns
    -------
    int
        Iterations used.

    Raises
    ------
    ValueError
        `ridge` is not positive, there are no pairs, one holds NaN or Inf, a target's shape does not
        fit, or sums of squares overflow.

    Notes
    -----
    Conjugate gradients on the normal equations, preconditioned by the energy of each map: an
    iteration costs two convolutions an image. All codes are held: 3 K H W numbers an image, so
    patches serve better than whole pictures.
    """
    if not ridge > 0:
        raise InvalidValueError(f"ridge must be > 0, found {ridge!r}")
    layers: list[Any] = [net.target_common, *net.target_unique]
    weight = layers[0].weight
    codes: list[Tensor] = []
    targets: list[Tensor] = []
    with torch.no_grad():
        for number, pair in enumerate(pairs):
            check_pair(number, pair)
            x, y, z, *sigma = (a.to(weight) for a in pair)
            c, uv = net.codes(x, y, *sigma)
            wanted = (x.shape[0], weight.shape[0], *x.shape[2:])
            if tuple(z.shape) != wanted:
                raise InvalidValueError(
                    f"z of pairs[{number}] has shape {tuple(z.shape)}, wanted {wanted}"
                )
            codes.append(torch.cat((c, *uv[: len(layers) - 1]), dim=1))
            targets.append(z)
        if not codes:
            raise InvalidValueError("pairs is empty: give at least one (x, y, z)")
        counts = [layer.weight.shape[1] for layer in layers]
        start = torch.cat([layer.weight for layer in layers], dim=1)
        fitted, iterations = _solve(codes, targets, start, counts, ridge, tol, max_iter)
        for layer, part in zip(layers, torch.split(fitted, counts, dim=1), strict=True):
            layer.weight.copy_(part)
    return iterations


def _solve(
    codes: list[Tensor],
    targets: list[Tensor],
    start: Tensor,
    counts: list[int],
    ridge: float,
    tol: float,
    max_iter: int,
) -> tuple[Tensor, int]:
    """Preconditioned conjugate gradients for the change of the filters from `start`."""
    size = start.shape[-1]
    forward, adjoint = synthesis_for(start)

    def correlate(images: list[Tensor]) -> Tensor:
        pairs = zip(codes, images, strict=True)
        return sum(
            (adjoint(maps, image, size) for maps, image in pairs),
            torch.zeros_like(start),
        )

    energy = sum((maps * maps).sum(dim=(0, 2, 3)) for maps in codes)
    assert isinstance(energy, Tensor)
    means = torch.cat([part.mean().expand_as(part) for part in torch.split(energy, counts)])
    penalty = (ridge * means).reshape(1, -1, 1, 1)
    # A group without any code has no equations: a unit diagonal keeps its filters as they are.
    diagonal = energy.reshape(1, -1, 1, 1) + penalty
    diagonal = torch.where(diagonal > 0, diagonal, torch.ones_like(diagonal))

    residuals = [z - forward(maps, start) for maps, z in zip(codes, targets, strict=True)]
    change = torch.zeros_like(start)
    r = correlate(residuals)
    p = s = r / diagonal
    rs = torch.sum(r * s)
    first = torch.linalg.vector_norm(r)
    # A comparison with NaN is false, which would end the fit as if it had been reached.
    if not bool(torch.isfinite(rs) & torch.isfinite(first)):
        raise InvalidValueError(
            f"pairs hold values so large that sums of squares overflow {start.dtype}: scale them"
        )
    iterations = 0
    while iterations < max_iter and torch.linalg.vector_norm(r) > tol * first:
        ap = correlate([forward(maps, p) for maps in codes]) + penalty * p
        alpha = rs / torch.sum(p * ap)
        change += alpha * p
        r = r - alpha * ap
        s = r / diagonal
        rs, before = torch.sum(r * s), rs
        p = s + (rs / before) * p
        iterations += 1
    return start + change, iterations
