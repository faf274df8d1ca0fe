"""The inference benchmark runs on a tiny problem; no time is looked at."""

from __future__ import annotations

import json

import pytest

from tests.unfolded.nets import make_images, make_net, official_state, torch


@pytest.mark.slow
def test_quick(tmp_path, capsys):
    pytest.importorskip("sporco")
    from benchmarks import cunet_inference

    data = cunet_inference.main(["--quick", "--threads", "1", "--out", str(tmp_path)])
    (path,) = tmp_path.glob("*/cunet_inference.json")
    record = json.loads(path.read_text())
    assert cunet_inference.summary(record["data"]) in capsys.readouterr().out
    assert [row["network"] for row in data["rows"]] == ["1 channel", "3 channels"]
    assert all(row["difference"] < 1e-4 for row in data["rows"])
    torch.save(official_state(), tmp_path / "w.pth")
    data = cunet_inference.main(["--quick", "--weights", str(tmp_path / "w.pth")])
    assert data["rows"][0]["network"] == "w.pth"


def test_published_form_is_the_network():
    from benchmarks.cunet_inference import as_published

    net = make_net(channels=(1, 3), task="fusion", negative=True)
    x, y = make_images(net)
    torch.testing.assert_close(as_published(net, x, y), net(x, y))
