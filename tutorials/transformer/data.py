"""Sentence pairs -> sub-words and batches of token numbers; tokenised once, before training."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from custom_layers.data import SentencePairs, load_sentence_pairs
from custom_layers.training import WarmupSchedule
from tutorials.transformer.subwords import Subwords, learn_subwords
from tutorials.translation.batches import (
    BATCHES,
    TranslationData,
    ordered_batches,
    split,
)


class Preset(NamedTuple):
    """Sizes that go together.

    num_layers, d_model, num_heads, dff, dropout, max_tokens: of the model.
    vocabulary_size, batch_size: sub-words of each language, pairs of a batch.
    steps: training steps when the command line names none.
    warmup_steps: of the learning rate, see `WarmupSchedule`.
    held_out: share of the pairs kept for evaluation, at most `held_out_limit` pairs.
    bleu_limit: held-out pairs that are translated to measure BLEU.
    """

    num_layers: int
    d_model: int
    num_heads: int
    dff: int
    dropout: float
    max_tokens: int
    vocabulary_size: int
    batch_size: int
    steps: int
    warmup_steps: int
    held_out: float
    held_out_limit: int
    bleu_limit: int


PRESETS = {
    "quick": Preset(2, 128, 4, 256, 0.1, 64, 600, 64, 1200, 400, 0.1, 1000, 500),
    "tutorial": Preset(4, 128, 8, 512, 0.1, 128, 8000, 64, 2000, 4000, 0.1, 4000, 1000),
}
MODEL_SIZES = ("num_layers", "d_model", "num_heads", "dff", "dropout", "max_tokens")


def sizes_of(preset: Preset) -> dict[str, Any]:
    """The arguments of the model."""
    return {name: getattr(preset, name) for name in MODEL_SIZES}


def learning_rate_of(preset: Preset) -> WarmupSchedule:
    """The paper's: it rises for `warmup_steps`, then falls with the root of the step."""
    return WarmupSchedule(preset.d_model, preset.warmup_steps)


def prepare(
    pairs: Any, preset: Preset, seed: int = 0, batches: str = "bucketed"
) -> TranslationData:
    """Split, learn the sub-words on the training part, tokenise, leave out what is too long, batch.

    Args:
        pairs: SentencePairs, their `source` is translated into their `target`.
        batches: "random", "bucketed" or "equal-words". Of sentences of like length little is padding.

    Raises: ValueError when fewer pairs are left for training than one batch holds.
    """
    train, held_out = split(pairs, preset, seed)
    context_vocabulary = learn_subwords(train.source, preset.vocabulary_size)
    target_vocabulary = learn_subwords(train.target, preset.vocabulary_size)
    context_text, target_text = Subwords(context_vocabulary), Subwords(target_vocabulary)

    def tokens_of(part: SentencePairs) -> tuple[tuple[Any, Any], SentencePairs]:
        context = context_text.tokens_of(tf.constant(list(part.source), tf.string))
        target = target_text.tokens_of(tf.constant(list(part.target), tf.string))
        longest = tf.maximum(context.row_lengths(), target.row_lengths())
        fits = np.flatnonzero(longest.numpy() <= preset.max_tokens)
        part = part._replace(
            source=[part.source[i] for i in fits], target=[part.target[i] for i in fits]
        )
        return (tf.gather(context, fits), tf.gather(target, fits)), part

    train_tokens, train = tokens_of(train)
    held_out_tokens, held_out = tokens_of(held_out)
    return TranslationData(
        context_vocabulary,
        target_vocabulary,
        BATCHES[batches](*train_tokens, preset.batch_size, seed),
        ordered_batches(*held_out_tokens, preset.batch_size),
        train,
        held_out,
    )


def load(data: str, preset: Preset, seed: int = 0, batches: str = "bucketed") -> TranslationData:
    """`prepare` what `custom_layers.data.load_sentence_pairs` finds under the name `data`."""
    return prepare(load_sentence_pairs(data), preset, seed, batches)
