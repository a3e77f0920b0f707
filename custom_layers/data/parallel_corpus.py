"""The type of a parallel corpus."""

from typing import NamedTuple


class SentencePairs(NamedTuple):
    """Sentences in two languages, line by line.

    Attributes:
        source: sentences of the language translated from.
        target: their translations, as many, in the same order.
        name: where the pairs come from, for messages and reports.
    """

    source: list[str]
    target: list[str]
    name: str = "pairs"
