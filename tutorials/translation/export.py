"""Export a translator: a SavedModel from strings to strings, and a `.keras` file."""

import importlib
import json
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

FORMAT = 1  # of a SavedModel: how it is asked, and what it answers
LOAD_SCRIPT = f'''\
"""Translate with the model of this folder:  python load.py "¿dónde está mi libro?"

Needs tensorflow and tensorflow-text only. A sentence without words gives an empty line.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
import tensorflow_text  # noqa: F401  registers the text operators that the model contains

FORMAT = {FORMAT}
model = tf.saved_model.load(os.path.dirname(os.path.abspath(__file__)))
found = int(model.format()) if hasattr(model, "format") else "none"
if found != FORMAT:
    sys.exit(
        f"load.py: the SavedModel must be of format {{FORMAT}}, that of this script. "
        f"Received: {{found}}. Use the load.py that was exported with it, or export it again."
    )


def translate(texts: list[str]) -> list[str]:
    """A list of sentences -> the list of their translations."""
    translated = model.signatures["serving_default"](texts=tf.constant(texts, tf.string))
    return [text.decode() for text in translated["translations"].numpy()]


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("load.py: name at least one sentence, in quotes.")
    print("\\n".join(translate(sys.argv[1:])))
'''


def export_saved_model(translator: Any, folder: str | Path, **options: Any) -> Path:
    """Write a SavedModel whose signature takes and returns strings, with `load.py` beside it.

    Signature "serving_default": texts (batch,) -> {"translations": (batch,)}. Endpoint "format":
    the number FORMAT, so that a later version knows what it has before it. The folder is replaced
    as a whole once the new one is complete.

    Args:
        options: `method`, `beam_width`, `length_penalty` as in `Translator.decode`.

    Raises: ValueError when `folder` exists and holds something other than a SavedModel.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()) and not (folder / "saved_model.pb").exists():
        raise ValueError(
            f"export_saved_model: `folder` must be new, empty or a SavedModel. Received: {folder}. "
            "Choose another folder."
        )

    def serve(texts: Any) -> dict[str, Any]:
        return {"translations": translator.decode(texts, **options)[0]}

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as parent:
        unfinished = Path(parent) / folder.name
        archive = keras.export.ExportArchive()
        archive.track(translator)
        archive.add_endpoint(
            "serving_default", serve, input_signature=[tf.TensorSpec([None], tf.string, "texts")]
        )
        archive.add_endpoint("format", lambda: tf.constant(FORMAT), input_signature=[])
        archive.write_out(str(unfinished), verbose=False)
        (unfinished / "load.py").write_text(LOAD_SCRIPT, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.move(str(unfinished), str(folder))
    return folder


def load_saved_model(folder: str | Path) -> Any:
    """Read a SavedModel back; its `signatures["serving_default"]` takes and returns strings.

    Raises: ValueError when there is none, or one of another format than this version of the project
    writes.
    """
    if not (Path(folder) / "saved_model.pb").is_file():
        raise ValueError(
            f"load_saved_model: there is no SavedModel in {folder}. Train a translator first."
        )
    model = tf.saved_model.load(str(folder))
    found = int(model.format()) if hasattr(model, "format") else None
    if found != FORMAT:
        raise ValueError(
            f"load_saved_model: it must be of format {FORMAT}, that of this version of the project. "
            f"Received: format {found}, in {folder}. Use the load.py in that folder, or export again."
        )
    return model


def export_keras(translator: Any, path: str | Path) -> Path:
    """Write a `.keras` file: configuration, vocabularies, weights and optimizer.

    `load_translator` reads it, also in another process.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".unfinished-{path.name}")
    translator.save(str(unfinished))
    unfinished.replace(path)
    return path


def _module_of(path: str | Path) -> str:
    try:
        with zipfile.ZipFile(path) as file:
            return str(json.loads(file.read("config.json")).get("module") or "")
    except (zipfile.BadZipFile, KeyError, ValueError):
        return ""


def load_translator(path: str | Path) -> Any:
    """Read a `.keras` file back; the tutorial whose translator it holds is imported for it.

    Raises: ValueError when there is no such file, or one that no tutorial wrote.
    """
    if not Path(path).is_file():
        raise ValueError(f"load_translator: there is no file {path}. Train a translator first.")
    module = _module_of(path)
    if not module.startswith("tutorials."):
        raise ValueError(
            "load_translator: `path` must be a translator that a tutorial saved. "
            f"Received: {path}, a model of {module or 'no module'}. Use keras.models.load_model."
        )
    importlib.import_module(module)  # makes its classes known to Keras
    return keras.models.load_model(str(path))
