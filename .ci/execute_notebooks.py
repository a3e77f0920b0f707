"""Execute every tutorial's notebook once, in a scratch folder, and fail with the cell that fails.

Two at a time: most of a page on small data is Python that makes graphs, on one core.

Usage: python .ci/execute_notebooks.py [NOTEBOOK ...]
"""

import concurrent.futures
import os
import pathlib
import sys
import tempfile
import time

import nbclient
import nbclient.exceptions
import nbformat

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]


def main(paths: list[str]) -> int:
    """Run the notebooks named, or all, on small data: the same code, fewer steps."""
    os.environ.setdefault("TUTORIAL_FAST", "1")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    notebooks = [pathlib.Path(p).resolve() for p in paths] or sorted(
        REPOSITORY.glob("tutorials/*/*.ipynb")
    )
    with concurrent.futures.ProcessPoolExecutor(max_workers=2) as pool:
        ran = list(pool.map(execute, notebooks))
    return 0 if all(ran) else 1


def execute(path: pathlib.Path) -> bool:
    """Run one notebook; say how many cells ran and how long, or what the failing one says."""
    begun = time.monotonic()
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        try:
            nbclient.NotebookClient(notebook, timeout=900, resources=resources).execute()
        except nbclient.exceptions.CellExecutionError as error:
            print(f"{path.relative_to(REPOSITORY)}: {error}", file=sys.stderr, flush=True)
            return False
    cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    seconds = time.monotonic() - begun
    print(f"{path.relative_to(REPOSITORY)}: {cells} code cells ran in {seconds:.0f} s", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
