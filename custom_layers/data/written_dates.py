"""Dates as people write them, and the same dates in the one form of ISO 8601.

    "Tuesday, 3 March 1998"   "1998-03-03"
    "3.3.98"                  "1998-03-03"
    "March 3, 1998"           "1998-03-03"

A short task for a translator of characters: the parts change places, names become numbers, a year of
two digits is filled up, and zeros appear that are not in the source. A weekday says nothing.
"""

import datetime
import random

from custom_layers.data.data_error import DataError
from custom_layers.data.parallel_corpus import SentencePairs

WEEKDAYS = "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
FIRST, LAST = datetime.date(1969, 1, 1), datetime.date(2068, 12, 31)  # two digits tell the year
FORMS = (
    "{day}.{number}.{year}",
    "{day}.{number}.{short_year}",
    "{day} {month} {year}",
    "{day} {short_month} {year}",
    "{day} {short_month} {short_year}",
    "{month} {day}, {year}",
    "{short_month} {day}, {short_year}",
    "{weekday}, {day} {month} {year}",
    "{short_weekday} {day} {short_month} {year}",
    "{weekday}, {month} {day}, {year}",
)


def written_dates(count: int, seed: int = 0) -> SentencePairs:
    """Dates from 1969 to 2068, drawn evenly, each in one of ten forms.

    Args:
        count: int >= 1, number of pairs; a date can occur more than once.
        seed: the same seed gives the same pairs; a smaller count gives the first of them.

    Raises: DataError when `count` < 1.
    """
    if count < 1:
        raise DataError(
            f"written_dates: `count` must be at least 1. Received: count={count}. "
            "Ask for one pair or more."
        )
    rng = random.Random(seed)
    days = (LAST - FIRST).days + 1
    pairs = SentencePairs([], [], name="written dates")
    for _ in range(count):
        date = FIRST + datetime.timedelta(days=rng.randrange(days))
        pairs.source.append(written(date, rng.choice(FORMS)))
        pairs.target.append(date.isoformat())
    return pairs


def written(date: datetime.date, form: str) -> str:
    """The date in one of `FORMS`."""
    month, weekday = MONTHS[date.month - 1], WEEKDAYS[date.weekday()]
    return form.format(
        day=date.day,
        number=date.month,
        month=month,
        short_month=month[:3],
        weekday=weekday,
        short_weekday=weekday[:3],
        year=date.year,
        short_year=f"{date.year % 100:02}",
    )
