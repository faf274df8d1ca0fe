"""Fast inference on a device: the same images, in the precision that was asked for."""

from __future__ import annotations

import pytest

from tests.unfolded.nets import make_images, make_net, torch
from unfolded import accelerate

SHAPES = ((21, 17), (30, 40))


@pytest.mark.parametrize("options", [{}, {"task": "fusion", "channels": (3, 3), "out_channels": 3}])
@pytest.mark.parametrize("kernels", ["auto", "layers", "compiled"])
def test_the_same_images(options, kernels):
    net = make_net(dtype=torch.float32, **options).train()
    fast = accelerate(net, "cpu", kernels=kernels, backend="eager")
    assert fast.kernels == ("compiled" if kernels == "compiled" else "layers")
    assert net.training  # the caller's network is left as it is
    assert fast.net is not net
    for shape in SHAPES:
        x, y = make_images(net, shape)
        with torch.no_grad():
            wanted = net.double()(x.double(), y.double())
        net.float()
        found = fast(x, y)
        assert found.dtype == torch.float32
        assert not found.requires_grad
        assert (found - wanted).abs().max() < 1e-5


def test_bfloat16_is_near_and_not_the_same():
    net = make_net(dtype=torch.float32, filters=16, kernel_size=5)
    x, y = make_images(net, (140, 140), samples=1)
    with torch.no_grad():
        wanted = net(x, y)
    found = accelerate(net, "cpu", precision="bfloat16")(x, y)
    error = (found - wanted).abs().max() / wanted.abs().max()
    assert 1e-6 < error < 3e-2


def test_refusals():
    net = make_net(dtype=torch.float32)
    with pytest.raises(ValueError, match="precision must be one of float32, tf32, bfloat16; fo"):
        accelerate(net, "cpu", precision="fp8")
    with pytest.raises(ValueError, match="kernels must be one of auto, fused, compiled, layers; f"):
        accelerate(net, "cpu", kernels="cuda")
    with pytest.raises(ValueError, match="tf32 is of NVIDIA GPUs, the device is 'cpu'"):
        accelerate(net, "cpu", precision="tf32")
    with pytest.raises(TypeError, match=r"call net\.float\(\) first"):
        accelerate(net.double(), "cpu")
    net = accelerate(make_net(dtype=torch.float32), "cpu")
    x, y = make_images(net.net)
    with pytest.raises(ValueError, match="x holds NaN or Inf"):
        net(x * float("nan"), y)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_it_says_so():
    with pytest.raises(RuntimeError, match="finds no CUDA device here; use device='cpu'"):
        accelerate(make_net(dtype=torch.float32))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(
    ("precision", "limit"), [("float32", 1e-5), ("tf32", 1e-3), ("bfloat16", 3e-2)]
)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kernels", ["fused", "compiled", "layers"])
def test_on_a_gpu(kernels, precision, limit, channels):
    options = {"channels": (channels, channels), "out_channels": channels, "filters": 64}
    net = make_net(dtype=torch.float32, kernel_size=8, blocks=4, scale=0.7, **options)
    fast = accelerate(net, precision=precision, kernels=kernels)
    for shape in ((96, 80), (45, 300)):
        x, y = make_images(net, shape)
        with torch.no_grad():
            wanted = net.double()(x.double(), y.double())
        net.float()
        found = fast(x.cuda(), y.cuda())
        assert found.is_cuda
        assert wanted.abs().max() > 0.1
        assert (found.cpu() - wanted).norm() < limit * wanted.norm()
