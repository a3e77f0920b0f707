"""Exports of the translator answer in a fresh process as the translator itself does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import custom_layers
from custom_layers.data import demo_pairs
from tutorials.nmt_with_attention.model import build_translator
from tutorials.translation.export import (
    LOAD_SCRIPT,
    export_keras,
    export_saved_model,
    load_saved_model,
    load_translator,
)
from tutorials.translation.text import learn_vocabulary

ROOT = Path(__file__).parents[2]
TEXTS = ["¿Dónde está mi libro?", "La niña no trabajó.", "La madre de Luis canta."]


@pytest.fixture
def translator():
    pairs = demo_pairs(300)
    keras.utils.set_random_seed(3)
    model = build_translator(
        custom_layers,
        learn_vocabulary(pairs.source, 300),
        learn_vocabulary(pairs.target, 300),
        units=8,
    )
    model.max_words = model.config["max_words"] = 6
    random = np.random.default_rng(0)
    model.set_weights([random.normal(0, 1.5, w.shape) for w in model.get_weights()])
    model.decoder.output_layer.bias.assign(np.zeros(len(model.config["target_vocabulary"])))
    return model


def run_python(*arguments, folder):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONIOENCODING": "utf-8"}
    environment["PYTHONPATH"] = str(ROOT)
    finished = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=180,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    return finished.stdout


@pytest.mark.parametrize("method", ["greedy", pytest.param("beam", marks=pytest.mark.slow)])
def test_saved_model_answers_the_same(translator, tmp_path, method):
    folder = export_saved_model(translator, tmp_path / "saved_model", method=method)
    expected = translator.translate(TEXTS, method=method)
    assert len(set(expected)) == 3
    if method == "greedy":  # the command in a fresh process, one sentence without words among them
        printed = run_python(str(folder / "load.py"), *TEXTS, "", folder=tmp_path)
        assert printed.split("\n")[:4] == [*expected, ""]
    else:
        serve = load_saved_model(folder).signatures["serving_default"]
        answers = serve(texts=tf.constant(TEXTS))["translations"].numpy()
        assert [answer.decode() for answer in answers] == expected


def test_keras_file_answers_the_same_in_a_fresh_process(translator, tmp_path):
    path = export_keras(translator, tmp_path / "translator.keras")
    program = (
        "import json, sys\n"
        "from tutorials.translation.export import load_translator\n"
        "translator = load_translator(sys.argv[1])\n"
        "answers = translator.translate(json.loads(sys.argv[2]), method='beam')\n"
        "print(json.dumps([translator.config['layers'], answers]))\n"
    )
    printed = run_python("-c", program, str(path), json.dumps(TEXTS), folder=tmp_path)
    namespace, answers = json.loads(printed.strip().splitlines()[-1])
    assert namespace == "custom_layers"
    assert answers == translator.translate(TEXTS, method="beam")


def test_an_export_replaces_its_own_kind_only(translator, tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="`folder` must be new, empty or a SavedModel"):
        export_saved_model(translator, folder)
    assert (folder / "thesis.txt").read_text() == "years of work"
    with pytest.raises(ValueError, match="Train a translator first"):
        load_translator(tmp_path / "missing.keras")


def test_a_saved_model_of_another_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match="load_saved_model: there is no SavedModel in"):
        load_saved_model(tmp_path)
    for found in (None, 2):
        archive = tf.Module()
        if found:
            archive.format = tf.function(lambda found=found: tf.constant(found), input_signature=[])
        folder = tmp_path / f"format-{found}"
        tf.saved_model.save(archive, str(folder))
        with pytest.raises(
            ValueError, match=rf"of format 1,.*Received: format {found}, in .*load\.py"
        ):
            load_saved_model(folder)
        (folder / "load.py").write_text(LOAD_SCRIPT, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, str(folder / "load.py"), "hola"], capture_output=True, check=False
        )
        assert done.returncode == 1
        assert b"load.py: the SavedModel must be of format 1" in done.stderr.splitlines()[-1]
