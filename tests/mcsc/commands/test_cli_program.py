"""Help, plugins, and `mcsc` as a program; what the README says."""

from __future__ import annotations

import importlib.metadata
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import click.shell_completion
import numpy as np
import pytest

import mcsc
from mcsc.cli import cli, main
from mcsc.images import read_image, write_image
from mcsc.tasks import TASKS
from tests.helpers import run
from tests.paths import ROOT

README = ROOT / "README.md"


def test_version_and_help():
    assert run("--version").stdout == f"mcsc, version {mcsc.__version__}\n"
    bare = run()
    assert bare.exit_code == 0
    assert bare.stdout == run("--help").stdout
    assert re.search(r"mcsc demo .*\n.*mcsc solve depth.png photo.png", bare.stdout)


@pytest.mark.parametrize("name", list(cli.commands))
def test_help_of_every_command_and_option(name):
    done = run(name, "--help")
    assert done.exit_code == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    for option in cli.commands[name].params:
        if isinstance(option, click.Option):
            assert option.help, option
            assert option.opts[0] in done.stdout


def test_info(monkeypatch):
    done = run("info")
    assert done.exit_code == 0
    rows = dict(re.split(r"  +", line, maxsplit=1) for line in done.stdout.splitlines())
    assert rows["mcsc"] == mcsc.__version__
    assert rows["numpy"] == np.__version__
    for name in ("torch", "triton", "lightning"):
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            assert name not in rows
        else:
            assert rows[name] == version
    assert rows["FFT"].startswith("pocketfft of SciPy")
    assert rows["threads"].split()[0] == str(mcsc.get_num_threads())
    assert set(rows) >= {"python", "numba", "BLAS", "cores", "memory", "GPU", "platform"}
    monkeypatch.setattr("mcsc.backend.select.cupy_or_reason", lambda: (None, "no driver"))
    assert "none: no driver" in run("info").stdout


def test_info_of_a_broken_installation(monkeypatch):
    def fail():
        raise ImportError("libblas.so: cannot open\nshared object file")

    monkeypatch.setattr("mcsc.commands.info._blas", fail)
    monkeypatch.setenv("MCSC_NUM_THREADS", "many")
    monkeypatch.setattr("mcsc.backend.threads.shared.threads", None)
    done = run("info")
    assert done.exit_code == 0
    assert re.search(r"BLAS +unknown: ImportError: libblas.so: cannot open shared", done.stdout)
    assert re.search(r"threads +unknown: .* MCSC_NUM_THREADS must be .* 'many'", done.stdout)
    assert re.search(r"GPU +\w", done.stdout)


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """A good command and two that cannot be loaded, from another package."""
    (tmp_path / "other_package.py").write_text(
        "import click\n@click.command()\ndef extra():\n    '''Do more.'''\n    print('more')\n"
        "number = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    entries = [
        importlib.metadata.EntryPoint(name, value, "mcsc.commands")
        for name, value in {
            "extra": "other_package:extra",
            "broken": "no_such_package:command",
            "number": "other_package:number",
            "info": "no_such_package:info",
        }.items()
    ]
    asked = []

    def entry_points(*, group):
        asked.append(group)
        return entries

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    vars(cli).pop("_plugins", None)
    yield asked
    vars(cli).pop("_plugins", None)


def test_plugins_are_listed_and_run(plugins):
    done = run("--help")
    assert done.exit_code == 0
    assert re.search(r"^  extra +Do more\.$", done.stdout, re.MULTILINE)
    assert "number" not in done.stdout
    assert [line.split(" cannot")[0] for line in done.stderr.splitlines()] == [
        "mcsc: warning: the command 'broken'",
        "mcsc: warning: the command 'number'",
    ]
    assert run("extra").stdout == "more\n"


def test_plugins_are_not_looked_up_for_own_commands(plugins):
    assert run("info").exit_code == 0
    assert not plugins


def test_a_plugin_that_lacks_a_package_is_refused_when_it_is_asked_for(plugins):
    done = run("broken")
    assert done.exit_code == 2
    assert done.stderr == (
        "mcsc: error: the command 'broken' of the package no_such_package needs no_such_package, "
        "which is not installed\n"
    )
    done = run("number")
    assert done.exit_code == 2
    assert done.stderr == (
        "mcsc: error: the command 'number' of the package other_package, other_package:number, is "
        "not a command of click\n"
    )


def test_a_mistake_in_a_plugin_keeps_its_traceback(plugins, tmp_path):
    (tmp_path / "no_such_package.py").write_text("command = 1 / 0\n")
    try:
        done = run("broken")
        listed = run("--help")
    finally:
        sys.modules.pop("no_such_package", None)
        (tmp_path / "no_such_package.py").unlink()
    assert done.exit_code == 1
    assert 'no_such_package.py", line 1' in done.stderr
    assert "ZeroDivisionError: division by zero\nmcsc: error: this is a mistake" in done.stderr
    assert listed.exit_code == 0
    assert "the command 'broken' cannot be loaded: division by zero\n" in listed.stderr


# ------------------------------------------------------------------------ as a program, README
def test_as_a_program(tmp_path):
    command = [sys.executable, "-m", "mcsc.cli", "solve", str(tmp_path / "no.png")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"mcsc: error: {tmp_path / 'no.png'}: no such file\n"


def streams(monkeypatch, words, **given):
    """Run the program with other standard streams, and return its status."""
    for name, stream in given.items():
        monkeypatch.setattr(sys, name, stream)
    with pytest.raises(SystemExit) as left:
        main(words)
    return left.value.code


def test_without_standard_error(pair, tmp_path, monkeypatch):
    words = [*pair, "--task", "flash-denoise", "--tol", "0.5", "-o", str(tmp_path / "o.png")]
    assert streams(monkeypatch, ["restore", *words], stderr=None) == 0
    assert read_image(tmp_path / "o.png").pixels.shape == (1, 16, 16)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device here")
def test_a_full_standard_output_is_called_so(pair, tmp_path, monkeypatch):
    out, err = tmp_path / "o.png", io.StringIO()
    with open("/dev/full", "w", encoding="utf-8") as full:
        words = ["restore", *pair, "--task", "flash-denoise", "--tol", "0.5", "-o", str(out)]
        assert streams(monkeypatch, words, stdout=full, stderr=err) == 2
    last = err.getvalue().splitlines()[-1]
    assert last == "mcsc: error: standard output: No space left on device"


@pytest.fixture
def pair(tmp_path):
    """Files of a noisy image and its guide."""
    rng = np.random.default_rng(0)
    for name in ("x.png", "y.png"):
        write_image(tmp_path / name, rng.random((16, 16)))
    return str(tmp_path / "x.png"), str(tmp_path / "y.png")


def test_help_loads_nothing_heavy():
    heavy = {"matplotlib", "numba", "PIL", "rich", "scipy", "skimage", "tifffile"}
    code = (
        "import sys, mcsc.cli\n"
        "try:\n    mcsc.cli.main(['--help'])\n"
        f"finally:\n    print(sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_python_of_the_readme_runs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL))
    names = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), names)
    assert len(code.splitlines()) <= 12
    assert names["restored"].image.shape == (1, 96, 96)
    assert names["result"].converged
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("(1, 96, 96) 0.00")
    assert said[1].startswith("True")
    assert not list(tmp_path.iterdir())


def test_the_readme_is_one_screen():
    lines = README.read_text().splitlines()
    assert len(lines) <= 45
    targets = re.findall(r"^make (\w+)", "\n".join(lines), re.MULTILINE)
    assert targets == ["demo", "test"]
    makefile = (ROOT / "Makefile").read_text()
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for link in re.findall(r"\]\(([^):\s]+)\)", "\n".join(lines)):
        assert (ROOT / link).is_file(), link


def commands(page):
    """The words after `mcsc` of the commands in the code blocks of a page, or in its prose."""
    text = page.read_text()
    if page.suffix == ".md":
        lines = "\n".join(re.findall(r"```(?:sh|bash)\n(.*?)```", text, re.DOTALL))
        lines = lines.replace("\\\n", " ").splitlines()
    else:
        lines = re.findall(r"``(mcsc .*?)``", text)
    words = [line.split("#")[0].split() for line in lines]
    return [w[1:] for w in words if w[:1] == ["mcsc"] and len(w) > 2 and "COMMAND" not in w]


PAGES = [
    page
    for page in [*(ROOT / "docs").rglob("*.md"), *(ROOT / "docs" / "gallery").glob("*.py")]
    if "_build" not in page.parts and page.name != "commands_help.md" and commands(page)
]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_commands_of_the_pages_are_understood(page):
    for name, *options in commands(page):
        if "--help" not in options:
            command = cli.get_command(None, name)  # those of plugins, too
            assert command is not None, name
            command.make_context(name, options).close()


def made_by(target):
    """The words after `mcsc` of the commands that `make` would run for a target."""
    done = subprocess.run(
        ["make", "-n", "-B", target], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = re.findall(r"/mcsc ((?:learn|train) .*)", done.stdout)
    return [line.split() for line in found]


@pytest.mark.parametrize("target", ["dictionaries", "weights"])
def test_what_ships_is_made_by_commands_that_are_understood(target):
    if shutil.which("make") is None:
        pytest.skip("there is no make")
    lines = made_by(target)
    assert sorted(words[words.index("--task") + 1] for words in lines) == sorted(TASKS)
    for name, *options in lines:
        command = cli.get_command(None, name)
        assert command is not None
        command.make_context(name, [*options]).close()  # it takes them out of the list
        assert (ROOT / options[options.index("-o") + 1]).is_file()


@pytest.mark.slow
@pytest.mark.parametrize("target", ["dictionaries", "weights"])
def test_what_ships_can_be_made(target, tmp_path):
    """The same commands with fewer and smaller scenes and fewer steps: what comes last counts."""
    if shutil.which("make") is None:
        pytest.skip("there is no make")
    few = {
        "dictionaries": "--synthetic 2 --passes 1 --windows 2 --target-windows 2",
        "weights": "--synthetic 2 --patch 16 --patches 2 --batch-size 1 --epochs 1",
    }
    for words in made_by(target):
        task = words[words.index("--task") + 1]
        small = few[target].split()
        if task in ("multi-focus", "multi-exposure", "medical") and target == "dictionaries":
            small = small[: small.index("--target-windows")]
        out = tmp_path / Path(words[words.index("-o") + 1]).name
        done = subprocess.run(
            [sys.executable, "-m", "mcsc.cli", *words, *small, "-o", str(out)],
            cwd=ROOT, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, (task, done.stderr[-2000:])
        assert out.is_file()


def test_pages_show_every_command():
    shown = {words[0] for page in PAGES for words in commands(page)}
    assert shown >= {"solve", "restore", "fuse", "learn", "evaluate", "train", "export", "demo"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes(shell):
    """What the page on the command line tells to put into the shell's file makes a script."""
    page = (ROOT / "docs" / "reference" / "commands.md").read_text()
    assert f"_MCSC_COMPLETE={shell}_source mcsc" in page
    source = click.shell_completion.get_completion_class(shell)
    completion = source(cli, {}, "mcsc", "_MCSC_COMPLETE")
    assert "_MCSC_COMPLETE" in completion.source()
    assert "restore" in [i.value for i in completion.get_completions([], "re")]
    assert [i.value for i in completion.get_completions(["restore"], "--mas")] == ["--mask"]
    tasks = completion.get_completions(["restore", "--task"], "depth")
    assert [i.value for i in tasks] == ["depth-sr"]
