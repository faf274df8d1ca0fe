"""Measured images among the inputs: holes, edges, flat parts, 8 bits."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import skimage.data

import mcsc
from mcsc.images import luma_studio, motorcycle, read_image
from tests.helpers import explicit_matrix
from tests.paths import SHARED

DATA = SHARED / "data"


def cosines(size, channels=(1, 1)):
    """Products of cosines without the constant one, the same atoms common and unique."""
    i = np.arange(size)
    waves = np.cos(np.pi * np.outer(np.arange(4), i + 0.5) / size)
    bank = np.einsum("ai,bj->abij", waves, waves).reshape(16, 1, size, size)[1:]
    banks = [np.repeat(bank, c, axis=1) for c in channels]
    return mcsc.Dictionary(tuple(banks), tuple(banks)).normalise()


def pair_with_holes():
    pair = motorcycle(size=(160, 300, 32, 28))
    assert 0.02 < 1 - pair.mask.mean() < 0.5
    x = pair.x - pair.x[pair.mask > 0].mean()
    return (x, pair.y - pair.y.mean()), (pair.mask, None)


def camera():
    image = skimage.data.camera()[100:132, 200:228].astype("float32") / 255
    return (image - image.mean(),), None


def astronaut_and_luma():
    colour = skimage.data.astronaut()[60:92, 200:228].transpose(2, 0, 1).astype("float32") / 255
    return (luma_studio(colour) - 0.5, colour - colour.mean()), None


def shared_depth_and_photograph():
    depth, photograph = (DATA / "depth_sr" / f"teddy_{role}.png" for role in ("depth", "rgb"))
    if not depth.is_file():
        pytest.skip(f"no test images beside the repository ({depth} is not there)")
    window = (slice(None), slice(150, 182), slice(200, 228))
    signals = read_image(depth).pixels[window], luma_studio(read_image(photograph).pixels)[window]
    return tuple(x - x.mean() for x in signals), None


@pytest.mark.parametrize(
    ("images", "boundary"),
    [
        pytest.param(pair_with_holes, "zero", marks=pytest.mark.slow),
        (pair_with_holes, "periodic"),
        (camera, "zero"),
        pytest.param(astronaut_and_luma, "periodic", marks=pytest.mark.slow),
        (shared_depth_and_photograph, "periodic"),
    ],
)
def test_methods_agree_on_real_images(images, boundary):
    signals, masks = images()
    assert {x.dtype for x in signals} == {np.dtype("float32")}
    d = cosines(5, tuple(1 if x.ndim == 2 else len(x) for x in signals))
    lam = 0.1 * mcsc.lambda_max(signals, d, masks=masks, boundary=boundary)
    options = {"masks": masks, "boundary": boundary, "tol": 2e-4}
    results = [mcsc.solve(signals, d, lam, method=m, **options) for m in ("auto", "fista", "admm")]
    best = min(r.objective for r in results)
    bound = max(r.dual_bound for r in results)
    for result in results:
        assert result.converged
        assert bound <= best
        assert result.objective <= best * (1 + 2e-4)
        assert 0 < result.codes.nnz < 0.1 * result.codes.size

    # The codes say what the objective says: a picture closer to x than none.
    codes = results[0].codes
    parts = mcsc.reconstruct(codes, d, boundary=boundary)
    x = signals[0].reshape(parts.image.shape)
    weight = 1.0 if masks is None else masks[0]
    left = np.sum((weight * (x - parts.image)) ** 2)
    assert left < 0.7 * np.sum((weight * x) ** 2)


def test_objective_of_a_real_image_by_the_explicit_matrix():
    (x, y), (mask, _) = pair_with_holes()
    window = (slice(None), slice(10, 22), slice(12, 23))
    x, y, mask = x[window], y[window], mask[window]
    d = cosines(4)
    result = mcsc.solve((x, y), d, 0.02, masks=(mask, None), tol=1e-4)
    a = result.codes.stacked(d).astype("float64").ravel()
    image = (explicit_matrix(d, x.shape[1:], "zero") @ a).reshape(2, *x.shape[1:])
    left = np.concatenate([mask * (x - image[:1]), y - image[1:]])
    value = 0.5 * np.sum(left.astype("float64") ** 2) + 0.02 * np.abs(a).sum()
    assert result.objective == pytest.approx(value, rel=1e-6)


def test_integer_images_come_through_the_reader(tmp_path):
    values = skimage.data.camera()[:40, :40]
    PIL.Image.fromarray(values).save(tmp_path / "camera.png")
    d = mcsc.Dictionary(unique=(cosines(4).unique[0],))
    with pytest.raises(TypeError, match=r"dtype uint8: .* mcsc\.images\.read_image scales"):
        mcsc.solve((values,), d, 0.1)
    image = read_image(tmp_path / "camera.png").pixels
    assert mcsc.solve((image,), d, 0.1, tol=1e-2).converged
