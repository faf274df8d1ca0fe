"""What an engine is told: the tensors of an LCSC module, of a sweep, and of a network."""

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
    down : tuple of L tensors (C, K, s, s)
        :math:`D_1 ... D_L`; of tied blocks L times the same.
    up : tuple of L tensors (K, C, s, s)
        :math:`E_1 ... E_L`; of tied blocks L times `first`.
    thresholds : tensor (N or 1, T, K or 1)
        One for each sample or for all, each set of maps, each map or all. T is L + 1, with that of
        :math:`U_0`, or L of a module that goes on.
    residual : bool
        False: without residuals.
    goes_on : bool
        It starts from maps that it is given, and not from :math:`S(E_0 x)`.
    """

    first: Tensor
    down: tuple[Tensor, ...]
    up: tuple[Tensor, ...]
    thresholds: Tensor
    residual: bool
    goes_on: bool = False

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
        samples, count, maps = self.thresholds.shape
        return (
            all(_fits(w, (c, k, s, s), self.first) for w in self.down)
            and all(_fits(w, (k, c, s, s), self.first) for w in (self.first, *self.up))
            and len(self.down) == len(self.up)
            and _fits(self.thresholds, (samples, count, maps), self.first)
            and count == len(self.up) + (not self.goes_on)
            and maps in (1, k)
        )

    def takes(self, image: Tensor) -> bool:
        """Return True if an engine can take this image (N, C, H, W)."""
        return (
            self.is_regular()
            and _fits(self.first, tuple(self.first.shape), image)
            and image.shape[1] == self.channels
            and self.thresholds.shape[0] in (1, image.shape[0])
        )


@dataclass(frozen=True, eq=False)
class SweepSteps:
    """u, v and c in turn.

    Attributes
    ----------
    known : tensor (C_x + C_y, K_c, s, s) or None
        What c, of the sweep before, explains of x and y; None in the first sweep.
    unique : (Steps, Steps)
        u from x, v from y, each without what is known.
    explained : (tensor (C_x, K_u, s, s), tensor (C_y, K_v, s, s))
        ``D_u``, ``D_v``.
    common : Steps
        c from what is left of x and y, one above the other.
    """

    known: Tensor | None
    unique: tuple[Steps, Steps]
    explained: tuple[Tensor, Tensor]
    common: Steps

    @property
    def modules(self) -> tuple[Steps, Steps, Steps]:
        """The modules of u, v and c."""
        return (*self.unique, self.common)

    def is_regular(self) -> bool:
        """Return True if all tensors fit together."""
        modules, like = self.modules, self.common.first
        s = self.common.size
        known_shape = (self.common.channels, self.common.filters, s, s)
        return (
            all(m.is_regular() and m.size == s for m in modules)
            and self.common.channels == sum(m.channels for m in self.unique)
            and (self.known is None or _fits(self.known, known_shape, like))
            and all(
                _fits(w, (m.channels, m.filters, s, s), like)
                for w, m in zip(self.explained, self.unique, strict=True)
            )
        )


@dataclass(frozen=True, eq=False)
class NetworkSteps:
    """A network: ``c, (u, v)`` of ``x, y``, and the parts of the target.

    Attributes
    ----------
    sweeps : tuple of SweepSteps
        The first starts from nothing, each other one from the maps of the one before.
    target_common : tensor (C_z, K_c, s, s)
        ``gc``.
    target_unique : tuple of tensors (C_z, K, s, s)
        ``gu``, and in fusion ``gv``.
    """

    sweeps: tuple[SweepSteps, ...]
    target_common: Tensor
    target_unique: tuple[Tensor, ...]

    @property
    def size(self) -> int:
        """Side s of all filters."""
        return self.sweeps[0].common.size

    def after_unique(self, number: int) -> list[Tensor]:
        """Return all filters that a sweep's u, and v, are convolved with.

        D, and in the last sweep g where there is one.
        """
        found = list(self.sweeps[number].explained)
        if number == len(self.sweeps) - 1:
            for m, target in enumerate(self.target_unique):
                found[m] = torch.cat((found[m], target))
        return found

    def after_common(self, number: int) -> Tensor:
        """Return the filters that a sweep's c is convolved with: the next one's, or gc."""
        last = number == len(self.sweeps) - 1
        known = None if last else self.sweeps[number + 1].known
        return self.target_common if known is None else known

    def is_regular(self) -> bool:
        """Return True if all tensors fit together, in one filter size and precision."""
        first, s, z = self.sweeps[0], self.size, self.target_common.shape[0]
        counts = [(m.filters, m.channels) for m in first.modules]
        targets = (self.target_common, *self.target_unique)
        return (
            all(sweep.is_regular() and sweep.common.size == s for sweep in self.sweeps)
            and all([(m.filters, m.channels) for m in w.modules] == counts for w in self.sweeps)
            and all(
                (w.known is None) == (w is first)
                and all(m.goes_on == (w is not first) for m in w.modules)
                for w in self.sweeps
            )
            and len(self.target_unique) in (1, 2)
            and all(
                _fits(w, (z, m.filters, s, s), first.common.first)
                for w, m in zip(targets, (first.common, *first.unique), strict=False)
            )
        )

    def takes(self, x: Tensor) -> bool:
        """Return True if an engine can take x (N, C_x, H, W), and a y like it."""
        return self.is_regular() and self.sweeps[0].unique[0].takes(x)


def _fits(tensor: Tensor, shape: tuple[int, ...], like: Tensor) -> bool:
    return (
        tensor.shape == shape
        and tensor.dtype == like.dtype
        and tensor.device == like.device
        and tensor.layout == torch.strided
    )


def numbers(thresholds: Tensor, samples: int, filters: int) -> Tensor:
    """Return thresholds, as in `Steps`, of each map of each sample, (T, N, K), contiguous."""
    found = thresholds.detach().float().expand(samples, -1, filters)
    return found.transpose(0, 1).contiguous()
