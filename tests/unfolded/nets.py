"""Small networks and images, and the authors' network written out, sharing no code with ours."""

from __future__ import annotations

import pytest

from tests.paths import SHARED

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

import unfolded  # noqa: E402

OFFICIAL = SHARED / "official_weights"
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def make_net(seed=0, *, dtype=torch.float64, scale=0.6, negative=False, **options):
    """A small network whose thresholds differ.

    `scale` keeps the codes of untrained filters from growing; with `negative`, one threshold is.
    """
    torch.manual_seed(seed)
    options = {"filters": 5, "kernel_size": 3, "blocks": 2} | options
    net = unfolded.CUNet(**options).to(dtype)
    with torch.no_grad():
        modules = [m for sweep in (net, *net.again) for m in (*sweep.unique, sweep.common)]
        for i, module in enumerate(modules):
            numbers = module.thresholds.reshape(len(module.thresholds), -1)  # a view
            numbers.copy_(0.02 * torch.arange(1, len(numbers) + 1)[:, None] * (i % 3 + 1))
            numbers *= torch.linspace(0.7, 1.3, numbers.shape[1]) if numbers.shape[1] > 1 else 1
            numbers[-1] *= -1 if negative and i == 2 else 1
            if module.slopes is not None:
                module.slopes.copy_(0.5 * module.thresholds.flip(0))
        for parameter in net.parameters():
            if parameter.dim() == 4:
                parameter.mul_(scale)
    return net.eval()


def make_images(net, shape=(9, 11), *, samples=2, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.rand(samples, c, *shape, generator=generator, dtype=net.target_common.weight.dtype)
        for c in net.configuration.channels
    )


def noise_of(net, x):
    """Another noise for each sample, for a network that takes it."""
    if not net.configuration.noise_aware:
        return None
    return torch.linspace(0.02, 0.15, len(x), dtype=x.dtype, device=x.device)


def gradients(net, x, y):
    """Image, gradients in the images and in the parameters of a loss with no symmetry."""
    net.zero_grad()
    x, y = (i.clone().requires_grad_() for i in (x, y))
    z = net(x, y, noise_of(net, x))
    weight = torch.arange(z.numel(), dtype=z.dtype).reshape(z.shape).cos()
    (z * weight + z.square()).sum().backward()
    return [z.detach(), x.grad, y.grad, *(p.grad.clone() for p in net.parameters())]


def shrink_tiles(monkeypatch):
    """Let Triton's kernels work in small tiles: several a row on images that take no time."""
    from unfolded.engines import gpu

    for name in ("MAPS", "PIXELS", "STEP", "LINES"):
        monkeypatch.setattr(gpu, name, 16)


# --------------------------------------------------------------- the authors' format
def official_state(seed=0, *, channels=(1, 1), out=1, filters=6, size=3, blocks=2, fusion=False):
    """A state dictionary with the names of the authors' release and random numbers."""
    g = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return 0.3 * torch.randn(*shape, generator=g)

    state = {}
    for name, c in (("net_u", channels[0]), ("net_v", channels[1]), ("net_z", sum(channels))):
        state[f"{name}.lam_in"] = 0.1 * torch.rand(1, generator=g)
        for j in range(blocks):
            # Some learned thresholds are negative.
            state[f"{name}.lam_{j}"] = 0.1 * torch.rand(1, generator=g) - 0.03
        state[f"{name}.layer_in.weight"] = rand(filters, c, size, size)
        for j in range(blocks):
            state[f"{name}.down_conv_{j}.weight"] = rand(c, filters, size, size)
            state[f"{name}.up_conv_{j}.weight"] = rand(filters, c, size, size)
        if name != "net_z":
            state[f"conv_{name[-1]}.weight"] = rand(c, filters, size, size)
    for i in (1, 2, 3) if fusion else (1, 2):
        state[f"decoder.conv_{i}.weight"] = rand(out, filters, size, size)
    return state


def official_parts(state, x, y):
    """Common and unique parts by the released network's definition, layer by layer (odd sizes)."""

    def conv(image, name):
        weight = state[f"{name}.weight"]
        return F.conv2d(image, weight, padding=weight.shape[-1] // 2)

    def shrink(t, lam):
        return torch.sign(t) * F.relu(torch.abs(t) - lam)

    def prediction(image, name):
        p1 = conv(image, f"{name}.layer_in")
        t = shrink(p1, state[f"{name}.lam_in"])
        j = 0
        while f"{name}.lam_{j}" in state:
            p4 = conv(conv(t, f"{name}.down_conv_{j}"), f"{name}.up_conv_{j}")
            t = shrink(p1 + (t - p4), state[f"{name}.lam_{j}"])
            j += 1
        return t

    u, v = prediction(x, "net_u"), prediction(y, "net_v")
    c = prediction(torch.cat((x - conv(u, "conv_u"), y - conv(v, "conv_v")), dim=1), "net_z")
    parts = [conv(c, "decoder.conv_2"), conv(u, "decoder.conv_1")]
    if "decoder.conv_3.weight" in state:
        parts.append(conv(v, "decoder.conv_3"))
    return parts
