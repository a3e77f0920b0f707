"""Sentence pairs as token numbers -> batches for teacher forcing.

    ((context, target_in), target_out):  "[START] hi . [END]" gives target_in "[START] hi ." and
    target_out "hi . [END]"

The order of the batches is a function of the seed and of nothing else: each epoch is a permutation drawn
statelessly from (seed, epoch).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from custom_layers.data import SentencePairs, length_buckets, split_pairs


class TranslationData(NamedTuple):
    """What training and evaluation read.

    train: endless tf.data.Dataset of ((context, target_in), target_out), int64 (batch, words);
        each batch is padded with 0 to its own longest sentence.
    held_out: finite dataset of the same kind, in the order of `held_out_pairs`, which is random
        but fixed by the seed.
    """

    context_vocabulary: list[str]
    target_vocabulary: list[str]
    train: tf.data.Dataset
    held_out: tf.data.Dataset
    train_pairs: SentencePairs
    held_out_pairs: SentencePairs


def teacher_forcing(context: Any, target: Any) -> Any:
    """Two ragged tensors (batch, words) -> padded ((context, target_in), target_out)."""
    return (context.to_tensor(), target[:, :-1].to_tensor()), target[:, 1:].to_tensor()


def shuffled_batches(context: Any, target: Any, batch_size: int, seed: int) -> tf.data.Dataset:
    """Endless full batches; epoch e is the permutation drawn from (seed, e)."""
    count = context.shape[0]

    def one_epoch(epoch: Any) -> tf.data.Dataset:
        key = tf.stack([tf.constant(seed, tf.int64), epoch])
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=key)
        return tf.data.Dataset.from_tensor_slices(order)

    rows = tf.data.Dataset.counter().flat_map(one_epoch).batch(batch_size, drop_remainder=True)
    batches = rows.map(
        lambda row: teacher_forcing(tf.gather(context, row), tf.gather(target, row)),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    return batches.prefetch(tf.data.AUTOTUNE)


def bucketed_batches(
    context: Any, target: Any, batch_size: int, seed: int, equal_words: bool = False
) -> tf.data.Dataset:
    """Endless batches of sentences of like length, in an order that (seed, epoch) give.

    Args:
        equal_words: whether each has as many words, instead of as many sentences.
    """
    batches = length_buckets(context, target, batch_size, seed, equal_words=equal_words)
    return batches.map(
        lambda context, target: ((context, target[:, :-1]), target[:, 1:]),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    ).prefetch(tf.data.AUTOTUNE)


BATCHES: dict[str, Callable[..., tf.data.Dataset]] = {  # by the name in `--batches`
    "random": shuffled_batches,
    "bucketed": bucketed_batches,
    "equal-words": partial(bucketed_batches, equal_words=True),
}


def ordered_batches(context: Any, target: Any, batch_size: int) -> tf.data.Dataset:
    """Every sentence once, in order."""
    count = context.shape[0]
    rows = tf.data.Dataset.range(count).batch(batch_size)
    return rows.map(
        lambda row: teacher_forcing(tf.gather(context, row), tf.gather(target, row)),
    ).cache()


def split(pairs: Any, preset: Any, seed: int) -> tuple[SentencePairs, SentencePairs]:
    """The pairs to train on, and those held out, of which there are `preset.held_out_limit` at most.

    Raises: ValueError when fewer pairs are left for training than one batch holds.
    """
    train, held_out = split_pairs(pairs, held_out=preset.held_out, seed=seed)
    # Pair files are often sorted by length: the first pairs would be the shortest ones.
    chosen = np.random.default_rng(seed).permutation(len(held_out.source))[: preset.held_out_limit]
    held_out = held_out._replace(
        source=[held_out.source[i] for i in chosen],
        target=[held_out.target[i] for i in chosen],
    )
    if len(train.source) < preset.batch_size or not held_out.source:
        raise ValueError(
            f"prepare: there must be at least {preset.batch_size} pairs to train on, and one held "
            f"out. Received: {len(pairs.source)} pairs. Give more pairs, or a smaller batch."
        )
    return train, held_out
