"""What the training engine promises besides the layers' values (see test_parity)."""

from __future__ import annotations

import pytest

from tests.unfolded.nets import DEVICE, gradients, make_images, make_net, torch
from unfolded.engines import pointwise, rows
from unfolded.engines.reference import analyse, synthesis_gradient, synthesise
from unfolded.engines.training import product_gradient, product_synthesis


@pytest.mark.parametrize("half", [False, True])
def test_gradients_do_not_depend_on_the_number_of_threads(half, keep_torch_threads):
    if half and not rows.has_bfloat16():
        pytest.skip("this processor does not multiply in bfloat16")
    net = make_net(dtype=torch.float32).train()
    x, y = make_images(net, samples=9)  # three parts
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
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


@pytest.mark.skipif(not rows.has_bfloat16(), reason="no products in bfloat16 here")
@pytest.mark.parametrize("size", [1, 2, 5, 8])
@pytest.mark.parametrize("filters", [8, 12, 32])
@pytest.mark.parametrize("channels", [1, 3])
def test_products_in_bfloat16_are_the_convolution(size, filters, channels):
    # The library's own are not, for some filters on 8 or 12 channels.
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, filters, 30, 34, generator=generator)
    weight = torch.randn(channels, filters, size, size, generator=generator)
    image = torch.randn(2, channels, 30, 34, generator=generator)
    half = torch.bfloat16

    def close(found, wanted):
        return (found - wanted).norm() <= 0.01 * wanted.norm()

    with torch.autocast("cpu", half):
        found = product_synthesis(maps, weight)
    assert close(found, synthesise(maps, weight))
    columns = rows.unfold(rows.last(image), size, half)
    filters_up = weight.transpose(0, 1)
    found = rows.analyse(columns, rows.analysis_of(filters_up.to(half)))
    assert close(rows.first(found), analyse(image, filters_up))
    found = rows.gradient(columns, rows.last(maps.to(half)), filters_up.shape)
    wanted = synthesis_gradient(maps, image, size).flip(2, 3).transpose(0, 1)
    assert close(found, wanted)


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


def test_triton_kernels_that_fail_or_disagree_do_not_serve(monkeypatch):
    triton_training = pytest.importorskip("unfolded.engines.triton_training")
    device = torch.device(DEVICE)
    assert pointwise.checked(device)
    gate = triton_training.gate
    monkeypatch.setattr(triton_training, "gate", lambda *a: gate(*a) + 1)
    with pytest.warns(RuntimeWarning, match="Triton kernels disagree with PyTorch"):
        assert not pointwise.checked(device)
    monkeypatch.setattr(triton_training, "gate", lambda *a: 1 / 0)
    with pytest.warns(RuntimeWarning, match="fail here \\(ZeroDivisionError"):
        assert not pointwise.checked(device)
