"""CU-Net as a method of the tables."""

from __future__ import annotations

import numpy as np
import pytest

from mcsc.quality.full_reference import rmse
from mcsc.tasks.folders import find_scenes
from mcsc.tasks.methods import method_names, resolve_method
from mcsc.tasks.task import get_task
from tests.helpers import make_dictionary
from tests.paths import SHARED
from tests.unfolded.nets import torch, unfolded


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "net.safetensors"
    unfolded.CUNet.from_dictionary(make_dictionary(0, size=4), 0.1, blocks=1).save(path)
    return path


def test_bands_one_by_one_with_the_luma_of_the_guide(weights):
    from mcsc.images.colour import luma_studio

    assert "cunet" in method_names(get_task("depth-sr"))
    method = resolve_method("cunet", get_task("multispectral-sr"), weights)
    rng = np.random.default_rng(0)
    x, y = rng.random((4, 20, 18)), rng.random((3, 20, 18))
    found = method(x, y)
    net = unfolded.load(weights)
    with torch.no_grad():
        wanted = net(torch.from_numpy(x[2:3])[None], torch.from_numpy(luma_studio(y))[None])
    np.testing.assert_allclose(found[2], wanted[0, 0].numpy(), atol=1e-12)
    with pytest.raises(ValueError, match="codes 1 channel of the guide, which has 2"):
        method(x, y[:2])


def test_other_kind_and_missing_weights_are_refused(weights):
    with pytest.raises(ValueError, match="a network for restoration, multi-focus is a fusion"):
        resolve_method("cunet", get_task("multi-focus"), weights)


@pytest.mark.slow
@pytest.mark.skipif(
    not (SHARED / "official_weights").is_dir(), reason="no folder of the authors' weights"
)
def test_authors_weights_give_the_known_error():
    task = get_task("depth-sr")
    method = resolve_method("cunet", task, SHARED / "official_weights" / "depth_ks9.pth")
    (scene,) = find_scenes(SHARED / "data" / "depth_sr", task, ["ambush"])
    z, y = scene.read()
    found = rmse(np.clip(method(task.degrade(z), y), 0, 1), z)
    assert found == pytest.approx(2.59, abs=0.02)
