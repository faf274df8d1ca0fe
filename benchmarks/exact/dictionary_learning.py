"""Time to learn: `mcsc.learn` against SPORCO's ConvBPDNDictLearn, to the same objective.

40 patches of 96x96 of photographs, detail only, periodic, one lam. Two cases: a single signal
(luma, K filters), and two stacked signals (luma and red, K atoms of both). SPORCO runs its ADMM for
the codes and consensus for the dictionary, adaptive rho, for 100 iterations; ours is timed to the
end of the first pass whose objective (summed as its windows were coded, before the filters got
better once more) is at most SPORCO's last. Objectives are Eq. 5 with SPORCO's dictionary and codes,
in float64.

SPORCO normalises every channel of an atom, this package atoms as a whole: with C channels SPORCO's
problem at lam is ours at lam / sqrt(C), within our larger set of filters.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

import mcsc

from ..common import peers, timing
from ..common.problems import QUICK_SIZE, detail, pair_names, pictures, quiet
from ..common.results import Data, command, number, table

PEER = "SPORCO ConvBPDNDictLearn"
TOL = 0.1
"""Gap that windows are coded to: loose codes lead as far a pass as exact ones, in half the time."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--patches", type=int, default=40, help="how many")
    parser.add_argument("--size", type=int, default=96, help="their side")
    parser.add_argument("--filters", type=int, default=64, help="atoms")
    parser.add_argument("--filter-size", type=int, default=8)
    parser.add_argument("--iterations", type=int, default=100, help="of SPORCO")
    parser.add_argument("--fraction", type=float, default=0.02, help="lam over lambda_max")
    parser.add_argument("--passes", type=int, default=8, help="of ours, at most")


def patches(count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Detail of luma and red at random places, (count, 1, size, size) each."""
    rng = np.random.default_rng(0)
    names = pair_names()
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for index in range(count):
        first, second = pictures(names[index % len(names)])
        h, w = first.shape[1:]
        top, left = int(rng.integers(h - size)), int(rng.integers(w - size))
        part = (slice(None), slice(top, top + size), slice(left, left + size))
        found.append((detail(first)[part], detail(second)[part]))
    x, y = (np.ascontiguousarray(np.stack(c), dtype=np.float32) for c in zip(*found, strict=True))
    return x, y


def measure(arguments: argparse.Namespace) -> Data:
    count, size, filters = arguments.patches, arguments.size, arguments.filters
    iterations, passes = arguments.iterations, arguments.passes
    if arguments.quick:
        count, size, filters, iterations, passes = 3, QUICK_SIZE, 4, 5, 3
    x, y = patches(count, size)
    cases = []
    with peers.equal_threads(arguments.threads):
        timing.warm_up(("working-set",))
        for name, signals in (("single", (x,)), ("stacked", (x, y))):
            case = _case(
                name, signals, filters, arguments.filter_size, iterations, passes,
                arguments.fraction,
            )  # fmt: skip
            cases.append(case)
            print(_progress(case), flush=True)
    return {
        "patches": count, "size": size, "filters": filters, "filter_size": arguments.filter_size,
        "iterations": iterations, "fraction": arguments.fraction, "threads": arguments.threads,
        "cases": cases,
    }  # fmt: skip


def _case(
    name: str,
    signals: tuple[np.ndarray, ...],
    filters: int,
    size: int,
    iterations: int,
    passes: int,
    fraction: float,
) -> Data:
    channels = len(signals)
    rng = np.random.default_rng(1)
    start = rng.standard_normal((size, size, channels, filters)).astype(np.float32)
    bank = start.transpose(3, 2, 0, 1).astype(np.float64)
    common = tuple(bank[:, c : c + 1] for c in range(channels))
    first = mcsc.Dictionary(common=common).normalise()
    lam_own = fraction * mcsc.lambda_max(signals, first, boundary="periodic")
    theirs = _sporco(signals, start, lam_own * np.sqrt(channels), iterations)
    # lam of theirs is sqrt(C) times ours: their atoms are that much longer, their codes shorter.
    learned = mcsc.learn(
        signals, lam=lam_own, n_common=filters, n_unique=0, filter_size=size, passes=passes,
        window=signals[0].shape[2], tol=TOL,
        options=mcsc.LearnOptions(init=first, boundary="periodic"),
    )  # fmt: skip
    history = learned.history
    reached = [
        s for s, o in zip(history.seconds, history.objective, strict=True)
        if o <= theirs["objective"]
    ]  # fmt: skip
    return {
        "case": name, "lam": lam_own, "peer": theirs, "seconds": history.seconds,
        "objective": history.objective, "nonzero": history.nonzero,
        "reached": reached[0] if reached else None,
        "ratio": theirs["seconds"] / reached[0] if reached else None,
    }  # fmt: skip


def _sporco(
    signals: tuple[np.ndarray, ...], start: np.ndarray, lam: float, iterations: int
) -> Data:
    """Run SPORCO and evaluate Eq. 5 at the better of its pairs of variables."""
    with quiet():
        from sporco.dictlrn import cbpdndl

    channels = len(signals)
    stacked = np.concatenate(signals, axis=1).transpose(2, 3, 1, 0)
    signal = np.ascontiguousarray(stacked)  # (H, W, C, N)
    start = start / np.sqrt((start**2).sum((0, 1), keepdims=True))
    options: dict[str, Any] = {
        "Verbose": False, "MaxMainIter": iterations, "StatusHeader": False, "AccurateDFid": False,
        "CBPDN": {"rho": 50.0 * lam + 0.5, "RelaxParam": 1.8,
                  "AutoRho": {"Enabled": True, "StdResiduals": True}},
        "CCMOD": {"rho": 10.0, "ZeroMean": False, "AutoRho": {"Enabled": True}},
    }  # fmt: skip
    watch = timing.Stopwatch()
    with quiet():
        kind = cbpdndl.ConvBPDNDictLearn
        chosen = kind.Options(options, xmethod="admm", dmethod="cns")
        solver = kind(
            start, signal, lam, chosen, xmethod="admm", dmethod="cns",
            dimK=1,
        )  # fmt: skip
        solver.solve()
    seconds = watch.seconds
    found = np.asarray(solver.getdict(), dtype=np.float64).reshape(*start.shape[:2], channels, -1)
    codes = np.asarray(solver.getcoef(), dtype=np.float64)  # (H, W, 1, N, K)
    return {"seconds": seconds, "objective": _objective(signal, found, codes, lam), "lam": lam}


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
    return (
        f"{case['case']}: SPORCO {number(case['peer']['seconds'])} s to "
        f"{case['peer']['objective']:.5g}; mcsc {number(case['reached'])} s, "
        f"{number(case['ratio'], 2)} times faster; at the end {case['objective'][-1]:.5g}"
    )


def summary(data: Data) -> str:
    rows = []
    for c in data["cases"]:
        rows.append(
            [
                {"single": "luma", "stacked": "luma and red, stacked"}[c["case"]],
                number(c["peer"]["seconds"]),
                f"{c['peer']['objective']:.5g}",
                number(c["reached"]) if c["reached"] else "not reached",
                number(c["ratio"], 2) if c["ratio"] else "–",
                f"{min(c['objective']):.5g} in {number(c['seconds'][-1])} s",
            ]
        )
    headers = ["signals", f"{PEER}, s", "its objective", "mcsc.learn, s", "times faster", "ours"]
    return (
        f"{data['patches']} patches of {data['size']}x{data['size']}, {data['filters']} filters of "
        f"{data['filter_size']}x{data['filter_size']}, lam {100 * data['fraction']:g} % of "
        f"lambda_max, {data['iterations']} iterations of SPORCO, {data['threads']} threads "
        "(target: 10 times faster):\n\n" + table(headers, rows)
    )


def main(argv: Sequence[str] | None = None) -> Data:
    """Run from the command line."""
    return command("exact.dictionary_learning", __doc__ or "", argv, add_options, measure, summary)


if __name__ == "__main__":
    main()
