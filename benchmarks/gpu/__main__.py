"""A GPU is at hand for some minutes: test, measure and train all that can be, in that order.

    python -m benchmarks.gpu --prepare DIR      # before, on a CPU: data, below 60 MiB
    python -m benchmarks.gpu --prepared DIR --minutes 10 --out OUT
    python -m benchmarks.gpu --prepared DIR --quick --out OUT   # a rehearsal, on a CPU too

Each part has a share of the time that is left, in a process of its own: one that fails or takes too
long costs itself alone. What it has found is written at once, OUT/PART.json and OUT/PART.log, and
OUT/summary.md tells of all of them. Trained weights are OUT/weights/TASK.safetensors.

Nothing is needed but this repository, what `mcsc` depends on, the prepared folder and PyTorch,
CuPy, Triton, pytest, pytest-benchmark, Lightning and safetensors (with pytest-xdist the tests take
less time); no network.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from .job import Job
from .schedule import PARTS, run_all


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="for all parts (10)")
    parser.add_argument("--out", type=Path, help="folder of the results")
    parser.add_argument("--prepare", type=Path, metavar="DIR", help="write the data, and end")
    parser.add_argument("--prepared", type=Path, metavar="DIR", help="what --prepare has written")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, with or without a GPU")
    parser.add_argument("--parts", help=f"only these, of {','.join(PARTS)}; separated by commas")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # the process of a part
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.prepare is None and given.out is None:
        parser.error("--out DIR says where results go (or --prepare DIR, where data do)")
    if not given.minutes > 0:
        parser.error(f"--minutes must be more than 0, found {given.minutes}")
    if given.prepared is not None and not (given.prepared / "about.json").is_file():
        parser.error(f"{given.prepared} is no folder that --prepare has written")
    given.chosen = given.parts.split(",") if given.parts else list(PARTS)
    unknown = [name for name in given.chosen if name not in PARTS]
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return given


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare, measure, or do one part; the exit status: 1 if a part failed."""
    given = _arguments(argv)
    if given.prepare is not None:
        from .prepare import prepare

        print(prepare(given.prepare, quick=given.quick))
        return 0
    job = Job(given.out, given.prepared, given.quick, given.seconds or 60 * given.minutes)
    if given.one is not None:
        name, _, rest = given.one.partition(":")
        try:
            PARTS[name].function()(job.named(given.one), *([rest] if rest else []))
        except Exception:
            traceback.print_exc()
            return 1
        return 0
    if not given.quick and not job.has_gpu():
        print(
            "python -m benchmarks.gpu: error: neither CuPy nor PyTorch finds a GPU; --quick "
            "rehearses on a CPU",
            file=sys.stderr,
        )
        return 2
    return run_all(job, given.chosen)


if __name__ == "__main__":
    sys.exit(main())
