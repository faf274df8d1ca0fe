"""Own weight files: round trips and refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mcsc.tasks import get_task
from tests.unfolded.nets import make_images, make_net, torch, unfolded
from unfolded.network.layers import Synthesis
from unfolded.network.weight_file import KIND
from unfolded.starts import weights
from unfolded.starts.opening import open_weights
from unfolded.starts.task_start import start


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


@pytest.mark.parametrize(
    ("claim", "says"),
    [
        ({"blocks": 10**9}, "tensors are too few for blocks=1000000000"),
        ({"sweeps": 10**30}, "tensors are too few for blocks=2, sweeps=1000"),
        ({"sweeps": 10**9, "tied": True}, "tensors are too few"),
        ({"kernel_size": 10**10}, "more numbers than any memory holds"),
        ({"filters": 10**30}, "more numbers than any memory holds"),
        ({"channels": [1, 10**30]}, "more numbers than any memory holds"),
        ({"out_channels": 10**30}, "more numbers than any memory holds"),
    ],
)
def test_what_a_damaged_file_claims_costs_nothing_to_refuse(claim, says, tmp_path):
    net = make_net()
    found = metadata(net, configuration=json.dumps(net.configuration.as_dict() | claim))
    path = write(tmp_path / "n.safetensors", state(net), found)
    with pytest.raises(ValueError, match=f"n.safetensors .*{says}"):
        unfolded.load(path)


@pytest.mark.parametrize("name", ["configuration", "metadata"])
def test_json_that_is_nested_without_end(name, tmp_path):
    net = make_net()
    path = write(tmp_path / "n.safetensors", state(net), metadata(net, **{name: "[" * 200_000}))
    with pytest.raises(ValueError, match="holds no usable configuration"):
        unfolded.load(path)


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e8m0fnu", "int64", "complex64"])
def test_numbers_that_compute_nothing(dtype, tmp_path):
    net = make_net()
    kind = getattr(torch, dtype)
    weights_of_kind = {k: v.abs().float().to(kind) for k, v in state(net).items()}
    path = write(tmp_path / "n.safetensors", weights_of_kind, metadata(net))
    with pytest.raises(ValueError, match=rf"is damaged: its weights have dtypes .*{dtype}"):
        unfolded.load(path)


def test_arguments_of_other_types(tmp_path):
    net = make_net()
    net.save(tmp_path / "net")
    with pytest.raises(TypeError, match="configuration must be a Configuration, found dict"):
        unfolded.load(tmp_path / "net", net.configuration.as_dict())
    with pytest.raises(TypeError, match="configuration must be a Configuration, found dict"):
        unfolded.CUNet.from_state(net.configuration.as_dict(), state(net))
    with pytest.raises(TypeError, match=r"state must be a mapping .*; found list"):
        unfolded.CUNet.from_state(net.configuration, list(state(net).items()))
    for change, error, says in (
        (lambda v: v.numpy(), TypeError, "must be a torch tensor, found ndarray"),
        (lambda v: v.to("meta"), ValueError, "must hold all its numbers, found .* on meta"),
        (lambda v: v.to_sparse(), ValueError, "must hold all its numbers, found torch.sparse_coo"),
    ):
        with pytest.raises(error, match=says):
            unfolded.CUNet.from_state(
                net.configuration, {k: change(v) for k, v in state(net).items()}
            )


def parametrised(net):
    torch.nn.utils.parametrizations.weight_norm(net.common.first)


def pruned(net):
    import torch.nn.utils.prune as prune  # nothing else may have loaded it

    prune.l1_unstructured(net.common.first, "weight", 0.5)


def replaced(net):
    net.target_common = Synthesis(5, 1, 5).double()


def half(net):
    net.common.half()


@pytest.mark.parametrize("change", [parametrised, pruned, replaced, half])
def test_what_load_would_refuse_is_not_saved(change, tmp_path):
    net = make_net()
    change(net)
    with pytest.raises(ValueError, match="the network is not as CUNet makes it: its weights"):
        net.save(tmp_path / "net")
    # Nor is it widened, which would leave out what it does not know.
    with pytest.raises(ValueError, match="the network is not as CUNet makes it: its weights"):
        unfolded.widened(net, thresholds="map")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("given", [None, [1], "depth"])
def test_metadata_that_are_no_dict_are_not_saved(given, tmp_path):
    net = make_net()
    net.metadata = given
    with pytest.raises(TypeError, match="metadata must be a dict, found"):
        net.save(tmp_path / "net")


@pytest.mark.parametrize("name", ["net.safetensors", "NET.SAFETENSORS", "net.Safetensors"])
def test_the_ending_of_a_name_may_be_in_capitals(tmp_path, name):
    net = make_net()
    net.save(tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    found = open_weights(tmp_path / name)
    assert found.configuration == net.configuration
    begin = start(get_task("depth-sr"), tmp_path / name)
    assert begin.net.configuration == net.configuration


def inference(found):
    with torch.inference_mode():
        return {k: v + 0 for k, v in found.items()}


def shared(found):
    return found | {"unique.1.first.weight": found["unique.0.first.weight"]}


def repeated(found):
    return found | {"common.first.weight": found["common.first.weight"][:1].expand(5, -1, -1, -1)}


@pytest.mark.parametrize("change", [inference, shared, repeated])
def test_weights_that_share_memory_become_the_networks_own(change, tmp_path):
    like = make_net(dtype=torch.float32)
    given = change(state(like))
    net = unfolded.CUNet.from_state(like.configuration, given).train()
    with torch.no_grad():
        for number, weight in enumerate(net.parameters()):
            weight.fill_(number)  # of no other weight
    assert [float(p.detach().mean()) for p in net.parameters()] == list(range(len(given)))
    net(*make_images(net)).sum().backward()
    # A caller may also have made them share it.
    net.unique[1].first.weight = net.unique[0].first.weight
    net.save(tmp_path / "net")
    made = unfolded.load(tmp_path / "net")
    assert torch.equal(made.unique[1].first.weight, net.unique[0].first.weight)


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
