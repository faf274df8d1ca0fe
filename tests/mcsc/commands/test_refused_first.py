"""Options that could do nothing are refused before any image is looked at: here there are none."""

from __future__ import annotations

from inspect import signature

import pytest
from click.testing import CliRunner

import mcsc
from mcsc.backend.select import cupy_or_reason
from mcsc.cli import cli
from mcsc.tasks import shipped_dictionary

RESTORE = ("restore", "x.png", "y.png", "-o", "o.png", "--task")
FUSE = ("fuse", "x.png", "y.png", "-o", "o.png", "--task")
NINE = ("fuse", *(f"{n}.png" for n in range(9)), "-o", "o.png", "--task")
EVALUATE = ("evaluate", "scenes", "--task")
SOLVE = ("solve", "x.png", "y.png")
LEARN = ("learn", "scenes", "--task", "depth-sr", "-o", "q.npz")
NOWHERE = "tcp://127.0.0.1:1"


@pytest.fixture
def nothing_to_read(tmp_path, monkeypatch):
    """A folder with a scene that is none, and with dictionaries."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenes").mkdir()
    for name in ("a_depth.png", "a_rgb.png"):
        (tmp_path / "scenes" / name).write_bytes(b"no picture")
    mcsc.dct_dictionary((1, 3)).save("d13.npz")
    mcsc.dct_dictionary((1, 1, 1)).save("d111.npz")
    shipped_dictionary("multi-focus").save("focus.npz")
    (tmp_path / "damaged.npz").write_bytes(b"no dictionary")
    (tmp_path / "z.zarr").mkdir()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*EVALUATE, "depth-sr", "--scenes", ""), "the word after --scenes is empty: want someth"),
        ((*EVALUATE, "depth-sr", "--scenes="), "--scenes is empty: want something there, or lea"),
        ((*EVALUATE, "depth-sr", "--scenes", " , "), "' , ' names nothing"),
        ((*EVALUATE, "depth-sr", "--method", ""), "the word after --method is empty"),
        ((*EVALUATE, "depth-sr", "--method", "bicubic", "--method", ","), "',' names nothing"),
        ((*EVALUATE, "depth-sr", "--method", "bicubic", "-o", ""), "the word after -o is empty"),
        ((*EVALUATE, "depth-sr", "--mask", ""), "the word after --mask is empty"),
        (("evaluate", "", "--task", "depth-sr"), "an argument is empty"),
        (("restore", "x.png", "", "--task", "depth-sr", "-o", "o.png"), "an argument is empty"),
        ((*RESTORE, "depth-sr", "--parts", ""), "the word after --parts is empty"),
        ((*RESTORE, "depth-sr", "--", ""), "an argument is empty"),
        ((*LEARN, "--scenes", " "), "' ' names nothing"),
        ((*LEARN, "--photographs", ""), "the word after --photographs is empty"),
        ((*SOLVE, "--out", ""), "the word after --out is empty"),
        ((*RESTORE, "depth-sr", "--sigma", "5"), "--sigma is for denoising, not for depth-sr"),
        ((*RESTORE, "flash-denoise", "--factor", "4"), "--factor is for super-resolution, not for"),
        ((*RESTORE, "depth-sr", "--ghosts"), "ghosts can be told in flash-denoise and multi-exp"),
        ((*RESTORE, "depth-sr", "--orientations", "2"), "the method mcsc has no option orientat"),
        ((*RESTORE, "depth-sr", "--method", "bicubic", "--lam", "1"), "bicubic has no option lam"),
        ((*RESTORE, "depth-sr", "--method", "bicubic", "--max-iter", "3"), "no option max_iter"),
        ((*RESTORE, "depth-sr", "--method", "bicubic", "--tol", "0.01"), "has no option tol"),
        ((*RESTORE, "depth-sr", "--method", "bicubic", "--device", "cuda"), "has no option device"),
        ((*RESTORE, "depth-sr", "--method", "bicubic", "--parts", "p"), "bicubic gives no parts"),
        ((*RESTORE, "depth-sr", "--lam", "1,2,3,4,5,6"), "lam has 6 entries"),
        ((*RESTORE, "depth-sr", "--mask", "zero"), "did you mean zeros?"),
        ((*RESTORE, "depth-sr", "--mask", "2=no.png"), "--mask no.png: no such file"),
        ((*RESTORE, "depth-sr", "--mask", "2=zeros", "--align"), "register the guide and its mask"),
        ((*RESTORE, "depth-sr", "--calibration", "no.json"), "no.json"),
        ((*RESTORE, "depth-sr", "-o", "o.jpg", "--bit-depth", "16"), "JPEG holds 8 bits, not 16"),
        ((*RESTORE, "depth-sr", "-o", "o.exr", "--bit-depth", "8"), "OpenEXR holds 32 bits, not 8"),
        ((*FUSE, "multi-focus", "--method", "laplacian", "--rule", "choose"), "has no option rule"),
        ((*FUSE, "multi-focus", "--method", "laplacian", "--parts", "p"), "gives no parts"),
        ((*FUSE, "multi-focus", "--ghosts"), "ghosts can be told in"),
        ((*NINE, "multi-exposure", "--ghosts"), "ghosts can be looked for in up to 8 sources, fo"),
        ((*NINE, "multi-focus", "--rule", "targets", "--dictionary", "focus.npz"),
         "the rule targets takes the target filters"),
        (("fuse", "scenes", "-o", "o", "--task", "multi-focus", "--ghosts"), "ghosts can be told"),
        (("restore", "scenes", "-o", "o", "--task", "depth-sr", "--sigma", "5"), "--sigma is for"),
        ((*FUSE, "multi-focus", "--method", "cunet", "--rule", "targets"), "the method cunet; f"),
        ((*EVALUATE, "depth-sr", "--rule", "sum"), "--rule is for none of these methods: bic"),
        ((*EVALUATE, "depth-sr", "--sigma", "5"), "--sigma is for denoising, not for depth-sr"),
        ((*EVALUATE, "depth-sr", "--seed", "0"), "--seed is for the noise of denoising: depth-sr"),
        ((*EVALUATE, "depth-sr", "--mask", "zeroes"), "did you mean zeros?"),
        ((*LEARN, "--checkpoint", "damaged.npz"), "damaged.npz is not a checkpoint file"),
        ((*LEARN, "--checkpoint", "d111.npz"), "d111.npz"),
        ((*LEARN, "--nonnegative", "z"), "there is no group 'z'; want 'all', or some of common"),
        ((*LEARN, "--lam", "1,2,3,4,5"), "lam has 5 entries"),
        ((*LEARN, "--common", "0", "--unique", "0"), "leave a signal without filters"),
        ((*LEARN, "--synthetic", "1", "--photographs", "nowhere"), "nowhere"),
        ((*SOLVE, "--dictionary", "d111.npz"), "a dictionary for 3 images, and 2 are given"),
        (("solve", "scenes", "--out", "o", "--dictionary", "damaged.npz"), "damaged.npz is not a"),
        (("restore", "scenes", "-o", "o", "--task", "depth-sr", "--calibration", "no.json"),
         "no.json"),
        ((*EVALUATE, "depth-sr", "--dictionary", "no.npz"), "no dictionary file at no.npz"),
        ((*EVALUATE, "depth-sr", "--dictionary", "damaged.npz"), "damaged.npz"),
        ((*EVALUATE, "depth-sr", "--scheduler", NOWHERE), "no Dask scheduler at"),
        ((*EVALUATE, "depth-sr", "--scheduler", NOWHERE, "--workers", "2"), "exclude each other"),
        (("learn", "scenes", "--task", "depth-sr", "-o", "q.npz", "--scheduler", NOWHERE),
         "no Dask scheduler at"),
        (("restore", "scenes", "-o", "o", "--task", "depth-sr", "--scheduler", NOWHERE),
         "no Dask scheduler at"),
        (("fuse", "scenes", "-o", "o", "--task", "medical", "--scheduler", NOWHERE), "no Dask sch"),
        (("solve", "scenes", "--out", "o", "--scheduler", NOWHERE), "no Dask scheduler at"),
        (("restore", "z.zarr", "z.zarr", "-o", "o.tif", "--task", "depth-sr", "--scheduler",
          NOWHERE), "no Dask scheduler at"),
        (("learn", "scenes", "--task", "depth-sr", "-o", "q.npz", "--sigma", "5"),
         "--sigma is for denoising, not for depth-sr"),
        (("learn", "scenes", "--task", "medical", "-o", "q.npz", "--grey-guide"),
         "--grey-guide is for restorations: medical has no guide"),
        (("learn", "scenes", "--task", "multi-focus", "-o", "q.npz", "--all-channels"),
         "--all-channels is for restorations: multi-focus codes the lumas of images"),
        ((*SOLVE, "--dictionary", "no.npz"), "no dictionary file at no.npz"),
        ((*SOLVE, "--lam-weights", "no.npy"), "no file at no.npy"),
        ((*SOLVE, "--joint", "z"), "--joint z: there is no group 'z'"),
        ((*SOLVE, "--nonnegative", "common,z"), "there is no group 'z'; want 'all', or some of"),
        ((*SOLVE, "--out", "focus.npz"), "--out focus.npz is a file; want a folder"),
    ],
)  # fmt: skip
def test_before_any_image(nothing_to_read, monkeypatch, words, message):
    if NOWHERE in words:  # as long as a scheduler is asked, so long is one waited for
        cluster = pytest.importorskip("mcsc.distributed.cluster")
        monkeypatch.setattr(cluster, "_CONNECT", 0.2)
    assert_refused(words, message)


@pytest.mark.skipif(not cupy_or_reason()[1], reason="there is a GPU")
@pytest.mark.parametrize(
    "words",
    [(*RESTORE, "depth-sr"), (*FUSE, "multi-focus"), (*EVALUATE, "depth-sr"), SOLVE, LEARN],
)
def test_no_gpu_before_any_image(nothing_to_read, words):
    assert_refused((*words, "--device", "cuda"), "device='cuda' cannot be used: CuPy")


def assert_refused(words, message):
    apart = {"mix_stderr": False} if "mix_stderr" in signature(CliRunner).parameters else {}
    result = CliRunner(**apart).invoke(cli, list(words))
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    for image in ("x.png", "0.png", "a_depth.png"):
        assert image not in result.stderr
