"""What the GPU engine promises besides the layers' values (see test_parity).

Triton's interpreter runs the kernels where there is no GPU.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from tests.unfolded.nets import DEVICE, make_images, make_net, shrink_tiles, torch
from unfolded.engines import gpu

pytest.importorskip("triton", reason="Triton is not installed")


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    shrink_tiles(monkeypatch)


def test_negative_thresholds_make_maps_grow_and_leave_zeros_alone():
    net = make_net(dtype=torch.float32, filters=3, kernel_size=3, blocks=1)
    with torch.no_grad():
        for lcsc in (*net.unique, net.common):
            lcsc.thresholds.copy_(torch.tensor([-0.02, -0.01]))
    x, y = make_images(net, (1, 34), samples=1)
    x[..., 8:] = y[..., 8:] = 0
    with torch.no_grad():
        wanted = net(x, y)
    found = gpu.TritonNetwork(net.to(DEVICE).steps())(x.to(DEVICE), y.to(DEVICE)).cpu()
    assert (wanted[..., 32:] == 0).all()
    assert (found[..., 32:] == 0).all()
    assert (found - wanted).abs().max() < 1e-5


def test_the_products_of_padded_patches_are_refused_where_numbers_would_overflow():
    canvas = torch.empty((1, 1), dtype=torch.float32).expand(1, 12, 2**14, 2**14)
    with pytest.raises(ValueError, match="images of 16384 x 16384 are too large for the kernels"):
        gpu._Canvas(canvas, 8)


def test_tf32_is_rounded_and_not_cut_off():
    values = torch.tensor([1.0, 1 + 2**-11, 1 + 2**-11 - 2**-20, -1 - 3 * 2**-11, 3e38, 0.0, 1e-40])
    wanted = [1.0, 1 + 2**-10, 1.0, -1 - 2 * 2**-10, 3e38, 0.0, 0.0]
    found = gpu.to_tf32(values)
    assert ((found.view(torch.int32) & 0x1FFF) == 0).all()
    torch.testing.assert_close(found[:4], torch.tensor(wanted[:4]), rtol=0, atol=0)
    torch.testing.assert_close(found, torch.tensor(wanted), rtol=2**-11, atol=1e-38)
    net = make_net(dtype=torch.float32, filters=3, kernel_size=4, blocks=1).to(DEVICE)
    x, y = (i.to(DEVICE) for i in make_images(net, (2, 20), samples=1))
    with torch.no_grad():
        wanted = net.double()(x.double(), y.double())
    found = gpu.TritonNetwork(net.float().steps(), "tf32")(x, y)
    # Products of rounded numbers err either way: cut off, all would be too small.
    error = ((found - wanted) / wanted.norm()).norm()
    assert 1e-5 < error < 1e-3


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

    from unfolded.engines import gpu, triton_kernels as k

    LIFT = {"image": "*fp32", "offsets": "*i32", "thresholds": "*fp32"}
    tools = Path(triton.backends.nvidia.__file__).parent / "bin"

    def compiled(kernel, types, constants, warps=gpu.WARPS):
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

    shared = {"PIXELS": gpu.PIXELS, "STEP": gpu.STEP}
    for number, dot in (("*fp32", "tf32"), ("*fp32", "tf32x3"), ("*bf16", "tf32")):
        images = {"maps": number, "drive": number, "filters": number}
        for taps, goes_on, drive in ((64, False, ""), (128, True, ""), (192, True, "adds")):
            compiled(
                k.lift, LIFT | images,
                {"TAPS": taps, "GO_ON": goes_on, "DRIVE": drive, "PRECISION": dot,
                 "MAPS": gpu.MAPS} | shared,
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
        {"SIZE": 8, "CHANNELS": 3, "PIXELS": gpu.PIXELS, "ROUND": True}, warps=4,
    )
"""
