"""A room of a wall, a floor and balls whose depth is known exactly, seen by any camera."""

from __future__ import annotations

import numpy as np

from mcsc.images.cameras.camera import Camera
from mcsc.images.cameras.reprojection import Rig

LENS = (-0.12, 0.03, 0.0008, -0.0005, 0.0)
SENSOR = Camera(80, 60, 70.0, 71.0, 39.0, 30.5, (0.05, -0.02, -0.0004, 0.0006, 0.0))
PHOTO = Camera(320, 240, 290.0, 288.0, 161.0, 118.0, LENS)
BALLS = [((-0.5, 0.1, 2.2), 0.45), ((0.6, -0.2, 1.7), 0.3), ((0.2, 0.5, 2.9), 0.5)]
COLOURS = np.array([[0.8, 0.7, 0.5], [0.3, 0.3, 0.35], [0.8, 0.2, 0.2], [0.2, 0.6, 0.9],
                    [0.3, 0.7, 0.2]])  # fmt: skip


def turn(degrees, axis=1):
    """A rotation about an axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    found = np.eye(3)
    i, j = [n for n in range(3) if n != axis]
    found[i, i] = found[j, j] = c
    found[i, j], found[j, i] = (s, -s) if axis == 1 else (-s, s)
    return found


def rig(unit=0.001):
    return Rig(SENSOR, PHOTO, turn(3) @ turn(-2, axis=0), np.array([0.05, 0.01, 0.003]), unit)


def seen(camera, rotation=None, translation=(0, 0, 0)):
    """Depth along the axis (H, W) and number of the thing that is seen in each pixel.

    The camera sees a point P of the room at ``rotation @ P + translation``.
    """
    turned = np.eye(3) if rotation is None else rotation
    origin = -turned.T @ np.asarray(translation, float)
    rays = camera.rays()
    rays = np.concatenate([rays, np.ones((1, *rays.shape[1:]))]).reshape(3, -1)
    along = turned.T @ rays
    depths = []
    for normal, distance in (((0.15, 0.0, 1.0), 4.0), ((0.0, 1.0, 0.0), 0.9)):
        with np.errstate(divide="ignore"):
            far = (distance - np.dot(normal, origin)) / (np.array(normal) @ along)
        depths.append(np.where(far > 0, far, np.inf))
    for centre, radius in BALLS:
        offset = origin - np.array(centre)
        a, b = np.square(along).sum(0), offset @ along
        root = b * b - a * (offset @ offset - radius**2)
        far = (-b - np.sqrt(np.maximum(root, 0))) / a
        depths.append(np.where((root > 0) & (far > 0), far, np.inf))
    depths = np.array(depths).reshape(len(depths), camera.height, camera.width)
    # The depth along a ray whose third coordinate is 1 is that along the axis.
    return depths.min(axis=0), depths.argmin(axis=0)


def room(rig_=None):
    """Depth of the sensor, photograph (3, H, W), true depth in the photograph; metres."""
    r = rig() if rig_ is None else rig_
    raw, _ = seen(r.depth)
    truth, things = seen(r.photo, r.rotation, r.translation)
    slope = np.hypot(*np.gradient(truth)) / truth
    shade = 1 - np.clip(8 * slope, 0, 0.5)
    photo = COLOURS[things].transpose(2, 0, 1) * shade
    return raw, np.clip(photo, 0, 1).astype(np.float32), truth
