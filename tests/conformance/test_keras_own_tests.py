"""Keras's unit tests, as its package ships them, run on our classes in place of Keras's.

`python -m tests.conformance.test_keras_own_tests` prints how many there are of each outcome.
"""

import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import keras
import pytest

from tests.conformance.keras_tests_not_passed import NOT_PASSED
from tests.conformance.swap_in import MODULES

REPOSITORY = pathlib.Path(__file__).parents[2]
PYTEST = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull]
KERAS_LAYERS = pathlib.Path(keras.__file__).parent / "src" / "layers"


def run_keras_tests(modules: list[str]) -> dict[str, str]:
    """Outcome by test: passed, failed, skipped or out of scope (quantization and LoRA)."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "outcomes.json"
        files = [str(KERAS_LAYERS / f"{name.replace('.', '/')}_test.py") for name in modules]
        path = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
        plugins = ["-p", "tests.conformance.swap_in", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*PYTEST, *plugins, f"--rootdir={KERAS_LAYERS}", *files],
            env={**os.environ, "SWAP_IN_REPORT": str(report), "PYTHONPATH": path},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert report.exists(), done.stdout + done.stderr
        return json.loads(report.read_text())


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="run on TensorFlow")
@pytest.mark.parametrize("module", MODULES)
def test_keras_own_tests_pass_on_our_class(module):
    outcomes = run_keras_tests([module])
    failed = {name for name, outcome in outcomes.items() if outcome == "failed"}
    listed = {name for name in NOT_PASSED if name.startswith(module.replace(".", "/") + "_test")}
    assert failed == listed  # an entry that passes by now must leave the list
    assert "passed" in outcomes.values()


def test_every_failure_on_the_list_has_a_reason():
    assert all(len(reason.split()) > 5 for reason in NOT_PASSED.values())


if __name__ == "__main__":
    print(dict(collections.Counter(run_keras_tests(list(MODULES)).values())))
