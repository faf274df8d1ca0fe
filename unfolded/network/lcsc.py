r"""Learned convolutional sparse coding: ISTA, unrolled, with learned filters and thresholds."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..engines import cpu_training, reference
from ..engines.steps import Steps
from .engine_choice import engine_for, served_by
from .layers import Analysis, Synthesis

START = 0.01
"""Thresholds before training, as in the authors' released code."""


@served_by("cpu_training")
class LCSC(nn.Module):
    r"""J unrolled steps of convolutional ISTA (Eqs. 8, 10, 13; Appendix A, Eq. 18).

    .. math::

        U_0 = S_{\lambda_0}(E_0 * x), \qquad
        U_{j+1} = S_{\lambda_{j+1}}(U_j - E_{j+1} * D_{j+1} * U_j + E_0 * x),
        \quad j = 0, \ldots, J - 1.

    :math:`E_0 * x` is computed once and used by every block. There are no biases.

    Parameters
    ----------
    channels : int
        Channels C of the image x.
    filters : int
        Number of maps K.
    kernel_size : int
        Side s of the filters, odd or even.
    blocks : int
        J; 0 leaves :math:`U_0`.
    residual : bool
        False drops both residual lines of Fig. 3 (Table 5's ablation):
        :math:`U_{j+1} = S(E_{j+1} * D_{j+1} * U_j)`, a plain feed-forward network.
    tied : bool
        One E (also as :math:`E_0`), one D and one threshold for all blocks: Eq. 18 as it is
        written, without indices. False: each block has its own, as in the released code.

    Attributes
    ----------
    first : Analysis
        :math:`E_0`.
    down : ModuleList of Synthesis
        :math:`D_1 \ldots D_J` (one if tied).
    up : ModuleList of Analysis
        :math:`E_1 \ldots E_J` (empty if tied).
    thresholds : parameter (J + 1,)
        :math:`\lambda_0 \ldots \lambda_J` (one if tied). They start at 0.01.

    Notes
    -----
    (2 J + 1) C K s^2 filter weights; as many multiplications a pixel.
    """

    def __init__(
        self,
        channels: int,
        filters: int,
        kernel_size: int,
        blocks: int,
        *,
        residual: bool = True,
        tied: bool = False,
    ) -> None:
        super().__init__()
        self.blocks = blocks
        self.residual = residual
        self.tied = tied
        own = min(blocks, 1) if tied else blocks
        self.first = Analysis(channels, filters, kernel_size)
        self.down = nn.ModuleList(Synthesis(filters, channels, kernel_size) for _ in range(own))
        self.up = nn.ModuleList(
            Analysis(channels, filters, kernel_size) for _ in range(0 if tied else own)
        )
        self.thresholds = nn.Parameter(torch.full((1 if tied else blocks + 1,), START))

    def layers(self) -> list[tuple[Synthesis, Analysis, Tensor]]:
        """Return D, E and threshold of each block."""
        if self.tied:
            shared = self.thresholds[0]
            return [(self.down[0], self.first, shared) for _ in range(self.blocks)]  # type: ignore[misc]
        return list(zip(self.down, self.up, self.thresholds[1:], strict=True))  # type: ignore[arg-type]

    def steps(self) -> Steps:
        """Return what it computes with, for an engine."""
        layers = self.layers()
        return Steps(
            first=self.first.weight,
            down=tuple(down.weight for down, _, _ in layers),
            up=tuple(up.weight for _, up, _ in layers),
            thresholds=self.thresholds.expand(self.blocks + 1) if self.tied else self.thresholds,
            residual=self.residual,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps (N, K, H, W) of an image (N, C, H, W)."""
        if engine_for(self, x) == "cpu_training":
            return cpu_training.maps(self.steps(), x)
        return reference.unroll(
            x, self.first, self.thresholds[0], self.layers(), residual=self.residual
        )
