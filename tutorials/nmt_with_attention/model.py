r"""The translator: text in, text out, around the layers of `encoder_decoder.py`.

Differs from TensorFlow's tutorial "Neural machine translation with attention": decoding is one loop
in the graph for a whole batch, and it can also sample or search with a beam.
"""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from custom_layers.training import masked_accuracy, masked_loss
from tutorials.nmt_with_attention.encoder_decoder import Decoder, Encoder
from tutorials.translation.text import (
    END,
    PADDING,
    START,
    UNKNOWN,
    join_words,
    lengths_of,
    vectorizer_of,
    written_words,
)
from tutorials.translation.text_translator import TextTranslator, namespace_of, searched


class Attended(NamedTuple):
    """One sentence and its translation, ready for a picture.

    context_words: list of words, "[START]" and "[END]" among them.
    target_words: list of words, "[END]" last.
    weights: array (target words, context words), each row sums to 1.
    """

    context_words: list[str]
    target_words: list[str]
    weights: np.ndarray


@keras.saving.register_keras_serializable(package="nmt_with_attention")
class Translator(TextTranslator):
    """Encoder, attention and decoder, with the text vectorisation inside.

    Args:
        context_vocabulary, target_vocabulary: lists of words, "" and "[UNK]" first, "[START]" and
            "[END]" among them, as `text.learn_vocabulary` returns them.
        units: int >= 1, width of embeddings, recurrent states and attention. Default 256.
        attention: "multi_head" (default), "bahdanau" or "luong".
        layers: namespace to build from, keras.layers (default) or custom_layers, or its name.
        max_words: the longest translation, in words. Default 50.
    Call arguments:
        inputs: pair of token numbers, (batch, words) to translate and (batch, steps), the
            translation without its last token. 0 is padding.

    Returns:
        logits (batch, steps, target vocabulary).
    Raises: ValueError for an unknown attention or namespace, or `units` < 1.
    """

    def __init__(
        self,
        context_vocabulary: Sequence[str],
        target_vocabulary: Sequence[str],
        units: int = 256,
        attention: str = "multi_head",
        layers: Any = keras.layers,
        max_words: int = 50,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"Translator: `units` must be at least 1. Received: units={units}.")
        layers = namespace_of(layers, "Translator") if isinstance(layers, str) else layers
        self.config = {
            "context_vocabulary": list(context_vocabulary),
            "target_vocabulary": list(target_vocabulary),
            "units": units,
            "attention": attention,
            "layers": layers.__name__,
            "max_words": max_words,
        }
        self.max_words = max_words
        self.context_text = vectorizer_of(context_vocabulary, layers, name="context_text")
        self.target_text = vectorizer_of(target_vocabulary, layers, name="target_text")
        words = [word for word in target_vocabulary if word not in (PADDING, UNKNOWN)]
        self.word_of_token = layers.StringLookup(
            vocabulary=words, mask_token=PADDING, oov_token=UNKNOWN, invert=True
        )
        self.start, self.end = 2 + words.index(START), 2 + words.index(END)
        self.encoder = Encoder(len(context_vocabulary), units, layers, name="encoder")
        self.decoder = Decoder(len(target_vocabulary), units, attention, layers, name="decoder")
        self.build()

    def build(self, input_shape: Any = None) -> None:
        """Create the weights by a symbolic call, so that a new translator can load a file."""
        if not self.encoder.built:
            tokens = keras.Input((None,), dtype="int64")
            self.decoder(tokens, self.encoder(tokens), ops.not_equal(tokens, 0))

    def call(self, inputs: Any) -> Any:
        context_tokens, target_tokens = inputs
        context = self.encoder(context_tokens)
        logits, _ = self.decoder(target_tokens, context, ops.not_equal(context_tokens, 0))
        return ops.copy(logits)  # without the mask of `target_tokens`: the labels mask the loss

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.config}

    def decode(
        self,
        texts: Any,
        temperature: Any = 1.0,
        seed: Any = 0,
        *,
        method: str = "greedy",
        beam_width: int = 4,
        **options: Any,
    ) -> tuple[Any, Any]:
        context_tokens = self.context_text(texts).to_tensor()
        context = self.encoder(context_tokens)
        mask = context_tokens != 0
        if method == "beam":
            context, mask = (tf.repeat(x, beam_width, axis=0) for x in (context, mask))

        def step(tokens: Any, state: Any) -> tuple[Any, Any]:
            logits, state = self.decoder(tokens[:, None], context, mask, state=state)
            return logits[:, 0], state

        state = tf.zeros([tf.shape(context_tokens)[0], context.shape[-1]], context.dtype)
        decoded = searched(
            step,
            state,
            method=method,
            temperature=temperature,
            seed=seed,
            beam_width=beam_width,
            **options,
            start=self.start,
            end=self.end,
            max_steps=self.max_words + 1,
            forbidden=(0, 1, self.start),  # padding, unknown, start: never emitted
        )
        words = tf.where(decoded.tokens == self.end, "", self.word_of_token(decoded.tokens))
        has_words = tf.reduce_sum(tf.cast(context_tokens != 0, tf.int32), axis=-1) > 2
        return tf.where(has_words, join_words(words), ""), decoded.tokens

    def attention_of(self, texts: Sequence[str], translations: Sequence[str]) -> list[Attended]:
        """What each word of `translations` attended to in `texts`, whatever wrote it."""
        context_tokens = self.context_text(tf.constant(list(texts)))
        target_tokens = self.target_text(tf.constant(list(translations)))
        padded = context_tokens.to_tensor()
        _, _, weights = self.decoder(
            target_tokens.to_tensor()[:, :-1],
            self.encoder(padded),
            padded != 0,
            return_weights=True,
        )
        vocabulary = self.config["target_vocabulary"]
        target_words = [[vocabulary[token] for token in np.asarray(row)] for row in target_tokens]
        return [
            Attended(source, target[1:], np.asarray(rows)[: len(target) - 1, : len(source)])
            for source, target, rows in zip(
                map(written_words, texts), target_words, weights, strict=True
            )
        ]

    def check_sentences(self, texts: Sequence[str]) -> None:
        """Raise and warn of single sentences as told in `translate`."""
        tokens = self.context_text(tf.constant(list(texts)))
        for text, row, length in zip(texts, tokens, lengths_of(tokens), strict=True):
            shown = repr(text if len(text) <= 60 else text[:57] + "...")
            if length <= 2:
                raise ValueError(
                    "translate: a sentence must hold a letter a-z or punctuation. "
                    f"Received: {shown}. Leave it out."
                )
            if np.all(np.asarray(row)[1:-1] == 1):
                warnings.warn(
                    f"translate: no word of {shown} is in the vocabulary; its translation is a "
                    "guess.",
                    stacklevel=3,
                )
            if length - 2 > self.max_words:
                warnings.warn(
                    f"translate: {shown} has {length - 2} words, more than the {self.max_words} "
                    f"that a translation may have; it may break off.",
                    stacklevel=3,
                )


def build_translator(
    layers: Any,
    context_vocabulary: Sequence[str],
    target_vocabulary: Sequence[str],
    units: int = 256,
    attention: str = "multi_head",
    learning_rate: Any = 1e-3,
) -> Translator:
    """A compiled translator: Adam with `learning_rate`, masked loss and accuracy, graph mode."""
    translator = Translator(context_vocabulary, target_vocabulary, units, attention, layers)
    translator.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=masked_loss,
        metrics=[masked_accuracy],
        jit_compile=False,  # every batch has its own length: XLA would compile each anew
    )
    return translator
