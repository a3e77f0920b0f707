"""A reader of sentences: an embedding, an LSTM or a mean, and a logit: was it a question?"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

WORD_WIDTH, WIDTH = 64, 128


def reader(layers: Any, words: int, masked: bool, summary: str = "LSTM") -> keras.Model:
    """A compiled model from word numbers (batch, steps) to a logit (batch, 1).

    Args:
        layers: `keras.layers` or `custom_layers`.
        words: how many different numbers there are.
        masked: whether the embedding makes a mask of the zeros, and the summary so leaves them out.
        summary: of the words: "LSTM", its last state; or "mean", `GlobalAveragePooling1D`.
    """
    rows = keras.Input((None,), dtype="int64")
    embedded = layers.Embedding(words, WORD_WIDTH, mask_zero=masked, name="embedding")(rows)
    if summary == "LSTM":
        read = layers.LSTM(WIDTH, name="lstm")(embedded)
    else:
        read = layers.GlobalAveragePooling1D(name="mean")(embedded)
    model = keras.Model(rows, layers.Dense(1, name="answer")(read))
    model.compile(
        keras.optimizers.Adam(3e-3),
        keras.losses.BinaryCrossentropy(from_logits=True),
        jit_compile=False,  # every batch has its own length: XLA would compile each anew
    )
    return model


def logits_with_padding(model: keras.Model, rows: tf.RaggedTensor, padding: int) -> np.ndarray:
    """(sentences,) answers, each sentence with just so many zeros behind it.

    Sentences of one length go together, so that `padding` is the same for short and long ones.
    """
    lengths = rows.row_lengths().numpy()
    answers = np.zeros(len(lengths))
    for length in np.unique(lengths):
        alike = np.flatnonzero(lengths == length)
        padded = np.zeros((len(alike), length + padding), "int64")
        padded[:, :length] = tf.gather(rows, alike).to_tensor().numpy()
        answers[alike] = model.predict_on_batch(padded)[:, 0]
    return answers
