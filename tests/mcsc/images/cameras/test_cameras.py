"""The camera, the reprojection of depth, and its restoration, on a room of known depth."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.interpolate

from mcsc.errors import Refusal
from mcsc.images.cameras.camera import Camera
from mcsc.images.cameras.gathering import gather
from mcsc.images.cameras.reprojection import Rig, reproject
from mcsc.tasks import restore
from tests.mcsc.images.cameras.rooms import LENS, PHOTO, SENSOR, rig, room, seen

PLAIN = Camera(32, 24, 40.0, 40.0, 15.5, 11.5)


def written_out(camera, point):
    """The formulas of OpenCV's documentation, number by number."""
    k1, k2, p1, p2, k3 = camera.distortion
    x, y = point[0] / point[2], point[1] / point[2]
    r = math.hypot(x, y)
    radial = 1 + k1 * r**2 + k2 * r**4 + k3 * r**6
    u = x * radial + 2 * p1 * x * y + p2 * (r**2 + 2 * x**2)
    v = y * radial + p1 * (r**2 + 2 * y**2) + 2 * p2 * x * y
    return camera.fx * u + camera.cx, camera.fy * v + camera.cy


def test_a_point_falls_where_the_formulas_say():
    points = np.random.default_rng(0).uniform((-0.4, -0.3, 1), (0.4, 0.3, 4), (20, 3)).T
    for camera in (PLAIN, SENSOR, PHOTO):
        expected = np.array([written_out(camera, point) for point in points.T]).T
        np.testing.assert_allclose(camera.project(points), expected, rtol=1e-12)


@pytest.mark.parametrize("camera", [PLAIN, SENSOR, PHOTO])
def test_the_ray_of_a_pixel_leads_back_to_it(camera):
    rays = camera.rays()
    assert np.isfinite(rays).all()
    points = np.concatenate([rays, np.ones((1, *rays.shape[1:]))]).reshape(3, -1) * 2.5
    rows, columns = np.mgrid[: camera.height, : camera.width]
    np.testing.assert_allclose(
        camera.project(points), [columns.ravel(), rows.ravel()], atol=1e-6 * camera.fx
    )


def test_what_is_behind_or_beyond_the_lens_is_not_seen():
    strong = Camera(320, 240, 290.0, 290.0, 160.0, 120.0, (-0.5, 0.0, 0.0, 0.0, 0.0))
    # r (1 - r^2 / 2) turns back at r = sqrt(2/3): a point at r = 1.2 would fall at 0.336.
    points = np.array([[0.3, 0.0, 1.0], [1.2, 0.0, 1.0], [0.1, 0.0, -1.0], [0.1, 0.0, 0.0]]).T
    np.testing.assert_array_equal(np.isnan(strong.project(points)[0]), [False, True, True, True])
    assert not np.isnan(Camera(9, 9, 9.0, 9.0, 4.0, 4.0).project(points)[0, :2]).any()


def test_a_lens_that_cannot_be_undone_gives_no_rays():
    # r (1 - r^2 / 2) never exceeds 0.544; the corners of this image are at 0.69.
    camera = Camera(320, 240, 290.0, 290.0, 160.0, 120.0, (-0.5, 0.0, 0.0, 0.0, 0.0))
    rays = camera.rays()
    assert np.isnan(rays[:, 0, 0]).all()
    assert np.isfinite(rays[:, 120, 160]).all()


def same_place(photo=PLAIN, translation=(0, 0, 0), unit=1.0):
    return Rig(PLAIN, photo, np.eye(3), np.array(translation, float), unit)


def test_one_camera_in_one_place_changes_nothing():
    depth = np.random.default_rng(0).uniform(1, 1.01, (24, 32))
    depth[3, 5], depth[4, 4], depth[5, 5], depth[6, 6] = 0, np.nan, -1, np.inf
    found = reproject(depth, same_place())
    known = np.isfinite(depth) & (depth > 0)
    np.testing.assert_array_equal(found.mask[0] > 0, known)
    np.testing.assert_allclose(found.depth[0][known], depth[known])
    assert (found.measured, found.outside, found.hidden) == (24 * 32 - 4, 0, 0)
    assert found.spacing == pytest.approx(1)
    again = reproject(depth.astype(np.float32)[None], same_place(), np.arange(32) * known > 9)
    assert again.depth.dtype == np.float32
    assert again.mask[0, :, :10].sum() == 0


def test_a_wall_moves_by_the_parallax():
    depth = np.full((24, 32), 2000.0)
    found = reproject(depth, same_place(translation=(0.1, -0.05, 0.5), unit=0.001))
    # 40 * 0.1 / 2.5 = 1.6 columns to the right, 0.8 rows up, and closer together.
    assert np.unique(found.depth[found.mask > 0]).round(6) == pytest.approx([2500])
    columns = np.flatnonzero(found.mask[0].any(axis=0))
    rows = np.flatnonzero(found.mask[0].any(axis=1))
    middle = (columns[0] + columns[-1]) / 2, (rows[0] + rows[-1]) / 2
    assert middle == pytest.approx((15.5 + 1.6, 11.5 - 0.8), abs=0.5)


def test_the_nearest_point_counts_and_hides_what_is_behind():
    finer = Camera(128, 96, 160.0, 160.0, 63.5, 47.5)
    depth = np.full((24, 32), 3.0)
    depth[8:16, 12:20] = 1.5  # a box before a wall; the photograph is taken from the right of it
    found = reproject(depth, same_place(finer, translation=(-0.3, 0, 0)))
    box = found.mask[0] * (found.depth[0] < 2)
    rows, columns = np.nonzero(box)
    inside = found.depth[0, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert inside.max() == 1.5  # no point of the wall shines through between those of the box
    assert found.hidden > 0
    assert found.spacing == pytest.approx(4, abs=0.1)


def test_a_room_is_where_it_is():
    raw, photo, truth = room()
    depth = np.round(1000 * raw)  # millimetres
    depth[::7, ::5] = 0
    found = reproject(depth, rig())
    known = found.mask[0] > 0
    miss = np.abs(found.depth[0] / 1000 - truth)[known]
    assert np.median(miss) < 0.002
    assert (miss > 0.05).mean() < 0.002  # at edges, by less than a pixel of the photograph
    assert known.mean() > 0.05
    # Taken to be where the camera is, the same map is wrong by far more.
    wrong = reproject(depth, Rig(SENSOR, PHOTO, np.eye(3), np.zeros(3), 0.001))
    there = wrong.mask[0] > 0
    assert (np.abs(wrong.depth[0] / 1000 - truth)[there] > 0.05).mean() > 0.15
    assert gather(found, photo).factor == 4


def test_a_restored_room_beats_interpolation():
    raw, photo, truth = room()
    depth = np.round(1000 * raw).astype(np.float32)
    depth[::7, ::5] = 0
    found = reproject(depth, rig())
    small = gather(found, photo)
    assert small.depth.shape == (1, 60, 80)
    values = small.depth[small.mask > 0]
    limits = (float(values.min()), float(values.max()))
    made = restore(
        small.depth, photo, "depth-sr", mask=small.mask, factor=small.factor, value_range=limits
    )
    assert made.converged
    known = found.mask[0] > 0
    grid = tuple(np.mgrid[: truth.shape[0], : truth.shape[1]])

    def error(image):
        return float(np.sqrt(np.square(image / 1000 - truth).mean()))

    nearest, linear = (
        scipy.interpolate.griddata(np.argwhere(known), found.depth[0][known], grid, method=method)
        for method in ("nearest", "linear")
    )
    linear = np.where(np.isfinite(linear), linear, nearest)
    assert error(made.image[0]) < 0.8 * min(error(nearest), error(linear))


def test_holes_without_a_point_stay_unknown():
    raw, photo, _ = room()
    raw[20:40, 30:50] = 0
    small = gather(reproject(raw, rig(1.0)), photo)
    assert not small.mask[0, 25:36, 38:46].any()
    assert small.mask.mean() > 0.7
    assert not small.depth[small.mask == 0].any()


def test_the_room_itself():
    """Both views show the same points: one projected from the other has its depth."""
    r = rig()
    raw, _ = seen(r.depth)
    rays = np.concatenate([r.depth.rays(), np.ones((1, *raw.shape))])
    moved = np.einsum("ij,jhw->ihw", r.rotation, rays * raw) + r.translation[:, None, None]
    column, row = r.photo.project(moved[:, 45, 40:41])
    truth, _ = seen(r.photo, r.rotation, r.translation)
    assert truth[round(row[0]), round(column[0])] == pytest.approx(moved[2, 45, 40], rel=0.02)
    assert PHOTO.distortion == LENS


@pytest.mark.parametrize(
    ("depth", "translation", "message"),
    [
        (np.ones((24, 31)), (0, 0, 0), r"has shape \(24, 31\), the calibration is for .* 24 x 32"),
        (np.zeros((24, 32)), (0, 0, 0), "holds no depth: no value above 0 is known"),
        (np.ones((24, 32)), (25, 0, 0), "none of the depth falls into the photograph: the rot"),
    ],
)
def test_maps_that_do_not_fit(depth, translation, message):
    with pytest.raises(Refusal, match=message):
        reproject(depth, same_place(translation=translation))
    with pytest.raises(Refusal, match="the photograph is 9 x 9, the calibration is for 24 x 32"):
        gather(reproject(np.ones((24, 32)), same_place()), np.zeros((3, 9, 9), np.float32))


def test_masks_of_masked_arrays_are_not_lost():
    masked = np.ma.masked_array(np.ones((24, 32)), False)
    with pytest.raises(TypeError, match="depth is a masked array, whose mask would be lost here"):
        reproject(masked, same_place())
    photo = np.ma.masked_array(np.zeros((3, 24, 32)), False)
    with pytest.raises(TypeError, match="photo is a masked array, whose mask would be lost here"):
        gather(reproject(np.ones((24, 32)), same_place()), photo)
