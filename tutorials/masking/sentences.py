"""English sentences as rows of word numbers, and whether each is a question: its first words tell."""

import random
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from custom_layers.data import SentencePairs

PADDING, UNKNOWN = 0, 1
FIRST_WORD = 2  # numbers below are no words


class Questions(NamedTuple):
    """Sentences without their marks. Half of them are questions.

    rows: ragged int64 (sentences, words), numbers of words.
    labels: int64 (sentences, 1), 1 is a question.
    texts: the sentences as written.
    words: how many different numbers there are, padding and unknown words included.
    """

    rows: tf.RaggedTensor
    labels: np.ndarray
    texts: list[str]
    words: int


def words_of(text: str) -> list[str]:
    """Lower case, without marks: "Don't you?" is ["don't", "you"]."""
    return re.findall(r"[a-z0-9']+", text.lower())


def questions(
    pairs: SentencePairs, count: int, held_out: int, vocabulary: int, seed: int
) -> Questions:
    """Draw sentences, half of them questions, in random order.

    Args:
        pairs: a corpus whose `target` is English.
        count: of sentences, even.
        held_out: so many of the first ones are to be asked about; words are counted over the others.
        vocabulary: so many of the most frequent words have a number of their own.
    """
    distinct = [text for text in dict.fromkeys(pairs.target) if words_of(text)]
    draw = random.Random(seed)
    chosen = []
    for asked in (False, True):
        alike = [text for text in distinct if text.rstrip().endswith("?") == asked]
        chosen += draw.sample(alike, count // 2)
    draw.shuffle(chosen)
    sentences = [words_of(text) for text in chosen]
    number_of = numbers(sentences[held_out:], vocabulary)
    rows = [[number_of.get(word, UNKNOWN) for word in words] for words in sentences]
    labels = np.array([[text.rstrip().endswith("?")] for text in chosen], "int64")
    return Questions(
        tf.ragged.constant(rows, dtype="int64"), labels, chosen, vocabulary + FIRST_WORD
    )


def numbers(sentences: Sequence[Sequence[str]], vocabulary: int) -> dict[str, int]:
    """The number of each of the most frequent words, from `FIRST_WORD` on."""
    counted = Counter(word for words in sentences for word in words)
    frequent = [word for word, _ in counted.most_common(vocabulary)]
    return {word: number for number, word in enumerate(frequent, start=FIRST_WORD)}
