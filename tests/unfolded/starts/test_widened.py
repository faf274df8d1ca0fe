"""Networks of other kinds that begin where a trained one is."""

from __future__ import annotations

import pytest

from tests.unfolded.nets import gradients, make_images, make_net, torch, unfolded

KINDS = [{"sweeps": 2}, {"sweeps": 3}, {"thresholds": "map"}, {"noise_aware": True}]


@pytest.mark.parametrize("kind", [*KINDS, {k: v for kind in KINDS for k, v in kind.items()}])
@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 4, "negative": True},
        {"kernel_size": 3, "channels": (1, 3), "task": "fusion", "tied": True},
        {"blocks": 0},
    ],
)
def test_the_result_is_the_same_at_first(kind, options):
    net = make_net(**options)
    net.metadata = {"task": "depth-sr"}
    x, y = make_images(net)
    made = unfolded.widened(net, **kind)
    assert made.metadata == net.metadata
    assert {name: getattr(made.configuration, name) for name in kind} == kind
    sigma = 0.3 if made.configuration.noise_aware else None
    with torch.no_grad():
        assert torch.equal(made(x, y, sigma), net(x, y))
        made.target_common.weight.zero_()
        assert made.target_common.weight.data_ptr() != net.target_common.weight.data_ptr()


@pytest.mark.parametrize("sizes", [(3, 4), (3, 5), (4, 5), (4, 6), (4, 7), (5, 5)])
@pytest.mark.parametrize("options", [{"negative": True}, {"blocks": 0}, {"task": "fusion"}])
def test_larger_filters_give_the_same(sizes, options):
    net = make_net(kernel_size=sizes[0], **options)
    x, y = make_images(net)
    made = unfolded.widened(net, kernel_size=sizes[1], sweeps=2, thresholds="map")
    assert {v.shape[-1] for k, v in made.state_dict().items() if k.endswith("weight")} == {sizes[1]}
    with torch.no_grad():
        torch.testing.assert_close(made(x, y), net(x, y), rtol=0, atol=1e-13)


def test_what_is_new_can_be_learned():
    made = unfolded.widened(make_net(), sweeps=2, noise_aware=True).train()
    images = make_images(made)
    # At first only E has a gradient: D waits for E, and v for that of c.
    for _ in range(3):
        gradients(made, *images)
        with torch.no_grad():
            for parameter in made.parameters():
                parameter -= 1e-3 * parameter.grad
    gradients(made, *images)
    for name, parameter in made.named_parameters():
        assert bool(parameter.grad.any()), name


@pytest.mark.parametrize("sigma", [20.0, 50.0, 75.0])
def test_noise_of_any_strength_is_as_of_scaled_images(sigma):
    net = make_net()
    net.metadata = {"sigma": 50.0}
    x, y = make_images(net)
    made = unfolded.widened(net, noise_aware=True)
    scale = 50.0 / sigma
    with torch.no_grad():
        found, wanted = made(x, y, sigma / 255), net(x * scale, y * scale) / scale
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


def test_nothing_is_lost():
    made = unfolded.widened(make_net(), sweeps=2, thresholds="map", noise_aware=True)
    for kind in (
        {"sweeps": 1}, {"thresholds": "scalar"}, {"noise_aware": False}, {"kernel_size": 2},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"{next(iter(kind))} cannot become"):
            unfolded.widened(made, **kind)
    with pytest.raises(ValueError, match="residual=True"):
        unfolded.widened(make_net(residual=False), sweeps=2)
    with pytest.raises(TypeError, match="must be a CUNet"):
        unfolded.widened(torch.nn.Identity(), sweeps=2)


def test_metadata_are_its_own():
    net = make_net()
    net.metadata = {"noise_levels": [10, 90]}
    unfolded.widened(net, sweeps=2).metadata["noise_levels"].append(3)
    assert net.metadata == {"noise_levels": [10, 90]}
