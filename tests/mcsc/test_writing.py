"""Files are written whole or not at all, and where their names lead."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mcsc.files import (
    atomic_write,
    check_readable,
    check_writable,
    visible_files,
    write_json,
    write_text,
)

posix = pytest.mark.skipif(os.name != "posix", reason="links, devices and modes of POSIX")


def write(path, content=b"new"):
    with atomic_write(path) as file:
        file.write(content)


def test_the_file_is_replaced_only_at_the_end(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with atomic_write(path) as handle:
        handle.write(b"new")
        handle.flush()
        assert path.read_bytes() == b"old"
        assert len(list(tmp_path.iterdir())) == 2
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


# ------------------------------------------------------------------ permissions
@posix
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_a_new_file_gets_ordinary_permissions(tmp_path, umask):
    before = os.umask(umask)
    try:
        (tmp_path / "ordinary").touch()
        write(tmp_path / "file")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


@posix
def test_a_replaced_file_keeps_its_permissions(tmp_path):
    path = tmp_path / "private"
    path.touch(0o600)
    with atomic_write(path) as file:
        file.write(b"new")
        temporary = next(p for p in tmp_path.iterdir() if p != path)
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_umask_of_all_threads_is_left_alone(tmp_path, monkeypatch):
    def fail(mask):
        raise AssertionError("another thread would create files of wrong permissions")

    monkeypatch.setattr(os, "umask", fail)
    write(tmp_path / "file")


def unprivileged(code, cwd):
    """Run Python without root's right to write everywhere."""
    words = [sys.executable, "-c", f"from mcsc.files import *\n{code}"]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may write everywhere, and there is no setpriv to take that right")
        words = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *words]
    found = subprocess.run(
        words, cwd=cwd, text=True, capture_output=True, check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    return found.stderr.strip().rpartition("\n")[2]


@posix
def test_read_only_files_and_folders_are_refused(tmp_path):
    (tmp_path / "old").write_bytes(b"old")
    (tmp_path / "old").chmod(0o444)
    (tmp_path / "folder").mkdir(0o555)
    for call in ("check_writable({!r})", "write_text({!r}, 'new')"):
        said = unprivileged(call.format("old"), tmp_path)
        assert said == "PermissionError: old: cannot be written: it is read-only"
        said = unprivileged(call.format("folder/new"), tmp_path)
        assert said == (
            "PermissionError: folder/new: cannot be written: no permission to write into "
            f"{tmp_path / 'folder'}"
        )
    assert (tmp_path / "old").read_bytes() == b"old"
    assert list((tmp_path / "folder").iterdir()) == []


@posix
def test_files_that_nobody_may_write_are_refused_by_root_too(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *args, **others: True)  # root may do everything
    path = tmp_path / "old"
    path.write_bytes(b"old")
    path.chmod(0o444)
    for call in (check_writable, write):
        with pytest.raises(PermissionError, match="old: cannot be written: it is read-only"):
            call(path)
    assert path.read_bytes() == b"old"
    path.chmod(0o464)
    check_writable(path)


@posix
@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("none", FileNotFoundError, "no table at .*none"),
        ("folder", IsADirectoryError, "folder: is a folder; want a table"),
        ("pipe", ValueError, "pipe: is a pipe or a device; want a table on disk"),
        ("/dev/zero", ValueError, "/dev/zero: is a pipe or a device; want a table on disk"),
        ("link", ValueError, "link: is a pipe or a device; want a table on disk"),
    ],
)
def test_what_cannot_be_read_as_a_file(tmp_path, name, error, words):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    with pytest.raises(error, match=words):
        check_readable(tmp_path / name, "table")


# ------------------------------------------------------------------ the disk
def test_file_and_folder_reach_the_disk_in_that_order(tmp_path, monkeypatch):
    happened = []
    real, replace = os.fsync, os.replace

    def fsync(descriptor):
        happened.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        real(descriptor)

    def renamed(*names):
        happened.append("name")
        replace(*names)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", renamed)
    write(tmp_path / "file")
    assert happened == (["file", "name", "folder"] if os.name == "posix" else ["file", "name"])


@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
def test_a_full_disk_is_told_with_the_name_that_was_given(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    real = getattr(os, step)

    def full(*arguments, **keywords):
        name = arguments[0] if step != "fsync" else None
        if step == "open" and not str(name).endswith(".tmp"):
            return real(*arguments, **keywords)
        raise OSError(errno.ENOSPC, "No space left on device", *([str(name)] if name else []))

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        write(path)
    assert caught.value.filename == str(path)
    assert ".mcsc-" not in str(caught.value)
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_the_writer_raises_is_passed_on(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, atomic_write(tmp_path / "file"):
        (tmp_path / "another").read_bytes()
    assert caught.value.filename == str(tmp_path / "another")
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "file"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------ links and other things
@posix
def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    (store / "result").write_bytes(b"old")
    (tmp_path / "link").symlink_to("store/result")
    (tmp_path / "chain").symlink_to("link")
    write(tmp_path / "chain")
    assert (tmp_path / "chain").is_symlink()
    assert (tmp_path / "link").is_symlink()
    assert (store / "result").read_bytes() == b"new"
    (tmp_path / "dangling").symlink_to(store / "later")
    write(tmp_path / "dangling")
    assert (store / "later").read_bytes() == b"new"
    assert {p.name for p in tmp_path.iterdir()} == {"store", "link", "chain", "dangling"}
    (tmp_path / "lost").symlink_to("/nowhere/at/all")
    with pytest.raises(
        FileNotFoundError, match=r"lost: cannot be written: there is no folder /nowhere"
    ):
        write(tmp_path / "lost")
    assert (tmp_path / "lost").is_symlink()


@posix
def test_what_is_no_file_is_refused_and_stays(tmp_path):
    # Pipes only: if this went wrong, a device would be gone from the machine.
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for path in (tmp_path / "pipe", tmp_path / "link"):
        for call in (write, check_writable):
            with pytest.raises(ValueError, match=f"{path}: cannot be written: it is a device or"):
                call(path)
    assert (tmp_path / "pipe").is_fifo()
    for path in (tmp_path, "", "."):
        with pytest.raises(IsADirectoryError, match=r"it is a folder; want the name of a file"):
            write(path)
    assert {p.name for p in tmp_path.iterdir()} == {"pipe", "link"}


@pytest.mark.parametrize("name", [
    "n" * 255, "new\nline", "tür ß 深度", "-dash", " ", "a%sb", os.fsdecode(b"caf\xe9"),
])  # fmt: skip
def test_every_name_that_a_file_can_have(tmp_path, name):
    write(tmp_path / name)
    write(tmp_path / name, b"again")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [(name, b"again")]


# ------------------------------------------------------------------ text and JSON
def test_text_is_utf_8_whatever_names_it_holds(tmp_path):
    write_text(tmp_path / "a.csv", "tür," + os.fsdecode(b"caf\xe9") + "\r\n")
    assert (tmp_path / "a.csv").read_bytes().decode() == "tür,caf\ufffd\r\n"


def strict(text):
    def refuse(constant):
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)


def test_json_has_no_infinite_numbers(tmp_path):
    content = {
        "psnr": math.inf, "rows": [{"a": -math.inf, "b": np.float32("nan")}, (1, 2.5, True, None)],
        "array": np.array([[1.0, np.nan], [np.inf, 0.1]]), "count": np.int64(3), "yes": np.True_,
    }  # fmt: skip
    write_json(tmp_path / "a.json", content)
    found = strict((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert found == {
        "psnr": None, "rows": [{"a": None, "b": None}, [1, 2.5, True, None]],
        "array": [[1.0, None], [None, 0.1]], "count": 3, "yes": True,
    }  # fmt: skip


def test_json_keeps_names_of_files(tmp_path):
    name = os.fsdecode(b"t\xc3\xbcr/caf\xe9.png")
    write_json(tmp_path / "a.json", {"file": Path(name), name: "深"})
    written = (tmp_path / "a.json").read_bytes().decode("utf-8")
    assert '"file": "tür/caf\\udce9.png"' in written
    assert strict(written) == {"file": name, name: "深"}


def test_json_of_other_things_is_a_mistake(tmp_path):
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(tmp_path / "a.json", {"a": object()})
    assert list(tmp_path.iterdir()) == []


@posix
def test_a_folder_is_listed_without_notes_of_other_programs_and_links_without_end(tmp_path):
    (tmp_path / "b" / "within").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for name in ("x.png", "._x.png", ".hidden/x.png", "b/y.png", "b/within/z.png"):
        (tmp_path / name).touch()
    (tmp_path / "nowhere.png").symlink_to("gone.png")
    (tmp_path / "b" / "again").symlink_to("within")
    (tmp_path / "b" / "within" / "round").symlink_to(tmp_path)
    assert [p.name for p in visible_files(tmp_path)] == ["nowhere.png", "x.png"]
    deep = [str(p.relative_to(tmp_path)) for p in visible_files(tmp_path, within=True)]
    assert deep == ["b/again/z.png", "b/y.png", "nowhere.png", "x.png"]
