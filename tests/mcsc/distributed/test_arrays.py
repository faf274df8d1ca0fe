"""Large images in files: read by regions, written whole or not at all."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

pytest.importorskip("distributed")

import dask.array as da
import tifffile
import zarr

from mcsc.distributed import open_image, write_blocks
from mcsc.distributed.arrays import as_blocks, cut
from tests.clusters import local_client


@pytest.fixture(scope="module")
def client():
    """A cluster in this process."""
    with local_client() as client:
        yield client


def image(*shape):
    return np.random.default_rng(0).random(shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(70, 90), (1, 70, 90), (2, 300, 530)])
@pytest.mark.parametrize("suffix", [".tif", ".zarr"])
def test_what_is_written_comes_back(shape, suffix, client, tmp_path):
    x = image(*shape)
    path = tmp_path / f"a{suffix}"
    write_blocks(path, da.from_array(x, (*shape[:-2], 40, 64)), client=client)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    found = open_image(path)
    if suffix == ".tif" and len(shape) == 3:
        with tifffile.TiffFile(path) as file:
            assert file.is_bigtiff
    np.testing.assert_array_equal(found.compute(scheduler="synchronous").reshape(shape), x)
    with pytest.raises(ValueError, match="is there already"):
        write_blocks(path, da.from_array(x), client=client)


def test_pages_one_by_one(tmp_path):
    x = image(3, 40, 50)
    with tifffile.TiffWriter(tmp_path / "a.tif", bigtiff=True) as writer:
        for plane in x:
            writer.write(plane, tile=(16, 16), contiguous=False)
    for number, plane in enumerate(x):
        found = open_image(tmp_path / "a.tif", page=number, chunk=16)
        np.testing.assert_array_equal(found.compute(scheduler="synchronous"), plane)


def test_colours_come_first_and_regions_alone_are_read(tmp_path):
    x = image(60, 80, 3)
    tifffile.imwrite(tmp_path / "a.tif", x, photometric="rgb", tile=(16, 16))
    found = open_image(tmp_path / "a.tif", chunk=32)
    assert found.shape == (3, 60, 80)
    assert max(found.chunks[1]) == 32
    part = pickle.loads(pickle.dumps(found[:, 5:20, 70:]))
    np.testing.assert_array_equal(
        part.compute(scheduler="synchronous"), x[5:20, 70:].transpose(2, 0, 1)
    )


def test_mapped_files_are_not_pickled(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", image(300, 400))
    mapped = tifffile.memmap(tmp_path / "a.tif", mode="r")
    blocks = as_blocks("signals[0]", mapped, 100)
    assert len(pickle.dumps(blocks)) < 20_000
    np.testing.assert_array_equal(blocks[0].compute(scheduler="synchronous"), mapped)


def test_zarr_arrays_and_their_chunks(tmp_path):
    array = zarr.create_array(tmp_path / "a.zarr", shape=(40, 50), chunks=(16, 16), dtype="f4")
    array[:] = image(40, 50)
    assert as_blocks("signals[0]", array, 1000).chunks[1][0] == 16


@pytest.mark.parametrize("library", [np.asarray, lambda x: da.from_array(x, (1, 5, 7))])
def test_a_region_goes_on_at_the_other_side(library):
    x = image(2, 11, 13)
    found = np.asarray(cut(library(x), (slice(-3, 4), slice(10, 16))))
    wanted = np.take(np.take(x, range(-3, 4), 1, mode="wrap"), range(10, 16), 2, mode="wrap")
    np.testing.assert_array_equal(found, wanted)


def test_what_is_no_image_is_refused(tmp_path, client):
    (tmp_path / "text.tif").write_text("no")
    (tmp_path / "empty.zarr").mkdir()
    tifffile.imwrite(tmp_path / "one.tif", image(20, 20))
    with pytest.raises(ValueError, match="not a TIFF file"):
        open_image(tmp_path / "text.tif")
    with pytest.raises(ValueError, match="no zarr array"):
        open_image(tmp_path / "empty.zarr")
    with pytest.raises(ValueError, match="1 pages, counted from 0: none has the number 3"):
        open_image(tmp_path / "one.tif", page=3)
    with pytest.raises(FileNotFoundError):
        open_image(tmp_path / "nothing.tif")
    x = da.from_array(image(20, 20))
    with pytest.raises(ValueError, match="ends in"):
        write_blocks(tmp_path / "a.png", x, client=client)
    with pytest.raises(ValueError, match="no folder"):
        write_blocks(tmp_path / "b/a.tif", x, client=client)
    with pytest.raises(TypeError, match="Dask array"):
        write_blocks(tmp_path / "a.tif", image(20, 20), client=client)
