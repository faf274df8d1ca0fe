"""Time to learn: `mcsc.learn` against SPORCO's dictionary learning, to the same objective.

40 patches of 96x96 of photographs, detail only, periodic, one lam, for one channel (luma), two
(luma and red) and three (the colours), whose atoms are learned together, for several numbers of
filters and seeds of the first ones. Ours is timed to the end of the first pass whose objective
(summed as its windows were coded, before the filters got better once more) is at most the peer's.
The peers:

- `ConvBPDNDictLearn`, all patches at a time: ADMM for the codes and consensus for the dictionary,
  adaptive rho, 100 iterations. Its objective is Eq. 5 with its dictionary and codes, in float64.
- `OnlineConvBPDNDictLearn`, one patch after the other: ADMM for its codes and a gradient step for
  the dictionary. Its objective is the least one that its dictionary allows: all patches are coded
  exactly with it, outside of its time.

SPORCO normalises every channel of an atom, this package atoms as a whole: with C channels SPORCO's
problem at lam is ours at lam / sqrt(C), within our larger set of filters.

RoseCDL (T. Moreau and others; PyTorch) belongs here too, but no release of it was on PyPI when this
was written: its code is on GitHub alone (tomMoral/RoseCDL). It is of the second kind, a step on the
dictionary for each batch of patches, whose codes are of some iterations of FISTA.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import mcsc

from ..common import peers, timing
from ..common.problems import QUICK_SIZE, colours, detail, pair_names, pictures, quiet
from ..common.results import Data, command, number, table

BATCH, ONLINE = "ConvBPDNDictLearn", "OnlineConvBPDNDictLearn"
TOL = 0.1
"""Gap that windows are coded to: loose codes lead as far a pass as exact ones, in half the time."""
CHANNELS = {1: "luma", 2: "luma and red", 3: "three colours"}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--patches", type=int, default=40, help="how many")
    parser.add_argument("--size", type=int, default=96, help="their side")
    parser.add_argument("--channels", type=int, nargs="+", default=[1, 2, 3], choices=CHANNELS)
    parser.add_argument("--filters", type=int, nargs="+", default=[32, 64], help="atoms")
    parser.add_argument("--seeds", type=int, default=3, help="how many, of the first atoms")
    parser.add_argument("--filter-size", type=int, default=8)
    parser.add_argument("--iterations", type=int, default=100, help=f"of {BATCH}")
    parser.add_argument("--epochs", type=int, default=3, help=f"of {ONLINE}")
    parser.add_argument("--fraction", type=float, default=0.02, help="lam over lambda_max")
    parser.add_argument("--passes", type=int, default=8, help="of ours, at most")


def patches(count: int, size: int, channels: int) -> tuple[np.ndarray, ...]:
    """Detail of the channels at random places, (count, 1, size, size) each."""
    rng = np.random.default_rng(0)
    names = pair_names()
    found: list[list[np.ndarray]] = []
    for index in range(count):
        name = names[index % len(names)]
        images = list(colours(name)[:, None]) if channels == 3 else pictures(name)[:channels]
        h, w = images[0].shape[1:]
        top, left = int(rng.integers(h - size)), int(rng.integers(w - size))
        part = (slice(None), slice(top, top + size), slice(left, left + size))
        found.append([detail(image)[part] for image in images])
    return tuple(
        np.ascontiguousarray(np.stack(c), dtype=np.float32) for c in zip(*found, strict=True)
    )


def measure(arguments: argparse.Namespace) -> Data:
    if arguments.quick:
        small = {
            "patches": 3, "size": QUICK_SIZE, "channels": [1, 3], "filters": [4], "seeds": 1,
            "iterations": 5, "epochs": 1, "passes": 3,
        }  # fmt: skip
        vars(arguments).update(small)
    cases = []
    with peers.equal_threads(arguments.threads):
        timing.warm_up(("working-set",))
        for channels, filters, seed in itertools.product(
            arguments.channels, arguments.filters, range(arguments.seeds)
        ):
            signals = patches(arguments.patches, arguments.size, channels)
            case = _case(signals, filters, seed, arguments)
            cases.append(case)
            print(_progress(case), flush=True)
    kept = (
        "patches", "size", "filters", "filter_size", "iterations", "epochs", "fraction", "threads",
        "seeds",
    )  # fmt: skip
    return {name: getattr(arguments, name) for name in kept} | {"cases": cases}


def _case(
    signals: tuple[np.ndarray, ...], filters: int, seed: int, arguments: argparse.Namespace
) -> Data:
    channels, size = len(signals), arguments.filter_size
    rng = np.random.default_rng(seed + 1)
    start = rng.standard_normal((size, size, channels, filters)).astype(np.float32)
    first = _dictionary(start)
    lam_own = arguments.fraction * mcsc.lambda_max(signals, first, boundary="periodic")
    # lam of theirs is sqrt(C) times ours: their atoms are that much longer, their codes shorter.
    lam = lam_own * np.sqrt(channels)
    theirs = {
        BATCH: _batch(signals, start, lam, arguments.iterations),
        ONLINE: _online(signals, start, lam, lam_own, arguments.epochs),
    }
    learned = mcsc.learn(
        signals, lam=lam_own, n_common=filters, n_unique=0, filter_size=size,
        passes=arguments.passes, window=signals[0].shape[2], tol=TOL,
        options=mcsc.LearnOptions(init=first, boundary="periodic"),
    )  # fmt: skip
    history = learned.history
    for peer in theirs.values():
        reached = [
            s for s, o in zip(history.seconds, history.objective, strict=True)
            if o <= peer["objective"]
        ]  # fmt: skip
        peer["reached"] = reached[0] if reached else None
        peer["ratio"] = peer["seconds"] / reached[0] if reached else None
    return {
        "channels": channels, "filters": filters, "seed": seed, "lam": lam_own, "peers": theirs,
        "seconds": history.seconds, "objective": history.objective, "nonzero": history.nonzero,
    }  # fmt: skip


def _dictionary(filters: np.ndarray) -> mcsc.Dictionary:
    """Atoms of all channels together, of unit norm, from SPORCO's layout (s, s, C, K)."""
    bank = filters.transpose(3, 2, 0, 1).astype(np.float64)
    return mcsc.Dictionary(
        common=tuple(bank[:, c : c + 1] for c in range(bank.shape[1]))
    ).normalise()


def _per_channel(filters: np.ndarray) -> np.ndarray:
    """Every channel of every atom of unit norm, as SPORCO wants its first ones."""
    scaled: np.ndarray = filters / np.sqrt((filters**2).sum((0, 1), keepdims=True))
    return scaled


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    watch = timing.Stopwatch()
    with quiet():
        done = work()
    return done, watch.seconds


def _stacked(signals: tuple[np.ndarray, ...]) -> np.ndarray:
    """Signals as SPORCO takes them, (H, W, C, N)."""
    return np.ascontiguousarray(np.concatenate(signals, axis=1).transpose(2, 3, 1, 0))


def _batch(signals: tuple[np.ndarray, ...], start: np.ndarray, lam: float, iterations: int) -> Data:
    """Run SPORCO on all patches and evaluate Eq. 5 at its dictionary and codes."""
    with quiet():
        from sporco.dictlrn import cbpdndl

    signal = _stacked(signals)
    options: dict[str, Any] = {
        "Verbose": False, "MaxMainIter": iterations, "StatusHeader": False, "AccurateDFid": False,
        "CBPDN": {"rho": 50.0 * lam + 0.5, "RelaxParam": 1.8,
                  "AutoRho": {"Enabled": True, "StdResiduals": True}},
        "CCMOD": {"rho": 10.0, "ZeroMean": False, "AutoRho": {"Enabled": True}},
    }  # fmt: skip

    def work() -> Any:
        kind = cbpdndl.ConvBPDNDictLearn
        chosen = kind.Options(options, xmethod="admm", dmethod="cns")
        solver = kind(
            _per_channel(start), signal, lam, chosen, xmethod="admm", dmethod="cns", dimK=1
        )
        solver.solve()
        return solver

    solver, seconds = _timed(work)
    found = np.asarray(solver.getdict(), dtype=np.float64).reshape(*start.shape)
    codes = np.asarray(solver.getcoef(), dtype=np.float64)  # (H, W, 1, N, K)
    return {"seconds": seconds, "objective": _objective(signal, found, codes, lam)}


def _online(
    signals: tuple[np.ndarray, ...], start: np.ndarray, lam: float, lam_own: float, epochs: int
) -> Data:
    """Run SPORCO patch by patch, and code all patches exactly with its dictionary."""
    with quiet():
        from sporco.dictlrn import onlinecdl

    signal = _stacked(signals)
    channels, count = signal.shape[2:]
    options: dict[str, Any] = {
        "Verbose": False, "ZeroMean": False, "eta_a": 10.0, "eta_b": 20.0, "DataType": np.float32,
        "CBPDN": {"rho": 50.0 * lam + 0.5, "RelaxParam": 1.8, "MaxMainIter": 50,
                  "RelStopTol": 3e-3, "AutoRho": {"Enabled": True}},
    }  # fmt: skip
    order = [n for epoch in range(epochs) for n in np.random.default_rng(epoch).permutation(count)]

    def work() -> Any:
        kind = onlinecdl.OnlineConvBPDNDictLearn
        solver = kind(_per_channel(start), lam, kind.Options(options))
        for n in order:
            solver.solve(signal[:, :, 0, n] if channels == 1 else signal[..., n], dimK=0)
        return solver

    solver, seconds = _timed(work)
    found = np.asarray(solver.getdict(), dtype=np.float64).reshape(*start.shape)
    result = mcsc.solve(signals, _dictionary(found), lam_own, boundary="periodic", tol=1e-3)
    return {"seconds": seconds, "objective": result.objective}


def _objective(signal: np.ndarray, filters: np.ndarray, codes: np.ndarray, lam: float) -> float:
    """Eq. 5 in SPORCO's layout: filters (s, s, C, K), codes (H, W, 1, N, K), periodic."""
    shape = signal.shape[:2]
    spectrum = np.fft.rfft2(filters, s=shape, axes=(0, 1))
    total = lam * float(np.abs(codes).sum())
    for n in range(signal.shape[3]):
        maps = np.fft.rfft2(codes[:, :, 0, n], axes=(0, 1))
        model = np.fft.irfft2(np.einsum("hwck,hwk->hwc", spectrum, maps), s=shape, axes=(0, 1))
        total += 0.5 * float(((signal[..., n] - model) ** 2).sum())
    return total


def _progress(case: Data) -> str:
    parts = [
        f"{name} {number(peer['seconds'])} s to {peer['objective']:.5g}, mcsc "
        f"{number(peer['reached'])} s, {number(peer['ratio'], 2)} times faster"
        for name, peer in case["peers"].items()
    ]
    return (
        f"{CHANNELS[case['channels']]}, {case['filters']} filters, seed {case['seed']}: "
        f"{'; '.join(parts)}; at the end {case['objective'][-1]:.5g}"
    )


def _spread(values: Sequence[float | None], digits: int = 3) -> str:
    """The mean over seeds, and the smallest and largest where they differ."""
    found = [v for v in values if v is not None]
    if len(found) < len(values):
        return "not reached" if not found else f"reached {len(found)} times of {len(values)}"
    mean = number(sum(found) / len(found), digits)
    ends = number(min(found), digits), number(max(found), digits)
    return mean if ends[0] == ends[1] else f"{mean} ({ends[0]} to {ends[1]})"


def summary(data: Data) -> str:
    """A row for each number of channels and filters, and each peer; over the seeds."""
    groups: dict[tuple[int, int], list[Data]] = {}
    for case in data["cases"]:
        groups.setdefault((case["channels"], case["filters"]), []).append(case)
    rows = []
    for (channels, filters), cases in groups.items():
        for name in cases[0]["peers"]:
            found = [case["peers"][name] for case in cases]
            rows.append(
                [
                    CHANNELS[channels],
                    str(filters),
                    name,
                    _spread([p["seconds"] for p in found]),
                    _spread([p["objective"] for p in found], 5),
                    _spread([p["reached"] for p in found]),
                    _spread([p["ratio"] for p in found], 2),
                    _spread([min(case["objective"]) for case in cases], 5),
                ]
            )
    headers = [
        "signals", "filters", "SPORCO's", "s", "its objective", "mcsc.learn, s", "times faster",
        "our least objective",
    ]  # fmt: skip
    return (
        f"{data['patches']} patches of {data['size']}x{data['size']}, filters of "
        f"{data['filter_size']}x{data['filter_size']}, lam {100 * data['fraction']:g} % of "
        f"lambda_max, {data['iterations']} iterations of {BATCH}, {data['epochs']} epochs of "
        f"{ONLINE}, {data['seeds']} seeds, {data['threads']} threads (target: 10 times faster):\n\n"
        + table(headers, rows)
    )


def main(argv: Sequence[str] | None = None) -> Data:
    """Run from the command line."""
    return command("exact.dictionary_learning", __doc__ or "", argv, add_options, measure, summary)


if __name__ == "__main__":
    main()
