"""Own weight files: round trips and refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.unfolded.nets import make_images, make_net, torch, unfolded
from unfolded.network.weight_file import KIND
from unfolded.starts import weights


def write(path, state, metadata):
    from safetensors.torch import save_file

    save_file(state, path, metadata)
    return path


def metadata(net, **changes):
    return {
        "kind": KIND,
        "format": "1",
        "written_by": "0",
        "configuration": json.dumps(net.configuration.as_dict()),
    } | changes


def state(net):
    return {k: v.detach().clone() for k, v in net.state_dict().items()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"task": "fusion", "channels": (3, 3), "out_channels": 3, "kernel_size": 4},
        {"tied": True, "residual": False, "filters": (2, 3, 4), "blocks": 1},
        {"blocks": 0},
    ],
)
def test_round_trip(options, dtype, tmp_path):
    net = make_net(dtype=dtype, **options).train()
    net.save(tmp_path / "net.safetensors")
    again = unfolded.load(tmp_path / "net.safetensors", net.configuration)
    assert again.configuration == net.configuration
    assert not again.training
    for (name, a), (other, b) in zip(net.named_parameters(), again.named_parameters(), strict=True):
        assert name == other
        assert b.requires_grad
        assert a.dtype == b.dtype
        assert torch.equal(a, b)
    x, y = make_images(net)
    assert torch.equal(net.eval()(x, y), again(x, y))
    assert [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]


def test_metadata_travel_with_the_weights(tmp_path):
    net = make_net()
    net.metadata = {"task": "depth-sr", "lam": [0.1, 0.2], "sigma": None}
    net.save(tmp_path / "net.safetensors")
    before = torch.get_rng_state()
    assert unfolded.load(tmp_path / "net.safetensors").metadata == net.metadata
    assert torch.equal(torch.get_rng_state(), before)  # loading draws nothing


@pytest.mark.parametrize("value", [float("inf"), {1, 2}, np.float32(0.5)], ids=repr)
def test_metadata_that_json_cannot_hold_are_refused(value, tmp_path):
    net = make_net()
    net.metadata = {"lam": value}
    with pytest.raises(TypeError, match="metadata must hold only what JSON can"):
        net.save(tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())


def test_suffix_is_appended(tmp_path):
    make_net().save(tmp_path / "v1.2")
    assert (tmp_path / "v1.2.safetensors").is_file()


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    net = make_net()
    path = tmp_path / "net.safetensors"
    net.save(path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        make_net(1).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError, match="no folder"):
        net.save(tmp_path / "none" / "net")


# -------------------------------------------------------------------------- refusals
def test_damaged_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="no weight file at"):
        unfolded.load(tmp_path / "none.safetensors")
    path = tmp_path / "net.safetensors"
    make_net().save(path)
    data = path.read_bytes()
    for damaged in (b"", b"\x89PNG" * 30, data[:7], data[:300], data[:-1], data + b"0"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="not a weight file written by unfolded, or it is da"):
            unfolded.load(path)


def test_foreign_files(tmp_path):
    net = make_net()
    path = tmp_path / "net.safetensors"
    for found in (None, {"format": "pt"}, metadata(net, kind="other"), metadata(net, format="x")):
        write(path, state(net), found)
        with pytest.raises(ValueError, match="not a weight file written by unfolded"):
            unfolded.load(path)


def test_newer_files(tmp_path):
    net = make_net()
    path = write(
        tmp_path / "n.safetensors", state(net), metadata(net, format="3", written_by="9.1")
    )
    with pytest.raises(ValueError, match=r"newer unfolded \(9.1, file format 3; .* up to 2\)"):
        unfolded.load(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "Expecting"),
        ("[]", r"a configuration has channels, .* found \[\]"),
        ('{"channels": [1, 1]}', r"found \['channels'\]"),
        (None, "configuration"),
        ({"task": "sorting"}, "task must be"),
        ({"blocks": 2.5}, "blocks must be a whole number"),
    ],
)
def test_unusable_configurations(text, says, tmp_path):
    net = make_net()
    if isinstance(text, dict):
        text = json.dumps(net.configuration.as_dict() | text)
    found = metadata(net, configuration=text)
    if text is None:
        del found["configuration"]
    path = write(tmp_path / "n.safetensors", state(net), found)
    with pytest.raises(ValueError, match=f"holds no usable configuration: .*{says}"):
        unfolded.load(path)


def test_weights_of_another_configuration(tmp_path):
    net = make_net(task="fusion")
    path = tmp_path / "n.safetensors"
    for other in (make_net(), make_net(task="fusion", kernel_size=4), make_net(channels=(3, 3))):
        write(path, state(other), metadata(net))
        with pytest.raises(ValueError, match="its weights do not fit its configuration, first"):
            unfolded.load(path)
        # The same, said by the caller.
        other.save(path)
        with pytest.raises(ValueError, match=r"is for another network: \w+ .* instead of"):
            unfolded.load(path, net.configuration)
    huge = json.dumps(net.configuration.as_dict() | {"filters": [10**6] * 3, "kernel_size": 10**4})
    write(path, state(net), metadata(net, configuration=huge))
    with pytest.raises(ValueError, match="do not fit"):
        unfolded.load(path)


def test_unusable_weights(tmp_path):
    net = make_net()
    path = tmp_path / "n.safetensors"
    bad = state(net)
    bad["common.first.weight"][0, 0, 0, 0] = float("inf")
    write(path, bad, metadata(net))
    with pytest.raises(ValueError, match=r"common\.first\.weight holds NaN or Inf"):
        unfolded.load(path)
    bad = state(net)
    bad["common.first.weight"] = bad["common.first.weight"].float()
    write(path, bad, metadata(net))
    with pytest.raises(ValueError, match="its weights have dtypes"):
        unfolded.load(path)


# ------------------------------------------------------------------------ pretrained
def test_pretrained(tmp_path, monkeypatch):
    net = make_net()
    monkeypatch.setattr(weights, "__package__", "unfolded")
    monkeypatch.setattr(weights.resources, "files", lambda _: tmp_path)
    with pytest.raises(ValueError, match="no pretrained weights named 'depth': there are none"):
        unfolded.pretrained("depth")
    (tmp_path / "weights_data").mkdir()
    (tmp_path / "weights_data" / "depth-sr.md").write_text("card")
    net.save(tmp_path / "weights_data" / "depth-sr")
    net.save(tmp_path / "weights_data" / "denoise-50")
    found = unfolded.pretrained("depth-sr")
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), found.parameters(), strict=True))
    with pytest.raises(ValueError, match="named 'depth': there are denoise-50, depth-sr"):
        unfolded.pretrained("depth")


def test_shipped_weights_load():
    for name in weights.shipped():
        assert not unfolded.pretrained(name).training
