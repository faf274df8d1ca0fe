"""The passes of a training step on a GPU, recorded once and launched as graphs."""

from __future__ import annotations

import pytest

from tests.unfolded.nets import DEVICE, make_images, make_net, noise_of, torch
from unfolded.engines.cuda_graphs import GraphedPass
from unfolded.network.engine_choice import is_as_written


@pytest.fixture
def recorded(monkeypatch):
    """What is recorded, where no GPU records."""
    found = []

    def record(module, inputs):
        assert not torch.is_autocast_cache_enabled()
        before = module.forward

        def forward(*given):
            found.append(len(given))
            return before(*given)

        module.forward = forward

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", record)
    return found


def test_batches_of_the_first_size_are_launched_as_graphs(recorded):
    net = make_net(dtype=torch.float32, noise_aware=True).train()
    x, y = make_images(net)
    sigma = noise_of(net, x)
    run = GraphedPass(net)
    wanted = net(x, y, sigma)
    assert recorded == []
    for _ in range(2):
        assert torch.equal(run(x, y, sigma), wanted)
    assert recorded == [3, 3]
    run(x[:1], y[:1], sigma[:1])
    assert recorded == [3, 3]
    assert torch.equal(run(x, y, sigma), wanted)
    assert recorded == [3, 3, 3]
    assert "forward" not in vars(net)


def test_a_network_with_hooks_is_called_as_it_is(recorded):
    net = make_net(dtype=torch.float32).train()
    seen = []
    net.common.register_forward_hook(lambda *_: seen.append(1))
    x, y = make_images(net)
    assert not is_as_written(net)
    GraphedPass(net, recordable=is_as_written(net))(x, y)
    assert (recorded, seen) == ([], [1])


def test_where_recording_fails_training_goes_on_without(monkeypatch):
    def fail(*_):
        raise RuntimeError("no kernel image")

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", fail)
    net = make_net(dtype=torch.float32).train()
    x, y = make_images(net)
    run = GraphedPass(net)
    with pytest.warns(RuntimeWarning, match="CUDA graphs fail here \\(no kernel image\\)"):
        first = run(x, y)
    assert torch.equal(run(x, y), first)


@pytest.mark.gpu("torch")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_graphs_give_the_gradients_of_the_network_on_a_gpu(precision):
    net = make_net(dtype=torch.float32, noise_aware=True, sweeps=2).train().to(DEVICE)
    x, y = (image.to(DEVICE) for image in make_images(net, (32, 48)))
    sigma = noise_of(net, x)
    run = GraphedPass(net)
    found = []
    for call in (net, run, run):
        net.zero_grad()
        with torch.autocast(DEVICE, torch.bfloat16, enabled=precision == "bfloat16"):
            image = call(x, y, sigma)
        image.square().sum().backward()
        found.append([image.detach(), *(p.grad.clone() for p in net.parameters())])
        assert run._holder is not None or call is net
    for other in found[1:]:
        for a, b in zip(other, found[0], strict=True):
            assert (a - b).norm() <= 1e-3 * b.norm()
    # The weights are looked at when the graphs are launched.
    with torch.no_grad():
        net.target_common.weight.mul_(2)
    with torch.autocast(DEVICE, torch.bfloat16, enabled=precision == "bfloat16"):
        assert (run(x, y, sigma) - net(x, y, sigma)).norm() <= 1e-3 * run(x, y, sigma).norm()
