"""What the CPU's inference engine promises besides the layers' values (see test_parity)."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from tests.unfolded.nets import make_images, make_net, torch
from unfolded.engines import cpu_inference, rows
from unfolded.engines import numba_kernels as kernels
from unfolded.engines.reference import soft_threshold


def both(net, x, y):
    """Parts by the layers and by the engine, common first."""
    c, uv = net.codes(x, y)
    with torch.no_grad():
        common, unique = cpu_inference.parts(net.steps(), x, y)
        yield net.target_common(c), common
        for layer, maps, part in zip(net.target_unique, uv, unique, strict=False):
            yield layer(maps), part


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (70, 31), (5, 2100), (130, 64)])
@pytest.mark.parametrize("size", [1, 4, 5])
def test_image_shapes(shape, size):
    """Images smaller than a filter, one tile, several tasks, rows cut in columns."""
    net = make_net(dtype=torch.float32, kernel_size=size)
    for plain, quick in both(net, *make_images(net, shape)):
        torch.testing.assert_close(quick, plain, rtol=0, atol=1e-5)


@pytest.mark.parametrize("lam", [0.0, 0.3, -0.2])
def test_thresholds(lam):
    """Negative ones too, away from the jump at zero that no two roundings agree on."""
    maps, drive, change = np.random.default_rng(0).standard_normal((3, 2, 25, 2)).astype(np.float32)
    maps[0, :2] = drive[0, :2] = change[0, :2] = 0
    numbers = lam + np.array([[0, 0.1], [0.2, 0.3]], np.float32) * (lam > 0)
    there = torch.from_numpy(numbers)[:, None]
    found = np.empty_like(maps)
    kernels.threshold_maps(change, numbers, found)
    wanted = soft_threshold(torch.from_numpy(change), there)
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-7)
    wanted = soft_threshold(torch.from_numpy(maps - change + drive), there)
    kernels.step_maps(maps, drive, change, numbers, maps)
    np.testing.assert_allclose(maps, wanted.numpy(), atol=1e-6)


def test_strided_images():
    net = make_net(dtype=torch.float32, channels=(3, 1), out_channels=3)
    x = torch.rand(1, 20, 22, 3).permute(0, 3, 1, 2)
    y = torch.rand(1, 1, 40, 22)[:, :, ::2]
    before = x.clone()
    for plain, quick in both(net, x, y):
        torch.testing.assert_close(quick, plain, rtol=0, atol=1e-5)
        assert quick.is_contiguous()
    assert torch.equal(x, before)


def test_bfloat16_is_asked_for_by_autocast():
    net = make_net(dtype=torch.float32, channels=(3, 3), filters=16, kernel_size=5)
    x, y = make_images(net, (130, 140), samples=1)
    threads = torch.get_num_threads()
    with torch.no_grad():
        exact = net(x, y)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = net(x, y)
    assert rounded.dtype == torch.float32
    scale = exact.abs().max()
    assert (rounded - exact).abs().max() < 0.03 * scale
    assert torch.get_num_threads() == threads
    if rows.has_bfloat16():
        assert (rounded - exact).abs().max() > 1e-5 * scale
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(net(x, y), rounded)
    with torch.autocast("cpu", torch.bfloat16):
        trained = net.train()(x, y)
    assert trained.dtype == torch.float32


def test_threads_do_not_change_the_result():
    net = make_net(dtype=torch.float32)
    x, y = make_images(net, (130, 140))
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            with torch.no_grad():
                found.append(net(x, y))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_weights_are_read_at_every_call():
    net = make_net(dtype=torch.float32)
    x, y = make_images(net, (128, 128))
    with torch.no_grad():
        first = net(x, y)
        net.target_common.weight.mul_(2)
        assert not torch.equal(net(x, y), first)


def test_memory_does_not_grow_with_the_blocks():
    peaks = []
    for blocks in (1, 1, 5):  # the first one compiles
        net = make_net(dtype=torch.float32, filters=32, blocks=blocks)
        x, y = make_images(net, (128, 256), samples=1)
        tracemalloc.start()
        with torch.no_grad():
            net(x, y)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    maps = 32 * 128 * 256 * 4
    assert 2 * maps < peaks[1] < 3 * maps
    assert peaks[2] < 1.1 * peaks[1]
