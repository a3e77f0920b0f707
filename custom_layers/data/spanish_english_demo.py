"""A generated Spanish-English corpus: sentence pairs that need no network and show real grammar.

The pairs agree in gender and number, conjugate three tenses, negate, ask with do-support, place
adjectives and object pronouns as each language does, drop subjects, and keep the personal a. One
Spanish sentence has one English translation, so that a model can learn the task to the end.
"""

import itertools
import random
from collections.abc import Iterator
from typing import NamedTuple

from custom_layers.data.parallel_corpus import SentencePairs
from custom_layers.data.spanish_english_clauses import ClauseBook
from custom_layers.data.spanish_english_phrases import Words

DEFAULT_COUNT = 24_000
SHORTEST, LONGEST = 3, 12  # words of a sentence in either language


class Translation(NamedTuple):
    """A sentence in both languages.

    Attributes:
        source, target: the Spanish and the English sentence as one writes them.
        source_words, target_words: their words without punctuation, in order.
        alignment: pairs (source position, target position) of words that translate each other. A
            dropped subject and an auxiliary ("did", "will") have no counterpart.
    """

    source: str
    target: str
    source_words: tuple[str, ...]
    target_words: tuple[str, ...]
    alignment: tuple[tuple[int, int], ...]


def demo_pairs(count: int = DEFAULT_COUNT, seed: int = 0) -> SentencePairs:
    """Return distinct sentence pairs of the generated corpus.

    Args:
        count: int >= 1, number of pairs, all with different Spanish sentences.
        seed: the same seed gives the same pairs; a smaller count gives the first of them.

    Raises: ValueError when `count` < 1.
    """
    if count < 1:
        raise ValueError(
            f"demo_pairs: `count` must be at least 1. Received: count={count}. "
            "Ask for one pair or more."
        )
    translations = list(itertools.islice(demo_translations(seed), count))
    return SentencePairs(
        [translation.source for translation in translations],
        [translation.target for translation in translations],
        name="demo",
    )


def demo_translations(seed: int = 0) -> Iterator[Translation]:
    """Yield the corpus of a seed without end, each Spanish sentence once, with its alignment."""
    book = ClauseBook(random.Random(seed))
    seen = set()
    while True:
        source, target, is_question = book.clause()
        if not (SHORTEST <= len(source) <= LONGEST and SHORTEST <= len(target) <= LONGEST):
            continue
        if _repeats_itself(source):
            continue
        written = _written(source, is_question, opening="¿")
        if written in seen:
            continue
        seen.add(written)
        yield Translation(
            written,
            _written(target, is_question, opening=""),
            tuple(word for word, _ in source),
            tuple(word for word, _ in target),
            _alignment(source, target),
        )


def _repeats_itself(words: Words) -> bool:
    """Whether a name or a longer word occurs twice, as in "Ana greets Ana"."""
    heavy = [word for word, _ in words if len(word) > 4 or word[0].isupper()]
    return len(set(heavy)) < len(heavy)


def _written(words: Words, is_question: bool, opening: str) -> str:
    text = " ".join([word for word, _ in words])
    text = text[0].upper() + text[1:]
    return f"{opening}{text}?" if is_question else f"{text}."


def _alignment(source: Words, target: Words) -> tuple[tuple[int, int], ...]:
    return tuple(
        (i, j)
        for i, (_, source_key) in enumerate(source)
        for j, (_, target_key) in enumerate(target)
        if source_key == target_key != 0
    )
