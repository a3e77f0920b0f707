"""Measure everything that has a target, and write `results.json`, `results.md` and the pictures.

python -m benchmarks                      all of them, about 50 minutes on two idle cores
python -m benchmarks recurrent start_up   these; the others keep the rows of their last run
python -m benchmarks --quick              fewer rounds: to see that all runs, not to quote
"""

import argparse
import importlib.util
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import report
from benchmarks.fresh_process import results_of

BENCHMARKS = (
    "recurrent",
    "plain_layers",
    "convolution",
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
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
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
        rows = measured(name, arguments.quick, len(results.get(name, {}).get("rows", ())))
        print(f"{name}: {len(rows)} rows in {time.monotonic() - begun:.0f} s", flush=True)
        results[name] = {"rows": rows, "machine": machine(), "quick": arguments.quick}
        report.write(arguments.out, {n: results[n] for n in BENCHMARKS if n in results})
    missed = report.missed(results)
    print(f"{arguments.out / 'results.md'}: {len(missed)} targets missed")
    for line in missed:
        print(f"  {line}")


def measured(name: str, quick: bool, expected: int) -> list[dict[str, Any]]:
    """The rows of one benchmark; a bar shows how many of those `expected` are there."""
    rows = results_of("benchmarks.harness:rows_of", name, quick)
    try:
        return list(tqdm(rows, desc=name, unit="row", total=expected or None, leave=False))
    except RuntimeError as failure:
        sys.exit(f"{name} failed; the rows of its last run stay. {failure}")


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
