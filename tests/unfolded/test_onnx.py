"""ONNX models give the network's images, at sizes other than the exported one."""

from __future__ import annotations

import builtins
import json

import numpy as np
import pytest

from tests.unfolded.nets import make_images, make_net, torch


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 4, "channels": (1, 3)},
        {"kernel_size": 3, "task": "fusion", "channels": (3, 3), "out_channels": 3},
    ],
)
def test_onnxruntime_agrees(options, tmp_path):
    pytest.importorskip("onnxscript")
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    net = make_net(dtype=torch.float32, **options).train()
    net.export(tmp_path / "net")
    assert net.training
    model = onnx.load(tmp_path / "net.onnx")
    onnx.checker.check_model(model)
    (found,) = [p.value for p in model.metadata_props if p.key == "configuration"]
    assert json.loads(found) == json.loads(json.dumps(net.configuration.as_dict()))
    session = runtime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    for samples, shape in ((1, (16, 21)), (2, (33, 8)), (3, (5, 5))):
        x, y = make_images(net, shape, samples=samples)
        found = dict(
            zip(
                [o.name for o in session.get_outputs()],
                session.run(None, {"x": x.numpy(), "y": y.numpy()}),
                strict=True,
            )
        )
        split = net.split(x, y)
        wanted = {"z": split.image, "common": split.common, "unique_x": split.unique[0]}
        if split.unique[1] is not None:
            wanted["unique_y"] = split.unique[1]
        assert found.keys() == wanted.keys()
        for name, part in wanted.items():
            np.testing.assert_allclose(found[name], part.detach().numpy(), rtol=0, atol=1e-5)


def test_missing_packages_are_named(tmp_path, monkeypatch):
    plain = builtins.__import__

    def absent(name, *arguments, **keywords):
        if name == "onnx":
            raise ModuleNotFoundError("No module named 'onnx'", name="onnx")
        return plain(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ModuleNotFoundError, match=r"exporting needs onnx: pip install 'mcsc\[exp"):
        make_net().export(tmp_path / "net")
    assert not list(tmp_path.iterdir())
