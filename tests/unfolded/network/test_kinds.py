"""Networks of several sweeps, of thresholds of maps, of thresholds that follow the noise."""

from __future__ import annotations

import json

import pytest
from safetensors.torch import save_file

from tests.unfolded.nets import make_images, make_net, noise_of, torch, unfolded
from unfolded.network.tiling import radius

ALL = {"sweeps": 2, "thresholds": "map", "noise_aware": True, "blocks": 1}


def test_files(tmp_path):
    net = make_net(dtype=torch.float32, **ALL)
    net.save(tmp_path / "net")
    made = unfolded.load(tmp_path / "net.safetensors", net.configuration)
    x, y = make_images(net)
    assert torch.equal(made(x, y, 0.1), net(x, y, 0.1))
    other = make_net(dtype=torch.float32, **{**ALL, "sweeps": 1})
    with pytest.raises(ValueError, match="sweeps 2 instead of 1"):
        unfolded.load(tmp_path / "net.safetensors", other.configuration)


def test_files_of_before(tmp_path):
    net = make_net(dtype=torch.float32)
    old = {k: v for k, v in net.configuration.as_dict().items() if k not in ALL or k == "blocks"}
    header = {"kind": "unfolded.CUNet", "format": "1", "configuration": json.dumps(old)}
    save_file(net.state_dict(), tmp_path / "old.safetensors", header)
    made = unfolded.load(tmp_path / "old.safetensors")
    assert made.configuration == net.configuration
    x, y = make_images(net)
    assert torch.equal(made(x, y), net(x, y))


@pytest.mark.parametrize("sweeps", [1, 2, 3])
@pytest.mark.parametrize("blocks", [0, 1])
def test_tiles(sweeps, blocks):
    net = make_net(**{**ALL, "sweeps": sweeps, "blocks": blocks}, kernel_size=4, filters=2)
    x, y = make_images(net, (70, 90))
    sigma = noise_of(net, x)
    with torch.no_grad():
        whole = net(x, y, sigma)
        torch.testing.assert_close(net.tiled(x, y, 23, sigma), whole, rtol=0, atol=1e-12)
        # Without thresholds a pixel reaches just as far.
        for module in net.modules():
            if isinstance(module, unfolded.LCSC):
                module.thresholds.zero_()
                module.slopes.zero_()
        other = y.clone()
        other[..., 35, 45] += 1
        changed = (net(x, other, 0.0) - net(x, y, 0.0))[0, 0].abs() > 0
    reach = radius(net.configuration)
    columns = changed.any(0).nonzero()
    assert reach / 2 < max(45 - columns.min(), columns.max() - 45) <= reach


def test_noise_is_each_samples_own():
    net = make_net(**ALL)
    x, y = make_images(net)
    sigma = noise_of(net, x)
    with torch.no_grad():
        both = net(x, y, sigma)
        for i in range(2):
            alone = net(x[i : i + 1], y[i : i + 1], float(sigma[i]))
            torch.testing.assert_close(both[i : i + 1], alone, rtol=0, atol=1e-12)
        assert not torch.equal(net(x, y, 0.0), net(x, y, 0.1))


@pytest.mark.parametrize(
    ("sigma", "error", "words"),
    [
        (None, TypeError, "give sigma"),
        (-0.1, ValueError, "sigma must be"),
        (float("nan"), ValueError, "sigma must be"),
        (torch.tensor([0.1, -0.1]), ValueError, "negative"),
        (torch.tensor([0.1] * 3), ValueError, "3 values for 2 samples"),
        (torch.tensor([1, 2]), TypeError, "float tensor"),
        ("loud", ValueError, "sigma must be"),
    ],
)
def test_noise_that_is_none(sigma, error, words):
    net = make_net(**ALL)
    x, y = make_images(net)
    for call in (net, net.split, net.codes, net.tiled):
        with pytest.raises(error, match=words):
            call(x, y, sigma=sigma)


def test_noise_is_not_for_every_network():
    net = make_net()
    with pytest.raises(TypeError, match="noise_aware; this one is not"):
        net(*make_images(net), 0.1)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"sweeps": 0}, "sweeps"),
        ({"sweeps": 2, "residual": False}, "residual=True"),
        ({"thresholds": "filter"}, "thresholds must be"),
        ({"noise_aware": 1}, "noise_aware must be"),
    ],
)
def test_kinds_that_are_none(options, error):
    with pytest.raises((ValueError, TypeError), match=error):
        unfolded.CUNet(**options)


def test_a_module_goes_on_from_maps_or_does_not():
    x, maps = torch.rand(1, 1, 9, 9), torch.zeros(1, 3, 9, 9)
    with pytest.raises(TypeError, match="start"):
        unfolded.LCSC(1, 3, 3, 1)(x, start=maps)
    with pytest.raises(TypeError, match="start"):
        unfolded.LCSC(1, 3, 3, 1, goes_on=True)(x)


def test_accelerated_takes_noise():
    net = make_net(dtype=torch.float32, **ALL)
    fast = unfolded.accelerate(net, "cpu")
    x, y = make_images(net)
    sigma = noise_of(net, x)
    with torch.no_grad():
        wanted = net(x, y, sigma)
    torch.testing.assert_close(fast(x, y, sigma), wanted)
    torch.testing.assert_close(fast.tiled(x, y, 8, sigma), wanted)
    with pytest.raises(TypeError, match="give sigma"):
        fast(x, y)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"channels": 0}, "channels must be a whole number >= 1, found 0"),
        ({"filters": 3.0}, "filters must be a whole number"),
        ({"kernel_size": 0}, "kernel_size must be a whole number"),
        ({"blocks": -1}, "blocks must be a whole number >= 0, found -1"),
        ({"thresholds": "maps"}, "thresholds must be 'scalar' or 'map', found 'maps'"),
        ({"tied": "no"}, "tied must be True or False, found 'no'"),
        ({"goes_on": 1}, "goes_on must be True or False"),
        ({"goes_on": True, "residual": False}, "nothing to go on from"),
    ],
)
def test_modules_that_are_none(change, says):
    options = {"channels": 1, "filters": 3, "kernel_size": 3, "blocks": 1} | change
    with pytest.raises((ValueError, TypeError), match=says):
        unfolded.LCSC(**options)
