"""The calibration file: what it may hold, and errors that name the key."""

from __future__ import annotations

import contextlib
import copy
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcsc.errors import InvalidValueError
from mcsc.images.cameras.calibration import EXAMPLE, read_calibration


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_the_example_is_one(tmp_path):
    found = read_calibration(write(tmp_path / "cameras.json", EXAMPLE))
    assert (found.depth.width, found.depth.height, found.depth.fx) == (320, 240, 285)
    assert found.photo.cy == 479.5
    assert found.photo.distortion == (0, 0, 0, 0, 0)
    assert found.depth_unit == 0.001
    np.testing.assert_array_equal(found.rotation, np.eye(3))
    np.testing.assert_array_equal(found.translation, [0.025, 0, 0])


def test_a_mark_of_utf_8_at_its_beginning_is_none_of_it(tmp_path):
    path = tmp_path / "cameras.json"
    path.write_text(EXAMPLE, encoding="utf-8-sig")
    assert read_calibration(path).photo.cy == 479.5


def changed(path, value):
    """The example with one value replaced, or removed by `...`."""
    content = json.loads(EXAMPLE)
    place = content
    *before, last = path.split(".")
    for key in before:
        place = place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("photo", ..., "the key photo is missing"),
        ("depth.fx", ..., r"the key depth\.fx is missing"),
        ("depth_unit", ..., "the key depth_unit is missing"),
        ("photo.distorsion", [0] * 5, r"there is no key 'photo\.distorsion'; want width, height"),
        ("scale", 1, "there is no key 'scale'; want depth, photo, rotation"),
        ("depth", [1, 2], r"depth must be an object with the keys width.*; found \[1, 2\]"),
        ("depth.fx", "285", r'depth\.fx must be a number; found "285"'),
        ("depth.fx", True, r"depth\.fx must be a number; found true"),
        ("depth.fx", None, r"depth\.fx must be a number; found null"),
        ("depth.fx", 0, r"depth\.fx must be above 0; found 0"),
        ("photo.cx", float("nan"), r"photo\.cx must be finite; found NaN"),
        ("photo.cx", 1e6, r"photo\.cx is 1e\+06, far outside of the 1280 pixels there are"),
        ("photo.width", 12.5, r"photo\.width must be a whole number above 0; found 12\.5"),
        ("photo.width", 0, r"photo\.width must be a whole number above 0"),
        ("photo.height", 10**400, r"photo\.height must be finite"),
        ("depth.distortion", [0] * 8, r"distortion must be 5 numbers \(k1, k2, p1, p2, k3\)"),
        ("depth.distortion", [0, 0, 0, "x", 0], r"depth\.distortion\[3\] must be a number"),
        ("translation", [1, 2], "translation must be 3 numbers; found 2 of them"),
        ("rotation", [0.1, 0.2, 0.3], r"rotation\[0\] must be 3 numbers; found 0\.1"),
        ("rotation", 5, r"rotation must be 3 rows of 3 numbers \(cv2\.Rodrigues"),
        ("rotation", [[1, 0, 0], [0, 1, 0], [0, 0, 2]], "is not a rotation matrix: its rows"),
        ("rotation", [[1, 0, 0], [0, 1, 0], [0, 0, -1]], "is not a rotation matrix: it mirrors"),
        ("depth_unit", -1, "depth_unit must be above 0; found -1"),
    ],
)  # fmt: skip
def test_errors_name_the_key(tmp_path, path, value, message):
    file = write(tmp_path / "cameras.json", changed(path, value))
    with pytest.raises(InvalidValueError, match=message) as caught:
        read_calibration(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not JSON: Expecting value in line 1, column 1"),
        ("{'depth': 1}", "is not JSON: .* in line 1, column 2"),
        ("[]", r"the file must be an object with the keys depth, photo.*; found \[\]"),
        ('{"depth": 1, "depth": 2}', "the key 'depth' is there twice"),
        ("[" * 100_000, "is nested too deeply"),
        ('{"a": ' + "1" * 10_000 + "}", "is not JSON: Exceeds the limit"),
        (" " * 1_000_001, "is too large to be a calibration"),
    ],
)
def test_files_that_are_none(tmp_path, content, message):
    with pytest.raises(InvalidValueError, match=message):
        read_calibration(write(tmp_path / "cameras.json", content))
    with pytest.raises(InvalidValueError, match="no such file"):
        read_calibration(tmp_path / "none.json")
    (tmp_path / "a.json").write_bytes(b"\xff\xfe{\0")
    with pytest.raises(InvalidValueError, match="not text in UTF-8"):
        read_calibration(tmp_path / "a.json")
    with pytest.raises(InvalidValueError, match="is a folder; want a calibration file"):
        read_calibration(tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
PLACES = ["depth", "photo", "depth.width", "photo.fx", "photo.cy", "depth.distortion", "rotation",
          "translation", "depth_unit"]  # fmt: skip


@given(st.sampled_from(PLACES), JSON)
def test_any_value_is_read_or_refused(tmp_path_factory, place, value):
    file = tmp_path_factory.mktemp("json") / "cameras.json"
    write(file, changed(place, copy.deepcopy(value)))
    with contextlib.suppress(InvalidValueError):
        read_calibration(file)
