"""Batches of reviews of like length, to train on and to ask; few shapes, since XLA compiles each anew."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from custom_layers.data import length_buckets

ASKED_AT_ONCE = 256


def training_batches(
    numbers: Sequence[np.ndarray],
    labels: np.ndarray,
    batch_size: int,
    boundaries: Sequence[int],
    seed: int,
) -> tf.data.Dataset:
    """Endless batches (words (batch, boundary) int32, label (batch, 1) float32).

    Args:
        numbers: (words,) of each review.
        labels: (reviews,).
        boundaries: what the batches are padded to, increasing; the last holds the longest review.
        seed: the same seed, the same batches in the same order.
    """
    lengths = [len(row) for row in numbers]
    words = tf.RaggedTensor.from_row_lengths(np.concatenate(list(numbers)), lengths)
    each = tf.RaggedTensor.from_row_lengths(labels.astype("int32"), np.ones(len(labels), "int64"))
    batches = length_buckets(
        words, each, batch_size, seed, boundaries=boundaries, pad_to_boundary=True
    )
    return batches.map(lambda words, label: (words, tf.cast(label[:, :1], tf.float32)))


def ask(
    model: keras.Model, numbers: Sequence[np.ndarray], boundaries: Sequence[int]
) -> list[list[np.ndarray]]:
    """What a model says of each review, one list for each of its outputs.

    Reviews are asked in batches of `ASKED_AT_ONCE`, padded to a boundary; the last batch of a boundary
    is filled up with empty reviews, whose answers are dropped.
    """
    lengths = np.array([len(row) for row in numbers])
    bucket = np.searchsorted(boundaries, lengths)
    answers: list[list[Any]] = [[None] * len(numbers) for _ in model.outputs]
    for number in np.unique(bucket):
        rows = np.flatnonzero(bucket == number)
        batches = -(-len(rows) // ASKED_AT_ONCE)
        padded = np.zeros((batches * ASKED_AT_ONCE, boundaries[number]), dtype="int32")
        for place, row in enumerate(rows):
            padded[place, : lengths[row]] = numbers[row]
        found = model.predict(padded, batch_size=ASKED_AT_ONCE, verbose=0)
        outputs = found if isinstance(found, list | tuple) else [found]
        for answer, output in zip(answers, outputs, strict=True):
            for place, row in enumerate(rows):
                answer[row] = output[place]
    return answers


def logits_of(
    model: keras.Model, numbers: Sequence[np.ndarray], boundaries: Sequence[int]
) -> np.ndarray:
    """(reviews,) float64, of a model whose first output is one logit."""
    return np.array(ask(model, numbers, boundaries)[0], dtype="float64")[:, 0]
