"""Muon against the singular value decomposition, PyTorch's own, and resumed trainings."""

from __future__ import annotations

import numpy as np
import pytest
from torch.optim import Muon as MatrixMuon

from tests.unfolded.nets import torch
from unfolded.training.muon import Muon, ScaledMuon, orthogonalised


@pytest.mark.parametrize("shape", [(32, 192), (192, 32), (24, 24), (1, 64)])
def test_singular_values_become_nearly_one_and_vectors_stay(shape):
    rng = np.random.default_rng(0)
    matrices = torch.from_numpy(rng.standard_normal((3, *shape)))
    left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    made = orthogonalised(1e-3 * matrices)
    along = left.mT @ made @ right.mT
    diagonal = along.diagonal(dim1=1, dim2=2)
    there = values > 0.05 * values[:, :1]
    assert there.float().mean() > 0.9
    assert ((diagonal[there] > 0.6) & (diagonal[there] < 1.3)).all()
    off = along - torch.diag_embed(diagonal)
    assert off.abs().max() < 1e-9


def test_what_is_zero_stays_zero():
    assert (orthogonalised(torch.zeros(2, 3, 4)) == 0).all()


def parameters(*shapes):
    rng = np.random.default_rng(1)
    made = [torch.from_numpy(rng.standard_normal(s).astype(np.float32)) for s in shapes]
    return [torch.nn.Parameter(one) for one in made]


def descend(optimiser, params, steps):
    for step in range(steps):
        for number, p in enumerate(params):
            rng = np.random.default_rng(100 * number + step)
            p.grad = torch.from_numpy(rng.standard_normal(p.shape).astype(np.float32))
        optimiser.step()


def test_banks_go_as_the_matrices_of_pytorch_and_others_as_by_adam():
    """Nearly: PyTorch multiplies in bfloat16."""
    analysis, synthesis, thresholds = parameters((6, 2, 3, 3), (2, 6, 3, 3), (2, 6))
    matrices = [
        torch.nn.Parameter(analysis.detach().flatten(1).clone()),
        torch.nn.Parameter(synthesis.detach().transpose(0, 1).flatten(1).clone()),
    ]
    alone = torch.nn.Parameter(thresholds.detach().clone())
    ours = Muon([analysis, synthesis, thresholds], lr=0.01)
    theirs = MatrixMuon(
        matrices, lr=0.01, weight_decay=0.0, adjust_lr_fn="match_rms_adamw", momentum=0.95
    )
    adam = torch.optim.Adam([alone], lr=0.3 * 0.01)
    before = analysis.detach().clone()
    for step in range(4):
        gradients = [
            torch.from_numpy(np.random.default_rng(10 * step + n).standard_normal(p.shape)).float()
            for n, p in enumerate((analysis, synthesis, thresholds))
        ]
        for p, gradient in zip((analysis, synthesis, thresholds), gradients, strict=True):
            p.grad = gradient
        matrices[0].grad = gradients[0].flatten(1)
        matrices[1].grad = gradients[1].transpose(0, 1).flatten(1)
        alone.grad = gradients[2]
        for optimiser in (ours, theirs, adam):
            optimiser.step()
    moved = float((analysis.detach() - before).abs().max())
    assert moved > 0.002
    torch.testing.assert_close(analysis.flatten(1), matrices[0], atol=0.1 * moved, rtol=0)
    torch.testing.assert_close(
        synthesis.transpose(0, 1).flatten(1), matrices[1], atol=0.1 * moved, rtol=0
    )
    assert (thresholds == alone).all()


@pytest.mark.parametrize("kind", [Muon, ScaledMuon])
def test_a_state_that_was_saved_goes_on_alike(kind):
    shapes = (6, 2, 3, 3), (2, 6, 3, 3), (2, 6)
    whole, parts = parameters(*shapes), parameters(*shapes)
    descend(kind(whole, lr=0.01), whole, 3)
    first = kind(parts, lr=0.01)
    descend(first, parts, 2)
    second = kind(parts, lr=0.5)
    second.load_state_dict(first.state_dict())
    for number, p in enumerate(parts):
        p.grad = torch.from_numpy(
            np.random.default_rng(100 * number + 2).standard_normal(p.shape).astype(np.float32)
        )
    second.step()
    for one, other in zip(whole, parts, strict=True):
        assert (one == other).all()


SHAPES = (6, 2, 3, 3), (2, 6, 3, 3), (4, 1, 9, 9), (70, 2, 3, 3), (2, 6)


def after_steps(params, count=1):
    before = [p.detach().clone() for p in params]
    descend(ScaledMuon(params, lr=0.01), params, count)
    return before, [p.detach() - old for p, old in zip(params, before, strict=True)]


def test_scaled_steps_are_shares_of_what_they_change():
    before, changes = after_steps(parameters(*SHAPES))
    for old, change in zip(before[:-1], changes[:-1], strict=True):
        # The singular values of a step lie between 0.6 and 1.3 of what they should be.
        assert 0.006 < float(change.norm() / old.norm()) < 0.013
    size = before[-1].square().mean().sqrt()
    torch.testing.assert_close(changes[-1].abs(), (0.02 * size).expand(2, 6))


@pytest.mark.parametrize("scale", [1e-2, 30.0])
def test_scaled_steps_grow_with_what_they_change(scale):
    params, larger = parameters(*SHAPES), parameters(*SHAPES)
    for p in larger:
        p.data.mul_(scale)
    _, changes = after_steps(params, 3)
    for small, large in zip(changes, after_steps(larger, 3)[1], strict=True):
        torch.testing.assert_close(large, scale * small, rtol=1e-3, atol=1e-5 * scale)


def test_what_is_zero_is_moved_by_scaled_steps_too():
    params = parameters(*SHAPES)
    for p in params:
        p.data.zero_()
    _, changes = after_steps(params)
    for change in changes:
        assert 0.5e-5 < float(change.square().mean().sqrt()) < 2.1e-5


@pytest.mark.parametrize("kind", [Muon, ScaledMuon])
def test_gradients_stay_and_banks_without_them_too(kind):
    bank, other, thresholds, unused = parameters((4, 1, 3, 3), (4, 1, 3, 3), (3,), (5,))
    optimiser = kind([bank, other, thresholds, unused], lr=0.1)
    idle = unused.detach().clone()
    kept = other.detach().clone()
    bank.grad = torch.ones_like(bank)
    thresholds.grad = torch.ones_like(thresholds)
    optimiser.step()
    assert (bank.grad == 1).all()
    assert other.grad is None
    assert (other == kept).all()
    assert (unused == idle).all()
