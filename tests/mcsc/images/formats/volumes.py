"""Volumes of NIfTI and DICOM, made by code: nobody's body."""

from __future__ import annotations

import imagecodecs
import numpy as np


def body(shape=(5, 24, 20), low=-1000, high=1500):
    """A ball of some density in air, (slices, H, W), int16."""
    z, y, x = np.mgrid[: shape[0], : shape[1], : shape[2]].astype(float)
    far = np.sqrt(((z - 2) / 3) ** 2 + ((y - 11) / 9) ** 2 + ((x - 8) / 7) ** 2)
    return np.where(far < 1, high - 900 * far, low).round().astype(np.int16)


def save_nifti(path, slices, affine=None, dtype=None, slope=None):
    import nibabel

    grid = slices.transpose(2, 1, 0)
    grid = grid if dtype is None else grid.astype(dtype)
    image = nibabel.Nifti1Image(grid, np.diag([0.9, 0.9, 3.0, 1]) if affine is None else affine)
    if slope is not None:
        image.header.set_slope_inter(*slope)
    nibabel.save(image, path)
    return path


def save_dicom(
    path, values, *, place=(0, 0, 0), series="1.2.3", slope=(1, 0), signed=False, **more
):
    """One slice (H, W), of nobody."""
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    found.SOPClassUID, found.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    found.SeriesInstanceUID, found.Modality, found.PatientName = series, "CT", "Nobody"
    found.SamplesPerPixel, found.PhotometricInterpretation = 1, "MONOCHROME2"
    found.Rows, found.Columns = values.shape
    found.BitsAllocated = found.BitsStored = 16
    found.HighBit, found.PixelRepresentation = 15, int(signed)
    found.RescaleSlope, found.RescaleIntercept = slope
    found.PixelSpacing = [0.8, 0.7]
    found.SliceThickness = 3
    found.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    found.ImagePositionPatient = list(place)
    found.PixelData = values.astype("<i2" if signed else "<u2").tobytes()
    for name, value in more.items():
        if value is None:
            delattr(found, name)
        else:
            setattr(found, name, value)
    pydicom.dcmwrite(path, found)
    return path


def save_series(folder, slices, *, gap=3.0, intercept=-1024, **more):
    """A CT of unsigned samples with an intercept, files in no order."""
    folder.mkdir()
    for number in np.random.default_rng(0).permutation(len(slices)):
        stored = slices[number].astype(int) - intercept
        save_dicom(
            folder / f"{(number * 7) % 11}.dcm", stored, place=(10, -20, 5 + gap * number),
            slope=(1, intercept), **more,
        )  # fmt: skip
    return folder


def save_enhanced(path, slices, *, intercepts=-1024, slopes=1, spots=None, shared=None, **frames):
    """A CT of many frames in one file, with what is said of them in groups.

    `shared` are groups of all frames; `frames` are groups by name, one of each frame.
    """
    import pydicom

    count = len(slices)
    slopes, intercepts = (np.broadcast_to(each, count) for each in (slopes, intercepts))
    spots = [(10, -20, 5 + 3.0 * k) for k in range(count)] if spots is None else spots
    stored = (slices - intercepts[:, None, None]) / slopes[:, None, None]
    save_dicom(
        path, np.rint(stored[0]).astype(int), RescaleSlope=None, RescaleIntercept=None,
        PixelSpacing=None, SliceThickness=None, ImageOrientationPatient=None,
        ImagePositionPatient=None, NumberOfFrames=count,
        PixelData=np.rint(stored).astype("<u2").tobytes(),
    )  # fmt: skip
    found = pydicom.dcmread(path)
    of_all = {
        "PixelMeasuresSequence": {"PixelSpacing": [0.8, 0.7], "SliceThickness": 4},
        "PlaneOrientationSequence": {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
    }
    of_each = {
        "PixelValueTransformationSequence": [
            {"RescaleSlope": s, "RescaleIntercept": i, "RescaleType": "HU"}
            for s, i in zip(slopes, intercepts, strict=True)
        ],
        "PlanePositionSequence": [{"ImagePositionPatient": list(spot)} for spot in spots],
        **frames,
    }

    def group(parts):
        item = pydicom.Dataset()
        for name, values in parts.items():
            inner = pydicom.Dataset()
            for key, value in values.items():
                setattr(inner, key, value)
            setattr(item, name, pydicom.Sequence([inner]))
        return item

    found.SharedFunctionalGroupsSequence = [group({**of_all, **(shared or {})})]
    found.PerFrameFunctionalGroupsSequence = [
        group({name: each[k] for name, each in of_each.items()}) for k in range(count)
    ]
    found.save_as(path)
    return path


PACKINGS = {
    70: lambda a: imagecodecs.jpeg8_encode(a, lossless=True, bitspersample=16),
    57: lambda a: imagecodecs.jpeg8_encode(a, lossless=True, bitspersample=16),
    80: imagecodecs.jpegls_encode,
    90: lambda a: imagecodecs.jpeg2k_encode(a, reversible=True, codecformat="j2k"),
    5: None,  # runs, which pydicom packs itself
}
"""By the last number of the transfer syntax."""


def pack_dicom(path, syntax):
    """Pack the samples of a file without loss."""
    import pydicom
    from pydicom.encaps import encapsulate

    found = pydicom.dcmread(path)
    if PACKINGS[syntax] is None:
        found.compress(pydicom.uid.RLELossless)
    else:
        stored = np.frombuffer(found.PixelData, "<u2").reshape(found.Rows, found.Columns)
        found.PixelData = encapsulate([bytes(PACKINGS[syntax](stored.copy()))])
        found["PixelData"].VR = "OB"
        found.file_meta.TransferSyntaxUID = pydicom.uid.UID(f"1.2.840.10008.1.2.4.{syntax}")
    found.save_as(path)
    return path
