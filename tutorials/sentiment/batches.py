"""Batches of reviews of like length, to train on and to ask, so that little of a batch is padding."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from custom_layers.data import length_buckets
from custom_layers.data.length_buckets import quantiles_of

BUCKETS = 12
ASKED_AT_ONCE = 256


def training_batches(
    numbers: Sequence[np.ndarray], labels: np.ndarray, batch_size: int, seed: int
) -> tf.data.Dataset:
    """Endless batches (words (batch, words) int32, label (batch, 1) float32).

    Args:
        numbers: (words,) of each review; 0 pads it to the longest of its batch.
        labels: (reviews,).
        seed: the same seed, the same batches in the same order.
    """
    lengths = np.array([len(row) for row in numbers])
    words = tf.RaggedTensor.from_row_lengths(np.concatenate(list(numbers)), lengths)
    each = tf.RaggedTensor.from_row_lengths(labels.astype("int32"), np.ones_like(lengths))
    bounds = [int(bound) for bound in quantiles_of(lengths, BUCKETS)]
    batches = length_buckets(words, each, batch_size, seed, boundaries=bounds)
    return batches.map(lambda words, label: (words, tf.cast(label, tf.float32)))


def ask(model: keras.Model, numbers: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
    """What a model says of each review, one list for each of its outputs.

    The reviews are asked by length, `ASKED_AT_ONCE` together.
    """
    by_length = np.argsort([len(row) for row in numbers], kind="stable")
    answers: list[list[Any]] = [[None] * len(numbers) for _ in model.outputs]
    for first in range(0, len(numbers), ASKED_AT_ONCE):
        rows = by_length[first : first + ASKED_AT_ONCE]
        found = model.predict_on_batch(padded([numbers[row] for row in rows]))
        outputs = found if isinstance(found, list | tuple) else [found]
        for answer, output in zip(answers, outputs, strict=True):
            for place, row in enumerate(rows):
                answer[row] = output[place]
    return answers


def padded(numbers: Sequence[np.ndarray]) -> np.ndarray:
    """(reviews, words) int32: 0 behind the words, up to the longest review."""
    batch = np.zeros((len(numbers), max(map(len, numbers))), dtype="int32")
    for row, words in zip(batch, numbers, strict=True):
        row[: len(words)] = words
    return batch


def logits_of(model: keras.Model, numbers: Sequence[np.ndarray]) -> np.ndarray:
    """(reviews,) float64, of a model whose first output is one logit."""
    return np.array(ask(model, numbers)[0], dtype="float64")[:, 0]
