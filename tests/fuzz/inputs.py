"""Damaged files: small whole ones of every kind, and what chance makes of them."""

from __future__ import annotations

import gzip
import io
import random
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import PIL.Image
import scipy.io
import tifffile

from tests.mcsc.images.formats.volumes import (
    PACKINGS,
    body,
    pack_dicom,
    save_dicom,
    save_enhanced,
    save_nifti,
)
from tests.mcsc.images.pictures import chunk, colours, deep_png, dng, interlaced_png, png

INTERESTING = (0, 1, 2, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 2**31 - 1, 2**31, 2**32 - 1)


def whole_files(kind: str) -> list[bytes]:
    """Whole files for one of the readers, in several layouts."""
    with tempfile.TemporaryDirectory() as folder:
        return _MAKERS[kind](Path(folder))


def _pictures(folder: Path, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(colours()).save(file, kind, **options)
    return file.getvalue()


def _png(folder: Path) -> list[bytes]:
    exif = PIL.Image.Exif()
    exif[271], exif[274] = "Maker", 6
    palette = io.BytesIO()
    PIL.Image.fromarray(colours()).quantize(16).save(palette, "PNG")
    key = chunk(b"tRNS", struct.pack(">H", 7)) + chunk(b"sBIT", b"\x0c")
    return [
        _pictures(folder, "PNG", exif=exif, dpi=(72, 72)),
        palette.getvalue(),
        deep_png(colours(np.uint16), 2),
        deep_png(colours(np.uint16)[..., 0], 0, key),
        interlaced_png(colours(np.uint16), 2),
        png([b"\x1b\x55"] * 3, 2, 0),
    ]


def _jpeg(folder: Path) -> list[bytes]:
    exif = PIL.Image.Exif()
    exif[271], exif[274] = "Maker", 6
    deep = colours(np.uint16)[..., 0] >> 4
    return [
        _pictures(folder, "JPEG", exif=exif, dpi=(72, 72)),
        _pictures(folder, "JPEG", progressive=True),
        imagecodecs.jpeg8_encode(deep, bitspersample=12),
        imagecodecs.jpeg8_encode(deep, bitspersample=12, lossless=True),
    ]


def _tiff(folder: Path) -> list[bytes]:
    found = []
    stack = colours(np.uint16, (20, 24, 3)).transpose(2, 0, 1).copy()
    placed = [
        (33550, "d", 3, (10.0, 10.0, 0.0), True),
        (33922, "d", 6, (0.0, 0.0, 0.0, 5e5, 5e6, 0.0), True),
        (34735, "H", 12, (1, 1, 0, 2, 1024, 0, 1, 1, 1025, 0, 1, 2), True),
        (42113, "s", 0, "0", True),
    ]
    for options in (
        {},
        {"compression": "zlib", "predictor": True},
        {"compression": "lzw", "byteorder": ">"},
        {"compression": "zstd", "tile": (16, 16)},
        {"bigtiff": True},
        {"imagej": True},
        {"extratags": placed},
        {"compression": "packbits"},
    ):
        file = io.BytesIO()
        tifffile.imwrite(file, stack, photometric="minisblack", **options)
        found.append(file.getvalue())
    for options in ({"compression": "jpeg"}, {"resolution": (300, 300), "resolutionunit": 2}):
        file = io.BytesIO()
        tifffile.imwrite(file, colours(), photometric="rgb", **options)
        found.append(file.getvalue())
    file = io.BytesIO()
    tifffile.imwrite(
        file, colours()[..., 0], photometric="palette", colormap=colours(np.uint16, (3, 256))
    )
    return [*found, file.getvalue()]


def _floats(folder: Path) -> list[bytes]:
    values = colours()[..., 0].astype("<f4")
    radiance = bytes(imagecodecs.rgbe_encode(colours().astype(np.float32)))
    return [
        b"Pf\n13 11\n-1.0\n" + values.tobytes(),
        b"P5\n# by hand\n13 11\n255\n" + colours()[..., 0].tobytes(),
        b"P6 13 11 65535\n" + colours(np.uint16).astype(">u2").tobytes(),
        b"P5 13 11 10000\n" + (colours(np.uint16)[..., 0] % 10001).astype(">u2").tobytes(),
        radiance,
        radiance.replace(b"-Y ", b"+Y ").replace(b"+X ", b"-X "),
    ]


def _npy(folder: Path) -> list[bytes]:
    found = []
    for values in (colours(np.uint16), np.asfortranarray(colours()[..., 0].astype(np.float64))):
        file = io.BytesIO()
        np.save(file, values)
        found.append(file.getvalue())
    return found


def _mat(folder: Path) -> list[bytes]:
    found = []
    for packed in (False, True):
        file = io.BytesIO()
        scipy.io.savemat(file, {"depth": colours()[..., 0] / 7, "name": "x"}, do_compression=packed)
        found.append(file.getvalue())
    return found


def _mat73(folder: Path) -> list[bytes]:
    import h5py

    path = folder / "a.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["depth"] = colours()[..., 0] / 7
        file.create_dataset("rgb", data=colours(), compression="gzip", chunks=(8, 8, 3))
    content = bytearray(path.read_bytes())
    content[:128] = b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\x02IM"
    return [bytes(content)]


def _exr(folder: Path) -> list[bytes]:
    import OpenEXR

    found = []
    planes = [np.ascontiguousarray(p.astype(np.float16)) for p in colours().transpose(2, 0, 1)]
    for packing in (OpenEXR.NO_COMPRESSION, OpenEXR.ZIP_COMPRESSION, OpenEXR.PIZ_COMPRESSION,
                    OpenEXR.RLE_COMPRESSION):  # fmt: skip
        header = {"compression": packing, "type": OpenEXR.scanlineimage}
        OpenEXR.File(header, dict(zip("RGB", planes, strict=True))).write(str(folder / "a.exr"))
        found.append((folder / "a.exr").read_bytes())
    return found


def _nifti(folder: Path) -> list[bytes]:
    path = save_nifti(folder / "a.nii", body((3, 8, 6)))
    return [path.read_bytes(), gzip.compress(path.read_bytes(), mtime=0)]


def _dicom(folder: Path) -> list[bytes]:
    path = folder / "a.dcm"
    found = [save_dicom(path, body((1, 8, 6))[0], signed=True).read_bytes()]
    for syntax in PACKINGS:
        save_dicom(path, body((1, 8, 6))[0], signed=True)
        found.append(pack_dicom(path, syntax).read_bytes())
    found.append(save_enhanced(path, body((3, 8, 6))).read_bytes())
    return found


def _raw(folder: Path) -> list[bytes]:
    return [dng(folder / "a.dng", np.full((24, 32), 400, np.uint16)).read_bytes()]


def _dictionary(folder: Path) -> list[bytes]:
    import mcsc

    path = folder / "a.npz"
    bank = np.random.default_rng(0).standard_normal((2, 1, 3, 3))
    mcsc.Dictionary(common=(bank, bank), unique=(bank, bank)).save(path)
    return [path.read_bytes()]


def _weights(folder: Path) -> list[bytes]:
    import unfolded

    path = folder / "a.safetensors"
    unfolded.CUNet(filters=2, kernel_size=3, blocks=1, channels=(1, 1)).save(path)
    return [path.read_bytes()]


def _calibration(folder: Path) -> list[bytes]:
    from mcsc.images.cameras.calibration import EXAMPLE

    return [EXAMPLE.encode()]


_MAKERS: dict[str, Callable[[Path], list[bytes]]] = {
    "png": _png,
    "jpg": _jpeg,
    "bmp": lambda folder: [_pictures(folder, "BMP")],
    "tif": _tiff,
    "pfm": _floats,
    "npy": _npy,
    "mat": _mat,
    "mat73": _mat73,
    "exr": _exr,
    "nii": _nifti,
    "dcm": _dicom,
    "dng": _raw,
    "npz": _dictionary,
    "safetensors": _weights,
    "json": _calibration,
}
KINDS = tuple(_MAKERS)


def damaged(kind: str, seeds: list[bytes], number: int) -> bytes:
    """The damaged file of that number: always the same."""
    rng = random.Random(f"{kind} {number}")
    seed = rng.choice(seeds)
    if kind == "npz" and rng.random() < 0.7:
        return _zip_with_damage(seed, rng)
    if kind == "nii" and seed[:2] == b"\x1f\x8b" and rng.random() < 0.7:
        return gzip.compress(_edited(gzip.decompress(seed), seeds, rng), mtime=0)
    content = _edited(seed, seeds, rng)
    return _with_sums(content) if kind == "png" and rng.random() < 0.8 else content


def _edited(content: bytes, seeds: list[bytes], rng: random.Random) -> bytes:
    found = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        if not found:
            break
        # Headers are where files are believed.
        place = rng.randrange(min(len(found), rng.choice((64, 512, len(found)))))
        what = rng.randrange(8)
        if what == 0:
            found[place] ^= 1 << rng.randrange(8)
        elif what == 1:
            found[place] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
        elif what in (2, 3):
            size = rng.choice((2, 4, 8))
            value = rng.choice(INTERESTING) % 256**size
            found[place : place + size] = value.to_bytes(size, rng.choice(("little", "big")))
        elif what == 4:
            del found[place : place + rng.randrange(1, 40)]
        elif what == 5:
            found[place:place] = found[place : place + rng.randrange(1, 40)]
        elif what == 6:
            found[place:place] = rng.randbytes(rng.randrange(1, 20))
        elif rng.random() < 0.5:
            del found[place:]
        else:
            other = rng.choice(seeds)
            start = rng.randrange(len(other))
            found[place:] = other[start:]
    return bytes(found)


def _with_sums(content: bytes) -> bytes:
    """A PNG whose chunks have right sums, so that what is damaged is looked at."""
    found, place = bytearray(content), 8
    while place + 12 <= len(found):
        size = int.from_bytes(found[place : place + 4], "big")
        end = place + 8 + size
        if end + 4 > len(found):
            break
        found[end : end + 4] = struct.pack(">I", zlib.crc32(bytes(found[place + 4 : end])))
        place = end + 4
    return bytes(found)


def _zip_with_damage(content: bytes, rng: random.Random) -> bytes:
    """An archive of which one part is damaged, not the archive itself."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(parts))
    parts[name] = _edited(parts[name], list(parts.values()), rng)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, values in parts.items():
            archive.writestr(part, values)
    return file.getvalue()
