"""The README's picture: when to use which solver, and when the network.

Drawn from the results of ``python -m benchmarks.networks.unrolling`` on this machine, or a file:

python -m benchmarks.pages.when --tasks depth-sr multi-focus --out docs/images/when.png
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from ..common import network_plots
from ..common.problems import ROOT
from ..common.results import RESULTS, machine_slug
from ..networks.unrolling import SCENES


def main(argv: Sequence[str] | None = None) -> Path:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pages.when",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--tasks", nargs="+", choices=tuple(SCENES), default=("depth-sr", "multi-focus")
    )
    default = RESULTS / machine_slug() / "unrolling.json"
    parser.add_argument("--results", type=Path, default=default, help="file of the results")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "when.png")
    arguments = parser.parse_args(argv)
    if not arguments.results.is_file():
        parser.error(f"no {arguments.results}: run python -m benchmarks.networks.unrolling first")
    record = json.loads(arguments.results.read_text(encoding="utf-8"))
    there = {task["task"] for task in record["data"]["tasks"]}
    missing = [task for task in arguments.tasks if task not in there]
    if missing:
        parser.error(f"{arguments.results} has no {', '.join(missing)}")
    network_plots.unrolling(record["data"], arguments.out, arguments.tasks)
    print(arguments.out)
    out: Path = arguments.out
    return out


if __name__ == "__main__":
    main()
