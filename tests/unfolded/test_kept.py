"""What is kept with weights and dictionaries may be written by anyone: it is refused by file."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcsc import Dictionary
from mcsc.tasks import fuse, get_task, restore
from mcsc.tasks.shipped import shipped_dictionary
from tests.unfolded.methods import images, trained

WRONG = [
    ("task", 3, "a word"),
    ("strength", "5", "a finite number > 0"),
    ("strength", [5], "a finite number > 0"),
    ("strength", -1, "a finite number > 0"),
    ("strength", 0, "a finite number > 0"),
    ("strength", True, "a finite number > 0"),
    ("base", "magic", "must be"),
    ("base", 1, "must be"),
    ("base", ["low"], "must be"),
    ("smoothing", 3, "two numbers"),
    ("smoothing", "34", "two numbers"),
    ("smoothing", [3], "two numbers"),
    ("smoothing", [3, None], "a finite number > 0"),
    ("sigma", "loud", "a finite number > 0"),
    ("sigma", 0, "a finite number > 0"),
    ("rule", 1, "a word"),
]


def network(tmp_path, name, /, **metadata):
    net = trained(get_task(name))
    net.metadata = {"task": name, "base": "none", **metadata}
    net.save(tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


@pytest.mark.parametrize(("name", "value", "wanted"), WRONG)
def test_weights_with_unusable_metadata(tmp_path, name, value, wanted):
    file = network(tmp_path, "depth-sr", **{name: value})
    x, y = images()
    with pytest.raises(ValueError, match=rf"net\.safetensors: {name} in its metadata .*{wanted}"):
        restore(x[:1, ::4, ::4], y, "depth-sr", method="cunet", weights_file=file)


@pytest.mark.parametrize("levels", [[10], 10, [90, 10], ["a", "b"], [-1, 10], [0, 0], "ab"])
def test_weights_with_unusable_levels_of_noise(tmp_path, levels):
    file = network(tmp_path, "flash-denoise", noise_levels=levels)
    x, y = images()
    with pytest.raises(ValueError, match=r"net\.safetensors: noise_levels in its metadata"):
        restore(x, y, "flash-denoise", method="cunet", weights_file=file)


@pytest.mark.parametrize(
    ("task", "base"), [("depth-sr", "mean"), ("multi-focus", "input"), ("multi-focus", "guided")]
)
def test_a_base_of_the_other_kind_names_the_file(tmp_path, task, base):
    file = network(tmp_path, task, base=base)
    x, y = (image[:1] for image in images())
    run, images_of = (restore, (x[:, ::4, ::4], y)) if task == "depth-sr" else (fuse, ((x, y),))
    with pytest.raises(ValueError, match=r"net\.safetensors: base in its metadata must be"):
        run(*images_of, task, method="cunet", weights_file=file)


@pytest.mark.parametrize("name", ["task", "strength", "smoothing", "sigma", "noise_levels"])
def test_none_says_nothing(tmp_path, name):
    x, y = images()
    given = (x[:1, ::4, ::4], y, "depth-sr")
    said = network(tmp_path, "depth-sr", **{name: None})
    found = restore(*given, method="cunet", weights_file=said).image
    wanted = restore(*given, method="cunet", weights_file=network(tmp_path, "depth-sr")).image
    assert (found == wanted).all()


def test_a_kind_of_network_is_refused_before_its_metadata(tmp_path):
    file = network(tmp_path, "multi-focus")
    x, y = images()
    with pytest.raises(ValueError, match=r"net\.safetensors: a network for fusion"):
        restore(x[:1, ::4, ::4], y, "depth-sr", method="cunet", weights_file=file)


@pytest.mark.parametrize(("name", "value", "wanted"), WRONG)
def test_dictionaries_with_unusable_metadata(tmp_path, name, value, wanted):
    given = shipped_dictionary("depth-sr")
    file = tmp_path / "given.npz"
    replace(given, metadata={**given.metadata, name: value}).save(file)
    x, y = images()
    with pytest.raises(ValueError, match=rf"given\.npz: {name} in its metadata .*{wanted}"):
        restore(x[:1, ::4, ::4], y, "depth-sr", dictionary=file)


@pytest.mark.parametrize(("name", "value"), [("lam", "a"), ("lam", [1, 2, 3, 4]), ("mu", -1),
                                         ("mu", "a"), ("nonnegative", 2)])  # fmt: skip
def test_dictionaries_with_unusable_terms(tmp_path, monkeypatch, name, value):
    given = shipped_dictionary("depth-sr")
    given = replace(given, metadata={**given.metadata, name: value})
    file = tmp_path / "given.npz"
    with pytest.raises((TypeError, ValueError), match=f"^metadata: {name} "):
        given.save(file)
    assert not file.exists()
    with monkeypatch.context() as patched:
        patched.setattr(Dictionary, "_check_metadata", lambda _: None)
        given.save(file)
    x, y = images()
    with pytest.raises(ValueError, match=rf"given\.npz holds no usable dictionary: .*: {name}"):
        restore(x[:1, ::4, ::4], y, "depth-sr", dictionary=file)


def test_a_dictionary_of_another_kind_fuses_whatever_its_base(tmp_path):
    """A fusion by a dictionary adds to no base of it."""
    given = shipped_dictionary("multi-focus")
    file = tmp_path / "given.npz"
    x, y = (image[:1] for image in images())
    replace(given, metadata={**given.metadata, "base": "input"}).save(file)
    found = fuse((x, y), "multi-focus", dictionary=file, tol=0.1).image
    wanted = fuse((x, y), "multi-focus", tol=0.1).image
    assert (found == wanted).all()
