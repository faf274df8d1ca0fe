"""What an engine is told: the tensors of an LCSC module, and those of a network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def margins(size: int) -> tuple[int, int]:
    """Return the rows (and columns) of zeros before and after an image whose patches E takes."""
    return (size - 1) // 2, size // 2


@dataclass(frozen=True, eq=False)
class Down:
    """Filters alone: the image of maps.

    Attributes
    ----------
    weight : tensor (C, K, s, s)
        D or g.
    """

    weight: Tensor

    def takes(self, maps: Tensor) -> bool:
        """Return True if an engine can take these maps (N, K, H, W)."""
        c, k, s = self.weight.shape[:3]
        # Of any precision: whether it serves is the engine's to say.
        return (
            _fits(self.weight, (c, k, s, s), self.weight)
            and maps.device == self.weight.device
            and maps.shape[1] == k
        )


@dataclass(frozen=True, eq=False)
class Steps:
    """An LCSC module; see `unfolded.engines` for what is computed.

    Attributes
    ----------
    first : tensor (K, C, s, s)
        :math:`E_0`.
    down : tuple of J tensors (C, K, s, s)
        :math:`D_1 ... D_J`; of tied blocks J times the same.
    up : tuple of J tensors (K, C, s, s)
        :math:`E_1 ... E_J`; of tied blocks J times `first`.
    thresholds : tensor (J + 1,)
        One for each set of maps, also where blocks share it.
    residual : bool
        False: without residuals.
    """

    first: Tensor
    down: tuple[Tensor, ...]
    up: tuple[Tensor, ...]
    thresholds: Tensor
    residual: bool

    @property
    def filters(self) -> int:
        """Number of maps K."""
        return self.first.shape[0]

    @property
    def channels(self) -> int:
        """Channels C of the image."""
        return self.first.shape[1]

    @property
    def size(self) -> int:
        """Side s of the filters."""
        return self.first.shape[-1]

    def is_regular(self) -> bool:
        """Return True if all tensors fit the first one, as those that a module makes do.

        Layers that were replaced may have other sizes, which PyTorch computes and engines do not.
        """
        k, c, s = self.filters, self.channels, self.size
        return (
            all(_fits(w, (c, k, s, s), self.first) for w in self.down)
            and all(_fits(w, (k, c, s, s), self.first) for w in (self.first, *self.up))
            and len(self.down) == len(self.up)
            and _fits(self.thresholds, (len(self.up) + 1,), self.first)
        )

    def takes(self, image: Tensor) -> bool:
        """Return True if an engine can take this image (N, C, H, W)."""
        return (
            self.is_regular()
            and _fits(self.first, tuple(self.first.shape), image)
            and image.shape[1] == self.channels
        )


@dataclass(frozen=True, eq=False)
class NetworkSteps:
    """A network: ``c, (u, v)`` of ``x, y``, and the parts of the target.

    Attributes
    ----------
    unique : (Steps, Steps)
        u from x, v from y.
    explained : (tensor (C_x, K_u, s, s), tensor (C_y, K_v, s, s))
        ``D_u``, ``D_v``.
    common : Steps
        c from what is left of x and y, one above the other.
    target_common : tensor (C_z, K_c, s, s)
        ``gc``.
    target_unique : tuple of tensors (C_z, K, s, s)
        ``gu``, and in fusion ``gv``.
    """

    unique: tuple[Steps, Steps]
    explained: tuple[Tensor, Tensor]
    common: Steps
    target_common: Tensor
    target_unique: tuple[Tensor, ...]

    @property
    def size(self) -> int:
        """Side s of all filters."""
        return self.common.size

    def after_unique(self) -> list[Tensor]:
        """Return all filters that u, and v, are convolved with: D and, where there is one, g."""
        last = list(self.explained)
        for m, target in enumerate(self.target_unique):
            last[m] = torch.cat((last[m], target))
        return last

    def is_regular(self) -> bool:
        """Return True if all tensors fit together, in one filter size and precision."""
        modules = (*self.unique, self.common)
        s, z = self.size, self.target_common.shape[0]
        return (
            all(m.is_regular() and m.size == s for m in modules)
            and self.common.channels == sum(m.channels for m in self.unique)
            and len(self.target_unique) in (1, 2)
            and all(
                _fits(w, (m.channels, m.filters, s, s), self.common.first)
                for w, m in zip(self.explained, self.unique, strict=True)
            )
            and all(
                _fits(w, (z, m.filters, s, s), self.common.first)
                for w, m in zip(
                    (self.target_common, *self.target_unique),
                    (self.common, *self.unique),
                    strict=False,
                )
            )
        )

    def takes(self, x: Tensor) -> bool:
        """Return True if an engine can take x (N, C_x, H, W), and a y like it."""
        return self.is_regular() and self.unique[0].takes(x)


def _fits(tensor: Tensor, shape: tuple[int, ...], like: Tensor) -> bool:
    return (
        tensor.shape == shape
        and tensor.dtype == like.dtype
        and tensor.device == like.device
        and tensor.layout == torch.strided
    )
