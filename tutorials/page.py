"""What every tutorial's page uses, be it run as a script or as a notebook.

    PAGE = page.begin("gates", "What a gate does, and what a peephole sees.")
    PAGE.fast                        small data, few steps; `--fast`, or TUTORIAL_FAST=1
    PAGE.show(PAGE.out / "x.png")    a picture in the notebook; as a script, where it lies
    PAGE.report(claim, figures)      the page's figures, as a table and as report.json

`python -m tutorials.record gates` runs the whole page and keeps its report and its picture beside it,
where `tutorials/README.md` shows them.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import keras

from tutorials.options import writable_folder
from tutorials.untuned_data import tune_no_iterators

TUTORIALS = Path(__file__).parent
REPORT, PICTURE = "report.json", "picture.png"
RECORD_VARIABLE = "TUTORIAL_RECORD"  # a folder: where a page leaves its report and its picture
BEGUN = time.monotonic()


def show(path: Path) -> None:
    """A picture in the notebook; as a script, the place where it lies."""
    if "ipykernel" in sys.modules:
        from IPython.display import Image, display

        display(Image(str(path)))
    else:
        print(f"picture: {path}")


class Page(NamedTuple):
    """One run of a page.

    name: the tutorial's folder. fast: whether to take small data and few steps. out: where pictures go.
    """

    name: str
    fast: bool
    out: Path

    def show(self, path: Path) -> None:
        """As the function `show`."""
        show(path)

    def report(
        self, claim: str, figures: Mapping[str, object], picture: Path, data: str = "generated"
    ) -> Path:
        """Print the figures, and write them to report.json.

        Args:
            claim: one sentence, what the page shows.
            figures: by what was measured, with its unit; numbers or short texts.
            picture: the one to look at first.
            data: what was learned from.

        Returns: the report's path.
        """
        report = {
            "claim": claim,
            "figures": dict(figures),
            "data": data,
            "fast": self.fast,
            "seconds": round(time.monotonic() - BEGUN),
            "processor_seconds": round(time.process_time()),  # of all cores, whatever else they do
            "machine": {
                "cores": os.cpu_count(),
                "keras": keras.__version__,
                "backend": keras.backend.backend(),
                "python": platform.python_version(),
            },
        }
        width = max(map(len, figures), default=0)
        print(f"{self.name}, {data}: {claim}")
        for name, value in figures.items():
            print(
                f"  {name:{width}}  {value:.4g}"
                if isinstance(value, float)
                else f"  {name:{width}}  {value}"
            )
        folder = Path(os.environ.get(RECORD_VARIABLE) or self.out)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / REPORT
        path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        if picture.resolve() != (folder / PICTURE).resolve():
            shutil.copyfile(picture, folder / PICTURE)
        return path


def begin(name: str, about: str) -> Page:
    """Read the command line, if the page runs as a script; and tune no data that `fit` reads.

    Args:
        name: the tutorial's folder.
        about: one sentence for `--help`.
    """
    fast, out = os.environ.get("TUTORIAL_FAST") == "1", None
    script = Path(sys.argv[0])
    if (script.stem, script.parent.name) == ("tutorial", name):
        parser = argparse.ArgumentParser(
            prog=f"python -m tutorials.{name}.tutorial",
            description=f"{about} The whole page takes at most ten minutes on two cores.",
            epilog="The folder that CUSTOM_LAYERS_DATA names holds real data; without it the page "
            "makes data of the same shape, and says so.",
        )
        parser.add_argument("--fast", action="store_true", help="small data, few steps: a minute")
        parser.add_argument(
            "--out", type=writable_folder, metavar="DIR", help="folder for the pictures"
        )
        given = parser.parse_args()
        fast, out = fast or given.fast, given.out
    tune_no_iterators()
    if out is None:
        out = Path(tempfile.mkdtemp(prefix=f"{name}_"))
    return Page(name, fast, out)
