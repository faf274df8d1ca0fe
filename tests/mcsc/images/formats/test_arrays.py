"""PGM, PPM, PFM, Radiance, .npy, .mat and OpenEXR."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
import scipy.io

from mcsc.images import ImageFileError, read_image, write_image, write_samples

DEPTH = np.linspace(0.4, 6, 35, dtype=np.float32).reshape(5, 7)
COLOURS = np.random.default_rng(0).random((3, 5, 7), np.float32) * 40


@pytest.mark.parametrize("suffix", [".pfm", ".exr", ".npy", ".tif"])
@pytest.mark.parametrize("values", [DEPTH, COLOURS], ids=["grey", "colour"])
def test_floats_keep_their_values(tmp_path, suffix, values):
    path = tmp_path / f"a{suffix}"
    write_samples(path, values)
    found = read_image(path)
    np.testing.assert_array_equal(found.pixels, values.reshape(-1, 5, 7))
    np.testing.assert_array_equal(found.samples, found.pixels)
    assert (found.bit_depth, found.dtype) == (32, np.float32)
    write_image(path, values, 32)
    np.testing.assert_array_equal(read_image(path).pixels, found.pixels)


def test_pfm_of_both_byte_orders_and_with_inf(tmp_path):
    values = DEPTH.copy()
    values[0, 0] = np.inf
    for order, scale in ((">f4", "1.0"), ("<f4", "-0.003922")):
        head = f"Pf\n7 5\n{scale}\n".encode()
        (tmp_path / "a.pfm").write_bytes(head + values[::-1].astype(order).tobytes())
        np.testing.assert_array_equal(read_image(tmp_path / "a.pfm").pixels[0], values)


@pytest.mark.parametrize(
    ("full", "bits"),
    [(255, 8), (4095, 12), (65535, 16), (1, 1), (3, 2), (100, 7), (300, 9), (10000, 14)],
)
def test_pgm_and_ppm(tmp_path, full, bits):
    rng = np.random.default_rng(1)
    for magic, shape in (("P5", (5, 7, 1)), ("P6", (5, 7, 3))):
        values = rng.integers(0, full, shape, endpoint=True)
        head = f"{magic} # a comment\n# another\n7 5\n{full}\n".encode()
        body = values.astype(np.uint8 if full < 256 else ">u2").tobytes()
        (tmp_path / "a.pgm").write_bytes(head + body)
        found = read_image(tmp_path / "a.pgm")
        assert found.bit_depth == bits
        np.testing.assert_allclose(found.pixels, values.transpose(2, 0, 1) / full, atol=1e-7)
        counts = values * (255 if full == 1 else 1)
        np.testing.assert_array_equal(found.samples, counts.transpose(2, 0, 1))
        assert found.full_scale == max(full, 255 if full == 1 else 0)
        assert found.told_white == (None if full in (1, 255, 65535) else full)


def test_pgm_of_another_largest_value_fills_its_range(tmp_path):
    (tmp_path / "a.pgm").write_bytes(b"P5 2 1 1000\n" + np.array([500, 1000], ">u2").tobytes())
    np.testing.assert_allclose(read_image(tmp_path / "a.pgm").pixels, [[[0.5, 1]]], atol=1e-5)


def test_radiance(tmp_path):
    (tmp_path / "a.hdr").write_bytes(imagecodecs.rgbe_encode(COLOURS.transpose(1, 2, 0).copy()))
    np.testing.assert_allclose(read_image(tmp_path / "a.hdr").pixels, COLOURS, rtol=0, atol=0.3)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">u2", "int16", "float16", "float64", "bool"])
def test_npy_of_any_type(tmp_path, dtype):
    values = (np.arange(35).reshape(5, 7) % 2 if dtype == "bool" else np.arange(35)).astype(dtype)
    values = values.reshape(5, 7)
    np.save(tmp_path / "a.npy", values)
    found = read_image(tmp_path / "a.npy")
    scale = {"uint8": 255, "uint16": 65535, ">u2": 65535}.get(dtype, 1)
    np.testing.assert_allclose(found.pixels[0], values.astype(np.float32) / np.float32(scale))
    expected = values * 255 if dtype == "bool" else values
    np.testing.assert_array_equal(found.samples[0], expected)
    np.save(tmp_path / "f.npy", np.asfortranarray(values))
    np.testing.assert_array_equal(read_image(tmp_path / "f.npy").pixels, found.pixels)


def test_the_axis_of_channels_is_the_shortest(tmp_path):
    values = np.arange(4 * 5 * 3, dtype=np.float32).reshape(4, 5, 3)
    np.save(tmp_path / "last.npy", values)
    np.save(tmp_path / "first.npy", values.transpose(2, 0, 1))
    np.testing.assert_array_equal(
        read_image(tmp_path / "last.npy").pixels, read_image(tmp_path / "first.npy").pixels
    )
    found = read_image(tmp_path / "last.npy", page=2)
    np.testing.assert_array_equal(found.pixels[0], values[..., 1])
    np.save(tmp_path / "cube.npy", np.zeros((4, 4, 4)))
    with pytest.raises(ImageFileError, match=r"shape \(4, 4, 4\), of which the axis of channels"):
        read_image(tmp_path / "cube.npy")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((2, 3), complex), "holds complex128; want integers or floats"),
        (np.zeros(5), r"holds an array of shape \(5,\); want \(H, W\)"),
        (np.zeros((0, 3)), r"holds an array of shape \(0, 3\)"),
        (np.array([["a", "b"]]), "holds <U1"),
    ],
)
def test_npy_that_is_no_image(tmp_path, values, message):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(ImageFileError, match=message):
        read_image(tmp_path / "a.npy")


def test_npy_is_never_unpickled_and_never_larger_than_its_file(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[{}]]), allow_pickle=True)
    with pytest.raises(ImageFileError, match="holds Python objects, which are never unpickled"):
        read_image(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.zeros((5, 7)))
    content = (tmp_path / "b.npy").read_bytes()
    (tmp_path / "b.npy").write_bytes(content.replace(b"(5, 7)", b"(9, 7)"))
    with pytest.raises(ImageFileError, match=r"it declares \(9, 7\) of float64"):
        read_image(tmp_path / "b.npy")


@pytest.mark.parametrize(
    "content",
    [
        b"Pf\n100000 100000\n-1\n", b"PF\n0 5\n-1\n", b"Pf\n7 x\n-1\n", b"Pf", b"P5 7 5 255\n12",
        b"P5 7 5 70000\n", b"P6 -1 5 255\n", b"#?RADIANCE\n\n-Y 40000 +X 40000\n", b"#?RADIANCE\n",
        b"P5 1 1 10\n\xff",
    ],
)  # fmt: skip
def test_damaged_files(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ImageFileError, match="truncated or damaged"):
        read_image(tmp_path / "a")


# ------------------------------------------------------------------------------------ MATLAB
def test_mat_by_name_or_the_only_image(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"depth": DEPTH, "K": np.eye(3), "name": "x"}, do_compression=True)
    np.testing.assert_array_equal(read_image(path, variable="depth").pixels[0], DEPTH)
    with pytest.raises(
        ImageFileError, match=r"holds depth \(5 x 7\), K \(3 x 3\): want the name of one"
    ):
        read_image(path)
    with pytest.raises(ImageFileError, match=r"has no array rgb; it holds depth \(5 x 7\), K"):
        read_image(path, variable="rgb")
    scipy.io.savemat(path, {"rgb": (COLOURS * 6).astype(np.uint8).transpose(1, 2, 0), "focal": 3.0})
    found = read_image(path)
    assert found.bit_depth == 8
    np.testing.assert_array_equal(found.samples, (COLOURS * 6).astype(np.uint8))
    scipy.io.savemat(path, {"known": DEPTH > 2})
    assert read_image(path).bit_depth == 1
    scipy.io.savemat(path, {"focal": 3.0})
    with pytest.raises(ImageFileError, match=r"holds no image; it holds focal \(1 x 1\)"):
        read_image(path)


@pytest.mark.parametrize("packed", [True, False])
def test_complex_mat_is_refused_by_name_and_the_others_are_read(tmp_path, packed):
    path = tmp_path / "a.mat"
    values = {"spectrum_of_the_scene": 1j * DEPTH, "z": DEPTH, "k": DEPTH + 1j, "note": "x" * 9999}
    scipy.io.savemat(path, values, do_compression=packed)
    np.testing.assert_allclose(read_image(path, variable="z").pixels[0], DEPTH)
    for name in ("spectrum_of_the_scene", "k"):
        with pytest.raises(ImageFileError, match=f"{name} holds complex numbers; want real ones"):
            read_image(path, variable=name)


def test_a_damaged_mat_that_only_says_that_it_is_complex(tmp_path):
    """SciPy takes the process down: this must not come to it."""
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"depth": DEPTH.astype(float)}, do_compression=False)
    content = bytearray(path.read_bytes())
    assert content[144:148] == b"\x06\0\0\0"  # flags: an array of doubles
    content[145] |= 8
    path.write_bytes(content)
    with pytest.raises(ImageFileError, match="depth holds complex numbers"):
        read_image(path)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    "kind", ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">f8", ">u2"]
)
def test_mat_is_read_as_scipy_reads_it(tmp_path, kind, packed):
    path = tmp_path / "a.mat"
    values = (20 * np.random.default_rng(0).random((5, 7, 3)) > 9) * np.arange(3)
    values = values.astype(kind)
    scipy.io.savemat(path, {"other": np.eye(3), "m": values, "s": "words"}, do_compression=packed)
    expected = scipy.io.loadmat(path)["m"].transpose(2, 0, 1)
    found = read_image(path, variable="m").samples
    np.testing.assert_array_equal(found, expected)


def test_a_damaged_name_of_a_variable_stays_on_one_line(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"depth": DEPTH, "K": np.eye(3)}, do_compression=False)
    path.write_bytes(path.read_bytes().replace(b"depth", b"de\nth"))
    with pytest.raises(ImageFileError, match=r"it holds 'de\\nth' \(5 x 7\), K") as error:
        read_image(path, variable="rgb")
    assert "\n" not in str(error.value)


def test_a_damaged_mat_with_numbers_of_no_type(tmp_path):
    """There, too, SciPy takes the process down."""
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"depth": DEPTH.astype(float)}, do_compression=False)
    content = bytearray(path.read_bytes())
    place = content.index(b"\x09\0\0\0\x18\x01\0\0")
    content[place + 1] = 0xFF
    path.write_bytes(content)
    with pytest.raises(ImageFileError, match="damaged MATLAB file: numbers of type 65289"):
        read_image(path)


def test_mat_7_3(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "a.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        # MATLAB has columns first.
        file["depth"] = DEPTH.T
        file["ms"] = COLOURS.transpose(0, 2, 1)
        file["depth"].attrs["MATLAB_class"] = np.bytes_("single")
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    np.testing.assert_array_equal(read_image(path, variable="depth").pixels[0], DEPTH)
    np.testing.assert_array_equal(read_image(path, variable="ms").pixels, COLOURS)
    with pytest.raises(
        ImageFileError, match=r"holds depth \(5 x 7\), ms \(5 x 7 x 3\): want the name"
    ):
        read_image(path)


def test_other_formats_of_matlab_and_octave_are_called_so(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"depth": np.eye(5)}, format="4")
    with pytest.raises(ImageFileError, match=r"a\.mat: is no MATLAB file .* save it with -v7"):
        read_image(path)
    path.write_text("# Created by Octave 8.4.0\n# name: depth\n# type: matrix\n")
    with pytest.raises(ImageFileError, match=r"a\.mat: is no MATLAB file .* save it with -v7"):
        read_image(path)
    other = path.rename(tmp_path / "a.png")
    with pytest.raises(ImageFileError, match="not an image of a known kind"):
        read_image(other)


# ----------------------------------------------------------------------------------- OpenEXR
def exr(path, channels, **header):
    module = pytest.importorskip("OpenEXR")
    header = {"compression": module.ZIP_COMPRESSION, "type": module.scanlineimage, **header}
    module.File(header, channels).write(str(path))


def test_exr_of_half_floats_and_named_channels(tmp_path):
    path = tmp_path / "a.exr"
    exr(path, {"Z": DEPTH.astype(np.float16)})
    found = read_image(path)
    np.testing.assert_array_equal(found.pixels[0], DEPTH.astype(np.float16))
    assert found.bit_depth == 32
    exr(path, {"R": COLOURS[0], "G": COLOURS[1], "B": COLOURS[2], "Z": DEPTH})
    np.testing.assert_array_equal(read_image(path).pixels, COLOURS)
    np.testing.assert_array_equal(read_image(path, variable="Z").pixels[0], DEPTH)
    exr(path, {"Z": DEPTH, "U": DEPTH})
    with pytest.raises(ImageFileError, match="holds the channels U, Z: say which"):
        read_image(path)
    with pytest.raises(ImageFileError, match="has no channel depth; it holds U, Z"):
        read_image(path, variable="depth")


def test_exr_with_opacity(tmp_path):
    alpha = np.where(np.arange(7) < 2, 0.0, 0.5).astype(np.float32) * np.ones((5, 1), np.float32)
    colours = [np.ascontiguousarray(plane * alpha) for plane in COLOURS]
    exr(tmp_path / "a.exr", dict(zip("RGBA", [*colours, alpha], strict=True)))
    with pytest.raises(ImageFileError, match="has transparent pixels"):
        read_image(tmp_path / "a.exr")
    found = read_image(tmp_path / "a.exr", keep_alpha=True)
    np.testing.assert_array_equal(found.alpha[0], alpha)
    np.testing.assert_allclose(found.pixels[..., 2:], COLOURS[..., 2:], rtol=1e-6)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("order", ["YX", "XY"])
@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("left", [False, True])
def test_radiance_of_every_layout(tmp_path, packed, order, up, left):
    """Scan lines go along x or y, in either direction."""
    rng = np.random.default_rng(1)
    shown = rng.uniform(0.5, 1, (9, 12, 3)).astype(np.float32)
    encoded = imagecodecs.rgbe_encode(shown, header=True)
    shown = imagecodecs.rgbe_decode(encoded)
    stored = shown[::-1] if up else shown
    stored = stored[:, ::-1] if left else stored
    stored = stored if order == "YX" else stored.swapaxes(0, 1)
    sizes = {"Y": ("-+"[up], 9), "X": ("+-"[left], 12)}
    line = " ".join(f"{sizes[axis][0]}{axis} {sizes[axis][1]}" for axis in order)
    stored = np.ascontiguousarray(stored)
    content = imagecodecs.rgbe_encode(stored, header=True)
    head, _, rows = content.partition(f"-Y {len(stored)} +X {stored.shape[1]}\n".encode())
    if not packed:
        rows = imagecodecs.rgbe_encode(stored, header=False, rle=False)
    (tmp_path / "a.hdr").write_bytes(head + line.encode() + b"\n" + bytes(rows))
    found = read_image(tmp_path / "a.hdr")
    np.testing.assert_allclose(found.pixels, shown.transpose(2, 0, 1), rtol=0.02)
    for wrong in ("+Y 9 +Y 12", "-Y 9", "Y 9 X 12"):
        (tmp_path / "a.hdr").write_bytes(head + wrong.encode() + b"\n" + bytes(rows))
        with pytest.raises(ImageFileError, match="damaged Radiance picture: it has no size"):
            read_image(tmp_path / "a.hdr")


def test_names_are_for_files_that_have_them(tmp_path):
    write_image(tmp_path / "a.png", DEPTH / 6)
    with pytest.raises(ImageFileError, match=r"a\.png: is PNG, which has no variables or channels"):
        read_image(tmp_path / "a.png", variable="depth")
    with pytest.raises(ImageFileError, match="has no page 2: there is 1 page, counted from 1"):
        read_image(tmp_path / "a.png", page=2)


# ----------------------------------------------------------------------------------- writing
@pytest.mark.parametrize(
    ("name", "samples", "message"),
    [
        ("a.png", DEPTH, r"PNG cannot hold floats; want \.tif, \.npy, \.pfm or \.exr"),
        ("a.png", np.zeros((2, 2), np.int16), "samples are int16, which PNG does not hold"),
        ("a.jpg", np.zeros((2, 2), np.uint16), "samples are uint16, which JPEG does not hold"),
        ("a.pfm", np.zeros((2, 4, 4), np.float32), "have 2 channels"),
        ("a.tif", np.full((2, 2), np.nan), "hold NaN"),
    ],
)
def test_samples_that_a_format_cannot_hold(tmp_path, name, samples, message):
    with pytest.raises(ImageFileError, match=message):
        write_samples(tmp_path / name, samples)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
@pytest.mark.parametrize("suffix", [".tif", ".npy", ".png"])
def test_samples_are_written_as_they_are(tmp_path, dtype, suffix):
    if (suffix, dtype) == (".png", "int16"):
        return
    info = np.iinfo(dtype)
    values = np.linspace(info.min, info.max, 35).reshape(5, 7).astype(dtype)
    write_samples(tmp_path / f"a{suffix}", values)
    found = read_image(tmp_path / f"a{suffix}")
    assert found.dtype == dtype
    np.testing.assert_array_equal(found.samples[0], values)
