"""Sentence pairs -> vocabularies and batches of token numbers; tokenised once, before training."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from custom_layers.data import load_sentence_pairs
from tutorials.translation.batches import (
    BATCHES,
    TranslationData,
    ordered_batches,
    split,
)
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


def prepare(pairs: Any, preset: Preset, seed: int = 0, batches: str = "random") -> TranslationData:
    """Split, learn the vocabularies on the training part, tokenise, and batch.

    Args:
        pairs: SentencePairs, their `source` is translated into their `target`.
        batches: "random", "bucketed" or "equal-words". Of sentences of like length little is padding:
            half the time of a step on `spa-eng`.

    Raises: ValueError when fewer pairs are left for training than one batch holds.
    """
    train, held_out = split(pairs, preset, seed)
    context_vocabulary = learn_vocabulary(train.source, preset.vocabulary_size)
    target_vocabulary = learn_vocabulary(train.target, preset.vocabulary_size)

    def tokens_of(part: Any) -> tuple[Any, Any]:
        return _tokens(part.source, context_vocabulary), _tokens(part.target, target_vocabulary)

    return TranslationData(
        context_vocabulary,
        target_vocabulary,
        BATCHES[batches](*tokens_of(train), preset.batch_size, seed),
        ordered_batches(*tokens_of(held_out), preset.batch_size),
        train,
        held_out,
    )


def _tokens(texts: Sequence[str], vocabulary: Sequence[str]) -> Any:
    return vectorizer_of(vocabulary)(tf.constant(list(texts), tf.string))


def load(data: str, preset: Preset, seed: int = 0, batches: str = "random") -> TranslationData:
    """`prepare` what `custom_layers.data.load_sentence_pairs` finds under the name `data`."""
    return prepare(load_sentence_pairs(data), preset, seed, batches)
