"""ONNX models give the network's images, at sizes other than the exported one."""

from __future__ import annotations

import builtins
import contextlib
import json
import logging
import warnings
from unittest.mock import MagicMock

import numpy as np
import pytest

from tests.unfolded.nets import make_images, make_net, noise_of, torch
from unfolded import export_onnx


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 4, "task": "fusion", "channels": (1, 3), "out_channels": 3, "tied": True},
        {"kernel_size": 3, "channels": (3, 1)},
        {"sweeps": 2, "thresholds": "map", "noise_aware": True, "blocks": 1},
    ],
    ids=["fusion", "restoration", "noise"],
)
def test_onnxruntime_agrees(options, tmp_path):
    pytest.importorskip("onnxscript")
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    net = make_net(dtype=torch.float32, **options).train()
    export_onnx(net, tmp_path / "net")
    assert net.training
    model = onnx.load(tmp_path / "net.onnx")
    onnx.checker.check_model(model)
    (found,) = [p.value for p in model.metadata_props if p.key == "configuration"]
    assert json.loads(found) == json.loads(json.dumps(net.configuration.as_dict()))
    session = runtime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    for samples, shape in ((1, (16, 21)), (2, (33, 8)), (3, (5, 5))):
        x, y = make_images(net, shape, samples=samples)
        sigma = noise_of(net, x)
        noise = {} if sigma is None else {"sigma": sigma.numpy()}
        found = dict(
            zip(
                [o.name for o in session.get_outputs()],
                session.run(None, {"x": x.numpy(), "y": y.numpy(), **noise}),
                strict=True,
            )
        )
        split = net.split(x, y, sigma)
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
        export_onnx(make_net(), tmp_path / "net")
    assert not list(tmp_path.iterdir())


def modes(net):
    return [module.training for module in net.modules()]


@pytest.mark.parametrize("fails", [True, False], ids=["failed", "done"])
def test_all_is_left_as_it_was(fails, tmp_path, monkeypatch):
    """Mode of every module, logger and warnings, also when the exporter fails."""
    pytest.importorskip("onnxscript")
    net = make_net(dtype=torch.float32).train()
    net.common.eval()
    before = modes(net)
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    monkeypatch.setattr(log, "level", logging.INFO)
    filters = list(warnings.filters)
    seen = []

    def export(module, *_, **__):
        seen.append(modes(module.net))
        if fails:
            raise RuntimeError("no such operator")
        program = MagicMock()
        program.model_proto.SerializeToString.return_value = b"a model"
        return program

    monkeypatch.setattr(torch.onnx, "export", export)
    with pytest.raises(RuntimeError) if fails else contextlib.nullcontext():
        export_onnx(net, tmp_path / "NET.ONNX")
    assert not any(seen[0])
    assert modes(net) == before
    assert log.level == logging.INFO
    assert warnings.filters == filters
    assert [p.name for p in tmp_path.iterdir()] == ([] if fails else ["NET.ONNX"])


def test_other_things_are_refused(tmp_path):
    with pytest.raises(TypeError, match="net must be a CUNet, found Linear"):
        export_onnx(torch.nn.Linear(2, 2), tmp_path / "net")


def test_bfloat16_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"bfloat16.*call net\.float\(\) first"):
        export_onnx(make_net(dtype=torch.bfloat16), tmp_path / "net")


def test_a_place_that_cannot_be_written_to_is_refused_before_any_work(tmp_path, monkeypatch):
    pytest.importorskip("onnxscript")
    monkeypatch.setattr(torch.onnx, "export", None)
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "file").write_bytes(b"")
    net = make_net(dtype=torch.float32)
    for name, error in (
        ("missing/net.onnx", FileNotFoundError),
        ("missing/net", FileNotFoundError),
        ("folder.onnx", IsADirectoryError),
        ("file/net.onnx", OSError),
    ):
        with pytest.raises(error):
            export_onnx(net, tmp_path / name)
