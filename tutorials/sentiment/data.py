"""The reviews of the page: real ones where they lie, else generated ones; and as numbers."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from custom_layers.data import (
    Reviews,
    generated_reviews,
    read_imdb,
    read_rt_polarity,
    split_reviews,
)
from custom_layers.data.local_files import DATA_FOLDER_VARIABLE, local_file
from tutorials.sentiment.words import UNKNOWN, Crop, Vocabulary, words_of

IMDB_FILE, RT_FILE = "imdb/aclImdb_labelled.tar.xz", "rt-polarity/rt-polarity.pos"
RT_SHARES = (0.8, 0.1, 0.1)


class Encoded(NamedTuple):
    """Reviews, and each one's words as numbers, (words,)."""

    reviews: Reviews
    numbers: list[np.ndarray]

    @property
    def labels(self) -> np.ndarray:
        """(reviews,), 1 is positive."""
        return self.reviews.labels

    def at(self, places: Sequence[int] | np.ndarray) -> "Encoded":
        """Those at these places."""
        return Encoded(self.reviews.at(places), [self.numbers[place] for place in places])

    def cropped(self, crop: Crop) -> "Encoded":
        """The same reviews, with what is kept of each."""
        return Encoded(self.reviews, [row[crop.places(len(row))] for row in self.numbers])


def encoded(reviews: Reviews, vocabulary: Vocabulary) -> Encoded:
    """The reviews as numbers; one without a word becomes one unknown word."""
    words = (words_of(text) or [UNKNOWN] for text in reviews.texts)
    return Encoded(reviews, [vocabulary.encode(row) for row in words])


def whole_reviews(per_folder: int | None, generated: int) -> tuple[Reviews, Reviews]:
    """To train on, and to test on.

    Args:
        per_folder: how many of IMDB's four folders each; None for all.
        generated: how many generated reviews, half of them to test on, where there is no IMDB.
    """
    if path := local_file(IMDB_FILE):
        return read_imdb(path, per_folder=per_folder)
    _say_generated("whole reviews", IMDB_FILE)
    train, test = split_reviews(generated_reviews(generated), (0.5, 0.5), seed=0)
    return train, test


def short_reviews(generated: int) -> list[Reviews]:
    """Sentences to train on, to choose by and to test on."""
    if path := local_file(RT_FILE):
        return read_rt_polarity(path.parent, seed=0, shares=RT_SHARES)
    _say_generated("sentences", RT_FILE)
    return split_reviews(generated_reviews(generated, seed=1, longest=2), RT_SHARES, seed=0)


def _say_generated(what: str, file: str) -> None:
    print(
        f"sentiment: {what} are generated. For real ones put {file} into a folder, and let "
        f"{DATA_FOLDER_VARIABLE} name it."
    )
