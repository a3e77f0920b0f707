"""The Transformer's command: side by side, three columns, resumed, exported."""

import json
import subprocess
import sys

import pytest

from custom_layers.data import demo_pairs
from tutorials.transformer.data import PRESETS
from tutorials.transformer.train import main


@pytest.fixture
def pair_file(tmp_path):
    pairs = demo_pairs(150)
    lines = zip(pairs.target, pairs.source, strict=True)  # English first, as in spa-eng
    path = tmp_path / "pairs.txt"
    path.write_text("".join(f"{en}\t{es}\n" for en, es in lines), encoding="utf-8")
    return path


@pytest.fixture
def small_preset(monkeypatch):
    sizes = {"num_layers": 1, "d_model": 8, "num_heads": 2, "dff": 12, "vocabulary_size": 120}
    limits = {"batch_size": 8, "held_out_limit": 8, "bleu_limit": 4, "warmup_steps": 5}
    monkeypatch.setitem(PRESETS, "quick", PRESETS["quick"]._replace(**sizes, **limits))


def run(*arguments):
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as stopped:
        return stopped.code


def test_help_and_bad_input(capsys, tmp_path):
    assert run("--help") == 0
    text = capsys.readouterr().out
    for part in ("--layers all", "keras_hub", "default: both", "exit status:"):
        assert part in text
    assert run("--check", "--layers", "keras_hub", "--logdir", tmp_path) == 2
    assert "--check compares models" in capsys.readouterr().err


@pytest.mark.slow
def test_three_columns_are_equal_and_everything_is_written(
    small_preset, pair_file, tmp_path, capsys
):
    log = tmp_path / "log"
    shared = ["--data", pair_file, "--logdir", log, "--layers", "all"]
    looked_at = ["--inspect-every", 3, "--translate", "Ana canta."]
    assert run(*shared, "--steps", 6, "--check", *looked_at) == 0
    output = capsys.readouterr().out
    assert "all are equal within the tolerances" in output
    losses = json.loads((log / "report.json").read_text())["record"]["losses"]
    assert set(losses) == {"builtin", "custom", "keras_hub"}
    for name in losses:
        assert (log / name / "translator.keras").is_file()
        assert losses[name] == pytest.approx(losses["builtin"], abs=2e-5)
    for picture in ("attention_1", "heads_1_encoder", "heads_1_decoder", "heads_1_cross"):
        assert (log / "pictures" / f"{picture}.png").stat().st_size > 3000

    assert run(*shared, "--steps", 8, "--resume", "--inspect-every", 0) == 0
    resumed = json.loads((log / "report.json").read_text())["record"]["losses"]
    assert resumed["custom"][:6] == losses["custom"]
    assert len(resumed["custom"]) == 8

    capsys.readouterr()
    asked = ["--steps", 0, "--logdir", log, "--layers", "custom", "--translate", "Ana canta."]
    assert run(*asked) == 0
    answer = capsys.readouterr().out.splitlines()[-2].split("  ")[-1].strip()
    script = log / "custom" / "saved_model" / "load.py"
    done = subprocess.run(
        [sys.executable, str(script), "Ana canta."],
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=180,
    )
    assert done.stdout.strip() == answer
