"""Written dates: read back by Python's own reader, the same for the same seed, in every form."""

import contextlib
import datetime

import pytest

from custom_layers.data import DataError, written_dates
from custom_layers.data.written_dates import FIRST, FORMS, LAST, written

READ_BY = {  # form -> how `strptime` reads it
    "{day}.{number}.{year}": "%d.%m.%Y",
    "{day}.{number}.{short_year}": "%d.%m.%y",
    "{day} {month} {year}": "%d %B %Y",
    "{day} {short_month} {year}": "%d %b %Y",
    "{day} {short_month} {short_year}": "%d %b %y",
    "{month} {day}, {year}": "%B %d, %Y",
    "{short_month} {day}, {short_year}": "%b %d, %y",
    "{weekday}, {day} {month} {year}": "%A, %d %B %Y",
    "{short_weekday} {day} {short_month} {year}": "%a %d %b %Y",
    "{weekday}, {month} {day}, {year}": "%A, %B %d, %Y",
}


def readings(text):
    """Every date that a form's reader finds in the text, with the form."""
    for form, pattern in READ_BY.items():
        with contextlib.suppress(ValueError):
            yield form, datetime.datetime.strptime(text, pattern).date()


def test_each_date_reads_as_its_iso_form_and_as_no_other():
    pairs = written_dates(2000, seed=3)
    assert len(pairs.source) == len(pairs.target) == 2000
    seen = set()
    for source, target in zip(pairs.source, pairs.target, strict=True):
        found = list(readings(source))
        assert {date.isoformat() for _, date in found} == {target}, source
        seen |= {form for form, _ in found}
    assert seen == set(FORMS) == set(READ_BY)
    assert min(pairs.target) < "1971"
    assert max(pairs.target) > "2066"


@pytest.mark.parametrize("date", [FIRST, LAST, datetime.date(2000, 2, 29)])
def test_weekdays_are_those_of_the_calendar(date):
    for form in FORMS:
        text = written(date, form)
        assert dict(readings(text))[form] == date
        if "weekday" in form:
            assert text.startswith(date.strftime("%a"))


def test_the_seed_fixes_the_pairs_and_a_smaller_count_gives_the_first():
    many = written_dates(50, seed=1)
    few = written_dates(20, seed=1)
    assert (few.source, few.target) == (many.source[:20], many.target[:20])
    assert written_dates(50, seed=2).source != many.source


@pytest.mark.parametrize("count", [0, -3])
def test_no_pairs_is_one_line(count):
    with pytest.raises(DataError, match=rf"`count` must be at least 1. Received: count={count}"):
        written_dates(count)
