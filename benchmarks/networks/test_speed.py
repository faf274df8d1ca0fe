"""What ``pytest --benchmark`` measures; `speed_table` makes the table of it."""

from __future__ import annotations

import pytest

from . import speed_table
from .speed_table import CASES, EXACT_FRACTION, EXACT_TOLS, PLAIN, plain, pretrained

BY_TASK = {case.task: case for case in CASES}


def shipped() -> list[str]:
    """Tasks whose network comes with the package in another shape than the paper's."""
    setup = speed_table.Setup()
    found = {case.task: pretrained(case.task) for case in CASES}
    return [t for t, net in found.items() if net and setup.network(BY_TASK[t])[1] != "pretrained"]


@pytest.mark.network
@pytest.mark.parametrize("task", list(BY_TASK))
def test_network(task, setup, benchmark, record):
    case = BY_TASK[task]
    net, weights = setup.network(case)
    x, y = setup.images(net, case)
    run = setup.fast(net)
    extra = setup.warm(run, x, y)
    image = benchmark.pedantic(run, (x, y), rounds=setup.repeats)
    height, width = image.shape[2:]
    error = setup.error(net, image, x, y)
    assert (height, width) == setup.shape(case)
    record(
        kind="network", task=task, width=width, height=height, channels=case.channels,
        published=case.published, weights=weights, extra=extra, error=error,
        kernels=getattr(run, "kernels", "layers"),
    )  # fmt: skip


@pytest.mark.network
@pytest.mark.parametrize("task", PLAIN)
def test_plain_convolutions(task, setup, benchmark, record):
    case = BY_TASK[task]
    net, _ = setup.network(case)
    x, y = setup.images(net, case)
    extra = setup.peak(lambda: plain(net, x, y))
    image = benchmark.pedantic(plain, (net, x, y), rounds=setup.repeats)
    assert (image - net(x, y)).abs().max() < 1e-3
    record(kind="plain", task=task, extra=extra)


@pytest.mark.network
@pytest.mark.parametrize("task", shipped())
def test_shipped_network(task, setup, benchmark, record):
    case = BY_TASK[task]
    net = pretrained(task).to(setup.device)
    given = setup.given(net, case)
    run = setup.fast(net)
    extra = setup.warm(run, *given)
    image = benchmark.pedantic(run, tuple(given), rounds=setup.repeats)
    error = setup.error(net, image, *given)
    shape = net.configuration
    record(
        kind="shipped", task=task, width=image.shape[3], height=image.shape[2],
        published=case.published,
        network=f"{shape.channels[0]}+{shape.channels[1]} channels, filters "
        f"{'/'.join(map(str, dict.fromkeys(shape.filters)))} of {shape.kernel_size}x"
        f"{shape.kernel_size}, {shape.blocks} blocks",
        extra=extra, error=error, kernels=getattr(run, "kernels", "layers"),
    )  # fmt: skip


@pytest.mark.parametrize("tol", EXACT_TOLS)
def test_exact_solver(tol, setup, benchmark, record):
    s = setup.exact()
    result = benchmark.pedantic(
        s.solve, (EXACT_FRACTION,), {"tol": tol}, rounds=setup.repeats, warmup_rounds=1
    )
    assert result.gap <= tol
    record(kind="exact", size=s.signals[0].shape[-1], method=result.method, tol=tol)
