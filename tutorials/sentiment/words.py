"""From a text to numbers: words, a vocabulary, and what is kept of a long review."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

WORD = re.compile(r"[^\W_]+|[!?]")
PADDING, UNKNOWN = "", "[UNK]"  # the first two of a vocabulary: 0 is padding, as mask_zero wants it


def words_of(text: str) -> list[str]:
    """Lower-case words, and the two marks that raise a voice; "don't" is one word, "dont"."""
    return WORD.findall(text.lower().replace("'", ""))


class Crop(NamedTuple):
    """How many words are kept of a longer text: of its beginning, and of its end."""

    first: int
    last: int

    def places(self, count: int) -> np.ndarray:
        """Which of `count` words are kept, in order: all, if they are few enough."""
        if count <= self.first + self.last:
            return np.arange(count)
        return np.append(np.arange(self.first), np.arange(count - self.last, count))


class Vocabulary(NamedTuple):
    """Words by number, and numbers by word."""

    words: list[str]
    numbers: dict[str, int]

    def encode(self, words: Iterable[str]) -> np.ndarray:
        """(words,) int32; a word that is not in the vocabulary is 1."""
        return np.array([self.numbers.get(word, 1) for word in words], dtype="int32")


def vocabulary_of(texts: Iterable[Sequence[str]], size: int) -> Vocabulary:
    """The most frequent words; of equally frequent ones those that come first in the alphabet.

    Args:
        texts: the words of each text.
        size: how many words at most, padding and the unknown word included.
    """
    counts: Counter[str] = Counter()
    for words in texts:
        counts.update(words)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))[: size - 2]
    words = [PADDING, UNKNOWN, *ranked]
    return Vocabulary(words, {word: number for number, word in enumerate(words)})
