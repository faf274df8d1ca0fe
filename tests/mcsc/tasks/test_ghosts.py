"""`restore` and `fuse` keep one image where two contradict each other, and say so."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from mcsc.images import read_image, write_image
from mcsc.synthetic import exposure_pair, flash_pair
from mcsc.tasks import evaluate, fuse, restore
from tests.helpers import run
from tests.mcsc.alignment.test_ghosts import moved, noisy, scene

QUICK = {"tol": 0.1}


@pytest.fixture(scope="module")
def flash():
    """Ambient without noise, with it, and a flash photograph in which a disc has changed."""
    clean = flash_pair(scene(0))[0]
    changed, there = moved(0)
    return clean, noisy(clean, 25).astype("f4"), flash_pair(changed)[1], there


@pytest.fixture(scope="module")
def exposures():
    over, under, _ = exposure_pair(scene(3))
    changed, there = moved(3)
    return over, under, exposure_pair(changed)[1], there


def error(image, truth, there):
    return float(np.sqrt(np.square(image - truth)[:, there].mean()))


def test_a_guide_that_contradicts_is_not_followed(flash):
    clean, x, guide, there = flash
    with pytest.warns(UserWarning, match="^x and y contradict each other in [0-9.]+ % of the") as w:
        found = restore(x, guide, "flash-denoise", sigma=25, **QUICK)
    assert w[0].filename == __file__
    assert found.ghosts.dtype == bool
    assert 0.01 < found.ghosts.mean() < 0.2
    assert found.ghosts[there].mean() > 5 * found.ghosts[~there].mean()
    plain = restore(x, guide, "flash-denoise", sigma=25, ghosts=False, **QUICK)
    assert plain.ghosts is None
    assert error(found.image, clean, found.ghosts) < 0.9 * error(plain.image, clean, found.ghosts)
    given = x.copy()
    with pytest.warns(UserWarning, match="contradict"):
        restore(given[:1].astype("f8"), guide, "flash-denoise", sigma=25, method="input")
    np.testing.assert_array_equal(given, x)


@pytest.mark.slow
def test_a_method_without_masks_gets_a_guide_without_ghosts(flash):
    clean, x, guide, _ = flash
    seen = []

    def method(x, y):
        seen.append(y)
        return x

    method.options = frozenset()
    with pytest.warns(UserWarning, match="contradict each other"):
        found = restore(x, guide, "flash-denoise", sigma=25, method=method)
    np.testing.assert_array_equal(seen[0][:, ~found.ghosts], guide[:, ~found.ghosts])
    inside, grey = (i.mean(axis=0)[found.ghosts] for i in (seen[0], clean))
    assert np.corrcoef(inside, grey)[0, 1] > 0.8
    assert np.corrcoef(guide.mean(axis=0)[found.ghosts], grey)[0, 1] < 0.3
    # Unknown pixels are none of it.
    holes = np.ones(x.shape[1:], bool)
    holes[:40] = False
    with pytest.warns(UserWarning, match="contradict each other"):
        found = restore(
            x, np.where(holes, guide, np.nan), "flash-denoise", sigma=25, method=method,
            guide_mask=holes,
        )  # fmt: skip
    assert np.isfinite(seen[1]).all()
    assert not found.ghosts[:40].any()


@pytest.mark.parametrize("method", ["mcsc", "laplacian"])
def test_of_two_exposures_the_first_is_kept(exposures, method):
    over, under, after, _ = exposures
    options = {"method": method, **(QUICK if method == "mcsc" else {})}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        still = fuse([over, under], "multi-exposure", **options)
        plain = fuse([over, after], "multi-exposure", ghosts=False, **options)
    assert not still.ghosts.any()
    assert plain.ghosts is None
    with pytest.warns(UserWarning, match="there, sources.0. is kept") as record:
        found = fuse([over, after], "multi-exposure", **options)
    assert record[0].filename == __file__
    where = found.ghosts
    assert error(found.image, still.image, where) < 0.5 * error(plain.image, still.image, where)
    # In the other order it is the other one.
    with pytest.warns(UserWarning, match="there, sources.0. is kept"):
        other = fuse([after, over], "multi-exposure", **options)
    np.testing.assert_array_equal(other.ghosts, where)
    assert error(other.image, found.image, where) > 0.02


def test_of_three_the_middle_is_kept_and_of_a_white_one_the_other(exposures):
    over, under, after, _ = exposures
    middle = np.clip(over * 0.6, 0, 1)
    with pytest.warns(UserWarning, match="the 3 sources contradict .* there, sources.1. is kept"):
        found = fuse([over, middle, after], "multi-exposure", method="laplacian")
    same = fuse([over, middle, under], "multi-exposure", method="laplacian")
    assert not same.ghosts.any()
    assert error(found.image, same.image, found.ghosts) < 0.03
    # Something white stood before what the other shows.
    y = np.broadcast_to(np.linspace(0.1, 0.6, 64), (64, 64)).copy()
    x = np.clip(1.5 * y, 0, 1)
    x[20:44, 4:28] = 1
    with pytest.warns(UserWarning, match="contradict"):
        found = fuse([x, y], "multi-exposure", method="laplacian")
    assert found.image[24:40, 8:24].mean() < 0.6


def test_words_that_are_none_and_tasks_that_cannot_tell(flash):
    _, x, guide, _ = flash
    with pytest.raises(ValueError, match="told in flash-denoise and multi-exposure, not in depth"):
        restore(x, guide, "depth-sr", ghosts=True)
    with pytest.raises(TypeError, match="ghosts must be True, False or None, found 'no'"):
        restore(x, guide, "flash-denoise", ghosts="no")
    with pytest.raises(ValueError, match="not in multi-focus"):
        fuse([x, guide], "multi-focus", ghosts=True)
    assert fuse([x, guide], "multi-focus", method="mean").ghosts is None
    # Asked for, it is not left out silently; by default it is.
    many = [x[:, :32, :32]] * 9
    with pytest.raises(ValueError, match="looked for in up to 8 sources, found 9"):
        fuse(many, "multi-exposure", method="mean", ghosts=True)
    assert fuse(many, "multi-exposure", method="mean").ghosts is None


def test_methods_are_measured_as_they_are(exposures):
    over, _, after, _ = exposures
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = evaluate([lambda: (over, after)], "multi-exposure", ["laplacian"])
    assert len(table.rows) == 1


def test_the_command_says_so_and_shows_where(exposures, tmp_path):
    over, _, after, _ = exposures
    write_image(tmp_path / "a.png", over)
    write_image(tmp_path / "b.png", after)
    words = ("fuse", tmp_path / "a.png", tmp_path / "b.png", "--task", "multi-exposure")
    words += ("--method", "laplacian", "--registered", "-o", tmp_path / "o.png")
    done = run(*words, "--report", tmp_path / "r.html")
    assert done.exit_code == 0, done.stderr
    line, cut = done.stderr.splitlines()
    assert "were cut off there" in cut  # what the pyramid adds up
    assert f"a.png and {tmp_path / 'b.png'} contradict each other in" in line
    assert "--no-ghosts" in line
    page = (tmp_path / "r.html").read_text()
    assert page.count("contradictions") >= 2
    assert "% of the pixels, where one image was kept" in page
    kept = read_image(tmp_path / "o.png").pixels
    done = run(*words, "--no-ghosts")
    assert done.exit_code == 0
    assert "contradict" not in done.stderr
    assert np.abs(read_image(tmp_path / "o.png").pixels - kept).max() > 0.05
    done = run(*words, "--task", "medical", "--ghosts")
    assert done.exit_code == 2
    assert "ghosts can be told in flash-denoise and multi-exposure" in done.stderr


@pytest.mark.parametrize("bands", [(5, 3), (3, 5), (2, 1), (1, 4), (5, 5)])
def test_images_without_lumas_are_restored_without_a_look_for_ghosts(flash, bands):
    _, ambient, lit, _ = flash
    x, y = (
        np.concatenate([i, i])[:c, :48, :52] for i, c in zip((ambient, lit), bands, strict=True)
    )
    options = {"sigma": 25, "tol": 0.5, "names": ("ambient", "lit")}
    found = restore(x, y, "flash-denoise", **options)
    assert found.ghosts is None
    np.testing.assert_array_equal(
        found.image, restore(x, y, "flash-denoise", ghosts=False, **options).image
    )
    name, count = ("lit", bands[1]) if bands[0] in (1, 3) else ("ambient", bands[0])
    message = f"told by lumas, and {name} has {count} channels; want 1 or 3"
    with pytest.raises(ValueError, match=message):
        restore(x, y, "flash-denoise", ghosts=True, **options)
