"""`mcsc train --teacher`: fusions that are learned from what a method makes."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from mcsc.images import write_image
from mcsc.tasks.scenes import synthetic_scenes
from mcsc.tasks.task import get_task

pytest.importorskip("lightning")

from mcsc.cli import cli

SHORT = [
    "--epochs", "1", "--patches", "2", "--patch", "32", "--batch-size", "2", "--filters", "4",
    "--kernel-size", "3", "--blocks", "1", "--start", "xavier",
]  # fmt: skip


def trained(*arguments):
    return CliRunner().invoke(cli, ["train", *map(str, arguments), *SHORT])


@pytest.mark.parametrize(
    ("teacher", "words"),
    [
        (["mean"], "their targets made by mean"),
        (["mcsc", "--teacher-rule", "activity"], "their targets made by mcsc with the rule activ"),
    ],
)
def test_a_fusion_is_learned_from_what_a_teacher_makes(teacher, words, tmp_path):
    for n, read in enumerate(synthetic_scenes(get_task("medical"), 2, (48, 48), seed=4)):
        for role, image in zip(("t1", "t2"), read()[:2], strict=True):
            write_image(tmp_path / f"scene{n}_{role}.png", image, bit_depth=8)
    out = tmp_path / "net.safetensors"
    result = trained(tmp_path, "--task", "medical", "-o", out, "--teacher", *teacher)
    assert result.exit_code == 0, result.output
    assert words in result.output
    assert words in out.with_suffix(".md").read_text(encoding="utf-8")
    other = [*teacher[:1], "--teacher-rule", "sum"] if len(teacher) > 1 else ["laplacian"]
    again = trained(
        tmp_path, "--task", "medical", "-o", out, "--teacher", *other, "--resume",
    )  # fmt: skip
    assert again.exit_code == 2
    assert "is of another run: data was" in again.output


@pytest.mark.parametrize(
    ("task", "teacher", "words"),
    [
        ("depth-sr", ["--teacher", "mcsc"], "--teacher is for fusions"),
        ("multi-focus", ["--teacher", "nobody"], "--teacher: want one of "),
        ("medical", ["--teacher-rule", "sum"], "--teacher-rule goes with --teacher"),
        ("medical", ["--teacher", "mcsc", "--teacher-rule", "most"], "'most' is not one of 'choo"),
        (
            "medical", ["--teacher", "mean", "--teacher-rule", "sum"],
            "--teacher-rule: the method mean takes no rule",
        ),
        (
            "medical", ["--teacher", "cunet", "--teacher-rule", "targets"],
            "activity, sum of the method cunet; found 'targets'",
        ),
    ],
)  # fmt: skip
def test_what_cannot_teach_is_refused(tmp_path, task, teacher, words):
    result = trained(
        "--synthetic", 2, "--task", task, "-o", tmp_path / "net.safetensors", *teacher
    )  # fmt: skip
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())
    assert not list(tmp_path.iterdir())
