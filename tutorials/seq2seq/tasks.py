"""Small tasks of every shape: generated, exact, and learnt in seconds.

many to one             digits -> their sum
one to many             a number -> its words
many to many, aligned   digits -> the largest so far, at each
many to many            a written date -> its ISO form; letters -> the same, backwards
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from custom_layers.data import number_in_words, written_dates

PAD, START, END, FIRST = 0, 1, 2, 3  # token numbers; the words begin at FIRST


class Examples(NamedTuple):
    """Inputs and what belongs to them, row by row."""

    x: np.ndarray
    y: np.ndarray


class Vocabulary:
    """Words and their token numbers.

    Args:
        words: all that there are; sorted, they have the numbers from FIRST on.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = ("", "[START]", "[END]", *sorted(set(words)))
        self.number_of = {word: number for number, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, texts: Sequence[Sequence[str]], end: bool) -> np.ndarray:
        """Token numbers (texts, longest), padded; with `end`, the end token after each text."""
        rows = [[self.number_of[w] for w in text] + [END] * end for text in texts]
        tokens = np.full((len(rows), max(map(len, rows))), PAD, "int32")
        for row, numbers in zip(tokens, rows, strict=True):
            row[: len(numbers)] = numbers
        return tokens

    def decode(self, tokens: Sequence[int]) -> list[str]:
        """The words before the first end token, or padding."""
        words = [self.words[token] for token in tokens]
        return words[: next((n for n, token in enumerate(tokens) if token in (END, PAD)), None)]


def digit_sums(count: int, steps: int, seed: int) -> Examples:
    """Digits (count, steps) and their sums, in tens (count, 1): near 1, as a network likes it."""
    digits = np.random.default_rng(seed).integers(0, 10, (count, steps), dtype="int32")
    return Examples(digits, (digits.sum(axis=1, keepdims=True) / 10).astype("float32"))


def running_maxima(count: int, steps: int, seed: int) -> Examples:
    """Digits (count, steps) and, at each, the largest so far (count, steps)."""
    digits = np.random.default_rng(seed).integers(0, 10, (count, steps), dtype="int32")
    return Examples(digits, np.maximum.accumulate(digits, axis=1))


def spelled_numbers(held_out: int, seed: int) -> tuple[Examples, Examples, Vocabulary]:
    """The numbers below 1000, one-hot by digit (count, 30), and their words with an end token.

    Returns: those to learn, so many held out, and the words.
    """
    texts = [number_in_words(number) for number in range(1000)]
    vocabulary = Vocabulary([word for text in texts for word in text])
    digits = np.array([[n // 100, n // 10 % 10, n % 10] for n in range(1000)])
    x = np.eye(10, dtype="float32")[digits].reshape(1000, 30)
    y = vocabulary.encode(texts, end=True)
    order = np.random.default_rng(seed).permutation(1000)
    rest, kept = order[:held_out], order[held_out:]
    return Examples(x[kept], y[kept]), Examples(x[rest], y[rest]), vocabulary


class Dates(NamedTuple):
    """Written dates as characters, and their ISO forms.

    train, test: tokens of the source (count, longest) and of the target (count, 11), its end with it;
        no source of the one is in the other.
    source, target: the characters.
    texts: the sources of `test` as they are written.
    """

    train: Examples
    test: Examples
    source: Vocabulary
    target: Vocabulary
    texts: list[str]


def dates(count: int, held_out: int, seed: int) -> Dates:
    """So many distinct written dates to learn, and so many held out."""
    pairs = written_dates(2 * (count + held_out), seed)
    distinct = dict(zip(pairs.source, pairs.target, strict=True))
    texts, iso = (list(side)[: count + held_out] for side in (distinct, distinct.values()))
    source = Vocabulary([character for text in pairs.source for character in text])
    target = Vocabulary([character for text in iso for character in text])
    x, y = source.encode(texts, end=False), target.encode(iso, end=True)
    return Dates(
        Examples(x[:count], y[:count]),
        Examples(x[count:], y[count:]),
        source,
        target,
        texts[count:],
    )


def reversed_letters(
    lengths: np.ndarray, letters: int, seed: int, width: int | None = None
) -> Examples:
    """Different letters to be said backwards, a sequence of each of the lengths.

    Args:
        lengths: int (count,), from 1 to `letters`.
        letters: how many there are, with the numbers from FIRST on.
        width: columns of the source, and one less than those of the target; default the longest.

    Returns: x (count, width), y (count, width + 1), padded; y ends with END.
    """
    width = int(lengths.max()) if width is None else width
    order = np.random.default_rng(seed).random((len(lengths), letters)).argsort(axis=1)
    drawn = FIRST + order[:, :width]
    place, length = np.arange(width + 1), lengths[:, None]
    x = np.where(place[:-1] < length, drawn, PAD)
    backwards = np.take_along_axis(drawn, np.clip(length - 1 - place, 0, width - 1), axis=1)
    y = np.where(place < length, backwards, np.where(place == length, END, PAD))
    return Examples(x.astype("int32"), y.astype("int32"))
