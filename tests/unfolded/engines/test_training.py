"""What the training engine promises besides the layers' values (see test_parity)."""

from __future__ import annotations

import pytest

from tests.unfolded.nets import DEVICE, gradients, make_images, make_net, noise_of, torch
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


KINDS = [
    {},
    {"sweeps": 2, "thresholds": "map"},
    {"noise_aware": True, "task": "fusion"},
    {"sweeps": 2, "thresholds": "map", "noise_aware": True, "channels": (2, 1)},
    {"tied": True, "kernel_size": 4},
    {"residual": False, "scale": 1.5},
]


def in_two_ways(options, **images):
    """The network as the engine trains it, and in float64, which only the layers compute."""
    for dtype in (torch.float32, torch.float64):
        net = make_net(dtype=dtype, **options).train()
        x, y = (i.float().to(dtype) for i in make_images(make_net(**options), **images))
        yield net, x, y


def loss_of(net):
    """Of an image pair; neither linear nor quadratic in the image."""
    return lambda x, y: net(x, y, noise_of(net, x)).pow(3).sum()


def assert_same(found, wanted):
    for a, b in zip(found, wanted, strict=True):
        assert b.abs().max() > 0
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-5 * float(b.abs().max()))


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("name", ["hvp", "vhp", "jvp", "hessian"])
def test_higher_derivatives_are_those_of_the_layers(name, options):
    found = []
    for net, x, y in in_two_ways(options, shape=(4, 5) if name == "hessian" else (9, 11)):
        function = getattr(torch.autograd.functional, name)
        if name == "hessian":
            both = function(loss_of(net), (x, y))
            found.append([block for row in both for block in row])
            continue
        along = (torch.cos(3 * x), torch.sin(5 * y))
        call = loss_of(net) if name != "jvp" else lambda x, y, net=net: net(x, y, noise_of(net, x))
        made = function(call, (x, y), along)[1]
        found.append([made] if name == "jvp" else made)
    assert_same(*found)


@pytest.mark.parametrize("options", KINDS)
def test_a_penalty_of_gradients_has_the_gradient_of_the_layers(options):
    found = []
    for net, x, y in in_two_ways(options):
        x.requires_grad_()
        (slope,) = torch.autograd.grad(loss_of(net)(x, y), [x], create_graph=True)
        slope.square().sum().backward()
        found.append([x.grad, *(p.grad for p in net.parameters())])
    assert_same(*found)


@pytest.mark.parametrize("name", ["jacobian", "hessian"])
def test_derivatives_along_many_vectors_at_once_are_those_one_by_one(name):
    net, x, y = next(in_two_ways({"sweeps": 2}, shape=(4, 5)))
    function = getattr(torch.autograd.functional, name)
    found, wanted = (
        function(lambda x: loss_of(net)(x, y)[None].sum(), x, vectorize=v) for v in (True, False)
    )
    assert_same([found], [wanted.double()])


def test_a_third_derivative_is_that_of_the_layers():
    found = []
    for net, x, y in in_two_ways({"sweeps": 2}):
        x.requires_grad_()
        value = loss_of(net)(x, y)
        for _ in range(2):
            (slope,) = torch.autograd.grad(value, [x], create_graph=True)
            value = slope.square().sum()
        value.backward()
        found.append([x.grad])
    assert_same(*found)


@pytest.mark.parametrize("options", KINDS)
def test_a_gradient_that_is_differentiated_further_is_the_ordinary_one(options):
    net, x, y = next(in_two_ways(options))
    inputs = [x.requires_grad_(), *net.parameters()]
    found, wanted = (
        torch.autograd.grad(loss_of(net)(x, y), inputs, create_graph=further)
        for further in (True, False)
    )
    assert all(f.requires_grad and not w.requires_grad for f, w in zip(found, wanted, strict=True))
    assert_same([f.detach() for f in found], [w.double() for w in wanted])


@pytest.mark.skipif(not rows.has_bfloat16(), reason="no products in bfloat16 here")
def test_a_second_derivative_under_autocast_is_that_of_float32():
    found = []
    for half in (True, False):
        net, x, y = next(in_two_ways({"sweeps": 2}))
        x.requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = loss_of(net)(x, y)
        (slope,) = torch.autograd.grad(loss, [x], create_graph=True)
        slope.square().sum().backward()
        found.append(x.grad)
    assert (found[0] - found[1]).norm() <= 0.05 * found[1].norm()


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
