"""The inference benchmark measures the network that it is given; no time is looked at."""

from __future__ import annotations

import pytest

from tests.unfolded.nets import make_images, make_net, official_state, torch


@pytest.mark.slow
def test_weights_from_a_file(tmp_path):
    pytest.importorskip("sporco")
    from benchmarks.networks import cunet_inference

    torch.save(official_state(), tmp_path / "w.pth")
    data = cunet_inference.main(["--quick", "--threads", "1", "--weights", str(tmp_path / "w.pth")])
    (row,) = data["rows"]
    assert row["network"] == "w.pth"
    assert row["difference"] < 1e-4


def test_published_form_is_the_network():
    from benchmarks.networks.cunet_inference import as_published

    net = make_net(channels=(1, 3), task="fusion", negative=True)
    x, y = make_images(net)
    torch.testing.assert_close(as_published(net, x, y), net(x, y))
