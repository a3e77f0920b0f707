"""The page on back-propagation through time: it runs, its claims hold, its notebook is up to date."""

import runpy
from pathlib import Path

import jupytext

FOLDER = Path(__file__).parents[2] / "tutorials" / "backpropagation_through_time"


def test_tutorial_runs_and_its_claims_hold(monkeypatch, tmp_path):
    """Seconds: it needs no data and trains nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    runpy.run_path(str(FOLDER / "tutorial.py"), run_name="__main__")["check"]()
    assert len(list(tmp_path.glob("*/gradients.png"))) == 1


def test_notebook_is_built_from_the_script_and_holds_no_outputs():
    script, notebook = (jupytext.read(FOLDER / f"tutorial.{ext}") for ext in ("py", "ipynb"))
    assert [(c.cell_type, c.source) for c in notebook.cells] == [
        (c.cell_type, c.source) for c in script.cells
    ], "build it anew: jupytext --to ipynb tutorials/backpropagation_through_time/tutorial.py"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) > 10
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
