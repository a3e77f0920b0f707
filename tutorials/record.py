"""Run tutorials whole, keep each one's figures and picture beside it, and write the table of all.

python -m tutorials.record                    all of them that keep a report, one after the other
python -m tutorials.record gates masking      these; the table keeps what the others showed last
python -m tutorials.record --table            the table alone, from the reports that are there

A tutorial is at most ten minutes on two cores. Real data is found where CUSTOM_LAYERS_DATA points.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tutorials.page import PICTURE, RECORD_VARIABLE, REPORT, TUTORIALS

README = TUTORIALS / "README.md"
ORDER = (  # as one would read them
    *("simple_rnn", "backpropagation_through_time", "vanishing_gradients", "clipping", "gates"),
    *("bidirectional_and_stacked", "masking", "sentiment", "forecasting", "language_model"),
    *("seq2seq", "conv_lstm", "translate_time_series_of_frames"),
    *("inside_attention", "nmt_with_attention", "transformer"),
)
HEAD = """# Tutorials

One idea each: a page that runs as a script (`python -m tutorials.NAME.tutorial`, with `--fast` for a
minute) and as a notebook, trains with `keras.Model.fit`, and checks what it claims, as far as numbers
can tell. Pages run without real data, on generated data of the same shape; each row names its data.

| tutorial | what it shows | measured | |
|---|---|---|---|
"""
FOOT = """
The figures come from each tutorial's `report.json`, which `python -m tutorials.record NAME` writes anew,
and this table with it. Times are of processors, all cores added up: on two idle
cores a page takes from half of that to all of it.
"""


def names() -> list[str]:
    """The tutorials that there are, in reading order."""
    there = {path.parent.name for path in TUTORIALS.glob("*/tutorial.py")}
    return [name for name in ORDER if name in there] + sorted(there - set(ORDER))


def table() -> str:
    """`tutorials/README.md`, from the reports."""
    return HEAD + "".join(map(row, names())) + FOOT


def row(name: str) -> str:
    """A tutorial's row; of its name alone where it has left no report."""
    path = TUTORIALS / name / REPORT
    link = f"[`{name}`]({name}/tutorial.ipynb)"
    if not path.is_file():
        return f"| {link} | | | |\n"
    report = json.loads(path.read_text(encoding="utf-8"))
    figures = "<br>".join(f"{key}: {shown(value)}" for key, value in report["figures"].items())
    picture = f'<img src="{name}/{PICTURE}" width="300" alt="{name}">'
    measured = f"{figures}<br>{report['data']}, {duration(report['processor_seconds'])}"
    return f"| {link} | {report['claim']} | {measured} | {picture} |\n"


def shown(value: Any) -> str:
    """A figure as the table has it."""
    return f"{value:.4g}" if isinstance(value, float) else f"{value}"


def duration(seconds: int) -> str:
    """Such as "40 s" or "7 min"."""
    return f"{seconds} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def record(name: str) -> None:
    """Run one page whole; its report and picture replace the old ones when it has ended well."""
    with tempfile.TemporaryDirectory(prefix=f"{name}_") as folder:
        environment = {**os.environ, RECORD_VARIABLE: folder, "MPLBACKEND": "Agg"}
        environment.pop("TUTORIAL_FAST", None)
        command = [sys.executable, "-m", f"tutorials.{name}.tutorial", "--out", folder]
        subprocess.run(command, env=environment, check=True)
        if not (Path(folder) / REPORT).is_file():
            raise SystemExit(f"tutorials.record: {name} writes no report. Call PAGE.report in it.")
        for file in (REPORT, PICTURE):
            (TUTORIALS / name / file).write_bytes((Path(folder) / file).read_bytes())


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tutorials.record",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    there = names()
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(there)}")
    parser.add_argument("--table", action="store_true", help="write the table alone")
    given = parser.parse_args(argv)
    if unknown := sorted(set(given.names) - set(there)):
        parser.error(f"NAME must be one of {', '.join(there)}. Received: {', '.join(unknown)}.")
    chosen = given.names or [n for n in there if (TUTORIALS / n / REPORT).is_file()]
    failed = []
    for name in [] if given.table else tqdm(chosen, unit="tutorial"):
        try:
            record(name)
        except subprocess.CalledProcessError as error:
            failed.append(name)
            print(
                f"tutorials.record: {name} ended with status {error.returncode}; its report is "
                "still the one before",
                file=sys.stderr,
            )
    README.write_text(table(), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
