"""A further sweep of the alternating strategy: u, v and c once more, with c known."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..engines.steps import SweepSteps
from .configuration import Configuration
from .engine_choice import served_by
from .layers import Synthesis
from .lcsc import LCSC


def make_modules(configuration: Configuration, *, goes_on: bool) -> dict[str, Any]:
    """Return the modules of a sweep by name: `unique`, `explained`, `common`."""
    c = configuration
    k_common, *k_unique = c.filters
    pairs = list(zip(c.channels, k_unique, strict=True))

    def lcsc(channels: int, filters: int) -> LCSC:
        return LCSC(
            channels, filters, c.kernel_size, c.blocks, residual=c.residual, tied=c.tied,
            thresholds=c.thresholds, noise_aware=c.noise_aware, goes_on=goes_on,
        )  # fmt: skip

    return {
        "unique": nn.ModuleList(lcsc(m, k) for m, k in pairs),
        "explained": nn.ModuleList(Synthesis(k, m, c.kernel_size) for m, k in pairs),
        "common": lcsc(sum(c.channels), k_common),
    }


def sweep_steps(module: Any, sigma: Tensor | None) -> SweepSteps:
    """Return the steps of a module that has what `make_modules` makes."""
    known = getattr(module, "known", None)
    return SweepSteps(
        known=None if known is None else known.weight,
        unique=(module.unique[0].steps(sigma), module.unique[1].steps(sigma)),
        explained=(module.explained[0].weight, module.explained[1].weight),
        common=module.common.steps(sigma),
    )


@served_by()
class Sweep(nn.Module):
    r"""One more pass of the alternating strategy, unrolled, from codes that there are.

    .. math::

        u' = \mathrm{LCSC}_u(x - D_c^x * c;\; u), \quad v' = \mathrm{LCSC}_v(y - D_c^y * c;\; v),
        \quad c' = \mathrm{LCSC}_c(x - D_u * u',\; y - D_v * v';\; c).

    Parameters
    ----------
    configuration : Configuration
        Configuration of the network.

    Attributes
    ----------
    known : Synthesis
        ``D_c``, of x and y one above the other: what c explains of them.
    unique, explained, common
        As in `CUNet`, of this sweep alone; the modules go on from codes.
    """

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        channels = sum(configuration.channels)
        self.known = Synthesis(configuration.filters[0], channels, configuration.kernel_size)
        for name, module in make_modules(configuration, goes_on=True).items():
            self.add_module(name, module)

    def forward(
        self, x: Tensor, y: Tensor, u: Tensor, v: Tensor, c: Tensor, sigma: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return u, v and c, each (N, K, H, W), from images and the codes before."""
        of_x, of_y = self.known(c).split((x.shape[1], y.shape[1]), dim=1)
        u = self.unique[0](x - of_x, sigma, u)  # type: ignore[index,operator]
        v = self.unique[1](y - of_y, sigma, v)  # type: ignore[index,operator]
        left = (x - self.explained[0](u), y - self.explained[1](v))  # type: ignore[index,operator]
        return u, v, self.common(torch.cat(left, dim=1), sigma, c)  # type: ignore[operator]
