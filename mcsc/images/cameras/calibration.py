"""The file that says how a depth sensor and a camera see: JSON, every key checked."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidValueError
from ...files import check_readable
from .camera import Camera
from .reprojection import Rig

__all__ = ["EXAMPLE", "read_calibration"]

EXAMPLE = """\
{
  "depth": {"width": 320, "height": 240, "fx": 285.0, "fy": 285.0, "cx": 159.5, "cy": 119.5,
            "distortion": [0.0, 0.0, 0.0, 0.0, 0.0]},
  "photo": {"width": 1280, "height": 960, "fx": 1050.0, "fy": 1050.0, "cx": 639.5, "cy": 479.5},
  "rotation": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  "translation": [0.025, 0.0, 0.0],
  "depth_unit": 0.001
}
"""
"""A whole file: a sensor 25 mm to the right of the camera, a depth map in millimetres."""

_LARGEST = 1_000_000  # bytes; there are some thirty numbers in it
_CAMERA = ("width", "height", "fx", "fy", "cx", "cy", "distortion")
_RIG = ("depth", "photo", "rotation", "translation", "depth_unit")
_TURNED = 1e-3  # by which a rotation that was written with few digits may miss


def read_calibration(path: str | PathLike[str]) -> Rig:
    """Read the calibration of a depth sensor and a camera from a JSON file.

    Parameters
    ----------
    path : path
        JSON with the keys ``depth`` and ``photo``, each with ``width``, ``height``, ``fx``,
        ``fy``, ``cx``, ``cy`` (all in pixels, 0 is the centre of the first one) and, if it has any,
        ``distortion`` (k1, k2, p1, p2, k3, as OpenCV orders them); ``rotation`` (3 rows of 3) and
        ``translation`` (3 numbers, metres), which take a point from the axes of the depth sensor to
        those of the photograph's camera; ``depth_unit``, metres in one step of the depth map.

    Returns
    -------
    Rig

    Raises
    ------
    ValueError
        The file is missing, no JSON, or a key is missing, unknown or of another kind; the message
        names it.

    Notes
    -----
    Sizes and centres are those of the images as they are shown: turned upright.
    """
    path = Path(path)
    try:
        check_readable(path, "calibration file")
        if path.stat().st_size > _LARGEST:
            raise InvalidValueError(f"{path}: is too large to be a calibration")
        text = path.read_text(encoding="utf-8-sig")  # editors may begin with a mark
    except FileNotFoundError:
        raise InvalidValueError(f"{path}: no such file") from None
    except OSError as error:
        reason = f"{path}: cannot be read: {error.strerror}" if error.strerror else str(error)
        raise InvalidValueError(reason) from error
    except UnicodeDecodeError as error:
        raise InvalidValueError(f"{path}: is not JSON: it is not text in UTF-8") from error

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise InvalidValueError(f"{path}: the key {twice!r} is there twice")
        return found

    try:
        content = json.loads(text, object_pairs_hook=once)
    except RecursionError as error:
        raise InvalidValueError(f"{path}: is nested too deeply to be a calibration") from error
    except json.JSONDecodeError as error:
        raise InvalidValueError(
            f"{path}: is not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from error
    except ValueError as error:
        if isinstance(error, InvalidValueError):
            raise
        raise InvalidValueError(f"{path}: is not JSON: {error}") from error  # digits without end
    top = _table(path, "", content, _RIG)
    return Rig(
        depth=_camera(path, "depth", top["depth"]),
        photo=_camera(path, "photo", top["photo"]),
        rotation=_rotation(path, top["rotation"]),
        translation=np.array(_numbers(path, "translation", top["translation"], 3)),
        depth_unit=_positive(path, "depth_unit", top["depth_unit"]),
    )


def _camera(path: Path, name: str, content: Any) -> Camera:
    found = _table(path, name, content, _CAMERA, optional=("distortion",))
    size = [_whole(path, f"{name}.{key}", found[key]) for key in ("width", "height")]
    focal = [_positive(path, f"{name}.{key}", found[key]) for key in ("fx", "fy")]
    centre = [_number(path, f"{name}.{key}", found[key]) for key in ("cx", "cy")]
    for key, value, side in zip(("cx", "cy"), centre, size, strict=True):
        if not -side <= value <= 2 * side:
            raise InvalidValueError(
                f"{path}: {name}.{key} is {value:g}, far outside of the {side} pixels there are"
            )
    lens = _numbers(path, f"{name}.distortion", found.get("distortion", [0.0] * 5), 5)
    return Camera(size[0], size[1], focal[0], focal[1], centre[0], centre[1], _five(lens))


def _five(lens: Sequence[float]) -> tuple[float, float, float, float, float]:
    k1, k2, p1, p2, k3 = lens
    return k1, k2, p1, p2, k3


def _rotation(path: Path, content: Any) -> NDArray[np.float64]:
    if not isinstance(content, list) or len(content) != 3:
        raise InvalidValueError(
            f"{path}: rotation must be 3 rows of 3 numbers (cv2.Rodrigues makes them of a vector "
            f"of angles); found {_shown(content)}"
        )
    rows = [_numbers(path, f"rotation[{i}]", row, 3) for i, row in enumerate(content)]
    found = np.array(rows)
    miss = float(np.abs(found @ found.T - np.eye(3)).max())
    if not miss <= _TURNED:
        raise InvalidValueError(
            f"{path}: rotation is not a rotation matrix: its rows times its "
            f"columns differ from the unit matrix by {miss:.2g}"
        )
    if np.linalg.det(found) < 0:
        raise InvalidValueError(
            f"{path}: rotation is not a rotation matrix: it mirrors (its determinant is -1)"
        )
    return found


def _table(
    path: Path, name: str, content: Any, keys: Sequence[str], optional: Sequence[str] = ()
) -> Mapping[str, Any]:
    inside = f"{name}." if name else ""
    if not isinstance(content, dict):
        raise InvalidValueError(
            f"{path}: {name or 'the file'} must be an object with the keys {', '.join(keys)}; "
            f"found {_shown(content)}"
        )
    for key in keys:
        if key not in content and key not in optional:
            raise InvalidValueError(f"{path}: the key {inside}{key} is missing")
    for key in content:
        if key not in keys:
            raise InvalidValueError(
                f"{path}: there is no key {inside + key!r}; want {', '.join(keys)}"
            )
    return content


def _number(path: Path, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidValueError(f"{path}: {name} must be a number; found {_shown(value)}")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise InvalidValueError(f"{path}: {name} must be finite; found {_shown(value)}")
    return found


def _positive(path: Path, name: str, value: Any) -> float:
    found = _number(path, name, value)
    if found <= 0:
        raise InvalidValueError(f"{path}: {name} must be above 0; found {_shown(value)}")
    return found


def _whole(path: Path, name: str, value: Any) -> int:
    found = _number(path, name, value)
    if not found.is_integer() or not 1 <= found < 2**31:
        raise InvalidValueError(f"{path}: {name} must be a whole number above 0; found {value!r}")
    return int(found)


def _numbers(path: Path, name: str, value: Any, count: int) -> list[float]:
    if not isinstance(value, list) or len(value) != count:
        found = f"{len(value)} of them" if isinstance(value, list) else _shown(value)
        five = " (k1, k2, p1, p2, k3)" if name.endswith("distortion") else ""
        raise InvalidValueError(f"{path}: {name} must be {count} numbers{five}; found {found}")
    return [_number(path, f"{name}[{i}]", item) for i, item in enumerate(value)]


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 40 else text[:37] + "..."
