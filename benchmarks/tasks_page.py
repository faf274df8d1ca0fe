"""Write docs/tasks.md from what `mcsc evaluate --json` wrote into benchmarks/results/MACHINE/tasks.

mcsc evaluate --task depth-sr DIR --json benchmarks/results/MACHINE/tasks/depth-sr.json
python -m benchmarks.tasks_page
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mcsc.imaging.tasks import TASKS

from .problems import ROOT
from .results import RESULTS, table

HEAD = """\
<!-- Written by `python -m benchmarks.tasks_page` from benchmarks/results: do not edit. -->

# The six tasks, measured

Means over the scenes named, by `mcsc evaluate`. Settings were chosen on other scenes. RMSE is in
grey levels of 255 over the whole image; values beyond 0 and 1 are cut off first, but not those of
depth. Times are seconds a scene on two cores, with other work on
the machine.
"""

SEEN = ROOT / "benchmarks" / "fused_pictures.md"
"""What was seen in the pictures; no command can write that."""


def page(results: Path = RESULTS) -> str:
    """The text of the page."""
    parts = [HEAD]
    files = sorted(results.glob("*/tasks/*.json"))
    for path in sorted(files, key=lambda p: (list(TASKS).index(_task(p)), p.name)):
        parts.append(_section(path, json.loads(path.read_text(encoding="utf-8"))))
    parts.append(SEEN.read_text(encoding="utf-8"))
    return "\n".join(parts)


def _task(path: Path) -> str:
    return str(json.loads(path.read_text(encoding="utf-8"))["task"])


def _section(path: Path, data: dict[str, Any]) -> str:
    task = TASKS[data["task"]]
    scenes = list(dict.fromkeys(r["scene"] for r in data["rows"]))
    rows = []
    for method, mean in data["mean"].items():
        seconds = [r["seconds"] for r in data["rows"] if r["method"] == method]
        values = [f"{mean[m.name]:.{m.digits}f}" for m in task.measures]
        rows.append([method, *values, f"{sum(seconds) / len(seconds):.1f}"])
    note = f" {data['note']}" if data.get("note") else ""
    sigma = f", sigma {data['sigma']:g}" if data.get("sigma") else ""
    headers = ["method", *(m.name for m in task.measures), "seconds"]
    return (
        f"## {task.title}: {path.stem}\n\n{len(scenes)} scenes ({', '.join(scenes)}){sigma}."
        f"{note}\n\n{table(headers, rows)}\n"
    )


def main() -> Path:
    """Write the page."""
    out = ROOT / "docs" / "tasks.md"
    out.write_text(page(), encoding="utf-8")
    print(out)
    return out


if __name__ == "__main__":
    main()
