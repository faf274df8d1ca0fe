"""The bridge: a network made from a dictionary does what the alternating solver does."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import mcsc
from tests.helpers import make_dictionary, make_signals
from tests.unfolded.nets import make_net, torch, unfolded
from unfolded.engines.reference import synthesise
from unfolded.network.refit import refit

FORMS = [
    {"channels": (1, 1), "size": 3},
    {"channels": (1, 1), "size": 4},
    {"channels": (1, 3), "size": 5},
    {"channels": (3, 3), "size": 4},
    {"channels": (3, 1), "size": 8, "common": 4, "unique": (2, 3)},
    # Banks of several sizes share the origin of the largest.
    {"channels": (1, 1), "size": (3, 4, 5, 2)},
]


def sweeps(signals, dictionary, lam, steps, count=1):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mcsc.ConvergenceWarning)
        return mcsc.solve(
            signals,
            dictionary,
            lam,
            method="alternating",
            max_iter=count,
            inner_steps=steps,
            boundary="zero",
        )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("lam", [0.1, (0.15, 0.1, 0.05)])
@pytest.mark.parametrize("blocks", [0, 3])
def test_bridge(form, lam, blocks):
    dictionary = make_dictionary(1, **form)
    signals = make_signals(1, channels=form["channels"], shape=(13, 11), samples=2)
    result = sweeps(signals, dictionary, lam, blocks + 1)
    net = unfolded.CUNet.from_dictionary(dictionary, lam, blocks=blocks)
    x, y = map(torch.from_numpy, signals)
    with torch.no_grad():
        c, (u, v) = net.codes(x, y)
        split = net.split(x, y)
    for found, wanted in zip((c, u, v), (result.codes.common, *result.codes.unique), strict=True):
        np.testing.assert_allclose(found.numpy(), wanted, rtol=0, atol=1e-10)
        assert np.abs(wanted).max() > 1e-3
    parts = mcsc.reconstruct(result.codes, dictionary)
    np.testing.assert_allclose(split.image.numpy(), parts.image, rtol=0, atol=1e-10)
    np.testing.assert_allclose(split.common.numpy(), parts.common, rtol=0, atol=1e-10)
    np.testing.assert_allclose(split.unique[0].numpy(), parts.unique[0], rtol=0, atol=1e-10)
    assert split.unique[1] is None


@pytest.mark.parametrize("size", [4, 5])
@pytest.mark.parametrize(("blocks", "count"), [(0, 2), (2, 2), (1, 3)])
@pytest.mark.parametrize("balanced", [False, True])
def test_further_sweeps(size, blocks, count, balanced):
    plain = make_dictionary(2, channels=(1, 3), size=size)
    dictionary = mcsc.Dictionary(plain.common, plain.unique, signal_weights=(1.2, 0.6))
    signals = make_signals(2, channels=(1, 3), shape=(13, 11), samples=2)
    one, result = (sweeps(signals, dictionary, 0.05, blocks + 1, n) for n in (1, count))
    net = unfolded.CUNet.from_dictionary(
        dictionary, 0.05, blocks=blocks, sweeps=count, balanced=balanced
    )
    with torch.no_grad():
        split = net.split(*map(torch.from_numpy, signals))
        c, uv = net.codes(*map(torch.from_numpy, signals))
    parts, before = (mcsc.reconstruct(r.codes, dictionary) for r in (result, one))
    np.testing.assert_allclose(split.image.numpy(), parts.image, rtol=0, atol=1e-10)
    np.testing.assert_allclose(split.common.numpy(), parts.common, rtol=0, atol=1e-10)
    assert np.abs(parts.common - before.common).max() > 1e-3
    if not balanced:
        wanted = (result.codes.common, *result.codes.unique)
        for found, maps in zip((c, *uv), wanted, strict=True):
            np.testing.assert_allclose(found.numpy(), maps, rtol=0, atol=1e-10)


def test_each_map_has_its_lam():
    dictionary = make_dictionary(3, channels=(1, 1), size=4)
    signals = make_signals(3, channels=(1, 1), shape=(13, 11))
    lam = np.linspace(0.02, 0.2, dictionary.n_maps)
    result = sweeps(signals, dictionary, lam, 3)
    net = unfolded.CUNet.from_dictionary(dictionary, lam, blocks=2, thresholds="map")
    with torch.no_grad():
        image = net(*map(torch.from_numpy, signals))
    wanted = mcsc.reconstruct(result.codes, dictionary).image
    np.testing.assert_allclose(image.numpy(), wanted, rtol=0, atol=1e-10)


@pytest.mark.parametrize("size", [4, 5])
@pytest.mark.parametrize("balanced", [False, True])
def test_bridge_with_weights_of_signals(size, balanced):
    plain = make_dictionary(4, channels=(1, 3), size=size)
    dictionary = mcsc.Dictionary(plain.common, plain.unique, signal_weights=(1.5, 0.3))
    signals = make_signals(4, channels=(1, 3), shape=(13, 11))
    result = sweeps(signals, dictionary, 0.05, 4)
    net = unfolded.CUNet.from_dictionary(dictionary, 0.05, blocks=3, balanced=balanced)
    with torch.no_grad():
        split = net.split(*map(torch.from_numpy, signals))
    parts = mcsc.reconstruct(result.codes, dictionary)
    np.testing.assert_allclose(split.image.numpy(), parts.image, rtol=0, atol=1e-10)
    np.testing.assert_allclose(split.common.numpy(), parts.common, rtol=0, atol=1e-10)
    assert result.codes.nnz_common > 0
    assert result.codes.nnz_unique[1] > 0


@pytest.mark.parametrize("size", [3, 4])
def test_bridge_in_single_precision(size):
    d = make_dictionary(2, channels=(1, 3), size=size)
    single = mcsc.Dictionary(
        tuple(b.astype(np.float32) for b in d.common), tuple(b.astype(np.float32) for b in d.unique)
    )
    signals = make_signals(2, channels=(1, 3), shape=(12, 14), dtype="float32")
    result = sweeps(signals, single, 0.1, 5)
    net = unfolded.CUNet.from_dictionary(single, 0.1)
    assert net.target_common.weight.dtype == torch.float32
    with torch.no_grad():
        c, (u, _) = net.codes(*map(torch.from_numpy, signals))
    np.testing.assert_allclose(c.numpy(), result.codes.common, atol=2e-6)
    np.testing.assert_allclose(u.numpy(), result.codes.unique[0], atol=2e-6)


@pytest.mark.parametrize("task", ["restoration", "fusion"])
def test_targets_of_the_dictionary(task):
    dictionary = make_dictionary(3, channels=(1, 3), size=4, target=2)
    signals = make_signals(3, channels=(1, 3), shape=(10, 12))
    result = sweeps(signals, dictionary, 0.1, 3)
    wanted = mcsc.reconstruct(result.codes, dictionary, task)
    for balanced in (False, True):
        net = unfolded.CUNet.from_dictionary(
            dictionary, 0.1, blocks=2, task=task, balanced=balanced
        )
        with torch.no_grad():
            split = net.split(*map(torch.from_numpy, signals))
        np.testing.assert_allclose(split.image.numpy(), wanted.image, atol=1e-10)
        np.testing.assert_allclose(split.common.numpy(), wanted.common, atol=1e-10)
        for part, other in zip(split.unique, wanted.unique, strict=True):
            assert (part is None) == (other is None)
            if other is not None:
                np.testing.assert_allclose(part.numpy(), other, atol=1e-10)


def test_balanced_codes_are_larger_by_the_root_of_the_bound():
    dictionary = make_dictionary(4, channels=(1, 1), size=3)
    x, y = map(torch.from_numpy, make_signals(4, shape=(9, 9)))
    plain = unfolded.CUNet.from_dictionary(dictionary, 0.1)
    balanced = unfolded.CUNet.from_dictionary(dictionary, 0.1, balanced=True)
    l_common, l_unique = dictionary.lipschitz()
    with torch.no_grad():
        (c, (u, v)), (bc, (bu, bv)) = plain.codes(x, y), balanced.codes(x, y)
    for a, b, bound in ((c, bc, l_common), (u, bu, l_unique[0]), (v, bv, l_unique[1])):
        torch.testing.assert_close(b, np.sqrt(bound) * a)
    for module in (*balanced.unique, balanced.common):
        up, down = module.up[0].weight, module.down[0].weight
        torch.testing.assert_close(up, down.flip(-2, -1).swapaxes(0, 1))


# ----------------------------------------------------------------------------- ridge
@pytest.fixture
def pairs():
    g = torch.Generator().manual_seed(0)
    out = []
    for _ in range(2):
        x = torch.randn(2, 1, 9, 8, generator=g, dtype=torch.float64)
        y = torch.randn(2, 1, 9, 8, generator=g, dtype=torch.float64)
        out.append((x, y, 0.7 * x + 0.2 * y + 0.1 * x.roll(1, -1)))
    return out


@pytest.mark.parametrize("task", ["restoration", "fusion"])
@pytest.mark.parametrize("size", [2, 3])
def test_refit_is_the_ridge_solution(pairs, task, size):
    """Against the normal equations of the explicit matrix."""
    dictionary = make_dictionary(5, size=size, common=3, unique=2, target=1)
    start = unfolded.CUNet.from_dictionary(dictionary, 0.2, blocks=1, task=task)
    net = unfolded.CUNet.from_dictionary(
        dictionary, 0.2, blocks=1, task=task, pairs=iter(pairs), ridge=0.01
    )
    with torch.no_grad():
        columns, targets = [], []
        counts = [3, 2, 2] if task == "fusion" else [3, 2]
        energy = torch.zeros(sum(counts), dtype=torch.float64)
        for x, y, z in pairs:
            c, uv = start.codes(x, y)
            maps = torch.cat((c, *uv[: len(counts) - 1]), dim=1)
            energy += (maps**2).sum(dim=(0, 2, 3))
            units = torch.eye(maps.shape[1] * size**2, dtype=torch.float64)
            units = units.reshape(-1, 1, maps.shape[1], size, size)
            columns.append(torch.stack([synthesise(maps, unit).flatten() for unit in units], 1))
            targets.append(z.flatten())
        a, z = torch.cat(columns), torch.cat(targets)
        penalty = 0.01 * torch.cat([e.mean().repeat(len(e)) for e in energy.split(counts)])
        penalty = torch.diag(penalty.repeat_interleave(size**2))

        def filters(net):
            return torch.cat([g.weight.flatten() for g in (net.target_common, *net.target_unique)])

        wanted = filters(start) + torch.linalg.solve(
            a.T @ a + penalty, a.T @ (z - a @ filters(start))
        )
    assert (filters(start) - wanted).abs().max() > 0.01
    torch.testing.assert_close(filters(net), wanted, rtol=0, atol=1e-4)


def test_refit_without_target_filters(pairs):
    """Fusion has no target filters to start from: they begin at zero. Balanced or not."""
    dictionary = make_dictionary(5, size=3)
    fused = [(x, y, torch.cat((z, -z), dim=1)) for x, y, z in pairs]
    errors = []
    for balanced in (False, True):
        net = unfolded.CUNet.from_dictionary(
            dictionary, 0.05, task="fusion", pairs=fused, balanced=balanced
        )
        assert net.configuration.out_channels == 2
        with torch.no_grad():
            errors.append(sum(torch.sum((net(x, y) - z) ** 2).item() for x, y, z in fused))
    assert errors[0] == pytest.approx(errors[1], rel=1e-9)
    assert errors[0] < 0.7 * sum(torch.sum(z**2).item() for _, _, z in fused)


def test_refit_leaves_all_but_the_target_filters(pairs):
    dictionary = make_dictionary(5, size=3)
    net = unfolded.CUNet.from_dictionary(dictionary, 0.1)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    assert refit(net, pairs) > 3
    for key, value in net.state_dict().items():
        assert torch.equal(value, before[key]) == (not key.startswith("target"))


def test_refit_with_silent_codes_keeps_the_filters(pairs):
    net = unfolded.CUNet.from_dictionary(make_dictionary(5, size=3), 1e3)
    before = net.target_common.weight.clone()
    refit(net, pairs)
    assert torch.equal(net.target_common.weight, before)


# -------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("dictionary", "says"),
    [
        ("d.npz", "dictionary must be an mcsc.Dictionary, found str"),
        (make_dictionary(channels=(1,)), "needs common and unique filters of two signals"),
        (make_dictionary(channels=(1, 1, 1)), "of two signals"),
        (make_dictionary(unique=0), "needs common and unique"),
        (make_dictionary(common=0), "needs common and unique"),
        (make_dictionary(unique=(2, 0)), "needs common and unique"),
        (make_dictionary(size=(2, 2, 2, 2, 3, 3, 3), target=1), "target filters of 3x3 are larger"),
    ],
)
def test_refused_dictionaries(dictionary, says):
    with pytest.raises((TypeError, ValueError), match=says):
        unfolded.CUNet.from_dictionary(dictionary, 0.1)


@pytest.mark.parametrize(
    ("lam", "says"),
    [
        (0.0, "lam must be finite and > 0"),
        ((0.1, -1.0, 0.1), "lam must be finite and > 0"),
        (float("nan"), "lam must be finite and > 0"),
        ((0.1, 0.1), "lam has 2 entries"),
        (np.linspace(0.1, 0.2, 7), "lam differs among the maps of group .*one threshold per group"),
        (((0.1, 0.2, 0.1), 0.1, 0.1), "lam differs among the maps of group "),
        (((0.1, 0.1), 0.1, 0.1), "lam of group .* has shape"),
        (np.full(6, 0.1), r"lam has \(6,\) entries: give one number"),
        ("0.1", "lam must be a number or numbers"),
        (True, "lam must be a number or numbers"),
        (None, "lam must be a number or numbers"),
    ],
)
def test_refused_lam(lam, says):
    with pytest.raises((TypeError, ValueError), match=says):
        unfolded.CUNet.from_dictionary(make_dictionary(), lam)


@pytest.mark.parametrize(
    "lam",
    [
        np.float32(0.125), np.array(0.125), [0.125] * 3, np.full(3, 0.125), np.full(7, 0.125),
        [[0.125] * 3, 0.125, np.full(2, 0.125)], (np.float64(0.125), np.float32(0.125), 0.125),
    ],
    ids=str,
)  # fmt: skip
def test_lam_is_given_as_to_the_solver(lam):
    """Any kind of number, one a group, or one a map if a group's are the same."""
    dictionary = make_dictionary(common=3, unique=2)
    signals = make_signals(0, shape=(9, 9))
    sweeps(signals, dictionary, lam, 1)  # the solver takes it
    net = unfolded.CUNet.from_dictionary(dictionary, lam, blocks=1)
    wanted = unfolded.CUNet.from_dictionary(dictionary, 0.125, blocks=1)
    for module, other in zip(
        (net.common, *net.unique), (wanted.common, *wanted.unique), strict=True
    ):
        assert torch.equal(module.thresholds, other.thresholds)


def test_no_random_number_is_drawn():
    before = torch.get_rng_state()
    unfolded.CUNet.from_dictionary(make_dictionary(), 0.1)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_subclass_makes_its_own():
    class Mine(unfolded.CUNet):
        pass

    assert type(Mine.from_dictionary(make_dictionary(), 0.1, blocks=0)) is Mine


def test_refused_targets_and_pairs(pairs):
    plain = make_dictionary(size=3)
    make = unfolded.CUNet.from_dictionary
    with pytest.raises(ValueError, match="fusion needs target filters"):
        make(plain, 0.1, task="fusion")
    with pytest.raises(ValueError, match="task must be"):
        make(plain, 0.1, task="denoising")
    partly = mcsc.Dictionary(plain.common, plain.unique, target_common=plain.common[0])
    with pytest.raises(ValueError, match="lacks some of them"):
        make(partly, 0.1)
    with pytest.raises(ValueError, match="at least one of them"):
        make(plain, 0.1, pairs=[])
    images = tuple(np.zeros((1, 1, 8, 8), "f4") for _ in range(3))
    for wrong in ([images], [images[0]], [torch.zeros(1, 1, 8, 8)]):
        with pytest.raises(TypeError, match=r"tensors \(N, C, H, W\), as torch\.from_numpy makes"):
            make(plain, 0.1, pairs=wrong)
    with pytest.raises(ValueError, match=r"pairs must hold \(x, y, z\)"):
        make(plain, 0.1, task="fusion", pairs=[])
    with pytest.raises(ValueError, match="ridge must be > 0, found 0"):
        make(plain, 0.1, pairs=pairs, ridge=0)
    x, y, z = pairs[0]
    with pytest.raises(
        ValueError, match=r"z of pairs\[0\] has shape \(2, 1, 8, 8\), wanted \(2, 1, 9, 8\)"
    ):
        make(plain, 0.1, pairs=[(x, y, z[:, :, 1:])])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("number", range(2))
def test_pairs_that_are_not_finite_are_refused(pairs, number, place, value, monkeypatch):
    pairs[number][place][0, 0, 3, 4] = value
    message = rf"{'xyz'[place]} of pairs\[{number}\] holds NaN or Inf"
    dictionary = make_dictionary(5, size=3)
    net = unfolded.CUNet.from_dictionary(dictionary, 0.1)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        refit(net, iter(pairs))
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    monkeypatch.setattr(unfolded.CUNet, "from_state", None)  # no work
    with pytest.raises(ValueError, match=message):
        unfolded.CUNet.from_dictionary(dictionary, 0.1, pairs=iter(pairs))


def test_noise_of_pairs_that_is_not_finite_is_refused(pairs):
    net = make_net(noise_aware=True)
    x, y, z = pairs[0]
    with pytest.raises(ValueError, match=r"sigma of pairs\[0\] holds NaN or Inf"):
        refit(net, [(x, y, z, torch.tensor([0.1, torch.nan]))])


def test_pairs_whose_squares_overflow_are_refused(pairs):
    net = unfolded.CUNet.from_dictionary(make_dictionary(5, size=3), 0.1)
    before = net.target_common.weight.clone()
    with pytest.raises(ValueError, match=r"overflow torch\.float64: scale them"):
        refit(net, [(x, y, 1e200 * z) for x, y, z in pairs])
    assert torch.equal(net.target_common.weight, before)
