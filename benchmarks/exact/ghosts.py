"""Are things that moved between two photographs found, and nothing else?

Synthetic pairs in which a disc shows the surface of another scene in the second photograph. Counted
are the pixels of it that differ by more than 0.1 (exposures: and are not white in the other), the
things of which at least a twentieth of those are found, and what is called a contradiction in pairs
where nothing moved (of flash: with a lamp that throws no shadow and makes no highlight).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np

from mcsc.alignment.ghosts import find_ghosts
from mcsc.synthetic import exposure_pair, flash, flash_pair, make_scene
from mcsc.synthetic.flash import Lamp

from ..common.results import Data, command, table

_SEEN = 0.1
_WHITE = 0.98
_MET = 0.05
_LEAST = 200
"""Pixels of a thing that must be seen for it to count."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scenes", type=int, default=40, help="number of scenes")
    parser.add_argument("--size", type=int, default=160, help="side of the image")
    parser.add_argument("--first", type=int, default=3000, help="seed of the first scene")


def measure(arguments: argparse.Namespace) -> Data:
    count, size = (3, 96) if arguments.quick else (arguments.scenes, arguments.size)
    pairs = [_pairs(arguments.first + n, (size, size)) for n in range(count)]
    rows = [_row("exposure", 0, [p[0] for p in pairs])]
    rows += [_row("flash", sigma, [p[1] for p in pairs]) for sigma in (5, 15, 50)]
    return {"scenes": count, "size": size, "first": arguments.first, "rows": rows}


def _pairs(seed: int, shape: tuple[int, int]) -> tuple[Any, Any]:
    """Of exposures and of flash: x, y, y after something moved, and where."""
    scene = make_scene(shape, seed=seed)
    rng = np.random.default_rng(seed)
    side = min(shape)
    row, column = rng.uniform(0.28 * side, 0.72 * side, 2)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    radius = rng.uniform(0.075, 0.175) * side
    there = (rows - row) ** 2 + (columns - column) ** 2 < radius**2
    other = make_scene(shape, seed=seed + 4000).albedo
    changed = replace(scene, albedo=np.where(there, other, scene.albedo))
    over, under, _ = exposure_pair(scene)
    ambient, lit = flash_pair(scene)

    def plain(*given: Any, **named: Any) -> Lamp:
        return Lamp(*given, **named | {"shadow": 0.0, "gloss": 0.0})

    with mock.patch.object(flash, "Lamp", plain):
        unshadowed = flash_pair(scene)[1]
    moved = exposure_pair(changed)[1]
    visible = there & (np.abs(moved - under).max(axis=0) > _SEEN) & (over < _WHITE).all(axis=0)
    exposures = over, under, moved, visible
    moved = flash_pair(changed)[1]
    visible = there & (np.abs(moved - lit).max(axis=0) > _SEEN)
    return exposures, (ambient, unshadowed, moved, visible)


def _row(kind: Any, sigma: int, pairs: Sequence[Any]) -> Data:
    shares, false = [], []
    for number, (x, y, moved, visible) in enumerate(pairs):
        noise = np.random.default_rng(number).standard_normal(x.shape)
        noisy = x + sigma / 255 * noise
        false.append(find_ghosts(noisy, y, kind).mean())
        if visible.sum() >= _LEAST:
            shares.append(find_ghosts(noisy, moved, kind)[visible].mean())
    return {
        "kind": kind,
        "noise": sigma,
        "things": len(shares),
        "found": float(np.mean(shares)) if shares else None,
        "met": float(np.mean(np.array(shares) >= _MET)) if shares else None,
        "false": float(np.mean(false)),
        "false_median": float(np.median(false)),
        "false_most": float(np.max(false)),
    }


def summary(data: Data) -> str:
    def share(value: float | None) -> str:
        return "–" if value is None else f"{100 * value:.1f} %"

    rows = [
        [r["kind"], str(r["noise"]), str(r["things"]),
         *(share(r[key]) for key in ("found", "met", "false", "false_median", "false_most"))]
        for r in data["rows"]
    ]  # fmt: skip
    headers = [
        "photographs", "noise of 255", "things", "of their pixels found", "things met",
        "false, mean", "median", "worst scene",
    ]  # fmt: skip
    return (
        f"Contradictions in {data['scenes']} synthetic pairs of {data['size']}x{data['size']}:\n\n"
        + table(headers, rows)
    )


def main(argv: Sequence[str] | None = None) -> Data:
    """Run from the command line."""
    return command("exact.ghosts", __doc__ or "", argv, add_options, measure, summary)


if __name__ == "__main__":
    main()
