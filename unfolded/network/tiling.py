r"""Large images in tiles whose overlap is exact.

Every LCSC block looks ``s - 1`` pixels further (D before, E after, or the other way round), the
first E and the two convolutions around the common module add the rest: one output pixel depends
on

.. math:: 2 (J + 1)(s - 1)

pixels on each side of it, and on no others. A tile that brings so many along, or ends where the
image does, gives the untiled result.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from mcsc.checks import check_whole

from .configuration import Configuration


def radius(configuration: Configuration) -> int:
    """Return how many pixels on each side an output pixel depends on.

    2 (J + 1) (s - 1) a sweep: a pair of D and E reaches s - 1 pixels, and there are J + 1 on the
    way to u, with what c explains before, and as many on that to c.
    """
    pairs = 2 * configuration.sweeps * (configuration.blocks + 1)
    return pairs * (configuration.kernel_size - 1)


def work_of_tiles(configuration: Configuration, shape: tuple[int, int], tile: int) -> float:
    """Return how many times the pixels of an image (H, W) are computed in tiles of a side."""
    reach = radius(configuration)
    total = 1.0
    for length in shape:
        ends = range(0, length, tile)
        total *= sum(min(e + tile + reach, length) - max(e - reach, 0) for e in ends) / length
    return total


def tiled(
    net: Callable[[Tensor, Tensor], Tensor], configuration: Configuration, x: Tensor, y: Tensor,
    tile: int,
) -> Tensor:  # fmt: skip
    """Return ``net(x, y)`` computed tile by tile; see `CUNet.tiled`.

    Parameters
    ----------
    net : callable
        The network.
    configuration : Configuration
        What it is: how far it looks.
    x, y : tensor (N, C_x, H, W), (N, C_y, H, W)
        Images.
    tile : int
        Side of the square of output pixels computed at a time.

    Raises
    ------
    ValueError
        `tile` is no whole number >= 1.
    """
    tile = check_whole("tile", tile)
    reach = radius(configuration)
    n, _, height, width = x.shape
    image = x.new_empty((n, configuration.out_channels, height, width))
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(top + tile, height), min(left + tile, width)
            first_row, first_column = max(top - reach, 0), max(left - reach, 0)
            window = (
                ...,
                slice(first_row, bottom + reach),
                slice(first_column, right + reach),
            )
            part = net(x[window], y[window])
            image[..., top:bottom, left:right] = part[
                ...,
                top - first_row : bottom - first_row,
                left - first_column : right - first_column,
            ]
    return image
