"""Parts of the networks' benchmarks that have an answer to check."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.common import network_plots
from benchmarks.common.results import save
from benchmarks.networks import ablations, growth, unrolling
from benchmarks.pages import when
from mcsc.tasks.task import TASKS


def test_exponent_is_the_slope():
    assert growth.exponent([1, 10, 100], [3.0, 3e2, 3e4]) == pytest.approx(2)
    assert growth.exponent([4], [1.0]) is None
    assert growth.exponent([4, 8], [1.0, 0.0]) is None  # of memory that could not be seen


def test_counts_of_parameters_are_those_of_table_7():
    for blocks, thousands in ablations.PAPERS_SIZES.items():
        found = ablations.parameters({**ablations.PAPERS, "blocks": blocks})
        assert found["filters"] == 32_768 * (blocks + 1)
        assert thousands == 33 * (blocks + 1)  # 32,768 rounded before it was multiplied
        assert found["all"] == found["filters"] + 3 * (blocks + 1)


@pytest.mark.parametrize("size", [3, 4, 8])
def test_cosines(size):
    bank = ablations.cosines(size, 16, 0)
    assert bank.shape == (16, 1, size, size)
    np.testing.assert_allclose((bank**2).sum(axis=(1, 2, 3)), 1)
    np.testing.assert_allclose(bank[1:].mean(axis=(2, 3)), 0, atol=1e-12)


def test_ablated_networks_start_from_the_same_filters():
    options = {**ablations.PAPERS, "filters": 3, "blocks": 1}
    plain, ablated = (
        ablations.make({**options, "residual": residual}, "dictionary", 0).state_dict()
        for residual in (True, False)
    )
    assert plain.keys() == ablated.keys()
    assert all(plain[key].equal(ablated[key]) for key in plain)


@pytest.mark.slow
def test_bridge_holds_on_the_tasks_own_signals():
    """The untrained network and one sweep of the alternation make the same codes."""
    scene = unrolling.find_scene(TASKS["depth-sr"], 32)
    signals, lam = scene.problem()
    with unrolling.torch.inference_mode():
        codes, _ = unrolling._from_dictionary(scene, signals, lam, 4)

    def make():
        return unrolling.mcsc.Problem(signals, scene.dictionary, lam, boundary="zero")

    swept, _ = unrolling._one_sweep(make)
    np.testing.assert_allclose(codes.common, swept.common, atol=1e-5)
    for one, other in zip(codes.unique, swept.unique, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert swept.nnz > 0


def test_picture_of_when(tmp_path, capsys):
    row = {"seconds": 0.5, "measures": {"PSNR": 30.0}}
    rows = [
        {**row, "method": "working-set", "gap": 0.1},
        {**row, "method": "fista", "gap": None, "seconds": 9.0},
        {**row, "method": "one sweep"},
        {**row, "method": "CU-Net, J = 4, untrained", "blocks": 4, "measures": {"PSNR": 20.0}},
        {**row, "method": "CU-Net, trained", "blocks": 4, "trained": True},
    ]
    task = {
        "task": "flash-denoise", "shape": (64, 64), "rows": rows,
        "measure": {"name": "PSNR", "larger_is_better": True},
        "baseline": {"method": "input", "measures": {"PSNR": 1.0}},
    }  # fmt: skip
    path = save("unrolling", {}, {"tasks": [task]}, command="", seconds=1, load=0, out=tmp_path)
    arguments = ["--results", str(path), "--out", str(tmp_path / "when.png")]
    assert when.main([*arguments, "--tasks", "flash-denoise"]).read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(SystemExit):
        when.main([*arguments, "--tasks", "medical"])
    assert "has no medical" in capsys.readouterr().err
    with pytest.raises(ValueError, match="there are no results of medical"):
        network_plots.unrolling({"tasks": [task]}, tmp_path / "x.png", ["medical"])
