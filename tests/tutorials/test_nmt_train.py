"""The training command: bad input is one line and status 2; results lie where it says."""

import json
import re

import pytest

from custom_layers.data import demo_pairs
from tests.debugging.logs import steps_looked_at
from tutorials.nmt_with_attention.job import PRESETS
from tutorials.nmt_with_attention.train import main
from tutorials.translation import job


@pytest.fixture
def pair_file(tmp_path):
    pairs = demo_pairs(150)
    lines = zip(pairs.target, pairs.source, strict=True)  # English first, as in spa-eng
    path = tmp_path / "pairs.txt"
    path.write_text("".join(f"{en}\t{es}\n" for en, es in lines), encoding="utf-8")
    return path


def run(*arguments):
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as stopped:
        return stopped.code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layers", "keras"], "argument --layers: invalid choice: 'keras'"),
        (["--preset", "best"], "argument --preset: invalid choice: 'best'"),
        (["--attention", "self"], "argument --attention: invalid choice: 'self'"),
        (["--steps", "many"], "argument --steps: must be a whole number of at least 0"),
        (["--beam", "0"], "argument --beam: must be a whole number of at least 1"),
        (
            ["--inspect-every", "-1"],
            "argument --inspect-every: must be a whole number of at least 0",
        ),
        (["--seed", "-1"], "argument --seed: must be a whole number of at least 0"),
        (["--unknown"], "unrecognized arguments: --unknown"),
        (["--logdir", "{file}"], "--logdir must be a folder to write to"),
        (["--check", "--layers", "custom"], "--check compares models"),
        (["--steps", "0"], "--steps 0 trains nothing. Add --translate TEXT"),
        (["--translate", " 12 "], "--translate needs a sentence with a letter"),
        (["--steps", "0", "--translate", "hola"], "there is no translator"),
        (["--data", "{folder}/missing.txt"], "missing.txt"),
        (["--data", "{folder}/empty.txt"], "empty.txt"),
        (["--data", "{folder}/few.txt"], "pairs"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments, message, tmp_path, capsys):
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "few.txt").write_text("Go.\tVe.\nHi.\tHola.\n")
    places = {"file": tmp_path / "empty.txt", "folder": tmp_path}
    arguments = [argument.format(**places) for argument in arguments]
    if "--logdir" not in arguments:
        arguments += ["--logdir", tmp_path / "log"]
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(r"train: error: [^\n]+\n", error), error
    assert message in error


def test_help_shows_examples_and_defaults(capsys):
    assert run("--help") == 0
    text = capsys.readouterr().out
    for part in ("examples:", "--steps 0 --translate", "default: both", "exit status:"):
        assert part in text


@pytest.fixture
def small_preset(monkeypatch):
    preset = PRESETS["quick"]._replace(
        units=6, vocabulary_size=300, batch_size=8, held_out_limit=8, bleu_limit=4
    )
    monkeypatch.setitem(PRESETS, "quick", preset)


def losses_in(folder, name):
    return json.loads((folder / "report.json").read_text())["record"]["losses"][name]


@pytest.mark.slow
def test_one_model_by_fit_resumes_and_answers(small_preset, pair_file, tmp_path, capsys):
    shared = ["--layers", "custom", "--data", pair_file]
    assert run(*shared, "--steps", 6, "--logdir", tmp_path / "whole", "--beam", 2) == 0
    assert run(*shared, "--steps", 6, "--logdir", tmp_path / "again") == 0
    losses = losses_in(tmp_path / "whole", "custom")
    assert len(losses) == 6
    assert losses_in(tmp_path / "again", "custom") == losses
    assert (tmp_path / "whole" / "custom" / "saved_model" / "load.py").is_file()
    assert list((tmp_path / "whole" / "custom").glob("events.out.tfevents.*"))
    assert (tmp_path / "whole" / "pictures" / "attention_1.png").stat().st_size > 5000

    assert run(*shared, "--steps", 8, "--resume", "--logdir", tmp_path / "again") == 0
    resumed = losses_in(tmp_path / "again", "custom")
    assert resumed[:6] == losses
    assert len(resumed) == 8

    capsys.readouterr()
    asked = ["--steps", 0, "--logdir", tmp_path / "again", "--layers", "custom"]
    assert run(*asked, "--translate", "Ana canta.", "--translate", "qwrt") == 0
    output = capsys.readouterr()
    assert "Ana canta." in output.out
    assert "train: warning: translate: no word of 'qwrt'" in output.err


@pytest.mark.slow
def test_both_side_by_side_pass_the_check_and_ctrl_c_keeps_a_checkpoint(
    small_preset, pair_file, tmp_path, capsys, monkeypatch
):
    shared = ["--data", pair_file, "--logdir", tmp_path / "log"]
    options = ["--check", "--inspect-every", 2, "--translate", "Ana canta."]
    assert run(*shared, "--steps", 5, *options) == 0
    output = capsys.readouterr().out
    assert "all are equal within the tolerances" in output
    assert f"tensorboard --logdir {tmp_path / 'log'}" in output
    report = (tmp_path / "log" / "report.md").read_text()
    assert "## Held-out sentences" in report
    assert "![attention](pictures/attention_1.png)" in report
    for name in ("builtin", "custom"):
        assert (tmp_path / "log" / name / "translator.keras").is_file()

    monkeypatch.setattr(job.ComparisonReport, "check", lambda self, **_: ["a difference"])
    assert run(*shared, "--steps", 7, "--resume", "--check", "--inspect-every", 2) == 1
    for name in ("builtin", "custom"):
        assert steps_looked_at(tmp_path / "log" / name) == [0, 2, 4, 6]
    assert "check: a difference" in capsys.readouterr().out

    def stopped(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "finish", stopped)
    assert run(*shared, "--steps", 7, "--resume") == 130
    assert "checkpoints/both/step-00000007. Go on with --resume" in capsys.readouterr().out
