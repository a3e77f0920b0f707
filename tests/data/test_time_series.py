"""Series: what is written comes back, each mistake is one clear line, what is made is like the real."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_layers.data import DataError, Series, generated_series, read_series
from custom_layers.data.generated_series import RECIPES
from custom_layers.data.local_files import local_file

GOOD = b'"Date","Temp"\r\n"1981-01-01",20.7\r\n"1981-01-02",-17.9\r\n"1981-01-04",1.8e1\r\n'
TABLE = b"date,open,close,volume\n2000-01-03,1469.25,1455.2,931\n2000-01-04,1455.2,1399.4,1009\n"


def write(folder, content, name="series.csv"):
    path = folder / name
    path.write_bytes(content)
    return path


def test_dates_and_values_of_a_file_with_quotes_and_crlf(tmp_path):
    path = write(tmp_path, GOOD)
    series = read_series(path)
    assert (series.name, series.source, series.rows) == ("Temp", str(path), 3)
    np.testing.assert_array_equal(series.values, [20.7, -17.9, 18.0])
    days = np.array(["1981-01-01", "1981-01-02", "1981-01-04"], "datetime64[D]")
    np.testing.assert_array_equal(series.dates, days)
    assert series.dates.dtype == days.dtype


@given(
    numbers=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=9),
    first=st.integers(-200, 400),
    unit=st.sampled_from("MD"),
    newline=st.sampled_from(["\n", "\r\n"]),
    quote=st.sampled_from(["", '"']),
    mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
    blank=st.booleans(),
    last=st.booleans(),
)
def test_what_is_written_comes_back(
    tmp_path_factory, numbers, first, unit, newline, quote, mark, blank, last
):
    dates = np.datetime64("1970-01-01", unit) + first + np.arange(len(numbers))
    lines = [f"{quote}Date{quote}, Temp "]
    lines += [f"{quote}{d}{quote}, {n!r}" for d, n in zip(dates, numbers, strict=True)]
    content = mark + ((newline * (1 + blank)).join(lines) + newline * last).encode()
    series = read_series(write(tmp_path_factory.getbasetemp(), content, "drawn.csv"))
    np.testing.assert_array_equal(series.dates, dates)
    np.testing.assert_array_equal(series.values, numbers)
    assert series.name == "Temp"


def test_a_column_of_a_table_is_chosen_by_name(tmp_path):
    path = write(tmp_path, TABLE)
    assert list(read_series(path, value="close").values) == [1455.2, 1399.4]
    assert list(read_series(path, value="volume", date="date").values) == [931, 1009]
    turned = write(tmp_path, b"sun,month\n58.0,1749-01\n62.6,1749-02\n")
    assert list(read_series(turned, date="month").values) == [58.0, 62.6]


def refusal(path, **columns):
    """The message of the error, which must be one line that names function and way out."""
    with pytest.raises(DataError) as caught:
        read_series(path, **columns)
    message = str(caught.value)
    assert "\n" not in message
    assert re.fullmatch(r"read_series: [^.]*.*\. Received: .+\. [A-Z'].*\.", message), message
    return message


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (b"1981-01-05,\n", r"must have a value.*line 5: '' in column 'Temp'"),
        (b"1981-01-05,NA\n", r"must have a value.*line 5: 'NA'"),
        (b"1981-01-05,nan\n", r"must have a value.*line 5: 'nan'"),
        (b"1981-01-05,?0.2\n", r"finite number.*line 5: '\?0.2' in column 'Temp'"),
        (b"1981-01-05,1_000\n", r"finite number.*'1_000'"),
        (b"1981-01-05,inf\n", r"finite number.*'inf'"),
        (b"\r\n1981-01-05,warm\n", r"finite number.*line 6: 'warm'"),
        (b"1981-01-04,1\n", r"must not come twice.*line 5: '1981-01-04' after 1981-01-04"),
        (b"1981-01-03,1\n", r"must be in order.*line 5: '1981-01-03' after 1981-01-04"),
        (b"1981-02,1\n", r"same unit.*line 5: '1981-02' after 1981-01-04"),
        (b"1981-02-30,1\n", r"must be a day or a month.*line 5: '1981-02-30'"),
        (b"5.1.1981,1\n", r"must be a day or a month.*line 5: '5.1.1981'"),
        (b"NaT,1\n", r"must be a day or a month.*line 5: 'NaT'"),
        (b"1981-01-05\n", r"as many cells.*line 5: 1 cells for 2 columns"),
        (b"1981-01-05,1,2\n", r"as many cells.*line 5: 3 cells for 2 columns"),
        (b'"1981-01-05,1\n', r"must be CSV.*line 5"),
        (b"1981-01-05,\xb0\n", r"must be UTF-8.*byte 0xb0 at offset"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(tmp_path, row, said):
    message = refusal(write(tmp_path, GOOD + row))
    assert re.search(said, message), message
    assert "series.csv" in message


def test_bad_files_and_columns_are_refused(tmp_path):
    assert "which is empty" in refusal(write(tmp_path, b""))
    assert "which is empty" in refusal(write(tmp_path, b"\r\n\r\n"))
    assert "which has none" in refusal(write(tmp_path, b"Date,Temp\r\n"))
    assert "No such file" in refusal(tmp_path / "nowhere.csv")
    assert "which is a folder" in refusal(tmp_path)
    path = write(tmp_path, TABLE)
    assert "'date', 'open', 'close', 'volume'" in refusal(path)
    assert "value='Close'" in refusal(path, value="Close")
    assert "date='Day'" in refusal(path, value="close", date="Day")
    assert "must be different columns" in refusal(path, value="date")


def test_a_part_is_rows_of_all(tmp_path):
    series = read_series(write(tmp_path, GOOD))
    part = series.part(1, 3)
    assert list(part.values) == [-17.9, 18.0]
    assert list(part.dates.astype(str)) == ["1981-01-02", "1981-01-04"]
    assert part.name == "Temp"


@pytest.mark.parametrize("name", RECIPES)
def test_a_generated_series_is_like_the_real_one(name):
    made = generated_series(name)
    assert isinstance(made, Series)
    assert made.source == "generated"
    assert np.all(np.isfinite(made.values))
    assert np.all(np.diff(made.dates) > np.timedelta64(0))
    np.testing.assert_array_equal(made.values, generated_series(name).values)
    assert np.any(made.values != generated_series(name, seed=1).values)
    path = local_file(f"timeseries/{name}.csv")
    if path is None:
        pytest.skip("the real one is not here")
    real = read_series(path, value=made.name)
    assert (made.rows, made.dates[0], made.dates.dtype) == (
        real.rows,
        real.dates[0],
        real.dates.dtype,
    )
    assert 0.5 < np.mean(made.values) / np.mean(real.values) < 2


def test_the_recipe_is_what_the_numbers_follow():
    """Equations (1) and (2): without the season and the level, what is left has that memory."""
    made, recipe = generated_series("daily-min-temperatures"), RECIPES["daily-min-temperatures"]
    t = np.arange(recipe.rows)
    season = recipe.swing * np.cos(2 * np.pi * (t - recipe.peak) / recipe.period)
    e = made.values - recipe.level - season
    innovations = e[1:] - recipe.memory * e[:-1]
    assert np.std(innovations) == pytest.approx(recipe.noise, rel=0.05)
    assert abs(np.corrcoef(innovations[1:], innovations[:-1])[0, 1]) < 0.05
    with pytest.raises(ValueError, match=r"generated_series: .*like='rain'.*sp500-2000\."):
        generated_series("rain")
