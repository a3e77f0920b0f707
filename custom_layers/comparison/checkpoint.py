"""Checkpoints of a comparison: all models, the place in the data and the curves so far.

    <folder>/step-00000200/record.json        curves, position, measurements
    <folder>/step-00000200/<name>.npz         variables of one model and its optimizer, in order

A checkpoint is written beside the last one and takes its name when it is complete; only then is the
one before removed. A run that is killed at any moment leaves one whole checkpoint.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from custom_layers.comparison.model_state import put_state, take_state
from custom_layers.comparison.record import Record

PREFIX = "step-"
UNFINISHED = ".unfinished"


def save_checkpoint(folder: Path, models: Mapping[str, keras.Model], record: Record) -> Path:
    """Write a checkpoint, remove older ones, and return its path."""
    path = folder / f"{PREFIX}{record.step:08d}"
    unfinished = path.with_name(path.name + UNFINISHED)
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for name, model in models.items():
        np.savez(unfinished / f"{name}.npz", *take_state(model))
    (unfinished / "record.json").write_text(json.dumps(record.to_dict()), encoding="utf-8")
    shutil.rmtree(path, ignore_errors=True)
    unfinished.rename(path)
    for other in folder.glob(f"{PREFIX}*"):
        if other != path:
            shutil.rmtree(other, ignore_errors=True)
    return path


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint in a folder; None when there is none."""
    found = [p for p in folder.glob(f"{PREFIX}*") if not p.name.endswith(UNFINISHED)]
    return max(found, default=None)


def load_checkpoint(path: Path, models: Mapping[str, keras.Model]) -> Record:
    """Put the state of a checkpoint into the models and return its record.

    Raises: ValueError when the checkpoint is damaged or belongs to other models.
    """
    try:
        record = Record.from_dict(json.loads((path / "record.json").read_text(encoding="utf-8")))
        arrays: dict[str, list[np.ndarray]] = {}
        for name in record.names:
            with np.load(path / f"{name}.npz") as file:
                arrays[name] = [file[f"arr_{i}"] for i in range(len(file.files))]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"compare: the checkpoint {path} cannot be read ({error}). Remove it to start anew."
        ) from error
    if record.names != list(models):
        raise ValueError(
            f"compare: the checkpoint {path} is of the models {record.names}. Received: "
            f"{list(models)}. Resume with the same `namespaces`, or choose another folder."
        )
    for name, model in models.items():
        put_state(model, arrays[name], source_name=f"compare: checkpoint {path} of {name}")
    return record
