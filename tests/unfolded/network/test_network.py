"""The network itself: shapes, formula, gradients, switches, parameter counts."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tests.helpers import convolve, correlate, soft
from tests.unfolded.nets import make_images, make_net, torch, unfolded
from unfolded.engines.reference import soft_threshold, synthesis_gradient
from unfolded.network.layers import Analysis, Synthesis


# ---------------------------------------------------------------------------- layers
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("channels", [1, 3])
def test_layers_are_the_design_s_convolution_and_its_adjoint(size, channels):
    rng = np.random.default_rng(size)
    bank = rng.standard_normal((4, channels, size, size))
    maps, image = rng.standard_normal((4, 9, 7)), rng.standard_normal((channels, 9, 7))
    down, up = Synthesis(4, channels, size).double(), Analysis(channels, 4, size).double()
    with torch.no_grad():
        up.weight.copy_(torch.from_numpy(bank))
        down.weight.copy_(torch.from_numpy(bank).flip(-2, -1).swapaxes(0, 1))
        found_image = down(torch.from_numpy(maps)[None])[0].numpy()
        found_maps = up(torch.from_numpy(image)[None])[0].numpy()
    np.testing.assert_allclose(found_image, convolve(bank, maps), atol=1e-12)
    np.testing.assert_allclose(found_maps, correlate(bank, image), atol=1e-12)
    assert np.vdot(found_image, image) == pytest.approx(np.vdot(found_maps, maps), rel=1e-12)


@pytest.mark.parametrize("size", [3, 4])
def test_gradient_of_a_synthesis_in_its_filters(size):
    torch.manual_seed(0)
    layer = Synthesis(3, 2, size).double()
    maps, image = torch.randn(2, 3, 6, 7).double(), torch.randn(2, 2, 6, 7).double()
    torch.sum(layer(maps) * image).backward()
    torch.testing.assert_close(synthesis_gradient(maps, image, size), layer.weight.grad)


def test_soft_threshold():
    t = torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0])
    lam, grow = torch.tensor(1.0), torch.tensor(-0.25)
    for context in (torch.no_grad, torch.enable_grad):
        with context():
            assert soft_threshold(t, lam).tolist() == [-1.0, 0.0, 0.0, 0.0, 1.0]
            # As released: a negative threshold makes |t| grow, and leaves zero where it is.
            assert soft_threshold(t, grow).tolist() == [-2.25, -0.75, 0.0, 0.75, 2.25]


@pytest.mark.parametrize("lam", [0.3, -0.2])
def test_soft_threshold_has_the_formula_s_gradient(lam):
    torch.manual_seed(0)
    t = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    threshold = torch.tensor(lam, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(soft_threshold, (t, threshold))


# --------------------------------------------------------------------------- network
@pytest.mark.parametrize("task", ["restoration", "fusion"])
@pytest.mark.parametrize(("channels", "out"), [((1, 1), 1), ((1, 3), 1), ((3, 3), 3), ((5, 3), 5)])
@pytest.mark.parametrize("size", [3, 4])
def test_shapes(task, channels, out, size):
    net = make_net(channels=channels, out_channels=out, task=task, kernel_size=size)
    x, y = make_images(net, (10, 7))
    split = net.split(x, y)
    assert split.image.shape == split.common.shape == (2, out, 10, 7)
    assert split.unique[0].shape == split.image.shape
    c, (u, v) = net.codes(x, y)
    assert c.shape == u.shape == v.shape == (2, 5, 10, 7)
    total = split.common + split.unique[0]
    if task == "fusion":
        total = total + split.unique[1]
    else:
        assert split.unique[1] is None
    torch.testing.assert_close(split.image, total)
    torch.testing.assert_close(net(x, y), split.image)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("blocks", [0, 1, 3])
def test_it_is_the_formula(tied, residual, blocks):
    """Eqs. 8, 10, 13 and 4 by SciPy's convolutions."""
    net = make_net(
        channels=(1, 2), out_channels=2, task="fusion", filters=(4, 3, 2), kernel_size=4,
        blocks=blocks, tied=tied, residual=residual, negative=True,
        scale=0.6 if residual else 1.1,
    )  # fmt: skip
    x, y = make_images(net, samples=1)

    def down(layer, maps):
        return convolve(layer.weight.detach().numpy()[:, :, ::-1, ::-1].swapaxes(0, 1), maps)

    def lcsc(module, image):
        drive = correlate(module.first.weight.detach().numpy(), image)
        numbers = module.thresholds.tolist()
        maps = soft(drive, numbers[0])
        for j in range(blocks):
            d, e = (module.down[0], module.first) if tied else (module.down[j], module.up[j])
            change = correlate(e.weight.detach().numpy(), down(d, maps))
            maps = soft(
                maps - change + drive if residual else change, numbers[0 if tied else j + 1]
            )
        return maps

    images = [x[0].numpy(), y[0].numpy()]
    u, v = (lcsc(module, image) for module, image in zip(net.unique, images, strict=True))
    left = [s - down(d, a) for s, d, a in zip(images, net.explained, (u, v), strict=True)]
    c = lcsc(net.common, np.concatenate(left))
    found_c, (found_u, found_v) = net.codes(x, y)
    for found, wanted in ((found_u, u), (found_v, v), (found_c, c)):
        np.testing.assert_allclose(found[0].detach().numpy(), wanted, atol=1e-12)
        assert np.abs(wanted).max() > 1e-3
    z = down(net.target_common, c)
    z += sum(down(g, a) for g, a in zip(net.target_unique, (u, v), strict=True))
    np.testing.assert_allclose(net(x, y)[0].detach().numpy(), z, atol=1e-12)


@pytest.mark.parametrize("blocks", [1, 2, 3, 4, 5, 6])
def test_filter_weights_are_table_7_s(blocks):
    net = unfolded.CUNet(filters=64, kernel_size=8, blocks=blocks)
    weights = sum(p.numel() for p in net.parameters() if p.dim() == 4)
    assert weights == 32768 * (blocks + 1)
    assert round(weights / 1000) == pytest.approx([66, 99, 132, 165, 198, 231][blocks - 1], abs=2)
    others = sum(p.numel() for p in net.parameters() if p.dim() != 4)
    assert others == 3 * (blocks + 1)


def test_tied_blocks_share():
    counts = [
        sum(p.numel() for p in make_net(tied=True, blocks=blocks).parameters()) for blocks in (1, 4)
    ]
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    "options",
    [
        {"task": "fusion"},
        {"channels": (2, 1), "kernel_size": 2},
        {"tied": True},
        {"residual": False},
    ],
)
def test_gradients(options):
    net = make_net(
        **({"filters": 2, "blocks": 1, "scale": 0.9, "negative": True} | options)
    ).train()
    x, y = (a.requires_grad_() for a in make_images(net, (4, 3), samples=1))
    weights = tuple(net.parameters())

    def image(x, y, *parameters):
        named = dict(zip([n for n, _ in net.named_parameters()], parameters, strict=True))
        return torch.func.functional_call(net, named, (x, y))

    assert torch.autograd.gradcheck(image, (x, y, *weights))
    image(x, y, *weights).sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.parameters())


def test_a_few_steps_of_adam_lower_the_loss():
    net = make_net(dtype=torch.float32, filters=8, kernel_size=4).train()
    x, y = make_images(net, (24, 24))
    target = 0.5 * (x + y)
    adam = torch.optim.Adam(net.parameters(), 1e-3)
    losses = []
    for _ in range(30):
        loss = torch.mean((net(x, y) - target) ** 2)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_xavier_start_is_seeded():
    def weights():
        torch.manual_seed(3)
        return torch.cat([p.flatten() for p in unfolded.CUNet(filters=4).parameters()])

    assert torch.equal(weights(), weights())
    assert weights()[weights() == 0.01].numel() == 15


# -------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"channels": (1,)}, r"channels must be \(C_x, C_y\).*\(1,\)"),
        ({"channels": 1}, "channels must be"),
        ({"channels": (1, 0)}, "channels must be"),
        ({"filters": (3, 3)}, "filters must be one number"),
        ({"filters": 2.5}, "filters must be one number.*2.5"),
        ({"kernel_size": 0}, "kernel_size must be a whole number >= 1, found 0"),
        ({"blocks": -1}, "blocks must be a whole number >= 0, found -1"),
        ({"blocks": True}, "blocks must be a whole number"),
        ({"out_channels": "1"}, "out_channels must be a whole number"),
        ({"task": "denoise"}, "task must be 'restoration' or 'fusion', found 'denoise'"),
        ({"residual": 1}, "residual must be True or False"),
    ],
)
def test_refused_arguments(options, says):
    with pytest.raises((ValueError, TypeError), match=says):
        unfolded.CUNet(**options)


def test_refused_images():
    net = make_net(channels=(1, 3))
    x, y = make_images(net)
    call = {"forward": net, "split": net.split, "codes": net.codes, "tiled": net.tiled}
    bad = y.clone()
    bad[0, 1, 2, 3] = float("nan")
    for function in call.values():
        with pytest.raises(ValueError, match=r"x has shape \(2, 3, 9, 11\): wanted \(N, 1, H, W\)"):
            function(y, y)
        with pytest.raises(ValueError, match=r"y has shape \(2, 1, 9, 11\): wanted \(N, 3, H, W\)"):
            function(x, x)
        with pytest.raises(ValueError, match=r"x has shape \(1, 9, 11\)"):
            function(x[0], y)
        with pytest.raises(ValueError, match="registered images of one size"):
            function(x, y[..., :-1])
        with pytest.raises(ValueError, match="registered images of one size"):
            function(x, y[:1])
        with pytest.raises(ValueError, match="y holds NaN or Inf"):
            function(x, bad)
        with pytest.raises(
            TypeError, match=r"x has dtype torch.float32, the network torch.float64"
        ):
            function(x.float(), y)
        with pytest.raises(TypeError, match="integer images"):
            function((255 * x).to(torch.uint8), y)
        with pytest.raises(TypeError, match="y must be a torch tensor, found ndarray"):
            function(x, y.numpy())
        with pytest.raises(ValueError, match="x has shape"):
            function(x[..., :0], y[..., :0])


# --------------------------------------------------------------------------- package
def test_mcsc_never_imports_it():
    script = (
        "import sys, mcsc, mcsc.cli; print([m for m in sys.modules if m in ('torch', 'unfolded')])"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert run.stdout.strip() == "[]"


def test_public_names_are_there():
    for name in unfolded.__all__:
        assert getattr(unfolded, name) is not None
    assert "kernel_size=3" in repr(make_net())
