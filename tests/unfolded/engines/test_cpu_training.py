"""What the CPU's training engine promises besides the layers' values (see test_parity)."""

from __future__ import annotations

import pytest

from tests.unfolded.nets import gradients, make_images, make_net, torch
from unfolded.engines.cpu_training import product_gradient, product_synthesis
from unfolded.engines.reference import synthesis_gradient, synthesise


def test_gradients_do_not_depend_on_the_number_of_threads(keep_torch_threads):
    net = make_net(dtype=torch.float32).train()
    x, y = make_images(net, samples=5)
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(gradients(net, x, y))
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_products_are_the_convolution_and_its_adjoint(size):
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 4, 9, 11, generator=generator)
    weight = torch.randn(3, 4, size, size, generator=generator)
    image = torch.randn(2, 3, 9, 11, generator=generator)
    torch.testing.assert_close(
        product_synthesis(maps, weight), synthesise(maps, weight), atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(
        product_gradient(maps, image, size),
        synthesis_gradient(maps, image, size),
        atol=1e-4,
        rtol=1e-5,
    )


def test_a_second_derivative_is_refused():
    net = make_net(dtype=torch.float32).train()
    x, y = make_images(net)
    (first,) = torch.autograd.grad(
        net(x, y).square().sum(), [net.target_common.weight], create_graph=True
    )
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.square().sum().backward()


def test_a_graph_can_be_gone_through_twice():
    net = make_net(dtype=torch.float32).train()
    x, y = make_images(net)
    loss = net(x, y).square().sum()
    first, second = (
        torch.autograd.grad(loss, list(net.parameters()), retain_graph=True) for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
