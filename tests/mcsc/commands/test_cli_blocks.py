"""Images in blocks, and tables and dictionaries that workers make, on the command line."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

from mcsc.images import read_image
from mcsc.images.files import write_image, write_samples
from mcsc.synthetic import make_pair
from mcsc.tasks import get_task
from tests.helpers import make_dictionary, run

pytest.importorskip("distributed")

import dask.array as da
import zarr

from mcsc.commands.batch.huge import _check_registered
from mcsc.distributed.arrays import as_blocks
from tests.clusters import local_client
from tests.mcsc.commands.scene_files import write_depth_scenes


@pytest.fixture(scope="module", autouse=True)
def client():
    """The active client: commands take its workers."""
    with local_client(active=True) as client:
        yield client


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A noisy image of 8 bits and its flash as TIFF, the same as zarr, and filters."""
    folder = tmp_path_factory.mktemp("images")
    pair = make_pair("flash", 0, (40, 60))
    for name, image in (("x", pair.x), ("y", pair.y)):
        samples = np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)
        write_samples(folder / f"{name}.tif", samples)
        array = zarr.create_array(folder / f"{name}.zarr", data=samples, chunks=(3, 32, 32))
        assert array.shape == (3, 40, 60)
    make_dictionary(3, channels=(3, 3), size=5, common=4, unique=2, target=3).save(folder / "d.npz")
    return folder


def asked(folder, kind="tif"):
    return (
        folder / f"x.{kind}", folder / f"y.{kind}", "--task", "flash-denoise", "--dictionary",
        folder / "d.npz", "--lam", "0.1", "--tol", "1e-3",
    )  # fmt: skip


@pytest.mark.parametrize("seed", [0, 2])
def test_holes_beside_bright_things_are_no_shift(seed):
    pair = make_pair("depth", seed, (256, 256))
    guide = pair.y.mean(0, keepdims=True)
    bright = gaussian_filter(guide[0], 3)
    # As the shadow of a depth camera's lamp.
    holes = np.roll(bright > np.quantile(bright, 0.75), (9, 7), (0, 1))[None]
    depth = np.where(holes, 0, 1 + 4 * pair.target).astype(np.float32)
    images, names, task = (da.from_array(depth), da.from_array(guide)), "xy", get_task("depth-sr")
    with pytest.raises(ValueError, match="shifted against x by about"):
        _check_registered(images, names, task)
    _check_registered(images, names, task, (da.from_array(~holes), None))
    _check_registered(images, names, task, (da.from_array(holes & False), None))


@pytest.mark.parametrize(
    "depth",
    [(), pytest.param(("--bit-depth", "16"), marks=pytest.mark.slow), ("--bit-depth", "32")],
)
def test_a_restoration_in_blocks_is_the_file_of_the_whole(folder, tmp_path, depth):
    whole, blocks = tmp_path / "whole.tif", tmp_path / "blocks.tif"
    words = (*asked(folder), *depth, "--no-ghosts")  # in blocks they are not looked for
    first = run("restore", *words, "-o", whole)
    assert first.exit_code == 0, first.output
    found = run("restore", *words, "--blocks", 40, "-o", blocks)
    assert found.exit_code == 0, found.output
    assert "40 x 60, lam 0.1" in found.stdout
    a, b = read_image(whole), read_image(blocks)
    assert a.dtype == b.dtype
    np.testing.assert_allclose(a.pixels, b.pixels, atol=2.01 / 255)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["blocks.tif", "whole.tif"]


def write_with_unknown(path, image, value):
    """As GeoTIFF files are: some pixels have a value that a tag calls unknown."""
    samples = image.astype(np.float32)
    samples[..., 5:12, 20:30] = value
    tag = [(42113, "s", 0, str(value), True)]
    tifffile.imwrite(
        path, samples, photometric="minisblack", planarconfig="separate", extratags=tag
    )


@pytest.mark.parametrize("value", [-9999.0, np.nan])
def test_what_a_file_calls_unknown_is_unknown_in_blocks(value, folder, tmp_path):
    x = tmp_path / "x.tif"
    write_with_unknown(x, make_pair("flash", 0, (40, 60)).x, value)
    words = (x, *asked(folder)[1:], "--registered")
    whole, blocks = tmp_path / "whole.tif", tmp_path / "blocks.tif"
    first = run("restore", *words, "--no-ghosts", "-o", whole)
    assert first.exit_code == 0, first.output
    found = run("restore", *words, "--blocks", 40, "-o", blocks)
    assert found.exit_code == 0, found.output
    said = f"x.tif: {value:g} is unknown, as the file says"
    assert said in first.output
    assert said in found.output
    np.testing.assert_allclose(read_image(blocks).pixels, read_image(whole).pixels, atol=2.01 / 255)


def test_sources_in_blocks_must_be_known_everywhere(tmp_path):
    pair = make_pair("focus", 0, (40, 60))
    for name, image in (("a", pair.x), ("b", pair.y)):
        write_with_unknown(tmp_path / f"{name}.tif", image, -1.0)
    words = ("fuse", tmp_path / "a.tif", tmp_path / "b.tif", "--task", "multi-focus")
    found = run(*words, "--blocks", 40, "-o", tmp_path / "out.tif")
    assert found.exit_code == 2
    assert "a.tif has pixels of -1, which is unknown, as the file says" in found.stderr
    assert not (tmp_path / "out.tif").exists()


@pytest.mark.parametrize("suffix", ["tif", "zarr"])
def test_the_place_on_a_map_is_carried_or_said_to_be_lost(folder, tmp_path, suffix):
    tags = [(33550, "d", 3, (10.0, 10.0, 0.0), True), (33922, "d", 6, (0.0,) * 6, True)]
    placed = tmp_path / "x.tif"
    tifffile.imwrite(placed, tifffile.imread(folder / "x.tif"), extratags=tags, photometric="rgb")
    words = ("restore", placed, *asked(folder)[1:], "--tol", 0.9, "--blocks", 40)
    found = run(*words, "--registered", "-o", tmp_path / f"out.{suffix}")
    assert found.exit_code == 0, found.output
    if suffix == "zarr":
        assert "the place on the map of x.tif" in found.stdout
        return
    assert "not keep" not in found.stdout
    with tifffile.TiffFile(tmp_path / "out.tif") as tif:
        assert tif.pages[0].tags.valueof(33550) == (10.0, 10.0, 0.0)
        assert tif.pages[0].tags.valueof(33922) == (0.0,) * 6


@pytest.mark.parametrize("command", ["restore", "fuse"])
@pytest.mark.parametrize("suffix", ["tif", "zarr"])
def test_blocks_replace_nothing_as_the_help_says(folder, tmp_path, command, suffix):
    out = tmp_path / f"out.{suffix}"
    out.write_bytes(b"of earlier")
    task = "flash-denoise" if command == "restore" else "multi-focus"
    words = (command, folder / "x.tif", folder / "y.tif", "--task", task, "--blocks", 40, "-o", out)
    found = run(*words)
    assert found.exit_code == 2
    assert f"--out {out} is there already; want a new name" in found.stderr
    found = run(*words, "--overwrite")
    assert found.exit_code == 2
    assert "--overwrite is not for images that are worked on in blocks" in found.stderr
    assert out.read_bytes() == b"of earlier"
    help_text = " ".join(run(command, "--help").output.split())
    assert "replaced anyway. In blocks none is: they want a new name." in help_text
    assert "--out is a new .tif or .zarr" in help_text


def test_zarr_goes_in_blocks_and_codes_are_kept(folder, tmp_path):
    out, codes = tmp_path / "out.zarr", tmp_path / "codes"
    found = run("restore", *asked(folder, "zarr"), "--codes", codes, "-o", out)
    assert found.exit_code == 0, found.output
    assert zarr.open(out, mode="r").dtype == np.uint8
    assert [p.name for p in codes.iterdir()] == ["codes-0"]
    again = run("restore", *asked(folder, "zarr"), "--codes", codes, "-o", out)
    assert again.exit_code == 2
    assert again.stderr == f"mcsc: error: --out {out} is there already; want a new name\n"
    other = run(
        "restore", *asked(folder, "zarr")[:-4], "--lam", "0.2", "--codes", codes, "-o",
        tmp_path / "other.zarr",
    )  # fmt: skip
    assert other.exit_code == 2
    assert "holds codes of another problem: lam differ" in other.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["codes", "out.zarr"]


def test_a_focus_stack_in_blocks(tmp_path):
    pair = make_pair("focus", 0, (40, 60))
    for name, image in (("a", pair.x), ("b", pair.y)):
        write_image(tmp_path / f"{name}.tif", image, 16)
    make_dictionary(3, size=5, common=4, unique=2).save(tmp_path / "d.npz")
    words = (
        tmp_path / "a.tif", tmp_path / "b.tif", "--task", "multi-focus", "--dictionary",
        tmp_path / "d.npz", "--lam", "0.1",
    )  # fmt: skip
    found = run("fuse", *words, "--blocks", 40, "-o", tmp_path / "sharp.tif")
    assert found.exit_code == 0, found.output
    assert run("fuse", *words, "-o", tmp_path / "whole.tif").exit_code == 0
    a, b = (read_image(tmp_path / f"{name}.tif") for name in ("sharp", "whole"))
    assert a.dtype == b.dtype == np.uint16
    assert np.mean(np.abs(a.pixels - b.pixels) > 0.01) < 0.02


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (
            ("--blocks", 40, "--parts", "p"),
            "--parts is not for images that are worked on in",
        ),
        (("--blocks", 40, "--align"), "--align is not for images"),
        (("--blocks", 40, "--ghosts"), "--ghosts is not for images"),
        (("--blocks", 40, "--device", "cpu"), "--device is not for images"),
        (("--blocks", 40, "--method", "mean"), "--method mean does not work in blocks"),
        (
            ("--blocks", 40, "--mask", "alfa"),
            "want zeros, nan, nodata, alpha, a number or a mask file; did you mean alpha?",
        ),
        (("--blocks", 3), "smaller than the filters"),
        (("--blocks", 0), "Invalid value for '--blocks'"),
        (("--codes", "c"), "--codes goes with --blocks"),
        (("--workers", 2), "--workers is for a folder or a table of scenes, or --blocks"),
    ],
)
def test_what_is_not_for_blocks_is_refused(folder, tmp_path, words, match):
    found = run("restore", *asked(folder), *words, "-o", tmp_path / "out.tif")
    assert found.exit_code == 2
    assert match in found.stderr
    assert not list(tmp_path.iterdir())


MASKS = ("mask.png", "mask.tif", "mask.npy", "mask.zarr")


def with_hole(folder, declared, value=-9999):
    """A depth map with a hole of some value, which its file says is unknown or not."""
    pair = make_pair("depth", 0, (64, 64))
    depth = (1 + pair.target[0, ::4, ::4]).astype(np.float32)
    depth[4:8, 5:9] = value
    tags = [(42113, "s", 0, str(value), True)] if declared else []
    tifffile.imwrite(folder / "depth.tif", depth, extratags=tags)
    write_image(folder / "guide.tif", pair.y)
    make_dictionary(3, channels=(1, 1), size=5, common=4, unique=2, target=1).save(folder / "d.npz")
    known = (depth != value).astype(np.uint8)
    write_samples(folder / "mask.png", 255 * known[None])
    tifffile.imwrite(folder / "mask.tif", known)
    np.save(folder / "mask.npy", known.astype(bool))
    zarr.create_array(folder / "mask.zarr", data=known, chunks=(8, 8))
    write_samples(folder / "inverted.png", 255 * (1 - known)[None])
    write_samples(folder / "grey.png", (100 * known + 7)[None])
    write_samples(folder / "wide.png", np.full((1, 16, 17), 255, np.uint8))
    return (
        "restore", folder / "depth.tif", folder / "guide.tif", "--task", "depth-sr",
        "--dictionary", folder / "d.npz", "--lam", "0.1", "--tol", "0.1", "--registered",
        "--blocks", 64, "-o",
    )  # fmt: skip


def test_masks_in_blocks_are_words_or_files(tmp_path):
    command = with_hole(tmp_path, declared=True)
    images = {}
    for name in ("file", "nodata", "-9999", *MASKS):
        out = tmp_path / f"made{len(images)}.tif"
        mask = () if name == "file" else ("--mask", tmp_path / name if "." in name else name)
        found = run(*command, out, *mask)
        assert found.exit_code == 0, found.output
        assert ("-9999 is unknown, as the file says" in found.output) == (name == "file")
        images[name] = read_image(out).samples
    assert images["file"].min() > 0.5
    for image in images.values():
        np.testing.assert_array_equal(image, images["file"])


@pytest.mark.parametrize(
    ("mask", "match"),
    [
        ("nodata", "depth.tif does not say which value is unknown"),
        ("inverted.png", "seems to be inverted"),
        ("grey.png", "holds other numbers than 0 and 107"),
        ("wide.png", "wide.png is 16 x 17"),
    ],
)
def test_masks_that_do_not_fit_are_refused_in_blocks(tmp_path, mask, match):
    command = with_hole(tmp_path, declared=False, value=0)
    name = tmp_path / mask if "." in mask else mask
    found = run(*command, tmp_path / "out.tif", "--mask", name)
    assert found.exit_code == 2, found.output
    assert match in found.stderr


def test_refusals_start_no_cluster(folder, tmp_path, monkeypatch):
    def started(*args, **options):
        raise AssertionError("a cluster was started")

    monkeypatch.setattr("mcsc.distributed.images.coding.opened", started)
    small = tmp_path / "small.tif"
    write_samples(small, np.zeros((3, 20, 60), np.uint8))
    x, y, *others = asked(folder)
    cases = (
        ((x, y), ("--blocks", 3), "smaller than the filters"),
        ((x, small), ("--blocks", 40), "one size"),
        ((x, y), ("--blocks", 40, "--page", 2), "x.tif has no page 2, but 1"),
    )
    for images, words, match in cases:
        found = run("restore", *images, *others, *words, "--registered", "-o", tmp_path / "o.tif")
        assert found.exit_code == 2, found.output
        assert match in found.stderr


def test_arrays_have_their_channels_first_or_last(folder, tmp_path):
    """As where files are read whole."""
    samples = tifffile.imread(folder / "x.tif")
    samples = samples if samples.shape[0] == 3 else np.moveaxis(samples, -1, 0)
    last = np.ascontiguousarray(np.moveaxis(samples, 0, -1))
    np.save(tmp_path / "last.npy", last)
    mapped = np.load(tmp_path / "last.npy", mmap_mode="r")
    found = as_blocks("last.npy", mapped, 32, last=True)
    assert (found.shape, found.chunks[1:]) == ((3, 40, 60), ((32, 8), (32, 28)))
    np.testing.assert_array_equal(found.compute(), samples)
    advice = r"has shape \(40, 60, 3\); axes are \(C, H, W\): move the channels to the front"
    for given in (last, mapped, da.from_array(last)):
        with pytest.raises(ValueError, match=advice):
            as_blocks("x", given, 32)
    np.save(tmp_path / "short.npy", np.zeros((40, 59, 3), np.float32))
    np.save(tmp_path / "cube.npy", np.zeros((40, 40, 40), np.float32))
    for second, message in (
        ("short.npy", "is 40 x 60, "),
        ("cube.npy", "is 40 x 40: "),  # channels first, where it cannot be told
    ):
        done = run(
            "restore", tmp_path / "last.npy", tmp_path / second, *asked(folder)[2:], "--blocks",
            40, "-o", tmp_path / "out.tif",
        )  # fmt: skip
        assert done.exit_code == 2
        assert message in done.stderr
        assert "last.npy: the last of the axes (40, 60, 3) is that of the channels" in done.output


def test_files_that_cannot_be_opened_in_part_are_refused(folder, tmp_path):
    pair = make_pair("flash", 0, (40, 60))
    write_image(tmp_path / "x.png", pair.x)
    rgba = np.zeros((40, 60, 4), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", rgba, photometric="rgb", extrasamples=["unassalpha"])
    tifffile.imwrite(tmp_path / "w.tif", rgba[..., 0], photometric="miniswhite")
    turned = [(274, "H", 1, 3, True)]
    tifffile.imwrite(tmp_path / "r.tif", rgba[..., 0], photometric="minisblack", extratags=turned)
    (tmp_path / "t.tif").write_bytes((folder / "x.tif").read_bytes()[:40])
    (tmp_path / "n.npy").write_bytes(b"nothing")
    (tmp_path / "z.zarr").mkdir()
    cases = {
        "x.png": "in blocks, images are TIFF, .npy or .zarr",
        "a.tif": "page 1, has an alpha channel",
        "w.tif": "is of the kind MINISWHITE",
        "r.tif": "page 1, is stored turned or mirrored (orientation 3)",
        "t.tif": "truncated or damaged TIFF: ",
        "n.npy": "holds no array of numbers",
        "z.zarr": "holds no zarr array",
        "gone.tif": "no image file at",
    }
    for name, match in cases.items():
        found = run(
            "restore", tmp_path / name, *asked(folder)[1:], "--blocks", 40, "-o",
            tmp_path / "out.tif",
        )  # fmt: skip
        assert found.exit_code == 2, (name, found.output)
        assert match in found.stderr, name
        assert found.stderr.count("\n") == 1, found.stderr


# -------------------------------------------------------------------------- tables, learning
@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Three scenes of depth."""
    return write_depth_scenes(tmp_path_factory.mktemp("scenes"), ["s0", "s1", "s2"])


def test_an_evaluation_on_workers_has_the_same_rows(scenes, tmp_path, client):
    address = client.scheduler.address
    words = ("evaluate", "--task", "depth-sr", scenes, "--method", "bicubic,guided-filter")
    spoiled = scenes / "s1_rgb.png"
    content = spoiled.read_bytes()
    tables = []
    try:
        spoiled.write_bytes(content[:200])
        for name, more in (("a.csv", ()), ("b.csv", ("--scheduler", address))):
            done = run(*words, *more, "--csv", tmp_path / name, "--images", tmp_path / name[0])
            assert done.exit_code == 1, done.output
            assert "1 of 3 scenes were left out: s1" in done.stderr
            tables.append(table_of(tmp_path / name))
    finally:
        spoiled.write_bytes(content)
    assert len(tables[0]) == 6
    assert tables[0] == tables[1]
    names = [sorted(p.name for p in (tmp_path / f).iterdir()) for f in "ab"]
    assert names[0] == names[1]


def table_of(path):
    with path.open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def test_a_scene_that_a_method_cannot_code_is_left_out(tmp_path, client):
    """Of all methods, so that means are over the same scenes, with workers and without."""
    write_depth_scenes(tmp_path, ["s0", "s1"])
    for role in ("depth", "rgb"):
        small = read_image(tmp_path / f"s1_{role}.png").samples[:, :16, :16]
        write_samples(tmp_path / f"s1_{role}.png", small)
    make_dictionary(3, size=20, common=1, unique=1, target=1).save(tmp_path / "d.npz")
    words = (
        "evaluate", "--task", "depth-sr", tmp_path, "--method", "bicubic,mcsc", "--dictionary",
        tmp_path / "d.npz", "--tol", "0.5",
    )  # fmt: skip
    tables = []
    for name, more in (("a.csv", ()), ("b.csv", ("--scheduler", client.scheduler.address))):
        done = run(*words, *more, "--csv", tmp_path / name)
        assert done.exit_code == 1, done.output
        assert "scene s1 is left out: " in done.stderr
        assert "1 of 2 scenes were left out: s1" in done.stderr
        tables.append(table_of(tmp_path / name))
    assert [(r["scene"], r["method"]) for r in tables[0]] == [
        ("s0", "bicubic"), ("s0", "mcsc"), ("mean", "bicubic"), ("mean", "mcsc")
    ]  # fmt: skip
    assert tables[0] == tables[1]


def test_a_second_evaluation_measures_what_is_missing(scenes, tmp_path):
    out = tmp_path / "out"
    lines = "".join(f"{scenes}/{s}_depth.png,{scenes}/{s}_rgb.png,{s}\n" for s in ("s2", "s0"))
    table = tmp_path / "scenes.csv"
    table.write_text("x,guide,scene\n" + lines)
    words = ("evaluate", "--task", "depth-sr", table, "--out", out, "--images", tmp_path / "i")
    bicubic = ("--method", "bicubic")
    first = run(*words, *bicubic, "--csv", tmp_path / "a.csv")
    assert first.exit_code == 0, first.output
    assert sorted(p.name for p in out.iterdir()) == ["s0.npz", "s2.npz", "settings.json"]
    before = (out / "s0.npz").stat().st_mtime_ns
    (out / "s2.npz").unlink()
    (tmp_path / "i" / "s0_bicubic.png").unlink()
    again = run(*words, *bicubic, "--csv", tmp_path / "b.csv")
    assert again.exit_code == 0, again.output
    assert (out / "s0.npz").stat().st_mtime_ns == before
    assert table_of(tmp_path / "a.csv") == table_of(tmp_path / "b.csv")
    assert [r["scene"] for r in table_of(tmp_path / "b.csv")] == ["s2", "s0", "mean"]
    assert sorted(p.name for p in (tmp_path / "i").iterdir()) == [
        "s0_bicubic.png", "s2_bicubic.png"
    ]  # fmt: skip
    other = run(*words, "--method", "guided-filter")
    assert other.exit_code == 2
    assert "holds results of other settings: methods" in other.stderr


@pytest.mark.slow
def test_a_scheduler_that_nobody_answers_at(scenes, tmp_path):
    for words in (
        ("evaluate", "--task", "depth-sr", scenes, "--method", "bicubic"),
        ("learn", "--task", "depth-sr", scenes, "-o", tmp_path / "d.npz"),
    ):
        done = run(*words, "--scheduler", "tcp://127.0.0.1:9")
        assert done.exit_code == 2
        assert "no Dask scheduler at tcp://127.0.0.1:9" in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_filters_are_learned_by_workers(scenes, tmp_path, client):
    out = tmp_path / "d.npz"
    done = run(
        "learn", "--task", "depth-sr", scenes, "-o", out, "--scheduler", client.scheduler.address,
        "--common", 2, "--unique", 2, "--filter-size", 4, "--passes", 1, "--windows", 2,
        "--target-windows", 2, "--no-flips",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert out.is_file()
