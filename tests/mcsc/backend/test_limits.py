"""Limits of cores and memory, read from made folders as Linux lays them out."""

from __future__ import annotations

import os

import numpy as np
import pytest

from mcsc.backend import backend_for, limits, threads
from mcsc.backend.limits import available_memory, cpu_quota, group_memory, usable_cores

GIB = 2**30
MOUNT = "29 23 0:26 {top} /sys/fs/cgroup{below} rw,nosuid - {kind} {kind} rw{options}\n"


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def version_2(root, path="/", top="/", groups=None):
    """A tree of version 2: `groups` are files by their folders below what is mounted."""
    write(root, {
        "proc/self/cgroup": f"0::{path}\n",
        "proc/self/mountinfo": "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        + MOUNT.format(top=top, below="", kind="cgroup2", options=",nsdelegate"),
        "proc/meminfo": "MemTotal:  16777216 kB\nMemFree:  1 kB\nMemAvailable:  8388608 kB\n",
    })  # fmt: skip
    for folder, files in (groups or {}).items():
        write(root / "sys/fs/cgroup" / folder, files)


def version_1(root, path="/", top="/", groups=None):
    """A tree of version 1 for each controller; `groups` are files by controller and folder."""
    lines = [f"4:cpu,cpuacct:{path}\n", f"3:memory:{path}\n", "1:name=systemd:/\n"]
    mounts = [
        MOUNT.format(top=top, below=f"/{name}", kind="cgroup", options=f",{name}")
        for name in ("cpu,cpuacct", "memory")
    ]
    write(root, {
        "proc/self/cgroup": "".join(lines),
        "proc/self/mountinfo": "".join(mounts),
        "proc/meminfo": "MemAvailable:  8388608 kB\n",
    })  # fmt: skip
    for folder, files in (groups or {}).items():
        write(root / "sys/fs/cgroup" / folder, files)


def memory_2(most, now, **stat):
    lines = "".join(f"{name} {size}\n" for name, size in {"anon": now, **stat}.items())
    return {"memory.max": f"{most}\n", "memory.current": f"{now}\n", "memory.stat": lines}


def memory_1(most, now, **stat):
    lines = "".join(f"{name} {size}\n" for name, size in stat.items())
    return {
        "memory.limit_in_bytes": f"{most}\n",
        "memory.usage_in_bytes": f"{now}\n",
        "memory.stat": lines,
    }


# ------------------------------------------------------------------------- version 2
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("150000 100000\n", 1.5),
        ("max 100000\n", None),
        ("20000 10000", 2.0),
        ("", None),
        ("x", None),
    ],
)
def test_quota_2(tmp_path, text, wanted):
    version_2(tmp_path, groups={"": {"cpu.max": text}})
    assert cpu_quota(tmp_path) == wanted


def test_memory_2_counts_cached_files_as_free(tmp_path):
    stat = {"file": 2 * GIB, "active_file": GIB // 2, "inactive_file": GIB, "shmem": GIB}
    version_2(tmp_path, groups={"": memory_2(4 * GIB, 3 * GIB, **stat)})
    assert group_memory(tmp_path) == 5 * GIB // 2
    assert available_memory(tmp_path) == 5 * GIB // 2


def test_without_a_limit_the_system_says(tmp_path):
    version_2(tmp_path, groups={"": memory_2("max", 3 * GIB)})
    assert group_memory(tmp_path) is None
    assert available_memory(tmp_path) == 8 * GIB


def test_a_limit_above_what_the_system_has(tmp_path):
    version_2(tmp_path, groups={"": memory_2(64 * GIB, GIB)})
    assert available_memory(tmp_path) == 8 * GIB


def test_a_full_group_has_nothing_left(tmp_path):
    version_2(tmp_path, groups={"": memory_2(GIB, GIB + 4096)})
    assert available_memory(tmp_path) == 0


def test_every_group_above_counts(tmp_path):
    version_2(
        tmp_path,
        path="/pod/box",
        groups={
            "pod": {"cpu.max": "50000 100000", **memory_2(2 * GIB, GIB)},
            "pod/box": {"cpu.max": "300000 100000", **memory_2("max", GIB)},
            "other": {"cpu.max": "1000 100000", **memory_2(1, 1)},
        },
    )
    assert cpu_quota(tmp_path) == 0.5
    assert group_memory(tmp_path) == GIB


@pytest.mark.parametrize("path", ["/", "/../../outside", "/not/there"])
def test_a_namespace_names_groups_from_its_own_top(tmp_path, path):
    version_2(tmp_path, path=path, groups={"": {"cpu.max": "200000 100000"}})
    assert cpu_quota(tmp_path) == 2.0


# ------------------------------------------------------------------------- version 1
@pytest.mark.parametrize(("quota", "wanted"), [("250000\n", 2.5), ("-1\n", None)])
def test_quota_1(tmp_path, quota, wanted):
    files = {"cpu.cfs_quota_us": quota, "cpu.cfs_period_us": "100000\n"}
    version_1(tmp_path, groups={"cpu,cpuacct": files})
    assert cpu_quota(tmp_path) == wanted
    assert group_memory(tmp_path) is None


def test_memory_1(tmp_path):
    stat = {"inactive_file": 7, "total_inactive_file": GIB, "total_active_file": GIB}
    version_1(tmp_path, groups={"memory": memory_1(4 * GIB, 3 * GIB, **stat)})
    assert group_memory(tmp_path) == 3 * GIB
    assert cpu_quota(tmp_path) is None


def test_memory_1_without_a_limit(tmp_path):
    version_1(tmp_path, groups={"memory": memory_1(9223372036854771712, 3 * GIB)})
    assert group_memory(tmp_path) is None


def test_a_container_sees_its_part_of_the_tree_1(tmp_path):
    """Docker without a namespace: the host's path, of which only the container's end is mounted."""
    version_1(
        tmp_path, path="/docker/abc/worker", top="/docker/abc",
        groups={
            "memory": memory_1(4 * GIB, GIB), "memory/worker": memory_1(3 * GIB, GIB),
            "cpu,cpuacct": {"cpu.cfs_quota_us": "100000", "cpu.cfs_period_us": "100000"},
        },
    )  # fmt: skip
    assert group_memory(tmp_path) == 2 * GIB
    assert cpu_quota(tmp_path) == 1.0


def test_both_versions_at_once(tmp_path):
    """Controllers in version 1, version 2 mounted beside them without any."""
    version_1(tmp_path, path="/a", groups={"memory/a": memory_1(2 * GIB, GIB)})
    with open(tmp_path / "proc/self/cgroup", "a") as groups:
        groups.write("0::/\n")
    with open(tmp_path / "proc/self/mountinfo", "a") as mounts:
        mounts.write(MOUNT.format(top="/", below="/unified", kind="cgroup2", options=""))
    assert group_memory(tmp_path) == GIB


# ------------------------------------------------------------------------------ else
@pytest.mark.parametrize(
    "files",
    [{}, {"proc/self/cgroup": "rubbish\n0::/\n", "proc/self/mountinfo": "1 2\n- cgroup2\n\n"}],
    ids=["nothing", "rubbish"],
)
def test_where_nobody_says(tmp_path, files):
    write(tmp_path, files)
    assert cpu_quota(tmp_path) is None
    assert group_memory(tmp_path) is None
    assert available_memory(tmp_path) is None or available_memory(tmp_path) > 0


@pytest.mark.parametrize(("quota", "wanted"), [(None, 8), (0.2, 1), (1.5, 2), (3.0, 3), (64.0, 8)])
def test_threads_within_the_quota(monkeypatch, quota, wanted, keep_threads):
    monkeypatch.delenv("MCSC_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(limits, "cpu_quota", lambda: quota)
    monkeypatch.setattr(threads.shared, "threads", None)
    assert usable_cores() == wanted
    assert threads.get_num_threads() == wanted


def test_here():
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
    assert backend_for(np.zeros(1)).available_memory() > 2**20
