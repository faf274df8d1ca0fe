"""Tiles give the untiled result, and need every pixel of their overlap."""

from __future__ import annotations

import pytest

from tests.unfolded.nets import make_images, make_net, torch
from unfolded.network.tiling import radius


@pytest.mark.parametrize("tile", [7, 16, 64])
@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 4, "blocks": 1},
        {"kernel_size": 3, "task": "fusion", "channels": (1, 3), "out_channels": 2},
        {"kernel_size": 2, "blocks": 3, "tied": True},
    ],
)
def test_tiled_is_untiled(tile, options):
    net = make_net(**options)
    x, y = make_images(net, (43, 38), samples=1)
    with torch.no_grad():
        torch.testing.assert_close(net.tiled(x, y, tile), net(x, y), rtol=0, atol=1e-12)
        net = net.float()
        x, y = x.float(), y.float()
        torch.testing.assert_close(net.tiled(x, y, tile), net(x, y), rtol=0, atol=1e-6)


@pytest.mark.parametrize("blocks", [0, 1, 2])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_radius_is_the_exact_reach(blocks, size):
    """By the gradient of one pixel of a network without thresholds, which is linear."""
    net = make_net(kernel_size=size, blocks=blocks)
    with torch.no_grad():
        for module in (*net.unique, net.common):
            module.thresholds.zero_()
    r = radius(net.configuration)
    assert r == 2 * (blocks + 1) * (size - 1)
    side = 2 * r + 5
    x, y = (a.requires_grad_() for a in make_images(net, (side, side), samples=1))
    net(x, y)[0, 0, r + 2, r + 2].backward()
    for image in (x, y):
        used = image.grad[0, 0] != 0
        for axis in (0, 1):
            where = used.any(dim=1 - axis).nonzero().flatten()
            assert (where.min().item(), where.max().item()) == (2, 2 * r + 2)


def test_gradients_pass_through_tiles():
    net = make_net(blocks=1)
    x, y = (a.requires_grad_() for a in make_images(net, (20, 14), samples=1))
    net.tiled(x, y, 8).square().sum().backward()
    tiled = x.grad.clone()
    x.grad = None
    net(x, y).square().sum().backward()
    torch.testing.assert_close(tiled, x.grad)


@pytest.mark.parametrize("tile", [0, -3, 2.0, True, None])
def test_refused_tiles(tile):
    net = make_net()
    with pytest.raises(ValueError, match="tile must be a whole number >= 1, found"):
        net.tiled(*make_images(net), tile)
