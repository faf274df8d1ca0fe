"""An engine serves a module only if that is exactly what its class says, and nothing looks on."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.nn.utils import parametrizations, prune
from torch.utils.flop_counter import FlopCounterMode

import mcsc
from tests.unfolded.nets import make_images, make_net, noise_of, torch, unfolded
from unfolded.engines import cpu_inference
from unfolded.network import lcsc
from unfolded.network.engine_choice import engine_for, is_as_written
from unfolded.network.layers import Analysis, Synthesis


class Negative(unfolded.CUNet):
    """A subclass with another answer."""

    def forward(self, x, y):
        return -super().forward(x, y)


class Louder(unfolded.CUNet):
    """A subclass with other codes."""

    def codes(self, x, y):
        c, uv = super().codes(x, y)
        return 2 * c, uv

    def split(self, x, y):
        c, (u, _) = self.codes(x, y)
        parts = super().split(x, y)
        image = self.target_common(c) + self.target_unique[0](u)
        return type(parts)(image, parts.common, parts.unique)

    def forward(self, x, y):
        return self.split(x, y).image


class LouderMaps(lcsc.LCSC):
    """A subclass of a module."""

    def forward(self, x):
        return 2 * super().forward(x)


class DoubledFilters(Synthesis):
    def forward(self, maps):
        return 2 * super().forward(maps)


class Doubled(torch.nn.Module):
    def forward(self, weight):
        return 2 * weight


def twice(*arguments):
    """A hook: whatever it is given last, twice."""
    result = arguments[-1]
    return tuple(2 * a for a in result) if isinstance(result, tuple) else 2 * result


def with_the_class_of(cls):
    def change(net, _):
        net.__class__ = cls

    return change


def module_of_a_subclass(net, _):
    net.unique[0].__class__ = LouderMaps


def hook_inside(net, _):
    net.unique[0].down[0].register_forward_hook(twice)


def hook_before(net, _):
    net.common.up[1].register_forward_pre_hook(twice)


def hook_on_the_target(net, _):
    net.target_common.register_forward_hook(twice)


def hook_on_a_module(net, _):
    net.common.register_forward_hook(twice)


def hook_everywhere(net, request):
    handle = torch.nn.modules.module.register_module_forward_hook(
        lambda module, _, out: 2 * out if isinstance(module, Analysis) else None
    )
    request.addfinalizer(handle.remove)


def parametrisation(net, _):
    torch.nn.utils.parametrize.register_parametrization(net.common.down[0], "weight", Doubled())


def weight_norm(net, _):
    parametrizations.weight_norm(net.common.down[0])
    with torch.no_grad():
        net.common.down[0].parametrizations.weight.original0.mul_(2)


def pruned(net, _):
    prune.l1_unstructured(net.unique[1].first, "weight", 0.5)


def replaced_layer(net, _):
    weight = net.common.down[0].weight
    net.common.down[0] = DoubledFilters(weight.shape[1], weight.shape[0], weight.shape[2]).to(
        weight
    )


def replaced_by_other_sizes(net, _):
    """The layers can do it; an engine could not."""
    torch.manual_seed(3)
    net.common.down[0] = Synthesis(5, 2, 7).to(net.common.down[0].weight)


def patched_instance(net, _):
    plain = net.common.forward
    net.common.forward = lambda image: 2 * plain(image)


def patched_class(net, request):
    plain = Analysis.forward
    patch = pytest.MonkeyPatch()
    patch.setattr(Analysis, "forward", lambda self, image: 2 * plain(self, image))
    request.addfinalizer(patch.undo)


CHANGES = [
    with_the_class_of(Negative), with_the_class_of(Louder), module_of_a_subclass, hook_inside,
    hook_before, hook_on_the_target, hook_on_a_module, hook_everywhere, parametrisation,
    weight_norm, pruned, replaced_layer, replaced_by_other_sizes, patched_instance, patched_class,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_is_heard(change, request):
    """On images that an engine would serve: as the layers do it, not as the class was written."""
    net = make_net(dtype=torch.float32)
    x, y = make_images(net, (128, 128), samples=1)
    assert is_as_written(net)
    with torch.no_grad():
        before = net(x, y)
    change(net, request)
    assert not (is_as_written(net) and net.steps().takes(x))
    with torch.no_grad():
        found = net(x, y)
        wanted = net.double()(x.double(), y.double())
        net.float()
    assert (found - before).abs().max() > 1e-2
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=1e-4)
    trained = net.train()(x, y)
    torch.testing.assert_close(trained.double(), wanted, rtol=0, atol=1e-4)


def test_hooks_that_only_look_on_are_called():
    net = make_net(dtype=torch.float32).train()
    x, y = make_images(net)
    seen = []
    net.common.up[0].register_full_backward_hook(lambda *_: seen.append("gradient"))
    net.unique[0].first.register_forward_hook(lambda *_: seen.append("maps"))
    net(x, y).sum().backward()
    assert sorted(seen) == ["gradient", "maps"]


def test_they_serve_again_when_all_is_as_it_was():
    net = make_net(dtype=torch.float32)
    x, _ = make_images(net, (128, 128))
    with torch.no_grad():
        handle = net.register_forward_hook(twice)
        assert engine_for(net, x) == "reference"
        handle.remove()
        assert engine_for(net, x) == "cpu_inference"


def test_inference_engine():
    net = make_net(dtype=torch.float32)
    x, _ = make_images(net, (128, 128))
    assert engine_for(net, x) == "reference"  # gradients
    with torch.no_grad():
        assert engine_for(net, x) == "cpu_inference"
        assert engine_for(net, x[..., :-1]) == "reference"  # small
        assert engine_for(net, x.double()) == "reference"
        assert engine_for(net, x.to("meta")) == "reference"
        assert engine_for(net, x.as_subclass(Subclass)) == "reference"
        assert engine_for(net.train(), x) == "reference"
    with torch.inference_mode():
        assert engine_for(net.eval(), x) == "cpu_inference"
        net.common.train()  # a part's mode changes nothing
        assert engine_for(net, x) == "cpu_inference"


class Subclass(torch.Tensor):
    pass


def test_training_engine(monkeypatch):
    net = make_net(dtype=torch.float32)
    x, _ = make_images(net)
    module = net.unique[0]
    assert engine_for(module, x) == "reference"
    net.train()
    assert engine_for(module, x) == "training"
    assert engine_for(module, x[0]) == "reference"  # no batch
    assert engine_for(module, torch.cat((x, x), dim=1)) == "reference"  # other channels
    with torch.no_grad():
        assert engine_for(module, x) == "reference"
    for there, engine in ((True, "training"), (False, "reference")):
        monkeypatch.setattr("unfolded.engines.rows.has_bfloat16", lambda there=there: there)
        with torch.autocast("cpu", torch.bfloat16):
            assert engine_for(module, x) == engine
        with torch.autocast("cpu", torch.float16):
            assert engine_for(module, x) == "reference"
    assert engine_for(module.double(), x.double()) == "reference"
    assert engine_for(module, x) == "reference"  # mixed precisions are PyTorch's to refuse


def test_an_image_without_a_batch_is_taken_in_training():
    module = lcsc.LCSC(1, 3, 3, 1).train()
    x = torch.rand(2, 1, 9, 9)
    torch.testing.assert_close(module(x[0]), module(x)[0])


def test_parameters_that_are_put_in_for_a_call_are_used():
    net = make_net(dtype=torch.float32).train()
    x, y = make_images(net)
    state = {name: 2 * p.detach() for name, p in net.named_parameters()}
    found = torch.func.functional_call(net, state, (x, y))
    net.load_state_dict(state)
    torch.testing.assert_close(found, net(x, y))


def test_a_traced_network_is_not_frozen_to_its_example():
    """An engine's image would be a constant to whoever records what PyTorch does."""
    net = make_net(dtype=torch.float32)
    x, y = make_images(net, (128, 128), samples=1)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated
        traced = torch.jit.trace(net, (x, y), check_trace=False)
        torch.testing.assert_close(traced(y, x), net(y, x), rtol=0, atol=1e-5)


# ------------------------------------------------------------- defaults and derivatives
@pytest.fixture(params=["float64", "float16", "meta"])
def other_default(request):
    """Another type, or device, of tensors that are made without one, as a caller may set it."""
    if request.param == "meta":
        torch.set_default_device("meta")
    else:
        torch.set_default_dtype(getattr(torch, request.param))
    yield request.param
    torch.set_default_device(None)
    torch.set_default_dtype(torch.float32)


def _computed(net, x, y, sigma):
    with torch.no_grad():
        assert engine_for(net.eval(), x) == "cpu_inference"
        image = net(x, y, sigma)
    x = x.clone().requires_grad_()
    assert engine_for(net.train().unique[0], x) == "training"
    net.zero_grad()
    net(x, y, sigma).square().sum().backward()
    return image, x.grad, *(p.grad.clone() for p in net.parameters())


@pytest.fixture
def computed(monkeypatch):
    """A network and images, and what they give with the usual defaults."""
    monkeypatch.setattr(cpu_inference, "LEAST_PIXELS", 1)
    net = make_net(dtype=torch.float32, sweeps=2, noise_aware=True, kernel_size=4, blocks=1)
    images = make_images(net)
    images = *images, noise_of(net, images[0])
    return net, images, _computed(net, *images)


def test_defaults_of_the_caller_are_none_of_the_engines(computed, other_default):
    net, images, wanted = computed
    for a, b in zip(_computed(net, *images), wanted, strict=True):
        assert (a.dtype, a.device) == (b.dtype, b.device)
        assert torch.equal(a, b)


def test_a_dictionary_s_network_is_on_the_cpu(other_default):
    rng = np.random.default_rng(0)
    banks = [rng.random((3, 1, 3, 3), dtype=np.float32) for _ in range(4)]
    made = mcsc.Dictionary(common=tuple(banks[:2]), unique=tuple(banks[2:]))
    net = unfolded.CUNet.from_dictionary(made, 0.1, blocks=1, sweeps=2)
    assert {(p.dtype, p.device.type) for p in net.parameters()} == {(torch.float32, "cpu")}


def test_engines_leave_other_derivatives_to_the_layers(monkeypatch):
    monkeypatch.setattr(cpu_inference, "LEAST_PIXELS", 1)
    net = make_net(dtype=torch.float32)
    x, _ = make_images(net)
    with torch.no_grad():
        assert engine_for(net, x) == "cpu_inference"
        with forward_ad.dual_level():
            assert engine_for(net, x) == "reference"
        assert engine_for(net, x) == "cpu_inference"


@pytest.mark.slow  # PyTorch compiles decompositions at the first of these calls, with a warning
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*is deprecated:DeprecationWarning")
@pytest.mark.parametrize("training", [False, True])
def test_derivatives_by_other_ways_than_backward(training, monkeypatch):
    """On images that an engine would serve: its numbers have no derivatives but its own."""
    monkeypatch.setattr(cpu_inference, "LEAST_PIXELS", 1)
    net = make_net(dtype=torch.float32, blocks=1, negative=True).train(training)
    x, y = make_images(net)
    along = torch.ones_like(x)
    leaf = x.clone().requires_grad_()
    with torch.enable_grad():
        wanted = torch.autograd.grad(net(leaf, y).square().sum(), leaf)[0]

    def loss(image):
        return net(image, y).square().sum()

    with torch.no_grad():
        torch.testing.assert_close(torch.func.grad(loss)(x), wanted, rtol=1e-4, atol=1e-4)
        _, slope = torch.func.jvp(loss, (x,), (along,))
        torch.testing.assert_close(slope, wanted.sum(), rtol=1e-4, atol=1e-2)
        # No gradients are wanted: this says nothing of these derivatives.
        with forward_ad.dual_level():
            found = forward_ad.unpack_dual(loss(forward_ad.make_dual(x, along))).tangent
        torch.testing.assert_close(found, wanted.sum(), rtol=1e-4, atol=1e-2)
        both = torch.func.vmap(lambda a, b: net(a[None], b[None])[0])(x, y)
        torch.testing.assert_close(both, net(x, y), rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------- no values
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("options", [{}, {"sweeps": 2, "noise_aware": True}], ids=["plain", "more"])
def test_shapes_are_computed_where_there_are_no_values(options, dtype, training):
    net = make_net(dtype=dtype, **options).train(training)
    given = [i for i in (*make_images(net), noise_of(net, make_images(net)[0])) if i is not None]
    wanted = net(*given).shape
    for grad in (False, True):
        with torch.set_grad_enabled(grad):
            with FakeTensorMode(allow_non_fake_inputs=True) as mode:
                assert net(*(mode.from_tensor(i) for i in given)).shape == wanted
                assert net(*given).shape == wanted
            away = copy.deepcopy(net).to("meta")
            made = away(*(i.to("meta") for i in given))
            assert (made.shape, made.device.type) == (wanted, "meta")
    made.sum().backward()
    assert all(p.grad.is_meta for p in away.parameters())


@pytest.mark.parametrize("training", [False, True])
def test_a_mode_that_counts_operations_sees_them_all(training):
    found = []
    for dtype in (torch.float32, torch.float64):
        net = make_net(dtype=dtype).train(training)
        with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(training):
            net(*make_images(net))
        found.append(counter.get_total_flops())
    assert found[0] == found[1] > 0
