"""Scenes, and the patches that are drawn from them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from mcsc.tasks.scenes import synthetic_scenes
from mcsc.tasks.task import get_task
from tests.unfolded.nets import torch
from tests.unfolded.training.scenes import make_scenes, small
from unfolded.starts.task_start import start
from unfolded.training.patches import Patches
from unfolded.training.scenes import TaskTriples, as_tensors


class Counted(list):
    """Scenes that keep the numbers that were read."""

    def __init__(self, scenes):
        super().__init__(scenes)
        self.read = []

    def __getitem__(self, index):
        self.read.append(index)
        return super().__getitem__(index)


def test_a_patch_is_a_function_of_its_number():
    scenes = make_scenes(5)
    a, b = (Patches(scenes, 16, 3, small().configuration) for _ in range(2))
    later = [a[i] for i in (7, 1000, 7)]
    for x, y in zip(later[0], later[2], strict=True):
        assert torch.equal(x, y)
    for x, y in zip(b[1000], later[1], strict=True):
        assert torch.equal(x, y)
    assert not torch.equal(later[0][0], later[1][0])
    x, y, z = later[0]
    assert x.shape == (1, 16, 16)
    # The three are cut, turned and mirrored alike.
    assert float((x - y).abs().max()) < 0.6
    assert float(torch.corrcoef(torch.stack([y.ravel(), z.ravel()]))[0, 1]) < -0.5


def test_all_places_and_all_turns_are_drawn():
    ramp = np.arange(9, dtype=np.float32).reshape(1, 3, 3)
    patches = Patches([(ramp, ramp, ramp)], 2, 0)
    found = {tuple(patches[i][0].ravel().tolist()) for i in range(500)}
    assert len(found) == 4 * 8


def test_of_several_places_that_with_most_detail_is_taken():
    rng = np.random.default_rng(0)
    target = np.zeros((1, 1, 40, 160), np.float32)
    target[..., 120:] = rng.random((40, 40))  # a quarter of the places
    scene = (np.zeros_like(target), np.zeros_like(target), target)
    shares = []
    for candidates in (1, 4):
        patches = Patches([scene], 16, 0, candidates=candidates)
        shares.append(np.mean([float(patches[i][2].std()) > 0.2 for i in range(300)]))
    assert 0.1 < shares[0] < 0.35
    assert shares[1] == pytest.approx(1 - (1 - shares[0]) ** 4, abs=0.08)


@pytest.mark.parametrize("candidates", [1, 3])
def test_what_is_drawn_after_the_place_is_drawn_for_all_images_alike(candidates):
    rng = np.random.default_rng(0)
    image = rng.random((1, 40, 50)).astype(np.float32)
    patches = Patches([(image, 2 * image, -image)], 32, 3, soften=1.0, candidates=candidates)
    again = Patches([(image, 2 * image, -image)], 32, 3, soften=1.0, candidates=candidates)
    for i in range(5):
        x, y, z = patches[i]
        assert torch.equal(x, again[i][0])
        torch.testing.assert_close(y, 2 * x)
        assert torch.equal(z, -x)


def test_patches_are_softened_alike():
    rng = np.random.default_rng(0)
    image = rng.random((1, 40, 40)).astype(np.float32)
    sharp = Patches([(image, image, -image)], 32, 3)
    soft = Patches([(image, image, -image)], 32, 3, soften=2.0)
    found = []
    for i in range(20):
        x, y, z = soft[i]
        assert torch.equal(x, y)
        assert torch.equal(x, -z)
        plain = sharp[i][0].numpy()  # the same place, turned the same way
        errors = {
            sigma: np.abs(
                gaussian_filter(plain, (0, sigma, sigma), mode="mirror") - x.numpy()
            ).max()
            for sigma in np.linspace(0, 2, 201)
        }
        found.append(min(errors, key=errors.get))
        assert errors[found[-1]] < 0.02
    assert min(found) < 0.5
    assert max(found) > 1.5
    flat = np.full((1, 16, 16), 0.5, np.float32)  # blurs wider than the patch
    for i in range(10):
        np.testing.assert_allclose(Patches([(flat,) * 3], 16, 0, soften=9.0)[i][0], 0.5, rtol=1e-5)


def test_noise_is_added_to_both_images_and_not_to_the_target():
    scene = tuple(np.full((1, 40, 40), level, np.float32) for level in (0.2, 0.4, 0.6))
    patches = Patches([scene], 32, 3, noise=4.0)
    levels = []
    for i in range(30):
        x, y, z = patches[i]
        assert (z == np.float32(0.6)).all()
        assert not torch.equal(x - 0.2, y - 0.4)
        first, second = (255 * float(image.std()) for image in (x, y))
        assert first == pytest.approx(second, rel=0.1)
        levels.append(first)
        assert torch.equal(patches[i][0], x)
    assert min(levels) < 1
    assert 3 < max(levels) < 4.2


def test_scenes_that_do_not_fit_into_memory_take_turns():
    scenes = Counted(make_scenes(6))
    patches = Patches(scenes, 16, 0, cache_bytes=3 * 40 * 44 * 4 * 2)
    del scenes.read[:]
    for i in range(200):
        patches[i]
    # Two at a time; at the start some were read for their size, and the last of them kept.
    assert 1 <= len(scenes.read) == len(set(scenes.read)) <= 2
    for i in range(8192, 8192 * 6, 1024):
        patches[i]
    assert len(set(scenes.read)) > 2


def test_a_small_first_scene_does_not_make_the_others_be_read_again_and_again():
    scenes = Counted([*make_scenes(1, (16, 16)), *make_scenes(39)])
    patches = Patches(scenes, 16, 0, cache_bytes=3 * 40 * 44 * 4 * 8)
    del scenes.read[:]
    for i in range(400):
        patches[i]
    assert len(scenes.read) <= 8


def test_scenes_and_patches_go_to_other_processes():
    task = get_task("flash-denoise")
    begin = start(task, "xavier", filters=2, kernel_size=3, blocks=1)
    scenes = TaskTriples(task, synthetic_scenes(task, 3, (64, 64), seed=3), begin.settings)
    patches = Patches(scenes, 32, 5, begin.net.configuration)
    wanted = [patches[i] for i in (1, 7)]
    assert patches._recent._bytes > 0
    there = pickle.loads(pickle.dumps(patches))
    assert there._recent._bytes == 0
    for i, triple in zip((1, 7), wanted, strict=True):
        for a, b in zip(there[i], triple, strict=True):
            assert torch.equal(a, b)


def test_fusions_without_targets_cannot_train():
    task = get_task("medical")
    rng = np.random.default_rng(0)
    pair = tuple(rng.random((1, 32, 32), dtype=np.float32) for _ in range(2))
    scenes = TaskTriples(task, [lambda: pair], start(task).settings)
    with pytest.raises(ValueError, match=r"want a file SCENE_target\.png with each pair"):
        scenes[0]


def test_refused_scenes():
    x, y, z = make_scenes(1)[0]
    configuration = small().configuration
    with pytest.raises(ValueError, match=r"scene 4 has \(1, 3, 1\) channels of x, y, z; the netw"):
        as_tensors((x, np.repeat(y, 3, axis=0), z), "scene 4", configuration)
    with pytest.raises(ValueError, match="images of it differ in size"):
        as_tensors((x, y[..., 1:], z), "it")
    with pytest.raises(ValueError, match="y of it holds NaN or Inf"):
        as_tensors((x, np.where(y > 0.5, np.nan, y), z), "it")
    with pytest.raises(TypeError, match=r"z of it has shape .* and dtype uint8"):
        as_tensors((x, y, (z * 255).astype(np.uint8)), "it")


def test_images_of_any_floats():
    x, y, z = make_scenes(1)[0]
    wanted = as_tensors((x, y, z), "it")
    for change in (
        lambda a: a.astype(">f4"),  # as FITS files have them
        lambda a: a.astype(np.longdouble),
        lambda a: a[:, ::-1].copy()[:, ::-1],
        lambda a: torch.from_numpy(a).requires_grad_() * 1,
    ):
        for found, image in zip(
            as_tensors(tuple(map(change, (x, y, z))), "it"), wanted, strict=True
        ):
            assert torch.equal(found, image)
            assert not found.requires_grad


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda a: np.ma.masked_less(a, 0.3), TypeError, "x of it is a masked array"),
        (lambda a: a[:, :0], ValueError, r"x of it is empty, of shape \(1, 0, 44\)"),
        (lambda a: a[None][:0], ValueError, r"x of it is empty, of shape \(0, 1, 40, 44\)"),
        (lambda a: "a.png", TypeError, r"x of it has shape \(\) and dtype <U5"),
        (lambda a: torch.from_numpy(a).to("meta"), TypeError, "x of it has shape"),
        (lambda a: torch.from_numpy(a).to_sparse(), TypeError, "x of it has shape"),
        (lambda a: a * np.float64(1e300), ValueError, "x of it holds NaN or Inf"),
    ],
)
def test_images_that_are_none(change, error, says):
    x, y, z = make_scenes(1)[0]
    with pytest.raises(error, match=says):
        as_tensors((change(x), y, z), "it")
