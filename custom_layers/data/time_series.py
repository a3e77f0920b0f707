"""Reading a time series: a CSV file of dates and numbers, checked row by row.

    "Date","Temp"
    "1981-01-01",20.7

Read as UTF-8, with or without a byte order mark, LF or CRLF, with or without quotes; empty lines count
for nothing.
"""

import csv
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from custom_layers.data.data_error import DataError

OWNER = "read_series"
ISO_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2}([T ]\d{2}:\d{2}(:\d{2})?)?)?)?")


class Series(NamedTuple):
    """A series in the order of time.

    Attributes:
        dates: datetime64, (rows,), increasing; in days ("1981-01-01"), months ("1949-01"), or whatever
            the file counts in. Some may be missing: a stock exchange has its weekends.
        values: float64, (rows,), finite, in the unit of the file.
        name: what the values are, such as "Temp".
        source: the file; "generated" where there was none.
    """

    dates: np.ndarray
    values: np.ndarray
    name: str = "value"
    source: str = "generated"

    @property
    def rows(self) -> int:
        """How many dates, and values."""
        return len(self.values)

    def part(self, begin: int, end: int) -> Self:
        """The rows from `begin` to before `end`."""
        return self._replace(dates=self.dates[begin:end], values=self.values[begin:end])


def read_series(
    path: str | os.PathLike[str], value: str | None = None, date: str | None = None
) -> Series:
    """Read one column of a CSV file with a header, and the dates beside it.

    Args:
        path: the file.
        value: name of the column with the numbers. Default: the one besides the dates, if there are
            just two columns.
        date: name of the column with the dates, as in ISO 8601: 1749-01, 1981-01-01, 1981-01-01 12:30.
            Default: the first.

    Raises: DataError, one line, for a file that is missing, a folder, not UTF-8 or without rows; for a
        column that does not exist or must be chosen; and, with its line, for a row that has too few or
        too many cells, no value, no finite number, no date, or one that is repeated or out of order.
    """
    rows = _rows(Path(path))
    _, header = next(rows, (0, []))
    if not header:
        raise _error(
            "a file of a series must have a header and rows",
            f"{str(path)!r}, which is empty",
            'Write names into the first line, such as "Date","Temp".',
        )
    at = _columns(header, value, date, str(path))
    dates: list[np.datetime64] = []
    values: list[float] = []
    for line, cells in rows:
        where = f"{str(path)!r}, line {line}"
        if len(cells) != len(header):
            raise _error(
                "each row must have as many cells as the header",
                f"{where}: {len(cells)} cells for {len(header)} columns",
                "Put the missing ones there, or quote a comma.",
            )
        dates.append(_date(cells[at[0]].strip(), dates, where))
        values.append(_number(cells[at[1]].strip(), where, header[at[1]]))
    if not values:
        raise _error(
            "a file of a series must have rows below its header",
            f"{str(path)!r}, which has none",
            "Write a date and a number a line.",
        )
    return Series(np.array(dates), np.array(values, "float64"), header[at[1]], str(path))


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of each line that is not empty, the header first."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _error(
            "a file of a series must be UTF-8",
            f"{str(path)!r}, byte 0x{error.object[error.start]:02x} at offset {error.start}",
            "Save it as UTF-8.",
        ) from None
    except OSError as error:
        what = "which is a folder" if path.is_dir() else error.strerror or str(error)
        raise _error(
            "`path` must be a file that can be read",
            f"path={str(path)!r}, {what}",
            "Check the spelling.",
        ) from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise _error(
            "a file of a series must be CSV",
            f"{str(path)!r}, line {reader.line_num}: {error}",
            "Put the cells between commas, and close each quote.",
        ) from None


def _columns(header: list[str], value: str | None, date: str | None, path: str) -> tuple[int, int]:
    """Where the dates are, and the values."""
    header[:] = [name.strip() for name in header]
    names = ", ".join(map(repr, header))
    for argument, name in (("value", value), ("date", date)):
        if name is not None and header.count(name) != 1:
            raise _error(
                f"`{argument}` must name one column",
                f"{argument}={name!r}; {path!r} has {names}",
                "Choose one of them.",
            )
    dates_at = 0 if date is None else header.index(date)
    if value is None and len(header) != 2:
        raise _error(
            "`value` must be given unless there are two columns",
            f"{path!r}, which has {names}",
            "Choose one of them.",
        )
    values_at = 1 - dates_at if value is None else header.index(value)
    if values_at == dates_at:
        raise _error(
            "`value` and `date` must be different columns",
            f"both {header[dates_at]!r}",
            f"{path!r} has {names}.",
        )
    return dates_at, values_at


def _date(cell: str, before: list[np.datetime64], where: str) -> np.datetime64:
    """The date of a row, which comes after those before it."""
    try:
        found = np.datetime64(cell) if ISO_DATE.fullmatch(cell) else None
    except ValueError:  # a thirteenth month
        found = None
    if found is None:
        raise _error(
            "a date must be a day or a month as 1981-01-31 or 1981-01",
            f"{where}: {cell!r}",
            "Write the year first, and two digits for month and day.",
        )
    if before and found.dtype != before[0].dtype:
        raise _error(
            "all dates must count in the same unit",
            f"{where}: {cell!r} after {before[-1]}",
            "Write all of them as days, or as months.",
        )
    if before and found <= before[-1]:
        rule = "a date must not come twice" if found == before[-1] else "dates must be in order"
        raise _error(
            rule,
            f"{where}: {cell!r} after {before[-1]}",
            "Sort the rows, and keep one of each date.",
        )
    return found


def _number(cell: str, where: str, column: str) -> float:
    """The value of a row."""
    if cell.lower() in {"", "na", "n/a", "nan", "null", "none", "?", "-"}:
        raise _error(
            "a row must have a value",
            f"{where}: {cell!r} in column {column!r}",
            "Fill it in, or take the row out.",
        )
    try:
        number = float(cell) if "_" not in cell else np.nan  # Python reads 1_000
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise _error(
            "a value must be a finite number",
            f"{where}: {cell!r} in column {column!r}",
            "Write it with a decimal point and without its unit.",
        )
    return number


def _error(rule: str, received: str, way_out: str) -> DataError:
    return DataError(f"{OWNER}: {rule}. Received: {received}. {way_out}")
