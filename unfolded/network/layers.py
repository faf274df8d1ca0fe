"""Layers of the network: filters from maps to an image, and from an image to maps.

Their convolution, its centring and the padding of even filters are those of `unfolded.engines`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..engines import reference, training
from ..engines.steps import Down
from .engine_choice import engine_for, served_by


@served_by("training")
class Synthesis(nn.Module):
    r"""Filters from maps to an image, :math:`\sum_k d_k * a_k` (D, and the G of the target).

    Parameters
    ----------
    filters : int
        Number of maps K.
    channels : int
        Channels C of the image.
    size : int
        Side s of the filters.

    Attributes
    ----------
    weight : parameter (C, K, s, s)
        As `torch.nn.functional.conv2d` takes it: the filters d, flipped.
    """

    def __init__(self, filters: int, channels: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, filters, size, size))
        nn.init.xavier_uniform_(self.weight)

    def steps(self) -> Down:
        """Return the filters, for an engine."""
        return Down(self.weight)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the image (N, C, H, W) of maps (N, K, H, W)."""
        if engine_for(self, maps) == "training":
            return training.synthesise(maps, self.weight)
        return reference.synthesise(maps, self.weight)


@served_by()
class Analysis(nn.Module):
    r"""Filters from an image to maps (E): the adjoint of `Synthesis` for flipped weights.

    Parameters
    ----------
    channels, filters, size : int
        C, K and s.

    Attributes
    ----------
    weight : parameter (K, C, s, s)
        As `torch.nn.functional.conv2d` takes it. With ``weight = d`` the layer is
        :math:`D^T r = \sum_c \tilde d_{kc} * r_c`, where :math:`\tilde d` is the flipped filter.
    """

    def __init__(self, channels: int, filters: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(filters, channels, size, size))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, image: Tensor) -> Tensor:
        """Return the maps (N, K, H, W) of an image (N, C, H, W)."""
        return reference.analyse(image, self.weight)
