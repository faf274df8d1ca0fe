r"""Learned convolutional sparse coding: ISTA, unrolled, with learned filters and thresholds."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mcsc.checks import check_choice, check_whole
from mcsc.errors import InvalidTypeError, InvalidValueError

from ..engines import reference, training
from ..engines.steps import Steps
from .configuration import Thresholds, check_flags
from .engine_choice import engine_for, served_by
from .layers import Analysis, Synthesis

START = 0.01
"""Thresholds before training, as in the authors' released code."""


@served_by("training")
class LCSC(nn.Module):
    r"""J unrolled steps of convolutional ISTA (Eqs. 8, 10, 13; Appendix A, Eq. 18).

    .. math::

        U_0 & = S_{\lambda_0}(E_0 * x), \\
        U_{j+1} & = S_{\lambda_{j+1}}(U_j - E_{j+1} * D_{j+1} * U_j + E_0 * x), \\
        & \quad j = 0, \ldots, J - 1.

    :math:`E_0 * x` is computed once and used by every block. There are no biases. A module that
    goes on from maps has J + 1 blocks, the first on these maps.

    Parameters
    ----------
    channels : int
        Channels C of the image x.
    filters : int
        Number of maps K.
    kernel_size : int
        Side s of the filters, odd or even.
    blocks : int
        Number of blocks J; with 0 the output is :math:`U_0`.
    residual : bool
        False drops both residual lines of Fig. 3 (Table 5's ablation):
        :math:`U_{j+1} = S(E_{j+1} * D_{j+1} * U_j)`, a plain feed-forward network.
    tied : bool
        One E (also as :math:`E_0`), one D and one threshold for all blocks: Eq. 18 as it is
        written, without indices. False: each block has its own, as in the released code.
    thresholds : {"scalar", "map"}
        One threshold for all maps, as in the authors' code, or one for each map.
    noise_aware : bool
        Thresholds are affine in the standard deviation of the noise in x,
        :math:`\lambda + \sigma \mu`: the lambda of a sparse code that fits the noise is
        proportional to it.
    goes_on : bool
        Whether the module starts from maps that are given to it, instead of zero.

    Attributes
    ----------
    first : Analysis
        :math:`E_0`.
    down : ModuleList of Synthesis
        :math:`D_1 \ldots D_J` (one if tied).
    up : ModuleList of Analysis
        :math:`E_1 \ldots E_J` (empty if tied).
    thresholds : parameter (J + 1,) or (J + 1, K)
        :math:`\lambda_0 \ldots \lambda_J` (one if tied). They start at 0.01.
    slopes : parameter like `thresholds`, or None
        :math:`\mu`, a threshold for a noise of 1. They start at 0.

    Notes
    -----
    There are (2 J + 1) C K s^2 filter weights, and as many multiplications per pixel; 2 C K s^2
    more in a module that goes on.
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
        thresholds: Thresholds = "scalar",
        noise_aware: bool = False,
        goes_on: bool = False,
    ) -> None:
        super().__init__()
        channels, filters = check_whole("channels", channels), check_whole("filters", filters)
        kernel_size = check_whole("kernel_size", kernel_size)
        blocks = check_whole("blocks", blocks, least=0)
        check_choice("thresholds", thresholds, Thresholds)
        check_flags(residual=residual, tied=tied, noise_aware=noise_aware, goes_on=goes_on)
        if goes_on and not residual:
            raise InvalidValueError("without residuals there is nothing to go on from")
        self.blocks = blocks
        self.residual = residual
        self.tied = tied
        self.goes_on = goes_on
        count = blocks + goes_on
        own = min(count, 1) if tied else count
        self.first = Analysis(channels, filters, kernel_size)
        self.down = nn.ModuleList(Synthesis(filters, channels, kernel_size) for _ in range(own))
        self.up = nn.ModuleList(
            Analysis(channels, filters, kernel_size) for _ in range(0 if tied else own)
        )
        shape = (1 if tied else blocks + 1, *((filters,) if thresholds == "map" else ()))
        self.thresholds = nn.Parameter(torch.full(shape, START))
        self.slopes = nn.Parameter(torch.zeros(shape)) if noise_aware else None

    def layers(self) -> list[tuple[Synthesis, Analysis]]:
        """Return D and E of each block."""
        if self.tied:
            count = self.blocks + self.goes_on
            return [(self.down[0], self.first) for _ in range(count)]  # type: ignore[misc]
        return list(zip(self.down, self.up, strict=True))  # type: ignore[arg-type]

    def steps(self, sigma: Tensor | None = None) -> Steps:
        """Return the filters and thresholds of the module, for an engine that computes it.

        Parameters
        ----------
        sigma : tensor (N,) or (1,), optional
            Noise of each sample, or of all. None: none.
        """
        layers = self.layers()
        return Steps(
            first=self.first.weight,
            down=tuple(down.weight for down, _ in layers),
            up=tuple(up.weight for _, up in layers),
            thresholds=self._numbers(sigma),
            residual=self.residual,
            goes_on=self.goes_on,
        )

    def _numbers(self, sigma: Tensor | None) -> Tensor:
        """Thresholds (N or 1, J + 1, K or 1)."""
        found = self.thresholds.reshape(1, self.thresholds.shape[0], -1)
        if self.slopes is not None and sigma is not None:
            found = found + sigma[:, None, None] * self.slopes.reshape(found.shape)
        return found.expand(-1, self.blocks + 1, -1)

    def forward(
        self, x: Tensor, sigma: Tensor | None = None, start: Tensor | None = None
    ) -> Tensor:
        """Return the maps (N, K, H, W) of an image (N, C, H, W).

        Parameters
        ----------
        x : tensor (N, C, H, W)
            The image.
        sigma : tensor (N,) or (1,), optional
            Noise of a module whose thresholds follow it. None: none.
        start : tensor (N, K, H, W), optional
            Maps of a module that goes on.

        Raises
        ------
        TypeError
            Maps are given to a module that does not go on, or none to one that does.
        """
        if (start is not None) != self.goes_on:
            raise InvalidTypeError(
                "start must be maps of a module that goes on from them, and of no other"
            )
        if engine_for(self, x) == "training":
            return training.maps(self.steps(sigma), x, start)
        return reference.unroll(
            x, self.first, self.layers(), self._numbers(sigma), residual=self.residual, start=start
        )
