"""What a network for a task starts from."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest

from mcsc import Dictionary
from mcsc.tasks.scenes import synthetic_scenes
from mcsc.tasks.shipped import shipped_dictionary
from mcsc.tasks.task import TASKS, get_task
from tests.helpers import make_dictionary
from tests.unfolded.nets import torch
from unfolded import CUNet
from unfolded.starts.task_start import describe, start
from unfolded.training.scenes import TaskTriples


@pytest.mark.parametrize("name", TASKS)
def test_every_task_starts_from_its_dictionary(name):
    task = get_task(name)
    begin = start(task, blocks=1)
    configuration = begin.net.configuration
    d = shipped_dictionary(name)
    assert configuration.kind == task.kind
    assert configuration.channels == d.channels
    assert configuration.filters == (d.n_common, *d.n_unique)
    scenes = TaskTriples(task, synthetic_scenes(task, 1, (64, 64), seed=3), begin.settings)
    x, y, z = scenes[0]
    assert (x.shape[1], y.shape[1]) == configuration.channels
    assert z.shape[1] == configuration.out_channels
    assert len(x) == len(y) == len(z)
    found = begin.net(*(torch.from_numpy(np.array(i)) for i in (x, y)))
    assert found.shape == z.shape


def test_random_starts_differ_by_seed_and_take_the_task_s_channels():
    flash = get_task("flash-denoise")
    options = {"filters": 4, "kernel_size": 3, "blocks": 1}
    a, b, c = (start(flash, "xavier", seed=s, **options).net for s in (0, 0, 1))
    assert a.configuration.channels == (3, 3)
    assert a.configuration.out_channels == 3
    assert torch.equal(a.target_common.weight, b.target_common.weight)
    assert not torch.equal(a.target_common.weight, c.target_common.weight)
    assert start(get_task("medical"), "xavier", **options).net.configuration.channels == (
        1,
        1,
    )


def test_filters_of_a_dictionary_may_grow():
    task = get_task("medical")
    small, large = start(task, blocks=1).net, start(task, blocks=1, kernel_size=11).net
    assert large.configuration.kernel_size == 11
    x, y = (torch.randn(1, 1, 24, 24) for _ in range(2))
    torch.testing.assert_close(large(x, y), small(x, y), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"package: kernel_size cannot become 3: the network ha"):
        start(task, blocks=1, kernel_size=3)


def test_a_trained_network_goes_on_with_its_preparation(tmp_path):
    task = get_task("multi-focus")
    begin = start(task, "xavier", filters=4, kernel_size=3, blocks=1, base="none")
    describe(begin.net, task, begin.settings)
    begin.net.save(tmp_path / "net.safetensors")
    again = start(task, tmp_path / "net.safetensors")
    assert again.settings.base == "none"
    assert start(task).settings.base == "mean"


@pytest.mark.parametrize(
    ("name", "what", "words"),
    [
        ("depth-sr", "dct", "starts from dictionary, xavier, a file .npz or .safetensors; found"),
        ("depth-sr", "missing.safetensors", "no weight file at missing.safetensors"),
    ],
)
def test_refused_starts(name, what, words):
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        start(get_task(name), what)


def test_a_start_of_the_other_kind_is_refused(tmp_path):
    CUNet(filters=2, kernel_size=3, blocks=0).save(tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match="network for restoration, medical is a fusion"):
        start(get_task("medical"), tmp_path / "net.safetensors")


def test_a_start_of_another_task_or_shape_is_refused_by_the_name_of_its_file(tmp_path):
    def refusal(task, path):
        with pytest.raises(ValueError, match=r"\.(npz|safetensors)") as refused:
            start(get_task(task), path, blocks=1)
        message = str(refused.value)
        assert message.startswith(str(path))
        assert "Dictionary(" not in message
        return message.removeprefix(str(path))

    depth = tmp_path / "depth.npz"
    shipped_dictionary("depth-sr").save(depth)
    assert refusal("medical", depth) == (
        " is a dictionary for depth-sr, a restoration; medical is a fusion: want one of this kind, "
        "or dictionary or xavier"
    )
    with pytest.raises(ValueError, match=r"^the given one is a dictionary for depth-sr, a rest"):
        start(get_task("medical"), shipped_dictionary("depth-sr"))
    net = tmp_path / "net.safetensors"
    begin = start(get_task("multi-focus"), "xavier", filters=2, kernel_size=3, blocks=0)
    describe(begin.net, get_task("multi-focus"), begin.settings)
    begin.net.save(net)
    assert " is a network for multi-focus, a fusion; depth-sr is a" in refusal("depth-sr", net)

    rng = np.random.default_rng(0)

    def bank(channels):
        return rng.standard_normal((2, channels, 3, 3))

    banks = {"common": (bank(1), bank(3)), "unique": (bank(1), bank(3))}
    three = {"target_common": bank(3), "target_unique": (bank(3), bank(3))}
    for number, (task, dictionary, words) in enumerate(
        [
            ("medical", {"common": None, "unique": (bank(1),)}, " of 1 image without common fil"),
            ("medical", {"common": (bank(1),) * 3, "unique": (bank(1),) * 3}, " of 3 images: a "),
            ("depth-sr", banks | three, " takes images of 1 and 3 channels and makes one of 3; de"),
            ("medical", banks | {"target_common": bank(1), "target_unique": (bank(1),) * 2},
             " takes images of 1 and 3 channels and makes one of 1; medical needs 1, 1 and 1"),
        ]
    ):  # fmt: skip
        path = tmp_path / f"{number}.npz"
        Dictionary(**dictionary).save(path)
        assert words in refusal(task, path)
    CUNet((1, 1), 3, filters=2, kernel_size=3, blocks=0).save(net)
    assert refusal("depth-sr", net).endswith(" makes one of 3; depth-sr needs 1, 1 and 1")


def test_the_caller_s_random_numbers_are_left_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    options = {"filters": 4, "kernel_size": 3, "blocks": 1}
    first = start(get_task("depth-sr"), "xavier", seed=3, **options).net
    start(get_task("multi-focus"), blocks=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    second = start(get_task("depth-sr"), "xavier", seed=3, **options).net
    torch.manual_seed(3)  # the same as a network that is made by hand
    third = CUNet((1, 1), 1, "restoration", **options)
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, second.state_dict()[name])
        assert torch.equal(weight, third.state_dict()[name])


@pytest.mark.parametrize("lam", [0.02, [0.02, 0.03, 0.04]])
def test_lam_of_a_dictionary_may_be_one_a_group(lam):
    """As `mcsc.learn` keeps it."""
    task = get_task("depth-sr")
    made = make_dictionary(common=3, unique=2)
    dictionary = dataclasses.replace(made, metadata={"lam": lam})
    net = start(task, dictionary, blocks=1).net
    wanted = CUNet.from_dictionary(dictionary, lam, blocks=1, balanced=True).float()
    for name, weight in net.state_dict().items():
        assert torch.equal(weight, wanted.state_dict()[name])


def test_a_network_has_the_base_and_strength_of_its_task_not_those_of_its_dictionary():
    """The dictionary is for what the guided filter leaves, and splits the guide alone."""
    task = get_task("flash-denoise")
    begin = start(task)
    assert (begin.settings.base, begin.settings.strength) == (task.network_base, task.strength)
    guided = start(task, base="guided")
    strength = shipped_dictionary(task.name).metadata["strength"]
    assert (guided.settings.base, guided.settings.strength) == ("guided", strength)
    assert strength != task.strength


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_any_precision_are_trained_in_float32(precision, tmp_path):
    task = get_task("depth-sr")
    path = tmp_path / "net.safetensors"
    start(task, "xavier", filters=2, kernel_size=3, blocks=1).net.to(precision).save(path)
    assert {p.dtype for p in start(task, path).net.parameters()} == {torch.float32}


def test_a_start_of_another_task_of_the_kind_is_taken_with_a_warning(tmp_path):
    path = tmp_path / "depth.npz"
    shipped_dictionary("depth-sr").save(path)
    with pytest.warns(UserWarning, match=r"depth\.npz is a dictionary for depth-sr, and a train"):
        begin = start(get_task("multispectral-sr"), path, blocks=1)
    assert begin.net.configuration.channels == (1, 1)


@pytest.mark.parametrize(("name", "value"), [("strength", "5"), ("base", "magic"), ("sigma", [])])
@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_unusable_metadata_of_a_start_are_refused_by_its_name(tmp_path, kind, name, value):
    path = tmp_path / f"given.{kind}"
    given = shipped_dictionary("depth-sr")
    if kind == "npz":
        replace(given, metadata={**given.metadata, name: value}).save(path)
    else:
        net = CUNet(filters=2, kernel_size=3, blocks=0)
        net.metadata = {"task": "depth-sr", name: value}
        net.save(path)
    with pytest.raises(ValueError, match=rf"given\.{kind}: {name} in its metadata must be"):
        start(get_task("depth-sr"), path)
