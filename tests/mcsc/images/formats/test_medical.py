"""NIfTI and DICOM, slices and volumes."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from mcsc.errors import Refusal
from mcsc.images import ImageFileError, read_image
from mcsc.images.formats.medical import is_volume, read_volume, same_grid, write_volume
from tests.mcsc.images.formats.volumes import (
    PACKINGS,
    body,
    pack_dicom,
    save_dicom,
    save_enhanced,
    save_nifti,
    save_series,
)

nibabel = pytest.importorskip("nibabel")
pydicom = pytest.importorskip("pydicom")

AFFINE = np.array([[-0.7, 0, 0, -10], [0, -0.8, 0, 20], [0, 0, 3, 5], [0, 0, 0, 1]])


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "A.NII", "A.NII.GZ"])
def test_nifti_comes_and_goes(tmp_path, name):
    path = save_nifti(tmp_path / name, body(), AFFINE)
    found = read_volume(path)
    np.testing.assert_array_equal(found.slices, body())
    np.testing.assert_allclose(found.affine, AFFINE)
    assert found.dtype == np.int16
    write_volume(tmp_path / f"b{name}", found)
    packed = (tmp_path / f"b{name}").read_bytes()[:2] == b"\x1f\x8b"
    assert packed == name.lower().endswith(".gz")
    again = nibabel.load(tmp_path / f"b{name}")
    np.testing.assert_array_equal(np.asarray(again.dataobj), body().transpose(2, 1, 0))
    assert again.get_data_dtype() == np.int16
    np.testing.assert_allclose(again.affine, AFFINE)


def test_slope_and_intercept_are_applied(tmp_path):
    path = save_nifti(tmp_path / "a.nii", body(), dtype=np.int16, slope=(0.5, -3))
    found = read_volume(path)
    np.testing.assert_allclose(found.slices, body() * 0.5 - 3)
    assert found.dtype == np.float32
    assert found.note == "scaled by its slope 0.5 and intercept -3"


def test_a_slice_is_an_image(tmp_path):
    path = save_nifti(tmp_path / "a.nii.gz", body())
    found = read_image(path, page=3)
    np.testing.assert_array_equal(found.pixels[0], body()[2])
    with pytest.raises(ImageFileError, match=r"holds 5 slices: want one of them, as a page, or"):
        read_image(path)
    with pytest.raises(ImageFileError, match="has no slice 6: there are 5 slices, counted from 1"):
        read_image(path, page=6)
    one = save_nifti(tmp_path / "b.nii", np.abs(body()[:1]) % 256, dtype=np.uint8)
    assert read_image(one).bit_depth == 8


def test_a_series_is_sorted_by_place(tmp_path):
    found = read_volume(save_series(tmp_path / "ct", body()))
    np.testing.assert_array_equal(found.slices, body())
    np.testing.assert_allclose(found.affine, AFFINE)
    assert found.dtype == np.int16
    assert found.note == "scaled by its slope 1 and intercept -1024 to Hounsfield units"
    # The same place as NIfTI says: voxel (0, 0, 0) is 10 to the left of the patient's origin.
    np.testing.assert_allclose(found.affine @ [0, 0, 0, 1], [-10, 20, 5, 1])
    assert is_volume(tmp_path / "ct")
    assert is_volume(tmp_path / "ct" / "0.dcm")
    assert not is_volume(tmp_path / "none.nii")
    (tmp_path / "scenes").mkdir()
    (tmp_path / "scenes" / "a_rgb.png").write_bytes(b"no picture")
    assert not is_volume(tmp_path / "scenes")


def test_a_dicom_file_is_an_image(tmp_path):
    path = save_dicom(tmp_path / "a.dcm", body()[2], signed=True)
    np.testing.assert_array_equal(read_image(path).pixels[0], body()[2])
    assert read_image(path).dtype == np.int16
    path = save_dicom(
        tmp_path / "b.dcm", np.array([[0, 10], [20, 5]]), PhotometricInterpretation="MONOCHROME1"
    )
    found = read_image(path)
    np.testing.assert_array_equal(found.samples[0], [[65535, 65525], [65515, 65530]])
    assert "inverted" in found.note
    eight = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    for kind, expected in (("MONOCHROME2", [[0, 10], [20, 255]]), ("MONOCHROME1", [[255, 245]])):
        path = save_dicom(
            tmp_path / "8.dcm", np.array([[0, 10], [20, 255]]), PhotometricInterpretation=kind,
            PixelData=bytes([0, 10, 20, 255]), **eight,
        )  # fmt: skip
        found = read_image(path)
        assert (found.dtype, found.bit_depth) == (np.uint8, 8)
        np.testing.assert_array_equal(found.samples[0, : len(expected)], expected)
    for centre, width in ((40, 400), ([40, 600], [400, 1200])):
        path = save_dicom(
            tmp_path / "c.dcm", body()[2], signed=True, WindowCenter=centre, WindowWidth=width
        )
        found = read_image(path)
        assert found.note == "the window of its own is -160 to 240"
        np.testing.assert_array_equal(found.pixels[0], body()[2])


def test_series_that_are_no_volume(tmp_path):
    def refused(folder, message):
        with pytest.raises(ImageFileError, match=message):
            read_volume(folder)

    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "is a folder without DICOM files")
    ct = save_series(tmp_path / "ct", body())
    save_dicom(ct / "x.dcm", body()[0] + 1024, place=(10, -20, 26), series="1.2.4")
    refused(ct, "holds 2 series .* want a folder with one")
    save_dicom(ct / "x.dcm", body()[0] + 1024, place=(10, -20, 26))
    refused(ct, r"its slices are 3 to 9 mm apart; some are missing")
    save_dicom(ct / "x.dcm", body()[0] + 1024, place=(10, -20, 8))
    refused(ct, "several of its slices lie in one place")
    save_dicom(ct / "x.dcm", body()[0] + 1024, ImagePositionPatient=None)
    refused(ct, r"does not say where all its slices lie \(ImagePositionPatient")
    save_dicom(ct / "x.dcm", body()[0] + 1024, place=(10, -20, 20), PixelSpacing=[0.8, 0.8])
    refused(ct, r"its slices have pixels of several sizes \(PixelSpacing\)")
    save_dicom(ct / "x.dcm", body()[0, :9] + 1024)
    refused(ct, "holds slices of 2 sizes")
    save_dicom(
        ct / "x.dcm", body()[0] + 1024, place=(10, -20, 26),
        ImageOrientationPatient=[0, 1, 0, 0, 0, 1],
    )  # fmt: skip
    refused(ct, "its slices are not parallel")
    save_dicom(ct / "x.dcm", body()[0] + 1024, PhotometricInterpretation="RGB")
    refused(ct / "x.dcm", "photometric interpretation RGB is not supported")


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (2, 0, 4, 1, 3)])
@pytest.mark.parametrize("packed", [False, True])
def test_frames_of_one_file_are_what_their_series_is(tmp_path, order, packed):
    """Scale, size of pixels and places are told in groups; frames are sorted by place."""
    series = read_volume(save_series(tmp_path / "ct", body()))
    spots = [(10, -20, 5 + 3.0 * k) for k in order]
    path = save_enhanced(tmp_path / "a.dcm", body()[list(order)], spots=spots)
    if packed:
        found = pydicom.dcmread(path)
        found.compress(pydicom.uid.RLELossless)
        found.save_as(path)
    found = read_volume(path)
    np.testing.assert_array_equal(found.slices, series.slices)
    np.testing.assert_allclose(found.affine, series.affine)
    assert (found.dtype, found.note) == (series.dtype, series.note)
    assert read_image(path, page=2).dtype == np.int16
    np.testing.assert_array_equal(read_image(path, page=2).pixels[0], body()[1])


def test_frames_may_have_slopes_windows_and_all_of_their_groups_each(tmp_path):
    slopes, intercepts = np.array([1, 2, 0.5, 1, 1.5]), np.array([0, -1024, -2000, -1024, -1000])
    stored = np.arange(5 * 24 * 20).reshape(5, 24, 20) % 3000
    values = stored * slopes[:, None, None] + intercepts[:, None, None]
    path = save_enhanced(
        tmp_path / "a.dcm", values, slopes=slopes, intercepts=intercepts,
        FrameVOILUTSequence=[{"WindowCenter": 40 + k, "WindowWidth": 400} for k in range(5)],
        PixelMeasuresSequence=[{"PixelSpacing": [0.5, 0.25], "SliceThickness": 1}] * 5,
    )  # fmt: skip
    found = read_volume(path)
    np.testing.assert_allclose(found.slices, values)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.abs(np.diag(found.affine)), [0.25, 0.5, 3, 1])
    assert "slopes 0.5 to 2 and intercepts -2000 to 0 to Hounsfield units" in found.note
    assert "the window of its own is -160 to 240" in found.note
    one = save_enhanced(tmp_path / "b.dcm", body()[:1])
    np.testing.assert_array_equal(read_image(one).pixels[0], body()[0])
    assert read_volume(one).affine[2, 2] == 4


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"spots": [(10, -20, 5.0)] * 5}, "several of its slices lie in one place, as of several"),
        ({"spots": [(10, -20, float(k * k)) for k in range(5)]}, "slices are 1 to 7 mm apart"),
        ({"PlanePositionSequence": [{}] * 5}, "does not say where all its slices lie"),
        (
            {
                "PlaneOrientationSequence": [
                    {"ImageOrientationPatient": [1, 0, 0, 0, *turn]}
                    for turn in ([[1, 0]] * 3 + [[0, 1]] * 2)
                ]
            },
            "its slices are not parallel",
        ),
        (
            {"FrameContentSequence": [{"StackID": name} for name in "AABBB"]},
            "holds 2 stacks of slices; want one",
        ),
        (
            {
                "PixelMeasuresSequence": [
                    {"PixelSpacing": [wide, 1], "SliceThickness": 4} for wide in (1, 1, 1, 2, 2)
                ]
            },
            "its slices have pixels of several sizes",
        ),
    ],
)
def test_frames_that_are_no_volume(tmp_path, groups, message):
    slices = body()
    path = save_enhanced(tmp_path / "a.dcm", slices, **groups)
    with pytest.raises(ImageFileError, match=message):
        read_volume(path)
    one = read_image(path, page=4)  # which need lie nowhere
    np.testing.assert_array_equal(one.pixels[0], slices[3])


def test_frames_that_say_nothing_of_their_places_are_in_the_order_of_the_file(tmp_path):
    slices = body()
    path = save_enhanced(
        tmp_path / "a.dcm", slices, shared={"PlaneOrientationSequence": {}},
        PlanePositionSequence=[{}] * 5,
    )  # fmt: skip
    np.testing.assert_array_equal(read_volume(path).slices, slices)


def test_frames_of_which_some_are_not_told_of_are_damaged(tmp_path):
    path = save_enhanced(tmp_path / "a.dcm", body())
    found = pydicom.dcmread(path)
    del found.PerFrameFunctionalGroupsSequence[3:]
    found.save_as(path)
    with pytest.raises(ImageFileError, match=r"damaged DICOM .* 5 frames and says where 3 lie"):
        read_volume(path)


def test_damaged_volumes(tmp_path):
    path = save_nifti(tmp_path / "a.nii", body())
    whole = path.read_bytes()
    for content, message in (
        (whole[:500], "cannot hold"),
        (whole[:350], "cannot hold|damaged"),
        (
            whole.replace((24).to_bytes(2, "little"), (30000).to_bytes(2, "little"), 1),
            "cannot hold",
        ),
    ):
        path.write_bytes(content)
        with pytest.raises(ImageFileError, match=f"truncated or damaged NIfTI file.*({message})"):
            read_volume(path)
    packed = tmp_path / "b.nii.gz"
    packed.write_bytes(gzip.compress(whole)[:-30])
    with pytest.raises(ImageFileError, match="its packed data end early"):
        read_volume(packed)
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4, 3), np.int16), np.eye(4)), path)
    with pytest.raises(ImageFileError, match="has 4 dimensions, 4 x 4 x 4 x 3; want one volume"):
        read_volume(path)
    path = save_dicom(tmp_path / "a.dcm", body()[0], signed=True)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ImageFileError, match="truncated or damaged DICOM file"):
        read_volume(path)


def test_volumes_of_another_grid_are_told(tmp_path):
    first = read_volume(save_nifti(tmp_path / "a.nii", body(), AFFINE))
    moved = AFFINE.copy()
    moved[0, 3] += 2
    second = read_volume(save_nifti(tmp_path / "b.nii", body(), moved))
    assert same_grid(first, first) == ""
    assert same_grid(first, second).endswith("b.nii lies up to 2 mm beside " + str(first.path))
    third = read_volume(save_nifti(tmp_path / "c.nii", body()[:4], AFFINE))
    assert "c.nii is 20 x 24 x 4 voxels" in same_grid(first, third)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    path = save_nifti(tmp_path / "a.nii", body())
    dicom = save_dicom(tmp_path / "a.dcm", body()[0], signed=True)
    for module, file in (("nibabel", path), ("pydicom", dicom)):
        monkeypatch.setitem(__import__("sys").modules, module, None)
        with pytest.raises(Refusal, match=rf"needs {module}: install mcsc\[medical\]") as caught:
            read_volume(file)
        assert isinstance(caught.value, ModuleNotFoundError)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", PACKINGS)
def test_packed_dicom(tmp_path, syntax, signed):
    values = body((1, 24, 20))[0]
    values = values if signed else values.astype(int) + 1024
    path = pack_dicom(save_dicom(tmp_path / "a.dcm", values, signed=signed), syntax)
    np.testing.assert_array_equal(read_volume(path).slices[0], values)
