r"""The pinhole camera with lens distortion, as OpenCV has it.

A point (X, Y, Z) in front of the camera, x to the right, y down, z along the optical axis, has the
normalised coordinates :math:`x = X/Z, y = Y/Z`. With :math:`r^2 = x^2 + y^2` the lens moves it to

.. math::

    x' &= x (1 + k_1 r^2 + k_2 r^4 + k_3 r^6) + 2 p_1 x y + p_2 (r^2 + 2 x^2) \\
    y' &= y (1 + k_1 r^2 + k_2 r^4 + k_3 r^6) + p_1 (r^2 + 2 y^2) + 2 p_2 x y

and it falls on column :math:`f_x x' + c_x` and row :math:`f_y y' + c_y`, the centre of the first
pixel being at 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Camera"]

_ROUNDS = 50
_ACCURACY = 1e-10


@dataclass(frozen=True)
class Camera:
    """Intrinsic parameters of a camera: image size, focal lengths, centre, lens distortion."""

    width: int
    """Width of its images, in pixels."""
    height: int
    """Height of its images, in pixels."""
    fx: float
    """Focal length, in pixels across."""
    fy: float
    """Focal length, in pixels down."""
    cx: float
    """Column of the optical axis; 0 is the centre of the first pixel."""
    cy: float
    """Row of the optical axis."""
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    """Distortion coefficients k1, k2, p1, p2, k3, as OpenCV defines them."""

    def project(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Columns and rows (2, N) of points (3, N) before the camera.

        NaN where a point is behind the camera, or so far aside that the polynomial of the lens has
        turned back: it would put the point into the image a second time.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            plane = points[:2] / points[2]
        seen = (points[2] > 0) & (np.square(plane).sum(axis=0) < self._farthest())
        x, y = self._distorted(np.where(seen, plane, 0.0))
        return np.where(seen, [self.fx * x + self.cx, self.fy * y + self.cy], np.nan)

    def rays(self) -> NDArray[np.float64]:
        """Normalised coordinates (2, height, width) of all pixels; NaN where the lens has none."""
        rows, columns = np.mgrid[: self.height, : self.width].astype(np.float64)
        seen = np.stack([(columns - self.cx) / self.fx, (rows - self.cy) / self.fy])
        if not any(self.distortion):
            return seen
        # A fixed point, as OpenCV iterates; the radius is kept where the polynomial rises.
        k1, k2, p1, p2, k3 = self.distortion
        found, farthest = seen.copy(), self._farthest()
        for _ in range(_ROUNDS):
            x, y = found
            r2 = np.minimum(x * x + y * y, farthest)
            radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
            shift = np.stack(
                [2 * p1 * x * y + p2 * (r2 + 2 * x * x), p1 * (r2 + 2 * y * y) + 2 * p2 * x * y]
            )
            with np.errstate(divide="ignore", invalid="ignore"):
                found = np.nan_to_num((seen - shift) / radial, nan=0.0, posinf=1e3, neginf=-1e3)
            found = np.clip(found, -1e3, 1e3)
            if np.abs(self._distorted(found) - seen).max() < _ACCURACY:
                break
        missed = np.abs(self._distorted(found) - seen).max(axis=0) > 1e3 * _ACCURACY
        beyond = np.square(found).sum(axis=0) >= farthest
        return np.where(missed | beyond, np.nan, found)

    def _distorted(self, plane: NDArray[np.float64]) -> NDArray[np.float64]:
        k1, k2, p1, p2, k3 = self.distortion
        x, y = plane
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        return np.stack(
            [
                x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
                y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
            ]
        )

    def _farthest(self) -> float:
        """Squared radius up to which a larger radius is farther out in the image, too."""
        k1, k2, _, _, k3 = self.distortion
        roots = np.roots([7 * k3, 5 * k2, 3 * k1, 1.0]) if k1 or k2 or k3 else np.array([])
        real = roots.real[(np.abs(roots.imag) < 1e-9) & (roots.real > 0)]
        return float(real.min(initial=np.inf))
