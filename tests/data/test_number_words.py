"""Numbers in words: read back by other rules than they were written by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_layers.data import DataError, number_in_words

UP_TO_19 = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen"),
    *("sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
VALUES = {word: value for value, word in enumerate(UP_TO_19)}
VALUES |= {word: 10 * value for value, word in enumerate(TENS, start=2)}


def read(words):
    """The number that the words say: a word adds, "hundred" and "thousand" multiply."""
    thousands, rest = 0, 0
    for word in words:
        if word == "thousand":
            thousands, rest = rest, 0
        elif word == "hundred":
            rest *= 100
        else:
            rest += VALUES[word]
    return 1000 * thousands + rest


@given(st.integers(0, 999_999))
def test_words_read_back_are_the_number(number):
    assert read(number_in_words(number)) == number


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (20, "twenty"),
        (99, "ninety nine"),
        (100, "one hundred"),
        (407, "four hundred seven"),
        (1000, "one thousand"),
        (12_345, "twelve thousand three hundred forty five"),
        (
            999_999,
            "nine hundred ninety nine thousand nine hundred ninety nine",
        ),
    ],
)
def test_numbers_are_said_as_one_says_them(number, words):
    assert " ".join(number_in_words(number)) == words


@pytest.mark.parametrize("number", [-1, 1_000_000])
def test_a_number_without_words_is_one_line(number):
    with pytest.raises(
        DataError, match=rf"`number` must be in \[0, 999999\]. Received: .*{number}"
    ):
        number_in_words(number)
