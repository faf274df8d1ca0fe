"""Write docs/tasks.md from what `mcsc evaluate --json` wrote into benchmarks/results/MACHINE/tasks.

mcsc evaluate --task depth-sr DIR --json benchmarks/results/MACHINE/tasks/depth-sr.json
python -m benchmarks.pages.tasks_page
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcsc.tasks.task import TASKS

from ..common.problems import ROOT
from ..common.results import RESULTS, Data, table

HEAD = """\
<!-- Written by `python -m benchmarks.pages.tasks_page` from benchmarks/results: do not edit. -->

# The six tasks, measured

Means over the scenes named, by `mcsc evaluate`. Settings were chosen on other scenes. `mcsc` has
the dictionary (to gap 1e-2) and `cunet` the weights that come with the package, if nothing else is
said. Each list of scenes ends with the machine; times are seconds a scene, with other work on it.

Restorations are compared with the true image: RMSE, the root mean square error, is in grey levels
of 255 over the whole image; PSNR is in dB; SSIM is 1 where images are equal. Values beyond 0 and 1
are cut off first, but not those of depth. Fusions have no true image: QABF (Q^AB/F) is the share of
the sources' edges that is kept, MI the mutual information with the sources in bits, MEF-SSIM the
likeness to the best patches of the sources, SF the strength of differences between neighbours, EN
the entropy of the grey levels in bits. RMSE is to be small, all others large; but SF and EN also
grow with noise.
"""

SEEN = ROOT / "benchmarks" / "fused_pictures.md"
"""What was seen in the pictures; no command can write that."""


def page(results: Path = RESULTS) -> str:
    """The text of the page: a section for every task and set of scenes, in the order of TASKS."""
    groups: dict[tuple[Any, ...], dict[str, Data]] = {}
    for path in sorted(results.glob("*/tasks/*.json"), key=lambda p: p.stem):
        data = json.loads(path.read_text(encoding="utf-8"))
        scenes = tuple(dict.fromkeys(r["scene"] for r in data["rows"]))
        key = data["task"], scenes, data.get("sigma"), path.parent.parent.name
        groups.setdefault(key, {})[path.stem] = data
    # The file named as its task, with the baselines, stands first; sorting keeps the rest.
    order = sorted(groups, key=lambda key: (list(TASKS).index(key[0]), key[0] not in groups[key]))
    sections = [_section(*key, groups[key]) for key in order]
    return "\n".join([HEAD, *sections, SEEN.read_text(encoding="utf-8")])


def _section(
    name: str, scenes: tuple[str, ...], sigma: float | None, machine: str, files: dict[str, Data]
) -> str:
    task = TASKS[name]
    rows: dict[str, list[str]] = {}
    notes = []
    title = task.title
    if name not in files:  # the main section of the task has its title alone
        kinds = ", ".join(_variant(name, stem) for stem in files)
        title += f": {kinds if sigma in (None, task.sigma) else f'noise of {sigma:g}'}"
    for stem, data in files.items():
        variant = "" if len(files) == 1 else _variant(name, stem)
        labels = []
        for method, mean in data["mean"].items():
            label = (
                f"{method} ({variant})" if variant not in ("", method.replace("-", " ")) else method
            )
            if method in rows and method not in ("mcsc", "cunet"):
                continue  # a baseline that stands there already
            labels.append(label)
            seconds = [r["seconds"] for r in data["rows"] if r["method"] == method]
            values = [f"{mean[m.name]:.{m.digits}f}" for m in task.measures]
            rows[label] = [label, *values, f"{sum(seconds) / len(seconds):.1f}"]
        if data.get("note"):
            # A note is on what is new in the table, the last method, or on all of it.
            whole = len(files) == 1 and len(labels) > 1
            new = "" if whole else f"{(labels or [stem])[-1]}: "
            notes.append(f"- {new}{data['note']}")
    headers = ["method", *(m.name for m in task.measures), "seconds"]
    noise = f", sigma {sigma:g}" if sigma else ""
    count = f"{len(scenes)} scene{'s' * (len(scenes) > 1)}"
    return "\n".join([
        f"## {title}\n\n{count} ({', '.join(scenes)}){noise}; {machine}.\n",
        table(headers, list(rows.values())),
        "",
        *notes,
        "",
    ])  # fmt: skip


def _variant(name: str, stem: str) -> str:
    """What distinguishes a file of a task from the main one."""
    return stem.removeprefix(name).strip("-").replace("-", " ")


def main(argv: Sequence[str] | None = None) -> Path:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pages.tasks_page",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "tasks.md", help="the page")
    out: Path = parser.parse_args(argv).out
    out.write_text(page(), encoding="utf-8")
    print(out)
    return out


if __name__ == "__main__":
    main()
