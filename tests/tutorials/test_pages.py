"""Every tutorial's page: it runs, its claims hold, its notebook is up to date."""

import runpy
from pathlib import Path

import jupytext
import pytest

TUTORIALS = Path(__file__).parents[2] / "tutorials"
PAGES = sorted(path.parent for path in TUTORIALS.glob("*/tutorial.py"))
FIRST = {"picture"}  # the one that a page's report shows
PICTURES = {  # what a page without a report draws into its own folder
    "backpropagation_through_time": {"gradients"},
    "inside_attention": {"by_hand", "queries_and_keys", "scale", "alignments"},
    "nmt_with_attention": set(),
    "transformer": {"places", "learning_rate", "encoder", "decoder", "cross"},
}
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pytest.mark.slow
@every_page
def test_page_runs_and_its_claims_hold(page, monkeypatch, tmp_path):
    monkeypatch.setenv("TUTORIAL_FAST", "1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    runpy.run_path(str(page / "tutorial.py"), run_name="__main__")["check"]()
    assert {path.stem for path in tmp_path.glob("*/*.png")} >= PICTURES.get(page.name, FIRST)


@every_page
def test_notebook_is_built_from_the_script_and_holds_no_outputs(page):
    script, notebook = (jupytext.read(page / f"tutorial.{ext}") for ext in ("py", "ipynb"))
    assert [(c.cell_type, c.source) for c in notebook.cells] == [
        (c.cell_type, c.source) for c in script.cells
    ], f"build it anew: jupytext --update --to ipynb tutorials/{page.name}/tutorial.py"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) > 10
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
