"""The Triton kernels, run by Triton's interpreter where there is no GPU."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import textwrap
from unittest.mock import MagicMock

import pytest

from tests.unfolded.nets import make_images, make_net, torch
from unfolded import accelerate
from unfolded.engines import gpu as fused
from unfolded.network import accelerated as devices

pytest.importorskip("triton", reason="Triton is not installed")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Several tiles a row, several rounds over maps and patches, on images that take seconds."""
    for name, number in (("MAPS", 16), ("PIXELS", 16), ("STEP", 16), ("LINES", 16)):
        monkeypatch.setattr(fused, name, number)


@pytest.mark.parametrize(
    "options",
    [
        {"filters": (3, 20, 5), "kernel_size": 4},
        {"kernel_size": 3, "channels": (1, 3)},
        {"task": "fusion", "channels": (3, 3), "out_channels": 3, "kernel_size": 4},
        {"kernel_size": 4, "blocks": 2, "residual": False, "scale": 2.0},
        {"kernel_size": 5, "tied": True},
        {"kernel_size": 4, "blocks": 0},
    ],
    ids=lambda options: "-".join(options),
)
def test_the_function_of_the_layers(options):
    options = {"filters": 3, "blocks": 1} | options
    net = make_net(dtype=torch.float32, **options)
    x, y = make_images(net, (3, 35), samples=2)
    with torch.no_grad():
        wanted = net.double()(x.double(), y.double())
    net = net.float().to(DEVICE)
    found = accelerate(net, DEVICE, kernels="fused")(x.to(DEVICE), y.to(DEVICE)).cpu()
    assert wanted.abs().max() > 0.01
    assert (found - wanted).abs().max() < 2e-6 * max(1, wanted.abs().max())


def test_negative_thresholds_make_maps_grow_and_leave_zeros_alone():
    net = make_net(dtype=torch.float32, filters=3, kernel_size=4, blocks=1)
    with torch.no_grad():
        for lcsc in (*net.unique, net.common):
            lcsc.thresholds.copy_(torch.tensor([-0.02, -0.01]))
    x, y = make_images(net, (2, 40), samples=1)
    x[..., 8:] = y[..., 8:] = 0
    with torch.no_grad():
        wanted = net(x, y)
    found = fused.Fused(net.to(DEVICE))(x.to(DEVICE), y.to(DEVICE)).cpu()
    assert (wanted[..., 32:] == 0).all()
    assert (found[..., 32:] == 0).all()
    assert (found - wanted).abs().max() < 1e-5


def test_the_products_of_padded_patches_are_refused_where_numbers_would_overflow():
    canvas = torch.empty((1, 1), dtype=torch.float32).expand(1, 12, 2**14, 2**14)
    with pytest.raises(ValueError, match="images of 16384 x 16384 are too large for the kernels"):
        fused._Canvas(canvas, 8)


def test_tf32_is_rounded_and_not_cut_off():
    values = torch.tensor([1.0, 1 + 2**-11, 1 + 2**-11 - 2**-20, -1 - 3 * 2**-11, 3e38, 0.0, 1e-40])
    wanted = [1.0, 1 + 2**-10, 1.0, -1 - 2 * 2**-10, 3e38, 0.0, 0.0]
    found = fused.to_tf32(values)
    assert ((found.view(torch.int32) & 0x1FFF) == 0).all()
    torch.testing.assert_close(found[:4], torch.tensor(wanted[:4]), rtol=0, atol=0)
    torch.testing.assert_close(found, torch.tensor(wanted), rtol=2**-11, atol=1e-38)
    net = make_net(dtype=torch.float32, filters=3, kernel_size=4, blocks=1).to(DEVICE)
    x, y = (i.to(DEVICE) for i in make_images(net, (4, 20), samples=1))
    with torch.no_grad():
        wanted = net.double()(x.double(), y.double())
    found = fused.Fused(net.float(), "tf32")(x, y)
    # Products of rounded numbers err either way: cut off, all would be too small.
    error = ((found - wanted) / wanted.norm()).norm()
    assert 1e-5 < error < 1e-3


def test_large_images_in_tiles():
    net = make_net(dtype=torch.float32, filters=3, kernel_size=3, blocks=0).to(DEVICE)
    x, y = (i.to(DEVICE) for i in make_images(net, (5, 30), samples=1))
    fast = accelerate(net, DEVICE, kernels="fused")
    torch.testing.assert_close(fast.tiled(x, y, 20), fast(x, y), rtol=1e-6, atol=1e-6)


def test_maps_in_half_precision(monkeypatch):
    # NumPy, which interprets the kernels, has no bfloat16.
    if DEVICE == "cpu":
        monkeypatch.setattr(torch, "bfloat16", torch.float16)
    net = make_net(dtype=torch.float32, filters=3, kernel_size=4, blocks=1).to(DEVICE)
    x, y = (i.to(DEVICE) for i in make_images(net, (4, 20), samples=1))
    with torch.no_grad():
        wanted = net(x, y)
    run = fused.Fused(net, "bfloat16")
    assert run._common.dtype == torch.bfloat16
    error = (run(x, y) - wanted).norm() / wanted.norm()
    assert 1e-6 < error < 2e-2


def test_by_themselves_where_they_agree_and_not_where_they_are_wrong(monkeypatch):
    net = make_net(dtype=torch.float32, filters=3, kernel_size=3, blocks=1).to(DEVICE)
    for precision, least, most in (("float32", 0, 1e-5), ("tf32", 1e-5, 3e-3)):
        error = devices.disagreement(net, precision, ((1, 4, 20), (2, 3, 17)))
        assert least <= error < most
    with monkeypatch.context() as patch:
        patch.setattr(fused.Fused, "__call__", lambda _, x, y: x * float("nan"))
        assert devices.disagreement(net, "float32", ((1, 4, 20),)) == float("inf")
    # On a GPU "auto" asks this; here its choice alone is tested.
    gpu = torch.device("cuda")
    monkeypatch.setattr(devices, "disagreement", lambda *_: 1e-6)
    assert devices._choose(net, "float32", gpu) == "fused"
    monkeypatch.setattr(devices, "disagreement", lambda *_: 0.5)
    with pytest.warns(RuntimeWarning, match=r"off by 0\.5 .*; kernels='compiled' is used instead"):
        assert devices._choose(net, "float32", gpu) == "compiled"

    def fails(*_):
        raise OSError("no compiler")

    monkeypatch.setattr(devices, "disagreement", fails)
    with pytest.warns(RuntimeWarning, match=r"fail here \(OSError: no compiler\); .*'layers'"):
        assert devices._choose(net, "float32", gpu) == "layers"
    monkeypatch.setattr(fused, "runs_on", lambda _: False)
    assert devices._choose(net, "float32", gpu) == "compiled"
    assert devices._choose(net, "float32", torch.device("cpu")) == "layers"
    monkeypatch.setattr(devices, "find_spec", lambda _: None)
    assert devices._choose(net, "float32", gpu) == "layers"


@pytest.mark.skipif(DEVICE == "cuda", reason="they run on the GPU that is here")
def test_refused_where_they_do_not_run(monkeypatch):
    from unfolded.engines import gpu_kernels as fused_kernels

    monkeypatch.setattr(fused_kernels, "INTERPRETED", False)
    with pytest.raises(RuntimeError, match="device 'cpu': fused kernels need Triton and a GPU"):
        accelerate(make_net(dtype=torch.float32), "cpu", kernels="fused")


@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90])
def test_they_compile_for_gpus(capability):
    """To machine code, which takes no GPU; products go to tensor cores, nothing is spilled."""
    pytest.importorskip("triton.backends.nvidia")
    script = f"CAPABILITY = {capability}\n" + textwrap.dedent(COMPILE)
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/tmp"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split("\n")[:-1]
    assert len(lines) == 12
    for line in lines:
        name, tensor_cores, stack = line.split()
        assert int(stack) == 0, line
        assert (int(tensor_cores) > 0) == (name != "add_rows"), line


COMPILE = """
    import itertools, re, subprocess, tempfile
    from pathlib import Path

    import triton
    import triton.backends.nvidia
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from unfolded import fused, fused_kernels as k

    LIFT = {"image": "*fp32", "offsets": "*i32", "threshold": "fp32"}
    tools = Path(triton.backends.nvidia.__file__).parent / "bin"

    def compiled(kernel, types, constants, warps=fused.WARPS):
        signature = {
            name: "constexpr" if name in constants else types.get(name, "i32")
            for name in kernel.arg_names
        }
        aligned = {
            (i,): [["tt.divisibility", 16]]
            for i, name in enumerate(kernel.arg_names) if signature[name].startswith("*")
        }
        source = ASTSource(kernel, signature, constexprs=constants, attrs=aligned)
        made = triton.compile(
            source, target=GPUTarget("cuda", CAPABILITY, 32), options={"num_warps": warps}
        )
        with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
            file.write(made.asm["cubin"])
            file.flush()
            used = subprocess.run(
                [tools / "cuobjdump", "--dump-resource-usage", file.name],
                capture_output=True, text=True, check=True,
            ).stdout
        stack = re.search(r"STACK:(\\d+)", used).group(1)
        print(kernel.__name__, len(re.findall(r"w?g?mma\\.(sync|mma)", made.asm["ptx"])), stack)

    shared = {"PIXELS": fused.PIXELS, "STEP": fused.STEP}
    for number, dot in (("*fp32", "tf32"), ("*fp32", "tf32x3"), ("*bf16", "tf32")):
        images = {"maps": number, "drive": number, "filters": number}
        for taps, goes_on, drive in ((64, False, ""), (128, True, ""), (192, True, "adds")):
            compiled(
                k.lift, LIFT | images,
                {"TAPS": taps, "GO_ON": goes_on, "DRIVE": drive, "PRECISION": dot,
                 "MAPS": fused.MAPS} | shared,
            )
        # s C = 8 to 48: as many lines as that, up to a power of two.
        for lines in (16, 64) if dot == "tf32" and number == "*fp32" else ():
            compiled(
                k.reduce_rows, {"rows": "*fp32"} | images,
                {"SIZE": 8, "SUMS": lines - 8, "ALL_LINES": lines, "LINES": lines, "FILTERS": 64,
                 "PRECISION": dot} | shared,
            )
    compiled(
        k.add_rows, {"rows": "*fp32", "image": "*fp32"},
        {"SIZE": 8, "CHANNELS": 3, "PIXELS": fused.PIXELS, "ROUND": True}, warps=4,
    )
"""


class Graph:
    """Stands for a CUDA graph: it does again what was done while it was recorded."""

    def __init__(self, calls):
        self.calls = calls

    def replay(self):
        self.calls.append("replay")
        self.out.copy_(self.work())


@pytest.mark.skipif(DEVICE == "cuda", reason="the GPU's own graphs are tested")
def test_small_images_are_recorded_once_and_replayed(monkeypatch):
    calls = []

    def run(x, y):
        calls.append("run")
        graph.work = lambda: x + 2 * y  # on the tensors of this call
        graph.out = x + 2 * y
        return graph.out

    graph = Graph(calls)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: graph)
    for name in ("graph", "device", "Stream"):
        monkeypatch.setattr(torch.cuda, name, lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "Event", MagicMock)
    monkeypatch.setattr(torch.cuda, "current_stream", MagicMock)
    graphed = devices._Graphed(run, torch.device("cpu"))
    results = []
    for n in range(4):
        x, y = torch.full((1, 1, 3, 4), float(n)), torch.ones(1, 1, 3, 4)
        results.append(graphed(x, y))
    assert calls == ["run", "run", "replay", "replay", "replay"]
    assert [float(r[0, 0, 0, 0]) for r in results] == [2, 3, 4, 5]  # each its own
    graphed(torch.ones(1, 1, 5, 4), torch.ones(1, 1, 5, 4))  # another size begins anew
    assert calls[5:] == ["run"]
    large = torch.ones(1, 1, 1, 1).expand(1, 1, 1024, 1024)
    for _ in range(3):
        graphed(large, large)
    assert calls[6:] == ["run"] * 3


def test_a_size_that_failed_is_not_recorded(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device", lambda _: contextlib.nullcontext())

    def run(x, y):
        if fails:
            raise MemoryError
        return x

    graphed = devices._Graphed(run, torch.device("cpu"))
    graphed._record = pytest.fail
    x, fails = torch.ones(1, 1, 3, 4), True
    with contextlib.suppress(MemoryError):
        graphed(x, x)
    fails = False
    assert graphed(x, x) is x


@pytest.mark.gpu
@pytest.mark.skipif(DEVICE == "cpu", reason="no CUDA device")
@pytest.mark.parametrize("precision", devices.PRECISIONS)
def test_one_graph_for_small_images(precision):
    net = make_net(dtype=torch.float32, filters=8, kernel_size=8, blocks=2)
    fast = accelerate(net, precision=precision, kernels="fused")
    for shape, n in itertools.product(((40, 60), (33, 70)), range(3)):
        x, y = (i.cuda() for i in make_images(net, shape, seed=n))
        wanted = fused.Fused(fast.net, precision)(x, y)
        torch.testing.assert_close(fast(x, y), wanted, rtol=0, atol=0)
