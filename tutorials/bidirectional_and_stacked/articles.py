"""Spanish sentences whose articles are blotted out: which one stood there tells a later word.

    la casa blanca está en el campo        ->   [?] casa blanca está en [?] campo
    asked: la at the first place, el at the sixth

The noun that decides, "casa" or "campo", comes after its article. Who looks at words alone blots the
object pronouns too: "no la conozco" asks for la, and no noun decides it.
"""

import random
import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from custom_layers.data import SentencePairs

ARTICLES = ("el", "la", "los", "las")  # answers 1 to 4; 0 is "not asked"
PADDING, UNKNOWN, BLOT = 0, 1, 2
FIRST_WORD = 3  # numbers below are no words
LONGEST = 14  # words; longer sentences are left out
BEFORE_PRONOUNS = ("no", "me", "te", "se", "nos")


class Articles(NamedTuple):
    """Sentences with blots, padded with 0 behind.

    x: int32 (sentences, steps), numbers of words. y: int32 likewise, 1 to 4 at a blot, else 0.
    words: how many different numbers there are. texts: the sentences.
    """

    x: np.ndarray
    y: np.ndarray
    words: int
    texts: list[str]

    @property
    def task(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, y and `sample_weight` for `fit`: 1 where an article is asked for, float32."""
        return self.x, self.y, (self.y > 0).astype("float32")

    def part(self, first: int, last: int | None) -> "Articles":
        """The sentences from `first` to before `last`."""
        chosen = slice(first, last)
        return Articles(self.x[chosen], self.y[chosen], self.words, self.texts[chosen])


def words_of(text: str) -> list[str]:
    """Lower case, without marks."""
    return re.findall(r"\w+", text.lower())


def blotted(
    pairs: SentencePairs, count: int, held_out: int, vocabulary: int, seed: int
) -> Articles:
    """Draw sentences that have an article, in random order, and blot all their articles out.

    Args:
        pairs: a corpus whose `source` is Spanish.
        count: of sentences, at most.
        held_out: so many of the first ones are to be asked about; words are counted over the others.
        vocabulary: so many of the most frequent words have a number of their own.
    """
    with_articles = [
        text
        for text in dict.fromkeys(pairs.source)
        if len(words_of(text)) <= LONGEST and set(words_of(text)) & set(ARTICLES)
    ]
    random.Random(seed).shuffle(with_articles)
    texts = with_articles[:count]
    counted = Counter(w for text in texts[held_out:] for w in words_of(text) if w not in ARTICLES)
    number_of = {w: n for n, (w, _) in enumerate(counted.most_common(vocabulary), FIRST_WORD)}
    number_of |= dict.fromkeys(ARTICLES, BLOT)
    x, y = np.zeros((2, len(texts), LONGEST), "int32")
    for row, text in enumerate(texts):
        for step, word in enumerate(words_of(text)):
            x[row, step] = number_of.get(word, UNKNOWN)
            y[row, step] = ARTICLES.index(word) + 1 if word in ARTICLES else 0
    return Articles(x, y, vocabulary + FIRST_WORD, texts)


def most_frequent(y: np.ndarray) -> float:
    """What always saying the most frequent article would get right, as a share."""
    times = np.bincount(y[y > 0], minlength=len(ARTICLES) + 1)
    return float(times.max() / times.sum())


def likely_pronouns(texts: Iterable[str]) -> int:
    """How many of la, los, las stand behind a word of `BEFORE_PRONOUNS`, as an article seldom does."""
    return sum(
        before in BEFORE_PRONOUNS and word in ("la", "los", "las")
        for text in texts
        for before, word in pairwise(words_of(text))
    )
