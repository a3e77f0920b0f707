"""Measure everything that has a target, and write `results.json`, `results.md` and the pictures.

python -m benchmarks                      all of them, about half an hour on two idle cores
python -m benchmarks recurrent start_up   these; the others keep the rows of their last run
python -m benchmarks --quick              fewer rounds: to see that all runs, not to quote
"""

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import report

BENCHMARKS = (
    "recurrent",
    "plain_layers",
    "vocabulary_loss",
    "truncated_bptt",
    "start_up",
    "input_pipeline",
    "time_to_loss",
)
FOLDER = Path(__file__).parent
PACKAGES = ("tensorflow", "keras", "torch", "numpy")


def main() -> None:
    """Run what was asked for, one process each, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--out", type=Path, default=FOLDER, help="(default: beside this file)")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(BENCHMARKS)
    if unknown:
        parser.error(
            f"no benchmark {', '.join(sorted(unknown))}: choose of {', '.join(BENCHMARKS)}"
        )

    results = report.read(arguments.out)
    for name in arguments.names or BENCHMARKS:
        begun = time.monotonic()
        print(f"{name} ...", end=" ", flush=True)
        rows = run(name, arguments.quick)
        print(f"{len(rows)} rows in {time.monotonic() - begun:.0f} s")
        results[name] = {"rows": rows, "machine": machine(), "quick": arguments.quick}
        report.write(arguments.out, {n: results[n] for n in BENCHMARKS if n in results})
    missed = report.missed(results)
    print(f"{arguments.out / 'results.md'}: {len(missed)} targets missed")
    for line in missed:
        print(f"  {line}")


def run(name: str, quick: bool) -> list[dict[str, Any]]:
    """The rows of one benchmark, from a process of its own: its memory and its threads are its own."""
    code = (
        "import importlib, json, sys;"
        f"rows = importlib.import_module('benchmarks.{name}').rows(quick={quick});"
        "print('ROWS ' + json.dumps([row._asdict() for row in rows]))"
    )
    environment = {"TF_CPP_MIN_LOG_LEVEL": "2", "MPLBACKEND": "Agg", **os.environ}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=FOLDER.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-4000:]}")
    line = next(line for line in done.stdout.splitlines() if line.startswith("ROWS "))
    return json.loads(line.removeprefix("ROWS "))


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES if installed(package)},
    }


def installed(package: str) -> bool:
    """Whether a package is there; none of them is imported."""
    return importlib.util.find_spec(package) is not None


def processor() -> str:
    """Its name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


if __name__ == "__main__":
    main()
