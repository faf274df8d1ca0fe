"""Files of dictionaries and codes: damaged, foreign and malicious ones are refused."""

from __future__ import annotations

import io
import json
import os
import tracemalloc
import zipfile

import numpy as np
import pytest

import mcsc
from mcsc.files import npz_path, read_npz, write_npz
from tests.helpers import make_dictionary


def make_codes():
    maps = np.random.default_rng(0).standard_normal((1, 2, 4, 5))
    return mcsc.Codes.from_dense(maps * (maps > 1), (maps * (maps < -1), None))


KINDS = {
    "dictionary": lambda: make_dictionary(size=2, common=1, unique=1),
    "codes": make_codes,
}


@pytest.fixture(params=KINDS)
def noun(request):
    return request.param


@pytest.fixture
def saved(noun, tmp_path):
    """A file and what reads it."""
    value = KINDS[noun]()
    path = tmp_path / "saved.npz"
    value.save(path)
    return path, type(value).load


def header_of(path):
    with np.load(path, allow_pickle=False) as data:
        arrays = dict(data)
    return json.loads(str(arrays.pop("header"))), arrays


def test_missing_file_is_named(noun, tmp_path):
    load = type(KINDS[noun]()).load
    with pytest.raises(FileNotFoundError, match=f"no {noun} file at {tmp_path}"):
        load(tmp_path / "none.npz")
    with pytest.raises(IsADirectoryError, match=f"{tmp_path}: is a folder; want a {noun} file"):
        load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"some text", b"PK\x03\x04", "cut", "half", "start"])
def test_truncated_and_foreign_files_are_refused(saved, noun, content):
    path, load = saved
    whole = path.read_bytes()
    pieces = {"cut": whole[:-1], "half": whole[: len(whole) // 2], "start": whole[:30]}
    path.write_bytes(pieces.get(content, content))
    with pytest.raises(ValueError, match=f"saved.npz is not a {noun} file written by mcsc"):
        load(path)


def test_other_numpy_files_are_refused(saved, noun):
    path, load = saved
    with path.open("wb") as handle:
        np.save(handle, np.ones(3))
    with pytest.raises(ValueError, match=f"is not a {noun} file"):
        load(path)
    np.savez(path, common_0=np.ones((1, 1, 2, 2)))
    with pytest.raises(ValueError, match=f"is not a {noun} file"):
        load(path)


def test_each_kind_refuses_the_other(tmp_path):
    path = tmp_path / "file.npz"
    KINDS["codes"]().save(path)
    with pytest.raises(ValueError, match="is not a dictionary file"):
        mcsc.Dictionary.load(path)
    KINDS["dictionary"]().save(path)
    with pytest.raises(ValueError, match="is not a codes file"):
        mcsc.Codes.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 3, "written_by": "9.9"}, r"newer mcsc \(9\.9, file format 3; .* up to [12]\)"),
        ({"format": 3, "arrays": None}, "newer mcsc"),
        ({"format": None}, "file written by mcsc, or it is damaged"),
        ({"format": "one"}, "file written by mcsc, or it is damaged"),
        ({"kind": "other.Kind"}, "file written by mcsc, or it is damaged"),
        ({"arrays": ["common_0"]}, "file written by mcsc, or it is damaged"),
    ],
)
def test_foreign_and_newer_headers_are_refused(saved, change, message):
    path, load = saved
    header, arrays = header_of(path)
    np.savez(path, header=np.array(json.dumps(header | change)), **arrays)
    with pytest.raises(ValueError, match=message):
        load(path)


@pytest.mark.parametrize("key", ["format", "kind", "arrays"])
def test_incomplete_headers_are_refused(saved, noun, key):
    path, load = saved
    header, arrays = header_of(path)
    del header[key]
    for text in (json.dumps(header), json.dumps([1]), "{"):
        np.savez(path, header=np.array(text), **arrays)
        with pytest.raises(ValueError, match=f"is not a {noun} file"):
            load(path)


class Bomb:
    """What leaves a folder behind when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_nothing_is_unpickled(saved, noun, tmp_path):
    path, load = saved
    header, arrays = header_of(path)
    name = next(iter(arrays))
    bomb = Bomb(tmp_path / "unpickled")
    for objects in ({"header": np.array(bomb)}, {name: np.array([bomb])}):
        np.savez(path, **({"header": np.array(json.dumps(header))} | arrays | objects))
        with pytest.raises(ValueError, match=f"is not a {noun} file"):
            load(path)
        assert not (tmp_path / "unpickled").exists()


def test_a_flipped_byte_is_noticed_or_harmless(saved):
    """Wherever it lies: in the archive's tables, in the compressed arrays, in the header."""
    path, load = saved
    whole = path.read_bytes()
    before = repr(load(path))
    noticed = 0
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            assert repr(load(path)) == before
        except ValueError:
            noticed += 1
    assert noticed > len(whole) // 20


def test_names_and_suffix(noun, tmp_path):
    value = KINDS[noun]()
    value.save(str(tmp_path / "depth.v2"))
    assert [p.name for p in tmp_path.iterdir()] == ["depth.v2.npz"]
    assert repr(type(value).load(str(tmp_path / "depth.v2.npz"))) == repr(value)


def test_header_says_who_wrote_it(tmp_path):
    write_npz(tmp_path / "a", "mcsc.Thing", 3, {"b": np.arange(3)}, note="c")
    header, arrays = read_npz(tmp_path / "a.npz", "mcsc.Thing", 3)
    assert header["note"] == "c"
    assert header["written_by"] == mcsc.__version__
    np.testing.assert_array_equal(arrays["b"], [0, 1, 2])


def test_the_suffix_may_be_left_out(tmp_path):
    write_npz(tmp_path / "a", "mcsc.Thing", 1, {"b": np.arange(3)})
    assert read_npz(tmp_path / "a", "mcsc.Thing", 1)[0]["arrays"] == ["b"]
    (tmp_path / "a.npz").rename(tmp_path / "other")
    assert read_npz(tmp_path / "other", "mcsc.Thing", 1)[0]["arrays"] == ["b"]
    with pytest.raises(FileNotFoundError, match=rf"no thing file at {tmp_path / 'a'}$"):
        read_npz(tmp_path / "a", "mcsc.Thing", 1)
    with pytest.raises(ValueError, match="'/' is not the name of a file"):
        npz_path("/")


# ------------------------------------------------------------------ what needs too much memory
def test_a_bomb_is_refused_before_it_is_unpacked(saved, noun):
    """Zeros are packed a thousand to one."""
    path, load = saved
    header, arrays = header_of(path)
    name = next(iter(arrays))
    zeros = np.zeros(330 * 2**17)
    np.savez_compressed(path, **({"header": np.array(json.dumps(header))} | arrays | {name: zeros}))
    assert path.stat().st_size < 2**20
    tracemalloc.start()
    try:
        with pytest.raises(
            ValueError,
            match=rf"would take 330 MiB of memory, more than the 256 MiB that a {noun} file of \d+",
        ):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_what_is_honest_may_be_large_and_packed_tightly(tmp_path):
    write_npz(tmp_path / "a", "mcsc.Thing", 1, {"b": np.zeros(2**20)})
    _, arrays = read_npz(tmp_path / "a", "mcsc.Thing", 1)
    assert arrays["b"].nbytes == 2**23
    with pytest.raises(ValueError, match=r"would take 8 MiB of memory, more than the 1 MiB"):
        read_npz(tmp_path / "a", "mcsc.Thing", 1, max_bytes=2**20)


def test_an_array_that_declares_more_than_it_holds_is_damaged(saved, noun):
    path, load = saved
    header, arrays = header_of(path)
    liar = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        liar, {"descr": "<f8", "fortran_order": False, "shape": (2**40,)}
    )
    liar.write(bytes(64))
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in ({"header": np.array(json.dumps(header))} | arrays).items():
            file = io.BytesIO()
            np.save(file, content)
            archive.writestr(f"{name}.npy", file.getvalue())
        archive.writestr("more.npy", liar.getvalue())
    with pytest.raises(ValueError, match=f"is not a {noun} file") as caught:
        load(path)
    assert "declares (1099511627776,)" in str(caught.value.__cause__)


def test_too_little_memory_is_not_damage(saved, monkeypatch):
    path, load = saved

    def fail(*_, **__):
        raise MemoryError("of this machine")

    monkeypatch.setattr(np, "load", fail)
    with pytest.raises(MemoryError, match="of this machine"):
        load(path)


# ------------------------------------------------------------------ writing
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_failed_save_leaves_the_old_file(saved, noun, monkeypatch, error):
    path, _ = saved
    before = path.read_bytes()

    def fail(handle, **arrays):
        handle.write(b"half")
        raise error("no space left on device")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(error, match="no space left"):
        KINDS[noun]().save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_missing_folder_is_named(noun, tmp_path):
    path = tmp_path / "none" / "file.npz"
    with pytest.raises(
        FileNotFoundError, match=f"{path}: cannot be written: there is no folder {path.parent}"
    ):
        KINDS[noun]().save(path)
