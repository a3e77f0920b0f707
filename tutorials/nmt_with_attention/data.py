"""Sentence pairs -> batches of token numbers for teacher forcing.

    ((context, target_in), target_out):  "[START] hi . [END]" gives target_in "[START] hi ." and
    target_out "hi . [END]"

Everything is tokenised once, before training. The order of the batches is a function of the seed
and of nothing else: each epoch is a permutation drawn statelessly from (seed, epoch).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from custom_layers.data import SentencePairs, load_sentence_pairs, split_pairs
from tutorials.translation.text import learn_vocabulary, vectorizer_of


class Preset(NamedTuple):
    """Sizes that go together.

    units, vocabulary_size, batch_size: of the model and its batches.
    steps: training steps when the command line names none.
    learning_rate: peak of Adam's learning rate; it falls to 0 by half a cosine when `decay`.
    held_out: share of the pairs kept for evaluation, at most `held_out_limit` pairs.
    bleu_limit: held-out pairs that are translated to measure BLEU.
    """

    units: int
    vocabulary_size: int
    batch_size: int
    steps: int
    learning_rate: float
    decay: bool
    held_out: float
    held_out_limit: int
    bleu_limit: int


PRESETS = {
    "quick": Preset(96, 1000, 64, 400, 5e-3, True, 0.1, 1000, 500),
    "tutorial": Preset(256, 5000, 64, 2000, 1e-3, False, 0.1, 4000, 1000),
}


def learning_rate_of(preset: Preset, steps: int) -> Any:
    """Adam's learning rate: a number, or a cosine from the peak to 0 over `steps`."""
    if not preset.decay:
        return preset.learning_rate
    return keras.optimizers.schedules.CosineDecay(preset.learning_rate, decay_steps=max(steps, 1))


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


def ordered_batches(context: Any, target: Any, batch_size: int) -> tf.data.Dataset:
    """Every sentence once, in order."""
    count = context.shape[0]
    rows = tf.data.Dataset.range(count).batch(batch_size)
    return rows.map(
        lambda row: teacher_forcing(tf.gather(context, row), tf.gather(target, row)),
    ).cache()


def prepare(pairs: Any, preset: Preset, seed: int = 0) -> TranslationData:
    """Split, learn the vocabularies on the training part, tokenise, and batch.

    Args:
        pairs: SentencePairs, their `source` is translated into their `target`.

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
    context_vocabulary = learn_vocabulary(train.source, preset.vocabulary_size)
    target_vocabulary = learn_vocabulary(train.target, preset.vocabulary_size)

    def tokens_of(part: Any) -> tuple[Any, Any]:
        return _tokens(part.source, context_vocabulary), _tokens(part.target, target_vocabulary)

    return TranslationData(
        context_vocabulary,
        target_vocabulary,
        shuffled_batches(*tokens_of(train), preset.batch_size, seed),
        ordered_batches(*tokens_of(held_out), preset.batch_size),
        train,
        held_out,
    )


def _tokens(texts: Sequence[str], vocabulary: Sequence[str]) -> Any:
    return vectorizer_of(vocabulary)(tf.constant(list(texts), tf.string))


def load(data: str, preset: Preset, seed: int = 0) -> TranslationData:
    """`prepare` what `custom_layers.data.load_sentence_pairs` finds under the name `data`."""
    return prepare(load_sentence_pairs(data), preset, seed)
