"""Worlds that are made up and rendered: their shapes, and, where Mitsuba is, what is seen."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.rendering import meshes
from benchmarks.rendering.meshes import Shape
from benchmarks.rendering.world import STYLES, render
from tests.paths import ROOT

SHAPES: dict[str, Callable[[np.random.Generator], Shape]] = {
    "smooth blob": lambda rng: meshes.blob(rng, 0.0),
    "boulder": lambda rng: meshes.blob(rng, 1.0),
    "lathe": meshes.lathe,
    "cone": meshes.cone,
    "box": lambda rng: meshes.box(np.array([1.0, 0.5, 0.2])),
    "wall": lambda rng: meshes.sheet(rng, 2.0, 1.0, 0.0, 0.0),
    "cloth": lambda rng: meshes.sheet(rng, 2.0, 1.0, 0.1, 0.05),
    "straight rods": lambda rng: meshes.rods(rng, 3, 0.01, 0.0),
    "bent rods": lambda rng: meshes.rods(rng, 3, 0.01, 0.4),
    "tree": lambda rng: meshes.branches(rng, 3),
    "bare tree": lambda rng: meshes.branches(rng, 2, leaves=False),
    "grass": lambda rng: meshes.bent_strips(rng, 9, 0.02, False),
    "needles": lambda rng: meshes.bent_strips(rng, 9, 0.02, True),
    "fence": meshes.lattice,
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_shapes_are_meshes_about_one_unit_large(name, seed):
    shape = SHAPES[name](np.random.default_rng(seed))
    assert shape.vertices.shape == (len(shape.vertices), 3)
    assert shape.places.shape == (len(shape.vertices), 2)
    assert np.isfinite(shape.vertices).all()
    assert np.isfinite(shape.places).all()
    assert shape.faces.min() == 0
    assert shape.faces.max() == len(shape.vertices) - 1
    assert len(np.unique(shape.faces)) == len(shape.vertices)
    size = np.ptp(shape.vertices, axis=0)
    assert 0.4 < size.max() < 4
    corners = shape.vertices[shape.faces]
    areas = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    # At poles and tips triangles are lines.
    assert (areas > 1e-12).mean() >= 0.5


def test_a_box_is_as_large_as_its_sides():
    sides = np.array([1.0, 0.5, 0.2])
    np.testing.assert_allclose(np.ptp(meshes.box(sides).vertices, axis=0), sides)


def test_shapes_are_merged_and_moved():
    one = meshes.box(np.ones(3))
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    other = one.moved(np.array([2.0, 1, 1]), turn, np.array([5.0, 0, 0]))
    np.testing.assert_allclose(np.ptp(other.vertices, axis=0), [1, 2, 1])
    np.testing.assert_allclose(other.vertices.mean(axis=0), [5, 0, 0], atol=1e-12)
    both = meshes.merged([one, other])
    np.testing.assert_array_equal(
        both.vertices[both.faces[len(one.faces) :]], other.vertices[other.faces]
    )


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A library of scikit-image's photographs and one panorama, brighter above."""
    imagecodecs = pytest.importorskip("imagecodecs")
    from mcsc.synthetic.photographs import library

    folder = tmp_path_factory.mktemp("photographs")
    light = np.geomspace(4, 0.2, 64, dtype=np.float32)[:, None, None] * np.ones(
        (64, 128, 3), np.float32
    )
    (folder / "sky.hdr").write_bytes(imagecodecs.rgbe_encode(light))
    return library(folder)


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES)
def test_a_world_is_seen(style, pictures):
    pytest.importorskip("mitsuba", reason="rendering needs Mitsuba 3: pip install mitsuba==3.8.0")
    seen = render(np.random.default_rng(3), style, pictures, (64, 80), 4, lamp=True)
    assert seen.ambient.shape == seen.flash.shape == (3, 64, 80)
    assert seen.nearness.shape == (64, 80)
    for image in (seen.ambient, seen.flash, seen.nearness):
        assert np.isfinite(image).all()
        assert image.min() >= 0
        assert np.ptp(image) > 0
    # Where nothing is, the lamp lights nothing.
    assert not seen.flash[:, seen.nearness == 0].any()


def test_without_mitsuba_or_panoramas_one_line_says_so(tmp_path):
    found = subprocess.run(
        [sys.executable, "-m", "benchmarks.rendering", "--task", "depth-sr", "--photographs",
         str(tmp_path), "--out", str(tmp_path / "out")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 2
    assert "Traceback" not in found.stderr
    assert "pip install mitsuba" in found.stderr or "no images" in found.stderr
    assert not (tmp_path / "out").exists()
