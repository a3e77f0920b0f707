"""The same model, larger and trained longer than a page can: writes longer_run.json.

python -m tutorials.language_model.longer_run                  two GRUs of 384 units, 40 passes
python -m tutorials.language_model.longer_run --passes 3       three passes now, three more the next time

A checkpoint is left after each pass: weights, optimizer, seeds, the curve. A run that was interrupted,
and one that is asked for the same again, goes on from there as if nothing had been.
"""

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

import custom_layers
from custom_layers.comparison.model_state import put_state, take_state
from custom_layers.data import DataError, TextStreams, read_text
from tutorials import character_corpus
from tutorials.language_model import learning, model
from tutorials.options import number, whole_number, writable_folder

REPORT = Path(__file__).with_name("longer_run.json")


class Settings(NamedTuple):
    """What a checkpoint belongs to: another run does not go on from it."""

    units: int = 384
    layers: int = 2
    dropout: float = 0.3
    rate: float = 2e-3
    batch: int = 32
    steps: int = 100
    epochs: int = 40
    seed: int = 0


class Checkpoint(keras.callbacks.Callback):
    """After each epoch: the state of the training and its curve, in one file that is whole or absent.

    The states kept along the streams need none: a pass begins from zero.
    """

    def __init__(self, path: Path, settings: Settings, curve: dict[str, list[float]]) -> None:
        super().__init__()
        self.path, self.settings, self.curve = path, settings, curve
        self.begun = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs = logs or {}
        now = time.monotonic()
        for name, value in (
            *(("training", logs["loss"]), ("validation", logs["val_loss"])),
            ("seconds", now - self.begun),
        ):
            self.curve[name].append(float(value))
        self.begun = now
        best = self.curve["validation"][-1] <= min(self.curve["validation"])
        told = json.dumps({"settings": self.settings._asdict(), "curve": self.curve})
        for path in [self.path, *([best_of(self.path)] if best else [])]:
            unfinished = path.with_suffix(".unfinished.npz")
            np.savez(unfinished, *take_state(self.model), told=np.array(told))
            unfinished.replace(path)


def best_of(path: Path) -> Path:
    """Where the state of the lowest validation loss lies beside the last one."""
    return path.with_name(f"best_{path.name}")


def restore(path: Path, trained: keras.Model, settings: Settings) -> dict[str, list[float]]:
    """Put a checkpoint into a compiled model; its curve, of no epoch where there is no checkpoint.

    Raises: ValueError, one line, when it is of other settings or cannot be read.
    """
    trained.optimizer.build(trained.trainable_variables)
    if not path.is_file():
        return {"training": [], "validation": [], "seconds": []}
    way_out = "Choose another --out, or remove it."
    try:
        with np.load(path) as file:
            told = json.loads(str(file["told"]))
            arrays = [file[f"arr_{n}"] for n in range(len(file.files) - 1)]
        found = told["settings"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"longer_run: a checkpoint must be readable. Received: {str(path)!r} ({error}). {way_out}"
        ) from None
    if found != settings._asdict():
        differing = ", ".join(
            f"{key}={found.get(key)}"
            for key, value in settings._asdict().items()
            if found.get(key) != value
        )
        raise ValueError(
            "longer_run: a checkpoint must be of the settings that are asked for. Received: "
            f"{str(path)!r} with {differing}. {way_out}"
        )
    put_state(trained, arrays, source_name=f"longer_run: {path}")
    return told["curve"]


def run(
    settings: Settings,
    corpus: character_corpus.Corpus,
    out: Path,
    passes: int | None = None,
    jit: bool = False,
) -> dict[str, Any]:
    """Train to the end, or for so many passes more, and measure the best weights on the held-out text.

    Returns: what longer_run.json holds.
    """
    keras.utils.set_random_seed(settings.seed)
    training, validation = (
        TextStreams(numbers, settings.batch, settings.steps) for numbers in corpus.numbers[:2]
    )
    sizes = model.Sizes(units=settings.units, layers=settings.layers)
    dropouts = model.Dropouts(fresh=settings.dropout)
    options: dict[str, Any] = {"gradient": "bptt"}
    trained = learning.compiled(
        model.build(
            custom_layers,
            len(corpus.vocabulary),
            sizes,
            settings.batch,
            dropouts=dropouts,
            **options,
        ),
        settings.rate,
        settings.epochs * training.windows,
        jit,
    )
    out.mkdir(parents=True, exist_ok=True)
    path = out / "checkpoint.npz"
    curve = restore(path, trained, settings)
    done = len(curve["training"])
    end = settings.epochs if passes is None else min(settings.epochs, done + passes)
    if done < end:
        callback = Checkpoint(path, settings, curve)
        learning.learn(trained, training, validation, end, callbacks=[callback], first_epoch=done)
    restore(best_of(path), trained, settings)
    reader = learning.compiled(  # of one row: as (1) has it, from the beginning to the end
        model.build(custom_layers, len(corpus.vocabulary), sizes, batch=1, **options), 0.0, 1, jit
    )
    reader.set_weights(trained.get_weights())
    nats = learning.nats_of(reader, corpus.numbers[2], settings.steps)
    return {
        "data": corpus.name,
        "settings": settings._asdict(),
        "passes": len(curve["training"]),
        "seconds": round(sum(curve["seconds"])),
        "nats per character, training": curve["training"][-1],
        "nats per character, validation": min(curve["validation"]),
        "nats per character, held out": nats,
        "perplexity, held out": math.exp(nats),
    }


def recorded(report: Path = REPORT) -> dict[str, float]:
    """The figure of the last whole run, by what it is of; none where no run has ended."""
    if not report.is_file():
        return {}
    told = json.loads(report.read_text(encoding="utf-8"))
    sizes = "{layers} x {units} units".format(**told["settings"])
    name = f"nats of {sizes}, {told['passes']} passes ({told['seconds'] / 60:.0f} min, recorded)"
    return {name: told["nats per character, held out"]}


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tutorials.language_model.longer_run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, value in Settings()._asdict().items():
        kind, meaning = OPTIONS[name]
        parser.add_argument(
            f"--{name}", type=kind, default=value, metavar="N", help=f"{meaning} [{value}]"
        )
    parser.add_argument(
        "--passes", type=whole_number(1), metavar="N", help="stop after so many more, for now"
    )
    parser.add_argument(
        "--xla",
        action="store_true",
        help="a step as one XLA program: on a CPU for --dropout 0 alone",
    )
    parser.add_argument("--data", type=Path, metavar="FILE", help="a text; without it Shakespeare")
    parser.add_argument(
        "--out", type=writable_folder, default="longer_run", metavar="DIR", help="for checkpoints"
    )
    parser.add_argument("--report", type=Path, default=REPORT, metavar="FILE")
    given = parser.parse_args(argv)
    settings = Settings(**{name: getattr(given, name) for name in Settings._fields})
    try:
        corpus = (
            character_corpus.corpus_of(read_text(given.data), given.data.name)
            if given.data
            else character_corpus.load()
        )
        report = run(settings, corpus, given.out, given.passes, given.xla)
    except (DataError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    text = json.dumps(report, indent=1) + "\n"
    print(text, end="")
    if report["passes"] == settings.epochs:
        given.report.write_text(text, encoding="utf-8")
    return 0


OPTIONS = {
    "units": (whole_number(1), "width of a state"),
    "layers": (whole_number(1), "recurrent layers, one above the other"),
    "dropout": (number(at_least=0, below=1), "of the connections that are not recurrent"),
    "rate": (number(above=0), "Adam's, at the beginning"),
    "batch": (whole_number(1), "streams side by side"),
    "steps": (whole_number(1), "characters of a window"),
    "epochs": (whole_number(1), "passes over the training text"),
    "seed": (whole_number(0), "of weights and dropout"),
}

if __name__ == "__main__":
    sys.exit(main())
