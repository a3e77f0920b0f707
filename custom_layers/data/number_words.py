"""Numbers in English words: 407 is "four hundred seven"."""

from custom_layers.data.data_error import DataError

ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
TENS = "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"
LARGEST = 999_999


def number_in_words(number: int) -> list[str]:
    """The words of a number, as one says it in the United States: no "and", a word for each part.

    Args:
        number: int in [0, 999,999].

    Raises: DataError for a number out of that range.
    """
    if not 0 <= number <= LARGEST:
        raise DataError(
            f"number_in_words: `number` must be in [0, {LARGEST}]. Received: number={number!r}. "
            "Larger numbers and fractions have no words here."
        )
    if number < 20:
        return [ONES[number]]
    for unit, name in ((1000, "thousand"), (100, "hundred")):
        if number >= unit:
            rest = number_in_words(number % unit) if number % unit else []
            return [*number_in_words(number // unit), name, *rest]
    return [TENS[number // 10 - 2], *([ONES[number % 10]] if number % 10 else [])]
