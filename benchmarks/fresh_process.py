"""A function in a Python of its own: what ran before it moves neither its memory nor its threads.

for row in results_of("benchmarks.truncated_bptt:peaks", [1_000, 2_000]):
    ...
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

MARK = "\x1eRESULT "  # begins a line that holds a result; TensorFlow prints lines as well
LAST_WORDS = 4000  # characters of a failure


def results_of(
    function: str, *arguments: Any, environment: Mapping[str, str] | None = None
) -> Iterator[Any]:
    """What the generator function "module:name" yields for the arguments, each as soon as it is there.

    Arguments and results travel as JSON.

    Args:
        environment: variables of the process, besides those of this one.

    Raises: RuntimeError with the last of what the process printed, when it fails.
    """
    given = {"TF_CPP_MIN_LOG_LEVEL": "2", "MPLBACKEND": "Agg", **os.environ, **(environment or {})}
    command = [sys.executable, "-m", __name__, function, json.dumps(arguments)]
    root = Path(__file__).parent.parent
    with tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen(
            command, cwd=root, env=given, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith(MARK):
                    yield json.loads(line.removeprefix(MARK))
        if process.returncode:
            errors.seek(0)
            last = errors.read()[-LAST_WORDS:]
            raise RuntimeError(f"{function} ended with status {process.returncode}:\n{last}")


def main() -> None:
    """In the new process: call, and print what comes."""
    function, arguments = sys.argv[1:]
    module, _, name = function.partition(":")
    for result in getattr(importlib.import_module(module), name)(*json.loads(arguments)):
        print(MARK + json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
