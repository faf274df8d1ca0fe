"""Every engine computes what the layers compute in double precision: one test for all of them."""

from __future__ import annotations

import pytest

from tests.unfolded.nets import (
    DEVICE,
    gradients,
    make_images,
    make_net,
    noise_of,
    shrink_tiles,
    torch,
)
from unfolded.engines import cpu_inference, gpu, pointwise, rows
from unfolded.network import engine_choice
from unfolded.network.engine_choice import engine_for

CASES = {
    "1+1, odd": {"kernel_size": 3},
    "1+1, even, many maps": {"kernel_size": 4, "filters": (3, 20, 5), "blocks": 1},
    "1+1, one pixel": {"kernel_size": 1, "negative": True},
    "1+1, large filters": {"kernel_size": 8, "filters": (7, 5, 6), "blocks": 1},
    "1+1, tied, odd": {"kernel_size": 5, "filters": 3, "blocks": 1, "tied": True},
    "1+1, tied, even": {"kernel_size": 4, "blocks": 3, "tied": True, "negative": True},
    "1+1, no blocks": {"kernel_size": 4, "filters": 3, "blocks": 0},
    "1+1, no residuals": {
        "kernel_size": 4, "filters": 3, "blocks": 1, "residual": False, "scale": 2.0,
    },
    "1+3, odd": {"kernel_size": 3, "channels": (1, 3), "filters": 3, "blocks": 1},
    "1+3, even": {"kernel_size": 4, "channels": (1, 3), "out_channels": 2, "negative": True},
    "3+1, fusion": {"kernel_size": 3, "channels": (3, 1), "task": "fusion", "out_channels": 2},
    "3+3, fusion, odd": {
        "kernel_size": 3, "channels": (3, 3), "task": "fusion", "out_channels": 3,
        "negative": True,
    },
    "3+3, fusion, even": {
        "kernel_size": 4, "channels": (3, 3), "task": "fusion", "out_channels": 3, "filters": 3,
        "blocks": 1,
    },
    "3+3, no residuals": {
        "kernel_size": 3, "channels": (3, 3), "out_channels": 3, "residual": False, "scale": 1.1,
    },
    "1+3, two sweeps": {
        "kernel_size": 4, "channels": (1, 3), "filters": (5, 3, 4), "blocks": 1, "sweeps": 2,
    },
    "1+1, thresholds of maps": {"kernel_size": 3, "thresholds": "map", "negative": True},
    "3+3, noise": {
        "kernel_size": 3, "channels": (3, 3), "out_channels": 3, "filters": 3, "blocks": 1,
        "noise_aware": True,
    },
    "3+1, fusion, all of these, tied": {
        "kernel_size": 4, "channels": (3, 1), "filters": (5, 3, 4), "blocks": 1, "task": "fusion",
        "sweeps": 3, "thresholds": "map", "noise_aware": True, "tied": True, "scale": 0.4,
    },
}  # fmt: skip

# Triton's interpreter takes a second for what a GPU does in none: these at every time and in every
# precision, the others in single precision by the slow tests, and so the one that takes longest.
INTERPRETED = {
    "1+1, even, many maps", "1+1, tied, odd", "1+1, no blocks", "1+1, no residuals", "1+3, odd",
    "3+3, fusion, even", "3+1, fusion, all of these, tied",
}  # fmt: skip
QUICK = INTERPRETED - {"3+1, fusion, all of these, tied"}


def values(parts):
    """Image, common part, unique parts."""
    found = (parts.image, parts.common, *parts.unique)
    return [part.detach() for part in found if part is not None]


def by_layers(net, x, y):
    """What the modules' own layers give: no engine knows doubles."""
    net = net.double()
    assert engine_for(net, x.double()) == "reference"
    parts = net.split(x.double(), y.double(), noise_of(net, x))
    net.float()
    return values(parts)


def reference(net, x, y, precision):
    dtype = getattr(torch, precision)
    with torch.no_grad():
        assert engine_for(net, x) == "reference"
        parts = net.to(dtype).split(x.to(dtype), y.to(dtype), noise_of(net, x))
    return values(parts)


def inference(net, x, y, precision):
    half = precision == "bfloat16"
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        common, unique = cpu_inference.parts(net.steps(noise_of(net, x)), x, y)
    return [sum(unique, common), common, *unique]


def training(net, x, y, precision):
    net.train()
    with as_in_training(precision):
        assert engine_for(net.unique[0], x) == "training"
        maps = net.common(torch.cat((x, y), 1), noise_of(net, x))
        assert maps.dtype == getattr(torch, precision)
        assert engine_for(net.target_common, maps) == "training"
        return values(net.split(x, y, noise_of(net, x)))


def as_in_training(precision):
    half = precision == "bfloat16"
    if half and not rows.has_bfloat16():
        pytest.skip("this processor does not multiply in bfloat16")
    return torch.autocast("cpu", torch.bfloat16, enabled=half)


def kernels(net, x, y, precision):
    sigma = noise_of(net, x)
    level = None if sigma is None else sigma.to(DEVICE)
    steps = net.to(DEVICE).steps(level)
    run = gpu.TritonNetwork(steps, precision)
    common, unique = run.parts(x.to(DEVICE), y.to(DEVICE))
    found = sum(unique, common)
    if level is not None:  # as `accelerate` gives them, to a network that has none
        given = [m.thresholds for sweep in steps.sweeps for m in sweep.modules]
        other = gpu.TritonNetwork(net.steps(), precision)(x.to(DEVICE), y.to(DEVICE), *given)
        assert torch.equal(found, other)
    return [part.cpu() for part in (found, common, *unique)]


# Each engine and precision, and its largest relative error (root mean square: where a threshold is
# negative, a value that is rounded across zero jumps by twice as much).
ENGINES = {
    ("reference", "float32"): (reference, 2e-6),
    ("reference", "bfloat16"): (reference, 5e-2),
    ("cpu_inference", "float32"): (inference, 2e-6),
    ("cpu_inference", "bfloat16"): (inference, 5e-2),
    ("training", "float32"): (training, 2e-6),
    ("training", "bfloat16"): (training, 5e-2),
    ("gpu", "float32"): (kernels, 2e-6),
    ("gpu", "tf32"): (kernels, 5e-3),
    ("gpu", "bfloat16"): (kernels, 5e-2),
}


def each():
    for engine, precision in ENGINES:
        for case in CASES:
            interpreted = engine == "gpu" and DEVICE == "cpu"
            if interpreted and precision != "float32" and case not in INTERPRETED:
                continue
            slow = interpreted and (precision != "float32" or case not in QUICK)
            name = f"{engine}-{precision}-{case}"
            marks = [pytest.mark.slow] if slow else []
            yield pytest.param((engine, precision), case, id=name, marks=marks)


@pytest.mark.parametrize(("engine", "case"), list(each()))
def test_values_are_those_of_the_layers(engine, case, monkeypatch):
    run, limit = ENGINES[engine]
    shape, samples = (13, 10), 2
    if run is kernels:
        pytest.importorskip("triton", reason="Triton is not installed")
        shrink_tiles(monkeypatch)
        # Several tiles a row, of which the last is not full; one case in a batch of two.
        shape, samples = (2, 20), 2 if "many maps" in case else 1
    net = make_net(dtype=torch.float32, **CASES[case])
    x, y = make_images(net, shape, samples=samples)
    wanted = by_layers(net, x, y)
    if run is kernels and engine[1] == "bfloat16" and DEVICE == "cpu":
        # NumPy, which interprets the kernels, has no bfloat16.
        monkeypatch.setattr(torch, "bfloat16", torch.float16)
    found = run(net, x, y, engine[1])
    for a, b in zip(found, wanted, strict=True):
        assert b.abs().max() > 0.01
        assert (a - b).norm() <= limit * b.norm()


def without_numba(monkeypatch, *, triton):
    """Have the training engine compute on a CPU as it does on a GPU."""
    monkeypatch.setattr(rows, "by_numba", lambda tensor: False)
    monkeypatch.setattr(pointwise, "_by_triton", lambda kind: triton)
    monkeypatch.setattr(pointwise, "PIXELS", 16)  # several programs, of which the last is not full


# Triton's interpreter is for machines without a GPU, and slow: some cases are enough.
WAYS = [(by, case) for by in ("numba", "pytorch") for case in CASES]
WAYS += [("triton", case) for case in sorted(INTERPRETED) if DEVICE == "cpu"]


@pytest.mark.parametrize(("by", "case"), WAYS)
def test_gradients_are_those_of_the_layers(by, case, monkeypatch):
    """Of the engine that has any, in the images and in all weights."""
    if by == "triton":
        pytest.importorskip("triton", reason="Triton is not installed")
    net = make_net(dtype=torch.float64, **CASES[case]).train()
    x, y = make_images(net, (13, 10))
    assert engine_for(net.unique[0], x) == "reference"
    wanted = gradients(net, x, y)
    net, x, y = net.float(), x.float(), y.float()
    if by != "numba":
        without_numba(monkeypatch, triton=by == "triton")
    assert engine_for(net.unique[0], x) == "training"
    for a, b in zip(gradients(net, x, y), wanted, strict=True):
        assert a.dtype == torch.float32
        assert (a - b).abs().max() <= 2e-5 * b.abs().max()
    # NumPy, which interprets Triton's kernels, has no bfloat16.
    if not rows.has_bfloat16() or by == "triton":
        return
    # In bfloat16 not farther from them than the layers are.
    with as_in_training("bfloat16"):
        found = gradients(net, x, y)
        monkeypatch.setitem(engine_choice._SERVES, "training", lambda *_, **__: False)
        layers = gradients(net, x, y)
    for a, b, c in zip(found, wanted, layers, strict=True):
        assert a.dtype == torch.float32
        assert (a - b).norm() <= 2 * (c - b).norm() + 0.02 * b.norm()


@pytest.mark.gpu("torch")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_gradients_on_a_gpu_are_those_of_the_layers(case, precision, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    net = make_net(dtype=torch.float64, **CASES[case]).train()
    x, y = make_images(net, (13, 10))
    wanted = gradients(net, x, y)
    net, x, y = (a.float().to(DEVICE) for a in (net, x, y))
    with torch.autocast(DEVICE, torch.bfloat16, enabled=precision == "bfloat16"):
        assert engine_for(net.unique[0], x) == "training"
        found = [a.cpu() for a in gradients(net, x, y)]
        monkeypatch.setitem(engine_choice._SERVES, "training", lambda *_, **__: False)
        layers = [a.cpu() for a in gradients(net, x, y)]
    for a, b, c in zip(found, wanted, layers, strict=True):
        assert a.dtype == torch.float32
        if precision == "float32":
            assert (a - b).norm() <= 2e-5 * b.norm()
        else:
            assert (a - b).norm() <= 2 * (c - b).norm() + 0.02 * b.norm()
