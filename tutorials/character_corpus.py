"""A text in three parts, as numbers: what pages about characters learn from."""

from typing import NamedTuple

import numpy as np

from custom_layers.data import CharacterVocabulary, TextParts, generated_play, read_text, split_text
from custom_layers.data.local_files import DATA_FOLDER_VARIABLE, local_file

FILE = "tinyshakespeare/input.txt"
REAL = "Tiny Shakespeare"
GENERATED = 400_000  # characters of the play that is written where there is no file


class Corpus(NamedTuple):
    """A text.

    parts: training, validation and held-out text. numbers: the same three, as int32 arrays. vocabulary:
    of all three. name: what it is, for a report.
    """

    parts: TextParts
    numbers: tuple[np.ndarray, np.ndarray, np.ndarray]
    vocabulary: CharacterVocabulary
    name: str


def load(characters: int | None = None) -> Corpus:
    """Shakespeare where the file is there, else a generated play; says so in one line.

    Args:
        characters: how many to take, from the beginning; None for all.
    """
    path = local_file(FILE)
    if path is not None:
        return corpus_of(read_text(path)[:characters], REAL)
    print(
        f"no {FILE} in the folder of {DATA_FOLDER_VARIABLE}: learning from a generated play. The real "
        "one is data/tinyshakespeare/input.txt of github.com/karpathy/char-rnn."
    )
    return corpus_of(generated_play(min(characters or GENERATED, GENERATED)), "a generated play")


def corpus_of(text: str, name: str) -> Corpus:
    """The text cut at 90 and at 95 percent. The alphabet is the whole's; nothing else is shared."""
    parts, vocabulary = split_text(text), CharacterVocabulary(text)
    training, validation, held_out = map(vocabulary.encode, parts)
    return Corpus(parts, (training, validation, held_out), vocabulary, name)
