"""The tutorial of the NMT translator: it runs, its claims hold, its notebook is up to date."""

import runpy
from pathlib import Path

import jupytext
import pytest

FOLDER = Path(__file__).parents[2] / "tutorials" / "nmt_with_attention"


@pytest.mark.slow
def test_tutorial_runs_and_its_claims_hold(monkeypatch, tmp_path):
    monkeypatch.setenv("TUTORIAL_FAST", "1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    runpy.run_path(str(FOLDER / "tutorial.py"), run_name="__main__")["check"]()


def test_notebook_is_built_from_the_script():
    def cells(name):
        notebook = jupytext.read(FOLDER / name)
        return [(cell.cell_type, cell.source) for cell in notebook.cells]

    assert cells("tutorial.ipynb") == cells("tutorial.py"), (
        "build it anew: jupytext --to ipynb tutorials/nmt_with_attention/tutorial.py"
    )


def test_notebook_holds_no_outputs():
    notebook = jupytext.read(FOLDER / "tutorial.ipynb")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) > 15
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
