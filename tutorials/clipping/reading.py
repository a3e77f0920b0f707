"""A network that reads characters, trained with and without clipping, and watched."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from custom_layers.data import TextStreams
from custom_layers.debugging import GradientInspector, InspectedTraining
from custom_layers.debugging.tables import read_log
from tutorials.character_corpus import Corpus
from tutorials.side_by_side import BatchLosses

BATCH, STEPS, UNITS = 32, 50, 64
LAST = 50  # batches, whose mean loss a run is judged by


class Windows(NamedTuple):
    """Characters, and each one's next, (windows, STEPS) both; how many different ones there are."""

    x: np.ndarray
    y: np.ndarray
    letters: int

    def first(self, batches: int) -> "Windows":
        """So many batches, from the beginning."""
        return self._replace(x=self.x[: BATCH * batches], y=self.y[: BATCH * batches])


def windows(corpus: Corpus, batches: int) -> Windows:
    """So many batches of windows, drawn from the text."""
    streams = TextStreams(corpus.numbers[0], BATCH, STEPS)
    x, y = zip(*map(streams.window, range(streams.windows)), strict=True)
    drawn = np.random.default_rng(0).integers(0, BATCH * streams.windows, BATCH * batches)
    return Windows(np.concatenate(x)[drawn], np.concatenate(y)[drawn], len(corpus.vocabulary))


class Sayings(logging.Handler):
    """Keeps what the inspector says in words, as lines."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class Reader(InspectedTraining, keras.Model):
    """A model whose training steps the inspector can look into."""


class Run(NamedTuple):
    """A training.

    losses: (batches,), nats per character. before, after: (batches,), the norm of all gradients
    together before and after clipping; said: what the inspector said of them. Where nobody looked, all
    three are empty.
    """

    losses: np.ndarray
    before: np.ndarray
    after: np.ndarray
    said: list[str]

    @property
    def cut(self) -> float:
        """Share of the steps whose gradient was clipped."""
        return float(np.mean(self.after < self.before * (1 - 1e-6)))

    @property
    def end(self) -> float:
        """Mean loss of the last batches."""
        return float(self.losses[-LAST:].mean())


def reader(layers: Any, letters: int, optimizer: Any, seed: int = 0) -> Reader:
    """A plain recurrent network, compiled; the same weights for the same seed."""
    keras.utils.set_random_seed(seed)
    characters = layers.Input((None,), dtype="int32")
    x = layers.Embedding(letters, 32, name="embedding")(characters)
    x = layers.SimpleRNN(UNITS, return_sequences=True, name="memory")(x)
    model = Reader(characters, layers.Dense(letters, name="logits")(x))
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def train(
    layers: Any, text: Windows, optimizer: Any, log_dir: Path | None = None, seed: int = 0
) -> Run:
    """Read all windows once.

    Args:
        layers: `keras.layers` or `custom_layers`.
        log_dir: where to write what every step's gradients were, for TensorBoard; None looks at nothing.
        seed: of the weights.
    """
    model, losses, sayings = reader(layers, text.letters, optimizer, seed), BatchLosses(), Sayings()
    callbacks: list[keras.callbacks.Callback] = [losses]
    if log_dir:
        callbacks.append(GradientInspector(log_dir, every=1, histograms=False))
    logger = logging.getLogger(GradientInspector.__module__)
    logger.addHandler(sayings)
    try:
        model.fit(text.x, text.y, BATCH, shuffle=False, verbose=0, callbacks=callbacks)
    finally:
        logger.removeHandler(sayings)
    before, after = norms(log_dir) if log_dir else (np.array([]), np.array([]))
    return Run(np.array(losses.losses), before, after, sayings.lines)


def norms(log_dir: Path) -> tuple[np.ndarray, np.ndarray]:
    """Of all gradients together, before and after clipping; alike where nothing is clipped."""
    scalars = read_log(log_dir).scalars
    before, after = (
        scalars.query(f"tag == 'all_weights/{name}'")["value"].to_numpy()
        for name in ("gradient_norm", "gradient_norm_clipped")
    )
    return before, after if len(after) else before
