"""Training on a CPU: the layers' values and gradients, by other means."""

from __future__ import annotations

import pytest

from tests.unfolded.nets import make_images, make_net, torch
from unfolded.engines import cpu_training as fast_training
from unfolded.engines.cpu_training import product_gradient, product_synthesis
from unfolded.network.layers import synthesis_gradient, synthesise


def gradients(net, x, y):
    """Image, gradients in the images and in the parameters of a loss with no symmetry."""
    net.zero_grad()
    x, y = (i.clone().requires_grad_() for i in (x, y))
    z = net(x, y)
    weight = torch.arange(z.numel(), dtype=z.dtype).reshape(z.shape).cos()
    (z * weight + z.square()).sum().backward()
    return [z.detach(), x.grad, y.grad, *(p.grad.clone() for p in net.parameters())]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"kernel_size": 4},
        {"kernel_size": 1},
        {"kernel_size": 8, "filters": (7, 5, 6)},
        {"task": "fusion", "channels": (3, 1), "out_channels": 2},
        {"tied": True},
        {"residual": False, "scale": 1.2},
        {"blocks": 0},
        {"negative": True},
    ],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_gradients_are_those_of_the_layers_in_double_precision(
    options, threads, keep_torch_threads
):
    net = make_net(dtype=torch.float64, **options).train()
    x, y = make_images(net, (13, 10), samples=3)
    wanted = gradients(net, x, y)
    assert not fast_training.applies(net, x)
    net = net.float()
    assert fast_training.applies(net, x.float())
    torch.set_num_threads(threads)
    found = gradients(net, x.float(), y.float())
    for a, b in zip(found, wanted, strict=True):
        assert a.dtype == torch.float32
        assert (a - b).abs().max() <= 2e-5 * b.abs().max()


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


def test_not_in_evaluation_mode_and_not_under_autocast():
    """There the layers keep their own order of summation."""
    net = make_net(dtype=torch.float32)
    x, _ = make_images(net)
    assert not fast_training.applies(net, x)
    net.train()
    with torch.no_grad():
        assert not fast_training.applies(net, x)
    with torch.autocast("cpu", torch.bfloat16):
        assert not fast_training.applies(net, x)
    assert fast_training.applies(net, x)


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
