"""The authors' weight files: those at hand, and files of their format made here."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from tests.unfolded.nets import OFFICIAL, official_parts, official_state, torch, unfolded

FORMS = [
    {},
    {"channels": (3, 3), "out": 3, "fusion": True},
    {"channels": (1, 3), "size": 5, "blocks": 1},
    {"channels": (31, 3), "out": 31, "filters": 4, "blocks": 3},
    {"filters": 2, "size": 1, "blocks": 12},
]


class Payload:
    """Something that would run if a file were unpickled plainly."""

    def __reduce__(self):
        return (print, ("this must not run",))


def write(path, state, *, losses=True, zipped=True):
    content = {"model": state}
    if losses:
        content["train_loss"] = [np.float64(0.5), np.float32(0.25), 0.125]
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


@pytest.mark.parametrize("name", ["depth_ks9", "denoise50", "multi_focus"])
def test_released_weights(name):
    path = OFFICIAL / f"{name}.pth"
    if not path.is_file():
        pytest.skip(f"the authors' weights are not at {OFFICIAL}")
    reference = np.load(OFFICIAL / f"{name}_reference.npz")
    net = unfolded.load_official(path)
    channels = 1 if name == "depth_ks9" else 3
    assert net.configuration.channels == (channels, channels)
    assert net.configuration.filters == (64, 64, 64)
    assert (net.configuration.kernel_size, net.configuration.blocks) == (9, 4)
    assert net.configuration.kind == ("fusion" if name == "multi_focus" else "restoration")
    x, y = (torch.from_numpy(reference[k]) for k in "xy")
    with torch.no_grad():
        fast = net.split(x, y)
    plain = net.split(x, y)  # with gradients: the layers themselves
    for split in (fast, plain):
        for part, wanted in (
            (split.image, "z"),
            (split.common, "common"),
            (split.unique[0], "unique_x"),
        ):
            np.testing.assert_allclose(part.detach().numpy(), reference[wanted], rtol=0, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("zipped", [True, False])
def test_any_network_of_the_format(form, prefix, zipped, tmp_path):
    state = official_state(**form)
    path = write(tmp_path / "w.pth", {prefix + k: v for k, v in state.items()}, zipped=zipped)
    net = unfolded.load_official(path)
    wanted = {"channels": (1, 1), "size": 3, "filters": 6, "blocks": 2, "out": 1} | form
    found = net.configuration
    assert found.channels == wanted["channels"]
    assert found.out_channels == wanted["out"]
    assert found.kernel_size == wanted["size"]
    assert found.filters == (wanted["filters"],) * 3
    assert found.blocks == wanted["blocks"]
    assert found.kind == ("fusion" if form.get("fusion") else "restoration")
    assert not net.training
    torch.manual_seed(1)
    x, y = (torch.rand(2, c, 12, 9) for c in found.channels)
    parts = official_parts(state, x, y)
    split = net.split(x, y)
    for part, other in zip((split.common, *split.unique), parts, strict=False):
        torch.testing.assert_close(part, other, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(split.image, sum(parts), rtol=1e-5, atol=1e-5)


def test_state_dictionary_alone_and_other_precisions(tmp_path):
    state = official_state()
    torch.save(state, tmp_path / "alone.pth")
    assert unfolded.load_official(tmp_path / "alone.pth").configuration.blocks == 2
    for dtype, wanted in ((torch.float64, torch.float64), (torch.float16, torch.float32)):
        path = write(tmp_path / "w.pth", {k: v.to(dtype) for k, v in state.items()})
        assert unfolded.load_official(path).target_common.weight.dtype == wanted
    scalars = {k: v.reshape(()) if "lam" in k else v for k, v in state.items()}
    assert unfolded.load_official(write(tmp_path / "s.pth", scalars)).configuration.blocks == 2


def test_it_can_be_trained_on_and_saved(tmp_path):
    net = unfolded.load_official(write(tmp_path / "w.pth", official_state()))
    assert all(p.requires_grad for p in net.parameters())
    net.save(tmp_path / "mine")
    again = unfolded.load(tmp_path / "mine.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))


# -------------------------------------------------------------------------- refusals
@pytest.mark.parametrize("where", ["model", "loss", "pickle"])
def test_nothing_is_run(where, tmp_path, capsys):
    path = tmp_path / "w.pth"
    if where == "pickle":
        path.write_bytes(pickle.dumps(Payload()))
    else:
        content = {"model": official_state(), "train_loss": [0.1]}
        if where == "model":
            content["model"]["net_u.lam_in"] = Payload()
        else:
            content["train_loss"].append(Payload())
        torch.save(content, path)
    with pytest.raises(ValueError, match="not a PyTorch weight file, is damaged, or holds more"):
        unfolded.load_official(path)
    assert "must not run" not in capsys.readouterr().out


def test_what_unpickling_may_use_is_put_back(tmp_path):
    before = set(map(repr, torch.serialization.get_safe_globals()))
    unfolded.load_official(write(tmp_path / "w.pth", official_state()))
    assert set(map(repr, torch.serialization.get_safe_globals())) == before


def change(**changes):
    def apply(state):
        for key, value in changes.items():
            key = key.replace("__", ".")
            if value is None:
                del state[key]
            else:
                state[key] = value

    return apply


@pytest.mark.parametrize(
    ("apply", "says"),
    [
        (change(net_u__layer_in__weight=None), "there is no net_u.layer_in.weight"),
        (change(net_z__lam_1=None), "there is no number net_z.lam_1"),
        (change(conv_u__weight=None), r"explained.0.weight \(found nothing"),
        (change(net_v__up_conv_0__weight=None), r"unique.1.up.0.weight \(found nothing"),
        (change(net_u__lam_0=torch.zeros(2)), "there is no number net_u.lam_0"),
        (change(net_u__down_conv_999999999__weight=torch.zeros(1)), "no net_u.down_conv_2.weight"),
        (change(**{f"net_u__down_conv_{'1' * 5000}__weight": torch.zeros(1)}), "is not part of"),
        (change(net_u__extra=torch.zeros(1)), "net_u.extra is not part of that network"),
        (change(conv_v__weight=torch.zeros(1, 6, 5, 5)), "explained.1.weight"),
        (change(net_u__layer_in__weight=torch.zeros(6, 3)), r"has shape \(6, 3\)"),
        (change(net_u__layer_in__weight=torch.zeros(6, 1, 3, 3, dtype=torch.int32)), "torch.int32"),
        (change(net_u__lam_0=torch.tensor([float("nan")])), "unique.0.thresholds holds NaN"),
        (change(net_u__lam_0=0.1), "'net_u.lam_0', which is not a tensor"),
        (lambda state: state.clear(), "it holds no state dictionary"),
    ],
)
def test_refused_networks(apply, says, tmp_path):
    state = official_state()
    apply(state)
    with pytest.raises(ValueError, match=says) as caught:
        unfolded.load_official(write(tmp_path / "w.pth", state))
    assert str(tmp_path / "w.pth") in str(caught.value)


def test_refused_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="no weight file at"):
        unfolded.load_official(tmp_path / "none.pth")
    path = write(tmp_path / "w.pth", official_state())
    data = path.read_bytes()
    for damaged in (b"", b"\x00" * 100, data[: len(data) // 2], data[:-30]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="not a PyTorch weight file, is damaged"):
            unfolded.load_official(path)
    torch.save([1, 2], path)
    with pytest.raises(ValueError, match="it holds no state dictionary"):
        unfolded.load_official(path)
