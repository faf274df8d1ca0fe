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
        (("-o", "o.nii", "--mask", "alpha"), "--mask alpha: of volumes want nan, zeros or a"),
        (("-o", "o.nii", "--mask", "-5000000"), "no voxel of ct has this value"),
        (("-o", "o.nii", "--registered"), "--registered is for pictures, not for volumes"),
        (("-o", "mr.nii.gz"), "is one of the files that are read"),
    ],
)
def test_what_volumes_do_not_have(files, monkeypatch, words, message):
    folder, ct, mr = files
    monkeypatch.chdir(folder)
    result = run("fuse", ct, mr, "--task", "medical", "--method", "mean", *words)
    assert result.exit_code == (0 if "this value" in message else 2)
    assert message in " ".join(result.output.split())


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
    assert ", and were cut off there: --bit-depth 32 keeps" in result.stderr
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


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, -9999.0])
def test_unknown_voxels_are_those_of_the_others(tmp_path, bad):
    whole, other = (body(SHAPE, 1, 900 + n).astype(np.float32) for n in range(2))
    whole[whole == 0] = 1
    holed = whole.copy()
    holed[2, :9, :9], holed[1] = bad, bad
    names = [save_nifti(tmp_path / f"{n}.nii", a, AFFINE) for n, a in (("a", holed), ("b", other))]
    words = ("--task", "medical", "--method", "laplacian", "-o", tmp_path / "o.nii")
    first, second = ("fuse", *names, *words), ("fuse", *names[::-1], *words)
    if not np.isfinite(bad):
        for command, option in ((first, "--mask nan"), (second, "--mask 2=nan")):
            done = run(*command)
            assert done.exit_code == 2
            assert done.stderr == (
                f"mcsc: error: {names[0]} holds NaN or Inf in 2 of 3 slices; if these are unknown "
                f"voxels, say {option}\n"
            )
            assert not (tmp_path / "o.nii").exists()
    word = "nan" if not np.isfinite(bad) else "zeros" if bad == 0 else "-9999"
    for command, mask in ((first, word), (second, f"2={word}")):
        done = run(*command, "--mask", mask)
        assert done.exit_code == 0, done.output
        assert "% of the voxels unknown" in done.stdout
        made = np.asarray(nibabel.load(tmp_path / "o.nii").dataobj).transpose(2, 1, 0)
        # Both are nearly alike, so that the one says what the other does not know.
        np.testing.assert_allclose(made, other, atol=120)
    done = run("fuse", names[0], names[0], *words, "--mask", word, "--mask", f"2={word}")
    assert done.exit_code == 0, done.output
    made = np.asarray(nibabel.load(tmp_path / "o.nii").dataobj).transpose(2, 1, 0)
    np.testing.assert_array_equal(made[holed == bad], bad)
    if np.isnan(bad):
        np.testing.assert_array_equal(np.isnan(made), np.isnan(holed))
    np.testing.assert_allclose(made[0], whole[0], atol=120)


def test_masks_of_volumes():
    volume = body(SHAPE, 1, 900).astype(np.float32)
    holed, known = volume.copy(), np.ones(SHAPE, bool)
    holed[2, :9, :9], known[2, :9, :9] = np.nan, False
    found = fuse_volumes([holed, volume], method="mean", masks=[known, None])
    np.testing.assert_allclose(found.image, volume, rtol=0.05, atol=30)
    advice = r"volumes\[1\] holds NaN or Inf \(81 voxels in 1 of 3 slices\): if these are unknown"
    with pytest.raises(InvalidValueError, match=advice):
        fuse_volumes([volume, holed], method="mean")
    with pytest.raises(InvalidValueError, match=r"holds NaN or Inf where its mask is not 0"):
        fuse_volumes([holed, volume], method="mean", masks=[np.ones(SHAPE), None])
    for masks, message in (
        ([known], "masks holds 1 entries for 2 volumes"),
        ([known[0], None], r"the mask of volumes\[0\] has shape \(40, 36\)"),
        ([np.zeros(SHAPE), None], r"the mask of volumes\[0\] is 0 everywhere"),
    ):
        with pytest.raises(InvalidValueError, match=message):
            fuse_volumes([holed, volume], method="mean", masks=masks)
