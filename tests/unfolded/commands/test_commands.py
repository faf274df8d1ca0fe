"""`mcsc train` and `mcsc export`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from unittest.mock import create_autospec

import click
import numpy as np
import pytest
from click.testing import CliRunner

import mcsc
from mcsc.commands import options
from mcsc.images import write_image
from mcsc.tasks.scenes import synthetic_scenes
from mcsc.tasks.task import get_task
from tests.unfolded.nets import torch
from unfolded import CUNet, load, onnx
from unfolded.commands import export, train
from unfolded.training.card import check_card

pytest.importorskip("lightning")

SHORT = [
    "--epochs", "2", "--patches", "8", "--patch", "32", "--batch-size", "4", "--filters", "4",
    "--kernel-size", "3", "--blocks", "1", "--start", "xavier",
]  # fmt: skip


def invoke(command, *arguments):
    return CliRunner().invoke(command, [str(a) for a in arguments])


def said(result):
    """What went wrong, as one line."""
    return " ".join(str(result.exception or "").split()) + " " + " ".join(result.output.split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two scenes of depth, and two of a fusion with targets."""
    out = tmp_path_factory.mktemp("scenes")
    for task, roles in (("depth-sr", ("depth", "rgb")), ("multi-focus", ("near", "far", "target"))):
        for n, read in enumerate(synthetic_scenes(get_task(task), 2, (64, 64), seed=4)):
            for role, image in zip(roles, read(), strict=True):
                (out / task).mkdir(exist_ok=True)
                write_image(out / task / f"scene{n}_{role}.png", image, bit_depth=8)
    return out


@pytest.mark.parametrize("task", ["depth-sr", "multi-focus"])
def test_training_on_a_folder(task, folder, tmp_path):
    out = tmp_path / "net.safetensors"
    result = invoke(train, folder / task, "--task", task, "-o", out, *SHORT)
    assert result.exit_code == 0, said(result)
    assert "4 steps" in result.output
    assert "Error on 1 scene held out, of 255: " in result.output
    net = load(out)
    assert net.metadata["task"] == task
    assert net.metadata["base"] == ("input" if task == "depth-sr" else "mean")
    card = out.with_suffix(".md").read_text()
    assert card.startswith(f"# {task}\n")
    for words in ("4 filters of 3 x 3", "4 steps of 4 patches of 32 x 32", "scenes that were held"):
        assert words in card
    assert (tmp_path / "net-training" / "csv" / "metrics.csv").exists()
    # Its own card is replaced.
    again = invoke(train, folder / task, "--task", task, "-o", out, *SHORT, "--resume")
    assert again.exit_code == 0, said(again)
    other = invoke(train, folder / task, "--task", task, "-o", out, *SHORT, "--resume", "--seed", 9)
    assert "is of another run: seed was 0, now it is 9" in said(other)
    assert "Error on" not in said(other)  # before anything is measured or trained
    for more, key in ((["--range", 0, 90], "ranges"), (["--mask", "zeros"], "masks")):
        if key == "ranges" or task == "depth-sr":
            other = invoke(
                train, folder / task, "--task", task, "-o", out, *SHORT, "--resume", *more
            )
            assert f"is of another run: {key} was" in said(other)
            assert "Error on" not in said(other)
    # And before scenes are read: here is none.
    empty = tmp_path / "empty"
    empty.mkdir()
    given = ["--task", task, "-o", out, *SHORT, "--resume"]
    for more, message in (
        (["--seed", 9], "is of another run: seed was 0, now it is 9"),
        (["--learning-rate", 0.5], "is of another run: learning_rate was"),
        (["--patience", 2], "is of a run without patience"),
        (["--folder", tmp_path / "other"], "--resume: there is no checkpoint at"),
        (["--start", tmp_path / "no.npz"], "no dictionary file at"),
    ):
        wanted = given if "--start" not in more else ["--task", task, "-o", out, "--resume"]
        refused = invoke(train, empty, *wanted, *more)
        assert message in said(refused)
    (tmp_path / "net-training" / "last.ckpt").write_bytes(b"no checkpoint")
    refused = invoke(train, empty, *given)
    assert "last.ckpt is not a checkpoint of mcsc train, or it is damaged" in said(refused)
    refused = invoke(train, empty, *given[:-1])
    assert "is there already: resume from it" in said(refused)


@pytest.mark.slow
def test_training_on_scenes_that_are_prepared_first(folder, tmp_path):
    pytest.importorskip("distributed")
    from tests.clusters import local_client

    given = [folder / "depth-sr", "--task", "depth-sr", "--prepare", tmp_path / "made", *SHORT]
    with local_client(active=True):
        for name in ("a", "b"):
            result = invoke(train, *given, "-o", tmp_path / f"{name}.safetensors")
            assert result.exit_code == 0, said(result)
        nets = [load(tmp_path / f"{name}.safetensors").state_dict() for name in ("a", "b")]
        assert all(torch.equal(nets[0][key], nets[1][key]) for key in nets[0])
        other = invoke(train, *given, "--sigma", 3, "-o", tmp_path / "c.safetensors")
        assert other.exit_code != 0
        other = invoke(train, *given, "--seed", 5, "-o", tmp_path / "c.safetensors")
        assert "holds results of other settings" in said(other)
    assert len(list((tmp_path / "made").glob("*.npz"))) == 2
    alone = invoke(
        train, *given[:3], *SHORT, "--scheduler", "tcp://h:1", "-o", tmp_path / "d.safetensors"
    )
    assert "--scheduler goes with --prepare" in said(alone)


def test_one_network_for_noise_of_any_strength(tmp_path):
    out = tmp_path / "net.safetensors"
    more = [
        "--task", "flash-denoise", "--synthetic", 2, "--levels", 10, 90, "--sweeps", 2,
        "--thresholds", "map", "--average", 0.9, "--loss", "l1", "--warm-up", 1, "--unit-ball",
    ]  # fmt: skip
    result = invoke(train, *more, "-o", out, *SHORT)
    assert result.exit_code == 0, said(result)
    net = load(out)
    assert net.metadata["noise_levels"] == [10, 90]
    assert (net.configuration.sweeps, net.configuration.thresholds) == (2, "map")
    card = out.with_suffix(".md").read_text()
    for words in ("2 sweeps", "follow the noise", "noise of 10 to 90 of 255", "averaged with 0.9"):
        assert words in card
    without = invoke(train, *more[:4], "-o", tmp_path / "b.safetensors", "--start", out)
    assert without.exit_code != 0
    assert "--levels are needed" in said(without)
    larger = [*more[:7], *SHORT[:8], "--start", out, "--kernel-size", 5]
    result = invoke(train, *larger, "-o", tmp_path / "c.safetensors")
    assert result.exit_code == 0, said(result)
    assert load(tmp_path / "c.safetensors").configuration.kernel_size == 5


def test_a_training_goes_on_with_the_same_photographs_only(tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    ramp = np.linspace(0, 1, 80 * 90).reshape(1, 80, 90)
    write_image(pictures / "a.png", ramp, bit_depth=8)
    given = ["--task", "depth-sr", "--synthetic", 1, *SHORT, "-o", tmp_path / "net.safetensors"]
    shown = [*given, "--photographs", pictures]
    result = invoke(train, *shown)
    assert result.exit_code == 0, said(result)
    moved = tmp_path / "moved"
    pictures.rename(moved)
    same = invoke(train, *given, "--photographs", moved, "--resume")
    assert same.exit_code == 0, said(same)
    other = invoke(train, *given, "--resume")
    assert re.search(r"photographs was '1 files \w+', now it is 'those of scikit-im", said(other))
    write_image(moved / "b.png", ramp[:, ::-1], bit_depth=8)
    more = invoke(train, *given, "--photographs", moved, "--resume")
    assert re.search(r"photographs was '1 files \w+', now it is '2 files \w+'", said(more))
    assert "Error on" not in said(more)


def test_a_fusion_s_folder_without_targets_is_refused(folder, tmp_path):
    for path in (folder / "multi-focus").glob("*_[nf]*.png"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    result = invoke(
        train, tmp_path, "--task", "multi-focus", "-o", tmp_path / "net.safetensors", *SHORT
    )
    assert result.exit_code != 0
    assert "want a file SCENE_target.png with each pair" in said(result)
    assert not (tmp_path / "net.safetensors").exists()


@pytest.mark.parametrize(
    ("task", "arguments", "words"),
    [
        (
            "multi-focus",
            ["--loss", "contrast", "--patch", "2"],
            "the loss contrast takes gradients of 3 x 3 pixels; found patch=2",
        ),
        ("multi-focus", ["--base", "guided"], "base must be 'none', 'low' or 'mean', found 'guide"),
        ("flash-denoise", ["--base", "injected"], "base cannot be 'injected' in flash-denoise"),
        (
            "depth-sr",
            ["--base", "mean", "--start", "xavier"],
            "base must be 'none', 'input', 'low', 'guided' or 'injected', found 'mean'",
        ),
    ],
)
def test_a_recipe_is_refused_before_any_work(task, arguments, words, tmp_path):
    out = tmp_path / "net.safetensors"
    result = invoke(train, "--task", task, "--synthetic", "2", "-o", out, *arguments)
    assert result.exit_code != 0
    assert words in said(result)
    assert "Training on" not in result.output


def test_a_start_for_other_channels_is_refused_before_scenes_are_made(tmp_path):
    """Of synthetic scenes the first tells; that they are prepared is not waited for."""
    start, out = tmp_path / "mine.safetensors", tmp_path / "net.safetensors"
    CUNet((2, 3), 2, filters=2, kernel_size=3, blocks=0).save(start)
    result = invoke(
        train, "--task", "depth-sr", "--synthetic", "2", "-o", out, *SHORT[:6], "--start", start,
        "--prepare", tmp_path / "made",
    )  # fmt: skip
    assert (
        "synthetic scene 0 has (1, 3, 1) channels of x, y, z; the network, from mine.safetensors, "
        "has (2, 3, 2)"
    ) in said(result)
    assert "Preparing" not in result.output


def test_targets_must_have_the_size_of_their_scene(folder, tmp_path):
    for path in (folder / "multi-focus").glob("*.png"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    write_image(tmp_path / "scene0_target.png", np.zeros((3, 64, 60), np.float32), bit_depth=8)
    result = invoke(
        train, tmp_path, "--task", "multi-focus", "-o", tmp_path / "net.safetensors", *SHORT,
        "--seed", "1",
    )  # fmt: skip
    assert "scene0_target.png is 64 x 60, scene0_near.png is 64 x 64" in said(result)


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (
            np.zeros((1, 64, 30), np.float32),
            "scene0_rgb.png is 64 x 64, scene0_depth.png is 64 x 30",
        ),
        (None, "scene0_depth.png: truncated or damaged PNG"),
    ],
)
def test_files_are_looked_at_before_any_work(pixels, words, folder, tmp_path):
    for path in (folder / "depth-sr").glob("*.png"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    bad = tmp_path / "scene0_depth.png"
    if pixels is None:
        bad.write_bytes(bad.read_bytes()[:-40])
    else:
        if len(pixels) > 3:
            bad = tmp_path / "scene0_rgb.tif"
            bad.with_suffix(".png").unlink()
        write_image(bad, pixels, bit_depth=8)
    out = tmp_path / "net.safetensors"
    for more in ([], ["--seed", "1"]):  # one of them trains on the scene, the other holds it out
        result = invoke(train, tmp_path, "--task", "depth-sr", "-o", out, *SHORT, *more)
        assert words in said(result)
    assert not out.with_name("net-training").exists()


def test_scenes_must_be_as_large_as_a_patch(folder, tmp_path):
    result = invoke(
        train, folder / "depth-sr", "--task", "depth-sr", "-o", tmp_path / "a.safetensors", *SHORT,
        "--patch", "65",
    )  # fmt: skip
    assert "is 64 x 64: smaller than patches of 65 x 65" in said(result)


@pytest.mark.slow
def test_two_processes_train_as_one_of_twice_the_batch(folder, tmp_path):
    """DDP as several GPUs have it, on the CPU; one process speaks and writes."""
    options = [*SHORT, "--device", "cpu", "--epochs", "2", "--patches", "16"]
    given = [folder / "depth-sr", "--task", "depth-sr", *options]
    paths = [tmp_path / f"net{n}.safetensors" for n in (1, 2)]
    one = invoke(train, *given, "--devices", 1, "--batch-size", 4, "-o", paths[0])
    command = [sys.executable, "-m", "mcsc", "train", *given]
    two = subprocess.run(
        [str(word) for word in (*command, "--devices", 2, "--batch-size", 2, "-o", paths[1])],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert two.returncode == 0, two.stderr
    assert len(one.output.splitlines()) == len(two.stdout.splitlines()) == 3
    assert "8 steps of 2 x 2 patches" in (tmp_path / "net2.md").read_text()
    first, second = (load(path).state_dict() for path in paths)
    for name, weight in first.items():
        torch.testing.assert_close(weight, second[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "want a folder of scenes, or --synthetic N"),
        (["--synthetic", "2", "--sigma", "25"], "--sigma is for denoising, not for depth-sr"),
        (["--synthetic", "2", "--soften", "1"], "--soften is for fusions; depth-sr makes its own"),
        (["--synthetic", "2", "--scenes", "art"], "--scenes is for a folder"),
        (["--synthetic", "2", "--validation", "0", "--patience", "3"], "needs scenes to validate"),
        (["--synthetic", "2", "--devices", "none"], "--devices must be auto or a number >= 1"),
        (["--synthetic", "2", "--start", "noise"], "a training starts from dictionary, xavier"),
        (["no-such-folder"], "no-such-folder: there is no such folder"),
        (["--synthetic", "2", "--folder", "OUT"], "--out and --folder are both "),
        (["--synthetic", "2", "--folder", "CARD"], "the card of --out and --folder are both "),
        (
            ["--synthetic", "2", "--folder", "p", "--prepare", "p"],
            "--prepare and --folder are both p",
        ),
        (["no-such-folder", "--start", "no.safetensors"], "no weight file at no.safetensors"),
        (["--synthetic", "2", "--filters", "8"], "--filters is for a new network: --start dicti"),
        (
            ["--synthetic", "2", "--start", "net.safetensors", "--blocks", "2"],
            "--blocks is for a new network: --start net.safetensors has its own",
        ),
    ],
)
def test_refusals(arguments, words, tmp_path):
    out = tmp_path / "net.safetensors"
    named = {"OUT": out, "CARD": out.with_suffix(".md")}
    arguments = [named.get(word, word) for word in arguments]
    result = invoke(train, "--task", "depth-sr", "-o", out, *arguments)
    assert result.exit_code != 0
    assert words in said(result)
    assert not out.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_gpu_is_refused_before_any_work(tmp_path):
    out = tmp_path / "net.safetensors"
    given = ["--task", "depth-sr", "--synthetic", "2", "-o", out, *SHORT, "--device", "cuda"]
    result = invoke(train, *given)
    assert "device='cuda' cannot be used: PyTorch finds no CUDA device here" in said(result)
    assert "Training on" not in result.output
    assert not list(tmp_path.iterdir())


def test_a_wrong_name_is_refused_before_any_work(tmp_path):
    result = invoke(train, "--task", "depth-sr", "--synthetic", "2", "-o", tmp_path / "net.pt")
    assert "want a name that ends in .safetensors" in said(result)
    lost = tmp_path / "none" / "net.safetensors"
    result = invoke(train, "--task", "depth-sr", "--synthetic", "2", "-o", lost)
    assert "there is no folder" in said(result)


@pytest.mark.parametrize(
    ("patches", "words"),
    [
        (10, "An epoch is 2 steps of 4 patches: 8 patches, not 10."),
        (3, "An epoch is 1 step of 4 patches: 4 patches, not 3."),
        (8, ""),
    ],
)
def test_a_number_of_patches_that_is_rounded_is_said(patches, words, folder, tmp_path):
    given = [folder / "depth-sr", "--task", "depth-sr", *SHORT, "--epochs", 1]
    out = tmp_path / "net.safetensors"
    result = invoke(train, *given, "--patches", patches, "--devices", 1, "-o", out)
    assert result.exit_code == 0, said(result)
    assert words in said(result)
    assert ("An epoch is" in result.output) == bool(words)


def test_errors_of_scenes_of_little_contrast_are_called_so(folder, tmp_path):
    for path in (folder / "depth-sr").glob("*.png"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    given = [tmp_path, "--task", "depth-sr", *SHORT, "--epochs", 1]
    held_out = []
    for span in (1.0, 0.1):
        for path in tmp_path.glob("*_depth.png"):
            pixels = mcsc.images.read_image(path).pixels
            pixels = (pixels - pixels.min()) / np.ptp(pixels)
            write_image(path, 0.4 + span * (pixels - 0.4), bit_depth=16)
        out = tmp_path / f"{span}.safetensors"
        # Of the whole range of 16 bits, not of that of the values.
        result = invoke(train, *given, "--range", 0, 65535, "--range", 0, 255, "-o", out)
        assert result.exit_code == 0, said(result)
        found = re.search(r"of 255: \S+( \(.*\))?$", result.output, re.MULTILINE)
        held_out.append(found[1])
        card = out.with_suffix(".md").read_text()
        assert ("counts as if it spanned all of it." in card) == (span < 1)
    assert held_out[0] is None
    pattern = (
        r" \(scene\d spans (9|10)(\.\d)? % of its range, and counts as if it spanned all of it\)"
    )
    assert re.fullmatch(pattern, held_out[1])


def test_a_card_that_was_published_is_replaced(tmp_path):
    """Before its title it may have settings of the place where it is."""
    card = tmp_path / "net.md"
    card.write_text("---\nlicence: cc0-1.0\n---\n\n# depth-sr\n\nDepth: a CU-Net of 1 + 1.\n")
    check_card(card)


def test_a_page_that_is_no_card_is_not_replaced(tmp_path):
    out = tmp_path / "net.safetensors"
    notes = out.with_suffix(".md")
    for content in (b"# My notes\n\nA network.\n", b"", b"\xff\xfe: a CU-Net of "):
        notes.write_bytes(content)
        result = invoke(train, "--task", "depth-sr", "--synthetic", "2", "-o", out, *SHORT)
        assert "net.md is no model card, and would be replaced by that of net.safe" in said(result)
        assert notes.read_bytes() == content
    assert list(tmp_path.iterdir()) == [notes]


def test_export(tmp_path, monkeypatch):
    pytest.importorskip("onnx")
    CUNet(filters=2, kernel_size=3, blocks=1).save(tmp_path / "net.safetensors")
    # The model itself is tested with `export_onnx`.
    export_onnx = create_autospec(onnx.export_onnx, side_effect=lambda _, p: p.write_bytes(b"it"))
    monkeypatch.setattr(onnx, "export_onnx", export_onnx)
    result = invoke(export, tmp_path / "net.safetensors", "-o", tmp_path / "net.onnx")
    assert result.exit_code == 0, said(result)
    assert (tmp_path / "net.onnx").stat().st_size > 0
    assert export_onnx.call_args.args[0].configuration.filters == (2, 2, 2)
    for arguments, words in (
        (["missing.safetensors", "-o", tmp_path / "a.onnx"], "no weight file at missing"),
        ([tmp_path / "net.safetensors", "-o", tmp_path / "a.pt"], "ends in .onnx"),
    ):
        assert words in said(invoke(export, *arguments))


def test_help_does_not_load_pytorch():
    code = (
        "import sys, mcsc.cli\n"
        "try:\n    mcsc.cli.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "assert 'unfolded.commands' in sys.modules\n"
        "print({'torch', 'lightning'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
    assert "Train CU-Net for a task" in done.stdout


@pytest.mark.parametrize("name", ["train", "learn"])
def test_help_lists_every_option_once(name):
    from mcsc.cli import cli

    text = invoke(cli, name, "--help").output
    command = cli.get_command(None, name)
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            pattern = rf"^  (-\w, )?{re.escape(parameter.opts[0])}(?![\w-])"
            assert len(re.findall(pattern, text, re.MULTILINE)) == 1, parameter.name
    assert [line for line in text.splitlines() if line.startswith("Files:")]


def test_sections_are_of_parameters_that_are_there():
    with pytest.raises(TypeError, match="tell has no parameters colour"):
        options.Sectioned("tell", params=[], sections={"Look": ["colour"]})


def test_restore_and_fuse_take_the_network(folder, tmp_path):
    from mcsc.cli import cli

    depth = CUNet(filters=2, kernel_size=3, blocks=1)
    with torch.no_grad():
        for parameter in depth.parameters():
            parameter.mul_(0.1)
    depth.metadata = {"task": "depth-sr", "base": "input", "strength": 5.0}
    depth.save(tmp_path / "depth.safetensors")
    files = [folder / "depth-sr" / f"scene0_{role}.png" for role in ("depth", "rgb")]
    out = tmp_path / "out.png"
    options = ["--task", "depth-sr", "-o", out, "--method", "cunet"]
    weights = ["--weights", tmp_path / "depth.safetensors"]
    result = invoke(cli, "restore", *files, *options, *weights)
    assert result.exit_code == 0, said(result)
    assert mcsc.images.read_image(out).pixels.shape == (1, 64, 64)
    result = invoke(cli, "restore", *files, *options, *weights, "--lam", "1")
    assert "the method cunet has no option lam; it has device, orientations, tile" in said(result)
    result = invoke(cli, "restore", *files, "--task", "depth-sr", "-o", out, *weights)
    assert "the method mcsc takes no weights" in said(result)
    pair = [folder / "multi-focus" / f"scene0_{role}.png" for role in ("near", "far")]
    result = invoke(
        cli, "fuse", *pair, "--task", "multi-focus", "-o", out, "--method", "cunet", *weights
    )
    assert "a network for restoration, multi-focus is a fusion" in said(result)


def test_card_is_json_free_of_paths(folder, tmp_path):
    """What is kept with the weights names data, not places."""
    out = tmp_path / "net.safetensors"
    invoke(train, folder / "depth-sr", "--task", "depth-sr", "-o", out, *SHORT)
    assert str(tmp_path) not in json.dumps(load(out).metadata)
