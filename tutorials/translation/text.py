"""From sentences to token numbers and back: standardisation, vocabulary, vectorisation."""

import re
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_text

PADDING, UNKNOWN, START, END = "", "[UNK]", "[START]", "[END]"


@keras.saving.register_keras_serializable(package="translation")
def standardize(texts: Any) -> Any:
    """Bring strings (any shape) into the form that the model reads, in the graph.

    NFKD splits accents off their letters; after lower-casing only `a-z`, space and `.?!,¿` stay,
    so that "¿Está?" becomes "[START] ¿ esta ? [END]": punctuation stands alone as a word.
    """
    texts = tensorflow_text.normalize_utf8(texts, "NFKD")
    texts = tf.strings.lower(texts)
    texts = tf.strings.regex_replace(texts, r"[^ a-z.?!,¿]", "")
    texts = tf.strings.regex_replace(texts, r"[.?!,¿]", r" \0 ")
    texts = tf.strings.strip(texts)
    return tf.strings.join([START, texts, END], separator=" ")


def join_words(words: Any) -> Any:
    """(batch, steps) words, padded with empty strings -> (batch,) sentences, in the graph."""
    return join_marks(tf.strings.reduce_join(words, axis=-1, separator=" "))


def join_marks(texts: Any) -> Any:
    """Sentences whose words all stand apart -> sentences as they are written, in the graph."""
    texts = tf.strings.strip(tf.strings.regex_replace(texts, r" +", " "))
    texts = tf.strings.regex_replace(texts, r" ([.?!,])", r"\1")
    return tf.strings.regex_replace(texts, r"¿ ", "¿")


def references_of(texts: Sequence[str]) -> list[str]:
    """Sentences as the model could write them at best: what BLEU compares translations with."""
    words = tf.strings.split(standardize(tf.constant(list(texts), tf.string))).to_tensor()
    is_mark = (words == START) | (words == END)
    joined = join_words(tf.where(is_mark, "", words))
    return [text.decode() for text in joined.numpy()]


def written_words(text: str) -> list[str]:
    """The words that the model reads, as they were written: with capitals and accents.

    Where the count would not fit (some signs vanish, others fall apart) they come standardised.
    """
    standard = [word.decode() for word in tf.strings.split(standardize(text)).numpy()]
    written = re.findall(r"[.?!,¿]|[^\s.?!,¿]+", text)
    return [START, *written, END] if len(written) == len(standard) - 2 else standard


def has_words(text: str) -> bool:
    """Whether anything is left to translate after standardisation."""
    return len(tf.strings.split(standardize(text))) > 2


def learn_vocabulary(texts: Sequence[str], size: int, layers: Any = keras.layers) -> list[str]:
    """The `size` most frequent words of `texts`, the padding and the unknown word first.

    Raises: ValueError when `size` leaves no room for words beside the four special tokens.
    """
    if size < 5:
        raise ValueError(
            "learn_vocabulary: `size` must be at least 5, four special tokens and a word. "
            f"Received: size={size}. The official tutorial has 5,000."
        )
    vectorizer = layers.TextVectorization(max_tokens=size, standardize=standardize, ragged=True)
    vectorizer.adapt(tf.data.Dataset.from_tensor_slices(list(texts)).batch(4096))
    return [str(word) for word in vectorizer.get_vocabulary()]


def vectorizer_of(vocabulary: Sequence[str], layers: Any = keras.layers, **kwargs: Any) -> Any:
    """TextVectorization layer: (batch,) strings -> ragged (batch, words) token numbers, int64."""
    return layers.TextVectorization(
        vocabulary=[word for word in vocabulary if word not in (PADDING, UNKNOWN)],
        standardize=standardize,
        ragged=True,
        **kwargs,
    )


def lengths_of(tokens: Any) -> np.ndarray:
    """Number of tokens of each row of a ragged tensor, [START] and [END] among them."""
    return np.asarray(tokens.row_lengths())
