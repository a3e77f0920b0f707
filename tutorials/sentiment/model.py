"""One network, built from Keras's layers or from ours, and a bag of words to measure it by."""

from typing import Any, NamedTuple

import keras

import custom_layers


class Sizes(NamedTuple):
    """How large the network is: words, numbers for a word, units of each direction, dropout."""

    vocabulary: int
    embedding: int
    units: int
    dropout: float


def build(layers: Any, sizes: Sizes, **of_lstm: Any) -> keras.Model:
    """Words (batch, steps), 0 is padding, to a logit (batch, 1): positive above 0.

    Dropout has seeds of its own, so that two networks drop the same entries.

    Args:
        layers: `keras.layers` or `custom_layers`. Keras has no attention pooling: ours is in both.
        of_lstm: what only one of the two understands, such as gradient="bptt".
    """
    words = layers.Input((None,), dtype="int32", name="words")
    embedding = layers.Embedding(
        sizes.vocabulary, sizes.embedding, mask_zero=True, name="embedding"
    )
    e = layers.Dropout(sizes.dropout, seed=1, name="dropout_of_words")(embedding(words))
    lstm = layers.LSTM(sizes.units, return_sequences=True, name="lstm", **of_lstm)
    h = layers.Bidirectional(lstm, name="states")(e)
    pooling = custom_layers.AttentionPooling(name="attention")
    s, _ = pooling(h, return_attention_scores=True)
    s = layers.Dropout(sizes.dropout, seed=2, name="dropout_of_review")(s)
    logit = layers.Dense(1, name="logit")(s)
    return keras.Model(words, logit, name="sentiment")


def with_attention(model: keras.Model) -> keras.Model:
    """The same network, that also tells its attention weights, (batch, steps)."""
    _, weights = model.get_layer("attention").output
    return keras.Model(model.inputs, [*model.outputs, weights])


def bag_of_words(vocabulary: int, embedding: int = 16) -> keras.Model:
    """The mean of the words' vectors, and a linear layer: it knows of no order.

    Source: Joulin et al. 2017, "Bag of Tricks for Efficient Text Classification", arXiv:1607.01759.
    """
    layers = keras.layers
    words = layers.Input((None,), dtype="int32")
    vectors = layers.Embedding(vocabulary, embedding, mask_zero=True)(words)
    mean = layers.GlobalAveragePooling1D()(vectors)
    return keras.Model(words, layers.Dense(1)(mean), name="bag_of_words")
