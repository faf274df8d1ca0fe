from __future__ import annotations

import base64
import errno
import io
import os
import re
from html.parser import HTMLParser

import numpy as np
import PIL.Image
import pytest

from mcsc.figures.report import Report, SceneReport, write_report
from mcsc.quality.measures import MEASURES, Measure

VOID = {"meta", "img", "input", "br", "hr", "link"}


class Page(HTMLParser):
    """Elements with their attributes and text; fails where tags do not match."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open = []
        self.elements = []
        self.texts = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs), tag
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert tag not in VOID
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and data.strip():
            self.texts.setdefault(self.open[-1], []).append(data.strip())

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def image(seed=0, channels=1, shape=(20, 30)):
    return np.random.default_rng(seed).random((channels, *shape)).astype(np.float32)


def make_scene(name="art", **changes):
    given = {
        "name": name,
        "inputs": [("depth, bicubic", image(0)), ("photograph", image(1, 3))],
        "before": ("bicubic", image(0)),
        "after": ("restored", image(2)),
        "truth": ("truth", image(3)),
        "split": [("common", image(4) - 0.5), ("unique of x", image(5) - 0.5)],
        "numbers": {"bicubic": {"RMSE": 4.5, "SSIM": 0.9}, "mcsc": {"RMSE": 2.25, "SSIM": 0.8}},
    }
    return SceneReport(**given | changes)


def make_report(*scenes, **changes):
    given = {
        "title": "Depth, four times finer",
        "scenes": scenes or (make_scene(),),
        "text": "First paragraph.\n\nSecond\nparagraph.",
        "measures": (MEASURES["RMSE"], MEASURES["SSIM"]),
        "settings": {"lam": 0.02, "tol": 1e-3, "gap reached": 1e-4, "masks": None},
    }
    return Report(**given | changes)


def write(tmp_path, report):
    write_report(tmp_path / "report.html", report)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    return text, Page(text)


def picture(page, alt):
    """The pixels of an image."""
    found = [a for a in page.all("img") if a["alt"] == alt]
    assert len(found) == 1, alt
    head, data = found[0]["src"].split(",", 1)
    assert head == "data:image/png;base64"
    with PIL.Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as opened:
        pixels = np.asarray(opened)
    assert (int(found[0]["height"]), int(found[0]["width"])) == pixels.shape[:2]
    return pixels


def test_page_is_whole_and_loads_nothing(tmp_path):
    text, page = write(tmp_path, make_report(make_scene("a"), make_scene("b")))
    assert text.startswith("<!DOCTYPE html>")
    assert page.all("html") == [{"lang": "en"}]
    assert {"charset": "utf-8"} in page.all("meta")
    assert any(m.get("name") == "viewport" for m in page.all("meta"))
    assert not re.search(r"(https?:)?//[a-z]", re.sub(r'"data:[^"]*"', "", text))
    assert not re.search(r"url\(|@import|\bimport\b|fetch\(", text)
    assert not page.all("link")
    assert not any("src" in script for script in page.all("script"))
    policy = [m["content"] for m in page.all("meta") if "http-equiv" in m]
    assert policy[0].startswith("default-src 'none'; img-src data:")
    for attributes in page.all("img"):
        assert attributes["src"].startswith("data:image/png;base64,")
    # Anchors lead to places that exist, and no id is there twice.
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    links = [a["href"] for a in page.all("a")]
    assert links == ["#scene-1", "#scene-2"]
    named = [a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a]
    assert {link[1:] for link in links} | set(named) <= set(ids)


def test_images_are_those_given(tmp_path):
    _, page = write(tmp_path, make_report())
    given = make_scene()
    for label, array in given.inputs:
        wanted = np.rint(255 * array)
        wanted = wanted[0] if len(wanted) == 1 else wanted.transpose(1, 2, 0)
        np.testing.assert_array_equal(picture(page, f"art: {label}"), wanted)
    np.testing.assert_array_equal(picture(page, "art: truth"), np.rint(255 * given.truth[1][0]))
    np.testing.assert_array_equal(picture(page, "art: restored"), np.rint(255 * given.after[1][0]))


def test_layers_are_pictures_among_the_parts(tmp_path):
    _, page = write(tmp_path, make_report(make_scene(layers=[("base", image(7))])))
    np.testing.assert_array_equal(picture(page, "art: base"), np.rint(255 * image(7)[0]))
    assert page.texts["h3"] == ["Inputs and truth", "What it is made of", "Magnitude of the error"]
    _, page = write(tmp_path, make_report(make_scene(layers=[("base", image(7))], split=())))
    assert "What it is made of" in page.texts["h3"]


def test_grey_images_without_a_channel_axis_and_values_beyond_the_range(tmp_path):
    plane = np.linspace(-0.5, 1.5, 600).reshape(20, 30)
    _, page = write(tmp_path, make_report(make_scene(after=("restored", plane))))
    drawn = picture(page, "art: restored")
    np.testing.assert_array_equal(drawn, np.rint(255 * np.clip(plane, 0, 1)))


def test_errors_share_one_scale_and_tell_their_rms(tmp_path):
    truth = np.full((1, 20, 30), 0.5, np.float32)
    scene = make_scene(
        truth=("truth", truth),
        before=("bicubic", truth + np.float32(0.2)),
        after=("restored", truth - np.float32(0.05)),
    )
    _, page = write(tmp_path, make_report(scene))
    assert "bicubic: RMS 51.00 of 255" in page.texts["figcaption"]
    assert "restored: RMS 12.75 of 255" in page.texts["figcaption"]
    before = picture(page, "art: error of bicubic: RMS 51.00 of 255")
    after = picture(page, "art: error of restored: RMS 12.75 of 255")
    # Larger is darker on this scale: white is no error.
    assert before[0, 0].astype(int).sum() < after[0, 0].astype(int).sum() < 3 * 252
    bars = [a["aria-label"] for _, a in page.elements if a.get("role") == "img"]
    assert "Colours of the error, from 0 to 51" in bars


def test_unknown_pixels_count_in_no_error_and_are_coloured(tmp_path):
    truth = np.full((1, 20, 30), 0.5, np.float32)
    known = np.ones((20, 30), bool)
    known[:5] = False
    wrong = np.where(known, truth + np.float32(0.2), 0).astype(np.float32)
    scene = make_scene(truth=("truth", truth), before=("bicubic", wrong), known=known)
    text, page = write(tmp_path, make_report(scene))
    drawn = picture(page, "art: error of bicubic: RMS 51.00 of 255")
    assert tuple(drawn[0, 0]) == (0x2A, 0x9D, 0x8F)
    assert tuple(drawn[5, 0]) != (0x2A, 0x9D, 0x8F)
    assert "unknown, in no error: 25 % of the pixels" in page.texts["p"]
    assert "--unknown: #2a9d8f" in text


def test_inputs_of_one_name_are_all_shown(tmp_path):
    scene = make_scene(inputs=[("photo", image(1)), ("photo", image(6))])
    _, page = write(tmp_path, make_report(scene))
    assert page.texts["figcaption"].count("photo") == 2
    assert len({a["src"] for a in page.all("img") if a["alt"] == "art: photo"}) == 2


def test_split_is_signed_around_white(tmp_path):
    plane = np.zeros((1, 20, 30), np.float32)
    plane[0, 0, 0], plane[0, 0, 1] = 0.3, -0.3
    _, page = write(tmp_path, make_report(make_scene(split=[("common", plane)])))
    drawn = picture(page, "art: common").astype(int)
    red, blue, zero = drawn[0, 0], drawn[0, 1], drawn[5, 5]
    assert red[0] > red[2] + 50
    assert blue[2] > blue[0] + 50
    assert zero.min() > 240


def test_without_truth_split_numbers_and_settings(tmp_path):
    scene = make_scene(truth=None, split=(), numbers={})
    _, page = write(tmp_path, make_report(scene, text="", settings={}, measures=()))
    assert page.texts["h3"] == ["Inputs"]
    assert page.texts["h2"] == ["art"]
    assert not page.all("table")
    assert len(page.all("img")) == 4


def test_means_over_scenes_and_the_best_marked(tmp_path):
    other = make_scene(
        "books",
        numbers={"bicubic": {"RMSE": 1.5, "SSIM": 0.9}, "mcsc": {"RMSE": 0.75, "SSIM": 0.7}},
    )
    text, page = write(tmp_path, make_report(make_scene(), other))
    assert page.texts["caption"] == [
        "Mean over 2 scenes",
        "Measures of art",
        "Measures of books",
    ]
    assert page.texts["th"][:3] == ["method", "RMSE ↓", "SSIM ↑"]
    assert page.texts["td"][:4] == ["3.000", "0.9000", "1.500", "0.7500"]
    best = re.findall(r'<td class="best">([\d.]+)', text)
    assert best[:2] == ["0.9000", "1.500"]


def test_a_measure_that_a_scene_lacks_has_no_mean(tmp_path):
    other = make_scene("books", numbers={"bicubic": {"RMSE": 1.5}})
    _, page = write(tmp_path, make_report(make_scene(), other))
    assert page.texts["th"][:3] == ["method", "RMSE ↓", "bicubic"]
    assert page.texts["td"][0] == "3.000"


def test_numbers_that_are_not_finite_are_not_the_best(tmp_path):
    values = {"a": float("nan"), "b": 30.0, "c": 20.0, "e": float("inf")}
    rows = {name: {"PSNR": value} for name, value in values.items()}
    scene = make_scene(numbers=rows | {"d": {}})
    text, page = write(tmp_path, make_report(scene, measures=[MEASURES["PSNR"]]))
    assert page.texts["td"] == ["–", "30.00", "20.00", "∞", "–"]
    assert re.findall(r'<td class="best">(\d+)', text) == ["30"]


def test_everything_given_is_escaped(tmp_path):
    evil = "<script>alert('x')</script>\"&"
    scene = make_scene(
        evil,
        inputs=[(evil, image())],
        before=(evil, image()),
        after=(evil, image(1)),
        truth=(evil, image(2)),
        split=[(evil, image())],
        numbers={evil: {evil: 1.0}},
    )
    text, page = write(
        tmp_path,
        make_report(
            scene,
            make_scene(evil),
            title=evil,
            text=evil,
            settings={evil: evil},
            measures=[Measure(evil, "restoration", min)],
        ),
    )
    assert "<script>alert" not in text
    assert len(page.all("script")) == 1
    assert page.texts["title"] == page.texts["h1"] == [evil]
    assert page.texts["dt"] == page.texts["dd"] == [evil]
    assert page.texts["p"] == [evil]
    assert evil in page.texts["a"]


def test_slider_is_a_labelled_range_that_keys_can_move(tmp_path):
    text, page = write(tmp_path, make_report())
    (slider,) = page.all("input")
    assert slider["type"] == "range"
    assert (slider["min"], slider["max"], slider["value"]) == ("0", "100", "50")
    assert slider["aria-label"] == "Share of art that shows bicubic instead of restored"
    assert "--place" in text
    assert "prefers-color-scheme: dark" in text
    assert all(a.get("alt") is not None for a in page.all("img"))


def test_text_and_settings(tmp_path):
    _, page = write(tmp_path, make_report())
    assert page.texts["dt"] == ["lam", "tol", "gap reached", "masks"]
    assert page.texts["dd"] == ["0.02", "0.001", "0.0001", "–"]
    assert page.texts["p"] == ["First paragraph.", "Second paragraph."]


def test_a_failed_page_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_bytes(b"old")
    scene = make_scene(after=("restored", np.full((1, 20, 30), np.nan)))
    with pytest.raises(ValueError, match="after holds NaN"):
        write_report(path, make_report(scene))

    def full(descriptor):
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        write_report(path, make_report())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_names_that_are_no_text(tmp_path):
    text, _ = write(tmp_path, make_report(make_scene(os.fsdecode(b"caf\xe9"))))
    assert "caf\ufffd" in text


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"after": ("a", image(shape=(9, 9)))}, ValueError, "before has shape .* one height"),
        ({"truth": ("t", image(shape=(9, 9)))}, ValueError, "truth has shape .* one height"),
        ({"truth": ("t", image(0, 3))}, ValueError, "1 channels and the truth 3"),
        ({"inputs": [("b", image(0, 4))]}, ValueError, r"inputs 'b' has shape .* 1 or 3"),
        ({"before": ("b", np.zeros((20, 30), np.uint8))}, TypeError, "before must be .* uint8"),
        ({"split": [("c", np.zeros(3))]}, ValueError, r"split 'c' has shape"),
        ({"known": np.ones((9, 9), bool)}, ValueError, "known has shape .* one height"),
    ],
)
def test_refused_scenes(tmp_path, changes, error, message):
    with pytest.raises(error, match=f"scene 'art': .*{message}"):
        write_report(tmp_path / "a.html", make_report(make_scene(**changes)))
    assert list(tmp_path.iterdir()) == []


def test_refused_reports(tmp_path):
    with pytest.raises(TypeError, match="report must be a Report"):
        write_report(tmp_path / "a.html", make_scene())
    with pytest.raises(ValueError, match="scenes is empty"):
        write_report(tmp_path / "a.html", Report("empty", ()))
    with pytest.raises(FileNotFoundError, match="no folder"):
        write_report(tmp_path / "none" / "a.html", make_report())
