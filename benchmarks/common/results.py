"""One JSON file a run, with all that is needed to judge it, and the commands' common options."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mcsc
from mcsc.files import atomic_write

from .problems import ROOT

RESULTS = Path(__file__).resolve().parents[1] / "results"
PACKAGES = (
    "numpy", "scipy", "numba", "sporco", "pyfftw", "numexpr", "ducc0", "scikit-image", "torch",
)  # fmt: skip

Data = dict[str, Any]


# --------------------------------------------------------------------------------- machine
def cpu_model() -> str:
    """What the processor calls itself."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1).strip() if found else platform.machine()


def cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine_slug() -> str:
    """A short name for a folder: the processor and its cores, such as ``epyc-2core``."""
    name = re.sub(r"\(.*?\)|@.*|\b(amd|intel|cpu|processor|\d+-core)\b", " ", cpu_model().lower())
    words = re.findall(r"[a-z0-9]+", name)
    return "-".join([*words[:3], f"{cores()}core"])


def machine() -> Data:
    """Processor, cores, memory and system."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "slug": machine_slug(),
        "cpu": cpu_model(),
        "cores": cores(),
        "memory_gib": round(memory, 1),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def commit() -> str:
    """The git commit, with ``-dirty`` where the packages or the benchmarks differ from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    head = git("rev-parse", "--short=12", "HEAD")
    changed = git("status", "--porcelain", "--", "mcsc", "unfolded", "benchmarks/*.py")
    return (head or "unknown") + ("-dirty" if changed else "")


def busy() -> float:
    """Load of the machine over the last minute, in processes a core."""
    return round(os.getloadavg()[0] / cores(), 2) if hasattr(os, "getloadavg") else 0.0


# ------------------------------------------------------------------------------------ files
def save(
    name: str, arguments: Data, data: Data, *, command: str, seconds: float, load: float, out: Path
) -> Path:
    """Write a run as ``<out>/<machine>/<name>.json``."""
    about = machine()
    record = {
        "name": name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "command": command,
        "machine": about,
        "load_before": load,
        "versions": {"mcsc": mcsc.__version__} | {p: _version(p) for p in PACKAGES},
        "arguments": arguments,
        "seconds": round(seconds, 1),
        "data": data,
    }
    path: Path = out / str(about["slug"]) / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write((json.dumps(_rounded(record), indent=1) + "\n").encode())
    return path


def _rounded(value: Any) -> Any:
    """Floats to seven digits, so that a file's changes can be read."""
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(v) for v in value]
    return value


def load(name: str, out: Path = RESULTS) -> list[Data]:
    """All machines' runs of a benchmark."""
    return [
        json.loads(path.read_text(encoding="utf-8")) for path in sorted(out.glob(f"*/{name}.json"))
    ]


def committed(name: str) -> Data | None:
    """The last committed run of a benchmark: this machine's if there is one, else any other's."""
    folder = RESULTS.relative_to(ROOT).as_posix()

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else ""

    paths = git("ls-tree", "-r", "--name-only", "HEAD", f"{folder}/").splitlines()
    found = [path for path in paths if path.endswith(f"/{name}.json")]
    found.sort(key=lambda path: f"/{machine_slug()}/" not in path)
    return json.loads(git("show", f"HEAD:{found[0]}")) if found else None


# ----------------------------------------------------------------------------------- tables
def table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table with aligned columns, readable in a terminal too."""
    cells = [list(headers), *([str(c) for c in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headers))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    rule = "|" + "|".join("-" * (w + 2) for w in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits, without exponents where they can be avoided."""
    if value is None:
        return "–"
    # What rounds to one digit more would get an exponent.
    if value == 0 or 1e-3 <= abs(value) < 10**digits - 0.5:
        return f"{value:#.{digits}g}".rstrip(".")
    return f"{value:.0f}" if 1 <= abs(value) < 1e6 else f"{value:.{digits - 1}g}"


# --------------------------------------------------------------------------------- commands
def shown(value: Any) -> Any:
    """Return an argument as others may read it: paths as seen from the repository, or by name."""
    if isinstance(value, (list, tuple)):
        return [shown(v) for v in value]
    if isinstance(value, Path) or (isinstance(value, str) and os.path.isabs(value)):
        path = Path(value).resolve()
        near = path.is_relative_to(ROOT.parent)
        return os.path.relpath(path, ROOT) if near else path.name
    return value


def command_line(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> str:
    """Return the command that asks for this again, without what is the default anyway."""
    words = [parser.prog]
    for action in parser._actions:
        value = getattr(arguments, action.dest, None)
        if action.dest in ("help", "out") or value == action.default or not action.option_strings:
            continue
        option = action.option_strings[-1]
        groups = value if isinstance(action, argparse._AppendAction) else [value]
        for group in groups:
            words.append(option)
            if action.nargs != 0:
                given = shown(group)
                words += map(str, given if isinstance(given, list) else [given])
    return f"{words[0]} {shlex.join(words[1:])}".strip()


def command(
    name: str,
    doc: str,
    argv: Sequence[str] | None,
    add_options: Callable[[argparse.ArgumentParser], None],
    measure: Callable[[argparse.Namespace], Data],
    summary: Callable[[Data], str],
    after: Callable[[argparse.Namespace], None] | None = None,
) -> Data:
    """Read the arguments, measure, print the table, write the JSON file; then `after`."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--quick", action="store_true", help="a tiny problem, in seconds; written only with --out"
    )
    parser.add_argument("--threads", type=int, default=cores(), help="threads on every side")
    parser.add_argument("--out", type=Path, help="folder of the results (benchmarks/results)")
    add_options(parser)
    arguments = parser.parse_args(argv)
    if arguments.threads < 1:
        parser.error(f"--threads must be at least 1, found {arguments.threads}")
    before, started = busy(), time.perf_counter()
    if before > 0.3 and not arguments.quick:
        print(f"The machine is busy ({before} processes a core): the times will not be worth much.")
    # As it will be read from the file, so that the same is printed now and then.
    data: Data = json.loads(json.dumps(_rounded(measure(arguments))))
    seconds = time.perf_counter() - started
    print(summary(data))
    if arguments.out is not None or not arguments.quick:
        kept = {key: shown(v) for key, v in vars(arguments).items() if key != "out"}
        out = arguments.out or RESULTS
        stem = name.rpartition(".")[2]
        asked = command_line(parser, arguments)
        print(f"\n{save(stem, kept, data, command=asked, seconds=seconds, load=before, out=out)}")
    print(f"({seconds:.0f} s)")
    if after is not None:
        after(arguments)
    return data
