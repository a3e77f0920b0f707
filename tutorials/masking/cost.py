"""What padding costs: its share of the batches, and the time of an epoch with much and with little."""

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from custom_layers.data import length_buckets


class Batches(NamedTuple):
    """One epoch of batches (rows padded with 0, labels), twice: as they fall, and by length.

    per_epoch: how many there are of each.
    """

    random: tf.data.Dataset
    by_length: tf.data.Dataset
    per_epoch: int


def two_ways(rows: tf.RaggedTensor, labels: np.ndarray, batch_size: int, seed: int) -> Batches:
    """Batches of the same sentences: at random, and of `length_buckets`.

    Args:
        rows: ragged (sentences, words).
        labels: (sentences, 1).
        batch_size: at most the number of sentences; what does not fill a batch is left out.
    """
    count = len(labels) // batch_size
    answers = tf.RaggedTensor.from_tensor(labels)
    order = np.random.default_rng(seed).permutation(len(labels))[: count * batch_size]
    groups = order.reshape(count, batch_size)
    random = tf.data.Dataset.from_tensor_slices(groups).map(
        lambda group: (tf.gather(rows, group).to_tensor(), tf.gather(labels, group))
    )
    by_length = length_buckets(rows, answers, batch_size, seed).take(count)
    known = tf.data.experimental.assert_cardinality(count)
    return Batches(random.cache(), by_length.apply(known).cache(), count)


class Size(NamedTuple):
    """Of some batches. words: that are no padding. cells: all. steps: of the time loop, one a column."""

    words: int
    cells: int
    steps: int

    @property
    def padding(self) -> float:
        """Share of the cells that are padding, in [0, 1]."""
        return 1 - self.words / self.cells


def size_of(batches: Iterable[Any]) -> Size:
    """Count words, cells and columns."""
    words = cells = steps = 0
    for rows, _ in batches:
        words += int(np.count_nonzero(rows))
        cells += int(np.size(rows))
        steps += int(rows.shape[1])
    return Size(words, cells, steps)


def time_ratio(model: keras.Model, batches: Batches, turns: int) -> float:
    """How many times as long an epoch of random batches takes `fit` as one by length, in turns.

    Returns: the median over the turns, of the processor's time per word that is no padding; the first
        turn warms up. Other programs on the machine take none of it.
    """
    ways = batches.random, batches.by_length
    words = [size_of(way).words for way in ways]
    ratios = []
    for _ in range(turns + 1):
        seconds = []
        for way in ways:
            begun = time.process_time()
            model.fit(way, shuffle=False, verbose=0)
            seconds.append(time.process_time() - begun)
        ratios.append((seconds[0] / words[0]) / (seconds[1] / words[1]))
    return float(np.median(ratios[1:]))
