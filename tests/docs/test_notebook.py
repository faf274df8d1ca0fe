"""A page of the gallery as a notebook: it runs, shows progress, and can be interrupted."""

from __future__ import annotations

import asyncio

import pytest

from tests.paths import ROOT

nbformat = pytest.importorskip("nbformat")
NotebookClient = pytest.importorskip("nbclient").NotebookClient

pytestmark = pytest.mark.slow

LONG = """\
import numpy as np, mcsc
rng = np.random.default_rng(0)
images = tuple(rng.standard_normal((2, 1, 200, 200)))
dictionary = mcsc.dct_dictionary((1, 1))
result = mcsc.solve(images, dictionary, 0.05, tol=1e-9, progress=True)
"""


def text_of(cell):
    return "".join(str(o.get("text", "")) + str(o.get("data", "")) for o in cell.outputs)


@pytest.mark.filterwarnings("default")
def test_the_first_page_runs(tmp_path):
    code = (ROOT / "docs" / "gallery" / "plot_01_decomposition.py").read_text()
    code = code.replace("128, 160", "48, 48").replace("tol=1e-4", "tol=1e-2, progress=True")
    cells = [nbformat.v4.new_code_cell(part) for part in code.split("# %%\n")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    said = "".join(text_of(cell) for cell in notebook.cells)
    assert "certified relative gap" in said
    assert "image/png" in said


@pytest.mark.filterwarnings("default")
def test_an_interrupt_stops_a_solve_and_keeps_what_there_is(tmp_path):
    cells = [LONG, "print(result.stopped, result.converged, result.gap <= 1)"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])

    async def session():
        client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}})
        async with client.async_setup_kernel():
            running = asyncio.ensure_future(
                client.async_execute_cell(notebook.cells[0], 0, execution_count=1)
            )
            for _ in range(1200):
                await asyncio.sleep(0.1)
                if notebook.cells[0].outputs:  # the bar is there: the solver is at work
                    break
            await asyncio.sleep(1)
            await client.km.interrupt_kernel()
            await running
            await client.async_execute_cell(notebook.cells[1], 1, execution_count=2)

    asyncio.run(session())
    assert "working-set" in text_of(notebook.cells[0])
    assert "interrupt" in text_of(notebook.cells[1])
    assert "False True" in text_of(notebook.cells[1])
