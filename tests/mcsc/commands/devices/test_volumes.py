"""`mcsc fuse` and `mcsc.tasks.fuse_volumes` of NIfTI and DICOM."""

from __future__ import annotations

import numpy as np
import pytest

from mcsc.errors import InvalidTypeError, InvalidValueError
from mcsc.tasks import fuse, fuse_volumes
from tests.helpers import run
from tests.mcsc.images.formats.volumes import body, save_nifti, save_series

nibabel = pytest.importorskip("nibabel")
pytest.importorskip("pydicom")

SHAPE = (3, 40, 36)
AFFINE = np.array([[-0.7, 0, 0, -10], [0, -0.8, 0, 20], [0, 0, 3, 5], [0, 0, 0, 1]])


@pytest.fixture
def files(tmp_path):
    ct = save_series(tmp_path / "ct", body(SHAPE))
    mr = save_nifti(tmp_path / "mr.nii.gz", body(SHAPE, 0, 900)[:, :, ::-1].copy(), AFFINE)
    return tmp_path, ct, mr


def test_a_series_and_nifti_become_nifti(files):
    folder, ct, mr = files
    words = ("fuse", ct, mr, "--task", "medical", "--method", "laplacian", "-o")
    result = run(*words, folder / "out.nii.gz")
    assert result.exit_code == 0, result.stderr
    assert "Hounsfield units; -1000 to 1500 are worked on as 0 to 1" in result.stdout
    made = nibabel.load(folder / "out.nii.gz")
    np.testing.assert_allclose(made.affine, AFFINE)
    assert made.get_data_dtype() == np.int16
    slices = np.asarray(made.dataobj).transpose(2, 1, 0)
    # Each slice is what fuse makes of it, with the ranges of the whole volumes.
    expected = fuse(
        [body(SHAPE)[1].astype(float), body(SHAPE, 0, 900)[1, :, ::-1].astype(float)], "medical",
        method="laplacian", value_range=[(-1000, 1500), (0, 1023)],
    )  # fmt: skip
    np.testing.assert_allclose(slices[1], expected.image, atol=0.51)
    result = run(*words, folder / "b.nii", "--range", "-200", "400", "--range", "0", "900")
    assert "-200 to 400 are worked on as 0 to 1" in result.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-o", "out.png"), "volumes are written as NIfTI: want .nii or .nii.gz"),
        (("-o", "o.nii", "--align"), "--align is for pictures, not for volumes"),
        (("-o", "o.nii", "--mask", "zeros"), "--mask is for pictures, not for volumes"),
        (("-o", "o.nii", "--registered"), "--registered is for pictures, not for volumes"),
        (("-o", "mr.nii.gz"), "is one of the files that are read"),
    ],
)
def test_what_volumes_do_not_have(files, monkeypatch, words, message):
    folder, ct, mr = files
    monkeypatch.chdir(folder)
    result = run("fuse", ct, mr, "--task", "medical", "--method", "mean", *words)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_values_that_are_cut_off_are_told(tmp_path):
    # A sum of parts goes beyond black and white on patterns of full contrast.
    scene = np.random.default_rng(0).random((1, 24, 24)) > 0.5
    names = [
        save_nifti(tmp_path / f"{n}.nii", 255 * a, dtype=np.uint8)
        for n, a in (("a", scene), ("b", ~scene))
    ]
    words = ("fuse", *names, "--task", "medical", "--method", "laplacian", "-o")
    result = run(*words, tmp_path / "o.nii")
    assert result.exit_code == 0, result.stderr
    assert "lie beyond 0 to 255 and were cut off there: --bit-depth 32 keeps" in result.stderr
    assert "o.nii: 1 slice, " in result.stdout
    assert "% of the values cut off at 0 or 255" in result.stdout
    result = run(*words, tmp_path / "o.nii", "--bit-depth", 32)
    assert not result.stderr
    assert "cut off" not in result.stdout
    made = nibabel.load(tmp_path / "o.nii")
    assert made.get_data_dtype() == np.float32
    assert np.asarray(made.dataobj).min() < 0
    assert run(*words, tmp_path / "o.nii", "--bit-depth", 16).exit_code == 2


def test_volumes_of_other_grids_and_mixtures(files):
    folder, ct, _ = files
    other = save_nifti(folder / "b.nii", body(SHAPE), np.diag([1.0, 1, 1, 1]))
    result = run("fuse", ct, other, "--task", "medical", "-o", folder / "o.nii")
    assert result.exit_code == 2
    assert "want volumes of one grid; resample one to that of the other first" in result.stderr
    picture = folder / "a.pgm"
    picture.write_bytes(b"P5 36 40 255\n" + bytes(36 * 40))
    result = run("fuse", ct, picture, "--task", "medical", "-o", folder / "o.nii")
    assert "ct is a folder, as of a series of DICOM files, " in result.stderr
    result = run(
        "fuse", other, other, "--task", "medical", "--page", "2", "--page", "2=3", "--method",
        "mean", "--registered", "-o", folder / "o.tif",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr


def test_arrays_of_volumes():
    ct, mr = body(SHAPE), body(SHAPE, 0, 900)
    found = fuse_volumes([ct, mr.astype(np.float32)], method="mean")
    assert found.image.shape == SHAPE
    assert found.converged
    assert found.gap is None
    assert (found.value_ranges[0].low, found.value_ranges[0].high) == (-1000, 1500)
    with pytest.raises(InvalidValueError, match=r"volumes\[1\] has shape \(2, 40, 36\)"):
        fuse_volumes([ct, mr[:2]])
    with pytest.raises(InvalidTypeError, match="has dtype bool"):
        fuse_volumes([ct > 0, ct > 0])
    with pytest.raises(InvalidValueError, match="value_ranges holds 1 ranges for 2 volumes"):
        fuse_volumes([ct, ct], value_ranges=[(0, 1)])
