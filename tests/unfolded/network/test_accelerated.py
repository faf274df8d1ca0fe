"""Fast inference on a device: the same images, in the precision that was asked for."""

from __future__ import annotations

import copy
import pickle
from importlib.util import find_spec

import pytest

from tests.unfolded.nets import DEVICE, make_images, make_net, shrink_tiles, torch
from unfolded import accelerate
from unfolded.engines import gpu
from unfolded.network import accelerated

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
SHAPES = ((21, 17), (30, 40))


@pytest.mark.parametrize(
    "kernels", ["auto", "layers", pytest.param("compiled", marks=pytest.mark.slow)]
)
def test_the_same_images(kernels):
    net = make_net(
        dtype=torch.float32, task="fusion", channels=(3, 3), out_channels=3, blocks=1
    ).train()
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
        parts = fast.split(x, y)
        assert torch.equal(parts.image, found)
        torch.testing.assert_close(parts.common + sum(parts.unique), found)
        assert fast.metadata is fast.net.metadata


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
    with pytest.raises(
        ValueError, match="kernels must be one of auto, triton, compiled, layers; f"
    ):
        accelerate(net, "cpu", kernels="cuda")
    with pytest.raises(ValueError, match="tf32 needs an NVIDIA GPU, the device is 'cpu'"):
        accelerate(net, "cpu", precision="tf32")
    with pytest.raises(
        ValueError, match="device must be one such as 'cpu', 'cuda' or 'cuda:1'; found"
    ):
        accelerate(net, "gpu")
    with pytest.raises(TypeError, match=r"call net\.float\(\) first"):
        accelerate(net.double(), "cpu")
    with pytest.raises(TypeError, match="net must be a CUNet, found Linear"):
        accelerate(torch.nn.Linear(2, 2), "cpu")
    net = accelerate(make_net(dtype=torch.float32), "cpu")
    x, y = make_images(net.net)
    with pytest.raises(ValueError, match="x holds NaN or Inf"):
        net(x * float("nan"), y)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_it_says_so():
    with pytest.raises(RuntimeError, match="finds no CUDA device here; use device='cpu'"):
        accelerate(make_net(dtype=torch.float32))


@needs_triton
def test_triton_kernels_in_tiles(monkeypatch):
    shrink_tiles(monkeypatch)
    net = make_net(dtype=torch.float32, filters=3, kernel_size=2, blocks=0).to(DEVICE)
    x, y = (i.to(DEVICE) for i in make_images(net, (1, 20), samples=1))
    fast = accelerate(net, DEVICE, kernels="triton")
    assert not fast(x, y).requires_grad
    torch.testing.assert_close(fast.tiled(x, y, 12), fast(x, y), rtol=1e-6, atol=1e-6)
    parts = fast.split(x, y)
    assert torch.equal(parts.image, fast(x, y))
    assert torch.equal(parts.common + parts.unique[0], parts.image)
    assert parts.unique[1] is None


@needs_triton
def test_triton_kernels_are_not_for_networks_that_were_changed():
    net = make_net(dtype=torch.float32, kernel_size=3)
    net.common.register_forward_hook(lambda *_: None)
    with pytest.raises(TypeError, match="Triton kernels compute CUNet itself; this network is a"):
        accelerate(net, DEVICE, kernels="triton")
    assert accelerated.choose_kernels(net, "float32", torch.device("cuda")) == "layers"


@needs_triton
def test_kernels_are_compared_with_the_layers(monkeypatch):
    shrink_tiles(monkeypatch)
    net = make_net(dtype=torch.float32, filters=3, kernel_size=3, blocks=0).to(DEVICE)
    assert 1e-5 < accelerated.disagreement(net, "tf32", ((1, 2, 17),)) < 3e-3
    with monkeypatch.context() as patch:
        patch.setattr(gpu.TritonNetwork, "__call__", lambda _, x, y: x * float("nan"))
        assert accelerated.disagreement(net, "float32", ((1, 2, 17),)) == float("inf")


@needs_triton
def test_by_themselves_where_they_agree_and_not_where_they_are_wrong(monkeypatch):
    """On a GPU "auto" asks; here its choice alone is tested."""
    net = make_net(dtype=torch.float32, filters=3, kernel_size=3, blocks=1)
    place = torch.device("cuda")
    monkeypatch.setattr(accelerated, "disagreement", lambda *_: 1e-6)
    assert accelerated.choose_kernels(net, "float32", place) == "triton"
    monkeypatch.setattr(accelerated, "disagreement", lambda *_: 0.5)
    with pytest.warns(RuntimeWarning, match=r"off by 0\.5 .*; kernels='compiled' is used instead"):
        assert accelerated.choose_kernels(net, "float32", place) == "compiled"

    def fails(*_):
        raise OSError("no compiler")

    monkeypatch.setattr(accelerated, "disagreement", fails)
    with pytest.warns(RuntimeWarning, match=r"fail here \(OSError: no compiler\); .*'layers'"):
        assert accelerated.choose_kernels(net, "float32", place) == "layers"
    monkeypatch.setattr(gpu, "runs_on", lambda _: False)
    assert accelerated.choose_kernels(net, "float32", place) == "compiled"
    assert accelerated.choose_kernels(net, "float32", torch.device("cpu")) == "layers"
    monkeypatch.setattr(accelerated, "find_spec", lambda _: None)
    assert accelerated.choose_kernels(net, "float32", place) == "layers"


@needs_triton
@pytest.mark.skipif(DEVICE == "cuda", reason="they run on the GPU that is here")
def test_refused_where_they_do_not_run(monkeypatch):
    from unfolded.engines import triton_kernels

    monkeypatch.setattr(triton_kernels, "INTERPRETED", False)
    with pytest.raises(RuntimeError, match="device 'cpu': Triton kernels need Triton and a GPU"):
        accelerate(make_net(dtype=torch.float32), "cpu", kernels="triton")


@pytest.mark.gpu("torch")
@pytest.mark.parametrize(
    ("precision", "limit"), [("float32", 1e-5), ("tf32", 1e-3), ("bfloat16", 3e-2)]
)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kernels", ["triton", "compiled", "layers"])
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


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda fast: pickle.loads(pickle.dumps(fast))])
def test_a_copy_computes_with_its_own_network(copied):
    net = make_net(dtype=torch.float32, noise_aware=True)
    fast = accelerate(net, "cpu")
    made = copied(fast)
    assert (made.precision, made.kernels) == (fast.precision, fast.kernels)
    x, y = make_images(net)
    before = fast(x, y, 0.1)
    assert torch.equal(made(x, y, 0.1), before)
    for weight in made.net.parameters():
        weight.zero_()
    assert made(x, y, 0.1).abs().max() == made.split(x, y, 0.1).image.abs().max() == 0
    assert torch.equal(fast(x, y, 0.1), before)


@pytest.mark.parametrize("device", ["xpu", "mps", "hpu", "lazy", "vulkan"])
def test_kinds_of_devices_that_are_not_there(device):
    try:
        torch.zeros(1, device=device).cpu()
    except Exception:  # whatever it is
        with pytest.raises(RuntimeError, match=f"device='{device}' cannot be used"):
            accelerate(make_net(dtype=torch.float32), device)


@pytest.mark.parametrize("device", [None, 1.5, "warp"])
def test_what_is_no_device(device):
    with pytest.raises(ValueError, match="device must be one such as 'cpu'"):
        accelerate(make_net(dtype=torch.float32), device)
