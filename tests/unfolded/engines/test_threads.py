"""Threads of the CPU engines, and processes that begin without any."""

from __future__ import annotations

import multiprocessing
import warnings

import pytest

from tests.unfolded.nets import gradients, make_images, make_net, torch
from unfolded.engines.threads import torch_threads

LIMIT = 120  # seconds; a child that hangs would take for ever


def results():
    """Images by the inference engine, by the layers, and a gradient by the training engine."""
    net = make_net(dtype=torch.float32, kernel_size=4)
    x, y = make_images(net, (128, 128), samples=2)
    with torch.no_grad():
        engine, layers = net(x, y), net(x[..., :99], y[..., :99])
        with torch.autocast("cpu", torch.bfloat16):
            half = net(x, y)
    gradient = gradients(net.train(), x[..., :32, :32], y[..., :32, :32])
    return [t.numpy() for t in (engine, layers, half, *gradient)]


def child(connection):
    connection.send((torch.get_num_threads(), results()))


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_a_child_computes_what_its_parent_did(method, keep_torch_threads):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    torch.set_num_threads(2)  # threads of ours and of PyTorch, which a forked child lacks
    wanted = results()
    context = multiprocessing.get_context(method)
    here, there = context.Pipe()
    process = context.Process(target=child, args=(there,), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on fork with threads
        process.start()
    try:
        assert here.poll(LIMIT), f"the {method}ed child hangs"
        threads, found = here.recv()
        process.join(LIMIT)
        assert process.exitcode == 0
    finally:
        process.kill()
    if method == "fork":
        assert threads == 1
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(torch.from_numpy(a), torch.from_numpy(b), rtol=0, atol=1e-5)
    assert torch.get_num_threads() == 2  # the parent's own are as they were


def test_every_task_is_done_once_and_in_order(keep_torch_threads):
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        with torch_threads() as run:
            assert run(lambda i: i * i, list(range(20))) == [i * i for i in range(20)]
            assert set(run(lambda _: torch.get_num_threads(), list(range(20)))) == {1}
        assert torch.get_num_threads() == count


def test_an_error_in_a_task_is_the_caller_s(keep_torch_threads):
    torch.set_num_threads(2)

    def work(i):
        if i == 3:
            raise KeyError(i)

    with pytest.raises(KeyError), torch_threads() as run:
        run(work, list(range(5)))


@pytest.mark.parametrize("mode", [False, True])
def test_threads_are_in_the_inference_mode_of_who_calls(mode, keep_torch_threads):
    """Else tensors of inference, which a network keeps, could not be written to in them."""
    torch.set_num_threads(2)
    with torch.inference_mode(mode), torch_threads() as run:
        assert run(lambda _: torch.is_inference_mode_enabled(), [0, 1, 2]) == [mode] * 3
