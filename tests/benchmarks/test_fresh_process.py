"""A function in a Python of its own: its results one by one, and what is told when it fails."""

import os
import subprocess
import sys

import pytest

from benchmarks import __main__ as command
from benchmarks.fresh_process import results_of


def counted(until, step=1):
    """Called in the other process."""
    print("RESULT of something else")
    for number in range(0, until, step):
        yield {"number": number, "process": os.getpid(), "said": os.environ.get("SAID")}


def failing(word):
    yield 1
    raise ValueError(word)


HERE = "tests.benchmarks.test_fresh_process"


def test_results_come_from_one_other_process_with_its_arguments_and_variables():
    found = list(results_of(f"{HERE}:counted", 5, 2, environment={"SAID": "yes"}))
    assert [result["number"] for result in found] == [0, 2, 4]
    assert {result["said"] for result in found} == {"yes"}
    assert len({result["process"] for result in found} - {os.getpid()}) == 1


def test_a_failure_keeps_what_came_before_and_tells_the_last_words():
    results = results_of(f"{HERE}:failing", "for want of a nail")
    assert next(results) == 1
    with pytest.raises(RuntimeError, match=r"status 1:(.|\n)*ValueError: for want of a nail"):
        next(results)


def test_the_command_ends_with_a_status_and_keeps_the_rows_of_the_last_run(monkeypatch, tmp_path):
    def fail(*arguments):
        yield {"group": "g"}
        raise RuntimeError("out of nails")

    monkeypatch.setattr(command, "results_of", fail)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "start_up", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"start_up failed; .* out of nails"):
        command.main()
    assert not list(tmp_path.iterdir())


def test_a_name_that_no_benchmark_has_is_refused():
    given = [sys.executable, "-m", "benchmarks", "recurent"]
    root = command.FOLDER.parent
    done = subprocess.run(given, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no benchmark recurent: choose of recurrent, plain_layers," in done.stderr
