"""Characters as numbers, and back."""

from collections.abc import Iterable

import numpy as np

from custom_layers.data.data_error import DataError


class CharacterVocabulary:
    r"""The distinct characters of a text, in the order of their code points, numbered from 0.

    Args:
        text: at least one character.

    Raises: DataError when `text` is empty.

    >>> letters = CharacterVocabulary("banana\n")
    >>> letters.characters, letters.encode("ban").tolist(), letters.decode([3, 1])
    ('\nabn', [2, 1, 3], 'na')
    """

    def __init__(self, text: str) -> None:
        if not text:
            raise DataError(
                "CharacterVocabulary: `text` must hold at least one character. Received: text=''. "
                "Pass the text that the model is to read."
            )
        self.characters = "".join(sorted(set(text)))
        self._number = {character: n for n, character in enumerate(self.characters)}

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> np.ndarray:
        """The numbers of the characters, int32 (characters,).

        Raises: DataError, naming the first character that is not in the vocabulary.
        """
        try:
            return np.array([self._number[character] for character in text], np.int32)
        except KeyError as error:
            unknown = error.args[0]
            raise DataError(
                f"CharacterVocabulary: `text` must consist of the {len(self)} characters of the "
                f"vocabulary. Received: {unknown!r} at position {text.index(unknown)}. Make the "
                "vocabulary of all texts, or take the character out."
            ) from None

    def decode(self, numbers: Iterable[int]) -> str:
        """The characters of these numbers.

        Raises: DataError for a number that is no character's.
        """
        numbers = [int(n) for n in numbers]
        for n in numbers:
            if not 0 <= n < len(self):
                raise DataError(
                    f"CharacterVocabulary: `numbers` must be of 0 to {len(self) - 1}. Received: {n}. "
                    "Decode what this vocabulary has encoded."
                )
        return "".join(self.characters[n] for n in numbers)
