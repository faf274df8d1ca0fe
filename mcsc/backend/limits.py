"""What this process may use: cores and memory, as affinity, system and control groups allow.

A container's limits are those of its control groups, of which version 1 has a tree for each
controller and version 2 one for all. The limits of every group from the process's own up to the
top of what is mounted hold, so the smallest counts. Everywhere but on Linux there are none.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["available_memory", "cpu_quota", "group_memory", "usable_cores"]

_ROOT = Path("/")


def usable_cores() -> int:
    """Number of cores that this process may keep busy, at least one.

    A quota of 1.5 cores counts as two: two threads that are held up now and then do more than one.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = cpu_quota()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def available_memory(root: Path = _ROOT) -> int | None:
    """Bytes that can be allocated without swapping; None where nobody says.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` are looked for.
    """
    found = [size for size in (_free_in_system(root), group_memory(root)) if size is not None]
    return min(found, default=None)


def _free_in_system(root: Path) -> int | None:
    free = _table(root / "proc/meminfo").get("MemAvailable:")
    if free is not None:
        return free * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None


def cpu_quota(root: Path = _ROOT) -> float | None:
    """Cores' worth of time that control groups allow; None without a limit."""
    found = []
    for folder, version in _groups("cpu", root):
        if version == 2:
            quota, period = (*_words(folder / "cpu.max"), "", "")[:2]
        else:
            quota, period = (
                " ".join(_words(folder / f"cpu.cfs_{name}_us")) for name in ("quota", "period")
            )
        if quota.isdecimal() and period.isdecimal() and int(quota) > 0 and int(period) > 0:
            found.append(int(quota) / int(period))  # otherwise "max", -1, or not there
    return min(found, default=None)


def group_memory(root: Path = _ROOT) -> int | None:
    """Bytes that control groups leave; None without a limit. Cached files count as free."""
    found = []
    for folder, version in _groups("memory", root):
        limit, used = (
            ("memory.max", "memory.current")
            if version == 2
            else ("memory.limit_in_bytes", "memory.usage_in_bytes")
        )
        sizes = [" ".join(_words(folder / name)) for name in (limit, used)]
        if not all(size.isdecimal() for size in sizes):
            continue
        most, now = map(int, sizes)
        if most >= 1 << 60:  # version 1 has no word for "no limit"
            continue
        # Version 1 counts those of the groups below apart.
        prefix = "" if version == 2 else "total_"
        stat = _table(folder / "memory.stat")
        files = sum(stat.get(f"{prefix}{kind}_file", 0) for kind in ("active", "inactive"))
        found.append(max(0, most - max(0, now - files)))
    return min(found, default=None)


def _groups(controller: str, root: Path) -> Iterator[tuple[Path, int]]:
    """Folders of the control groups of this process, from its own up, with their version."""
    mounts = _mounts(controller, root)
    for line in _lines(root / "proc/self/cgroup"):
        number, names, path = (*line.split(":", 2), "", "")[:3]
        version = 2 if number == "0" and not names else 1
        if version not in mounts or (version == 1 and controller not in names.split(",")):
            continue
        top, place = mounts[version]
        # The mount may show a part of the tree, and a namespace names groups from its own top.
        below = path.removeprefix("/" if top == "/" else top).strip("/")
        inside = path.startswith(top) and ".." not in below.split("/")
        folder = place / below if inside and below else place
        while True:
            yield folder, version
            if folder == place:
                break
            folder = folder.parent


def _mounts(controller: str, root: Path) -> dict[int, tuple[str, Path]]:
    """For each version, the group at the top of what is mounted, and where."""
    found = {}
    for line in _lines(root / "proc/self/mountinfo"):
        mount, _, kind = line.partition(" - ")
        fields, (kind, *_, options) = mount.split(), (*kind.split(), "", "")[:3]
        if len(fields) < 5 or (kind != "cgroup2" and controller not in options.split(",")):
            continue
        if kind in ("cgroup", "cgroup2"):
            found[2 if kind == "cgroup2" else 1] = fields[3], root / fields[4].lstrip("/")
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _table(path: Path) -> dict[str, int]:
    """Numbers by the words before them."""
    rows = (line.split() for line in _lines(path))
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdecimal()}
